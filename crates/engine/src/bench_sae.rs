//! How fast dictionaries train, against the product that no training can do without, measured in
//! the same run.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Instant;

use models::limits;
use models::tensor_files::read_tensor;
use sae::{InMemorySource, RunSpec, TrainingDevice, train_together};
use schema::{SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant};
use serde::Serialize;

use crate::device::training_card;
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;

/// A training that is timed.
#[derive(Debug, Clone, Copy)]
struct Preset {
    name: &'static str,
    recipe: SaeRecipe,
    variant: SaeVariant,
    batch: u32,
    d_model: usize,
    n_features: u32,
    k: u32,
    steps: u32,
}

/// Rows of a step.
const BATCH: u32 = 4096;

/// Rows of a step of `RecSAE`: four histories of 8.2 positions on average.
const FOUR_HISTORIES: u32 = 33;

/// `TopK` at the wider size; the others differ from it.
const WIDE: Preset = Preset {
    name: "top_k_576",
    recipe: SaeRecipe::DictionaryLearning,
    variant: SaeVariant::TopK,
    batch: BATCH,
    d_model: 576,
    n_features: 4608,
    k: 32,
    steps: 12,
};

/// `TopK` at the narrower size.
const NARROW: Preset = Preset {
    name: "top_k_64",
    d_model: 64,
    n_features: 2048,
    steps: 60,
    ..WIDE
};

/// What the peers are compared at, each by the recipe of the peer that has it.
const PRESETS: [Preset; 6] = [
    WIDE,
    Preset {
        name: "sparsify_576",
        recipe: SaeRecipe::Sparsify,
        ..WIDE
    },
    Preset {
        name: "matryoshka_576",
        variant: SaeVariant::Matryoshka,
        ..WIDE
    },
    NARROW,
    Preset {
        name: "sparsify_64",
        recipe: SaeRecipe::Sparsify,
        ..NARROW
    },
    Preset {
        name: "recsae_64",
        recipe: SaeRecipe::Recsae,
        batch: FOUR_HISTORIES,
        n_features: 1024,
        k: 8,
        steps: 600,
        ..NARROW
    },
];

/// The speed of one training.
#[derive(Debug, Clone, Serialize)]
pub struct SpeedOfTraining {
    /// Which, e.g. `top_k_576`.
    pub name: &'static str,
    /// What did the steps: CPU, CUDA or Metal.
    pub device: String,
    /// Rows of a step.
    pub batch_rows: u32,
    /// Width of a row.
    pub d_model: usize,
    /// Features.
    pub n_features: u32,
    /// Active features.
    pub k: u32,
    /// Rows a second, by the median step but the first two.
    pub rows_per_second: f64,
    /// Rows a second if a step were its encoder product alone, at the CPU's rate of large f32
    /// products.
    pub limit_rows_per_second: f64,
    /// FVU within the last batch.
    pub last_fvu: f32,
    /// Steps done.
    pub steps: u32,
}

/// The speeds of training.
#[derive(Debug, Clone, Serialize)]
pub struct SpeedsOfTraining {
    /// Threads that computed.
    pub threads: usize,
    /// Floating-point operations a second of large f32 products.
    pub product_rate: f64,
    /// Each training.
    pub speeds: Vec<SpeedOfTraining>,
}

/// Times trainings on the batches in `input`, a file with tensors `x_576` and `x_64` of
/// `[n_batches, 4096, width]`, or on random rows; on the CPU, and before that on the card where there is one
/// that can.
///
/// # Errors
/// When the file cannot be read or holds batches of another shape.
pub fn bench_sae(input: Option<&str>, job: &JobContext) -> Result<SpeedsOfTraining> {
    let mut speeds = Vec::new();
    for preset in PRESETS {
        job.check_cancelled()?;
        let rows = match input {
            Some(file) => batches(file, preset.d_model)?,
            None => random_rows(2 * BATCH as usize * preset.d_model),
        };
        if let Some(card) = training_card(&preset.config()) {
            speeds.push(time(preset, rows.clone(), Some(card), job)?);
        }
        speeds.push(time(preset, rows, None, job)?);
    }
    let product_rate = limits::product_rate(9);
    for speed in &mut speeds {
        let work = 2.0 * speed.d_model as f64 * f64::from(speed.n_features);
        speed.limit_rows_per_second = product_rate / work;
    }
    Ok(SpeedsOfTraining {
        threads: rayon::current_num_threads(),
        product_rate,
        speeds,
    })
}

fn batches(file: &str, d_model: usize) -> Result<Vec<f32>> {
    let place = format!("{file}:x_{d_model}");
    let (shape, values) = read_tensor(&place)?;
    match *shape.as_slice() {
        [_, rows, d] if rows == BATCH as usize && d == d_model => Ok(values),
        _ => Err(EngineError::request(format!(
            "{place} has shape {shape:?}, expected [n_batches, {BATCH}, {d_model}]"
        ))),
    }
}

/// Values in −0.5..0.5 by a fixed rule.
fn random_rows(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}

impl Preset {
    fn config(self) -> SaeConfig {
        SaeConfig {
            k: self.k,
            batch_rows: self.batch,
            steps: self.steps,
            lr: 1e-3,
            warmup_steps: 1,
            threshold_start_step: 1,
            optimizer: SaeOptimiser::Adam,
            ..SaeConfig::of_recipe(self.recipe, self.variant, self.n_features)
        }
    }
}

fn time(
    preset: Preset,
    rows: Vec<f32>,
    device: Option<TrainingDevice>,
    job: &JobContext,
) -> Result<SpeedOfTraining> {
    let config = preset.config();
    let name = device
        .as_ref()
        .map_or("CPU".to_owned(), |_| crate::device::device().name);
    let run = RunSpec {
        initial: sae::initial_weights(&config, preset.d_model)?,
        config: &config,
        checkpoint: None,
        device,
        until: None,
    };
    let mut source = InMemorySource::in_order(rows, preset.d_model)?;
    let mut seconds = Vec::new();
    let mut last_fvu = 0.0;
    let mut clock = Instant::now();
    train_together(vec![run], &mut source, &mut |_, report| {
        seconds.push(clock.elapsed().as_secs_f64());
        last_fvu = report.fvu;
        job.report(
            "Timing",
            u64::from(report.step),
            u64::from(preset.steps),
            "steps",
        );
        clock = Instant::now();
        if job.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    job.check_cancelled()?;
    let mut later = seconds.split_off(2);
    later.sort_by(f64::total_cmp);
    Ok(SpeedOfTraining {
        name: preset.name,
        device: name,
        batch_rows: preset.batch,
        d_model: preset.d_model,
        n_features: preset.n_features,
        k: preset.k,
        rows_per_second: f64::from(preset.batch) / later[later.len() / 2],
        limit_rows_per_second: 0.0,
        last_fvu,
        steps: preset.steps,
    })
}

impl SpeedsOfTraining {
    /// What a reader wants of it.
    pub fn lines(&self) -> String {
        let mut lines = format!(
            "{} threads, large f32 products at {:.0} GFLOP/s\n",
            self.threads,
            self.product_rate / 1e9
        );
        for speed in &self.speeds {
            // Writing to a text cannot fail.
            writeln!(
                lines,
                "{} on {}: {:.0} rows/s at batch {}, width {}, {} features, k {}; {:.2} of what the \
                 encoder product alone allows the CPU ({:.0}); FVU {:.4} after {} steps",
                speed.name,
                speed.device,
                speed.rows_per_second,
                speed.batch_rows,
                speed.d_model,
                speed.n_features,
                speed.k,
                speed.rows_per_second / speed.limit_rows_per_second,
                speed.limit_rows_per_second,
                speed.last_fvu,
                speed.steps
            )
            .ok();
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_another_shape_are_named() {
        let error = batches("no-such.safetensors", 64).unwrap_err();
        assert!(
            error.message.contains("no-such.safetensors"),
            "{}",
            error.message
        );
    }

    #[test]
    fn random_rows_are_within_their_range() {
        let rows = random_rows(1000);
        assert!(rows.iter().all(|value| (-0.5..0.5).contains(value)));
        let mean = rows.iter().sum::<f32>() / 1000.0;
        assert!(mean.abs() < 0.05, "{mean}");
    }
}
