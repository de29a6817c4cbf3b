//! Training of a sparse autoencoder, step by step, resumable. Knows no jobs and no project.

use std::ops::ControlFlow;
use std::time::Instant;

use schema::{SaeConfig, StepReport};

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::checkpoint::{self, CheckpointPlan};
use crate::error::SaeError;
use crate::gradients::{BatchLoss, Scratch};
use crate::initial::{geometric_median, initial_weights};
use crate::kernels::is_finite;
use crate::optimiser::{clip_factor, project_gradients, update};
use crate::settings::check_config;
use crate::source::ActivationSource;
use crate::variants::{Variant, variant};
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
    /// Tracked threshold, below 0 while there is none.
    pub(crate) threshold: f32,
}

/// Trains a dictionary on the rows of `source`, by the recipe of `dictionary_learning`.
///
/// Decoder rows start in random directions with the encoder as their copy; then Adam on the loss of
/// the variant, the gradient freed of its component along each decoder row and clipped, decoder
/// rows of unit length after each step. For the `TopK` family `b_dec` starts at the geometric
/// median of the first batch and the loss is ‖x − x̂‖² + α·`AuxK`.
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
/// `dictionary_learning` 0.1.0, its trainers of the same names. Differs: zeros that fill a place
/// among the k highest count neither for deadness nor for L0; no threshold is tracked for `TopK`.
pub fn train(
    config: &SaeConfig,
    source: &mut dyn ActivationSource,
    observer: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    checkpoint: Option<&CheckpointPlan>,
) -> Result<Trained, SaeError> {
    let initial = initial_weights(config, source.d_model())?;
    train_from(config, initial, source, observer, checkpoint)
}

/// The same from given initial weights; the `TopK` family replaces `b_dec` at the first step.
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
    let variant = variant(config)?;
    let mut state = match resumed {
        Some(state) => state,
        None => TrainingState::new(initial, variant.as_ref()),
    };
    let resumed_at = state.step;
    source.seek(u64::from(state.step) * u64::from(config.batch_rows))?;

    let mut scratch = Scratch::new(&state.weights);
    let mut rows = Vec::new();
    let mut clock = Instant::now();
    let mut saved_at = state.step;
    while state.step < config.steps {
        source.next_batch(config.batch_rows as usize, &mut rows)?;
        let mut report = state.step((config, variant.as_ref()), &rows, &mut scratch)?;
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
    state.finish((config, variant.as_ref()), resumed_at)
}

impl TrainingState {
    pub(crate) fn new(initial: SaeParts, variant: &dyn Variant) -> Self {
        let n = initial.n_features;
        let extra = variant.initial_extra(&initial.sparsity);
        let weights = Weights::from_parts(initial, extra);
        Self {
            step: 0,
            moments: [Weights::zeros_like(&weights), Weights::zeros_like(&weights)],
            weights,
            rows_since_active: vec![0; n],
            threshold: -1.0,
        }
    }

    /// One step on `rows` `[batch_rows, d_model]`.
    fn step(
        &mut self,
        (config, variant): (&SaeConfig, &dyn Variant),
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
        if self.step == 0 && variant.selection().is_top_k() {
            self.weights.b_dec = geometric_median(rows, d);
        }
        let weights = &mut self.weights;
        let loss = scratch.batch(
            (config, variant),
            self.step,
            weights,
            rows,
            &mut self.rows_since_active,
        );
        if variant.tracks_threshold() && self.step > config.threshold_start_step {
            self.threshold = tracked_threshold(config, self.threshold, &loss);
        }
        let total = loss.reconstruction + loss.penalty + f64::from(config.auxk_alpha) * loss.auxk;
        let norm = project_gradients(config, weights, &mut scratch.gradients);
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

    fn finish(
        self,
        (config, variant): (&SaeConfig, &dyn Variant),
        resumed_at: u32,
    ) -> Result<Trained, SaeError> {
        let n_features = self.weights.n_features();
        let sparsity = variant.rule(&self.weights, self.threshold);
        let is_centred = variant.is_centred();
        let Weights {
            d_model,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            extra: _,
        } = self.weights;
        let sae = SparseAutoencoder::new(SaeParts {
            d_model,
            n_features,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            is_centred,
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
