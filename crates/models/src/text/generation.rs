//! Writing text token by token with a Llama-shaped decoder: greedy or sampled, several prompts at
//! once, with hooks active in the prompt pass and in every step.

use std::ops::ControlFlow;

use candle_core::Tensor;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{HookPoint, PositionClass};

use super::llama::{Llama, PackedRows, Sequence, hook_order};
use crate::{
    EditedPosition, Generation, GenerationOptions, HookRun, HookSpec, ModelError, Sampling,
};

/// What the writer needs of a tokenizer.
pub(crate) trait Vocabulary {
    /// Whether the token ends a text.
    fn is_end(&self, id: u32) -> bool;
    /// The text of `ids`; characters that are not complete yet may end it as U+FFFD.
    fn decode(&self, ids: &[u32]) -> String;
}

/// A prompt as the decoder reads it.
pub(crate) struct Prompt {
    /// `[n, d_model]`: embeddings, images placed.
    pub(crate) x: Tensor,
    /// One entry per row.
    pub(crate) classes: Vec<PositionClass>,
}

/// A prompt that was read up to a block and can be read on from there.
pub(crate) struct PromptCache {
    /// What the prompt was; the caller's.
    pub(crate) key: [u8; 32],
    /// Number of the block whose output `resid` is; `None` for the embeddings, which are not kept.
    block: Option<usize>,
    /// `[n, d_model]`, unchanged by edits.
    resid: Tensor,
    sequence: Sequence,
    capacity: usize,
}

/// Rows of a prompt as edits see them.
pub(crate) fn prompt_positions(classes: &[PositionClass]) -> Vec<EditedPosition> {
    let prompt_len = classes.len() as u32;
    classes
        .iter()
        .zip(0..)
        .map(|(&class, position)| EditedPosition {
            position,
            prompt_len,
            class,
        })
        .collect()
}

/// The last block before anything that `spec` captures or changes in the decoder, and the hook it
/// wants kept; `None` when that lies before the end of block 0.
pub(crate) fn unchanged_block(spec: &HookSpec, n_blocks: usize) -> Option<usize> {
    let touched = spec
        .capture
        .iter()
        .chain(spec.edits.iter().map(|(hook, _)| hook));
    let mut first = 4 * n_blocks;
    for &hook in touched.chain(&spec.keep_at) {
        first = first.min(hook_order(hook, n_blocks).unwrap_or(0));
    }
    // The place of `ResidPost(i)` is 4 i + 4.
    (first / 4).checked_sub(1)
}

/// Picks tokens.
struct Picker {
    sampling: Option<Sampling>,
    rng: ChaCha8Rng,
}

impl Picker {
    /// One picker per prompt of a batch: what it draws does not depend on the others.
    fn new(sampling: Option<Sampling>, prompt: usize) -> Self {
        let seed = sampling.map_or(0, |sampling| sampling.seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(prompt as u64);
        Self { sampling, rng }
    }

    /// The next token after these scores; `None` when one of them is no number.
    fn pick(&mut self, scores: &[f32]) -> Option<u32> {
        if scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        match self.sampling {
            Some(sampling) if sampling.temperature > 0.0 => {
                Some(draw(scores, sampling, self.rng.random()))
            }
            _ => Some(highest(scores)),
        }
    }
}

/// Index of the highest score, the first of equals; scores that are no numbers lose.
pub(crate) fn highest(scores: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (i, score);
        }
    }
    best.0 as u32
}

/// A token by softmax of `scores / temperature`, among the fewest most probable ones that together
/// reach `top_p`; `uniform` is a random number in 0..1.
fn draw(scores: &[f32], sampling: Sampling, uniform: f32) -> u32 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |score: f32| f64::from((score - most) / sampling.temperature).exp();
    let mut order: Vec<(f64, u32)> = scores.iter().map(|&s| weight(s)).zip(0..).collect();
    let total: f64 = order.iter().map(|(weight, _)| weight).sum();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut kept = 0.0;
    let enough = f64::from(sampling.top_p).min(1.0) * total;
    let n_kept = order
        .iter()
        .position(|(weight, _)| {
            kept += weight;
            kept >= enough
        })
        .map_or(order.len(), |last| last + 1);
    let mut left = f64::from(uniform) * order[..n_kept].iter().map(|(w, _)| w).sum::<f64>();
    for (weight, id) in &order[..n_kept] {
        left -= weight;
        if left < 0.0 {
            return *id;
        }
    }
    order[n_kept - 1].1
}

/// One text under way.
pub(super) struct Text {
    prompt_len: usize,
    picker: Picker,
    pub(super) written: Generation,
    n_max: usize,
    is_done: bool,
}

impl Text {
    /// Takes the token that follows from `scores`; returns the new piece of text.
    fn take(
        &mut self,
        scores: &[f32],
        options: &GenerationOptions,
        vocabulary: &dyn Vocabulary,
    ) -> Result<String, ModelError> {
        let id = self.picker.pick(scores).ok_or_else(|| {
            ModelError::Request(
                "the model computed a value that is not a number; a weaker change of its \
                 activations may help"
                    .to_owned(),
            )
        })?;
        self.written.ids.push(id);
        if options.keep_logits {
            self.written.logits.extend_from_slice(scores);
        }
        let is_end = vocabulary.is_end(id);
        self.written.is_complete = is_end && !options.ignore_eos;
        self.is_done = self.written.is_complete || self.written.ids.len() >= self.n_max;
        let shown: Vec<u32> = self.text_ids(vocabulary);
        let all = vocabulary.decode(&shown);
        let whole = if self.is_done {
            all.as_str()
        } else {
            all.trim_end_matches('\u{fffd}')
        };
        let piece = whole
            .strip_prefix(self.written.text.as_str())
            .unwrap_or("")
            .to_owned();
        if self.is_done || !piece.is_empty() {
            whole.clone_into(&mut self.written.text);
        }
        Ok(piece)
    }

    fn text_ids(&self, vocabulary: &dyn Vocabulary) -> Vec<u32> {
        let ids = self.written.ids.iter().copied();
        ids.filter(|&id| !vocabulary.is_end(id)).collect()
    }
}

/// Writes texts: a decoder, its vocabulary, and what is asked of both.
pub(crate) struct Writer<'a> {
    pub(crate) llama: &'a Llama,
    pub(crate) vocabulary: &'a dyn Vocabulary,
    pub(crate) spec: &'a HookSpec,
    pub(crate) options: &'a GenerationOptions,
}

impl Writer<'_> {
    /// Writes after every prompt, all in step. `on_token` sees the number of the prompt and each
    /// new piece, and may stop everything.
    ///
    /// # Errors
    /// A failure of the tensor library, or a score that is no number.
    pub(crate) fn write(
        &self,
        prompts: Vec<Prompt>,
        on_token: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, ModelError> {
        let mut texts = Vec::with_capacity(prompts.len());
        let mut sequences = Vec::with_capacity(prompts.len());
        let mut states = Vec::with_capacity(prompts.len());
        for (i, prompt) in prompts.into_iter().enumerate() {
            let mut text = self.begin(prompt.classes.len(), i);
            let mut sequence = self.llama.sequence(text.prompt_len + text.n_max)?;
            let positions = prompt_positions(&prompt.classes);
            let rows = PackedRows {
                lens: &[text.prompt_len],
                positions: &positions,
            };
            let mut run = HookRun::new(self.spec);
            let begin = (prompt.x, HookPoint::Embed);
            let sequences_of = &mut [&mut sequence];
            let pass = self
                .llama
                .forward(begin, &rows, sequences_of, usize::MAX, &mut run)?;
            text.written.captured = run.into_captured();
            states.push(pass.narrow(0, text.prompt_len - 1, 1)?);
            texts.push(text);
            sequences.push(sequence);
        }
        let mut borrowed: Vec<&mut Sequence> = sequences.iter_mut().collect();
        self.go_on(&mut texts, &mut borrowed, &states, on_token)?;
        Ok(texts.into_iter().map(|text| text.written).collect())
    }

    /// [`Writer::write`] for one prompt whose reading is kept in `cache` up to the first block that
    /// the spec touches, so that another spec goes on from there. `prompt` gives the embeddings; it
    /// is called when the cache does not hold the prompt of this `key`.
    ///
    /// # Errors
    /// As [`Writer::write`], and what `prompt` fails with.
    pub(crate) fn write_cached(
        &self,
        (key, classes): ([u8; 32], &[PositionClass]),
        prompt: &mut dyn FnMut() -> Result<Tensor, ModelError>,
        cache: &mut Option<PromptCache>,
        on_token: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, ModelError> {
        let llama = self.llama;
        let mut text = self.begin(classes.len(), 0);
        let capacity = text.prompt_len + text.n_max;
        let positions = prompt_positions(classes);
        let rows = PackedRows {
            lens: &[text.prompt_len],
            positions: &positions,
        };
        let wanted = unchanged_block(self.spec, llama.config().n_blocks);
        let known = cache.take().filter(|cache| {
            cache.key == key
                && cache.capacity >= capacity
                && cache.block.is_some()
                && cache.block <= wanted
        });
        let mut kept = match (known, wanted) {
            (Some(mut known), _) => {
                known.sequence.truncate(0);
                known
            }
            (None, wanted) => {
                let mut sequence = llama.sequence(capacity)?;
                let mut resid = prompt()?;
                if let Some(block) = wanted {
                    let nothing = HookSpec::default();
                    let begin = (resid, HookPoint::Embed);
                    let stop = 4 * block + 4;
                    let run = &mut HookRun::new(&nothing);
                    resid = llama.forward(begin, &rows, &mut [&mut sequence], stop, run)?;
                }
                PromptCache {
                    key,
                    block: wanted,
                    resid,
                    sequence,
                    capacity,
                }
            }
        };
        let mut run = HookRun::new(self.spec);
        let from = kept.block.map_or(HookPoint::Embed, HookPoint::ResidPost);
        let begin = (kept.resid.clone(), from);
        let sequences = &mut [&mut kept.sequence];
        let pass = llama.forward(begin, &rows, sequences, usize::MAX, &mut run)?;
        text.written.captured = run.into_captured();
        let state = pass.narrow(0, text.prompt_len - 1, 1)?;
        let mut texts = [text];
        self.go_on(
            &mut texts,
            &mut [&mut kept.sequence],
            &[state],
            &mut |_, piece| on_token(piece),
        )?;
        if kept.block.is_some() {
            *cache = Some(kept);
        }
        let [text] = texts;
        Ok(text.written)
    }

    pub(super) fn begin(&self, prompt_len: usize, number: usize) -> Text {
        let room = self.llama.config().n_context.saturating_sub(prompt_len) + 1;
        Text {
            prompt_len,
            picker: Picker::new(self.options.sampling, number),
            written: Generation::default(),
            n_max: self.options.max_new_tokens.min(room),
            is_done: self.options.max_new_tokens == 0,
        }
    }

    /// Takes tokens until every text is done. `states` are the last rows after the final norm.
    pub(super) fn go_on(
        &self,
        texts: &mut [Text],
        sequences: &mut [&mut Sequence],
        states: &[Tensor],
        on_token: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<(), ModelError> {
        let edits = HookSpec {
            edits: self.spec.edits.clone(),
            ..HookSpec::default()
        };
        // One row per text that is not done, in their order.
        let mut normed = Tensor::cat(states, 0)?;
        let mut open: Vec<usize> = (0..texts.len()).filter(|&i| !texts[i].is_done).collect();
        if open.len() < texts.len() {
            return Ok(());
        }
        loop {
            let scores = self.llama.logits(&normed)?.to_vec2::<f32>()?;
            let mut stopped = false;
            for (&i, scores) in open.iter().zip(&scores) {
                let piece = texts[i].take(scores, self.options, self.vocabulary)?;
                stopped |= on_token(i, &piece).is_break();
            }
            open.retain(|&i| !texts[i].is_done);
            if stopped || open.is_empty() {
                return Ok(());
            }
            let ids: Vec<u32> = open
                .iter()
                .filter_map(|&i| texts[i].written.ids.last().copied())
                .collect();
            let positions: Vec<EditedPosition> = open
                .iter()
                .map(|&i| EditedPosition {
                    position: sequences[i].n_seen() as u32,
                    prompt_len: texts[i].prompt_len as u32,
                    class: PositionClass::Generated,
                })
                .collect();
            let lens = vec![1; open.len()];
            let rows = PackedRows {
                lens: &lens,
                positions: &positions,
            };
            let mut going: Vec<&mut Sequence> = sequences
                .iter_mut()
                .enumerate()
                .filter(|(i, _)| open.contains(i))
                .map(|(_, sequence)| &mut **sequence)
                .collect();
            let mut run = HookRun::new(&edits);
            let x = self.llama.embed(&ids)?;
            let begin = (x, HookPoint::Embed);
            normed = self
                .llama
                .forward(begin, &rows, &mut going, usize::MAX, &mut run)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_follows_the_probabilities_and_top_p() {
        let scores = [1.0, 3.0, 2.0, -50.0];
        let at = |top_p, uniform| {
            let sampling = Sampling {
                temperature: 1.0,
                top_p,
                seed: 0,
            };
            draw(&scores, sampling, uniform)
        };
        // Softmax of 3, 2, 1: 0.665, 0.245, 0.090.
        assert_eq!([at(1.0, 0.66), at(1.0, 0.67), at(1.0, 0.92)], [1, 2, 0]);
        assert_eq!([at(0.5, 0.999), at(0.8, 0.999)], [1, 2]);
        assert_eq!(highest(&[1.0, 2.0, 2.0]), 1);
    }

    #[test]
    fn the_same_seed_draws_the_same_tokens() {
        let sampling = Sampling {
            temperature: 2.0,
            top_p: 1.0,
            seed: 5,
        };
        let scores: Vec<f32> = (0..50).map(|i| (i as f32 * 0.3).sin()).collect();
        let series = |prompt| {
            let mut picker = Picker::new(Some(sampling), prompt);
            (0..20).map(|_| picker.pick(&scores)).collect::<Vec<_>>()
        };
        assert_eq!(series(0), series(0));
        assert_ne!(series(0), series(1));
        assert_eq!(Picker::new(None, 0).pick(&[f32::NAN]), None);
    }

    #[test]
    fn a_prompt_is_kept_up_to_the_first_block_that_is_touched() {
        let at = |hook| unchanged_block(&HookSpec::capturing(&[hook]), 6);
        assert_eq!(at(HookPoint::Embed), None);
        assert_eq!(at(HookPoint::AttnOut(0)), None);
        assert_eq!(at(HookPoint::ResidPost(0)), Some(0));
        assert_eq!(at(HookPoint::ResidPre(3)), Some(2));
        assert_eq!(at(HookPoint::ResidPost(3)), Some(3));
        assert_eq!(at(HookPoint::ProjectorOut), None);
        assert_eq!(unchanged_block(&HookSpec::default(), 6), Some(5));
    }
}
