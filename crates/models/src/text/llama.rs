//! The forward pass of a Llama-shaped decoder with hooks at every block, in f32.
//!
//! Several sequences may be packed one after another into one pass: the products run over all
//! rows at once, attention stays within each sequence. Knows no text and no file names beyond the
//! GGUF file it is read from.

use candle_core::{DType, Device, Tensor};
use candle_nn::kv_cache::KvCache;
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope_i;
use schema::HookPoint;

use super::{Gguf, LlamaConfig};
use crate::{EditedPosition, HookRun, ModelError};

/// Weights of one block; matrices are `[out, in]`.
struct Block {
    attn_norm: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    mlp_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

/// A Llama-shaped decoder on one device.
pub(crate) struct Llama {
    config: LlamaConfig,
    embed: Tensor,
    blocks: Vec<Block>,
    ln_final: Tensor,
    /// `None` when the embedding is the output map too.
    head: Option<Tensor>,
    /// `[d_head / 2]` angles per position.
    frequencies: Tensor,
}

/// Keys and values of the positions seen so far, one entry per block.
pub(crate) struct DecodeState {
    caches: Vec<KvCache>,
    n_seen: usize,
}

/// Rows of one packed pass.
pub(crate) struct PackedRows<'a> {
    /// Token ids of all sequences, one after another.
    pub(crate) ids: &'a [u32],
    /// Length of each sequence; their sum is the number of ids.
    pub(crate) lens: &'a [usize],
    /// One entry per row; empty if no edit can apply.
    pub(crate) positions: &'a [EditedPosition],
}

impl DecodeState {
    /// Number of positions seen so far.
    pub(crate) fn n_seen(&self) -> usize {
        self.n_seen
    }
}

/// `y = x wᵀ` for `x: [n, in]`, `w: [out, in]`.
fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor, ModelError> {
    Ok(x.matmul(&w.t()?)?)
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

/// Names and shapes of the tensors of block `i`, in the order of [`Block`].
fn block_tensors(config: &LlamaConfig, i: usize) -> [(String, Vec<usize>); 9] {
    let (d, mlp, query, key) = (
        config.d_model,
        config.d_mlp,
        config.d_query(),
        config.d_key(),
    );
    [
        ("attn_norm", vec![d]),
        ("attn_q", vec![query, d]),
        ("attn_k", vec![key, d]),
        ("attn_v", vec![key, d]),
        ("attn_output", vec![d, query]),
        ("ffn_norm", vec![d]),
        ("ffn_gate", vec![mlp, d]),
        ("ffn_up", vec![mlp, d]),
        ("ffn_down", vec![d, mlp]),
    ]
    .map(|(name, shape)| (format!("blk.{i}.{name}.weight"), shape))
}

/// Every tensor the decoder reads: name and shape.
fn expected_tensors(gguf: &Gguf, config: &LlamaConfig) -> Vec<(String, Vec<usize>)> {
    let vocab = vec![config.n_vocab, config.d_model];
    let mut expected = vec![
        ("token_embd.weight".to_owned(), vocab.clone()),
        ("output_norm.weight".to_owned(), vec![config.d_model]),
    ];
    for i in 0..config.n_blocks {
        expected.extend(block_tensors(config, i));
    }
    if gguf.tensors().contains_key("output.weight") {
        expected.push(("output.weight".to_owned(), vocab));
    }
    if gguf.tensors().contains_key("rope_freqs.weight") {
        expected.push(("rope_freqs.weight".to_owned(), vec![config.d_head / 2]));
    }
    expected
}

/// Checks that every tensor the decoder needs is in the file with the right shape, and none that
/// it would silently leave out. Returns the number of weights.
pub(crate) fn check_tensors(gguf: &Gguf, config: &LlamaConfig) -> Result<u64, ModelError> {
    let expected = expected_tensors(gguf, config);
    let damage = |name: &str, expected: String| ModelError::Format {
        path: gguf.path().to_owned(),
        place: format!("tensor {name}"),
        expected,
    };
    let mut n_parameters = 0;
    for (name, shape) in &expected {
        let found = gguf.tensors().get(name).map(|entry| &entry.shape);
        if found != Some(shape) {
            let found = found.map_or("it is missing".to_owned(), |found| {
                format!("found {found:?}")
            });
            return Err(damage(name, format!("expected shape {shape:?}, {found}")));
        }
        n_parameters += shape.iter().map(|&dim| dim as u64).product::<u64>();
    }
    let mut names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match gguf
        .tensors()
        .keys()
        .find(|name| names.binary_search(&name.as_str()).is_err())
    {
        Some(name) => Err(damage(
            name,
            "a plain Llama decoder has no such tensor".to_owned(),
        )),
        None => Ok(n_parameters),
    }
}

impl Llama {
    /// Reads all weights once, as f32.
    pub(crate) fn from_gguf(gguf: &Gguf, config: LlamaConfig) -> Result<Self, ModelError> {
        check_tensors(gguf, &config)?;
        let vocab = [config.n_vocab, config.d_model];
        let mut blocks = Vec::with_capacity(config.n_blocks);
        for i in 0..config.n_blocks {
            let mut tensors = Vec::with_capacity(9);
            for (name, shape) in block_tensors(&config, i) {
                tensors.push(gguf.tensor_f32(&name, &shape)?);
            }
            if let Ok([attn_norm, q, k, v, o, mlp_norm, gate, up, down]) =
                <[Tensor; 9]>::try_from(tensors)
            {
                blocks.push(Block {
                    attn_norm,
                    q,
                    k,
                    v,
                    o,
                    mlp_norm,
                    gate,
                    up,
                    down,
                });
            }
        }
        let has = |name: &str| gguf.tensors().contains_key(name);
        let head = if has("output.weight") {
            Some(gguf.tensor_f32("output.weight", &vocab)?)
        } else {
            None
        };
        let half = config.d_head / 2;
        let factors = if has("rope_freqs.weight") {
            gguf.tensor_f32("rope_freqs.weight", &[half])?
                .to_vec1::<f32>()?
        } else {
            vec![1.0; half]
        };
        let frequencies: Vec<f32> = factors
            .iter()
            .enumerate()
            .map(|(i, &factor)| {
                let power = 2.0 * i as f64 / config.d_head as f64;
                (config.rope_base.powf(-power) / f64::from(factor)) as f32
            })
            .collect();
        Ok(Self {
            embed: gguf.tensor_f32("token_embd.weight", &vocab)?,
            ln_final: gguf.tensor_f32("output_norm.weight", &[config.d_model])?,
            head,
            blocks,
            frequencies: Tensor::from_vec(frequencies, half, &Device::Cpu)?,
            config,
        })
    }

    /// Sizes of the decoder.
    pub(crate) fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// The output map, `[n_vocab, d_model]`.
    pub(crate) fn unembed(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embed)
    }

    /// Weight of the final norm, `[d_model]`.
    pub(crate) fn final_norm(&self) -> &Tensor {
        &self.ln_final
    }

    /// An empty state for writing token by token.
    pub(crate) fn decode_state(&self, capacity: usize) -> DecodeState {
        let caches = self.blocks.iter().map(|_| KvCache::new(1, capacity));
        DecodeState {
            caches: caches.collect(),
            n_seen: 0,
        }
    }

    /// Runs the rows through the decoder up to the hook point at place `stop` of [`hook_order`].
    ///
    /// With a `state`, the rows are one sequence that goes on where the state ends.
    ///
    /// # Shapes
    /// - returns: `[n, d_model]` after the final norm, or `None` when it stopped before
    pub(crate) fn forward(
        &self,
        rows: &PackedRows<'_>,
        mut state: Option<&mut DecodeState>,
        stop: usize,
        run: &mut HookRun<'_>,
    ) -> Result<Option<Tensor>, ModelError> {
        let offset = state.as_ref().map_or(0, |state| state.n_seen);
        let rope = self.rope_tables(rows.lens, offset)?;
        let masks = causal_masks(rows.lens, offset)?;
        let ids = Tensor::from_slice(rows.ids, rows.ids.len(), &Device::Cpu)?;
        let at = rows.positions;
        let mut x = run.visit(HookPoint::Embed, self.embed.index_select(&ids, 0)?, at)?;
        let eps = self.config.rms_eps;
        for (i, block) in self.blocks.iter().enumerate() {
            if stop < 1 + 4 * i {
                return Ok(None);
            }
            x = run.visit(HookPoint::ResidPre(i), x, at)?;
            if stop == 1 + 4 * i {
                return Ok(None);
            }
            let h = rms_norm(&x, &block.attn_norm, eps)?;
            let cache = state.as_deref_mut().map(|state| &mut state.caches[i]);
            let h = self.attention(block, &h, &rope, &masks, (rows.lens, cache))?;
            let h = run.visit(HookPoint::AttnOut(i), h, at)?;
            x = (x + h)?;
            let h = rms_norm(&x, &block.mlp_norm, eps)?;
            let h = (silu(&linear(&h, &block.gate)?)? * linear(&h, &block.up)?)?;
            let h = run.visit(HookPoint::MlpOut(i), linear(&h, &block.down)?, at)?;
            x = run.visit(HookPoint::ResidPost(i), (x + h)?, at)?;
        }
        if let Some(state) = state {
            state.n_seen += rows.ids.len();
        }
        if stop < 1 + 4 * self.config.n_blocks {
            return Ok(None);
        }
        let x = rms_norm(&x, &self.ln_final, eps)?;
        Ok(Some(run.visit(HookPoint::LnFinal, x, at)?))
    }

    /// Logits of rows that went through the final norm: `[n, d_model]` to `[n, n_vocab]`.
    pub(crate) fn logits(&self, normed: &Tensor) -> Result<Tensor, ModelError> {
        linear(normed, self.unembed())
    }

    /// Cosines and sines per row, `[n, d_head / 2]` each; every sequence begins at `offset`.
    fn rope_tables(&self, lens: &[usize], offset: usize) -> Result<[Tensor; 2], ModelError> {
        let positions: Vec<f32> = lens
            .iter()
            .flat_map(|&len| (offset..offset + len).map(|position| position as f32))
            .collect();
        let n = positions.len();
        let positions = Tensor::from_vec(positions, (n, 1), &Device::Cpu)?;
        let angles = positions.matmul(&self.frequencies.unsqueeze(0)?)?;
        Ok([angles.cos()?, angles.sin()?])
    }

    /// What the attention of one block adds: `[n, d_model]` to `[n, d_model]`.
    fn attention(
        &self,
        block: &Block,
        x: &Tensor,
        rope: &[Tensor; 2],
        masks: &[Option<Tensor>],
        (lens, mut cache): (&[usize], Option<&mut KvCache>),
    ) -> Result<Tensor, ModelError> {
        let n = x.dim(0)?;
        let (heads, kv_heads, d) = (
            self.config.n_heads,
            self.config.n_kv_heads,
            self.config.d_head,
        );
        let split = |w: &Tensor, heads: usize| -> Result<Tensor, ModelError> {
            let rows = linear(x, w)?.reshape((n, heads, d))?;
            Ok(rows.transpose(0, 1)?.contiguous()?)
        };
        let turn = |rows: Tensor| -> Result<Tensor, ModelError> {
            Ok(rope_i(&rows.unsqueeze(0)?, &rope[0], &rope[1])?.squeeze(0)?)
        };
        let q = turn(split(&block.q, heads)?)?;
        let k = turn(split(&block.k, kv_heads)?)?;
        let v = split(&block.v, kv_heads)?;
        let scale = 1.0 / (d as f64).sqrt();
        let mut out = Vec::with_capacity(lens.len());
        let mut start = 0;
        for (&len, mask) in lens.iter().zip(masks) {
            let q = q.narrow(1, start, len)?.contiguous()?;
            let (k, v) = (k.narrow(1, start, len)?, v.narrow(1, start, len)?);
            let (k, v) = match cache.as_deref_mut() {
                Some(cache) => cache.append(&k.contiguous()?, &v.contiguous()?)?,
                None => (k, v),
            };
            let (k, v) = (k.contiguous()?, v.contiguous()?);
            // Query heads that share a key head stand next to each other.
            let grouped = q.reshape((kv_heads, heads / kv_heads * len, d))?;
            let scores = (grouped.matmul(&k.t()?)? * scale)?;
            let n_keys = k.dim(1)?;
            let scores = scores.reshape((heads, len, n_keys))?;
            let scores = match mask {
                Some(mask) => scores.broadcast_add(mask)?,
                None => scores,
            };
            let weights = softmax_last_dim(&scores)?;
            let mixed = weights
                .reshape((kv_heads, heads / kv_heads * len, n_keys))?
                .matmul(&v)?
                .reshape((heads, len, d))?;
            out.push(mixed.transpose(0, 1)?.reshape((len, heads * d))?);
            start += len;
        }
        linear(&Tensor::cat(&out, 0)?, &block.o)
    }
}

/// `[1, len, offset + len]` with −∞ where a key lies after its query; `None` for a single row.
fn causal_masks(lens: &[usize], offset: usize) -> Result<Vec<Option<Tensor>>, ModelError> {
    lens.iter()
        .map(|&len| {
            if len == 1 {
                return Ok(None);
            }
            let keys = offset + len;
            let values: Vec<f32> = (0..len)
                .flat_map(|query| {
                    (0..keys).map(move |key| {
                        if key > offset + query {
                            f32::NEG_INFINITY
                        } else {
                            0.0
                        }
                    })
                })
                .collect();
            let mask = Tensor::from_vec(values, (1, len, keys), &Device::Cpu)?;
            Ok(Some(mask.to_dtype(DType::F32)?))
        })
        .collect()
}
