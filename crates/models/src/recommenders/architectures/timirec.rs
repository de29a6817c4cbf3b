//! `TiMiRec`: several interests per user, gathered from the history and weighted by a predictor.

use schema::HookPoint;

use super::super::blocks::gru::{GruGradients, KeptGru, gru_backward, gru_forward};
use super::super::blocks::interests::{KeptInterests, interests_backward, interests_forward};
use super::super::blocks::linear::linear_backward;
use super::super::blocks::transformer::{BlockShape, KeptBlock, block_backward, block_forward};
use super::super::config::{RecommenderConfig, TiMiRecConfig};
use super::super::kernels::product::linear;
use super::super::kernels::vectors::{add_scaled, dot, relu, softmax};
use super::super::training::objective::{ChunkGradient, TrainingCase, pairwise};
use super::super::weights::{BLOCK_TENSORS, RecommenderWeights};
use super::sasrec::add_positions;
use super::{Visit, dense_parts, embed, last_rows, lengths, spread_last};
use crate::ModelError;

/// Index of the predictor's own item table, where there is one.
const PREDICTOR_ITEMS: usize = 1;

/// Where the tensors of each part begin in the layout.
struct Places {
    shape: TiMiRecConfig,
    positions: Option<usize>,
    block: Option<usize>,
    /// W1; W2 follows.
    gather: usize,
    gru: usize,
    /// First of the projection's layers.
    projection: usize,
}

impl Places {
    fn of(weights: &RecommenderWeights) -> Self {
        let RecommenderConfig::TiMiRec(shape) = weights.config() else {
            unreachable!("only called for TiMiRec")
        };
        let mut next = weights.n_tables();
        let mut take = |is_there: bool, n: usize| {
            let at = next;
            next += if is_there { n } else { 0 };
            is_there.then_some(at)
        };
        let positions = take(shape.has_positions, 1);
        let block = take(shape.has_block, BLOCK_TENSORS);
        let gather = next;
        Self {
            shape: shape.clone(),
            positions,
            block,
            gather,
            gru: gather + 4,
            projection: gather + 8,
        }
    }
}

/// The interests of each history and what their backward pass needs.
struct Extracted {
    /// `[n, n_interests, d]`.
    interests: Vec<f32>,
    block: Option<KeptBlock>,
    gathered: KeptInterests,
}

fn block_shape(lengths: &[usize]) -> BlockShape<'_> {
    BlockShape {
        lengths,
        n_heads: 1,
        is_causal: false,
    }
}

fn extract(
    weights: &RecommenderWeights,
    places: &Places,
    histories: &[&[u32]],
    visit: &mut Visit<'_>,
) -> Result<Extracted, ModelError> {
    let d = weights.config().d();
    let lengths = lengths(histories);
    let positions = places.positions.map(|at| weights.tensor(at));
    let embedded = embed(weights.items(), positions, d, histories);
    let mut rows = visit(HookPoint::Embed, embedded)?;
    let mut block = None;
    if let Some(at) = places.block {
        let (out, kept) = block_forward(&weights.block(at), block_shape(&lengths), rows);
        rows = visit(HookPoint::ResidPost(0), out)?;
        block = Some(kept);
    }
    let layers = [
        weights.affine(places.gather),
        weights.affine(places.gather + 2),
    ];
    let (interests, gathered) = interests_forward(layers, &lengths, rows);
    Ok(Extracted {
        interests,
        block,
        gathered,
    })
}

/// What the predictor says of the interests' weights and what its backward pass needs.
struct Predicted {
    gru: KeptGru,
    /// Input of each linear layer.
    inputs: Vec<Vec<f32>>,
    /// Before the softmax, `[n, n_interests]`.
    intent: Vec<f32>,
}

fn predict(weights: &RecommenderWeights, places: &Places, histories: &[&[u32]]) -> Predicted {
    let d = weights.config().d();
    let x = embed(weights.tensor(PREDICTOR_ITEMS), None, d, histories);
    let gru = gru_forward(&weights.gru(places.gru), &lengths(histories), x);
    let mut state = last_rows(gru.states(), histories, d);
    let mut inputs = Vec::new();
    let n_layers = places.shape.n_layers as usize;
    for layer in 0..n_layers {
        let affine = weights.affine(places.projection + 2 * layer);
        let mut out = linear(&state, affine.weight, affine.bias);
        if layer + 1 < n_layers {
            relu(&mut out);
        }
        inputs.push(std::mem::replace(&mut state, out));
    }
    Predicted {
        gru,
        inputs,
        intent: state,
    }
}

/// The interests' weights: softmax of the intent, row by row.
fn shares_of(intent: &[f32], n_interests: usize) -> Vec<f32> {
    let mut shares = intent.to_vec();
    for row in shares.chunks_exact_mut(n_interests) {
        softmax(row);
    }
    shares
}

/// Interests summed by their weights, `[n, d]`.
fn weighted(interests: &[f32], shares: &[f32], n_interests: usize, d: usize) -> Vec<f32> {
    let mut out = vec![0.0; shares.len() / n_interests * d];
    for ((out, interests), shares) in out
        .chunks_exact_mut(d)
        .zip(interests.chunks_exact(n_interests * d))
        .zip(shares.chunks_exact(n_interests))
    {
        for (interest, &share) in interests.chunks_exact(d).zip(shares) {
            add_scaled(out, share, interest);
        }
    }
    out
}

/// User vectors, `[histories.len(), d]`.
pub(crate) fn forward(
    weights: &RecommenderWeights,
    histories: &[&[u32]],
    visit: &mut Visit<'_>,
) -> Result<Vec<f32>, ModelError> {
    let places = Places::of(weights);
    if !places.shape.has_predictor {
        return Err(ModelError::Request(
            "this TiMiRec is from the first stage of training and has no user vectors yet".into(),
        ));
    }
    let interests = extract(weights, &places, histories, visit)?.interests;
    let intent = predict(weights, &places, histories).intent;
    let n_interests = places.shape.n_interests as usize;
    let shares = shares_of(&intent, n_interests);
    let users = weighted(&interests, &shares, n_interests, weights.config().d());
    visit(HookPoint::UserVector, users)
}

/// The interests of each history, `[histories.len(), n_interests, d]`, without hooks.
pub(crate) fn interests(
    weights: &RecommenderWeights,
    histories: &[&[u32]],
) -> Result<Vec<f32>, ModelError> {
    let places = Places::of(weights);
    Ok(extract(weights, &places, histories, &mut |_, rows| Ok(rows))?.interests)
}

/// Loss and gradient of some cases of a batch of `n_batch`.
///
/// In the first stage the user vector is the interest nearest to the positive item (by product);
/// in the second it is the predicted mix, and the predictor also learns, by Kullback-Leibler
/// divergence at `temperature`, how near each interest is to the positive item (by cosine).
pub(crate) fn gradient(
    weights: &RecommenderWeights,
    cases: &[TrainingCase<'_>],
    n_batch: usize,
    temperature: f32,
) -> Result<ChunkGradient, ModelError> {
    let d = weights.config().d();
    let places = Places::of(weights);
    let histories: Vec<&[u32]> = cases.iter().map(|case| case.history).collect();
    let extracted = extract(weights, &places, &histories, &mut |_, rows| Ok(rows))?;
    let n_interests = places.shape.n_interests as usize;
    let mut out = ChunkGradient::with_dense(weights);
    let mut dense = std::mem::take(&mut out.dense);
    let mut parts = dense_parts(weights, &mut dense);
    let mut g_interests = vec![0.0; extracted.interests.len()];
    if places.shape.has_predictor {
        let predicted = predict(weights, &places, &histories);
        let shares = shares_of(&predicted.intent, n_interests);
        let users = weighted(&extracted.interests, &shares, n_interests, d);
        let g = pairwise(weights.items(), cases, &users, n_batch, &mut out);
        let mut g_intent = mix_backward(&extracted.interests, &shares, &g, &mut g_interests);
        out.loss += distil(
            (weights.items(), cases, &extracted.interests),
            &predicted.intent,
            (temperature, n_batch),
            &mut g_intent,
        );
        let g_rows = predict_backward(
            weights,
            &places,
            &histories,
            (&predicted, g_intent, &mut parts),
        );
        out.add_history_rows(
            weights.layout()[PREDICTOR_ITEMS].range.start,
            &histories,
            &g_rows,
        );
    } else {
        let chosen = nearest(weights.items(), cases, &extracted.interests, n_interests);
        let users: Vec<f32> = chosen
            .iter()
            .flat_map(|&at| extracted.interests[at * d..(at + 1) * d].iter().copied())
            .collect();
        let g = pairwise(weights.items(), cases, &users, n_batch, &mut out);
        for (&at, g) in chosen.iter().zip(g.chunks_exact(d)) {
            g_interests[at * d..(at + 1) * d].copy_from_slice(g);
        }
    }
    let g_rows = extract_backward(
        weights,
        &places,
        &histories,
        (&extracted, &g_interests, &mut parts),
    );
    out.dense = dense;
    out.add_history_rows(0, &histories, &g_rows);
    Ok(out)
}

/// Index of the interest with the highest product with each positive item; the first of equals.
fn nearest(
    items: &[f32],
    cases: &[TrainingCase<'_>],
    interests: &[f32],
    n_interests: usize,
) -> Vec<usize> {
    let d = interests.len() / (cases.len() * n_interests);
    cases
        .iter()
        .enumerate()
        .map(|(i, case)| {
            let target = &items[case.positive as usize * d..(case.positive as usize + 1) * d];
            let of = |at: usize| dot(&interests[at * d..(at + 1) * d], target);
            let first = i * n_interests;
            (first + 1..first + n_interests).fold(
                first,
                |best, at| {
                    if of(at) > of(best) { at } else { best }
                },
            )
        })
        .collect()
}

/// Adds the gradient of the interests and returns that of the intent, for that of their mix.
fn mix_backward(interests: &[f32], shares: &[f32], g: &[f32], g_interests: &mut [f32]) -> Vec<f32> {
    let d = interests.len() / shares.len();
    let n_interests = shares.len() * d / g.len();
    let mut g_intent = vec![0.0; shares.len()];
    for (i, g) in g.chunks_exact(d).enumerate() {
        let own = i * n_interests..(i + 1) * n_interests;
        let slopes: Vec<f32> = own
            .clone()
            .map(|at| dot(&interests[at * d..(at + 1) * d], g))
            .collect();
        let mean = dot(&shares[own.clone()], &slopes);
        for (at, slope) in own.zip(&slopes) {
            add_scaled(&mut g_interests[at * d..(at + 1) * d], shares[at], g);
            g_intent[at] = shares[at] * (slope - mean);
        }
    }
    g_intent
}

/// Adds the gradient of the distillation to that of the intent and returns its loss, summed over
/// the cases.
fn distil(
    (items, cases, interests): (&[f32], &[TrainingCase<'_>], &[f32]),
    intent: &[f32],
    (temperature, n_batch): (f32, usize),
    g_intent: &mut [f32],
) -> f64 {
    let n_interests = intent.len() / cases.len();
    let d = interests.len() / intent.len();
    let mut loss = 0.0;
    for (i, case) in cases.iter().enumerate() {
        let own = i * n_interests..(i + 1) * n_interests;
        let target = &items[case.positive as usize * d..(case.positive as usize + 1) * d];
        let mut wanted: Vec<f32> = own
            .clone()
            .map(|at| cosine(&interests[at * d..(at + 1) * d], target) / temperature)
            .collect();
        softmax(&mut wanted);
        let mut found: Vec<f32> = intent[own.clone()]
            .iter()
            .map(|v| v / temperature)
            .collect();
        softmax(&mut found);
        for ((at, &wanted), &found) in own.zip(&wanted).zip(&found) {
            if wanted > 0.0 {
                let ratio = f64::from(wanted).ln() - f64::from(found.max(f32::MIN_POSITIVE)).ln();
                loss += f64::from(temperature * temperature * wanted) * ratio;
            }
            g_intent[at] += temperature * (found - wanted) / n_batch as f32;
        }
    }
    loss
}

/// Cosine with lengths of at least 1e-12, as `PyTorch` normalises.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let length = |v: &[f32]| dot(v, v).sqrt().max(1e-12);
    dot(a, b) / (length(a) * length(b))
}

/// Gradient of the predictor's embedded rows for that of the intent.
fn predict_backward(
    weights: &RecommenderWeights,
    places: &Places,
    histories: &[&[u32]],
    (predicted, g_intent, parts): (&Predicted, Vec<f32>, &mut [&mut [f32]]),
) -> Vec<f32> {
    let d = weights.config().d();
    let n_tables = weights.n_tables();
    let mut g = g_intent;
    for (layer, input) in predicted.inputs.iter().enumerate().rev() {
        let first = places.projection + 2 * layer;
        let [weight, bias] = &mut parts[first - n_tables..first - n_tables + 2] else {
            unreachable!("a linear layer has two tensors")
        };
        g = linear_backward(&g, input, weights.affine(first).weight, weight, bias);
        if layer > 0 {
            for (g, &value) in g.iter_mut().zip(input) {
                if value <= 0.0 {
                    *g = 0.0;
                }
            }
        }
    }
    let first = places.gru - n_tables;
    let [input_weight, state_weight, input_bias, state_bias] = &mut parts[first..first + 4] else {
        unreachable!("a recurrent layer has four tensors")
    };
    gru_backward(
        &weights.gru(places.gru),
        &predicted.gru,
        spread_last(&g, &lengths(histories), d),
        &mut GruGradients {
            input_weight,
            state_weight,
            input_bias,
            state_bias,
        },
    )
}

/// Gradient of the extractor's embedded rows for that of the interests.
fn extract_backward(
    weights: &RecommenderWeights,
    places: &Places,
    histories: &[&[u32]],
    (extracted, g_interests, parts): (&Extracted, &[f32], &mut [&mut [f32]]),
) -> Vec<f32> {
    let d = weights.config().d();
    let n_tables = weights.n_tables();
    let lengths = lengths(histories);
    let first = places.gather - n_tables;
    let layers = [
        weights.affine(places.gather),
        weights.affine(places.gather + 2),
    ];
    let gradients = &mut parts[first..first + 4];
    let mut g = interests_backward(
        layers,
        &lengths,
        &extracted.gathered,
        (g_interests, gradients),
    );
    if let (Some(at), Some(kept)) = (places.block, &extracted.block) {
        let gradients = &mut parts[at - n_tables..at - n_tables + BLOCK_TENSORS];
        g = block_backward(
            &weights.block(at),
            block_shape(&lengths),
            kept,
            (g, gradients),
        );
    }
    if let Some(at) = places.positions {
        add_positions(&mut *parts[at - n_tables], &lengths, &g, d);
    }
    g
}
