//! The state of a training run on disk: weights, moments, stage and step.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{Tensor, Var};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::ModelError;
use crate::training::adamw::Moments;
use crate::vision_language::parameters::read_values;

/// Name of the file.
const FILE: &str = "checkpoint.safetensors";

/// Where a run stands.
pub(super) struct Checkpoint {
    /// Text that must be equal for a run to be continued: its settings and vocabulary.
    pub(super) settings: String,
    /// 0 for the image tower, 1 for projector and decoder.
    pub(super) stage: u32,
    /// Steps done in the stage.
    pub(super) step: u32,
    values: BTreeMap<String, Vec<f32>>,
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Writes `bytes` to a temporary name, syncs, and renames.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let temporary = path.with_extension("partial");
    let write = || {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| ModelError::Write {
        path: path.to_owned(),
        source,
    })
}

impl Checkpoint {
    /// Writes the state of a run.
    pub(super) fn write(
        folder: &Path,
        settings: &str,
        [stage, step]: [u32; 2],
        vars: &[(String, Var)],
        moments: &[(&str, &Moments)],
    ) -> Result<(), ModelError> {
        let mut stored: Vec<(String, Vec<u8>, Vec<usize>)> = Vec::new();
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        for (name, var) in vars {
            let values = var.flatten_all()?.to_vec1::<f32>()?;
            stored.push((format!("weight.{name}"), bytes(&values), vec![values.len()]));
        }
        for (name, moments) in moments {
            for (kind, values) in [("first", &moments.first), ("second", &moments.second)] {
                stored.push((format!("{kind}.{name}"), bytes(values), vec![values.len()]));
            }
        }
        let facts = HashMap::from([
            ("settings".to_owned(), settings.to_owned()),
            ("stage".to_owned(), stage.to_string()),
            ("step".to_owned(), step.to_string()),
        ]);
        let file = stored
            .iter()
            .map(|(name, bytes, shape)| {
                TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
            })
            .collect::<Result<Vec<_>, _>>()
            .and_then(|views| safetensors::serialize(views, Some(facts)))
            .map_err(|error| {
                ModelError::Request(format!("checkpoint cannot be stored: {error}"))
            })?;
        write_file(&path(folder), &file)
    }

    /// Reads the checkpoint of `folder`, if there is one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, ModelError> {
        let path = path(folder);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ModelError::Read { path, source }),
        };
        let broken = |place: &str, expected: String| ModelError::Format {
            path: path.clone(),
            place: place.to_owned(),
            expected,
        };
        let no_file = |error| {
            broken(
                "header",
                format!("expected a checkpoint of a training run: {error}"),
            )
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(no_file)?;
        let facts = header.metadata().clone().unwrap_or_default();
        let number = |name: &str| {
            facts
                .get(name)
                .and_then(|text| text.parse::<u32>().ok())
                .ok_or_else(|| broken(name, "expected a number".to_owned()))
        };
        let (stage, step) = (number("stage")?, number("step")?);
        let file = SafeTensors::deserialize(&bytes).map_err(no_file)?;
        let mut values = BTreeMap::new();
        for (name, view) in file.iter() {
            let read = read_values(&view)
                .ok_or_else(|| broken(name, "expected numbers of 32 bits".to_owned()))?;
            values.insert(name.to_owned(), read);
        }
        Ok(Some(Self {
            settings: facts.get("settings").cloned().unwrap_or_default(),
            stage,
            step,
            values,
        }))
    }

    fn take(&self, folder: &Path, name: &str, n: usize) -> Result<&[f32], ModelError> {
        self.values
            .get(name)
            .filter(|values| values.len() == n)
            .map(Vec::as_slice)
            .ok_or_else(|| ModelError::Format {
                path: path(folder),
                place: name.to_owned(),
                expected: format!("expected {n} numbers"),
            })
    }

    /// Puts the stored weights in place.
    pub(super) fn restore(&self, folder: &Path, vars: &[(String, Var)]) -> Result<(), ModelError> {
        for (name, var) in vars {
            let values = self.take(folder, &format!("weight.{name}"), var.elem_count())?;
            var.set(&Tensor::from_slice(values, var.shape(), var.device())?)?;
        }
        Ok(())
    }

    /// The stored moments of `vars`.
    pub(super) fn moments(
        &self,
        folder: &Path,
        vars: &[(String, Var)],
    ) -> Result<Vec<Moments>, ModelError> {
        vars.iter()
            .map(|(name, var)| {
                let take = |kind: &str| {
                    self.take(folder, &format!("{kind}.{name}"), var.elem_count())
                        .map(<[f32]>::to_vec)
                };
                Ok(Moments {
                    first: take("first")?,
                    second: take("second")?,
                })
            })
            .collect()
    }
}
