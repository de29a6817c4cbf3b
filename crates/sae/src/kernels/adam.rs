//! The Adam update of one slice of weights, fused.

use super::level::multiversion;

/// What one Adam step needs besides weights and moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    /// Learning rate divided by 1 − β₁ᵗ.
    pub(crate) rate: f32,
    /// 1 / √(1 − β₂ᵗ).
    pub(crate) second_correction: f32,
    /// β₁ and β₂.
    pub(crate) betas: [f32; 2],
    /// Factor on the gradient, from clipping.
    pub(crate) gradient_scale: f32,
}

/// Added to the denominator, as in `PyTorch`.
const EPSILON: f32 = 1e-8;

multiversion! {
    /// One Adam step (Kingma and Ba 2015, as in `PyTorch`; no weight decay) on slices of one length.
    fn adam(weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: AdamStep) {
        let n = weights.len();
        let (gradient, first, second) = (&gradient[..n], &mut first[..n], &mut second[..n]);
        let [beta_1, beta_2] = step.betas;
        for i in 0..n {
            let g = gradient[i] * step.gradient_scale;
            let m = (g - first[i]).mul_add(1.0 - beta_1, first[i]);
            let v = (beta_2 * second[i]) + (1.0 - beta_2) * g * g;
            first[i] = m;
            second[i] = v;
            weights[i] -= step.rate * m / v.sqrt().mul_add(step.second_correction, EPSILON);
        }
    }
}
