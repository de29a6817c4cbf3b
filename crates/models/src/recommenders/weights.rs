//! Weights of a recommender in one flat buffer, and where each tensor lies in it.

use std::ops::Range;
use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::config::{RecommenderConfig, SasRecConfig, SasRecForm};
use crate::ModelError;

/// How a tensor begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// N(0, 0.01), as `ReChorus` starts tables and linear layers, biases included.
    Normal,
    /// Uniform in ±√(6 / (rows + columns)) (Glorot).
    Glorot,
    /// Uniform in ±bound, as `PyTorch` starts recurrent layers with bound 1/√width.
    Uniform(f32),
    /// All 1.
    One,
    /// All 0.
    Zero,
}

/// One tensor of the flat buffer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    /// Name in `ReChorus`' state dict, or in `RecBole`'s for its form of `SASRec`.
    pub(crate) name: String,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// Where it lies.
    pub(crate) range: Range<usize>,
    /// How it begins.
    pub(crate) start: Start,
}

impl Segment {
    /// `ReChorus` spares every tensor with "bias" in its name from weight decay.
    pub(crate) fn is_decayed(&self) -> bool {
        !self.name.contains("bias")
    }
}

/// Collects the tensors of a shape. Tables, whose gradient is sparse, come first.
struct Layout {
    segments: Vec<Segment>,
    n_values: usize,
}

impl Layout {
    fn push(&mut self, name: impl Into<String>, shape: &[usize], start: Start) {
        let n: usize = shape.iter().product();
        self.segments.push(Segment {
            name: name.into(),
            shape: shape.to_vec(),
            range: self.n_values..self.n_values + n,
            start,
        });
        self.n_values += n;
    }

    fn linear(&mut self, name: &str, d_out: usize, d_in: usize) {
        self.push(format!("{name}.weight"), &[d_out, d_in], Start::Normal);
        self.push(format!("{name}.bias"), &[d_out], Start::Normal);
    }

    /// The fourteen tensors of a transformer block.
    fn block(&mut self, name: &str, d: usize) {
        for part in BLOCK_PARTS {
            let part_name = format!("{name}.{part}");
            if part.starts_with("layer_norm") {
                self.norm(&part_name, d);
            } else {
                self.linear(&part_name, d, d);
            }
        }
    }

    fn norm(&mut self, name: &str, d: usize) {
        self.push(format!("{name}.weight"), &[d], Start::One);
        self.push(format!("{name}.bias"), &[d], Start::Zero);
    }

    /// The sixteen tensors of a block of `RecBole`'s `SASRec`.
    fn recbole_block(&mut self, name: &str, d: usize, inner: usize) {
        let attention = format!("{name}.multi_head_attention");
        for part in ["query", "key", "value", "dense"] {
            self.linear(&format!("{attention}.{part}"), d, d);
        }
        self.norm(&format!("{attention}.LayerNorm"), d);
        self.linear(&format!("{name}.feed_forward.dense_1"), inner, d);
        self.linear(&format!("{name}.feed_forward.dense_2"), d, inner);
        self.norm(&format!("{name}.feed_forward.LayerNorm"), d);
    }

    /// The tensors of a `SASRec`.
    fn sasrec(&mut self, shape: &SasRecConfig) {
        let (d, items) = (shape.d_model as usize, shape.n_items as usize + 1);
        let history_max = shape.history_max as usize;
        match shape.form {
            SasRecForm::ReChorus => {
                self.push("i_embeddings.weight", &[items, d], Start::Normal);
                self.push("p_embeddings.weight", &[history_max + 1, d], Start::Normal);
                for layer in 0..shape.n_layers {
                    self.block(&format!("transformer_block.{layer}"), d);
                }
            }
            SasRecForm::RecBole { inner_width } => {
                self.push("item_embedding.weight", &[items, d], Start::Normal);
                self.push(
                    "position_embedding.weight",
                    &[history_max, d],
                    Start::Normal,
                );
                self.norm("LayerNorm", d);
                for layer in 0..shape.n_layers {
                    let name = format!("trm_encoder.layer.{layer}");
                    self.recbole_block(&name, d, inner_width as usize);
                }
            }
        }
    }

    /// The four tensors of a recurrent layer.
    fn gru(&mut self, name: &str, d_in: usize, width: usize) {
        let start = Start::Uniform(1.0 / (width as f32).sqrt());
        self.push(format!("{name}.weight_ih_l0"), &[3 * width, d_in], start);
        self.push(format!("{name}.weight_hh_l0"), &[3 * width, width], start);
        self.push(format!("{name}.bias_ih_l0"), &[3 * width], start);
        self.push(format!("{name}.bias_hh_l0"), &[3 * width], start);
    }
}

/// Parts of a block in the order of the flat buffer.
const BLOCK_PARTS: [&str; 7] = [
    "masked_attn_head.q_linear",
    "masked_attn_head.k_linear",
    "masked_attn_head.v_linear",
    "layer_norm1",
    "linear1",
    "linear2",
    "layer_norm2",
];

/// Tensors of a block.
pub(crate) const BLOCK_TENSORS: usize = 2 * BLOCK_PARTS.len();

/// All tensors of a shape, tables of users and items first.
pub(crate) fn segments(config: &RecommenderConfig) -> Vec<Segment> {
    let d = config.d();
    let items = config.n_items() as usize + 1;
    let mut layout = Layout {
        segments: Vec::new(),
        n_values: 0,
    };
    match config {
        RecommenderConfig::BprMf(shape) => {
            layout.push("i_embeddings.weight", &[items, d], Start::Normal);
            let users = shape.n_users as usize + 1;
            layout.push("u_embeddings.weight", &[users, d], Start::Normal);
        }
        RecommenderConfig::LightGcn(shape) => {
            let users = shape.n_users as usize + 1;
            let name = "encoder.embedding_dict";
            layout.push(format!("{name}.item_emb"), &[items, d], Start::Glorot);
            layout.push(format!("{name}.user_emb"), &[users, d], Start::Glorot);
        }
        RecommenderConfig::SasRec(shape) => layout.sasrec(shape),
        RecommenderConfig::TiMiRec(shape) => {
            let (of, k) = ("interest_extractor", shape.n_interests as usize);
            layout.push(
                format!("{of}.i_embeddings.weight"),
                &[items, d],
                Start::Normal,
            );
            if shape.has_predictor {
                // ReChorus gives this table one row more, which nothing reads.
                let name = "interest_predictor.i_embeddings.weight";
                layout.push(name, &[items + 1, d], Start::Normal);
            }
            if shape.has_positions {
                let positions = shape.history_max as usize + 1;
                let name = format!("{of}.p_embeddings.weight");
                layout.push(name, &[positions, d], Start::Normal);
            }
            if shape.has_block {
                layout.block(&format!("{of}.transformer"), d);
            }
            layout.linear(&format!("{of}.W1"), shape.attention_width as usize, d);
            layout.linear(&format!("{of}.W2"), k, shape.attention_width as usize);
            if shape.has_predictor {
                layout.gru("interest_predictor.rnn", d, d);
                for layer in 1..shape.n_layers {
                    layout.linear(&format!("proj.proj_{}", layer - 1), d, d);
                }
                layout.linear("proj.proj_final", k, d);
            }
        }
        RecommenderConfig::Gru4Rec(shape) => {
            let hidden = shape.hidden_width as usize;
            layout.push("i_embeddings.weight", &[items, d], Start::Normal);
            layout.gru("rnn", d, hidden);
            layout.linear("out", d, hidden);
        }
    }
    layout.segments
}

/// A weight and its bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a> {
    /// `[d_out, d_in]` or `[d]`.
    pub(crate) weight: &'a [f32],
    /// `[d_out]`.
    pub(crate) bias: &'a [f32],
}

/// The weights of one transformer block.
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

/// The weights of a recurrent layer; gates in the order reset, update, new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GruWeights<'a> {
    /// From the input: `[3 width, d_in]` and `[3 width]`.
    pub(crate) input: Affine<'a>,
    /// From the state: `[3 width, width]` and `[3 width]`.
    pub(crate) state: Affine<'a>,
}

/// Weights of a recommender, f32.
#[derive(Debug, Clone)]
pub struct RecommenderWeights {
    config: RecommenderConfig,
    layout: Arc<[Segment]>,
    values: Vec<f32>,
}

impl PartialEq for RecommenderWeights {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config && self.values == other.values
    }
}

impl RecommenderWeights {
    /// Fresh weights, started as `ReChorus` and `PyTorch` do.
    ///
    /// # Errors
    /// As [`RecommenderConfig::check`].
    ///
    /// # Determinism
    /// The same seed gives the same bytes.
    pub fn random(config: impl Into<RecommenderConfig>, seed: u64) -> Result<Self, ModelError> {
        let config = config.into();
        config.check()?;
        let layout = segments(&config);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut values = Vec::with_capacity(layout.last().map_or(0, |s| s.range.end));
        for segment in &layout {
            let n = segment.range.len();
            match segment.start {
                Start::Normal => values.extend((0..n).map(|_| 0.01 * standard_normal(&mut rng))),
                Start::Glorot | Start::Uniform(_) => {
                    let bound = match segment.start {
                        Start::Uniform(bound) => bound,
                        _ => (6.0 / segment.shape.iter().sum::<usize>() as f32).sqrt(),
                    };
                    values.extend((0..n).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)));
                }
                Start::One => values.extend(std::iter::repeat_n(1.0, n)),
                Start::Zero => values.extend(std::iter::repeat_n(0.0, n)),
            }
        }
        Ok(Self {
            config,
            layout: layout.into(),
            values,
        })
    }

    /// Takes a flat buffer in the order of [`segments`].
    pub(crate) fn from_flat(config: RecommenderConfig, values: Vec<f32>) -> Self {
        let layout = segments(&config);
        debug_assert_eq!(values.len(), layout.last().map_or(0, |s| s.range.end));
        Self {
            config,
            layout: layout.into(),
            values,
        }
    }

    /// Shape of the model.
    pub fn config(&self) -> &RecommenderConfig {
        &self.config
    }

    /// All values: tables of users and items, then the rest.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Where each tensor lies.
    pub(crate) fn layout(&self) -> &[Segment] {
        &self.layout
    }

    /// Tensor `index` of the layout.
    pub(crate) fn tensor(&self, index: usize) -> &[f32] {
        &self.values[self.layout[index].range.clone()]
    }

    /// The item table as it is kept, `[n_items + 1, d_model]`, row 0 padding.
    pub fn items(&self) -> &[f32] {
        self.tensor(0)
    }

    /// Where the tables end: what follows has a dense gradient.
    pub(crate) fn n_table_values(&self) -> usize {
        self.layout[self.n_tables() - 1].range.end
    }

    /// Tables of users and items.
    pub(crate) fn n_tables(&self) -> usize {
        match &self.config {
            RecommenderConfig::BprMf(_) | RecommenderConfig::LightGcn(_) => 2,
            RecommenderConfig::TiMiRec(shape) => 1 + usize::from(shape.has_predictor),
            RecommenderConfig::SasRec(_) | RecommenderConfig::Gru4Rec(_) => 1,
        }
    }

    /// The weight at `index` and the bias after it.
    pub(crate) fn affine(&self, index: usize) -> Affine<'_> {
        Affine {
            weight: self.tensor(index),
            bias: self.tensor(index + 1),
        }
    }

    /// The block whose first tensor is `index`.
    pub(crate) fn block(&self, index: usize) -> BlockWeights<'_> {
        let part = |number: usize| self.affine(index + 2 * number);
        BlockWeights {
            query: part(0),
            key: part(1),
            value: part(2),
            norm1: part(3),
            linear1: part(4),
            linear2: part(5),
            norm2: part(6),
        }
    }

    /// The recurrent layer whose first tensor is `index`.
    pub(crate) fn gru(&self, index: usize) -> GruWeights<'_> {
        GruWeights {
            input: Affine {
                weight: self.tensor(index),
                bias: self.tensor(index + 2),
            },
            state: Affine {
                weight: self.tensor(index + 1),
                bias: self.tensor(index + 3),
            },
        }
    }

    /// Index of the tensor of that name.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.layout.iter().position(|segment| segment.name == name)
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
        let weights = RecommenderWeights::random(SasRecConfig::new(8713), 0).unwrap();
        assert_eq!(weights.values().len(), 580_096);
        assert_eq!(weights.items().len(), 557_696);
        let n = weights.items().len() as f32;
        let variance = weights.items().iter().map(|v| v * v).sum::<f32>() / n;
        assert!((variance.sqrt() - 0.01).abs() < 1e-4);
        let block = weights.block(2);
        assert!(block.norm2.weight.iter().all(|&w| w == 1.0));
        assert!(block.norm2.bias.iter().all(|&b| b == 0.0));
        assert!(block.query.bias.iter().all(|&b| b != 0.0));
    }
}
