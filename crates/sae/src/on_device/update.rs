//! Adam on a device.

use candle_core::{Result, Tensor};

use super::Held;
use super::weights::{DeviceWeights, UNIT_GUARD, lengths};
use crate::kernels::{ADAM_EPSILON, AdamStep};

/// First and second moments.
pub(super) type Moments = [DeviceWeights; 2];

impl Held {
    /// Weights and moments after one step; decoder rows have unit length.
    pub(super) fn after(&self, gradients: &DeviceWeights, step: AdamStep) -> Result<Self> {
        let [first, second] = &self.moments;
        let without_decay = AdamStep {
            weight_decay: 0.0,
            ..step
        };
        let moved = |of: fn(&DeviceWeights) -> &Tensor, step| {
            adam(
                of(&self.weights),
                of(gradients),
                [of(first), of(second)],
                step,
            )
        };
        let w_enc = moved(|w| &w.w_enc, step)?;
        let b_enc = moved(|w| &w.b_enc, without_decay)?;
        let w_dec = moved(|w| &w.w_dec, step)?;
        let b_dec = moved(|w| &w.b_dec, step)?;
        let at = |place: usize| DeviceWeights {
            w_enc: w_enc[place].clone(),
            b_enc: b_enc[place].clone(),
            w_dec: w_dec[place].clone(),
            b_dec: b_dec[place].clone(),
        };
        let mut weights = at(0);
        weights.w_dec = weights
            .w_dec
            .broadcast_div(&lengths(&weights.w_dec, UNIT_GUARD)?)?;
        Ok(Self {
            weights,
            moments: [at(1), at(2)],
        })
    }
}

/// One step on one tensor: the weight and its two moments.
///
/// # Source
/// As the kernel `adam`.
fn adam(
    weight: &Tensor,
    gradient: &Tensor,
    [first, second]: [&Tensor; 2],
    step: AdamStep,
) -> Result<[Tensor; 3]> {
    let [beta_1, beta_2] = step.betas.map(|beta| f64::from(1.0 - beta));
    let mut gradient = (gradient * f64::from(step.gradient_scale))?;
    if step.weight_decay > 0.0 {
        gradient = (gradient + (weight * f64::from(step.weight_decay))?)?;
    }
    let first = (first + ((&gradient - first)? * beta_1)?)?;
    let second = ((second * f64::from(step.betas[1]))? + (gradient.sqr()? * beta_2)?)?;
    let spread = second
        .sqrt()?
        .affine(f64::from(step.second_correction), f64::from(ADAM_EPSILON))?;
    let weight = (weight - ((&first * f64::from(step.rate))? / spread)?)?;
    Ok([weight, first, second])
}
