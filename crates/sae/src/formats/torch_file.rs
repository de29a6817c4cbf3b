//! A `.pt` file of tensors, or the checkpoint of an interrupted run.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use torch_file::{ElementType, Names, TorchFileError, Value};

use super::tensor_file::{Numbers, Tensor};
use crate::error::SaeError;

/// A torch file whose pickle was read; numbers are read when asked for.
pub(crate) struct TorchFile {
    path: PathBuf,
    file: torch_file::TorchFile<BufReader<File>>,
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
        let file = BufReader::new(File::open(path).map_err(SaeError::io(path))?);
        let mut file = Self {
            path: path.to_owned(),
            file: torch_file::TorchFile::open(file, Names::Tensors)
                .map_err(|error| refused(path, error))?,
            inner: None,
        };
        if file.checkpoint().is_some() {
            file.inner = Some("ae");
        } else if !matches!(file.file.pickle().root(), Value::Dictionary(_)) {
            let reason = "data.pkl: it holds no dictionary of named tensors";
            return Err(SaeError::format(path, reason));
        }
        Ok(file)
    }

    /// What stands beside the tensors if the file is the checkpoint of an interrupted run:
    /// `{step, ae, optimizer, config, norm_factor}`.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let pickle = self.file.pickle();
        let root = pickle.root();
        if !matches!(pickle.entry(root, "ae"), Some(Value::Dictionary(_))) {
            return None;
        }
        Some(Checkpoint {
            step: match pickle.entry(root, "step") {
                Some(Value::Integer(step)) => Some(*step),
                _ => None,
            },
            norm_factor: match pickle.entry(root, "norm_factor") {
                Some(Value::Float(factor)) => Some(*factor),
                Some(Value::Integer(factor)) => Some(*factor as f64),
                _ => None,
            },
        })
    }

    fn state(&self) -> &Value {
        let pickle = self.file.pickle();
        let root = pickle.root();
        self.inner
            .and_then(|name| pickle.entry(root, name))
            .unwrap_or(root)
    }

    fn entry(&self, name: &str) -> Option<&Value> {
        self.file.pickle().entry(self.state(), name)
    }

    /// A word beside the tensors.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.entry(name)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// A whole number in a dictionary beside the tensors.
    pub(crate) fn whole_number(&self, dictionary: &str, name: &str) -> Option<i64> {
        match self.file.pickle().entry(self.entry(dictionary)?, name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Names of the tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        self.file
            .pickle()
            .entries(self.state())
            .filter(|(_, value)| matches!(value, Value::Tensor(_)))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Reads one tensor, its elements in row-major order; `None` if there is none of that name.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, SaeError> {
        let Some(Value::Tensor(tensor)) = self.entry(name) else {
            return Ok(None);
        };
        let tensor = tensor.clone();
        let read = self.file.read(&tensor);
        let read =
            read.map_err(|error| SaeError::format(&self.path, format!("{name}: {error}")))?;
        let element = read.element;
        let elements = read.bytes.chunks_exact(element.bytes());
        let numbers = if element.is_float() {
            Numbers::Floats(elements.map(|bytes| float(bytes, element)).collect())
        } else {
            Numbers::Integers(elements.map(|bytes| integer(bytes, element)).collect())
        };
        Ok(Some(Tensor {
            shape: read.shape,
            numbers,
        }))
    }
}

fn refused(path: &Path, error: TorchFileError) -> SaeError {
    match error {
        TorchFileError::Io(source) => SaeError::io(path)(source),
        error @ TorchFileError::Format { .. } => SaeError::format(path, error.to_string()),
    }
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
