//! The whole path as a card runs it, dense matrices and composed operations, on the CPU beside the
//! path of the CPU, which is checked against the peers' own code elsewhere.

use std::sync::Arc;

use candle_core::DType;
use schema::Film;

use super::*;
use crate::ActivationEdit;
use crate::tensor_ops::tests::IS_COMPOSED;
use crate::weights::WeightLoader;

#[expect(
    dead_code,
    reason = "shared with the parity tests, which use all of it"
)]
#[path = "../../../tests/parity/shared_files.rs"]
mod shared_files;

use shared_files::{max_difference, shared};

struct Push;

impl ActivationEdit for Push {
    fn apply(&self, rows: &mut [f32], d_model: usize, _: &[EditedPosition]) {
        for row in rows.chunks_mut(d_model) {
            row[0] += 1.5;
        }
    }
}

/// What a model gives by every way that a user can take.
struct Given {
    captured: Vec<Captured>,
    logits: Vec<f32>,
    ids: Vec<u32>,
    attributions: Vec<Vec<f32>>,
    lens: Vec<f32>,
}

fn give(model: &Llava, film: &Film) -> Given {
    let films = [PromptImage::Film(film)];
    let input = model.prepare_text("<image> What is seen?", &films).unwrap();
    let hooks: Vec<HookPoint> = model.card().hooks.iter().map(|info| info.hook).collect();
    let edits: Vec<(HookPoint, Arc<dyn ActivationEdit>)> = vec![
        (HookPoint::VisionResidPost(0), Arc::new(Push)),
        (HookPoint::ResidPost(0), Arc::new(Push)),
    ];
    let spec = HookSpec {
        edits,
        ..HookSpec::capturing(&hooks)
    };
    let (logits, captured) = model.logits(&input, &spec).unwrap();
    let options = GenerationOptions {
        max_new_tokens: 6,
        ignore_eos: true,
        keep_logits: true,
        sampling: None,
    };
    let edits_only = HookSpec {
        capture: Vec::new(),
        ..spec
    };
    let on_token = &mut |_: &str| ControlFlow::Continue(());
    let generation = model
        .generate(&input, &edits_only, options, on_token)
        .unwrap();
    let d_model = model.llama.config().d_model;
    let direction: Vec<f32> = (0..d_model).map(|i| (i as f32).cos()).collect();
    let hook = HookPoint::ResidPost(1);
    let probe = Probe {
        hook,
        position: input.ids.len() - 1,
        direction: direction.clone(),
    };
    let attributions = AttributionMethod::ALL
        .map(|method| model.image_attribution(&input, &probe, method).unwrap());
    let mut all = logits;
    all.extend(generation.logits);
    Given {
        captured,
        logits: all,
        ids: generation.ids,
        attributions: attributions.to_vec(),
        lens: model.logit_lens(&direction, hook).unwrap().unwrap(),
    }
}

fn both(dtype: DType, compare: impl Fn(&Given, &Given)) {
    for name in ["fixtures/maira_tiny", "fixtures/llava_tiny"] {
        let Some(folder) = shared(name) else {
            continue;
        };
        let film = datasets::film::load_film(&folder.join("frontal.png")).unwrap();
        let plain = Llava::load(&folder, "", &LoadOptions::default()).unwrap();
        let plain = give(&plain, &film);
        let dense = WeightLoader::dense_on_cpu(dtype);
        let dense = Llava::load_with(&folder, "", &dense).unwrap();
        IS_COMPOSED.set(true);
        let dense = give(&dense, &film);
        IS_COMPOSED.set(false);
        compare(&plain, &dense);
    }
}

#[test]
fn what_a_card_runs_equals_what_the_processor_runs() {
    both(DType::F32, |plain, dense| {
        assert_eq!(plain.captured.len(), dense.captured.len());
        for (a, b) in plain.captured.iter().zip(&dense.captured) {
            assert_eq!(a.hook, b.hook);
            let difference = max_difference(&a.values, &b.values);
            assert!(difference < 1e-4, "{}: {difference}", a.hook);
        }
        assert!(max_difference(&plain.logits, &dense.logits) < 1e-4);
        assert_eq!(plain.ids, dense.ids);
        assert!(max_difference(&plain.lens, &dense.lens) < 1e-4);
        for (a, b) in plain.attributions.iter().zip(&dense.attributions) {
            assert!(max_difference(a, b) < 1e-4);
        }
    });
}

#[test]
fn half_precision_runs_everywhere_and_stays_near() {
    for dtype in [DType::BF16, DType::F16] {
        both(dtype, |plain, dense| {
            let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            // Scores after the prompt; those of texts that went apart say nothing.
            let n = plain.captured.last().unwrap().n_rows;
            let n = n * plain.lens.len();
            let (a, b) = (&plain.logits[..n], &dense.logits[..n]);
            let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let share = length(&difference) / length(a);
            assert!(share < 0.05, "{dtype:?}: {share}");
        });
    }
}
