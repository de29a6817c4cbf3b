//! Area under the ROC curve, exact with ties, and its interval.

use crate::error::{ExplainError, all_finite, same_length};
use crate::two_by_two::Z_975;

/// An area under the ROC curve and its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AurocEstimate {
    /// The area.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// 95 % interval, cut off at 0 and 1.
    pub interval: [f64; 2],
}

/// Probability that a random sample with the name scores higher than a random one without it;
/// ties count half (the Mann-Whitney statistic). `None` if one of the two groups is empty.
///
/// # Errors
/// [`ExplainError::Length`]; [`ExplainError::NotFinite`].
///
/// # Example
/// Scores 0.9, 0.8, 0.3 with and 0.5, 0.2 without give 5/6.
pub fn auroc(scores: &[f32], with: &[bool]) -> Result<Option<f64>, ExplainError> {
    check(scores, with)?;
    let ranks = midranks(scores);
    let n_with = with.iter().filter(|&&with| with).count();
    let sum = ranks
        .iter()
        .zip(with)
        .filter(|&(_, &with)| with)
        .map(|(rank, _)| rank)
        .sum();
    Ok(area(sum, n_with, scores.len()))
}

/// Area and 95 % interval by `DeLong`, from one sort. `None` if one of the two groups has fewer
/// than two samples.
///
/// # Errors
/// [`ExplainError::Length`]; [`ExplainError::NotFinite`].
///
/// # Source
/// `DeLong` et al. 1988 in the fast form of Sun and Xu 2014. The variance is 0 where the groups
/// are apart, so the interval is then a point: it says nothing about few samples.
///
/// # Example
/// Scores 0.9, 0.8, 0.3 with and 0.5, 0.2 without: variance 1/18.
pub fn auroc_interval(
    scores: &[f32],
    with: &[bool],
) -> Result<Option<AurocEstimate>, ExplainError> {
    check(scores, with)?;
    Ok(Ties::new(scores, with).estimate())
}

/// Samples by score, lowest first, in groups of equal scores: how many have the name, how many do
/// not. One sort gives the area and its interval.
pub(crate) struct Ties(Vec<[f64; 2]>);

impl Ties {
    /// Sorts the samples; `scores` and `with` are as long as each other.
    pub(crate) fn new(scores: &[f32], with: &[bool]) -> Self {
        let mut order: Vec<(f32, bool)> =
            scores.iter().copied().zip(with.iter().copied()).collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // `==` and not the order's total comparison: 0 and −0 are equal.
        let groups = order.chunk_by(|a, b| a.0 == b.0).map(|group| {
            let n_with = group.iter().filter(|&&(_, with)| with).count();
            [n_with as f64, (group.len() - n_with) as f64]
        });
        Self(groups.collect())
    }

    fn totals(&self) -> [f64; 2] {
        let sum = |sums: [f64; 2], group: &[f64; 2]| [sums[0] + group[0], sums[1] + group[1]];
        self.0.iter().fold([0.0; 2], sum)
    }

    /// As [`auroc`].
    pub(crate) fn area(&self) -> Option<f64> {
        let [n_with, n_without] = self.totals();
        let (mut below, mut sum_of_ranks) = (0.0, 0.0);
        for [with, without] in &self.0 {
            let n = with + without;
            sum_of_ranks += with * (below + f64::midpoint(n, 1.0));
            below += n;
        }
        area(sum_of_ranks, n_with as usize, (n_with + n_without) as usize)
    }

    /// As [`auroc_interval`].
    pub(crate) fn estimate(&self) -> Option<AurocEstimate> {
        let [n_with, n_without] = self.totals();
        if n_with < 2.0 || n_without < 2.0 {
            return None;
        }
        // By group: the shares of the other kind that a sample of either kind is on the right side
        // of.
        let mut below = [0.0; 2];
        let shares: Vec<[f64; 2]> = self
            .0
            .iter()
            .map(|[with, without]| {
                let won = (below[1] + without / 2.0) / n_without;
                let lost = (below[0] + with / 2.0) / n_with;
                below = [below[0] + with, below[1] + without];
                [won, 1.0 - lost]
            })
            .collect();
        let each = || self.0.iter().zip(&shares);
        let value = each().map(|(n, share)| n[0] * share[0]).sum::<f64>() / n_with;
        let variance = |kind: usize, n_of_kind: f64| {
            let squares = each().map(|(n, share)| n[kind] * (share[kind] - value).powi(2));
            squares.sum::<f64>() / (n_of_kind - 1.0)
        };
        let standard_error =
            (variance(0, n_with) / n_with + variance(1, n_without) / n_without).sqrt();
        Some(AurocEstimate {
            value,
            standard_error,
            interval: [
                (value - Z_975 * standard_error).max(0.0),
                (value + Z_975 * standard_error).min(1.0),
            ],
        })
    }
}

/// An area under the ROC curve whose samples are counted several times: sorted once, resampled often.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedAuroc {
    /// Samples by score, lowest first, in groups of equal scores.
    groups: Vec<Vec<u32>>,
    with: Vec<bool>,
}

impl WeightedAuroc {
    /// Sorts the samples.
    ///
    /// # Shapes
    /// - `scores`, `with`: `[n_samples]`
    ///
    /// # Errors
    /// [`ExplainError::Length`]; [`ExplainError::NotFinite`].
    pub fn new(scores: &[f32], with: &[bool]) -> Result<Self, ExplainError> {
        check(scores, with)?;
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        let score = |sample: u32| scores[sample as usize];
        order.sort_by(|&a, &b| score(a).total_cmp(&score(b)));
        Ok(Self {
            groups: order
                .chunk_by(|&a, &b| score(a) == score(b))
                .map(<[u32]>::to_vec)
                .collect(),
            with: with.to_vec(),
        })
    }

    /// The area with each sample counted `weights` times, `[n_samples]`; `None` where one of the
    /// two groups is empty.
    ///
    /// # Example
    /// Scores 2, 1, 0, 0 of which the first and third have the name: 2.5 of 4 pairs; with the first
    /// counted three times 6.5 of 8.
    pub fn value(&self, weights: &[u32]) -> Option<f64> {
        let (mut n_with, mut below, mut won) = (0.0, 0.0, 0.0);
        for group in &self.groups {
            let (mut here, mut others) = (0.0, 0.0);
            for &sample in group {
                let weight = f64::from(weights[sample as usize]);
                if self.with[sample as usize] {
                    here += weight;
                } else {
                    others += weight;
                }
            }
            won += here * (below + others / 2.0);
            n_with += here;
            below += others;
        }
        (n_with > 0.0 && below > 0.0).then(|| won / (n_with * below))
    }
}

/// Area from the sum of the midranks of the samples with the name.
pub(crate) fn area(sum_of_ranks: f64, n_with: usize, n: usize) -> Option<f64> {
    let n_without = n - n_with;
    if n_with == 0 || n_without == 0 {
        return None;
    }
    let (n_with, n_without) = (n_with as f64, n_without as f64);
    Some((sum_of_ranks - n_with * (n_with + 1.0) / 2.0) / (n_with * n_without))
}

/// Ranks from 1, equal values sharing the mean of theirs.
pub(crate) fn midranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    // `==` and not the order's total comparison: 0 and −0 are equal.
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let end = start + group.len();
        for &i in group {
            ranks[i] = (start + end + 1) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

fn check(scores: &[f32], with: &[bool]) -> Result<(), ExplainError> {
    same_length("truth of the ROC curve", scores.len(), with.len())?;
    all_finite("scores of the ROC curve", scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 5] = [0.9, 0.8, 0.3, 0.5, 0.2];
    const WITH: [bool; 5] = [true, true, true, false, false];

    #[test]
    fn by_hand() {
        assert_eq!(auroc(&SCORES, &WITH), Ok(Some(5.0 / 6.0)));
        let estimate = auroc_interval(&SCORES, &WITH).unwrap().unwrap();
        assert!((estimate.value - 5.0 / 6.0).abs() < 1e-12);
        assert!((estimate.standard_error.powi(2) - 1.0 / 18.0).abs() < 1e-12);
        assert_eq!(estimate.interval[1], 1.0);
    }

    #[test]
    fn ties_count_half() {
        let scores = [0.0, 0.0, 1.0, -0.0];
        let with = [true, false, true, false];
        // Pairs: 0 vs 0 half, 0 vs −0 half, 1 vs both.
        assert_eq!(auroc(&scores, &with), Ok(Some(0.75)));
        assert_eq!(auroc(&[1.0; 4], &with), Ok(Some(0.5)));
    }

    #[test]
    fn equals_counting_pairs() {
        let scores: Vec<f32> = (0..60_u32).map(|i| (i * 37 % 11) as f32).collect();
        let with: Vec<bool> = (0..60_u32).map(|i| i * 13 % 7 < 3).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for i in 0..60 {
            for j in 0..60 {
                if with[i] && !with[j] {
                    pairs += 1.0;
                    if scores[i] > scores[j] {
                        won += 1.0;
                    } else if scores[i] == scores[j] {
                        won += 0.5;
                    }
                }
            }
        }
        let got = auroc(&scores, &with).unwrap().unwrap();
        let weighted = WeightedAuroc::new(&scores, &with).unwrap();
        assert!((weighted.value(&[1; 60]).unwrap() - got).abs() < 1e-12);
        assert_eq!(Ties::new(&scores, &with).area(), Some(got));
        assert!((got - won / pairs).abs() < 1e-12);
        let estimate = auroc_interval(&scores, &with).unwrap().unwrap();
        assert!((estimate.value - got).abs() < 1e-12);
    }

    #[test]
    fn one_group_has_no_area() {
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), Ok(None));
        assert_eq!(auroc(&[], &[]), Ok(None));
        assert_eq!(auroc_interval(&[1.0, 2.0], &[true, false]), Ok(None));
        assert!(auroc(&[f32::NAN, 0.0], &[true, false]).is_err());
        assert!(auroc(&[0.0], &[true, false]).is_err());
    }
}
