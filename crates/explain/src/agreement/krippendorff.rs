//! Krippendorff's alpha, for any number of readers and any gaps.

use crate::agreement::Ratings;

/// What may be done with the categories, which decides how far two of them are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Told apart only.
    Nominal,
    /// Ordered: as far apart as there are ratings between them.
    Ordinal,
    /// With differences that mean something: the difference.
    Interval,
    /// With a zero that means something: the difference over the sum.
    Ratio,
}

impl Ratings {
    /// Krippendorff's alpha, `1 - D_o / D_e`: the disagreement within features over the
    /// disagreement that all ratings thrown together would give, both from the coincidence matrix
    /// and the squared distances of `level`.
    ///
    /// Features with fewer than two ratings are not counted. `None` where all that remains is of
    /// one category, since nothing could have disagreed.
    ///
    /// # Source
    /// Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"; his example C is among the
    /// cases of `tests/parity_scores.rs`, made with the package `krippendorff`.
    ///
    /// # Example
    /// Two readers and three features, of which they agree on two: coincidences 2, 2 and, off the
    /// diagonal, 1 and 1; `D_o` = 2/6, `D_e` = 2·3·3 / (6·5), so alpha is 1 - (1/3)/(3/5) = 4/9.
    /// ```
    /// use explain::agreement::{Level, Ratings};
    /// let rows = [[0, 0], [1, 1], [0, 1]].map(|row| row.map(Some).to_vec());
    /// let alpha = Ratings::new(&rows, 2)?.krippendorff_alpha(Level::Nominal).unwrap();
    /// assert!((alpha - 4.0 / 9.0).abs() < 1e-12);
    /// # Ok::<(), explain::ExplainError>(())
    /// ```
    pub fn krippendorff_alpha(&self, level: Level) -> Option<f64> {
        self.krippendorff_alpha_weighted(level, &self.once())
    }

    /// [`Ratings::krippendorff_alpha`] with each feature counted `weights` times; `[n_features]`.
    pub(crate) fn krippendorff_alpha_weighted(&self, level: Level, weights: &[u32]) -> Option<f64> {
        let n = self.n_categories();
        let mut together = vec![0.0; n * n];
        let mut margins = vec![0.0; n];
        for ((counts, rated), &weight) in self.counted().zip(weights) {
            if rated < 2 || weight == 0 {
                continue;
            }
            let share = f64::from(weight) / f64::from(rated - 1);
            for (a, &of_a) in counts.iter().enumerate() {
                for (b, &of_b) in counts.iter().enumerate() {
                    let others = if a == b { of_a.saturating_sub(1) } else { of_b };
                    together[a * n + b] += share * f64::from(of_a * others);
                }
                margins[a] += f64::from(weight) * f64::from(of_a);
            }
        }
        let total: f64 = margins.iter().sum();
        let (mut observed, mut expected) = (0.0, 0.0);
        for a in 0..n {
            for b in 0..n {
                let apart = level.squared_distance(a, b, self.values(), &margins);
                observed += together[a * n + b] * apart;
                expected += margins[a] * margins[b] * apart;
            }
        }
        (expected > 0.0).then(|| 1.0 - observed * (total - 1.0) / expected)
    }
}

impl Level {
    /// Squared distance of two categories.
    ///
    /// # Shapes
    /// - `values`, `margins`: `[n_categories]`
    fn squared_distance(self, a: usize, b: usize, values: &[f64], margins: &[f64]) -> f64 {
        if a == b {
            return 0.0;
        }
        let apart = match self {
            Self::Nominal => 1.0,
            Self::Ordinal => {
                let between: f64 = margins[a.min(b)..=a.max(b)].iter().sum();
                between - f64::midpoint(margins[a], margins[b])
            }
            Self::Interval => values[a] - values[b],
            Self::Ratio => (values[a] - values[b]) / (values[a] + values[b]),
        };
        apart * apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [Level; 4] = [
        Level::Nominal,
        Level::Ordinal,
        Level::Interval,
        Level::Ratio,
    ];

    #[test]
    fn undefined_cases_have_no_value() {
        for level in LEVELS {
            let alpha = |rows: &[Vec<Option<u32>>]| {
                Ratings::new(rows, 3).unwrap().krippendorff_alpha(level)
            };
            assert_eq!(alpha(&[vec![Some(1), Some(1)], vec![Some(1), None]]), None);
            assert_eq!(alpha(&[vec![Some(0), None], vec![None, Some(1)]]), None);
            assert_eq!(alpha(&[]), None);
        }
    }

    #[test]
    fn a_weight_counts_as_a_copy() {
        let a = vec![Some(0), Some(0), None];
        let b = vec![Some(2), Some(1), Some(2)];
        let ratings = Ratings::new(&[a.clone(), b.clone()], 3).unwrap();
        let copied = Ratings::new(&[a.clone(), a, b.clone(), b.clone(), b], 3).unwrap();
        for level in LEVELS {
            let weighted = ratings.krippendorff_alpha_weighted(level, &[2, 3]).unwrap();
            let plain = copied.krippendorff_alpha(level).unwrap();
            assert!((weighted - plain).abs() < 1e-12);
        }
    }
}
