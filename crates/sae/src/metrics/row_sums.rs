//! Reconstruction and sparsity over a set of rows, as sums that can be joined and resampled.

use rayon::prelude::*;

use crate::codes::SparseCodes;
use crate::error::SaeError;

/// The means that variance is counted around, both of the whole evaluation set.
#[derive(Debug, Clone, PartialEq)]
pub struct Centres {
    /// Mean of each dimension of the rows, `x̄`, `[d_model]`.
    pub rows: Vec<f64>,
    /// Mean of each dimension of the errors `x − x̂`, `[d_model]`.
    pub errors: Vec<f64>,
}

/// Adds up [`Centres`] from batches of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CentreSums {
    n_rows: u64,
    rows: Vec<f64>,
    errors: Vec<f64>,
}

impl CentreSums {
    /// No rows yet, of width `d_model`.
    pub fn new(d_model: usize) -> Self {
        Self {
            n_rows: 0,
            rows: vec![0.0; d_model],
            errors: vec![0.0; d_model],
        }
    }

    /// Adds rows and their reconstructions, both `[n_rows, d_model]`.
    ///
    /// # Errors
    /// [`SaeError::Shape`] if the shapes differ or are not whole rows.
    pub fn add(&mut self, x: &[f32], x_hat: &[f32]) -> Result<(), SaeError> {
        let d = self.rows.len();
        check(x, x_hat, d)?;
        for (x, x_hat) in x.chunks_exact(d).zip(x_hat.chunks_exact(d)) {
            for (at, (&x, &x_hat)) in x.iter().zip(x_hat).enumerate() {
                self.rows[at] += f64::from(x);
                self.errors[at] += f64::from(x) - f64::from(x_hat);
            }
        }
        self.n_rows += (x.len() / d) as u64;
        Ok(())
    }

    /// The means; zeros without rows.
    pub fn centres(&self) -> Centres {
        let n = self.n_rows.max(1) as f64;
        let mean = |sums: &[f64]| sums.iter().map(|sum| sum / n).collect();
        Centres {
            rows: mean(&self.rows),
            errors: mean(&self.errors),
        }
    }
}

/// Sums over rows from which FVU, explained variance, cosine, L0 and L1 follow.
///
/// Sums of several groups of rows (patients, users) join by [`RowSums::join`], which is what a
/// bootstrap resamples. The centres stay those of the whole set, so a resampled FVU does not count
/// that the mean itself is uncertain.
///
/// # Example
/// Rows `[[0,0],[3,0],[6,6]]`, mean `[3,2]`, reconstructions `[[1,0],[3,1],[6,5]]`, mean error
/// `[−1/3, 0]`: FVU 3/42, explained variance `1 − (3 − 1/3)/42`, cosine
/// `(0 + 3/√10 + 66/(√72 √61)) / 3`, a row of zeros counting 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowSums {
    /// Rows.
    pub n_rows: f64,
    /// Σ‖x − x̄‖².
    pub variation: f64,
    /// Σ‖x − x̂‖².
    pub error: f64,
    /// Σ‖(x − x̂) − mean of it‖².
    pub error_variation: f64,
    /// Σ cos(x, x̂).
    pub cosine: f64,
    /// Active features.
    pub active: f64,
    /// Σ of all activations.
    pub l1: f64,
}

impl RowSums {
    /// Adds another group's sums, `weight` times.
    pub fn join(&mut self, other: &Self, weight: f64) {
        self.n_rows += weight * other.n_rows;
        self.variation += weight * other.variation;
        self.error += weight * other.error;
        self.error_variation += weight * other.error_variation;
        self.cosine += weight * other.cosine;
        self.active += weight * other.active;
        self.l1 += weight * other.l1;
    }

    /// `Σ‖x − x̂‖² / Σ‖x − x̄‖²`; `None` where the rows do not differ.
    pub fn fvu(&self) -> Option<f64> {
        (self.variation > 0.0).then(|| self.error / self.variation)
    }

    /// `1 − Σ‖e − ē‖² / Σ‖x − x̄‖²`, `e = x − x̂`: as 1 − FVU, but a constant error costs nothing.
    ///
    /// # Source
    /// `frac_variance_explained` of `dictionary_learning`.
    pub fn explained_variance(&self) -> Option<f64> {
        (self.variation > 0.0).then(|| 1.0 - self.error_variation / self.variation)
    }

    /// Mean cosine of a row with its reconstruction.
    pub fn cosine(&self) -> Option<f64> {
        self.mean(self.cosine)
    }

    /// Mean number of active features per row.
    pub fn l0(&self) -> Option<f64> {
        self.mean(self.active)
    }

    /// Mean sum of a row's activations, in units of the activations.
    pub fn l1(&self) -> Option<f64> {
        self.mean(self.l1)
    }

    /// Mean of ‖x − x̂‖² per row, summed over dimensions.
    pub fn squared_error(&self) -> Option<f64> {
        self.mean(self.error)
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.n_rows > 0.0).then(|| sum / self.n_rows)
    }
}

/// The sums of each row by itself.
///
/// # Shapes
/// - `x`, `x_hat`: `[n_rows, d_model]`, f32, in the units of the hook activation
/// - `codes`: of as many rows, or `None` to leave L0 and L1 at 0
/// - returns: one per row
///
/// # Errors
/// [`SaeError::Shape`] if the shapes differ or are not whole rows.
pub fn row_sums(
    x: &[f32],
    x_hat: &[f32],
    codes: Option<&SparseCodes>,
    centres: &Centres,
) -> Result<Vec<RowSums>, SaeError> {
    let d = centres.rows.len();
    check(x, x_hat, d)?;
    if let Some(codes) = codes
        && codes.n_rows() != x.len() / d
    {
        return Err(SaeError::shape("the codes", x.len() / d, codes.n_rows()));
    }
    Ok(x.par_chunks(d)
        .zip(x_hat.par_chunks(d))
        .enumerate()
        .with_min_len(64)
        .map(|(row, (x, x_hat))| {
            let mut sums = one_row(x, x_hat, centres);
            if let Some(codes) = codes {
                let (features, values) = codes.row(row);
                sums.active = features.len() as f64;
                sums.l1 = values.iter().copied().map(f64::from).sum();
            }
            sums
        })
        .collect())
}

fn one_row(x: &[f32], x_hat: &[f32], centres: &Centres) -> RowSums {
    let mut sums = RowSums {
        n_rows: 1.0,
        ..RowSums::default()
    };
    let (mut along, mut own, mut other) = (0.0, 0.0, 0.0);
    for (at, (&x, &x_hat)) in x.iter().zip(x_hat).enumerate() {
        let (x, x_hat) = (f64::from(x), f64::from(x_hat));
        let error = x - x_hat;
        sums.variation += (x - centres.rows[at]).powi(2);
        sums.error += error * error;
        sums.error_variation += (error - centres.errors[at]).powi(2);
        along += x * x_hat;
        own += x * x;
        other += x_hat * x_hat;
    }
    let lengths = (own * other).sqrt();
    if lengths > 0.0 {
        sums.cosine = along / lengths;
    }
    sums
}

fn check(x: &[f32], x_hat: &[f32], d: usize) -> Result<(), SaeError> {
    if x.len() != x_hat.len() || d == 0 || !x.len().is_multiple_of(d) {
        return Err(SaeError::shape(
            "the reconstruction",
            format!("{} (and a multiple of {d})", x.len()),
            x_hat.len(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 6] = [0.0, 0.0, 3.0, 0.0, 6.0, 6.0];
    const X_HAT: [f32; 6] = [1.0, 0.0, 3.0, 1.0, 6.0, 5.0];

    fn close(got: Option<f64>, expected: f64) {
        assert!((got.unwrap() - expected).abs() < 1e-12, "{got:?}");
    }

    #[test]
    fn worked_example() {
        let mut sums = CentreSums::new(2);
        sums.add(&X[..2], &X_HAT[..2]).unwrap();
        sums.add(&X[2..], &X_HAT[2..]).unwrap();
        let centres = sums.centres();
        assert_eq!(centres.rows, [3.0, 2.0]);
        close(Some(centres.errors[0]), -1.0 / 3.0);
        let mut codes = SparseCodes::default();
        codes.push_row(&[]);
        codes.push_row(&[(2.0, 1), (1.0, 4)]);
        codes.push_row(&[(0.5, 0)]);
        let mut all = RowSums::default();
        for row in row_sums(&X, &X_HAT, Some(&codes), &centres).unwrap() {
            all.join(&row, 1.0);
        }
        close(all.fvu(), 3.0 / 42.0);
        // Σ‖e − ē‖² = Σ‖e‖² − n‖ē‖² = 3 − 3·(1/9).
        close(all.explained_variance(), 1.0 - (3.0 - 1.0 / 3.0) / 42.0);
        let cosines = 3.0 / 10_f64.sqrt() + 66.0 / (72_f64.sqrt() * 61_f64.sqrt());
        close(all.cosine(), cosines / 3.0);
        close(all.l0(), 1.0);
        close(all.l1(), 3.5 / 3.0);
        close(all.squared_error(), 1.0);
    }

    #[test]
    fn a_group_counted_twice_is_the_rows_twice() {
        let centres = Centres {
            rows: vec![3.0, 2.0],
            errors: vec![0.0, 0.0],
        };
        let rows = row_sums(&X, &X_HAT, None, &centres).unwrap();
        let mut twice = RowSums::default();
        twice.join(&rows[1], 2.0);
        let both = [&X[2..4], &X[2..4]].concat();
        let both_hat = [&X_HAT[2..4], &X_HAT[2..4]].concat();
        let mut again = RowSums::default();
        for row in row_sums(&both, &both_hat, None, &centres).unwrap() {
            again.join(&row, 1.0);
        }
        assert_eq!(twice, again);
    }

    #[test]
    fn nothing_to_measure_is_none_and_a_wrong_shape_an_error() {
        let none = RowSums::default();
        assert_eq!((none.fvu(), none.l0(), none.cosine()), (None, None, None));
        assert!(CentreSums::new(2).add(&X, &X_HAT[..4]).is_err());
        let centres = CentreSums::new(2).centres();
        assert!(row_sums(&X, &X_HAT, Some(&SparseCodes::default()), &centres).is_err());
        assert!(row_sums(&X[..3], &X_HAT[..3], None, &centres).is_err());
    }
}
