//! Gradients of one feature's weights, gathered from the rows on which it is active.

use super::level::multiversion;
use super::vector::{add_scaled_inline, dot_inline};

/// One active place of a feature.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Entry {
    /// The row of the batch.
    pub(crate) row: u32,
    /// The feature's activation there.
    pub(crate) value: f32,
    /// Derivative of the loss with respect to the activation.
    pub(crate) value_gradient: f32,
}

/// Rows of `d_model` values that begin `step` apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) step: usize,
}

/// Columns whose sums stay in registers: four of AVX-512.
const BLOCK: usize = 64;

/// Σ factor · row over the entries, of 64 columns from `first`; `of` gives an entry's factor and
/// where its row begins.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
fn sum_of_rows(
    entries: &[Entry],
    of: impl Fn(&Entry) -> (f32, usize),
    values: &[f32],
    first: usize,
) -> [f32; BLOCK] {
    let mut sums = [[0_f32; 16]; 4];
    for entry in entries {
        let (factor, at) = of(entry);
        let (row, _) = values[at + first..at + first + BLOCK].as_chunks::<16>();
        for (sums, row) in sums.iter_mut().zip(row) {
            for i in 0..16 {
                sums[i] = factor.mul_add(row[i], sums[i]);
            }
        }
    }
    let mut out = [0_f32; BLOCK];
    for (out, sums) in out.as_chunks_mut::<16>().0.iter_mut().zip(&sums) {
        *out = *sums;
    }
    out
}

multiversion! {
    /// Gradients of one feature: `decoder = scale · Σ value · error[row]`,
    /// `encoder = Σ value_gradient · centred[row]`; returns the bias gradient `Σ value_gradient`.
    ///
    /// `centred` is `[n_rows, d_model]`, `decoder` and `encoder` `[d_model]`.
    fn feature_gradient(entries: &[Entry], error: Rows<'_>, scale: f32, centred: &[f32], decoder: &mut [f32], encoder: &mut [f32]) -> f32 {
        let d = decoder.len();
        let errors = |entry: &Entry| (entry.value, entry.row as usize * error.step);
        let rows = |entry: &Entry| (entry.value_gradient, entry.row as usize * d);
        let (blocks, rest) = decoder.as_chunks_mut::<BLOCK>();
        for (at, block) in blocks.iter_mut().enumerate() {
            *block = sum_of_rows(entries, errors, error.values, at * BLOCK);
        }
        let done = d - rest.len();
        rest.fill(0.0);
        for entry in entries {
            let at = entry.row as usize * error.step;
            add_scaled_inline(rest, entry.value, &error.values[at + done..at + d]);
        }
        let (blocks, rest) = encoder.as_chunks_mut::<BLOCK>();
        for (at, block) in blocks.iter_mut().enumerate() {
            *block = sum_of_rows(entries, rows, centred, at * BLOCK);
        }
        rest.fill(0.0);
        let mut bias = 0_f32;
        for entry in entries {
            let at = entry.row as usize * d;
            add_scaled_inline(rest, entry.value_gradient, &centred[at + done..at + d]);
            bias += entry.value_gradient;
        }
        for value in decoder.iter_mut() {
            *value *= scale;
        }
        bias
    }
}

multiversion! {
    /// Takes from `gradient` its component along `row` (`dictionary_learning`'s rule, ε = 1e-6).
    fn remove_parallel(gradient: &mut [f32], row: &[f32]) {
        let norm = dot_inline(row, row).sqrt() + 1e-6;
        let along = dot_inline(gradient, row) / norm;
        add_scaled_inline(gradient, -along / norm, row);
    }
}

multiversion! {
    /// Scales a row to unit length; a row of zeros stays.
    fn unit_norm(row: &mut [f32]) {
        let norm = dot_inline(row, row).sqrt() + f32::EPSILON;
        for value in row.iter_mut() {
            *value /= norm;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn feature_gradient_equals_the_plain_sums() {
        let (n_rows, d) = (11, 40);
        let error = reference::values(n_rows * d, 1);
        let centred = reference::values(n_rows * d, 2);
        for n_entries in [0, 1, 4, 7] {
            let entries: Vec<Entry> = (0..n_entries)
                .map(|i| Entry {
                    row: i as u32,
                    value: 0.5 + i as f32,
                    value_gradient: 0.3 - i as f32,
                })
                .collect();
            let (mut decoder, mut encoder) = (vec![9.0; d], vec![9.0; d]);
            let rows = Rows {
                values: &error,
                step: d,
            };
            let bias = feature_gradient(&entries, rows, 0.25, &centred, &mut decoder, &mut encoder);
            for j in 0..d {
                let plain: f32 = entries
                    .iter()
                    .map(|e| e.value * error[e.row as usize * d + j])
                    .sum();
                assert!((decoder[j] - 0.25 * plain).abs() < 1e-5);
                let plain: f32 = entries
                    .iter()
                    .map(|e| e.value_gradient * centred[e.row as usize * d + j])
                    .sum();
                assert!((encoder[j] - plain).abs() < 1e-5);
            }
            assert!((bias - entries.iter().map(|e| e.value_gradient).sum::<f32>()).abs() < 1e-5);
        }
    }

    #[test]
    fn nothing_parallel_is_left_and_rows_have_unit_norm() {
        let mut row = reference::values(48, 4);
        unit_norm(&mut row);
        assert!((dot_inline(&row, &row) - 1.0).abs() < 1e-6);
        let mut gradient = reference::values(48, 5);
        remove_parallel(&mut gradient, &row);
        assert!(dot_inline(&gradient, &row).abs() < 1e-5);
    }
}
