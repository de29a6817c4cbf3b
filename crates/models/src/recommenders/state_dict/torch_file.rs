//! A state dict saved by torch, alone or in a checkpoint with settings beside it, read as data.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use torch_file::{
    ElementType, Names, Pickle, TensorRef, TorchFile, TorchFileError, Value, printable,
};

use super::{Setting, StateDict, format_error};
use crate::ModelError;

/// Tensors may share what is stored, but come to no more than this many times the file.
const MAX_SHARING: u64 = 4;

/// Reads the tensors of a file and the plain settings of its `config`, running nothing.
pub(super) fn read<'a>(path: &'a Path, bytes: &[u8]) -> Result<StateDict<'a>, ModelError> {
    let wrong = |place: &str, found: String| {
        let expected = format!("expected a state dict saved by PyTorch, found: {found}");
        format_error(path, place, expected)
    };
    let mut file =
        TorchFile::open(Cursor::new(bytes), Names::Checkpoint).map_err(|error| match error {
            TorchFileError::Format { place, reason } => {
                wrong(place.as_deref().unwrap_or("the file"), reason)
            }
            error @ TorchFileError::Io(_) => wrong("the file", error.to_string()),
        })?;
    let views = views(file.pickle()).map_err(|found| wrong("data.pkl", found))?;
    let mut tensors = HashMap::new();
    let mut left = (bytes.len() as u64).saturating_mul(MAX_SHARING);
    for (name, view, element) in views {
        let of_tensor = |found: String| wrong(&format!("tensor {}", printable(&name)), found);
        charge(&mut left, &view, element).map_err(of_tensor)?;
        let read = file.read(&view);
        let read = read.map_err(|error| of_tensor(error.to_string()))?;
        let tensor = Tensor::from_raw_buffer(&read.bytes, element, &read.shape, &Device::Cpu)?;
        tensors.insert(name, tensor);
    }
    Ok(StateDict {
        path,
        tensors,
        settings: settings(file.pickle()),
    })
}

/// Names, places and types of the tensors, without those of types that no weight has.
fn views(pickle: &Pickle) -> Result<Vec<(String, TensorRef, DType)>, String> {
    let root = pickle.root();
    let state = match pickle.entry(root, "state_dict") {
        Some(Value::Tensor(_)) | None => root,
        Some(inside) => inside,
    };
    if !matches!(state, Value::Dictionary(_)) {
        return Err("no dictionary of named tensors; save the model's state_dict()".to_owned());
    }
    let tensors = pickle
        .entries(state)
        .filter_map(|(name, value)| match value {
            Value::Tensor(view) => {
                let element = of_weights(view.storage.element?)?;
                Some((name.to_owned(), view.clone(), element))
            }
            _ => None,
        });
    Ok(tensors.collect())
}

/// The same type in tensors; `None` for one that no weight has.
fn of_weights(element: ElementType) -> Option<DType> {
    match element {
        ElementType::F64 => Some(DType::F64),
        ElementType::F32 => Some(DType::F32),
        ElementType::F16 => Some(DType::F16),
        ElementType::Bf16 => Some(DType::BF16),
        ElementType::I64 => Some(DType::I64),
        ElementType::U8 => Some(DType::U8),
        ElementType::I32 | ElementType::I16 | ElementType::I8 | ElementType::Bool => None,
    }
}

/// Takes the bytes of a tensor from those that are left to all.
fn charge(left: &mut u64, view: &TensorRef, element: DType) -> Result<(), String> {
    let n_bytes = view.n_elements()? * element.size_in_bytes() as u64;
    *left = left
        .checked_sub(n_bytes)
        .ok_or("its tensors come to many times the size of the file")?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use torch_file::StorageRef;

    use super::*;

    #[test]
    fn a_damaged_pickle_of_a_checkpoint_never_panics() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/recbole/BPR.pth");
        let file = std::fs::File::open(path).unwrap();
        let mut archive = zip::ZipArchive::new(file).unwrap();
        let mut good = Vec::new();
        let name = archive
            .file_names()
            .find(|name| name.ends_with("data.pkl"))
            .unwrap()
            .to_owned();
        let mut entry = archive.by_name(&name).unwrap();
        entry.read_to_end(&mut good).unwrap();
        let read = |bytes: &[u8]| torch_file::read(bytes, Names::Checkpoint);
        let of_good = settings(&read(&good).unwrap());
        assert_eq!(of_good["model"], Setting::Text("BPR".to_owned()));
        assert_eq!(of_good["embedding_size"], Setting::Number(24.0));
        let mut bad = good.clone();
        for at in 0..good.len() {
            assert!(read(&good[..at]).is_err(), "cut at {at}");
            for byte in [0, b'R', b'b', b'u', b'.', 0x93, 0xff] {
                bad[at] = byte;
                if let Ok(read) = read(&bad) {
                    drop(settings(&read));
                }
            }
            bad[at] = good[at];
        }
    }

    #[test]
    fn tensors_that_share_without_end_are_refused() {
        let view = TensorRef {
            storage: StorageRef {
                element: Some(ElementType::U8),
                key: "0".to_owned(),
                n_elements: 6,
            },
            offset: 0,
            shape: vec![6],
            strides: vec![1],
        };
        let mut left = 11;
        charge(&mut left, &view, DType::U8).unwrap();
        let again = charge(&mut left, &view, DType::U8);
        assert!(again.unwrap_err().contains("many times"));
    }
}
