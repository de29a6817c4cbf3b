//! Which features are dead, and the `AuxK` loss that brings them back.

use rayon::prelude::*;

use crate::codes::SparseCodes;
use crate::kernels::{BlockBuffer, PackedEncoder, highest, highest_of_any_sign};
use crate::weights::Weights;

/// Counts a batch of `n_rows` rows: features active in it start anew, all others grow older.
/// With `counts_zeros` a place is enough, whatever its activation.
pub(crate) fn count_rows(
    rows_since_active: &mut [u64],
    codes: &SparseCodes,
    n_rows: u64,
    counts_zeros: bool,
) {
    for count in rows_since_active.iter_mut() {
        *count += n_rows;
    }
    for (&feature, &value) in codes.features.iter().zip(&codes.values) {
        if value > 0.0 || counts_zeros {
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

/// Which dead features reconstruct.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadChoice<'a> {
    /// The dead features, ascending.
    pub(crate) features: &'a [u32],
    /// Features per row at most.
    pub(crate) k: usize,
    /// Whether pre-activations below 0 are chosen too.
    pub(crate) below_zero: bool,
    /// Factors on the pre-activations by which they are chosen, `[n_features]`.
    pub(crate) lengths: Option<&'a [f32]>,
}

/// For every row of the encoder's `input` `[n_rows, d_model]` the chosen dead features with their
/// pre-activations.
pub(crate) fn dead_codes(weights: &Weights, choice: DeadChoice<'_>, input: &[f32]) -> SparseCodes {
    let d = weights.d_model;
    let dead = choice.features;
    let packed = PackedEncoder::of_features(&weights.w_enc, &weights.b_enc, d, dead);
    let factors: Option<Vec<f32>> = choice
        .lengths
        .map(|lengths| dead.iter().map(|&f| lengths[f as usize]).collect());
    let blocks: Vec<SparseCodes> = input
        .par_chunks(packed.block_rows() * d)
        .map_init(
            || (BlockBuffer::default(), Vec::new()),
            |(buffer, scaled), input| {
                let mut codes = SparseCodes::default();
                let (pre_activations, candidates) = packed.product(input, buffer);
                for row in pre_activations {
                    let row = match &factors {
                        None => row,
                        Some(factors) => {
                            scaled.clear();
                            scaled.extend(row.iter().zip(factors).map(|(p, factor)| p * factor));
                            &scaled[..]
                        }
                    };
                    if choice.below_zero {
                        // The rest is padding.
                        highest_of_any_sign(&row[..dead.len()], choice.k, candidates);
                    } else {
                        highest(row, choice.k, candidates);
                    }
                    for (value, index) in candidates.iter_mut() {
                        if let Some(factors) = &factors {
                            *value /= factors[*index as usize];
                        }
                        *index = dead[*index as usize];
                    }
                    codes.push_row(candidates);
                }
                codes
            },
        )
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
        count_rows(&mut counts, &codes, 2, false);
        assert_eq!(counts, [2, 0]);
        assert_eq!(dead_features(&counts, 2), [0]);
        assert_eq!(dead_features(&counts, 3), [] as [u32; 0]);
    }
}
