//! `JumpReLU`: a threshold of its own for every feature, learnt through a window around it.

use std::sync::Arc;

use super::{Batch, Given, Selection, Terms, Variant};
use crate::codes::SparseCodes;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// The penalty is `sparsity_penalty · (L0 / target_l0 − 1)²`. A threshold's derivative is that of a window
/// of width `bandwidth` around it.
///
/// # Source
/// Rajamanoharan et al. 2024 (arXiv 2407.14435); `dictionary_learning` 0.1.0, `JumpReluTrainer`,
/// whose L0 looks at the activation after the jump, so that a feature that is not active counts
/// where half the window reaches 0. Differs: an activation is above 0 also where a threshold is
/// not.
pub(super) struct JumpRelu {
    pub(super) n_features: u32,
    pub(super) bandwidth: f32,
    /// A threshold's value at the start.
    pub(super) init_threshold: f32,
}

impl JumpRelu {
    fn is_within(&self, value: f32, threshold: f32) -> bool {
        let place = (value - threshold) / self.bandwidth;
        place > -0.5 && place < 0.5
    }
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

    /// Active ones, and those below their threshold but within its window.
    fn places(&self, given: &Given<'_>, row: &[f32], out: &mut Vec<(f32, u32)>) {
        out.clear();
        let thresholds = &given.weights.extra;
        for (feature, (&value, &threshold)) in (0_u32..).zip(row.iter().zip(thresholds)) {
            if value > threshold.max(0.0) || self.is_within(value, threshold) {
                out.push((value, feature));
            }
        }
    }

    fn activations(&self, weights: &Weights, places: &SparseCodes) -> Option<Vec<f32>> {
        let each = places.features.iter().zip(&places.values);
        Some(
            each.map(|(&feature, &value)| {
                if value > weights.extra[feature as usize].max(0.0) {
                    value
                } else {
                    0.0
                }
            })
            .collect(),
        )
    }

    fn is_centred(&self) -> bool {
        false
    }

    fn initial_extra(&self, initial: &Sparsity) -> Vec<f32> {
        match initial {
            Sparsity::JumpRelu { thresholds } => thresholds.to_vec(),
            _ => vec![self.init_threshold; self.n_features as usize],
        }
    }

    fn terms(&self, batch: &Batch<'_>, gradients: &mut [f32]) -> Terms {
        let config = batch.config;
        let thresholds = &batch.weights.extra;
        let width = f64::from(self.bandwidth);
        let n = self.n_features as usize;
        let mut sums = vec![0_f64; n];
        let mut active = vec![0_u32; n];
        let mut active_within = vec![0_u32; n];
        for (at, gradient) in gradients.iter_mut().enumerate() {
            let feature = batch.places.features[at] as usize;
            let (value, threshold) = (batch.places.values[at], thresholds[feature]);
            let within = self.is_within(value, threshold);
            if within {
                sums[feature] -= f64::from(threshold) / width * f64::from(*gradient);
            }
            if batch.codes.values[at] > 0.0 {
                active[feature] += 1;
                active_within[feature] += u32::from(within);
            } else {
                *gradient = 0.0;
            }
        }
        let rows = batch.n_rows();
        let l0 = active.iter().map(|&n| f64::from(n)).sum::<f64>() / rows;
        let target = config.target_l0.map_or(f64::from(config.k), f64::from);
        let penalty = f64::from(config.sparsity_penalty) * batch.penalty_share();
        let excess = l0 / target - 1.0;
        let of_place = -2.0 * penalty * excess / target / (width * rows);
        for feature in 0..n {
            let mut n_within = f64::from(active_within[feature]);
            if self.is_within(0.0, thresholds[feature]) {
                n_within += rows - f64::from(active[feature]);
            }
            sums[feature] += of_place * n_within;
        }
        Terms {
            loss: penalty * excess * excess,
            extra: sums.iter().map(|&sum| sum as f32).collect(),
            ..Terms::default()
        }
    }
}
