//! A trained sparse autoencoder: encode, decode, and its directions. Knows no training.

use std::sync::OnceLock;

use rayon::prelude::*;
use schema::InputScaling;

use crate::codes::SparseCodes;
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::kernels::{BlockBuffer, PackedEncoder, RowBlock, centre, decode_rows, dot, is_finite};
use crate::layer_norm::LayerNorm;
use crate::sparsity::Sparsity;

/// Rows decoded by one task.
const DECODE_ROWS: usize = 64;

/// Weights and rule of a sparse autoencoder, unchecked.
///
/// # Shapes
/// `w_enc` and `w_dec` are `[n_features, d_model]`, a feature being a contiguous row of both;
/// `b_enc` is `[n_features]`, `b_dec` is `[d_model]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SaeParts {
    /// Width of the activation vector at the hook point, > 0.
    pub d_model: usize,
    /// Number of features, > 0.
    pub n_features: usize,
    /// Encoder weights.
    pub w_enc: Vec<f32>,
    /// Encoder bias.
    pub b_enc: Vec<f32>,
    /// Decoder weights: the dictionary.
    pub w_dec: Vec<f32>,
    /// Decoder bias: added after decoding.
    pub b_dec: Vec<f32>,
    /// Whether the decoder bias is also taken off before encoding.
    pub is_centred: bool,
    /// Which features of a row are active.
    pub sparsity: Sparsity,
    /// What few dictionaries have besides.
    pub extras: SaeExtras,
}

impl SaeParts {
    /// Shapes, finite weights, and a rule that fits them.
    pub(crate) fn check(&self) -> Result<(), SaeError> {
        let Self {
            d_model,
            n_features,
            ..
        } = *self;
        if d_model == 0 || n_features == 0 || n_features > u32::MAX as usize {
            return Err(SaeError::shape(
                "the autoencoder [n_features, d_model]",
                "two dimensions above 0",
                format!("[{n_features}, {d_model}]"),
            ));
        }
        for (name, slice, expected) in [
            ("w_enc", &self.w_enc, n_features * d_model),
            ("b_enc", &self.b_enc, n_features),
            ("w_dec", &self.w_dec, n_features * d_model),
            ("b_dec", &self.b_dec, d_model),
        ] {
            if slice.len() != expected {
                return Err(SaeError::shape(name, expected, slice.len()));
            }
            if !is_finite(slice) {
                return Err(SaeError::NotFinite { what: name.into() });
            }
        }
        self.sparsity.check(n_features)?;
        let is_top_k = matches!(self.sparsity, Sparsity::TopK { .. });
        self.extras.check(d_model, is_top_k)
    }
}

/// A sparse autoencoder whose shapes are checked and whose weights do not change.
///
/// `f(x) = select(relu(W_enc (x − b_dec) + b_enc))`, `x̂ = Σ f_i · w_dec[i] + b_dec`; where the
/// parts are not centred, `x` itself is encoded.
///
/// # Determinism
/// A row's codes do not depend on the other rows, on the number of threads or on the processor.
#[derive(Debug)]
pub struct SparseAutoencoder {
    parts: SaeParts,
    /// Encoder weights in the product's order, made at the first use.
    packed: OnceLock<PackedEncoder>,
}

impl Clone for SparseAutoencoder {
    fn clone(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            packed: OnceLock::new(),
        }
    }
}

impl PartialEq for SparseAutoencoder {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl SparseAutoencoder {
    /// Checks the parts and makes an autoencoder of them.
    ///
    /// # Errors
    /// [`SaeError::Shape`] if a slice has the wrong length or a dimension is 0,
    /// [`SaeError::NotFinite`] if a weight is NaN or infinite, [`SaeError::Config`] if `k` is not
    /// in `1..=n_features` or the sparsity rule does not fit the number of features.
    pub fn new(parts: SaeParts) -> Result<Self, SaeError> {
        parts.check()?;
        Ok(Self {
            parts,
            packed: OnceLock::new(),
        })
    }

    /// Gives the parts back.
    pub fn into_parts(self) -> SaeParts {
        self.parts
    }

    /// The weights and the rule.
    pub fn parts(&self) -> &SaeParts {
        &self.parts
    }

    /// Width of the activation vector at the hook point.
    pub fn d_model(&self) -> usize {
        self.parts.d_model
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.parts.n_features
    }

    /// Which features of a row are active.
    pub fn sparsity(&self) -> &Sparsity {
        &self.parts.sparsity
    }

    /// Decoder bias, `[d_model]`.
    pub fn b_dec(&self) -> &[f32] {
        &self.parts.b_dec
    }

    /// The decoder direction of one feature, `[d_model]`.
    ///
    /// # Panics
    /// If `feature >= n_features`.
    pub fn decoder_row(&self, feature: u32) -> &[f32] {
        let (at, d) = (feature as usize, self.parts.d_model);
        &self.parts.w_dec[at * d..(at + 1) * d]
    }

    /// Feature activations of many rows.
    ///
    /// # Shapes
    /// - `rows`: `[n_rows, d_model]`, f32, in the units of the hook activation (not normalised;
    ///   where the dictionary scales its rows, this does so)
    /// - returns: codes of `n_rows` rows; zeros are not stored
    ///
    /// # Errors
    /// [`SaeError::Shape`] if `rows` is not whole rows, [`SaeError::NotFinite`] naming the row
    /// that holds NaN or infinity.
    pub fn encode(&self, rows: &[f32]) -> Result<SparseCodes, SaeError> {
        self.check_rows(rows)?;
        Ok(match self.layer_norm(rows) {
            None => self.encode_by(&self.parts.sparsity, rows),
            Some(norm) => self.encode_by(&self.parts.sparsity, &norm.rows),
        })
    }

    fn layer_norm(&self, rows: &[f32]) -> Option<LayerNorm> {
        (self.parts.extras.scaling == InputScaling::LayerNorm)
            .then(|| LayerNorm::of(rows, self.parts.d_model))
    }

    fn encode_by(&self, rule: &Sparsity, rows: &[f32]) -> SparseCodes {
        let (d, n) = (self.parts.d_model, self.parts.n_features);
        let packed = self.packed();
        let block = packed.block_rows();
        let blocks: Vec<SparseCodes> = rows
            .par_chunks(block * d)
            .map_init(
                || (BlockBuffer::default(), Vec::new(), vec![0.0; d]),
                |(buffer, centred, column_sums), rows| {
                    let input = if self.parts.is_centred {
                        centred.resize(rows.len(), 0.0);
                        for (x, out) in rows.chunks_exact(d).zip(centred.chunks_exact_mut(d)) {
                            centre(x, &self.parts.b_dec, out, column_sums);
                        }
                        centred
                    } else {
                        rows
                    };
                    let mut codes = SparseCodes::default();
                    let (pre_activations, candidates) = packed.product(input, buffer);
                    for row in pre_activations {
                        rule.select(n, row, candidates);
                        codes.push_row(candidates);
                    }
                    codes
                },
            )
            .collect();
        SparseCodes::concatenate(&blocks)
    }

    /// Reconstruction `[n_rows, d_model]` of codes, as far as it is a function of the codes
    /// ([`SaeExtras::decodes_from_codes`]): scaled rows are not scaled back, and a skip path is
    /// left out.
    ///
    /// # Errors
    /// [`SaeError::Shape`] if a code names a feature that does not exist.
    pub fn decode(&self, codes: &SparseCodes) -> Result<Vec<f32>, SaeError> {
        let d = self.parts.d_model;
        if let Some(&feature) = codes.features.iter().max()
            && feature as usize >= self.parts.n_features
        {
            return Err(SaeError::shape(
                "the codes' highest feature index",
                format!("below {}", self.parts.n_features),
                feature,
            ));
        }
        let mut out = vec![0.0; codes.n_rows() * d];
        out.par_chunks_mut(DECODE_ROWS * d)
            .enumerate()
            .for_each(|(at, out)| {
                let first = at * DECODE_ROWS;
                let offsets = &codes.offsets[first..=first + out.len() / d];
                let range = offsets[0]..offsets[offsets.len() - 1];
                let block = RowBlock {
                    offsets,
                    features: &codes.features[range.clone()],
                    values: &codes.values[range],
                };
                decode_rows(block, &self.parts.w_dec, &self.parts.b_dec, out);
            });
        Ok(out)
    }

    /// Encodes and decodes: what the dictionary's own format returns for `rows`.
    ///
    /// # Errors
    /// Those of [`Self::encode`].
    pub fn reconstruct(&self, rows: &[f32]) -> Result<Vec<f32>, SaeError> {
        let codes = self.encode(rows)?;
        self.reconstruct_from(rows, &codes)
    }

    /// The same for rows whose codes are known.
    ///
    /// # Errors
    /// Those of [`Self::encode`] and [`Self::decode`].
    pub fn reconstruct_from(
        &self,
        rows: &[f32],
        codes: &SparseCodes,
    ) -> Result<Vec<f32>, SaeError> {
        let d = self.parts.d_model;
        let extras = &self.parts.extras;
        if extras.decodes_from_codes() {
            return self.decode(codes);
        }
        let norm = self.layer_norm(rows);
        let input = norm.as_ref().map_or(rows, |norm| &norm.rows);
        let mut out = if extras.multi_topk {
            let k = self.parts.sparsity.k().unwrap_or(1);
            let wider = Sparsity::TopK {
                k: k.saturating_mul(4),
            };
            self.decode(&self.encode_by(&wider, input))?
        } else {
            self.decode(codes)?
        };
        if let Some(skip) = &extras.skip {
            for (out, row) in out.chunks_exact_mut(d).zip(rows.chunks_exact(d)) {
                for (value, weights) in out.iter_mut().zip(skip.chunks_exact(d)) {
                    *value += dot(weights, row);
                }
            }
        }
        if let Some(norm) = norm {
            norm.bring_back(&mut out, d);
        }
        Ok(out)
    }

    /// The activation of one feature on one row `[d_model]`, 0 where it is not active.
    ///
    /// # Errors
    /// Those of [`Self::encode`].
    pub fn feature_activation(&self, row: &[f32], feature: u32) -> Result<f32, SaeError> {
        if row.len() != self.parts.d_model {
            return Err(SaeError::shape("the row", self.parts.d_model, row.len()));
        }
        Ok(self.encode(row)?.activation(0, feature))
    }

    fn packed(&self) -> &PackedEncoder {
        self.packed.get_or_init(|| {
            PackedEncoder::new(&self.parts.w_enc, &self.parts.b_enc, self.parts.d_model)
        })
    }

    fn check_rows(&self, rows: &[f32]) -> Result<(), SaeError> {
        let d = self.parts.d_model;
        if !rows.len().is_multiple_of(d) {
            return Err(SaeError::shape(
                "the rows",
                format!("a multiple of {d} (d_model)"),
                rows.len(),
            ));
        }
        match rows.chunks_exact(d).position(|row| !is_finite(row)) {
            None => Ok(()),
            Some(row) => Err(SaeError::NotFinite {
                what: format!("row {row} of the activations"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::add_scaled;

    fn small() -> SparseAutoencoder {
        SparseAutoencoder::new(SaeParts {
            d_model: 2,
            n_features: 3,
            w_enc: vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
            b_enc: vec![0.0, 0.5, 0.0],
            w_dec: vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0],
            b_dec: vec![1.0, 1.0],
            is_centred: true,
            sparsity: Sparsity::TopK { k: 2 },
            extras: SaeExtras::default(),
        })
        .unwrap()
    }

    #[test]
    fn codes_and_reconstruction_by_hand() {
        let sae = small();
        // x − b_dec = [2, 0]: pre-activations 2, 0.5, 2; the tie goes to feature 0, then 2.
        let codes = sae.encode(&[3.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(codes.row(0), (&[0_u32, 2][..], &[2.0_f32, 2.0][..]));
        // x − b_dec = [−1, −1]: nothing is above 0.
        assert_eq!(codes.row(1), (&[][..], &[][..]));
        let mut expected = vec![1.0, 1.0, 1.0, 1.0];
        add_scaled(&mut expected[..2], 2.0, &[0.0, 0.0]);
        assert_eq!(sae.decode(&codes).unwrap(), expected);
        assert_eq!(sae.feature_activation(&[3.0, 1.0], 2).unwrap(), 2.0);
        assert_eq!(sae.feature_activation(&[3.0, 1.0], 1).unwrap(), 0.0);
    }

    #[test]
    fn threshold_takes_all_above_it() {
        let mut parts = small().into_parts();
        parts.sparsity = Sparsity::BatchTopK {
            k: 1,
            threshold: 0.25,
        };
        let sae = SparseAutoencoder::new(parts.clone()).unwrap();
        assert_eq!(sae.encode(&[3.0, 1.0]).unwrap().row(0).0, [0, 1, 2]);
        parts.sparsity = Sparsity::BatchTopK {
            k: 1,
            threshold: -1.0,
        };
        let sae = SparseAutoencoder::new(parts).unwrap();
        assert_eq!(sae.encode(&[3.0, 1.0]).unwrap().row(0).0, [0]);
    }

    #[test]
    fn a_dictionary_that_is_not_centred_reads_the_input_as_it_is() {
        let mut parts = small().into_parts();
        parts.is_centred = false;
        parts.sparsity = Sparsity::Relu;
        let sae = SparseAutoencoder::new(parts).unwrap();
        let codes = sae.encode(&[3.0, 1.0]).unwrap();
        assert_eq!(codes.row(0), (&[0_u32, 1, 2][..], &[3.0_f32, 1.5, 3.0][..]));
        assert_eq!(sae.decode(&codes).unwrap(), [1.0, 2.5]);
    }

    #[test]
    fn bad_input_is_refused_with_its_place() {
        let sae = small();
        assert!(sae.encode(&[]).unwrap().n_rows() == 0);
        assert!(matches!(sae.encode(&[1.0]), Err(SaeError::Shape { .. })));
        let error = sae.encode(&[0.0, 0.0, f32::NAN, 0.0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 1 of the activations holds a value that is not a finite number"
        );
        let mut parts = small().into_parts();
        parts.b_enc.pop();
        assert!(SparseAutoencoder::new(parts).is_err());
        let mut parts = small().into_parts();
        parts.w_dec[0] = f32::NAN;
        assert!(SparseAutoencoder::new(parts).is_err());
        let mut parts = small().into_parts();
        parts.sparsity = Sparsity::TopK { k: 4 };
        assert!(SparseAutoencoder::new(parts).is_err());
        let mut codes = SparseCodes::default();
        codes.push_row(&[(1.0, 3)]);
        assert!(sae.decode(&codes).is_err());
    }
}
