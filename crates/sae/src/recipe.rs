//! Whose conventions a training follows, as the few choices in which they differ.

use schema::{InputScaling, SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant};

/// What a mean over rows is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossScale {
    /// The number of rows: mean ‖x − x̂‖².
    Rows,
    /// The variation of the batch: the fraction of variance unexplained.
    Variation,
}

impl LossScale {
    /// The divisor for a batch of so many rows and this variation.
    pub(crate) fn divisor(self, n_rows: usize, variation: f64) -> f64 {
        match self {
            Self::Rows => n_rows as f64,
            Self::Variation if variation > 0.0 => variation,
            // Rows all alike: there is nothing to explain, and no gradient.
            Self::Variation => f64::INFINITY,
        }
    }
}

/// When decoder rows are brought to unit length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitRows {
    Never,
    BeforeStep,
    AfterStep,
    /// Before the first step of each epoch.
    BeforeEpoch,
}

/// What `b_dec` is before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BiasStart {
    /// As it was given.
    Given,
    /// The mean of what is predicted; a transcoder's encoder then takes off the mean of its rows
    /// by its own bias.
    Mean,
    GeometricMedian,
}

/// When a feature counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadRule {
    /// After `dead_after_rows` rows without activation, this batch included.
    WithBatch,
    /// After more than `dead_after_rows` rows before this batch.
    BeforeBatch,
    /// When it was not active in the epoch before; none in the first.
    EpochBefore,
}

/// How dead features are brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuxLoss {
    /// mean ‖e − ê‖² over the variance of the error e.
    OverErrorVariance,
    /// mean ‖e − ê‖²; pre-activations below 0 count too.
    OverRows,
    /// ‖e − ê‖² over the variation of the batch; no gradient reaches the encoder.
    OverVariationDecoderOnly,
    /// ‖e − ê‖² over the variation of the batch, e being x̂ − x and ê with `b_dec`; the gradient
    /// passes through e too.
    Recsae,
}

/// Whether the rows' mean is out of the way of the first step: taken off the rows, or held by
/// `b_dec`, which starts in the middle of the first batch. Else `b_dec` starts at 0.
#[must_use]
pub fn starts_off_the_mean(config: &SaeConfig) -> bool {
    config.centre_rows || Conventions::of(config).bias_start != BiasStart::Given
}

/// The conventions of one training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of choices, each read in one place"
)]
pub(crate) struct Conventions {
    pub(crate) loss: LossScale,
    pub(crate) unit_rows: UnitRows,
    /// Whether the decoder's gradient loses its component along each row.
    pub(crate) projects: bool,
    pub(crate) bias_start: BiasStart,
    pub(crate) dead: DeadRule,
    pub(crate) aux: AuxLoss,
    /// Whether the auxiliary loss shrinks while fewer than `d_model / 2` features are dead.
    pub(crate) aux_shrinks: bool,
    /// Whether each group's dead features reconstruct the error of their own prefix.
    pub(crate) aux_by_level: bool,
    /// Whether the first step already has 1 / `warmup_steps` of the rate.
    pub(crate) warms_from_first: bool,
    /// Whether the rate decays from the end of the warm-up where no other start is given.
    pub(crate) always_decays: bool,
    pub(crate) optimiser: SaeOptimiser,
    /// Whether features are chosen by activation times length of their decoder row.
    pub(crate) rescales: bool,
    /// Whether the 4 k highest reconstruct as well.
    pub(crate) multi_topk: bool,
    /// Whether the tracked threshold begins at 0 instead of at the first lowest activation.
    pub(crate) threshold_from_zero: bool,
    pub(crate) layer_norm: bool,
}

impl Conventions {
    /// Those that a configuration asks for.
    pub(crate) fn of(config: &SaeConfig) -> Self {
        let is_top_k = config.variant.is_top_k();
        let dictionary_learning = Self {
            loss: LossScale::Rows,
            unit_rows: if config.unit_decoder {
                UnitRows::AfterStep
            } else {
                UnitRows::Never
            },
            projects: config.unit_decoder,
            bias_start: if is_top_k {
                BiasStart::GeometricMedian
            } else {
                BiasStart::Given
            },
            dead: DeadRule::WithBatch,
            aux: AuxLoss::OverErrorVariance,
            aux_shrinks: false,
            aux_by_level: false,
            warms_from_first: false,
            always_decays: false,
            optimiser: SaeOptimiser::Adam,
            rescales: false,
            multi_topk: false,
            threshold_from_zero: false,
            layer_norm: config.normalize_activations == InputScaling::LayerNorm,
        };
        match config.recipe {
            SaeRecipe::Saelens => Self {
                unit_rows: UnitRows::Never,
                projects: false,
                bias_start: BiasStart::Given,
                dead: DeadRule::BeforeBatch,
                aux: AuxLoss::OverRows,
                aux_shrinks: true,
                aux_by_level: config.use_matryoshka_aux_loss
                    && config.variant == SaeVariant::Matryoshka,
                warms_from_first: true,
                rescales: is_top_k && config.rescale_acts_by_decoder_norm,
                threshold_from_zero: true,
                ..dictionary_learning
            },
            SaeRecipe::Sparsify => Self {
                loss: LossScale::Variation,
                unit_rows: if config.transcode {
                    UnitRows::Never
                } else {
                    UnitRows::BeforeStep
                },
                projects: !config.transcode,
                bias_start: BiasStart::Mean,
                dead: DeadRule::BeforeBatch,
                aux: AuxLoss::OverVariationDecoderOnly,
                aux_shrinks: true,
                always_decays: true,
                optimiser: config.optimizer,
                multi_topk: config.multi_topk && config.variant == SaeVariant::TopK,
                ..dictionary_learning
            },
            SaeRecipe::Recsae => Self {
                loss: LossScale::Variation,
                unit_rows: UnitRows::BeforeEpoch,
                projects: false,
                bias_start: BiasStart::Given,
                dead: DeadRule::EpochBefore,
                aux: AuxLoss::Recsae,
                aux_shrinks: true,
                ..dictionary_learning
            },
            _ => dictionary_learning,
        }
    }
}
