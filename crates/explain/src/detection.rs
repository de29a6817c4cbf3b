//! How well a judge who is told an explanation tells where a feature is active.

use crate::auroc::auroc;
use crate::{ClusterBootstrap, F1Counts};

/// Predictions above this say that the feature is active.
const SAYS_SO: f64 = 0.5;

/// What a judge's answers on some cases come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Detection {
    /// Active, and said to be.
    pub n_found: u32,
    /// Silent, and said to be.
    pub n_spared: u32,
    /// Silent, but said to be active.
    pub n_false: u32,
    /// Active, but said to be silent.
    pub n_missed: u32,
    /// Answers that could not be read; in none of the figures.
    pub n_unparsed: u32,
    /// Area under the ROC curve of the predictions; `None` where one kind of case is missing.
    pub auc: Option<f64>,
}

impl Detection {
    /// Counts predictions in 0 to 1, or `None` where an answer could not be read, against the truth.
    /// One above 0.5 says that the feature is active.
    ///
    /// # Source
    /// Delphi's detection and fuzzing; answers that failed are dropped there too.
    ///
    /// # Example
    /// Of two active cases one is found, of two silent ones both are spared:
    /// ```
    /// use explain::Detection;
    ///
    /// let said = [Some(0.9), Some(0.2), Some(0.1), Some(0.4), None];
    /// let score = Detection::of(&[true, true, false, false, true], &said);
    /// assert_eq!(score.recall(), Some(0.5));
    /// assert_eq!(score.specificity(), Some(1.0));
    /// assert_eq!(score.balanced_accuracy(), Some(0.75));
    /// assert_eq!(score.precision(), Some(1.0));
    /// assert_eq!(score.f1(), Some(2.0 / 3.0));
    /// assert_eq!(score.auc, Some(0.75));
    /// assert_eq!(score.n_unparsed, 1);
    /// ```
    pub fn of(is_active: &[bool], said: &[Option<f64>]) -> Self {
        let mut score = Self::default();
        let mut read = Vec::new();
        let mut truth = Vec::new();
        for (&active, said) in is_active.iter().zip(said) {
            let Some(said) = said.filter(|value| value.is_finite()) else {
                score.n_unparsed += 1;
                continue;
            };
            read.push(said as f32);
            truth.push(active);
            match (active, said > SAYS_SO) {
                (true, true) => score.n_found += 1,
                (false, false) => score.n_spared += 1,
                (false, true) => score.n_false += 1,
                (true, false) => score.n_missed += 1,
            }
        }
        score.auc = auroc(&read, &truth).ok().flatten();
        score
    }

    /// Share of active cases that were found; `None` without such cases.
    pub fn recall(&self) -> Option<f64> {
        share(self.n_found, self.n_found + self.n_missed)
    }

    /// Share of silent cases that were said to be silent; `None` without such cases.
    pub fn specificity(&self) -> Option<f64> {
        share(self.n_spared, self.n_spared + self.n_false)
    }

    /// Share of those said to be active that are; `None` where none was.
    pub fn precision(&self) -> Option<f64> {
        share(self.n_found, self.n_found + self.n_false)
    }

    /// Mean of recall and specificity: 0.5 is chance; `None` where one kind of case is missing.
    /// Delphi calls it accuracy, and takes 0 for what is missing.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some(0.5 * (self.recall()? + self.specificity()?))
    }

    /// Harmonic mean of precision and recall; `None` without active cases.
    pub fn f1(&self) -> Option<f64> {
        self.recall()?;
        let counts = F1Counts {
            true_positive: u64::from(self.n_found),
            false_positive: u64::from(self.n_false),
            false_negative: u64::from(self.n_missed),
        };
        Some(counts.f1())
    }

    /// 95 % interval of the balanced accuracy, drawing patients (or users), never single cases.
    /// `None` with fewer than two.
    pub fn interval(
        is_active: &[bool],
        said: &[Option<f64>],
        groups: &ClusterBootstrap,
    ) -> Option<[f64; 2]> {
        groups.interval(&|weights| {
            let mut counts = [[0_u64; 2]; 2];
            for ((&active, said), &weight) in is_active.iter().zip(said).zip(weights) {
                if let Some(said) = said {
                    counts[usize::from(active)][usize::from(*said > SAYS_SO)] += u64::from(weight);
                }
            }
            let of = |right: u64, wrong: u64| {
                (right + wrong > 0).then(|| right as f64 / (right + wrong) as f64)
            };
            let [[spared, false_alarms], [missed, found]] = counts;
            Some(0.5 * (of(found, missed)? + of(spared, false_alarms)?))
        })
    }
}

/// Mean of F1 over features, each by how often it fires.
///
/// # Source
/// Delphi's frequency-weighted F1.
///
/// # Example
/// F1 of 1 for a feature that fires once, and of 0.5 for one that fires three times: 0.625.
/// ```
/// assert_eq!(explain::frequency_weighted(&[(1.0, 1), (0.5, 3)]), Some(0.625));
/// ```
pub fn frequency_weighted(scores: &[(f64, u64)]) -> Option<f64> {
    let total: u64 = scores.iter().map(|&(_, n)| n).sum();
    let sum: f64 = scores.iter().map(|&(score, n)| score * n as f64).sum();
    (total > 0).then(|| sum / total as f64)
}

fn share(n: u32, of: u32) -> Option<f64> {
    (of > 0).then(|| f64::from(n) / f64::from(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_case_has_no_balanced_accuracy() {
        let score = Detection::of(&[true, true], &[Some(1.0), Some(0.0)]);
        assert_eq!((score.recall(), score.specificity()), (Some(0.5), None));
        assert_eq!((score.balanced_accuracy(), score.auc), (None, None));
        let silent = Detection::of(&[false], &[Some(0.7)]);
        assert_eq!((silent.f1(), silent.precision()), (None, Some(0.0)));
        assert_eq!(Detection::of(&[], &[]), Detection::default());
    }

    #[test]
    fn the_interval_draws_patients() {
        let truth = [true, true, false, false];
        let said = [Some(1.0), Some(1.0), Some(0.0), Some(0.0)];
        let apart = ClusterBootstrap::of_units(4, 0);
        let interval = Detection::interval(&truth, &said, &apart);
        assert!(interval.is_none_or(|[low, high]| (low, high) == (1.0, 1.0)));
        let together = ClusterBootstrap::of_names(["a"; 4], 0);
        assert_eq!(Detection::interval(&truth, &said, &together), None);
    }
}
