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

/// What `report.json` says of the loss at step 25: reconstruction and normalised `AuxK`.
fn check(kind: &str, variant: SaeVariant, reconstruction: f64, auxk: f64) {
    let Some(shared) = shared() else { return };
    let folder = shared.join("fixtures/sae/dictionary_learning").join(kind);
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
    let counts = |name: &str| -> Vec<u64> {
        let bytes = tensors.tensor(name).unwrap().data();
        bytes
            .chunks_exact(8)
            .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let config = SaeConfig {
        variant,
        n_features: 101,
        k: 6,
        batch_rows: 64,
        dead_after_rows: 320,
        threshold_start_step: 20,
        ..SaeConfig::default()
    };
    let sparsity = check_config(&config, 24).unwrap();
    let weights = Weights::from_parts(sae.into_parts());
    let mut scratch = Scratch::new(&weights);
    let mut since = counts("tokens_since_fired_before");
    let loss = scratch.batch(&config, &sparsity, &weights, &tensor("x"), &mut since);
    assert_eq!(since, counts("tokens_since_fired_after"));
    assert!(
        (loss.reconstruction / reconstruction - 1.0).abs() < 1e-6,
        "{loss:?}"
    );
    assert!((loss.auxk / auxk - 1.0).abs() < 1e-6, "{loss:?}");
    assert!(loss.n_dead > 0);

    let n = weights.n_features();
    for (prefix, factor) in [("grad", 1.0), ("grad_processed", 1.0)] {
        if prefix == "grad_processed" {
            let norm = project_gradients(&weights, &mut scratch.gradients);
            let clip = clip_factor(&config, norm);
            let gradients = &mut scratch.gradients;
            for tensor in [
                &mut gradients.w_enc,
                &mut gradients.b_enc,
                &mut gradients.w_dec,
                &mut gradients.b_dec,
            ] {
                for value in tensor.iter_mut() {
                    *value *= clip;
                }
            }
        }
        let got = &scratch.gradients;
        let decoder = transposed(&tensor(&format!("{prefix}.decoder.weight")), n);
        close(
            &format!("{kind} {prefix}.decoder"),
            &got.w_dec,
            &decoder,
            factor,
        );
        for (name, got) in [
            ("encoder.weight", &got.w_enc),
            ("encoder.bias", &got.b_enc),
            ("b_dec", &got.b_dec),
        ] {
            let expected = tensor(&format!("{prefix}.{name}"));
            close(&format!("{kind} {prefix}.{name}"), got, &expected, factor);
        }
    }
}

#[test]
fn top_k_loss_and_gradients() {
    check("topk", SaeVariant::TopK, 10.961_977_412, 1.310_675_144);
}

#[test]
fn batch_top_k_loss_and_gradients() {
    check(
        "batch_topk",
        SaeVariant::BatchTopK,
        13.270_940_200,
        1.135_617_018,
    );
}
