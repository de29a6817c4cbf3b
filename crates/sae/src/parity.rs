//! Loss and gradients against `dictionary_learning`'s, from the shared fixtures; tests only.
#![expect(
    clippy::print_stderr,
    reason = "says how close, and why a test is skipped"
)]

#[path = "../../../tests/support/shared.rs"]
mod shared;

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use schema::{SaeConfig, SaeRecipe, SaeVariant};
use shared::shared;

use crate::autoencoder::SaeParts;
use crate::extras::SaeExtras;
use crate::formats::{dictionary_learning, folder, saelens, trainer_settings};
use crate::gradients::{Ages, BatchLoss, Plan, Scratch, StepRows};
use crate::optimiser::{clip_factor, project_gradients};
use crate::recipe::Conventions;
use crate::settings::check_config;
use crate::sparsity::Sparsity;
use crate::tensors::read_f32;
use crate::weights::Weights;

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

/// Tensors of one file.
struct Saved {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Saved {
    fn read(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).unwrap();
        Self { path, bytes }
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn tensor(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let dims = tensors.tensor(name).unwrap().shape().len();
        read_f32(&self.path, &tensors, name, &vec![None; dims])
            .unwrap()
            .1
    }

    fn counts(&self, name: &str) -> Option<Vec<u64>> {
        let tensors = self.tensors();
        let each = tensors.tensor(name).ok()?.data().chunks_exact(8);
        Some(
            each.map(|b| u64::from_le_bytes(b.try_into().unwrap()))
                .collect(),
        )
    }

    /// Ages that make the features of a mask dead, and no other.
    fn ages_of_mask(&self, name: &str, dead_after_rows: u64) -> Vec<u64> {
        let tensors = self.tensors();
        let mask = tensors.tensor(name).unwrap().data();
        mask.iter()
            .map(|&dead| u64::from(dead != 0) * (dead_after_rows + 1))
            .collect()
    }

    fn compare(&self, kind: &str, prefix: &str, gradients: &Weights) {
        compare(kind, prefix, gradients, &|name| {
            let name = format!("{prefix}.{name}");
            self.tensors()
                .tensor(&name)
                .is_ok()
                .then(|| self.tensor(&name))
        });
    }
}

/// A training step whose loss and gradients are in the fixtures.
struct Step<'a> {
    config: &'a SaeConfig,
    weights: Weights,
    gradients: Weights,
    loss: BatchLoss,
}

impl<'a> Step<'a> {
    fn run(config: &'a SaeConfig, parts: SaeParts, x: StepRows<'_>, mut ages: Ages<'_>) -> Self {
        check_config(config, 24).unwrap();
        let plan = Plan::of(config).unwrap();
        let extra = plan.variant.initial_extra(&parts.sparsity);
        let weights = Weights::from_parts(parts, extra, config.skip_connection);
        let mut scratch = Scratch::new(&weights);
        let loss = scratch.batch(&plan, 25, &weights, x, &mut ages);
        Self {
            config,
            weights,
            gradients: scratch.gradients,
            loss,
        }
    }

    fn total(&self) -> f64 {
        let auxk = f64::from(self.config.auxk_alpha) * self.loss.auxk;
        self.loss.reconstruction + self.loss.penalty + auxk
    }

    /// Raw gradients, and where the fixture has them those of the update.
    fn compare(mut self, kind: &str, saved: &Saved) {
        saved.compare(kind, "grad", &self.gradients);
        let tensors = saved.tensors();
        let mut names = tensors.names().into_iter();
        if names.any(|name| name.starts_with("grad_processed")) {
            let conventions = Conventions::of(self.config);
            let norm = project_gradients(
                (self.config, &conventions),
                &self.weights,
                &mut self.gradients,
            );
            let clip = clip_factor(self.config, norm);
            for tensor in self.gradients.tensors_mut() {
                for value in tensor.iter_mut() {
                    *value *= clip;
                }
            }
            saved.compare(kind, "grad_processed", &self.gradients);
        }
    }
}

/// `report.json`'s entry for a fixture.
fn report(fixtures: &Path, name: &str) -> serde_json::Value {
    let report = std::fs::read_to_string(fixtures.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    report["fixtures"][name].clone()
}

/// Each part of a loss against the report's, by its name there.
fn same_loss(kind: &str, saved: &serde_json::Value, parts: &[(&str, f64)]) {
    for &(name, got) in parts {
        if !name.is_empty() {
            let expected = saved[name].as_f64().unwrap();
            eprintln!("{kind} {name}: {got}, expected {expected}");
            assert!(
                (got - expected).abs() <= 1e-6 * expected.abs(),
                "{kind} {name}"
            );
        }
    }
}

/// Loss and gradients at step 25 against the fixture; names of `report.json`'s parts of the loss
/// for reconstruction, `AuxK` and the variant's own terms.
fn check(kind: &str, config: &SaeConfig, loss_parts: [&str; 3]) {
    let Some(shared) = shared("") else { return };
    let fixtures = shared.join("fixtures/sae");
    let folder = fixtures.join("dictionary_learning").join(kind);
    let parts = dictionary_learning::load(&folder.join("model"))
        .unwrap()
        .into_parts();
    let saved = Saved::read(folder.join("loss_grads.safetensors"));
    let mut since = saved.counts("tokens_since_fired_before").unwrap();
    let ages = Ages {
        rows_since_active: &mut since,
        of_epoch: &[],
    };
    let x = saved.tensor("x");
    let step = Step::run(config, parts, StepRows::alike(&x), ages);
    if let Some(after) = saved.counts("tokens_since_fired_after") {
        assert_eq!(since, after);
    }
    let report = report(&fixtures, &format!("dictionary_learning/{kind}"));
    let [reconstruction, auxk, total] = loss_parts;
    let parts = [
        (reconstruction, step.loss.reconstruction),
        (auxk, step.loss.auxk),
        (total, step.total()),
    ];
    same_loss(kind, &report["loss"], &parts);
    step.compare(kind, &saved);
}

/// The same for a fixture of `SAELens`, whose settings its own files state.
fn check_saelens(kind: &str) {
    let Some(shared) = shared("") else { return };
    let fixtures = shared.join("fixtures/sae");
    let folder = fixtures.join("saelens").join(kind);
    let checkpoint = folder.join("training_checkpoint");
    let mut config = trainer_settings(&checkpoint).unwrap().unwrap();
    config.steps = 50;
    config.batch_rows = 64;
    config.dead_after_rows = 256;
    let parts = saelens::load_for_training(&checkpoint).unwrap();
    let saved = Saved::read(folder.join("loss_grads.safetensors"));
    let mut since = saved.ages_of_mask("dead_neuron_mask", config.dead_after_rows);
    let ages = Ages {
        rows_since_active: &mut since,
        of_epoch: &[],
    };
    let x = saved.tensor("x");
    let step = Step::run(&config, parts, StepRows::alike(&x), ages);
    let report = report(&fixtures, &format!("saelens/{kind}"));
    let losses = &report["loss"];
    let nested: f64 = losses
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.starts_with("inner_mse_loss"))
        .map(|(_, loss)| loss.as_f64().unwrap())
        .sum();
    let mut parts = vec![
        ("mse_loss", step.loss.reconstruction - nested),
        ("total_loss", step.total()),
    ];
    if config.variant.is_top_k() {
        let auxk = f64::from(config.auxk_alpha) * step.loss.auxk;
        parts.push(("auxiliary_reconstruction_loss", auxk));
    }
    same_loss(kind, losses, &parts);
    step.compare(kind, &saved);
}

/// The same for a fixture of sparsify.
fn check_sparsify(kind: &str) {
    let Some(shared) = shared("") else { return };
    let fixtures = shared.join("fixtures/sae");
    let folder = fixtures.join("sparsify").join(kind);
    let config = SaeConfig {
        batch_rows: 64,
        auxk_alpha: 1.0 / 32.0,
        dead_after_rows: 320,
        ..trainer_settings(&folder.join("model")).unwrap().unwrap()
    };
    let (sae, _) = folder::load(&folder.join("model")).unwrap();
    let saved = Saved::read(folder.join("loss_grads.safetensors"));
    let mut since = saved.ages_of_mask("dead_mask", config.dead_after_rows);
    let ages = Ages {
        rows_since_active: &mut since,
        of_epoch: &[],
    };
    let rows = saved.tensor("x");
    let targets = if config.transcode {
        saved.tensor("y")
    } else {
        rows.clone()
    };
    let of_step = StepRows {
        rows: &rows,
        targets: &targets,
    };
    let step = Step::run(&config, sae.into_parts(), of_step, ages);
    let report = report(&fixtures, &format!("sparsify/{kind}"));
    let parts = [
        ("fvu", step.loss.fvu),
        ("auxk_loss", step.loss.auxk),
        ("multi_topk_fvu", step.loss.penalty * 8.0),
        ("total_loss", step.total()),
    ];
    same_loss(kind, &report["loss"], &parts);
    step.compare(kind, &saved);
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
        ("W_skip", &got.skip, None),
        ("threshold", &got.extra, None),
        ("b_gate", got.extra.get(..n).unwrap_or_default(), None),
        ("b_mag", got.extra.get(2 * n..).unwrap_or_default(), None),
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
    let least = if prefix == "grad" { 4 } else { 1 };
    assert!(compared >= least, "{kind}: {compared} tensors compared");
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

#[test]
fn saelens_loss_and_gradients() {
    for kind in [
        "topk",
        "topk_norescale",
        "batchtopk",
        "matryoshka_batchtopk",
    ] {
        check_saelens(kind);
    }
    check_saelens("matryoshka_batchtopk_maux");
    check_saelens("standard");
    check_saelens("standard_nobdec_ln");
    check_saelens("gated");
    check_saelens("jumprelu_step");
    check_saelens("jumprelu_tanh");
}

#[test]
fn sparsify_loss_and_gradients() {
    for kind in ["topk", "topk_multi", "groupmax", "transcoder_skip"] {
        check_sparsify(kind);
    }
}

/// `RecSAE`'s loss of the first epoch, and of later ones with the features that were dead.
#[test]
fn recsae_loss_and_gradients() {
    let Some(shared) = shared("") else { return };
    let folder = shared.join("fixtures/sasrec/sasrec");
    let weights = Saved::read(folder.join("weights.safetensors"));
    let tensor = |name: &str| weights.tensor(&format!("sae_module.{name}"));
    let parts = SaeParts {
        d_model: 24,
        n_features: 96,
        w_enc: tensor("encoder.weight"),
        b_enc: tensor("encoder.bias"),
        w_dec: tensor("W_dec"),
        b_dec: tensor("b_dec"),
        is_centred: true,
        sparsity: Sparsity::TopK { k: 5 },
        extras: SaeExtras::default(),
    };
    let config = SaeConfig {
        k: 5,
        ..SaeConfig::of_recipe(SaeRecipe::Recsae, SaeVariant::TopK, 96)
    };
    // It learns from every position of the histories, which are padded on the right.
    let reference = Saved::read(folder.join("ref.safetensors"));
    let lengths = reference.counts("lengths").unwrap();
    let positions = reference.tensor("block.1");
    let x: Vec<f32> = positions
        .chunks_exact(10 * 24)
        .zip(&lengths)
        .flat_map(|(rows, &length)| rows[..length as usize * 24].to_vec())
        .collect();
    let text = std::fs::read_to_string(folder.join("../report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    for epoch in ["epoch1", "epoch2plus"] {
        let saved = Saved::read(folder.join(format!("loss_grads_{epoch}.safetensors")));
        let alive = saved.counts("previous_activate_latents");
        let of_epoch: Vec<u32> = alive.map_or_else(Vec::new, |alive| {
            (0..96)
                .filter(|&feature| !alive.contains(&u64::from(feature)))
                .collect()
        });
        let ages = Ages {
            rows_since_active: &mut [0; 96],
            of_epoch: &of_epoch,
        };
        let step = Step::run(&config, parts.clone(), StepRows::alike(&x), ages);
        let expected = &report["models"]["sasrec"][format!("loss_{epoch}")];
        let losses = [
            ("fvu", step.loss.fvu),
            ("auxk_loss", step.loss.auxk),
            ("loss", step.total()),
        ];
        same_loss(epoch, expected, &losses);
        step.compare(epoch, &saved);
    }
}
