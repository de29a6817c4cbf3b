//! Reads dictionaries of `dictionary_learning`: `config.json` and a safetensors copy of `ae.pt`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::sparsity::Sparsity;
use crate::tensors::{parse, read_f32};

#[derive(Debug, Deserialize)]
struct RunConfig {
    trainer: TrainerConfig,
}

/// The keys of `config.json`'s `trainer` that decide how the weights are used.
#[derive(Debug, Deserialize)]
struct TrainerConfig {
    dict_class: String,
    activation_dim: usize,
    dict_size: usize,
    k: u32,
}

/// Reads `config.json` and `ae.safetensors` (the tensors of `ae.pt` under their own names).
///
/// `k` comes from `config.json`, the threshold from the weights. `AutoEncoderTopK` and
/// `BatchTopKSAE` are known; a `BatchTopKSAE` without a threshold (−1) takes the k highest of
/// each row.
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be read, [`SaeError::Format`] if one is damaged, its shapes
/// disagree, or its class is another.
pub fn load(folder: &Path) -> Result<SparseAutoencoder, SaeError> {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).map_err(SaeError::io(&path))?;
    let config: RunConfig = serde_json::from_str(&text).map_err(|error| {
        SaeError::format(&path, format!("its settings cannot be read ({error})"))
    })?;
    let config = config.trainer;
    let weights_path = folder.join("ae.safetensors");
    let bytes = fs::read(&weights_path).map_err(SaeError::io(&weights_path))?;
    let tensors = parse(&weights_path, &bytes)?;
    let (n, d) = (config.dict_size, config.activation_dim);
    let tensor = |name: &str, shape: &[Option<usize>]| {
        read_f32(&weights_path, &tensors, name, shape).map(|(_, values)| values)
    };
    let sparsity = match config.dict_class.as_str() {
        "AutoEncoderTopK" => Sparsity::TopK { k: config.k },
        "BatchTopKSAE" => Sparsity::BatchTopK {
            k: config.k,
            threshold: tensor("threshold", &[])?.first().copied().unwrap_or(-1.0),
        },
        other => {
            let reason = format!("its class is {other}, expected AutoEncoderTopK or BatchTopKSAE");
            return Err(SaeError::format(&path, reason));
        }
    };
    // `decoder` is a Linear layer, so its weight is [d_model, n_features].
    let decoder = tensor("decoder.weight", &[Some(d), Some(n)])?;
    SparseAutoencoder::new(SaeParts {
        d_model: d,
        n_features: n,
        w_enc: tensor("encoder.weight", &[Some(n), Some(d)])?,
        b_enc: tensor("encoder.bias", &[Some(n)])?,
        w_dec: transposed(&decoder, n),
        b_dec: tensor("b_dec", &[Some(d)])?,
        sparsity,
    })
    .map_err(|error| SaeError::format(&weights_path, error.to_string()))
}

/// `[n, m]` from `[m, n]`.
fn transposed(values: &[f32], n: usize) -> Vec<f32> {
    let m = values.len() / n.max(1);
    (0..n)
        .flat_map(|row| (0..m).map(move |column| values[column * n + row]))
        .collect()
}
