//! Learning rate, clipping, and the Adam step on all weights.

use rayon::prelude::*;
use schema::SaeConfig;

use crate::kernels::{AdamStep, adam, dot, remove_parallel, unit_norm};
use crate::weights::Weights;

/// Features updated by one task at least.
const FEATURES_PER_TASK: usize = 32;

/// The share of the peak learning rate at a step: linear warm-up from 0, constant, linear decay
/// towards 0 from `decay_start`, as in `dictionary_learning`.
pub(crate) fn rate_share(config: &SaeConfig, step: u32) -> f64 {
    if step < config.warmup_steps {
        return f64::from(step) / f64::from(config.warmup_steps);
    }
    match config.decay_start {
        Some(start) if step >= start => {
            f64::from(config.steps.saturating_sub(step))
                / f64::from(config.steps.saturating_sub(start).max(1))
        }
        _ => 1.0,
    }
}

/// Takes the component along each decoder row from the decoder's gradient; returns the global
/// norm of all gradients afterwards.
///
/// Where decoder rows are free, nothing is taken.
pub(crate) fn project_gradients(
    config: &SaeConfig,
    weights: &Weights,
    gradients: &mut Weights,
) -> f64 {
    let d = weights.d_model;
    let is_unit = config.unit_decoder;
    let squares: Vec<f64> = gradients
        .w_dec
        .par_chunks_mut(d)
        .zip(weights.w_dec.par_chunks(d))
        .zip(gradients.w_enc.par_chunks(d))
        .with_min_len(FEATURES_PER_TASK)
        .map(|((decoder, row), encoder)| {
            if is_unit {
                remove_parallel(decoder, row);
            }
            f64::from(dot(decoder, decoder)) + f64::from(dot(encoder, encoder))
        })
        .collect();
    let biases = f64::from(dot(&gradients.b_enc, &gradients.b_enc))
        + f64::from(dot(&gradients.b_dec, &gradients.b_dec))
        + f64::from(dot(&gradients.extra, &gradients.extra));
    (squares.iter().sum::<f64>() + biases).sqrt()
}

/// The factor that brings a gradient of this norm to the permitted one, at most 1.
pub(crate) fn clip_factor(config: &SaeConfig, norm: f64) -> f32 {
    config.grad_clip.map_or(1.0, |limit| {
        (f64::from(limit) / (norm + 1e-6)).min(1.0) as f32
    })
}

/// One Adam step on all weights; decoder rows have unit length afterwards, unless they are free.
/// `step` counts from 0.
pub(crate) fn update(
    config: &SaeConfig,
    step: u32,
    gradient_scale: f32,
    weights: &mut Weights,
    gradients: &Weights,
    moments: [&mut Weights; 2],
) {
    let [beta_1, beta_2] = config.betas.map(f64::from);
    let t = f64::from(step + 1);
    let rate = f64::from(config.lr) * rate_share(config, step) / (1.0 - beta_1.powf(t));
    let adam_step = AdamStep {
        rate: rate as f32,
        second_correction: (1.0 / (1.0 - beta_2.powf(t)).sqrt()) as f32,
        betas: config.betas,
        gradient_scale,
    };
    let d = weights.d_model;
    let [first, second] = moments;
    weights
        .w_enc
        .par_chunks_mut(d * FEATURES_PER_TASK)
        .zip(gradients.w_enc.par_chunks(d * FEATURES_PER_TASK))
        .zip(first.w_enc.par_chunks_mut(d * FEATURES_PER_TASK))
        .zip(second.w_enc.par_chunks_mut(d * FEATURES_PER_TASK))
        .for_each(|(((w, g), m), v)| adam(w, g, m, v, adam_step));
    weights
        .w_dec
        .par_chunks_mut(d)
        .zip(gradients.w_dec.par_chunks(d))
        .zip(first.w_dec.par_chunks_mut(d))
        .zip(second.w_dec.par_chunks_mut(d))
        .with_min_len(FEATURES_PER_TASK)
        .for_each(|(((w, g), m), v)| {
            adam(w, g, m, v, adam_step);
            if config.unit_decoder {
                unit_norm(w);
            }
        });
    for (w, g, m, v) in [
        (
            &mut weights.b_enc,
            &gradients.b_enc,
            &mut first.b_enc,
            &mut second.b_enc,
        ),
        (
            &mut weights.b_dec,
            &gradients.b_dec,
            &mut first.b_dec,
            &mut second.b_dec,
        ),
        (
            &mut weights.extra,
            &gradients.extra,
            &mut first.extra,
            &mut second.extra,
        ),
    ] {
        adam(w, g, m, v, adam_step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_warms_up_stays_and_decays() {
        let config = SaeConfig {
            steps: 50,
            warmup_steps: 10,
            decay_start: Some(40),
            ..SaeConfig::default()
        };
        let shares: Vec<f64> = [0, 5, 10, 39, 40, 45, 49]
            .map(|step| rate_share(&config, step))
            .to_vec();
        assert_eq!(shares, [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.1]);
    }
}
