//! The state of a training, and what one step does to it.

use schema::{InputScaling, SaeConfig, SaeOptimiser, SaeRecipe, StepReport};

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::dead_features::dead_features;
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::fold::{RowMap, fold_norms};
use crate::gradients::{Ages, BatchLoss, Plan, Scratch, StepRows};
use crate::initial::{geometric_median, mean};
use crate::kernels::{dot, is_finite};
use crate::optimiser::{arrived, clip_factor, project_gradients, unit_rows, update};
use crate::recipe::{BiasStart, DeadRule, UnitRows};
use crate::resample::{Badly, resample};
use crate::sparsity::Sparsity;
use crate::training::Trained;
use crate::weights::Weights;

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
    /// Features that the epoch before declared dead, ascending; only where the recipe does so.
    pub(crate) dead_of_epoch: Vec<u32>,
    /// Rows of the epoch so far.
    pub(crate) rows_of_epoch: u64,
}

impl TrainingState {
    pub(crate) fn new(initial: SaeParts, plan: &Plan<'_>) -> Self {
        let n = initial.n_features;
        let extra = plan.variant.initial_extra(&initial.sparsity);
        let threshold = match initial.sparsity {
            _ if !plan.conventions.threshold_from_zero => -1.0,
            Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } => {
                threshold.max(0.0)
            }
            _ => 0.0,
        };
        let weights = Weights::from_parts(initial, extra, plan.config.skip_connection);
        Self {
            step: 0,
            moments: [Weights::zeros_like(&weights), Weights::zeros_like(&weights)],
            weights,
            rows_since_active: vec![0; n],
            threshold,
            dead_of_epoch: Vec::new(),
            rows_of_epoch: 0,
        }
    }

    /// One step on a batch.
    pub(crate) fn step(
        &mut self,
        plan: &Plan<'_>,
        of_step: StepRows<'_>,
        scratch: &mut Scratch,
    ) -> Result<StepReport, SaeError> {
        let config = plan.config;
        self.check_rows(config, "batch", of_step.rows)?;
        if config.transcode {
            self.check_rows(config, "targets", of_step.targets)?;
        }
        self.prepare(plan, of_step);
        let mut ages = Ages {
            rows_since_active: &mut self.rows_since_active,
            of_epoch: &self.dead_of_epoch,
        };
        let loss = scratch.batch(plan, self.step, &self.weights, of_step, &mut ages);
        let norm = project_gradients(
            (config, &plan.conventions),
            &self.weights,
            &mut scratch.gradients,
        );
        self.track_threshold(plan, &loss);
        let total = self.check_finite(plan, &loss, norm)?;
        let [first, second] = &mut self.moments;
        update(
            (config, &plan.conventions),
            self.step,
            clip_factor(config, norm),
            &mut self.weights,
            &scratch.gradients,
            [first, second],
        );
        self.resample_dead(config, of_step.rows, scratch);
        self.step += 1;
        Ok(Self::report(self.step - 1, total, &loss))
    }

    /// Lets a batch's lowest activation into the tracked threshold, where there is one.
    pub(crate) fn track_threshold(&mut self, plan: &Plan<'_>, loss: &BatchLoss) {
        let config = plan.config;
        let tracks_now =
            self.step > config.threshold_start_step || plan.conventions.threshold_from_zero;
        // While k still falls, the lowest activation says nothing of the finished dictionary.
        let tracks_now = tracks_now && self.step >= config.k_anneal_steps;
        if plan.variant.tracks_threshold() && tracks_now && loss.lowest_activation > 0.0 {
            self.threshold = tracked_threshold(config, self.threshold, loss);
        }
    }

    /// The whole loss, once it and the gradient's norm are known to be numbers.
    pub(crate) fn check_finite(
        &self,
        plan: &Plan<'_>,
        loss: &BatchLoss,
        norm: f64,
    ) -> Result<f64, SaeError> {
        let auxk = f64::from(plan.config.auxk_alpha) * loss.auxk;
        let total = loss.reconstruction + loss.penalty + auxk;
        if total.is_finite() && norm.is_finite() {
            return Ok(total);
        }
        Err(SaeError::NotFinite {
            what: format!(
                "the loss or gradient of step {} (is lr too high?)",
                self.step
            ),
        })
    }

    /// What is told of a step.
    pub(crate) fn report(step: u32, total: f64, loss: &BatchLoss) -> StepReport {
        StepReport {
            step,
            loss: total as f32,
            fvu: loss.fvu as f32,
            l0: loss.l0 as f32,
            dead: loss.n_dead,
            rows_per_second: 0.0,
        }
    }

    /// Every so many steps, features that were not active for half of them start anew.
    fn resample_dead(&mut self, config: &SaeConfig, rows: &[f32], scratch: &Scratch) {
        let Some(steps) = config.resample_steps else {
            return;
        };
        if !self.step.is_multiple_of(steps) || self.step == 0 {
            return;
        }
        let half = u64::from(steps) * u64::from(config.batch_rows) / 2;
        let dead = dead_features(&self.rows_since_active, half + 1);
        let from = Badly {
            rows,
            errors: scratch.error(),
            seed: config.seed,
            step: self.step,
        };
        resample(&from, &dead, &mut self.weights, &mut self.moments);
    }

    /// Checks the shape and the values of a batch.
    pub(crate) fn check_rows(
        &self,
        config: &SaeConfig,
        what: &str,
        rows: &[f32],
    ) -> Result<(), SaeError> {
        let d = self.weights.d_model;
        let expected = config.batch_rows as usize * d;
        let is_whole = rows.len().is_multiple_of(d) && !rows.is_empty();
        if rows.len() != expected && !(config.recipe == SaeRecipe::Recsae && is_whole) {
            return Err(SaeError::shape(
                format!("the {what} of step {}", self.step),
                expected,
                rows.len(),
            ));
        }
        match rows.chunks_exact(d).position(|row| !is_finite(row)) {
            None => Ok(()),
            Some(row) => Err(SaeError::NotFinite {
                what: format!("row {row} of the {what} of step {}", self.step),
            }),
        }
    }

    /// What comes before the loss: where `b_dec` starts, unit rows, an epoch's dead features.
    pub(crate) fn prepare(&mut self, plan: &Plan<'_>, StepRows { rows, targets }: StepRows<'_>) {
        let d = self.weights.d_model;
        if self.step == 0 {
            match plan.conventions.bias_start {
                BiasStart::Given => {}
                BiasStart::Mean => {
                    self.weights.b_dec = mean(targets, d);
                    if plan.config.transcode {
                        self.centre_encoder(&mean(rows, d));
                    }
                }
                BiasStart::GeometricMedian => self.weights.b_dec = geometric_median(rows, d),
            }
        }
        let begins_epoch = u64::from(self.step).is_multiple_of(plan.epoch_steps);
        match plan.conventions.unit_rows {
            UnitRows::BeforeStep => unit_rows(&mut self.weights),
            UnitRows::BeforeEpoch if begins_epoch => unit_rows(&mut self.weights),
            _ => {}
        }
        if plan.conventions.dead == DeadRule::EpochBefore && begins_epoch {
            if self.step > 0 {
                let ages = self.rows_since_active.iter().zip(0..);
                self.dead_of_epoch = ages
                    .filter(|&(&rows, _)| rows >= self.rows_of_epoch)
                    .map(|(_, feature)| feature)
                    .collect();
            }
            self.rows_of_epoch = 0;
        }
        self.rows_of_epoch += (rows.len() / d) as u64;
        plan.variant.prepare(&mut self.weights);
    }

    /// Biases by which a row like `mean` excites no feature.
    fn centre_encoder(&mut self, mean: &[f32]) {
        let rows = self.weights.w_enc.chunks_exact(mean.len());
        for (bias, row) in self.weights.b_enc.iter_mut().zip(rows) {
            *bias = -dot(row, mean);
        }
    }

    pub(crate) fn finish(
        mut self,
        plan: &Plan<'_>,
        row_map: Option<&RowMap>,
        resumed_at: u32,
    ) -> Result<Trained, SaeError> {
        if plan.conventions.optimiser == SaeOptimiser::Signum && self.step > 0 {
            let [points, _] = &mut self.moments;
            arrived(&mut self.weights, points);
        }
        let n_features = self.weights.n_features();
        let sparsity = plan.variant.rule(&self.weights, self.threshold);
        let Weights {
            d_model,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            extra: _,
            skip,
        } = self.weights;
        let mut parts = SaeParts {
            d_model,
            n_features,
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            is_centred: plan.is_centred(),
            sparsity,
            extras: SaeExtras {
                scaling: if plan.conventions.layer_norm {
                    InputScaling::LayerNorm
                } else {
                    InputScaling::None
                },
                multi_topk: plan.conventions.multi_topk,
                skip: plan.config.skip_connection.then_some(skip),
                is_transcoder: plan.config.transcode,
            },
        };
        if plan.conventions.rescales {
            fold_norms(&mut parts);
        }
        if let Some(map) = row_map {
            map.fold_into(&mut parts);
        }
        Ok(Trained {
            sae: SparseAutoencoder::new(parts)?,
            steps_done: self.step,
            completed: self.step >= plan.config.steps,
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
