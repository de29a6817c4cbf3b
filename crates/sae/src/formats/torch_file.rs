//! A `.pt` file of torch: a zip archive of one pickle and of the numbers it refers to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Pickle, StorageRef, TensorRef, Value};
use super::pickle_names::ElementType;
use super::tensor_file::{Numbers, Tensor};
use crate::error::SaeError;

/// Bytes of a pickle at most: one of a dictionary has under a kilobyte, a checkpoint's a few.
const MAX_PICKLE: u64 = 16 << 20;

/// A torch file whose pickle was read; numbers are read when asked for.
pub(crate) struct TorchFile {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// What every entry's name begins with.
    prefix: String,
    pickle: Pickle,
    /// Number of the dictionary of tensors, where it is not the whole.
    inner: Option<&'static str>,
}

/// What the checkpoint of an interrupted run says beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Checkpoint {
    /// Steps done.
    pub(crate) step: Option<i64>,
    /// What activations were divided by in training, where they were.
    pub(crate) norm_factor: Option<f64>,
}

impl TorchFile {
    /// Opens a file and reads its pickle, running nothing.
    pub(crate) fn open(path: &Path) -> Result<Self, SaeError> {
        let mut file = BufReader::new(File::open(path).map_err(SaeError::io(path))?);
        let start = file.fill_buf().map_err(SaeError::io(path))?;
        if !start.starts_with(b"PK") {
            let reason = "it does not begin as a zip archive, as every file of torch 1.6 or later \
                          does; save an older one anew";
            return Err(SaeError::format(path, reason));
        }
        let mut archive = ZipArchive::new(file).map_err(|error| {
            let reason = format!("the zip archive is cut short or damaged ({error})");
            SaeError::format(path, reason)
        })?;
        let name = archive
            .file_names()
            .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
            .map(str::to_owned)
            .ok_or_else(|| {
                SaeError::format(
                    path,
                    "the zip archive has no data.pkl, so it is no torch file",
                )
            })?;
        let prefix = name.trim_end_matches("data.pkl").to_owned();
        let bytes = read_entry(path, &mut archive, &name, MAX_PICKLE)?;
        let pickle = pickle::read(&bytes).map_err(|fault| {
            SaeError::format(
                path,
                format!("data.pkl, byte {}: {}", fault.at, fault.reason),
            )
        })?;
        if let Ok(order) = read_entry(path, &mut archive, &format!("{prefix}byteorder"), 64)
            && order != b"little"
        {
            let reason = "its numbers are big-endian; save it anew on a little-endian machine";
            return Err(SaeError::format(path, reason));
        }
        let mut file = Self {
            path: path.to_owned(),
            archive,
            prefix,
            pickle,
            inner: None,
        };
        let root = file.pickle.root();
        if file.checkpoint().is_some() {
            file.inner = Some("ae");
        } else if !matches!(root, Value::Dictionary(_)) {
            let reason = "data.pkl: it holds no dictionary of named tensors";
            return Err(SaeError::format(path, reason));
        }
        Ok(file)
    }

    /// What stands beside the tensors if the file is the checkpoint of an interrupted run:
    /// `{step, ae, optimizer, config, norm_factor}`.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let root = self.pickle.root();
        if !matches!(self.pickle.entry(root, "ae"), Some(Value::Dictionary(_))) {
            return None;
        }
        Some(Checkpoint {
            step: match self.pickle.entry(root, "step") {
                Some(Value::Integer(step)) => Some(*step),
                _ => None,
            },
            norm_factor: match self.pickle.entry(root, "norm_factor") {
                Some(Value::Float(factor)) => Some(*factor),
                Some(Value::Integer(factor)) => Some(*factor as f64),
                _ => None,
            },
        })
    }

    fn state(&self) -> &Value {
        let root = self.pickle.root();
        self.inner
            .and_then(|name| self.pickle.entry(root, name))
            .unwrap_or(root)
    }

    /// A word beside the tensors.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.pickle.entry(self.state(), name)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// A whole number in a dictionary beside the tensors.
    pub(crate) fn whole_number(&self, dictionary: &str, name: &str) -> Option<i64> {
        let dictionary = self.pickle.entry(self.state(), dictionary)?;
        match self.pickle.entry(dictionary, name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Names of the tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        let Value::Dictionary(pairs) = self.state() else {
            return Vec::new();
        };
        pairs
            .iter()
            .filter(|(_, value)| matches!(self.pickle.value(*value), Value::Tensor(_)))
            .filter_map(|(name, _)| match self.pickle.value(*name) {
                Value::Text(name) => Some(name.clone()),
                _ => None,
            })
            .collect()
    }

    /// Reads one tensor, its elements in row-major order; `None` if there is none of that name.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, SaeError> {
        let Some(Value::Tensor(tensor)) = self.pickle.entry(self.state(), name) else {
            return Ok(None);
        };
        let tensor = tensor.clone();
        let fault = |reason: String| SaeError::format(&self.path, format!("{name}: {reason}"));
        let shape = check_view(&tensor).map_err(fault)?;
        let storage = self.storage(name, &tensor.storage)?;
        let numbers = if tensor.storage.element.is_float() {
            Numbers::Floats(gather(&storage, &tensor, &shape, float))
        } else {
            Numbers::Integers(gather(&storage, &tensor, &shape, integer))
        };
        Ok(Some(Tensor { shape, numbers }))
    }

    fn storage(&mut self, tensor: &str, storage: &StorageRef) -> Result<Vec<u8>, SaeError> {
        let name = format!("{}data/{}", self.prefix, storage.key);
        let expected = storage.n_elements * storage.element.bytes() as u64;
        let bytes = read_entry(&self.path, &mut self.archive, &name, expected)?;
        if bytes.len() as u64 == expected {
            return Ok(bytes);
        }
        let reason = format!(
            "{tensor}: the entry {name} has {} bytes, expected {expected}",
            bytes.len()
        );
        Err(SaeError::format(&self.path, reason))
    }
}

/// Reads one entry of at most `limit` bytes; torch stores its entries without compression, so an
/// entry is never larger than the file.
fn read_entry(
    path: &Path,
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, SaeError> {
    let damaged = |reason: String| SaeError::format(path, format!("the entry {name} {reason}"));
    let mut entry = archive
        .by_name(name)
        .map_err(|error| damaged(format!("cannot be read ({error})")))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(damaged("is compressed, which torch never does".to_owned()));
    }
    let size = entry.size();
    if size > limit {
        return Err(damaged(format!(
            "has {size} bytes, expected at most {limit}"
        )));
    }
    let mut bytes = Vec::new();
    // Reads in steps that grow with what is there: a wrong size costs no memory.
    entry
        .by_ref()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(format!("is damaged ({error})")))?;
    // The checksum is compared where the reader meets the end.
    entry
        .read(&mut [0])
        .map_err(|error| damaged(format!("is damaged ({error})")))?;
    Ok(bytes)
}

/// Whether every element of a view lies in its storage, each place used at most once on average.
fn check_view(tensor: &TensorRef) -> Result<Vec<usize>, String> {
    let available = tensor.storage.n_elements;
    let outside = || {
        format!(
            "its shape {:?} with strides {:?} from {} reaches outside the {available} stored \
             elements",
            tensor.shape, tensor.strides, tensor.offset
        )
    };
    if tensor.storage.n_elements > u64::MAX / 16 {
        return Err(outside());
    }
    let mut n_elements = 1_u64;
    let mut last = tensor.offset;
    for (&size, &stride) in tensor.shape.iter().zip(&tensor.strides) {
        n_elements = n_elements
            .checked_mul(size)
            .filter(|&n| n <= available)
            .ok_or_else(outside)?;
        last = size
            .saturating_sub(1)
            .checked_mul(stride)
            .and_then(|reach| last.checked_add(reach))
            .ok_or_else(outside)?;
    }
    if n_elements > 0 && last >= available {
        return Err(outside());
    }
    Ok(tensor.shape.iter().map(|&size| size as usize).collect())
}

/// Elements of a view in row-major order, read from the bytes of its storage.
fn gather<T>(
    storage: &[u8],
    tensor: &TensorRef,
    shape: &[usize],
    convert: impl Fn(&[u8], ElementType) -> T,
) -> Vec<T> {
    let element = tensor.storage.element;
    let width = element.bytes();
    let n_elements: usize = shape.iter().product();
    let mut out = Vec::with_capacity(n_elements);
    let mut index = vec![0; shape.len()];
    let mut place = tensor.offset as usize;
    for _ in 0..n_elements {
        out.push(convert(
            &storage[place * width..(place + 1) * width],
            element,
        ));
        // The next index, last dimension first, as an odometer turns.
        for (at, &size) in shape.iter().enumerate().rev() {
            let stride = tensor.strides[at] as usize;
            index[at] += 1;
            if index[at] < size {
                place += stride;
                break;
            }
            index[at] = 0;
            place -= (size - 1) * stride;
        }
    }
    out
}

fn float(bytes: &[u8], element: ElementType) -> f32 {
    match (element, bytes) {
        (ElementType::F64, &[a, b, c, d, e, f, g, h]) => {
            f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
        }
        (ElementType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (ElementType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
        (ElementType::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
        _ => f32::NAN,
    }
}

fn integer(bytes: &[u8], element: ElementType) -> i64 {
    match (element, bytes) {
        (ElementType::I64, &[a, b, c, d, e, f, g, h]) => {
            i64::from_le_bytes([a, b, c, d, e, f, g, h])
        }
        (ElementType::I32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
        (ElementType::I16, &[a, b]) => i64::from(i16::from_le_bytes([a, b])),
        (ElementType::I8, &[a]) => i64::from(i8::from_le_bytes([a])),
        (_, &[a]) => i64::from(a),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: u64, shape: &[u64], strides: &[u64], n_elements: u64) -> TensorRef {
        TensorRef {
            storage: StorageRef {
                element: ElementType::F32,
                key: "0".to_owned(),
                n_elements,
            },
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        }
    }

    fn read(tensor: &TensorRef) -> Vec<f32> {
        let storage: Vec<u8> = (0_u8..7).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        gather(&storage, tensor, &check_view(tensor).unwrap(), float)
    }

    #[test]
    fn strides_and_offsets_are_honoured() {
        // [2, 3] stored column by column, after one foreign element.
        let columns = read(&view(1, &[2, 3], &[1, 2], 7));
        assert_eq!(columns, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(
            read(&view(0, &[3, 1, 2], &[2, 7, 1], 7)),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
        assert_eq!(read(&view(4, &[], &[], 7)), [4.0]);
        assert!(read(&view(0, &[0, 3], &[3, 1], 0)).is_empty());
    }

    #[test]
    fn views_that_leave_their_storage_are_refused() {
        for tensor in [
            view(2, &[2, 3], &[1, 2], 7),
            view(0, &[8], &[1], 7),
            // Repeats elements without end: costs memory that the file does not have.
            view(0, &[1 << 40], &[0], 7),
            view(0, &[u64::MAX, u64::MAX], &[1, 1], 7),
            view(0, &[2], &[u64::MAX], 7),
            view(u64::MAX, &[2], &[1], 7),
            view(0, &[1], &[1], 0),
        ] {
            assert!(check_view(&tensor).is_err(), "{tensor:?}");
        }
    }

    #[test]
    fn every_element_type_is_read() {
        assert_eq!(float(&1.5_f64.to_le_bytes(), ElementType::F64), 1.5);
        assert_eq!(
            float(&f16::from_f32(1.5).to_le_bytes(), ElementType::F16),
            1.5
        );
        assert_eq!(
            float(&bf16::from_f32(1.5).to_le_bytes(), ElementType::Bf16),
            1.5
        );
        assert_eq!(integer(&(-7_i32).to_le_bytes(), ElementType::I32), -7);
        assert_eq!(integer(&(-7_i16).to_le_bytes(), ElementType::I16), -7);
        assert_eq!(integer(&[0xf9], ElementType::I8), -7);
        assert_eq!(integer(&[0xf9], ElementType::U8), 249);
    }
}
