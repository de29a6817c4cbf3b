//! The pass from codes to an error and back: what the weights' gradients are made of.

use rayon::prelude::*;

use crate::batch_selection::BatchSums;
use crate::codes::SparseCodes;
use crate::kernels::{LevelPass, Levels, RowBlock, decode_gradients, decode_levels};
use crate::weights::Weights;

/// Rows decoded by one task.
const ROWS_PER_TASK: usize = 32;

/// The pass back from an error to codes.
#[derive(Debug)]
pub(crate) struct Backward {
    pub(crate) codes: SparseCodes,
    /// Derivative of the loss with respect to each activation.
    pub(crate) value_gradients: Vec<f32>,
    /// Sums of the error's rows.
    pub(crate) sums: BatchSums,
    /// Sums of the rows that the decoder bias sees, by column, and the loss summed over rows.
    pub(crate) weighted: BatchSums,
    /// Factor from error to derivative.
    pub(crate) scale: f32,
}

/// One task of a pass back: some rows, their errors and the gradients of their activations.
type Part<'a> = (RowBlock<'a>, &'a mut [f32], &'a mut [f32]);

/// Cuts codes and what belongs to them into tasks.
fn parts<'a>(
    codes: &'a SparseCodes,
    d: usize,
    error: &'a mut [f32],
    value_gradients: &'a mut [f32],
) -> Vec<Part<'a>> {
    let mut tasks = Vec::with_capacity(codes.n_rows() / ROWS_PER_TASK + 1);
    let mut left = value_gradients;
    for (at, error) in error.chunks_mut(ROWS_PER_TASK * d).enumerate() {
        let first = at * ROWS_PER_TASK;
        let offsets = &codes.offsets[first..=first + error.len() / d];
        let range = offsets[0]..offsets[offsets.len() - 1];
        let (gradients, rest) = left.split_at_mut(range.len());
        left = rest;
        let block = RowBlock {
            offsets,
            features: &codes.features[range.clone()],
            values: &codes.values[range],
        };
        tasks.push((block, error, gradients));
    }
    tasks
}

impl Backward {
    /// Decodes, turns `error` from the target into the error, and goes back to the codes.
    pub(crate) fn new(
        codes: SparseCodes,
        weights: &Weights,
        scale: f32,
        error: &mut [f32],
    ) -> Self {
        let d = weights.d_model;
        let mut value_gradients = vec![0.0; codes.n_active()];
        let sums: Vec<(Vec<f32>, f64)> = parts(&codes, d, error, &mut value_gradients)
            .into_par_iter()
            .map(|(block, error, gradients)| {
                let mut columns = vec![0.0; d];
                let squares =
                    decode_gradients(block, &weights.w_dec, scale, error, gradients, &mut columns);
                (columns, squares)
            })
            .collect();
        let sums = BatchSums::of_blocks(
            d,
            sums.iter()
                .map(|(columns, squares)| (&columns[..], *squares)),
        );
        Self {
            codes,
            value_gradients,
            weighted: sums.clone(),
            sums,
            scale,
        }
    }

    /// The same for nested prefixes; `levels` leaves with their weighted errors,
    /// `[n_rows, n_levels, d_model]`.
    pub(crate) fn by_levels(
        codes: SparseCodes,
        weights: &Weights,
        (of, scale): (Levels<'_>, f32),
        error: &mut [f32],
        levels: &mut Vec<f32>,
    ) -> Self {
        let d = weights.d_model;
        let n_levels = of.ends.len();
        levels.resize(error.len() * n_levels, 0.0);
        let mut value_gradients = vec![0.0; codes.n_active()];
        let sums: Vec<([Vec<f32>; 2], [f64; 2])> = parts(&codes, d, error, &mut value_gradients)
            .into_par_iter()
            .zip(levels.par_chunks_mut(ROWS_PER_TASK * n_levels * d))
            .map(|((block, error, value_gradients), levels)| {
                let (mut column_sums, mut level_sums) = (vec![0.0; d], vec![0.0; d]);
                let pass = LevelPass {
                    error,
                    levels,
                    value_gradients,
                    column_sums: &mut column_sums,
                    level_sums: &mut level_sums,
                };
                let squares = decode_levels(block, &weights.w_dec, of, scale, pass);
                ([column_sums, level_sums], squares)
            })
            .collect();
        let [sums, weighted] = [0, 1].map(|i| {
            let of_part = sums
                .iter()
                .map(|(sums, squares)| (&sums[i][..], squares[i]));
            BatchSums::of_blocks(d, of_part)
        });
        Self {
            codes,
            value_gradients,
            sums,
            weighted,
            scale,
        }
    }

    /// Gives every row a weight of its own in the loss; `error` is what [`Self::new`] left.
    pub(crate) fn weigh_rows(&mut self, error: &[f32], row_weights: &[f32]) {
        let d = self.sums.columns.len();
        let mut weighted = BatchSums {
            columns: vec![0.0; d],
            squares: 0.0,
        };
        for (row, (error, &weight)) in error.chunks_exact(d).zip(row_weights).enumerate() {
            let weight = f64::from(weight);
            for (sum, &value) in weighted.columns.iter_mut().zip(error) {
                *sum += weight * f64::from(value);
                weighted.squares += weight * f64::from(value).powi(2);
            }
            for gradient in
                &mut self.value_gradients[self.codes.offsets[row]..self.codes.offsets[row + 1]]
            {
                *gradient *= row_weights[row];
            }
        }
        self.weighted = weighted;
    }

    /// Goes back to the codes once more from another error, e.g. one that a further loss changed.
    pub(crate) fn go_back_from(&mut self, weights: &Weights, error: &[f32]) {
        let silent = SparseCodes {
            offsets: self.codes.offsets.clone(),
            features: self.codes.features.clone(),
            values: vec![0.0; self.codes.n_active()],
        };
        let mut target: Vec<f32> = error.iter().map(|e| -e).collect();
        let again = Self::new(silent, weights, self.scale, &mut target);
        self.value_gradients = again.value_gradients;
        self.weighted.columns = again.weighted.columns;
    }
}
