//! BERT: sizes from `config.json`, weights from safetensors, and the forward pass. Several texts
//! lie one after another in one pass; attention stays within each. Knows no text.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde_json::Value;

use super::fault;
use crate::ModelError;
use crate::tensor_ops::{add, add_row, attention, gelu, layer_norm};
use crate::weights::{Linear, Reader, Weight, WeightFiles, WeightLoader};

/// Sizes of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BertConfig {
    pub(super) n_vocab: usize,
    pub(super) d_model: usize,
    n_blocks: usize,
    n_heads: usize,
    d_mlp: usize,
    /// Positions it has embeddings of.
    pub(super) n_context: usize,
    /// Kinds of texts; all here are of the first.
    n_kinds: usize,
    norm_eps: f32,
}

impl BertConfig {
    /// Reads a `config.json`; a key that may be absent has the default of the reference.
    ///
    /// # Source
    /// `transformers`, `models/bert/configuration_bert.py`.
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| fault(path, "the file", format!("expected JSON: {error}")))?;
        for (key, wanted, is_needed) in [
            ("model_type", "bert", true),
            ("hidden_act", "gelu", false),
            ("position_embedding_type", "absolute", false),
        ] {
            let found = &value[key];
            if found != wanted && (is_needed || !found.is_null()) {
                return Err(fault(
                    path,
                    &format!("key {key}"),
                    format!("expected \"{wanted}\", found {found}"),
                ));
            }
        }
        let size = |key: &str, most: u64, absent: Option<u64>| {
            let found = &value[key];
            let number = if found.is_null() {
                absent
            } else {
                found.as_u64()
            };
            match number.filter(|size| (1..=most).contains(size)) {
                Some(size) => Ok(size as usize),
                None => Err(fault(
                    path,
                    &format!("key {key}"),
                    format!("expected an integer from 1 to {most}, found {found}"),
                )),
            }
        };
        let eps = value["layer_norm_eps"].as_f64().unwrap_or(1e-12);
        if !(0.0..1.0).contains(&eps) {
            let expected = format!("expected a number from 0 to 1, found {eps}");
            return Err(fault(path, "key layer_norm_eps", expected));
        }
        let config = Self {
            n_vocab: size("vocab_size", 1 << 22, None)?,
            d_model: size("hidden_size", 1 << 14, None)?,
            n_blocks: size("num_hidden_layers", 256, None)?,
            n_heads: size("num_attention_heads", 256, None)?,
            d_mlp: size("intermediate_size", 1 << 16, None)?,
            n_context: size("max_position_embeddings", 1 << 16, None)?,
            n_kinds: size("type_vocab_size", 16, Some(2))?,
            norm_eps: eps as f32,
        };
        if !config.d_model.is_multiple_of(config.n_heads) || config.n_context < 3 {
            return Err(fault(
                path,
                "keys num_attention_heads and max_position_embeddings",
                format!(
                    "expected a divisor of the width {} and at least 3, found {} and {}",
                    config.d_model, config.n_heads, config.n_context
                ),
            ));
        }
        Ok(config)
    }
}

/// Scale and shift of a norm.
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

/// One block: attention, then an MLP, each added and then normed.
struct Block {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    attn_norm: Norm,
    up: Linear,
    down: Linear,
    mlp_norm: Norm,
}

/// An encoder on the CPU.
pub(super) struct Bert {
    config: BertConfig,
    words: Weight,
    positions: Weight,
    /// Of the first kind of texts, `[d_model]`.
    kind: Tensor,
    norm: Norm,
    blocks: Vec<Block>,
}

impl Bert {
    /// Reads the weights, whose names may begin with `bert.`.
    pub(super) fn read(files: &WeightFiles, config: BertConfig) -> Result<Self, ModelError> {
        const WORDS: &str = "embeddings.word_embeddings.weight";
        let load = WeightLoader::new(Device::Cpu, None)?;
        let prefix = ["", "bert."]
            .into_iter()
            .find(|prefix| files.tensors().contains_key(&format!("{prefix}{WORDS}")));
        let reader = Reader {
            files,
            prefix: prefix.unwrap_or("").to_owned(),
            load: &load,
            seen: &RefCell::new(BTreeSet::new()),
        };
        let d = config.d_model;
        let kinds = "embeddings.token_type_embeddings.weight";
        Ok(Self {
            words: reader.weight(&[WORDS], [config.n_vocab, d])?,
            positions: reader.weight(
                &["embeddings.position_embeddings.weight"],
                [config.n_context, d],
            )?,
            kind: reader.tensor(kinds, &[config.n_kinds, d])?.get(0)?,
            norm: read_norm(&reader, "embeddings.LayerNorm", d)?,
            blocks: (0..config.n_blocks)
                .map(|i| read_block(&reader, &config, i))
                .collect::<Result<_, _>>()?,
            config,
        })
    }

    pub(super) fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Runs texts of `lens` tokens, which lie one after another in `ids`.
    ///
    /// # Shapes
    /// - returns: `[ids.len(), d_model]`, the output of the last block
    pub(super) fn forward(&self, ids: &[u32], lens: &[usize]) -> Result<Tensor, ModelError> {
        let positions: Vec<u32> = lens.iter().flat_map(|&len| 0..len as u32).collect();
        let x = add(
            &self.words.rows(ids, &Device::Cpu)?,
            &self.positions.rows(&positions, &Device::Cpu)?,
        )?;
        let mut x = self.normed(&add_row(&x, &self.kind)?, &self.norm)?;
        for block in &self.blocks {
            let mixed = block.o.apply(&self.attention(block, &x, lens)?)?;
            x = self.normed(&add(&x, &mixed)?, &block.attn_norm)?;
            let h = block.down.apply(&gelu(&block.up.apply(&x)?)?)?;
            x = self.normed(&add(&x, &h)?, &block.mlp_norm)?;
        }
        Ok(x)
    }

    fn normed(&self, x: &Tensor, norm: &Norm) -> Result<Tensor, ModelError> {
        Ok(layer_norm(
            x,
            &norm.weight,
            &norm.bias,
            self.config.norm_eps,
        )?)
    }

    /// What the heads read, before the output map: `[n, d_model]`.
    fn attention(&self, block: &Block, x: &Tensor, lens: &[usize]) -> Result<Tensor, ModelError> {
        let heads = [self.config.n_heads; 2];
        let [q, k, v] = Linear::apply_each([&block.q, &block.k, &block.v], x)?;
        let places: Vec<(usize, usize)> = lens
            .iter()
            .scan(0, |next, &len| {
                let start = *next;
                *next += len;
                Some((start, len))
            })
            .collect();
        let out = places
            .par_iter()
            .map(|&(start, len)| {
                let part = |all: &Tensor| all.narrow(0, start, len)?.unsqueeze(0);
                Ok(attention(&part(&q)?, &part(&k)?, &part(&v)?, heads, false)?.squeeze(0)?)
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        Ok(Tensor::cat(&out, 0)?)
    }
}

fn read_norm(reader: &Reader<'_>, name: &str, width: usize) -> Result<Norm, ModelError> {
    Ok(Norm {
        weight: reader.tensor(&format!("{name}.weight"), &[width])?,
        bias: reader.tensor(&format!("{name}.bias"), &[width])?,
    })
}

fn read_block(reader: &Reader<'_>, config: &BertConfig, i: usize) -> Result<Block, ModelError> {
    let (d, mlp) = (config.d_model, config.d_mlp);
    let at = format!("encoder.layer.{i}");
    let map = |name: &str, shape| reader.linear(&[&format!("{at}.{name}")], shape, true);
    let norm = |name: &str| read_norm(reader, &format!("{at}.{name}.LayerNorm"), d);
    Ok(Block {
        q: map("attention.self.query", [d, d])?,
        k: map("attention.self.key", [d, d])?,
        v: map("attention.self.value", [d, d])?,
        o: map("attention.output.dense", [d, d])?,
        attn_norm: norm("attention.output")?,
        up: map("intermediate.dense", [mlp, d])?,
        down: map("output.dense", [d, mlp])?,
        mlp_norm: norm("output")?,
    })
}
