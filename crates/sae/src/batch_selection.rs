//! Active features of a training batch, for each sparsity rule.

use rayon::prelude::*;

use crate::codes::SparseCodes;
use crate::kernels::{BlockBuffer, PackedEncoder, above_threshold, centre, highest};
use crate::sparsity::Sparsity;

/// Sums over the rows of a batch, all in a fixed order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RowSums {
    /// Per column.
    pub(crate) columns: Vec<f64>,
    /// Of squares, over all columns.
    pub(crate) squares: f64,
}

impl RowSums {
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

    /// Σ‖row − mean‖² over `n_rows` rows.
    pub(crate) fn variation(&self, n_rows: usize) -> f64 {
        let of_mean: f64 = self.columns.iter().map(|sum| sum * sum).sum();
        (self.squares - of_mean / n_rows as f64).max(0.0)
    }
}

/// Writes `centred = rows − b_dec` and selects the active features of the batch.
///
/// All slices of rows are `[n_rows, d_model]`. Returns the codes and the sums of `centred`.
pub(crate) fn select_batch(
    sparsity: &Sparsity,
    packed: &PackedEncoder,
    rows: &[f32],
    b_dec: &[f32],
    centred: &mut [f32],
) -> (SparseCodes, RowSums) {
    let d = b_dec.len();
    let n_rows = rows.len() / d;
    // `check_config` trains none of the rules without a k.
    let k = sparsity.k().unwrap_or(1) as usize;
    // For a selection over the batch a row offers twice as many candidates as it has places on
    // average; rows for which that may have been too few are looked at again.
    let (per_row, over_batch) = match sparsity {
        Sparsity::BatchTopK { .. } | Sparsity::Matryoshka { .. } => (2 * k, true),
        _ => (k, false),
    };
    let block = packed.block_rows() * d;
    let blocks: Vec<(SparseCodes, Vec<f32>, f64)> = rows
        .par_chunks(block)
        .zip(centred.par_chunks_mut(block))
        .map_init(BlockBuffer::default, |buffer, (rows, centred)| {
            let mut column_sums = vec![0.0; d];
            let mut squares = 0.0;
            for (x, out) in rows.chunks_exact(d).zip(centred.chunks_exact_mut(d)) {
                squares += f64::from(centre(x, b_dec, out, &mut column_sums));
            }
            let mut codes = SparseCodes::default();
            let (pre_activations, candidates) = packed.product(centred, buffer);
            for row in pre_activations {
                highest(row, per_row, candidates);
                codes.push_row(candidates);
            }
            (codes, column_sums, squares)
        })
        .collect();
    let sums = RowSums::of_blocks(
        d,
        blocks
            .iter()
            .map(|(_, columns, squares)| (&columns[..], *squares)),
    );
    let parts: Vec<SparseCodes> = blocks.into_iter().map(|(codes, _, _)| codes).collect();
    let mut codes = SparseCodes::concatenate(&parts);
    if over_batch {
        codes = keep_over_batch(&codes, k * n_rows, per_row, packed, centred);
    }
    (codes, sums)
}

/// The `n` highest activations of the batch, ties to the earlier row, then the lower feature.
///
/// `candidates` has the `per_row` highest of each row.
fn keep_over_batch(
    candidates: &SparseCodes,
    n: usize,
    per_row: usize,
    packed: &PackedEncoder,
    centred: &[f32],
) -> SparseCodes {
    // The n-th highest candidate bounds the n-th highest of all from below.
    let bound = nth_highest(&candidates.values, n);
    let d = centred.len() / candidates.n_rows().max(1);
    let mut buffer = BlockBuffer::default();
    let mut complete = SparseCodes::default();
    for row in 0..candidates.n_rows() {
        let (features, values) = candidates.row(row);
        if features.len() == per_row && values.iter().all(|&value| value >= bound) {
            let (mut product, found) =
                packed.product(&centred[row * d..(row + 1) * d], &mut buffer);
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
    use super::*;
    use crate::kernels::reference;

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
        for k in [1, 3, 10, 40] {
            let sparsity = Sparsity::BatchTopK { k, threshold: -1.0 };
            let (codes, sums) = select_batch(&sparsity, &packed, &x, &[0.0; 8], &mut centred);
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
