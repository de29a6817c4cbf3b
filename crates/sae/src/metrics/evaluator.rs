//! The figures that every training ends with: FVU, L0, density and dead share of a set of rows.

use schema::SaeEvaluation;

use super::density::dead_share;
use super::fvu::FvuSum;
use crate::autoencoder::SparseAutoencoder;
use crate::error::SaeError;

/// Evaluation of a dictionary, batch by batch.
#[derive(Debug)]
pub struct Evaluator<'a> {
    sae: &'a SparseAutoencoder,
    fvu: FvuSum,
    /// Rows on which each feature is active.
    active_rows: Vec<u64>,
}

impl<'a> Evaluator<'a> {
    /// Nothing evaluated yet.
    pub fn new(sae: &'a SparseAutoencoder) -> Self {
        Self {
            sae,
            fvu: FvuSum::new(sae.d_model()),
            active_rows: vec![0; sae.n_features()],
        }
    }

    /// Adds rows `[n_rows, d_model]`.
    ///
    /// # Errors
    /// Those of [`SparseAutoencoder::encode`].
    pub fn add(&mut self, rows: &[f32]) -> Result<(), SaeError> {
        let codes = self.sae.encode(rows)?;
        for &feature in &codes.features {
            self.active_rows[feature as usize] += 1;
        }
        self.fvu
            .add(rows, &self.sae.reconstruct_from(rows, &codes)?)
    }

    /// Rows on which each feature was active so far, `[n_features]`.
    pub fn active_rows(&self) -> &[u64] {
        &self.active_rows
    }

    /// Share of rows on which each feature is active, `[n_features]`.
    pub fn densities(&self) -> Vec<f32> {
        let n = self.fvu.n_rows().max(1) as f64;
        self.active_rows
            .iter()
            .map(|&rows| (rows as f64 / n) as f32)
            .collect()
    }

    /// The figures over all rows so far.
    ///
    /// # Errors
    /// [`SaeError::NoVariance`] if there are no rows or all rows are equal.
    pub fn evaluation(&self) -> Result<SaeEvaluation, SaeError> {
        let fvu = self.fvu.value()?;
        let n_features = self.sae.n_features();
        let n_active: u64 = self.active_rows.iter().sum();
        Ok(SaeEvaluation {
            fvu,
            l0: n_active as f64 / self.fvu.n_rows() as f64,
            dead_share: dead_share(&self.active_rows),
            n_features: n_features as u32,
            n_rows: self.fvu.n_rows(),
        })
    }
}

/// Evaluates a dictionary on batches of rows, each `[n_rows, d_model]`.
///
/// # Errors
/// The first error of the batches, those of [`SparseAutoencoder::encode`], and
/// [`SaeError::NoVariance`] if there are no rows or all rows are equal.
pub fn evaluate(
    sae: &SparseAutoencoder,
    batches: impl IntoIterator<Item = Result<Vec<f32>, SaeError>>,
) -> Result<SaeEvaluation, SaeError> {
    let mut evaluator = Evaluator::new(sae);
    for batch in batches {
        evaluator.add(&batch?)?;
    }
    evaluator.evaluation()
}
