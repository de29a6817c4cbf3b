//! Cohen's kappa of two readers.

use crate::agreement::Ratings;

/// What a disagreement costs, by how far the two categories are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weighting {
    /// The same for any two categories: for categories without an order.
    Unweighted,
    /// The distance of their places.
    Linear,
    /// Its square: for ordinal grades.
    Quadratic,
}

impl Weighting {
    fn cost(self, a: usize, b: usize) -> f64 {
        let apart = a.abs_diff(b) as f64;
        match self {
            Self::Unweighted => f64::from(u8::from(a != b)),
            Self::Linear => apart,
            Self::Quadratic => apart * apart,
        }
    }
}

impl Ratings {
    /// Cohen's kappa, `1 - Σ w o / Σ w e`: `o` the joint counts of two readers over the features
    /// that both rated, `e` the counts expected from their margins, `w` the cost.
    ///
    /// Unweighted that is `(p_o - p_e) / (1 - p_e)`. `None` unless there are two readers, both
    /// rated a feature in common, and the expected cost is above 0 (it is 0 where both say one and
    /// the same throughout).
    ///
    /// # Source
    /// Cohen 1960; weighted: Cohen 1968. Parity with scikit-learn's `cohen_kappa_score` in
    /// `tests/parity_scores.rs`.
    ///
    /// # Example
    /// Four features, three agreed upon: `p_o` = 3/4, margins ½ and ½ against ¾ and ¼ give
    /// `p_e` = ½, so kappa is ½.
    /// ```
    /// use explain::agreement::{Ratings, Weighting};
    /// let rows = [[0, 0], [0, 0], [1, 1], [1, 0]].map(|row| row.map(Some).to_vec());
    /// let kappa = Ratings::new(&rows, 2)?.cohen_kappa(Weighting::Unweighted);
    /// assert_eq!(kappa, Some(0.5));
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn cohen_kappa(&self, weighting: Weighting) -> Option<f64> {
        self.cohen_kappa_weighted(weighting, &self.once())
    }

    /// [`Ratings::cohen_kappa`] with each feature counted `weights` times; `[n_features]`.
    pub(crate) fn cohen_kappa_weighted(
        &self,
        weighting: Weighting,
        weights: &[u32],
    ) -> Option<f64> {
        if self.n_readers() != 2 {
            return None;
        }
        let n = self.n_categories();
        let (mut rows, mut columns) = (vec![0.0; n], vec![0.0; n]);
        let (mut observed, mut total) = (0.0, 0.0);
        for (row, &weight) in self.rows().zip(weights) {
            if let &[Some(a), Some(b)] = row {
                let (a, b, weight) = (a as usize, b as usize, f64::from(weight));
                rows[a] += weight;
                columns[b] += weight;
                observed += weight * weighting.cost(a, b);
                total += weight;
            }
        }
        let mut expected = 0.0;
        for (a, row) in rows.iter().enumerate() {
            for (b, column) in columns.iter().enumerate() {
                expected += weighting.cost(a, b) * row * column;
            }
        }
        (expected > 0.0).then(|| 1.0 - observed * total / expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[[u32; 2]], n_categories: u32) -> Ratings {
        let rows: Vec<_> = pairs.iter().map(|pair| pair.map(Some).to_vec()).collect();
        Ratings::new(&rows, n_categories).unwrap()
    }

    #[test]
    fn a_near_miss_costs_less_with_weights() {
        // One of four grades is off by one, then by two.
        let near = of(&[[0, 0], [1, 1], [2, 2], [2, 1]], 3);
        let far = of(&[[0, 0], [1, 1], [2, 2], [2, 0]], 3);
        let kappa = |ratings: &Ratings| ratings.cohen_kappa(Weighting::Quadratic).unwrap();
        assert!(kappa(&near) > kappa(&far));
    }

    #[test]
    fn undefined_cases_have_no_value() {
        let one = Weighting::Unweighted;
        assert_eq!(of(&[[1, 1], [1, 1]], 2).cohen_kappa(one), None);
        assert_eq!(of(&[], 2).cohen_kappa(one), None);
        let apart = Ratings::new(&[vec![Some(0), None], vec![None, Some(1)]], 2).unwrap();
        assert_eq!(apart.cohen_kappa(one), None);
        let three = Ratings::new(&[vec![Some(0), Some(1), Some(0)]], 2).unwrap();
        assert_eq!(three.cohen_kappa(one), None);
    }

    #[test]
    fn a_weight_counts_as_a_copy() {
        let ratings = of(&[[0, 0], [0, 1], [1, 1]], 2);
        let copied = of(&[[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]], 2);
        assert_eq!(
            ratings.cohen_kappa_weighted(Weighting::Unweighted, &[2, 0, 3]),
            copied.cohen_kappa(Weighting::Unweighted)
        );
    }
}
