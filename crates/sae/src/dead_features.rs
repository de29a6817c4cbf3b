//! Which features are dead, and the `AuxK` loss that brings them back.

use rayon::prelude::*;

use crate::codes::SparseCodes;
use crate::kernels::{BlockBuffer, PackedEncoder, highest};
use crate::weights::Weights;

/// Counts a batch of `n_rows` rows: features active in it start anew, all others grow older.
pub(crate) fn count_rows(rows_since_active: &mut [u64], codes: &SparseCodes, n_rows: u64) {
    for count in rows_since_active.iter_mut() {
        *count += n_rows;
    }
    for (&feature, &value) in codes.features.iter().zip(&codes.values) {
        if value > 0.0 {
            rows_since_active[feature as usize] = 0;
        }
    }
}

/// The features without activation for `dead_after_rows` rows, ascending.
pub(crate) fn dead_features(rows_since_active: &[u64], dead_after_rows: u64) -> Vec<u32> {
    rows_since_active
        .iter()
        .enumerate()
        .filter(|&(_, &count)| count >= dead_after_rows)
        .map(|(feature, _)| feature as u32)
        .collect()
}

/// For every row the `k` dead features with the highest pre-activations above 0.
///
/// `centred` is `[n_rows, d_model]`, the rows less `b_dec`.
pub(crate) fn dead_codes(
    weights: &Weights,
    dead: &[u32],
    centred: &[f32],
    k: usize,
) -> SparseCodes {
    let d = weights.d_model;
    let packed = PackedEncoder::of_features(&weights.w_enc, &weights.b_enc, d, dead);
    let blocks: Vec<SparseCodes> = centred
        .par_chunks(packed.block_rows() * d)
        .map_init(BlockBuffer::default, |buffer, centred| {
            let mut codes = SparseCodes::default();
            let (pre_activations, candidates) = packed.product(centred, buffer);
            for row in pre_activations {
                highest(row, k, candidates);
                for (_, index) in candidates.iter_mut() {
                    *index = dead[*index as usize];
                }
                codes.push_row(candidates);
            }
            codes
        })
        .collect();
    SparseCodes::concatenate(&blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_dies_after_the_stated_rows() {
        let mut counts = vec![0, 0];
        let mut codes = SparseCodes::default();
        codes.push_row(&[(1.0, 1)]);
        codes.push_row(&[]);
        count_rows(&mut counts, &codes, 2);
        assert_eq!(counts, [2, 0]);
        assert_eq!(dead_features(&counts, 2), [0]);
        assert_eq!(dead_features(&counts, 3), [] as [u32; 0]);
    }
}
