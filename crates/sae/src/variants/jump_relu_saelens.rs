//! `JumpReLU` by the conventions of `SAELens`.

use std::sync::Arc;

use schema::{L0Penalty, SaeConfig};

use super::{Batch, Given, Selection, Terms, Variant};
use crate::codes::SparseCodes;
use crate::gradients::decoder_lengths;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// The loss adds `sparsity_penalty` · mean over rows of the number of active features, of
/// Σ tanh(scale · activation · length of the decoder row), or of 2 (L0 − target)² / target; and
/// with a weight `pre_act_loss` mean Σ relu(threshold − pre-activation) · length over dead
/// features. A threshold's derivative is that of a window of width `bandwidth` around it, which
/// with `ste_to_input` reaches the encoder too. Thresholds are kept ≥ 0.
///
/// # Source
/// `SAELens` 6.54, `JumpReLUTrainingSAE`.
pub(super) struct JumpRelu {
    n_features: usize,
    bandwidth: f32,
    init_threshold: f32,
    lifts_dead: bool,
}

impl JumpRelu {
    pub(super) fn new(config: &SaeConfig) -> Self {
        Self {
            n_features: config.n_features as usize,
            bandwidth: config.bandwidth,
            init_threshold: config.init_threshold,
            lifts_dead: config.pre_act_loss.is_some_and(|weight| weight > 0.0),
        }
    }

    fn is_within(&self, value: f32, threshold: f32) -> bool {
        let place = (value - threshold) / self.bandwidth;
        place > -0.5 && place < 0.5
    }
}

/// Derivatives that the terms add up, by feature.
struct Sums {
    thresholds: Vec<f64>,
    /// With respect to the length of the decoder row.
    lengths: Vec<f64>,
    loss: f64,
}

impl Variant for JumpRelu {
    fn rule(&self, weights: &Weights, _: f32) -> Sparsity {
        Sparsity::JumpRelu {
            thresholds: Arc::from(weights.extra.as_slice()),
        }
    }

    fn selection(&self) -> Selection {
        Selection::Each
    }

    fn looks_at_dead(&self) -> bool {
        self.lifts_dead
    }

    fn prepare(&self, weights: &mut Weights) {
        for threshold in &mut weights.extra {
            *threshold = threshold.max(0.0);
        }
    }

    /// Active ones, those below their threshold but within its window, and all of dead features.
    fn places(&self, given: &Given<'_>, row: &[f32], out: &mut Vec<(f32, u32)>) {
        out.clear();
        let thresholds = &given.weights.extra;
        for (feature, (&value, &threshold)) in (0_u32..).zip(row.iter().zip(thresholds)) {
            let is_dead = given.is_dead.get(feature as usize) == Some(&true);
            if value > threshold || is_dead || self.is_within(value, threshold) {
                out.push((value, feature));
            }
        }
    }

    fn activations(&self, weights: &Weights, places: &SparseCodes) -> Option<Vec<f32>> {
        let each = places.features.iter().zip(&places.values);
        Some(
            each.map(|(&feature, &value)| {
                if value > weights.extra[feature as usize] {
                    value
                } else {
                    0.0
                }
            })
            .collect(),
        )
    }

    fn initial_extra(&self, initial: &Sparsity) -> Vec<f32> {
        match initial {
            Sparsity::JumpRelu { thresholds } => thresholds.to_vec(),
            _ => vec![self.init_threshold; self.n_features],
        }
    }

    fn terms(&self, batch: &Batch<'_>, gradients: &mut [f32]) -> Terms {
        let lengths = decoder_lengths(&batch.weights.w_dec, batch.weights.d_model);
        let mut sums = Sums {
            thresholds: vec![0.0; self.n_features],
            lengths: vec![0.0; self.n_features],
            loss: 0.0,
        };
        let of_counts = penalise(batch, &lengths, gradients, &mut sums);
        self.through_window(batch, &of_counts, gradients, &mut sums);
        if let Some(weight) = batch.config.pre_act_loss {
            lift_dead(batch, f64::from(weight), &lengths, gradients, &mut sums);
        }
        Terms {
            loss: sums.loss,
            extra: sums.thresholds.iter().map(|&sum| sum as f32).collect(),
            along_decoder: std::iter::zip(&sums.lengths, &lengths)
                .map(|(sum, &length)| (sum / f64::from(length)) as f32)
                .collect(),
            decoded: None,
        }
    }
}

impl JumpRelu {
    /// Turns derivatives with respect to activations and counts into those with respect to
    /// pre-activations and thresholds.
    fn through_window(
        &self,
        batch: &Batch<'_>,
        of_counts: &[f64],
        gradients: &mut [f32],
        sums: &mut Sums,
    ) {
        let width = f64::from(self.bandwidth);
        let thresholds = &batch.weights.extra;
        for (row, &of_count) in of_counts.iter().enumerate() {
            let range = batch.places.offsets[row]..batch.places.offsets[row + 1];
            let places = range.clone().zip(&mut gradients[range]);
            for (at, gradient) in places {
                let feature = batch.places.features[at] as usize;
                let (value, threshold) = (batch.places.values[at], thresholds[feature]);
                let of_activation = f64::from(*gradient);
                let mut through = 0.0;
                if self.is_within(value, threshold) {
                    through = f64::from(threshold) / width * of_activation + of_count / width;
                    sums.thresholds[feature] -= through;
                }
                let direct = if value > threshold {
                    of_activation
                } else {
                    0.0
                };
                let reached = if batch.config.ste_to_input {
                    through
                } else {
                    0.0
                };
                *gradient = (direct + reached) as f32;
            }
        }
    }
}

/// Adds the penalty, and its derivatives with respect to the activations to `gradients`;
/// returns that with respect to each row's count of active features.
fn penalise(
    batch: &Batch<'_>,
    lengths: &[f32],
    gradients: &mut [f32],
    sums: &mut Sums,
) -> Vec<f64> {
    let config = batch.config;
    let rows = batch.n_rows();
    let weight = f64::from(config.sparsity_penalty) * batch.penalty_share() / rows;
    let codes = batch.codes;
    let l0 = |row: usize| {
        codes
            .row(row)
            .1
            .iter()
            .filter(|&&value| value > 0.0)
            .count() as f64
    };
    match config.l0_penalty {
        L0Penalty::Tanh => {
            let scale = f64::from(config.tanh_scale);
            for (at, gradient) in gradients.iter_mut().enumerate() {
                let feature = codes.features[at] as usize;
                let (value, length) = (f64::from(codes.values[at]), f64::from(lengths[feature]));
                let t = (scale * value * length).tanh();
                let slope = weight * scale * (1.0 - t * t);
                sums.loss += weight * t;
                sums.lengths[feature] += slope * value;
                *gradient += (slope * length) as f32;
            }
            vec![0.0; codes.n_rows()]
        }
        L0Penalty::Quadratic => {
            let target = config.target_l0.map_or(f64::from(config.k), f64::from);
            (0..codes.n_rows())
                .map(|row| {
                    let excess = l0(row) - target;
                    sums.loss += weight * 2.0 / target * excess * excess;
                    weight * 4.0 / target * excess
                })
                .collect()
        }
        _ => (0..codes.n_rows())
            .map(|row| {
                sums.loss += weight * l0(row);
                weight
            })
            .collect(),
    }
}

/// Adds the loss that lifts the pre-activations of dead features towards their thresholds.
fn lift_dead(
    batch: &Batch<'_>,
    weight: f64,
    lengths: &[f32],
    gradients: &mut [f32],
    sums: &mut Sums,
) {
    let weight = weight / batch.n_rows();
    for (at, gradient) in gradients.iter_mut().enumerate() {
        let feature = batch.places.features[at];
        let at_feature = feature as usize;
        let below = f64::from(batch.weights.extra[at_feature]) - f64::from(batch.places.values[at]);
        if below > 0.0 && batch.dead.binary_search(&feature).is_ok() {
            let length = f64::from(lengths[at_feature]);
            sums.loss += weight * below * length;
            sums.thresholds[at_feature] += weight * length;
            sums.lengths[at_feature] += weight * below;
            *gradient -= (weight * length) as f32;
        }
    }
}
