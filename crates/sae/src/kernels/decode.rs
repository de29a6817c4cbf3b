//! Reconstruction from sparse codes, its error, and the gradient with respect to the codes.

use super::level::multiversion;
use super::vector::{add_scaled_4_inline, add_scaled_inline, dot_inline};

/// The codes of some consecutive rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowBlock<'a> {
    /// Where each row begins in `features` and `values`, one more than rows; the first entry is
    /// subtracted.
    pub(crate) offsets: &'a [usize],
    /// Feature of each entry.
    pub(crate) features: &'a [u32],
    /// Activation of each entry.
    pub(crate) values: &'a [f32],
}

/// `row += Σ value · w_dec[feature]`.
#[expect(
    clippy::inline_always,
    reason = "each caller compiles it for its features"
)]
#[inline(always)]
fn add_features(features: &[u32], values: &[f32], w_dec: &[f32], row: &mut [f32]) {
    let d = row.len();
    let fours = features.chunks_exact(4).zip(values.chunks_exact(4));
    for (f, v) in fours {
        let starts = [f[0], f[1], f[2], f[3]].map(|f| f as usize * d);
        add_scaled_4_inline(
            row,
            [v[0], v[1], v[2], v[3]],
            starts.map(|at| &w_dec[at..at + d]),
        );
    }
    let done = features.len() / 4 * 4;
    for (&f, &v) in features[done..].iter().zip(&values[done..]) {
        let at = f as usize * d;
        add_scaled_inline(row, v, &w_dec[at..at + d]);
    }
}

multiversion! {
    /// `out = bias + Σ value · w_dec[feature]` for every row of the block.
    ///
    /// `w_dec` is `[n_features, d_model]`, `bias` `[d_model]`, `out` `[rows, d_model]`.
    fn decode_rows(block: RowBlock<'_>, w_dec: &[f32], bias: &[f32], out: &mut [f32]) {
        let first = block.offsets[0];
        for (row, out) in out.chunks_exact_mut(bias.len()).enumerate() {
            let range = block.offsets[row] - first..block.offsets[row + 1] - first;
            out.copy_from_slice(bias);
            add_features(&block.features[range.clone()], &block.values[range], w_dec, out);
        }
    }
}

multiversion! {
    /// For every row: `error = Σ value · w_dec[feature] − target`, and for every entry
    /// `value_gradients = scale · error · w_dec[feature]`. Adds the errors to `column_sums`;
    /// returns Σ error² over the block.
    ///
    /// `error` enters holding the target with the decoder bias taken off, `[rows, d_model]`.
    fn decode_gradients(block: RowBlock<'_>, w_dec: &[f32], scale: f32, error: &mut [f32], value_gradients: &mut [f32], column_sums: &mut [f32]) -> f64 {
        let d = column_sums.len();
        let first = block.offsets[0];
        let mut total = 0_f64;
        for (row, error) in error.chunks_exact_mut(d).enumerate() {
            let range = block.offsets[row] - first..block.offsets[row + 1] - first;
            let features = &block.features[range.clone()];
            for value in error.iter_mut() {
                *value = -*value;
            }
            add_features(features, &block.values[range.clone()], w_dec, error);
            for (sum, &value) in column_sums.iter_mut().zip(error.iter()) {
                *sum += value;
            }
            total += f64::from(dot_inline(error, error));
            for (gradient, &f) in value_gradients[range].iter_mut().zip(features) {
                let at = f as usize * d;
                *gradient = scale * dot_inline(error, &w_dec[at..at + d]);
            }
        }
        total
    }
}

/// Nested prefixes of the features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels<'a> {
    /// The feature after the last of each prefix, ascending.
    pub(crate) ends: &'a [u32],
    /// Weight of each prefix's squared error.
    pub(crate) weights: &'a [f32],
}

/// Where [`decode_levels`] writes.
#[derive(Debug)]
pub(crate) struct LevelPass<'a> {
    /// Enters holding the target with the decoder bias taken off, `[rows, d_model]`; leaves with
    /// the error of all features.
    pub(crate) error: &'a mut [f32],
    /// What a feature's gradient is made of, `[rows, n_levels, d_model]`: the weighted errors of
    /// the prefixes that it is in.
    pub(crate) levels: &'a mut [f32],
    /// One per entry of the block.
    pub(crate) value_gradients: &'a mut [f32],
    /// The errors of all features are added, `[d_model]`.
    pub(crate) column_sums: &'a mut [f32],
    /// The weighted errors of all prefixes are added, `[d_model]`.
    pub(crate) level_sums: &'a mut [f32],
}

multiversion! {
    /// As [`decode_gradients`], for the sum over prefixes of weight · ‖error of the prefix‖².
    ///
    /// Returns Σ error² of all features and the sum itself.
    fn decode_levels(block: RowBlock<'_>, w_dec: &[f32], of: Levels<'_>, scale: f32, pass: LevelPass<'_>) -> [f64; 2] {
        let LevelPass { error, levels, value_gradients, column_sums, level_sums } = pass;
        let d = column_sums.len();
        let n_levels = of.ends.len();
        let first = block.offsets[0];
        let (mut total, mut weighted) = (0_f64, 0_f64);
        for (row, (error, levels)) in error.chunks_exact_mut(d).zip(levels.chunks_exact_mut(n_levels * d)).enumerate() {
            let range = block.offsets[row] - first..block.offsets[row + 1] - first;
            let (features, values) = (&block.features[range.clone()], &block.values[range.clone()]);
            for value in error.iter_mut() {
                *value = -*value;
            }
            let mut begin = 0;
            for level in 0..n_levels {
                let mut end = begin;
                while end < features.len() && features[end] < of.ends[level] {
                    end += 1;
                }
                add_features(&features[begin..end], &values[begin..end], w_dec, error);
                let weight = of.weights[level];
                for (out, &value) in levels[level * d..(level + 1) * d].iter_mut().zip(error.iter()) {
                    *out = weight * value;
                }
                let squares = f64::from(dot_inline(error, error));
                weighted += f64::from(weight) * squares;
                total += if level + 1 == n_levels { squares } else { 0.0 };
                begin = end;
            }
            for level in (1..n_levels).rev() {
                let (before, rest) = levels.split_at_mut(level * d);
                for (out, &value) in before[(level - 1) * d..].iter_mut().zip(rest[..d].iter()) {
                    *out += value;
                }
            }
            for (sum, &value) in column_sums.iter_mut().zip(error.iter()) {
                *sum += value;
            }
            for (sum, &value) in level_sums.iter_mut().zip(levels.iter()) {
                *sum += value;
            }
            let mut level = 0;
            for (gradient, &f) in value_gradients[range].iter_mut().zip(features) {
                while f >= of.ends[level] {
                    level += 1;
                }
                let at = f as usize * d;
                *gradient = scale * dot_inline(&levels[level * d..(level + 1) * d], &w_dec[at..at + d]);
            }
        }
        [total, weighted]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn decoding_and_its_gradients_equal_the_plain_sums() {
        let (d, n) = (24, 10);
        let w = reference::values(n * d, 1);
        let target = reference::values(3 * d, 2);
        let bias = reference::values(d, 3);
        let (offsets, features) = ([5, 10, 10, 11], [0_u32, 2, 3, 8, 9, 4]);
        let values = reference::values(6, 4);
        let block = RowBlock {
            offsets: &offsets,
            features: &features,
            values: &values,
        };
        let mut out = vec![0.0; 3 * d];
        decode_rows(block, &w, &bias, &mut out);
        let mut error = target.clone();
        let (mut gradients, mut sums) = (vec![0.0; 6], vec![0.0; d]);
        let total = decode_gradients(block, &w, 0.5, &mut error, &mut gradients, &mut sums);
        let mut plain_total = 0.0;
        for row in 0..3 {
            let entries = offsets[row] - 5..offsets[row + 1] - 5;
            for j in 0..d {
                let sum: f32 = entries
                    .clone()
                    .map(|e| values[e] * w[features[e] as usize * d + j])
                    .sum();
                assert!((out[row * d + j] - bias[j] - sum).abs() < 1e-5);
                assert!((error[row * d + j] - (sum - target[row * d + j])).abs() < 1e-5);
                plain_total += f64::from(error[row * d + j]).powi(2);
            }
            for e in entries {
                let plain: f32 = (0..d)
                    .map(|j| error[row * d + j] * w[features[e] as usize * d + j])
                    .sum();
                assert!((gradients[e] - 0.5 * plain).abs() < 1e-5);
            }
        }
        assert!((total - plain_total).abs() < 1e-4);
        for j in 0..d {
            let plain: f32 = (0..3).map(|row| error[row * d + j]).sum();
            assert!((sums[j] - plain).abs() < 1e-5);
        }
    }
}
