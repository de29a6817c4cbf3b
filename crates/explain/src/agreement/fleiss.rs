//! Fleiss' kappa of any number of readers who rated the same features.

use crate::agreement::Ratings;

impl Ratings {
    /// Fleiss' kappa, `(P - P_e) / (1 - P_e)`: `P` the mean share of pairs of readers that agree
    /// on a feature, `P_e` the sum of squares of the categories' shares.
    ///
    /// It needs every cell of a feature, so features that a reader left out are not counted: with
    /// such gaps use [`Ratings::krippendorff_alpha`]. `None` with fewer than two readers, without a
    /// feature that all rated, and where all ratings are of one category.
    ///
    /// # Source
    /// Fleiss 1971; his example of 10 subjects and 14 raters, 0.210, is a test.
    ///
    /// # Example
    /// Three readers, two features, one agreed upon and one split 2 to 1: `P` = (1 + ⅓) / 2 = ⅔,
    /// shares ⅔ and ⅓ give `P_e` = 5/9, so kappa is ¼.
    /// ```
    /// use explain::agreement::Ratings;
    /// let rows = [[0, 0, 0], [0, 1, 1]].map(|row| row.map(Some).to_vec());
    /// let kappa = Ratings::new(&rows, 2)?.fleiss_kappa().unwrap();
    /// assert!((kappa - 0.25).abs() < 1e-12);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn fleiss_kappa(&self) -> Option<f64> {
        self.fleiss_kappa_weighted(&self.once())
    }

    /// [`Ratings::fleiss_kappa`] with each feature counted `weights` times; `[n_features]`.
    pub(crate) fn fleiss_kappa_weighted(&self, weights: &[u32]) -> Option<f64> {
        let n_readers = self.n_readers() as u32;
        if n_readers < 2 {
            return None;
        }
        let mut by_category = vec![0.0; self.n_categories()];
        let (mut agreeing, mut total) = (0.0, 0.0);
        for ((counts, rated), &weight) in self.counted().zip(weights) {
            if rated < n_readers {
                continue;
            }
            let weight = f64::from(weight);
            let pairs: u32 = counts.iter().map(|&c| c * c.saturating_sub(1)).sum();
            agreeing += weight * f64::from(pairs) / f64::from(rated * (rated - 1));
            for (sum, &count) in by_category.iter_mut().zip(counts) {
                *sum += weight * f64::from(count);
            }
            total += weight;
        }
        let n_ratings = total * f64::from(n_readers);
        let one_category = by_category.contains(&n_ratings);
        if total == 0.0 || one_category {
            return None;
        }
        let by_chance: f64 = by_category.iter().map(|s| (s / n_ratings).powi(2)).sum();
        Some((agreeing / total - by_chance) / (1.0 - by_chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example() {
        // Fleiss 1971 as retold widely: ten subjects, fourteen raters, five categories.
        let counts = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ];
        let rows: Vec<Vec<Option<u32>>> = counts
            .iter()
            .map(|counts| {
                let row = counts.iter().enumerate();
                row.flat_map(|(c, &n)| vec![Some(c as u32); n]).collect()
            })
            .collect();
        let ratings = Ratings::new(&rows, 5).unwrap();
        let kappa = ratings.fleiss_kappa().unwrap();
        assert!((kappa - 0.210).abs() < 0.0005, "{kappa}");
        // A feature that one reader left out changes nothing.
        let mut gap = rows;
        gap.push([vec![None], vec![Some(0); 13]].concat());
        assert_eq!(Ratings::new(&gap, 5).unwrap().fleiss_kappa(), Some(kappa));
    }

    #[test]
    fn undefined_cases_have_no_value() {
        let kappa = |rows: &[Vec<Option<u32>>]| Ratings::new(rows, 2).unwrap().fleiss_kappa();
        assert_eq!(kappa(&[vec![Some(1), Some(1), Some(1)]]), None);
        assert_eq!(kappa(&[vec![Some(1), None]]), None);
        assert_eq!(kappa(&[vec![Some(1)]]), None);
        assert_eq!(kappa(&[]), None);
    }
}
