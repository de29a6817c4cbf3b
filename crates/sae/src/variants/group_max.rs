//! `GroupMax`: the highest of each group of consecutive features.

use schema::SaeConfig;

use super::{Given, Selection, Variant};
use crate::error::SaeError;
use crate::kernels::group_maxima;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// A group whose features are all below 0 has a place of activation 0, which still passes a
/// gradient, as in sparsify.
///
/// # Source
/// `sparsify` 1.3.3, `fused_encoder` with `activation = "groupmax"`.
pub(super) struct GroupMax {
    /// Number of groups: features active per row at most.
    k: u32,
    /// Features of a group.
    size: usize,
}

impl GroupMax {
    pub(super) fn new(config: &SaeConfig) -> Result<Self, SaeError> {
        let (n, k) = (config.n_features, config.k.max(1));
        if !n.is_multiple_of(k) {
            return Err(SaeError::Config {
                field: "k",
                reason: format!("it is {k}, expected a divisor of the {n} features (groups)"),
            });
        }
        Ok(Self {
            k,
            size: (n / k) as usize,
        })
    }
}

impl Variant for GroupMax {
    fn rule(&self, _: &Weights, _: f32) -> Sparsity {
        Sparsity::GroupMax { k: self.k }
    }

    fn selection(&self) -> Selection {
        Selection::Each
    }

    fn places(&self, given: &Given<'_>, row: &[f32], out: &mut Vec<(f32, u32)>) {
        group_maxima(&row[..given.weights.n_features()], self.size, out);
    }
}
