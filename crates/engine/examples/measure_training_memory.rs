//! Peak memory of training a dictionary on a large harvest (Linux only).
//!
//! `cargo run --release -p engine --example measure_training_memory -- WORK [rows d_model n_features]`
//! writes a harvest of so many random rows (a million of 576 without arguments, 2.3 GB) into a new
//! project in WORK, trains one pass over it by `Session::train_sae`, and prints how much more memory
//! the process took than before, beside the dictionary's own size.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use engine::views::ImportRequest;
use engine::{JobContext, Session};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{HarvestManifest, HookPoint, PositionClass, RowRef, SaeConfig};
use store::{ArtefactKind, HarvestWriter, Project};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const SAMPLES: u32 = 64;
const DATASET: &str = "films";
/// A harvest hangs off a model; this one is never run.
const MODEL: &str = "phantom";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((work, sizes)) = arguments.split_first() else {
        return Err("expected a folder to work in".into());
    };
    let size = |at: usize, usual: u32| sizes.get(at).map_or(Ok(usual), |text| text.parse());
    let (rows, d_model, n_features) = (size(0, 1_000_000)?, size(1, 576)?, size(2, 4608)?);
    let root = Path::new(work).join("project");
    let session = Session::create(&root)?;
    let films = ImportRequest::PhantomRadiographs {
        name: DATASET.to_owned(),
        count: SAMPLES,
        seed: 0,
    };
    session.import(&films, &JobContext::silent())?;
    session.add_shipped_model(MODEL)?;
    drop(session);
    write_harvest(&root, rows, d_model)?;
    let session = Session::open(&root)?;
    let batch_rows = 4096;
    let steps = rows.div_ceil(batch_rows).max(2);
    let config = SaeConfig {
        n_features,
        k: 32.min(n_features),
        batch_rows,
        steps,
        warmup_steps: steps / 10,
        ..SaeConfig::default()
    };
    let before = peak_after_reset()?;
    let start = Instant::now();
    session.train_sae("dictionary", "rows", &config, &JobContext::silent())?;
    let (seconds, peak) = (start.elapsed().as_secs_f64(), resident("VmHWM")?);
    let own = 4 * (2 * u64::from(n_features) * u64::from(d_model));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    writeln!(
        std::io::stdout(),
        "{rows} rows of {d_model}, {n_features} features, {steps} steps and the evaluation in \
         {seconds:.0} s: {:.0} MiB before, {:.0} MiB at the peak; {:.0} MiB more, of which the \
         dictionary is {:.0} MiB",
        mib(before),
        mib(peak),
        mib(peak.saturating_sub(before)),
        mib(own)
    )?;
    Ok(())
}

/// Writes a harvest as the job that records one does, of random rows.
fn write_harvest(root: &Path, rows: u32, d_model: u32) -> Outcome<()> {
    let project = Project::open(root)?;
    let manifest = HarvestManifest {
        name: "rows".to_owned(),
        model: MODEL.to_owned(),
        model_hash: String::new(),
        dataset: DATASET.to_owned(),
        dataset_hash: project.file_hash(ArtefactKind::Dataset, DATASET, "samples.jsonl")?,
        hook: HookPoint::VisionLnFinal,
        classes: vec![PositionClass::Image],
        d_model,
        pool: 1,
        samples_per_shard: 1,
        n_samples: SAMPLES,
    };
    let mut writer = HarvestWriter::create_or_resume(&project, manifest)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for shard in 0..SAMPLES {
        let (from, to) = (share(rows, shard), share(rows, shard + 1));
        let values: Vec<f32> = (from..to)
            .flat_map(|_| 0..d_model)
            .map(|_| rng.random::<f32>() - 0.5)
            .collect();
        let refs: Vec<RowRef> = (0..to - from)
            .map(|position| RowRef {
                sample: shard,
                position,
                class: PositionClass::Image,
            })
            .collect();
        writer.write_shard(shard, &values, &refs)?;
    }
    writer.finish()?;
    Ok(())
}

/// Rows before a shard.
fn share(rows: u32, shard: u32) -> u32 {
    (u64::from(rows) * u64::from(shard) / u64::from(SAMPLES)) as u32
}

/// Resets the peak to what is resident now; returns it.
fn peak_after_reset() -> Outcome<u64> {
    fs::write("/proc/self/clear_refs", "5")?;
    resident("VmHWM")
}

/// A line of `/proc/self/status`, in bytes.
fn resident(name: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name));
    let kilobytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no such line")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}
