//! The rules that keep a code sparse: the seam that further variants join.

use schema::{SaeConfig, SaeVariant};

use crate::kernels::{above_threshold, highest};

/// Which features of a row are active, given its pre-activations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sparsity {
    /// The `k` highest pre-activations above 0 of each row, ties to the lower feature index.
    TopK {
        /// Active features per row at most.
        k: u32,
    },
    /// Trained with the `k · rows` highest of a batch; afterwards every activation strictly above
    /// one fixed threshold.
    BatchTopK {
        /// Active features per row on average.
        k: u32,
        /// The threshold, in units of the activations; below 0 where it was never tracked, and
        /// then the `k` highest of each row are taken instead.
        threshold: f32,
    },
}

impl Sparsity {
    /// The rule that a configuration asks for, before training.
    pub(crate) fn from_config(config: &SaeConfig) -> Option<Self> {
        match config.variant {
            SaeVariant::TopK => Some(Self::TopK { k: config.k }),
            SaeVariant::BatchTopK => Some(Self::BatchTopK {
                k: config.k,
                threshold: -1.0,
            }),
            _ => None,
        }
    }

    /// Active features per row: at most for `TopK`, on average for `BatchTopK`.
    pub fn k(self) -> u32 {
        match self {
            Self::TopK { k } | Self::BatchTopK { k, .. } => k,
        }
    }

    /// The variant's name in configurations.
    pub fn variant(self) -> SaeVariant {
        match self {
            Self::TopK { .. } => SaeVariant::TopK,
            Self::BatchTopK { .. } => SaeVariant::BatchTopK,
        }
    }

    /// Collects the active features of one row of pre-activations, ascending by index.
    pub(crate) fn select(self, pre_activations: &[f32], out: &mut Vec<(f32, u32)>) {
        match self {
            Self::BatchTopK { threshold, .. } if threshold >= 0.0 => {
                above_threshold(pre_activations, threshold, out);
            }
            Self::TopK { k } | Self::BatchTopK { k, .. } => {
                highest(pre_activations, k as usize, out);
            }
        }
    }
}
