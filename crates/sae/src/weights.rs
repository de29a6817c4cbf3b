//! The four weight tensors of an autoencoder, and anything of their shape.

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
}

impl Weights {
    pub(crate) fn zeros(n_features: usize, d_model: usize) -> Self {
        Self {
            d_model,
            w_enc: vec![0.0; n_features * d_model],
            b_enc: vec![0.0; n_features],
            w_dec: vec![0.0; n_features * d_model],
            b_dec: vec![0.0; d_model],
        }
    }

    pub(crate) fn from_parts(parts: SaeParts) -> Self {
        Self {
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

    /// The tensors by name, in a fixed order.
    pub(crate) fn tensors(&self) -> [(&'static str, &[f32]); 4] {
        [
            ("w_enc", &self.w_enc),
            ("b_enc", &self.b_enc),
            ("w_dec", &self.w_dec),
            ("b_dec", &self.b_dec),
        ]
    }
}
