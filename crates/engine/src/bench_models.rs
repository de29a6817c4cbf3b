//! How fast a text model reads, writes and is harvested, each against a limit of the machine that
//! is measured in the same run.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use models::text::{LlamaModel, load_gguf};
use models::{GenerationOptions, HookSpec, HookedModel as _, ModelInput, limits};
use schema::{HookPoint, PositionClass};
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::memory::peak_memory;

/// Tokens of the prompts.
const PROMPTS: [usize; 2] = [128, 512];
/// Tokens written after the first prompt, the first not counted.
const WRITTEN: usize = 32;
/// Texts of a harvest that are packed into one pass, and their length.
const PACKED: [usize; 2] = [8, 64];
/// The block that a harvest stops at, if the model has as many.
const BLOCK: usize = 15;

/// A speed beside its limit.
#[derive(Debug, Clone, Serialize)]
pub struct SpeedOfModel {
    /// What was done.
    pub what: String,
    /// Tokens a second, the best round.
    pub tokens_per_second: f64,
    /// Tokens a second that the limit would allow.
    pub limit_tokens_per_second: f64,
    /// Which limit.
    pub limit: &'static str,
}

/// The speeds of one model.
#[derive(Debug, Clone, Serialize)]
pub struct SpeedsOfModel {
    /// The model's name.
    pub model: String,
    /// Threads that computed.
    pub threads: usize,
    /// Rounds, of which the best counts.
    pub rounds: usize,
    /// Bytes a second that were read from a memory as large as the weights.
    pub reading_rate: f64,
    /// Floating-point operations a second of large f32 products.
    pub product_rate: f64,
    /// Each speed.
    pub speeds: Vec<SpeedOfModel>,
    /// Largest memory of the process while the model ran, bytes; `None` where the system does not tell.
    pub peak_memory: Option<u64>,
    /// Bytes of the model's file.
    pub file_bytes: u64,
}

/// Measures the Llama-shaped model in the GGUF file at `path`.
///
/// # Errors
/// When the file cannot be read as such a model, or `rounds` is 0.
pub fn bench_models(path: &Path, rounds: usize) -> Result<SpeedsOfModel> {
    if rounds == 0 {
        return Err(EngineError::request("--rounds is 0; expected at least 1"));
    }
    let file_bytes = models::text::inspect_gguf(path)?.file_bytes;
    let model = load_gguf(path, "")?;
    let block = BLOCK.min(model.n_blocks().saturating_sub(1));
    let (mut reading, mut writing) = ([f64::INFINITY; PROMPTS.len()], f64::INFINITY);
    let mut harvesting = f64::INFINITY;
    for round in 0..rounds {
        for (best, n) in reading.iter_mut().zip(PROMPTS) {
            let [first, _] = write(&model, &prompt(&model, n, round), 1)?;
            *best = best.min(first / n as f64);
        }
        let n = PROMPTS[0];
        let [_, each] = write(&model, &prompt(&model, n, rounds + round), 1 + WRITTEN)?;
        writing = writing.min(each);
        let [n_texts, len] = PACKED;
        let texts: Vec<ModelInput> = (0..n_texts).map(|i| prompt(&model, len, i)).collect();
        let start = Instant::now();
        model.capture(&texts, &[HookPoint::ResidPost(block)])?;
        harvesting = harvesting.min(start.elapsed().as_secs_f64() / (n_texts * len) as f64);
    }
    // Before the limits are measured: they need memory of their own.
    let peak_memory = peak_memory();
    let reading_rate = limits::reading_rate(file_bytes as usize, 3 * rounds);
    let product_rate = limits::product_rate(3 * rounds);
    let by_products = |what: String, seconds: f64, weights: u64| SpeedOfModel {
        what,
        tokens_per_second: 1.0 / seconds,
        limit_tokens_per_second: product_rate / (2.0 * weights as f64),
        limit: "f32 products",
    };
    let weights = model.n_block_weights();
    let mut speeds: Vec<SpeedOfModel> = PROMPTS
        .iter()
        .zip(reading)
        .map(|(n, seconds)| by_products(format!("read a prompt of {n}"), seconds, weights))
        .collect();
    speeds.push(SpeedOfModel {
        what: format!("write after a prompt of {}", PROMPTS[0]),
        tokens_per_second: 1.0 / writing,
        limit_tokens_per_second: reading_rate / file_bytes as f64,
        limit: "reading the weights",
    });
    speeds.push(by_products(
        format!(
            "harvest {} texts of {} to block {block}",
            PACKED[0], PACKED[1]
        ),
        harvesting,
        weights / model.n_blocks() as u64 * (block as u64 + 1),
    ));
    Ok(SpeedsOfModel {
        model: model.card().name.clone(),
        threads: rayon::current_num_threads(),
        rounds,
        reading_rate,
        product_rate,
        speeds,
        peak_memory,
        file_bytes,
    })
}

/// A text of `n` tokens; which, depends on `variant`, so that no prompt is known already.
fn prompt(model: &LlamaModel, n: usize, variant: usize) -> ModelInput {
    let n_vocab = model.tokenizer().n_vocab();
    ModelInput {
        ids: (0..n)
            .map(|i| ((100 + i * 37 + variant * 1009) % n_vocab) as u32)
            .collect(),
        classes: vec![PositionClass::Report; n],
        ..ModelInput::default()
    }
}

/// Writes `n` tokens: seconds to the first, and seconds for each of the others.
fn write(model: &LlamaModel, prompt: &ModelInput, n: usize) -> Result<[f64; 2]> {
    let options = GenerationOptions {
        max_new_tokens: n,
        ignore_eos: true,
        keep_logits: false,
        sampling: None,
    };
    let start = Instant::now();
    let mut times = Vec::new();
    model.generate(prompt, &HookSpec::default(), options, &mut |_| {
        times.push(start.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    })?;
    match times.as_slice() {
        [first, .., last] => Ok([*first, (last - first) / (times.len() - 1) as f64]),
        [first] => Ok([*first, f64::INFINITY]),
        [] => Err(EngineError::other("the model wrote nothing")),
    }
}

impl SpeedsOfModel {
    /// The figures as lines for people.
    pub fn lines(&self) -> String {
        let head = format!(
            "{}, {} threads, best of {} rounds. This machine reads {:.1} GB/s from a memory of {} \
             MB and does {:.0} GFLOP/s in f32 products.\n",
            self.model,
            self.threads,
            self.rounds,
            self.reading_rate / 1e9,
            self.file_bytes / 1_000_000,
            self.product_rate / 1e9
        );
        let speeds = self.speeds.iter().map(|speed| {
            format!(
                "{}: {:.1} tokens/s, {:.2} of what {} allows ({:.0})\n",
                speed.what,
                speed.tokens_per_second,
                speed.tokens_per_second / speed.limit_tokens_per_second,
                speed.limit,
                speed.limit_tokens_per_second
            )
        });
        let memory = self.peak_memory.map(|bytes| {
            format!(
                "peak memory: {:.0} MB, {:.2} of the model's file\n",
                bytes as f64 / 1e6,
                bytes as f64 / self.file_bytes as f64
            )
        });
        std::iter::once(head).chain(speeds).chain(memory).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_cannot_be_measured_are_sentences() {
        let path = Path::new("no-such-file.gguf");
        assert!(
            bench_models(path, 0)
                .unwrap_err()
                .message
                .contains("--rounds")
        );
        assert!(
            bench_models(path, 1)
                .unwrap_err()
                .message
                .contains("no-such-file")
        );
    }

    #[test]
    fn each_speed_stands_beside_its_limit() {
        let speeds = SpeedsOfModel {
            model: "tiny".to_owned(),
            threads: 2,
            rounds: 3,
            reading_rate: 20e9,
            product_rate: 200e9,
            speeds: vec![SpeedOfModel {
                what: "write".to_owned(),
                tokens_per_second: 50.0,
                limit_tokens_per_second: 200.0,
                limit: "reading the weights",
            }],
            peak_memory: Some(3_000_000),
            file_bytes: 2_000_000,
        };
        let lines = speeds.lines();
        assert!(
            lines.contains("write: 50.0 tokens/s, 0.25 of what reading the weights allows (200)")
        );
        assert!(lines.contains("peak memory: 3 MB, 1.50 of the model's file"));
    }
}
