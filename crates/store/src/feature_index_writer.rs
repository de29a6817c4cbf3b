//! Builds a feature index from codes that come batch by batch, in bounded memory.
//!
//! Rows are written through as they come; entries are also spilled to buckets of neighbouring
//! features. At the end each bucket is sorted in memory and written out as columns. Nothing
//! appears under the final name before all is done, so a killed job leaves no half index.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytemuck::NoUninit;
use schema::{FeatureId, HarvestManifest, Neighbour, RowRef};

use crate::datasets::{read_json, to_json};
use crate::draft::ArtefactDraft;
use crate::error::AtPath as _;
use crate::feature_index::{
    COLUMN_ROWS, COLUMN_STARTS, COLUMN_VALUES, IndexManifest, MANIFEST, OVERVIEW, ROW_FEATURES,
    ROW_STARTS, ROW_VALUES, ROWS, SUMMARIES, SUMMARY_STARTS,
};
use crate::feature_summary::{CodesByRow, Summariser};
use crate::mapped_file::MappedFile;
use crate::summary_codec::encode_summary;
use crate::{ArtefactHashes, ArtefactId, ArtefactKind, Project, Result, StoreError};

/// Features that share a spill file, at most this many files being open at once.
const MAX_BUCKETS: u32 = 128;
const SPILL: &str = "spill";

/// Codes of some rows, compressed by row.
#[derive(Debug, Clone, Copy)]
pub struct RowCodes<'a> {
    /// `[n + 1]`: entries of row `i` are `starts[i]..starts[i + 1]`, from 0.
    pub starts: &'a [u32],
    /// Feature of each entry, each at most once in a row, in any order.
    pub features: &'a [u32],
    /// Activation of each entry; those not above 0 are left out.
    pub values: &'a [f32],
}

/// How far [`FeatureIndexWriter::finish`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexProgress {
    /// Features done.
    pub done: u32,
    /// Features in all.
    pub total: u32,
}

/// Builds the feature index of one dictionary over one harvest.
#[derive(Debug)]
pub struct FeatureIndexWriter<'a> {
    draft: ArtefactDraft<'a>,
    manifest: IndexManifest,
    parents: [ArtefactId; 2],
    rows: NumberFile,
    row_starts: NumberFile,
    row_features: NumberFile,
    row_values: NumberFile,
    buckets: Vec<NumberFile>,
    features_per_bucket: u32,
    /// `[n_features]`
    n_active: Vec<u64>,
    last: Option<(u32, u32)>,
}

impl<'a> FeatureIndexWriter<'a> {
    /// Begins the index of dictionary `sae`, which has `n_features`, over `harvest`. `seed`
    /// decides which examples are drawn.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Unfinished`] if dictionary or harvest is;
    /// [`StoreError::Exists`] if another job is indexing it.
    pub fn create(
        project: &'a Project,
        sae: &str,
        harvest: &str,
        n_features: u32,
        seed: u64,
    ) -> Result<Self> {
        let parents = [
            ArtefactId::new(ArtefactKind::Sae, sae)?,
            ArtefactId::new(ArtefactKind::Harvest, harvest)?,
        ];
        for parent in &parents {
            project.recorded_hash(parent)?;
        }
        if n_features == 0 {
            return Err(StoreError::invalid(format!(
                "{} has no features",
                parents[0]
            )));
        }
        let harvested: HarvestManifest =
            read_json(&project.dir_of(&parents[1]).join("manifest.json"))?;
        let draft = project.begin_replacing(ArtefactKind::Features, sae)?;
        let spill = draft.folder().join(SPILL);
        fs::create_dir(&spill).at(&spill)?;
        let features_per_bucket = n_features.div_ceil(MAX_BUCKETS).max(16);
        let buckets = (0..n_features.div_ceil(features_per_bucket))
            .map(|bucket| NumberFile::create(spill.join(bucket.to_string())))
            .collect::<Result<_>>()?;
        let file = |name: &str| NumberFile::create(draft.folder().join(name));
        let mut row_starts = file(ROW_STARTS)?;
        row_starts.put(&[0_u64])?;
        Ok(Self {
            manifest: IndexManifest {
                sae: sae.to_owned(),
                harvest: harvest.to_owned(),
                dataset: harvested.dataset,
                n_features,
                n_rows: 0,
                n_samples: harvested.n_samples,
                n_entries: 0,
                seed,
            },
            parents,
            rows: file(ROWS)?,
            row_starts,
            row_features: file(ROW_FEATURES)?,
            row_values: file(ROW_VALUES)?,
            buckets,
            features_per_bucket,
            n_active: vec![0; n_features as usize],
            last: None,
            draft,
        })
    }

    /// Adds the next rows of the harvest, in its order.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the shapes do not agree, rows do not ascend by sample and
    /// position, a feature does not exist or comes twice in a row, or a value is not finite;
    /// [`StoreError::Io`].
    pub fn add(&mut self, refs: &[RowRef], codes: RowCodes<'_>) -> Result<()> {
        let n_entries = codes.starts.last().copied().unwrap_or(0) as usize;
        if codes.starts.len() != refs.len() + 1
            || codes.starts[0] != 0
            || !codes.starts.is_sorted()
            || codes.features.len() != n_entries
            || codes.values.len() != n_entries
        {
            return Err(self.refuse(&format!(
                "the codes of {} rows have {} starts, {} features and {} values, which do not fit",
                refs.len(),
                codes.starts.len(),
                codes.features.len(),
                codes.values.len()
            )));
        }
        let mut entries: Vec<(u32, f32)> = Vec::new();
        for (row, range) in refs.iter().zip(codes.starts.windows(2)) {
            let range = range[0] as usize..range[1] as usize;
            entries.clear();
            entries.extend(
                codes.features[range.clone()]
                    .iter()
                    .copied()
                    .zip(codes.values[range].iter().copied()),
            );
            self.add_row(*row, &mut entries)?;
        }
        Ok(())
    }

    fn add_row(&mut self, place: RowRef, entries: &mut Vec<(u32, f32)>) -> Result<()> {
        let here = (place.sample, place.position);
        let row = self.manifest.n_rows as u32;
        let at = || format!("row {row} (sample {}, position {})", here.0, here.1);
        if self.last.is_some_and(|last| here <= last) {
            return Err(self.refuse(&format!("{} does not follow the row before it", at())));
        }
        if row == u32::MAX {
            return Err(self.refuse("it has more rows than can be indexed"));
        }
        if let Some((feature, value)) = entries.iter().find(|(_, value)| !value.is_finite()) {
            return Err(self.refuse(&format!("{}: feature {feature} is {value}", at())));
        }
        entries.retain(|&(_, value)| value > 0.0);
        entries.sort_unstable_by_key(|&(feature, _)| feature);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(self.refuse(&format!("{}: feature {} comes twice", at(), pair[0].0)));
        }
        if let Some(&(feature, _)) = entries.last()
            && feature >= self.manifest.n_features
        {
            return Err(self.refuse(&format!(
                "{}: feature {feature} is not below {}",
                at(),
                self.manifest.n_features
            )));
        }
        self.rows
            .put(&[place.sample, place.position, u32::from(place.class as u8)])?;
        for &(feature, value) in entries.iter() {
            self.row_features.put(&[feature])?;
            self.row_values.put(&[value])?;
            let bucket = (feature / self.features_per_bucket) as usize;
            self.buckets[bucket].put(&[feature, row, value.to_bits()])?;
            self.n_active[feature as usize] += 1;
        }
        self.manifest.n_entries += entries.len() as u64;
        self.manifest.n_rows += 1;
        self.last = Some(here);
        self.row_starts.put(&[self.manifest.n_entries])
    }

    /// Sorts, summarises and puts the index in place of an older one. `neighbours` gives the
    /// nearest decoder directions of a feature, nearest first.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if `progress` says so, which leaves an older index as it was;
    /// [`StoreError::Invalid`] if there is no row; [`StoreError::Io`].
    ///
    /// # Determinism
    /// The same rows, codes, neighbours and seed give the same files.
    pub fn finish(
        self,
        neighbours: &mut dyn FnMut(FeatureId) -> Vec<Neighbour>,
        progress: &mut dyn FnMut(IndexProgress) -> ControlFlow<()>,
    ) -> Result<ArtefactHashes> {
        if self.manifest.n_rows == 0 {
            return Err(self.refuse("there are no rows to index"));
        }
        let Self {
            draft,
            manifest,
            parents,
            rows,
            row_starts,
            row_features,
            row_values,
            buckets,
            features_per_bucket,
            n_active,
            last: _,
        } = self;
        row_values.close()?;
        let rows = MappedFile::open(&rows.close()?, manifest.n_rows)?;
        let row_starts = MappedFile::open(&row_starts.close()?, manifest.n_rows + 1)?;
        let row_features = MappedFile::open(&row_features.close()?, manifest.n_entries)?;
        let mut summariser = Summariser {
            places: rows.as_slice(),
            codes: CodesByRow {
                starts: row_starts.as_slice(),
                features: row_features.as_slice(),
            },
            n_active: &n_active,
            n_samples: manifest.n_samples,
            seed: manifest.seed,
            shared_rows: vec![0; n_active.len()],
        };
        let mut output = ColumnFiles::create(draft.folder())?;
        for (i, bucket) in buckets.into_iter().enumerate() {
            let first = i as u32 * features_per_bucket;
            let last = (first + features_per_bucket).min(manifest.n_features);
            let columns = Columns::sort(
                &bucket.close()?,
                first,
                &n_active[first as usize..last as usize],
            )?;
            for feature in first..last {
                let done = IndexProgress {
                    done: feature,
                    total: manifest.n_features,
                };
                if feature % 64 == 0 && progress(done).is_break() {
                    return Err(StoreError::Stopped);
                }
                let (rows, values) = columns.of(feature);
                let feature = FeatureId(feature);
                let mut summary = summariser.summarise(feature, rows, values);
                summary.neighbours = neighbours(feature);
                output.put(rows, values, &summary)?;
            }
        }
        output.close(draft.folder())?;
        drop((rows, row_starts, row_features));
        let spill = draft.folder().join(SPILL);
        fs::remove_dir_all(&spill).at(&spill)?;
        draft.write(MANIFEST, &to_json(&manifest)?)?;
        draft.finish(&parents, &[])
    }

    fn refuse(&self, what: &str) -> StoreError {
        StoreError::invalid(format!("indexing saes/{}: {what}", self.manifest.sae))
    }
}

/// Entries of neighbouring features, by feature, then row.
struct Columns {
    first: u32,
    starts: Vec<usize>,
    rows: Vec<u32>,
    values: Vec<f32>,
}

impl Columns {
    /// Sorts a spill file, whose rows ascend, by counting.
    fn sort(path: &Path, first: u32, n_active: &[u64]) -> Result<Self> {
        let mut starts = vec![0_usize];
        for &n in n_active {
            starts.push(starts[starts.len() - 1] + n as usize);
        }
        let n_entries = starts[n_active.len()];
        let spilled = MappedFile::<[u32; 3]>::open(path, n_entries as u64)?;
        let mut next = starts.clone();
        let (mut rows, mut values) = (vec![0; n_entries], vec![0.0; n_entries]);
        for &[feature, row, bits] in spilled.as_slice() {
            let at = &mut next[(feature - first) as usize];
            rows[*at] = row;
            values[*at] = f32::from_bits(bits);
            *at += 1;
        }
        drop(spilled);
        fs::remove_file(path).at(path)?;
        Ok(Self {
            first,
            starts,
            rows,
            values,
        })
    }

    fn of(&self, feature: u32) -> (&[u32], &[f32]) {
        let i = (feature - self.first) as usize;
        let range = self.starts[i]..self.starts[i + 1];
        (&self.rows[range.clone()], &self.values[range])
    }
}

/// What is written feature by feature.
struct ColumnFiles {
    starts: NumberFile,
    rows: NumberFile,
    values: NumberFile,
    summary_starts: NumberFile,
    summaries: NumberFile,
    n_entries: u64,
    n_summary_bytes: u64,
    overview: [Vec<f32>; 4],
}

impl ColumnFiles {
    fn create(folder: &Path) -> Result<Self> {
        let file = |name: &str| NumberFile::create(folder.join(name));
        let mut files = Self {
            starts: file(COLUMN_STARTS)?,
            rows: file(COLUMN_ROWS)?,
            values: file(COLUMN_VALUES)?,
            summary_starts: file(SUMMARY_STARTS)?,
            summaries: file(SUMMARIES)?,
            n_entries: 0,
            n_summary_bytes: 0,
            overview: Default::default(),
        };
        files.starts.put(&[0_u64])?;
        files.summary_starts.put(&[0_u64])?;
        Ok(files)
    }

    fn put(
        &mut self,
        rows: &[u32],
        values: &[f32],
        summary: &schema::FeatureSummary,
    ) -> Result<()> {
        self.rows.put(rows)?;
        self.values.put(values)?;
        self.n_entries += rows.len() as u64;
        self.starts.put(&[self.n_entries])?;
        let mut bytes = Vec::new();
        encode_summary(summary, &mut bytes);
        self.summaries.put(&bytes)?;
        self.n_summary_bytes += bytes.len() as u64;
        self.summary_starts.put(&[self.n_summary_bytes])?;
        for (array, value) in self.overview.iter_mut().zip([
            summary.density,
            summary.sample_density,
            summary.max_activation,
            summary.mean_activation,
        ]) {
            array.push(value);
        }
        Ok(())
    }

    fn close(self, folder: &Path) -> Result<()> {
        let mut overview = NumberFile::create(folder.join(OVERVIEW))?;
        for array in &self.overview {
            overview.put(array)?;
        }
        for file in [
            overview,
            self.starts,
            self.rows,
            self.values,
            self.summary_starts,
            self.summaries,
        ] {
            file.close()?;
        }
        Ok(())
    }
}

/// A file of plain numbers that is written front to back.
#[derive(Debug)]
struct NumberFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl NumberFile {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).at(&path)?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(1 << 16, file),
        })
    }

    fn put<T: NoUninit>(&mut self, numbers: &[T]) -> Result<()> {
        self.file
            .write_all(bytemuck::cast_slice(numbers))
            .at(&self.path)
    }

    fn close(mut self) -> Result<PathBuf> {
        self.file.flush().at(&self.path)?;
        Ok(self.path)
    }
}
