//! Loss and gradient of one-block, one-head `SASRec` at the last position, written by hand.
//!
//! Only the last position enters the loss, so keys and values need not be formed: the scores are
//! `x · (Wkᵀ q)` up to a constant that softmax ignores (the key bias has no gradient), and the
//! context is `Wv (Σ a x) + bv`.

use super::super::blocks::linear::linear_backward;
use super::super::blocks::transformer::{AfterAttention, after_attention_backward};
use super::super::kernels::norm::{Normalised, layer_norm};
use super::super::kernels::product::{Factor, Write, linear, product};
use super::super::kernels::vectors::{add_scaled, dot, relu, softmax};
use super::super::training::objective::{ChunkGradient, TrainingCase, pairwise};
use super::super::weights::{BlockWeights, RecommenderWeights};
use super::sasrec::{BLOCKS, POSITIONS, add_positions};
use super::{dense_parts, embed, last_rows, lengths};

/// What the forward pass keeps for the backward pass. `[n, d]` unless said otherwise.
struct Kept {
    /// Embedded histories, `[Σ lengths, d]`.
    x: Vec<f32>,
    /// Rows of the last items.
    last: Vec<f32>,
    query: Vec<f32>,
    /// `Wkᵀ q`.
    key_query: Vec<f32>,
    /// Attention, `[Σ lengths]`.
    shares: Vec<f32>,
    /// `Σ a x`.
    mixed: Vec<f32>,
    norm1: Normalised,
    h1: Vec<f32>,
    inner: Vec<f32>,
    norm2: Normalised,
    users: Vec<f32>,
}

/// Loss and gradient of some cases of a batch of `n_batch`.
pub(crate) fn gradient(
    weights: &RecommenderWeights,
    cases: &[TrainingCase<'_>],
    n_batch: usize,
) -> ChunkGradient {
    let histories: Vec<&[u32]> = cases.iter().map(|case| case.history).collect();
    let block = weights.block(BLOCKS);
    let kept = forward(weights, &block, &histories);
    let mut out = ChunkGradient::with_dense(weights);
    let g = pairwise(weights.items(), cases, &kept.users, n_batch, &mut out);
    let mut dense = std::mem::take(&mut out.dense);
    let rows = backward(
        &block,
        &histories,
        &kept,
        (g, &mut dense_parts(weights, &mut dense)),
    );
    out.dense = dense;
    out.add_history_rows(0, &histories, &rows);
    out
}

/// User vectors of the histories, `[histories.len(), d]`, only the last position computed.
pub(crate) fn user_vectors(weights: &RecommenderWeights, histories: &[&[u32]]) -> Vec<f32> {
    forward(weights, &weights.block(BLOCKS), histories).users
}

fn forward(weights: &RecommenderWeights, block: &BlockWeights<'_>, histories: &[&[u32]]) -> Kept {
    let d = weights.config().d();
    let n = histories.len();
    let x = embed(
        weights.items(),
        Some(weights.tensor(POSITIONS)),
        d,
        histories,
    );
    let last = last_rows(&x, histories, d);
    let query = linear(&last, block.query.weight, block.query.bias);
    let mut key_query = vec![0.0; n * d];
    product(
        &mut key_query,
        [n, d, d],
        Factor::Plain(&query),
        Factor::Plain(block.key.weight),
        Write::Set,
    );
    let scale = 1.0 / (d as f32).sqrt();
    let mut shares = Vec::with_capacity(x.len() / d);
    let mut mixed = vec![0.0; n * d];
    let mut rows = x.chunks_exact(d);
    for ((history, key_query), mixed) in histories
        .iter()
        .zip(key_query.chunks_exact(d))
        .zip(mixed.chunks_exact_mut(d))
    {
        let first = shares.len();
        let own = rows.clone().take(history.len());
        shares.extend(own.clone().map(|row| dot(row, key_query) * scale));
        softmax(&mut shares[first..]);
        for (row, &share) in own.zip(&shares[first..]) {
            add_scaled(mixed, share, row);
        }
        rows.nth(history.len() - 1);
    }
    let mut h1 = linear(&mixed, block.value.weight, block.value.bias);
    add_scaled(&mut h1, 1.0, &last);
    let norm1 = layer_norm(&mut h1, block.norm1.weight, block.norm1.bias);
    let mut inner = linear(&h1, block.linear1.weight, block.linear1.bias);
    relu(&mut inner);
    let mut users = linear(&inner, block.linear2.weight, block.linear2.bias);
    add_scaled(&mut users, 1.0, &h1);
    let norm2 = layer_norm(&mut users, block.norm2.weight, block.norm2.bias);
    Kept {
        x,
        last,
        query,
        key_query,
        shares,
        mixed,
        norm1,
        h1,
        inner,
        norm2,
        users,
    }
}

/// Adds the gradients of positions and block to `parts` and returns that of the embedded rows.
fn backward(
    block: &BlockWeights<'_>,
    histories: &[&[u32]],
    kept: &Kept,
    (user_gradient, parts): (Vec<f32>, &mut [&mut [f32]]),
) -> Vec<f32> {
    let [
        positions,
        query_w,
        query_b,
        key_w,
        // Softmax ignores what the key bias adds, so its gradient stays 0.
        _,
        value_w,
        value_b,
        after @ ..,
    ] = parts
    else {
        unreachable!("a model of one block has fifteen tensors behind its table")
    };
    let d = block.norm2.weight.len();
    let mut g = user_gradient;
    let after_attention = AfterAttention {
        norm1: &kept.norm1,
        h1: &kept.h1,
        inner: &kept.inner,
        norm2: &kept.norm2,
    };
    after_attention_backward(block, &after_attention, &mut g, after);
    let g_mixed = linear_backward(&g, &kept.mixed, block.value.weight, value_w, value_b);
    let (mut rows, g_key_query) = attention_backward(histories, kept, &g_mixed, d);
    // key_query = query · Wk, so both factors are used the other way round than in a linear layer.
    let n = histories.len();
    let mut g_query = vec![0.0; n * d];
    product(
        &mut g_query,
        [n, d, d],
        Factor::Plain(&g_key_query),
        Factor::Transposed(block.key.weight),
        Write::Set,
    );
    product(
        key_w,
        [d, d, n],
        Factor::Transposed(&kept.query),
        Factor::Plain(&g_key_query),
        Write::Add,
    );
    let through = linear_backward(&g_query, &kept.last, block.query.weight, query_w, query_b);
    add_scaled(&mut g, 1.0, &through);

    let mut end = 0;
    for (history, g) in histories.iter().zip(g.chunks_exact(d)) {
        end += history.len() * d;
        add_scaled(&mut rows[end - d..end], 1.0, g);
    }
    add_positions(positions, &lengths(histories), &rows, d);
    rows
}

/// Gradients of the embedded rows (through the mix and the scores) and of `key_query`.
fn attention_backward(
    histories: &[&[u32]],
    kept: &Kept,
    g_mixed: &[f32],
    d: usize,
) -> (Vec<f32>, Vec<f32>) {
    let scale = 1.0 / (d as f32).sqrt();
    let mut g_rows = vec![0.0; kept.x.len()];
    let mut g_key_query = vec![0.0; histories.len() * d];
    let mut slopes = Vec::new();
    let mut first = 0;
    for (i, history) in histories.iter().enumerate() {
        let n = history.len();
        let own = first * d..(first + n) * d;
        let shares = &kept.shares[first..first + n];
        let g_mixed = &g_mixed[i * d..(i + 1) * d];
        let key_query = &kept.key_query[i * d..(i + 1) * d];
        let g_key_query = &mut g_key_query[i * d..(i + 1) * d];
        slopes.clear();
        slopes.extend(
            kept.x[own.clone()]
                .chunks_exact(d)
                .map(|row| dot(g_mixed, row)),
        );
        let mean = dot(shares, &slopes);
        for (slot, (row, out)) in kept.x[own.clone()]
            .chunks_exact(d)
            .zip(g_rows[own].chunks_exact_mut(d))
            .enumerate()
        {
            let g_score = shares[slot] * (slopes[slot] - mean) * scale;
            add_scaled(out, shares[slot], g_mixed);
            add_scaled(out, g_score, key_query);
            add_scaled(g_key_query, g_score, row);
        }
        first += n;
    }
    (g_rows, g_key_query)
}
