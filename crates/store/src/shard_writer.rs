//! Writes hook activations shard by shard, so that a stopped harvest goes on where it stopped.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use schema::{HarvestManifest, RowRef};
use serde::{Deserialize, Serialize};

use crate::datasets::{read_json, to_json, to_json_lines};
use crate::error::AtPath as _;
use crate::{
    ArtefactHashes, ArtefactId, ArtefactKind, Durability, Project, Result, StoreError,
    blake3_of_bytes, write_atomically,
};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SHARDS: &str = "shards.jsonl";

/// One complete shard, a line of `shards.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardEntry {
    /// Number of the shard.
    pub(crate) shard: u32,
    /// Rows in it.
    pub(crate) n_rows: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// BLAKE3 of the file.
    pub(crate) blake3: String,
}

/// File name of a shard.
pub(crate) fn shard_file(shard: u32) -> String {
    format!("{shard:05}.safetensors")
}

/// Checks the manifest's own numbers.
pub(crate) fn check_manifest(manifest: &HarvestManifest) -> Result<()> {
    for (value, field) in [
        (manifest.d_model, "d_model"),
        (manifest.samples_per_shard, "samples_per_shard"),
        (manifest.n_samples, "n_samples"),
    ] {
        if value == 0 {
            return Err(StoreError::invalid(format!(
                "activations/{}: {field} is 0, expected at least 1",
                manifest.name
            )));
        }
    }
    Ok(())
}

/// Samples of shard `shard`.
pub(crate) fn samples_of(manifest: &HarvestManifest, shard: u32) -> Range<u32> {
    let start = shard.saturating_mul(manifest.samples_per_shard);
    start.min(manifest.n_samples)
        ..start
            .saturating_add(manifest.samples_per_shard)
            .min(manifest.n_samples)
}

/// Writes one harvest. Shards may come in any order; each is on disk whole or not at all.
#[derive(Debug)]
pub struct HarvestWriter<'a> {
    project: &'a Project,
    id: ArtefactId,
    folder: PathBuf,
    manifest: HarvestManifest,
    complete: BTreeMap<u32, ShardEntry>,
}

impl<'a> HarvestWriter<'a> {
    /// Begins the harvest that `manifest` describes, or goes on with it.
    ///
    /// # Errors
    /// [`StoreError::DifferentManifest`] if it was begun with other settings;
    /// [`StoreError::Missing`] or [`StoreError::Unfinished`] if its model or dataset is;
    /// [`StoreError::Invalid`] if the dataset has other records than `dataset_hash` says.
    pub fn create_or_resume(project: &'a Project, manifest: HarvestManifest) -> Result<Self> {
        project.writable()?;
        let id = ArtefactId::new(ArtefactKind::Harvest, &manifest.name)?;
        check_manifest(&manifest)?;
        let dataset = &manifest.dataset;
        let hash = project.file_hash(ArtefactKind::Dataset, dataset, "samples.jsonl")?;
        if hash != manifest.dataset_hash {
            return Err(StoreError::invalid(format!(
                "{id}: datasets/{dataset} has changed since it was loaded; load it again"
            )));
        }
        project.recorded_hash(&ArtefactId::new(ArtefactKind::Model, &manifest.model)?)?;
        let folder = project.dir_of(&id);
        let path = folder.join(MANIFEST);
        let mut complete = BTreeMap::new();
        if path.is_file() {
            same_manifest(&id, &read_json(&path)?, &manifest)?;
            for entry in read_shards(&folder)? {
                let file = folder.join(shard_file(entry.shard));
                if file.metadata().is_ok_and(|file| file.len() == entry.bytes) {
                    complete.insert(entry.shard, entry);
                }
            }
        } else {
            fs::create_dir_all(&folder).at(&folder)?;
            write_atomically(&path, &to_json(&manifest)?, Durability::PowerCut)?;
        }
        Ok(Self {
            project,
            id,
            folder,
            manifest,
            complete,
        })
    }

    /// Removes what was begun, so that its name is free.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn abandon(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).at(&self.folder)
    }

    /// What is harvested.
    pub fn manifest(&self) -> &HarvestManifest {
        &self.manifest
    }

    /// Number of shards in all.
    pub fn n_shards(&self) -> u32 {
        self.manifest
            .n_samples
            .div_ceil(self.manifest.samples_per_shard)
    }

    /// The first shard that is not complete; `None` when all are.
    pub fn next_shard(&self) -> Option<u32> {
        (0..self.n_shards()).find(|&shard| !self.is_complete(shard))
    }

    /// Whether shard `shard` is on disk.
    pub fn is_complete(&self, shard: u32) -> bool {
        self.complete.contains_key(&shard)
    }

    /// Number of shards on disk.
    pub fn n_complete(&self) -> u32 {
        self.complete.len() as u32
    }

    /// Rows of all shards on disk.
    pub fn n_rows(&self) -> u64 {
        self.complete.values().map(|entry| entry.n_rows).sum()
    }

    /// Samples whose rows shard `shard` holds.
    pub fn samples_of(&self, shard: u32) -> Range<u32> {
        samples_of(&self.manifest, shard)
    }

    /// Writes shard `shard`.
    ///
    /// # Shapes
    /// - `rows`: `[n, d_model]` row-major, in the units of the hook activation
    /// - `refs`: `[n]`, samples of this shard only, ordered by sample, then position
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the shapes do not agree, a sample belongs to another shard,
    /// the order is wrong, or a value is not finite; [`StoreError::Io`].
    pub fn write_shard(&mut self, shard: u32, rows: &[f32], refs: &[RowRef]) -> Result<()> {
        self.check_rows(shard, rows, refs)?;
        let bytes = encode_shard(self.manifest.d_model as usize, rows, refs)?;
        let path = self.folder.join(shard_file(shard));
        write_atomically(&path, &bytes, Durability::PowerCut)?;
        let entry = ShardEntry {
            shard,
            n_rows: refs.len() as u64,
            bytes: bytes.len() as u64,
            blake3: blake3_of_bytes(&bytes),
        };
        let line = to_json_lines(std::slice::from_ref(&entry))?;
        let path = self.folder.join(SHARDS);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(&line)?;
                file.sync_data()
            })
            .at(&path)?;
        self.complete.insert(shard, entry);
        Ok(())
    }

    /// Records the harvest as finished, made from its model and its dataset.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if a shard is missing; [`StoreError::Io`].
    pub fn finish(self) -> Result<ArtefactHashes> {
        if let Some(shard) = self.next_shard() {
            return Err(StoreError::invalid(format!(
                "{} cannot be finished: shard {shard} of {} is missing",
                self.id,
                self.n_shards()
            )));
        }
        // In order, whatever order the shards came in: the same harvest has the same files.
        let entries: Vec<ShardEntry> = self.complete.into_values().collect();
        let path = self.folder.join(SHARDS);
        write_atomically(&path, &to_json_lines(&entries)?, Durability::PowerCut)?;
        let parents = [
            ArtefactId::new(ArtefactKind::Model, &self.manifest.model)?,
            ArtefactId::new(ArtefactKind::Dataset, &self.manifest.dataset)?,
        ];
        self.project
            .seal(ArtefactKind::Harvest, self.id.name(), &parents, &[])
    }

    fn check_rows(&self, shard: u32, rows: &[f32], refs: &[RowRef]) -> Result<()> {
        let d_model = self.manifest.d_model as usize;
        let refuse = |what: String| {
            Err(StoreError::invalid(format!(
                "{}, shard {shard}: {what}",
                self.id
            )))
        };
        if shard >= self.n_shards() {
            return refuse(format!("there are only {} shards", self.n_shards()));
        }
        if rows.len() != refs.len() * d_model {
            return refuse(format!(
                "{} values for {} rows of {d_model}",
                rows.len(),
                refs.len()
            ));
        }
        let samples = self.samples_of(shard);
        for row in refs {
            if !samples.contains(&row.sample) {
                return refuse(format!(
                    "sample {} is not one of its samples {} to {}",
                    row.sample,
                    samples.start,
                    samples.end.saturating_sub(1)
                ));
            }
        }
        if !refs.is_sorted_by_key(|row| (row.sample, row.position)) {
            return refuse("rows must be ordered by sample, then position".to_owned());
        }
        if let Some(i) = rows.iter().position(|value| !value.is_finite()) {
            let row = refs[i / d_model];
            return refuse(format!(
                "sample {}, position {}: the activation of dimension {} is {}, not a finite number",
                row.sample,
                row.position,
                i % d_model,
                rows[i]
            ));
        }
        Ok(())
    }
}

/// The shards listed in `folder`; a torn last line is left out.
pub(crate) fn read_shards(folder: &Path) -> Result<Vec<ShardEntry>> {
    let path = folder.join(SHARDS);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at(&path)?,
    };
    let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else {
        return Ok(Vec::new());
    };
    bytes[..end]
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_slice(line)
                .map_err(|error| StoreError::damaged(&path, format!("line {}: {error}", i + 1)))
        })
        .collect()
}

fn encode_shard(d_model: usize, rows: &[f32], refs: &[RowRef]) -> Result<Vec<u8>> {
    let n = refs.len();
    let samples: Vec<u32> = refs.iter().map(|row| row.sample).collect();
    let positions: Vec<u32> = refs.iter().map(|row| row.position).collect();
    let classes: Vec<u8> = refs.iter().map(|row| row.class as u8).collect();
    let views: [(_, _, _, &[u8]); 4] = [
        (
            "rows",
            Dtype::F32,
            vec![n, d_model],
            bytemuck::cast_slice(rows),
        ),
        (
            "sample",
            Dtype::U32,
            vec![n],
            bytemuck::cast_slice(&samples),
        ),
        (
            "position",
            Dtype::U32,
            vec![n],
            bytemuck::cast_slice(&positions),
        ),
        ("class", Dtype::U8, vec![n], classes.as_slice()),
    ];
    let wrong = |error: safetensors::SafeTensorError| StoreError::invalid(error.to_string());
    let mut tensors = Vec::new();
    for (name, dtype, shape, bytes) in views {
        tensors.push((name, TensorView::new(dtype, shape, bytes).map_err(wrong)?));
    }
    safetensors::serialize(tensors, None).map_err(wrong)
}

fn same_manifest(id: &ArtefactId, was: &HarvestManifest, now: &HarvestManifest) -> Result<()> {
    let classes = |manifest: &HarvestManifest| format!("{:?}", manifest.classes);
    let fields: [(&'static str, String, String); 10] = [
        ("model", was.model.clone(), now.model.clone()),
        ("model hash", was.model_hash.clone(), now.model_hash.clone()),
        ("dataset", was.dataset.clone(), now.dataset.clone()),
        (
            "dataset hash",
            was.dataset_hash.clone(),
            now.dataset_hash.clone(),
        ),
        ("hook", was.hook.to_string(), now.hook.to_string()),
        ("set of positions", classes(was), classes(now)),
        ("width", was.d_model.to_string(), now.d_model.to_string()),
        ("pool", was.pool.to_string(), now.pool.to_string()),
        (
            "number of samples per shard",
            was.samples_per_shard.to_string(),
            now.samples_per_shard.to_string(),
        ),
        (
            "number of samples",
            was.n_samples.to_string(),
            now.n_samples.to_string(),
        ),
    ];
    match fields.into_iter().find(|(_, was, now)| was != now) {
        None => Ok(()),
        Some((field, was, now)) => Err(StoreError::DifferentManifest {
            harvest: id.clone(),
            field,
            was,
            now,
        }),
    }
}
