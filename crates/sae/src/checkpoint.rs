//! Checkpoints of a training run: whole files with a checksum, the newest two kept.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use schema::SaeConfig;
use serde::{Deserialize, Serialize};

use crate::error::SaeError;
use crate::tensors::{Named, parse, read_f32, serialize, write_atomically};
use crate::trainer::TrainingState;
use crate::weights::Weights;

/// Where and how often checkpoints are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointPlan {
    /// Folder of the checkpoints; made if absent. One run per folder.
    pub dir: PathBuf,
    /// Steps between two checkpoints, ≥ 1; where they take longer than two minutes there are more.
    pub every_steps: u32,
}

impl CheckpointPlan {
    /// Steps of the newest checkpoint, told from its name; `None` if there is none.
    pub fn newest_step(&self) -> Option<u32> {
        list(&self.dir).ok()?.first().map(|&(step, _)| step)
    }
}

/// Checkpoints kept: one to resume from, one in case it is damaged.
const KEPT: usize = 2;
const HASH_BYTES: usize = 32;
const METADATA: &str = "checkpoint";

/// What a checkpoint says besides its tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    version: u32,
    step: u32,
    /// Bits of the threshold, so that it comes back exactly.
    threshold_bits: u32,
    rows_since_active: Vec<u64>,
    /// Absent in checkpoints from before there were recipes that have them.
    #[serde(default)]
    dead_of_epoch: Vec<u32>,
    #[serde(default)]
    rows_of_epoch: u64,
    config: SaeConfig,
}

/// File name of the checkpoint after `step` steps.
fn file_name(step: u32) -> String {
    format!("step-{step:010}.checkpoint")
}

/// The checkpoints of a folder, newest first; none if the folder does not exist.
fn list(dir: &Path) -> Result<Vec<(u32, PathBuf)>, SaeError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(SaeError::io(dir))? {
        let path = entry.map_err(SaeError::io(dir))?.path();
        let step = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| {
                name.strip_prefix("step-")?
                    .strip_suffix(".checkpoint")?
                    .parse()
                    .ok()
            });
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Writes the state, then removes what is older than the newest two.
pub(crate) fn write(
    plan: &CheckpointPlan,
    config: &SaeConfig,
    state: &TrainingState,
) -> Result<(), SaeError> {
    fs::create_dir_all(&plan.dir).map_err(SaeError::io(&plan.dir))?;
    let path = plan.dir.join(file_name(state.step));
    let header = Header {
        version: 1,
        step: state.step,
        threshold_bits: state.threshold.to_bits(),
        rows_since_active: state.rows_since_active.clone(),
        dead_of_epoch: state.dead_of_epoch.clone(),
        rows_of_epoch: state.rows_of_epoch,
        config: config.clone(),
    };
    let header = serde_json::to_string(&header)
        .map_err(|error| SaeError::format(&path, error.to_string()))?;
    let sets = [&state.weights, &state.moments[0], &state.moments[1]];
    let (n, d) = (state.weights.n_features(), state.weights.d_model);
    let names: Vec<String> = ["weights", "first", "second"]
        .iter()
        .flat_map(|set| {
            state
                .weights
                .tensors()
                .map(|(name, _)| format!("{set}.{name}"))
        })
        .collect();
    let tensors: Vec<Named<'_>> = sets
        .iter()
        .flat_map(|set| set.tensors())
        .zip(&names)
        .map(|((tensor, values), name)| Named {
            name,
            shape: shape_of(tensor, values.len(), [n, d]),
            values,
        })
        .collect();
    let mut bytes = serialize(&path, &tensors, Some((METADATA, header)))?;
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    write_atomically(&path, &bytes)?;
    for (_, old) in list(&plan.dir)?.into_iter().skip(KEPT) {
        fs::remove_file(&old).map_err(SaeError::io(&old))?;
    }
    Ok(())
}

fn shape_of(tensor: &str, n_values: usize, shape: [usize; 2]) -> Vec<usize> {
    match tensor {
        "w_enc" | "w_dec" => shape.to_vec(),
        _ => vec![n_values],
    }
}

/// The state of the newest usable checkpoint; `None` if there is no checkpoint at all.
///
/// A damaged file is passed over for the one before it. If all are damaged, the error of the
/// newest is returned; if one was made with other settings, that is an error at once.
pub(crate) fn newest(
    plan: &CheckpointPlan,
    config: &SaeConfig,
    d_model: usize,
) -> Result<Option<TrainingState>, SaeError> {
    let mut first_error = None;
    for (_, path) in list(&plan.dir)? {
        match read(&path) {
            Ok((header, state)) => {
                let of_this_run = header.config == *config && state.weights.d_model == d_model;
                if !of_this_run {
                    let reason = "this checkpoint was made with other settings; \
                                  train under another name, or remove the folder's checkpoints";
                    return Err(SaeError::format(&path, reason));
                }
                return Ok(Some(state));
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(None), Err)
}

fn read(path: &Path) -> Result<(Header, TrainingState), SaeError> {
    let bytes = fs::read(path).map_err(SaeError::io(path))?;
    let damaged = |reason: &str| SaeError::format(path, format!("damaged checkpoint: {reason}"));
    let Some((content, hash)) = bytes.split_last_chunk::<HASH_BYTES>() else {
        return Err(damaged("it is shorter than its checksum"));
    };
    if blake3::hash(content).as_bytes() != hash {
        return Err(damaged("its checksum does not fit its content"));
    }
    let tensors = parse(path, content)?;
    let (_, metadata) = SafeTensors::read_metadata(content)
        .map_err(|error| SaeError::format(path, error.to_string()))?;
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(METADATA))
        .ok_or_else(|| damaged("its header is missing"))?;
    let header: Header = serde_json::from_str(header)
        .map_err(|error| damaged(&format!("its header cannot be read ({error})")))?;
    if header.version != 1 {
        return Err(damaged("it was made by a newer version of the program"));
    }
    let n = header.config.n_features as usize;
    let [weights, first, second] =
        ["weights", "first", "second"].map(|set| read_weights(path, &tensors, set, n));
    if header.rows_since_active.len() != n {
        return Err(damaged("it counts another number of features"));
    }
    let state = TrainingState {
        step: header.step,
        weights: weights?,
        moments: [first?, second?],
        rows_since_active: header.rows_since_active.clone(),
        threshold: f32::from_bits(header.threshold_bits),
        dead_of_epoch: header.dead_of_epoch.clone(),
        rows_of_epoch: header.rows_of_epoch,
    };
    Ok((header, state))
}

fn read_weights(
    path: &Path,
    tensors: &SafeTensors<'_>,
    set: &str,
    n: usize,
) -> Result<Weights, SaeError> {
    let tensor = |name: &str, shape: &[Option<usize>]| {
        read_f32(path, tensors, &format!("{set}.{name}"), shape).map(|(_, values)| values)
    };
    let b_dec = tensor("b_dec", &[None])?;
    let d = b_dec.len();
    // Checkpoints from before there were such variants have none.
    let if_there = |name: &str| match tensors.tensor(&format!("{set}.{name}")) {
        Ok(_) => tensor(name, &[None]),
        Err(_absent) => Ok(Vec::new()),
    };
    Ok(Weights {
        extra: if_there("extra")?,
        skip: if_there("skip")?,
        d_model: d,
        w_enc: tensor("w_enc", &[Some(n), Some(d)])?,
        b_enc: tensor("b_enc", &[Some(n)])?,
        w_dec: tensor("w_dec", &[Some(n), Some(d)])?,
        b_dec,
    })
}
