//! The safetensors files of a checkpoint folder, memory-mapped: one file, or shards with an index.
//!
//! Headers are read and checked when a folder is opened; values only when a tensor is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use memmap2::Mmap;
use serde::Deserialize;

use super::coded::{CodedMatrix, Coding};
use crate::ModelError;

/// A header longer than this is damage; the real ones take tens of kilobytes.
const MAX_HEADER: u64 = 100 << 20;

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// How its values are coded.
    pub coding: Coding,
    /// Which of the files.
    file: usize,
    /// Bytes within that file.
    start: usize,
    end: usize,
}

impl StoredTensor {
    /// Number of values.
    pub fn n_values(&self) -> usize {
        self.shape.iter().product()
    }
}

/// One mapped file.
#[derive(Debug)]
struct MappedFile {
    path: PathBuf,
    map: Arc<Mmap>,
}

/// All tensors of a checkpoint folder by name.
#[derive(Debug)]
pub struct WeightFiles {
    folder: PathBuf,
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, StoredTensor>,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// One entry of a safetensors header.
#[derive(Deserialize)]
struct HeaderEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

fn damage(path: &Path, place: &str, expected: impl Into<String>) -> ModelError {
    ModelError::Format {
        path: path.to_owned(),
        place: place.to_owned(),
        expected: expected.into(),
    }
}

/// Checks one entry of a header against the length of its file; `None` for integer buffers, which
/// no model here reads.
fn stored_tensor(
    (path, name): (&Path, &str),
    value: serde_json::Value,
    (file, data_start, n_bytes): (usize, usize, usize),
) -> Result<Option<StoredTensor>, ModelError> {
    let place = format!("tensor {name}");
    let entry: HeaderEntry = serde_json::from_value(value)
        .map_err(|error| damage(path, &place, format!("header entry: {error}")))?;
    let Some(coding) = Coding::of_safetensors(&entry.dtype) else {
        return Ok(None);
    };
    let [start, end] = entry.data_offsets;
    if end > n_bytes - data_start {
        let expected = format!(
            "it ends at byte {} but the file has {n_bytes}: it is cut short",
            data_start.saturating_add(end)
        );
        return Err(damage(path, &place, expected));
    }
    let expected = entry
        .shape
        .iter()
        .try_fold(coding.bytes_of(1), |all, &dim| all.checked_mul(dim));
    if start > end || expected != Some(end - start) {
        let expected = format!(
            "shape {:?} in {} does not take the {} bytes it is given",
            entry.shape,
            entry.dtype,
            end.saturating_sub(start)
        );
        return Err(damage(path, &place, expected));
    }
    Ok(Some(StoredTensor {
        shape: entry.shape,
        coding,
        file,
        start: data_start + start,
        end: data_start + end,
    }))
}

impl WeightFiles {
    /// Maps the files of `folder`: those of `model.safetensors.index.json`, else
    /// `model.safetensors`.
    ///
    /// # Errors
    /// [`ModelError::Read`], or [`ModelError::Format`] when a shard is missing or cut short, a
    /// header is damaged, or the index names a tensor that its shard does not have.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let index_path = folder.join("model.safetensors.index.json");
        let single = folder.join("model.safetensors");
        let mut files = Self {
            folder: folder.to_owned(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        if !index_path.exists() {
            if !single.exists() {
                return Err(damage(
                    folder,
                    "the folder",
                    "expected model.safetensors, or model.safetensors.index.json and its shards; \
                     found neither",
                ));
            }
            files.add(&single)?;
            return Ok(files);
        }
        let text = std::fs::read(&index_path).map_err(|source| ModelError::Read {
            path: index_path.clone(),
            source,
        })?;
        let index: ShardIndex = serde_json::from_slice(&text).map_err(|error| {
            damage(
                &index_path,
                "weight_map",
                format!("expected tensor names with their shards: {error}"),
            )
        })?;
        let mut shards: Vec<&String> = index.weight_map.values().collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            if shard.contains(['/', '\\']) || shard.starts_with("..") {
                return Err(damage(
                    &index_path,
                    "weight_map",
                    format!("\"{shard}\" is not the name of a file in this folder"),
                ));
            }
            let path = folder.join(shard);
            if !path.exists() {
                return Err(damage(
                    &path,
                    "the file",
                    "it is missing, but model.safetensors.index.json names it",
                ));
            }
            files.add(&path)?;
        }
        for (name, shard) in &index.weight_map {
            let found = files
                .tensors
                .get(name)
                .and_then(|tensor| files.files[tensor.file].path.file_name());
            if found != Some(shard.as_ref()) {
                return Err(damage(
                    &folder.join(shard),
                    &format!("tensor {name}"),
                    "it is missing, but model.safetensors.index.json places it in this shard",
                ));
            }
        }
        Ok(files)
    }

    /// Maps one file and takes in its header.
    fn add(&mut self, path: &Path) -> Result<(), ModelError> {
        let read = |source| ModelError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        let n_bytes = file.metadata().map_err(read)?.len();
        if n_bytes < 8 {
            return Err(damage(
                path,
                "byte 0",
                "expected a safetensors header; the file is shorter than that",
            ));
        }
        #[expect(unsafe_code, reason = "mapping a file has no safe entrance")]
        // SAFETY: the map is read only; a file that another program shortens while it is mapped
        // stops this one, which holds for every mapped file and cannot be excluded here.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        let mut length = [0; 8];
        length.copy_from_slice(&map[..8]);
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > MAX_HEADER || header_bytes > n_bytes - 8 {
            return Err(damage(
                path,
                "byte 0",
                format!(
                    "expected the length of a safetensors header, found {header_bytes} in a file \
                     of {n_bytes} bytes"
                ),
            ));
        }
        let data_start = 8 + header_bytes as usize;
        let header: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&map[8..data_start])
                .map_err(|error| damage(path, "the header", format!("expected JSON: {error}")))?;
        let at = self.files.len();
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let Some(tensor) = stored_tensor((path, &name), value, (at, data_start, map.len()))?
            else {
                continue;
            };
            if self.tensors.insert(name.clone(), tensor).is_some() {
                let place = format!("tensor {name}");
                return Err(damage(path, &place, "another shard has it too"));
            }
        }
        self.files.push(MappedFile {
            path: path.to_owned(),
            map: Arc::new(map),
        });
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files, in the order of their names.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// Every tensor by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// Values of all tensors together.
    pub fn n_parameters(&self) -> u64 {
        self.tensors
            .values()
            .map(|tensor| tensor.n_values() as u64)
            .sum()
    }

    /// An error about the tensor `name`, naming the file it lies in, or should.
    pub(crate) fn fault(&self, name: &str, expected: impl Into<String>) -> ModelError {
        let path = self.tensors.get(name).map_or_else(
            || match self.files.as_slice() {
                [only] => only.path.clone(),
                _ => self.folder.join("model.safetensors.index.json"),
            },
            |tensor| self.files[tensor.file].path.clone(),
        );
        damage(&path, &format!("tensor {name}"), expected)
    }

    /// The entry of `name` if it has the shape.
    fn entry(&self, name: &str, shape: &[usize]) -> Result<&StoredTensor, ModelError> {
        let entry = self.tensors.get(name).ok_or_else(|| {
            self.fault(
                name,
                format!("expected shape {shape:?}, the tensor is missing"),
            )
        })?;
        if entry.shape == shape {
            Ok(entry)
        } else {
            Err(self.fault(
                name,
                format!("expected shape {shape:?}, found {:?}", entry.shape),
            ))
        }
    }

    /// Checks that `name` is there with this shape.
    pub(crate) fn check(&self, name: &str, shape: [usize; 2]) -> Result<(), ModelError> {
        self.entry(name, &shape).map(drop)
    }

    fn bytes(&self, entry: &StoredTensor) -> &[u8] {
        &self.files[entry.file].map[entry.start..entry.end]
    }

    /// The values of `name` as f32, finite.
    ///
    /// # Errors
    /// [`ModelError::Format`] when it is missing, has another shape, or a value is not finite.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let entry = self.entry(name, shape)?;
        let bytes = self.bytes(entry);
        let values: Vec<f32> = match entry.coding {
            Coding::F16 => bytes
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            Coding::Bf16 => bytes
                .chunks_exact(2)
                .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            _ => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        };
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(self.fault(name, "holds a value that is not a finite number"))
        }
    }

    /// The values of `name` as an f32 tensor on `device`.
    ///
    /// # Errors
    /// As [`WeightFiles::values`], or a failure of the tensor library.
    pub fn tensor(
        &self,
        name: &str,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, ModelError> {
        Ok(Tensor::from_vec(self.values(name, shape)?, shape, device)?)
    }

    /// The matrix `name` as it is stored, without a copy: it lives in the mapped file.
    ///
    /// # Errors
    /// As [`WeightFiles::values`].
    ///
    /// # Cost
    /// Reads the tensor once to see that it is finite.
    pub fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<CodedMatrix, ModelError> {
        let entry = self.entry(name, &shape)?;
        let map = Arc::clone(&self.files[entry.file].map);
        let matrix = CodedMatrix::mapped(entry.coding, shape, map, entry.start..entry.end);
        if matrix.is_finite() {
            Ok(matrix)
        } else {
            Err(self.fault(name, "holds a value that is not a finite number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn write(path: &Path, name: &str, values: &[f32], shape: &[usize]) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
        safetensors::serialize_to_file([(name, view)], None, path).unwrap();
    }

    fn message(folder: &Path) -> String {
        WeightFiles::open(folder).unwrap_err().to_string()
    }

    #[test]
    fn shards_are_read_through_the_index() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a.safetensors"), "x", &[1.0, 2.0], &[2]);
        write(&folder.path().join("b.safetensors"), "y", &[3.0], &[1]);
        let index = r#"{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}"#;
        let index_path = folder.path().join("model.safetensors.index.json");
        std::fs::write(&index_path, index).unwrap();
        let files = WeightFiles::open(folder.path()).unwrap();
        assert_eq!(files.values("x", &[2]).unwrap(), [1.0, 2.0]);
        assert_eq!(files.values("y", &[1]).unwrap(), [3.0]);
        assert_eq!(files.n_parameters(), 3);
        let wrong = files.values("y", &[4]).unwrap_err().to_string();
        assert!(wrong.contains("b.safetensors: tensor y: expected shape [4], found [1]"));

        std::fs::write(&index_path, index.replace("\"y\"", "\"z\"")).unwrap();
        assert!(message(folder.path()).contains("b.safetensors: tensor z: it is missing"));
        std::fs::write(&index_path, index.replace("b.safe", "../b.safe")).unwrap();
        assert!(message(folder.path()).contains("not the name of a file"));
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(message(folder.path()).contains("found neither"));
        let path = folder.path().join("model.safetensors");
        write(&path, "x", &[1.0, f32::NAN], &[2]);
        let files = WeightFiles::open(folder.path()).unwrap();
        let nan = files.values("x", &[2]).unwrap_err().to_string();
        assert!(nan.contains("model.safetensors: tensor x: holds a value"));
        drop(files);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(message(folder.path()).contains("tensor x: it ends at byte"));
        std::fs::write(&path, b"PK\x03\x04 no such thing").unwrap();
        assert!(message(folder.path()).contains("byte 0: expected the length"));
        std::fs::write(&path, b"").unwrap();
        assert!(message(folder.path()).contains("shorter than that"));
    }
}
