//! Gathers several interests out of the rows of a history by attention.

use super::super::kernels::product::linear;
use super::super::kernels::vectors::{add_scaled, dot, softmax};
use super::super::weights::Affine;
use super::linear::linear_backward;

/// What the forward pass keeps for the backward pass.
pub(crate) struct KeptInterests {
    /// Rows, `[n, d]`.
    x: Vec<f32>,
    /// `tanh(W1 x + b1)`, `[n, attention_width]`.
    inner: Vec<f32>,
    /// Attention weights, `[n, n_interests]`: over the rows of a history they sum to 1.
    shares: Vec<f32>,
}

/// The interests of each history, `[lengths.len(), n_interests, d]`.
///
/// Interest k is `Σ a_k x` with `a_k` the softmax over the history of row k of
/// `W2 · tanh(W1 x + b1) + b2`.
pub(crate) fn interests_forward(
    [first, second]: [Affine<'_>; 2],
    lengths: &[usize],
    x: Vec<f32>,
) -> (Vec<f32>, KeptInterests) {
    let n_interests = second.bias.len();
    let d = first.weight.len() / first.bias.len();
    let mut inner = linear(&x, first.weight, first.bias);
    for value in &mut inner {
        *value = value.tanh();
    }
    let mut shares = linear(&inner, second.weight, second.bias);
    let mut out = vec![0.0; lengths.len() * n_interests * d];
    let mut column = Vec::new();
    let mut from = 0;
    for (&length, out) in lengths.iter().zip(out.chunks_exact_mut(n_interests * d)) {
        for (k, interest) in out.chunks_exact_mut(d).enumerate() {
            column.clear();
            column.extend((from..from + length).map(|row| shares[row * n_interests + k]));
            softmax(&mut column);
            for (row, &share) in (from..from + length).zip(&column) {
                shares[row * n_interests + k] = share;
                add_scaled(interest, share, &x[row * d..(row + 1) * d]);
            }
        }
        from += length;
    }
    (out, KeptInterests { x, inner, shares })
}

/// Adds the gradients of both layers (weight, bias, weight, bias) and returns that of the rows;
/// `g` is the gradient of the interests.
pub(crate) fn interests_backward(
    [first, second]: [Affine<'_>; 2],
    lengths: &[usize],
    kept: &KeptInterests,
    (g, gradients): (&[f32], &mut [&mut [f32]]),
) -> Vec<f32> {
    let [first_w, first_b, second_w, second_b] = gradients else {
        unreachable!("two layers have four tensors")
    };
    let n_interests = second.bias.len();
    let d = first.weight.len() / first.bias.len();
    let mut g_rows = vec![0.0; kept.x.len()];
    let mut g_scores = vec![0.0; kept.shares.len()];
    let mut slopes = Vec::new();
    let mut from = 0;
    for (&length, g) in lengths.iter().zip(g.chunks_exact(n_interests * d)) {
        for (k, g) in g.chunks_exact(d).enumerate() {
            let row_of = |row: usize| row * d..(row + 1) * d;
            slopes.clear();
            slopes.extend((from..from + length).map(|row| dot(g, &kept.x[row_of(row)])));
            let share = |row: usize| kept.shares[row * n_interests + k];
            let mean: f32 = (from..from + length)
                .zip(&slopes)
                .map(|(row, slope)| share(row) * slope)
                .sum();
            for (row, slope) in (from..from + length).zip(&slopes) {
                add_scaled(&mut g_rows[row_of(row)], share(row), g);
                g_scores[row * n_interests + k] = share(row) * (slope - mean);
            }
        }
        from += length;
    }
    let mut g_inner = linear_backward(&g_scores, &kept.inner, second.weight, second_w, second_b);
    for (g, &value) in g_inner.iter_mut().zip(&kept.inner) {
        *g *= 1.0 - value * value;
    }
    let through = linear_backward(&g_inner, &kept.x, first.weight, first_w, first_b);
    add_scaled(&mut g_rows, 1.0, &through);
    g_rows
}
