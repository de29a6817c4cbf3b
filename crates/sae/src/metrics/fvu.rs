//! The fraction of variance unexplained, from rows that come in batches.

use rayon::prelude::*;

use crate::error::SaeError;
use crate::kernels::squared_distance;

/// Fraction of variance unexplained by the reconstruction, over all rows given so far.
///
/// `FVU = Σ‖x − x̂‖² / Σ‖x − x̄‖²`, both sums over the whole set, `x̄` the mean of each dimension.
/// 0 is perfect, 1 is no better than the mean; above 1 is worse. Rows may come in batches; the
/// sums are joined as Chan, Golub and `LeVeque` (1983) do it.
///
/// # Source
/// Definition: <https://en.wikipedia.org/wiki/Fraction_of_variance_unexplained>.
/// Differs from `SAELens`' `explained_variance_legacy`, which averages ratios per row.
///
/// # Example
/// `[[0,0],[3,0],[6,6]]` against `[[1,0],[3,1],[6,5]]` gives `3/42`.
#[derive(Debug, Clone, PartialEq)]
pub struct FvuSum {
    n_rows: u64,
    mean: Vec<f64>,
    /// Σ‖x − x̄‖².
    variation: f64,
    /// Σ‖x − x̂‖².
    error: f64,
}

impl FvuSum {
    /// No rows yet, of width `d_model`.
    pub fn new(d_model: usize) -> Self {
        Self {
            n_rows: 0,
            mean: vec![0.0; d_model],
            variation: 0.0,
            error: 0.0,
        }
    }

    /// Adds rows `x` and their reconstructions `x_hat`, both `[n_rows, d_model]`, f32, in the
    /// units of the hook activation (not normalised).
    ///
    /// # Errors
    /// [`SaeError::Shape`] if the shapes differ or are not whole rows.
    pub fn add(&mut self, x: &[f32], x_hat: &[f32]) -> Result<(), SaeError> {
        let d = self.mean.len();
        if x.len() != x_hat.len() || d == 0 || !x.len().is_multiple_of(d) {
            return Err(SaeError::shape(
                "the reconstruction",
                format!("{} (and a multiple of {d})", x.len()),
                x_hat.len(),
            ));
        }
        let n = x.len() / d;
        if n == 0 {
            return Ok(());
        }
        let mut mean = vec![0_f64; d];
        for row in x.chunks_exact(d) {
            for (sum, &value) in mean.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        for sum in &mut mean {
            *sum /= n as f64;
        }
        let per_row: Vec<(f64, f64)> = x
            .par_chunks(d)
            .zip(x_hat.par_chunks(d))
            .with_min_len(64)
            .map(|(x, x_hat)| {
                let variation = x
                    .iter()
                    .zip(&mean)
                    .map(|(&x, m)| (f64::from(x) - m).powi(2));
                (variation.sum(), f64::from(squared_distance(x, x_hat)))
            })
            .collect();
        let variation: f64 = per_row.iter().map(|(variation, _)| variation).sum();
        self.error += per_row.iter().map(|(_, error)| error).sum::<f64>();
        let (before, added) = (self.n_rows as f64, n as f64);
        let all = before + added;
        let mut apart = 0.0;
        for (old, new) in self.mean.iter_mut().zip(&mean) {
            let difference = new - *old;
            apart += difference * difference;
            *old += difference * added / all;
        }
        self.variation += variation + apart * before * added / all;
        self.n_rows += n as u64;
        Ok(())
    }

    /// Rows given so far.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// The mean of each dimension, `[d_model]`.
    pub fn mean(&self) -> Vec<f32> {
        self.mean.iter().map(|&mean| mean as f32).collect()
    }

    /// The fraction.
    ///
    /// # Errors
    /// [`SaeError::NoVariance`] if there are no rows or all rows are equal.
    pub fn value(&self) -> Result<f64, SaeError> {
        if self.variation > 0.0 {
            Ok(self.error / self.variation)
        } else {
            Err(SaeError::NoVariance {
                what: format!(
                    "the {} rows to evaluate on do not differ from each other, so there is no variance to explain",
                    self.n_rows
                ),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 6] = [0.0, 0.0, 3.0, 0.0, 6.0, 6.0];

    #[test]
    fn worked_example_of_the_glossary() {
        let mut sum = FvuSum::new(2);
        sum.add(&X, &[1.0, 0.0, 3.0, 1.0, 6.0, 5.0]).unwrap();
        assert_eq!(sum.value().unwrap(), 3.0 / 42.0);
        let mut sum = FvuSum::new(2);
        sum.add(&X, &[3.0, 2.0, 3.0, 2.0, 3.0, 2.0]).unwrap();
        assert_eq!(sum.value().unwrap(), 1.0);
    }

    #[test]
    fn batches_join_to_the_whole() {
        let x_hat = [1.0, 0.0, 3.0, 1.0, 6.0, 5.0];
        let mut sum = FvuSum::new(2);
        for row in 0..3 {
            sum.add(&X[row * 2..row * 2 + 2], &x_hat[row * 2..row * 2 + 2])
                .unwrap();
        }
        assert!((sum.value().unwrap() - 3.0 / 42.0).abs() < 1e-15);
        assert_eq!(sum.mean(), [3.0, 2.0]);
    }

    #[test]
    fn no_variance_is_an_error_not_a_number() {
        let mut sum = FvuSum::new(2);
        assert!(sum.value().is_err());
        sum.add(&[1.0, 2.0, 1.0, 2.0], &[0.0; 4]).unwrap();
        assert!(matches!(sum.value(), Err(SaeError::NoVariance { .. })));
        assert!(sum.add(&[1.0, 2.0], &[1.0]).is_err());
    }
}
