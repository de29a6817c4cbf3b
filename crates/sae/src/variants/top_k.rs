//! `TopK`: the k highest of each row.

use super::{Selection, Variant};
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// # Source
/// Gao et al. 2024 (arXiv 2406.04093); `dictionary_learning` 0.1.0, `TopKTrainer`.
pub(super) struct TopK {
    pub(super) k: u32,
}

impl Variant for TopK {
    fn rule(&self, _: &Weights, _: f32) -> Sparsity {
        Sparsity::TopK { k: self.k }
    }

    fn selection(&self) -> Selection {
        Selection::OfRow(self.k)
    }
}
