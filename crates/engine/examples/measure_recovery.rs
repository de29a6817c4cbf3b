//! Measures what dictionaries of a phantom model make of planted findings, over hook points,
//! settings and seeds: a row of a table each, and what became of every finding.
//!
//! `measure_recovery MODEL WORK_FOLDER HOOK[,HOOK…] SETTINGS.toml[,…] SEED[,SEED…] [L0]`
//!
//! A settings file has the keys of `sae train --config`; what it does not name is the default.
//! With L0, the penalty of a variant that has no k is searched until L0 is within a tenth of it.
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::demo::{FRESH, N_FILMS};
use engine::views::ImportRequest;
use engine::{
    ConceptRecovery, EngineError, EvaluateRequest, EvaluationReport, HarvestRequest, JobContext,
    Result, Session,
};
use schema::{SaeConfig, SaeVariant};

/// Trainings that a search for a penalty may take.
const MAX_TRIES: usize = 8;
/// How far from the wanted L0 a dictionary may be, as a share of it.
const NEAR: f64 = 0.1;

fn print(findings: &BTreeMap<String, ConceptRecovery>) {
    for (name, found) in findings {
        println!(
            "  {}{name:18} f1 {:.2}  random {:.2}  raw {:.2}  shuffled {:.2}  peak {}",
            if found.has_own_feature() { "*" } else { " " },
            found.best_f1,
            found.random_dictionary_f1,
            found.raw_dimension_f1,
            found.shuffled_f1,
            found
                .peak_inside
                .map_or("-".to_owned(), |share| format!("{share:.2}")),
        );
    }
}

/// Records the hook once per project.
fn harvest(session: &Session, hook: &str, job: &JobContext) -> Result<String> {
    let name = hook.replace('.', "_");
    if !session.root().join("activations").join(&name).exists() {
        let request = HarvestRequest {
            name: name.clone(),
            model: "phantom-vlm".to_owned(),
            dataset: "films".to_owned(),
            hook: hook
                .parse()
                .map_err(|error| EngineError::request(format!("{hook}: {error}")))?,
            positions: "image".to_owned(),
            limit: None,
            pool: 1,
        };
        session.harvest(&request, job)?;
    }
    Ok(name)
}

/// The setting that L0 falls with, where the variant has no k.
fn penalty(config: &mut SaeConfig) -> Option<&mut f32> {
    match config.variant {
        SaeVariant::Relu | SaeVariant::Gated => Some(&mut config.l1),
        SaeVariant::JumpRelu => Some(&mut config.sparsity_penalty),
        _ => None,
    }
}

/// A dictionary that was trained.
struct Trained {
    name: String,
    config: SaeConfig,
    l0: f64,
    seconds: f64,
}

fn train(
    session: &Session,
    harvest: &str,
    settings: &str,
    config: &SaeConfig,
    job: &JobContext,
) -> Result<Trained> {
    let mut config = config.clone();
    let tag = penalty(&mut config).map_or(String::new(), |penalty| format!("-{penalty:.4}"));
    let name = format!("{harvest}-{settings}{}", tag.replace('.', "_"));
    let began = Instant::now();
    let l0 = if session.root().join("saes").join(&name).exists() {
        session.evaluate_sae(&quick(&name), job)?.evaluation.all.l0
    } else {
        session.train_sae(&name, harvest, &config, job)?.all.l0
    };
    let seconds = began.elapsed().as_secs_f64();
    println!("  {name}: L0 {l0:.2} in {seconds:.0} s");
    Ok(Trained {
        name,
        config,
        l0,
        seconds,
    })
}

fn quick(name: &str) -> EvaluateRequest {
    EvaluateRequest {
        loss_samples: 0,
        ..EvaluateRequest::of(name)
    }
}

/// Trains until L0 is near `wanted`: the penalty by secants in logarithms, kept between what was
/// too dense and what was too sparse.
fn train_near(
    session: &Session,
    harvest: &str,
    (settings, config): (&str, &SaeConfig),
    wanted: f64,
    job: &JobContext,
) -> Result<Trained> {
    let mut config = config.clone();
    // Logarithms of penalty and L0, too dense and too sparse.
    let (mut dense, mut sparse): (Option<[f64; 2]>, Option<[f64; 2]>) = (None, None);
    let mut best: Option<Trained> = None;
    for _ in 0..MAX_TRIES {
        let trained = train(session, harvest, settings, &config, job)?;
        let l0 = trained.l0.max(1e-3);
        let off = |l0: f64| (l0 / wanted - 1.0).abs();
        if best.as_ref().is_none_or(|best| off(l0) < off(best.l0)) {
            best = Some(trained);
        }
        let Some(penalty) = penalty(&mut config).filter(|_| off(l0) > NEAR) else {
            break;
        };
        let here = [f64::from(*penalty).ln(), l0.ln()];
        if l0 > wanted {
            dense = Some(here);
        } else {
            sparse = Some(here);
        }
        let next = match (dense, sparse) {
            (Some(a), Some(b)) if (a[1] - b[1]).abs() > 1e-9 => {
                let share = ((wanted.ln() - a[1]) / (b[1] - a[1])).clamp(0.1, 0.9);
                a[0] + share * (b[0] - a[0])
            }
            (Some(a), _) => a[0] + 3_f64.ln(),
            (_, Some(b)) => b[0] - 3_f64.ln(),
            (None, None) => break,
        };
        *penalty = next.exp() as f32;
    }
    best.ok_or_else(|| EngineError::other("nothing was trained"))
}

fn row(report: &EvaluationReport, trained: &Trained, own: usize) -> String {
    let cell = |id: &str| {
        report.metric(id).map_or("-".to_owned(), |metric| {
            let interval = metric.interval.map_or(String::new(), |[low, high]| {
                format!(" [{low:.2}, {high:.2}]")
            });
            format!("{:.3}{interval}", metric.value)
        })
    };
    let mut config = trained.config.clone();
    format!(
        "| {:?} | {} | {:.1} | {:.3} ({:.3}) | {} | {own} | {} | {} ({}) | {} | {:.3} | {:.0} |",
        trained.config.variant,
        penalty(&mut config).map_or("-".to_owned(), |penalty| format!("{penalty:.3}")),
        trained.l0,
        report.evaluation.all.fvu,
        report.evaluation.random.fvu,
        cell("planted_recovered"),
        cell("planted_f1"),
        cell("absorption"),
        report
            .metric("absorption")
            .and_then(|metric| metric.random_dictionary)
            .map_or("-".to_owned(), |value| format!("{value:.3}")),
        cell("splitting"),
        report.evaluation.all.dead_share,
        trained.seconds
    )
}

fn project(model: &str, work: &str, seed: u64, job: &JobContext) -> Result<Session> {
    let root = Path::new(work).join(format!("seed{seed}"));
    if Session::is_project(&root) {
        return Session::open(&root);
    }
    let session = Session::create(&root)?;
    let request = ImportRequest::PhantomRadiographs {
        name: "films".to_owned(),
        count: N_FILMS,
        seed,
    };
    session.import(&request, job)?;
    session.add_model("phantom-vlm", Path::new(model), None)?;
    Ok(session)
}

fn settings(path: &Path, seed: u64) -> Result<SaeConfig> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
    let base = SaeConfig {
        seed,
        ..SaeConfig::default()
    };
    engine::sae_config_from_toml(&text, &base)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ([model, work, hooks, files, seeds], wanted) = match arguments.as_slice() {
        [a, b, c, d, e] => ([a, b, c, d, e], None),
        [a, b, c, d, e, l0] => ([a, b, c, d, e], Some(l0)),
        _ => {
            return Err(EngineError::request(
                "expected MODEL WORK_FOLDER HOOKS SETTINGS SEEDS [L0]",
            ));
        }
    };
    let number = |text: &str| -> Result<f64> {
        text.parse()
            .map_err(|error| EngineError::request(format!("{text}: {error}")))
    };
    let wanted = wanted.map(|l0| number(l0)).transpose()?;
    let job = JobContext::silent();
    for seed in seeds.split(',') {
        let seed = number(seed)? as u64;
        let session = project(model, work, seed, &job)?;
        for hook in hooks.split(',') {
            let harvest = harvest(&session, hook, &job)?;
            for path in files.split(',').map(PathBuf::from) {
                let config = settings(&path, seed)?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                let trained = match wanted {
                    Some(l0) => train_near(&session, &harvest, (&name, &config), l0, &job)?,
                    None => train(&session, &harvest, &name, &config, &job)?,
                };
                let report = session.evaluate_sae(&quick(&trained.name), &job)?;
                let findings = session.recover_findings(&trained.name, seed ^ FRESH, &job)?;
                let own = findings.values().filter(|it| it.has_own_feature()).count();
                println!("seed {seed} {hook} {}", row(&report, &trained, own));
                print(&findings);
            }
        }
    }
    Ok(())
}
