//! Training of `SASRec` on item histories: epochs, model choice, checkpoints.

mod adam;
mod autograd;
mod checkpoint;
mod folded;
mod instances;

use std::ops::ControlFlow;
use std::path::Path;

use schema::Split;
use serde::{Deserialize, Serialize};

use self::adam::Adam;
use self::instances::{Instances, TrainingCase};
use super::data::InteractionData;
use super::evaluation::{EvaluationSet, RankingMetrics};
use super::sasrec::SasRec;
use super::weights::{SasRecConfig, SasRecWeights};
use crate::ModelError;

/// Cut-offs of the metrics reported after each epoch.
const REPORTED_KS: [u32; 2] = [5, 10];

/// How `SASRec` is trained. The defaults are `RecSAE`'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SasRecTraining {
    /// Adam's learning rate, > 0. 1e-4; 1e-3 suits small datasets.
    pub lr: f32,
    /// Weight of the L2 term in the gradient, ≥ 0; biases are spared. 1e-6.
    pub l2: f32,
    /// Instances per step, ≥ 1. 256.
    pub batch_size: u32,
    /// Epochs at most, ≥ 1. 200.
    pub max_epochs: u32,
    /// Epochs without a better dev NDCG@5 after which training ends, ≥ 1. 10.
    pub patience: u32,
    /// Seed of initial weights, order and negatives.
    pub seed: u64,
}

impl Default for SasRecTraining {
    fn default() -> Self {
        Self {
            lr: 1e-4,
            l2: 1e-6,
            batch_size: 256,
            max_epochs: 200,
            patience: 10,
            seed: 0,
        }
    }
}

impl SasRecTraining {
    fn check(&self) -> Result<(), ModelError> {
        let wrong = if !(self.lr.is_finite() && self.lr > 0.0) {
            format!("lr is {}; expected a number above 0", self.lr)
        } else if !(self.l2.is_finite() && self.l2 >= 0.0) {
            format!("l2 is {}; expected a number of at least 0", self.l2)
        } else if self.batch_size == 0 || self.max_epochs == 0 || self.patience == 0 {
            "batch_size, max_epochs and patience must be at least 1".to_owned()
        } else {
            return Ok(());
        };
        Err(ModelError::Request(wrong))
    }
}

/// What one epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Mean loss of its steps.
    pub loss: f64,
    /// HR and NDCG at 5 and 10 on the dev items; `None` where there are none.
    pub dev: Option<RankingMetrics>,
}

/// Where a training run stands; given after every step and after every epoch.
#[derive(Debug, Clone, Copy)]
pub struct TrainingProgress<'a> {
    /// Epoch under way, from 1.
    pub epoch: u32,
    /// Epochs at most.
    pub max_epochs: u32,
    /// Steps done in this epoch.
    pub step: u32,
    /// Steps of an epoch.
    pub steps_per_epoch: u32,
    /// Mean loss of this epoch's steps so far.
    pub loss: f64,
    /// All finished epochs; grows by one when an epoch ends.
    pub epochs: &'a [EpochReport],
}

/// A finished training run.
#[derive(Debug, Clone)]
pub struct TrainedSasRec {
    /// The model of the best epoch.
    pub model: SasRec,
    /// Epoch with the best dev NDCG@5, from 1; the last epoch when there are no dev items.
    pub best_epoch: u32,
    /// All epochs.
    pub epochs: Vec<EpochReport>,
}

/// Everything a run needs to go on after an epoch.
#[derive(Debug, Clone, PartialEq)]
struct TrainingState {
    weights: SasRecWeights,
    adam: Adam,
    best: Vec<f32>,
    best_epoch: u32,
    epochs: Vec<EpochReport>,
}

impl TrainingState {
    fn new(config: &SasRecConfig, seed: u64) -> Result<Self, ModelError> {
        let weights = SasRecWeights::random(config, seed)?;
        Ok(Self {
            adam: Adam::new(weights.values().len()),
            best: weights.values().to_vec(),
            best_epoch: 0,
            epochs: Vec::new(),
            weights,
        })
    }

    fn is_finished(&self, training: &SasRecTraining) -> bool {
        let n = self.epochs.len() as u32;
        n >= training.max_epochs
            || (self.best_epoch > 0 && n - self.best_epoch >= training.patience)
    }

    /// Notes a finished epoch and keeps its weights when they are the best so far.
    fn finish_epoch(&mut self, report: EpochReport) {
        let score = |report: &EpochReport| report.dev.as_ref().and_then(|m| m.ndcg_at(5));
        let best = self
            .epochs
            .iter()
            .filter_map(score)
            .fold(f64::NEG_INFINITY, f64::max);
        if score(&report).is_none_or(|now| now > best) {
            self.best_epoch = report.epoch;
            self.best.copy_from_slice(self.weights.values());
        }
        self.epochs.push(report);
    }
}

/// Trains `SASRec` with one sampled negative per train item and picks the epoch with the best dev
/// NDCG@5.
///
/// Every train item with an item before it is an instance; the loss is
/// `−ln σ(score(positive) − score(negative))`, the negative uniform over the items that the user
/// has not in `train`, drawn anew each epoch.
///
/// With `checkpoint_folder`, every finished epoch is written to `checkpoint.safetensors` there, and
/// a run that finds one goes on from it. `observer` is called after every step and epoch; when it
/// breaks, the run ends with [`ModelError::Cancelled`] and the last finished epoch is kept.
///
/// # Errors
/// [`ModelError::Request`] for impossible settings or data, or when the loss is not finite;
/// [`ModelError::Format`] for a checkpoint that is damaged or of another run.
///
/// # Determinism
/// The same seed gives the same bytes, whatever the number of threads, resumed or not.
///
/// # Cost
/// With one block and one head the gradient is written by hand and only the last position is
/// computed; other shapes go through automatic differentiation and take several times as long.
///
/// # Source
/// `ReChorus` with `RecSAE`'s settings.
pub fn train_sasrec(
    config: &SasRecConfig,
    training: &SasRecTraining,
    data: &InteractionData,
    checkpoint_folder: Option<&Path>,
    observer: &mut dyn FnMut(&TrainingProgress<'_>) -> ControlFlow<()>,
) -> Result<TrainedSasRec, ModelError> {
    config.check()?;
    training.check()?;
    let instances = Instances::new(config, data)?;
    let dev = EvaluationSet::new(data, Split::Dev);
    let checkpoint = checkpoint_folder
        .map(|folder| checkpoint::Checkpoint::new(folder, config, training, data))
        .transpose()?;
    let resumed = match &checkpoint {
        Some(checkpoint) => checkpoint.read(config)?,
        None => None,
    };
    let mut state = match resumed {
        Some(state) => state,
        None => TrainingState::new(config, training.seed)?,
    };
    let mut gradient = vec![0.0; state.weights.values().len()];
    while !state.is_finished(training) {
        let epoch = state.epochs.len() as u32 + 1;
        let loss = run_epoch(&mut state, training, &instances, &mut gradient, observer)?;
        let metrics = if dev.is_empty() {
            None
        } else {
            let model = SasRec::unhashed(state.weights.clone());
            let ranks = dev.ranks(&model, &dev.user_vectors(&model)?)?;
            Some(RankingMetrics::from_ranks(&ranks, &REPORTED_KS))
        };
        state.finish_epoch(EpochReport {
            epoch,
            loss,
            dev: metrics,
        });
        if let Some(checkpoint) = &checkpoint {
            checkpoint.write(&state)?;
        }
        let n_steps = instances.n_steps(training.batch_size);
        let progress = TrainingProgress {
            epoch,
            max_epochs: training.max_epochs,
            step: n_steps,
            steps_per_epoch: n_steps,
            loss,
            epochs: &state.epochs,
        };
        if observer(&progress).is_break() {
            return Err(ModelError::Cancelled);
        }
    }
    Ok(TrainedSasRec {
        model: SasRec::new(SasRecWeights::from_flat(config.clone(), state.best))?,
        best_epoch: state.best_epoch,
        epochs: state.epochs,
    })
}

/// One pass over all instances; returns the mean loss.
fn run_epoch(
    state: &mut TrainingState,
    training: &SasRecTraining,
    instances: &Instances<'_>,
    gradient: &mut [f32],
    observer: &mut dyn FnMut(&TrainingProgress<'_>) -> ControlFlow<()>,
) -> Result<f64, ModelError> {
    let epoch = state.epochs.len() as u32 + 1;
    let cases = instances.epoch(training.seed, epoch);
    let steps_per_epoch = instances.n_steps(training.batch_size);
    let mut total = 0.0;
    let mut mean = 0.0;
    for (step, batch) in (1..).zip(cases.chunks(training.batch_size as usize)) {
        gradient.fill(0.0);
        total += batch_gradient(&state.weights, batch, gradient)?;
        mean = total / f64::from(step);
        if !mean.is_finite() {
            return Err(ModelError::Request(format!(
                "the loss is no longer finite in epoch {epoch}, step {step}; try a lower \
                 learning rate than {}",
                training.lr
            )));
        }
        state.adam.step(&mut state.weights, gradient, training);
        let progress = TrainingProgress {
            epoch,
            max_epochs: training.max_epochs,
            step,
            steps_per_epoch,
            loss: mean,
            epochs: &state.epochs,
        };
        // The last step is reported with the epoch.
        if step < steps_per_epoch && observer(&progress).is_break() {
            return Err(ModelError::Cancelled);
        }
    }
    Ok(mean)
}

/// Mean loss of a batch; its gradient is added to `gradient`.
fn batch_gradient(
    weights: &SasRecWeights,
    batch: &[TrainingCase<'_>],
    gradient: &mut [f32],
) -> Result<f64, ModelError> {
    let config = weights.config();
    if config.n_layers == 1 && config.n_heads == 1 {
        Ok(folded::gradient(weights, batch, gradient))
    } else {
        autograd::gradient(weights, batch, gradient)
    }
}

#[cfg(test)]
mod tests;
