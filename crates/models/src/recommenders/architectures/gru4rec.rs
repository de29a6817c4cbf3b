//! `GRU4Rec` in `ReChorus`' form: a recurrent layer over the items, then a linear layer.

use schema::HookPoint;

use super::super::blocks::gru::{GruGradients, KeptGru, gru_backward, gru_forward};
use super::super::blocks::linear::linear_backward;
use super::super::kernels::product::linear;
use super::super::training::objective::{ChunkGradient, TrainingCase, pairwise};
use super::super::weights::RecommenderWeights;
use super::{Visit, dense_parts, embed, last_rows, lengths, spread_last};
use crate::ModelError;

/// Index of the recurrent layer's first tensor; the linear layer follows it.
const GRU: usize = 1;
const OUT: usize = GRU + 4;

/// User vectors after every item, `[Σ lengths, d]`.
pub(crate) fn forward(
    weights: &RecommenderWeights,
    histories: &[&[u32]],
    visit: &mut Visit<'_>,
) -> Result<Vec<f32>, ModelError> {
    let d = weights.config().d();
    let x = visit(HookPoint::Embed, embed(weights.items(), None, d, histories))?;
    let kept = gru_forward(&weights.gru(GRU), &lengths(histories), x);
    let out = weights.affine(OUT);
    visit(
        HookPoint::UserVector,
        linear(kept.states(), out.weight, out.bias),
    )
}

/// Loss and gradient of some cases of a batch of `n_batch`.
pub(crate) fn gradient(
    weights: &RecommenderWeights,
    cases: &[TrainingCase<'_>],
    n_batch: usize,
) -> ChunkGradient {
    let d = weights.config().d();
    let gru = weights.gru(GRU);
    let width = gru.state.bias.len() / 3;
    let histories: Vec<&[u32]> = cases.iter().map(|case| case.history).collect();
    let lengths = lengths(&histories);
    let x = embed(weights.items(), None, d, &histories);
    let kept: KeptGru = gru_forward(&gru, &lengths, x);
    let last = last_rows(kept.states(), &histories, width);
    let out_layer = weights.affine(OUT);
    let users = linear(&last, out_layer.weight, out_layer.bias);
    let mut out = ChunkGradient::with_dense(weights);
    let g = pairwise(weights.items(), cases, &users, n_batch, &mut out);
    let mut dense = std::mem::take(&mut out.dense);
    let mut parts = dense_parts(weights, &mut dense);
    let [
        input_weight,
        state_weight,
        input_bias,
        state_bias,
        out_w,
        out_b,
    ] = &mut parts[..]
    else {
        unreachable!("GRU4Rec has six tensors behind its table")
    };
    let g = linear_backward(&g, &last, out_layer.weight, out_w, out_b);
    let g_rows = gru_backward(
        &gru,
        &kept,
        spread_last(&g, &lengths, width),
        &mut GruGradients {
            input_weight,
            state_weight,
            input_bias,
            state_bias,
        },
    );
    out.dense = dense;
    out.add_history_rows(0, &histories, &g_rows);
    out
}
