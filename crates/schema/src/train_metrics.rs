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

/// What a model keeps when it runs on a dictionary's reconstructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptMetric {
    /// Share of the loss of held-out reports that is recovered, between zeros and the model itself.
    LossRecovered,
    /// Share of NDCG@10 on dev items that is kept.
    NdcgKept,
}

/// What a model keeps with the dictionary as it is after some step, as written to `kept.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KeptReport {
    /// Steps done.
    pub step: u32,
    /// What is told.
    pub metric: KeptMetric,
    /// The share, 1 for all of it; below 0 where the model does worse than on zeros.
    pub share: f32,
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
