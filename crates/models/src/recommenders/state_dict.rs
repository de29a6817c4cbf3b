//! Reading and writing `SASRec` weights: our folder, or a bare state dict with `ReChorus`' names.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::weights::{SasRecConfig, SasRecWeights, segments};
use crate::{Architecture, ModelError};

/// What a bare state dict does not say about its model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateDictOptions {
    /// Attention heads; `None` for what the config says, or 1.
    pub n_heads: Option<u32>,
    /// Last items of a history that are read; `None` for what the position table allows.
    pub history_max: Option<u32>,
}

/// `config.json` of a saved model.
#[derive(Serialize, Deserialize)]
struct ConfigFile {
    architecture: Architecture,
    #[serde(flatten)]
    shape: SasRecConfig,
}

const WEIGHTS_FILE: &str = "model.safetensors";
const CONFIG_FILE: &str = "config.json";

/// Reads weights from a folder or a file; also returns the BLAKE3 of the weight file.
pub(crate) fn load(
    path: &Path,
    options: StateDictOptions,
) -> Result<(SasRecWeights, String), ModelError> {
    if !path.is_dir() {
        return load_state_dict(path, options);
    }
    let config_path = path.join(CONFIG_FILE);
    let text = std::fs::read(&config_path).map_err(|source| ModelError::Read {
        path: config_path.clone(),
        source,
    })?;
    let config: ConfigFile = serde_json::from_slice(&text).map_err(|error| {
        format_error(
            &config_path,
            &format!("line {}, column {}", error.line(), error.column()),
            format!("expected the configuration of a recommender, found: {error}"),
        )
    })?;
    if config.architecture != Architecture::SasRec {
        return Err(format_error(
            &config_path,
            "architecture",
            "expected \"sas-rec\"".to_owned(),
        ));
    }
    let shape = config.shape;
    let weights_path = path.join(WEIGHTS_FILE);
    let loaded = load_state_dict(
        &weights_path,
        StateDictOptions {
            n_heads: options.n_heads.or(Some(shape.n_heads)),
            history_max: options.history_max.or(Some(shape.history_max)),
        },
    )?;
    let found = loaded.0.config();
    if (found.n_items, found.d_model, found.n_layers)
        != (shape.n_items, shape.d_model, shape.n_layers)
    {
        return Err(format_error(
            &weights_path,
            "tensors",
            format!(
                "expected {} items, width {} and {} blocks as config.json says, found {}, {} and {}",
                shape.n_items,
                shape.d_model,
                shape.n_layers,
                found.n_items,
                found.d_model,
                found.n_layers
            ),
        ));
    }
    Ok(loaded)
}

fn load_state_dict(
    path: &Path,
    options: StateDictOptions,
) -> Result<(SasRecWeights, String), ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })?;
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let is_pickle = path.extension().is_some_and(|end| {
        ["pt", "pth"]
            .iter()
            .any(|known| end.eq_ignore_ascii_case(known))
    });
    let tensors: HashMap<String, Tensor> = if is_pickle {
        candle_core::pickle::read_all(path)
            .map_err(|error| {
                let expected = format!("expected a state dict saved by PyTorch, found: {error}");
                format_error(path, "the file", expected)
            })?
            .into_iter()
            .collect()
    } else {
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|error| {
            let expected = format!("expected a complete safetensors file, found: {error}");
            format_error(path, "header", expected)
        })?
    };
    let weights = weights_from(path, &tensors, options)?;
    Ok((weights, hash))
}

fn weights_from(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    options: StateDictOptions,
) -> Result<SasRecWeights, ModelError> {
    let config = shape_of(path, tensors, options)?;
    let mut values = Vec::new();
    for segment in segments(&config) {
        let tensor = tensors.get(&segment.name).ok_or_else(|| {
            format_error(
                path,
                &format!("tensor {}", segment.name),
                "expected in the state dict of SASRec, not there".to_owned(),
            )
        })?;
        let is_position_table = segment.name == "p_embeddings.weight";
        let fits = if is_position_table {
            tensor.dims().len() == 2 && tensor.dims()[1] == segment.shape[1]
        } else {
            tensor.dims() == segment.shape
        };
        if !fits {
            return Err(format_error(
                path,
                &format!("tensor {}", segment.name),
                format!(
                    "expected shape {:?}, found {:?}",
                    segment.shape,
                    tensor.dims()
                ),
            ));
        }
        let mut read = tensor
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        read.truncate(segment.range.len());
        if read.iter().any(|value| !value.is_finite()) {
            return Err(format_error(
                path,
                &format!("tensor {}", segment.name),
                "expected finite numbers, found NaN or infinity".to_owned(),
            ));
        }
        values.extend(read);
    }
    Ok(SasRecWeights::from_flat(config, values))
}

fn shape_of(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    options: StateDictOptions,
) -> Result<SasRecConfig, ModelError> {
    let rows_and_width = |name: &str| match tensors.get(name).map(Tensor::dims) {
        Some(&[rows, width]) if rows >= 2 && width >= 1 => Ok((rows, width)),
        found => Err(format_error(
            path,
            &format!("tensor {name}"),
            match found {
                Some(shape) => format!("expected a table of at least two rows, found {shape:?}"),
                None => "expected in the state dict of SASRec, not there".to_owned(),
            },
        )),
    };
    let (item_rows, d_model) = rows_and_width("i_embeddings.weight")?;
    let (position_rows, _) = rows_and_width("p_embeddings.weight")?;
    let n_layers = (0..=tensors.len())
        .take_while(|layer| {
            tensors.contains_key(&format!("transformer_block.{layer}.linear1.weight"))
        })
        .count();
    let history_max = options.history_max.unwrap_or(position_rows as u32 - 1);
    if history_max as usize >= position_rows {
        return Err(format_error(
            path,
            "tensor p_embeddings.weight",
            format!(
                "expected at least {} rows for histories of {history_max} items, found {position_rows}",
                history_max + 1
            ),
        ));
    }
    let config = SasRecConfig {
        n_items: item_rows as u32 - 1,
        d_model: d_model as u32,
        n_layers: n_layers as u32,
        n_heads: options.n_heads.unwrap_or(1),
        history_max,
    };
    config
        .check()
        .map_err(|error| format_error(path, "shape of the model", error.to_string()))?;
    Ok(config)
}

/// The weights as bytes of a safetensors file with `ReChorus`' tensor names.
pub(crate) fn to_bytes(weights: &SasRecWeights) -> Result<Vec<u8>, ModelError> {
    let raw = to_le_bytes(weights.values());
    let mut views = BTreeMap::new();
    for segment in segments(weights.config()) {
        let bytes = &raw[segment.range.start * 4..segment.range.end * 4];
        let view = TensorView::new(Dtype::F32, segment.shape.clone(), bytes);
        views.insert(segment.name, view.map_err(|error| serialise_error(&error))?);
    }
    safetensors::serialize(views, None).map_err(|error| serialise_error(&error))
}

/// Little-endian bytes of the values.
pub(crate) fn to_le_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

pub(crate) fn serialise_error(error: &safetensors::SafeTensorError) -> ModelError {
    ModelError::Request(format!("cannot lay out the weights: {error}"))
}

/// Writes `config.json` and `model.safetensors` into `folder`, made if absent.
pub(crate) fn save(weights: &SasRecWeights, folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let config = ConfigFile {
        architecture: Architecture::SasRec,
        shape: weights.config().clone(),
    };
    let text = serde_json::to_vec_pretty(&config)
        .map_err(|error| ModelError::Request(format!("cannot write the configuration: {error}")))?;
    write_whole(&folder.join(WEIGHTS_FILE), &to_bytes(weights)?)?;
    write_whole(&folder.join(CONFIG_FILE), &text)
}

/// Writes a file so that it is there whole or not at all: temporary name, sync, rename.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_data()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| ModelError::Write {
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn format_error(path: &Path, place: &str, expected: String) -> ModelError {
    ModelError::Format {
        path: path.to_owned(),
        place: place.to_owned(),
        expected,
    }
}
