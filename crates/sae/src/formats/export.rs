//! Dictionaries written for other tools, and read back.

use std::fs;
use std::path::Path;

use schema::InputScaling;
use serde_json::json;

use super::torch_writer::{self, TorchTensor, Values};
use super::{dictionary_learning, folder, saelens};
use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::kernels::dot;
use crate::sparsity::Sparsity;
use crate::tensors::write_atomically;

/// The tools that a dictionary can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// `cfg.json` and `sae_weights.safetensors`.
    Saelens,
    /// `config.json` and `ae.pt`.
    DictionaryLearning,
    /// `cfg.json` and `sae.safetensors`; `TopK` only.
    Sparsify,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Saelens, Self::DictionaryLearning, Self::Sparsify];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Saelens => "saelens",
            Self::DictionaryLearning => "dictionary_learning",
            Self::Sparsify => "sparsify",
        }
    }
}

/// What the files say beside the weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportFacts {
    /// Hook point, e.g. `blocks.15.hook_resid_post`.
    pub hook_name: Option<String>,
    /// Number of the block that is read, from 0.
    pub layer: Option<usize>,
    /// The model.
    pub model: Option<String>,
}

/// Writes a dictionary for another tool into `folder` (made if absent) and reads it back.
///
/// Returns the reading of the written files: the same features, though a rule may have another
/// name there (a tracked threshold becomes `SAELens`' `jumprelu`).
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be written, [`SaeError::Config`] if the tool has no such
/// dictionary.
pub fn export(
    format: ExportFormat,
    folder: &Path,
    sae: &SparseAutoencoder,
    facts: &ExportFacts,
) -> Result<SparseAutoencoder, SaeError> {
    check_export(format, sae)?;
    match format {
        ExportFormat::Saelens => {
            saelens::save(folder, sae, facts)?;
            Ok(saelens::load(folder)?.sae)
        }
        ExportFormat::DictionaryLearning => {
            save_dictionary_learning(folder, sae, facts)?;
            dictionary_learning::load(folder)
        }
        ExportFormat::Sparsify => {
            let is_centred = !sae.parts().extras.is_transcoder;
            let parts = recentred(sae.parts(), is_centred);
            let written = SparseAutoencoder::new(parts)?;
            folder::save(folder, &written, &serde_json::Value::Null)?;
            Ok(folder::load(folder)?.0)
        }
    }
}

/// Whether the tool has such a dictionary.
fn check_export(format: ExportFormat, sae: &SparseAutoencoder) -> Result<(), SaeError> {
    let extras = &sae.parts().extras;
    let is_scaled = extras.scaling != InputScaling::None;
    let passes_by = extras.skip.is_some() || extras.is_transcoder;
    let is_group_max = matches!(sae.sparsity(), Sparsity::GroupMax { .. });
    let is_top_k = matches!(sae.sparsity(), Sparsity::TopK { .. });
    let lacking = match format {
        ExportFormat::Saelens if is_group_max => Some("saelens has no groupmax dictionaries"),
        ExportFormat::Saelens if extras.multi_topk => Some("saelens has no multi_topk"),
        ExportFormat::Saelens if passes_by => Some("transcoders are not written for saelens yet"),
        ExportFormat::DictionaryLearning
            if is_group_max || extras.multi_topk || passes_by || is_scaled =>
        {
            Some(
                "dictionary_learning has no groupmax, multi_topk, transcoders or normalised inputs",
            )
        }
        ExportFormat::Sparsify if is_scaled => Some("sparsify has no normalised inputs"),
        ExportFormat::Sparsify if !is_top_k && !is_group_max => {
            Some("sparsify has topk dictionaries only (and groupmax)")
        }
        _ => None,
    };
    match lacking {
        None => Ok(()),
        Some(lacking) => Err(SaeError::Config {
            field: "format",
            reason: format!("{lacking}; this one is {}", sae.sparsity().name()),
        }),
    }
}

/// The same dictionary with `b_dec` taken off its input, or not: the encoder's bias makes up for it.
pub(super) fn recentred(parts: &SaeParts, is_centred: bool) -> SaeParts {
    let mut parts = parts.clone();
    if parts.is_centred == is_centred {
        return parts;
    }
    let d = parts.d_model;
    let sign = if is_centred { 1.0 } else { -1.0 };
    let shifts: Vec<f32> = parts
        .w_enc
        .chunks_exact(d)
        .map(|row| sign * dot(row, &parts.b_dec))
        .collect();
    if let Sparsity::Gated(gate) = &mut parts.sparsity {
        // A gate's two maps see the encoder without a bias.
        let gate = std::sync::Arc::make_mut(gate);
        for (i, shift) in shifts.iter().enumerate() {
            gate.open_bias[i] += shift;
            gate.mag_bias[i] += gate.r_mag[i].exp() * shift;
        }
    } else {
        for (bias, shift) in parts.b_enc.iter_mut().zip(&shifts) {
            *bias += shift;
        }
    }
    parts.is_centred = is_centred;
    parts
}

/// `[n, m]` from `[m, n]`.
pub(super) fn transposed(values: &[f32], n: usize) -> Vec<f32> {
    let m = values.len() / n.max(1);
    (0..n)
        .flat_map(|row| (0..m).map(move |column| values[column * n + row]))
        .collect()
}

fn save_dictionary_learning(
    folder: &Path,
    sae: &SparseAutoencoder,
    facts: &ExportFacts,
) -> Result<(), SaeError> {
    fs::create_dir_all(folder).map_err(SaeError::io(folder))?;
    let is_jump = matches!(sae.sparsity(), Sparsity::JumpRelu { .. });
    let parts = recentred(sae.parts(), !is_jump);
    let turned = Turned::of(&parts);
    torch_writer::write(&folder.join("ae.pt"), &turned.tensors(&parts))?;
    let path = folder.join(dictionary_learning::CONFIG_FILE);
    let text = serde_json::to_string_pretty(&trainer_config(&parts, facts))
        .map_err(|error| SaeError::format(&path, error.to_string()))?;
    write_atomically(&path, text.as_bytes())
}

/// `config.json`: what the library needs to load the weights, and where they come from.
fn trainer_config(parts: &SaeParts, facts: &ExportFacts) -> serde_json::Value {
    let (class, trainer) = match &parts.sparsity {
        Sparsity::Relu => ("AutoEncoder", "StandardTrainer"),
        Sparsity::JumpRelu { .. } => ("JumpReluAutoEncoder", "JumpReluTrainer"),
        Sparsity::Gated(_) => ("GatedAutoEncoder", "GatedSAETrainer"),
        // Written by `export` only where the library has such a dictionary.
        Sparsity::TopK { .. } | Sparsity::GroupMax { .. } => ("AutoEncoderTopK", "TopKTrainer"),
        Sparsity::BatchTopK { .. } => ("BatchTopKSAE", "BatchTopKTrainer"),
        Sparsity::Matryoshka { .. } => ("MatryoshkaBatchTopKSAE", "MatryoshkaBatchTopKTrainer"),
    };
    let mut config = json!({
        "trainer": {
            "trainer_class": trainer,
            "dict_class": class,
            "activation_dim": parts.d_model,
            "dict_size": parts.n_features,
            "layer": facts.layer,
            "lm_name": facts.model,
            "submodule_name": facts.hook_name,
            "wandb_name": concat!("fluoroscope ", env!("CARGO_PKG_VERSION")),
        },
        "buffer": {},
    });
    if let Some(k) = parts.sparsity.k() {
        config["trainer"]["k"] = json!(k);
    }
    if let Sparsity::Matryoshka { group_sizes, .. } = &parts.sparsity {
        config["trainer"]["group_sizes"] = json!(group_sizes.as_ref());
    }
    config
}

/// What of a dictionary lies the other way round in the library's files.
struct Turned {
    /// `[d_model, n_features]`.
    encoder: Vec<f32>,
    /// `[d_model, n_features]`.
    decoder: Vec<f32>,
    group_sizes: Vec<i64>,
}

/// The library's threshold that was never tracked.
const UNSET: f32 = -1.0;

impl Turned {
    fn of(parts: &SaeParts) -> Self {
        let [encoder, decoder] =
            [&parts.w_enc, &parts.w_dec].map(|rows| transposed(rows, parts.d_model));
        let group_sizes = match &parts.sparsity {
            Sparsity::Matryoshka { group_sizes, .. } => {
                group_sizes.iter().map(|&size| i64::from(size)).collect()
            }
            _ => Vec::new(),
        };
        Self {
            encoder,
            decoder,
            group_sizes,
        }
    }

    /// The tensors of the library's class, by its names.
    fn tensors<'a>(&'a self, parts: &'a SaeParts) -> Vec<TorchTensor<'a>> {
        let (n, d) = (parts.n_features, parts.d_model);
        let plain = || {
            vec![
                floats("W_enc", &[d, n], &self.encoder),
                floats("b_enc", &[n], &parts.b_enc),
                floats("W_dec", &[n, d], &parts.w_dec),
                floats("b_dec", &[d], &parts.b_dec),
            ]
        };
        let linear = |b_dec| {
            vec![
                floats(b_dec, &[d], &parts.b_dec),
                floats("encoder.weight", &[n, d], &parts.w_enc),
                floats("encoder.bias", &[n], &parts.b_enc),
                floats("decoder.weight", &[d, n], &self.decoder),
            ]
        };
        match &parts.sparsity {
            Sparsity::Relu => linear("bias"),
            Sparsity::JumpRelu { thresholds } => {
                let mut tensors = plain();
                tensors.push(floats("threshold", &[n], thresholds));
                tensors
            }
            Sparsity::Gated(gate) => vec![
                floats("decoder_bias", &[d], &parts.b_dec),
                floats("r_mag", &[n], &gate.r_mag),
                floats("gate_bias", &[n], &gate.open_bias),
                floats("mag_bias", &[n], &gate.mag_bias),
                floats("encoder.weight", &[n, d], &parts.w_enc),
                floats("decoder.weight", &[d, n], &self.decoder),
            ],
            Sparsity::TopK { k } | Sparsity::GroupMax { k } => {
                with_threshold(linear("b_dec"), *k, &UNSET)
            }
            Sparsity::BatchTopK { k, threshold } => with_threshold(linear("b_dec"), *k, threshold),
            Sparsity::Matryoshka { k, threshold, .. } => {
                let mut tensors = with_threshold(plain(), *k, threshold);
                tensors.push(TorchTensor {
                    name: "group_sizes",
                    shape: vec![self.group_sizes.len()],
                    values: Values::Int64(&self.group_sizes),
                });
                tensors
            }
        }
    }
}

fn floats<'a>(name: &'static str, shape: &[usize], values: &'a [f32]) -> TorchTensor<'a> {
    TorchTensor {
        name,
        shape: shape.to_vec(),
        values: Values::Floats(values),
    }
}

fn with_threshold<'a>(
    mut tensors: Vec<TorchTensor<'a>>,
    k: u32,
    threshold: &'a f32,
) -> Vec<TorchTensor<'a>> {
    tensors.push(TorchTensor {
        name: "k",
        shape: Vec::new(),
        values: Values::Int32(k.cast_signed()),
    });
    tensors.push(floats("threshold", &[], std::slice::from_ref(threshold)));
    tensors
}
