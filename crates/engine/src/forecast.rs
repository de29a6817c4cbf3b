//! The job that says what a training run will take before it begins: rows, disk, memory, time, and
//! whether many features are to be expected dead.
//!
//! What can be counted is counted; how long a stage takes is measured on a small piece of it
//! ([`probe`]) and multiplied.

mod probe;

use schema::{SaeConfig, SaeVariant};
use store::HarvestReader;

use crate::error::Result;
use crate::forecast::probe::TrainingProbe;
use crate::harvest::HarvestPlan;
use crate::jobs::JobContext;
use crate::presets::check_settings;
use crate::session::Session;
use crate::train_sae::may_train_on;
use crate::views::{
    DeadForecast, DiskForecast, Forecast, MemoryForecast, RowForecast, RunRequest, TimeForecast,
};

pub(crate) use probe::HarvestProbe;

/// Bytes of a weight, a row's entry, an activation.
const F32: u64 = 4;
/// Bytes that a harvest keeps per row beside its values: sample, position and class.
const REF_BYTES: u64 = 9;
/// The same in memory, padded, and the place of the row in the shuffled order.
const REF_BYTES_LOADED: u64 = 16;
/// Bytes that an index keeps per row: its place and where its entries begin.
const INDEX_ROW_BYTES: u64 = 12 + 8;
/// Bytes that an index keeps per active feature of a row: by row and by feature.
const INDEX_ENTRY_BYTES: u64 = 16;
/// Bytes of a feature's summary with its examples and neighbours, about.
const INDEX_FEATURE_BYTES: u64 = 600;
/// Seconds to sort, spill and write out one entry of an index, about.
const INDEX_ENTRY_SECONDS: f64 = 0.15e-6;
/// Seconds to summarise and write out one feature, about.
const INDEX_FEATURE_SECONDS: f64 = 60e-6;
/// Mean over spread from which rows count as far from the origin.
const FAR: f64 = 1.0;

/// Weights of a dictionary: encoder, decoder, their biases, and what the variant has beside them.
fn n_weights(config: &SaeConfig, d_model: u32) -> u64 {
    let (n, d) = (u64::from(config.n_features), u64::from(d_model));
    let extra = match config.variant {
        SaeVariant::JumpRelu => n,
        SaeVariant::Gated => 3 * n,
        _ => 0,
    };
    2 * n * d + n + d + extra
}

/// What training takes in memory, with so many shards of at most `shard_rows` rows and `l0` active
/// features per row.
fn memory(
    config: &SaeConfig,
    d_model: u32,
    (n_shards, shard_rows): (u32, u64),
    l0: f64,
) -> MemoryForecast {
    let (n, d) = (u64::from(config.n_features), u64::from(d_model));
    let batch = u64::from(config.batch_rows) * d * F32;
    let weights = n_weights(config, d_model) * F32;
    let n_levels = match config.variant {
        SaeVariant::Matryoshka if config.group_sizes.is_empty() => 5,
        SaeVariant::Matryoshka => config.group_sizes.len() as u64,
        _ => 0,
    };
    // Features, values and gradients of the active features of a batch.
    let codes = u64::from(config.batch_rows) * u64::from(config.k) * 3 * F32;
    let shard = shard_rows * (d * F32 + REF_BYTES_LOADED);
    let packed = n * d * F32;
    MemoryForecast {
        weights,
        moments: 2 * weights,
        gradients: weights,
        // The batch, its rows less b_dec, the error and that of the dead features, and the encoder
        // once more in the order of the product.
        scratch: (4 + n_levels) * batch + codes + packed,
        // The one that rows are taken from, and the next one, read ahead.
        shards: u64::from(n_shards.clamp(1, 2)) * shard,
        checkpoint: 3 * weights,
        // Dictionary and random dictionary, the shard, its reconstruction, feature and value of
        // each activation.
        evaluation: 2 * weights
            + packed
            + shard
            + shard_rows * d * F32
            + (shard_rows as f64 * l0) as u64 * 2 * F32,
    }
}

/// What a run leaves on the disk.
fn disk(
    request: &RunRequest,
    d_model: u32,
    rows: RowForecast,
    (sidecars, l0): (u64, f64),
) -> DiskForecast {
    let weights = n_weights(&request.config, d_model) * F32;
    let entries = rows.n as f64 * l0;
    DiskForecast {
        harvest: rows.n * (u64::from(d_model) * F32 + REF_BYTES) + sidecars,
        dictionary: weights,
        // The newest two, each with weights and both moments.
        checkpoints: 6 * weights,
        index: rows.n * INDEX_ROW_BYTES
            + entries as u64 * INDEX_ENTRY_BYTES
            + u64::from(request.config.n_features) * INDEX_FEATURE_BYTES,
    }
}

/// How long the stages after the harvest take.
fn times(config: &SaeConfig, rows: RowForecast, training: &TrainingProbe) -> TimeForecast {
    let n = rows.n as f64;
    let held_out = (rows.n - rows.n_training.min(rows.n)) as f64;
    let n_features = f64::from(config.n_features);
    let steps = |each: f64| training.first_step + each * f64::from(config.steps.saturating_sub(1));
    TimeForecast {
        harvest: 0.0,
        training: steps(training.step),
        training_at_most: steps(training.step_all_dead.max(training.step)),
        // All rows, those held out once more, and all rows by a random dictionary.
        evaluation: training.evaluate_row * (2.0 * n + held_out),
        index: training.encode_row * n
            + INDEX_ENTRY_SECONDS * n * training.l0
            + (training.neighbours + INDEX_FEATURE_SECONDS) * n_features,
    }
}

/// ‖mean row‖ / √(mean ‖row − mean‖²) of `rows` `[n, d_model]`; 0 where all rows are alike.
fn mean_to_spread(rows: &[f32], d_model: usize) -> f64 {
    let n = (rows.len() / d_model.max(1)).max(1) as f64;
    let mut mean = vec![0.0_f64; d_model];
    for row in rows.chunks_exact(d_model) {
        for (sum, &value) in mean.iter_mut().zip(row) {
            *sum += f64::from(value) / n;
        }
    }
    let spread: f64 = rows
        .chunks_exact(d_model)
        .flat_map(|row| row.iter().zip(&mean))
        .map(|(&value, mean)| (f64::from(value) - mean).powi(2) / n)
        .sum();
    let norm: f64 = mean.iter().map(|value| value * value).sum();
    if spread > 0.0 {
        (norm / spread).sqrt()
    } else {
        0.0
    }
}

/// What the ratio means for these settings.
fn dead_forecast(config: &SaeConfig, mean_to_spread: f64, n_rows: u64) -> DeadForecast {
    let is_far = mean_to_spread >= FAR;
    let is_off = sae::starts_off_the_mean(config);
    let sentence = match (is_far, is_off) {
        (false, _) if config.centre_rows => {
            "The rows lie around the origin, and their mean is taken off them before training, so \
             it is no reason for features to die."
        }
        (false, _) => {
            "The rows lie around the origin, so their mean is no reason for features to die."
        }
        (true, true) if config.centre_rows => {
            "The rows lie far from the origin. Their mean is taken off them before training and \
             folded back into the dictionary afterwards, so it is no reason for features to die."
        }
        (true, true) => {
            "The rows lie far from the origin, which leaves many features dead unless b_dec takes \
             the mean away. These settings start b_dec in the middle of the first batch, so the \
             mean is taken away from the first step on."
        }
        (true, false) => {
            "The rows lie far from the origin, and these settings start b_dec at 0: until it has \
             learnt their mean, all features see the same offset, and many may stay dead."
        }
    };
    DeadForecast {
        mean_to_spread,
        n_rows,
        is_risky: is_far && !is_off,
        sentence: sentence.to_owned(),
    }
}

/// Rows of the harvest of a plan, where one is there already.
struct Found {
    name: String,
    reader: HarvestReader,
}

impl Session {
    /// Says what a run will take: counts its rows, records a few samples, trains a few steps.
    /// Seconds for small models; on a large model about as long as 16 samples take.
    ///
    /// # Errors
    /// When model, dataset or hook do not exist or do not fit, or a setting is out of range.
    pub fn forecast(&self, request: &RunRequest, job: &JobContext) -> Result<Forecast> {
        job.report("Loading the model", 0, 0, "");
        let plan = self.plan_harvest(&request.harvest_request(String::new()))?;
        let d_model = plan.manifest.d_model;
        check_settings(&request.config, d_model)?;
        let mut notes = Vec::new();
        let found = self
            .matching_harvest(&plan)?
            .map(|name| {
                HarvestReader::open(&self.project, &name).map(|reader| Found { name, reader })
            })
            .transpose()?;
        let probed = self.probe_harvest(&plan, found.as_ref(), job)?;
        let rows = probed.count;
        if !rows.is_exact {
            notes.push("The number of rows is an estimate from some of the samples.".to_owned());
        }
        notes.extend(sae::unreached_rate(&request.config));
        if !request.config.variant.is_top_k() {
            notes.push(
                "How many features this variant has active changes while it trains, and its time \
                 with it."
                    .to_owned(),
            );
        }
        let training = TrainingProbe::measure(&request.config, d_model, &probed.rows, job)?;
        let mut seconds = times(&request.config, rows, &training);
        let kept = self.kept_seconds(&plan, &request.config, job)?;
        seconds.training += kept;
        seconds.training_at_most += kept;
        let sidecars = (probed.sidecar_bytes * f64::from(plan.manifest.n_samples)) as u64;
        let l0 = expected_l0(&request.config, training.l0);
        let mut disk = disk(request, d_model, rows, (sidecars, l0));
        if found.is_none() {
            seconds.harvest = probed.seconds_per_sample * f64::from(plan.manifest.n_samples);
        } else {
            disk.harvest = 0;
        }
        let n_probed = (probed.rows.len() / d_model as usize) as u64;
        let n_shards = plan
            .manifest
            .n_samples
            .div_ceil(plan.manifest.samples_per_shard);
        let shard_rows = rows.n.div_ceil(u64::from(n_shards.max(1)));
        Ok(Forecast {
            request: request.clone(),
            harvest: found.map(|found| found.name),
            n_samples: plan.manifest.n_samples,
            d_model,
            rows,
            epochs: f64::from(request.config.steps) * f64::from(request.config.batch_rows)
                / rows.n_training.max(1) as f64,
            disk,
            memory: memory(&request.config, d_model, (n_shards, shard_rows), l0),
            seconds,
            dead: dead_forecast(
                &request.config,
                mean_to_spread(&probed.rows, d_model as usize),
                n_probed,
            ),
            notes,
        })
    }

    /// How long it takes in all to tell what the model keeps while the dictionary trains.
    fn kept_seconds(
        &self,
        plan: &HarvestPlan,
        config: &SaeConfig,
        job: &JobContext,
    ) -> Result<f64> {
        // A run that stops early ranks after every pass instead; how many, nobody knows before.
        if config.early_stop.is_some() {
            return Ok(0.0);
        }
        let Ok(Some(gauge)) = self.kept_gauge(&plan.manifest) else {
            return Ok(0.0);
        };
        job.report("Running on reconstructions", 0, 0, "");
        let sae = sae::random_dictionary(
            config.n_features as usize,
            config.k.max(1),
            config.seed,
            &vec![0.0; plan.manifest.d_model as usize],
        )?;
        gauge.seconds(&sae)
    }

    /// Rows and recording speed of a plan, from what was measured before or measured now.
    fn probe_harvest(
        &self,
        plan: &HarvestPlan,
        found: Option<&Found>,
        job: &JobContext,
    ) -> Result<std::sync::Arc<HarvestProbe>> {
        let key = (plan.manifest.clone(), found.map(|found| found.name.clone()));
        if let Some(known) = self.known_probe(&key) {
            return Ok(known);
        }
        let is_training = |sample| may_train_on(&plan.dataset, sample);
        let probed = match found {
            Some(found) => HarvestProbe::of_harvest(&found.reader, &is_training)?,
            None => HarvestProbe::measure(plan, &is_training, job)?,
        };
        Ok(self.keep_probe(key, probed))
    }
}

/// Active features per row to reckon with: what the settings ask for, else what the probe had.
fn expected_l0(config: &SaeConfig, probed: f64) -> f64 {
    match config.variant {
        variant if variant.is_top_k() => f64::from(config.k),
        SaeVariant::JumpRelu => config.target_l0.map_or(f64::from(config.k), f64::from),
        _ => probed,
    }
}

#[cfg(test)]
mod tests {
    use schema::{HookPoint, SaeRecipe};

    use super::*;

    fn request() -> RunRequest {
        RunRequest {
            name: "films".to_owned(),
            model: "m".to_owned(),
            dataset: "d".to_owned(),
            hook: HookPoint::VisionLnFinal,
            positions: "image".to_owned(),
            limit: None,
            pool: 1,
            config: SaeConfig {
                n_features: 8,
                k: 2,
                batch_rows: 10,
                steps: 101,
                ..SaeConfig::default()
            },
        }
    }

    /// 8 features on rows of 4: 2·8·4 + 8 + 4 = 76 weights.
    #[test]
    fn memory_is_the_sum_of_its_parts() {
        let few = memory(&request().config, 4, (1, 100), 2.0);
        assert_eq!(few.shards, 100 * (16 + 16));
        let memory = memory(&request().config, 4, (7, 100), 2.0);
        assert_eq!(memory.weights, 76 * 4);
        assert_eq!(memory.moments, 2 * 76 * 4);
        assert_eq!(memory.gradients, 76 * 4);
        // Four batches of 10 rows of 4 numbers, 20 codes of three numbers, an encoder of 8 x 4.
        assert_eq!(memory.scratch, 4 * 160 + 240 + 128);
        // Of seven shards two: one is read while rows are taken from the other.
        assert_eq!(memory.shards, 2 * 100 * (16 + 16));
        assert_eq!(memory.checkpoint, 3 * 76 * 4);
        assert_eq!(memory.evaluation, 608 + 128 + 3200 + 1600 + 200 * 8);
        // Weights, moments, gradients, working memory, shards, checkpoint.
        let parts = [304, 608, 304, 1008, 6400, 912];
        assert_eq!(memory.training(), parts.iter().sum::<u64>());
        assert_eq!(memory.total(), 9536);
        assert_eq!(few.training(), 9536 - 3200);
        assert_eq!(few.total(), few.evaluation);
        let gated = SaeConfig {
            variant: SaeVariant::Gated,
            ..request().config
        };
        assert_eq!(n_weights(&gated, 4), 76 + 24);
    }

    #[test]
    fn disk_and_time_follow_from_rows() {
        let rows = RowForecast {
            n: 1000,
            n_training: 800,
            is_exact: true,
        };
        let disk = disk(&request(), 4, rows, (500, 2.0));
        assert_eq!(disk.harvest, 1000 * (16 + 9) + 500);
        assert_eq!(disk.dictionary, 304);
        assert_eq!(disk.checkpoints, 6 * 304);
        assert_eq!(disk.index, 1000 * 20 + 2000 * 16 + 8 * 600);
        assert_eq!(disk.total(), 25_500 + 304 + 56_800);
        let probe = TrainingProbe {
            first_step: 1.0,
            step: 0.5,
            step_all_dead: 0.75,
            evaluate_row: 0.01,
            encode_row: 0.001,
            neighbours: 0.25,
            l0: 2.0,
        };
        let times = times(&request().config, rows, &probe);
        assert!((times.training - 51.0).abs() < 1e-9, "1 + 100 x 0.5");
        assert!(
            (times.training_at_most - 76.0).abs() < 1e-9,
            "1 + 100 x 0.75"
        );
        assert!((times.evaluation - 22.0).abs() < 1e-9, "2200 rows");
        let writing = 2000.0 * INDEX_ENTRY_SECONDS + 8.0 * INDEX_FEATURE_SECONDS;
        assert!((times.index - (1.0 + 2.0 + writing)).abs() < 1e-9);
    }

    /// Rows (3, 0) and (3, 2): mean (3, 1), squared distances 1 and 1.
    #[test]
    fn the_ratio_of_mean_to_spread_is_told_from_rows() {
        let ratio = mean_to_spread(&[3.0, 0.0, 3.0, 2.0], 2);
        assert!((ratio - 10.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(mean_to_spread(&[1.0, 1.0, 1.0, 1.0], 2), 0.0);
    }

    #[test]
    fn only_a_variant_that_starts_at_the_origin_is_at_risk() {
        let top_k = request().config;
        let relu = SaeConfig::of_variant(SaeVariant::Relu);
        assert!(!dead_forecast(&top_k, 5.0, 10).is_risky);
        assert!(dead_forecast(&relu, 5.0, 10).is_risky);
        assert!(!dead_forecast(&relu, 0.2, 10).is_risky);
        // SAELens and RecSAE start b_dec at 0 whatever the variant.
        for (recipe, is_risky) in [
            (SaeRecipe::Saelens, true),
            (SaeRecipe::Recsae, true),
            (SaeRecipe::Sparsify, false),
        ] {
            let config = SaeConfig::of_recipe(recipe, SaeVariant::TopK, 64);
            assert_eq!(dead_forecast(&config, 5.0, 10).is_risky, is_risky);
        }
    }

    #[test]
    fn rows_less_their_mean_are_at_no_risk_from_it() {
        for variant in [SaeVariant::Relu, SaeVariant::JumpRelu, SaeVariant::Gated] {
            let plain = SaeConfig::of_variant(variant);
            assert!(dead_forecast(&plain, 5.0, 10).is_risky);
            let centred = SaeConfig {
                centre_rows: true,
                ..plain
            };
            let dead = dead_forecast(&centred, 5.0, 10);
            assert!(!dead.is_risky, "{variant:?}");
            assert!(
                dead.sentence.contains("mean is taken off them"),
                "{}",
                dead.sentence
            );
            assert_eq!(dead.mean_to_spread, 5.0);
        }
    }

    #[test]
    fn a_sweep_names_each_pair_and_leaves_out_what_cannot_be() {
        let names = |ks: &[u32], widths: &[u32]| -> Vec<String> {
            let requests = request().sweep(ks, widths);
            requests.into_iter().map(|request| request.name).collect()
        };
        assert_eq!(names(&[], &[]), ["films"]);
        assert_eq!(names(&[8, 4, 4], &[]), ["films-k4", "films-k8"]);
        assert_eq!(
            names(&[4, 16], &[8, 32]),
            ["films-n8-k4", "films-n32-k4", "films-n32-k16"]
        );
    }
}
