//! How a sparse autoencoder is trained.

use serde::{Deserialize, Serialize};

/// Which rule keeps a code sparse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SaeVariant {
    /// The `k` highest pre-activations of each row.
    #[default]
    #[serde(alias = "topk")]
    TopK,
    /// The `k · batch` highest of a batch; one fixed threshold afterwards.
    #[serde(alias = "batchtopk", alias = "batch_topk")]
    BatchTopK,
    /// As `BatchTopK`, each prefix of groups of features reconstructing by itself.
    #[serde(alias = "matryoshka_batchtopk", alias = "matryoshka_batch_topk")]
    Matryoshka,
    /// Every pre-activation above 0, with an L1 penalty.
    #[serde(alias = "standard")]
    Relu,
    /// Every pre-activation above a threshold of its feature's own, with an L0 penalty.
    #[serde(alias = "jumprelu")]
    JumpRelu,
    /// A gate that says which features are active, with an L1 penalty.
    Gated,
}

/// Whose conventions a training follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SaeRecipe {
    /// Losses, schedules and constraints of `dictionary_learning`'s trainers.
    #[default]
    DictionaryLearning,
}

/// Configuration of one training run. Rows are positions; units are those of the hook activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaeConfig {
    /// Sparsity rule.
    pub variant: SaeVariant,
    /// Conventions.
    pub recipe: SaeRecipe,
    /// Number of features, > 0.
    pub n_features: u32,
    /// Active features per row (on average for `BatchTopK` and `Matryoshka`, aimed at by
    /// `JumpRelu`, without meaning for `Relu` and `Gated`), 1..=`n_features`.
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
    /// `BatchTopK`, `Matryoshka`: decay of the running threshold.
    pub threshold_beta: f32,
    /// `BatchTopK`, `Matryoshka`: first step after which the threshold is tracked.
    pub threshold_start_step: u32,
    /// `Matryoshka`: features of each group, first group first; their sum is `n_features`. Empty
    /// for 1/32, 1/16, 1/8 and 1/4 of the features and the rest.
    pub group_sizes: Vec<u32>,
    /// `Matryoshka`: weight of each prefix's reconstruction, ≥ 0; `None` for equal ones that add
    /// up to 1. `dictionary_learning` divides by the number of groups once more.
    pub group_weights: Option<Vec<f32>>,
    /// `Relu`, `Gated`: weight of the L1 penalty, ≥ 0.
    pub l1: f32,
    /// `JumpRelu`: active features per row that the penalty aims at, > 0; `None` for `k`.
    pub target_l0: Option<f32>,
    /// `JumpRelu`: weight of the L0 penalty, ≥ 0.
    pub sparsity_penalty: f32,
    /// `JumpRelu`: width of the window around a threshold, > 0, in units of the activations.
    pub bandwidth: f32,
    /// `Relu`, `JumpRelu`, `Gated`: steps over which the penalty grows from 0.
    pub sparsity_warmup_steps: u32,
    /// Whether decoder rows have unit length after each step. `false` only for `Relu`, whose
    /// penalty then counts an activation with its row's length.
    pub unit_decoder: bool,
    /// Seed of initial weights and of the order of rows.
    pub seed: u64,
}

impl SaeConfig {
    /// The settings that the recipe has for a variant, where they differ from variant to variant.
    #[must_use]
    pub fn of_variant(variant: SaeVariant) -> Self {
        let mut config = Self {
            variant,
            ..Self::default()
        };
        if matches!(variant, SaeVariant::JumpRelu | SaeVariant::Gated) {
            config.betas = [0.0, 0.999];
        }
        if matches!(variant, SaeVariant::Relu | SaeVariant::Gated) {
            config.grad_clip = None;
        }
        config
    }
}

impl Default for SaeConfig {
    fn default() -> Self {
        Self {
            variant: SaeVariant::TopK,
            recipe: SaeRecipe::DictionaryLearning,
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
            group_sizes: Vec::new(),
            group_weights: None,
            l1: 0.1,
            target_l0: None,
            sparsity_penalty: 1.0,
            bandwidth: 0.001,
            sparsity_warmup_steps: 200,
            unit_decoder: true,
            seed: 0,
        }
    }
}
