//! The forward pass of each architecture with its hook points, and the gradient of its loss.

pub(crate) mod folded;
pub(crate) mod graph;
pub(crate) mod gru4rec;
pub(crate) mod recbole_sasrec;
pub(crate) mod sasrec;
pub(crate) mod tables;
pub(crate) mod timirec;

use schema::HookPoint;

use super::weights::RecommenderWeights;
use crate::ModelError;

/// Whom to recommend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserQuery<'a> {
    /// The user's row in the table of users; read by models that have one.
    pub user: Option<u32>,
    /// Items, oldest first; read by models that read histories.
    pub history: &'a [u32],
}

impl<'a> UserQuery<'a> {
    /// A history alone, for models that know no users.
    pub fn of_history(history: &'a [u32]) -> Self {
        Self {
            user: None,
            history,
        }
    }
}

/// Sees the activation at a hook point, `[n_rows, d_model]`, and may change it.
pub(crate) type Visit<'a> = dyn FnMut(HookPoint, Vec<f32>) -> Result<Vec<f32>, ModelError> + 'a;

/// Item vectors of the histories, row by row, with position vectors added where there are any.
///
/// Row p of `positions` belongs to the p-th item from the end.
pub(crate) fn embed(
    items: &[f32],
    positions: Option<&[f32]>,
    d: usize,
    histories: &[&[u32]],
) -> Vec<f32> {
    let n_rows: usize = histories.iter().map(|h| h.len()).sum();
    let mut rows = Vec::with_capacity(n_rows * d);
    for history in histories {
        for (slot, &item) in history.iter().enumerate() {
            let item = &items[item as usize * d..(item as usize + 1) * d];
            match positions {
                None => rows.extend_from_slice(item),
                Some(positions) => {
                    let position = (history.len() - slot) * d;
                    let position = &positions[position..position + d];
                    rows.extend(item.iter().zip(position).map(|(a, b)| a + b));
                }
            }
        }
    }
    rows
}

/// Rows of each history.
pub(crate) fn lengths(histories: &[&[u32]]) -> Vec<usize> {
    histories.iter().map(|history| history.len()).collect()
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

/// The gradient of last rows, spread over all rows: 0 elsewhere.
pub(crate) fn spread_last(g: &[f32], lengths: &[usize], d: usize) -> Vec<f32> {
    let mut out = vec![0.0; lengths.iter().sum::<usize>() * d];
    let mut end = 0;
    for (&length, g) in lengths.iter().zip(g.chunks_exact(d)) {
        end += length * d;
        out[end - d..end].copy_from_slice(g);
    }
    out
}

/// The gradients of the tensors behind the tables, cut out of one buffer.
pub(crate) fn dense_parts<'a>(
    weights: &RecommenderWeights,
    mut dense: &'a mut [f32],
) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::new();
    for segment in &weights.layout()[weights.n_tables()..] {
        let (part, rest) = dense.split_at_mut(segment.range.len());
        parts.push(part);
        dense = rest;
    }
    parts
}
