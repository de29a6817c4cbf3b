//! Layer normalisation of rows, forward and backward.

use super::vectors::dot;

/// Added to the variance, as in `PyTorch`.
pub(crate) const EPS: f32 = 1e-5;

/// What the backward pass needs of a normalisation.
#[derive(Default)]
pub(crate) struct Normalised {
    /// Rows before scale and shift, `[n, d]`.
    pub(crate) centred: Vec<f32>,
    /// `1 / sqrt(variance + eps)` of each row.
    pub(crate) inverse_std: Vec<f32>,
}

/// Normalises each row of `x` in place: `(x − mean) / sqrt(var + eps) · weight + bias`, biased
/// variance. Returns what the backward pass needs.
///
/// # Shapes
/// - `x`: `[n, d]`, `weight` and `bias`: `[d]`
pub(crate) fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32]) -> Normalised {
    layer_norm_with(x, weight, bias, EPS)
}

/// As [`layer_norm`] with `eps` added to the variance.
pub(crate) fn layer_norm_with(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) -> Normalised {
    let d = weight.len();
    let mut centred = vec![0.0; x.len()];
    let mut inverse_std = Vec::with_capacity(x.len() / d);
    for (row, kept) in x.chunks_exact_mut(d).zip(centred.chunks_exact_mut(d)) {
        let mean = row.iter().sum::<f32>() / d as f32;
        for (k, v) in kept.iter_mut().zip(row.iter()) {
            *k = v - mean;
        }
        let inverse = 1.0 / (dot(kept, kept) / d as f32 + eps).sqrt();
        for ((v, k), (w, b)) in row
            .iter_mut()
            .zip(kept.iter_mut())
            .zip(weight.iter().zip(bias))
        {
            *k *= inverse;
            *v = *k * w + b;
        }
        inverse_std.push(inverse);
    }
    Normalised {
        centred,
        inverse_std,
    }
}

/// Turns the gradient of the normalised rows, in place, into that of the rows before it, and adds
/// the gradients of scale and shift.
///
/// # Shapes
/// - `gradient`: `[n, d]`, `weight_gradient` and `bias_gradient`: `[d]`
pub(crate) fn layer_norm_backward(
    gradient: &mut [f32],
    kept: &Normalised,
    weight: &[f32],
    weight_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) {
    let d = weight.len();
    for ((row, centred), &inverse) in gradient
        .chunks_exact_mut(d)
        .zip(kept.centred.chunks_exact(d))
        .zip(&kept.inverse_std)
    {
        for i in 0..d {
            weight_gradient[i] += row[i] * centred[i];
            bias_gradient[i] += row[i];
            row[i] *= weight[i];
        }
        let mean = row.iter().sum::<f32>() / d as f32;
        let along = dot(row, centred) / d as f32;
        for (g, c) in row.iter_mut().zip(centred) {
            *g = inverse * (*g - mean - c * along);
        }
    }
}
