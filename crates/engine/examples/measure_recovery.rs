//! Measures how many planted findings get a feature of their own, for one phantom model, over hook
//! points, dictionary settings and seeds.
//!
//! `measure_recovery MODEL WORK_FOLDER HOOK[,HOOK…] SETTINGS.toml[,…] SEED[,SEED…]`
//!
//! A settings file has the keys of `sae train --config`; what it does not name is the default.
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::demo::{FRESH, N_FILMS};
use engine::views::ImportRequest;
use engine::{
    ConceptRecovery, EngineError, EvaluateRequest, HarvestRequest, JobContext, Result, Session,
};
use schema::SaeConfig;

fn once(done: bool, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if done { Ok(()) } else { work() }
}

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

fn measure(
    session: &Session,
    seed: u64,
    hook: &str,
    (settings_name, settings): (&str, &SaeConfig),
) -> Result<()> {
    let job = JobContext::silent();
    let harvest = hook.replace('.', "_");
    let finished = |folder: &str, name: &str| session.root().join(folder).join(name).exists();
    once(finished("activations", &harvest), || {
        let request = HarvestRequest {
            name: harvest.clone(),
            model: "phantom-vlm".to_owned(),
            dataset: "films".to_owned(),
            hook: hook
                .parse()
                .map_err(|error| EngineError::request(format!("{hook}: {error}")))?,
            positions: "image".to_owned(),
            limit: None,
            pool: 1,
        };
        session.harvest(&request, &job).map(drop)
    })?;
    let name = format!("{harvest}-{settings_name}");
    let began = Instant::now();
    once(finished("saes", &name), || {
        session.train_sae(&name, &harvest, settings, &job).map(drop)
    })?;
    let seconds = began.elapsed().as_secs_f32();
    let evaluation = session
        .evaluate_sae(&EvaluateRequest::of(&name), &job)?
        .evaluation;
    let findings = session.recover_findings(&name, seed ^ FRESH, &job)?;
    let own = findings.values().filter(|it| it.has_own_feature()).count();
    let good = findings.values().filter(|it| it.best_f1 >= 0.8).count();
    println!(
        "seed {seed} {hook} {settings_name}: {own} of their own, {good} at F1 0.8; fvu {:.3} \
         (random {:.3}) l0 {:.2} dead {:.3} mean f1 {:.3} in {seconds:.0} s",
        evaluation.all.fvu,
        evaluation.random.fvu,
        evaluation.all.l0,
        evaluation.all.dead_share,
        findings.values().map(|it| it.best_f1).sum::<f64>() / findings.len().max(1) as f64
    );
    print(&findings);
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, work, hooks, settings, seeds] = arguments.as_slice() else {
        return Err(EngineError::request(
            "expected MODEL WORK_FOLDER HOOKS SETTINGS SEEDS",
        ));
    };
    let job = JobContext::silent();
    for seed in seeds.split(',') {
        let seed: u64 = seed
            .parse()
            .map_err(|error| EngineError::request(format!("seed {seed}: {error}")))?;
        let root = Path::new(work).join(format!("seed{seed}"));
        let session = if Session::is_project(&root) {
            Session::open(&root)?
        } else {
            let session = Session::create(&root)?;
            let request = ImportRequest::PhantomRadiographs {
                name: "films".to_owned(),
                count: N_FILMS,
                seed,
            };
            session.import(&request, &job)?;
            session.add_model("phantom-vlm", Path::new(model), None)?;
            session
        };
        for hook in hooks.split(',') {
            for path in settings.split(',').map(PathBuf::from) {
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    EngineError::request(format!("{}: {error}", path.display()))
                })?;
                let base = SaeConfig {
                    seed,
                    ..SaeConfig::default()
                };
                let config = engine::sae_config_from_toml(&text, &base)?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                measure(&session, seed, hook, (&name, &config))?;
            }
        }
    }
    Ok(())
}
