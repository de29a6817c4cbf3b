//! The places of a training batch that matter: its active features, and those a gradient passes.

use rayon::prelude::*;

use crate::codes::SparseCodes;
use crate::gradients::{Plan, StepRows};
use crate::kernels::{BlockBuffer, PackedEncoder, above_threshold, centre, highest, keep_highest};
use crate::variants::{Given, Selection};

/// Sums over the rows of a batch, all in a fixed order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BatchSums {
    /// Per column.
    pub(crate) columns: Vec<f64>,
    /// Of squares, over all columns.
    pub(crate) squares: f64,
}

impl BatchSums {
    /// Adds the sums of blocks, in their order.
    pub(crate) fn of_blocks<'a>(
        d: usize,
        blocks: impl IntoIterator<Item = (&'a [f32], f64)>,
    ) -> Self {
        let mut total = Self {
            columns: vec![0.0; d],
            squares: 0.0,
        };
        for (columns, squares) in blocks {
            for (sum, &value) in total.columns.iter_mut().zip(columns) {
                *sum += f64::from(value);
            }
            total.squares += squares;
        }
        total
    }

    /// The sums of `rows` `[n_rows, d]`.
    pub(crate) fn of_rows(rows: &[f32], d: usize) -> Self {
        let squares = |row: &[f32]| row.iter().map(|&v| f64::from(v).powi(2)).sum();
        Self::of_blocks(d, rows.chunks_exact(d).map(|row| (row, squares(row))))
    }

    /// Σ‖row − mean‖² over `n_rows` rows.
    pub(crate) fn variation(&self, n_rows: usize) -> f64 {
        if n_rows < 2 {
            return 0.0;
        }
        let of_mean: f64 = self.columns.iter().map(|sum| sum * sum).sum();
        (self.squares - of_mean / n_rows as f64).max(0.0)
    }
}

/// Writes `centred = targets − b_dec` and selects the places of the batch that matter.
///
/// All slices of rows are `[n_rows, d_model]`; targets other than the rows are for dictionaries
/// that are not centred. Returns the places with their pre-activations, and the sums of `centred`.
pub(crate) fn select_batch(
    (plan, selection): (&Plan<'_>, Selection),
    given: &Given<'_>,
    packed: &PackedEncoder,
    StepRows { rows, targets }: StepRows<'_>,
    centred: &mut [f32],
) -> (SparseCodes, BatchSums) {
    let (variant, weights) = (plan.variant.as_ref(), given.weights);
    let d = weights.d_model;
    let n_rows = rows.len() / d;
    let is_centred = plan.is_centred();
    // For a selection over the batch a row offers twice as many candidates as it has places on
    // average; rows for which that may have been too few are looked at again.
    let (per_row, of_batch) = match selection {
        Selection::OfRow(k) if plan.conventions.multi_topk => (Some(4 * k as usize), None),
        Selection::OfRow(k) => (Some(k as usize), None),
        Selection::OfBatch(k) => (Some(2 * k as usize), Some(k as usize * n_rows)),
        Selection::Each => (None, None),
    };
    let block = packed.block_rows() * d;
    let blocks: Vec<(SparseCodes, Vec<f32>, f64)> = rows
        .par_chunks(block)
        .zip(targets.par_chunks(block))
        .zip(centred.par_chunks_mut(block))
        .map_init(
            BlockBuffer::default,
            |buffer, ((rows, targets), centred)| {
                let mut column_sums = vec![0.0; d];
                let mut squares = 0.0;
                for (y, out) in targets.chunks_exact(d).zip(centred.chunks_exact_mut(d)) {
                    squares += f64::from(centre(y, &weights.b_dec, out, &mut column_sums));
                }
                let mut codes = SparseCodes::default();
                let input = if is_centred { &*centred } else { rows };
                let (pre_activations, candidates) = packed.product(input, buffer);
                for row in pre_activations {
                    match per_row {
                        Some(k) => highest(row, k, candidates),
                        None => variant.places(given, row, candidates),
                    }
                    codes.push_row(candidates);
                }
                (codes, column_sums, squares)
            },
        )
        .collect();
    let sums = BatchSums::of_blocks(
        d,
        blocks
            .iter()
            .map(|(_, columns, squares)| (&columns[..], *squares)),
    );
    let parts: Vec<SparseCodes> = blocks.into_iter().map(|(codes, _, _)| codes).collect();
    let mut codes = SparseCodes::concatenate(&parts);
    if let (Some(n), Some(per_row)) = (of_batch, per_row) {
        let input = if is_centred { &*centred } else { rows };
        codes = keep_over_batch(&codes, n, per_row, packed, input);
    }
    (codes, sums)
}

/// The `k` highest of each row, ties to the lower feature.
pub(crate) fn highest_of_rows(codes: &SparseCodes, k: usize) -> SparseCodes {
    let mut kept = SparseCodes::default();
    let mut row = Vec::new();
    for at in 0..codes.n_rows() {
        let (features, values) = codes.row(at);
        row.clear();
        row.extend(values.iter().copied().zip(features.iter().copied()));
        keep_highest(&mut row, k);
        kept.push_row(&row);
    }
    kept
}

/// The `n` highest activations of the batch, ties to the earlier row, then the lower feature.
///
/// `candidates` has the `per_row` highest of each row.
fn keep_over_batch(
    candidates: &SparseCodes,
    n: usize,
    per_row: usize,
    packed: &PackedEncoder,
    input: &[f32],
) -> SparseCodes {
    // The n-th highest candidate bounds the n-th highest of all from below.
    let bound = nth_highest(&candidates.values, n);
    let d = input.len() / candidates.n_rows().max(1);
    let mut buffer = BlockBuffer::default();
    let mut complete = SparseCodes::default();
    for row in 0..candidates.n_rows() {
        let (features, values) = candidates.row(row);
        if features.len() == per_row && values.iter().all(|&value| value >= bound) {
            let (mut product, found) = packed.product(&input[row * d..(row + 1) * d], &mut buffer);
            if let Some(pre_activations) = product.next() {
                above_threshold(pre_activations, bound.next_down(), found);
            }
            complete.push_row(found);
        } else {
            for (&feature, &value) in features.iter().zip(values) {
                if value >= bound {
                    complete.features.push(feature);
                    complete.values.push(value);
                }
            }
            complete.offsets.push(complete.features.len());
        }
    }
    cut_to(&complete, n)
}

/// Keeps the `n` highest entries.
fn cut_to(codes: &SparseCodes, n: usize) -> SparseCodes {
    if codes.n_active() <= n {
        return codes.clone();
    }
    let threshold = nth_highest(&codes.values, n);
    let above = codes
        .values
        .iter()
        .filter(|&&value| value > threshold)
        .count();
    let mut ties_left = n - above;
    let mut kept = SparseCodes::default();
    for row in 0..codes.n_rows() {
        let (features, values) = codes.row(row);
        for (&feature, &value) in features.iter().zip(values) {
            let tie = value == threshold && ties_left > 0;
            if value > threshold || tie {
                ties_left -= usize::from(tie);
                kept.features.push(feature);
                kept.values.push(value);
            }
        }
        kept.offsets.push(kept.features.len());
    }
    kept
}

/// The `n`-th highest value, or the smallest number above 0 where there are fewer.
fn nth_highest(values: &[f32], n: usize) -> f32 {
    if n == 0 || values.len() < n {
        return f32::from_bits(1);
    }
    let mut values = values.to_vec();
    *values
        .select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a))
        .1
}

#[cfg(test)]
mod tests {
    use schema::{SaeConfig, SaeVariant};

    use super::*;
    use crate::kernels::reference;
    use crate::weights::Weights;

    #[test]
    fn batch_selection_equals_a_full_sort_of_the_batch() {
        let (d, n, rows) = (8, 61, 40);
        let w = reference::values(n * d, 1);
        let b = reference::values(n, 2);
        let packed = PackedEncoder::new(&w, &b, d);
        let mut x = reference::values(rows * d, 3);
        // A few rows take far more than their share of the places.
        for value in &mut x[..3 * d] {
            *value *= 20.0;
        }
        let mut centred = vec![0.0; rows * d];
        let weights = Weights {
            d_model: d,
            w_enc: w.clone(),
            b_enc: b.clone(),
            w_dec: w.clone(),
            b_dec: vec![0.0; d],
            extra: Vec::new(),
            skip: Vec::new(),
        };
        for k in [1, 3, 10, 40] {
            let config = SaeConfig {
                variant: SaeVariant::BatchTopK,
                n_features: n as u32,
                k,
                ..SaeConfig::default()
            };
            let plan = Plan::of(&config).unwrap();
            let given = Given::new(&weights, &[], false);
            let (codes, sums) = {
                let selection = plan.selection(0, d);
                let rows = StepRows::alike(&x);
                select_batch((&plan, selection), &given, &packed, rows, &mut centred)
            };
            let plain = reference::pre_activations(&x, &w, &b, d);
            let expected = reference::highest(&plain, k as usize * rows);
            let got: Vec<(f32, u32)> = (0..rows)
                .flat_map(|row| {
                    let (features, values) = codes.row(row);
                    let first = (row * n) as u32;
                    std::iter::zip(values.to_vec(), features.iter().map(move |f| first + f))
                        .collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(got, expected, "k {k}");
            let squares: f64 = x.iter().map(|&v| f64::from(v).powi(2)).sum();
            assert!((sums.squares / squares - 1.0).abs() < 1e-6);
        }
    }
}
