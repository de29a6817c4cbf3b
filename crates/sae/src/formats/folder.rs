//! Our folder of a dictionary: `cfg.json` and `sae.safetensors`, as sparsify names things.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::sparsity::Sparsity;
use crate::tensors::{Named, parse, read_f32, serialize, write_atomically};

/// Name of the settings file, written last: where it is, the dictionary is whole.
pub const CONFIG_FILE: &str = "cfg.json";
/// Name of the weights file.
pub const WEIGHTS_FILE: &str = "sae.safetensors";

/// `cfg.json`: sparsify's keys, and ours.
#[derive(Debug, Serialize, Deserialize)]
struct FolderConfig {
    /// `topk`, or `batchtopk` (ours).
    activation: String,
    d_in: usize,
    /// 0 in sparsify's files means `d_in · expansion_factor`.
    num_latents: usize,
    #[serde(default)]
    expansion_factor: f64,
    k: u32,
    /// Where the dictionary comes from: hashes of its parents, training settings; the caller's.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    provenance: serde_json::Value,
    /// Further keys of sparsify; those of `UNSUPPORTED` must not be true.
    #[serde(flatten)]
    further: BTreeMap<String, serde_json::Value>,
}

/// Keys of sparsify that ask for another kind of autoencoder when true.
const UNSUPPORTED: [&str; 3] = ["multi_topk", "skip_connection", "transcode"];

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
    let (activation, threshold) = match parts.sparsity {
        Sparsity::TopK { .. } => ("topk", None),
        Sparsity::BatchTopK { threshold, .. } => ("batchtopk", Some([threshold])),
    };
    let mut tensors = vec![
        named("encoder.weight", vec![n, d], &parts.w_enc),
        named("encoder.bias", vec![n], &parts.b_enc),
        named("W_dec", vec![n, d], &parts.w_dec),
        named("b_dec", vec![d], &parts.b_dec),
    ];
    if let Some(threshold) = &threshold {
        tensors.push(named("threshold", Vec::new(), threshold));
    }
    let weights = folder.join(WEIGHTS_FILE);
    write_atomically(&weights, &serialize(&weights, &tensors, None)?)?;
    let config = FolderConfig {
        activation: activation.to_owned(),
        d_in: d,
        num_latents: n,
        expansion_factor: n as f64 / d as f64,
        k: parts.sparsity.k(),
        provenance: provenance.clone(),
        further: UNSUPPORTED
            .map(|key| (key.to_owned(), false.into()))
            .into_iter()
            .chain([("normalize_decoder".to_owned(), true.into())])
            .collect(),
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

/// Reads a dictionary of ours, or of sparsify (plain `topk` only), and its provenance (null in
/// sparsify's).
///
/// # Errors
/// [`SaeError::Io`] if a file cannot be read, [`SaeError::Format`] if one is damaged, its shapes
/// disagree, or it asks for what we do not have (groupmax, multi-topk, skip connection,
/// transcoder).
pub fn load(folder: &Path) -> Result<(SparseAutoencoder, serde_json::Value), SaeError> {
    let path = folder.join(CONFIG_FILE);
    let text = fs::read_to_string(&path).map_err(SaeError::io(&path))?;
    let config: FolderConfig = serde_json::from_str(&text).map_err(|error| {
        SaeError::format(&path, format!("its settings cannot be read ({error})"))
    })?;
    for name in UNSUPPORTED {
        if config.further.get(name) == Some(&serde_json::Value::Bool(true)) {
            let reason = format!("{name} is set; such a dictionary cannot be used here yet");
            return Err(SaeError::format(&path, reason));
        }
    }
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
    let sparsity = match config.activation.as_str() {
        "topk" => Sparsity::TopK { k: config.k },
        "batchtopk" => Sparsity::BatchTopK {
            k: config.k,
            threshold: tensor("threshold", &[])?.first().copied().unwrap_or(-1.0),
        },
        other => {
            let reason = format!("its activation is {other}, expected topk or batchtopk");
            return Err(SaeError::format(&path, reason));
        }
    };
    let sae = SparseAutoencoder::new(SaeParts {
        d_model: d,
        n_features: n,
        w_enc: tensor("encoder.weight", &[Some(n), Some(d)])?,
        b_enc,
        w_dec: tensor("W_dec", &[Some(n), Some(d)])?,
        b_dec: tensor("b_dec", &[Some(d)])?,
        sparsity,
    })
    .map_err(|error| SaeError::format(&weights_path, error.to_string()))?;
    Ok((sae, config.provenance))
}
