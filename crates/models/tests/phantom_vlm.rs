//! The phantom vision-language model through its public interface: hooks, cache, steering, files.
#![expect(
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    reason = "helpers of a test; examples have the shape of a source that can fail"
)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use models::training::phantom_vlm::{
    ContextPart, ContextTargets, PlantedFinding, VlmExample, VlmProgress, VlmStage,
    VlmTrainingConfig, train,
};
use models::vision::vit::VitConfig;
use models::vision_language::DecoderConfig;
use models::{
    ActivationEdit, EditedPosition, GenerationOptions, HookSpec, HookedModel as _, ModelError,
    ModelInput, ModelSample, PhantomVlm,
};
use schema::{Film, HookPoint, Mask, PositionClass, Report};

const SIDE: u32 = 32;

fn settings() -> VlmTrainingConfig {
    VlmTrainingConfig {
        n_films: 64,
        n_held_out: 16,
        batch: 8,
        vision_steps: 6,
        text_steps: 8,
        warmup_steps: 4,
        checkpoint_every: 3,
        vision: Some(VitConfig {
            image_size: 32,
            patch_size: 8,
            d_patch_hidden: 0,
            d_model: 16,
            n_blocks: 2,
            n_heads: 2,
            d_mlp: 32,
            layer_norm_eps: 1e-6,
        }),
        decoder: Some(DecoderConfig {
            d_model: 16,
            n_blocks: 2,
            n_heads: 2,
            d_mlp: 32,
            n_positions: 40,
            rope_theta: 100.0,
            rms_norm_eps: 1e-5,
        }),
        context: ContextTargets {
            place: ContextPart { n: 1, share: 0.1 },
            patch: ContextPart { n: 2, share: 0.1 },
            film: ContextPart { n: 2, share: 0.3 },
            weight: 1.0,
        },
        ..VlmTrainingConfig::default()
    }
}

fn findings() -> Vec<String> {
    vec!["left square".to_owned(), "right square".to_owned()]
}

/// A film with a bright square on one side, and noise by its number.
fn example(index: u32) -> Result<VlmExample, ModelError> {
    let is_right = index % 2 == 1;
    let (left, top) = (if is_right { 20 } else { 4 }, 4 + index / 2 % 5 * 4);
    let inside = |i: u32| {
        let (x, y) = (i % SIDE, i / SIDE);
        (left..left + 8).contains(&x) && (top..top + 8).contains(&y)
    };
    let flags: Vec<bool> = (0..SIDE * SIDE).map(inside).collect();
    let pixels = (0..SIDE * SIDE)
        .map(|i| ((i * 7 + index * 13) % 40) as u16 + if inside(i) { 200 } else { 0 })
        .collect();
    Ok(VlmExample {
        film: Film {
            width: SIDE,
            height: SIDE,
            pixels,
            windows: Vec::new(),
            badges: Vec::new(),
        },
        findings: vec![PlantedFinding {
            finding: usize::from(is_right),
            mask: Some(Mask::from_flags(SIDE, SIDE, &flags)),
        }],
        report: format!("Square on the {}.", if is_right { "right" } else { "left" }),
    })
}

fn goes_on(_: VlmProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn trained(config: &VlmTrainingConfig, folder: &Path) -> PhantomVlm {
    train(config, &findings(), &example, folder, &mut goes_on)
        .unwrap()
        .model
}

fn input(model: &PhantomVlm, index: u32, report: &str) -> ModelInput {
    let report = Report {
        findings: report.to_owned(),
        ..Report::default()
    };
    let film = example(index).unwrap().film;
    let sample = ModelSample {
        film: Some(&film),
        report: Some(&report),
        ..ModelSample::default()
    };
    model.prepare(sample).unwrap()
}

const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 8,
    ignore_eos: false,
    keep_logits: true,
    sampling: None,
};

struct Add(Vec<f32>);

impl ActivationEdit for Add {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        assert_eq!(rows.len(), positions.len() * d_model);
        for (row, at) in rows.chunks_mut(d_model).zip(positions) {
            if at.class == PositionClass::Image {
                row.iter_mut().zip(&self.0).for_each(|(x, d)| *x += d);
            }
        }
    }
}

#[test]
fn learns_to_say_what_it_sees_and_steering_changes_it() {
    let config = VlmTrainingConfig {
        vision_steps: 150,
        text_steps: 200,
        warmup_steps: 10,
        vision_lr: 4e-3,
        text_lr: 4e-3,
        checkpoint_every: 1_000,
        ..settings()
    };
    let folder = tempfile::tempdir().unwrap();
    let trained = train(&config, &findings(), &example, folder.path(), &mut goes_on).unwrap();
    for score in &trained.dense_scores {
        assert!(
            score.patch_auroc > 0.97 && score.film_auroc > 0.97,
            "{score:?}"
        );
    }
    let model = trained.model;
    let hook = HookPoint::ProjectorOut;
    let mut means = [vec![0_f32; 16], vec![0_f32; 16]];
    for index in 64..80 {
        let prompt = input(&model, index, "");
        let spec = HookSpec::capturing(&[hook]);
        let generated = model
            .generate(&prompt, &spec, OPTIONS, &mut |_| ControlFlow::Continue(()))
            .unwrap();
        assert_eq!(generated.text, example(index).unwrap().report);
        for row in generated.captured[0].values.chunks(16) {
            for (mean, value) in means[index as usize % 2].iter_mut().zip(row) {
                *mean += value / (8.0 * 16.0);
            }
        }
    }
    let towards_right: Vec<f32> = means[1]
        .iter()
        .zip(&means[0])
        .map(|(right, left)| 7.0 * (right - left))
        .collect();
    let spec = HookSpec {
        capture: Vec::new(),
        edits: vec![(hook, Arc::new(Add(towards_right)))],
        keep_at: None,
    };
    let mut streamed = String::new();
    let steered = model
        .generate(&input(&model, 64, ""), &spec, OPTIONS, &mut |piece| {
            streamed.push_str(piece);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(
        steered.text.starts_with("Square on the right"),
        "{}",
        steered.text
    );
    assert_eq!(streamed, steered.text);
}

#[test]
fn captures_agree_with_positions_in_every_batch() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(&settings(), folder.path());
    let inputs = [
        input(&model, 0, "Square on the left."),
        input(&model, 1, "Square."),
        input(&model, 2, ""),
    ];
    let hooks: Vec<HookPoint> = model
        .card()
        .hooks
        .iter()
        .map(|info| info.hook)
        .rev()
        .collect();
    let together = model.capture(&inputs, &hooks).unwrap();
    for (input, captured) in inputs.iter().zip(&together) {
        let alone = model.capture(std::slice::from_ref(input), &hooks).unwrap();
        assert_eq!(captured.len(), hooks.len());
        for ((whole, single), hook) in captured.iter().zip(&alone[0]).zip(&hooks) {
            assert_eq!(whole.hook, *hook);
            let positions = model.positions(input, *hook).unwrap();
            assert_eq!(whole.n_rows, positions.len());
            assert_eq!(whole.values.len(), whole.n_rows * whole.d_model);
            let is_image = |class| class == PositionClass::Image;
            assert_eq!(positions.iter().filter(|p| is_image(p.class)).count(), 16);
            for (a, b) in whole.values.iter().zip(&single.values) {
                assert!((a - b).abs() < 1e-4, "{hook}");
            }
        }
        let grid = model.grid(input, HookPoint::ProjectorOut).unwrap();
        assert_eq!(grid.patch_rect(3, 3), [24.0, 24.0, 32.0, 32.0]);
    }
    let tower = model.positions(&inputs[0], HookPoint::VisionEmbed).unwrap();
    assert_eq!(tower[0].class, PositionClass::Cls);
    let text = model.positions(&inputs[0], HookPoint::Embed).unwrap();
    assert_eq!(text[0].class, PositionClass::Bos);
    assert_eq!(text[17].class, PositionClass::Boilerplate);
    assert_eq!(
        (text[18].text.as_str(), text[18].class),
        ("square", PositionClass::Report)
    );
}

#[test]
fn generation_with_a_cache_equals_the_whole_pass() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(&settings(), folder.path());
    let options = GenerationOptions {
        ignore_eos: true,
        ..OPTIONS
    };
    let prompt = input(&model, 3, "");
    let generated = model
        .generate(&prompt, &HookSpec::default(), options, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(generated.ids.len(), 8);
    let mut whole = prompt.clone();
    whole.ids.extend(&generated.ids);
    whole.classes.resize(whole.ids.len(), PositionClass::Report);
    let (scores, _) = model.logits(&whole, &HookSpec::default()).unwrap();
    let states = model.capture(&[whole], &[HookPoint::LnFinal]).unwrap();
    let n_vocab = model.config().vocabulary.n_tokens();
    for (i, expected) in generated.logits.chunks(n_vocab).enumerate() {
        let at = (prompt.ids.len() - 1 + i) * 16;
        let state = &states[0][0].values[at..at + 16];
        let logits = model.logit_lens(state, HookPoint::LnFinal).unwrap();
        for (a, b) in logits.unwrap().iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "step {i}: {a} against {b}");
        }
        let at = (prompt.ids.len() - 1 + i) * n_vocab;
        for (a, b) in scores[at..at + n_vocab].iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "step {i}: {a} against {b} at once");
        }
    }
}

#[test]
fn a_resumed_run_gives_the_same_bytes() {
    let config = settings();
    let whole = tempfile::tempdir().unwrap();
    trained(&config, whole.path());
    let read = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    for (stage, at) in [(VlmStage::Vision, 4), (VlmStage::Text, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let mut stops = |progress: VlmProgress| {
            if progress.stage == stage && progress.done == at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let stopped = train(&config, &findings(), &example, folder.path(), &mut stops);
        assert!(matches!(stopped, Err(ModelError::Cancelled)));
        let other = VlmTrainingConfig {
            seed: 9,
            ..config.clone()
        };
        let refused = train(&other, &findings(), &example, folder.path(), &mut goes_on);
        assert!(refused.is_err_and(|error| error.to_string().contains("other settings")));
        trained(&config, folder.path());
        let is_same = read(folder.path()) == read(whole.path());
        assert!(is_same, "stopped in {stage:?}");
        assert!(!folder.path().join("checkpoint.safetensors").exists());
    }
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    trained(&settings(), folder.path());
    let fault = || PhantomVlm::load(folder.path()).err().unwrap().to_string();
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    assert!(fault().contains("model.safetensors"), "{}", fault());
    let mut spoilt = bytes.clone();
    let n = spoilt.len();
    spoilt[n - 2..].copy_from_slice(&[0, 0x7e]);
    std::fs::write(&weights, &spoilt).unwrap();
    assert!(fault().contains("finite"), "{}", fault());
    std::fs::write(&weights, &bytes).unwrap();
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"d_mlp\": 32", "\"d_mlp\": 31")).unwrap();
    assert!(fault().contains("expected shape"), "{}", fault());
    std::fs::remove_file(&config).unwrap();
    assert!(fault().contains("config.json"), "{}", fault());
}

#[test]
fn requests_that_make_no_sense_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(&settings(), folder.path());
    assert!(matches!(
        model.prepare(ModelSample::default()),
        Err(ModelError::Sample {
            needs: "a film",
            ..
        })
    ));
    let input = input(&model, 0, "");
    assert!(matches!(
        model.capture(std::slice::from_ref(&input), &[HookPoint::ResidPost(2)]),
        Err(ModelError::NoSuchHook { .. })
    ));
    let short = ModelInput {
        ids: vec![1, 2],
        ..input.clone()
    };
    assert!(model.capture(&[short], &[HookPoint::LnFinal]).is_err());
    let dark = ModelInput {
        pixels: vec![0.0; 5],
        ..input
    };
    assert!(model.capture(&[dark], &[HookPoint::VisionEmbed]).is_err());
    assert!(model.logit_lens(&[0.0; 3], HookPoint::LnFinal).is_err());
    let nothing = model.logit_lens(&[0.0; 16], HookPoint::VisionResidPost(0));
    assert_eq!(nothing.unwrap(), None);
}
