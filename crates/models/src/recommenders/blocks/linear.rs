//! The backward pass of a linear layer; its forward pass is [`linear`](super::super::kernels::product::linear).

use super::super::kernels::product::{Factor, Write, product};
use super::super::kernels::vectors::add_rows;

/// Backward pass of `y = x · weightᵀ + bias`: adds the gradients of weight and bias, returns that
/// of `x`.
///
/// # Shapes
/// - `g`: `[n, d_out]`, `x`: `[n, d_in]`, `weight`: `[d_out, d_in]`, returns `[n, d_in]`
pub(crate) fn linear_backward(
    g: &[f32],
    x: &[f32],
    weight: &[f32],
    weight_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) -> Vec<f32> {
    add_rows(bias_gradient, g);
    product_backward(g, x, (weight, bias_gradient.len()), weight_gradient)
}

/// As [`linear_backward`] for a layer whose bias has no gradient; the weight comes with `d_out`.
pub(crate) fn product_backward(
    g: &[f32],
    x: &[f32],
    (weight, d_out): (&[f32], usize),
    weight_gradient: &mut [f32],
) -> Vec<f32> {
    let n = g.len() / d_out;
    let d_in = weight.len() / d_out;
    product(
        weight_gradient,
        [d_out, d_in, n],
        Factor::Transposed(g),
        Factor::Plain(x),
        Write::Add,
    );
    let mut out = vec![0.0; n * d_in];
    product(
        &mut out,
        [n, d_in, d_out],
        Factor::Plain(g),
        Factor::Plain(weight),
        Write::Set,
    );
    out
}
