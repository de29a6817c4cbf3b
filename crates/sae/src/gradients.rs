//! Loss of a batch and its gradients, sparse throughout.

mod auxiliary;
mod backward;
mod collect;
mod skip;

use schema::SaeConfig;

pub(crate) use self::backward::Backward;

use self::auxiliary::{Auxiliary, Left};
use self::collect::{Common, Contribution, Errors, collect};
use crate::batch_selection::{BatchSums, highest_of_rows, select_batch};
use crate::codes::SparseCodes;
use crate::dead_features::{count_rows, dead_features};
use crate::error::SaeError;
use crate::kernels::{Levels, PackedEncoder, add_scaled, dot};
use crate::layer_norm::LayerNorm;
use crate::recipe::{AuxLoss, Conventions, DeadRule};
use crate::variants::{Batch, Given, Selection, Terms, Variant, variant};
use crate::weights::Weights;

/// Weight of the reconstruction by the 4 k highest.
const MULTI_TOPK_WEIGHT: f64 = 0.125;

/// What does not change from step to step.
pub(crate) struct Plan<'a> {
    pub(crate) config: &'a SaeConfig,
    pub(crate) variant: Box<dyn Variant>,
    pub(crate) conventions: Conventions,
    /// Steps of an epoch, ≥ 1, for recipes that have such.
    pub(crate) epoch_steps: u64,
}

impl<'a> Plan<'a> {
    /// What a configuration asks for.
    ///
    /// # Errors
    /// Those of [`variant`].
    pub(crate) fn of(config: &'a SaeConfig) -> Result<Self, SaeError> {
        Ok(Self {
            config,
            variant: variant(config)?,
            conventions: Conventions::of(config),
            epoch_steps: u64::MAX,
        })
    }

    /// How places are chosen in a step: `k` may fall from a higher start.
    pub(crate) fn selection(&self, step: u32, d_model: usize) -> Selection {
        let (config, steps) = (self.config, self.config.k_anneal_steps);
        let annealed = |k: u32| {
            if step >= steps {
                return k;
            }
            let start = config
                .k_start
                .unwrap_or_else(|| u32::try_from(10 * d_model).unwrap_or(u32::MAX))
                .min(config.n_features)
                .max(k);
            let done = f64::from(step) / f64::from(steps);
            (f64::from(start) * (1.0 - done) + f64::from(k) * done).round_ties_even() as u32
        };
        match self.variant.selection() {
            Selection::OfRow(k) => Selection::OfRow(annealed(k)),
            Selection::OfBatch(k) => Selection::OfBatch(annealed(k)),
            Selection::Each => Selection::Each,
        }
    }

    /// Whether `b_dec` is taken off before encoding.
    pub(crate) fn is_centred(&self) -> bool {
        // A transcoder's `b_dec` is in the units of what it predicts.
        let usual = self.variant.is_centred() && !self.config.transcode;
        self.config.apply_b_dec_to_input.unwrap_or(usual)
    }
}

/// The rows of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepRows<'a> {
    /// What is encoded, `[n_rows, d_model]`.
    pub(crate) rows: &'a [f32],
    /// What is decoded from it, of the same shape: the rows themselves, but for transcoders.
    pub(crate) targets: &'a [f32],
}

impl<'a> StepRows<'a> {
    /// Rows that are to be reconstructed.
    pub(crate) fn alike(rows: &'a [f32]) -> Self {
        let targets = rows;
        Self { rows, targets }
    }
}

/// Which features are how old.
pub(crate) struct Ages<'a> {
    /// Rows since each feature was last active.
    pub(crate) rows_since_active: &'a mut [u64],
    /// Features that the epoch before declared dead, ascending; only where a recipe does so.
    pub(crate) of_epoch: &'a [u32],
}

/// What one batch gave, besides the gradients.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BatchLoss {
    /// The reconstruction's loss, over nested prefixes their weighted sum.
    pub(crate) reconstruction: f64,
    /// The variant's own terms.
    pub(crate) penalty: f64,
    /// The auxiliary loss before its weight.
    pub(crate) auxk: f64,
    /// Fraction of variance unexplained within the batch.
    pub(crate) fvu: f64,
    /// Mean number of active features per row.
    pub(crate) l0: f64,
    /// Dead features: after the batch, or where the recipe looks before it, then.
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
    pub(crate) gradients: Weights,
}

/// The codes of a batch, and what else of it was measured on the way.
struct Selected {
    /// Activations.
    codes: SparseCodes,
    /// Pre-activations, where they differ.
    places: Option<SparseCodes>,
    /// The 4 k highest of each row, where the recipe decodes them too.
    multi: Option<SparseCodes>,
    /// Lengths of the decoder rows, where features are chosen by them.
    lengths: Option<Vec<f32>>,
    lowest_activation: f32,
    sums: BatchSums,
}

/// All passes back of a batch.
struct Passes {
    main: Backward,
    /// Ends of the nested prefixes; none without nesting.
    ends: Vec<u32>,
    auxiliary: Vec<Auxiliary>,
    multi: Option<(Backward, Vec<f32>)>,
    terms: Terms,
}

impl Scratch {
    pub(crate) fn new(weights: &Weights) -> Self {
        Self {
            packed: PackedEncoder::new(&weights.w_enc, &weights.b_enc, weights.d_model),
            centred: Vec::new(),
            error: Vec::new(),
            levels: Vec::new(),
            gradients: Weights::zeros_like(weights),
        }
    }

    /// ŷ − y of the last batch, y being the rows but for transcoders, `[n_rows, d_model]`.
    pub(crate) fn error(&self) -> &[f32] {
        &self.error
    }

    /// Loss and gradients (in `self.gradients`, raw) of a batch after `step` steps; counts its rows
    /// in `ages`.
    ///
    /// # Source
    /// `dictionary_learning` 0.1.0 (`TopKTrainer.loss`), `SAELens` 6.54
    /// (`training_forward_pass`), `sparsify` 1.3.3 (`SparseCoder.forward`), as the recipe says.
    /// Differs: a zero that fills a place among the k highest does not count as an activation.
    pub(crate) fn batch(
        &mut self,
        plan: &Plan<'_>,
        step: u32,
        weights: &Weights,
        of_step: StepRows<'_>,
        ages: &mut Ages<'_>,
    ) -> BatchLoss {
        let rows = of_step.rows;
        let n_rows = rows.len() / weights.d_model;
        let norm = plan
            .conventions
            .layer_norm
            .then(|| LayerNorm::of(rows, weights.d_model));
        let of_step = norm
            .as_ref()
            .map_or(of_step, |norm| StepRows::alike(&norm.rows));
        let before = dead_before(plan, ages);
        let selected = self.select(plan, (step, weights), of_step, &before);
        let fired = selected.multi.as_ref().unwrap_or(&selected.codes);
        // sparsify counts places, also those whose activation is 0.
        let counts_zeros = plan.conventions.aux == AuxLoss::OverVariationDecoderOnly;
        count_rows(ages.rows_since_active, fired, n_rows as u64, counts_zeros);
        let dead = match plan.conventions.dead {
            DeadRule::WithBatch => {
                dead_features(ages.rows_since_active, plan.config.dead_after_rows)
            }
            _ => before,
        };
        let mut loss = BatchLoss {
            l0: active(&selected.codes).count() as f64 / n_rows as f64,
            n_dead: dead.len() as u32,
            lowest_activation: selected.lowest_activation,
            ..BatchLoss::default()
        };
        let variation = match &norm {
            Some(_) => BatchSums::of_rows(rows, weights.d_model).variation(n_rows),
            None => selected.sums.variation(n_rows),
        };
        let row_weights = norm.as_ref().map(LayerNorm::weights);
        let scaled = norm.as_ref().zip(row_weights.as_deref());
        let passes = self.passes(
            plan,
            (step, weights, of_step.rows),
            (selected, scaled, variation),
            &dead,
            &mut loss,
        );
        let centred = std::mem::take(&mut self.centred);
        let is_centred = plan.is_centred();
        let common = Common {
            weights,
            input: if is_centred { &centred } else { of_step.rows },
            is_centred,
            terms: &passes.terms,
        };
        let mut gradients = std::mem::replace(&mut self.gradients, Weights::empty());
        let contributions = self.contributions(plan, &passes, row_weights.as_deref());
        collect(&common, &contributions, &mut gradients);
        self.gradients = gradients;
        self.centred = centred;
        if !plan.variant.has_encoder_bias() {
            self.gradients.b_enc.fill(0.0);
        }
        if !weights.skip.is_empty() {
            let error = skip::Errors {
                values: &self.error,
                scale: passes.main.scale,
            };
            self.gradients.skip = skip::gradient(error, of_step.rows, weights.d_model);
        }
        loss
    }

    /// Selects the places of a batch and makes activations of them.
    fn select(
        &mut self,
        plan: &Plan<'_>,
        (step, weights): (u32, &Weights),
        of_step: StepRows<'_>,
        dead: &[u32],
    ) -> Selected {
        let d = weights.d_model;
        let lengths = plan
            .conventions
            .rescales
            .then(|| decoder_lengths(&weights.w_dec, d));
        match &lengths {
            None => self.packed.repack(&weights.w_enc, &weights.b_enc),
            Some(lengths) => {
                let rows = weights.w_enc.chunks_exact(d).zip(lengths);
                let w_enc: Vec<f32> = rows
                    .flat_map(|(row, length)| row.iter().map(move |w| w * length))
                    .collect();
                let biases = weights.b_enc.iter().zip(lengths);
                let b_enc: Vec<f32> = biases.map(|(bias, length)| bias * length).collect();
                self.packed.repack(&w_enc, &b_enc);
            }
        }
        self.centred.resize(of_step.rows.len(), 0.0);
        let given = Given::new(weights, dead, plan.variant.looks_at_dead());
        let selection = plan.selection(step, d);
        let (mut places, sums) = select_batch(
            (plan, selection),
            &given,
            &self.packed,
            of_step,
            &mut self.centred,
        );
        let multi = plan.conventions.multi_topk.then(|| {
            let k = match selection {
                Selection::OfRow(k) => k as usize,
                _ => plan.config.k as usize,
            };
            let highest = highest_of_rows(&places, k);
            std::mem::replace(&mut places, highest)
        });
        let lowest_activation = active(&places).reduce(f32::min).unwrap_or(0.0);
        if let Some(lengths) = &lengths {
            for (value, &feature) in places.values.iter_mut().zip(&places.features) {
                *value /= lengths[feature as usize];
            }
        }
        // Where activations are the pre-activations, one set of codes is both.
        let (codes, places) = match plan.variant.activations(weights, &places) {
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
        Selected {
            lowest_activation: if places.is_some() {
                active(&codes).reduce(f32::min).unwrap_or(0.0)
            } else {
                lowest_activation
            },
            codes,
            places,
            multi,
            lengths,
            sums,
        }
    }

    /// Decodes, goes back, and adds up what the loss is made of.
    fn passes(
        &mut self,
        plan: &Plan<'_>,
        (step, weights, rows): (u32, &Weights, &[f32]),
        (selected, scaled, variation): (Selected, Option<(&LayerNorm, &[f32])>, f64),
        dead: &[u32],
        loss: &mut BatchLoss,
    ) -> Passes {
        let d = weights.d_model;
        let n_rows = selected.codes.n_rows();
        let denominator = plan.conventions.loss.divisor(n_rows, variation);
        let Selected {
            codes,
            places,
            multi,
            lengths,
            ..
        } = selected;
        match scaled {
            None => self.error.clone_from(&self.centred),
            Some((norm, _)) => self.error = norm.targets(&weights.b_dec),
        }
        let target = scaled.map(|_| self.error.clone());
        let multi = multi.map(|codes| {
            let mut error = self.centred.clone();
            let scale = 2.0 * MULTI_TOPK_WEIGHT / denominator;
            let pass = Backward::new(codes, weights, scale as f32, &mut error);
            (pass, error)
        });
        skip::take_off(&weights.skip, rows, &mut self.error, d);
        let scale = (2.0 / denominator) as f32;
        let (ends, mut main) = self.decode(plan.variant.as_ref(), (codes, scale), weights);
        let mut squares = main.sums.squares;
        if let Some((_, row_weights)) = scaled {
            main.weigh_rows(&self.error, row_weights);
            squares = main.weighted.squares;
        }
        loss.reconstruction = main.weighted.squares / denominator;
        loss.fvu = if variation > 0.0 {
            squares / variation
        } else {
            0.0
        };
        let batch = Batch {
            config: plan.config,
            step,
            weights,
            places: places.as_ref().unwrap_or(&main.codes),
            codes: &main.codes,
            target: target.as_ref().unwrap_or(&self.centred),
            dead,
        };
        let terms = plan.variant.terms(&batch, &mut main.value_gradients);
        loss.penalty = terms.loss;
        if let Some((pass, _)) = &multi {
            loss.penalty += MULTI_TOPK_WEIGHT * pass.sums.squares / denominator;
        }
        let auxiliary = if plan.config.variant.is_top_k() {
            let left = Left {
                error: &self.error,
                input: if plan.is_centred() {
                    &self.centred
                } else {
                    rows
                },
                error_variation: main.sums.variation(n_rows),
                variation,
                lengths: lengths.as_deref(),
            };
            self.auxiliary(plan, weights, dead, &ends, &left)
        } else {
            Vec::new()
        };
        loss.auxk = auxiliary.iter().map(|aux| aux.loss).sum();
        if plan.conventions.aux == AuxLoss::Recsae
            && let Some(aux) = auxiliary.first()
        {
            // The error is not detached there: d/de ‖ê − e‖² goes back through x̂ too.
            let share = -(f64::from(plan.config.auxk_alpha) * aux.shrink) as f32;
            add_scaled(&mut self.error, share, &aux.error);
            main.go_back_from(weights, &self.error);
        }
        Passes {
            main,
            ends,
            auxiliary,
            multi,
            terms,
        }
    }

    /// Decodes the codes of the rows whose targets are in `self.error` and goes back to them;
    /// returns the ends of the nested prefixes too.
    fn decode(
        &mut self,
        variant: &dyn Variant,
        (codes, scale): (SparseCodes, f32),
        weights: &Weights,
    ) -> (Vec<u32>, Backward) {
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

    /// The auxiliary losses: one, or one for each nested prefix.
    fn auxiliary(
        &self,
        plan: &Plan<'_>,
        weights: &Weights,
        dead: &[u32],
        ends: &[u32],
        left: &Left<'_>,
    ) -> Vec<Auxiliary> {
        if !plan.conventions.aux_by_level {
            return Auxiliary::of(plan, weights, dead, left)
                .into_iter()
                .collect();
        }
        let d = weights.d_model;
        let n_levels = ends.len();
        let mut first = 0;
        let mut all = Vec::new();
        for (level, &end) in ends.iter().enumerate() {
            let of_level: Vec<u32> = dead
                .iter()
                .copied()
                .filter(|feature| (first..end).contains(feature))
                .collect();
            first = end;
            // Levels hold sums over this and all longer prefixes, each of weight 1.
            let mut error = Vec::with_capacity(left.error.len());
            for row in self.levels.chunks_exact(n_levels * d) {
                let own = &row[level * d..(level + 1) * d];
                match row.get((level + 1) * d..(level + 2) * d) {
                    Some(longer) => error.extend(own.iter().zip(longer).map(|(a, b)| a - b)),
                    None => error.extend_from_slice(own),
                }
            }
            let left = Left {
                error: &error,
                ..*left
            };
            all.extend(Auxiliary::of(plan, weights, &of_level, &left));
        }
        all
    }

    /// What each pass adds to the gradients.
    fn contributions<'a>(
        &'a self,
        plan: &Plan<'_>,
        passes: &'a Passes,
        row_weights: Option<&'a [f32]>,
    ) -> Vec<Contribution<'a>> {
        let further = |pass: &'a Backward, error: &'a [f32]| Contribution {
            pass,
            errors: Errors::Plain(error),
            row_weights: None,
            reaches_encoder: false,
            reaches_bias: true,
        };
        let mut all = vec![Contribution {
            errors: if passes.ends.is_empty() {
                Errors::Plain(&self.error)
            } else {
                Errors::ByLevel {
                    levels: &self.levels,
                    ends: &passes.ends,
                }
            },
            row_weights,
            reaches_encoder: true,
            ..further(&passes.main, &[])
        }];
        for aux in &passes.auxiliary {
            all.push(Contribution {
                reaches_encoder: plan.conventions.aux != AuxLoss::OverVariationDecoderOnly,
                reaches_bias: plan.conventions.aux == AuxLoss::Recsae,
                ..further(&aux.pass, &aux.error)
            });
        }
        let decoded_again = passes.multi.iter().chain(&passes.terms.decoded);
        all.extend(decoded_again.map(|(pass, error)| further(pass, error)));
        all
    }
}

/// Features that are dead before a batch, ascending; none where the recipe looks after it.
fn dead_before(plan: &Plan<'_>, ages: &Ages<'_>) -> Vec<u32> {
    match plan.conventions.dead {
        DeadRule::WithBatch => Vec::new(),
        DeadRule::BeforeBatch => {
            dead_features(ages.rows_since_active, plan.config.dead_after_rows + 1)
        }
        DeadRule::EpochBefore => ages.of_epoch.to_vec(),
    }
}

fn active(codes: &SparseCodes) -> impl Iterator<Item = f32> {
    codes.values.iter().copied().filter(|&value| value > 0.0)
}

/// Length of each decoder row; 1 for a row of zeros, which has none to divide by.
pub(crate) fn decoder_lengths(w_dec: &[f32], d: usize) -> Vec<f32> {
    let length = |row: &[f32]| {
        let length = dot(row, row).sqrt();
        if length > 0.0 { length } else { 1.0 }
    };
    w_dec.chunks_exact(d).map(length).collect()
}
