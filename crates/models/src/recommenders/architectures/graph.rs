//! The graph of users and items, and propagation over it (`LightGCN`).

use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;

use super::super::kernels::vectors::add_scaled;
use crate::ModelError;

/// Rows of one task; each is computed alone, so the split changes no result.
const CHUNK: usize = 64;

/// The symmetric normalised adjacency of users and items, `D^-½ A D^-½`, without self-loops.
///
/// Rows 0 to `n_items` are items, then `n_users + 1` users; row 0 of either is padding.
#[derive(Debug, Clone, PartialEq)]
pub struct InteractionGraph {
    n_users: u32,
    n_items: u32,
    /// User and item of every edge, sorted, each once.
    pairs: Vec<(u32, u32)>,
    /// Where the neighbours of each row begin, `[n_rows + 1]`.
    starts: Vec<usize>,
    neighbours: Vec<u32>,
    values: Vec<f32>,
}

impl InteractionGraph {
    /// Builds the graph of train interactions, each counted once.
    ///
    /// # Errors
    /// [`ModelError::Request`] when a user's number or an item's id is out of range.
    pub fn new(
        n_users: u32,
        n_items: u32,
        pairs: impl IntoIterator<Item = (u32, u32)>,
    ) -> Result<Self, ModelError> {
        let mut pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        pairs.dedup();
        let is_bad = |&&(user, item): &&(u32, u32)| user > n_users || item == 0 || item > n_items;
        if let Some((user, item)) = pairs.iter().find(is_bad) {
            return Err(ModelError::Request(format!(
                "an interaction of user {user} with item {item}, but users run up to {n_users} and \
                 items from 1 to {n_items}"
            )));
        }
        let first_user = n_items + 1;
        let n_rows = first_user as usize + n_users as usize + 1;
        let mut edges: Vec<(u32, u32)> = pairs
            .iter()
            .flat_map(|&(user, item)| {
                let user = first_user + user;
                [(user, item), (item, user)]
            })
            .collect();
        edges.sort_unstable();
        let mut starts = vec![0; n_rows + 1];
        for &(row, _) in &edges {
            starts[row as usize + 1] += 1;
        }
        for row in 0..n_rows {
            starts[row + 1] += starts[row];
        }
        let degree = |row: u32| (starts[row as usize + 1] - starts[row as usize]) as f32;
        let values = edges
            .iter()
            .map(|&(a, b)| 1.0 / (degree(a).sqrt() * degree(b).sqrt()))
            .collect();
        Ok(Self {
            n_users,
            n_items,
            pairs,
            neighbours: edges.into_iter().map(|(_, to)| to).collect(),
            starts,
            values,
        })
    }

    /// User and item of every edge.
    pub fn pairs(&self) -> &[(u32, u32)] {
        &self.pairs
    }

    /// Users and items it is over.
    pub fn sizes(&self) -> (u32, u32) {
        (self.n_users, self.n_items)
    }

    /// `Σ over neighbours of value · x[neighbour]` for every row, plus `added`.
    fn step(&self, x: &[f32], added: &[f32], d: usize) -> Vec<f32> {
        let mut out = added.to_vec();
        out.par_chunks_mut(CHUNK * d)
            .enumerate()
            .for_each(|(chunk, out)| {
                for (i, out) in out.chunks_exact_mut(d).enumerate() {
                    let row = chunk * CHUNK + i;
                    let edges = self.starts[row]..self.starts[row + 1];
                    for (&to, &value) in self.neighbours[edges.clone()]
                        .iter()
                        .zip(&self.values[edges])
                    {
                        add_scaled(out, value, &x[to as usize * d..(to as usize + 1) * d]);
                    }
                }
            });
        out
    }

    /// `1 / (L + 1) · Σ A^k x` for k from 0 to `n_layers`: what `LightGCN` makes of its tables, and,
    /// the graph being symmetric, also what it makes of a gradient.
    ///
    /// # Shapes
    /// - `x`: `[n_items + 1 + n_users + 1, d]`, items first
    pub(crate) fn propagate(&self, x: &[f32], n_layers: usize, d: usize) -> Vec<f32> {
        let mut sum = x.to_vec();
        for _ in 0..n_layers {
            // Horner: x + A (x + A (…)).
            sum = self.step(&sum, x, d);
        }
        let scale = 1.0 / (n_layers as f32 + 1.0);
        for value in &mut sum {
            *value *= scale;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_equals_its_definition() {
        let graph = InteractionGraph::new(2, 2, [(1, 1), (2, 1), (2, 2), (1, 1)]).unwrap();
        assert_eq!(graph.pairs().len(), 3);
        // Rows: -, item 1, item 2, -, user 1, user 2. Degrees 2, 1, 1, 2.
        let x = [9.0, 3.0, 4.0, 9.0, 1.0, 2.0];
        let half = 0.5_f32.sqrt();
        let a = |x: &[f32]| {
            [
                0.0,
                half * x[4] + 0.5 * x[5],
                half * x[5],
                0.0,
                half * x[1],
                0.5 * x[1] + half * x[2],
            ]
        };
        let (once, twice) = (a(&x), a(&a(&x)));
        let found = graph.propagate(&x, 2, 1);
        for row in 0..6 {
            let expected = (x[row] + once[row] + twice[row]) / 3.0;
            assert!((found[row] - expected).abs() < 1e-6, "row {row}");
        }
        assert!(InteractionGraph::new(2, 2, [(3, 1)]).is_err());
        assert!(InteractionGraph::new(2, 2, [(1, 0)]).is_err());
    }
}
