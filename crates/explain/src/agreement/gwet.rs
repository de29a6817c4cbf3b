//! Gwet's AC1, which stays meaningful where nearly all ratings are of one category.

use crate::agreement::Ratings;

impl Ratings {
    /// Gwet's first-order agreement coefficient AC1, `(p_a - p_e) / (1 - p_e)`: `p_a` the mean
    /// share of pairs of readers that agree on a feature, `p_e = Σ π (1 - π) / (q - 1)` over the
    /// `q` categories, `π` the mean share of readers who chose one.
    ///
    /// Features with fewer than two ratings are not counted. All categories of the table count in
    /// `q`, chosen or not. `None` without a feature that two rated, or with one category only.
    ///
    /// # Source
    /// Gwet 2008, British Journal of Mathematical and Statistical Psychology 61, equations 4 and 5.
    ///
    /// # Example
    /// Ten labels, nine accepted by both readers, one by the first only: raw agreement 0.9. Cohen's
    /// kappa is 0; AC1 has π = 19/20 and 1/20, `p_e` = 0.095, so it is 0.805/0.905.
    /// ```
    /// use explain::agreement::{Ratings, Weighting};
    /// let mut rows = vec![vec![Some(0), Some(0)]; 9];
    /// rows.push(vec![Some(0), Some(1)]);
    /// let skewed = Ratings::new(&rows, 2)?;
    /// assert_eq!(skewed.cohen_kappa(Weighting::Unweighted), Some(0.0));
    /// assert!((skewed.gwet_ac1().unwrap() - 0.805 / 0.905).abs() < 1e-12);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn gwet_ac1(&self) -> Option<f64> {
        self.gwet_ac1_weighted(&self.once())
    }

    /// [`Ratings::gwet_ac1`] with each feature counted `weights` times; `[n_features]`.
    pub(crate) fn gwet_ac1_weighted(&self, weights: &[u32]) -> Option<f64> {
        if self.n_categories() < 2 {
            return None;
        }
        let agreeing = self.raw_agreement_weighted(weights)?;
        let mut shares = vec![0.0; self.n_categories()];
        let mut total = 0.0;
        for ((counts, rated), &weight) in self.counted().zip(weights) {
            if rated >= 2 {
                for (share, &count) in shares.iter_mut().zip(counts) {
                    *share += f64::from(weight) * f64::from(count) / f64::from(rated);
                }
                total += f64::from(weight);
            }
        }
        let spread: f64 = shares.iter().map(|s| s / total * (1.0 - s / total)).sum();
        let by_chance = spread / (self.n_categories() - 1) as f64;
        // At most 1/q of all pairs agree by this chance, so the denominator is never 0.
        Some((agreeing - by_chance) / (1.0 - by_chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_category_throughout_is_full_agreement() {
        let same = Ratings::new(&[vec![Some(0), Some(0)], vec![Some(0), None]], 2).unwrap();
        assert_eq!(same.gwet_ac1(), Some(1.0));
    }

    #[test]
    fn undefined_cases_have_no_value() {
        let one_category = Ratings::new(&[vec![Some(0), Some(0)]], 1).unwrap();
        assert_eq!(one_category.gwet_ac1(), None);
        let alone = Ratings::new(&[vec![Some(0), None]], 2).unwrap();
        assert_eq!(alone.gwet_ac1(), None);
        assert_eq!(Ratings::new(&[], 2).unwrap().gwet_ac1(), None);
    }
}
