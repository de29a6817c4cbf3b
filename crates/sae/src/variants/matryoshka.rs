//! Matryoshka `BatchTopK`: every prefix of groups reconstructs by itself.

use std::sync::Arc;

use schema::SaeConfig;

use super::{Selection, Variant};
use crate::error::SaeError;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// The loss is the mean over prefixes of weight · mean ‖x − x̂ of the prefix‖².
///
/// # Source
/// Bussmann et al. 2025 (arXiv 2503.17547); `dictionary_learning` 0.1.0,
/// `MatryoshkaBatchTopKTrainer`, whose loss divides by the number of prefixes once in the default
/// weights and once more in the mean.
pub(super) struct Matryoshka {
    k: u32,
    group_sizes: Arc<[u32]>,
    weights: Vec<f32>,
}

impl Matryoshka {
    pub(super) fn new(config: &SaeConfig) -> Result<Self, SaeError> {
        let unusable = |field, reason: String| Err(SaeError::Config { field, reason });
        let fractions = &config.group_fractions;
        let sum: f64 = fractions.iter().map(|&part| f64::from(part)).sum();
        if fractions.iter().any(|part| part.is_nan() || *part <= 0.0) || (sum - 1.0).abs() > 1e-5 {
            let reason =
                format!("they are {fractions:?}, expected numbers above 0 that add up to 1");
            return unusable("group_fractions", reason);
        }
        let n = config.n_features;
        let mut sizes: Vec<u32> = fractions
            .iter()
            .map(|&part| (f64::from(part) * f64::from(n) + 1e-6) as u32)
            .collect();
        if let Some(last) = sizes.last_mut() {
            *last = 0;
        }
        let rest = n - sizes.iter().sum::<u32>();
        if let Some(last) = sizes.last_mut() {
            *last = rest;
        }
        if sizes.contains(&0) {
            let reason = format!("{fractions:?} of {n} features leave a group empty");
            return unusable("group_fractions", reason);
        }
        let n_groups = sizes.len() as f32;
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

    fn config(fractions: &[f32], n_features: u32) -> SaeConfig {
        SaeConfig {
            group_fractions: fractions.to_vec(),
            n_features,
            ..SaeConfig::default()
        }
    }

    #[test]
    fn groups_are_whole_features_and_the_last_takes_the_rest() {
        let made = Matryoshka::new(&config(&[0.1, 0.25, 0.65], 101)).unwrap();
        assert_eq!(made.group_sizes.as_ref(), [10, 25, 66]);
        // 1/3 in the weights, 1/3 in the mean.
        assert!((made.weights[1] - 1.0 / 9.0).abs() < 1e-7);
    }

    #[test]
    fn groups_that_do_not_fit_are_named() {
        for bad in [&[0.5, 0.4][..], &[1.2, -0.2], &[], &[0.001, 0.999]] {
            let error = Matryoshka::new(&config(bad, 101)).err().unwrap();
            assert!(error.to_string().contains("group_fractions"), "{error}");
        }
        let mut wrong = config(&[0.5, 0.5], 10);
        wrong.group_weights = Some(vec![1.0]);
        let error = Matryoshka::new(&wrong).err().unwrap();
        assert!(error.to_string().contains("group_weights"), "{error}");
    }
}
