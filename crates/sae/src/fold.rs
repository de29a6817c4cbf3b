//! Changes of a dictionary that leave its reconstruction as it is, or move it to other units.

use std::sync::Arc;

use schema::{InputScaling, SaeConfig};

use crate::autoencoder::SaeParts;
use crate::batch_selection::BatchSums;
use crate::error::SaeError;
use crate::kernels::{add_scaled, dot};
use crate::source::ActivationSource;
use crate::sparsity::Sparsity;

/// Decoder rows of unit length, their lengths moved to the encoder: selects by activation times
/// length of the row, and reconstructs, as before.
pub(crate) fn fold_norms(parts: &mut SaeParts) {
    let d = parts.d_model;
    let rows = parts
        .w_enc
        .chunks_exact_mut(d)
        .zip(parts.w_dec.chunks_exact_mut(d))
        .zip(&mut parts.b_enc);
    for ((encoder, decoder), bias) in rows {
        let norm = dot(decoder, decoder).sqrt();
        if norm > 0.0 {
            for (up, down) in encoder.iter_mut().zip(decoder) {
                *up *= norm;
                *down /= norm;
            }
            *bias *= norm;
        }
    }
}

/// From activations divided by `factor` to activations as they are.
pub(crate) fn scale_biases(parts: &mut SaeParts, factor: f32) {
    let scale = |values: &mut [f32]| values.iter_mut().for_each(|value| *value *= factor);
    scale(&mut parts.b_enc);
    scale(&mut parts.b_dec);
    match &mut parts.sparsity {
        Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } => {
            if *threshold >= 0.0 {
                *threshold *= factor;
            }
        }
        Sparsity::JumpRelu { thresholds } => scale(Arc::make_mut(thresholds)),
        Sparsity::Gated(gate) => {
            let gate = Arc::make_mut(gate);
            scale(&mut gate.open_bias);
            scale(&mut gate.mag_bias);
        }
        Sparsity::TopK { .. } | Sparsity::GroupMax { .. } | Sparsity::Relu => {}
    }
}

/// From rows less `mean` to rows as they are.
fn take_up_mean(parts: &mut SaeParts, mean: &[f32]) {
    let d = parts.d_model;
    if !parts.is_centred {
        let shifts = parts.w_enc.chunks_exact(d).map(|row| dot(row, mean));
        if let Sparsity::Gated(gate) = &mut parts.sparsity {
            let gate = Arc::make_mut(gate);
            for (at, shift) in shifts.enumerate() {
                gate.open_bias[at] -= shift;
                gate.mag_bias[at] -= gate.r_mag[at].exp() * shift;
            }
        } else {
            for (bias, shift) in parts.b_enc.iter_mut().zip(shifts) {
                *bias -= shift;
            }
        }
    }
    add_scaled(&mut parts.b_dec, 1.0, mean);
}

/// Batches that the mean and the scale of rows are estimated from.
const BATCHES: u64 = 32;

/// What is done to rows before training, and undone in the finished dictionary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowMap {
    /// Taken off each row.
    mean: Vec<f32>,
    /// Each row is then multiplied by this.
    factor: f32,
}

impl RowMap {
    /// The map that a configuration asks for, estimated from the first batches of `source`; `None`
    /// where rows stay as they are. Moves the source.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) fn of(
        config: &SaeConfig,
        source: &mut dyn ActivationSource,
    ) -> Result<Option<Self>, SaeError> {
        let scales = config.normalize_activations == InputScaling::ExpectedAverage;
        if !scales && !config.centre_rows {
            return Ok(None);
        }
        let d = source.d_model();
        let wanted = source
            .n_rows()
            .min(BATCHES * u64::from(config.batch_rows))
            .max(1);
        source.seek(0)?;
        let mut total = BatchSums {
            columns: vec![0.0; d],
            squares: 0.0,
        };
        let mut rows = Vec::new();
        let mut left = wanted;
        while left > 0 {
            let n = left.min(u64::from(config.batch_rows));
            source.next_batch(n as usize, &mut rows)?;
            let sums = BatchSums::of_rows(&rows, d);
            for (total, sum) in total.columns.iter_mut().zip(&sums.columns) {
                *total += sum;
            }
            total.squares += sums.squares;
            left -= n;
        }
        Ok(Some(Self::from_sums(config, &total, wanted)))
    }

    fn from_sums(config: &SaeConfig, sums: &BatchSums, n_rows: u64) -> Self {
        let d = sums.columns.len();
        let n = n_rows as f64;
        let squares = if config.centre_rows {
            sums.variation(n_rows as usize)
        } else {
            sums.squares
        };
        let mean = sums.columns.iter().map(|sum| (sum / n) as f32);
        let length = (squares / n).sqrt();
        let scales = config.normalize_activations == InputScaling::ExpectedAverage && length > 0.0;
        Self {
            mean: if config.centre_rows {
                mean.collect()
            } else {
                vec![0.0; d]
            },
            factor: if scales {
                ((d as f64).sqrt() / length) as f32
            } else {
                1.0
            },
        }
    }

    /// Maps rows in place.
    pub(crate) fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len()) {
            for (value, mean) in row.iter_mut().zip(&self.mean) {
                *value = (*value - mean) * self.factor;
            }
        }
    }

    /// Makes a dictionary of mapped rows one of rows as they are; activations are in the units of
    /// these too.
    pub(crate) fn fold_into(&self, parts: &mut SaeParts) {
        scale_biases(parts, 1.0 / self.factor);
        take_up_mean(parts, &self.mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoencoder::SparseAutoencoder;
    use crate::extras::SaeExtras;
    use crate::kernels::reference;
    use crate::source::InMemorySource;
    use crate::sparsity::Gate;

    #[test]
    fn folded_dictionaries_give_on_rows_what_they_gave_on_mapped_rows() {
        let (d, n, n_rows) = (6, 20, 50);
        let mut rows = reference::values(n_rows * d, 1);
        for value in &mut rows {
            *value = 3.0 + 2.0 * *value;
        }
        let config = SaeConfig {
            normalize_activations: InputScaling::ExpectedAverage,
            centre_rows: true,
            batch_rows: 8,
            ..SaeConfig::default()
        };
        let mut source = InMemorySource::in_order(rows.clone(), d).unwrap();
        let map = RowMap::of(&config, &mut source).unwrap().unwrap();
        let mut mapped = rows.clone();
        map.apply(&mut mapped);
        let squares: f32 = mapped.iter().map(|v| v * v).sum();
        assert!((squares / n_rows as f32 - d as f32).abs() < 1e-3);
        let gate = Gate {
            open_bias: reference::values(n, 5),
            r_mag: reference::values(n, 6),
            mag_bias: reference::values(n, 7),
        };
        for (is_centred, sparsity) in [
            (true, Sparsity::TopK { k: 3 }),
            (false, Sparsity::Relu),
            (
                false,
                Sparsity::JumpRelu {
                    thresholds: vec![0.2; n].into(),
                },
            ),
            (false, Sparsity::Gated(Arc::new(gate))),
        ] {
            let is_gated = matches!(sparsity, Sparsity::Gated(_));
            let parts = SaeParts {
                d_model: d,
                n_features: n,
                w_enc: reference::values(n * d, 2),
                b_enc: if is_gated {
                    vec![0.0; n]
                } else {
                    reference::values(n, 3)
                },
                w_dec: reference::values(n * d, 2),
                b_dec: reference::values(d, 4),
                is_centred,
                sparsity,
                extras: SaeExtras::default(),
            };
            let mut folded = parts.clone();
            map.fold_into(&mut folded);
            let name = parts.sparsity.name();
            let before = SparseAutoencoder::new(parts).unwrap();
            let after = SparseAutoencoder::new(folded).unwrap();
            let (codes, expected) = (
                after.encode(&rows).unwrap(),
                before.encode(&mapped).unwrap(),
            );
            assert_eq!(codes.features, expected.features, "{name}");
            let found = after.reconstruct(&rows).unwrap();
            let mut found = found;
            map.apply(&mut found);
            let expected = before.reconstruct(&mapped).unwrap();
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-4, "{name}: {a} {b}");
            }
        }
    }
}
