//! Loss and gradient of one-block, one-head `SASRec` at the last position, written by hand.
//!
//! Only the last position enters the loss, so keys and values need not be formed: the scores are
//! `x · (Wkᵀ q)` up to a constant that softmax ignores (the key bias has no gradient), and the
//! context is `Wv (Σ a x) + bv`.

use rayon::iter::ParallelIterator as _;
use rayon::slice::ParallelSlice as _;

use super::super::forward::{embed, last_rows};
use super::super::kernels::norm::{Normalised, layer_norm, layer_norm_backward};
use super::super::kernels::product::{Factor, Write, linear, product};
use super::super::kernels::vectors::{add_rows, add_scaled, dot, relu, softmax};
use super::super::weights::{BlockWeights, SasRecWeights};
use super::instances::TrainingCase;

/// Cases of one task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 64;

/// Bounds of the probability in the loss.
const CLAMP: [f32; 2] = [1e-8, 1.0 - 1e-8];

/// What one task hands back.
struct ChunkGradient {
    loss: f64,
    /// Gradient of the position table and the block, in the order of the flat buffer.
    small: Vec<f32>,
    /// Gradient of the history's rows, `[Σ lengths, d]`.
    rows: Vec<f32>,
    /// User vectors, `[n, d]`.
    users: Vec<f32>,
    /// Gradient of `score(positive) − score(negative)`, `[n]`.
    margins: Vec<f32>,
}

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

/// Mean loss of a batch; its gradient is added to `gradient`.
pub(crate) fn gradient(
    weights: &SasRecWeights,
    batch: &[TrainingCase<'_>],
    gradient: &mut [f32],
) -> f64 {
    let d = weights.config().d();
    let chunks: Vec<ChunkGradient> = batch
        .par_chunks(CHUNK)
        .map(|cases| chunk_gradient(weights, cases, batch.len()))
        .collect();
    let (items, small) = gradient.split_at_mut(weights.n_item_values());
    let mut row = |item: u32, scale: f32, x: &[f32]| {
        let start = item as usize * d;
        add_scaled(&mut items[start..start + d], scale, x);
    };
    let mut loss = 0.0;
    for (cases, chunk) in batch.chunks(CHUNK).zip(&chunks) {
        loss += chunk.loss;
        add_scaled(small, 1.0, &chunk.small);
        let mut rows = chunk.rows.chunks_exact(d);
        for ((case, user), &margin) in cases
            .iter()
            .zip(chunk.users.chunks_exact(d))
            .zip(&chunk.margins)
        {
            for (&item, x) in case.history.iter().zip(&mut rows) {
                row(item, 1.0, x);
            }
            row(case.positive, margin, user);
            row(case.negative, -margin, user);
        }
    }
    loss / batch.len() as f64
}

fn chunk_gradient(
    weights: &SasRecWeights,
    cases: &[TrainingCase<'_>],
    n_batch: usize,
) -> ChunkGradient {
    let d = weights.config().d();
    let block = weights.block(0);
    let kept = forward(weights, &block, cases);
    let items = weights.items();
    let of = |item: u32| &items[item as usize * d..(item as usize + 1) * d];
    let mut loss = 0.0;
    let mut margins = Vec::with_capacity(cases.len());
    let mut user_gradient = vec![0.0; cases.len() * d];
    for ((case, user), out) in cases
        .iter()
        .zip(kept.users.chunks_exact(d))
        .zip(user_gradient.chunks_exact_mut(d))
    {
        let (positive, negative) = (of(case.positive), of(case.negative));
        let probability = sigmoid(dot(user, positive) - dot(user, negative));
        loss -= f64::from(probability.clamp(CLAMP[0], CLAMP[1])).ln();
        let is_inside = (CLAMP[0]..=CLAMP[1]).contains(&probability);
        let slope = if is_inside { probability - 1.0 } else { 0.0 };
        let margin = slope / n_batch as f32;
        add_scaled(out, margin, positive);
        add_scaled(out, -margin, negative);
        margins.push(margin);
    }
    let (small, rows) = backward(weights, &block, cases, &kept, user_gradient);
    ChunkGradient {
        loss,
        small,
        rows,
        users: kept.users,
        margins,
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn forward(weights: &SasRecWeights, block: &BlockWeights<'_>, cases: &[TrainingCase<'_>]) -> Kept {
    let d = weights.config().d();
    let n = cases.len();
    let histories: Vec<&[u32]> = cases.iter().map(|case| case.history).collect();
    let x = embed(weights, &histories);
    let last = last_rows(&x, &histories, d);
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

/// Gradients of one block's parts inside the flat buffer.
struct BlockGradient<'a> {
    rest: &'a mut [f32],
    d: usize,
}

impl<'a> BlockGradient<'a> {
    fn matrix(&mut self) -> (&'a mut [f32], &'a mut [f32]) {
        self.take(self.d * self.d)
    }

    fn norm(&mut self) -> (&'a mut [f32], &'a mut [f32]) {
        self.take(self.d)
    }

    fn take(&mut self, n: usize) -> (&'a mut [f32], &'a mut [f32]) {
        let (weight, rest) = std::mem::take(&mut self.rest).split_at_mut(n);
        let (bias, rest) = rest.split_at_mut(self.d);
        self.rest = rest;
        (weight, bias)
    }
}

/// Returns the gradients of positions and block, and of the embedded rows.
fn backward(
    weights: &SasRecWeights,
    block: &BlockWeights<'_>,
    cases: &[TrainingCase<'_>],
    kept: &Kept,
    user_gradient: Vec<f32>,
) -> (Vec<f32>, Vec<f32>) {
    let d = weights.config().d();
    let mut small = vec![0.0; weights.values().len() - weights.n_item_values()];
    let (positions, rest) = small.split_at_mut(weights.n_position_values());
    let mut parts = BlockGradient { rest, d };
    let (query_w, query_b) = parts.matrix();
    // Softmax ignores what the key bias adds, so its gradient stays 0.
    let (key_w, _) = parts.matrix();
    let (value_w, value_b) = parts.matrix();
    let (norm1_w, norm1_b) = parts.norm();
    let (linear1_w, linear1_b) = parts.matrix();
    let (linear2_w, linear2_b) = parts.matrix();
    let (norm2_w, norm2_b) = parts.norm();

    let mut g = user_gradient;
    layer_norm_backward(&mut g, &kept.norm2, block.norm2.weight, norm2_w, norm2_b);
    let mut g_inner = linear_backward(&g, &kept.inner, block.linear2.weight, linear2_w, linear2_b);
    for (g, &value) in g_inner.iter_mut().zip(&kept.inner) {
        if value <= 0.0 {
            *g = 0.0;
        }
    }
    let through = linear_backward(
        &g_inner,
        &kept.h1,
        block.linear1.weight,
        linear1_w,
        linear1_b,
    );
    add_scaled(&mut g, 1.0, &through);
    layer_norm_backward(&mut g, &kept.norm1, block.norm1.weight, norm1_w, norm1_b);
    let g_mixed = linear_backward(&g, &kept.mixed, block.value.weight, value_w, value_b);
    let (mut rows, g_key_query) = attention_backward(cases, kept, &g_mixed, d);
    // key_query = query · Wk, so both factors are used the other way round than in a linear layer.
    let n = cases.len();
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
    for (case, g) in cases.iter().zip(g.chunks_exact(d)) {
        let first = end;
        end += case.history.len() * d;
        add_scaled(&mut rows[end - d..end], 1.0, g);
        for (slot, row) in rows[first..end].chunks_exact(d).enumerate() {
            let position = (case.history.len() - slot) * d;
            add_scaled(&mut positions[position..position + d], 1.0, row);
        }
    }
    (small, rows)
}

/// Gradients of the embedded rows (through the mix and the scores) and of `key_query`.
fn attention_backward(
    cases: &[TrainingCase<'_>],
    kept: &Kept,
    g_mixed: &[f32],
    d: usize,
) -> (Vec<f32>, Vec<f32>) {
    let scale = 1.0 / (d as f32).sqrt();
    let mut g_rows = vec![0.0; kept.x.len()];
    let mut g_key_query = vec![0.0; cases.len() * d];
    let mut slopes = Vec::new();
    let mut first = 0;
    for (i, case) in cases.iter().enumerate() {
        let n = case.history.len();
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

/// Backward pass of `y = x · weightᵀ + bias`: adds the gradients of weight and bias, returns that
/// of `x`.
fn linear_backward(
    g: &[f32],
    x: &[f32],
    weight: &[f32],
    weight_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) -> Vec<f32> {
    let d_out = bias_gradient.len();
    let d_in = weight.len() / d_out;
    let n = g.len() / d_out;
    add_rows(bias_gradient, g);
    product(
        weight_gradient,
        [d_out, d_in, n],
        Factor::Transposed(g),
        Factor::Plain(x),
        Write::Add,
    );
    let mut out = vec![0.0; n * d_in];
    product(
        &mut out,
        [n, d_in, d_out],
        Factor::Plain(g),
        Factor::Plain(weight),
        Write::Set,
    );
    out
}
