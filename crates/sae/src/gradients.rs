//! Loss of a batch and its gradients, sparse throughout.

use rayon::prelude::*;
use schema::SaeConfig;

use crate::batch_selection::{RowSums, select_batch};
use crate::codes::SparseCodes;
use crate::dead_features::{count_rows, dead_codes, dead_features};
use crate::kernels::{
    Entry, LevelPass, Levels, PackedEncoder, RowBlock, Rows, add_scaled, decode_gradients,
    decode_levels, feature_gradient,
};
use crate::variants::{Batch, Terms, Variant};
use crate::weights::Weights;

/// Rows decoded by one task.
const ROWS_PER_TASK: usize = 32;
/// Features whose contributions to a sum are added up by one task.
const FEATURES_PER_SUM: usize = 128;

/// What one batch gave, besides the gradients.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BatchLoss {
    /// Mean over rows of ‖x − x̂‖², or its weighted sum over nested prefixes.
    pub(crate) reconstruction: f64,
    /// The variant's own terms.
    pub(crate) penalty: f64,
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
    levels: Vec<f32>,
    dead_error: Vec<f32>,
    pub(crate) gradients: Weights,
}

/// The pass back from an error to codes: what the weights' gradients are made of.
pub(crate) struct Backward {
    codes: SparseCodes,
    /// Derivative of the loss with respect to each activation.
    pub(crate) value_gradients: Vec<f32>,
    /// Sums of the error's rows.
    pub(crate) sums: RowSums,
    /// Sums of the rows that the decoder bias sees, by column, and the loss summed over rows.
    weighted: RowSums,
    /// Factor from error to derivative.
    scale: f32,
}

/// What the variant adds to the gradients that all share.
struct Collected<'a> {
    main: &'a Backward,
    auxiliary: Option<&'a Backward>,
    terms: Terms,
    /// Ends of the nested prefixes; none without nesting.
    ends: &'a [u32],
    /// What the encoder saw.
    input: &'a [f32],
    is_centred: bool,
}

impl Scratch {
    pub(crate) fn new(weights: &Weights) -> Self {
        Self {
            packed: PackedEncoder::new(&weights.w_enc, &weights.b_enc, weights.d_model),
            centred: Vec::new(),
            error: Vec::new(),
            levels: Vec::new(),
            dead_error: Vec::new(),
            gradients: Weights::zeros_like(weights),
        }
    }

    /// Loss and gradients (in `self.gradients`, raw) of `rows` `[n_rows, d_model]` after `step`
    /// steps; counts the rows in `rows_since_active`.
    ///
    /// # Source
    /// Loss, `AuxK` and the moment at which features are counted as in `dictionary_learning` 0.1.0
    /// (`TopKTrainer.loss`). Differs in one point: a zero that fills a place among the k highest
    /// does not count as an activation.
    pub(crate) fn batch(
        &mut self,
        (config, variant): (&SaeConfig, &dyn Variant),
        step: u32,
        weights: &Weights,
        rows: &[f32],
        rows_since_active: &mut [u64],
    ) -> BatchLoss {
        let d = weights.d_model;
        let n_rows = rows.len() / d;
        self.packed.repack(&weights.w_enc, &weights.b_enc);
        self.centred.resize(rows.len(), 0.0);
        let (places, row_sums) =
            select_batch((variant, weights), &self.packed, rows, &mut self.centred);
        let activations = variant.activations(weights, &places);
        // Where activations are the pre-activations, one set of codes is both.
        let (codes, places) = match activations {
            None => (places, None),
            Some(values) => {
                let codes = SparseCodes {
                    offsets: places.offsets.clone(),
                    features: places.features.clone(),
                    values,
                };
                (codes, Some(places))
            }
        };
        count_rows(rows_since_active, &codes, n_rows as u64);
        let dead = dead_features(rows_since_active, config.dead_after_rows);
        let active = || codes.values.iter().copied().filter(|&value| value > 0.0);
        let mut loss = BatchLoss {
            l0: active().count() as f64 / n_rows as f64,
            n_dead: dead.len() as u32,
            lowest_activation: active().reduce(f32::min).unwrap_or(0.0),
            ..BatchLoss::default()
        };

        let (ends, mut main) = self.decode(variant, codes, weights);
        loss.reconstruction = main.weighted.squares / n_rows as f64;
        let variation = row_sums.variation(n_rows);
        loss.fvu = if variation > 0.0 {
            main.sums.squares / variation
        } else {
            0.0
        };
        let batch = Batch {
            config,
            step,
            weights,
            places: places.as_ref().unwrap_or(&main.codes),
            codes: &main.codes,
            target: &self.centred,
        };
        let terms = variant.terms(&batch, &mut main.value_gradients);
        loss.penalty = terms.loss;

        let error_variation = main.sums.variation(n_rows);
        let wants_auxk = variant.selection().is_top_k() && config.auxk_alpha > 0.0;
        let auxiliary = (wants_auxk && !dead.is_empty() && error_variation > 0.0)
            .then(|| self.back_from_dead(config, weights, &dead, error_variation));
        if let Some(auxiliary) = &auxiliary {
            loss.auxk = auxiliary.sums.squares / error_variation;
        }
        let centred = std::mem::take(&mut self.centred);
        let is_centred = variant.is_centred();
        self.collect(
            weights,
            Collected {
                main: &main,
                auxiliary: auxiliary.as_ref(),
                terms,
                ends: &ends,
                input: if is_centred { &centred } else { rows },
                is_centred,
            },
        );
        self.centred = centred;
        if !variant.has_encoder_bias() {
            self.gradients.b_enc.fill(0.0);
        }
        loss
    }

    /// Decodes the codes of the rows in `self.centred` and goes back to them; returns the ends of
    /// the nested prefixes too.
    fn decode(
        &mut self,
        variant: &dyn Variant,
        codes: SparseCodes,
        weights: &Weights,
    ) -> (Vec<u32>, Backward) {
        let scale = 2.0 / codes.n_rows() as f32;
        self.error.clone_from(&self.centred);
        let (ends, level_weights): (Vec<u32>, Vec<f32>) = variant
            .levels()
            .into_iter()
            .scan(0, |end, (size, weight)| {
                *end += size;
                Some((*end, weight))
            })
            .unzip();
        let error = &mut self.error;
        let main = if ends.is_empty() {
            Backward::new(codes, weights, scale, error)
        } else {
            let of = Levels {
                ends: &ends,
                weights: &level_weights,
            };
            Backward::by_levels(codes, weights, (of, scale), error, &mut self.levels)
        };
        (ends, main)
    }

    /// The `AuxK` pass: dead features reconstruct what the others left.
    fn back_from_dead(
        &mut self,
        config: &SaeConfig,
        weights: &Weights,
        dead: &[u32],
        error_variation: f64,
    ) -> Backward {
        let k = config
            .top_k_aux
            .map_or(weights.d_model / 2, |k| k as usize)
            .min(dead.len());
        let codes = dead_codes(weights, dead, &self.centred, k);
        self.dead_error.clear();
        self.dead_error.extend(self.error.iter().map(|e| -e));
        let scale = 2.0 * f64::from(config.auxk_alpha) / error_variation;
        Backward::new(codes, weights, scale as f32, &mut self.dead_error)
    }

    /// Gradients of the weights from the passes back.
    fn collect(&mut self, weights: &Weights, from: Collected<'_>) {
        let (d, n) = (weights.d_model, weights.n_features());
        let Collected {
            main,
            auxiliary,
            terms,
            ends,
            input,
            is_centred,
        } = from;
        let of_main = by_feature(main, n);
        let of_auxiliary = auxiliary.map(|pass| (by_feature(pass, n), pass.scale));
        let (error, dead_error, levels) = (&self.error, &self.dead_error, &self.levels);
        let error_of = |feature: usize| {
            if ends.is_empty() {
                return Rows {
                    values: error,
                    step: d,
                };
            }
            let level = ends.partition_point(|&end| end as usize <= feature);
            Rows {
                values: &levels[level * d..],
                step: ends.len() * d,
            }
        };
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
                        let rows = Rows {
                            values: dead_error,
                            step: d,
                        };
                        (by.entries(feature), rows, *scale)
                    }
                    _ => (of_main.entries(feature), error_of(feature), main.scale),
                };
                *bias = feature_gradient(entries, error, scale, input, decoder, encoder);
                if let Some(&along) = terms.along_decoder.get(feature) {
                    let row = &weights.w_dec[feature * d..(feature + 1) * d];
                    add_scaled(decoder, along, row);
                }
            });
        if !terms.extra.is_empty() {
            self.gradients.extra = terms.extra;
        }
        let through = is_centred.then(|| self.through_encoder(weights));
        for (at, gradient) in self.gradients.b_dec.iter_mut().enumerate() {
            let direct = main.weighted.columns[at] * f64::from(main.scale);
            let through = through.as_ref().map_or(0.0, |sums| sums.columns[at]);
            *gradient = (direct - through) as f32;
        }
    }

    /// x enters the encoder as x − `b_dec`, so `b_dec` sees the bias gradients through `w_enc`.
    fn through_encoder(&self, weights: &Weights) -> RowSums {
        let d = weights.d_model;
        let parts: Vec<Vec<f32>> = weights
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
        RowSums::of_blocks(d, parts.iter().map(|sum| (&sum[..], 0.0)))
    }
}

/// One task of a pass back: some rows, their errors and the gradients of their activations.
type Part<'a> = (RowBlock<'a>, &'a mut [f32], &'a mut [f32]);

/// Cuts codes and what belongs to them into tasks.
fn parts<'a>(
    codes: &'a SparseCodes,
    d: usize,
    error: &'a mut [f32],
    value_gradients: &'a mut [f32],
) -> Vec<Part<'a>> {
    let mut tasks = Vec::with_capacity(codes.n_rows() / ROWS_PER_TASK + 1);
    let mut left = value_gradients;
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
    tasks
}

impl Backward {
    /// Decodes, turns `error` from the target into the error, and goes back to the codes.
    pub(crate) fn new(
        codes: SparseCodes,
        weights: &Weights,
        scale: f32,
        error: &mut [f32],
    ) -> Self {
        let d = weights.d_model;
        let mut value_gradients = vec![0.0; codes.n_active()];
        let sums: Vec<(Vec<f32>, f64)> = parts(&codes, d, error, &mut value_gradients)
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
        Self {
            codes,
            value_gradients,
            weighted: sums.clone(),
            sums,
            scale,
        }
    }

    /// The same for nested prefixes; `levels` leaves with their weighted errors,
    /// `[n_rows, n_levels, d_model]`.
    fn by_levels(
        codes: SparseCodes,
        weights: &Weights,
        (of, scale): (Levels<'_>, f32),
        error: &mut [f32],
        levels: &mut Vec<f32>,
    ) -> Self {
        let d = weights.d_model;
        let n_levels = of.ends.len();
        levels.resize(error.len() * n_levels, 0.0);
        let mut value_gradients = vec![0.0; codes.n_active()];
        let sums: Vec<([Vec<f32>; 2], [f64; 2])> = parts(&codes, d, error, &mut value_gradients)
            .into_par_iter()
            .zip(levels.par_chunks_mut(ROWS_PER_TASK * n_levels * d))
            .map(|((block, error, value_gradients), levels)| {
                let (mut column_sums, mut level_sums) = (vec![0.0; d], vec![0.0; d]);
                let pass = LevelPass {
                    error,
                    levels,
                    value_gradients,
                    column_sums: &mut column_sums,
                    level_sums: &mut level_sums,
                };
                let squares = decode_levels(block, &weights.w_dec, of, scale, pass);
                ([column_sums, level_sums], squares)
            })
            .collect();
        let [sums, weighted] = [0, 1].map(|i| {
            let of_part = sums
                .iter()
                .map(|(sums, squares)| (&sums[i][..], squares[i]));
            RowSums::of_blocks(d, of_part)
        });
        Self {
            codes,
            value_gradients,
            sums,
            weighted,
            scale,
        }
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
