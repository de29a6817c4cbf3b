//! Reads harvests shard by shard; never more than one shard is in memory.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata};
use schema::{HarvestManifest, PositionClass, RowRef};

use crate::datasets::read_json;
use crate::error::AtPath as _;
use crate::shard_writer::{
    MANIFEST, ShardEntry, check_manifest, read_shards, samples_of, shard_file,
};
use crate::{ArtefactId, ArtefactKind, Project, Result, StoreError};

/// One shard in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Shard {
    /// `[n, d_model]`, row-major, in the units of the hook activation.
    pub rows: Vec<f32>,
    /// Width of a row.
    pub d_model: usize,
    /// Where each row came from, `[n]`, ordered by sample, then position.
    pub refs: Vec<RowRef>,
}

impl Shard {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.refs.len()
    }

    /// Row `i`, `[d_model]`.
    ///
    /// # Panics
    /// If `i` is not below [`Self::n_rows`].
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.d_model..(i + 1) * self.d_model]
    }
}

/// A finished harvest.
#[derive(Debug, Clone)]
pub struct HarvestReader {
    folder: PathBuf,
    manifest: HarvestManifest,
    shards: Vec<ShardEntry>,
    /// First row of each shard, then the number of rows.
    starts: Vec<u64>,
}

impl HarvestReader {
    /// Opens the finished harvest `name`; no activation is read.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Unfinished`]; [`StoreError::Damaged`] if its
    /// manifest or list of shards cannot be read.
    pub fn open(project: &Project, name: &str) -> Result<Self> {
        let id = ArtefactId::new(ArtefactKind::Harvest, name)?;
        project.recorded_hash(&id)?;
        let folder = project.dir_of(&id);
        let manifest: HarvestManifest = read_json(&folder.join(MANIFEST))?;
        check_manifest(&manifest)?;
        let shards = read_shards(&folder)?;
        let n_shards = manifest.n_samples.div_ceil(manifest.samples_per_shard);
        if !shards.iter().map(|entry| entry.shard).eq(0..n_shards) {
            return Err(StoreError::damaged(
                &folder.join(crate::shard_writer::SHARDS),
                format!("it does not list the shards 0 to {}", n_shards - 1),
            ));
        }
        let mut starts = vec![0];
        for entry in &shards {
            starts.push(starts[starts.len() - 1] + entry.n_rows);
        }
        Ok(Self {
            folder,
            manifest,
            shards,
            starts,
        })
    }

    /// What was harvested.
    pub fn manifest(&self) -> &HarvestManifest {
        &self.manifest
    }

    /// Width of a row.
    pub fn d_model(&self) -> usize {
        self.manifest.d_model as usize
    }

    /// Number of shards.
    pub fn n_shards(&self) -> usize {
        self.shards.len()
    }

    /// Rows of all shards.
    pub fn n_rows(&self) -> u64 {
        self.starts[self.shards.len()]
    }

    /// Rows of shard `shard`, without reading it; 0 if there is no such shard.
    pub fn shard_rows(&self, shard: usize) -> u64 {
        self.shards.get(shard).map_or(0, |entry| entry.n_rows)
    }

    /// Number of the first row of shard `shard` among all rows.
    ///
    /// # Panics
    /// If `shard` is above [`Self::n_shards`].
    pub fn first_row(&self, shard: usize) -> u64 {
        self.starts[shard]
    }

    /// Shard and row within it of row `row` of all; `None` past the end.
    pub fn locate(&self, row: u64) -> Option<(usize, usize)> {
        if row >= self.n_rows() {
            return None;
        }
        let shard = self.starts.partition_point(|&start| start <= row) - 1;
        Some((shard, (row - self.starts[shard]) as usize))
    }

    /// Reads shard `shard` into memory.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the file is truncated or holds something else;
    /// [`StoreError::Io`]; [`StoreError::Invalid`] if there is no such shard.
    pub fn read_shard(&self, shard: usize) -> Result<Shard> {
        let Some(entry) = self.shards.get(shard) else {
            return Err(StoreError::invalid(format!(
                "activations/{} has no shard {shard}, only {}",
                self.manifest.name,
                self.shards.len()
            )));
        };
        let path = self.folder.join(shard_file(entry.shard));
        let file = ShardFile::open(&path)?;
        let n = entry.n_rows as usize;
        let d_model = self.d_model();
        let mut rows = vec![0_f32; n * d_model];
        file.read_into(
            "rows",
            Dtype::F32,
            &[n, d_model],
            bytemuck::cast_slice_mut(&mut rows),
        )?;
        let mut samples = vec![0_u32; n];
        file.read_into(
            "sample",
            Dtype::U32,
            &[n],
            bytemuck::cast_slice_mut(&mut samples),
        )?;
        let mut positions = vec![0_u32; n];
        file.read_into(
            "position",
            Dtype::U32,
            &[n],
            bytemuck::cast_slice_mut(&mut positions),
        )?;
        let mut classes = vec![0_u8; n];
        file.read_into("class", Dtype::U8, &[n], &mut classes)?;
        let refs = self.refs(&path, entry.shard, &samples, &positions, &classes)?;
        if let Some(i) = rows.iter().position(|value| !value.is_finite()) {
            let at = refs[i / d_model];
            let what = format!(
                "row {} (sample {}, position {}), dimension {} is {}, expected a finite number",
                i / d_model,
                at.sample,
                at.position,
                i % d_model,
                rows[i]
            );
            return Err(StoreError::damaged(&path, what));
        }
        Ok(Shard {
            rows,
            d_model,
            refs,
        })
    }

    fn refs(
        &self,
        path: &Path,
        shard: u32,
        samples: &[u32],
        positions: &[u32],
        classes: &[u8],
    ) -> Result<Vec<RowRef>> {
        let expected = samples_of(&self.manifest, shard);
        let mut refs = Vec::with_capacity(samples.len());
        for (i, ((&sample, &position), &code)) in
            samples.iter().zip(positions).zip(classes).enumerate()
        {
            let Some(class) = PositionClass::from_code(code) else {
                let what = format!("row {i} has the position class {code}, which does not exist");
                return Err(StoreError::damaged(path, what));
            };
            if !expected.contains(&sample) {
                let what = format!(
                    "row {i} belongs to sample {sample}, expected {} to {}",
                    expected.start,
                    expected.end.saturating_sub(1)
                );
                return Err(StoreError::damaged(path, what));
            }
            refs.push(RowRef {
                sample,
                position,
                class,
            });
        }
        Ok(refs)
    }
}

/// A safetensors file whose header was read and whose length fits it.
struct ShardFile<'a> {
    path: &'a Path,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl<'a> ShardFile<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let mut file = File::open(path).at(path)?;
        let length = file.metadata().at(path)?.len();
        let truncated = |expected: String| {
            StoreError::damaged(
                path,
                format!("it is truncated: {length} bytes where {expected}"),
            )
        };
        let mut prefix = [0_u8; 8];
        if length < 8 {
            return Err(truncated("at least 8 were expected".to_owned()));
        }
        file.read_exact(&mut prefix).at(path)?;
        let header = u64::from_le_bytes(prefix);
        if header > 1 << 20 {
            return Err(StoreError::damaged(path, "it is not a safetensors file"));
        }
        if 8 + header > length {
            return Err(truncated(format!("its header alone has {}", 8 + header)));
        }
        let mut buffer = vec![0; header as usize];
        file.read_exact(&mut buffer).at(path)?;
        let metadata: Metadata = serde_json::from_slice(&buffer)
            .map_err(|error| StoreError::damaged(path, format!("its header: {error}")))?;
        let expected = 8 + header + metadata.data_len() as u64;
        if length < expected {
            return Err(truncated(format!("its header promises {expected}")));
        }
        if length > expected {
            let what = format!("it has {length} bytes where its header promises {expected}");
            return Err(StoreError::damaged(path, what));
        }
        Ok(Self {
            path,
            file,
            metadata,
            data_start: 8 + header,
        })
    }

    fn read_into(&self, name: &str, dtype: Dtype, shape: &[usize], into: &mut [u8]) -> Result<()> {
        let Some(tensor) = self.metadata.info(name) else {
            let what = format!("it has no tensor \"{name}\"");
            return Err(StoreError::damaged(self.path, what));
        };
        if tensor.dtype != dtype || tensor.shape != shape {
            let what = format!(
                "tensor \"{name}\" is {:?} {:?}, expected {dtype:?} {shape:?}",
                tensor.dtype, tensor.shape
            );
            return Err(StoreError::damaged(self.path, what));
        }
        let start = self.data_start + tensor.data_offsets.0 as u64;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start)).at(self.path)?;
        file.read_exact(into).at(self.path)
    }
}
