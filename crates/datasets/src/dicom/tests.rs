use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::film::{default_window, load_film, load_film_with_facts};
use crate::resize::shrink;
use crate::test_data::{sha256, shared_data, synthetic};

fn expectations(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All samples of the first frame as the file's own number type, little endian.
fn sample_bytes(path: &Path, kind: &str) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let frame = stored::Frame::decode(&open(&bytes, path).unwrap(), path)
        .unwrap_or_else(|error| panic!("{error}"));
    let samples = frame.samples();
    let wide = if kind.ends_with("16") || kind.ends_with("u2") {
        2
    } else {
        1
    };
    samples
        .iter()
        .flat_map(|&value| value.to_le_bytes()[..wide].to_vec())
        .collect()
}

#[test]
fn stored_values_equal_the_reference_bit_for_bit() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    let mut equal = Vec::new();
    for case in expectations(&folder) {
        let name = case["file"].as_str().unwrap();
        let Some(hash) = case["stored_values_sha256_le"].as_str() else {
            continue;
        };
        let kind = case["array_dtype"].as_str().unwrap();
        let bytes = sample_bytes(&folder.join(name), kind);
        assert_eq!(hash, sha256(&bytes), "{name}");
        equal.push(name.to_owned());
    }
    assert_eq!(equal.len(), 19, "{equal:?}");
    assert!(equal.contains(&"negative/J2K_pixelrep_mismatch.dcm".to_owned()));
    assert!(equal.contains(&"derived/DX_chest_jpegls_lossless.dcm".to_owned()));
    assert!(equal.contains(&"real/CR_chest_RSNA_jpegbaseline.dcm".to_owned()));
}

/// The film as the README of the data shows it: what the window gives is spread from its lowest to
/// its highest value over 8 bits, then MONOCHROME1 is inverted.
fn spread(film: &schema::Film) -> Vec<u8> {
    let window = default_window(film);
    let inverted = film
        .badges
        .iter()
        .any(|badge| badge.contains("MONOCHROME1"));
    // A film keeps MONOCHROME1 turned round: turn it back, spread, and invert at the end.
    let shown: Vec<f64> = film
        .pixels
        .iter()
        .map(|&value| window.level(f32::from(value)))
        .map(|level| if inverted { 1.0 - level } else { level })
        .collect();
    let low = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let high = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let grey = |level: f64| ((level - low) / (high - low).max(1e-9) * 255.0 + 0.5 + 1e-9) as u8;
    shown
        .into_iter()
        .map(|level| {
            if inverted {
                255 - grey(level)
            } else {
                grey(level)
            }
        })
        .collect()
}

#[test]
fn displayed_films_equal_the_golden_pictures() {
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
        let (width, height, small) = shrink(film.width, film.height, spread(&film), 512);
        assert_eq!((width, height), (golden.width, golden.height), "{png}");
        let off = || {
            small
                .iter()
                .zip(&golden.pixels)
                .map(|(&a, &b)| u16::from(a).abs_diff(b))
        };
        let worst = off().max().unwrap();
        let mean = off().map(f64::from).sum::<f64>() / small.len() as f64;
        assert!(mean <= 0.5, "{png}: mean {mean}");
        assert!(worst <= 1, "{png}: at most {worst}");
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
    let known = [
        "age",
        "laterality",
        "modality",
        "orientation",
        "sex",
        "view",
    ];
    assert!(
        loaded
            .facts
            .to_map()
            .keys()
            .all(|k| known.contains(&k.as_str()))
    );
}

#[test]
fn sides_are_read_as_letters() {
    let Some(folder) = shared_data("radiology/dicom/real") else {
        return;
    };
    let name = "CR_chest_MONO1_15bit_J2K_lossy_RG1.dcm";
    let loaded = load_film_with_facts(&folder.join(name)).unwrap();
    assert_eq!(loaded.facts.orientation.as_deref(), Some("L\\F"));
    let edges = loaded.facts.edges().unwrap();
    assert_eq!((edges.left().as_str(), edges.right.as_str()), ("R", "L"));
    let name = "CR_tibia_MONO1_10bit_J2K_lossless_RG3.dcm";
    let loaded = load_film_with_facts(&folder.join(name)).unwrap();
    assert_eq!(loaded.facts.laterality.as_deref(), Some("R"));
}

/// Every text of the basic profile's tags, in items of sequences too.
fn identifying_texts(object: &InMemDicomObject, texts: &mut Vec<String>) {
    for tag in identity::PATIENT.iter().chain(&identity::OTHERS) {
        texts.extend(text(object, *tag));
    }
    for element in object {
        for item in element.items().unwrap_or_default() {
            identifying_texts(item, texts);
        }
    }
}

#[test]
fn no_text_of_the_basic_profile_reaches_an_import() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    let mut texts = Vec::new();
    for case in expectations(&folder) {
        let path = folder.join(case["file"].as_str().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        if let Ok(object) = open(&bytes, &path) {
            identifying_texts(&object, &mut texts);
        }
    }
    texts.retain(|text| text.len() >= 4);
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 50, "{texts:?}");
    assert!(texts.iter().any(|text| text == "Lestrade^G"));
    let source = crate::import::RadiographSource {
        images: folder,
        ..crate::import::RadiographSource::default()
    };
    let plan = crate::import::import_radiographs("films", &source, 0, &mut |_, _| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let mut written = vec![serde_json::to_string(&plan.manifest).unwrap()];
    written.extend(
        plan.records
            .iter()
            .map(|r| serde_json::to_string(r).unwrap()),
    );
    written.extend(plan.recognised);
    written.extend(plan.warnings);
    for text in &texts {
        let found = written.iter().find(|line| line.contains(text.as_str()));
        assert!(found.is_none(), "{text:?} is in {found:?}");
    }
    let named = "carry patient names or numbers; they are never read into the project";
    assert!(
        written.iter().any(|line| line.ends_with(named)),
        "{written:?}"
    );
}

#[test]
fn real_files_cut_anywhere_are_refused() {
    let Some(folder) = shared_data("radiology/dicom") else {
        return;
    };
    for case in expectations(&folder) {
        let name = case["file"].as_str().unwrap();
        if case["decode"] != "ok" {
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

/// A row of four 10-bit values through the file's own first window, after a rescale of 2·s − 100.
fn through_function(kind: &[u8], function: &[u8]) -> (schema::Film, Vec<f64>) {
    let values = [300_u16, 350, 420, 600];
    let pixels: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let extra: Vec<(u16, u16, &[u8; 2], Vec<u8>)> = vec![
        (0x0028, 0x0004, b"CS", kind.to_vec()),
        (0x0028, 0x1050, b"DS", b"600 ".to_vec()),
        (0x0028, 0x1051, b"DS", b"400 ".to_vec()),
        (0x0028, 0x1052, b"DS", b"-100".to_vec()),
        (0x0028, 0x1053, b"DS", b"2 ".to_vec()),
        (0x0028, 0x1056, b"CS", function.to_vec()),
    ];
    let film = film_of(&synthetic(&extra, [16, 10, 9, 0], &pixels));
    let window = default_window(&film);
    let levels = film
        .pixels
        .iter()
        .map(|&v| window.level(f32::from(v)))
        .collect();
    (film, levels)
}

#[test]
fn each_function_is_applied_to_modality_values_and_inverted_last() {
    let modality = [500.0, 600.0, 740.0, 1100.0_f64];
    let linear = |x: f64| ((x - 599.5) / 399.0 + 0.5).clamp(0.0, 1.0);
    let exact = |x: f64| ((x - 600.0) / 400.0 + 0.5).clamp(0.0, 1.0);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-4.0 * (x - 600.0) / 400.0).exp());
    let cases: [(&[u8], [f64; 4]); 3] = [
        (b"LINEAR", modality.map(linear)),
        (b"LINEAR_EXACT", modality.map(exact)),
        (b"SIGMOID ", modality.map(sigmoid)),
    ];
    for (name, expected) in cases {
        let (film, levels) = through_function(b"MONOCHROME2 ", name);
        assert!(film.badges.is_empty(), "{:?}", film.badges);
        let (_, inverse) = through_function(b"MONOCHROME1 ", name);
        for i in 0..4 {
            let off = (levels[i] - expected[i]).abs();
            assert!(off < 1e-5, "{name:?}: {levels:?} {expected:?}");
            let off = (inverse[i] - (1.0 - expected[i])).abs();
            assert!(off < 1e-5, "{name:?} inverted: {inverse:?} {expected:?}");
        }
    }
}

#[test]
fn a_table_of_the_file_is_applied_and_a_line_fits_it() {
    let Some(folder) = shared_data("radiology/dicom/real") else {
        return;
    };
    let path = folder.join("VOILUT_8bit_vlut_04.dcm");
    let film = load_film(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let object = open(&bytes, &path).unwrap();
    let item = first_item(&object, tags::VOILUT_SEQUENCE).unwrap();
    let descriptor = numbers(item, tags::LUT_DESCRIPTOR);
    let entries: Vec<u16> = item.get(tags::LUT_DATA).unwrap().to_multi_int().unwrap();
    let highest = 2_f64.powf(descriptor[2]) - 1.0;
    let window = default_window(&film);
    assert!(window.is_table());
    for &value in &film.pixels {
        let at = (f64::from(value) - descriptor[1]).clamp(0.0, entries.len() as f64 - 1.0);
        let expected = f64::from(entries[at as usize]) / highest;
        let found = window.level(f32::from(value));
        assert!(
            (found - expected).abs() < 1e-4,
            "{value}: {found} {expected}"
        );
    }
    assert!(!window.without_table().is_table());
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

#[test]
fn text_in_the_pixels_is_said_on_the_film() {
    let film = |extra: &[(u16, u16, &[u8; 2], Vec<u8>)]| {
        let mut all: Vec<(u16, u16, &[u8; 2], Vec<u8>)> =
            vec![(0x0028, 0x0004, b"CS", b"MONOCHROME2 ".to_vec())];
        all.extend_from_slice(extra);
        film_of(&synthetic(&all, [16, 16, 15, 0], &[1, 0, 2, 0, 3, 0, 4, 0]))
    };
    let burned = film(&[(0x0028, 0x0301, b"CS", b"YES ".to_vec())]);
    assert_eq!(burned.badges, ["text burned in: may name the patient"]);
    let clean = film(&[(0x0028, 0x0301, b"CS", b"NO".to_vec())]);
    assert!(clean.badges.is_empty());
}
