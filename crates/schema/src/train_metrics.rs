//! What training and evaluation of a sparse autoencoder report.

use serde::{Deserialize, Serialize};

/// One training step, as written to `metrics.jsonl`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Step, from 0.
    pub step: u32,
    /// Training loss of the batch, `AuxK` included.
    pub loss: f32,
    /// Fraction of variance unexplained of the batch.
    pub fvu: f32,
    /// Mean number of active features per row of the batch.
    pub l0: f32,
    /// Features that are dead now.
    pub dead: u32,
    /// Rows per second since the last report; not reproducible, so not part of equality of runs.
    #[serde(default, skip_serializing)]
    pub rows_per_second: f32,
}

/// How well a dictionary does on a whole evaluation set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SaeEvaluation {
    /// Fraction of variance unexplained: Σ‖x − x̂‖² / Σ‖x − x̄‖² over the whole set.
    pub fvu: f64,
    /// Mean number of active features per row.
    pub l0: f64,
    /// Share of features that were never active on the set.
    pub dead_share: f64,
    /// Number of features.
    pub n_features: u32,
    /// Rows evaluated.
    pub n_rows: u64,
}
