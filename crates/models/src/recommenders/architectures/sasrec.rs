//! `SASRec` of any shape, every position computed.

use schema::HookPoint;

use super::super::blocks::transformer::{BlockShape, block_backward, block_forward};
use super::super::config::RecommenderConfig;
use super::super::kernels::vectors::add_scaled;
use super::super::training::objective::{ChunkGradient, TrainingCase, pairwise};
use super::super::weights::{BLOCK_TENSORS, RecommenderWeights};
use super::{Visit, dense_parts, embed, last_rows, lengths, spread_last};
use crate::ModelError;

/// Index of the position table; the blocks follow it.
pub(crate) const POSITIONS: usize = 1;
pub(crate) const BLOCKS: usize = 2;

/// Blocks and heads of the weights.
fn blocks_and_heads(weights: &RecommenderWeights) -> (usize, usize) {
    match weights.config() {
        RecommenderConfig::SasRec(shape) => (shape.n_layers as usize, shape.n_heads as usize),
        _ => unreachable!("only called for SASRec"),
    }
}

/// Output of the last block at every position, `[Σ lengths, d]`.
pub(crate) fn forward(
    weights: &RecommenderWeights,
    histories: &[&[u32]],
    visit: &mut Visit<'_>,
) -> Result<Vec<f32>, ModelError> {
    let d = weights.config().d();
    let (n_layers, n_heads) = blocks_and_heads(weights);
    let lengths = lengths(histories);
    let shape = BlockShape {
        lengths: &lengths,
        n_heads,
        is_causal: true,
    };
    let embedded = embed(
        weights.items(),
        Some(weights.tensor(POSITIONS)),
        d,
        histories,
    );
    let mut rows = visit(HookPoint::Embed, embedded)?;
    for layer in 0..n_layers {
        let block = weights.block(BLOCKS + layer * BLOCK_TENSORS);
        rows = block_forward(&block, shape, rows).0;
        rows = visit(HookPoint::ResidPost(layer), rows)?;
    }
    visit(HookPoint::UserVector, rows)
}

/// Loss and gradient of some cases of a batch of `n_batch`.
pub(crate) fn gradient(
    weights: &RecommenderWeights,
    cases: &[TrainingCase<'_>],
    n_batch: usize,
) -> ChunkGradient {
    let d = weights.config().d();
    let (n_layers, n_heads) = blocks_and_heads(weights);
    let histories: Vec<&[u32]> = cases.iter().map(|case| case.history).collect();
    let lengths = lengths(&histories);
    let shape = BlockShape {
        lengths: &lengths,
        n_heads,
        is_causal: true,
    };
    let mut rows = embed(
        weights.items(),
        Some(weights.tensor(POSITIONS)),
        d,
        &histories,
    );
    let mut kept = Vec::with_capacity(n_layers);
    for layer in 0..n_layers {
        let block = weights.block(BLOCKS + layer * BLOCK_TENSORS);
        let (out, keep) = block_forward(&block, shape, rows);
        rows = out;
        kept.push(keep);
    }
    let users = last_rows(&rows, &histories, d);
    let mut out = ChunkGradient::with_dense(weights);
    let g = pairwise(weights.items(), cases, &users, n_batch, &mut out);
    let mut g = spread_last(&g, &lengths, d);
    let mut dense = std::mem::take(&mut out.dense);
    let mut parts = dense_parts(weights, &mut dense);
    for layer in (0..n_layers).rev() {
        let block = weights.block(BLOCKS + layer * BLOCK_TENSORS);
        let first = BLOCKS - POSITIONS + layer * BLOCK_TENSORS;
        let gradients = &mut parts[first..first + BLOCK_TENSORS];
        g = block_backward(&block, shape, &kept[layer], (g, gradients));
    }
    add_positions(&mut *parts[0], &lengths, &g, d);
    out.dense = dense;
    out.add_history_rows(0, &histories, &g);
    out
}

/// Adds the gradient of embedded rows to that of the position table.
pub(crate) fn add_positions(positions: &mut [f32], lengths: &[usize], g: &[f32], d: usize) {
    let mut rows = g.chunks_exact(d);
    for &length in lengths {
        for (slot, row) in rows.by_ref().take(length).enumerate() {
            let start = (length - slot) * d;
            add_scaled(&mut positions[start..start + d], 1.0, row);
        }
    }
}
