//! A post-norm transformer block without output projection, at every position.

use super::super::kernels::norm::{Normalised, layer_norm, layer_norm_backward};
use super::super::kernels::product::linear;
use super::super::kernels::vectors::{add_scaled, dot, relu, softmax};
use super::super::weights::BlockWeights;
use super::linear::{linear_backward, product_backward};

/// What a block reads beside its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockShape<'a> {
    /// Rows of each history.
    pub(crate) lengths: &'a [usize],
    /// Attention heads, a divisor of the width.
    pub(crate) n_heads: usize,
    /// Whether a row attends to itself and those before it only.
    pub(crate) is_causal: bool,
}

impl BlockShape<'_> {
    /// How many rows of a history of `length` the row at `slot` attends to.
    fn n_seen(&self, length: usize, slot: usize) -> usize {
        if self.is_causal { slot + 1 } else { length }
    }

    /// Calls `visit` with the first row of a history, a slot of it, the head and where the
    /// attention weights of that slot and head begin, in a fixed order.
    fn for_each_slot(&self, mut visit: impl FnMut(usize, usize, usize, std::ops::Range<usize>)) {
        let (mut first, mut at) = (0, 0);
        for &length in self.lengths {
            for slot in 0..length {
                for head in 0..self.n_heads {
                    let n = self.n_seen(length, slot);
                    visit(first, slot, head, at..at + n);
                    at += n;
                }
            }
            first += length;
        }
    }
}

/// What the forward pass keeps for the backward pass, `[n, d]` unless said otherwise.
pub(crate) struct KeptBlock {
    x: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    /// Attention weights, slot by slot, head by head.
    shares: Vec<f32>,
    h1: Vec<f32>,
    norm1: Normalised,
    inner: Vec<f32>,
    norm2: Normalised,
}

/// `LN2(h + W2 · relu(W1 · h))` with `h = LN1(x + attention(x))`.
pub(crate) fn block_forward(
    block: &BlockWeights<'_>,
    shape: BlockShape<'_>,
    x: Vec<f32>,
) -> (Vec<f32>, KeptBlock) {
    let query = linear(&x, block.query.weight, block.query.bias);
    let key = linear(&x, block.key.weight, block.key.bias);
    let value = linear(&x, block.value.weight, block.value.bias);
    let (mut h1, shares) = attention(shape, [&query, &key, &value], block.norm1.weight.len());
    add_scaled(&mut h1, 1.0, &x);
    let norm1 = layer_norm(&mut h1, block.norm1.weight, block.norm1.bias);
    let mut inner = linear(&h1, block.linear1.weight, block.linear1.bias);
    relu(&mut inner);
    let mut out = linear(&inner, block.linear2.weight, block.linear2.bias);
    add_scaled(&mut out, 1.0, &h1);
    let norm2 = layer_norm(&mut out, block.norm2.weight, block.norm2.bias);
    let kept = KeptBlock {
        x,
        query,
        key,
        value,
        shares,
        h1,
        norm1,
        inner,
        norm2,
    };
    (out, kept)
}

/// The context of every row and the attention weights.
pub(crate) fn attention(
    shape: BlockShape<'_>,
    [query, key, value]: [&[f32]; 3],
    d: usize,
) -> (Vec<f32>, Vec<f32>) {
    let d_head = d / shape.n_heads;
    let scale = 1.0 / (d_head as f32).sqrt();
    let mut out = vec![0.0; query.len()];
    let mut shares = Vec::new();
    shape.for_each_slot(|first, slot, head, seen| {
        let of = |row: usize| {
            let start = (first + row) * d + head * d_head;
            start..start + d_head
        };
        let own = &query[of(slot)];
        shares.extend((0..seen.len()).map(|row| dot(own, &key[of(row)]) * scale));
        softmax(&mut shares[seen.clone()]);
        for (row, &share) in shares[seen].iter().enumerate() {
            add_scaled(&mut out[of(slot)], share, &value[of(row)]);
        }
    });
    (out, shares)
}

/// What a pass kept of a block behind its attention.
pub(crate) struct AfterAttention<'a> {
    pub(crate) norm1: &'a Normalised,
    pub(crate) h1: &'a [f32],
    pub(crate) inner: &'a [f32],
    pub(crate) norm2: &'a Normalised,
}

/// Adds the gradients of both norms and the feed-forward layers to `gradients` (the last eight
/// tensors of a block, in order) and turns `g` into that of what goes into the first norm.
pub(crate) fn after_attention_backward(
    block: &BlockWeights<'_>,
    kept: &AfterAttention<'_>,
    g: &mut [f32],
    gradients: &mut [&mut [f32]],
) {
    let [
        norm1_w,
        norm1_b,
        linear1_w,
        linear1_b,
        linear2_w,
        linear2_b,
        norm2_w,
        norm2_b,
    ] = gradients
    else {
        unreachable!("behind its attention a block has eight tensors")
    };
    layer_norm_backward(g, kept.norm2, block.norm2.weight, norm2_w, norm2_b);
    let mut g_inner = linear_backward(g, kept.inner, block.linear2.weight, linear2_w, linear2_b);
    for (g, &value) in g_inner.iter_mut().zip(kept.inner) {
        if value <= 0.0 {
            *g = 0.0;
        }
    }
    let weight = block.linear1.weight;
    let through = linear_backward(&g_inner, kept.h1, weight, linear1_w, linear1_b);
    add_scaled(g, 1.0, &through);
    layer_norm_backward(g, kept.norm1, block.norm1.weight, norm1_w, norm1_b);
}

/// Adds the gradients of a block's tensors to `gradients` (its fourteen tensors, in order) and
/// returns that of its input.
pub(crate) fn block_backward(
    block: &BlockWeights<'_>,
    shape: BlockShape<'_>,
    kept: &KeptBlock,
    (mut g, gradients): (Vec<f32>, &mut [&mut [f32]]),
) -> Vec<f32> {
    let [query_w, query_b, key_w, _, value_w, value_b, after @ ..] = gradients else {
        unreachable!("a block has fourteen tensors")
    };
    let after_attention = AfterAttention {
        norm1: &kept.norm1,
        h1: &kept.h1,
        inner: &kept.inner,
        norm2: &kept.norm2,
    };
    after_attention_backward(block, &after_attention, &mut g, after);
    let d = block.norm1.weight.len();
    let [g_query, g_key, g_value] = attention_backward(shape, kept, &g, d);
    let mut add = |through: Vec<f32>| add_scaled(&mut g, 1.0, &through);
    add(linear_backward(
        &g_query,
        &kept.x,
        block.query.weight,
        query_w,
        query_b,
    ));
    // Softmax ignores what the key bias adds, so its gradient stays 0.
    add(product_backward(
        &g_key,
        &kept.x,
        (block.key.weight, d),
        key_w,
    ));
    add(linear_backward(
        &g_value,
        &kept.x,
        block.value.weight,
        value_w,
        value_b,
    ));
    g
}

/// Gradients of queries, keys and values for that of the context.
fn attention_backward(
    shape: BlockShape<'_>,
    kept: &KeptBlock,
    g: &[f32],
    d: usize,
) -> [Vec<f32>; 3] {
    let d_head = d / shape.n_heads;
    let scale = 1.0 / (d_head as f32).sqrt();
    let mut g_query = vec![0.0; g.len()];
    let mut g_key = vec![0.0; g.len()];
    let mut g_value = vec![0.0; g.len()];
    let mut slopes = Vec::new();
    shape.for_each_slot(|first, slot, head, seen| {
        let of = |row: usize| {
            let start = (first + row) * d + head * d_head;
            start..start + d_head
        };
        let own = of(slot);
        let shares = &kept.shares[seen];
        slopes.clear();
        slopes.extend((0..shares.len()).map(|row| dot(&g[own.clone()], &kept.value[of(row)])));
        let mean = dot(shares, &slopes);
        for (row, (&share, &slope)) in shares.iter().zip(&slopes).enumerate() {
            let g_score = share * (slope - mean) * scale;
            add_scaled(&mut g_value[of(row)], share, &g[own.clone()]);
            add_scaled(&mut g_key[of(row)], g_score, &kept.query[own.clone()]);
            add_scaled(&mut g_query[own.clone()], g_score, &kept.key[of(row)]);
        }
    });
    [g_query, g_key, g_value]
}
