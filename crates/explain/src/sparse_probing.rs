//! Sparse probing: how well the best few columns together tell who has a concept.

use crate::auroc::WeightedAuroc;
use crate::error::{ExplainError, same_length};
use crate::recovery::{best_threshold, checked_column};
use crate::{ColumnSource, F1Counts, Logistic};

/// Weight of the ridge; columns are standardised first.
const RIDGE: f64 = 1.0;

/// How far apart a column is between samples with and without a concept.
#[derive(Debug, Clone, Copy)]
struct Apart {
    column: u32,
    distance: f64,
}

/// The columns that differ most between samples with and without each concept, best first.
///
/// `|mean with − mean without| / standard deviation over all samples`; of equal ones the lower
/// number first. Columns that never differ are left out.
///
/// # Shapes
/// - each truth: `[n_samples]`
/// - returns: for each concept at most `n` columns
///
/// # Errors
/// [`ExplainError::Length`]; [`ExplainError::NoSuchSample`]; [`ExplainError::NotFinite`].
///
/// # Source
/// Maximum mean difference of Gurnee et al. 2023 (arXiv 2305.01610), as in `SAEBench`. Differs: it is
/// divided by the standard deviation, so that columns in other units compare.
///
/// # Example
/// Columns `[1,1,0,0]` and `[4,0,0,0]`, concept on the first two: distances 1/0.5 = 2 and
/// 2/1.73 = 1.15, so column 0 comes first.
pub fn rank_columns(
    source: &dyn ColumnSource,
    truths: &[Vec<bool>],
    n: usize,
) -> Result<Vec<Vec<u32>>, ExplainError> {
    let n_samples = source.n_samples();
    let mut sizes = Vec::with_capacity(truths.len());
    for truth in truths {
        same_length("truth of a probe", n_samples, truth.len())?;
        let n_with = truth.iter().filter(|&&with| with).count();
        sizes.push((n_with as f64, (n_samples - n_with) as f64));
    }
    let mut best: Vec<Vec<Apart>> = vec![Vec::new(); truths.len()];
    for column in 0..source.n_columns() {
        let entries = checked_column(source, column)?;
        let (mut sum, mut squares) = (0.0, 0.0);
        for &(_, value) in &entries {
            sum += f64::from(value);
            squares += f64::from(value) * f64::from(value);
        }
        let mean = sum / n_samples as f64;
        let deviation = (squares / n_samples as f64 - mean * mean).max(0.0).sqrt();
        if deviation <= 1e-6 * mean.abs() || deviation.is_nan() {
            continue;
        }
        for ((best, truth), &(n_with, n_without)) in best.iter_mut().zip(truths).zip(&sizes) {
            let with: f64 = entries
                .iter()
                .filter(|&&(sample, _)| truth[sample as usize])
                .map(|&(_, value)| f64::from(value))
                .sum();
            let distance = (with / n_with - (sum - with) / n_without).abs() / deviation;
            if distance > 0.0 {
                let at = best.partition_point(|known| known.distance >= distance);
                if at < n {
                    best.insert(at, Apart { column, distance });
                    best.truncate(n);
                }
            }
        }
    }
    Ok(best
        .into_iter()
        .map(|best| best.into_iter().map(|apart| apart.column).collect())
        .collect())
}

/// A logistic probe on a few columns.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseProbe {
    columns: Vec<u32>,
    /// Mean and standard deviation of each column on the training samples.
    scales: Vec<[f64; 2]>,
    model: Logistic,
    threshold: f32,
}

impl SparseProbe {
    /// Fits the probe, and the threshold with the highest F1, on training samples.
    ///
    /// # Shapes
    /// - `truth`: `[n_samples]`
    ///
    /// # Errors
    /// As [`rank_columns`].
    pub fn fit(
        source: &dyn ColumnSource,
        columns: &[u32],
        truth: &[bool],
    ) -> Result<Self, ExplainError> {
        same_length("truth of a probe", source.n_samples(), truth.len())?;
        let values = dense(source, columns)?;
        let n = truth.len().max(1) as f64;
        let scales: Vec<[f64; 2]> = (0..columns.len())
            .map(|at| {
                let each = || values.chunks_exact(columns.len()).map(move |row| row[at]);
                let mean = each().sum::<f64>() / n;
                let variance = each().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
                [mean, variance.sqrt().max(1e-12)]
            })
            .collect();
        let mut rows = values;
        scale(&mut rows, &scales);
        let mut probe = Self {
            model: Logistic::fit(columns.len(), &rows, truth, RIDGE)?,
            columns: columns.to_vec(),
            scales,
            threshold: 0.0,
        };
        let mut sorted: Vec<(u32, f32)> = (0..).zip(probe.logits(&rows, truth.len())).collect();
        sorted.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        probe.threshold = best_threshold(0, &sorted, truth).map_or(0.0, |best| best.threshold);
        Ok(probe)
    }

    /// Log odds of the concept, `[n_samples]`.
    ///
    /// # Errors
    /// As [`rank_columns`].
    pub fn scores(&self, source: &dyn ColumnSource) -> Result<Vec<f32>, ExplainError> {
        let mut rows = dense(source, &self.columns)?;
        scale(&mut rows, &self.scales);
        Ok(self.logits(&rows, source.n_samples()))
    }

    /// Whether a score says that the concept is there.
    pub fn says(&self, score: f32) -> bool {
        score >= self.threshold
    }

    /// The direction it reads in units of the columns, one number for each.
    pub fn direction(&self) -> Vec<f64> {
        let weights = self.model.weights.iter().zip(&self.scales);
        weights
            .map(|(weight, [_, deviation])| weight / deviation)
            .collect()
    }

    /// The columns it reads.
    pub fn columns(&self) -> &[u32] {
        &self.columns
    }

    fn logits(&self, rows: &[f64], n: usize) -> Vec<f32> {
        let d = self.columns.len();
        (0..n)
            .map(|i| self.model.logit(&rows[i * d..(i + 1) * d]) as f32)
            .collect()
    }
}

/// What a probe reaches on samples that it was not fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeOutcome {
    said: Vec<bool>,
    truth: Vec<bool>,
    area: WeightedAuroc,
}

impl ProbeOutcome {
    /// Judges a probe.
    ///
    /// # Shapes
    /// - `truth`: `[n_samples]`
    ///
    /// # Errors
    /// As [`rank_columns`].
    pub fn new(
        probe: &SparseProbe,
        held_out: &dyn ColumnSource,
        truth: &[bool],
    ) -> Result<Self, ExplainError> {
        let scores = probe.scores(held_out)?;
        Ok(Self {
            area: WeightedAuroc::new(&scores, truth)?,
            said: scores.iter().map(|&score| probe.says(score)).collect(),
            truth: truth.to_vec(),
        })
    }

    /// What it said of each sample.
    pub fn said(&self) -> &[bool] {
        &self.said
    }

    /// AUROC with each sample counted `weights` times; `None` where one group is empty.
    pub fn auroc(&self, weights: &[u32]) -> Option<f64> {
        self.area.value(weights)
    }

    /// F1 with each sample counted `weights` times.
    ///
    /// # Example
    /// Said of samples 0 and 1, true of 0 and 2: 1/2; with sample 0 counted twice 4/6.
    pub fn f1(&self, weights: &[u32]) -> f64 {
        F1Counts::weighted(&self.said, &self.truth, weights).f1()
    }
}

/// `[n_samples, columns.len()]`, row-major.
fn dense(source: &dyn ColumnSource, columns: &[u32]) -> Result<Vec<f64>, ExplainError> {
    let mut values = vec![0.0; source.n_samples() * columns.len()];
    for (at, &column) in columns.iter().enumerate() {
        for (sample, value) in checked_column(source, column)? {
            values[sample as usize * columns.len() + at] = f64::from(value);
        }
    }
    Ok(values)
}

fn scale(rows: &mut [f64], scales: &[[f64; 2]]) {
    if !scales.is_empty() {
        for row in rows.chunks_exact_mut(scales.len()) {
            for (value, [mean, deviation]) in row.iter_mut().zip(scales) {
                *value = (*value - mean) / deviation;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SparseColumns;

    fn columns(columns: &[&[f32]]) -> SparseColumns {
        SparseColumns {
            n_samples: columns[0].len(),
            columns: columns
                .iter()
                .map(|values| {
                    let listed = (0..).zip(values.iter().copied());
                    listed.filter(|&(_, value)| value != 0.0).collect()
                })
                .collect(),
        }
    }

    #[test]
    fn ranked_by_hand() {
        let source = columns(&[&[1.0, 1.0, 0.0, 0.0], &[4.0, 0.0, 0.0, 0.0], &[0.0; 4]]);
        let truth = vec![true, true, false, false];
        assert_eq!(
            rank_columns(&source, std::slice::from_ref(&truth), 5).unwrap(),
            [[0, 1]]
        );
        assert_eq!(rank_columns(&source, &[truth], 1).unwrap(), [[0]]);
        assert!(rank_columns(&source, &[vec![true]], 1).is_err());
        // Nobody has it: no column differs.
        let nobody = rank_columns(&source, &[vec![false; 4]], 1).unwrap();
        assert!(nobody[0].is_empty());
    }

    #[test]
    fn two_columns_tell_what_neither_does_alone() {
        // Each column is active on half of the samples with the concept.
        let first: Vec<f32> = (0..40).map(|i| f32::from(u8::from(i < 10))).collect();
        let second: Vec<f32> = (0..40)
            .map(|i| f32::from(u8::from((10..20).contains(&i))))
            .collect();
        let noise: Vec<f32> = (0..40_u8).map(|i| f32::from(i % 4)).collect();
        let truth: Vec<bool> = (0..40).map(|i| i < 20).collect();
        let source = columns(&[&noise, &first, &second]);
        let ranked = rank_columns(&source, std::slice::from_ref(&truth), 2).unwrap();
        assert_eq!(ranked, [[1, 2]]);
        let ones = vec![1; 40];
        let judged = |columns: &[u32]| {
            let probe = SparseProbe::fit(&source, columns, &truth).unwrap();
            let outcome = ProbeOutcome::new(&probe, &source, &truth).unwrap();
            (outcome.auroc(&ones).unwrap(), outcome.f1(&ones))
        };
        // Ten found and ten tied with the twenty without: (1 + ½) / 2. All said is F1 2/3.
        let (area, f1) = judged(&ranked[0][..1]);
        assert_eq!(area, 0.75);
        assert!((f1 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(judged(&ranked[0]), (1.0, 1.0));
    }

    #[test]
    fn weights_count_samples_several_times() {
        let source = columns(&[&[2.0, 1.0, 0.0, 0.0]]);
        let probe = SparseProbe {
            columns: vec![0],
            scales: vec![[0.0, 1.0]],
            model: Logistic {
                weights: vec![1.0],
                bias: 0.0,
            },
            threshold: 0.5,
        };
        let truth = [true, false, true, false];
        let outcome = ProbeOutcome::new(&probe, &source, &truth).unwrap();
        assert_eq!(outcome.f1(&[1; 4]), 0.5);
        assert_eq!(outcome.f1(&[2, 1, 1, 1]), 4.0 / 6.0);
        // Pairs of 0 and 2 with 1 and 3: won, won; lost, tied.
        assert_eq!(outcome.auroc(&[1; 4]), Some(0.625));
        assert_eq!(outcome.auroc(&[3, 1, 1, 1]), Some(6.5 / 8.0));
        assert_eq!(outcome.auroc(&[0, 1, 0, 1]), None);
    }
}
