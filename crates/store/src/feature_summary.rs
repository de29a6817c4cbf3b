//! Computes what is kept of one feature from its activations.

use schema::{CofiringFeature, ExampleRef, FeatureId, FeatureSummary};

use crate::feature_index::sample_maxima;

/// Bins of a histogram.
pub(crate) const N_BINS: usize = 32;
/// Samples kept as top examples.
pub(crate) const N_TOP: usize = 24;
/// Quantile bands.
pub(crate) const N_BANDS: usize = 5;
/// Examples drawn from each band.
pub(crate) const N_PER_BAND: usize = 6;
/// Co-firing features kept.
pub(crate) const N_COFIRING: usize = 8;
/// Rows of a feature that are looked at for co-firing; of a denser one, as many evenly spaced.
pub(crate) const COFIRING_ROWS: usize = 16_384;

/// All activations above 0, by row: `[n_rows + 1]` starts into features that ascend within a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodesByRow<'a> {
    pub(crate) starts: &'a [u64],
    pub(crate) features: &'a [u32],
}

/// Computes summaries, feature by feature.
#[derive(Debug)]
pub(crate) struct Summariser<'a> {
    /// `[n_rows]`: sample, position, class.
    pub(crate) places: &'a [[u32; 3]],
    pub(crate) codes: CodesByRow<'a>,
    /// `[n_features]`: rows on which each feature is active.
    pub(crate) n_active: &'a [u64],
    pub(crate) n_samples: u32,
    pub(crate) seed: u64,
    /// `[n_features]`, all 0 between calls.
    pub(crate) shared_rows: Vec<u32>,
}

impl Summariser<'_> {
    /// Summarises the entries of `feature`; neighbours are left empty.
    pub(crate) fn summarise(
        &mut self,
        feature: FeatureId,
        rows: &[u32],
        values: &[f32],
    ) -> FeatureSummary {
        if rows.is_empty() {
            return FeatureSummary {
                feature,
                ..FeatureSummary::default()
            };
        }
        let mut maxima = sample_maxima(self.places, rows, values);
        let n_samples_active = maxima.len();
        // Highest first; of equally high ones the earlier sample.
        maxima.sort_by(|a, b| {
            b.activation
                .total_cmp(&a.activation)
                .then(a.sample.cmp(&b.sample))
        });
        let max = maxima.first().map_or(0.0, |best| best.activation);
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        FeatureSummary {
            feature,
            n_active_rows: rows.len() as u64,
            density: (rows.len() as f64 / self.places.len() as f64) as f32,
            sample_density: (n_samples_active as f64 / f64::from(self.n_samples)) as f32,
            max_activation: max,
            mean_activation: (sum / values.len() as f64) as f32,
            histogram: histogram(values, max),
            top: maxima.iter().take(N_TOP).copied().collect(),
            quantiles: self.quantiles(feature, &maxima),
            neighbours: Vec::new(),
            cofiring: self.cofiring(feature, rows),
        }
    }

    /// Draws from [`N_BANDS`] bands of equally many samples, highest band first. Which samples
    /// are drawn depends on seed, feature and sample alone.
    fn quantiles(&self, feature: FeatureId, maxima: &[ExampleRef]) -> Vec<Vec<ExampleRef>> {
        (0..N_BANDS)
            .map(|band| {
                let start = band * maxima.len() / N_BANDS;
                let end = (band + 1) * maxima.len() / N_BANDS;
                let mut drawn: Vec<(u64, usize)> = (start..end)
                    .map(|i| (draw(self.seed, feature.0, maxima[i].sample), i))
                    .collect();
                drawn.sort_unstable();
                drawn.truncate(N_PER_BAND);
                drawn.sort_unstable_by_key(|&(_, i)| i);
                drawn.into_iter().map(|(_, i)| maxima[i]).collect()
            })
            .collect()
    }

    /// Features most often active on the same rows, by the Jaccard index; of equal ones the
    /// lower number. Exact up to [`COFIRING_ROWS`] rows, estimated from as many beyond.
    fn cofiring(&mut self, feature: FeatureId, rows: &[u32]) -> Vec<CofiringFeature> {
        let n_looked_at = rows.len().min(COFIRING_ROWS);
        let mut touched = Vec::new();
        for i in 0..n_looked_at {
            let row = rows[(i as u64 * rows.len() as u64 / n_looked_at as u64) as usize] as usize;
            let range = self.codes.starts[row] as usize..self.codes.starts[row + 1] as usize;
            for &other in &self.codes.features[range] {
                let shared = &mut self.shared_rows[other as usize];
                if *shared == 0 {
                    touched.push(other);
                }
                *shared += 1;
            }
        }
        let scale = rows.len() as f64 / n_looked_at as f64;
        let mut scored = Vec::with_capacity(touched.len());
        for other in touched {
            let shared = f64::from(std::mem::take(&mut self.shared_rows[other as usize])) * scale;
            if other != feature.0 {
                let either = rows.len() as f64 + self.n_active[other as usize] as f64 - shared;
                // An estimate may overshoot; the index never exceeds 1.
                scored.push(((shared / either.max(shared)) as f32, other));
            }
        }
        let best_first = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > N_COFIRING {
            scored.select_nth_unstable_by(N_COFIRING, best_first);
            scored.truncate(N_COFIRING);
        }
        scored.sort_unstable_by(best_first);
        scored
            .into_iter()
            .map(|(jaccard, other)| CofiringFeature {
                feature: FeatureId(other),
                jaccard,
            })
            .collect()
    }
}

fn histogram(values: &[f32], max: f32) -> Vec<u32> {
    let mut counts = vec![0_u32; N_BINS];
    for &value in values {
        let bin = (f64::from(value) / f64::from(max) * N_BINS as f64) as usize;
        counts[bin.min(N_BINS - 1)] += 1;
    }
    counts
}

/// A number that looks random, by the finaliser of `SplitMix64`.
fn draw(seed: u64, feature: u32, sample: u32) -> u64 {
    let mix = |mut z: u64| {
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(seed) ^ (u64::from(feature) << 32 | u64::from(sample)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_counts_every_value_once() {
        let counts = histogram(&[0.01, 1.0, 3.99, 4.0, 2.0], 4.0);
        assert_eq!(counts.iter().sum::<u32>(), 5);
        assert_eq!((counts[0], counts[8], counts[16], counts[31]), (1, 1, 1, 2));
    }

    #[test]
    fn bands_are_equal_and_depend_on_the_seed() {
        let maxima: Vec<ExampleRef> = (0..100)
            .map(|i| ExampleRef {
                sample: i,
                position: 0,
                activation: 100.0 - i as f32,
            })
            .collect();
        let bands = |seed| {
            let summariser = Summariser {
                places: &[],
                codes: CodesByRow {
                    starts: &[],
                    features: &[],
                },
                n_active: &[],
                n_samples: 100,
                seed,
                shared_rows: Vec::new(),
            };
            summariser.quantiles(FeatureId(3), &maxima)
        };
        let drawn = bands(1);
        assert_eq!(drawn.len(), N_BANDS);
        for (i, band) in drawn.iter().enumerate() {
            assert_eq!(band.len(), N_PER_BAND);
            let range = 20 * i as u32..20 * (i as u32 + 1);
            assert!(band.iter().all(|example| range.contains(&example.sample)));
            assert!(band.is_sorted_by(|a, b| a.activation >= b.activation));
        }
        assert_eq!(drawn, bands(1));
        assert_ne!(drawn, bands(2));
    }
}
