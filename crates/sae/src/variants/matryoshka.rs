//! Matryoshka `BatchTopK`: every prefix of groups reconstructs by itself.

use std::sync::Arc;

use schema::{SaeConfig, SaeRecipe};

use super::{Selection, Variant};
use crate::error::SaeError;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// The loss is the mean over prefixes of weight · mean ‖x − x̂ of the prefix‖².
///
/// # Source
/// Bussmann et al. 2025 (arXiv 2503.17547); `dictionary_learning` 0.1.0,
/// `MatryoshkaBatchTopKTrainer`, whose loss divides by the number of prefixes once in the default
/// weights and once more in the mean; `SAELens` 6.54, `MatryoshkaBatchTopKTrainingSAE`, whose loss
/// is the sum.
pub(super) struct Matryoshka {
    k: u32,
    group_sizes: Arc<[u32]>,
    weights: Vec<f32>,
}

impl Matryoshka {
    pub(super) fn new(config: &SaeConfig) -> Result<Self, SaeError> {
        let unusable = |field, reason: String| Err(SaeError::Config { field, reason });
        let n = config.n_features;
        let sizes = if config.group_sizes.is_empty() {
            let mut sizes: Vec<u32> = [32, 16, 8, 4].map(|part| n / part).to_vec();
            sizes.push(n - sizes.iter().sum::<u32>());
            sizes
        } else {
            config.group_sizes.clone()
        };
        let sum: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
        if sizes.contains(&0) || sum != u64::from(n) {
            let reason =
                format!("they are {sizes:?}, expected numbers above 0 that add up to {n} features");
            return unusable("group_sizes", reason);
        }
        // SAELens adds the prefixes' losses; `dictionary_learning` takes a mean of weighted ones.
        let n_groups = match config.recipe {
            SaeRecipe::Saelens => 1.0,
            _ => sizes.len() as f32,
        };
        let weights = match &config.group_weights {
            None => vec![1.0 / n_groups; sizes.len()],
            Some(weights) => weights.clone(),
        };
        if weights.len() != sizes.len() || weights.iter().any(|w| !(w.is_finite() && *w >= 0.0)) {
            let reason = format!(
                "they are {weights:?}, expected {} numbers ≥ 0, one per group",
                sizes.len()
            );
            return unusable("group_weights", reason);
        }
        Ok(Self {
            k: config.k,
            group_sizes: Arc::from(sizes),
            weights: weights.iter().map(|weight| weight / n_groups).collect(),
        })
    }
}

impl Variant for Matryoshka {
    fn rule(&self, _: &Weights, threshold: f32) -> Sparsity {
        Sparsity::Matryoshka {
            k: self.k,
            threshold,
            group_sizes: Arc::clone(&self.group_sizes),
        }
    }

    fn selection(&self) -> Selection {
        Selection::OfBatch(self.k)
    }

    fn tracks_threshold(&self) -> bool {
        true
    }

    fn levels(&self) -> Vec<(u32, f32)> {
        let sizes = self.group_sizes.iter().copied();
        sizes.zip(self.weights.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(group_sizes: &[u32], n_features: u32) -> SaeConfig {
        SaeConfig {
            group_sizes: group_sizes.to_vec(),
            n_features,
            ..SaeConfig::default()
        }
    }

    #[test]
    fn each_prefix_counts_alike() {
        let made = Matryoshka::new(&config(&[10, 25, 66], 101)).unwrap();
        // 1/3 in the weights, 1/3 in the mean.
        assert!((made.weights[1] - 1.0 / 9.0).abs() < 1e-7);
        let made = Matryoshka::new(&config(&[], 100)).unwrap();
        assert_eq!(made.group_sizes.as_ref(), [3, 6, 12, 25, 54]);
    }

    #[test]
    fn groups_that_do_not_fit_are_named() {
        for bad in [&[50, 40][..], &[0, 101], &[u32::MAX, 4]] {
            let error = Matryoshka::new(&config(bad, 101)).err().unwrap();
            assert!(error.to_string().contains("group_sizes"), "{error}");
        }
        // Too few features for the usual groups.
        assert!(Matryoshka::new(&config(&[], 20)).is_err());
        let mut wrong = config(&[5, 5], 10);
        wrong.group_weights = Some(vec![1.0]);
        let error = Matryoshka::new(&wrong).err().unwrap();
        assert!(error.to_string().contains("group_weights"), "{error}");
    }
}
