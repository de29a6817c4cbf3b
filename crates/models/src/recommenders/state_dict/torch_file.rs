//! A state dict saved by torch, alone or in a checkpoint with settings beside it, read as data.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::archive::Archive;
use super::pickle::{self, Pickle, TensorRef, Value};
use super::{Setting, StateDict, format_error};
use crate::ModelError;

/// Bytes of a pickle at most: that of a checkpoint has some kilobytes.
const MAX_PICKLE: usize = 4 << 20;

/// Tensors may share what is stored, but come to no more than this many times the file.
const MAX_SHARING: usize = 4;

/// Reads the tensors of a file and the plain settings of its `config`, running nothing.
pub(super) fn read<'a>(path: &'a Path, bytes: &[u8]) -> Result<StateDict<'a>, ModelError> {
    let wrong = |place: &str, found: String| {
        let expected = format!("expected a state dict saved by PyTorch, found: {found}");
        format_error(path, place, expected)
    };
    let of_file = |found: String| wrong("the file", found);
    let archive = Archive::new(bytes).map_err(of_file)?;
    let Some(name) = archive.find("data.pkl").map(str::to_owned) else {
        return Err(of_file(
            "the zip archive has no data.pkl, so it is no torch file".to_owned(),
        ));
    };
    let prefix = name.trim_end_matches("data.pkl");
    let text = archive.read(&name).map_err(of_file)?;
    if text.len() > MAX_PICKLE {
        let found = format!("{} bytes, more than {MAX_PICKLE}", text.len());
        return Err(wrong("data.pkl", found));
    }
    let pickle = pickle::read(text)
        .map_err(|fault| wrong(&format!("data.pkl, byte {}", fault.at), fault.reason))?;
    if let Ok(order) = archive.read(&format!("{prefix}byteorder"))
        && order != b"little"
    {
        return Err(of_file(
            "its numbers are big-endian; save it anew on a little-endian machine".to_owned(),
        ));
    }
    let root = pickle.root();
    let state = match pickle.entry(root, "state_dict") {
        Some(Value::Tensor(_)) | None => root,
        Some(inside) => inside,
    };
    if !matches!(state, Value::Dictionary(_)) {
        let found = "no dictionary of named tensors; save the model's state_dict()".to_owned();
        return Err(wrong("data.pkl", found));
    }
    let mut tensors = HashMap::new();
    let mut left = bytes.len().saturating_mul(MAX_SHARING);
    for (name, value) in pickle.entries(state) {
        let Value::Tensor(view) = value else {
            continue;
        };
        let Some(element) = view.storage.element else {
            continue;
        };
        let place = format!("tensor {}", pickle::printable(name));
        let of_tensor = |found: String| wrong(&place, found);
        let key = format!("{prefix}data/{}", view.storage.key);
        let storage = archive.read(&key).map_err(of_tensor)?;
        let (shape, values) = gather(view, element, storage, &mut left).map_err(of_tensor)?;
        let tensor = Tensor::from_raw_buffer(&values, element, &shape, &Device::Cpu)?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(StateDict {
        path,
        tensors,
        settings: settings(&pickle),
    })
}

/// The plain values that `RecBole`'s `config` object keeps in its state.
fn settings(pickle: &Pickle) -> HashMap<String, Setting> {
    let config = pickle.entry(pickle.root(), "config");
    let Some(config) = config.and_then(|config| pickle.entry(config, "final_config_dict")) else {
        return HashMap::new();
    };
    pickle
        .entries(config)
        .filter_map(|(name, value)| {
            let setting = match value {
                Value::Text(text) => Setting::Text(text.clone()),
                Value::Integer(number) => Setting::Number(*number as f64),
                Value::Float(number) => Setting::Number(*number),
                _ => return None,
            };
            Some((name.to_owned(), setting))
        })
        .collect()
}

/// Shape and row-major elements of a view, as bytes.
fn gather(
    view: &TensorRef,
    element: DType,
    storage: &[u8],
    left: &mut usize,
) -> Result<(Vec<usize>, Vec<u8>), String> {
    let width = element.size_in_bytes();
    let n_stored = storage.len() / width;
    if n_stored as u64 != view.storage.n_elements || !storage.len().is_multiple_of(width) {
        return Err(format!(
            "{} bytes for {} elements of {width} bytes",
            storage.len(),
            view.storage.n_elements
        ));
    }
    let outside = || {
        format!(
            "the shape {:?} with strides {:?} from {} reaches outside the {n_stored} stored \
             elements",
            view.shape, view.strides, view.offset
        )
    };
    let (shape, n) = sizes(view, n_stored).ok_or_else(outside)?;
    let n_bytes = n * width;
    *left = left
        .checked_sub(n_bytes)
        .ok_or("its tensors come to many times the size of the file")?;
    let mut out = Vec::with_capacity(n_bytes);
    let mut index = vec![0_u64; shape.len()];
    let mut at = view.offset as usize;
    for _ in 0..n {
        out.extend_from_slice(&storage[at * width..(at + 1) * width]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += view.strides[axis] as usize;
            if index[axis] < view.shape[axis] {
                break;
            }
            at -= (index[axis] * view.strides[axis]) as usize;
            index[axis] = 0;
        }
    }
    Ok((shape, out))
}

/// Shape and number of elements of a view that lies in `n_stored` elements and reads none twice on
/// average.
fn sizes(view: &TensorRef, n_stored: usize) -> Option<(Vec<usize>, usize)> {
    let mut n = 1_u64;
    let mut last = view.offset;
    for (&size, &stride) in view.shape.iter().zip(&view.strides) {
        n = n.checked_mul(size)?;
        last = last.checked_add(size.saturating_sub(1).checked_mul(stride)?)?;
    }
    // Counting passes one step beyond the end.
    for &stride in &view.strides {
        last.checked_add(stride)?;
    }
    let n_stored = n_stored as u64;
    if n > n_stored || (n > 0 && last >= n_stored) {
        return None;
    }
    let shape = view.shape.iter().map(|&size| size as usize).collect();
    Some((shape, n as usize))
}

#[cfg(test)]
mod tests {
    use super::super::pickle::StorageRef;
    use super::*;

    fn view(offset: u64, shape: &[u64], strides: &[u64]) -> TensorRef {
        TensorRef {
            storage: StorageRef {
                element: Some(DType::U8),
                key: "0".to_owned(),
                n_elements: 6,
            },
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        }
    }

    #[test]
    fn a_damaged_pickle_of_a_checkpoint_never_panics() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/recbole/BPR.pth");
        let bytes = std::fs::read(path).unwrap();
        let archive = Archive::new(&bytes).unwrap();
        let good = archive.read(archive.find("data.pkl").unwrap()).unwrap();
        let of_good = settings(&pickle::read(good).unwrap());
        assert_eq!(of_good["model"], Setting::Text("BPR".to_owned()));
        assert_eq!(of_good["embedding_size"], Setting::Number(24.0));
        let mut bad = good.to_vec();
        for at in 0..good.len() {
            assert!(pickle::read(&good[..at]).is_err(), "cut at {at}");
            for byte in [0, b'R', b'b', b'u', b'.', 0x93, 0xff] {
                bad[at] = byte;
                if let Ok(read) = pickle::read(&bad) {
                    drop(settings(&read));
                }
            }
            bad[at] = good[at];
        }
    }

    #[test]
    fn views_are_gathered_row_by_row() {
        let storage = [0, 1, 2, 3, 4, 5];
        let of = |view: &TensorRef| {
            let mut left = 100;
            gather(view, DType::U8, &storage, &mut left).map(|(_, values)| values)
        };
        assert_eq!(of(&view(0, &[2, 3], &[3, 1])).unwrap(), storage);
        assert_eq!(of(&view(0, &[3, 2], &[1, 3])).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(of(&view(4, &[], &[])).unwrap(), [4]);
        assert_eq!(of(&view(2, &[2, 1], &[3, u64::MAX / 2])).unwrap(), [2, 5]);
        for bad in [
            view(1, &[2, 3], &[3, 1]),
            view(0, &[7], &[0]),
            view(0, &[2], &[u64::MAX]),
            view(u64::MAX, &[2], &[1]),
            view(0, &[u64::MAX, u64::MAX], &[0, 0]),
        ] {
            assert!(of(&bad).unwrap_err().contains("outside"), "{bad:?}");
        }
        let mut left = 5;
        let whole = gather(&view(0, &[6], &[1]), DType::U8, &storage, &mut left);
        assert!(whole.unwrap_err().contains("many times"));
    }
}
