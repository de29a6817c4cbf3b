//! Loss of a batch and its gradients, sparse throughout.

use rayon::prelude::*;
use schema::SaeConfig;

use crate::batch_selection::{RowSums, select_batch};
use crate::codes::SparseCodes;
use crate::dead_features::{count_rows, dead_codes, dead_features};
use crate::kernels::{
    Entry, PackedEncoder, RowBlock, add_scaled, decode_gradients, feature_gradient,
};
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// Rows decoded by one task.
const ROWS_PER_TASK: usize = 32;
/// Features whose contributions to a sum are added up by one task.
const FEATURES_PER_SUM: usize = 128;

/// What one batch gave, besides the gradients.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BatchLoss {
    /// Mean over rows of ‖x − x̂‖².
    pub(crate) reconstruction: f64,
    /// The `AuxK` loss before its weight: mean ‖e − ê‖² over mean ‖e − ē‖².
    pub(crate) auxk: f64,
    /// Fraction of variance unexplained within the batch.
    pub(crate) fvu: f64,
    /// Mean number of active features per row.
    pub(crate) l0: f64,
    /// Features that are dead after the batch.
    pub(crate) n_dead: u32,
    /// Lowest stored activation, 0 if there is none.
    pub(crate) lowest_activation: f32,
}

/// Large working memory of a step, kept from step to step.
#[derive(Debug)]
pub(crate) struct Scratch {
    packed: PackedEncoder,
    centred: Vec<f32>,
    error: Vec<f32>,
    dead_error: Vec<f32>,
    pub(crate) gradients: Weights,
}

/// The pass back from an error to codes: what the weights' gradients are made of.
struct Backward {
    codes: SparseCodes,
    /// Derivative of the loss with respect to each activation.
    value_gradients: Vec<f32>,
    /// Sums of the error's rows.
    sums: RowSums,
    /// Factor from error to derivative.
    scale: f32,
}

impl Scratch {
    pub(crate) fn new(weights: &Weights) -> Self {
        Self {
            packed: PackedEncoder::new(&weights.w_enc, &weights.b_enc, weights.d_model),
            centred: Vec::new(),
            error: Vec::new(),
            dead_error: Vec::new(),
            gradients: Weights::zeros(weights.n_features(), weights.d_model),
        }
    }

    /// Loss and gradients (in `self.gradients`, raw) of `rows` `[n_rows, d_model]`; counts the
    /// rows in `rows_since_active`.
    ///
    /// # Source
    /// Loss, `AuxK` and the moment at which features are counted as in `dictionary_learning` 0.1.0
    /// (`TopKTrainer.loss`). Differs in one point: a zero that fills a place among the k highest
    /// does not count as an activation.
    pub(crate) fn batch(
        &mut self,
        config: &SaeConfig,
        sparsity: &Sparsity,
        weights: &Weights,
        rows: &[f32],
        rows_since_active: &mut [u64],
    ) -> BatchLoss {
        let d = weights.d_model;
        let n_rows = rows.len() / d;
        self.packed.repack(&weights.w_enc, &weights.b_enc);
        self.centred.resize(rows.len(), 0.0);
        let (codes, row_sums) = select_batch(
            sparsity,
            &self.packed,
            rows,
            &weights.b_dec,
            &mut self.centred,
        );
        count_rows(rows_since_active, &codes, n_rows as u64);
        let dead = dead_features(rows_since_active, config.dead_after_rows);
        let mut loss = BatchLoss {
            l0: codes.n_active() as f64 / n_rows as f64,
            n_dead: dead.len() as u32,
            lowest_activation: codes.values.iter().copied().reduce(f32::min).unwrap_or(0.0),
            ..BatchLoss::default()
        };

        self.error.clone_from(&self.centred);
        let main = backward(codes, weights, 2.0 / n_rows as f32, &mut self.error);
        loss.reconstruction = main.sums.squares / n_rows as f64;
        let variation = row_sums.variation(n_rows);
        loss.fvu = if variation > 0.0 {
            main.sums.squares / variation
        } else {
            0.0
        };

        let error_variation = main.sums.variation(n_rows);
        let auxiliary = (config.auxk_alpha > 0.0 && !dead.is_empty() && error_variation > 0.0)
            .then(|| {
                let k = config
                    .top_k_aux
                    .map_or(d / 2, |k| k as usize)
                    .min(dead.len());
                let codes = dead_codes(weights, &dead, &self.centred, k);
                self.dead_error.clear();
                self.dead_error.extend(self.error.iter().map(|e| -e));
                let scale = 2.0 * f64::from(config.auxk_alpha) / error_variation;
                backward(codes, weights, scale as f32, &mut self.dead_error)
            });
        if let Some(auxiliary) = &auxiliary {
            loss.auxk = auxiliary.sums.squares / error_variation;
        }
        self.collect(weights, &main, auxiliary.as_ref());
        loss
    }

    /// Gradients of the weights from the passes back.
    fn collect(&mut self, weights: &Weights, main: &Backward, auxiliary: Option<&Backward>) {
        let (d, n) = (weights.d_model, weights.n_features());
        let of_main = by_feature(main, n);
        let of_auxiliary = auxiliary.map(|pass| (by_feature(pass, n), pass.scale));
        let (error, dead_error, centred) = (&self.error, &self.dead_error, &self.centred);
        self.gradients
            .w_dec
            .par_chunks_mut(d)
            .zip(self.gradients.w_enc.par_chunks_mut(d))
            .zip(self.gradients.b_enc.par_iter_mut())
            .enumerate()
            .with_min_len(8)
            .for_each(|(feature, ((decoder, encoder), bias))| {
                // A dead feature has no activation in the batch, so one of the two is empty.
                let (entries, error, scale) = match &of_auxiliary {
                    Some((by, scale)) if !by.entries(feature).is_empty() => {
                        (by.entries(feature), dead_error, *scale)
                    }
                    _ => (of_main.entries(feature), error, main.scale),
                };
                *bias = feature_gradient(entries, error, scale, centred, decoder, encoder);
            });

        // x enters the encoder as x − b_dec, so b_dec sees the bias gradients through w_enc.
        let through_encoder: Vec<Vec<f32>> = weights
            .w_enc
            .par_chunks(d * FEATURES_PER_SUM)
            .zip(self.gradients.b_enc.par_chunks(FEATURES_PER_SUM))
            .map(|(rows, biases)| {
                let mut sum = vec![0.0; d];
                for (row, &bias) in rows.chunks_exact(d).zip(biases) {
                    add_scaled(&mut sum, bias, row);
                }
                sum
            })
            .collect();
        let through_encoder =
            RowSums::of_blocks(d, through_encoder.iter().map(|sum| (&sum[..], 0.0)));
        for ((gradient, direct), through) in self
            .gradients
            .b_dec
            .iter_mut()
            .zip(&main.sums.columns)
            .zip(&through_encoder.columns)
        {
            *gradient = (direct * f64::from(main.scale) - through) as f32;
        }
    }
}

/// Decodes, turns `error` from the target into the error, and goes back to the codes.
fn backward(codes: SparseCodes, weights: &Weights, scale: f32, error: &mut [f32]) -> Backward {
    let d = weights.d_model;
    let mut value_gradients = vec![0.0; codes.n_active()];
    let mut tasks = Vec::with_capacity(codes.n_rows() / ROWS_PER_TASK + 1);
    let mut left = value_gradients.as_mut_slice();
    for (at, error) in error.chunks_mut(ROWS_PER_TASK * d).enumerate() {
        let first = at * ROWS_PER_TASK;
        let offsets = &codes.offsets[first..=first + error.len() / d];
        let range = offsets[0]..offsets[offsets.len() - 1];
        let (gradients, rest) = left.split_at_mut(range.len());
        left = rest;
        let block = RowBlock {
            offsets,
            features: &codes.features[range.clone()],
            values: &codes.values[range],
        };
        tasks.push((block, error, gradients));
    }
    let sums: Vec<(Vec<f32>, f64)> = tasks
        .into_par_iter()
        .map(|(block, error, gradients)| {
            let mut columns = vec![0.0; d];
            let squares =
                decode_gradients(block, &weights.w_dec, scale, error, gradients, &mut columns);
            (columns, squares)
        })
        .collect();
    let sums = RowSums::of_blocks(
        d,
        sums.iter()
            .map(|(columns, squares)| (&columns[..], *squares)),
    );
    Backward {
        codes,
        value_gradients,
        sums,
        scale,
    }
}

/// Active places sorted by feature, then row.
struct ByFeature {
    offsets: Vec<u32>,
    entries: Vec<Entry>,
}

impl ByFeature {
    fn entries(&self, feature: usize) -> &[Entry] {
        &self.entries[self.offsets[feature] as usize..self.offsets[feature + 1] as usize]
    }
}

/// Counting sort of the active places by feature.
fn by_feature(pass: &Backward, n_features: usize) -> ByFeature {
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
        for at in codes.offsets[row]..codes.offsets[row + 1] {
            let place = &mut next[codes.features[at] as usize];
            entries[*place as usize] = Entry {
                row: row as u32,
                value: codes.values[at],
                value_gradient: pass.value_gradients[at],
            };
            *place += 1;
        }
    }
    ByFeature { offsets, entries }
}
