//! Learning rate, clipping, and the step on all weights.

use rayon::prelude::*;
use schema::{SaeConfig, SaeOptimiser};

use crate::kernels::{AdamStep, SignStep, adam, averaged, dot, remove_parallel, signum, unit_norm};
use crate::recipe::{Conventions, UnitRows};
use crate::weights::Weights;

/// Values updated by one task at least: fewer cost more to hand out than to update.
const VALUES_PER_TASK: usize = 16384;

/// Rows of width `d` that one task goes through at least.
fn rows_per_task(d: usize) -> usize {
    (VALUES_PER_TASK / d).max(8)
}

/// The share of the peak learning rate at a step: linear warm-up, constant, linear decay towards
/// 0 from `decay_start`. Some recipes warm up from 0, others from the first share; some decay
/// from the end of the warm-up unless told otherwise.
pub(crate) fn rate_share(config: &SaeConfig, conventions: &Conventions, step: u32) -> f64 {
    // Where features are resampled the rate warms up after each time.
    let since = config.resample_steps.map_or(step, |steps| step % steps);
    if since < config.warmup_steps {
        let done = since + u32::from(conventions.warms_from_first);
        return f64::from(done) / f64::from(config.warmup_steps);
    }
    let start = match config.decay_start {
        None if conventions.always_decays => Some(config.warmup_steps),
        start => start,
    };
    match start {
        Some(start) if step >= start => {
            f64::from(config.steps.saturating_sub(step))
                / f64::from(config.steps.saturating_sub(start).max(1))
        }
        _ => 1.0,
    }
}

/// Brings every decoder row to unit length.
pub(crate) fn unit_rows(weights: &mut Weights) {
    let d = weights.d_model;
    weights
        .w_dec
        .par_chunks_mut(d)
        .with_min_len(rows_per_task(d))
        .for_each(unit_norm);
}

/// Takes the component along each decoder row from the decoder's gradient; returns the global
/// norm of all gradients afterwards.
///
/// Where decoder rows are free, nothing is taken; where nothing is clipped either, the norm is not
/// needed, and 0.
pub(crate) fn project_gradients(
    (config, conventions): (&SaeConfig, &Conventions),
    weights: &Weights,
    gradients: &mut Weights,
) -> f64 {
    let d = weights.d_model;
    let is_unit = conventions.projects;
    if !is_unit && config.grad_clip.is_none() {
        return 0.0;
    }
    let squares: Vec<f64> = gradients
        .w_dec
        .par_chunks_mut(d)
        .zip(weights.w_dec.par_chunks(d))
        .zip(gradients.w_enc.par_chunks(d))
        .with_min_len(rows_per_task(d))
        .map(|((decoder, row), encoder)| {
            if is_unit {
                remove_parallel(decoder, row);
            }
            f64::from(dot(decoder, decoder)) + f64::from(dot(encoder, encoder))
        })
        .collect();
    let biases = f64::from(dot(&gradients.b_enc, &gradients.b_enc))
        + f64::from(dot(&gradients.b_dec, &gradients.b_dec))
        + f64::from(dot(&gradients.extra, &gradients.extra))
        + f64::from(dot(&gradients.skip, &gradients.skip));
    (squares.iter().sum::<f64>() + biases).sqrt()
}

/// The factor that brings a gradient of this norm to the permitted one, at most 1.
pub(crate) fn clip_factor(config: &SaeConfig, norm: f64) -> f32 {
    config.grad_clip.map_or(1.0, |limit| {
        (f64::from(limit) / (norm + 1e-6)).min(1.0) as f32
    })
}

/// What Adam does in step `step`, from 0, to gradients that are first scaled.
pub(crate) fn adam_step(
    (config, conventions): (&SaeConfig, &Conventions),
    step: u32,
    gradient_scale: f32,
) -> AdamStep {
    let [beta_1, beta_2] = config.betas.map(f64::from);
    let t = f64::from(step + 1);
    let rate =
        f64::from(config.lr) * rate_share(config, conventions, step) / (1.0 - beta_1.powf(t));
    AdamStep {
        rate: rate as f32,
        second_correction: (1.0 / (1.0 - beta_2.powf(t)).sqrt()) as f32,
        betas: config.betas,
        gradient_scale,
        weight_decay: config.weight_decay,
    }
}

/// One step on all weights; decoder rows have unit length afterwards where the recipe has it so.
/// `step` counts from 0. `moments` are Adam's, or of the sign rule the points it moves.
pub(crate) fn update(
    (config, conventions): (&SaeConfig, &Conventions),
    step: u32,
    gradient_scale: f32,
    weights: &mut Weights,
    gradients: &Weights,
    moments: [&mut Weights; 2],
) {
    if conventions.optimiser == SaeOptimiser::Signum {
        follow_signs(config, step, weights, gradients, moments[0]);
        return;
    }
    let adam_step = adam_step((config, conventions), step, gradient_scale);
    let d = weights.d_model;
    let [first, second] = moments;
    let rows = rows_per_task(d);
    weights
        .w_enc
        .par_chunks_mut(d * rows)
        .zip(gradients.w_enc.par_chunks(d * rows))
        .zip(first.w_enc.par_chunks_mut(d * rows))
        .zip(second.w_enc.par_chunks_mut(d * rows))
        .for_each(|(((w, g), m), v)| adam(w, g, m, v, adam_step));
    let keeps_unit = conventions.unit_rows == UnitRows::AfterStep;
    weights
        .w_dec
        .par_chunks_mut(d)
        .zip(gradients.w_dec.par_chunks(d))
        .zip(first.w_dec.par_chunks_mut(d))
        .zip(second.w_dec.par_chunks_mut(d))
        .with_min_len(rows)
        .for_each(|(((w, g), m), v)| {
            adam(w, g, m, v, adam_step);
            if keeps_unit {
                unit_norm(w);
            }
        });
    weights
        .skip
        .par_chunks_mut(VALUES_PER_TASK)
        .zip(gradients.skip.par_chunks(VALUES_PER_TASK))
        .zip(first.skip.par_chunks_mut(VALUES_PER_TASK))
        .zip(second.skip.par_chunks_mut(VALUES_PER_TASK))
        .for_each(|(((w, g), m), v)| adam(w, g, m, v, adam_step));
    let without_decay = AdamStep {
        weight_decay: 0.0,
        ..adam_step
    };
    for (w, g, m, v, step) in [
        (
            &mut weights.b_enc,
            &gradients.b_enc,
            &mut first.b_enc,
            &mut second.b_enc,
            without_decay,
        ),
        (
            &mut weights.b_dec,
            &gradients.b_dec,
            &mut first.b_dec,
            &mut second.b_dec,
            adam_step,
        ),
        (
            &mut weights.extra,
            &gradients.extra,
            &mut first.extra,
            &mut second.extra,
            without_decay,
        ),
    ] {
        adam(w, g, m, v, step);
    }
}

/// One step of the schedule-free sign rule on all weights.
fn follow_signs(
    config: &SaeConfig,
    step: u32,
    weights: &mut Weights,
    gradients: &Weights,
    points: &mut Weights,
) {
    if step == 0 {
        points.clone_from(weights);
    }
    let sign_step = SignStep {
        rate: config.lr,
        share: 1.0 / (step + 1) as f32,
    };
    for ((w, g), z) in weights
        .tensors_mut()
        .into_iter()
        .zip(gradients.tensors())
        .zip(points.tensors_mut())
    {
        w.par_chunks_mut(VALUES_PER_TASK)
            .zip(g.1.par_chunks(VALUES_PER_TASK))
            .zip(z.par_chunks_mut(VALUES_PER_TASK))
            .for_each(|((w, g), z)| signum(w, g, z, sign_step));
    }
}

/// The weights that the sign rule has arrived at: the average of its points.
pub(crate) fn arrived(weights: &mut Weights, points: &mut Weights) {
    for (w, z) in weights.tensors_mut().into_iter().zip(points.tensors_mut()) {
        for (weight, &point) in w.iter_mut().zip(z.iter()) {
            *weight = averaged(*weight, point);
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::SaeRecipe;

    use super::*;

    #[test]
    fn rate_warms_up_stays_and_decays() {
        let config = SaeConfig {
            steps: 50,
            warmup_steps: 10,
            decay_start: Some(40),
            ..SaeConfig::default()
        };
        let steps = [0, 5, 10, 39, 40, 45, 49];
        let shares = |config: &SaeConfig| {
            let conventions = Conventions::of(config);
            steps.map(|step| rate_share(config, &conventions, step))
        };
        assert_eq!(shares(&config), [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.1]);
        let saelens = SaeConfig {
            recipe: SaeRecipe::Saelens,
            ..config.clone()
        };
        assert_eq!(shares(&saelens), [0.1, 0.6, 1.0, 1.0, 1.0, 0.5, 0.1]);
        let sparsify = SaeConfig {
            recipe: SaeRecipe::Sparsify,
            decay_start: None,
            ..config
        };
        assert_eq!(
            shares(&sparsify),
            [0.0, 0.5, 1.0, 0.275, 0.25, 0.125, 0.025]
        );
    }
}
