//! Qwen2 and Qwen3 against transformers, on tiny random models that
//! `scripts/make_qwen_models.py` wrote, and files of theirs that lack a part.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use models::text::{LlamaModel, inspect_gguf, load_gguf};
use models::{
    ActivationEdit, EditedPosition, GenerationOptions, HookSpec, HookedModel as _, ModelInput,
};
use schema::{HookPoint, PositionClass};

use crate::shared_files::{max_difference, numbers};

const FAMILIES: [&str; 2] = ["qwen2", "qwen3"];
const N_VOCAB: usize = 320;
/// Of logits up to 6.
const TOLERANCE: f32 = 5e-5;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/qwen")
        .join(name)
}

/// A model, and what transformers computes with it.
struct Case {
    model: LlamaModel,
    reference: HashMap<String, Tensor>,
}

impl Case {
    fn of(family: &str) -> Self {
        let path = fixture(&format!("{family}.safetensors"));
        Self {
            model: load_gguf(&fixture(&format!("{family}.gguf")), "").unwrap(),
            reference: candle_core::safetensors::load(path, &Device::Cpu).unwrap(),
        }
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.reference[name]
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        let ids = self.reference[name].to_vec1::<i32>().unwrap();
        ids.into_iter().map(i32::cast_unsigned).collect()
    }

    fn input(&self) -> ModelInput {
        let ids = self.ids("ids");
        ModelInput {
            classes: vec![PositionClass::Report; ids.len()],
            ids,
            ..ModelInput::default()
        }
    }
}

#[test]
fn tokens_are_those_of_qwens_split() {
    let text = std::fs::read_to_string(fixture("tokens.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    for family in FAMILIES {
        let case = Case::of(family);
        let tokenizer = case.model.tokenizer();
        for (i, row) in cases.iter().enumerate() {
            let text = row["text"].as_str().unwrap();
            let ids = tokenizer.encode(text, true).unwrap();
            assert_eq!(ids, numbers::<u32>(&row["ids"]), "{text:?}");
            assert_eq!(tokenizer.decode(&ids), text);
            // The first text is the prompt of the references.
            assert!(i > 0 || ids == case.ids("ids"));
        }
        assert_eq!(tokenizer.leading_bos(), None);
        for end in ["<|im_end|>", "<|endoftext|>"] {
            assert!(
                tokenizer.is_end(tokenizer.special_id(end).unwrap()),
                "{end}"
            );
        }
        for other in ["<|im_start|>", "<think>"] {
            assert!(!tokenizer.is_end(tokenizer.special_id(other).unwrap()));
        }
    }
}

#[test]
fn logits_and_activations_equal_transformers() {
    let hooks = [
        (HookPoint::AttnOut(0), "attn_out_0"),
        (HookPoint::ResidPost(0), "resid_post_0"),
        (HookPoint::LnFinal, "ln_final"),
    ];
    for family in FAMILIES {
        let case = Case::of(family);
        let spec = HookSpec::capturing(&hooks.map(|(hook, _)| hook));
        let (logits, captured) = case.model.logits(&case.input(), &spec).unwrap();
        let difference = max_difference(&logits, &case.values("logits"));
        assert!(difference < TOLERANCE, "{family} logits: {difference}");
        for (hook, name) in hooks {
            let rows = captured.iter().find(|rows| rows.hook == hook).unwrap();
            let difference = max_difference(&rows.values, &case.values(name));
            assert!(difference < TOLERANCE, "{family} {name}: {difference}");
        }
    }
}

/// Token by token the products take another way than over the whole prompt.
#[test]
fn greedy_text_equals_transformers() {
    for family in FAMILIES {
        let case = Case::of(family);
        let expected = case.ids("greedy_ids");
        let options = GenerationOptions {
            max_new_tokens: expected.len(),
            ignore_eos: false,
            keep_logits: true,
            sampling: None,
        };
        let go_on = &mut |_: &str| ControlFlow::Continue(());
        let written = case
            .model
            .generate(&case.input(), &HookSpec::default(), options, go_on)
            .unwrap();
        assert_eq!(written.ids, expected, "{family}");
        // And each step says what one pass over all before it says.
        let mut all = case.input();
        all.ids.extend(&expected[..expected.len() - 1]);
        all.classes = vec![PositionClass::Report; all.ids.len()];
        let (logits, _) = case.model.logits(&all, &HookSpec::default()).unwrap();
        let last = &logits[logits.len() - expected.len() * N_VOCAB..];
        let difference = max_difference(last, &written.logits);
        assert!(difference < TOLERANCE, "{family}: {difference}");
    }
}

struct Push(Vec<f32>);

impl ActivationEdit for Push {
    fn apply(&self, rows: &mut [f32], d_model: usize, _positions: &[EditedPosition]) {
        for row in rows.chunks_mut(d_model) {
            row.iter_mut().zip(&self.0).for_each(|(x, d)| *x += d);
        }
    }
}

#[test]
fn a_direction_added_after_a_block_does_what_it_does_in_transformers() {
    for family in FAMILIES {
        let case = Case::of(family);
        let spec = HookSpec {
            edits: vec![(
                HookPoint::ResidPost(0),
                Arc::new(Push(case.values("direction"))),
            )],
            ..HookSpec::default()
        };
        let (logits, _) = case.model.logits(&case.input(), &spec).unwrap();
        let difference = max_difference(&logits, &case.values("steered_logits"));
        assert!(difference < TOLERANCE, "{family}: {difference}");
        assert!(max_difference(&logits, &case.values("logits")) > 0.1);
    }
}

#[test]
fn the_card_says_which_family_it_is() {
    for (family, name, n_parameters) in [("qwen2", "Qwen2", 52_656), ("qwen3", "Qwen3", 72_496)] {
        let facts = inspect_gguf(&fixture(&format!("{family}.gguf"))).unwrap();
        let of = |key: &str| {
            let fact = facts.card.facts.iter().find(|(fact, _)| fact == key);
            fact.unwrap().1.clone()
        };
        assert_eq!(of("Family"), name);
        assert_eq!(of("Licence"), "MIT OR Apache-2.0");
        assert_eq!(facts.card.n_parameters, n_parameters);
        assert_eq!(facts.n_context, 128);
    }
}

/// What loading `family` says once every `from` in its file reads `to`, of the same length.
fn error_after(family: &str, from: &str, to: &str) -> String {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(fixture(&format!("{family}.gguf"))).unwrap();
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter_map(|(at, window)| (window == from.as_bytes()).then_some(at))
        .collect();
    assert!(!places.is_empty(), "{family} has no {from}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    load_gguf(&path, "").err().unwrap().to_string()
}

#[test]
fn parts_that_are_missing_or_of_another_family_are_named() {
    let missing = error_after("qwen2", "blk.1.attn_k.bias", "blk.1.attn_k.bios");
    assert!(
        missing.contains("tensor blk.1.attn_k.bias: expected shape [24], it is missing"),
        "{missing}"
    );
    let missing = error_after("qwen3", "blk.0.attn_q_norm", "blk.0.attn_q_nora");
    assert!(
        missing.contains("tensor blk.0.attn_q_norm.weight: expected shape [16], it is missing"),
        "{missing}"
    );
    // A Qwen3 under the name of Qwen2 has no biases.
    let foreign = error_after("qwen3", "qwen3", "qwen2");
    assert!(
        foreign.contains("tensor blk.0.attn_q.bias: expected shape [64], it is missing"),
        "{foreign}"
    );
    let key = error_after("qwen2", "qwen2.block_count", "qwen2.block_clunt");
    assert!(key.contains("key qwen2.block_count"), "{key}");
    let other = error_after("qwen3", "qwen3", "gemma");
    assert!(
        other.contains("expected \"llama\" or \"qwen2\" or \"qwen3\", found \"gemma\""),
        "{other}"
    );
}
