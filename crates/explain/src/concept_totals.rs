//! What the confidences of many features come to, and which explanations a shuffled control swaps.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{ClusterBootstrap, Confidence, INTERPRETABLE};

/// Features of like density that swap explanations.
const ALIKE: usize = 8;

/// A mean over features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanOverFeatures {
    /// The mean.
    pub value: f64,
    /// Its 95 % interval by resampling features; `None` for fewer than two.
    pub interval: Option<[f64; 2]>,
}

/// Confidence over all features that have one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConceptTotals {
    /// Features with a confidence.
    pub n_scored: usize,
    /// Mean recall.
    pub recall: Option<MeanOverFeatures>,
    /// Mean specificity.
    pub specificity: Option<MeanOverFeatures>,
    /// Mean confidence.
    pub confidence: Option<MeanOverFeatures>,
    /// Features with confidence 1.
    pub n_certain: usize,
    /// Features with at least 0.9.
    pub n_at_least_09: usize,
    /// Features with more than 0.8.
    pub n_above_08: usize,
    /// Features with at least 0.8, which `RecSAE` calls interpretable.
    pub n_interpretable: usize,
    /// Features whose interval lies above 1/2, what guessing gives: the share that few cases cannot
    /// explain.
    pub n_above_chance: usize,
    /// Predictions that could not be read, of all features.
    pub n_unparsed: usize,
}

impl ConceptTotals {
    /// Of the confidences of features; those without a value are left out.
    ///
    /// # Example
    /// Confidences of 1, 0.8 and 0.5: the mean is 0.767, one is certain, two are interpretable.
    pub fn of(scores: &[Confidence], seed: u64) -> Self {
        let known: Vec<f64> = scores.iter().filter_map(|score| score.value).collect();
        let mean = |values: &[f64]| {
            (!values.is_empty()).then(|| MeanOverFeatures {
                value: values.iter().sum::<f64>() / values.len() as f64,
                interval: ClusterBootstrap::of_units(values.len(), seed).interval_of_mean(values),
            })
        };
        let part = |of: fn(&Confidence) -> Option<f64>| {
            mean(&scores.iter().filter_map(of).collect::<Vec<_>>())
        };
        let count = |passes: &dyn Fn(f64) -> bool| known.iter().filter(|&&v| passes(v)).count();
        Self {
            n_scored: known.len(),
            recall: part(|score| score.recall),
            specificity: part(|score| score.specificity),
            confidence: mean(&known),
            n_certain: count(&|value| value >= 1.0),
            n_at_least_09: count(&|value| value >= 0.9),
            n_above_08: count(&|value| value > INTERPRETABLE),
            n_interpretable: count(&|value| value >= INTERPRETABLE),
            n_above_chance: scores
                .iter()
                .filter(|score| score.interval.is_some_and(|[low, _]| low > 0.5))
                .count(),
            n_unparsed: scores.iter().map(|score| score.n_unparsed).sum(),
        }
    }
}

/// For each feature the one whose explanation it gets in the shuffled control: another of about the
/// same number of active rows. A feature that is alone keeps its own.
///
/// # Determinism
/// A function of its arguments.
///
/// # Example
/// Four features active on 1, 100, 2 and 90 rows swap among all four when there are so few; with
/// more, only within groups of eight or more neighbours in density.
pub fn swap_alike(n_active: &[usize], seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_active.len()).collect();
    order.sort_by_key(|&at| (n_active[at], at));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut gets = vec![0; n_active.len()];
    // Equal parts, so that none is left with a single feature.
    let n_parts = (order.len() / ALIKE).max(1);
    for part in 0..n_parts {
        let from = part * order.len() / n_parts;
        let to = (part + 1) * order.len() / n_parts;
        let group = &order[from..to];
        if group.len() < 2 {
            for &at in group {
                gets[at] = at;
            }
            continue;
        }
        let shift = rng.random_range(1..group.len());
        for (place, &at) in group.iter().enumerate() {
            gets[at] = group[(place + shift) % group.len()];
        }
    }
    gets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_by_hand() {
        let score = |right: usize, of: usize| {
            let said = |n: usize, value: f64| vec![Some(value); n];
            let mut activating = said(right, 9.0);
            activating.extend(said(of - right, 0.0));
            Confidence::of(&activating, &[])
        };
        let scores = [
            score(10, 10),
            score(4, 5),
            score(1, 2),
            Confidence::of(&[], &[]),
        ];
        let totals = ConceptTotals::of(&scores, 1);
        assert_eq!((totals.n_scored, totals.n_certain), (3, 1));
        assert_eq!((totals.n_above_08, totals.n_interpretable), (1, 2));
        let mean = totals.confidence.unwrap();
        assert!((mean.value - 2.3 / 3.0).abs() < 1e-12);
        let [low, high] = mean.interval.unwrap();
        assert!((0.5..mean.value).contains(&low) && high <= 1.0 && high > mean.value);
        // Of 10 right of 10 the interval begins at 0.72; of 4 of 5 at 0.38.
        assert_eq!(totals.n_above_chance, 1);
        assert_eq!(totals.specificity, None);
        assert_eq!(ConceptTotals::of(&[], 1), ConceptTotals::default());
    }

    #[test]
    fn nobody_keeps_its_own_and_partners_are_alike() {
        let n_active: Vec<usize> = (0..37).map(|i| (i * 7) % 37 * 10).collect();
        let gets = swap_alike(&n_active, 3);
        let mut seen = gets.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..37).collect::<Vec<_>>());
        for (at, &from) in gets.iter().enumerate() {
            assert_ne!(at, from);
            assert!(n_active[at].abs_diff(n_active[from]) < 100);
        }
        assert_eq!(swap_alike(&n_active, 3), gets);
        assert_eq!(swap_alike(&[5], 0), [0]);
        assert!(swap_alike(&[], 0).is_empty());
    }
}
