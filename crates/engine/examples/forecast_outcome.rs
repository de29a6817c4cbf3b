//! Says what training runs will take, trains them, and prints both.
//!
//! `forecast_outcome FOLDER [COUNT] [PRESET[,PRESET…]]` makes a project of COUNT phantom films
//! (default 600) and as many phantom shoppers in a new FOLDER, and for each preset (default quick,
//! standard and matryoshka on films, recsae on shoppers) compares forecast and outcome: rows, disk,
//! time, and the peak of memory above what was taken before (Linux).
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use engine::views::{Forecast, ImportRequest, RunRequest};
use engine::{EngineError, JobContext, Observer, Progress, Result, Session, preset};

/// Seconds of each stage, in order.
#[derive(Default)]
struct Stages(Mutex<Vec<(String, Instant)>>);

impl Observer for Stages {
    fn progress(&self, progress: Progress) {
        let mut stages = lock(&self.0);
        if stages
            .last()
            .is_none_or(|(name, _)| *name != progress.stage)
        {
            stages.push((progress.stage, Instant::now()));
        }
    }

    fn warning(&self, _: String) {}
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Stages {
    /// Seconds spent in stages whose name contains `part`, the whole having ended at `end`.
    fn seconds(&self, part: &str, end: Instant) -> f64 {
        let stages = lock(&self.0);
        let mut sum = 0.0;
        for (i, (name, began)) in stages.iter().enumerate() {
            let until = stages.get(i + 1).map_or(end, |next| next.1);
            if name.contains(part) {
                sum += (until - *began).as_secs_f64();
            }
        }
        sum
    }
}

/// Bytes of a line of `/proc/self/status`; 0 where there is none.
fn status(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .find_map(|found| found.strip_prefix(line)?.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes * 1024)
}

fn size_of(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => size_of(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        })
        .sum()
}

fn line(what: &str, forecast: f64, outcome: f64, unit: &str) {
    let off = if outcome > 0.0 {
        format!("{:+.0} %", (forecast / outcome - 1.0) * 100.0)
    } else {
        "-".to_owned()
    };
    println!("  {what:22}{forecast:12.1}{outcome:12.1} {unit:8}{off:>8}");
}

fn compare(session: &Session, request: &RunRequest) -> Result<()> {
    let silent = JobContext::silent();
    let clock = Instant::now();
    let forecast = session.forecast(request, &silent)?;
    let took = clock.elapsed().as_secs_f64();
    println!(
        "{}: forecast in {took:.1} s; forecast, outcome, by how much the forecast is off",
        request.name
    );
    // From here on the peak is that of the run.
    std::fs::write("/proc/self/clear_refs", "5").ok();
    let before = status("VmRSS:");
    let stages = Arc::new(Stages::default());
    let job = JobContext::new(Arc::default(), Arc::clone(&stages) as Arc<dyn Observer>);
    let clock = Instant::now();
    let evaluation = session.train_run(request, &job)?;
    let end = Instant::now();
    let peak = status("VmHWM:").saturating_sub(before);
    print(session, request, &forecast, (&stages, end))?;
    println!(
        "  {:22}{:12.1}{:>12} s",
        "training at most", forecast.seconds.training_at_most, "",
    );
    line(
        "seconds in all",
        forecast.seconds.total(),
        (end - clock).as_secs_f64(),
        "s",
    );
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    line("memory", mib(forecast.memory.total()), mib(peak), "MiB");
    println!(
        "  mean to spread {:.2}, risky: {}; dead in the end {:.1} %; FVU {:.3}, L0 {:.1}",
        forecast.dead.mean_to_spread,
        forecast.dead.is_risky,
        evaluation.all.dead_share * 100.0,
        evaluation.all.fvu,
        evaluation.all.l0
    );
    Ok(())
}

fn print(
    session: &Session,
    request: &RunRequest,
    forecast: &Forecast,
    (stages, end): (&Stages, Instant),
) -> Result<()> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let views = session.dictionary_views()?;
    let view = views
        .iter()
        .find(|view| view.name == request.name)
        .ok_or_else(|| EngineError::other("the dictionary is not listed"))?;
    let index = session.root().join("features").join(&request.name);
    let harvest = session.root().join("activations").join(&view.harvest);
    let n_rows = session.recorded_evaluation(&request.name)?.all.n_rows;
    line("rows", forecast.rows.n as f64, n_rows as f64, "rows");
    if forecast.harvest.is_none() {
        line(
            "harvest on disk",
            mib(forecast.disk.harvest),
            mib(size_of(&harvest)),
            "MiB",
        );
    }
    line(
        "index on disk",
        mib(forecast.disk.index),
        mib(size_of(&index)),
        "MiB",
    );
    for (what, seconds, stage) in [
        ("harvest", forecast.seconds.harvest, "Recording"),
        ("training", forecast.seconds.training, "Training"),
        ("evaluation", forecast.seconds.evaluation, "Evaluating"),
        ("index", forecast.seconds.index, "ing "),
    ] {
        let outcome = if what == "index" {
            stages.seconds("Encoding", end) + stages.seconds("Indexing", end)
        } else {
            stages.seconds(stage, end)
        };
        line(what, seconds, outcome, "s");
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or_else(|| {
        EngineError::request("expected: forecast_outcome FOLDER [COUNT] [PRESET,…]")
    })?;
    let count = arguments.next().and_then(|text| text.parse().ok());
    let count: u32 = count.unwrap_or(600);
    let presets = arguments
        .next()
        .unwrap_or_else(|| "quick,standard,matryoshka,recsae".to_owned());
    let session = Session::create(Path::new(&folder))?;
    let silent = JobContext::silent();
    session.add_shipped_model("phantom-vlm")?;
    let (name, seed) = ("films".to_owned(), 0);
    session.import(
        &ImportRequest::PhantomRadiographs { name, count, seed },
        &silent,
    )?;
    let name = "shoppers".to_owned();
    session.import(
        &ImportRequest::PhantomShoppers { name, count, seed },
        &silent,
    )?;
    let training = engine::TrainRecommenderRequest {
        name: "sasrec".to_owned(),
        arch: "sasrec".to_owned(),
        dataset: "shoppers".to_owned(),
        lr: Some(1e-3),
        epochs: Some(2),
        seed,
        ..engine::TrainRecommenderRequest::default()
    };
    session.train_recommender(&training, &silent)?;
    for id in presets.split(',') {
        let of_users = id == "recsae";
        let (model, dataset, hook, positions) = if of_users {
            ("sasrec", "shoppers", "hook_user_vector", "items")
        } else {
            ("phantom-vlm", "films", "vision.ln_final", "image")
        };
        let hook = hook.parse().map_err(EngineError::from)?;
        let request = RunRequest {
            name: format!("{dataset}-{id}"),
            model: model.to_owned(),
            dataset: dataset.to_owned(),
            hook,
            positions: positions.to_owned(),
            limit: None,
            pool: 1,
            config: preset(id)?.config(session.d_model_at(model, hook)?),
        };
        compare(&session, &request)?;
    }
    Ok(())
}
