//! Measures how text features of phantom findings are traced to the film, for docs/heatmaps.md.
//!
//! `cargo run --release -p engine --example measure_traces -- MODEL WORK_FOLDER HOOKS N_FILMS SEED`
#![expect(
    clippy::print_stdout,
    reason = "the figures are what this example is for"
)]

use std::path::Path;

use engine::views::ImportRequest;
use engine::{EngineError, HarvestRequest, JobContext, Result, Session, TraceScore};
use schema::SaeConfig;

/// Films that the dictionaries are trained on.
const FILMS: u32 = 1200;

fn session_in(model: &Path, root: &Path, seed: u64, job: &JobContext) -> Result<Session> {
    if Session::is_project(root) {
        return Session::open(root);
    }
    let session = Session::create(root)?;
    let request = ImportRequest::PhantomRadiographs {
        name: "films".to_owned(),
        count: FILMS,
        seed,
    };
    session.import(&request, job)?;
    session.add_model("phantom-vlm", model, None)?;
    Ok(session)
}

fn line(name: &str, score: &TraceScore) -> String {
    let shares = |of: &engine::InsideShares| {
        let order = ["gradient × input", "attention rollout", "occlusion"];
        order
            .map(|method| format!("{:.2}", of.get(method).copied().unwrap_or(0.0)))
            .join(" | ")
    };
    format!(
        "| {name} | {} | {:.2} | {} | {} | {} | {} |",
        score.feature,
        score.f1,
        score.films,
        shares(&score.own),
        shares(&score.random_feature),
        shares(&score.shuffled_image)
    )
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, work, hooks, n_films, seed] = arguments.as_slice() else {
        return Err(EngineError::request(
            "expected MODEL WORK_FOLDER HOOKS N_FILMS SEED",
        ));
    };
    let number = |text: &String| -> Result<u64> {
        text.parse()
            .map_err(|error| EngineError::request(format!("{text}: {error}")))
    };
    let (n_films, seed) = (number(n_films)? as usize, number(seed)?);
    let job = JobContext::silent();
    let session = session_in(Path::new(model), Path::new(work), seed, &job)?;
    for hook in hooks.split(',') {
        let hook: schema::HookPoint = hook
            .parse()
            .map_err(|error: schema::UnknownHookPoint| EngineError::request(error.to_string()))?;
        let name = format!("text-{}", hook.to_string().replace('.', "-"));
        if !session.root().join("saes").join(&name).exists() {
            session.harvest(
                &HarvestRequest {
                    name: name.clone(),
                    model: "phantom-vlm".to_owned(),
                    dataset: "films".to_owned(),
                    hook,
                    positions: "report".to_owned(),
                    limit: None,
                    pool: 1,
                },
                &job,
            )?;
            let settings = SaeConfig {
                n_features: 256,
                k: 8,
                steps: 2_000,
                seed,
                ..SaeConfig::default()
            };
            session.train_sae(&name, &name, &settings, &job)?;
            session.build_feature_index(&name, &job)?;
        }
        println!("\n{hook}\n");
        println!(
            "| finding | feature | F1 | films | own: gradient × input | rollout | occlusion | \
             random: gradient × input | rollout | occlusion | other film: gradient × input | \
             rollout | occlusion |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        for (name, score) in session.measure_traces(&name, n_films, seed, &job)? {
            println!("{}", line(&name, &score));
        }
    }
    Ok(())
}
