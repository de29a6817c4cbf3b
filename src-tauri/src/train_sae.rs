//! `sae train` in a project, its presets, and `sae forecast`.

use std::fmt::Write as _;
use std::path::PathBuf;

use engine::views::{Forecast, RunRequest};
use engine::{EngineError, JobContext, Result, Session};
use schema::SaeConfig;
use serde_json::json;

use crate::arguments::{SaeForecastArguments, SaeTrainArguments};
use crate::text::{self, Answer};

/// Settings of a preset for rows of this width, with the keys of a file above them.
fn settings(preset: Option<&str>, config: Option<&PathBuf>, d_model: u32) -> Result<SaeConfig> {
    let settings = match preset {
        Some(preset) => engine::preset(preset)?.config(d_model),
        None => SaeConfig::default(),
    };
    let Some(path) = config else {
        return Ok(settings);
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        EngineError::request(format!("cannot read {}: {error}", path.display()))
    })?;
    engine::sae_config_from_toml(&text, &settings)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}

/// Trains on harvests of the project, with one set of settings or several on one pass.
pub(crate) fn train_here(
    arguments: &SaeTrainArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let (Some(name), Some(harvests)) = (&arguments.name, &arguments.harvest) else {
        return Err(EngineError::request("expected a name and --harvest"));
    };
    let harvests: Vec<&str> = harvests.split(',').map(str::trim).collect();
    let mut answers = Vec::new();
    for harvest in &harvests {
        let name = match harvests.len() {
            1 => name.clone(),
            _ => format!("{name}-{harvest}"),
        };
        let runs = runs_on(arguments, session, &name, harvest)?;
        let evaluations = session.train_saes(harvest, &runs, job)?;
        let each = runs.iter().zip(&evaluations);
        answers.extend(each.map(|((name, _), evaluation)| text::evaluation(name, evaluation)));
    }
    Ok(match answers.len() {
        1 => answers.remove(0),
        _ => Answer::joined("dictionaries", answers),
    })
}

/// Names and settings of what is trained on one harvest.
fn runs_on(
    arguments: &SaeTrainArguments,
    session: &Session,
    name: &str,
    harvest: &str,
) -> Result<Vec<(String, SaeConfig)>> {
    let d_model = session.harvest_manifest(harvest)?.d_model;
    let preset = arguments.preset.as_deref();
    let files: Vec<Option<&PathBuf>> = match arguments.config.as_slice() {
        [] => vec![None],
        files => files.iter().map(Some).collect(),
    };
    let n_files = files.len();
    let mut runs = Vec::with_capacity(n_files);
    for file in files {
        let mut settings = settings(preset, file, d_model)?;
        settings.seed = arguments.seed.unwrap_or(settings.seed);
        let steps = match arguments.epochs {
            Some(epochs) => Some(session.steps_of_passes(harvest, &settings, epochs)?),
            None => arguments.steps,
        };
        if let Some(steps) = steps {
            settings = match preset {
                Some(_) => engine::over_steps(&settings, steps),
                None => SaeConfig { steps, ..settings },
            };
        }
        let stem = file.and_then(|file| file.file_stem()?.to_str());
        let name = match stem {
            Some(stem) if n_files > 1 => format!("{name}-{stem}"),
            _ => name.to_owned(),
        };
        runs.push((name, settings));
    }
    Ok(runs)
}

/// The presets.
pub(crate) fn presets() -> Answer {
    let presets = engine::presets();
    let mut lines = String::new();
    for preset in &presets {
        writeln!(lines, "{:12}{}", preset.id, preset.sentence).ok();
    }
    let list: Vec<_> = presets
        .iter()
        .map(|preset| {
            json!({
                "id": preset.id,
                "name": preset.name,
                "sentence": preset.sentence,
                "expansion": preset.expansion,
            })
        })
        .collect();
    Answer::new(json!({ "presets": list }), lines)
}

/// Says what a training would take.
pub(crate) fn forecast(
    arguments: &SaeForecastArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let hook = arguments.hook.parse().map_err(EngineError::from)?;
    let d_model = session.d_model_at(&arguments.model, hook)?;
    let request = RunRequest {
        name: String::new(),
        model: arguments.model.clone(),
        dataset: arguments.dataset.clone(),
        hook,
        positions: arguments.positions.clone(),
        limit: arguments.limit,
        pool: arguments.pool,
        config: settings(
            arguments.preset.as_deref(),
            arguments.config.as_ref(),
            d_model,
        )?,
    };
    let forecast = session.forecast(&request, job)?;
    let lines = lines(&forecast);
    Ok(Answer::new(json!(forecast), lines))
}

fn lines(forecast: &Forecast) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let Forecast {
        rows,
        disk,
        memory,
        seconds,
        dead,
        ..
    } = forecast;
    let mut lines = format!(
        "{}{} rows of width {}, {} to train on, {:.1} passes over them\n",
        if rows.is_exact { "" } else { "about " },
        rows.n,
        forecast.d_model,
        rows.n_training,
        forecast.epochs
    );
    if let Some(harvest) = &forecast.harvest {
        writeln!(lines, "activations/{harvest} has them already").ok();
    }
    writeln!(
        lines,
        "disk: {:.1} MiB (harvest {:.1}, dictionary {:.1}, index {:.1}), and {:.1} while training",
        mib(disk.total()),
        mib(disk.harvest),
        mib(disk.dictionary),
        mib(disk.index),
        mib(disk.checkpoints)
    )
    .ok();
    writeln!(
        lines,
        "memory: {:.1} MiB beside the model",
        mib(memory.total())
    )
    .ok();
    writeln!(
        lines,
        "time: {:.0} s (harvest {:.1}, training {:.1}, at most {:.1} if features die, evaluation \
         {:.1}, index {:.1})",
        seconds.total(),
        seconds.harvest,
        seconds.training,
        seconds.training_at_most,
        seconds.evaluation,
        seconds.index
    )
    .ok();
    writeln!(
        lines,
        "mean to spread {:.2}: {}",
        dead.mean_to_spread, dead.sentence
    )
    .ok();
    for note in &forecast.notes {
        writeln!(lines, "{note}").ok();
    }
    lines
}
