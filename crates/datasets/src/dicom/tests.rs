use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::film::{default_window, load_film, load_film_with_facts};
use crate::resize::shrink;
use crate::test_data::{sha256, shared_data};

fn expectations(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn stored_of(path: &Path) -> Result<stored::Stored, FilmError> {
    let bytes = std::fs::read(path).unwrap();
    stored::stored_values(&open(&bytes, path)?, path)
}

/// The stored values as the file's own number type, little endian.
fn as_bytes(stored: &stored::Stored, kind: &str) -> Vec<u8> {
    let wide = kind.ends_with("16") || kind.ends_with("u2");
    stored
        .values
        .iter()
        .flat_map(|&value| value.to_le_bytes()[..if wide { 2 } else { 1 }].to_vec())
        .collect()
}

#[test]
fn stored_values_equal_the_reference_bit_for_bit() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    let (mut equal, mut near, mut refused) = (0, 0, Vec::new());
    for case in expectations(&folder) {
        let name = case["file"].as_str().unwrap();
        let grey = case["SamplesPerPixel"] == 1.0;
        if case["decode"] != "ok" || !grey {
            continue;
        }
        match stored_of(&folder.join(name)) {
            Ok(stored) => {
                let kind = case["array_dtype"].as_str().unwrap();
                let mean = stored.values.iter().map(|&v| f64::from(v)).sum::<f64>()
                    / stored.values.len() as f64;
                if case["stored_values_sha256_le"] == sha256(&as_bytes(&stored, kind)) {
                    equal += 1;
                } else {
                    // Lossy decoders may round differently.
                    let lossy = name.contains("lossy")
                        || name.contains("jpegbaseline")
                        || name.contains("RSNA");
                    assert!(lossy, "{name} differs: mean {mean}");
                    let expected = case["mean"].as_f64().unwrap();
                    assert!((mean - expected).abs() < 0.05, "{name}: {mean} {expected}");
                    near += 1;
                }
            }
            Err(error) => refused.push(format!("{name}: {error}")),
        }
    }
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("JPEG-LS lossless"), "{refused:?}");
    assert_eq!(equal + near, 16);
    assert!(near <= 3, "{near} files differ from the reference");
}

#[test]
fn displayed_films_look_like_the_reference() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    let mut compared = 0;
    for case in expectations(&folder) {
        let Some(png) = case["display_png"].as_str() else {
            continue;
        };
        let film = load_film(&folder.join(case["file"].as_str().unwrap())).unwrap();
        let golden = load_film(&folder.join(png)).unwrap();
        let grey = film.to_u8(&default_window(&film));
        // The reference spreads what the window leaves to the whole of 0..=255.
        let (low, high) = (*grey.iter().min().unwrap(), *grey.iter().max().unwrap());
        let spread = f32::from(high - low).max(1.0);
        let (width, height, small) = shrink(film.width, film.height, grey, 512);
        assert_eq!((width, height), (golden.width, golden.height), "{png}");
        let off: f32 = small
            .iter()
            .zip(&golden.pixels)
            .map(|(&a, &b)| {
                (f32::from(a.saturating_sub(low)) * 255.0 / spread - f32::from(b)).abs()
            })
            .sum::<f32>()
            / small.len() as f32;
        assert!(off < 2.0, "{png}: mean difference {off}");
        compared += 1;
    }
    assert_eq!(compared, 7);
}

#[test]
fn monochrome1_is_inverted_and_says_so() {
    let Some(folder) = shared_data("radiology/dicom/real") else {
        return;
    };
    let plain = load_film(&folder.join("CR_chest_RSNA_jpegbaseline.dcm")).unwrap();
    let fake = load_film(&folder.join("CR_chest_RSNA_fake_MONOCHROME1.dcm")).unwrap();
    assert!(plain.badges.is_empty());
    assert_eq!(fake.badges, ["inverted (MONOCHROME1)"]);
    assert!(
        plain
            .pixels
            .iter()
            .zip(&fake.pixels)
            .all(|(a, b)| a + b == 255)
    );
}

#[test]
fn damaged_files_end_with_one_sentence() {
    let Some(folder) = shared_data("radiology/dicom/negative") else {
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 11);
    let mut failed = 0;
    for file in files {
        match load_film(&file) {
            Ok(film) => {
                assert!(file.ends_with("J2K_pixelrep_mismatch.dcm"), "{file:?}");
                assert_eq!(film.windows.len(), 2, "{:?}", film.windows);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&file.display().to_string()), "{text}");
                assert!(!text.contains('\n') && !text.contains("panic"), "{text}");
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 10);
}

#[test]
fn facts_are_kept_and_identity_is_not() {
    let Some(folder) = shared_data("radiology/dicom/real") else {
        return;
    };
    let loaded = load_film_with_facts(&folder.join("CR-MONO1-10-chest.dcm")).unwrap();
    assert_eq!(loaded.facts.view.as_deref(), Some("PA"));
    assert_eq!(loaded.facts.modality.as_deref(), Some("CR"));
    let known = ["age", "laterality", "modality", "sex", "view"];
    assert!(
        loaded
            .facts
            .to_map()
            .keys()
            .all(|k| known.contains(&k.as_str()))
    );
}

#[test]
fn real_files_cut_anywhere_are_refused() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    for case in expectations(&folder) {
        let name = case["file"].as_str().unwrap();
        if case["decode"] != "ok" || name.contains("jpegls") {
            continue;
        }
        let bytes = std::fs::read(folder.join(name)).unwrap();
        for share in [1, 3, 5, 7, 9] {
            let cut = decode(&bytes[..bytes.len() * share / 10], Path::new(name));
            assert!(
                cut.is_err(),
                "{name} cut to {share} tenths was taken for whole"
            );
        }
    }
}

/// An explicit little endian file of one row, built by hand.
fn synthetic(extra: &[(u16, u16, &[u8; 2], Vec<u8>)], bits: [u16; 4], pixels: &[u8]) -> Vec<u8> {
    let mut elements: Vec<(u16, u16, &[u8; 2], Vec<u8>)> = vec![
        (0x0008, 0x0060, b"CS", b"DX".to_vec()),
        (0x0028, 0x0002, b"US", vec![1, 0]),
        (0x0028, 0x0010, b"US", vec![1, 0]),
        (0x0028, 0x0011, b"US", vec![4, 0]),
    ];
    for (i, value) in bits.into_iter().enumerate() {
        let tag = 0x0100 + i as u16;
        elements.push((0x0028, tag, b"US", value.to_le_bytes().to_vec()));
    }
    elements.extend_from_slice(extra);
    elements.sort_by_key(|element| (element.0, element.1));
    let mut bytes = Vec::new();
    for (group, element, kind, value) in elements {
        bytes.extend_from_slice(&group.to_le_bytes());
        bytes.extend_from_slice(&element.to_le_bytes());
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&value);
    }
    bytes.extend_from_slice(&[0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0]);
    bytes.extend_from_slice(&(pixels.len() as u32).to_le_bytes());
    bytes.extend_from_slice(pixels);
    bytes
}

fn film_of(bytes: &[u8]) -> schema::Film {
    decode(bytes, Path::new("made.dcm")).unwrap().film
}

#[test]
fn signed_odd_bits_rescale_and_padding() {
    // 12 bits stored in 16, two's complement, overlay bits above: −1, −5, 100, padding −2000.
    let stored: [i16; 4] = [-1, -5, 100, -2000];
    let pixels: Vec<u8> = stored
        .iter()
        .flat_map(|v| ((v.cast_unsigned() & 0x0fff) | 0x3000).to_le_bytes())
        .collect();
    let extra: Vec<(u16, u16, &[u8; 2], Vec<u8>)> = vec![
        (0x0028, 0x0004, b"CS", b"MONOCHROME2 ".to_vec()),
        (0x0028, 0x0120, b"SS", (-2000_i16).to_le_bytes().to_vec()),
        (0x0028, 0x1050, b"DS", b"0 ".to_vec()),
        (0x0028, 0x1051, b"DS", b"211 ".to_vec()),
        (0x0028, 0x1052, b"DS", b"-10 ".to_vec()),
        (0x0028, 0x1053, b"DS", b"2 ".to_vec()),
    ];
    let film = film_of(&synthetic(&extra, [16, 12, 11, 1], &pixels));
    // Moved up by 5, slope left to the window; padding is as dark as the darkest pixel.
    assert_eq!(film.pixels, [4, 0, 105, 0]);
    // Modality 2·s − 10, window 0/211: u = s + 5, so x = 2u − 20; black at −105.5 is u −42.75.
    let grey = film.to_u8(&film.windows[0]);
    let expected = |modality: f32| (((modality + 0.5) / 210.0 + 0.5) * 255.0).round() as u8;
    let stored_grey: Vec<u8> = [-12.0, -20.0, 190.0]
        .map(expected_clamped(&expected))
        .to_vec();
    assert_eq!(grey[..3], stored_grey);
}

fn expected_clamped(linear: &dyn Fn(f32) -> u8) -> impl Fn(f32) -> u8 + '_ {
    move |modality| {
        if modality > 104.5 {
            255
        } else {
            linear(modality)
        }
    }
}

#[test]
fn inverted_windows_show_the_inverse() {
    let pixels: Vec<u8> = [0_u16, 300, 700, 1023]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let window = |kind: &[u8]| -> Vec<u8> {
        let extra: Vec<(u16, u16, &[u8; 2], Vec<u8>)> = vec![
            (0x0028, 0x0004, b"CS", kind.to_vec()),
            (0x0028, 0x1050, b"DS", b"550 ".to_vec()),
            (0x0028, 0x1051, b"DS", b"800 ".to_vec()),
        ];
        let film = film_of(&synthetic(&extra, [16, 10, 9, 0], &pixels));
        film.to_u8(&film.windows[0])
    };
    let plain = window(b"MONOCHROME2 ");
    let inverse: Vec<u8> = window(b"MONOCHROME1 ").iter().map(|v| 255 - v).collect();
    assert!(
        plain.iter().zip(&inverse).all(|(a, b)| a.abs_diff(*b) <= 1),
        "{plain:?} {inverse:?}"
    );
}

#[test]
fn a_length_beyond_the_file_is_refused_before_memory_is_reserved() {
    let kind: Vec<(u16, u16, &[u8; 2], Vec<u8>)> =
        vec![(0x0028, 0x0004, b"CS", b"MONOCHROME2 ".to_vec())];
    let mut bytes = synthetic(&kind, [16, 16, 15, 0], &[1, 0, 2, 0, 3, 0, 4, 0]);
    let at = bytes.len() - 12;
    bytes[at..at + 4].copy_from_slice(&0xf000_0000_u32.to_le_bytes());
    let error = decode_object(&bytes, Path::new("made.dcm")).unwrap_err();
    let expected = "element (7FE0,0010) states 4026531840 bytes where 8 are left";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn no_prefix_of_a_file_panics() {
    let extra: Vec<(u16, u16, &[u8; 2], Vec<u8>)> =
        vec![(0x0028, 0x0004, b"CS", b"MONOCHROME2 ".to_vec())];
    let whole = synthetic(&extra, [16, 16, 15, 0], &[1, 0, 2, 0, 3, 0, 4, 0]);
    assert_eq!(film_of(&whole).pixels, [1, 2, 3, 4]);
    for length in 0..whole.len() {
        let cut = decode_object(&whole[..length], Path::new("cut.dcm"));
        assert!(cut.is_err(), "{length} bytes were taken for a whole file");
    }
}
