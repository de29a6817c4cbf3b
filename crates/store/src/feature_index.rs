//! The feature index: for every feature its activations, examples and relations, read in place.
//!
//! Files of `features/<sae>/`, all little-endian:
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | [`IndexManifest`] |
//! | `column_starts.bin` | `[n_features + 1] u64`, where each feature's entries begin |
//! | `column_rows.bin`, `column_values.bin` | `[n_entries] u32` and `f32`, by feature, then row |
//! | `row_starts.bin` | `[n_rows + 1] u64`, where each row's entries begin |
//! | `row_features.bin`, `row_values.bin` | `[n_entries] u32` and `f32`, by row, then feature |
//! | `rows.bin` | `[n_rows, 3] u32`: sample, position, position class |
//! | `summary_starts.bin`, `summaries.bin` | `[n_features + 1] u64`, coded summaries |
//! | `overview.bin` | `[4, n_features] f32`: density, sample density, highest and mean activation |

use std::ops::Range;
use std::path::{Path, PathBuf};

use schema::{ExampleRef, FeatureId, FeatureSummary, PositionClass, RowRef};
use serde::{Deserialize, Serialize};

use crate::datasets::read_json;
use crate::mapped_file::MappedFile;
use crate::summary_codec::decode_summary;
use crate::{ArtefactId, ArtefactKind, Project, Result, StoreError};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const COLUMN_STARTS: &str = "column_starts.bin";
pub(crate) const COLUMN_ROWS: &str = "column_rows.bin";
pub(crate) const COLUMN_VALUES: &str = "column_values.bin";
pub(crate) const ROW_STARTS: &str = "row_starts.bin";
pub(crate) const ROW_FEATURES: &str = "row_features.bin";
pub(crate) const ROW_VALUES: &str = "row_values.bin";
pub(crate) const ROWS: &str = "rows.bin";
pub(crate) const SUMMARY_STARTS: &str = "summary_starts.bin";
pub(crate) const SUMMARIES: &str = "summaries.bin";
pub(crate) const OVERVIEW: &str = "overview.bin";

/// What a feature index was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexManifest {
    /// The dictionary.
    pub sae: String,
    /// The harvest it was run over.
    pub harvest: String,
    /// Dataset of the harvest.
    pub dataset: String,
    /// Features of the dictionary.
    pub n_features: u32,
    /// Rows of the harvest.
    pub n_rows: u64,
    /// Samples of the harvest.
    pub n_samples: u32,
    /// Activations above 0 in all.
    pub n_entries: u64,
    /// Seed by which examples were drawn.
    pub seed: u64,
}

/// Figures of all features, for sorting and filtering a gallery; each `[n_features]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// Share of positions on which the feature is active.
    pub density: Vec<f32>,
    /// Share of samples with an active position.
    pub sample_density: Vec<f32>,
    /// Highest activation.
    pub max_activation: Vec<f32>,
    /// Mean of the activations above 0.
    pub mean_activation: Vec<f32>,
}

/// An open feature index.
#[derive(Debug)]
pub struct FeatureIndex {
    manifest: IndexManifest,
    column_starts: MappedFile<u64>,
    column_rows: MappedFile<u32>,
    column_values: MappedFile<f32>,
    row_starts: MappedFile<u64>,
    row_features: MappedFile<u32>,
    row_values: MappedFile<f32>,
    rows: MappedFile<[u32; 3]>,
    summary_starts: MappedFile<u64>,
    summaries: MappedFile<u8>,
    summaries_path: PathBuf,
    overview: Overview,
}

impl FeatureIndex {
    /// Opens the feature index of dictionary `sae`; entries stay on disk until they are read.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Unfinished`]; [`StoreError::Invalid`] if the
    /// dictionary has changed since; [`StoreError::Damaged`] if a file is truncated.
    pub fn open(project: &Project, sae: &str) -> Result<Self> {
        let id = ArtefactId::new(ArtefactKind::Features, sae)?;
        let hashes = project.hashes(ArtefactKind::Features, sae)?;
        for parent in &hashes.parents {
            if parent.artefact.kind() == ArtefactKind::Sae
                && project.recorded_hash(&parent.artefact).ok().as_ref() != Some(&parent.hash)
            {
                return Err(StoreError::invalid(format!(
                    "{id} belongs to another version of {}; run `features index {sae}` again",
                    parent.artefact
                )));
            }
        }
        let folder = project.dir_of(&id);
        let manifest: IndexManifest = read_json(&folder.join(MANIFEST))?;
        let (n_features, n_entries) = (u64::from(manifest.n_features), manifest.n_entries);
        let summary_starts = MappedFile::<u64>::open(&folder.join(SUMMARY_STARTS), n_features + 1)?;
        let summary_bytes = summary_starts.as_slice().last().copied().unwrap_or(0);
        let summaries_path = folder.join(SUMMARIES);
        Ok(Self {
            column_starts: MappedFile::open(&folder.join(COLUMN_STARTS), n_features + 1)?,
            column_rows: MappedFile::open(&folder.join(COLUMN_ROWS), n_entries)?,
            column_values: MappedFile::open(&folder.join(COLUMN_VALUES), n_entries)?,
            row_starts: MappedFile::open(&folder.join(ROW_STARTS), manifest.n_rows + 1)?,
            row_features: MappedFile::open(&folder.join(ROW_FEATURES), n_entries)?,
            row_values: MappedFile::open(&folder.join(ROW_VALUES), n_entries)?,
            rows: MappedFile::open(&folder.join(ROWS), manifest.n_rows)?,
            summary_starts,
            summaries: MappedFile::open(&summaries_path, summary_bytes)?,
            summaries_path,
            overview: read_overview(&folder.join(OVERVIEW), manifest.n_features as usize)?,
            manifest,
        })
    }

    /// What it was made from.
    pub fn manifest(&self) -> &IndexManifest {
        &self.manifest
    }

    /// Number of features.
    pub fn n_features(&self) -> u32 {
        self.manifest.n_features
    }

    /// Number of rows.
    pub fn n_rows(&self) -> u64 {
        self.manifest.n_rows
    }

    /// Figures of all features.
    pub fn overview(&self) -> &Overview {
        &self.overview
    }

    /// Rows on which `feature` is active, ascending, and its activations there; empty for a
    /// feature that does not exist.
    pub fn column(&self, feature: FeatureId) -> (&[u32], &[f32]) {
        let range = span(self.column_starts.as_slice(), u64::from(feature.0));
        part(
            &range,
            self.column_rows.as_slice(),
            self.column_values.as_slice(),
        )
    }

    /// Features active on row `row`, ascending, and their activations there; empty for a row that
    /// does not exist.
    pub fn row(&self, row: u32) -> (&[u32], &[f32]) {
        let range = span(self.row_starts.as_slice(), u64::from(row));
        part(
            &range,
            self.row_features.as_slice(),
            self.row_values.as_slice(),
        )
    }

    /// Where row `row` came from.
    pub fn row_ref(&self, row: u32) -> Option<RowRef> {
        let &[sample, position, code] = self.rows.as_slice().get(row as usize)?;
        Some(RowRef {
            sample,
            position,
            class: PositionClass::from_code(u8::try_from(code).ok()?)?,
        })
    }

    /// Rows of sample `sample`; empty if it has none.
    pub fn sample_rows(&self, sample: u32) -> Range<u32> {
        let rows = self.rows.as_slice();
        let start = rows.partition_point(|row| row[0] < sample);
        let end = start + rows[start..].partition_point(|row| row[0] == sample);
        start as u32..end as u32
    }

    /// Positions of sample `sample` on which `feature` is active, ascending, with activations.
    pub fn activations_of_sample(&self, feature: FeatureId, sample: u32) -> Vec<(u32, f32)> {
        let wanted = self.sample_rows(sample);
        let (rows, values) = self.column(feature);
        let start = rows.partition_point(|&row| row < wanted.start);
        let end = start + rows[start..].partition_point(|&row| row < wanted.end);
        rows[start..end]
            .iter()
            .zip(&values[start..end])
            .filter_map(|(&row, &value)| Some((self.row_ref(row)?.position, value)))
            .collect()
    }

    /// Samples on which `feature` is active, ascending, each with its highest activation.
    pub fn sample_maxima(&self, feature: FeatureId) -> Vec<ExampleRef> {
        let (rows, values) = self.column(feature);
        sample_maxima(self.rows.as_slice(), rows, values)
    }

    /// What is known of `feature`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if there is no such feature; [`StoreError::Damaged`].
    pub fn summary(&self, feature: FeatureId) -> Result<FeatureSummary> {
        if feature.0 >= self.manifest.n_features {
            return Err(StoreError::invalid(format!(
                "saes/{} has no feature {feature}, only 0 to {}",
                self.manifest.sae,
                self.manifest.n_features.saturating_sub(1)
            )));
        }
        let range = span(self.summary_starts.as_slice(), u64::from(feature.0));
        let bytes = self.summaries.as_slice().get(range).unwrap_or_default();
        match decode_summary(feature, bytes) {
            Some(summary) => Ok(summary),
            None => Err(StoreError::damaged(
                &self.summaries_path,
                format!("the summary of feature {feature} cannot be read"),
            )),
        }
    }
}

/// Highest activation of each sample among the entries of one feature, in the order of samples.
/// The first of equally high positions is kept.
pub(crate) fn sample_maxima(places: &[[u32; 3]], rows: &[u32], values: &[f32]) -> Vec<ExampleRef> {
    let mut maxima: Vec<ExampleRef> = Vec::new();
    for (&row, &activation) in rows.iter().zip(values) {
        let Some(&[sample, position, _]) = places.get(row as usize) else {
            continue;
        };
        let example = ExampleRef {
            sample,
            position,
            activation,
        };
        match maxima.last_mut() {
            Some(last) if last.sample == sample => {
                if activation > last.activation {
                    *last = example;
                }
            }
            _ => maxima.push(example),
        }
    }
    maxima
}

fn span(starts: &[u64], i: u64) -> Range<usize> {
    let at = |i: u64| {
        usize::try_from(i)
            .ok()
            .and_then(|i| starts.get(i))
            .map_or(0, |&start| start as usize)
    };
    if i + 1 < starts.len() as u64 {
        at(i)..at(i + 1)
    } else {
        0..0
    }
}

fn part<'a>(range: &Range<usize>, ids: &'a [u32], values: &'a [f32]) -> (&'a [u32], &'a [f32]) {
    match (ids.get(range.clone()), values.get(range.clone())) {
        (Some(ids), Some(values)) => (ids, values),
        _ => (&[], &[]),
    }
}

fn read_overview(path: &Path, n_features: usize) -> Result<Overview> {
    let mapped = MappedFile::<f32>::open(path, 4 * n_features as u64)?;
    let array = |i: usize| mapped.as_slice()[i * n_features..(i + 1) * n_features].to_vec();
    Ok(Overview {
        density: array(0),
        sample_density: array(1),
        max_activation: array(2),
        mean_activation: array(3),
    })
}
