//! A transcoder's linear path past the dictionary: what it predicts, and the gradient of its map.

use rayon::prelude::*;

use crate::kernels::{BlockBuffer, PackedEncoder, add_scaled};

/// Columns turned by one task.
const COLUMNS_PER_TASK: usize = 16;

/// Takes what the path predicts from `rows` off their targets, both `[n_rows, d]`; nothing without
/// a path.
///
/// `skip` is `[d, d]`, a row per output.
pub(super) fn take_off(skip: &[f32], rows: &[f32], targets: &mut [f32], d: usize) {
    if skip.is_empty() {
        return;
    }
    let packed = PackedEncoder::new(skip, &vec![0.0; d], d);
    let block = packed.block_rows() * d;
    rows.par_chunks(block)
        .zip(targets.par_chunks_mut(block))
        .for_each_init(BlockBuffer::default, |buffer, (rows, targets)| {
            let (predicted, _) = packed.product(rows, buffer);
            for (predicted, target) in predicted.zip(targets.chunks_exact_mut(d)) {
                add_scaled(target, -1.0, &predicted[..d]);
            }
        });
}

/// What the loss says of the predictions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errors<'a> {
    /// ŷ − y, `[n_rows, d]`.
    pub(super) values: &'a [f32],
    /// Factor from error to derivative.
    pub(super) scale: f32,
}

/// The gradient of the map, `scale · Σ error ⊗ row`, `[d, d]`, a row per output.
pub(super) fn gradient(errors: Errors<'_>, rows: &[f32], d: usize) -> Vec<f32> {
    let n_rows = rows.len() / d;
    let inputs = PackedEncoder::new(&transposed(rows, d), &vec![0.0; d], n_rows);
    let by_output = transposed(errors.values, d);
    let block = inputs.block_rows();
    let mut out = vec![0.0; d * d];
    by_output
        .par_chunks(block * n_rows)
        .zip(out.par_chunks_mut(block * d))
        .for_each_init(BlockBuffer::default, |buffer, (of_outputs, out)| {
            let (sums, _) = inputs.product(of_outputs, buffer);
            for (sums, out) in sums.zip(out.chunks_exact_mut(d)) {
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = errors.scale * sum;
                }
            }
        });
    out
}

/// `[d, n]` of `[n, d]`.
fn transposed(values: &[f32], d: usize) -> Vec<f32> {
    let n = values.len() / d;
    let mut out = vec![0.0; values.len()];
    out.par_chunks_mut(n * COLUMNS_PER_TASK)
        .enumerate()
        .for_each(|(task, out)| {
            for (row, values) in values.chunks_exact(d).enumerate() {
                let columns = &values[task * COLUMNS_PER_TASK..];
                for (column, &value) in out.chunks_exact_mut(n).zip(columns) {
                    column[row] = value;
                }
            }
        });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn predictions_and_gradient_equal_the_plain_sums() {
        for (n, d) in [(1, 1), (3, 5), (70, 33)] {
            let (rows, error) = (reference::values(n * d, 1), reference::values(n * d, 2));
            let skip = reference::values(d * d, 3);
            let mut targets = error.clone();
            take_off(&skip, &rows, &mut targets, d);
            let errors = Errors {
                values: &error,
                scale: 0.5,
            };
            let gradient = gradient(errors, &rows, d);
            for output in 0..d {
                for row in 0..n {
                    let predicted: f32 = (0..d)
                        .map(|input| skip[output * d + input] * rows[row * d + input])
                        .sum();
                    let at = row * d + output;
                    assert!((targets[at] - (error[at] - predicted)).abs() < 1e-4);
                }
                for input in 0..d {
                    let sum: f32 = (0..n)
                        .map(|row| error[row * d + output] * rows[row * d + input])
                        .sum();
                    assert!((gradient[output * d + input] - 0.5 * sum).abs() < 1e-4);
                }
            }
        }
    }
}
