//! The loss that all recommenders share, and how gradients of a batch are gathered.

use super::super::architectures::UserQuery;
use super::super::kernels::vectors::{add_scaled, dot};
use super::super::weights::RecommenderWeights;

/// Bounds of the probability in the loss.
const CLAMP: [f32; 2] = [1e-8, 1.0 - 1e-8];

/// One instance with its negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrainingCase<'a> {
    /// The user's number, from 1.
    pub(crate) user: u32,
    /// Items before, oldest first, at most `history_max`.
    pub(crate) history: &'a [u32],
    /// The item that followed.
    pub(crate) positive: u32,
    /// An item the user has not in `train`.
    pub(crate) negative: u32,
}

impl<'a> TrainingCase<'a> {
    /// What the model is asked.
    pub(crate) fn query(&self) -> UserQuery<'a> {
        UserQuery {
            user: Some(self.user),
            history: self.history,
        }
    }
}

/// Loss and gradient of some cases of a batch.
#[derive(Debug, Default)]
pub(crate) struct ChunkGradient {
    /// Sum of the cases' losses.
    pub(crate) loss: f64,
    /// Gradient of the tensors behind the tables.
    pub(crate) dense: Vec<f32>,
    /// Where the rows of tables begin in the flat buffer; a row may come several times.
    places: Vec<usize>,
    /// Their gradients, `[places.len(), d]`.
    rows: Vec<f32>,
}

impl ChunkGradient {
    /// No loss, a gradient of 0.
    pub(crate) fn with_dense(weights: &RecommenderWeights) -> Self {
        Self {
            dense: vec![0.0; weights.values().len() - weights.n_table_values()],
            ..Self::default()
        }
    }

    /// Adds `scale · x` to the gradient of the row that begins at `place`.
    pub(crate) fn add_row(&mut self, place: usize, scale: f32, x: &[f32]) {
        self.places.push(place);
        self.rows.extend(x.iter().map(|value| scale * value));
    }

    /// Adds gradients of the histories' items, row by row, to a table that begins at `table`.
    pub(crate) fn add_history_rows(&mut self, table: usize, histories: &[&[u32]], g: &[f32]) {
        let items = histories.iter().copied().flatten();
        let n_rows: usize = histories.iter().map(|history| history.len()).sum();
        let d = g.len() / n_rows.max(1);
        self.places
            .extend(items.map(|&item| table + item as usize * d));
        self.rows.extend_from_slice(g);
    }

    /// Adds what was gathered to the gradient of all weights.
    pub(crate) fn add_to(&self, gradient: &mut [f32], n_table_values: usize) {
        let (tables, dense) = gradient.split_at_mut(n_table_values);
        add_scaled(dense, 1.0, &self.dense);
        if self.places.is_empty() {
            return;
        }
        let d = self.rows.len() / self.places.len();
        for (&place, row) in self.places.iter().zip(self.rows.chunks_exact(d)) {
            add_scaled(&mut tables[place..place + d], 1.0, row);
        }
    }
}

/// `−ln σ(score(positive) − score(negative))` of each case, its part of a mean over `n_batch`
/// cases: adds loss and the items' gradients to `out` and returns that of the user vectors.
///
/// # Shapes
/// - `users`: `[cases.len(), d]`, returns the same
pub(crate) fn pairwise(
    items: &[f32],
    cases: &[TrainingCase<'_>],
    users: &[f32],
    n_batch: usize,
    out: &mut ChunkGradient,
) -> Vec<f32> {
    let d = users.len() / cases.len();
    let place = |item: u32| item as usize * d;
    let mut g = vec![0.0; users.len()];
    for ((case, user), g) in cases
        .iter()
        .zip(users.chunks_exact(d))
        .zip(g.chunks_exact_mut(d))
    {
        let (at_positive, at_negative) = (place(case.positive), place(case.negative));
        let positive = &items[at_positive..at_positive + d];
        let negative = &items[at_negative..at_negative + d];
        let margin = dot(user, positive) - dot(user, negative);
        let probability = 1.0 / (1.0 + (-margin).exp());
        out.loss -= f64::from(probability.clamp(CLAMP[0], CLAMP[1])).ln();
        let is_inside = (CLAMP[0]..=CLAMP[1]).contains(&probability);
        let slope = if is_inside { probability - 1.0 } else { 0.0 };
        let slope = slope / n_batch as f32;
        add_scaled(g, slope, positive);
        add_scaled(g, -slope, negative);
        out.add_row(at_positive, slope, user);
        out.add_row(at_negative, -slope, user);
    }
    g
}
