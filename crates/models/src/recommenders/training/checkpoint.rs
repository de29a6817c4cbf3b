//! The state of a training run after an epoch, in one file that is there whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::super::config::RecommenderConfig;
use super::super::data::InteractionData;
use super::super::state_dict::{format_error, serialise_error, to_le_bytes, write_whole};
use super::super::weights::{RecommenderWeights, segments};
use super::adam::Adam;
use super::{EpochReport, REPORTED_KS, RankingMetrics, RecommenderTraining, TrainingState};
use crate::ModelError;

/// Numbers kept of an epoch: loss, HR and NDCG per cut-off, cases.
const EPOCH_WIDTH: usize = 2 + 2 * REPORTED_KS.len();

/// Where and for which run checkpoints are written.
pub(crate) struct Checkpoint {
    path: PathBuf,
    /// BLAKE3 of settings and data: a run goes on only from its own checkpoint.
    run: String,
}

/// The small part of the state, in the file's metadata.
#[derive(Serialize, Deserialize)]
struct Header {
    run: String,
    steps: u64,
    best_epoch: u32,
    /// BLAKE3 of all tensors' bytes in the order of [`NAMES`].
    hash: String,
}

const HEADER_KEY: &str = "state";
const NAMES: [&str; 5] = ["weights", "best", "adam.mean", "adam.square", "epochs"];

impl Checkpoint {
    /// Names the file in `folder`, which is made if absent.
    pub(crate) fn new(
        (folder, stage): (&Path, &str),
        config: &RecommenderConfig,
        training: &RecommenderTraining,
        data: &InteractionData,
    ) -> Result<Self, ModelError> {
        std::fs::create_dir_all(folder).map_err(|source| ModelError::Write {
            path: folder.to_owned(),
            source,
        })?;
        let settings = serde_json::to_vec(&(config, training)).map_err(|error| {
            ModelError::Request(format!("cannot write the training settings: {error}"))
        })?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&settings);
        for (place, user) in data.histories.iter().enumerate() {
            hasher.update(&data.user_number(place).to_le_bytes());
            for part in [&user.train, &user.dev, &user.test] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                for item in part {
                    hasher.update(&item.to_le_bytes());
                }
            }
        }
        Ok(Self {
            path: folder.join(format!("{stage}.safetensors")),
            run: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Writes the state.
    pub(crate) fn write(&self, state: &TrainingState) -> Result<(), ModelError> {
        let epochs: Vec<u8> = state
            .epochs
            .iter()
            .flat_map(epoch_numbers)
            .flat_map(f64::to_le_bytes)
            .collect();
        let payloads = [
            to_le_bytes(state.weights.values()),
            to_le_bytes(&state.best),
            to_le_bytes(&state.adam.mean),
            to_le_bytes(&state.adam.square),
            epochs,
        ];
        let header = Header {
            run: self.run.clone(),
            steps: state.adam.steps,
            best_epoch: state.best_epoch,
            hash: hash_of(payloads.iter().map(Vec::as_slice)),
        };
        let header = serde_json::to_string(&header)
            .map_err(|error| ModelError::Request(format!("cannot write a checkpoint: {error}")))?;
        let mut views = BTreeMap::new();
        for (name, bytes) in NAMES.iter().zip(&payloads) {
            let dtype = if *name == "epochs" {
                Dtype::F64
            } else {
                Dtype::F32
            };
            let n = bytes.len() * 8 / dtype.bitsize();
            let view = TensorView::new(dtype, vec![n], bytes);
            views.insert(*name, view.map_err(|error| serialise_error(&error))?);
        }
        let metadata = HashMap::from([(HEADER_KEY.to_owned(), header)]);
        let bytes = serialize(views, Some(metadata)).map_err(|error| serialise_error(&error))?;
        write_whole(&self.path, &bytes)
    }

    /// Reads the state, or `None` when nothing was written yet.
    pub(crate) fn read(
        &self,
        config: &RecommenderConfig,
    ) -> Result<Option<TrainingState>, ModelError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ModelError::Read {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        self.parse(config, &bytes).map(Some)
    }

    fn parse(&self, config: &RecommenderConfig, bytes: &[u8]) -> Result<TrainingState, ModelError> {
        let wrong = |place: &str, expected: String| format_error(&self.path, place, expected);
        let damaged = |error: safetensors::SafeTensorError| {
            wrong(
                "header",
                format!("expected a training checkpoint, found: {error}"),
            )
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let header: Header = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(HEADER_KEY))
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| wrong("header", "expected the state of a training run".to_owned()))?;
        let mut payloads = Vec::with_capacity(NAMES.len());
        for name in NAMES {
            payloads.push(tensors.tensor(name).map_err(damaged)?.data());
        }
        if hash_of(payloads.iter().copied()) != header.hash {
            let expected = "expected the contents their checksum was made of; the file is damaged";
            return Err(wrong("tensors", expected.to_owned()));
        }
        if header.run != self.run {
            let expected = "expected a checkpoint of this run, but it was made with other settings \
                            or data; remove it to start afresh";
            return Err(wrong("header", expected.to_owned()));
        }
        let n = segments(config).last().map_or(0, |s| s.range.end);
        let [weights, best, mean, square] = [0, 1, 2, 3].map(|i: usize| from_le_bytes(payloads[i]));
        if [&weights, &best, &mean, &square]
            .iter()
            .any(|v| v.len() != n)
        {
            return Err(wrong("tensors", format!("expected {n} numbers in each")));
        }
        let epochs: Vec<f64> = payloads[4]
            .chunks_exact(8)
            .filter_map(|raw| raw.try_into().ok().map(f64::from_le_bytes))
            .collect();
        Ok(TrainingState {
            weights: RecommenderWeights::from_flat(config.clone(), weights),
            adam: Adam {
                mean,
                square,
                steps: header.steps,
            },
            best,
            best_epoch: header.best_epoch,
            epochs: (1..)
                .zip(epochs.chunks_exact(EPOCH_WIDTH))
                .map(epoch_report)
                .collect(),
        })
    }
}

fn hash_of<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = blake3::Hasher::new();
    for payload in payloads {
        hasher.update(payload);
    }
    hasher.finalize().to_hex().to_string()
}

fn from_le_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .filter_map(|raw| raw.try_into().ok().map(f32::from_le_bytes))
        .collect()
}

/// Loss, cases (−1 where there were no dev items), HR per cut-off, NDCG per cut-off.
fn epoch_numbers(report: &EpochReport) -> Vec<f64> {
    let mut numbers = vec![report.loss];
    match &report.dev {
        Some(dev) => {
            numbers.push(dev.n_cases as f64);
            numbers.extend(dev.hr.iter().chain(&dev.ndcg));
        }
        None => numbers.push(-1.0),
    }
    numbers.resize(EPOCH_WIDTH, 0.0);
    numbers
}

fn epoch_report((epoch, numbers): (u32, &[f64])) -> EpochReport {
    let k = REPORTED_KS.len();
    let dev = (numbers[1] >= 0.0).then(|| RankingMetrics {
        ks: REPORTED_KS.to_vec(),
        hr: numbers[2..2 + k].to_vec(),
        ndcg: numbers[2 + k..2 + 2 * k].to_vec(),
        n_cases: numbers[1] as usize,
    });
    EpochReport {
        epoch,
        loss: numbers[0],
        dev,
    }
}
