//! Reading and writing recommenders: our folder, or a bare state dict of `ReChorus` or `RecBole`.

mod recbole;
mod shape;
mod torch_file;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

use super::architectures::graph::InteractionGraph;
use super::config::RecommenderConfig;
use super::weights::{RecommenderWeights, segments};
use crate::{Architecture, ModelError};

/// What a bare state dict does not say about its model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDictOptions {
    /// Its architecture; `None` for what the settings of a `RecBole` checkpoint or the names of the
    /// tensors say.
    pub architecture: Option<Architecture>,
    /// Attention heads; `None` for what the settings say, or 1, in `RecBole`'s form 2.
    pub n_heads: Option<u32>,
    /// Steps of propagation of a graph model; `None` for what the settings say, or 3, with
    /// `RecBole`'s names 2.
    pub n_layers: Option<u32>,
    /// Last items of a history that are read; `None` for what the position table allows, what the
    /// settings say, or 20, with `RecBole`'s names 50.
    pub history_max: Option<u32>,
    /// User and item of every train interaction, which `LightGCN` propagates over; `None` for what
    /// the file holds.
    pub train_pairs: Option<Arc<[(u32, u32)]>>,
}

/// What was read.
pub(crate) struct Loaded {
    pub(crate) weights: RecommenderWeights,
    pub(crate) graph: Option<InteractionGraph>,
    /// BLAKE3 of the weight file.
    pub(crate) hash: String,
}

const WEIGHTS_FILE: &str = "model.safetensors";
const CONFIG_FILE: &str = "config.json";

/// The train interactions beside the weights of a graph model, `[n, 2]`.
const PAIRS_TENSOR: &str = "train_pairs";

/// A plain value among the settings of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
enum Setting {
    Text(String),
    Number(f64),
}

/// The tensors of a file by name.
struct StateDict<'a> {
    path: &'a Path,
    tensors: HashMap<String, Tensor>,
    /// Settings beside them; empty but for a checkpoint of `RecBole`.
    settings: HashMap<String, Setting>,
}

/// Reads a recommender from a folder or a file.
pub(crate) fn load(path: &Path, options: &StateDictOptions) -> Result<Loaded, ModelError> {
    if !path.is_dir() {
        return load_state_dict(path, options, None);
    }
    let config_path = path.join(CONFIG_FILE);
    let text = std::fs::read(&config_path).map_err(|source| ModelError::Read {
        path: config_path.clone(),
        source,
    })?;
    let config: RecommenderConfig = serde_json::from_slice(&text).map_err(|error| {
        format_error(
            &config_path,
            &format!("line {}, column {}", error.line(), error.column()),
            format!("expected the configuration of a recommender, found: {error}"),
        )
    })?;
    config
        .check()
        .map_err(|error| format_error(&config_path, "the shape", error.to_string()))?;
    if let Some(wanted) = options.architecture.filter(|&a| a != config.architecture()) {
        return Err(format_error(
            &config_path,
            "architecture",
            format!("expected {wanted:?}, found {}", config.name()),
        ));
    }
    load_state_dict(&path.join(WEIGHTS_FILE), options, Some(config))
}

fn load_state_dict(
    path: &Path,
    options: &StateDictOptions,
    config: Option<RecommenderConfig>,
) -> Result<Loaded, ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })?;
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let mut state = read_state(path, &bytes)?;
    let is_recbole = recbole::rename(&mut state)?;
    let config = match config {
        Some(config) => config,
        None => shape::shape_of(&state, options, is_recbole)?,
    };
    let weights = weights_from(&state, config)?;
    let graph = match weights.config() {
        RecommenderConfig::LightGcn(shape) => {
            let pairs = train_pairs(&state, options)?;
            let graph = InteractionGraph::new(shape.n_users, shape.n_items, pairs.iter().copied());
            Some(
                graph.map_err(|error| {
                    format_error(path, "the train interactions", error.to_string())
                })?,
            )
        }
        _ => None,
    };
    Ok(Loaded {
        weights,
        graph,
        hash,
    })
}

fn read_state<'a>(path: &'a Path, bytes: &[u8]) -> Result<StateDict<'a>, ModelError> {
    let is_pickle = path.extension().is_some_and(|end| {
        ["pt", "pth"]
            .iter()
            .any(|known| end.eq_ignore_ascii_case(known))
    });
    if is_pickle {
        return torch_file::read(path, bytes);
    }
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|error| {
        let expected = format!("expected a complete safetensors file, found: {error}");
        format_error(path, "header", expected)
    })?;
    Ok(StateDict {
        path,
        tensors,
        settings: HashMap::new(),
    })
}

fn train_pairs(
    state: &StateDict<'_>,
    options: &StateDictOptions,
) -> Result<Arc<[(u32, u32)]>, ModelError> {
    if let Some(pairs) = &options.train_pairs {
        return Ok(Arc::clone(pairs));
    }
    let Some(tensor) = state.tensors.get(PAIRS_TENSOR) else {
        return Err(format_error(
            state.path,
            &format!("tensor {PAIRS_TENSOR}"),
            "LightGCN propagates over the train interactions, which a state dict of the Python \
             tools does not hold; give the dataset it was trained on"
                .to_owned(),
        ));
    };
    let numbers = tensor
        .to_dtype(DType::I64)?
        .flatten_all()?
        .to_vec1::<i64>()?;
    numbers
        .chunks_exact(2)
        .map(
            |pair| match (u32::try_from(pair[0]), u32::try_from(pair[1])) {
                (Ok(user), Ok(item)) => Ok((user, item)),
                _ => Err(format_error(
                    state.path,
                    &format!("tensor {PAIRS_TENSOR}"),
                    format!(
                        "expected a user and an item, found {} and {}",
                        pair[0], pair[1]
                    ),
                )),
            },
        )
        .collect()
}

fn weights_from(
    state: &StateDict<'_>,
    config: RecommenderConfig,
) -> Result<RecommenderWeights, ModelError> {
    let mut values = Vec::new();
    for segment in segments(&config) {
        let place = format!("tensor {}", segment.name);
        let wrong = |expected: String| format_error(state.path, &place, expected);
        let tensor = state.tensors.get(&segment.name).ok_or_else(|| {
            wrong(format!(
                "expected in the state dict of {}, not there",
                config.name()
            ))
        })?;
        // A position table may be longer than the histories that are read.
        let is_positions = ["p_embeddings.weight", "position_embedding.weight"]
            .iter()
            .any(|end| segment.name.ends_with(end));
        let fits = if is_positions {
            matches!(tensor.dims(), &[rows, width]
                if rows >= segment.shape[0] && width == segment.shape[1])
        } else {
            tensor.dims() == segment.shape
        };
        if !fits {
            return Err(wrong(format!(
                "expected shape {:?}, found {:?}",
                segment.shape,
                tensor.dims()
            )));
        }
        let mut read = tensor
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        read.truncate(segment.range.len());
        if read.iter().any(|value| !value.is_finite()) {
            return Err(wrong(
                "expected finite numbers, found NaN or infinity".to_owned(),
            ));
        }
        values.extend(read);
    }
    Ok(RecommenderWeights::from_flat(config, values))
}

/// The weights as bytes of a safetensors file with the tensor names of `ReChorus`, or of `RecBole`
/// for its form of `SASRec`.
pub(crate) fn to_bytes(
    weights: &RecommenderWeights,
    graph: Option<&InteractionGraph>,
) -> Result<Vec<u8>, ModelError> {
    let raw = to_le_bytes(weights.values());
    let pairs: Vec<u8> = graph
        .into_iter()
        .flat_map(InteractionGraph::pairs)
        .flat_map(|&(user, item)| [i64::from(user), i64::from(item)])
        .flat_map(i64::to_le_bytes)
        .collect();
    let mut views = BTreeMap::new();
    for segment in weights.layout() {
        let bytes = &raw[segment.range.start * 4..segment.range.end * 4];
        let view = TensorView::new(Dtype::F32, segment.shape.clone(), bytes);
        let view = view.map_err(|error| serialise_error(&error))?;
        views.insert(segment.name.clone(), view);
    }
    if let Some(graph) = graph {
        let view = TensorView::new(Dtype::I64, vec![graph.pairs().len(), 2], &pairs);
        let view = view.map_err(|error| serialise_error(&error))?;
        views.insert(PAIRS_TENSOR.to_owned(), view);
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
pub(crate) fn save(
    weights: &RecommenderWeights,
    graph: Option<&InteractionGraph>,
    folder: &Path,
) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let text = serde_json::to_vec_pretty(weights.config())
        .map_err(|error| ModelError::Request(format!("cannot write the configuration: {error}")))?;
    write_whole(&folder.join(WEIGHTS_FILE), &to_bytes(weights, graph)?)?;
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
