//! Named tensors of a foreign file, safetensors or torch, read one at a time with every check.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::torch_file::{Checkpoint, TorchFile};
use crate::error::SaeError;
use crate::tensors::parse;

/// Elements of a tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Numbers {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// A tensor of a foreign file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Numbers,
}

/// A file of named tensors.
pub(crate) struct TensorFile {
    path: PathBuf,
    content: Content,
}

enum Content {
    Safetensors(Vec<u8>),
    Torch(Box<TorchFile>),
}

impl TensorFile {
    /// Opens a `.safetensors` file, or a torch file by any other name.
    ///
    /// # Errors
    /// [`SaeError::Io`] if it cannot be read, [`SaeError::Format`] if it is damaged or its pickle
    /// names anything but tensors.
    pub(crate) fn open(path: &Path) -> Result<Self, SaeError> {
        let content = if path.extension().is_some_and(|ext| ext == "safetensors") {
            let bytes = fs::read(path).map_err(SaeError::io(path))?;
            parse(path, &bytes)?;
            Content::Safetensors(bytes)
        } else {
            Content::Torch(Box::new(TorchFile::open(path)?))
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What stands beside the tensors if the file is the checkpoint of an interrupted run.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        match &self.content {
            Content::Safetensors(_) => None,
            Content::Torch(file) => file.checkpoint(),
        }
    }

    /// A word that stands beside the tensors of a torch file.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match &self.content {
            Content::Safetensors(_) => None,
            Content::Torch(file) => file.text(name),
        }
    }

    /// A whole number in a dictionary that stands beside the tensors of a torch file.
    pub(crate) fn whole_number(&self, dictionary: &str, name: &str) -> Option<i64> {
        match &self.content {
            Content::Safetensors(_) => None,
            Content::Torch(file) => file.whole_number(dictionary, name),
        }
    }

    fn names(&self) -> Vec<String> {
        match &self.content {
            Content::Safetensors(bytes) => {
                parse(&self.path, bytes).map_or_else(|_| Vec::new(), |file| owned_names(&file))
            }
            Content::Torch(file) => file.names(),
        }
    }

    /// A tensor, or `None` if there is none of that name.
    pub(crate) fn find(&mut self, name: &str) -> Result<Option<Tensor>, SaeError> {
        match &mut self.content {
            Content::Safetensors(bytes) => {
                let file = parse(&self.path, bytes)?;
                read_safetensor(&self.path, &file, name)
            }
            Content::Torch(file) => file.tensor(name),
        }
    }

    fn get(&mut self, name: &str) -> Result<Tensor, SaeError> {
        if let Some(tensor) = self.find(name)? {
            return Ok(tensor);
        }
        let mut names = self.names();
        names.truncate(24);
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        let reason = format!("the tensor {name} is missing; the file has {names}");
        Err(SaeError::format(&self.path, reason))
    }

    /// The values of a float tensor of exactly this shape, all finite.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, SaeError> {
        let tensor = self.get(name)?;
        // A scalar may stand as one value.
        let is_scalar = shape.is_empty() && tensor.shape == [1];
        if tensor.shape != shape && !is_scalar {
            let reason = format!("{name} has shape {:?}, expected {shape:?}", tensor.shape);
            return Err(SaeError::format(&self.path, reason));
        }
        let Numbers::Floats(values) = tensor.numbers else {
            let reason = format!("{name} holds whole numbers, expected floating-point ones");
            return Err(SaeError::format(&self.path, reason));
        };
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let reason = format!(
                "{name}{:?} is {}, expected a finite number",
                place(at, shape),
                values[at]
            );
            return Err(SaeError::format(&self.path, reason));
        }
        Ok(values)
    }

    /// A float scalar.
    pub(crate) fn float(&mut self, name: &str) -> Result<f32, SaeError> {
        Ok(self.floats(name, &[])?.first().copied().unwrap_or(f32::NAN))
    }

    /// The values of a tensor of whole numbers, or `None` if there is none of that name.
    pub(crate) fn counts(&mut self, name: &str) -> Result<Option<Vec<u32>>, SaeError> {
        let Some(tensor) = self.find(name)? else {
            return Ok(None);
        };
        let counts: Option<Vec<u32>> = match tensor.numbers {
            Numbers::Integers(values) => values.iter().map(|&n| u32::try_from(n).ok()).collect(),
            Numbers::Floats(values) => values
                .iter()
                .map(|&n| (n >= 0.0 && n.fract() == 0.0 && n < 1e9).then_some(n as u32))
                .collect(),
        };
        if counts.is_none() {
            let reason = format!("{name} holds a value that is no count");
            return Err(SaeError::format(&self.path, reason));
        }
        Ok(counts)
    }
}

/// Row-major index `at` as one index per dimension.
fn place(at: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = at;
    let mut indices: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let index = rest % size.max(1);
            rest /= size.max(1);
            index
        })
        .collect();
    indices.reverse();
    indices
}

fn owned_names(file: &SafeTensors<'_>) -> Vec<String> {
    let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn read_safetensor(
    path: &Path,
    file: &SafeTensors<'_>,
    name: &str,
) -> Result<Option<Tensor>, SaeError> {
    let Ok(view) = file.tensor(name) else {
        return Ok(None);
    };
    let bytes = view.data();
    let numbers = match view.dtype() {
        Dtype::F64 => Numbers::Floats(all(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F32 => Numbers::Floats(all(bytes, f32::from_le_bytes)),
        Dtype::F16 => Numbers::Floats(all(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Numbers::Floats(all(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
        Dtype::I64 => Numbers::Integers(all(bytes, i64::from_le_bytes)),
        Dtype::I32 => Numbers::Integers(all(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        Dtype::I16 => Numbers::Integers(all(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        Dtype::U8 => Numbers::Integers(all(bytes, |[b]: [u8; 1]| i64::from(b))),
        other => {
            let reason = format!("{name} holds {other:?}, expected numbers of a known type");
            return Err(SaeError::format(path, reason));
        }
    };
    Ok(Some(Tensor {
        shape: view.shape().to_vec(),
        numbers,
    }))
}

fn all<T, const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&b| convert(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_the_last_dimension() {
        assert_eq!(place(7, &[2, 4]), [1, 3]);
        assert_eq!(place(0, &[]), [0_usize; 0]);
    }
}
