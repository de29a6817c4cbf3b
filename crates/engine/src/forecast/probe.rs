//! Small measured pieces of harvest and training.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sae::{Evaluator, InMemorySource, RunSpec, Trained};
use schema::{FeatureId, SaeConfig};
use store::HarvestReader;

use crate::device::training_card;
use crate::error::{EngineError, Result};
use crate::harvest::HarvestPlan;
use crate::indexed::N_NEIGHBOURS;
use crate::jobs::JobContext;
use crate::views::RowForecast;

/// Time given to recording samples.
const RECORD_FOR: Duration = Duration::from_millis(1500);
/// Time given to counting rows.
const COUNT_FOR: Duration = Duration::from_millis(1500);
/// Time given to training steps.
const TRAIN_FOR: Duration = Duration::from_millis(1500);
/// Time given to training steps of which every feature is dead.
const ALL_DEAD_FOR: Duration = Duration::from_millis(500);
/// Time given to each of encoding and evaluating.
const ENCODE_FOR: Duration = Duration::from_millis(200);
/// Numbers of rows kept, at most: 64 MiB.
const MAX_KEPT: usize = 16 << 20;
/// Rows encoded at a time.
const ENCODE_ROWS: usize = 4096;
/// Film sizes that are looked at one by one.
const MAX_SIZES: usize = 64;
/// Features whose neighbours are looked for.
const N_NEIGHBOURED: u32 = 8;

/// Rows of a harvest, some of them at hand, and how fast they are recorded.
#[derive(Debug)]
pub(crate) struct HarvestProbe {
    pub(super) count: RowForecast,
    /// `[n, d_model]`, from samples all over the dataset.
    pub(super) rows: Vec<f32>,
    pub(super) seconds_per_sample: f64,
    /// Bytes per sample beside its rows.
    pub(super) sidecar_bytes: f64,
}

/// All of `0..n`, so that any first part of them is spread over the whole.
fn spread(n: u32) -> impl Iterator<Item = u32> {
    const PRIMES: [u64; 3] = [1_000_003, 1_000_033, 1_000_037];
    let n = u64::from(n.max(1));
    let step = PRIMES
        .into_iter()
        .find(|prime| !n.is_multiple_of(*prime))
        .unwrap_or(1);
    (0..n).map(move |i| (i * step % n) as u32)
}

impl HarvestProbe {
    /// Rows of a finished harvest: counted, and those of one shard at hand.
    pub(super) fn of_harvest(
        reader: &HarvestReader,
        is_training: &dyn Fn(u32) -> bool,
    ) -> Result<Self> {
        let (mut n_training, mut n_read) = (0_u64, 0_u64);
        let mut rows = Vec::new();
        let began = Instant::now();
        for shard in spread(reader.n_shards() as u32) {
            let shard = reader.read_shard(shard as usize)?;
            let kept = shard.refs.iter().filter(|row| is_training(row.sample));
            n_training += kept.count() as u64;
            n_read += shard.refs.len() as u64;
            if rows.is_empty() {
                rows = shard.rows;
                rows.truncate(MAX_KEPT / reader.d_model() * reader.d_model());
            }
            if began.elapsed() > COUNT_FOR && !rows.is_empty() {
                break;
            }
        }
        let share = n_training as f64 / n_read.max(1) as f64;
        Ok(Self {
            count: RowForecast {
                n: reader.n_rows(),
                n_training: (reader.n_rows() as f64 * share).round() as u64,
                is_exact: true,
            },
            rows,
            seconds_per_sample: 0.0,
            sidecar_bytes: 0.0,
        })
    }

    /// Counts rows and records some samples.
    pub(super) fn measure(
        plan: &HarvestPlan,
        is_training: &dyn Fn(u32) -> bool,
        job: &JobContext,
    ) -> Result<Self> {
        let count = count_rows(plan, is_training, job)?;
        let reader = plan.reader();
        let n = plan.manifest.n_samples;
        let samples: Vec<u32> = spread(n).collect();
        let mut probe = Self {
            count,
            rows: Vec::new(),
            seconds_per_sample: 0.0,
            sidecar_bytes: 0.0,
        };
        let (mut seconds, mut n_timed) = (0.0, 0_usize);
        let (mut sidecars, mut n_recorded) = (0_usize, 0_usize);
        let began = Instant::now();
        for (index, batch) in samples.chunks(reader.batch_size()).enumerate() {
            job.check_cancelled()?;
            job.report("Recording some samples", index as u64, 0, "batches");
            let mut batch = batch.to_vec();
            batch.sort_unstable();
            let clock = Instant::now();
            let recorded = reader.read(&plan.dataset, &batch)?;
            // The first batch pays for what is made once, unless it is all there is.
            if index > 0 || samples.len() <= batch.len() || began.elapsed() > RECORD_FOR {
                seconds += clock.elapsed().as_secs_f64();
                n_timed += batch.len();
            }
            for sample in recorded {
                if probe.rows.len() + sample.rows.len() <= MAX_KEPT {
                    probe.rows.extend(sample.rows);
                }
                sidecars += serde_json::to_vec(&sample.sidecar).map_or(0, |bytes| bytes.len() + 1);
                n_recorded += 1;
            }
            if began.elapsed() > RECORD_FOR {
                break;
            }
        }
        if probe.rows.is_empty() {
            return Err(EngineError::request(format!(
                "no position of the first samples of datasets/{} is of the kind asked for; text \
                 positions need reports",
                plan.manifest.dataset
            )));
        }
        probe.seconds_per_sample = seconds / n_timed.max(1) as f64;
        probe.sidecar_bytes = sidecars as f64 / n_recorded.max(1) as f64;
        Ok(probe)
    }
}

/// Counts the rows of a harvest without running the model; from a part of the samples where all of
/// them would take too long.
fn count_rows(
    plan: &HarvestPlan,
    is_training: &dyn Fn(u32) -> bool,
    job: &JobContext,
) -> Result<RowForecast> {
    let n_samples = plan.manifest.n_samples;
    let reader = plan.reader();
    if plan.manifest.hook.is_vision()
        && let Some(by_size) = count_by_size(plan, job)?
    {
        let mut count = RowForecast {
            is_exact: true,
            ..RowForecast::default()
        };
        for (sample, record) in (0..n_samples).zip(&plan.dataset.records) {
            let size = record
                .image
                .as_ref()
                .map(|image| [image.width, image.height]);
            let rows = size.and_then(|size| by_size.get(&size)).copied();
            let rows = rows.unwrap_or(0);
            count.n += rows;
            count.n_training += if is_training(sample) { rows } else { 0 };
        }
        return Ok(count);
    }
    let began = Instant::now();
    let (mut n, mut n_training, mut n_counted) = (0_u64, 0_u64, 0_u32);
    for sample in spread(n_samples) {
        if n_counted.is_multiple_of(64) {
            job.check_cancelled()?;
            job.report(
                "Counting rows",
                n_counted.into(),
                n_samples.into(),
                "samples",
            );
        }
        let rows = reader.count_rows(&plan.dataset, sample)?;
        n += rows;
        n_training += if is_training(sample) { rows } else { 0 };
        n_counted += 1;
        if began.elapsed() > COUNT_FOR {
            break;
        }
    }
    let factor = f64::from(n_samples) / f64::from(n_counted.max(1));
    let all = |counted: u64| (counted as f64 * factor).round() as u64;
    Ok(RowForecast {
        n: all(n),
        n_training: all(n_training),
        is_exact: n_counted == n_samples,
    })
}

/// Rows of a film by its size, which decides them at a hook of the image tower; `None` where there
/// are too many sizes to look at.
fn count_by_size(plan: &HarvestPlan, job: &JobContext) -> Result<Option<BTreeMap<[u32; 2], u64>>> {
    let mut first_of = BTreeMap::new();
    for (sample, record) in (0..plan.manifest.n_samples).zip(&plan.dataset.records) {
        if let Some(image) = &record.image {
            first_of
                .entry([image.width, image.height])
                .or_insert(sample);
        }
        if first_of.len() > MAX_SIZES {
            return Ok(None);
        }
    }
    let reader = plan.reader();
    let mut counts = BTreeMap::new();
    for (size, sample) in first_of {
        job.check_cancelled()?;
        counts.insert(size, reader.count_rows(&plan.dataset, sample)?);
    }
    Ok(Some(counts))
}

/// How fast a configuration trains, encodes and is evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TrainingProbe {
    /// Seconds of the first step, which also finds the middle of the batch.
    pub(super) first_step: f64,
    /// Seconds of every other step.
    pub(super) step: f64,
    /// The same if all features are dead.
    pub(super) step_all_dead: f64,
    /// Seconds to encode, decode and compare a row.
    pub(super) evaluate_row: f64,
    /// Seconds to encode a row.
    pub(super) encode_row: f64,
    /// Seconds to find the neighbours of a feature.
    pub(super) neighbours: f64,
    /// Active features per row at the last step.
    pub(super) l0: f64,
}

/// The first steps of a training.
struct Steps {
    trained: Trained,
    /// Seconds of the first step.
    first: f64,
    /// Seconds of every other step.
    step: f64,
    /// Active features per row at the last step.
    l0: f64,
}

impl Steps {
    fn train(
        config: &SaeConfig,
        d_model: usize,
        (rows, time): (&[f32], Duration),
        job: &JobContext,
    ) -> Result<Self> {
        let mut source = InMemorySource::new(rows.to_vec(), d_model, config.seed)?;
        let mut seconds = Vec::new();
        let mut l0 = 0.0;
        let began = Instant::now();
        let mut clock = Instant::now();
        let run = RunSpec {
            config,
            initial: sae::initial_weights(config, d_model)?,
            checkpoint: None,
            device: training_card(config),
            until: None,
        };
        let mut trained = sae::train_together(vec![run], &mut source, &mut |_, report| {
            seconds.push(clock.elapsed().as_secs_f64());
            l0 = f64::from(report.l0);
            let flow = job.step("Training some steps", seconds.len() as u64, 0, "steps");
            clock = Instant::now();
            if began.elapsed() > time && seconds.len() > 2 {
                ControlFlow::Break(())
            } else {
                flow
            }
        })?;
        let trained = trained
            .pop()
            .ok_or_else(|| EngineError::other("no step was trained"))?;
        job.check_cancelled()?;
        let first = seconds.first().copied().unwrap_or(0.0);
        let later = seconds.split_off(1.min(seconds.len()));
        Ok(Self {
            trained,
            first,
            step: middle_mean(later).unwrap_or(first),
            l0,
        })
    }
}

impl TrainingProbe {
    /// Trains the first steps of the very configuration on `rows` `[n, d_model]`, then measures
    /// what comes after the training on what came of it.
    pub(super) fn measure(
        config: &SaeConfig,
        d_model: u32,
        rows: &[f32],
        job: &JobContext,
    ) -> Result<Self> {
        let d = d_model as usize;
        let steps = Steps::train(config, d, (rows, TRAIN_FOR), job)?;
        let with_auxk = config.auxk_alpha > 0.0 && config.variant.is_top_k();
        let step_all_dead = if with_auxk {
            // Every feature counts as dead from the first row on.
            let all_dead = SaeConfig {
                dead_after_rows: 0,
                ..config.clone()
            };
            Steps::train(&all_dead, d, (rows, ALL_DEAD_FOR), job)?.step
        } else {
            steps.step
        };
        let trained = &steps.trained;
        let some = &rows[..rows.len().min(ENCODE_ROWS * d)];
        let n_some = (some.len() / d) as f64;
        let encode_row = repeated(|| trained.sae.encode(some).map(drop))? / n_some;
        let evaluate_row = repeated(|| Evaluator::new(&trained.sae).add(some))? / n_some;
        let n_neighboured = config.n_features.min(N_NEIGHBOURED);
        let clock = Instant::now();
        for feature in 0..n_neighboured {
            sae::nearest_directions(&trained.sae, FeatureId(feature), N_NEIGHBOURS);
        }
        let neighbours = clock.elapsed().as_secs_f64() / f64::from(n_neighboured.max(1));
        Ok(Self {
            first_step: steps.first,
            step: steps.step,
            step_all_dead,
            evaluate_row,
            encode_row,
            neighbours,
            l0: steps.l0,
        })
    }
}

/// Mean of the middle half, which a moment's disturbance does not reach; `None` of nothing.
fn middle_mean(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let quarter = values.len() / 4;
    let middle = values.get(quarter..values.len() - quarter)?;
    (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
}

/// Seconds that `work` takes, the mean of some times.
fn repeated(mut work: impl FnMut() -> std::result::Result<(), sae::SaeError>) -> Result<f64> {
    work()?;
    let began = Instant::now();
    let mut n = 0_u32;
    while n == 0 || began.elapsed() < ENCODE_FOR {
        work()?;
        n += 1;
    }
    Ok(began.elapsed().as_secs_f64() / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::{middle_mean, spread};

    #[test]
    fn a_disturbed_step_does_not_count() {
        assert_eq!(middle_mean(vec![9.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(middle_mean(vec![4.0]), Some(4.0));
        assert_eq!(middle_mean(Vec::new()), None);
    }

    #[test]
    fn samples_are_spread_and_each_comes_once() {
        for n in [1, 2, 7, 1200, 1_000_003] {
            let mut seen: Vec<u32> = spread(n).collect();
            let first = seen[..seen.len().min(4)].to_vec();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..n), "{n}");
            if n == 1200 {
                assert!(first.iter().any(|&sample| sample > 600), "{first:?}");
            }
        }
    }
}
