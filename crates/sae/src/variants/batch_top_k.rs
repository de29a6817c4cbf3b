//! `BatchTopK`: the highest of a batch, one threshold afterwards.

use super::{Selection, Variant};
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// # Source
/// Bussmann et al. 2024 (arXiv 2412.06410); `dictionary_learning` 0.1.0, `BatchTopKTrainer`.
pub(super) struct BatchTopK {
    pub(super) k: u32,
}

impl Variant for BatchTopK {
    fn rule(&self, _: &Weights, threshold: f32) -> Sparsity {
        Sparsity::BatchTopK {
            k: self.k,
            threshold,
        }
    }

    fn selection(&self) -> Selection {
        Selection::OfBatch(self.k)
    }

    fn tracks_threshold(&self) -> bool {
        true
    }
}
