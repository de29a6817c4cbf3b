//! `ReLU` with an L1 penalty.

use schema::SaeRecipe;

use super::{Batch, Given, Selection, Terms, Variant};
use crate::codes::SparseCodes;
use crate::gradients::decoder_lengths;
use crate::kernels::above_threshold;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// The penalty is `l1 · mean Σ activation`; without unit decoder rows an activation counts
/// with its row's length.
///
/// # Source
/// Bricken et al. 2023 and the update of April 2024; `dictionary_learning` 0.1.0,
/// `StandardTrainer` (unit decoder rows) and `StandardTrainerAprilUpdate` (free ones); `SAELens`
/// 6.54, `StandardTrainingSAE` with `lp_norm` 1 (free ones).
pub(super) struct Relu {
    pub(super) n_features: u32,
}

impl Variant for Relu {
    fn rule(&self, _: &Weights, _: f32) -> Sparsity {
        Sparsity::Relu
    }

    fn selection(&self) -> Selection {
        Selection::Each
    }

    fn places(&self, _: &Given<'_>, row: &[f32], out: &mut Vec<(f32, u32)>) {
        above_threshold(row, 0.0, out);
    }

    fn terms(&self, batch: &Batch<'_>, gradients: &mut [f32]) -> Terms {
        let scale = f64::from(batch.config.l1) * batch.penalty_share() / batch.n_rows();
        let sums = sums_by_feature(batch.codes, self.n_features);
        let is_free = !batch.config.unit_decoder || batch.config.recipe == SaeRecipe::Saelens;
        if !is_free {
            for gradient in gradients {
                *gradient += scale as f32;
            }
            return Terms {
                loss: scale * sums.iter().sum::<f64>(),
                ..Terms::default()
            };
        }
        let lengths = decoder_lengths(&batch.weights.w_dec, batch.weights.d_model);
        for (gradient, &feature) in gradients.iter_mut().zip(&batch.codes.features) {
            *gradient += scale as f32 * lengths[feature as usize];
        }
        let weighted = sums.iter().zip(&lengths);
        Terms {
            loss: scale
                * weighted
                    .clone()
                    .map(|(s, &l)| s * f64::from(l))
                    .sum::<f64>(),
            along_decoder: weighted
                .map(|(sum, &length)| (scale * sum / f64::from(length)) as f32)
                .collect(),
            ..Terms::default()
        }
    }
}

/// Sum of each feature's activations.
pub(super) fn sums_by_feature(codes: &SparseCodes, n_features: u32) -> Vec<f64> {
    let mut sums = vec![0.0; n_features as usize];
    for (&feature, &value) in codes.features.iter().zip(&codes.values) {
        sums[feature as usize] += f64::from(value);
    }
    sums
}
