//! Transcoders against 50 steps of sparsify's own trainer, made by
//! `tests/interchange/make_transcoders.py`.
#![expect(clippy::print_stderr, reason = "says how close")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sae::formats::export::{ExportFacts, ExportFormat, export};
use sae::formats::{folder, trainer_settings};
use sae::{InMemorySource, SaeError, SaeParts, initial_weights, train_from};
use safetensors::SafeTensors;
use schema::{InputScaling, SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant, StepReport};

const D: usize = 8;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sparsify_transcoders")
}

/// Rows, and what they are to predict.
fn pairs() -> InMemorySource {
    let bytes = std::fs::read(fixtures().join("data.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let [x, y] = ["x", "y"].map(|name| {
        let data = file.tensor(name).unwrap().data().chunks_exact(4);
        data.map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect::<Vec<f32>>()
    });
    let source = InMemorySource::in_order(x, D).unwrap();
    source.with_targets(y).unwrap()
}

fn settings(case: &Path) -> SaeConfig {
    SaeConfig {
        batch_rows: 24,
        steps: 50,
        dead_after_rows: 72,
        lr: 5e-3,
        warmup_steps: 10,
        auxk_alpha: 1.0 / 32.0,
        optimizer: SaeOptimiser::Adam,
        ..trainer_settings(&case.join("init")).unwrap().unwrap()
    }
}

fn train(config: &SaeConfig, initial: SaeParts) -> Result<(SaeParts, Vec<StepReport>), SaeError> {
    let mut reports = Vec::new();
    let trained = train_from(
        config,
        initial,
        &mut pairs(),
        &mut |report| {
            reports.push(*report);
            ControlFlow::Continue(())
        },
        None,
    )?;
    Ok((trained.sae.into_parts(), reports))
}

#[test]
fn fifty_steps_equal_those_of_sparsify() {
    for name in ["skip", "skip_groupmax", "multi_topk"] {
        let case = fixtures().join(name);
        let config = settings(&case);
        assert!(config.transcode, "{name}");
        let (initial, _) = folder::load(&case.join("init")).unwrap();
        let (got, reports) = train(&config, initial.into_parts()).unwrap();
        let curve = std::fs::read(case.join("curve.json")).unwrap();
        let curve: Vec<serde_json::Value> = serde_json::from_slice(&curve).unwrap();
        let mut worst = 0_f64;
        for (report, expected) in reports.iter().zip(&curve) {
            let [fvu, auxk, multi] =
                ["fvu", "auxk_loss", "multi_topk_fvu"].map(|part| expected[part].as_f64().unwrap());
            let loss = fvu + f64::from(config.auxk_alpha) * auxk + multi / 8.0;
            for (got, expected) in [(report.fvu, fvu), (report.loss, loss)] {
                worst = worst.max((f64::from(got) / expected - 1.0).abs());
            }
            assert_eq!(expected["dead"], report.dead, "{name} {}", report.step);
        }
        eprintln!("{name}: loss curve differs by {worst:.2e} at most, relative");
        assert!(worst < 1e-5, "{name}: {worst}");
        assert_eq!(reports.len(), 50);
        let (expected, _) = folder::load(&case.join("final")).unwrap();
        same_weights(name, &got, expected.parts());
    }
}

fn same_weights(name: &str, got: &SaeParts, expected: &SaeParts) {
    assert_eq!(got.is_centred, expected.is_centred);
    assert_eq!(got.sparsity, expected.sparsity);
    let skip = |parts: &SaeParts| parts.extras.skip.clone().unwrap_or_default();
    for (tensor, got, expected) in [
        ("w_enc", &got.w_enc, &expected.w_enc),
        ("b_enc", &got.b_enc, &expected.b_enc),
        ("w_dec", &got.w_dec, &expected.w_dec),
        ("b_dec", &got.b_dec, &expected.b_dec),
        ("skip", &skip(got), &skip(expected)),
    ] {
        assert_eq!(got.len(), expected.len(), "{name} {tensor}");
        let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        eprintln!("{name} final {tensor}: largest difference {worst:.2e}");
        assert!(worst < 1e-4, "{name} {tensor}");
    }
}

fn own_start(skip_connection: bool) -> SaeConfig {
    SaeConfig {
        k: 4,
        batch_rows: 24,
        steps: 400,
        transcode: true,
        skip_connection,
        optimizer: SaeOptimiser::Adam,
        lr: 5e-3,
        warmup_steps: 20,
        ..SaeConfig::of_recipe(SaeRecipe::Sparsify, SaeVariant::TopK, 40)
    }
}

/// From where this program starts one, it learns what it is to predict, better with the linear
/// path, and what is written for sparsify is the same transcoder.
#[test]
fn a_transcoder_learns_and_is_written_for_sparsify() {
    let fvus = [false, true].map(|skip_connection| {
        let config = own_start(skip_connection);
        let initial = initial_weights(&config, D).unwrap();
        assert!(initial.w_dec.iter().all(|&value| value == 0.0));
        let (parts, reports) = train(&config, initial).unwrap();
        let sae = sae::SparseAutoencoder::new(parts).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let facts = ExportFacts::default();
        let again = export(ExportFormat::Sparsify, dir.path(), &sae, &facts).unwrap();
        assert_eq!(again, sae);
        let stated = trainer_settings(dir.path()).unwrap().unwrap();
        assert!(stated.transcode);
        assert_eq!(stated.skip_connection, skip_connection);
        let refused = export(ExportFormat::Saelens, dir.path(), &sae, &facts);
        assert!(refused.unwrap_err().to_string().contains("transcoders"));
        assert!((reports[0].fvu - 1.0).abs() < 1e-5, "{}", reports[0].fvu);
        reports[399].fvu
    });
    assert!(fvus[1] < fvus[0] && fvus[0] < 0.8, "{fvus:?}");
}

#[test]
fn what_makes_no_transcoder_is_named() {
    let good = own_start(true);
    for (field, config) in [
        (
            "transcode",
            SaeConfig {
                recipe: SaeRecipe::DictionaryLearning,
                skip_connection: false,
                ..good.clone()
            },
        ),
        (
            "skip_connection",
            SaeConfig {
                transcode: false,
                ..good.clone()
            },
        ),
        (
            "multi_topk",
            SaeConfig {
                multi_topk: true,
                ..good.clone()
            },
        ),
        (
            "centre_rows",
            SaeConfig {
                centre_rows: true,
                ..good.clone()
            },
        ),
        (
            "normalize_activations",
            SaeConfig {
                normalize_activations: InputScaling::ExpectedAverage,
                ..good.clone()
            },
        ),
        (
            "apply_b_dec_to_input",
            SaeConfig {
                apply_b_dec_to_input: Some(true),
                ..good.clone()
            },
        ),
        // Rows with targets, and settings that do not heed them.
        (
            "transcode",
            SaeConfig {
                transcode: false,
                skip_connection: false,
                ..good.clone()
            },
        ),
    ] {
        let initial = initial_weights(&good, D).unwrap();
        match train(&config, initial) {
            Err(SaeError::Config { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let mut alone = InMemorySource::in_order(vec![1.0; 48 * D], D).unwrap();
    let continues = &mut |_: &StepReport| ControlFlow::Continue(());
    let error = sae::train(&good, &mut alone, continues, None).unwrap_err();
    assert!(error.to_string().contains("without others"), "{error}");
}
