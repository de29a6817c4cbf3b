//! `SASRec` in `RecBole`'s form, for inference: positions counted from the oldest item, attention
//! with output projection, GELU.

use schema::HookPoint;

use super::super::blocks::transformer::{BlockShape, attention};
use super::super::config::SasRecConfig;
use super::super::kernels::norm::layer_norm_with;
use super::super::kernels::product::linear;
use super::super::kernels::vectors::add_scaled;
use super::super::weights::{Affine, RecommenderWeights};
use super::{Visit, lengths};
use crate::ModelError;
use crate::kernels::elementwise::gelu;

/// Added to variances.
const EPS: f32 = 1e-12;

/// Index of the position table; then the normalisation of embeddings, then the blocks.
const POSITIONS: usize = 1;
const NORM: usize = 2;
const BLOCKS: usize = 4;

/// Weights with biases of a block.
const BLOCK_PARTS: usize = 8;

/// Output of the last block at every position, `[Σ lengths, d]`.
///
/// `RecBole` pads histories at their end and masks what comes later, so that padding reaches no
/// item.
///
/// # Source
/// `recbole.model.sequential_recommender.sasrec` and `recbole.model.layers` of `RecBole` 1.2.1.
pub(crate) fn forward(
    weights: &RecommenderWeights,
    config: &SasRecConfig,
    histories: &[&[u32]],
    visit: &mut Visit<'_>,
) -> Result<Vec<f32>, ModelError> {
    let lengths = lengths(histories);
    let shape = BlockShape {
        lengths: &lengths,
        n_heads: config.n_heads as usize,
        is_causal: true,
    };
    let mut rows = visit(HookPoint::Embed, embed(weights, histories))?;
    for layer in 0..config.n_layers as usize {
        let first = BLOCKS + layer * 2 * BLOCK_PARTS;
        let parts = std::array::from_fn(|part| weights.affine(first + 2 * part));
        rows = visit(HookPoint::ResidPost(layer), block(&parts, shape, &rows))?;
    }
    visit(HookPoint::UserVector, rows)
}

/// Items and positions, the oldest item at position 0, normalised.
fn embed(weights: &RecommenderWeights, histories: &[&[u32]]) -> Vec<f32> {
    let d = weights.config().d();
    let (items, positions) = (weights.items(), weights.tensor(POSITIONS));
    let mut rows = Vec::with_capacity(d * histories.iter().map(|h| h.len()).sum::<usize>());
    for history in histories {
        for (&item, position) in history.iter().zip(positions.chunks_exact(d)) {
            let start = item as usize * d;
            let item = &items[start..start + d];
            rows.extend(item.iter().zip(position).map(|(a, b)| a + b));
        }
    }
    normalise(&mut rows, weights.affine(NORM));
    rows
}

/// `LN(h + W2 · gelu(W1 · h))` with `h = LN(x + Wo · attention(x))`.
fn block(parts: &[Affine<'_>; BLOCK_PARTS], shape: BlockShape<'_>, x: &[f32]) -> Vec<f32> {
    let [query, key, value, dense, norm1, linear1, linear2, norm2] = *parts;
    let of = |rows: &[f32], layer: Affine<'_>| linear(rows, layer.weight, layer.bias);
    let (query, key, value) = (of(x, query), of(x, key), of(x, value));
    let (context, _) = attention(shape, [&query, &key, &value], norm1.weight.len());
    let mut h = of(&context, dense);
    add_scaled(&mut h, 1.0, x);
    normalise(&mut h, norm1);
    let mut inner = of(&h, linear1);
    gelu(&mut inner);
    let mut out = of(&inner, linear2);
    add_scaled(&mut out, 1.0, &h);
    normalise(&mut out, norm2);
    out
}

fn normalise(rows: &mut [f32], norm: Affine<'_>) {
    layer_norm_with(rows, norm.weight, norm.bias, EPS);
}
