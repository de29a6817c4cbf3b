//! The `TinyViT` encoder: against torch's figures, on odd films and damaged files.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use candle_core::npy::NpzTensors;
use models::vision::preprocess::{Filter, GreyImage, resize};
use models::vision::{TinyVitModel, average_pool, load_tiny_vit};
use models::{HookedModel as _, ModelError, ModelInput, ModelSample};
use schema::{Film, HookPoint, PositionClass};

use crate::shared_files::{max_difference, shared};

const FOLDER: &str = "models/lite-medsam";

fn encoder() -> Option<&'static TinyVitModel> {
    static MODEL: OnceLock<Option<TinyVitModel>> = OnceLock::new();
    MODEL
        .get_or_init(|| Some(load_tiny_vit(&shared(FOLDER)?, "hash").unwrap()))
        .as_ref()
}

/// The fixture's array `name` as f32.
fn fixture(arrays: &NpzTensors, name: &str) -> Vec<f32> {
    let tensor = arrays.get(name).unwrap().unwrap();
    let tensor = tensor.to_dtype(candle_core::DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn film(width: u32, height: u32, pixels: Vec<u16>) -> Film {
    Film {
        width,
        height,
        pixels,
        windows: Vec::new(),
        badges: Vec::new(),
    }
}

fn prepare(model: &TinyVitModel, film: &Film) -> ModelInput {
    let sample = ModelSample {
        film: Some(film),
        ..ModelSample::default()
    };
    model.prepare(sample).unwrap()
}

fn mean_row(values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0_f64; width];
    for row in values.chunks(width) {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, v)| *sum += f64::from(*v));
    }
    let n = (values.len() / width) as f64;
    sums.iter().map(|sum| (sum / n) as f32).collect()
}

#[test]
fn every_stage_equals_torch() {
    let (Some(model), Some(folder)) = (encoder(), shared(FOLDER)) else {
        return;
    };
    let arrays = NpzTensors::new(folder.join("fixture.npz")).unwrap();
    let hooks: Vec<HookPoint> = model.card().hooks.iter().map(|info| info.hook).collect();
    for i in 0..2 {
        let get = |name: &str| fixture(&arrays, &format!("img{i}_{name}"));
        let pixels = get("u8_256").iter().map(|&v| v as u16).collect();
        let input = prepare(model, &film(256, 256, pixels));
        let start = Instant::now();
        let captured = model.capture(&[input], &hooks).unwrap().remove(0);
        let seconds = start.elapsed().as_secs_f64();
        let mut worst = Vec::new();
        for (stage, (rows, side)) in captured.iter().zip([128, 64, 64, 64]).enumerate() {
            assert_eq!(rows.n_rows, side * side);
            let means = get(&format!("layer{stage}_tok_mean"));
            worst.push(max_difference(
                &mean_row(&rows.values, rows.d_model),
                &means,
            ));
        }
        let tokens: Vec<f32> = captured[3]
            .values
            .chunks(320)
            .step_by(64)
            .flatten()
            .copied()
            .collect();
        worst.push(max_difference(&tokens, &get("layer3_tokens_stride64")));
        let neck = &captured[4].values;
        let sub: Vec<f32> = (0..256)
            .flat_map(|c| (0..64).map(move |j| (c, j / 8 * 8, j % 8 * 8)))
            .map(|(c, y, x)| neck[(y * 64 + x) * 256 + c])
            .collect();
        worst.push(max_difference(&sub, &get("neck_sub8")));
        worst.push(max_difference(&mean_row(neck, 256), &get("neck_chmean")));
        #[expect(clippy::print_stderr, reason = "figures for the log of the test")]
        {
            eprintln!("img{i}: largest differences {worst:?}, {seconds:.2} s");
        }
        assert!(
            worst.iter().all(|&difference| difference < 1e-3),
            "{worst:?}"
        );
    }
}

#[test]
fn stopping_early_changes_nothing() {
    let Some(model) = encoder() else { return };
    let pixels = (0..256 * 256).map(|i| (i * 7 % 251) as u16).collect();
    let inputs = [prepare(model, &film(256, 256, pixels))];
    let (third, first) = (HookPoint::VisionStageOut(2), HookPoint::VisionStageOut(0));
    let both = model.capture(&inputs, &[third, first]).unwrap();
    assert_eq!(both[0][0].hook, third);
    let one = model.capture(&inputs, &[first]).unwrap();
    assert_eq!(one[0][0], both[0][1]);
}

#[test]
fn resizing_equals_pillow() {
    let (Some(folder), Some(films)) = (shared(FOLDER), shared("data/radiology/cxr/lossless16"))
    else {
        return;
    };
    let arrays = NpzTensors::new(folder.join("fixture.npz")).unwrap();
    for (i, name) in ["00000001_000.png", "00000920_000.png"].iter().enumerate() {
        let film = image::open(films.join(name)).unwrap().into_luma8();
        let (width, height) = film.dimensions();
        let grey = GreyImage {
            width: width as usize,
            height: height as usize,
            pixels: film.into_raw(),
        };
        let ours: Vec<f32> = resize(&grey, [256, 256], Filter::Bilinear)
            .pixels
            .iter()
            .map(|&v| f32::from(v))
            .collect();
        let theirs = fixture(&arrays, &format!("img{i}_u8_256"));
        assert_eq!(max_difference(&ours, &theirs), 0.0, "{name}");
    }
}

#[test]
fn pooled_tokens_equal_the_recorded_ones() {
    let (Some(model), Some(folder), Some(films)) =
        (encoder(), shared(FOLDER), shared("data/radiology/cxr/nih"))
    else {
        return;
    };
    let recorded = candle_core::Tensor::read_npy(folder.join("layer3_tokens8x8_f16.npy")).unwrap();
    let recorded = recorded
        .get(0)
        .unwrap()
        .to_dtype(candle_core::DType::F32)
        .unwrap();
    let recorded: Vec<f32> = recorded.flatten_all().unwrap().to_vec1().unwrap();
    let image = image::open(films.join("00000001_000.jpg"))
        .unwrap()
        .into_luma8();
    let (width, height) = image.dimensions();
    let pixels = image.into_raw().into_iter().map(u16::from).collect();
    let input = prepare(model, &film(width, height, pixels));
    let rows = model
        .capture(&[input], &[HookPoint::VisionStageOut(3)])
        .unwrap()
        .remove(0)
        .remove(0);
    let pooled = average_pool(&rows.values, (64, 64), 8).unwrap();
    let largest = recorded.iter().fold(0_f32, |most, v| most.max(v.abs()));
    let difference = max_difference(&pooled, &recorded);
    // The decoders of the two languages differ by a grey value here and there.
    assert!(difference < 0.05 * largest, "{difference} of {largest}");
}

#[test]
fn padding_is_no_image() {
    let Some(model) = encoder() else { return };
    let pixels = (0..300 * 150).map(|i| (i % 300) as u16).collect();
    let input = prepare(model, &film(300, 150, pixels));
    let hook = HookPoint::VisionStageOut(3);
    let grid = model.grid(&input, hook).unwrap();
    assert_eq!((grid.rows, grid.columns), (64, 64));
    assert_eq!((grid.width, grid.height), (300.0, 300.0));
    let classes = model.positions(&input, hook).unwrap();
    let n_image = classes
        .iter()
        .filter(|p| p.class == PositionClass::Image)
        .count();
    assert_eq!(n_image, 32 * 64);
    assert_eq!(classes[32 * 64].class, PositionClass::Boilerplate);
    assert!(matches!(
        model.prepare(ModelSample::default()),
        Err(ModelError::Sample { .. })
    ));
    let unknown = model.capture(&[input], &[HookPoint::VisionStageOut(4)]);
    assert!(matches!(unknown, Err(ModelError::NoSuchHook { .. })));
}

/// What loading says about a folder with these two files.
fn load_error(config: &[u8], weights: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    std::fs::write(folder.path().join("w.safetensors"), weights).unwrap();
    let error = load_tiny_vit(folder.path(), "").err().unwrap();
    assert!(matches!(error, ModelError::Format { .. }), "{error}");
    error.to_string()
}

#[test]
fn damaged_folders_are_sentences() {
    let Some(folder) = shared(FOLDER) else { return };
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let weights = std::fs::read(folder.join("lite_medsam_image_encoder_f32.safetensors")).unwrap();
    for length in [0, 7, 8, 5_000, 40_000, 1_000_000, weights.len() - 1] {
        let sentence = load_error(&config, &weights[..length]);
        assert!(sentence.contains("w.safetensors: its header"), "{sentence}");
    }
    let mut nan = weights.clone();
    let at = weights.len() - 4;
    nan[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(load_error(&config, &nan).contains("not a finite number"));
    let text = String::from_utf8(config).unwrap();
    let other = text.replace("\"mlp_ratio\": 4.0", "\"mlp_ratio\": 2.0");
    assert!(load_error(other.as_bytes(), &weights).contains("expected F32 of shape"));
    assert!(load_error(b"{\"in\": 256}", &weights).contains("config.json"));
    assert!(load_error(text.replace("256", "255").as_bytes(), &weights).contains("key in"));
    let empty = tempfile::tempdir().unwrap();
    assert!(load_tiny_vit(empty.path(), "").is_err());
    assert!(load_tiny_vit(Path::new("/nowhere"), "").is_err());
}
