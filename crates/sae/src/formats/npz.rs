//! Arrays of a numpy `.npz` archive.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::error::SaeError;

/// An archive of arrays; each is read when asked for.
pub(super) struct NpzFile {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

/// An array, its elements in row-major order.
#[derive(Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl NpzFile {
    /// Opens an archive.
    ///
    /// # Errors
    /// [`SaeError::Io`] if it cannot be read, [`SaeError::Format`] if it is no zip archive.
    pub(super) fn open(path: &Path) -> Result<Self, SaeError> {
        let file = BufReader::new(File::open(path).map_err(SaeError::io(path))?);
        let archive = ZipArchive::new(file).map_err(|error| {
            let reason = format!("the zip archive is cut short or damaged ({error})");
            SaeError::format(path, reason)
        })?;
        Ok(Self {
            path: path.to_owned(),
            archive,
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.archive
            .index_for_name(&format!("{name}.npy"))
            .is_some()
    }

    /// Reads one array of floating-point numbers.
    pub(super) fn read(&mut self, name: &str) -> Result<Array, SaeError> {
        let entry_name = format!("{name}.npy");
        let fault =
            |path: &Path, reason: String| SaeError::format(path, format!("{name}: {reason}"));
        if !self.has(name) {
            let mut names: Vec<&str> = self.archive.file_names().take(24).collect();
            names.sort_unstable();
            let reason = format!("it is missing; the archive has {}", names.join(", "));
            return Err(fault(&self.path, reason));
        }
        let path = self.path.clone();
        let mut entry = self
            .archive
            .by_name(&entry_name)
            .map_err(|error| fault(&path, format!("cannot be read ({error})")))?;
        let mut bytes = Vec::new();
        let size = entry.size();
        entry
            .by_ref()
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(|error| fault(&path, format!("is damaged ({error})")))?;
        parse(&bytes).map_err(|reason| fault(&path, reason))
    }

    /// The values of an array of exactly this shape, all finite.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, SaeError> {
        let array = self.read(name)?;
        if array.shape != shape {
            let reason = format!("{name} has shape {:?}, expected {shape:?}", array.shape);
            return Err(SaeError::format(&self.path, reason));
        }
        if let Some(at) = array.values.iter().position(|value| !value.is_finite()) {
            let reason = format!(
                "{name}, element {at} is {}, expected a finite number",
                array.values[at]
            );
            return Err(SaeError::format(&self.path, reason));
        }
        Ok(array.values)
    }
}

/// The content of a `.npy` entry.
///
/// # Source
/// `numpy.lib.format`: magic, version, length of a header, the header as a Python dictionary.
fn parse(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes
        .strip_prefix(b"\x93NUMPY")
        .ok_or("it does not begin as an array of numpy")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err("its version is unknown, expected 1 to 3".to_owned()),
    };
    let (header, data) = rest
        .split_at_checked(length)
        .ok_or("its header is cut short")?;
    let header = String::from_utf8_lossy(header);
    let value = |key: &str| -> Result<&str, String> {
        let (_, after) = header
            .split_once(&format!("'{key}':"))
            .ok_or_else(|| format!("its header has no {key}"))?;
        Ok(after.trim_start())
    };
    let kind = value("descr")?;
    let width = if kind.starts_with("'<f4'") {
        4
    } else if kind.starts_with("'<f8'") {
        8
    } else if kind.starts_with("'<f2'") {
        2
    } else {
        let kind: String = kind.chars().take(12).collect();
        return Err(format!("it holds {kind}, expected little-endian floats"));
    };
    if !value("fortran_order")?.starts_with("False") {
        return Err("it is stored column by column, expected row by row".to_owned());
    }
    let inside = value("shape")?
        .strip_prefix('(')
        .and_then(|text| text.split_once(')'))
        .ok_or("its shape cannot be read")?
        .0;
    let shape = inside
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| {
            size.parse::<usize>()
                .map_err(|_number| format!("its shape has {size}"))
        })
        .collect::<Result<Vec<usize>, String>>()?;
    let expected = shape
        .iter()
        .try_fold(width, |product: usize, &size| product.checked_mul(size))
        .ok_or("its shape is beyond any memory")?;
    if data.len() != expected {
        return Err(format!(
            "it has {} bytes, expected {expected} for shape {shape:?}",
            data.len()
        ));
    }
    let values = match width {
        8 => all(data, |b| f64::from_le_bytes(b) as f32),
        4 => all(data, f32::from_le_bytes),
        _ => all(data, |b| half::f16::from_le_bytes(b).to_f32()),
    };
    Ok(Array { shape, values })
}

fn all<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&b| convert(b)).collect()
}

/// The bytes of a `.npy` entry of f32; for tests.
#[cfg(test)]
pub(super) fn array_bytes(shape: &str, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_and_faults_are_named() {
        let good = array_bytes("(2, 1)", &[1.5, -2.0]);
        let expected = Array {
            shape: vec![2, 1],
            values: vec![1.5, -2.0],
        };
        assert_eq!(parse(&good), Ok(expected));
        assert_eq!(parse(&array_bytes("()", &[3.0])).unwrap().values, [3.0]);
        for at in 0..good.len() {
            assert!(parse(&good[..at]).is_err(), "{at}");
        }
        let swapped = String::from_utf8_lossy(&good).replace("False", "True ");
        assert!(parse(swapped.as_bytes()).is_err());
        let error = parse(&array_bytes("(99999999999, 99999999999)", &[])).unwrap_err();
        assert!(error.contains("memory"), "{error}");
    }
}
