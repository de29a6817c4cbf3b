//! Reads dictionaries of Gemma Scope: `params.npz` of the first, `params.safetensors` of the second.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::export::transposed;
use super::npz::NpzFile;
use super::tensor_file::TensorFile;
use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::sparsity::Sparsity;

/// Name of the first scope's file.
pub const NPZ_FILE: &str = "params.npz";
/// Name of the second scope's file.
pub const SAFETENSORS_FILE: &str = "params.safetensors";
/// Name of the second scope's settings.
const CONFIG_FILE: &str = "config.json";

/// A dictionary of Gemma Scope, and what its files say of it.
#[derive(Debug)]
pub struct ScopeDictionary {
    /// The dictionary.
    pub sae: SparseAutoencoder,
    /// The file of its tensors.
    pub weights: PathBuf,
    /// `hf_hook_point_in` of the second scope.
    pub hook_name: Option<String>,
    /// `model_name` of the second scope.
    pub model: Option<String>,
}

/// The weight file of a folder, or of a path that is one, in this layout.
pub fn weight_file(path: &Path) -> Option<PathBuf> {
    let names = [NPZ_FILE, SAFETENSORS_FILE];
    if path.is_file() {
        let name = path.file_name()?.to_str()?;
        return (names.contains(&name)
            || path.extension().is_some_and(|extension| extension == "npz"))
        .then(|| path.to_owned());
    }
    names
        .iter()
        .map(|name| path.join(name))
        .find(|path| path.is_file())
}

/// Reads the dictionary of a folder, or of a weight file.
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be read, [`SaeError::Format`] if one is damaged, a tensor is
/// missing or of another shape, or its architecture is another.
///
/// # Source
/// Lieberum et al. 2024 (arXiv 2408.05147) and its release of 2025: `JumpReLU`, `b_dec` not taken
/// off the input; names in upper or lower case; a transcoder's `affine_skip_connection`
/// `[d_in, d_out]` is added to what it predicts.
pub fn load(path: &Path) -> Result<ScopeDictionary, SaeError> {
    let weights = weight_file(path).ok_or_else(|| {
        SaeError::format(
            path,
            format!("expected {NPZ_FILE} or {SAFETENSORS_FILE} in it"),
        )
    })?;
    let beside = weights.with_file_name(CONFIG_FILE);
    let config: Value = if beside.is_file() {
        let text = fs::read_to_string(&beside).map_err(SaeError::io(&beside))?;
        serde_json::from_str(&text)
            .map_err(|error| SaeError::format(&beside, format!("it is no JSON ({error})")))?
    } else {
        Value::Null
    };
    if let Some(other) = config["architecture"].as_str()
        && other != "jump_relu"
    {
        let reason = format!("its architecture is {other}, expected jump_relu");
        return Err(SaeError::format(&beside, reason));
    }
    let mut tensors = Tensors::open(&weights)?;
    let encoder = tensors.shape("W_enc")?;
    let &[d, n] = encoder.as_slice() else {
        let reason = format!("W_enc has shape {encoder:?}, expected [d_model, n_features]");
        return Err(SaeError::format(&weights, reason));
    };
    let w_enc = transposed(&tensors.floats("W_enc", &[d, n])?, n);
    let has_skip = tensors.has("affine_skip_connection")?;
    let parts = SaeParts {
        d_model: d,
        n_features: n,
        w_enc,
        b_enc: tensors.floats("b_enc", &[n])?,
        w_dec: tensors.floats("W_dec", &[n, d])?,
        b_dec: tensors.floats("b_dec", &[d])?,
        is_centred: false,
        sparsity: Sparsity::JumpRelu {
            thresholds: tensors.floats("threshold", &[n])?.into(),
        },
        extras: SaeExtras {
            skip: if has_skip {
                Some(transposed(
                    &tensors.floats("affine_skip_connection", &[d, d])?,
                    d,
                ))
            } else {
                None
            },
            is_transcoder: config["hf_hook_point_out"]
                .as_str()
                .is_some_and(|out| config["hf_hook_point_in"].as_str() != Some(out)),
            ..SaeExtras::default()
        },
    };
    let said = |key: &str| config[key].as_str().map(str::to_owned);
    Ok(ScopeDictionary {
        sae: SparseAutoencoder::new(parts)
            .map_err(|error| SaeError::format(&weights, error.to_string()))?,
        hook_name: said("hf_hook_point_in"),
        model: said("model_name"),
        weights,
    })
}

/// Named tensors of either file.
enum Tensors {
    Npz(NpzFile),
    Safetensors(TensorFile),
}

impl Tensors {
    fn open(path: &Path) -> Result<Self, SaeError> {
        let is_npz = path.extension().is_some_and(|extension| extension == "npz");
        Ok(if is_npz {
            Self::Npz(NpzFile::open(path)?)
        } else {
            Self::Safetensors(TensorFile::open(path)?)
        })
    }

    /// The name as the file has it: some have lower case.
    fn name(&mut self, name: &str) -> Result<String, SaeError> {
        let lower = name.to_lowercase();
        Ok(if self.exists(name)? || !self.exists(&lower)? {
            name.to_owned()
        } else {
            lower
        })
    }

    fn exists(&mut self, name: &str) -> Result<bool, SaeError> {
        match self {
            Self::Npz(file) => Ok(file.has(name)),
            Self::Safetensors(file) => Ok(file.find(name)?.is_some()),
        }
    }

    fn has(&mut self, name: &str) -> Result<bool, SaeError> {
        let name = self.name(name)?;
        self.exists(&name)
    }

    fn shape(&mut self, name: &str) -> Result<Vec<usize>, SaeError> {
        let name = self.name(name)?;
        Ok(match self {
            Self::Npz(file) => file.read(&name)?.shape,
            Self::Safetensors(file) => file
                .find(&name)?
                .map(|tensor| tensor.shape)
                .unwrap_or_default(),
        })
    }

    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, SaeError> {
        let name = self.name(name)?;
        match self {
            Self::Npz(file) => file.floats(&name, shape),
            Self::Safetensors(file) => file.floats(&name, shape),
        }
    }
}
