//! A Llama-shaped text decoder with hooks and a key-value cache: `RMSNorm`, rotary, `SwiGLU`.

use candle_core::Tensor;
use schema::HookPoint;

use super::parameters::Parameters;
use super::phantom_vlm_config::DecoderConfig;
use crate::differentiable::activations::swiglu;
use crate::differentiable::affine::linear;
use crate::differentiable::attention::attention;
use crate::differentiable::norms::rms_norm;
use crate::differentiable::rotary::{RotaryTable, rotate};
use crate::{EditedPosition, HookRun, ModelError};

/// Keys and values of the positions seen so far, per block `[batch, n_positions, d_model]`.
#[derive(Default)]
pub(crate) struct KvCache {
    blocks: Vec<(Tensor, Tensor)>,
}

impl KvCache {
    /// Positions held.
    pub(crate) fn len(&self) -> usize {
        self.blocks
            .first()
            .and_then(|(keys, _)| keys.dim(1).ok())
            .unwrap_or(0)
    }
}

struct Block {
    norm1: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    norm2: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

impl Block {
    fn load(parameters: &Parameters, i: usize) -> Result<Self, ModelError> {
        let get = |name: &str| parameters.get(&format!("decoder.blocks.{i}.{name}.weight"));
        Ok(Self {
            norm1: get("norm1")?,
            q: get("attention.q")?,
            k: get("attention.k")?,
            v: get("attention.v")?,
            out: get("attention.out")?,
            norm2: get("norm2")?,
            gate: get("mlp.gate")?,
            up: get("mlp.up")?,
            down: get("mlp.down")?,
        })
    }

    /// Keys and values of `x`, whose first position is `offset`.
    fn keys_values(
        &self,
        normed: &Tensor,
        table: &RotaryTable,
        offset: usize,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let keys = rotate(&linear(normed, &self.k, None)?, table, offset)?;
        Ok((keys, linear(normed, &self.v, None)?))
    }
}

/// The decoder. Weights are shared with the [`Parameters`] it was built from.
pub(crate) struct Decoder {
    config: DecoderConfig,
    embed: Tensor,
    blocks: Vec<Block>,
    ln_final: Tensor,
    unembed: Tensor,
    table: RotaryTable,
}

impl Decoder {
    /// Takes the weights named `decoder.*`.
    pub(crate) fn load(
        config: &DecoderConfig,
        parameters: &Parameters,
    ) -> Result<Self, ModelError> {
        let d_head = config.d_model / config.n_heads;
        Ok(Self {
            config: config.clone(),
            embed: parameters.get("decoder.embed.weight")?,
            blocks: (0..config.n_blocks)
                .map(|i| Block::load(parameters, i))
                .collect::<Result<_, _>>()?,
            ln_final: parameters.get("decoder.ln_final.weight")?,
            unembed: parameters.get("decoder.unembed.weight")?,
            table: RotaryTable::new(config.n_positions, d_head, config.rope_theta),
        })
    }

    /// Embeddings of token ids.
    ///
    /// # Shapes
    /// - `ids`: `batch * n` ids, row-major; returns `[batch, n, d_model]`
    pub(crate) fn embed(&self, ids: &[u32], batch: usize) -> candle_core::Result<Tensor> {
        let index = Tensor::from_slice(ids, ids.len(), self.embed.device())?;
        self.embed.index_select(&index, 0)?.reshape((
            batch,
            ids.len() / batch.max(1),
            self.config.d_model,
        ))
    }

    /// Runs the blocks on embedded positions, which follow those in `cache`. `None` when `last`
    /// was reached before the end.
    ///
    /// # Shapes
    /// - `x`: `[batch, n, d_model]`; `positions`: one entry per row, or empty without edits
    /// - returns: `[batch, n, d_model]` after the final norm
    pub(crate) fn forward(
        &self,
        x: Tensor,
        cache: Option<&mut KvCache>,
        run: &mut HookRun<'_>,
        positions: &[EditedPosition],
        last: Option<HookPoint>,
    ) -> Result<Option<Tensor>, ModelError> {
        let mut x = run.visit(HookPoint::Embed, x, positions)?;
        if last == Some(HookPoint::Embed) {
            return Ok(None);
        }
        let mut kept = Vec::with_capacity(self.blocks.len());
        let earlier = cache.as_ref().map_or(&[][..], |cache| &cache.blocks);
        let offset = cache.as_ref().map_or(0, |cache| cache.len());
        for (i, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(&x, &block.norm1, self.config.rms_norm_eps)?;
            let (mut keys, mut values) = block.keys_values(&normed, &self.table, offset)?;
            if let Some((earlier_keys, earlier_values)) = earlier.get(i) {
                keys = Tensor::cat(&[earlier_keys, &keys], 1)?;
                values = Tensor::cat(&[earlier_values, &values], 1)?;
            }
            x = self.finish_block(
                block,
                &x,
                &normed,
                (&keys, &values, offset),
                Some(&mut *run),
            )?;
            kept.push((keys, values));
            let hook = HookPoint::ResidPost(i);
            x = run.visit(hook, x, positions)?;
            if last == Some(hook) {
                return Ok(None);
            }
        }
        if let Some(cache) = cache {
            cache.blocks = kept;
        }
        let x = rms_norm(&x, &self.ln_final, self.config.rms_norm_eps)?;
        run.visit(HookPoint::LnFinal, x, positions).map(Some)
    }

    /// What remains of a block once keys and values are known; `x` begins at `offset`.
    fn finish_block(
        &self,
        block: &Block,
        x: &Tensor,
        normed: &Tensor,
        (keys, values, offset): (&Tensor, &Tensor, usize),
        run: Option<&mut HookRun<'_>>,
    ) -> Result<Tensor, ModelError> {
        let queries = rotate(&linear(normed, &block.q, None)?, &self.table, offset)?;
        if let Some(run) = run {
            run.see_attention(&queries, keys, [self.config.n_heads; 2])?;
        }
        let mixed = attention(&queries, keys, values, [self.config.n_heads; 2], true)?;
        let x = (x + linear(&mixed, &block.out, None)?)?;
        let normed = rms_norm(&x, &block.norm2, self.config.rms_norm_eps)?;
        let gate = linear(&normed, &block.gate, None)?;
        let hidden = swiglu(&gate, &linear(&normed, &block.up, None)?)?;
        Ok((x + linear(&hidden, &block.down, None)?)?)
    }

    /// The final normed states of the positions from `first` on, without hooks. The last block
    /// computes only keys and values for the positions before: nothing reads more of them.
    ///
    /// # Shapes
    /// - `x`: `[batch, n, d_model]`; returns `[batch, n - first, d_model]`
    pub(crate) fn forward_from(&self, x: &Tensor, first: usize) -> Result<Tensor, ModelError> {
        let (_, n, _) = x.dims3()?;
        let mut x = x.clone();
        for (i, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(&x, &block.norm1, self.config.rms_norm_eps)?;
            let (keys, values) = block.keys_values(&normed, &self.table, 0)?;
            if i + 1 == self.blocks.len() {
                x = x.narrow(1, first, n - first)?.contiguous()?;
                let normed = normed.narrow(1, first, n - first)?.contiguous()?;
                x = self.finish_block(block, &x, &normed, (&keys, &values, first), None)?;
            } else {
                x = self.finish_block(block, &x, &normed, (&keys, &values, 0), None)?;
            }
        }
        Ok(rms_norm(&x, &self.ln_final, self.config.rms_norm_eps)?)
    }

    /// Scores of the next token.
    ///
    /// # Shapes
    /// - `normed`: `[.., d_model]` after the final norm; returns `[.., n_vocab]`
    pub(crate) fn logits(&self, normed: &Tensor) -> candle_core::Result<Tensor> {
        linear(normed, &self.unembed, None)
    }

    /// Scores that a direction in the residual stream writes: the final norm's weights are applied,
    /// its scale, which depends on the position, is left out.
    pub(crate) fn direct_scores(
        &self,
        direction: &[f32],
        is_normed: bool,
    ) -> candle_core::Result<Vec<f32>> {
        let x = Tensor::from_slice(direction, (1, direction.len()), self.unembed.device())?;
        let x = if is_normed {
            x
        } else {
            x.broadcast_mul(&self.ln_final)?
        };
        self.logits(&x)?.flatten_all()?.to_vec1::<f32>()
    }
}
