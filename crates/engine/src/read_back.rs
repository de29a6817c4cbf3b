//! Whether a dictionary that was written and read back reconstructs the same.

use sae::SparseAutoencoder;
use serde::Serialize;

use crate::error::Result;

/// Rows that are compared.
const N_ROWS: usize = 256;

/// How far two readings of one dictionary differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReadBack {
    /// Largest difference between their reconstructions.
    pub largest_difference: f32,
    /// The largest reconstructed value, to compare it with.
    pub largest_value: f32,
    /// Rows compared.
    pub n_rows: usize,
}

impl ReadBack {
    /// Compares a dictionary with what was read back of it, on rows that its features are active on.
    ///
    /// # Errors
    /// When either cannot encode rows of the dictionary's width.
    pub(crate) fn of(sae: &SparseAutoencoder, again: &SparseAutoencoder) -> Result<Self> {
        let rows = rows_to_try(sae);
        let (ours, theirs) = (sae.reconstruct(&rows)?, again.reconstruct(&rows)?);
        let most = |values: &mut dyn Iterator<Item = f32>| values.fold(0_f32, f32::max);
        Ok(Self {
            largest_difference: most(&mut ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs())),
            largest_value: most(&mut ours.iter().map(|value| value.abs())),
            n_rows: N_ROWS,
        })
    }

    /// The same in words, without a capital.
    pub fn sentence(&self) -> String {
        format!(
            "read back, reconstructions of {} rows differ by {:.1e} at most, of values up to {:.1}",
            self.n_rows, self.largest_difference, self.largest_value
        )
    }
}

/// Rows about `b_dec` along sums of directions, so that features of every rule are active.
fn rows_to_try(sae: &SparseAutoencoder) -> Vec<f32> {
    let (d, n) = (sae.d_model(), sae.n_features() as u32);
    let mut rows = Vec::with_capacity(N_ROWS * d);
    for row in 0..N_ROWS as u32 {
        let start = rows.len();
        rows.extend_from_slice(sae.b_dec());
        // Fixed strides through the features; co-prime to most numbers of them.
        for i in 0..8_u32 {
            let feature = (row.wrapping_mul(7919) + i.wrapping_mul(104_729)) % n;
            let strength = 0.5 + i as f32;
            for (value, w) in rows[start..].iter_mut().zip(sae.decoder_row(feature)) {
                *value += strength * w;
            }
        }
    }
    rows
}
