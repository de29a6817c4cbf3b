//! The weight tensors of an autoencoder in training, and anything of their shape.

use crate::autoencoder::SaeParts;

/// Weights, gradients or moments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    pub(crate) d_model: usize,
    /// `[n_features, d_model]`.
    pub(crate) w_enc: Vec<f32>,
    /// `[n_features]`.
    pub(crate) b_enc: Vec<f32>,
    /// `[n_features, d_model]`.
    pub(crate) w_dec: Vec<f32>,
    /// `[d_model]`.
    pub(crate) b_dec: Vec<f32>,
    /// Parameters that only some variants have, a whole number of `[n_features]`.
    pub(crate) extra: Vec<f32>,
    /// A transcoder's linear path past the dictionary, `[d_model, d_model]`, a row per output;
    /// empty where there is none.
    pub(crate) skip: Vec<f32>,
}

impl Weights {
    /// No features at all.
    pub(crate) fn empty() -> Self {
        Self {
            d_model: 0,
            w_enc: Vec::new(),
            b_enc: Vec::new(),
            w_dec: Vec::new(),
            b_dec: Vec::new(),
            extra: Vec::new(),
            skip: Vec::new(),
        }
    }

    /// Zeros in the shapes of `weights`.
    pub(crate) fn zeros_like(weights: &Self) -> Self {
        Self {
            d_model: weights.d_model,
            w_enc: vec![0.0; weights.w_enc.len()],
            b_enc: vec![0.0; weights.b_enc.len()],
            w_dec: vec![0.0; weights.w_dec.len()],
            b_dec: vec![0.0; weights.b_dec.len()],
            extra: vec![0.0; weights.extra.len()],
            skip: vec![0.0; weights.skip.len()],
        }
    }

    /// The weights of `parts`; with `has_skip` a linear path too, zeros where the parts have none.
    pub(crate) fn from_parts(parts: SaeParts, extra: Vec<f32>, has_skip: bool) -> Self {
        let n_skip = if has_skip { parts.d_model.pow(2) } else { 0 };
        let skip = parts.extras.skip.filter(|_| has_skip);
        Self {
            extra,
            skip: skip.unwrap_or_else(|| vec![0.0; n_skip]),
            d_model: parts.d_model,
            w_enc: parts.w_enc,
            b_enc: parts.b_enc,
            w_dec: parts.w_dec,
            b_dec: parts.b_dec,
        }
    }

    pub(crate) fn n_features(&self) -> usize {
        self.b_enc.len()
    }

    /// The tensors in the order of [`Self::tensors`].
    pub(crate) fn tensors_mut(&mut self) -> [&mut Vec<f32>; 6] {
        [
            &mut self.w_enc,
            &mut self.b_enc,
            &mut self.w_dec,
            &mut self.b_dec,
            &mut self.extra,
            &mut self.skip,
        ]
    }

    /// The tensors by name, in a fixed order.
    pub(crate) fn tensors(&self) -> [(&'static str, &[f32]); 6] {
        [
            ("w_enc", &self.w_enc),
            ("b_enc", &self.b_enc),
            ("w_dec", &self.w_dec),
            ("b_dec", &self.b_dec),
            ("extra", &self.extra),
            ("skip", &self.skip),
        ]
    }
}
