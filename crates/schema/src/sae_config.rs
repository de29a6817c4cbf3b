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
    /// The highest of each of `k` groups of consecutive features.
    #[serde(alias = "groupmax")]
    GroupMax,
}

impl SaeVariant {
    /// Whether so many features are active whatever the weights are: `TopK` and its kin.
    #[must_use]
    pub fn is_top_k(self) -> bool {
        matches!(
            self,
            Self::TopK | Self::BatchTopK | Self::Matryoshka | Self::GroupMax
        )
    }
}

/// Whose conventions a training follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SaeRecipe {
    /// Losses, schedules and constraints of `dictionary_learning`'s trainers.
    #[default]
    DictionaryLearning,
    /// Those of `SAELens`' training classes and its `SAETrainer`.
    Saelens,
    /// Those of `EleutherAI`'s sparsify.
    Sparsify,
    /// Those of `RecSAE`'s runner.
    Recsae,
}

/// The rule by which weights follow their gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SaeOptimiser {
    /// Adam with a schedule of the learning rate.
    #[default]
    Adam,
    /// The gradient's sign at a constant rate, with schedule-free averaging of momentum 0.95.
    Signum,
}

/// How rows are brought to one scale before they are encoded; the reconstruction is brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputScaling {
    /// As they are.
    #[default]
    None,
    /// Each row less its mean, over its standard deviation (unbiased, plus 1e-5).
    LayerNorm,
    /// All rows by one factor that makes their root mean square length √`d_model`; it is folded
    /// into the weights when training ends, so that the dictionary reads rows as they are.
    #[serde(alias = "expected_average_only_in")]
    ExpectedAverage,
}

/// What the L0 penalty of `SAELens`' `JumpRelu` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum L0Penalty {
    /// Active features.
    #[default]
    Step,
    /// tanh of each activation times its decoder row's length.
    Tanh,
    /// The squared distance of the number of active features from `target_l0`.
    Quadratic,
}

/// Configuration of one training run. Rows are positions; units are those of the hook activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of a settings file, as the tools name it"
)]
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
    /// `dictionary_learning`: whether decoder rows have unit length after each step. `false` only
    /// for `Relu`, whose penalty then counts an activation with its row's length.
    pub unit_decoder: bool,
    /// `sparsify`: the rule by which weights are updated.
    pub optimizer: SaeOptimiser,
    /// `sparsify`, `TopK`: whether a reconstruction by the 4 `k` highest enters the loss too,
    /// with weight 1/8.
    pub multi_topk: bool,
    /// `sparsify`: whether the dictionary is a transcoder, which predicts from each row another one
    /// (the output of a module from its input) instead of reconstructing it.
    pub transcode: bool,
    /// `sparsify`, with `transcode`: whether a linear map from the row goes past the dictionary.
    pub skip_connection: bool,
    /// `saelens`, `TopK` family: whether features are chosen by their activation times the length
    /// of their decoder row.
    pub rescale_acts_by_decoder_norm: bool,
    /// `saelens`, `Matryoshka`: whether the dead features of each group reconstruct the error of
    /// their own prefix.
    pub use_matryoshka_aux_loss: bool,
    /// `saelens`, `JumpRelu`: what the penalty counts.
    pub l0_penalty: L0Penalty,
    /// `saelens`, `JumpRelu`: factor within the tanh.
    pub tanh_scale: f32,
    /// `saelens`, `JumpRelu`: weight of the loss that lifts dead features towards their threshold;
    /// `None` for none.
    pub pre_act_loss: Option<f32>,
    /// `saelens`, `JumpRelu`: whether the window's gradient reaches the encoder too.
    pub ste_to_input: bool,
    /// `JumpRelu`: every threshold at the start, ≥ 0.
    pub init_threshold: f32,
    /// Length of decoder rows at the start, > 0.
    pub decoder_init_norm: f32,
    /// How rows are scaled before they are encoded.
    pub normalize_activations: InputScaling,
    /// Whether the rows' mean is taken off before training; it is folded into the biases when
    /// training ends. Keeps features alive where rows lie far from the origin.
    pub centre_rows: bool,
    /// `TopK` family: active features per row in the first step, falling to `k` over
    /// `k_anneal_steps`; `None` for 10 times `d_model`, as in sparsify.
    pub k_start: Option<u32>,
    /// `TopK` family: steps over which `k` falls from `k_start`; 0 for none.
    pub k_anneal_steps: u32,
    /// `Relu`: every so many steps features that were not active for half of them start anew from
    /// rows that are reconstructed badly; `None` for never.
    pub resample_steps: Option<u32>,
    /// Whether `b_dec` is taken off before encoding; `None` for what the variant and recipe do.
    pub apply_b_dec_to_input: Option<bool>,
    /// Adam: this many times the weight is added to its gradient, ≥ 0; not for `b_enc`.
    pub weight_decay: f32,
    /// `recsae`: steps after which decoder rows are brought to unit length and features are
    /// declared dead anew.
    pub epoch_steps: Option<u32>,
    /// User vectors of a recommender, ≥ 1: passes over the rows without a better dev NDCG@5 with
    /// reconstructed vectors after which training ends; the best pass is kept. `None` takes all
    /// steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<u32>,
    /// Seed of initial weights and of the order of rows.
    pub seed: u64,
}

impl SaeConfig {
    /// The settings of `dictionary_learning` for a variant, where they differ from variant to
    /// variant.
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

    /// The settings that a recipe has for a variant of so many features.
    #[must_use]
    pub fn of_recipe(recipe: SaeRecipe, variant: SaeVariant, n_features: u32) -> Self {
        let plain = Self {
            variant,
            recipe,
            n_features,
            ..Self::default()
        };
        match recipe {
            SaeRecipe::DictionaryLearning => Self {
                n_features,
                ..Self::of_variant(variant)
            },
            SaeRecipe::Saelens => Self {
                lr: 3e-4,
                auxk_alpha: 1.0,
                threshold_beta: 0.99,
                threshold_start_step: 0,
                l1: 1.0,
                sparsity_warmup_steps: 0,
                bandwidth: 0.05,
                init_threshold: 0.01,
                decoder_init_norm: 0.1,
                unit_decoder: false,
                ..plain
            },
            SaeRecipe::Sparsify => Self {
                lr: 5e-3 / (n_features as f32 / 16384.0).sqrt(),
                optimizer: SaeOptimiser::Signum,
                auxk_alpha: 0.0,
                grad_clip: None,
                dead_after_rows: 10_000_000,
                ..plain
            },
            SaeRecipe::Recsae => Self {
                lr: 5e-5,
                k: 8,
                warmup_steps: 0,
                grad_clip: None,
                weight_decay: 1e-6,
                ..plain
            },
        }
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
            optimizer: SaeOptimiser::Adam,
            multi_topk: false,
            transcode: false,
            skip_connection: false,
            rescale_acts_by_decoder_norm: true,
            use_matryoshka_aux_loss: false,
            l0_penalty: L0Penalty::Step,
            tanh_scale: 4.0,
            pre_act_loss: None,
            ste_to_input: false,
            init_threshold: 0.001,
            decoder_init_norm: 1.0,
            normalize_activations: InputScaling::None,
            centre_rows: false,
            k_start: None,
            k_anneal_steps: 0,
            resample_steps: None,
            apply_b_dec_to_input: None,
            weight_decay: 0.0,
            epoch_steps: None,
            early_stop: None,
            seed: 0,
        }
    }
}
