//! Reads `OpenAI`'s `sparse_autoencoder` files: one `.pt` of named tensors and a few words.

use std::path::Path;

use schema::InputScaling;

use super::export::transposed;
use super::tensor_file::TensorFile;
use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::sparsity::Sparsity;

/// Reads one file.
///
/// # Errors
/// [`SaeError::Io`] if it cannot be read, [`SaeError::Format`] if it is damaged, a tensor is missing
/// or of another shape, its activation is neither `ReLU` nor `TopK`, or the pickle names anything
/// but tensors.
///
/// # Source
/// `openai/sparse_autoencoder`, `Autoencoder.from_state_dict`: a `TopK` activation means rows
/// brought to mean 0 and unbiased deviation 1 before encoding, and back after decoding; without a
/// decoder the encoder's transpose decodes.
pub fn load(path: &Path) -> Result<SparseAutoencoder, SaeError> {
    let mut file = TensorFile::open(path)?;
    let encoder = file.find("encoder.weight")?;
    let shape = encoder.map(|tensor| tensor.shape).unwrap_or_default();
    let &[n, d] = shape.as_slice() else {
        let reason = format!(
            "encoder.weight has shape {shape:?}, expected [n_features, d_model]; is it a file of \
             OpenAI's sparse_autoencoder?"
        );
        return Err(SaeError::format(path, reason));
    };
    let activation = file.text("activation").unwrap_or("ReLU".to_owned());
    let (sparsity, scaling) = match activation.as_str() {
        "ReLU" => (Sparsity::Relu, InputScaling::None),
        "TopK" => {
            let k = file.whole_number("activation_state_dict", "k");
            let k = k.and_then(|k| u32::try_from(k).ok()).ok_or_else(|| {
                SaeError::format(path, "activation_state_dict says no k, which TopK needs")
            })?;
            (Sparsity::TopK { k }, InputScaling::LayerNorm)
        }
        other => {
            let reason = format!("its activation is {other}, expected ReLU or TopK");
            return Err(SaeError::format(path, reason));
        }
    };
    let w_enc = file.floats("encoder.weight", &[n, d])?;
    let w_dec = match file.find("decoder.weight")? {
        Some(_) => transposed(&file.floats("decoder.weight", &[d, n])?, n),
        None => w_enc.clone(),
    };
    SparseAutoencoder::new(SaeParts {
        d_model: d,
        n_features: n,
        b_enc: file.floats("latent_bias", &[n])?,
        b_dec: file.floats("pre_bias", &[d])?,
        w_enc,
        w_dec,
        is_centred: true,
        sparsity,
        extras: SaeExtras {
            scaling,
            ..SaeExtras::default()
        },
    })
    .map_err(|error| SaeError::format(path, error.to_string()))
}
