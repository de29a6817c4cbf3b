//! The forward pass of a Llama-shaped decoder with hooks at every block.
//!
//! Several sequences may be packed one after another into one pass: the products run over all
//! rows at once, attention stays within each sequence. Knows no text and no files.

use std::sync::{PoisonError, RwLock};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use schema::HookPoint;

use super::LlamaConfig;
use crate::differentiable::rotary::RotaryTable;
use crate::kernels::gang::lead;
use crate::tensor_ops::{add, attention, rms_norm, rotate, swiglu};
use crate::weights::{FEW, Linear, Weight};
use crate::{EditedPosition, HookRun, ModelError};

/// Weights of one block; matrices are `[out, in]`, query and key rows in the half-split order.
pub(crate) struct Block {
    pub(crate) attn_norm: Tensor,
    pub(crate) q: Linear,
    /// Scales of the norm of every query head, `[d_head]`, where there is one.
    pub(crate) q_norm: Option<Tensor>,
    pub(crate) k: Linear,
    /// As `q_norm`, of the key heads.
    pub(crate) k_norm: Option<Tensor>,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) mlp_norm: Tensor,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// A Llama-shaped decoder on one device.
pub(crate) struct Llama {
    config: LlamaConfig,
    embed: Weight,
    blocks: Vec<Block>,
    ln_final: Tensor,
    /// `None` when the embedding is the output map too.
    head: Option<Weight>,
    /// Angles per position, one per pair of a head's values.
    frequencies: Vec<f32>,
    /// Grows with the longest sequence met.
    table: RwLock<RotaryTable>,
    device: Device,
}

/// Weights of a decoder, however they were read.
pub(crate) struct LlamaParts {
    pub(crate) embed: Weight,
    pub(crate) blocks: Vec<Block>,
    pub(crate) ln_final: Tensor,
    pub(crate) head: Option<Weight>,
    /// Rotary factors that divide the frequencies, one per pair; empty for none.
    pub(crate) rope_factors: Vec<f32>,
    pub(crate) device: Device,
}

/// Keys and values of one block, `[capacity, d_key]` each, filled from the top.
struct RowCache {
    keys: Tensor,
    values: Tensor,
}

/// Keys and values of the positions of one sequence seen so far.
pub(crate) struct Sequence {
    caches: Vec<RowCache>,
    n_seen: usize,
}

impl Sequence {
    /// Number of positions seen so far.
    pub(crate) fn n_seen(&self) -> usize {
        self.n_seen
    }

    /// Forgets all but the first `n` positions.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.n_seen = self.n_seen.min(n);
    }
}

/// Rows of one packed pass.
pub(crate) struct PackedRows<'a> {
    /// Length of each sequence; their sum is the number of rows.
    pub(crate) lens: &'a [usize],
    /// One entry per row; empty if no edit can apply.
    pub(crate) positions: &'a [EditedPosition],
}

/// Where `hook` stands in the order of a forward pass of `n_blocks` blocks; `None` if it does not.
pub(crate) fn hook_order(hook: HookPoint, n_blocks: usize) -> Option<usize> {
    let in_block = |i: usize, slot: usize| (i < n_blocks).then_some(1 + 4 * i + slot);
    match hook {
        HookPoint::Embed => Some(0),
        HookPoint::ResidPre(i) => in_block(i, 0),
        HookPoint::AttnOut(i) => in_block(i, 1),
        HookPoint::MlpOut(i) => in_block(i, 2),
        HookPoint::ResidPost(i) => in_block(i, 3),
        HookPoint::LnFinal => Some(1 + 4 * n_blocks),
        _ => None,
    }
}

/// Every hook point of a decoder with `n_blocks` blocks, in the order of the forward pass.
pub(crate) fn hook_points(n_blocks: usize) -> Vec<HookPoint> {
    let mut hooks = vec![HookPoint::Embed];
    for i in 0..n_blocks {
        hooks.extend([
            HookPoint::ResidPre(i),
            HookPoint::AttnOut(i),
            HookPoint::MlpOut(i),
            HookPoint::ResidPost(i),
        ]);
    }
    hooks.push(HookPoint::LnFinal);
    hooks
}

/// Runs `work` on a thread of the pool, with helpers that stay awake if it is about few rows. From
/// any other thread, each of the hundreds of parallel loops of a pass would be handed over and back.
fn among_workers<R: Send>(x: &Tensor, work: impl FnOnce() -> R + Send) -> R {
    if x.dim(0).is_ok_and(|n| n <= FEW) {
        lead(work)
    } else {
        rayon::scope(|_| work())
    }
}

/// Norms every head of `x: [n, heads · d_head]` by itself, where the decoder does that.
fn norm_heads(x: Tensor, weight: Option<&Tensor>, eps: f32) -> Result<Tensor, ModelError> {
    let Some(weight) = weight else {
        return Ok(x);
    };
    let heads = x.reshape(((), weight.elem_count()))?;
    Ok(rms_norm(&heads, weight, eps)?.reshape(x.shape())?)
}

impl Llama {
    /// Puts a decoder together; the shapes of its parts were checked when they were read.
    pub(crate) fn new(config: LlamaConfig, parts: LlamaParts) -> Self {
        let frequencies: Vec<f32> = (0..config.d_head / 2)
            .map(|i| {
                let power = 2.0 * i as f64 / config.d_head as f64;
                let factor = parts.rope_factors.get(i).copied().unwrap_or(1.0);
                (config.rope_base.powf(-power) / f64::from(factor) / config.rope_factor) as f32
            })
            .collect();
        Self {
            table: RwLock::new(RotaryTable::from_frequencies(0, &frequencies)),
            frequencies,
            embed: parts.embed,
            blocks: parts.blocks,
            ln_final: parts.ln_final,
            head: parts.head,
            device: parts.device,
            config,
        }
    }

    /// Sizes of the decoder.
    pub(crate) fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The output map, `[n_vocab, d_model]`.
    pub(crate) fn unembed(&self) -> &Weight {
        self.head.as_ref().unwrap_or(&self.embed)
    }

    /// Weight of the final norm, `[d_model]`.
    pub(crate) fn final_norm(&self) -> &Tensor {
        &self.ln_final
    }

    /// Embeddings of token ids, `[ids.len(), d_model]`.
    pub(crate) fn embed(&self, ids: &[u32]) -> Result<Tensor, ModelError> {
        Ok(self.embed.rows(ids, &self.device)?)
    }

    /// An empty sequence of at most `capacity` positions.
    pub(crate) fn sequence(&self, capacity: usize) -> Result<Sequence, ModelError> {
        let shape = (capacity.max(1), self.config.d_key());
        let empty = || Tensor::zeros(shape, candle_core::DType::F32, &self.device);
        let caches = self
            .blocks
            .iter()
            .map(|_| {
                Ok(RowCache {
                    keys: empty()?,
                    values: empty()?,
                })
            })
            .collect::<candle_core::Result<_>>()?;
        Ok(Sequence { caches, n_seen: 0 })
    }

    /// A table that reaches `n` positions.
    fn table(&self, n: usize) -> RotaryTable {
        let known = self
            .table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if known.n_positions() >= n {
            return known;
        }
        let grown = RotaryTable::from_frequencies(n.next_power_of_two(), &self.frequencies);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = grown.clone();
        grown
    }

    /// Runs rows through the decoder from `begin` up to the hook point at place `stop` of
    /// [`hook_order`].
    ///
    /// With `sequences`, one per entry of `rows.lens`, the rows go on where those end.
    ///
    /// # Shapes
    /// - `x`: `[n, d_model]`, the residual stream at `begin`, which is [`HookPoint::Embed`] or a
    ///   [`HookPoint::ResidPost`]; the hook is visited
    /// - returns: `[n, d_model]` after the final norm, or at the last place reached
    pub(crate) fn forward(
        &self,
        begin: (Tensor, HookPoint),
        rows: &PackedRows<'_>,
        sequences: &mut [&mut Sequence],
        stop: usize,
        run: &mut HookRun<'_>,
    ) -> Result<Tensor, ModelError> {
        let x = begin.0.clone();
        among_workers(&x, || self.forward_here(begin, rows, sequences, stop, run))
    }

    /// [`Llama::forward`] on the calling thread and those that it shares work with.
    fn forward_here(
        &self,
        (x, begin): (Tensor, HookPoint),
        rows: &PackedRows<'_>,
        sequences: &mut [&mut Sequence],
        stop: usize,
        run: &mut HookRun<'_>,
    ) -> Result<Tensor, ModelError> {
        let at = rows.positions;
        let first = match begin {
            HookPoint::ResidPost(i) => i + 1,
            _ => 0,
        };
        let longest = sequences
            .iter()
            .map(|sequence| sequence.n_seen)
            .max()
            .unwrap_or(0)
            + rows.lens.iter().copied().max().unwrap_or(0);
        let table = self.table(longest);
        let mut x = run.visit(begin, x, at)?;
        let eps = self.config.rms_eps;
        for (i, block) in self.blocks.iter().enumerate().skip(first) {
            if stop < 1 + 4 * i {
                return Ok(x);
            }
            x = run.visit(HookPoint::ResidPre(i), x, at)?;
            if stop == 1 + 4 * i {
                return Ok(x);
            }
            let h = rms_norm(&x, &block.attn_norm, eps)?;
            let h = self.attention(block, &h, &table, (i, rows.lens, sequences), run)?;
            let h = run.visit(HookPoint::AttnOut(i), h, at)?;
            if stop == 2 + 4 * i {
                return Ok(x);
            }
            x = add(&x, &h)?;
            let h = rms_norm(&x, &block.mlp_norm, eps)?;
            let [gate, up] = Linear::apply_each([&block.gate, &block.up], &h)?;
            let h = block.down.apply(&swiglu(&gate, &up)?)?;
            let h = run.visit(HookPoint::MlpOut(i), h, at)?;
            x = run.visit(HookPoint::ResidPost(i), add(&x, &h)?, at)?;
        }
        if stop < 1 + 4 * self.config.n_blocks {
            return Ok(x);
        }
        for (sequence, len) in sequences.iter_mut().zip(rows.lens) {
            sequence.n_seen += len;
        }
        let x = run.visit(HookPoint::LnFinal, rms_norm(&x, &self.ln_final, eps)?, at)?;
        Ok(x)
    }

    /// Logits of rows that went through the final norm: `[n, d_model]` to `[n, n_vocab]`.
    pub(crate) fn logits(&self, normed: &Tensor) -> Result<Tensor, ModelError> {
        Ok(among_workers(normed, || self.unembed().apply(normed))?)
    }

    /// What the attention of one block adds: `[n, d_model]` to `[n, d_model]`.
    fn attention(
        &self,
        block: &Block,
        x: &Tensor,
        table: &RotaryTable,
        (i, lens, sequences): (usize, &[usize], &mut [&mut Sequence]),
        run: &mut HookRun<'_>,
    ) -> Result<Tensor, ModelError> {
        let heads = [self.config.n_heads, self.config.n_kv_heads];
        let [q, k, v] = Linear::apply_each([&block.q, &block.k, &block.v], x)?;
        let eps = self.config.rms_eps;
        let [q, k] = [
            norm_heads(q, block.q_norm.as_ref(), eps)?,
            norm_heads(k, block.k_norm.as_ref(), eps)?,
        ];
        let starts: Vec<usize> = lens
            .iter()
            .scan(0, |next, len| Some(std::mem::replace(next, *next + len)))
            .collect();
        let offset = |at: usize| sequences.get(at).map_or(0, |sequence| sequence.n_seen);
        // Sequences side by side: a step of a short one is too little work to be divided.
        let mut parts = (0..lens.len())
            .into_par_iter()
            .map(|at| {
                let part = |all: &Tensor| all.narrow(0, starts[at], lens[at])?.unsqueeze(0);
                let turned = |all: &Tensor| rotate(&part(all)?, table, offset(at));
                Ok((turned(&q)?, turned(&k)?, part(&v)?))
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        for ((sequence, &len), (_, k, v)) in sequences.iter_mut().zip(lens).zip(&mut parts) {
            let (cache, n_seen) = (&sequence.caches[i], sequence.n_seen);
            cache.keys.slice_set(&k.squeeze(0)?, 0, n_seen)?;
            cache.values.slice_set(&v.squeeze(0)?, 0, n_seen)?;
            *k = cache.keys.narrow(0, 0, n_seen + len)?.unsqueeze(0)?;
            *v = cache.values.narrow(0, 0, n_seen + len)?.unsqueeze(0)?;
        }
        for (q, k, _) in &parts {
            run.see_attention(q, k, heads)?;
        }
        let out = parts
            .par_iter()
            .map(|(q, k, v)| Ok(attention(q, k, v, heads, true)?.squeeze(0)?))
            .collect::<Result<Vec<_>, ModelError>>()?;
        let mixed = match out.as_slice() {
            [only] => only.clone(),
            _ => Tensor::cat(&out, 0)?,
        };
        Ok(block.o.apply(&mixed)?)
    }
}
