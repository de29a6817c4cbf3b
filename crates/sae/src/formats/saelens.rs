//! Dictionaries of `SAELens`: `cfg.json` and `sae_weights.safetensors`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use schema::InputScaling;
use serde::Deserialize;
use serde_json::{Value, json};

use super::export::{ExportFacts, recentred, transposed};
use super::tensor_file::TensorFile;
use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::fold::fold_norms;
use crate::sparsity::{Gate, Sparsity};
use crate::tensors::{Named, serialize, write_atomically};

/// Name of the settings file.
pub const CONFIG_FILE: &str = "cfg.json";
/// Name of the weights file.
pub const WEIGHTS_FILE: &str = "sae_weights.safetensors";

/// The keys of `cfg.json` that decide how the weights are used; of version 6, and of before.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    architecture: Option<String>,
    d_in: usize,
    d_sae: usize,
    #[serde(default)]
    k: Option<f64>,
    #[serde(default = "yes")]
    apply_b_dec_to_input: bool,
    #[serde(default)]
    normalize_activations: Value,
    #[serde(default)]
    reshape_activations: Value,
    #[serde(default)]
    rescale_acts_by_decoder_norm: bool,
    /// Before version 6.
    #[serde(default, alias = "activation_fn_str")]
    activation_fn: Option<String>,
    #[serde(default)]
    activation_fn_kwargs: Value,
    #[serde(default)]
    finetuning_scaling_factor: bool,
    #[serde(default, alias = "hook_point")]
    hook_name: Option<String>,
    #[serde(default)]
    model_name: Option<String>,
    #[serde(default)]
    metadata: Value,
}

fn yes() -> bool {
    true
}

/// A dictionary of `SAELens`, and what its files say of it.
#[derive(Debug)]
pub struct SaelensDictionary {
    /// The dictionary.
    pub sae: SparseAutoencoder,
    /// Its `architecture`.
    pub architecture: String,
    /// `hook_name`, e.g. `blocks.15.hook_resid_post`.
    pub hook_name: Option<String>,
    /// `model_name`.
    pub model: Option<String>,
}

/// As [`load`], with the weights of a training's checkpoint as they are: what a training goes on
/// from.
///
/// # Errors
/// Those of [`load`].
pub fn load_for_training(folder: &Path) -> Result<SaeParts, SaeError> {
    let read = read(folder, false)?;
    Ok(read.sae.into_parts())
}

/// Reads a dictionary of `SAELens`: an inference one, or the checkpoint of a training.
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be read, [`SaeError::Format`] if one is damaged, a tensor is
/// missing or of another shape, or it asks for what we do not have: inputs normalised otherwise
/// than by `layer_norm`, reshaped heads, transcoders.
///
/// # Source
/// `SAELens` 6.54 (`SAE.load_from_disk` and the classes it makes). Differs: decoder norms by which a
/// dictionary rescales its activations are folded into the weights, which selects and reconstructs
/// the same.
pub fn load(folder: &Path) -> Result<SaelensDictionary, SaeError> {
    read(folder, true)
}

fn read(folder: &Path, folds: bool) -> Result<SaelensDictionary, SaeError> {
    let path = folder.join(CONFIG_FILE);
    let text = fs::read_to_string(&path).map_err(SaeError::io(&path))?;
    let config: Config = serde_json::from_str(&text).map_err(|error| {
        SaeError::format(&path, format!("its settings cannot be read ({error})"))
    })?;
    let scaling = scaling_of(&path, &config)?;
    let architecture = architecture_of(&config);
    let mut file = TensorFile::open(&folder.join(WEIGHTS_FILE))?;
    let (n, d) = (config.d_sae, config.d_in);
    let has_bias = architecture != "gated";
    let encoder = file.floats("W_enc", &[d, n])?;
    let mut parts = SaeParts {
        d_model: d,
        n_features: n,
        w_enc: transposed(&encoder, n),
        b_enc: if has_bias {
            file.floats("b_enc", &[n])?
        } else {
            vec![0.0; n]
        },
        w_dec: file.floats("W_dec", &[n, d])?,
        b_dec: file.floats("b_dec", &[d])?,
        is_centred: config.apply_b_dec_to_input,
        sparsity: Sparsity::Relu,
        extras: SaeExtras {
            scaling,
            ..SaeExtras::default()
        },
    };
    if let Some(factor) = file.find("scaling_factor")? {
        let is_one = matches!(
            &factor.numbers,
            super::tensor_file::Numbers::Floats(values) if values.iter().all(|&v| v == 1.0)
        );
        if !is_one && !config.finetuning_scaling_factor {
            let reason = "scaling_factor is not all ones, which only its fine-tuning may make it";
            return Err(SaeError::format(file.path(), reason));
        }
    }
    if config.rescale_acts_by_decoder_norm && folds {
        fold_norms(&mut parts);
    }
    parts.sparsity = rule(&path, &config, &architecture, &mut file)?;
    let of_metadata = |key: &str| config.metadata[key].as_str().map(str::to_owned);
    Ok(SaelensDictionary {
        sae: SparseAutoencoder::new(parts)
            .map_err(|error| SaeError::format(file.path(), error.to_string()))?,
        architecture,
        hook_name: config.hook_name.or_else(|| of_metadata("hook_name")),
        model: config.model_name.or_else(|| of_metadata("model_name")),
    })
}

/// How the dictionary scales its rows.
fn scaling_of(path: &Path, config: &Config) -> Result<InputScaling, SaeError> {
    let is_plain = |value: &Value| {
        value.is_null() || value == &Value::Bool(false) || value.as_str() == Some("none")
    };
    let refused = |key: &str, value: &Value| {
        let reason = format!("{key} is {value}; such a dictionary cannot be used here yet");
        Err(SaeError::format(path, reason))
    };
    if !is_plain(&config.reshape_activations) {
        return refused("reshape_activations", &config.reshape_activations);
    }
    match &config.normalize_activations {
        value if is_plain(value) => Ok(InputScaling::None),
        value if value.as_str() == Some("layer_norm") => Ok(InputScaling::LayerNorm),
        value => refused("normalize_activations", value),
    }
}

/// The architecture, which older files tell by their activation function.
fn architecture_of(config: &Config) -> String {
    let said = config.architecture.as_deref().unwrap_or("standard");
    let is_topk = config.activation_fn.as_deref() == Some("topk");
    if said == "standard" && is_topk {
        "topk".to_owned()
    } else {
        said.to_owned()
    }
}

fn rule(
    path: &Path,
    config: &Config,
    architecture: &str,
    file: &mut TensorFile,
) -> Result<Sparsity, SaeError> {
    let n = config.d_sae;
    let k = || {
        let stated = config
            .k
            .or_else(|| config.activation_fn_kwargs["k"].as_f64());
        match stated {
            Some(k) if k >= 1.0 => Ok(k.round() as u32),
            _ => Err(SaeError::format(path, "it says no k of at least 1")),
        }
    };
    Ok(match architecture {
        "standard" => Sparsity::Relu,
        "topk" => Sparsity::TopK { k: k()? },
        // A checkpoint of a training; for inference it is saved as jumprelu.
        "batchtopk" | "matryoshka_batchtopk" => Sparsity::BatchTopK {
            k: k()?,
            threshold: file.float("topk_threshold")?,
        },
        "jumprelu" | "jumprelu_transcoder" => {
            let thresholds = if file.find("threshold")?.is_some() {
                file.floats("threshold", &[n])?
            } else {
                let logs = file.floats("log_threshold", &[n])?;
                logs.into_iter().map(f32::exp).collect()
            };
            Sparsity::JumpRelu {
                thresholds: thresholds.into(),
            }
        }
        "gated" => Sparsity::Gated(Arc::new(Gate {
            open_bias: file.floats("b_gate", &[n])?,
            r_mag: file.floats("r_mag", &[n])?,
            mag_bias: file.floats("b_mag", &[n])?,
        })),
        other => {
            let reason = format!(
                "its architecture is {other}, expected standard, topk, jumprelu, gated, batchtopk \
                 or matryoshka_batchtopk"
            );
            return Err(SaeError::format(path, reason));
        }
    })
}

/// Writes a dictionary as `SAELens` saves one for inference: `BatchTopK` and Matryoshka with a
/// threshold become `jumprelu`, as there.
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be written.
pub(super) fn save(
    folder: &Path,
    sae: &SparseAutoencoder,
    facts: &ExportFacts,
) -> Result<(), SaeError> {
    fs::create_dir_all(folder).map_err(SaeError::io(folder))?;
    let parts = recentred(sae.parts(), sae.parts().is_centred);
    let (n, d) = (parts.n_features, parts.d_model);
    let w_enc = transposed(&parts.w_enc, d);
    let thresholds = match &parts.sparsity {
        Sparsity::JumpRelu { thresholds } => thresholds.to_vec(),
        Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. }
            if *threshold >= 0.0 =>
        {
            vec![*threshold; n]
        }
        _ => Vec::new(),
    };
    let architecture = match &parts.sparsity {
        _ if !thresholds.is_empty() => "jumprelu",
        Sparsity::Relu => "standard",
        Sparsity::Gated(_) => "gated",
        _ => "topk",
    };
    let named = |name, shape, values| Named {
        name,
        shape,
        values,
    };
    let mut tensors = vec![
        named("W_enc", vec![d, n], &w_enc[..]),
        named("W_dec", vec![n, d], &parts.w_dec),
        named("b_dec", vec![d], &parts.b_dec),
    ];
    match &parts.sparsity {
        Sparsity::Gated(gate) => {
            tensors.push(named("b_gate", vec![n], &gate.open_bias));
            tensors.push(named("r_mag", vec![n], &gate.r_mag));
            tensors.push(named("b_mag", vec![n], &gate.mag_bias));
        }
        _ => tensors.push(named("b_enc", vec![n], &parts.b_enc)),
    }
    if !thresholds.is_empty() {
        tensors.push(named("threshold", vec![n], &thresholds));
    }
    let weights = folder.join(WEIGHTS_FILE);
    write_atomically(&weights, &serialize(&weights, &tensors, None)?)?;
    let mut config = json!({
        "architecture": architecture,
        "d_in": d,
        "d_sae": n,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": parts.is_centred,
        "normalize_activations": match parts.extras.scaling {
            InputScaling::LayerNorm => "layer_norm",
            _ => "none",
        },
        "reshape_activations": "none",
        "metadata": {
            "hook_name": facts.hook_name,
            "model_name": facts.model,
            "exported_by": concat!("fluoroscope ", env!("CARGO_PKG_VERSION")),
        },
    });
    if architecture == "topk" {
        config["k"] = json!(parts.sparsity.k());
        config["rescale_acts_by_decoder_norm"] = json!(false);
    }
    let path = folder.join(CONFIG_FILE);
    let text = serde_json::to_string_pretty(&config)
        .map_err(|error| SaeError::format(&path, error.to_string()))?;
    write_atomically(&path, text.as_bytes())
}
