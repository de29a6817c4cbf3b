//! The map of decoder directions: the plane in which the unit decoder rows differ most.
//!
//! Principal components of the rows, each scaled to length 1 and the mean taken away, by power
//! iteration from a seeded start. Sums run over fixed blocks of rows, so that the same dictionary
//! gives the same map whatever the number of threads.

use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::SparseAutoencoder;

use crate::error::{EngineError, Result};
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::{FeaturePlot, FeaturePoints};

/// Rounds of the power iteration at most.
const MAX_ROUNDS: u64 = 60;
/// Cosine of two rounds' directions above which the iteration has settled.
const SETTLED: f64 = 1.0 - 1e-9;
/// Rows whose sum is made by one task.
const BLOCK: usize = 1024;
/// Seed of the start.
const SEED: u64 = 0;

impl Session {
    /// Computes the map of a dictionary's decoder directions and keeps it, unless it is there.
    ///
    /// # Errors
    /// When the dictionary has no index, the job is stopped, or the map cannot be kept.
    ///
    /// # Determinism
    /// The same dictionary gives the same map.
    pub fn map_directions(&self, sae: &str, job: &JobContext) -> Result<Arc<FeaturePoints>> {
        let plot = FeaturePlot::Directions;
        if let Some(known) = self.feature_points(sae, plot)? {
            return Ok(known);
        }
        let indexed = self.indexed(sae)?;
        let points = principal_plane(&indexed.dictionary.sae, job)?;
        let content = serde_json::to_vec(&points)
            .map_err(|error| EngineError::other(format!("cannot write the map: {error}")))?;
        self.project.keep_plot(&plot_name(&indexed), &content)?;
        Ok(self.galleries.keep_points(sae, plot, points))
    }

    /// The map as it was kept.
    pub(super) fn kept_directions(&self, indexed: &IndexedDictionary) -> Option<FeaturePoints> {
        let content = self.project.kept_plot(&plot_name(indexed))?;
        let points: FeaturePoints = serde_json::from_slice(&content).ok()?;
        let n_features = indexed.index.n_features() as usize;
        (points.x.len() == n_features && points.y.len() == n_features).then_some(points)
    }
}

fn plot_name(indexed: &IndexedDictionary) -> String {
    format!("directions-{}", indexed.dictionary.hash)
}

/// Unit decoder rows without their mean; rows of zeros stay where they are.
struct Directions<'a> {
    sae: &'a SparseAutoencoder,
    /// 1 / length of each row.
    scales: Vec<f64>,
    mean: Vec<f64>,
}

impl<'a> Directions<'a> {
    fn new(sae: &'a SparseAutoencoder) -> Self {
        let scales = (0..sae.n_features())
            .into_par_iter()
            .map(|feature| {
                let row = sae.decoder_row(feature as u32);
                let square: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
                if square > 0.0 {
                    square.sqrt().recip()
                } else {
                    0.0
                }
            })
            .collect();
        let mut directions = Self {
            sae,
            scales,
            mean: vec![0.0; sae.d_model()],
        };
        let n = (sae.n_features() as f64).max(1.0);
        let mut mean = directions.weighted(|_| 1.0);
        for value in &mut mean {
            *value /= n;
        }
        directions.mean = mean;
        directions
    }

    /// Sum of the rows, each times its weight.
    fn weighted(&self, weight: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
        let n = self.sae.n_features();
        let blocks: Vec<Vec<f64>> = (0..n.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let mut sum = vec![0.0; self.sae.d_model()];
                for feature in block * BLOCK..n.min((block + 1) * BLOCK) {
                    let (by, scale) = (weight(feature), self.scales[feature]);
                    let row = self.sae.decoder_row(feature as u32);
                    for ((slot, &x), mean) in sum.iter_mut().zip(row).zip(&self.mean) {
                        *slot += by * (f64::from(x) * scale - mean);
                    }
                }
                sum
            })
            .collect();
        let mut sum = vec![0.0; self.sae.d_model()];
        for block in blocks {
            sum.iter_mut().zip(block).for_each(|(slot, x)| *slot += x);
        }
        sum
    }

    /// Coordinate of every row along a direction.
    fn along(&self, direction: &[f64]) -> Vec<f64> {
        let offset = dot(&self.mean, direction);
        (0..self.sae.n_features())
            .into_par_iter()
            .map(|feature| {
                let row = self.sae.decoder_row(feature as u32);
                let own: f64 = row
                    .iter()
                    .zip(direction)
                    .map(|(&x, y)| f64::from(x) * y)
                    .sum();
                own * self.scales[feature] - offset
            })
            .collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Takes the part along `other` away and scales to length 1; zeros stay.
fn unit_beside(vector: &mut [f64], other: Option<&[f64]>) {
    if let Some(other) = other {
        let along = dot(vector, other);
        let pairs = vector.iter_mut().zip(other);
        pairs.for_each(|(x, y)| *x -= along * y);
    }
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        for x in vector {
            *x /= length;
        }
    }
}

fn principal_plane(sae: &SparseAutoencoder, job: &JobContext) -> Result<FeaturePoints> {
    let directions = Directions::new(sae);
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for axis in 0..2 {
        let first = axes.first().cloned();
        let mut direction: Vec<f64> = (0..sae.d_model())
            .map(|_| random.random_range(-1.0..1.0))
            .collect();
        unit_beside(&mut direction, first.as_deref());
        for round in 0..MAX_ROUNDS {
            job.check_cancelled()?;
            let done = axis * MAX_ROUNDS + round;
            job.report("Mapping directions", done, 2 * MAX_ROUNDS, "rounds");
            let along = directions.along(&direction);
            let mut next = directions.weighted(|feature| along[feature]);
            unit_beside(&mut next, first.as_deref());
            let agreement = dot(&next, &direction);
            direction = next;
            if agreement > SETTLED {
                break;
            }
        }
        // Of two opposite directions, always the same one.
        let largest =
            direction.iter().copied().fold(
                0.0_f64,
                |best, x| if x.abs() > best.abs() { x } else { best },
            );
        if largest < 0.0 {
            for x in &mut direction {
                *x = -*x;
            }
        }
        axes.push(direction);
    }
    // Two variances that are nearly alike may come out in either order.
    let spread = |axis: &[f64]| {
        let along = directions.along(axis);
        dot(&along, &along)
    };
    if spread(&axes[1]) > spread(&axes[0]) {
        axes.swap(0, 1);
    }
    let total: f64 = directions
        .scales
        .iter()
        .filter(|&&scale| scale > 0.0)
        .count() as f64
        - dot(&directions.mean, &directions.mean) * sae.n_features() as f64;
    let x = directions.along(&axes[0]);
    let y = directions.along(&axes[1]);
    let share = |along: &[f64]| (dot(along, along) / total.max(1e-12)) as f32;
    Ok(FeaturePoints {
        variance: Some([share(&x), share(&y)]),
        x: x.into_iter().map(|value| value as f32).collect(),
        y: y.into_iter().map(|value| value as f32).collect(),
    })
}

#[cfg(test)]
mod tests {
    use sae::SaeParts;

    use super::*;

    #[test]
    fn the_map_shows_the_two_directions_in_which_rows_differ_most() {
        // Rows along ±e0 (most), ±e1 (some); the length of a row does not matter.
        let mut rows: Vec<f32> = Vec::new();
        for i in 0..60_u32 {
            let (axis, sign) = match i % 6 {
                0 | 2 => (0, 1.0),
                1 | 3 => (0, -1.0),
                4 => (1, 1.0),
                _ => (1, -1.0),
            };
            let mut row = [0.0; 4];
            row[axis] = sign * (1.0 + i as f32);
            rows.extend(row);
        }
        let parts = SaeParts {
            d_model: 4,
            n_features: 60,
            w_dec: rows,
            ..crate::gallery::tests::parts(4, 60)
        };
        let sae = SparseAutoencoder::new(parts).unwrap();
        let points = principal_plane(&sae, &JobContext::silent()).unwrap();
        let variance = points.variance.unwrap();
        assert!((variance[0] - 2.0 / 3.0).abs() < 1e-4, "{variance:?}");
        assert!((variance[1] - 1.0 / 3.0).abs() < 1e-4, "{variance:?}");
        for feature in 0..60 {
            let (x, y) = (points.x[feature].abs(), points.y[feature].abs());
            let wanted = if feature % 6 < 4 {
                (1.0, 0.0)
            } else {
                (0.0, 1.0)
            };
            assert!((x - wanted.0).abs() < 1e-3 && (y - wanted.1).abs() < 1e-3);
        }
        assert_eq!(
            points,
            principal_plane(&sae, &JobContext::silent()).unwrap()
        );
    }
}
