//! Loss and gradients against `dictionary_learning`'s, from the shared fixtures; tests only.
#![expect(
    clippy::print_stderr,
    reason = "says how close, and why a test is skipped"
)]

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use schema::{SaeConfig, SaeVariant};

use crate::formats::dictionary_learning;
use crate::gradients::Scratch;
use crate::optimiser::{clip_factor, project_gradients};
use crate::settings::check_config;
use crate::tensors::read_f32;
use crate::variants::variant;
use crate::weights::Weights;

/// The shared folder, or `None` after saying that the test is skipped.
fn shared() -> Option<PathBuf> {
    let given = std::env::var_os("FLUOROSCOPE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let found = given
        .into_iter()
        .chain([beside])
        .find(|path| path.join("fixtures").is_dir());
    if found.is_none() {
        assert!(
            std::env::var_os("FLUOROSCOPE_REQUIRE_SHARED").is_none(),
            "the shared folder is required and absent"
        );
        eprintln!("skipped: no shared folder (FLUOROSCOPE_SHARED or ../shared)");
    }
    found
}

fn close(name: &str, got: &[f32], expected: &[f32], factor: f32) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0_f32, |m, v| m.max(v.abs()));
    let limit = factor * (1e-6 + 1e-5 * largest);
    let worst = std::iter::zip(got, expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    eprintln!("{name}: largest difference {worst:.2e}, limit {limit:.2e}");
    assert!(worst <= limit, "{name}: {worst} above {limit}");
}

fn transposed(values: &[f32], n: usize) -> Vec<f32> {
    let m = values.len() / n;
    (0..n)
        .flat_map(|i| (0..m).map(move |j| values[j * n + i]))
        .collect()
}

/// Settings of the fixtures.
fn settings(variant: SaeVariant) -> SaeConfig {
    SaeConfig {
        variant,
        n_features: 101,
        k: 6,
        batch_rows: 64,
        dead_after_rows: 320,
        threshold_start_step: 20,
        group_sizes: vec![10, 25, 66],
        bandwidth: 0.25,
        sparsity_warmup_steps: 20,
        ..SaeConfig::default()
    }
}

/// Loss and gradients at step 25 against the fixture; names of `report.json`'s parts of the loss
/// for reconstruction, `AuxK` and the variant's own terms.
fn check(kind: &str, config: &SaeConfig, loss_parts: [&str; 3]) {
    let Some(shared) = shared() else { return };
    let fixtures = shared.join("fixtures/sae");
    let folder = fixtures.join("dictionary_learning").join(kind);
    let sae = dictionary_learning::load(&folder.join("model")).unwrap();
    let path = folder.join("loss_grads.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| {
        let dims = tensors.tensor(name).unwrap().shape().len();
        read_f32(&path, &tensors, name, &vec![None; dims])
            .unwrap()
            .1
    };
    let counts = |name: &str| -> Option<Vec<u64>> {
        let bytes = tensors.tensor(name).ok()?.data();
        let each = bytes.chunks_exact(8);
        Some(
            each.map(|b| u64::from_le_bytes(b.try_into().unwrap()))
                .collect(),
        )
    };
    check_config(config, 24).unwrap();
    let variant = variant(config).unwrap();
    let parts = sae.into_parts();
    let extra = variant.initial_extra(&parts.sparsity);
    let weights = Weights::from_parts(parts, extra);
    let mut scratch = Scratch::new(&weights);
    let mut since = counts("tokens_since_fired_before").unwrap();
    let x = tensor("x");
    let loss = scratch.batch((config, variant.as_ref()), 25, &weights, &x, &mut since);
    if let Some(after) = counts("tokens_since_fired_after") {
        assert_eq!(since, after);
    }
    let report = std::fs::read_to_string(fixtures.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let saved = &report["fixtures"][format!("dictionary_learning/{kind}")]["loss"];
    let [reconstruction, auxk, total] = loss_parts;
    let whole = loss.reconstruction + loss.penalty + f64::from(config.auxk_alpha) * loss.auxk;
    for (name, got) in [
        (reconstruction, loss.reconstruction),
        (auxk, loss.auxk),
        (total, whole),
    ] {
        if !name.is_empty() {
            let expected = saved[name].as_f64().unwrap();
            eprintln!("{kind} {name}: {got}, expected {expected}");
            assert!((got / expected - 1.0).abs() < 1e-6, "{kind} {name}");
        }
    }
    let of = |prefix: &str, gradients: &Weights| {
        compare(kind, prefix, gradients, &|name| {
            let name = format!("{prefix}.{name}");
            tensors.tensor(&name).is_ok().then(|| tensor(&name))
        });
    };
    of("grad", &scratch.gradients);
    if tensors
        .names()
        .iter()
        .any(|name| name.starts_with("grad_processed"))
    {
        let norm = project_gradients(config, &weights, &mut scratch.gradients);
        let clip = clip_factor(config, norm);
        let gradients = &mut scratch.gradients;
        for tensor in [
            &mut gradients.w_enc,
            &mut gradients.b_enc,
            &mut gradients.w_dec,
            &mut gradients.b_dec,
            &mut gradients.extra,
        ] {
            for value in tensor.iter_mut() {
                *value *= clip;
            }
        }
        of("grad_processed", gradients);
    }
}

/// Compares every tensor that the fixture has, under whichever of its names.
fn compare(kind: &str, prefix: &str, got: &Weights, saved: &dyn Fn(&str) -> Option<Vec<f32>>) {
    let n = got.n_features();
    let mut compared = 0;
    let turned = |values: Vec<f32>, columns| transposed(&values, columns);
    // `nn.Linear` keeps the decoder as [d, n], `nn.Parameter` the encoder so.
    for (name, got, columns) in [
        ("encoder.weight", &got.w_enc[..], None),
        ("W_enc", &got.w_enc, Some(n)),
        ("encoder.bias", &got.b_enc, None),
        ("b_enc", &got.b_enc, None),
        ("decoder.weight", &got.w_dec, Some(n)),
        ("W_dec", &got.w_dec, None),
        ("b_dec", &got.b_dec, None),
        ("bias", &got.b_dec, None),
        ("decoder_bias", &got.b_dec, None),
        ("threshold", &got.extra, None),
        ("gate_bias", got.extra.get(..n).unwrap_or_default(), None),
        ("r_mag", got.extra.get(n..2 * n).unwrap_or_default(), None),
        ("mag_bias", got.extra.get(2 * n..).unwrap_or_default(), None),
    ] {
        if let Some(expected) = saved(name) {
            let expected = match columns {
                Some(columns) => turned(expected, columns),
                None => expected,
            };
            close(&format!("{kind} {prefix}.{name}"), got, &expected, 1.0);
            compared += 1;
        }
    }
    assert!(compared >= 4, "{kind}: {compared} tensors compared");
}

#[test]
fn top_k_loss_and_gradients() {
    let config = settings(SaeVariant::TopK);
    check("topk", &config, ["l2_loss", "auxk_loss", "loss"]);
}

#[test]
fn batch_top_k_loss_and_gradients() {
    let config = settings(SaeVariant::BatchTopK);
    check("batch_topk", &config, ["l2_loss", "auxk_loss", "loss"]);
}

#[test]
fn matryoshka_loss_and_gradients() {
    let config = settings(SaeVariant::Matryoshka);
    let parts = ["l2_loss", "auxk_loss", "loss"];
    check("matryoshka_batch_topk", &config, parts);
}

#[test]
fn jump_relu_loss_and_gradients() {
    let config = settings(SaeVariant::JumpRelu);
    check("jumprelu", &config, ["l2_loss", "", "loss"]);
}

#[test]
fn gated_loss_and_gradients() {
    let config = SaeConfig {
        l1: 0.15,
        ..settings(SaeVariant::Gated)
    };
    check("gated", &config, ["mse_loss", "", "loss"]);
}

#[test]
fn relu_loss_and_gradients() {
    let config = SaeConfig {
        l1: 0.2,
        ..settings(SaeVariant::Relu)
    };
    check("standard", &config, ["mse_loss", "", "loss"]);
    let config = SaeConfig {
        unit_decoder: false,
        ..config
    };
    check("standard_april", &config, ["mse_loss", "", "loss"]);
}
