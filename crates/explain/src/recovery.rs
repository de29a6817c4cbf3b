//! Did a planted concept get a feature of its own? Best F1 of a single feature.
//!
//! Feature and threshold are chosen on training samples, F1 is measured on held-out ones. The
//! same figure for a random dictionary, for raw dimensions ([`DenseColumns`]) and for shuffled
//! truth ([`shuffled`]) tells how much of it chance would give.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::F1Counts;
use crate::error::{ExplainError, same_length};

/// Highest activation per sample of each of many columns: features, or raw dimensions.
pub trait ColumnSource {
    /// Number of columns.
    fn n_columns(&self) -> u32;
    /// Number of samples.
    fn n_samples(&self) -> usize;
    /// Samples and values of one column; a sample that is not listed has the value 0. Each sample
    /// at most once.
    fn column(&self, column: u32) -> Vec<(u32, f32)>;
}

/// Columns of which only values above 0 are listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseColumns {
    /// Number of samples.
    pub n_samples: usize,
    /// For each feature, its samples and their highest activations.
    pub columns: Vec<Vec<(u32, f32)>>,
}

impl ColumnSource for SparseColumns {
    fn n_columns(&self) -> u32 {
        self.columns.len() as u32
    }

    fn n_samples(&self) -> usize {
        self.n_samples
    }

    fn column(&self, column: u32) -> Vec<(u32, f32)> {
        self.columns[column as usize].clone()
    }
}

/// Raw dimensions, each in both directions: column `2i` is dimension `i`, column `2i + 1` its
/// negative.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseColumns {
    d_model: usize,
    highest: Vec<f32>,
    negated_lowest: Vec<f32>,
}

impl DenseColumns {
    /// From the highest and the lowest value of each dimension over a sample's positions.
    ///
    /// # Shapes
    /// - `highest`, `lowest`: `[n_samples, d_model]`, row-major
    ///
    /// # Errors
    /// [`ExplainError::Length`] if the lengths differ or are no multiple of `d_model`.
    pub fn new(d_model: usize, highest: Vec<f32>, lowest: &[f32]) -> Result<Self, ExplainError> {
        same_length("lowest values", highest.len(), lowest.len())?;
        let n_samples = highest.len().checked_div(d_model).unwrap_or(0);
        same_length(
            "values of all dimensions",
            n_samples * d_model,
            highest.len(),
        )?;
        Ok(Self {
            d_model,
            highest,
            negated_lowest: lowest.iter().map(|value| -value).collect(),
        })
    }
}

impl ColumnSource for DenseColumns {
    fn n_columns(&self) -> u32 {
        2 * self.d_model as u32
    }

    fn n_samples(&self) -> usize {
        self.highest.len().checked_div(self.d_model).unwrap_or(0)
    }

    fn column(&self, column: u32) -> Vec<(u32, f32)> {
        let values = if column.is_multiple_of(2) {
            &self.highest
        } else {
            &self.negated_lowest
        };
        let dimension = column as usize / 2;
        (0..)
            .zip(values.chunks_exact(self.d_model))
            .map(|(sample, row)| (sample, row[dimension]))
            .collect()
    }
}

/// How well the best single column finds a concept.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recovery {
    /// The column chosen on the training samples: a feature, or see [`DenseColumns`].
    pub column: u32,
    /// A sample is said to have the concept where its value is at least this.
    pub threshold: f32,
    /// F1 on the training samples; optimistic, since column and threshold were chosen on them.
    pub train_f1: f64,
    /// F1 on the held-out samples.
    pub f1: f64,
    /// Precision on the held-out samples.
    pub precision: f64,
    /// Recall on the held-out samples.
    pub recall: f64,
    /// Share of the held-out samples that have the concept.
    pub prevalence: f64,
}

/// Finds for each concept the best single column on `train` and measures it on `held_out`.
///
/// Of equally good columns the first is taken, of equally good thresholds the highest; a
/// threshold lies midway between the values it separates. A concept that no training sample has,
/// or that no column finds at all, is `None`.
///
/// # Shapes
/// - `train_truth`, `held_out_truth`: for each concept `[n_samples]` of its side
/// - returns: one per concept
///
/// # Errors
/// [`ExplainError::Length`] if the shapes do not agree; [`ExplainError::NoSuchSample`];
/// [`ExplainError::NotFinite`].
pub fn recover(
    train: &dyn ColumnSource,
    train_truth: &[Vec<bool>],
    held_out: &dyn ColumnSource,
    held_out_truth: &[Vec<bool>],
) -> Result<Vec<Option<Recovery>>, ExplainError> {
    same_length("concepts held out", train_truth.len(), held_out_truth.len())?;
    let n_columns = train.n_columns();
    same_length(
        "columns held out",
        n_columns as usize,
        held_out.n_columns() as usize,
    )?;
    for (train_truth, held_out_truth) in train_truth.iter().zip(held_out_truth) {
        same_length("training truth", train.n_samples(), train_truth.len())?;
        same_length("held-out truth", held_out.n_samples(), held_out_truth.len())?;
    }
    let mut best: Vec<Option<Choice>> = vec![None; train_truth.len()];
    for column in 0..n_columns {
        let mut entries = checked_column(train, column)?;
        // Highest first; equal values by sample, so that the order does not depend on the source.
        entries.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (best, truth) in best.iter_mut().zip(train_truth) {
            if let Some(choice) = best_threshold(column, &entries, truth)
                && best.is_none_or(|best| choice.f1 > best.f1)
            {
                *best = Some(choice);
            }
        }
    }
    best.into_iter()
        .zip(held_out_truth)
        .map(|(choice, truth)| choice.map(|c| measure(c, held_out, truth)).transpose())
        .collect()
}

/// The same truth with its samples in another order: what is found in it is chance.
///
/// # Determinism
/// The order depends on `seed` and the length alone.
pub fn shuffled(truth: &[bool], seed: u64) -> Vec<bool> {
    let mut shuffled = truth.to_vec();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    shuffled
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    column: u32,
    pub(crate) threshold: f32,
    f1: f64,
}

/// The threshold with the highest F1 on a column sorted from the highest value.
pub(crate) fn best_threshold(column: u32, sorted: &[(u32, f32)], truth: &[bool]) -> Option<Choice> {
    let n_with = truth.iter().filter(|&&with| with).count() as u64;
    let mut counts = F1Counts {
        false_negative: n_with,
        ..F1Counts::default()
    };
    let mut best: Option<Choice> = None;
    let mut next = 0;
    for group in sorted.chunk_by(|a, b| a.1 == b.1) {
        for &(sample, _) in group {
            if truth[sample as usize] {
                counts.true_positive += 1;
                counts.false_negative -= 1;
            } else {
                counts.false_positive += 1;
            }
        }
        next += group.len();
        let f1 = counts.f1();
        if f1 > best.map_or(0.0, |best| best.f1) {
            let value = group[0].1;
            let below = match sorted.get(next) {
                Some(&(_, below)) => below,
                None if sorted.len() < truth.len() => 0.0,
                None => value,
            };
            best = Some(Choice {
                column,
                threshold: midway(value, below),
                f1,
            });
        }
    }
    best
}

/// A number above `below` and not above `value`.
fn midway(value: f32, below: f32) -> f32 {
    let middle = below + (value - below) / 2.0;
    if middle > below { middle } else { value }
}

fn measure(
    choice: Choice,
    held_out: &dyn ColumnSource,
    truth: &[bool],
) -> Result<Recovery, ExplainError> {
    let mut values = vec![0.0; truth.len()];
    for (sample, value) in checked_column(held_out, choice.column)? {
        values[sample as usize] = value;
    }
    let mut counts = F1Counts::default();
    for (&value, &with) in values.iter().zip(truth) {
        match (value >= choice.threshold, with) {
            (true, true) => counts.true_positive += 1,
            (true, false) => counts.false_positive += 1,
            (false, true) => counts.false_negative += 1,
            (false, false) => {}
        }
    }
    let n_with = counts.true_positive + counts.false_negative;
    Ok(Recovery {
        column: choice.column,
        threshold: choice.threshold,
        train_f1: choice.f1,
        f1: counts.f1(),
        precision: counts.precision(),
        recall: counts.recall(),
        prevalence: n_with as f64 / truth.len().max(1) as f64,
    })
}

pub(crate) fn checked_column(
    source: &dyn ColumnSource,
    column: u32,
) -> Result<Vec<(u32, f32)>, ExplainError> {
    let entries = source.column(column);
    for &(sample, value) in &entries {
        if sample as usize >= source.n_samples() {
            return Err(ExplainError::NoSuchSample {
                what: "a column",
                sample,
                n_samples: source.n_samples(),
            });
        }
        if !value.is_finite() {
            return Err(ExplainError::NotFinite {
                what: "a column",
                sample: sample as usize,
            });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(n_samples: usize, columns: &[&[(u32, f32)]]) -> SparseColumns {
        SparseColumns {
            n_samples,
            columns: columns.iter().map(|column| column.to_vec()).collect(),
        }
    }

    #[test]
    fn by_hand() {
        // The concept is in samples 0, 1 and 2. Column 0 says 0, 3; column 1 has 0, 1 above 3
        // and 2 below it.
        let truth = [true, true, true, false, false];
        let train = sparse(
            5,
            &[
                &[(0, 1.0), (3, 1.0)],
                &[(0, 4.0), (1, 3.0), (3, 1.0), (4, 0.5)],
            ],
        );
        let held_out = sparse(4, &[&[], &[(0, 2.5), (1, 1.5), (2, 2.0)]]);
        let held_out_truth = [true, true, false, false];
        let found = recover(
            &train,
            &[truth.to_vec()],
            &held_out,
            &[held_out_truth.to_vec()],
        )
        .unwrap()[0]
            .unwrap();
        assert_eq!((found.column, found.threshold), (1, 2.0));
        // On training samples 2 of 3, none wrong.
        assert_eq!(found.train_f1, 0.8);
        // Held out: 2.5 and 2.0 are at least 2; one right, one wrong, one missed.
        assert_eq!((found.f1, found.precision, found.recall), (0.5, 0.5, 0.5));
        assert_eq!(found.prevalence, 0.5);
    }

    #[test]
    fn a_sparse_column_is_cut_above_zero() {
        let train = sparse(4, &[&[(0, 1.0), (1, 2.0)]]);
        let truth = vec![vec![true, true, false, false]];
        let found = recover(&train, &truth, &train, &truth).unwrap()[0].unwrap();
        assert_eq!((found.f1, found.threshold), (1.0, 0.5));
    }

    #[test]
    fn dense_columns_look_both_ways() {
        // Dimension 1 is low exactly where the concept is.
        let rows = vec![0.3, -5.0, 0.3, -4.0, 0.3, 2.0, 0.3, 3.0];
        let columns = DenseColumns::new(2, rows.clone(), &rows).unwrap();
        let truth = vec![vec![true, true, false, false]];
        let found = recover(&columns, &truth, &columns, &truth).unwrap()[0].unwrap();
        assert_eq!((found.column, found.f1), (3, 1.0));
        assert_eq!(found.threshold, 1.0);
        assert!(DenseColumns::new(3, rows.clone(), &rows).is_err());
        assert!(DenseColumns::new(0, rows.clone(), &rows).is_err());
    }

    #[test]
    fn the_best_threshold_equals_trying_all() {
        let values: Vec<f32> = (0..40_u32).map(|i| (i * 29 % 17) as f32 / 4.0).collect();
        let truth: Vec<bool> = (0..40_u32).map(|i| i * 11 % 5 < 2).collect();
        let column: Vec<(u32, f32)> = (0..).zip(values.iter().copied()).collect();
        let source = sparse(40, &[&column]);
        let truths = vec![truth.clone()];
        let found = recover(&source, &truths, &source, &truths).unwrap()[0].unwrap();
        let best = values
            .iter()
            .map(|&threshold| {
                let mut counts = F1Counts::default();
                for (&value, &with) in values.iter().zip(&truth) {
                    match (value >= threshold, with) {
                        (true, true) => counts.true_positive += 1,
                        (true, false) => counts.false_positive += 1,
                        (false, true) => counts.false_negative += 1,
                        (false, false) => {}
                    }
                }
                counts.f1()
            })
            .fold(0.0, f64::max);
        assert_eq!((found.train_f1, found.f1), (best, best));
    }

    #[test]
    fn shuffled_truth_is_chance() {
        let n = 400;
        let truth: Vec<bool> = (0..n).map(|i| i % 5 == 0).collect();
        let column: Vec<(u32, f32)> = (0..n as u32)
            .filter(|i| i.is_multiple_of(5))
            .map(|i| (i, 1.0))
            .collect();
        let source = sparse(n, &[&column]);
        let control = shuffled(&truth, 3);
        assert_eq!(control, shuffled(&truth, 3));
        assert_ne!(control, shuffled(&truth, 4));
        assert_eq!(control.iter().filter(|&&with| with).count(), 80);
        let truths = vec![truth, control];
        let found = recover(&source, &truths, &source, &truths).unwrap();
        assert_eq!(found[0].unwrap().f1, 1.0);
        assert!(found[1].unwrap().f1 < 0.4);
    }

    #[test]
    fn wrong_input_is_an_error_and_absence_is_none() {
        let source = sparse(2, &[&[(0, 1.0)]]);
        let nobody = vec![vec![false, false]];
        assert_eq!(recover(&source, &nobody, &source, &nobody), Ok(vec![None]));
        assert!(recover(&source, &[vec![true]], &source, &nobody).is_err());
        assert!(recover(&source, &nobody, &source, &[]).is_err());
        assert!(recover(&source, &nobody, &sparse(2, &[]), &nobody).is_err());
        let beyond = sparse(2, &[&[(7, 1.0)]]);
        assert!(recover(&beyond, &nobody, &source, &nobody).is_err());
        let broken = sparse(2, &[&[(0, f32::NAN)]]);
        assert!(recover(&broken, &nobody, &source, &nobody).is_err());
    }
}
