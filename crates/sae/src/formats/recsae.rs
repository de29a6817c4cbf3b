//! Reads the bare state dictionary of `RecSAE`: four tensors, `k` given by the caller.

use std::fs;
use std::path::Path;

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::sparsity::Sparsity;
use crate::tensors::{parse, read_f32};

/// Reads `encoder.weight`, `encoder.bias`, `W_dec` and `b_dec` from a safetensors file.
///
/// # Errors
/// [`SaeError::Io`] if the file cannot be read, [`SaeError::Format`] if it is damaged, a tensor is
/// missing or shapes disagree, or `k` is not in `1..=n_features`.
pub fn load(path: &Path, k: u32) -> Result<SparseAutoencoder, SaeError> {
    let bytes = fs::read(path).map_err(SaeError::io(path))?;
    let tensors = parse(path, &bytes)?;
    let (shape, w_enc) = read_f32(path, &tensors, "encoder.weight", &[None, None])?;
    let (n, d) = (shape[0], shape[1]);
    let tensor = |name: &str, shape: &[Option<usize>]| {
        read_f32(path, &tensors, name, shape).map(|(_, values)| values)
    };
    SparseAutoencoder::new(SaeParts {
        d_model: d,
        n_features: n,
        w_enc,
        b_enc: tensor("encoder.bias", &[Some(n)])?,
        w_dec: tensor("W_dec", &[Some(n), Some(d)])?,
        b_dec: tensor("b_dec", &[Some(d)])?,
        is_centred: true,
        sparsity: Sparsity::TopK { k },
        extras: SaeExtras::default(),
    })
    .map_err(|error| SaeError::format(path, error.to_string()))
}
