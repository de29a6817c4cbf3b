//! Bootstrap intervals that resample whole patients or users, never single samples.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Resamples drawn for an interval.
const N_RESAMPLES: usize = 1000;
/// Share of resamples that must have a value for an interval to be given.
const MIN_DEFINED: f64 = 0.9;

/// Which cluster (patient, user) each unit belongs to, and the seed of the draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterBootstrap {
    cluster_of: Vec<u32>,
    n_clusters: usize,
    seed: u64,
}

impl ClusterBootstrap {
    /// Units with equal names belong together.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>, seed: u64) -> Self {
        let mut known: BTreeMap<&str, u32> = BTreeMap::new();
        let cluster_of: Vec<u32> = names
            .into_iter()
            .map(|name| {
                let next = known.len() as u32;
                *known.entry(name).or_insert(next)
            })
            .collect();
        Self {
            cluster_of,
            n_clusters: known.len(),
            seed,
        }
    }

    /// Every unit by itself.
    pub fn of_units(n_units: usize, seed: u64) -> Self {
        Self {
            cluster_of: (0..n_units as u32).collect(),
            n_clusters: n_units,
            seed,
        }
    }

    /// The cluster of each unit, numbered from 0 in the order they are met.
    pub fn cluster_of(&self) -> &[u32] {
        &self.cluster_of
    }

    /// Draws the same clusters, each of them one unit.
    #[must_use]
    pub fn of_clusters(&self) -> Self {
        Self::of_units(self.n_clusters, self.seed)
    }

    /// Clusters that are drawn from.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    /// 95 % percentile interval of a statistic.
    ///
    /// As many clusters as there are are drawn with replacement, 1,000 times; `statistic` gets how
    /// often each unit was drawn and gives the value, or `None` where it is not defined there. The
    /// interval goes from the 2.5th to the 97.5th percentile of the values, between two of them
    /// linearly. `None` with fewer than two clusters, or where more than a tenth of the draws have
    /// no value.
    ///
    /// # Determinism
    /// A function of clusters, seed and statistic.
    ///
    /// # Cost
    /// 1,000 times that of `statistic`.
    ///
    /// # Source
    /// Efron and Tibshirani 1993, chapter 13; clusters after Davison and Hinkley 1997, section 3.8.
    ///
    /// # Example
    /// Two patients, one film each, with the values 0 and 1: means of 0, ½ and 1 are drawn with
    /// chances ¼, ½ and ¼, so the interval of the mean is 0 to 1.
    pub fn interval(&self, statistic: &dyn Fn(&[u32]) -> Option<f64>) -> Option<[f64; 2]> {
        Self::interval_of_draws(&self.draws(statistic))
    }

    /// The value of a statistic in each resample; no values with fewer than two clusters. Two
    /// statistics see the same resamples, in the same order.
    pub fn draws(&self, statistic: &dyn Fn(&[u32]) -> Option<f64>) -> Vec<Option<f64>> {
        if self.n_clusters < 2 {
            return Vec::new();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn = vec![0_u32; self.n_clusters];
        let mut weights = vec![0_u32; self.cluster_of.len()];
        (0..N_RESAMPLES)
            .map(|_| {
                drawn.fill(0);
                for _ in 0..self.n_clusters {
                    drawn[rng.random_range(0..self.n_clusters)] += 1;
                }
                for (weight, &cluster) in weights.iter_mut().zip(&self.cluster_of) {
                    *weight = drawn[cluster as usize];
                }
                statistic(&weights)
            })
            .collect()
    }

    /// The interval that resamples give.
    pub fn interval_of_draws(draws: &[Option<f64>]) -> Option<[f64; 2]> {
        let mut values: Vec<f64> = draws.iter().copied().flatten().collect();
        if values.is_empty() || (values.len() as f64) < MIN_DEFINED * draws.len() as f64 {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some([percentile(&values, 0.025), percentile(&values, 0.975)])
    }

    /// [`ClusterBootstrap::interval`] of a mean over units.
    pub fn interval_of_mean(&self, values: &[f64]) -> Option<[f64; 2]> {
        self.interval(&|weights| {
            let (mut sum, mut n) = (0.0, 0.0);
            for (value, &weight) in values.iter().zip(weights) {
                sum += value * f64::from(weight);
                n += f64::from(weight);
            }
            (n > 0.0).then(|| sum / n)
        })
    }
}

/// The value below which a share of the sorted values lies, interpolated as numpy does by default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (at - at.floor()) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_hand() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.025), 2.5);
        assert_eq!(percentile(&values, 0.975), 97.5);
        assert_eq!(percentile(&[4.0], 0.5), 4.0);
    }

    #[test]
    fn two_patients_by_hand() {
        let two = ClusterBootstrap::of_names(["a", "b"], 0);
        assert_eq!(two.interval_of_mean(&[0.0, 1.0]), Some([0.0, 1.0]));
        let one = ClusterBootstrap::of_names(["a", "a"], 0);
        assert_eq!(one.interval_of_mean(&[0.0, 1.0]), None);
    }

    #[test]
    fn an_interval_of_a_mean_is_near_the_normal_one_and_a_patient_counts_as_a_whole() {
        // 0 and 1 alternating: standard deviation ½.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let units = ClusterBootstrap::of_units(400, 7);
        let [low, high] = units.interval_of_mean(&values).unwrap();
        let half = 1.96 * 0.5 / 400_f64.sqrt();
        assert!((low - (0.5 - half)).abs() < 0.01, "{low}");
        assert!((high - (0.5 + half)).abs() < 0.01, "{high}");
        assert_eq!(units.interval_of_mean(&values), Some([low, high]));
        // 16 equal values per patient: as uncertain as 25 values.
        let names: Vec<String> = (0..400).map(|i| format!("patient {}", i / 16)).collect();
        let values: Vec<f64> = (0..400).map(|i| f64::from(i / 16 % 2)).collect();
        let clusters = ClusterBootstrap::of_names(names.iter().map(String::as_str), 7);
        assert_eq!(clusters.n_clusters(), 25);
        let [low, high] = clusters.interval_of_mean(&values).unwrap();
        assert!(high - low > 0.3, "{low} {high}");
    }

    #[test]
    fn a_statistic_that_is_rarely_defined_has_no_interval() {
        let units = ClusterBootstrap::of_units(10, 1);
        assert_eq!(units.interval(&|w| (w[0] > 1).then_some(1.0)), None);
        assert!(units.interval(&|_| Some(1.0)).is_some());
    }
}
