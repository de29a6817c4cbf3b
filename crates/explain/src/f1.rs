//! Precision, recall and F1 from counts.

/// Counts of right and wrong answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct F1Counts {
    /// Said so, and so it is.
    pub true_positive: u64,
    /// Said so, but it is not.
    pub false_positive: u64,
    /// Not said, but it is.
    pub false_negative: u64,
}

impl F1Counts {
    /// Counts what was said against the truth, each sample as often as its weight.
    ///
    /// # Shapes
    /// - all three: `[n_samples]`
    pub fn weighted(said: &[bool], truth: &[bool], weights: &[u32]) -> Self {
        let mut counts = Self::default();
        for ((&said, &with), &weight) in said.iter().zip(truth).zip(weights) {
            let slot = match (said, with) {
                (true, true) => &mut counts.true_positive,
                (true, false) => &mut counts.false_positive,
                (false, true) => &mut counts.false_negative,
                (false, false) => continue,
            };
            *slot += u64::from(weight);
        }
        counts
    }

    /// `tp / (tp + fp)`; 0 if nothing was said.
    pub fn precision(self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// `tp / (tp + fn)`; 0 if there is nothing to find.
    pub fn recall(self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Harmonic mean of precision and recall, `2 tp / (2 tp + fp + fn)`; 0 where that is 0/0, as
    /// scikit-learn's `zero_division=0`.
    ///
    /// # Example
    /// 8 right, 0 wrong, 2 missed gives 16/18.
    pub fn f1(self) -> f64 {
        ratio(
            2 * self.true_positive,
            2 * self.true_positive + self.false_positive + self.false_negative,
        )
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let counts = F1Counts {
            true_positive: 8,
            false_positive: 0,
            false_negative: 2,
        };
        assert_eq!(counts.precision(), 1.0);
        assert_eq!(counts.recall(), 0.8);
        assert_eq!(counts.f1(), 16.0 / 18.0);
        assert_eq!(F1Counts::default().f1(), 0.0);
        let weighted = F1Counts::weighted(
            &[true, true, false, false],
            &[true, false, true, false],
            &[8, 0, 2, 5],
        );
        assert_eq!(weighted, counts);
    }
}
