//! How a sparse autoencoder is trained.

use serde::{Deserialize, Serialize};

/// Which rule keeps a code sparse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SaeVariant {
    /// The `k` highest pre-activations of each row.
    #[default]
    TopK,
    /// The `k · batch` highest of a batch; one fixed threshold afterwards.
    BatchTopK,
}

/// Configuration of one training run. Rows are positions; units are those of the hook activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaeConfig {
    /// Sparsity rule.
    pub variant: SaeVariant,
    /// Number of features, > 0.
    pub n_features: u32,
    /// Active features per row (on average for `BatchTopK`), 1..=`n_features`.
    pub k: u32,
    /// Peak learning rate, > 0.
    pub lr: f32,
    /// Adam's betas, each in `[0, 1)`.
    pub betas: [f32; 2],
    /// Steps of linear warm-up.
    pub warmup_steps: u32,
    /// Step at which linear decay to 0 begins; `None` for a constant rate.
    pub decay_start: Option<u32>,
    /// Global gradient norm that is never exceeded; `None` for no clipping. 1.0 in
    /// `dictionary_learning`.
    pub grad_clip: Option<f32>,
    /// Rows per step.
    pub batch_rows: u32,
    /// Steps in all.
    pub steps: u32,
    /// Weight of the `AuxK` loss, ≥ 0. 1/32 as in Gao et al. 2024.
    pub auxk_alpha: f32,
    /// Dead features that the `AuxK` loss uses per row; `None` for `d_model / 2`.
    pub top_k_aux: Option<u32>,
    /// A feature without activation for this many rows is dead.
    pub dead_after_rows: u64,
    /// `BatchTopK`: decay of the running threshold.
    pub threshold_beta: f32,
    /// `BatchTopK`: first step after which the threshold is tracked.
    pub threshold_start_step: u32,
    /// Seed of initial weights and of the order of rows.
    pub seed: u64,
}

impl Default for SaeConfig {
    fn default() -> Self {
        Self {
            variant: SaeVariant::TopK,
            n_features: 1024,
            k: 16,
            lr: 1e-3,
            betas: [0.9, 0.999],
            warmup_steps: 100,
            decay_start: None,
            grad_clip: Some(1.0),
            batch_rows: 2048,
            steps: 2000,
            auxk_alpha: 1.0 / 32.0,
            top_k_aux: None,
            dead_after_rows: 200_000,
            threshold_beta: 0.999,
            threshold_start_step: 1000,
            seed: 0,
        }
    }
}
