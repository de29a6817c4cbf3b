//! Texts that are read on from: the same as read anew each time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use models::text::{LlamaModel, TextReader, load_gguf};
use models::{GenerationOptions, HookSpec, HookedModel as _, ModelError};

use crate::tiny_gguf::tiny_gguf;

fn tiny() -> LlamaModel {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, tiny_gguf("llama").0).unwrap();
    load_gguf(&path, "hash").unwrap()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-5, "{a} against {b}");
}

#[test]
fn what_is_kept_of_the_text_before_changes_no_answer() {
    let model = tiny();
    let ids = |text: &str| model.tokenizer().encode(text, true).unwrap();
    let mut reader = TextReader::new();
    let options = [ids("1"), ids("0"), ids("yes")];
    for question in ["a question", "a quest for it", "a question", "other"] {
        reader.read(&model, &ids(question)).unwrap();
        let kept = reader.log_probabilities(&model, &options).unwrap();
        let mut anew = TextReader::new();
        anew.read(&model, &ids(question)).unwrap();
        let fresh = anew.log_probabilities(&model, &options).unwrap();
        for (a, b) in kept.iter().zip(&fresh) {
            close(*a, *b);
        }
        // By the losses of the whole text, which no reader has a part in.
        let whole = model.prepare_text(&format!("{question}yes"), &[]).unwrap();
        let losses = model.token_losses(&whole, &HookSpec::default()).unwrap();
        let last: f64 = losses[losses.len() - 3..]
            .iter()
            .map(|&x| f64::from(x))
            .sum();
        close(kept[2], -last);

        let how = GenerationOptions {
            max_new_tokens: 6,
            ignore_eos: true,
            ..GenerationOptions::default()
        };
        let go_on = &mut |_: &str| ControlFlow::Continue(());
        let written = reader.write(&model, &how, go_on).unwrap();
        let input = model.prepare_text(question, &[]).unwrap();
        let alone = model
            .generate(&input, &HookSpec::default(), how, go_on)
            .unwrap();
        assert_eq!(written.ids, alone.ids, "{question}");
        // Asked again after it wrote, the answer is the same.
        assert_eq!(reader.log_probabilities(&model, &options).unwrap(), kept);
    }
    let [n_read, n_kept] = reader.counts();
    assert!(n_kept > 10 && n_read < 35, "{n_read} read, {n_kept} kept");
}

#[test]
fn many_places_are_asked_in_one_pass() {
    let model = tiny();
    let text = model.tokenizer().encode("one two three", true).unwrap();
    let tokens: Vec<u32> = (40..50).collect();
    let places = [2, 5, 11];
    let mut reader = TextReader::new();
    reader.read(&model, &text[..8]).unwrap();
    let found = reader
        .log_probabilities_at(&model, &text, (&places, &tokens))
        .unwrap();
    for (place, row) in places.iter().zip(&found) {
        reader.read(&model, &text[..=*place]).unwrap();
        let each: Vec<Vec<u32>> = tokens.iter().map(|&id| vec![id]).collect();
        let alone = reader.log_probabilities(&model, &each).unwrap();
        for (a, b) in row.iter().zip(&alone) {
            close(*a, *b);
        }
    }
}

/// The reader stops within a pass, counted in hook points, and reads on as if nothing had been.
#[test]
fn a_text_is_left_in_the_middle_of_a_pass() {
    let model = tiny();
    let ids = model.tokenizer().encode("a question", true).unwrap();
    let mut calm = TextReader::new();
    calm.read(&model, &ids).unwrap();
    let expected = calm.log_probabilities(&model, &[vec![50]]).unwrap();
    for n in [0, 1, 3] {
        let left = Arc::new(AtomicUsize::new(n));
        let asked = Arc::clone(&left);
        let mut reader = TextReader::new().stopping_when(move || {
            let n = asked.load(Ordering::Relaxed);
            asked.store(n.saturating_sub(1), Ordering::Relaxed);
            n == 0
        });
        let stopped = reader.read(&model, &ids);
        assert!(matches!(stopped, Err(ModelError::Cancelled)), "{n}");
        assert!(reader.log_probabilities(&model, &[vec![50]]).is_err());
        left.store(usize::MAX, Ordering::Relaxed);
        reader.read(&model, &ids).unwrap();
        let found = reader.log_probabilities(&model, &[vec![50]]).unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn what_cannot_be_read_is_refused_and_loses_nothing() {
    let model = tiny();
    let ids = model.tokenizer().encode("fine", true).unwrap();
    let mut reader = TextReader::new();
    let nothing = reader.log_probabilities(&model, std::slice::from_ref(&ids));
    assert!(matches!(nothing, Err(ModelError::Request(_))));
    reader.read(&model, &ids).unwrap();
    let before = reader.log_probabilities(&model, &[vec![50]]).unwrap();
    for bad in [vec![], vec![9_999_999], vec![1; 65]] {
        assert!(reader.read(&model, &bad).is_err());
        assert!(reader.log_probabilities(&model, &[bad]).is_err());
    }
    assert_eq!(
        reader.log_probabilities(&model, &[vec![50]]).unwrap(),
        before
    );
    let past = reader.log_probabilities_at(&model, &ids, (&[ids.len()], &[1]));
    assert!(past.is_err());
}
