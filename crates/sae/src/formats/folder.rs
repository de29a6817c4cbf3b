//! Our folder of a dictionary: `cfg.json` and `sae.safetensors`, as sparsify names things.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use schema::InputScaling;
use serde::{Deserialize, Serialize};

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::sparsity::{Gate, Sparsity};
use crate::tensors::{Named, parse, read_f32, serialize, write_atomically};

/// Name of the settings file, written last: where it is, the dictionary is whole.
pub const CONFIG_FILE: &str = "cfg.json";
/// Name of the weights file.
pub const WEIGHTS_FILE: &str = "sae.safetensors";

/// `cfg.json`: sparsify's keys, and ours.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the keys of sparsify's file")]
struct FolderConfig {
    /// `topk` or `groupmax`, or one of ours: `batchtopk`, `matryoshka_batchtopk`, `relu`,
    /// `jumprelu`, `gated`.
    activation: String,
    d_in: usize,
    /// 0 in sparsify's files means `d_in · expansion_factor`.
    num_latents: usize,
    #[serde(default)]
    expansion_factor: f64,
    /// Absent where the rule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<u32>,
    /// `matryoshka_batchtopk`: features of each group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    group_sizes: Vec<u32>,
    /// Whether `b_dec` is taken off before encoding; written only where it is not.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    apply_b_dec_to_input: bool,
    /// Where the dictionary comes from: hashes of its parents, training settings; the caller's.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    provenance: serde_json::Value,
    #[serde(default)]
    multi_topk: bool,
    #[serde(default)]
    skip_connection: bool,
    #[serde(default)]
    transcode: bool,
    /// Ours: how rows are scaled before they are encoded; written only where they are.
    #[serde(default, skip_serializing_if = "is_unscaled")]
    normalize_activations: InputScaling,
    /// Further keys of sparsify.
    #[serde(flatten)]
    further: BTreeMap<String, serde_json::Value>,
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_unscaled(value: &InputScaling) -> bool {
    *value == InputScaling::None
}

/// Writes a dictionary into `folder` (made if absent), weights first, each file whole or not at all.
///
/// `provenance` is kept as it is: what the caller knows of the dictionary's parents.
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be written.
pub fn save(
    folder: &Path,
    sae: &SparseAutoencoder,
    provenance: &serde_json::Value,
) -> Result<(), SaeError> {
    fs::create_dir_all(folder).map_err(SaeError::io(folder))?;
    let parts = sae.parts();
    let (n, d) = (parts.n_features, parts.d_model);
    let mut tensors = vec![
        named("encoder.weight", vec![n, d], &parts.w_enc),
        named("encoder.bias", vec![n], &parts.b_enc),
        named("W_dec", vec![n, d], &parts.w_dec),
        named("b_dec", vec![d], &parts.b_dec),
    ];
    let group_sizes = match &parts.sparsity {
        Sparsity::Matryoshka { group_sizes, .. } => group_sizes.to_vec(),
        _ => Vec::new(),
    };
    match &parts.sparsity {
        Sparsity::TopK { .. } | Sparsity::GroupMax { .. } | Sparsity::Relu => {}
        Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } => {
            tensors.push(named(
                "threshold",
                Vec::new(),
                std::slice::from_ref(threshold),
            ));
        }
        Sparsity::JumpRelu { thresholds } => {
            tensors.push(named("threshold", vec![n], thresholds));
        }
        Sparsity::Gated(gate) => {
            tensors.push(named("gate_bias", vec![n], &gate.open_bias));
            tensors.push(named("r_mag", vec![n], &gate.r_mag));
            tensors.push(named("mag_bias", vec![n], &gate.mag_bias));
        }
    }
    if let Some(skip) = &parts.extras.skip {
        tensors.push(named("W_skip", vec![d, d], skip));
    }
    let weights = folder.join(WEIGHTS_FILE);
    write_atomically(&weights, &serialize(&weights, &tensors, None)?)?;
    let config = FolderConfig {
        activation: parts.sparsity.name().to_owned(),
        d_in: d,
        num_latents: n,
        expansion_factor: n as f64 / d as f64,
        k: parts.sparsity.k(),
        group_sizes,
        apply_b_dec_to_input: parts.is_centred,
        provenance: provenance.clone(),
        multi_topk: parts.extras.multi_topk,
        skip_connection: parts.extras.skip.is_some(),
        transcode: parts.extras.is_transcoder,
        normalize_activations: parts.extras.scaling,
        further: BTreeMap::from([("normalize_decoder".to_owned(), true.into())]),
    };
    let path = folder.join(CONFIG_FILE);
    let text = serde_json::to_string_pretty(&config)
        .map_err(|error| SaeError::format(&path, error.to_string()))?;
    write_atomically(&path, text.as_bytes())
}

fn named<'a>(name: &'a str, shape: Vec<usize>, values: &'a [f32]) -> Named<'a> {
    Named {
        name,
        shape,
        values,
    }
}

/// Reads a dictionary of ours, or of sparsify, and its provenance (null in sparsify's).
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be read, [`SaeError::Format`] if one is damaged or its shapes
/// disagree.
///
/// # Source
/// `sparsify` 1.3.3 (`SparseCoder.load_from_disk`, `encode`, `forward`): `b_dec` is taken off the
/// input unless it is a transcoder.
pub fn load(folder: &Path) -> Result<(SparseAutoencoder, serde_json::Value), SaeError> {
    let path = folder.join(CONFIG_FILE);
    let text = fs::read_to_string(&path).map_err(SaeError::io(&path))?;
    let config: FolderConfig = serde_json::from_str(&text).map_err(|error| {
        SaeError::format(&path, format!("its settings cannot be read ({error})"))
    })?;
    let weights_path = folder.join(WEIGHTS_FILE);
    let bytes = fs::read(&weights_path).map_err(SaeError::io(&weights_path))?;
    let tensors = parse(&weights_path, &bytes)?;
    let d = config.d_in;
    let tensor = |name: &str, shape: &[Option<usize>]| {
        read_f32(&weights_path, &tensors, name, shape).map(|(_, values)| values)
    };
    let expected_n = (config.num_latents > 0).then_some(config.num_latents);
    let b_enc = tensor("encoder.bias", &[expected_n])?;
    let n = b_enc.len();
    let sparsity = rule_of(&path, &config, n, &tensor)?;
    let sae = SparseAutoencoder::new(SaeParts {
        d_model: d,
        n_features: n,
        w_enc: tensor("encoder.weight", &[Some(n), Some(d)])?,
        b_enc,
        w_dec: tensor("W_dec", &[Some(n), Some(d)])?,
        b_dec: tensor("b_dec", &[Some(d)])?,
        is_centred: config.apply_b_dec_to_input && !config.transcode,
        sparsity,
        extras: SaeExtras {
            scaling: config.normalize_activations,
            multi_topk: config.multi_topk,
            skip: if config.skip_connection {
                Some(tensor("W_skip", &[Some(d), Some(d)])?)
            } else {
                None
            },
            is_transcoder: config.transcode,
        },
    })
    .map_err(|error| SaeError::format(&weights_path, error.to_string()))?;
    Ok((sae, config.provenance))
}

/// Reads a tensor by name, of the given shape.
type ReadTensor<'a> = dyn Fn(&str, &[Option<usize>]) -> Result<Vec<f32>, SaeError> + 'a;

/// The sparsity rule of a folder of `n` features; `tensor` reads a named tensor.
fn rule_of(
    path: &Path,
    config: &FolderConfig,
    n: usize,
    tensor: &ReadTensor<'_>,
) -> Result<Sparsity, SaeError> {
    let k = || {
        config.k.ok_or_else(|| {
            SaeError::format(path, "its settings cannot be read (missing field `k`)")
        })
    };
    let threshold = || Ok(tensor("threshold", &[])?.first().copied().unwrap_or(-1.0));
    Ok(match config.activation.as_str() {
        "topk" => Sparsity::TopK { k: k()? },
        "groupmax" => Sparsity::GroupMax { k: k()? },
        "batchtopk" => Sparsity::BatchTopK {
            k: k()?,
            threshold: threshold()?,
        },
        "matryoshka_batchtopk" => Sparsity::Matryoshka {
            k: k()?,
            threshold: threshold()?,
            group_sizes: config.group_sizes.clone().into(),
        },
        "relu" => Sparsity::Relu,
        "jumprelu" => Sparsity::JumpRelu {
            thresholds: tensor("threshold", &[Some(n)])?.into(),
        },
        "gated" => Sparsity::Gated(Arc::new(Gate {
            open_bias: tensor("gate_bias", &[Some(n)])?,
            r_mag: tensor("r_mag", &[Some(n)])?,
            mag_bias: tensor("mag_bias", &[Some(n)])?,
        })),
        other => {
            let reason = format!(
                "its activation is {other}, expected topk, groupmax, batchtopk, \
                 matryoshka_batchtopk, relu, jumprelu or gated"
            );
            return Err(SaeError::format(path, reason));
        }
    })
}
