//! Metrics against those that the reference implementations' own reconstructions give.
#![expect(
    clippy::print_stderr,
    reason = "says how close, and why a test is skipped"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/support/shared.rs"]
mod shared;

use std::path::Path;

use sae::formats::{dictionary_learning, saelens};
use sae::{CentreSums, FvuSum, RowSums, SparseAutoencoder, dead_share, row_sums};
use safetensors::SafeTensors;
use shared::shared;

fn evaluation_rows(fixtures: &Path) -> Vec<f32> {
    let bytes = std::fs::read(fixtures.join("data.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("eval_x").unwrap();
    tensor
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn report(fixtures: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(fixtures.join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every metric of the reference's report, ours against its.
fn check(name: &str, sae: &SparseAutoencoder, x: &[f32], expected: &serde_json::Value) {
    let codes = sae.encode(x).unwrap();
    let x_hat = sae.decode(&codes).unwrap();
    let mut centres = CentreSums::new(sae.d_model());
    centres.add(x, &x_hat).unwrap();
    let mut sums = RowSums::default();
    for row in row_sums(x, &x_hat, Some(&codes), &centres.centres()).unwrap() {
        sums.join(&row, 1.0);
    }
    let mut fvu = FvuSum::new(sae.d_model());
    fvu.add(x, &x_hat).unwrap();
    assert!((fvu.value().unwrap() - sums.fvu().unwrap()).abs() < 1e-6);
    let mut active_rows = vec![0_u64; sae.n_features()];
    for &feature in &codes.features {
        active_rows[feature as usize] += 1;
    }
    for (key, got) in [
        ("fvu_sum_over_total_variance", sums.fvu().unwrap()),
        (
            "fvu_variance_of_residual",
            1.0 - sums.explained_variance().unwrap(),
        ),
        ("cosine_mean", sums.cosine().unwrap()),
        ("l0_mean", sums.l0().unwrap()),
        ("l1_mean", sums.l1().unwrap()),
        ("mse_sum_mean", sums.squared_error().unwrap()),
        (
            "dead_in_batch",
            dead_share(&active_rows) * sae.n_features() as f64,
        ),
    ] {
        let expected = expected[key].as_f64().unwrap();
        let apart = (got - expected).abs() / expected.abs().max(1.0);
        eprintln!("{name} {key}: {got}, expected {expected}, apart {apart:.1e}");
        assert!(apart < 1e-5, "{name} {key}: {got}, expected {expected}");
    }
}

#[test]
fn metrics_equal_those_of_dictionary_learning() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let (x, report) = (evaluation_rows(&fixtures), report(&fixtures));
    // The batch rules are saved with a threshold, which is what runs after training.
    for (kind, key) in [
        ("topk", "metrics"),
        ("batch_topk", "metrics_threshold"),
        ("matryoshka_batch_topk", "metrics_threshold"),
        ("jumprelu", "metrics"),
        ("gated", "metrics"),
        ("standard", "metrics"),
        ("standard_april", "metrics"),
    ] {
        let folder = fixtures.join("dictionary_learning").join(kind);
        let sae = dictionary_learning::load(&folder.join("model")).unwrap();
        let expected = &report["fixtures"][format!("dictionary_learning/{kind}")][key];
        check(kind, &sae, &x, expected);
    }
}

#[test]
fn metrics_equal_those_of_saelens() {
    let Some(fixtures) = shared("fixtures/sae") else {
        return;
    };
    let (x, report) = (evaluation_rows(&fixtures), report(&fixtures));
    // `standard_nobdec_ln` normalises its input, which is refused here.
    for kind in [
        "standard",
        "topk",
        "topk_norescale",
        "batchtopk",
        "matryoshka_batchtopk",
        "matryoshka_batchtopk_maux",
        "jumprelu_step",
        "jumprelu_tanh",
        "gated",
    ] {
        let folder = fixtures.join("saelens").join(kind).join("inference");
        let loaded = saelens::load(&folder).unwrap();
        let expected = &report["fixtures"][format!("saelens/{kind}")]["metrics"];
        check(kind, &loaded.sae, &x, expected);
    }
}
