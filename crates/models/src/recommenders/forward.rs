//! Forward pass of `SASRec` over histories laid end to end, without padding.

use schema::HookPoint;

use super::kernels::norm::layer_norm;
use super::kernels::product::linear;
use super::kernels::vectors::{add_scaled, dot, relu, softmax};
use super::weights::{BlockWeights, SasRecWeights};
use crate::ModelError;

/// Sees the activation at a hook point, `[n_rows, d_model]`, and may change it.
pub(crate) type Visit<'a> = dyn FnMut(HookPoint, Vec<f32>) -> Result<Vec<f32>, ModelError> + 'a;

/// The last items of a history that the model reads.
pub(crate) fn window<'a>(weights: &SasRecWeights, history: &'a [u32]) -> &'a [u32] {
    let keep = weights.config().history_max as usize;
    &history[history.len().saturating_sub(keep)..]
}

/// Item plus position vectors of the histories, row by row.
pub(crate) fn embed(weights: &SasRecWeights, histories: &[&[u32]]) -> Vec<f32> {
    let d = weights.config().d();
    let (items, positions) = (weights.items(), weights.positions());
    let mut rows = Vec::with_capacity(histories.iter().map(|h| h.len()).sum::<usize>() * d);
    for history in histories {
        for (slot, &item) in history.iter().enumerate() {
            let position = (history.len() - slot) * d;
            let item = item as usize * d;
            rows.extend(
                items[item..item + d]
                    .iter()
                    .zip(&positions[position..position + d])
                    .map(|(a, b)| a + b),
            );
        }
    }
    rows
}

/// Output of the last block at every position, `[Σ lengths, d_model]`.
///
/// Histories are oldest first, at most `history_max` long, with ids inside the catalogue.
/// `visit` sees `embed`, each block's output, and the user vector.
pub(crate) fn forward(
    weights: &SasRecWeights,
    histories: &[&[u32]],
    visit: &mut Visit<'_>,
) -> Result<Vec<f32>, ModelError> {
    let mut rows = visit(HookPoint::Embed, embed(weights, histories))?;
    for layer in 0..weights.config().n_layers as usize {
        rows = block_forward(weights, layer, histories, &rows);
        rows = visit(HookPoint::ResidPost(layer), rows)?;
    }
    visit(HookPoint::UserVector, rows)
}

fn block_forward(
    weights: &SasRecWeights,
    layer: usize,
    histories: &[&[u32]],
    x: &[f32],
) -> Vec<f32> {
    let block = weights.block(layer);
    let n_heads = weights.config().n_heads as usize;
    let mut mixed = attention(&block, n_heads, histories, x);
    add_scaled(&mut mixed, 1.0, x);
    layer_norm(&mut mixed, block.norm1.weight, block.norm1.bias);
    let mut inner = linear(&mixed, block.linear1.weight, block.linear1.bias);
    relu(&mut inner);
    let mut out = linear(&inner, block.linear2.weight, block.linear2.bias);
    add_scaled(&mut out, 1.0, &mixed);
    layer_norm(&mut out, block.norm2.weight, block.norm2.bias);
    out
}

/// Causal attention inside each history; no output projection.
fn attention(
    block: &BlockWeights<'_>,
    n_heads: usize,
    histories: &[&[u32]],
    x: &[f32],
) -> Vec<f32> {
    let d = block.norm1.weight.len();
    let d_head = d / n_heads;
    let scale = 1.0 / (d_head as f32).sqrt();
    let query = linear(x, block.query.weight, block.query.bias);
    let key = linear(x, block.key.weight, block.key.bias);
    let value = linear(x, block.value.weight, block.value.bias);
    let mut out = vec![0.0; x.len()];
    let mut scores = Vec::new();
    let mut first = 0;
    for history in histories {
        for slot in 0..history.len() {
            for head in 0..n_heads {
                let of = |row: usize| {
                    let start = (first + row) * d + head * d_head;
                    start..start + d_head
                };
                scores.clear();
                scores.extend(
                    (0..=slot).map(|earlier| dot(&query[of(slot)], &key[of(earlier)]) * scale),
                );
                softmax(&mut scores);
                for (earlier, &share) in scores.iter().enumerate() {
                    add_scaled(&mut out[of(slot)], share, &value[of(earlier)]);
                }
            }
        }
        first += history.len();
    }
    out
}

/// Vectors of the last position of each history, `[histories.len(), d_model]`, without hooks.
pub(crate) fn user_vectors(
    weights: &SasRecWeights,
    histories: &[&[u32]],
) -> Result<Vec<f32>, ModelError> {
    let rows = forward(weights, histories, &mut |_, rows| Ok(rows))?;
    Ok(last_rows(&rows, histories, weights.config().d()))
}

/// The rows of the last positions.
pub(crate) fn last_rows(rows: &[f32], histories: &[&[u32]], d: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(histories.len() * d);
    let mut end = 0;
    for history in histories {
        end += history.len() * d;
        out.extend_from_slice(&rows[end - d..end]);
    }
    out
}
