//! Agreement as it is, without correction for chance.

use crate::agreement::Ratings;

impl Ratings {
    /// Share of pairs of readers that say the same of a feature, averaged over the features that
    /// at least two rated; `None` without one.
    ///
    /// # Example
    /// Two readers who agree on one of two features: ½. Three readers split 2 to 1: one of three
    /// pairs agrees.
    /// ```
    /// use explain::agreement::Ratings;
    /// let two = Ratings::new(&[vec![Some(0), Some(0)], vec![Some(0), Some(1)]], 2)?;
    /// assert_eq!(two.raw_agreement(), Some(0.5));
    /// let three = Ratings::new(&[vec![Some(0), Some(0), Some(1)]], 2)?;
    /// assert_eq!(three.raw_agreement(), Some(1.0 / 3.0));
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn raw_agreement(&self) -> Option<f64> {
        self.raw_agreement_weighted(&self.once())
    }

    /// [`Ratings::raw_agreement`] with each feature counted `weights` times; `[n_features]`.
    pub(crate) fn raw_agreement_weighted(&self, weights: &[u32]) -> Option<f64> {
        let (mut sum, mut total) = (0.0, 0.0);
        for ((counts, rated), &weight) in self.counted().zip(weights) {
            if let Some(share) = agreeing_pairs(counts, rated) {
                sum += f64::from(weight) * share;
                total += f64::from(weight);
            }
        }
        (total > 0.0).then(|| sum / total)
    }

    /// Share of pairs of readers that differ on each feature, `None` where fewer than two rated it;
    /// `[n_features]`. What a list of disagreements is ordered by.
    ///
    /// # Example
    /// ```
    /// use explain::agreement::Ratings;
    /// let rows = [vec![Some(0), Some(1)], vec![Some(1), Some(1)], vec![Some(1), None]];
    /// let apart = Ratings::new(&rows, 2)?.disagreements();
    /// assert_eq!(apart, [Some(1.0), Some(0.0), None]);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn disagreements(&self) -> Vec<Option<f64>> {
        let pairs = self
            .counted()
            .map(|(counts, rated)| agreeing_pairs(counts, rated).map(|share| 1.0 - share));
        // Without categories there are no counts, but there are features.
        let mut all: Vec<_> = pairs.collect();
        all.resize(self.n_features(), None);
        all
    }
}

fn agreeing_pairs(counts: &[u32], rated: u32) -> Option<f64> {
    let pairs: u32 = counts.iter().map(|&c| c * c.saturating_sub(1)).sum();
    (rated >= 2).then(|| f64::from(pairs) / f64::from(rated * (rated - 1)))
}
