//! Damaged, truncated and foreign GGUF files end in one sentence, never in a panic.

use models::ModelError;
use models::text::{inspect_gguf, load_gguf};

use crate::shared_files::shared;
use crate::tiny_gguf::tiny_gguf;

/// Writes `bytes` to a file and says what loading it says.
fn load_error(bytes: &[u8]) -> Option<ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let inspected = inspect_gguf(&path).err();
    let loaded = load_gguf(&path, "").err();
    assert!(loaded.is_some() || inspected.is_none());
    loaded
}

/// Checks that the error is of the file, and one sentence that names it.
fn check_names_the_file(error: &ModelError) -> String {
    assert!(matches!(error, ModelError::Format { .. }), "{error:?}");
    let sentence = error.to_string();
    assert!(sentence.contains("model.gguf: "), "{sentence}");
    assert!(
        !sentence.contains('\n') && sentence.len() < 500,
        "{sentence}"
    );
    sentence
}

#[test]
fn the_undamaged_file_loads() {
    let error = load_error(&tiny_gguf("llama").0);
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let (bytes, header) = tiny_gguf("llama");
    // The last tensor ends with the file except for its padding.
    let lengths = (0..header)
        .step_by(13)
        .chain((header..bytes.len() - 32).step_by(997));
    for length in lengths {
        let error = load_error(&bytes[..length]).unwrap_or_else(|| panic!("cut at {length}"));
        check_names_the_file(&error);
    }
    let cut = check_names_the_file(&load_error(&bytes[..bytes.len() - 64]).unwrap());
    assert!(
        cut.contains("blk.1.ffn_down.weight") && cut.contains("truncated"),
        "{cut}"
    );
}

#[test]
fn a_changed_byte_of_the_header_never_panics() {
    let (bytes, header) = tiny_gguf("llama");
    let mut n_errors = 0;
    for at in (0..header).step_by(3) {
        for mask in [0xFF, 0x80, 0x01] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            if let Some(error) = load_error(&damaged) {
                check_names_the_file(&error);
                n_errors += 1;
            }
        }
    }
    // Most of the header is token texts, where another byte is another token.
    assert!(n_errors > 500, "{n_errors}");
}

#[test]
fn another_architecture_is_named() {
    let sentence = check_names_the_file(&load_error(&tiny_gguf("gemma3").0).unwrap());
    assert!(
        sentence.contains("key general.architecture") && sentence.contains("found \"gemma3\""),
        "{sentence}"
    );
}

#[test]
fn a_weight_that_is_not_a_number_is_named() {
    let (mut bytes, header) = tiny_gguf("llama");
    let at = header.next_multiple_of(32);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let sentence = check_names_the_file(&load_error(&bytes).unwrap());
    assert!(sentence.contains("tensor token_embd.weight"), "{sentence}");
}

#[test]
fn other_files_are_no_gguf() {
    let sentence = check_names_the_file(&load_error(b"\x89PNG\r\n\x1a\n0000").unwrap());
    assert!(sentence.contains("no GGUF file"), "{sentence}");
    let missing = load_gguf(std::path::Path::new("/nowhere/x.gguf"), "")
        .err()
        .unwrap();
    assert!(matches!(missing, ModelError::Read { .. }));
}

#[test]
fn the_real_file_cut_short_is_an_error() {
    let Some(path) = shared("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") else {
        return;
    };
    let bytes = std::fs::read(path).unwrap();
    for length in [
        0,
        4,
        23,
        24,
        100,
        5_000,
        1_000_000,
        1_785_000,
        2_000_000,
        bytes.len() - 1,
    ] {
        let error = load_error(&bytes[..length]).unwrap_or_else(|| panic!("cut at {length}"));
        check_names_the_file(&error);
    }
}
