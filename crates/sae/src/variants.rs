//! What each variant adds to the training step that all share: one file per variant.
//!
//! A step selects the places of each row that matter to the loss or its gradient, turns their
//! pre-activations into activations, decodes, and goes back. A variant says which places, which
//! activations, which terms the loss has besides the reconstruction, and how a derivative passes
//! from an activation to its pre-activation.

mod batch_top_k;
mod gated;
mod group_max;
mod jump_relu;
mod jump_relu_saelens;
mod matryoshka;
mod relu;
mod top_k;

use schema::{SaeConfig, SaeRecipe, SaeVariant};

use crate::codes::SparseCodes;
use crate::error::SaeError;
use crate::gradients::Backward;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// How the places of a batch are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The so many highest pre-activations above 0 of each row.
    OfRow(u32),
    /// So many times the rows, the highest of the batch.
    OfBatch(u32),
    /// Row by row, by [`Variant::places`].
    Each,
}

/// What a variant sees when it chooses the places of a row.
pub(crate) struct Given<'a> {
    pub(crate) weights: &'a Weights,
    /// Whether each feature is dead; empty where the variant does not look.
    pub(crate) is_dead: Vec<bool>,
}

impl<'a> Given<'a> {
    pub(crate) fn new(weights: &'a Weights, dead: &[u32], looks: bool) -> Self {
        let mut is_dead = Vec::new();
        if looks {
            is_dead.resize(weights.n_features(), false);
            for &feature in dead {
                is_dead[feature as usize] = true;
            }
        }
        Self { weights, is_dead }
    }
}

/// What a variant sees of a batch after decoding.
pub(crate) struct Batch<'a> {
    pub(crate) config: &'a SaeConfig,
    /// Steps done before this one.
    pub(crate) step: u32,
    pub(crate) weights: &'a Weights,
    /// Places with their pre-activations.
    pub(crate) places: &'a SparseCodes,
    /// The same places with their activations, 0 where a feature is not active.
    pub(crate) codes: &'a SparseCodes,
    /// What is to be decoded: rows less `b_dec`, `[n_rows, d_model]`.
    pub(crate) target: &'a [f32],
    /// Dead features, ascending.
    pub(crate) dead: &'a [u32],
}

impl Batch<'_> {
    pub(crate) fn n_rows(&self) -> f64 {
        self.codes.n_rows() as f64
    }

    /// The share of the sparsity penalty at this step: linear from 0 during its warm-up.
    pub(crate) fn penalty_share(&self) -> f64 {
        match self.config.sparsity_warmup_steps {
            0 => 1.0,
            warmup => (f64::from(self.step) / f64::from(warmup)).min(1.0),
        }
    }

    /// Decodes other activations at the same places; the pass has the derivatives of
    /// mean ‖x − x̂‖² with respect to them. Returns the error too.
    pub(crate) fn decode_again(&self, values: Vec<f32>) -> (Backward, Vec<f32>) {
        let codes = SparseCodes {
            offsets: self.codes.offsets.clone(),
            features: self.codes.features.clone(),
            values,
        };
        let mut error = self.target.to_vec();
        let scale = (2.0 / self.n_rows()) as f32;
        (Backward::new(codes, self.weights, scale, &mut error), error)
    }
}

/// Terms of the loss besides the reconstruction, and their gradients.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// Their sum.
    pub(crate) loss: f64,
    /// Gradient of the variant's own parameters, as in [`Weights::extra`]; empty for none.
    pub(crate) extra: Vec<f32>,
    /// Gradient of each decoder row as a multiple of that row; empty for none.
    pub(crate) along_decoder: Vec<f32>,
    /// A further decoding whose loss the decoder and `b_dec` are to follow too, and its error.
    pub(crate) decoded: Option<(Backward, Vec<f32>)>,
}

/// One variant's part of a training step.
pub(crate) trait Variant: Sync {
    /// The rule by which the dictionary encodes; `threshold` was tracked over the batches.
    fn rule(&self, weights: &Weights, threshold: f32) -> Sparsity;

    /// How places are chosen.
    fn selection(&self) -> Selection;

    /// Places of one row by ascending feature, each with its pre-activation. Values past the last
    /// feature are padding. Only for [`Selection::Each`].
    fn places(&self, _given: &Given<'_>, _row: &[f32], _out: &mut Vec<(f32, u32)>) {}

    /// Whether [`Given::is_dead`] is to be filled for [`Self::places`].
    fn looks_at_dead(&self) -> bool {
        false
    }

    /// Brings the variant's parameters into their range before a step.
    fn prepare(&self, _weights: &mut Weights) {}

    /// Activations of places; `None` where they are the pre-activations themselves.
    fn activations(&self, _weights: &Weights, _places: &SparseCodes) -> Option<Vec<f32>> {
        None
    }

    /// Adds the variant's terms. `gradients` enters with the derivatives of the reconstruction
    /// loss with respect to the activations, and leaves with those of the whole loss with respect
    /// to the pre-activations.
    fn terms(&self, _batch: &Batch<'_>, _gradients: &mut [f32]) -> Terms {
        Terms::default()
    }

    /// Whether `b_dec` is taken off before encoding.
    fn is_centred(&self) -> bool {
        true
    }

    /// Whether `b_enc` is learnt; otherwise it stays as it is.
    fn has_encoder_bias(&self) -> bool {
        true
    }

    /// Whether the lowest activation of the batches is tracked as a threshold.
    fn tracks_threshold(&self) -> bool {
        false
    }

    /// Features of each nested prefix, all but the first counted from the one before, and the
    /// weight of its reconstruction loss; none where all features reconstruct together.
    fn levels(&self) -> Vec<(u32, f32)> {
        Vec::new()
    }

    /// Parameters of its own at the start, given what the initial dictionary has.
    fn initial_extra(&self, _initial: &Sparsity) -> Vec<f32> {
        Vec::new()
    }
}

/// The variant that a configuration asks for.
///
/// # Errors
/// [`SaeError::Config`] for group fractions that do not fit.
pub(crate) fn variant(config: &SaeConfig) -> Result<Box<dyn Variant>, SaeError> {
    let n_features = config.n_features;
    Ok(match config.variant {
        SaeVariant::TopK => Box::new(top_k::TopK { k: config.k }),
        SaeVariant::BatchTopK => Box::new(batch_top_k::BatchTopK { k: config.k }),
        SaeVariant::Matryoshka => Box::new(matryoshka::Matryoshka::new(config)?),
        SaeVariant::Relu => Box::new(relu::Relu { n_features }),
        SaeVariant::JumpRelu if config.recipe == SaeRecipe::Saelens => {
            Box::new(jump_relu_saelens::JumpRelu::new(config))
        }
        SaeVariant::JumpRelu => Box::new(jump_relu::JumpRelu {
            n_features,
            bandwidth: config.bandwidth,
            init_threshold: config.init_threshold,
        }),
        SaeVariant::Gated => Box::new(gated::Gated {
            n_features,
            is_saelens: config.recipe == SaeRecipe::Saelens,
        }),
        SaeVariant::GroupMax => Box::new(group_max::GroupMax::new(config)?),
        _ => {
            return Err(SaeError::Config {
                field: "variant",
                reason: format!("{:?} cannot be trained yet", config.variant),
            });
        }
    })
}
