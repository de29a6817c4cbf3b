//! Training of a sparse autoencoder, step by step, resumable. Knows no jobs and no project.

use std::ops::ControlFlow;
use std::time::Instant;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schema::{SaeConfig, SaeVariant, StepReport};

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::checkpoint::{self, CheckpointPlan};
use crate::error::SaeError;
use crate::gradients::{BatchLoss, Scratch};
use crate::kernels::{add_scaled, is_finite, squared_distance, unit_norm};
use crate::optimiser::{clip_factor, project_gradients, update};
use crate::source::ActivationSource;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// Result of a training run.
#[derive(Debug)]
pub struct Trained {
    /// The dictionary as it is now.
    pub sae: SparseAutoencoder,
    /// Steps done, over all sittings.
    pub steps_done: u32,
    /// Whether all steps of the configuration are done; otherwise the observer stopped the run.
    pub completed: bool,
    /// The step at which this sitting began: 0, or that of the checkpoint it resumed from.
    /// Reports of earlier steps are not repeated.
    pub resumed_at: u32,
    /// Rows seen since each feature was last active, `[n_features]`.
    pub rows_since_active: Vec<u64>,
}

/// Everything that decides how a run goes on; what a checkpoint keeps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrainingState {
    /// Steps done.
    pub(crate) step: u32,
    pub(crate) weights: Weights,
    /// Adam's first and second moments.
    pub(crate) moments: [Weights; 2],
    pub(crate) rows_since_active: Vec<u64>,
    /// Threshold of `BatchTopK`, below 0 while it is not tracked.
    pub(crate) threshold: f32,
}

/// Trains a dictionary on the rows of `source`, by the recipe of `dictionary_learning`.
///
/// Decoder rows start in random directions with the encoder as their copy, `b_dec` at the
/// geometric median of the first batch; then Adam on ‖x − x̂‖² + α·AuxK, the gradient freed of its
/// component along each decoder row and clipped, decoder rows of unit length after each step.
/// With a `checkpoint` plan the run resumes from the newest usable checkpoint in its folder.
///
/// `observer` is called after every step. When it breaks, a checkpoint is written (if there is a
/// plan) and the dictionary so far is returned.
///
/// # Errors
/// [`SaeError::Config`] for settings out of range, [`SaeError::NotFinite`] if the rows hold NaN
/// or the loss is no longer finite, those of the source, and [`SaeError::Io`] or
/// [`SaeError::Format`] for checkpoints.
///
/// # Determinism
/// The result is a function of the configuration and the rows: the same bytes on any number of
/// threads and however often the run was interrupted.
///
/// # Source
/// `dictionary_learning` 0.1.0, `TopKTrainer` and `BatchTopKTrainer`. Differs: zeros that fill a
/// place among the k highest count neither for deadness nor for L0; the threshold is tracked for
/// `BatchTopK` only.
pub fn train(
    config: &SaeConfig,
    source: &mut dyn ActivationSource,
    observer: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    checkpoint: Option<&CheckpointPlan>,
) -> Result<Trained, SaeError> {
    let initial = initial_weights(config, source.d_model())?;
    train_from(config, initial, source, observer, checkpoint)
}

/// The same from given initial weights; `b_dec` is replaced at the first step.
///
/// # Errors
/// Those of [`train`], and those of [`SparseAutoencoder::new`] for the weights.
pub fn train_from(
    config: &SaeConfig,
    initial: SaeParts,
    source: &mut dyn ActivationSource,
    observer: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    checkpoint: Option<&CheckpointPlan>,
) -> Result<Trained, SaeError> {
    check_config(config, source.d_model())?;
    let initial = SparseAutoencoder::new(initial)?.into_parts();
    if initial.d_model != source.d_model() || initial.n_features != config.n_features as usize {
        return Err(SaeError::shape(
            "the initial weights [n_features, d_model]",
            format!("[{}, {}]", config.n_features, source.d_model()),
            format!("[{}, {}]", initial.n_features, initial.d_model),
        ));
    }
    let resumed = match checkpoint {
        Some(plan) => checkpoint::newest(plan, config, source.d_model())?,
        None => None,
    };
    let mut state = resumed.unwrap_or_else(|| TrainingState::new(initial));
    let resumed_at = state.step;
    source.seek(u64::from(state.step) * u64::from(config.batch_rows))?;

    let mut scratch = Scratch::new(&state.weights);
    let mut rows = Vec::new();
    let mut clock = Instant::now();
    let mut saved_at = state.step;
    while state.step < config.steps {
        source.next_batch(config.batch_rows as usize, &mut rows)?;
        let mut report = state.step(config, &rows, &mut scratch)?;
        report.rows_per_second =
            (f64::from(config.batch_rows) / clock.elapsed().as_secs_f64().max(1e-9)) as f32;
        clock = Instant::now();
        let flow = observer(&report);
        if let Some(plan) = checkpoint
            && (state.step == config.steps
                || flow.is_break()
                || state.step - saved_at >= plan.every_steps.max(1))
        {
            checkpoint::write(plan, config, &state)?;
            saved_at = state.step;
        }
        if flow.is_break() {
            break;
        }
    }
    state.finish(config, resumed_at)
}

/// Random unit decoder rows with the encoder as their copy; biases 0.
///
/// # Errors
/// [`SaeError::Config`] for settings out of range.
///
/// # Determinism
/// A function of `config.seed`, `n_features` and `d_model`.
pub fn initial_weights(config: &SaeConfig, d_model: usize) -> Result<SaeParts, SaeError> {
    let sparsity = check_config(config, d_model)?;
    let n_features = config.n_features as usize;
    let w_dec = random_directions(n_features, d_model, config.seed);
    Ok(SaeParts {
        d_model,
        n_features,
        w_enc: w_dec.clone(),
        b_enc: vec![0.0; n_features],
        w_dec,
        b_dec: vec![0.0; d_model],
        sparsity,
    })
}

/// `n` rows of unit length, `[n, d]`: uniform in −1..1, then normalised.
pub(crate) fn random_directions(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows: Vec<f32> = (0..n * d)
        .map(|_| rng.random::<f32>().mul_add(2.0, -1.0))
        .collect();
    for row in rows.chunks_exact_mut(d) {
        unit_norm(row);
    }
    rows
}

/// Checks every setting against its range and returns the sparsity rule.
///
/// # Errors
/// [`SaeError::Config`] naming the first setting that is out of range.
pub fn check_config(config: &SaeConfig, d_model: usize) -> Result<Sparsity, SaeError> {
    let unusable = |field, reason: String| Err(SaeError::Config { field, reason });
    let (n, k) = (config.n_features, config.k);
    if n == 0 || d_model == 0 {
        return unusable(
            "n_features",
            format!("[{n}, {d_model}] leaves nothing to train"),
        );
    }
    if k == 0 || k > n {
        return unusable("k", format!("it is {k}, expected 1 to {n} (n_features)"));
    }
    if !(config.lr.is_finite() && config.lr > 0.0) {
        return unusable(
            "lr",
            format!("it is {}, expected a number above 0", config.lr),
        );
    }
    if !config.betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
        return unusable(
            "betas",
            format!("they are {:?}, expected 0 ≤ β < 1", config.betas),
        );
    }
    if config.batch_rows == 0 || config.steps == 0 {
        return unusable("batch_rows and steps", "both must be above 0".to_owned());
    }
    if u64::from(k) * u64::from(config.batch_rows) > u64::from(u32::MAX) {
        return unusable(
            "batch_rows",
            "k · batch_rows must stay below 2³²".to_owned(),
        );
    }
    if config
        .decay_start
        .is_some_and(|start| start >= config.steps)
    {
        return unusable(
            "decay_start",
            format!("it must be below steps ({})", config.steps),
        );
    }
    if !(config.auxk_alpha.is_finite() && config.auxk_alpha >= 0.0) {
        return unusable(
            "auxk_alpha",
            format!("it is {}, expected ≥ 0", config.auxk_alpha),
        );
    }
    if config
        .grad_clip
        .is_some_and(|limit| !(limit.is_finite() && limit > 0.0))
    {
        return unusable(
            "grad_clip",
            "it must be a number above 0, or absent".to_owned(),
        );
    }
    if config.variant == SaeVariant::BatchTopK {
        if !(0.0..1.0).contains(&config.threshold_beta) {
            return unusable(
                "threshold_beta",
                "expected 0 ≤ threshold_beta < 1".to_owned(),
            );
        }
        if config.threshold_start_step + 1 >= config.steps {
            let steps = config.steps;
            let reason =
                format!("it must be at least 2 below steps ({steps}), or there is no threshold");
            return unusable("threshold_start_step", reason);
        }
    }
    match Sparsity::from_config(config) {
        Some(sparsity) => Ok(sparsity),
        None => unusable(
            "variant",
            format!("{:?} cannot be trained yet", config.variant),
        ),
    }
}

impl TrainingState {
    pub(crate) fn new(initial: SaeParts) -> Self {
        let (n, d) = (initial.n_features, initial.d_model);
        Self {
            step: 0,
            weights: Weights::from_parts(initial),
            moments: [Weights::zeros(n, d), Weights::zeros(n, d)],
            rows_since_active: vec![0; n],
            threshold: -1.0,
        }
    }

    /// One step on `rows` `[batch_rows, d_model]`.
    fn step(
        &mut self,
        config: &SaeConfig,
        rows: &[f32],
        scratch: &mut Scratch,
    ) -> Result<StepReport, SaeError> {
        let d = self.weights.d_model;
        let expected = config.batch_rows as usize * d;
        if rows.len() != expected {
            return Err(SaeError::shape(
                format!("the batch of step {}", self.step),
                expected,
                rows.len(),
            ));
        }
        if let Some(row) = rows.chunks_exact(d).position(|row| !is_finite(row)) {
            return Err(SaeError::NotFinite {
                what: format!("row {row} of the batch of step {}", self.step),
            });
        }
        if self.step == 0 {
            self.weights.b_dec = geometric_median(rows, d);
        }
        let sparsity = check_config(config, d)?;
        let weights = &mut self.weights;
        let loss = scratch.batch(config, sparsity, weights, rows, &mut self.rows_since_active);
        if config.variant == SaeVariant::BatchTopK && self.step > config.threshold_start_step {
            self.threshold = tracked_threshold(config, self.threshold, &loss);
        }
        let total = loss.reconstruction + f64::from(config.auxk_alpha) * loss.auxk;
        let norm = project_gradients(weights, &mut scratch.gradients);
        if !total.is_finite() || !norm.is_finite() {
            return Err(SaeError::NotFinite {
                what: format!(
                    "the loss or gradient of step {} (is lr too high?)",
                    self.step
                ),
            });
        }
        let [first, second] = &mut self.moments;
        update(
            config,
            self.step,
            clip_factor(config, norm),
            weights,
            &scratch.gradients,
            [first, second],
        );
        self.step += 1;
        Ok(StepReport {
            step: self.step - 1,
            loss: total as f32,
            fvu: loss.fvu as f32,
            l0: loss.l0 as f32,
            dead: loss.n_dead,
            rows_per_second: 0.0,
        })
    }

    fn finish(self, config: &SaeConfig, resumed_at: u32) -> Result<Trained, SaeError> {
        let n_features = self.weights.n_features();
        let sparsity = match check_config(config, self.weights.d_model)? {
            Sparsity::BatchTopK { k, .. } => Sparsity::BatchTopK {
                k,
                threshold: self.threshold,
            },
            other @ Sparsity::TopK { .. } => other,
        };
        let Weights {
            d_model,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
        } = self.weights;
        let sae = SparseAutoencoder::new(SaeParts {
            d_model,
            n_features,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            sparsity,
        })?;
        Ok(Trained {
            sae,
            steps_done: self.step,
            completed: self.step >= config.steps,
            resumed_at,
            rows_since_active: self.rows_since_active,
        })
    }
}

/// The running threshold after a batch: its lowest stored activation enters with weight 1 − β.
fn tracked_threshold(config: &SaeConfig, threshold: f32, loss: &BatchLoss) -> f32 {
    let beta = f64::from(config.threshold_beta);
    let lowest = f64::from(loss.lowest_activation);
    if threshold < 0.0 {
        loss.lowest_activation
    } else {
        (beta * f64::from(threshold) + (1.0 - beta) * lowest) as f32
    }
}

/// The point with the smallest sum of distances to the rows, by at most 100 rounds of Weiszfeld's
/// iteration from the mean, until it moves less than 1e-5.
fn geometric_median(rows: &[f32], d: usize) -> Vec<f32> {
    const ROWS_PER_TASK: usize = 64;
    let weighted_mean = |weight: &(dyn Fn(&[f32]) -> f32 + Sync)| -> Vec<f32> {
        let parts: Vec<(Vec<f32>, f64)> = rows
            .par_chunks(d * ROWS_PER_TASK)
            .map(|rows| {
                let mut sum = vec![0.0; d];
                let mut weights = 0.0;
                for row in rows.chunks_exact(d) {
                    let weight = weight(row);
                    add_scaled(&mut sum, weight, row);
                    weights += f64::from(weight);
                }
                (sum, weights)
            })
            .collect();
        let mut total = vec![0_f64; d];
        let mut weights = 0.0;
        for (sum, weight) in &parts {
            for (total, &value) in total.iter_mut().zip(sum) {
                *total += f64::from(value);
            }
            weights += weight;
        }
        total.iter().map(|sum| (sum / weights) as f32).collect()
    };
    let mut guess = weighted_mean(&|_| 1.0);
    for _ in 0..100 {
        let previous = guess;
        // A row at the guess itself would get an infinite weight.
        guess = weighted_mean(&|row| 1.0 / squared_distance(row, &previous).sqrt().max(1e-10));
        if squared_distance(&guess, &previous).sqrt() < 1e-5 {
            break;
        }
    }
    guess
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_less_moved_by_an_outlier_than_the_mean() {
        // Three corners of a square and one far point: the median is near the corners.
        let rows = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 100.0, 100.0];
        let median = geometric_median(&rows, 2);
        assert!(median.iter().all(|v| *v < 1.0), "{median:?}");
        let same = [2.0, 3.0, 2.0, 3.0];
        assert_eq!(geometric_median(&same, 2), [2.0, 3.0]);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = SaeConfig::default();
        assert!(check_config(&good, 8).is_ok());
        for (field, config) in [
            (
                "k",
                SaeConfig {
                    k: 0,
                    ..good.clone()
                },
            ),
            (
                "k",
                SaeConfig {
                    k: 5000,
                    ..good.clone()
                },
            ),
            (
                "lr",
                SaeConfig {
                    lr: f32::NAN,
                    ..good.clone()
                },
            ),
            (
                "betas",
                SaeConfig {
                    betas: [0.9, 1.0],
                    ..good.clone()
                },
            ),
            (
                "batch_rows and steps",
                SaeConfig {
                    steps: 0,
                    ..good.clone()
                },
            ),
            (
                "decay_start",
                SaeConfig {
                    decay_start: Some(9999),
                    ..good.clone()
                },
            ),
            (
                "auxk_alpha",
                SaeConfig {
                    auxk_alpha: -1.0,
                    ..good.clone()
                },
            ),
            (
                "grad_clip",
                SaeConfig {
                    grad_clip: Some(0.0),
                    ..good.clone()
                },
            ),
            (
                "threshold_start_step",
                SaeConfig {
                    variant: SaeVariant::BatchTopK,
                    threshold_start_step: 5000,
                    ..good.clone()
                },
            ),
        ] {
            match check_config(&config, 8) {
                Err(SaeError::Config { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
