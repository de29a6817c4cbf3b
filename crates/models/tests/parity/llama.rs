//! The Llama decoder: `SmolLM2` against llama.cpp and numpy, and a tiny one against itself.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use models::text::{LlamaModel, inspect_gguf, load_gguf};
use models::{
    ActivationEdit, EditedPosition, Generation, GenerationOptions, HookSpec, HookedModel as _,
    ModelError, ModelInput, ModelSample,
};
use schema::{HookPoint, PositionClass, Report};

use crate::shared_files::{max_difference, numbers, shared, shared_json};
use crate::tiny_gguf::tiny_gguf;

const SMOLLM2: &str = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// The real model, loaded once.
fn smollm2() -> Option<&'static LlamaModel> {
    static MODEL: OnceLock<Option<LlamaModel>> = OnceLock::new();
    MODEL
        .get_or_init(|| Some(load_gguf(&shared(SMOLLM2)?, "hash").unwrap()))
        .as_ref()
}

/// A tiny model with random weights.
fn tiny() -> LlamaModel {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, tiny_gguf("llama").0).unwrap();
    load_gguf(&path, "").unwrap()
}

fn greedy(max_new_tokens: usize) -> GenerationOptions {
    GenerationOptions {
        max_new_tokens,
        ignore_eos: false,
        keep_logits: true,
        sampling: None,
    }
}

fn input_of(ids: Vec<u32>) -> ModelInput {
    ModelInput {
        classes: vec![PositionClass::Report; ids.len()],
        ids,
        ..ModelInput::default()
    }
}

fn write(model: &LlamaModel, input: &ModelInput, spec: &HookSpec, n: usize) -> Generation {
    let mut text = String::new();
    let written = model
        .generate(input, spec, greedy(n), &mut |piece| {
            text.push_str(piece);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(text, written.text);
    written
}

#[test]
fn tokens_equal_llama_cpp() {
    let (Some(model), Some(cases)) = (
        smollm2(),
        shared_json("models/smollm2/tokenizer_fixture.json"),
    ) else {
        return;
    };
    for case in cases.as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        for (key, special) in [("ids_special", true), ("ids_nospecial", false)] {
            let ids = model.tokenizer().encode(text, special).unwrap();
            assert_eq!(ids, numbers::<u32>(&case[key]), "{text:?} {key}");
            assert_eq!(model.tokenizer().decode(&ids), text);
            assert_eq!(model.tokenizer().texts(&ids).concat(), text);
        }
    }
}

#[test]
fn greedy_text_equals_llama_cpp_and_activations_numpy() {
    let (Some(model), Some(exact), Some(llama_cpp)) = (
        smollm2(),
        shared_json("models/smollm2/greedy_fixture_f32_dequant.json"),
        shared_json("models/smollm2/greedy_fixture.json"),
    ) else {
        return;
    };
    let hook = HookPoint::ResidPost(14);
    let (mut residual_error, mut logit_error) = (0_f32, 0_f32);
    for (case, theirs) in exact["cases"]
        .as_array()
        .unwrap()
        .iter()
        .zip(llama_cpp["cases"].as_array().unwrap())
    {
        let prompt = theirs["prompt_text"].as_str().unwrap();
        let ids = model.tokenizer().encode(prompt, true).unwrap();
        assert_eq!(ids, numbers::<u32>(&case["prompt_ids"]));
        let written = write(model, &input_of(ids), &HookSpec::capturing(&[hook]), 40);
        assert_eq!(written.ids, numbers::<u32>(&case["output_ids"]));
        assert_eq!(written.ids, numbers::<u32>(&theirs["output_ids"]));
        assert_eq!(written.text, theirs["output_text"].as_str().unwrap());
        let residual = numbers::<f32>(&case["resid_post_block14_last_prompt_token"]);
        let rows = &written.captured[0];
        let last = &rows.values[(rows.n_rows - 1) * rows.d_model..];
        residual_error = residual_error.max(max_difference(last, &residual));
        let n_vocab = model.tokenizer().n_vocab();
        for (logits, step) in written
            .logits
            .chunks(n_vocab)
            .zip(case["steps"].as_array().unwrap())
        {
            let ids = numbers::<usize>(&step["top5_ids"]);
            let ours: Vec<f32> = ids.iter().map(|&id| logits[id]).collect();
            let theirs = numbers::<f32>(&step["top5_logits"]);
            logit_error = logit_error.max(max_difference(&ours, &theirs));
        }
    }
    assert!(
        residual_error < 1e-3,
        "residual differs by {residual_error}"
    );
    assert!(logit_error < 2e-3, "logits differ by {logit_error}");
    println_error(&format!(
        "largest difference: residual after block 14 {residual_error:e}, logits {logit_error:e}"
    ));
}

fn println_error(line: &str) {
    #[expect(clippy::print_stderr, reason = "figures for the log of the test")]
    {
        eprintln!("{line}");
    }
}

#[test]
fn the_chat_format_gives_the_fixture_prompt() {
    let (Some(model), Some(fixture)) =
        (smollm2(), shared_json("models/smollm2/greedy_fixture.json"))
    else {
        return;
    };
    let input = model
        .chat_input(None, "Name one symptom of pneumonia.")
        .unwrap();
    let ids = numbers::<u32>(&fixture["cases"][0]["prompt_ids"]);
    assert_eq!(input.ids, ids);
}

#[test]
fn the_header_tells_what_the_model_is() {
    let (Some(path), Some(model)) = (shared(SMOLLM2), smollm2()) else {
        return;
    };
    let facts = inspect_gguf(&path).unwrap();
    assert_eq!(facts.card.n_parameters, 134_515_008);
    // Its 272 tensors, without the header of the file.
    assert_eq!(facts.memory_bytes, 96_576_768);
    assert_eq!(facts.n_context, 8192);
    assert_eq!(facts.card.hooks, model.card().hooks);
    assert_eq!(facts.card.hooks.len(), 30 * 4 + 2);
}

fn report() -> Report {
    Report {
        technique: String::new(),
        indication: "Chest pain, 5 µg/mL – naïve".to_owned(),
        comparison: String::new(),
        findings: "The heart is enlarged. No 中文 effusion.\n".to_owned(),
        impression: " Cardiomegaly.".to_owned(),
    }
}

fn check_classes(model: &LlamaModel) {
    let report = report();
    let sample = ModelSample {
        report: Some(&report),
        ..ModelSample::default()
    };
    let input = model.prepare(sample).unwrap();
    let whole = "INDICATION: Chest pain, 5 µg/mL – naïve\nFINDINGS: The heart is enlarged. \
                 No 中文 effusion.\nIMPRESSION: Cardiomegaly.";
    assert_eq!(input.texts.concat(), whole);
    assert_eq!(input.ids, model.tokenizer().encode(whole, false).unwrap());
    let of_class = |class| -> String {
        let texts = input.texts.iter().zip(&input.classes);
        texts
            .filter(|(_, c)| **c == class)
            .map(|(text, _)| text.as_str())
            .collect()
    };
    assert_eq!(
        of_class(PositionClass::Boilerplate),
        "INDICATION:\nFINDINGS:\nIMPRESSION:"
    );
    assert_eq!(
        of_class(PositionClass::Indication),
        " Chest pain, 5 µg/mL – naïve"
    );
    let text = " The heart is enlarged. No 中文 effusion. Cardiomegaly.";
    assert_eq!(of_class(PositionClass::Report), text);
    let prompt = model.prepare_prompt(sample).unwrap();
    assert_eq!(
        prompt.texts.concat(),
        "INDICATION: Chest pain, 5 µg/mL – naïve\nFINDINGS:"
    );
}

#[test]
fn report_tokens_know_their_section() {
    check_classes(&tiny().with_options(models::text::LlamaOptions { max_tokens: 200 }));
    if let Some(model) = smollm2() {
        check_classes(model);
    }
}

#[test]
fn a_long_report_is_cut_and_says_so() {
    let model = tiny().with_options(models::text::LlamaOptions { max_tokens: 10 });
    let report = report();
    let sample = ModelSample {
        report: Some(&report),
        ..ModelSample::default()
    };
    let input = model.prepare(sample).unwrap();
    assert_eq!((input.ids.len(), input.texts.len()), (10, 10));
    assert!(input.n_dropped > 50);
    assert!(matches!(
        model.prepare(ModelSample::default()),
        Err(ModelError::Sample { .. })
    ));
}

#[test]
fn packed_samples_equal_single_ones() {
    let model = tiny();
    let inputs = [vec![1, 2, 3, 256], vec![9], vec![7, 7, 200, 30, 5, 6, 100]].map(input_of);
    let hooks = [
        HookPoint::LnFinal,
        HookPoint::Embed,
        HookPoint::AttnOut(1),
        HookPoint::MlpOut(0),
    ];
    let packed = model.capture(&inputs, &hooks).unwrap();
    for (input, captured) in inputs.iter().zip(&packed) {
        let alone = model.capture(std::slice::from_ref(input), &hooks).unwrap();
        for ((one, many), hook) in alone[0].iter().zip(captured).zip(hooks) {
            assert_eq!((one.hook, many.hook), (hook, hook));
            assert_eq!(one.n_rows, input.ids.len());
            assert!(max_difference(&one.values, &many.values) < 1e-5);
        }
    }
}

#[test]
fn stopping_early_changes_nothing() {
    let model = tiny();
    let inputs = [input_of(vec![1, 2, 3])];
    let card = model.card().clone();
    let hooks: Vec<HookPoint> = card.hooks.iter().map(|info| info.hook).collect();
    let all = model.capture(&inputs, &hooks).unwrap();
    for (hook, whole) in hooks.iter().zip(&all[0]) {
        let early = model.capture(&inputs, &[*hook]).unwrap();
        assert_eq!(early[0].as_slice(), std::slice::from_ref(whole), "{hook}");
    }
    let residual = |hook: HookPoint| &all[0].iter().find(|c| c.hook == hook).unwrap().values;
    let sum: Vec<f32> = residual(HookPoint::ResidPre(1))
        .iter()
        .zip(residual(HookPoint::AttnOut(1)))
        .zip(residual(HookPoint::MlpOut(1)))
        .map(|((x, attention), mlp)| x + attention + mlp)
        .collect();
    assert!(max_difference(&sum, residual(HookPoint::ResidPost(1))) < 1e-6);
}

#[test]
fn the_cache_changes_nothing() {
    let model = tiny();
    let written = write(
        &model,
        &input_of(vec![104, 101, 32]),
        &HookSpec::default(),
        6,
    );
    let mut ids = vec![104, 101, 32];
    for (step, &id) in written.ids.iter().enumerate() {
        let input = input_of(ids.clone());
        let (logits, _) = model.logits(&input, &HookSpec::default()).unwrap();
        let last = &logits[(ids.len() - 1) * 259..];
        assert!(max_difference(last, &written.logits[step * 259..(step + 1) * 259]) < 1e-4);
        ids.push(id);
    }
}

/// Adds `0` to every row at a generated position.
struct Push(Vec<f32>);

impl ActivationEdit for Push {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        for (row, position) in rows.chunks_mut(d_model).zip(positions) {
            if position.position >= position.prompt_len {
                row.iter_mut().zip(&self.0).for_each(|(x, d)| *x += d);
            }
        }
    }
}

#[test]
fn an_edit_reaches_generated_positions_only() {
    let model = tiny();
    let input = input_of(vec![104, 101, 32]);
    let direction: Vec<f32> = (0..16)
        .map(|i| if i % 2 == 0 { 8.0 } else { -8.0 })
        .collect();
    let spec = HookSpec {
        capture: vec![HookPoint::ResidPost(0)],
        edits: vec![(HookPoint::ResidPost(0), Arc::new(Push(direction)))],
        keep_at: None,
    };
    let plain = write(
        &model,
        &input,
        &HookSpec::capturing(&[HookPoint::ResidPost(0)]),
        4,
    );
    let pushed = write(&model, &input, &spec, 4);
    assert_eq!(plain.captured, pushed.captured);
    assert_eq!(plain.logits[..259], pushed.logits[..259]);
    assert!(max_difference(&plain.logits[259..518], &pushed.logits[259..518]) > 0.1);
}

#[test]
fn losses_follow_from_the_logits() {
    let model = tiny();
    let input = input_of((0..40).map(|i| i * 5 % 259).collect());
    let losses = model.token_losses(&input, &HookSpec::default()).unwrap();
    let (logits, _) = model.logits(&input, &HookSpec::default()).unwrap();
    assert_eq!(losses.len(), 39);
    for (i, loss) in losses.iter().enumerate() {
        let row = &logits[i * 259..(i + 1) * 259];
        let sum: f32 = row.iter().map(|v| v.exp()).sum();
        let expected = sum.ln() - row[input.ids[i + 1] as usize];
        assert!((loss - expected).abs() < 1e-4, "{i}: {loss} {expected}");
    }
}

#[test]
fn unsuitable_requests_are_sentences() {
    let model = tiny();
    let hook = HookPoint::ResidPost(2);
    assert!(matches!(
        model.capture(&[input_of(vec![1])], &[hook]),
        Err(ModelError::NoSuchHook { .. })
    ));
    for ids in [vec![], vec![259], vec![1; 65]] {
        let error = model
            .capture(&[input_of(ids)], &[HookPoint::Embed])
            .unwrap_err();
        assert!(matches!(error, ModelError::Request(_)), "{error}");
    }
    let full = write(&model, &input_of(vec![1; 60]), &HookSpec::default(), 40);
    assert!(full.ids.len() <= 5);
    assert!(model.logit_lens(&[0.0; 3], HookPoint::Embed).is_err());
}

#[test]
fn the_logit_lens_reads_the_output_map() {
    let model = tiny();
    let input = input_of(vec![104, 101, 32]);
    let spec = HookSpec::capturing(&[HookPoint::LnFinal]);
    let (logits, captured) = model.logits(&input, &spec).unwrap();
    for (row, logits) in captured[0].values.chunks(16).zip(logits.chunks(259)) {
        let lens = model.logit_lens(row, HookPoint::LnFinal).unwrap().unwrap();
        assert!(max_difference(&lens, logits) < 1e-5);
    }
    // Before the final norm the lens is linear, with the norm's weights but not its scale.
    let lens = |row: &[f32]| {
        model
            .logit_lens(row, HookPoint::ResidPost(1))
            .unwrap()
            .unwrap()
    };
    let row = &captured[0].values[..16];
    let twice: Vec<f32> = row.iter().map(|value| 2.0 * value).collect();
    let doubled: Vec<f32> = lens(row).iter().map(|value| 2.0 * value).collect();
    assert!(max_difference(&lens(&twice), &doubled) < 1e-5);
    assert!(max_difference(&lens(row), &logits[..259]) > 1e-3);
    assert_eq!(model.token_text(256), "he");
}
