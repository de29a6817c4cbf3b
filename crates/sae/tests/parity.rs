//! Forward pass and 50 training steps against the reference implementations' saved tensors.
#![expect(
    clippy::print_stderr,
    reason = "says how close, and why a test is skipped"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/support/shared.rs"]
mod shared;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use sae::formats::export::{ExportFacts, ExportFormat, export};
use sae::formats::{dictionary_learning, folder, recsae, saelens, trainer_settings};
use sae::{
    InMemorySource, RunSpec, SaeParts, SparseAutoencoder, Sparsity, kept_on_cpu, train_together,
};
use safetensors::{Dtype, SafeTensors};
use schema::{SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant, StepReport};
use shared::shared;

/// All tensors of a file as f32 (integers included; they are small here).
fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => view
                    .data()
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                    .collect(),
                Dtype::I64 => view
                    .data()
                    .chunks_exact(8)
                    .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
                    .collect(),
                _ => Vec::new(),
            };
            (name.to_owned(), values)
        })
        .collect()
}

fn worst(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    std::iter::zip(got, expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn close(name: &str, got: &[f32], expected: &[f32]) {
    let largest = expected.iter().fold(0_f32, |m, v| m.max(v.abs()));
    let (worst, limit) = (worst(got, expected), 1e-6 + 1e-5 * largest);
    eprintln!("{name}: largest difference {worst:.2e}, limit {limit:.2e}");
    assert!(worst <= limit, "{name}: {worst} above {limit}");
}

fn dense(sae: &SparseAutoencoder, rows: &[f32]) -> Vec<f32> {
    let codes = sae.encode(rows).unwrap();
    let n = sae.n_features();
    let mut out = vec![0.0; codes.n_rows() * n];
    for row in 0..codes.n_rows() {
        let (features, values) = codes.row(row);
        for (&feature, &value) in features.iter().zip(values) {
            out[row * n + feature as usize] = value;
        }
    }
    out
}

fn same_active_set(got: &[f32], expected: &[f32]) {
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert_eq!(*a > 0.0, *b > 0.0, "entry {i}: {a} against {b}");
    }
}

/// Classes of `dictionary_learning` with fixtures.
const KINDS: [&str; 7] = [
    "topk",
    "batch_topk",
    "matryoshka_batch_topk",
    "jumprelu",
    "gated",
    "standard",
    "standard_april",
];

fn forward(kind: &str, latents: &str, recon: &str) {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let root = fixtures.join("sae/dictionary_learning").join(kind);
    let sae = dictionary_learning::load(&root.join("model")).unwrap();
    let saved = tensors(&root.join("forward.safetensors"));
    let got = dense(&sae, &saved["x"]);
    same_active_set(&got, &saved[latents]);
    close(&format!("{kind} {latents}"), &got, &saved[latents]);
    close(
        &format!("{kind} {recon}"),
        &sae.reconstruct(&saved["x"]).unwrap(),
        &saved[recon],
    );
}

#[test]
fn top_k_forward() {
    forward("topk", "latents_topk", "recon_topk");
}

#[test]
fn matryoshka_forward_with_its_threshold() {
    forward(
        "matryoshka_batch_topk",
        "latents_threshold",
        "recon_threshold",
    );
}

#[test]
fn jump_relu_forward() {
    forward("jumprelu", "latents", "recon");
}

#[test]
fn gated_forward() {
    forward("gated", "latents", "recon");
}

#[test]
fn standard_forward() {
    forward("standard", "latents", "recon");
}

#[test]
fn standard_april_forward() {
    forward("standard_april", "latents", "recon");
}

/// Without a threshold the reference keeps the `k · rows` highest of the batch.
#[test]
fn batch_rules_without_a_threshold_keep_the_highest_of_the_batch() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for kind in ["batch_topk", "matryoshka_batch_topk"] {
        let root = fixtures.join("sae/dictionary_learning").join(kind);
        let mut parts = dictionary_learning::load(&root.join("model"))
            .unwrap()
            .into_parts();
        let k = parts.sparsity.k().unwrap() as usize;
        parts.sparsity = Sparsity::Relu;
        let sae = SparseAutoencoder::new(parts).unwrap();
        let saved = tensors(&root.join("forward.safetensors"));
        let mut got = dense(&sae, &saved["x"]);
        let mut sorted = got.clone();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let lowest = sorted[k * saved["x"].len() / sae.d_model() - 1];
        for value in got.iter_mut().filter(|value| **value < lowest) {
            *value = 0.0;
        }
        same_active_set(&got, &saved["latents_topk"]);
        close(
            &format!("{kind} latents_topk"),
            &got,
            &saved["latents_topk"],
        );
        let mut recon = Vec::new();
        for row in got.chunks_exact(sae.n_features()) {
            let mut x_hat = sae.b_dec().to_vec();
            for (feature, &value) in (0_u32..).zip(row) {
                for (out, w) in x_hat.iter_mut().zip(sae.decoder_row(feature)) {
                    *out += value * w;
                }
            }
            recon.extend(x_hat);
        }
        close(&format!("{kind} recon_topk"), &recon, &saved["recon_topk"]);
    }
}

#[test]
fn torch_files_equal_their_safetensors_copies() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let root = fixtures.join("sae/dictionary_learning");
    for kind in KINDS {
        let model = root.join(kind).join("model");
        let open = |name: &str| {
            dictionary_learning::open_files(&model.join("config.json"), &model.join(name)).unwrap()
        };
        let (torch, copy) = (open("ae.pt"), open("ae.safetensors"));
        assert!(torch.sae == copy.sae, "{kind}");
        assert_eq!(torch.layer, Some(0));
        assert_eq!(torch.model.as_deref(), Some("synthetic"));
    }
}

#[test]
fn our_folder_keeps_every_class() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for kind in KINDS {
        let root = fixtures.join("sae/dictionary_learning").join(kind);
        let sae = dictionary_learning::load(&root.join("model")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        folder::save(dir.path(), &sae, &serde_json::Value::Null).unwrap();
        let (again, _) = folder::load(dir.path()).unwrap();
        assert!(again == sae, "{kind}");
    }
}

/// A truncated file, or one with any byte changed, is refused or read; it never panics.
#[test]
fn damaged_torch_files_never_panic() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let model = fixtures.join("sae/dictionary_learning/topk/model");
    let bytes = std::fs::read(model.join("ae.pt")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ae.pt");
    let open = || dictionary_learning::open_files(&model.join("config.json"), &path);
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(61) {
        std::fs::write(&path, &bytes[..at]).unwrap();
        let text = open().unwrap_err().to_string();
        assert!(
            text.contains("ae.pt") && text.lines().count() == 1,
            "{text}"
        );
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        std::fs::write(&path, &changed).unwrap();
        refused += u32::from(open().is_err());
    }
    assert!(
        refused > 100,
        "{refused} of {} were noticed",
        bytes.len() / 61
    );
}

#[test]
fn batch_top_k_forward_with_its_threshold() {
    forward("batch_topk", "latents_threshold", "recon_threshold");
}

#[test]
fn top_k_with_a_threshold_equals_the_reference_with_one() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let root = fixtures.join("sae/dictionary_learning/topk");
    let mut parts = dictionary_learning::load(&root.join("model"))
        .unwrap()
        .into_parts();
    let threshold = tensors(&root.join("model/ae.safetensors"))["threshold"][0];
    parts.sparsity = Sparsity::BatchTopK { k: 6, threshold };
    let sae = SparseAutoencoder::new(parts).unwrap();
    let saved = tensors(&root.join("forward.safetensors"));
    let got = dense(&sae, &saved["x"]);
    same_active_set(&got, &saved["latents_threshold"]);
    close("topk latents_threshold", &got, &saved["latents_threshold"]);
}

#[test]
fn sparsify_forward() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for kind in ["topk", "topk_multi", "groupmax", "transcoder_skip"] {
        let root = fixtures.join("sae/sparsify").join(kind);
        let (sae, _) = folder::load(&root.join("model")).unwrap();
        let saved = tensors(&root.join("forward.safetensors"));
        let got = dense(&sae, &saved["x"]);
        same_active_set(&got, &saved["latents"]);
        close(&format!("sparsify {kind} latents"), &got, &saved["latents"]);
        let recon = sae.reconstruct(&saved["x"]).unwrap();
        close(&format!("sparsify {kind} recon"), &recon, &saved["recon"]);
        let dir = tempfile::tempdir().unwrap();
        folder::save(dir.path(), &sae, &serde_json::Value::Null).unwrap();
        assert!(folder::load(dir.path()).unwrap().0 == sae, "{kind}");
    }
}

#[test]
fn recsae_grocery_codes_and_reconstruction() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let root = fixtures.join("recsae");
    let sae = recsae::load(&root.join("grocery_sae_k8_s16.safetensors"), 8).unwrap();
    assert_eq!((sae.d_model(), sae.n_features()), (64, 1024));
    let saved = tensors(&root.join("grocery_golden256.safetensors"));
    let codes = sae.encode(&saved["hidden"]).unwrap();
    let mut largest = 0_f32;
    for row in 0..256 {
        let mut expected: Vec<(u32, f32)> = (row * 8..row * 8 + 8)
            .map(|i| (saved["sae_topk_idx"][i] as u32, saved["sae_topk_val"][i]))
            .filter(|&(_, value)| value > 0.0)
            .collect();
        expected.sort_by_key(|&(feature, _)| feature);
        let (features, values) = codes.row(row);
        let expected_features: Vec<u32> = expected.iter().map(|e| e.0).collect();
        assert_eq!(features, expected_features, "row {row}");
        for (value, (_, expected)) in values.iter().zip(&expected) {
            largest = largest.max((value - expected).abs());
        }
    }
    eprintln!("recsae values: largest difference {largest:.2e}");
    assert!(largest < 1e-4);
    close(
        "recsae reconstruction",
        &sae.reconstruct(&saved["hidden"]).unwrap(),
        &saved["recon"],
    );
}

/// One of the reference's trainings of 50 steps.
struct Run<'a> {
    kind: &'a str,
    config: SaeConfig,
    initial: SaeParts,
    last: SparseAutoencoder,
    curve: serde_json::Value,
}

impl Run<'_> {
    /// Trains on the saved batches in their order; compares every step's loss (by `loss` of a
    /// report) and the weights at the end. By the kernels, and by the operations of a card where
    /// it can train this.
    fn check(self, loss: (&str, fn(&StepReport) -> f32)) {
        self.check_on(loss, None);
        if kept_on_cpu(&self.config).is_none() {
            self.check_on(loss, Some(Device::Cpu));
        }
    }

    fn check_on(&self, loss: (&str, fn(&StepReport) -> f32), device: Option<Device>) {
        let Some(fixtures) = shared("fixtures") else {
            return;
        };
        let rows = tensors(&fixtures.join("sae/data.safetensors"))["train_batches"].clone();
        let mut source = InMemorySource::in_order(rows, 24).unwrap();
        let mut reports = Vec::new();
        let by = if device.is_some() {
            ", as on a card"
        } else {
            ""
        };
        let kind = format!("{}{by}", self.kind);
        let run = RunSpec {
            config: &self.config,
            initial: self.initial.clone(),
            checkpoint: None,
            device,
            until: None,
        };
        let trained = train_together(vec![run], &mut source, &mut |_, report| {
            reports.push(*report);
            ControlFlow::Continue(())
        })
        .unwrap()
        .remove(0);
        let mut worst_loss = 0_f64;
        assert_eq!(reports.len(), 50);
        for (step, report) in reports.iter().enumerate() {
            let expected = self.curve[step][loss.0].as_f64().unwrap();
            worst_loss = worst_loss.max((f64::from(loss.1(report)) / expected - 1.0).abs());
            // Some trainers do not count; `dictionary_learning`'s `JumpReLU` counts one step later.
            let counts = self.config.recipe != SaeRecipe::DictionaryLearning
                || self.config.variant != SaeVariant::JumpRelu;
            if let Some(dead) = self.curve[step]["dead"].as_u64()
                && counts
            {
                assert_eq!(u64::from(report.dead), dead, "{kind} step {step}");
            }
        }
        eprintln!("{kind}: loss curve differs by {worst_loss:.2e} at most, relative");
        assert!(worst_loss < 1e-5);
        same_weights(&kind, &trained.sae, &self.last);
    }
}

/// Thresholds and the like of a rule.
fn own(sparsity: &Sparsity) -> Vec<f32> {
    match sparsity {
        Sparsity::TopK { .. } | Sparsity::GroupMax { .. } | Sparsity::Relu => Vec::new(),
        Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } => {
            vec![*threshold]
        }
        Sparsity::JumpRelu { thresholds } => thresholds.to_vec(),
        Sparsity::Gated(gate) => [&gate.open_bias[..], &gate.r_mag, &gate.mag_bias].concat(),
    }
}

fn same_weights(kind: &str, got: &SparseAutoencoder, expected: &SparseAutoencoder) {
    let (got, expected) = (got.parts(), expected.parts());
    assert_eq!(got.is_centred, expected.is_centred);
    assert_eq!(got.extras, expected.extras);
    assert_eq!(got.sparsity.k(), expected.sparsity.k());
    for (name, got, expected) in [
        ("w_enc", &got.w_enc, &expected.w_enc),
        ("b_enc", &got.b_enc, &expected.b_enc),
        ("w_dec", &got.w_dec, &expected.w_dec),
        ("b_dec", &got.b_dec, &expected.b_dec),
        ("own", &own(&got.sparsity), &own(&expected.sparsity)),
    ] {
        let worst = worst(got, expected);
        eprintln!("{kind} final {name}: largest difference {worst:.2e}");
        assert!(worst < 1e-4, "{kind} {name}");
    }
}

fn curve(folder: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("curve.json")).unwrap()).unwrap()
}

/// 50 steps from the reference's initial weights, batches in their saved order.
/// Settings come from the reference's own file, but for what not every trainer writes.
fn train_50(kind: &str) {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let root = fixtures
        .join("sae/dictionary_learning")
        .join(kind)
        .join("train50");
    let stated = trainer_settings(&root.join("init")).unwrap().unwrap();
    let mut initial = dictionary_learning::load(&root.join("init"))
        .unwrap()
        .into_parts();
    if let Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } =
        &mut initial.sparsity
    {
        *threshold = -1.0;
    }
    let last = dictionary_learning::load(&root.join("final")).unwrap();
    let run = Run {
        kind,
        config: SaeConfig {
            batch_rows: 64,
            dead_after_rows: 320,
            steps: 50,
            warmup_steps: 10,
            ..stated
        },
        initial,
        last,
        curve: curve(&root),
    };
    run.check(("loss", |report| report.loss));
}

#[test]
fn saelens_50_steps() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for kind in SAELENS {
        let root = fixtures.join("sae/saelens").join(kind).join("train50");
        let run = Run {
            kind,
            config: SaeConfig {
                batch_rows: 64,
                dead_after_rows: 4 * 64,
                steps: 50,
                lr: 3e-3,
                warmup_steps: 10,
                decay_start: Some(40),
                ..trainer_settings(&root.join("init")).unwrap().unwrap()
            },
            initial: saelens::load_for_training(&root.join("init")).unwrap(),
            last: saelens::load(&root.join("final")).unwrap().sae,
            curve: curve(&root),
        };
        run.check(("loss", |report| report.loss));
    }
}

#[test]
fn sparsify_50_steps() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for (kind, optimizer) in [
        ("topk", SaeOptimiser::Adam),
        ("topk_multi", SaeOptimiser::Signum),
        ("groupmax", SaeOptimiser::Adam),
    ] {
        let root = fixtures.join("sae/sparsify").join(kind).join("train50");
        let is_adam = optimizer == SaeOptimiser::Adam;
        let run = Run {
            kind,
            config: SaeConfig {
                batch_rows: 64,
                dead_after_rows: 320,
                steps: 50,
                lr: if is_adam { 2e-3 } else { 2e-4 },
                warmup_steps: 10,
                auxk_alpha: if is_adam { 1.0 / 32.0 } else { 0.0 },
                optimizer,
                ..trainer_settings(&root.join("init")).unwrap().unwrap()
            },
            initial: folder::load(&root.join("init")).unwrap().0.into_parts(),
            last: folder::load(&root.join("final")).unwrap().0,
            curve: curve(&root),
        };
        run.check(("fvu", |report| report.fvu));
    }
}

#[test]
fn top_k_50_steps() {
    train_50("topk");
}

#[test]
fn batch_top_k_50_steps() {
    train_50("batch_topk");
}

#[test]
fn matryoshka_50_steps() {
    train_50("matryoshka_batch_topk");
}

#[test]
fn jump_relu_50_steps() {
    train_50("jumprelu");
}

#[test]
fn gated_50_steps() {
    train_50("gated");
}

#[test]
fn relu_50_steps() {
    train_50("standard");
}

#[test]
fn relu_with_free_decoder_rows_50_steps() {
    train_50("standard_april");
}

/// Dictionaries of `SAELens`, as saved for inference.
const SAELENS: [&str; 10] = [
    "batchtopk",
    "gated",
    "jumprelu_step",
    "jumprelu_tanh",
    "matryoshka_batchtopk",
    "matryoshka_batchtopk_maux",
    "standard",
    "standard_nobdec_ln",
    "topk",
    "topk_norescale",
];

#[test]
fn saelens_forward() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for kind in SAELENS {
        let root = fixtures.join("sae/saelens").join(kind);
        let sae = saelens::load(&root.join("inference")).unwrap().sae;
        let saved = tensors(&root.join("forward.safetensors"));
        let got = dense(&sae, &saved["x"]);
        same_active_set(&got, &saved["latents"]);
        close(&format!("saelens {kind} latents"), &got, &saved["latents"]);
        let recon = sae.reconstruct(&saved["x"]).unwrap();
        close(&format!("saelens {kind} recon"), &recon, &saved["recon"]);
    }
}

/// A training's own save rescales activations by decoder norms; folded, it selects the same.
#[test]
fn saelens_checkpoints_reconstruct_as_their_training_class() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    for kind in [
        "topk",
        "topk_norescale",
        "gated",
        "jumprelu_step",
        "standard",
        "standard_nobdec_ln",
    ] {
        let root = fixtures.join("sae/saelens").join(kind);
        let sae = saelens::load(&root.join("training_checkpoint"))
            .unwrap()
            .sae;
        let saved = tensors(&root.join("forward.safetensors"));
        let expected = saved
            .get("recon_training_class")
            .unwrap_or_else(|| &saved["recon"]);
        let recon = sae.reconstruct(&saved["x"]).unwrap();
        close(&format!("saelens {kind} checkpoint"), &recon, expected);
    }
}

/// Every class written for every tool that has it, and read back, gives the same features.
#[test]
fn exports_read_back_give_the_same_features() {
    let Some(fixtures) = shared("fixtures") else {
        return;
    };
    let facts = ExportFacts {
        hook_name: Some("blocks.3.hook_resid_post".to_owned()),
        layer: Some(3),
        model: Some("tiny".to_owned()),
    };
    for kind in KINDS {
        let root = fixtures.join("sae/dictionary_learning").join(kind);
        let sae = dictionary_learning::load(&root.join("model")).unwrap();
        let x = tensors(&root.join("forward.safetensors"))["x"].clone();
        let expected = dense(&sae, &x);
        for format in ExportFormat::ALL {
            let dir = tempfile::tempdir().unwrap();
            let again = match export(format, dir.path(), &sae, &facts) {
                Ok(again) => again,
                Err(error) => {
                    let text = error.to_string();
                    assert!(format == ExportFormat::Sparsify && kind != "topk", "{text}");
                    assert!(text.contains("topk dictionaries only"), "{text}");
                    continue;
                }
            };
            let got = dense(&again, &x);
            same_active_set(&got, &expected);
            let name = format!("{kind} for {}", format.name());
            close(&name, &got, &expected);
            close(
                &name,
                &again.reconstruct(&x).unwrap(),
                &sae.reconstruct(&x).unwrap(),
            );
        }
        let dir = tempfile::tempdir().unwrap();
        export(ExportFormat::DictionaryLearning, dir.path(), &sae, &facts).unwrap();
        let read = dictionary_learning::open(dir.path()).unwrap();
        assert_eq!((read.layer, read.model.as_deref()), (Some(3), Some("tiny")));
        export(ExportFormat::Saelens, dir.path(), &sae, &facts).unwrap();
        let read = saelens::load(dir.path()).unwrap();
        assert_eq!(read.hook_name, facts.hook_name);
    }
}
