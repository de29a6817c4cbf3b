//! `AdamW` with decoupled weight decay, a learning-rate schedule, and clipping of the global norm.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::ModelError;

/// Settings of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first and second moments, each in `[0, 1)`.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decay per step and unit of learning rate, ≥ 0; only for weights of two or more dimensions.
    pub weight_decay: f32,
    /// Norm over all gradients that is never exceeded.
    pub grad_clip: f32,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            betas: [0.9, 0.98],
            eps: 1e-8,
            weight_decay: 0.02,
            grad_clip: 1.0,
        }
    }
}

/// First and second moments of one weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

/// The optimiser of a list of weights.
///
/// # Determinism
/// One thread, in the order of the list.
pub(crate) struct AdamW {
    config: AdamWConfig,
    pub(crate) moments: Vec<Moments>,
    pub(crate) n_steps: u32,
}

impl AdamW {
    pub(crate) fn new(vars: &[(String, Var)], config: AdamWConfig) -> Self {
        let moments = vars
            .iter()
            .map(|(_, var)| Moments {
                first: vec![0.0; var.elem_count()],
                second: vec![0.0; var.elem_count()],
            })
            .collect();
        Self {
            config,
            moments,
            n_steps: 0,
        }
    }

    /// Changes the weights by one step against their gradients. Returns the gradients' global norm
    /// before clipping. Weights without a gradient stay.
    pub(crate) fn step(
        &mut self,
        vars: &[(String, Var)],
        grads: &GradStore,
        lr: f32,
    ) -> Result<f32, ModelError> {
        let mut gradients = Vec::with_capacity(vars.len());
        let mut squares = 0_f64;
        for (_, var) in vars {
            let values = match grads.get(var.as_tensor()) {
                Some(grad) => grad.flatten_all()?.to_vec1::<f32>()?,
                None => Vec::new(),
            };
            squares += values
                .iter()
                .map(|&g| f64::from(g) * f64::from(g))
                .sum::<f64>();
            gradients.push(values);
        }
        let norm = squares.sqrt() as f32;
        if !norm.is_finite() {
            return Err(ModelError::Request(
                "training diverged: a gradient is not a finite number; try a lower learning rate"
                    .to_owned(),
            ));
        }
        let clip = (self.config.grad_clip / norm.max(f32::MIN_POSITIVE)).min(1.0);
        self.n_steps += 1;
        let [beta1, beta2] = self.config.betas;
        let n = self.n_steps.min(1_000_000).cast_signed();
        let (fix1, fix2) = (1.0 / (1.0 - beta1.powi(n)), 1.0 / (1.0 - beta2.powi(n)));
        for (((_, var), gradient), moments) in vars.iter().zip(&gradients).zip(&mut self.moments) {
            if gradient.is_empty() {
                continue;
            }
            let decay = if var.rank() >= 2 {
                1.0 - lr * self.config.weight_decay
            } else {
                1.0
            };
            let mut values = var.flatten_all()?.to_vec1::<f32>()?;
            let state = moments.first.iter_mut().zip(&mut moments.second);
            for ((value, &gradient), (first, second)) in values.iter_mut().zip(gradient).zip(state)
            {
                let gradient = gradient * clip;
                *first = beta1 * *first + (1.0 - beta1) * gradient;
                *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
                let change = *first * fix1 / ((*second * fix2).sqrt() + self.config.eps);
                *value = *value * decay - lr * change;
            }
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
        }
        Ok(norm)
    }
}

/// Learning rate of a step: linear warm-up to `peak`, then half a cosine down to a twentieth of it.
pub(crate) fn learning_rate(peak: f32, step: u32, warmup_steps: u32, n_steps: u32) -> f32 {
    if step < warmup_steps {
        return peak * (step + 1) as f32 / warmup_steps as f32;
    }
    let share = (step - warmup_steps) as f32 / n_steps.saturating_sub(warmup_steps).max(1) as f32;
    peak * (0.05 + 0.95 * 0.5 * (1.0 + (std::f32::consts::PI * share.min(1.0)).cos()))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use candle_nn::{AdamW as TheirAdamW, Optimizer as _, ParamsAdamW};

    use super::*;

    #[test]
    fn equals_candles_optimiser_when_nothing_is_clipped() {
        let start = [0.5_f32, -2.0, 1.5, 0.1];
        let make = || Var::from_slice(&start, (2, 2), &Device::Cpu).unwrap();
        let (ours, theirs) = (vec![("w".to_owned(), make())], make());
        let config = AdamWConfig {
            betas: [0.9, 0.99],
            weight_decay: 0.1,
            grad_clip: 1e9,
            ..AdamWConfig::default()
        };
        let mut our_adam = AdamW::new(&ours, config);
        let mut their_adam = TheirAdamW::new(
            vec![theirs.clone()],
            ParamsAdamW {
                lr: 0.01,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: 0.1,
            },
        )
        .unwrap();
        for _ in 0..5 {
            let loss = |var: &Var| var.powf(4.0).unwrap().sum_all().unwrap();
            our_adam
                .step(&ours, &loss(&ours[0].1).backward().unwrap(), 0.01)
                .unwrap();
            their_adam.backward_step(&loss(&theirs)).unwrap();
        }
        let difference = (ours[0].1.as_tensor() - theirs.as_tensor()).unwrap();
        let difference = difference.abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn rate_warms_up_and_decays() {
        assert_eq!(learning_rate(1.0, 0, 10, 100), 0.1);
        assert_eq!(learning_rate(1.0, 9, 10, 100), 1.0);
        assert!((learning_rate(1.0, 100, 10, 100) - 0.05).abs() < 1e-6);
    }
}
