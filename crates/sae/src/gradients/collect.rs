//! Gradients of the weights, gathered feature by feature from the passes back.

use rayon::prelude::*;

use super::backward::Backward;
use crate::batch_selection::BatchSums;
use crate::kernels::{Entry, Rows, add_scaled, feature_gradient};
use crate::variants::Terms;
use crate::weights::Weights;

/// Values of gradients that one task fills at least.
const VALUES_PER_TASK: usize = 16384;
/// Features whose contributions to a sum are added up by one task.
const FEATURES_PER_SUM: usize = 128;

/// The rows that a feature's decoder gradient is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Errors<'a> {
    /// The same for all features, `[n_rows, d_model]`.
    Plain(&'a [f32]),
    /// Those of the nested prefixes that a feature is in, `[n_rows, n_levels, d_model]`.
    ByLevel { levels: &'a [f32], ends: &'a [u32] },
}

impl<'a> Errors<'a> {
    fn of(self, feature: usize, d: usize) -> Rows<'a> {
        match self {
            Self::Plain(values) => Rows { values, step: d },
            Self::ByLevel { levels, ends } => {
                let level = ends.partition_point(|&end| end as usize <= feature);
                Rows {
                    values: &levels[level * d..],
                    step: ends.len() * d,
                }
            }
        }
    }
}

/// What one pass back adds to the gradients.
pub(super) struct Contribution<'a> {
    pub(super) pass: &'a Backward,
    pub(super) errors: Errors<'a>,
    /// Weight of each row in the loss; none where all count alike.
    pub(super) row_weights: Option<&'a [f32]>,
    /// Whether activations are functions of the encoder's weights here.
    pub(super) reaches_encoder: bool,
    /// Whether the decoder bias took part.
    pub(super) reaches_bias: bool,
}

/// What all contributions have in common.
pub(super) struct Common<'a> {
    pub(super) weights: &'a Weights,
    /// What the encoder saw, `[n_rows, d_model]`.
    pub(super) input: &'a [f32],
    /// Whether that was less `b_dec`.
    pub(super) is_centred: bool,
    pub(super) terms: &'a Terms,
}

/// Fills `gradients` from the passes back.
pub(super) fn collect(common: &Common<'_>, from: &[Contribution<'_>], gradients: &mut Weights) {
    let weights = common.weights;
    let (d, n) = (weights.d_model, weights.n_features());
    let sorted: Vec<(ByFeature, &Contribution<'_>)> = from
        .iter()
        .map(|contribution| (by_feature(contribution, n), contribution))
        .collect();
    gradients
        .w_dec
        .par_chunks_mut(d)
        .zip(gradients.w_enc.par_chunks_mut(d))
        .zip(gradients.b_enc.par_iter_mut())
        .enumerate()
        .with_min_len((VALUES_PER_TASK / d).max(8))
        .for_each(|(feature, ((decoder, encoder), bias))| {
            *bias = of_feature(feature, &sorted, common.input, decoder, encoder);
            if let Some(&along) = common.terms.along_decoder.get(feature) {
                let row = &weights.w_dec[feature * d..(feature + 1) * d];
                add_scaled(decoder, along, row);
            }
        });
    if !common.terms.extra.is_empty() {
        gradients.extra.clone_from(&common.terms.extra);
    }
    let through = common
        .is_centred
        .then(|| through_encoder(weights, &gradients.b_enc));
    for (at, gradient) in gradients.b_dec.iter_mut().enumerate() {
        let direct: f64 = from
            .iter()
            .filter(|contribution| contribution.reaches_bias)
            .map(|c| c.pass.weighted.columns[at] * f64::from(c.pass.scale))
            .sum();
        let through = through.as_ref().map_or(0.0, |sums| sums.columns[at]);
        *gradient = (direct - through) as f32;
    }
}

/// Writes one feature's gradients; returns that of its bias.
fn of_feature(
    feature: usize,
    sorted: &[(ByFeature, &Contribution<'_>)],
    input: &[f32],
    decoder: &mut [f32],
    encoder: &mut [f32],
) -> f32 {
    let d = decoder.len();
    let mut sum = None;
    for (by, contribution) in sorted {
        let entries = by.entries(feature);
        if entries.is_empty() {
            continue;
        }
        let errors = contribution.errors.of(feature, d);
        let scale = contribution.pass.scale;
        if sum.is_none() && contribution.reaches_encoder {
            sum = Some(feature_gradient(
                entries, errors, scale, input, decoder, encoder,
            ));
            continue;
        }
        // A further pass: rare, of few features.
        let (mut more_decoder, mut more_encoder) = (vec![0.0; d], vec![0.0; d]);
        let bias = feature_gradient(
            entries,
            errors,
            scale,
            input,
            &mut more_decoder,
            &mut more_encoder,
        );
        if sum.is_none() {
            decoder.fill(0.0);
            encoder.fill(0.0);
        }
        add_scaled(decoder, 1.0, &more_decoder);
        if contribution.reaches_encoder {
            add_scaled(encoder, 1.0, &more_encoder);
        }
        let reached = if contribution.reaches_encoder {
            bias
        } else {
            0.0
        };
        sum = Some(sum.unwrap_or(0.0) + reached);
    }
    sum.unwrap_or_else(|| {
        decoder.fill(0.0);
        encoder.fill(0.0);
        0.0
    })
}

/// x enters the encoder as x − `b_dec`, so `b_dec` sees the bias gradients through `w_enc`.
fn through_encoder(weights: &Weights, of_biases: &[f32]) -> BatchSums {
    let d = weights.d_model;
    let parts: Vec<Vec<f32>> = weights
        .w_enc
        .par_chunks(d * FEATURES_PER_SUM)
        .zip(of_biases.par_chunks(FEATURES_PER_SUM))
        .map(|(rows, biases)| {
            let mut sum = vec![0.0; d];
            for (row, &bias) in rows.chunks_exact(d).zip(biases) {
                add_scaled(&mut sum, bias, row);
            }
            sum
        })
        .collect();
    BatchSums::of_blocks(d, parts.iter().map(|sum| (&sum[..], 0.0)))
}

/// Places sorted by feature, then row.
struct ByFeature {
    offsets: Vec<u32>,
    entries: Vec<Entry>,
}

impl ByFeature {
    fn entries(&self, feature: usize) -> &[Entry] {
        &self.entries[self.offsets[feature] as usize..self.offsets[feature + 1] as usize]
    }
}

/// Counting sort of the places by feature.
fn by_feature(contribution: &Contribution<'_>, n_features: usize) -> ByFeature {
    let pass = contribution.pass;
    let codes = &pass.codes;
    let mut offsets = vec![0_u32; n_features + 1];
    for &feature in &codes.features {
        offsets[feature as usize + 1] += 1;
    }
    for feature in 0..n_features {
        offsets[feature + 1] += offsets[feature];
    }
    let mut next = offsets.clone();
    let mut entries = vec![Entry::default(); codes.n_active()];
    for row in 0..codes.n_rows() {
        let weight = contribution.row_weights.map_or(1.0, |weights| weights[row]);
        for at in codes.offsets[row]..codes.offsets[row + 1] {
            let place = &mut next[codes.features[at] as usize];
            entries[*place as usize] = Entry {
                row: row as u32,
                value: codes.values[at] * weight,
                value_gradient: pass.value_gradients[at],
            };
            *place += 1;
        }
    }
    ByFeature { offsets, entries }
}
