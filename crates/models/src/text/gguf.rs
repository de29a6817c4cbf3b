//! Reads GGUF files: metadata, the table of tensors, and tensors as f32. Knows no architecture.
//!
//! Nothing is allocated on the word of the file alone: every count and length is checked against
//! the bytes that are left. Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use candle_core::{Device, Tensor};

use crate::ModelError;
use crate::weights::foreign::{from_ggml, kept_as};
use crate::weights::{CodedMatrix, Coding};

const MAGIC: &[u8; 4] = b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
/// ggml's own limit.
const MAX_DIMS: u32 = 4;
/// A name or key longer than this is damage; ggml allows 64 bytes for tensors, 65,535 for keys.
const MAX_NAME: u64 = 65_535;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum GgufValue {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// f32 or f64.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// UTF-8 text.
    Text(String),
    /// Array of texts.
    Texts(Vec<String>),
    /// Array of integers or truth values.
    Integers(Vec<i64>),
    /// Array of f32 or f64.
    Floats(Vec<f64>),
}

/// Where a tensor lies in the file and how it is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Dimensions, outermost first (the file stores them innermost first).
    pub shape: Vec<usize>,
    /// How its values are coded.
    pub dtype: GgmlDType,
    /// First byte, from the start of the file.
    pub start: u64,
    /// Length in bytes.
    pub n_bytes: usize,
}

impl TensorEntry {
    /// Bytes it takes once it is loaded: matrices as [`Gguf::matrix`] keeps them, all else f32.
    fn memory_bytes(&self) -> u64 {
        let (bytes, values) = match self.shape.as_slice() {
            &[_, columns] => kept_as(self.dtype, columns).block(),
            _ => Coding::F32.block(),
        };
        let n_values: u64 = self.shape.iter().map(|&dim| dim as u64).product();
        n_values / values as u64 * bytes as u64
    }
}

/// The header of a GGUF file, checked against the length of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf {
    path: PathBuf,
    file_bytes: u64,
    metadata: BTreeMap<String, GgufValue>,
    tensors: BTreeMap<String, TensorEntry>,
}

impl Gguf {
    /// Reads the header of the file at `path`; no tensor is read.
    ///
    /// # Errors
    /// [`ModelError::Read`] if the file cannot be read, [`ModelError::Format`] if it is damaged,
    /// truncated or not a GGUF file of version 2 or 3.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let mut reader = HeaderReader::open(path)?;
        let (n_tensors, n_entries) = read_counts(&mut reader)?;
        let mut metadata = BTreeMap::new();
        for i in 0..n_entries {
            let key = reader.name(&format!("metadata key {i} of {n_entries}"))?;
            let value = read_value(&mut reader, &key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(reader.damage(&format!("key {key}"), "it stands twice in the file"));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(GgufValue::Unsigned(value)) if value.is_power_of_two() => *value,
            Some(other) => {
                return Err(reader.damage(
                    "key general.alignment",
                    &format!("expected a power of two, found {other:?}"),
                ));
            }
        };
        let mut relative = Vec::new();
        for i in 0..n_tensors {
            relative.push(read_tensor_entry(&mut reader, i, n_tensors)?);
        }
        let data_start = reader.position.next_multiple_of(alignment);
        let mut tensors = BTreeMap::new();
        for (name, mut entry) in relative {
            let place = format!("tensor {name}");
            let range = data_start
                .checked_add(entry.start)
                .and_then(|start| Some((start, start.checked_add(entry.n_bytes as u64)?)))
                .filter(|(_, end)| *end <= reader.file_bytes);
            let Some((start, _)) = range else {
                return Err(reader.damage(
                    &place,
                    &format!(
                        "expected {} bytes from byte {} on, but the file ends at byte {}: it is \
                         truncated or damaged",
                        entry.n_bytes,
                        data_start.saturating_add(entry.start),
                        reader.file_bytes
                    ),
                ));
            };
            entry.start = start;
            if tensors.insert(name, entry).is_some() {
                return Err(reader.damage(&place, "it stands twice in the file"));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            file_bytes: reader.file_bytes,
            metadata,
            tensors,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Memory that all tensors take once they are loaded, in bytes: more than the file where it has
    /// codings that [`Coding`] does not know, such as `Q6_K`.
    pub fn memory_bytes(&self) -> u64 {
        self.tensors.values().map(TensorEntry::memory_bytes).sum()
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorEntry> {
        &self.tensors
    }

    /// The value of `key`, if the file has it.
    pub fn get(&self, key: &str) -> Option<&GgufValue> {
        self.metadata.get(key)
    }

    /// An error at `key` of this file.
    pub(crate) fn bad_key(&self, key: &str, expected: &str) -> ModelError {
        let found = match self.get(key) {
            None => "the key is missing".to_owned(),
            Some(GgufValue::Text(text)) => {
                format!("found \"{}\"", text.chars().take(60).collect::<String>())
            }
            Some(GgufValue::Texts(values)) => format!("found an array of {} texts", values.len()),
            Some(GgufValue::Integers(values)) => {
                format!("found an array of {} integers", values.len())
            }
            Some(GgufValue::Floats(values)) => {
                format!("found an array of {} numbers", values.len())
            }
            Some(
                value @ (GgufValue::Unsigned(_)
                | GgufValue::Signed(_)
                | GgufValue::Float(_)
                | GgufValue::Bool(_)),
            ) => format!("found {value:?}"),
        };
        ModelError::Format {
            path: self.path.clone(),
            place: format!("key {key}"),
            expected: format!("expected {expected}, {found}"),
        }
    }

    /// The text at `key`.
    ///
    /// # Errors
    /// [`ModelError::Format`] if it is missing or no text.
    pub fn text(&self, key: &str) -> Result<&str, ModelError> {
        match self.get(key) {
            Some(GgufValue::Text(text)) => Ok(text),
            _ => Err(self.bad_key(key, "a text")),
        }
    }

    /// The array of texts at `key`.
    ///
    /// # Errors
    /// [`ModelError::Format`] if it is missing or something else.
    pub fn texts(&self, key: &str) -> Result<&[String], ModelError> {
        match self.get(key) {
            Some(GgufValue::Texts(texts)) => Ok(texts),
            _ => Err(self.bad_key(key, "an array of texts")),
        }
    }

    /// The non-negative integer at `key`, below 2³².
    ///
    /// # Errors
    /// [`ModelError::Format`] if it is missing or something else.
    pub fn count(&self, key: &str) -> Result<u32, ModelError> {
        let value = match self.get(key) {
            Some(GgufValue::Unsigned(value)) => u32::try_from(*value).ok(),
            Some(GgufValue::Signed(value)) => u32::try_from(*value).ok(),
            _ => None,
        };
        value.ok_or_else(|| self.bad_key(key, "an integer from 0 to 4,294,967,295"))
    }

    /// The number at `key`.
    ///
    /// # Errors
    /// [`ModelError::Format`] if it is missing, something else or not finite.
    pub fn number(&self, key: &str) -> Result<f64, ModelError> {
        match self.get(key) {
            Some(GgufValue::Float(value)) if value.is_finite() => Ok(*value),
            _ => Err(self.bad_key(key, "a finite number")),
        }
    }

    /// The truth value at `key`, `otherwise` if the key is missing.
    ///
    /// # Errors
    /// [`ModelError::Format`] if it is something else.
    pub fn flag(&self, key: &str, otherwise: bool) -> Result<bool, ModelError> {
        match self.get(key) {
            None => Ok(otherwise),
            Some(GgufValue::Bool(value)) => Ok(*value),
            Some(_) => Err(self.bad_key(key, "true or false")),
        }
    }

    /// Reads the tensor `name` and turns it into f32.
    ///
    /// # Shapes
    /// - returns: `shape`, outermost dimension first
    ///
    /// # Errors
    /// [`ModelError::Format`] if there is no such tensor, if its shape is another, or if it holds
    /// a value that is not finite; [`ModelError::Read`] if the file cannot be read.
    ///
    /// # Cost
    /// Holds the tensor's coded bytes and the f32 values at once while it runs.
    pub fn tensor_f32(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let (entry, raw) = self.raw(name, shape)?;
        let values = qtensor_from_ggml(entry.dtype, &raw, entry.shape.clone(), &Device::Cpu)?
            .dequantize(&Device::Cpu)?;
        // A sum is finite only if every value is (and large weights do not overflow it).
        let sum = values.abs()?.sum_all()?.to_scalar::<f32>()?;
        if sum.is_finite() {
            Ok(values)
        } else {
            Err(self.not_finite(name))
        }
    }

    /// The matrix `name`, coded as in the file where [`Coding`] knows the coding, else in the
    /// nearest that it knows: `Q4_K` as `Q4_1`, all others as f16.
    ///
    /// # Errors
    /// As [`Gguf::tensor_f32`].
    pub fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<CodedMatrix, ModelError> {
        let (entry, raw) = self.raw(name, &shape)?;
        let matrix = from_ggml(entry.dtype, shape, raw)?;
        if matrix.is_finite() {
            Ok(matrix)
        } else {
            Err(self.not_finite(name))
        }
    }

    fn damaged_tensor(&self, name: &str, expected: String) -> ModelError {
        ModelError::Format {
            path: self.path.clone(),
            place: format!("tensor {name}"),
            expected,
        }
    }

    fn not_finite(&self, name: &str) -> ModelError {
        let expected = "holds a value that is not a finite number";
        self.damaged_tensor(name, expected.to_owned())
    }

    /// The coded bytes of a tensor of the expected shape.
    fn raw(&self, name: &str, shape: &[usize]) -> Result<(&TensorEntry, Vec<u8>), ModelError> {
        let entry = self.tensors.get(name).ok_or_else(|| {
            let expected = format!("expected shape {shape:?}, the tensor is missing");
            self.damaged_tensor(name, expected)
        })?;
        if entry.shape != shape {
            let expected = format!("expected shape {shape:?}, found {:?}", entry.shape);
            return Err(self.damaged_tensor(name, expected));
        }
        let read = |source| ModelError::Read {
            path: self.path.clone(),
            source,
        };
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(entry.start)).map_err(read)?;
        let mut raw = vec![0_u8; entry.n_bytes];
        file.read_exact(&mut raw).map_err(read)?;
        Ok((entry, raw))
    }
}

/// Reads magic, version and the two counts: tensors, metadata entries.
fn read_counts(reader: &mut HeaderReader) -> Result<(u64, u64), ModelError> {
    let magic = reader.bytes::<4>("its first 4 bytes")?;
    if &magic != MAGIC {
        return Err(reader.damage("byte 0", "expected the letters GGUF; this is no GGUF file"));
    }
    let version = u32::from_le_bytes(reader.bytes("the version")?);
    if !(2..=3).contains(&version) {
        return Err(reader.damage(
            "byte 4",
            &format!("expected GGUF version 2 or 3 (little-endian), found {version}"),
        ));
    }
    let n_tensors = reader.u64("the number of tensors")?;
    let n_entries = reader.u64("the number of metadata entries")?;
    // A tensor takes at least 32 bytes in the table, a metadata entry 13.
    for (what, count, each) in [
        ("tensors", n_tensors, 32),
        ("metadata entries", n_entries, 13),
    ] {
        if count > reader.left() / each {
            return Err(reader.damage(
                "bytes 8 to 24",
                &format!(
                    "{count} {what} do not fit in the {} bytes that follow",
                    reader.left()
                ),
            ));
        }
    }
    Ok((n_tensors, n_entries))
}

/// Reads one entry of the tensor table; its `start` is relative to the tensor data.
fn read_tensor_entry(
    reader: &mut HeaderReader,
    i: u64,
    n_tensors: u64,
) -> Result<(String, TensorEntry), ModelError> {
    let name = reader.name(&format!("tensor {i} of {n_tensors}"))?;
    let place = format!("tensor {name}");
    let n_dims = u32::from_le_bytes(reader.bytes(&place)?);
    if n_dims == 0 || n_dims > MAX_DIMS {
        return Err(reader.damage(
            &place,
            &format!("expected 1 to 4 dimensions, found {n_dims}"),
        ));
    }
    let mut shape = Vec::new();
    for _ in 0..n_dims {
        shape.push(reader.u64(&place)?);
    }
    let code = u32::from_le_bytes(reader.bytes(&place)?);
    let start = reader.u64(&place)?;
    let Some(dtype) = dtype_of_code(code) else {
        return Err(reader.damage(
            &place,
            &format!(
                "expected a value type this build reads (F32, F16, BF16, Q4_0 to Q8_1, Q2_K to \
                 Q8_K), found type code {code}"
            ),
        ));
    };
    let block = dtype.block_size() as u64;
    let n_bytes = shape
        .iter()
        .try_fold(1_u64, |product, &dim| product.checked_mul(dim))
        .filter(|&n| n > 0 && shape[0].is_multiple_of(block))
        .and_then(|n| (n / block).checked_mul(dtype.type_size() as u64))
        .filter(|&n| n <= reader.file_bytes)
        .and_then(|n| usize::try_from(n).ok());
    let Some(n_bytes) = n_bytes else {
        return Err(reader.damage(
            &place,
            &format!(
                "dimensions {shape:?} of type {dtype:?} do not fit in a file of {} bytes",
                reader.file_bytes
            ),
        ));
    };
    let shape = shape.iter().rev().map(|&dim| dim as usize).collect();
    let entry = TensorEntry {
        shape,
        dtype,
        start,
        n_bytes,
    };
    Ok((name, entry))
}

/// ggml's type codes, as far as they can be read here.
fn dtype_of_code(code: u32) -> Option<GgmlDType> {
    Some(match code {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        9 => GgmlDType::Q8_1,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// Reads a value with its type code.
fn read_value(reader: &mut HeaderReader, key: &str) -> Result<GgufValue, ModelError> {
    let place = format!("key {key}");
    let code = u32::from_le_bytes(reader.bytes(&place)?);
    if code == 9 {
        return read_array(reader, &place);
    }
    read_scalar(reader, code, &place)
}

/// Reads a value of the type `code` that is no array.
fn read_scalar(reader: &mut HeaderReader, code: u32, place: &str) -> Result<GgufValue, ModelError> {
    Ok(match code {
        0 => GgufValue::Unsigned(u64::from(u8::from_le_bytes(reader.bytes(place)?))),
        1 => GgufValue::Signed(i64::from(i8::from_le_bytes(reader.bytes(place)?))),
        2 => GgufValue::Unsigned(u64::from(u16::from_le_bytes(reader.bytes(place)?))),
        3 => GgufValue::Signed(i64::from(i16::from_le_bytes(reader.bytes(place)?))),
        4 => GgufValue::Unsigned(u64::from(u32::from_le_bytes(reader.bytes(place)?))),
        5 => GgufValue::Signed(i64::from(i32::from_le_bytes(reader.bytes(place)?))),
        6 => GgufValue::Float(f64::from(f32::from_le_bytes(reader.bytes(place)?))),
        7 => match reader.bytes::<1>(place)? {
            [0] => GgufValue::Bool(false),
            [1] => GgufValue::Bool(true),
            [other] => {
                return Err(reader.damage(place, &format!("expected 0 or 1, found {other}")));
            }
        },
        8 => GgufValue::Text(reader.text(place)?),
        10 => GgufValue::Unsigned(reader.u64(place)?),
        11 => GgufValue::Signed(i64::from_le_bytes(reader.bytes(place)?)),
        12 => GgufValue::Float(f64::from_le_bytes(reader.bytes(place)?)),
        other => {
            return Err(reader.damage(
                place,
                &format!("expected a value type from 0 to 12, found {other}"),
            ));
        }
    })
}

/// Reads an array of scalars.
fn read_array(reader: &mut HeaderReader, place: &str) -> Result<GgufValue, ModelError> {
    let code = u32::from_le_bytes(reader.bytes(place)?);
    let len = reader.u64(place)?;
    let smallest = match code {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        other => {
            return Err(reader.damage(
                place,
                &format!("expected an array of numbers or texts, found value type {other}"),
            ));
        }
    };
    if len > reader.left() / smallest {
        return Err(reader.damage(
            place,
            &format!(
                "an array of {len} values does not fit in the {} bytes that follow",
                reader.left()
            ),
        ));
    }
    let (mut texts, mut integers, mut floats) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..len {
        match read_scalar(reader, code, place)? {
            GgufValue::Text(text) => texts.push(text),
            GgufValue::Float(value) => floats.push(value),
            GgufValue::Signed(value) => integers.push(value),
            GgufValue::Bool(value) => integers.push(i64::from(value)),
            GgufValue::Unsigned(value) => match i64::try_from(value) {
                Ok(value) => integers.push(value),
                Err(_) => return Err(reader.damage(place, "an integer is beyond 2^63")),
            },
            GgufValue::Texts(_) | GgufValue::Integers(_) | GgufValue::Floats(_) => {}
        }
    }
    Ok(match code {
        8 => GgufValue::Texts(texts),
        6 | 12 => GgufValue::Floats(floats),
        _ => GgufValue::Integers(integers),
    })
}

/// Reads the header and knows how many bytes are left.
struct HeaderReader {
    path: PathBuf,
    file: BufReader<File>,
    file_bytes: u64,
    position: u64,
}

impl HeaderReader {
    fn open(path: &Path) -> Result<Self, ModelError> {
        let read = |source| ModelError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        let file_bytes = file.metadata().map_err(read)?.len();
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(1 << 16, file),
            file_bytes,
            position: 0,
        })
    }

    fn left(&self) -> u64 {
        self.file_bytes.saturating_sub(self.position)
    }

    fn damage(&self, place: &str, expected: &str) -> ModelError {
        ModelError::Format {
            path: self.path.clone(),
            place: place.to_owned(),
            expected: expected.to_owned(),
        }
    }

    /// Fills `buffer`, or says that the file ends too early.
    fn fill(&mut self, buffer: &mut [u8], place: &str) -> Result<(), ModelError> {
        if buffer.len() as u64 > self.left() {
            return Err(self.damage(
                place,
                &format!(
                    "the file ends at byte {}, {} bytes were expected from byte {} on: it is \
                     truncated or damaged",
                    self.file_bytes,
                    buffer.len(),
                    self.position
                ),
            ));
        }
        self.file
            .read_exact(buffer)
            .map_err(|source| ModelError::Read {
                path: self.path.clone(),
                source,
            })?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, place: &str) -> Result<[u8; N], ModelError> {
        let mut buffer = [0; N];
        self.fill(&mut buffer, place)?;
        Ok(buffer)
    }

    fn u64(&mut self, place: &str) -> Result<u64, ModelError> {
        Ok(u64::from_le_bytes(self.bytes(place)?))
    }

    /// A text: its length, then its bytes.
    fn text(&mut self, place: &str) -> Result<String, ModelError> {
        let at = self.position;
        let len = self.u64(place)?;
        if len > self.left() {
            return Err(self.damage(
                place,
                &format!(
                    "a text of {len} bytes at byte {at} does not fit in the {} bytes that follow",
                    self.left()
                ),
            ));
        }
        let mut buffer = vec![0; len as usize];
        self.fill(&mut buffer, place)?;
        String::from_utf8(buffer)
            .map_err(|error| self.damage(place, &format!("expected text at byte {at}: {error}")))
    }

    /// A text that is a name.
    fn name(&mut self, place: &str) -> Result<String, ModelError> {
        let at = self.position;
        let name = self.text(place)?;
        if name.is_empty() || name.len() as u64 > MAX_NAME || name.chars().any(char::is_control) {
            return Err(self.damage(place, &format!("expected a name at byte {at}")));
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QTensor;

    use super::*;

    #[test]
    fn matrices_in_blocks_of_256_take_the_memory_that_is_told() {
        let values: Vec<f32> = (0..1024).map(|i| (i as f32 * 0.3).sin()).collect();
        let values = Tensor::from_vec(values, (2, 512), &Device::Cpu).unwrap();
        let mut header = [MAGIC.as_slice(), &3_u32.to_le_bytes()].concat();
        header.extend([2_u64, 0].iter().flat_map(|count| count.to_le_bytes()));
        let mut data = Vec::new();
        for (name, dtype, code) in [("a", GgmlDType::Q4K, 12_u32), ("b", GgmlDType::Q6K, 14)] {
            header.extend(1_u64.to_le_bytes());
            header.extend(name.as_bytes());
            header.extend(2_u32.to_le_bytes());
            header.extend([512_u64, 2].iter().flat_map(|dim| dim.to_le_bytes()));
            header.extend(code.to_le_bytes());
            header.extend((data.len() as u64).to_le_bytes());
            let coded = QTensor::quantize(&values, dtype).unwrap();
            data.extend_from_slice(&coded.data().unwrap());
            data.resize(data.len().next_multiple_of(32), 0);
        }
        header.resize(header.len().next_multiple_of(32), 0);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [header, data].concat()).unwrap();

        let gguf = Gguf::open(file.path()).unwrap();
        let mut bytes = 0;
        for (name, coding) in [("a", Coding::Q4_1), ("b", Coding::F16)] {
            let matrix = gguf.matrix(name, [2, 512]).unwrap();
            assert_eq!(matrix.coding(), coding);
            bytes += matrix.bytes().len() as u64;
            let exact = gguf.tensor_f32(name, &[2, 512]).unwrap();
            let exact = exact.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (ours, theirs) in matrix.to_f32().iter().zip(exact) {
                assert!((ours - theirs).abs() < 2e-3, "{name}: {ours} {theirs}");
            }
        }
        assert_eq!(gguf.memory_bytes(), bytes);
    }
}
