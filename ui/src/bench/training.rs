//! Invented models, forecasts and runs.

use std::sync::Arc;

use engine::views::{
    DeadForecast, DiskForecast, Forecast, JobView, MemoryForecast, ModelView, RowForecast,
    RunFigures, RunRequest, RunState, RunView, TimeForecast, TrainingCurve,
};
use schema::{HookPoint, JobId, KeptMetric, KeptReport, SaeConfig, SaeVariant, StepReport};

/// Names of the invented models.
pub(super) fn model_names() -> Vec<String> {
    ["invented-tower", "invented-ranker"]
        .map(str::to_owned)
        .to_vec()
}

/// An invented model.
pub(super) fn model(name: &str) -> ModelView {
    let ranks = name == "invented-ranker";
    let mut hooks: Vec<(HookPoint, u32)> = if ranks {
        vec![(HookPoint::UserVector, 64)]
    } else {
        vec![(HookPoint::VisionLnFinal, 96)]
    };
    hooks.extend((0..4).map(|block| (HookPoint::ResidPost(block), 64)));
    ModelView {
        name: name.to_owned(),
        architecture: if ranks { "SasRec" } else { "PhantomVlm" }.to_owned(),
        n_parameters: 1_200_000,
        hooks,
        facts: if ranks {
            let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            vec![fact("Items", "90"), fact("Width", "64"), fact("Heads", "1")]
        } else {
            Vec::new()
        },
    }
}

/// An invented forecast.
pub(super) fn forecast(request: RunRequest) -> Forecast {
    let weights = u64::from(request.config.n_features) * 96 * 8;
    Forecast {
        harvest: None,
        n_samples: 500,
        d_model: 96,
        rows: RowForecast {
            n: 128_000,
            n_training: 102_400,
            is_exact: true,
        },
        epochs: 80.0,
        disk: DiskForecast {
            harvest: 50_300_000,
            dictionary: weights,
            checkpoints: 6 * weights,
            index: 36_000_000,
        },
        memory: MemoryForecast {
            weights,
            moments: 2 * weights,
            gradients: weights,
            scratch: 4_000_000,
            shards: 48_000_000,
            checkpoint: 3 * weights,
            evaluation: 112_000_000,
        },
        seconds: TimeForecast {
            harvest: 11.0,
            training: 38.0,
            training_at_most: 64.0,
            evaluation: 2.0,
            index: 1.5,
        },
        dead: dead(&request.config),
        notes: Vec::new(),
        request,
    }
}

/// Rows far from the origin.
fn dead(config: &SaeConfig) -> DeadForecast {
    let is_risky = !config.centre_rows && !config.variant.is_top_k();
    let sentence = if config.centre_rows {
        "The rows lie far from the origin. Their mean is taken off them before training and folded \
         back into the dictionary afterwards, so it is no reason for features to die."
    } else if is_risky {
        "The rows lie far from the origin, and these settings start b_dec at 0: until it has learnt \
         their mean, all features see the same offset, and many may stay dead."
    } else {
        "The rows lie far from the origin, which leaves many features dead unless b_dec takes the \
         mean away. These settings start b_dec in the middle of the first batch, so the mean is \
         taken away from the first step on."
    };
    DeadForecast {
        mean_to_spread: 2.31,
        n_rows: 4096,
        is_risky,
        sentence: sentence.to_owned(),
    }
}

/// An invented training curve of so many steps.
pub(super) fn curve(n: u32) -> Vec<StepReport> {
    (0..n)
        .step_by(10)
        .map(|step| {
            let done = step as f32 / 300.0;
            let wave = (step as f32 * 0.37).sin() * 0.006;
            StepReport {
                step,
                loss: 0.4,
                fvu: 0.08 + 0.7 * (-done).exp() + wave,
                l0: 16.0 - 3.0 * (-done * 2.0).exp() + wave * 20.0,
                dead: ((1.0 - (-done * 0.7).exp()) * 40.0 * (-done * 0.2).exp()) as u32,
                rows_per_second: 187_000.0,
            }
        })
        .collect()
}

/// What an invented model keeps after so many steps of 2,000.
pub(super) fn kept(n: u32) -> Vec<KeptReport> {
    let shares = [0.62, 0.81, 0.88, 0.91, 0.93];
    (400..=n)
        .step_by(400)
        .zip(shares)
        .map(|(step, share)| KeptReport {
            step,
            metric: KeptMetric::LossRecovered,
            share,
        })
        .collect()
}

/// Both curves after so many steps.
pub(super) fn whole_curve(n: u32) -> TrainingCurve {
    TrainingCurve {
        steps: curve(n),
        kept: kept(n),
    }
}

/// The job of trainings that were asked for.
pub(super) fn job(id: JobId, requests: &[RunRequest]) -> Option<JobView> {
    let (request, later) = requests.split_first()?;
    Some(JobView {
        id,
        title: format!("Train {}", request.name),
        subject: request.name.clone(),
        queued: later.iter().map(|request| request.name.clone()).collect(),
        stage: "Training dictionary".to_owned(),
        done: 1200,
        total: u64::from(request.config.steps),
        unit: "steps",
        rate: 91.0,
        seconds_left: Some(31.0),
        seconds: 24.0,
        paused: false,
        stopping: false,
        epochs: std::sync::Arc::default(),
        curve: Arc::new(curve(1200)),
        kept: Arc::new(kept(1200)),
    })
}

/// Finished and unfinished runs, and those that were asked for.
pub(super) fn runs(begun: &[RunRequest]) -> Vec<RunView> {
    let run = |name: &str, (k, n_features): (u32, u32), figures: Option<(f64, f64, f64)>| RunView {
        name: name.to_owned(),
        state: if figures.is_some() {
            RunState::Ready
        } else {
            RunState::Training
        },
        model: "invented-tower".to_owned(),
        dataset: "films".to_owned(),
        hook: Some(HookPoint::VisionLnFinal),
        config: Some(SaeConfig {
            k,
            n_features,
            variant: if n_features > 1000 {
                SaeVariant::BatchTopK
            } else {
                SaeVariant::TopK
            },
            ..SaeConfig::default()
        }),
        steps_done: if figures.is_some() { 2000 } else { 1200 },
        figures: figures.map(|(fvu, l0, dead_share)| RunFigures {
            fvu,
            l0,
            dead_share,
        }),
    };
    let mut runs = vec![
        run("films", (8, 384), Some((0.125, 8.0, 0.01))),
        run("films-k4", (4, 384), Some((0.221, 4.0, 0.03))),
        run("films-k16", (16, 384), Some((0.071, 16.0, 0.0))),
        run("films-wide", (16, 1536), Some((0.058, 15.1, 0.12))),
        run("films-short", (8, 192), Some((0.192, 8.0, 0.0))),
        run("films-stopped", (32, 768), None),
    ];
    runs.extend(begun.iter().map(|request| RunView {
        name: request.name.clone(),
        state: RunState::Recording,
        model: request.model.clone(),
        dataset: request.dataset.clone(),
        hook: Some(request.hook),
        config: Some(request.config.clone()),
        steps_done: 0,
        figures: None,
    }));
    runs
}
