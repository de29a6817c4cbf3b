//! Named f32 tensors in safetensors files, and files that are written whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::SaeError;

/// Writes a file under a temporary name, flushes it to the disk and renames it into place.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), SaeError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    if let Err(error) = write().and_then(|()| fs::rename(&temporary, path)) {
        // On a full disk half a file helps nobody, and may stand in the way of the next try.
        fs::remove_file(&temporary).ok();
        return Err(SaeError::io(path)(error));
    }
    // The rename itself is durable once the folder is; not every system can flush a folder.
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        match folder.sync_all() {
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Little-endian bytes.
pub(crate) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * 4];
    for (out, value) in bytes.chunks_exact_mut(4).zip(values) {
        out.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// A tensor to be written.
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: &'a [f32],
}

/// A safetensors file of f32 tensors. One metadata entry at most: more have no fixed order.
pub(crate) fn serialize(
    path: &Path,
    tensors: &[Named<'_>],
    metadata: Option<(&str, String)>,
) -> Result<Vec<u8>, SaeError> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| f32_bytes(t.values)).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (tensor, bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)
            .map_err(|error| SaeError::format(path, error.to_string()))?;
        views.push((tensor.name, view));
    }
    let metadata = metadata.map(|(key, value)| HashMap::from([(key.to_owned(), value)]));
    safetensors::serialize(views, metadata)
        .map_err(|error| SaeError::format(path, error.to_string()))
}

/// Reads the head and the offsets of a safetensors file.
pub(crate) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, SaeError> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        let reason = format!("this is not a whole safetensors file ({error})");
        SaeError::format(path, reason)
    })
}

/// One float tensor (f32, f16 or bf16) of the expected shape; `None` allows any size there.
pub(crate) fn read_f32(
    path: &Path,
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: &[Option<usize>],
) -> Result<(Vec<usize>, Vec<f32>), SaeError> {
    let tensor = tensors.tensor(name).map_err(|_missing| {
        let mut names = tensors.names();
        names.sort_unstable();
        let reason = format!(
            "the tensor {name} is missing; the file has {}",
            names.join(", ")
        );
        SaeError::format(path, reason)
    })?;
    let fits = tensor.shape().len() == shape.len()
        && std::iter::zip(tensor.shape(), shape).all(|(&n, want)| want.is_none_or(|w| w == n));
    if !fits {
        let expected: Vec<String> = shape
            .iter()
            .map(|size| size.map_or_else(|| "any".to_owned(), |size| size.to_string()))
            .collect();
        let expected = expected.join(", ");
        let reason = format!(
            "{name} has shape {:?}, expected [{expected}]",
            tensor.shape()
        );
        return Err(SaeError::format(path, reason));
    }
    let bytes = tensor.data();
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => {
            let reason = format!("{name} holds {other:?}, expected F32, F16 or BF16");
            return Err(SaeError::format(path, reason));
        }
    };
    Ok((tensor.shape().to_vec(), values))
}
