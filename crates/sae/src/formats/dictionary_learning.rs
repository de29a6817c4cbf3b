//! Reads dictionaries of `dictionary_learning`: `config.json` and the tensors of `ae.pt`.
//!
//! This is also the layout of `microsoft/maira-2-sae`. No pickle is executed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::export::transposed;
use super::tensor_file::TensorFile;
use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::fold::scale_biases;
use crate::sparsity::{Gate, Sparsity};

/// Name of the settings file.
pub const CONFIG_FILE: &str = "config.json";
/// Names of the weight file, the first that is there.
const WEIGHT_FILES: [&str; 4] = [
    "ae.pt",
    "ae.safetensors",
    "sae.safetensors",
    "model.safetensors",
];

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
    #[serde(default)]
    k: Option<u32>,
    #[serde(default)]
    group_sizes: Option<Vec<u32>>,
    #[serde(default)]
    layer: Value,
    #[serde(default)]
    submodule_name: Value,
    #[serde(default)]
    lm_name: Value,
}

/// A dictionary in the layout of `dictionary_learning`, and what its files say of it.
#[derive(Debug)]
pub struct PublishedDictionary {
    /// The dictionary.
    pub sae: SparseAutoencoder,
    /// Its class, e.g. `MatryoshkaBatchTopKSAE`.
    pub class: String,
    /// `layer` of the settings. The library's practice is the output of block `layer`, from 0.
    pub layer: Option<usize>,
    /// `submodule_name` of the settings, e.g. `resid_post_layer_15`.
    pub submodule: Option<String>,
    /// `lm_name` of the settings: the model it was trained on, in the trainer's words.
    pub model: Option<String>,
    /// The file of its tensors.
    pub weights: PathBuf,
    /// What a user should know of how the file was read, a sentence each.
    pub notes: Vec<String>,
}

/// The weight file of a folder in this layout, if there is one.
pub fn weight_file(folder: &Path) -> Option<PathBuf> {
    WEIGHT_FILES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Reads the dictionary of a folder; as [`open`], without what stands beside it.
///
/// # Errors
/// Those of [`open`].
pub fn load(folder: &Path) -> Result<SparseAutoencoder, SaeError> {
    Ok(open(folder)?.sae)
}

/// Reads `config.json` and `ae.pt` (else a safetensors copy of it) of a folder.
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be read, [`SaeError::Format`] if one is damaged, a tensor is
/// missing, has another shape or holds NaN, the settings and the tensors disagree, the class is
/// unknown, or the pickle names anything but tensors.
///
/// # Source
/// The classes of `dictionary_learning` 0.1.0. Differs: an `AutoEncoder` keeps the scale it was
/// trained in, where the library's `from_pretrained` makes decoder columns unit length and the
/// activations larger in return (the reconstruction is the same); a batch rule whose threshold
/// was never set keeps the k highest of each row, where the library keeps everything above 0.
pub fn open(folder: &Path) -> Result<PublishedDictionary, SaeError> {
    match weight_file(folder) {
        Some(weights) => open_files(&folder.join(CONFIG_FILE), &weights),
        None => Err(SaeError::format(
            folder,
            format!(
                "it holds no weights, expected {}",
                WEIGHT_FILES.join(" or ")
            ),
        )),
    }
}

/// As [`open`], of two files by name.
///
/// # Errors
/// Those of [`open`].
pub fn open_files(config: &Path, weights: &Path) -> Result<PublishedDictionary, SaeError> {
    let text = fs::read_to_string(config).map_err(SaeError::io(config))?;
    let run: RunConfig = serde_json::from_str(&text).map_err(|error| {
        SaeError::format(config, format!("its settings cannot be read ({error})"))
    })?;
    let mut reader = Reader {
        config: run.trainer,
        config_path: config,
        file: TensorFile::open(weights)?,
    };
    let mut parts = reader.parts()?;
    let mut notes = Vec::new();
    if let Some(checkpoint) = reader.file.checkpoint() {
        let step = checkpoint
            .step
            .map_or_else(String::new, |step| format!(" at step {step}"));
        let mut note = format!("{} is the checkpoint of a run{step}", weights.display());
        if let Some(factor) = checkpoint.norm_factor
            && factor != 1.0
        {
            scale_biases(&mut parts, factor as f32);
            note = format!(
                "{note}; its biases and threshold were multiplied by its norm_factor \
                 {factor:.6}, as the library does when a run ends"
            );
        }
        notes.push(note);
    }
    let config = reader.config;
    Ok(PublishedDictionary {
        sae: SparseAutoencoder::new(parts)
            .map_err(|error| SaeError::format(weights, error.to_string()))?,
        class: config.dict_class,
        layer: layer_of(&config.layer),
        submodule: text_of(&config.submodule_name),
        model: text_of(&config.lm_name),
        weights: weights.to_owned(),
        notes,
    })
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A layer given as a number, or as text that is one.
fn layer_of(value: &Value) -> Option<usize> {
    let number = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    number.and_then(|number| usize::try_from(number).ok())
}

struct Reader<'a> {
    config: TrainerConfig,
    config_path: &'a Path,
    file: TensorFile,
}

impl Reader<'_> {
    fn parts(&mut self) -> Result<SaeParts, SaeError> {
        match self.config.dict_class.as_str() {
            "AutoEncoder" => self.linear("bias", "encoder.bias"),
            "AutoEncoderNew" => {
                let mut parts = self.linear("decoder.bias", "encoder.bias")?;
                parts.is_centred = false;
                Ok(parts)
            }
            "GatedAutoEncoder" => self.gated(),
            "JumpReluAutoEncoder" => {
                let n = self.config.dict_size;
                let thresholds = self.file.floats("threshold", &[n])?.into();
                let mut parts = self.plain_matrices(Sparsity::JumpRelu { thresholds })?;
                parts.is_centred = false;
                Ok(parts)
            }
            "AutoEncoderTopK" => {
                let k = self.k()?;
                let mut parts = self.linear("b_dec", "encoder.bias")?;
                parts.sparsity = Sparsity::TopK { k };
                Ok(parts)
            }
            "BatchTopKSAE" => {
                let (k, threshold) = (self.k()?, self.file.float("threshold")?);
                let mut parts = self.linear("b_dec", "encoder.bias")?;
                parts.sparsity = Sparsity::BatchTopK { k, threshold };
                Ok(parts)
            }
            "MatryoshkaBatchTopKSAE" => {
                let rule = Sparsity::Matryoshka {
                    k: self.k()?,
                    threshold: self.file.float("threshold")?,
                    group_sizes: self.group_sizes()?,
                };
                self.plain_matrices(rule)
            }
            other => Err(SaeError::format(
                self.config_path,
                format!(
                    "its class is {other}, expected AutoEncoder, AutoEncoderNew, \
                     GatedAutoEncoder, JumpReluAutoEncoder, AutoEncoderTopK, BatchTopKSAE or \
                     MatryoshkaBatchTopKSAE"
                ),
            )),
        }
    }

    /// The active features per row, which settings and tensors must agree on.
    fn k(&mut self) -> Result<u32, SaeError> {
        let stored = self.file.counts("k")?.and_then(|k| k.first().copied());
        match (self.config.k, stored) {
            (Some(said), Some(stored)) if said != stored => {
                let reason = format!(
                    "k is {stored}, but {said} in {}",
                    self.config_path.display()
                );
                Err(SaeError::format(self.file.path(), reason))
            }
            (Some(k), _) | (None, Some(k)) => Ok(k),
            (None, None) => Err(SaeError::format(self.config_path, "it says no k")),
        }
    }

    fn group_sizes(&mut self) -> Result<Arc<[u32]>, SaeError> {
        let stored = self.file.counts("group_sizes")?;
        match stored.or_else(|| self.config.group_sizes.clone()) {
            Some(sizes) => Ok(sizes.into()),
            None => Err(SaeError::format(
                self.file.path(),
                "the tensor group_sizes is missing",
            )),
        }
    }

    /// `encoder` and `decoder` as Linear layers: `[n_features, d_model]` and
    /// `[d_model, n_features]`; the rule is `Relu`.
    fn linear(&mut self, b_dec: &str, b_enc: &str) -> Result<SaeParts, SaeError> {
        let (n, d) = (self.config.dict_size, self.config.activation_dim);
        let w_enc = self.file.floats("encoder.weight", &[n, d])?;
        let b_enc = self.file.floats(b_enc, &[n])?;
        let decoder = self.file.floats("decoder.weight", &[d, n])?;
        Ok(SaeParts {
            d_model: d,
            n_features: n,
            w_enc,
            b_enc,
            w_dec: transposed(&decoder, n),
            b_dec: self.file.floats(b_dec, &[d])?,
            is_centred: true,
            sparsity: Sparsity::Relu,
            extras: SaeExtras::default(),
        })
    }

    /// `W_enc [d_model, n_features]` and `W_dec [n_features, d_model]`.
    fn plain_matrices(&mut self, sparsity: Sparsity) -> Result<SaeParts, SaeError> {
        let (n, d) = (self.config.dict_size, self.config.activation_dim);
        let encoder = self.file.floats("W_enc", &[d, n])?;
        let w_enc = transposed(&encoder, n);
        drop(encoder);
        Ok(SaeParts {
            d_model: d,
            n_features: n,
            w_enc,
            b_enc: self.file.floats("b_enc", &[n])?,
            w_dec: self.file.floats("W_dec", &[n, d])?,
            b_dec: self.file.floats("b_dec", &[d])?,
            is_centred: true,
            sparsity,
            extras: SaeExtras::default(),
        })
    }

    fn gated(&mut self) -> Result<SaeParts, SaeError> {
        let n = self.config.dict_size;
        // The encoder itself has no bias; the gate's and the magnitude's stand apart.
        let gate = Gate {
            open_bias: self.file.floats("gate_bias", &[n])?,
            r_mag: self.file.floats("r_mag", &[n])?,
            mag_bias: self.file.floats("mag_bias", &[n])?,
        };
        let mut parts = self.linear("decoder_bias", "gate_bias")?;
        parts.b_enc = vec![0.0; n];
        parts.sparsity = Sparsity::Gated(Arc::new(gate));
        Ok(parts)
    }
}
