//! Datasets on disk: manifest, sample records and catalogue, written whole or not at all.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use schema::{CatalogueItem, DatasetManifest, ImageRef, SampleRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::AtPath as _;
use crate::{ArtefactHashes, ArtefactId, ArtefactKind, Project, Result, StoreError};

const MANIFEST: &str = "manifest.json";
const SAMPLES: &str = "samples.jsonl";
const CATALOGUE: &str = "catalogue.jsonl";

/// A dataset of a project, its records in memory, its films on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: DatasetManifest,
    /// BLAKE3 of its sample records, as a harvest names it.
    pub hash: String,
    /// Its samples; an index into it is a `sample` elsewhere.
    pub records: Vec<SampleRecord>,
    /// Its items by id, if it has interactions.
    pub catalogue: Vec<CatalogueItem>,
    popularity: Popularity,
}

/// How often each item stands in the part of the histories that is trained on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Popularity {
    by_item: HashMap<u32, u32>,
    /// Of all items of the catalogue, ascending.
    sorted: Vec<u32>,
}

impl Popularity {
    fn of(records: &[SampleRecord], catalogue: &[CatalogueItem]) -> Self {
        let mut by_item = HashMap::new();
        if catalogue.is_empty() {
            return Self::default();
        }
        for record in records {
            let held_out = record.n_held_out as usize;
            let n_train = record.items.len().saturating_sub(held_out);
            for &item in &record.items[..n_train] {
                *by_item.entry(item).or_insert(0) += 1;
            }
        }
        let counts = catalogue.iter();
        let mut sorted: Vec<u32> = counts
            .map(|item| by_item.get(&item.id).copied().unwrap_or(0))
            .collect();
        sorted.sort_unstable();
        Self { by_item, sorted }
    }
}

impl Dataset {
    /// Interactions with an item that are not held out, and the share of the catalogue's items
    /// that have fewer, `0..1`. Counted once, when the dataset is loaded.
    ///
    /// # Example
    /// Of items with 1, 4 and 4 interactions the first has `(1, 0.0)`, the others `(4, 1/3)`.
    pub fn popularity(&self, item: u32) -> (u32, f32) {
        let counts = &self.popularity;
        let n = counts.by_item.get(&item).copied().unwrap_or(0);
        let fewer = counts.sorted.partition_point(|&other| other < n);
        (n, fewer as f32 / counts.sorted.len().max(1) as f32)
    }

    /// Where the film of a sample is: the user's file, or a phantom's in the dataset's folder.
    pub fn image_path(&self, image: &ImageRef) -> PathBuf {
        // An absolute path replaces the folder.
        self.folder.join(&image.path)
    }

    /// Reads a further file that was written with the dataset, e.g. `truth.json`.
    ///
    /// # Errors
    /// [`StoreError::Io`] if there is none.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let full = self.folder.join(path);
        fs::read(&full).at(&full)
    }
}

impl Project {
    /// Writes a dataset and the `files` that belong to it, each a relative path such as
    /// `images/00001.png` or `truth.json` and its bytes. It appears whole or not at all; a file
    /// that is an error ends it.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Invalid`] if the manifest's count is not that of
    /// `records`; [`StoreError::Io`]; the error of a file.
    pub fn write_dataset(
        &self,
        manifest: &DatasetManifest,
        records: &[SampleRecord],
        catalogue: &[CatalogueItem],
        files: &mut dyn Iterator<Item = Result<(String, Vec<u8>)>>,
    ) -> Result<ArtefactHashes> {
        let draft = self.begin(ArtefactKind::Dataset, &manifest.name)?;
        if manifest.n_samples as usize != records.len() {
            return Err(StoreError::invalid(format!(
                "{}: the manifest says {} samples, but there are {}",
                draft.id(),
                manifest.n_samples,
                records.len()
            )));
        }
        for file in files {
            let (path, bytes) = file?;
            draft.write(&path, &bytes)?;
        }
        draft.write(MANIFEST, &to_json(manifest)?)?;
        draft.write(SAMPLES, &to_json_lines(records)?)?;
        draft.write(CATALOGUE, &to_json_lines(catalogue)?)?;
        draft.finish(&[], &[])
    }

    /// Loads the dataset `name`.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Unfinished`]; [`StoreError::Damaged`] naming file
    /// and line.
    pub fn load_dataset(&self, name: &str) -> Result<Dataset> {
        let id = ArtefactId::new(ArtefactKind::Dataset, name)?;
        self.recorded_hash(&id)?;
        let folder = self.dir_of(&id);
        let manifest: DatasetManifest = read_json(&folder.join(MANIFEST))?;
        let records: Vec<SampleRecord> = read_json_lines(&folder.join(SAMPLES))?;
        let catalogue = read_json_lines(&folder.join(CATALOGUE))?;
        if records.len() != manifest.n_samples as usize {
            let what = format!(
                "it has {} samples, {MANIFEST} says {}",
                records.len(),
                manifest.n_samples
            );
            return Err(StoreError::damaged(&folder.join(SAMPLES), what));
        }
        Ok(Dataset {
            popularity: Popularity::of(&records, &catalogue),
            hash: self.file_hash(ArtefactKind::Dataset, name, SAMPLES)?,
            folder,
            manifest,
            records,
            catalogue,
        })
    }

    /// Manifests of all finished datasets, by name.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a manifest cannot be read.
    pub fn list_datasets(&self) -> Result<Vec<DatasetManifest>> {
        let mut manifests = Vec::new();
        for entry in self.list(ArtefactKind::Dataset)? {
            if self.is_finished(ArtefactKind::Dataset, &entry.name) {
                let folder = self.artefact_dir(ArtefactKind::Dataset, &entry.name)?;
                manifests.push(read_json(&folder.join(MANIFEST))?);
            }
        }
        Ok(manifests)
    }
}

/// Pretty JSON with a final line feed.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| StoreError::invalid(format!("cannot be written as JSON: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One JSON object per line.
pub(crate) fn to_json_lines<T: Serialize>(values: &[T]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for value in values {
        serde_json::to_writer(&mut bytes, value)
            .map_err(|error| StoreError::invalid(format!("cannot be written as JSON: {error}")))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Reads a JSON file; an error names it.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).at(path)?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(path, error.to_string()))
}

/// Reads a JSON Lines file; an error names file and line.
pub(crate) fn read_json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let bytes = fs::read(path).at(path)?;
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| {
            serde_json::from_slice(line)
                .map_err(|error| StoreError::damaged(path, format!("line {}: {error}", i + 1)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_counts_what_is_trained_on() {
        let history = |items: &[u32]| SampleRecord {
            items: items.to_vec(),
            n_held_out: 1,
            ..SampleRecord::default()
        };
        let records = [history(&[1, 2, 3, 1]), history(&[2, 3, 1]), history(&[1])];
        let catalogue: Vec<CatalogueItem> = (1..=4)
            .map(|id| CatalogueItem {
                id,
                ..CatalogueItem::default()
            })
            .collect();
        let dataset = Dataset {
            folder: PathBuf::new(),
            manifest: DatasetManifest {
                name: String::new(),
                kind: schema::DatasetKind::Interactions,
                n_samples: 3,
                findings: Vec::new(),
                source: String::new(),
                licence: None,
                skipped: Vec::new(),
                planted: false,
                seed: None,
            },
            hash: String::new(),
            popularity: Popularity::of(&records, &catalogue),
            records: records.to_vec(),
            catalogue,
        };
        assert_eq!(dataset.popularity(1), (1, 0.25));
        assert_eq!(dataset.popularity(2), (2, 0.5));
        assert_eq!(dataset.popularity(4), (0, 0.0));
    }
}
