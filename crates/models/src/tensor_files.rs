//! Named tensors in safetensors files: what `model run` reads and writes.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::ModelError;
use crate::vision_language::parameters::read_values;

/// Values of a tensor that is written.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorValues {
    /// Numbers.
    F32(Vec<f32>),
    /// Ids.
    I64(Vec<i64>),
}

/// Tensors to be written, by name, with their shapes.
pub type NamedTensors = BTreeMap<String, (Vec<usize>, TensorValues)>;

/// Writes the tensors, under a temporary name first.
///
/// # Errors
/// [`ModelError::Write`], or [`ModelError::Request`] when a shape does not fit its values.
pub fn write_tensors(path: &Path, tensors: &NamedTensors) -> Result<(), ModelError> {
    let bytes: Vec<Vec<u8>> = tensors
        .values()
        .map(|(_, values)| match values {
            TensorValues::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            TensorValues::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, (shape, values)), bytes)| {
            let dtype = match values {
                TensorValues::F32(_) => Dtype::F32,
                TensorValues::I64(_) => Dtype::I64,
            };
            TensorView::new(dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>();
    let file = views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|error| ModelError::Request(format!("tensors cannot be stored: {error}")))?;
    let write = |source| ModelError::Write {
        path: path.to_owned(),
        source,
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = std::fs::write(&temporary, file).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        // On a full disk half a file helps nobody.
        std::fs::remove_file(&temporary).ok();
        write(error)
    })
}

/// Reads the tensor `FILE:KEY`: shape and values, f32 or f16.
///
/// # Errors
/// [`ModelError::Request`] when the text has no key, [`ModelError::Read`], or
/// [`ModelError::Format`] when the file is damaged, has no such tensor, or one of another type.
pub fn read_tensor(place: &str) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
    read(place, "f32 or f16", |view| {
        let values = read_values(view)?;
        Some(if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err("holds a value that is not a finite number")
        })
    })
}

/// Reads the tensor `FILE:KEY` of ids: shape and values, i64 or i32.
///
/// # Errors
/// As [`read_tensor`].
pub fn read_ids(place: &str) -> Result<(Vec<usize>, Vec<u32>), ModelError> {
    read(place, "i64 or i32", |view| {
        let width = match view.dtype() {
            Dtype::I64 => 8,
            Dtype::I32 => 4,
            _ => return None,
        };
        let ids = view.data().chunks_exact(width).map(|raw| {
            // Little-endian, and not negative: what is beyond the first four bytes is 0.
            let low = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
            let is_id = i32::try_from(low).is_ok() && raw[4..].iter().all(|&byte| byte == 0);
            is_id.then_some(low)
        });
        let ids: Option<Vec<u32>> = ids.collect();
        Some(ids.ok_or("holds a number that is no id"))
    })
}

/// Reads a tensor; `values` is `None` for another type than `expected`.
fn read<T>(
    place: &str,
    expected: &str,
    values: impl FnOnce(&TensorView<'_>) -> Option<Result<T, &'static str>>,
) -> Result<(Vec<usize>, T), ModelError> {
    let (path, key) = place.rsplit_once(':').ok_or_else(|| {
        ModelError::Request(format!(
            "\"{place}\" names no tensor; expected FILE.safetensors:KEY"
        ))
    })?;
    let path = Path::new(path);
    let bytes = std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })?;
    let bad = |expected: String| ModelError::Format {
        path: path.to_owned(),
        place: format!("tensor {key}"),
        expected,
    };
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| bad(format!("expected a safetensors file: {error}")))?;
    let view = file.tensor(key).map_err(|_missing| {
        let mut names = file.names();
        names.sort_unstable();
        names.truncate(8);
        bad(format!("it is missing; the file has {}", names.join(", ")))
    })?;
    let values = values(&view)
        .ok_or_else(|| bad(format!("expected {expected}, found {:?}", view.dtype())))?
        .map_err(|what| bad(what.to_owned()))?;
    Ok((view.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = NamedTensors::from([
            (
                "a".to_owned(),
                (vec![1, 2], TensorValues::F32(vec![1.5, -2.0])),
            ),
            ("b".to_owned(), (vec![1], TensorValues::I64(vec![7]))),
        ]);
        write_tensors(&path, &tensors).unwrap();
        let place = |key: &str| format!("{}:{key}", path.display());
        assert_eq!(
            read_tensor(&place("a")).unwrap(),
            (vec![1, 2], vec![1.5, -2.0])
        );
        assert_eq!(read_ids(&place("b")).unwrap(), (vec![1], vec![7]));
        assert!(read_ids(&place("a")).is_err());
        let message = |key: &str| read_tensor(&place(key)).unwrap_err().to_string();
        assert!(message("b").contains("expected f32 or f16, found I64"));
        assert!(message("c").contains("it is missing; the file has a, b"));
    }
}
