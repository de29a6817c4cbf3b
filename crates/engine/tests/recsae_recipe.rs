//! `RecSAE`'s training whole: its base model's rows and its runner's five epochs of ten steps.
#![expect(
    clippy::print_stderr,
    reason = "says how close, and why a test is skipped"
)]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "../../../tests/support/shared.rs"]
mod shared;

use std::ops::ControlFlow;
use std::path::Path;

use models::recommenders::{Recommender, StateDictOptions};
use models::{HookedModel as _, ModelSample};
use sae::formats::recsae;
use sae::{ActivationSource, SaeError, train_from};
use safetensors::SafeTensors;
use schema::{HookPoint, SaeConfig, SaeRecipe, SaeVariant};
use shared::shared;

/// Batches of their own sizes, in order.
struct Batches(Vec<Vec<f32>>, usize);

impl ActivationSource for Batches {
    fn d_model(&self) -> usize {
        24
    }

    fn n_rows(&self) -> u64 {
        (self.0.iter().map(Vec::len).sum::<usize>() / 24) as u64
    }

    fn next_batch(&mut self, _rows: usize, out: &mut Vec<f32>) -> Result<(), SaeError> {
        out.clone_from(&self.0[self.1]);
        self.1 += 1;
        Ok(())
    }

    fn position(&self) -> u64 {
        0
    }

    fn seek(&mut self, _position: u64) -> Result<(), SaeError> {
        Ok(())
    }
}

/// What the dictionary reads in each step: the user vector after every prefix of 16 histories.
fn batches(folder: &Path) -> Batches {
    let options = StateDictOptions {
        n_heads: Some(4),
        ..StateDictOptions::default()
    };
    let model = Recommender::load(&folder.join("weights.safetensors"), &options).unwrap();
    let bytes = std::fs::read(folder.join("train50/batches.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let ids = |name: &str| -> (usize, Vec<u32>) {
        let view = file.tensor(name).unwrap();
        let each = view.data().as_chunks::<8>().0.iter();
        let width = view.shape().get(1).copied().unwrap_or(1);
        (width, each.map(|&b| i64::from_le_bytes(b) as u32).collect())
    };
    let of_step = |step: usize| -> Vec<f32> {
        let (width, items) = ids(&format!("step{step:02}.history_items"));
        let (_, lengths) = ids(&format!("step{step:02}.lengths"));
        let inputs: Vec<_> = items
            .chunks_exact(width)
            .zip(&lengths)
            .map(|(row, &length)| {
                let sample = ModelSample {
                    items: Some(&row[..length as usize]),
                    ..ModelSample::default()
                };
                model.prepare(sample).unwrap()
            })
            .collect();
        let captured = model.capture(&inputs, &[HookPoint::ResidPost(1)]).unwrap();
        captured
            .iter()
            .flat_map(|hooks| hooks[0].values.clone())
            .collect()
    };
    Batches((0..50).map(of_step).collect(), 0)
}

#[test]
fn fifty_steps_of_its_runner() {
    let Some(folder) = shared("fixtures/sasrec/sasrec") else {
        return;
    };
    let load = |name: &str| recsae::load(&folder.join("train50").join(name), 5).unwrap();
    let config = SaeConfig {
        k: 5,
        lr: 2e-3,
        steps: 50,
        epoch_steps: Some(10),
        ..SaeConfig::of_recipe(SaeRecipe::Recsae, SaeVariant::TopK, 96)
    };
    let mut reports = Vec::new();
    let trained = train_from(
        &config,
        load("init_sae.safetensors").into_parts(),
        &mut batches(&folder),
        &mut |report| {
            reports.push(*report);
            ControlFlow::Continue(())
        },
        None,
    )
    .unwrap();
    let curve = std::fs::read(folder.join("train50/curve.json")).unwrap();
    let curve: serde_json::Value = serde_json::from_slice(&curve).unwrap();
    let mut worst = 0_f64;
    assert_eq!(reports.len(), 50);
    for (report, step) in reports.iter().zip(curve["steps"].as_array().unwrap()) {
        let [fvu, auxk] = ["fvu", "auxk_loss"].map(|name| step[name].as_f64().unwrap());
        let expected = fvu + auxk / 32.0;
        worst = worst.max((f64::from(report.loss) / expected - 1.0).abs());
        worst = worst.max((f64::from(report.fvu) / fvu - 1.0).abs());
    }
    eprintln!("loss curve differs by {worst:.2e} at most, relative");
    assert!(worst < 1e-5);
    let last = load("final_sae.safetensors");
    let (got, expected) = (trained.sae.parts(), last.parts());
    for (name, got, expected) in [
        ("w_enc", &got.w_enc, &expected.w_enc),
        ("b_enc", &got.b_enc, &expected.b_enc),
        ("w_dec", &got.w_dec, &expected.w_dec),
        ("b_dec", &got.b_dec, &expected.b_dec),
    ] {
        let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        eprintln!("final {name}: largest difference {worst:.2e}");
        assert!(worst < 1e-4, "{name}");
    }
}
