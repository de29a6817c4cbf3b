//! Training of recommenders on item histories: epochs, model choice, checkpoints.

mod adam;
mod checkpoint;
mod instances;
pub(crate) mod objective;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rayon::iter::ParallelIterator as _;
use rayon::slice::ParallelSlice as _;
use schema::Split;
use serde::{Deserialize, Serialize};

use self::adam::Adam;
use self::instances::Instances;
use self::objective::{ChunkGradient, TrainingCase};
use super::architectures::graph::InteractionGraph;
use super::architectures::tables::Tables;
use super::architectures::{folded, gru4rec, sasrec, timirec};
use super::config::RecommenderConfig;
use super::data::InteractionData;
use super::evaluation::{EvaluationSet, RankingMetrics};
use super::recommender::Recommender;
use super::weights::RecommenderWeights;
use crate::{Architecture, ModelError};

/// Cut-offs of the metrics reported after each epoch.
const REPORTED_KS: [u32; 2] = [5, 10];

/// Cases of one task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 64;

/// How a recommender is trained. The defaults are `RecSAE`'s for `SASRec`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecommenderTraining {
    /// Adam's learning rate, > 0. 1e-4; 1e-3 suits small datasets.
    pub lr: f32,
    /// Weight of the L2 term in the gradient, ≥ 0; biases are spared. 1e-6.
    pub l2: f32,
    /// Instances per step, ≥ 1. 256.
    pub batch_size: u32,
    /// Epochs at most, ≥ 1; of each stage where there are two. 200.
    pub max_epochs: u32,
    /// Epochs without a better dev NDCG@5 after which training ends, ≥ 1. 10.
    pub patience: u32,
    /// Temperature of `TiMiRec`'s distillation, > 0. 1.
    pub temperature: f32,
    /// Seed of initial weights, order and negatives.
    pub seed: u64,
}

impl Default for RecommenderTraining {
    fn default() -> Self {
        Self {
            lr: 1e-4,
            l2: 1e-6,
            batch_size: 256,
            max_epochs: 200,
            patience: 10,
            temperature: 1.0,
            seed: 0,
        }
    }
}

impl RecommenderTraining {
    /// The settings of `RecSAE` for an architecture; for `GRU4Rec`, which it does not have, those
    /// `ReChorus` gives.
    pub fn of(architecture: Architecture) -> Self {
        let (lr, l2) = match architecture {
            Architecture::BprMf => (1e-3, 1e-6),
            Architecture::LightGcn => (1e-3, 1e-8),
            Architecture::Gru4Rec => (1e-3, 1e-4),
            _ => (1e-4, 1e-6),
        };
        Self {
            lr,
            l2,
            ..Self::default()
        }
    }

    fn check(&self) -> Result<(), ModelError> {
        let is_positive = |value: f32| value.is_finite() && value > 0.0;
        let wrong = if !is_positive(self.lr) {
            format!("lr is {}; expected a number above 0", self.lr)
        } else if !is_positive(self.temperature) {
            format!(
                "temperature is {}; expected a number above 0",
                self.temperature
            )
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
    /// Stage under way, from 1.
    pub stage: u32,
    /// Stages of the run: 2 for `TiMiRec`, else 1.
    pub n_stages: u32,
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
    /// All finished epochs of this stage; grows by one when an epoch ends.
    pub epochs: &'a [EpochReport],
}

/// A finished training run.
#[derive(Debug, Clone)]
pub struct TrainedRecommender {
    /// The model of the best epoch.
    pub model: Recommender,
    /// Epoch with the best dev NDCG@5, from 1; the last epoch when there are no dev items.
    pub best_epoch: u32,
    /// All epochs of the last stage.
    pub epochs: Vec<EpochReport>,
    /// All epochs of the stage before it, where there was one.
    pub first_stage: Vec<EpochReport>,
}

/// Everything a run needs to go on after an epoch.
#[derive(Debug, Clone, PartialEq)]
struct TrainingState {
    weights: RecommenderWeights,
    adam: Adam,
    best: Vec<f32>,
    best_epoch: u32,
    epochs: Vec<EpochReport>,
}

impl TrainingState {
    fn new(weights: RecommenderWeights) -> Self {
        Self {
            adam: Adam::new(weights.values().len()),
            best: weights.values().to_vec(),
            best_epoch: 0,
            epochs: Vec::new(),
            weights,
        }
    }

    fn is_finished(&self, training: &RecommenderTraining) -> bool {
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

/// What is called after every step and epoch.
type Observer<'a> = dyn FnMut(&TrainingProgress<'_>) -> ControlFlow<()> + 'a;

/// Trains a recommender with one sampled negative per train item and picks the epoch with the best
/// dev NDCG@5.
///
/// Every train item is an instance, for models of histories every one with an item before it; the
/// loss is `−ln σ(score(positive) − score(negative))`, the negative uniform over the items that the
/// user has not in `train`, drawn anew each epoch. `TiMiRec` is trained in two stages: first its
/// extractor of interests alone, then all of it, beginning with the best extractor.
///
/// With `checkpoint_folder`, every finished epoch is written there, and a run that finds one goes on
/// from it. `observer` is called after every step and epoch; when it breaks, the run ends with
/// [`ModelError::Cancelled`] and the last finished epoch is kept.
///
/// # Errors
/// [`ModelError::Request`] for impossible settings or data, or when the loss is not finite;
/// [`ModelError::Format`] for a checkpoint that is damaged or of another run.
///
/// # Determinism
/// The same seed gives the same bytes, whatever the number of threads, resumed or not.
///
/// # Source
/// `ReChorus` with `RecSAE`'s settings; its dropout between `TiMiRec`'s hidden projection layers,
/// which `RecSAE`'s setting has none of, is left out.
pub fn train_recommender(
    config: &RecommenderConfig,
    training: &RecommenderTraining,
    data: &InteractionData,
    checkpoint_folder: Option<&Path>,
    observer: &mut Observer<'_>,
) -> Result<TrainedRecommender, ModelError> {
    config.check()?;
    training.check()?;
    if matches!(config, RecommenderConfig::SasRec(shape) if !shape.form.is_rechorus()) {
        return Err(ModelError::Request(
            "SASRec in RecBole's form is read, not trained; train it in ReChorus' form".to_owned(),
        ));
    }
    let graph = match config {
        RecommenderConfig::LightGcn(shape) => {
            let pairs = data.train_pairs();
            let graph = InteractionGraph::new(shape.n_users, shape.n_items, pairs)?;
            Some(Arc::new(graph))
        }
        _ => None,
    };
    let dev = EvaluationSet::new(data, Split::Dev);
    let instances = Instances::new(config, data)?;
    let stage = |config: &RecommenderConfig, number: u32, n_stages: u32| Stage {
        config: config.clone(),
        training,
        instances: &instances,
        dev: &dev,
        graph: graph.clone(),
        number,
        n_stages,
    };
    let checkpoint = |stage: &Stage<'_>| {
        let name = if stage.number < stage.n_stages {
            "first-stage"
        } else {
            "checkpoint"
        };
        checkpoint_folder
            .map(|folder| {
                checkpoint::Checkpoint::new((folder, name), &stage.config, training, data)
            })
            .transpose()
    };
    let mut initial = RecommenderWeights::random(config.clone(), training.seed)?;
    let mut first_stage = Vec::new();
    let mut n_stages = 1;
    if let RecommenderConfig::TiMiRec(shape) = config
        && shape.has_predictor
    {
        n_stages = 2;
        let mut extractor = shape.clone();
        extractor.has_predictor = false;
        let extractor = RecommenderConfig::TiMiRec(extractor);
        let first = stage(&extractor, 1, n_stages);
        let weights = RecommenderWeights::random(extractor, training.seed)?;
        let done = first.run(checkpoint(&first)?.as_ref(), weights, observer)?;
        let best = RecommenderWeights::from_flat(first.config.clone(), done.best);
        copy_by_name(&best, &mut initial);
        first_stage = done.epochs;
    }
    let last = stage(config, n_stages, n_stages);
    let state = last.run(checkpoint(&last)?.as_ref(), initial, observer)?;
    let weights = RecommenderWeights::from_flat(config.clone(), state.best);
    Ok(TrainedRecommender {
        model: Recommender::new(weights, graph)?,
        best_epoch: state.best_epoch,
        epochs: state.epochs,
        first_stage,
    })
}

/// Copies every tensor that both have.
fn copy_by_name(from: &RecommenderWeights, to: &mut RecommenderWeights) {
    for (index, segment) in from.layout().iter().enumerate() {
        if let Some(at) = to.index_of(&segment.name) {
            let range = to.layout()[at].range.clone();
            to.values_mut()[range].copy_from_slice(from.tensor(index));
        }
    }
}

/// One stage of a run: what stays the same from epoch to epoch.
struct Stage<'a> {
    config: RecommenderConfig,
    training: &'a RecommenderTraining,
    instances: &'a Instances<'a>,
    dev: &'a EvaluationSet,
    graph: Option<Arc<InteractionGraph>>,
    number: u32,
    n_stages: u32,
}

impl Stage<'_> {
    /// Trains until no epoch is left or the dev items say so; goes on from the checkpoint.
    fn run(
        &self,
        checkpoint: Option<&checkpoint::Checkpoint>,
        initial: RecommenderWeights,
        observer: &mut Observer<'_>,
    ) -> Result<TrainingState, ModelError> {
        let resumed = match checkpoint {
            Some(checkpoint) => checkpoint.read(&self.config)?,
            None => None,
        };
        let mut state = resumed.unwrap_or_else(|| TrainingState::new(initial));
        let mut gradient = vec![0.0; state.weights.values().len()];
        while !state.is_finished(self.training) {
            let loss = self.run_epoch(&mut state, &mut gradient, observer)?;
            let dev = self.dev_metrics(&state.weights)?;
            let epoch = state.epochs.len() as u32 + 1;
            state.finish_epoch(EpochReport { epoch, loss, dev });
            if let Some(checkpoint) = checkpoint {
                checkpoint.write(&state)?;
            }
            let n_steps = self.instances.n_steps(self.training.batch_size);
            let progress = self.progress(epoch, n_steps, loss, &state.epochs);
            if observer(&progress).is_break() {
                return Err(ModelError::Cancelled);
            }
        }
        Ok(state)
    }

    fn progress<'e>(
        &self,
        epoch: u32,
        step: u32,
        loss: f64,
        epochs: &'e [EpochReport],
    ) -> TrainingProgress<'e> {
        TrainingProgress {
            stage: self.number,
            n_stages: self.n_stages,
            epoch,
            max_epochs: self.training.max_epochs,
            step,
            steps_per_epoch: self.instances.n_steps(self.training.batch_size),
            loss,
            epochs,
        }
    }

    /// One pass over all instances; returns the mean loss.
    fn run_epoch(
        &self,
        state: &mut TrainingState,
        gradient: &mut [f32],
        observer: &mut Observer<'_>,
    ) -> Result<f64, ModelError> {
        let epoch = state.epochs.len() as u32 + 1;
        let cases = self.instances.epoch(self.training.seed, epoch);
        let n_steps = self.instances.n_steps(self.training.batch_size);
        let mut total = 0.0;
        let mut mean = 0.0;
        for (step, batch) in (1..).zip(cases.chunks(self.training.batch_size as usize)) {
            gradient.fill(0.0);
            total += self.batch_gradient(&state.weights, batch, gradient)?;
            mean = total / f64::from(step);
            if !mean.is_finite() {
                return Err(ModelError::Request(format!(
                    "the loss is no longer finite in epoch {epoch}, step {step}; try a lower \
                     learning rate than {}",
                    self.training.lr
                )));
            }
            state.adam.step(&mut state.weights, gradient, self.training);
            // The last step is reported with the epoch.
            if step < n_steps
                && observer(&self.progress(epoch, step, mean, &state.epochs)).is_break()
            {
                return Err(ModelError::Cancelled);
            }
        }
        Ok(mean)
    }

    /// HR and NDCG on the dev items; `None` where there are none.
    fn dev_metrics(
        &self,
        weights: &RecommenderWeights,
    ) -> Result<Option<RankingMetrics>, ModelError> {
        if self.dev.is_empty() {
            return Ok(None);
        }
        let model = Recommender::unhashed(weights.clone(), self.graph.clone())?;
        let ranks = match &self.config {
            RecommenderConfig::TiMiRec(shape) if !shape.has_predictor => {
                let interests = self.dev_interests(weights)?;
                self.dev
                    .ranks_of_best(&model, &interests, shape.n_interests as usize)?
            }
            _ => self.dev.ranks(&model, &self.dev.user_vectors(&model)?)?,
        };
        Ok(Some(RankingMetrics::from_ranks(&ranks, &REPORTED_KS)))
    }

    /// The interests of the dev cases, in case order.
    fn dev_interests(&self, weights: &RecommenderWeights) -> Result<Vec<f32>, ModelError> {
        let keep = self.config.history_max().unwrap_or(u32::MAX) as usize;
        let histories: Vec<&[u32]> = self
            .dev
            .histories()
            .into_iter()
            .map(|history| &history[history.len().saturating_sub(keep)..])
            .collect();
        let blocks = histories
            .par_chunks(CHUNK)
            .map(|histories| timirec::interests(weights, histories))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(blocks.concat())
    }

    /// Mean loss of a batch; its gradient is added to `gradient`.
    fn batch_gradient(
        &self,
        weights: &RecommenderWeights,
        batch: &[TrainingCase<'_>],
        gradient: &mut [f32],
    ) -> Result<f64, ModelError> {
        let n = batch.len();
        match (&self.config, &self.graph) {
            (RecommenderConfig::LightGcn(shape), Some(graph)) => {
                let n_layers = shape.n_layers as usize;
                let d = self.config.d();
                let propagated = graph.propagate(weights.values(), n_layers, d);
                let loss = gather(weights, batch, gradient, |cases| {
                    Ok(self.tables(&propagated).gradient(cases, n))
                })?;
                gradient.copy_from_slice(&graph.propagate(gradient, n_layers, d));
                Ok(loss)
            }
            _ => gather(weights, batch, gradient, |cases| {
                self.chunk_gradient(weights, cases, n)
            }),
        }
    }

    fn tables<'v>(&self, values: &'v [f32]) -> Tables<'v> {
        Tables {
            values,
            n_items: self.config.n_items(),
            d: self.config.d(),
        }
    }

    fn chunk_gradient(
        &self,
        weights: &RecommenderWeights,
        cases: &[TrainingCase<'_>],
        n_batch: usize,
    ) -> Result<ChunkGradient, ModelError> {
        match &self.config {
            RecommenderConfig::SasRec(shape) if (shape.n_layers, shape.n_heads) == (1, 1) => {
                Ok(folded::gradient(weights, cases, n_batch))
            }
            RecommenderConfig::SasRec(_) => Ok(sasrec::gradient(weights, cases, n_batch)),
            RecommenderConfig::Gru4Rec(_) => Ok(gru4rec::gradient(weights, cases, n_batch)),
            RecommenderConfig::TiMiRec(_) => {
                timirec::gradient(weights, cases, n_batch, self.training.temperature)
            }
            RecommenderConfig::BprMf(_) | RecommenderConfig::LightGcn(_) => {
                Ok(self.tables(weights.values()).gradient(cases, n_batch))
            }
        }
    }
}

/// Adds the gradients of a batch's chunks in order and returns the mean loss.
fn gather(
    weights: &RecommenderWeights,
    batch: &[TrainingCase<'_>],
    gradient: &mut [f32],
    of_chunk: impl Fn(&[TrainingCase<'_>]) -> Result<ChunkGradient, ModelError> + Sync + Send,
) -> Result<f64, ModelError> {
    let chunks = batch
        .par_chunks(CHUNK)
        .map(of_chunk)
        .collect::<Result<Vec<_>, _>>()?;
    let n_table_values = weights.n_table_values();
    let mut loss = 0.0;
    for chunk in &chunks {
        loss += chunk.loss;
        chunk.add_to(gradient, n_table_values);
    }
    Ok(loss / batch.len() as f64)
}

#[cfg(test)]
mod tests;
