//! Weights of a `SASRec` model in one flat buffer, and where each tensor lies in it.

use std::ops::Range;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// Shape of a `SASRec` model. No dropout: `RecSAE` uses 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SasRecConfig {
    /// Items of the catalogue, ≥ 1; ids run from 1, id 0 is padding.
    pub n_items: u32,
    /// Width of item and user vectors, ≥ 1. 64 in `RecSAE`.
    pub d_model: u32,
    /// Blocks, ≥ 1. 1 in `RecSAE`.
    pub n_layers: u32,
    /// Attention heads, a divisor of `d_model`. 1 in `RecSAE`.
    pub n_heads: u32,
    /// Last items of a history that the model reads, ≥ 1. 20 in `RecSAE`.
    pub history_max: u32,
}

impl SasRecConfig {
    /// The shape `RecSAE` uses, over a catalogue of `n_items`.
    pub fn new(n_items: u32) -> Self {
        Self {
            n_items,
            d_model: 64,
            n_layers: 1,
            n_heads: 1,
            history_max: 20,
        }
    }

    /// Says what is wrong with the shape, if anything.
    ///
    /// # Errors
    /// [`ModelError::Request`] naming the field, its value and what it may be.
    pub fn check(&self) -> Result<(), ModelError> {
        let fields = [
            ("n_items", self.n_items),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("history_max", self.history_max),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, value)| *value == 0) {
            return Err(ModelError::Request(format!(
                "{name} is 0; expected at least 1"
            )));
        }
        if !self.d_model.is_multiple_of(self.n_heads) {
            return Err(ModelError::Request(format!(
                "n_heads is {}, which does not divide d_model = {}",
                self.n_heads, self.d_model
            )));
        }
        let large = [
            (self.n_items, 1 << 26),
            (self.d_model, 1 << 12),
            (self.n_layers, 1 << 8),
            (self.history_max, 1 << 16),
        ];
        if large.iter().any(|&(value, limit)| value > limit) {
            return Err(ModelError::Request(format!(
                "a recommender of {} items, width {}, {} blocks and {} positions is too large",
                self.n_items, self.d_model, self.n_layers, self.history_max
            )));
        }
        Ok(())
    }

    /// Width of item and user vectors.
    pub(crate) fn d(&self) -> usize {
        self.d_model as usize
    }
}

/// One tensor of the flat buffer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    /// Name in `ReChorus`' state dict.
    pub(crate) name: String,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// Where it lies.
    pub(crate) range: Range<usize>,
}

impl Segment {
    /// `ReChorus` spares every tensor with "bias" in its name from weight decay.
    pub(crate) fn is_decayed(&self) -> bool {
        !self.name.contains("bias")
    }

    fn is_norm(&self) -> bool {
        self.name.contains("layer_norm")
    }
}

/// All tensors of a shape, item table first, then positions, then the blocks.
pub(crate) fn segments(config: &SasRecConfig) -> Vec<Segment> {
    let d = config.d();
    let mut found = Vec::new();
    let mut offset = 0;
    let mut push = |name: String, shape: Vec<usize>| {
        let n: usize = shape.iter().product();
        found.push(Segment {
            name,
            shape,
            range: offset..offset + n,
        });
        offset += n;
    };
    push(
        "i_embeddings.weight".to_owned(),
        vec![config.n_items as usize + 1, d],
    );
    push(
        "p_embeddings.weight".to_owned(),
        vec![config.history_max as usize + 1, d],
    );
    for layer in 0..config.n_layers {
        for (part, is_matrix) in BLOCK_PARTS {
            let name = format!("transformer_block.{layer}.{part}");
            let weight = if is_matrix { vec![d, d] } else { vec![d] };
            push(format!("{name}.weight"), weight);
            push(format!("{name}.bias"), vec![d]);
        }
    }
    found
}

/// Parts of a block in the order of the flat buffer, and whether the weight is a matrix.
const BLOCK_PARTS: [(&str, bool); 7] = [
    ("masked_attn_head.q_linear", true),
    ("masked_attn_head.k_linear", true),
    ("masked_attn_head.v_linear", true),
    ("layer_norm1", false),
    ("linear1", true),
    ("linear2", true),
    ("layer_norm2", false),
];

/// A weight and its bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a> {
    /// `[d, d]` or `[d]`.
    pub(crate) weight: &'a [f32],
    /// `[d]`.
    pub(crate) bias: &'a [f32],
}

/// The weights of one block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockWeights<'a> {
    pub(crate) query: Affine<'a>,
    pub(crate) key: Affine<'a>,
    pub(crate) value: Affine<'a>,
    pub(crate) norm1: Affine<'a>,
    pub(crate) linear1: Affine<'a>,
    pub(crate) linear2: Affine<'a>,
    pub(crate) norm2: Affine<'a>,
}

/// Weights of a `SASRec` model, f32.
#[derive(Debug, Clone, PartialEq)]
pub struct SasRecWeights {
    config: SasRecConfig,
    values: Vec<f32>,
}

impl SasRecWeights {
    /// Fresh weights: N(0, 0.01) for every table and linear layer, biases included, 1 and 0 for
    /// the layer norms, as `ReChorus` does.
    ///
    /// # Errors
    /// As [`SasRecConfig::check`].
    ///
    /// # Determinism
    /// The same seed gives the same bytes.
    pub fn random(config: &SasRecConfig, seed: u64) -> Result<Self, ModelError> {
        config.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut values = Vec::new();
        for segment in segments(config) {
            let n = segment.range.len();
            if segment.is_norm() {
                let value = if segment.is_decayed() { 1.0 } else { 0.0 };
                values.extend(std::iter::repeat_n(value, n));
            } else {
                values.extend((0..n).map(|_| 0.01 * standard_normal(&mut rng)));
            }
        }
        Ok(Self {
            config: config.clone(),
            values,
        })
    }

    /// Takes a flat buffer in the order of [`segments`].
    pub(crate) fn from_flat(config: SasRecConfig, values: Vec<f32>) -> Self {
        debug_assert_eq!(
            values.len(),
            segments(&config).last().map_or(0, |s| s.range.end)
        );
        Self { config, values }
    }

    /// Shape of the model.
    pub fn config(&self) -> &SasRecConfig {
        &self.config
    }

    /// All values: item table, positions, blocks.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The item table, `[n_items + 1, d_model]`, row 0 padding.
    pub fn items(&self) -> &[f32] {
        &self.values[..self.n_item_values()]
    }

    /// Numbers in the item table, which the flat buffer begins with.
    pub(crate) fn n_item_values(&self) -> usize {
        (self.config.n_items as usize + 1) * self.config.d()
    }

    /// The position table, `[history_max + 1, d_model]`; row p is the p-th item from the end.
    pub(crate) fn positions(&self) -> &[f32] {
        let start = self.n_item_values();
        &self.values[start..start + self.n_position_values()]
    }

    pub(crate) fn n_position_values(&self) -> usize {
        (self.config.history_max as usize + 1) * self.config.d()
    }

    /// The weights of block `layer`.
    pub(crate) fn block(&self, layer: usize) -> BlockWeights<'_> {
        let d = self.config.d();
        let block_len = 5 * (d * d + d) + 4 * d;
        let start = self.n_item_values() + self.n_position_values() + layer * block_len;
        let mut rest = &self.values[start..start + block_len];
        let mut take = |is_matrix: bool| {
            let (weight, after) = rest.split_at(if is_matrix { d * d } else { d });
            let (bias, after) = after.split_at(d);
            rest = after;
            Affine { weight, bias }
        };
        let [query, key, value, norm1, linear1, linear2, norm2] =
            BLOCK_PARTS.map(|(_, is_matrix)| take(is_matrix));
        BlockWeights {
            query,
            key,
            value,
            norm1,
            linear1,
            linear2,
            norm2,
        }
    }
}

/// One draw of N(0, 1) by Box and Muller's method.
fn standard_normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    (radius * angle.cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grocery_shape_has_the_published_number_of_weights() {
        let weights = SasRecWeights::random(&SasRecConfig::new(8713), 0).unwrap();
        assert_eq!(weights.values().len(), 580_096);
        assert_eq!(weights.items().len(), 557_696);
        let n = weights.items().len() as f32;
        let variance = weights.items().iter().map(|v| v * v).sum::<f32>() / n;
        assert!((variance.sqrt() - 0.01).abs() < 1e-4);
        assert!(weights.block(0).norm2.weight.iter().all(|&w| w == 1.0));
        assert!(weights.block(0).norm2.bias.iter().all(|&b| b == 0.0));
        assert!(weights.block(0).query.bias.iter().all(|&b| b != 0.0));
    }

    #[test]
    fn an_impossible_shape_is_an_error() {
        let shape = SasRecConfig {
            n_heads: 5,
            ..SasRecConfig::new(10)
        };
        assert!(SasRecWeights::random(&shape, 0).is_err());
        assert!(SasRecConfig::new(0).check().is_err());
    }
}
