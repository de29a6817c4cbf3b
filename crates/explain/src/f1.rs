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
            counts.count((said, with), u64::from(weight));
        }
        counts
    }

    fn count(&mut self, said_and_with: (bool, bool), weight: u64) {
        match said_and_with {
            (true, true) => self.true_positive += weight,
            (true, false) => self.false_positive += weight,
            (false, true) => self.false_negative += weight,
            (false, false) => {}
        }
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

/// Counts by cluster (patient, user), so that a resample of clusters costs no pass over the samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusteredF1 {
    by_cluster: Vec<F1Counts>,
}

impl ClusteredF1 {
    /// Counts what was said against the truth.
    ///
    /// # Shapes
    /// - `said`, `truth`, `cluster_of`: `[n_samples]`; clusters are numbered from 0
    pub fn new(said: &[bool], truth: &[bool], cluster_of: &[u32]) -> Self {
        let n = cluster_of.iter().max().map_or(0, |&last| last as usize + 1);
        let mut by_cluster = vec![F1Counts::default(); n];
        for ((&said, &with), &cluster) in said.iter().zip(truth).zip(cluster_of) {
            by_cluster[cluster as usize].count((said, with), 1);
        }
        Self { by_cluster }
    }

    /// F1 over all clusters.
    pub fn f1(&self) -> f64 {
        self.f1_weighted(&vec![1; self.by_cluster.len()])
    }

    /// F1 with each cluster counted `weights` times.
    ///
    /// # Example
    /// A patient found rightly and one missed: 2/3; the first counted twice: 4/5.
    pub fn f1_weighted(&self, weights: &[u32]) -> f64 {
        let mut all = F1Counts::default();
        for (counts, &weight) in self.by_cluster.iter().zip(weights) {
            let weight = u64::from(weight);
            all.true_positive += weight * counts.true_positive;
            all.false_positive += weight * counts.false_positive;
            all.false_negative += weight * counts.false_negative;
        }
        all.f1()
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

    #[test]
    fn clusters_count_as_a_whole() {
        let by_patient = ClusteredF1::new(&[true, false], &[true, true], &[0, 1]);
        assert_eq!(by_patient.f1(), 2.0 / 3.0);
        assert_eq!(by_patient.f1_weighted(&[2, 1]), 4.0 / 5.0);
        assert_eq!(by_patient.f1_weighted(&[0, 3]), 0.0);
    }
}
