//! Measures what adding and ablating the features of planted findings does to the reports of a
//! demo project's model, for docs/steering.md.
//!
//! `cargo run --release -p engine --example measure_steering -- PROJECT DICTIONARY N_FILMS SEED`
#![expect(
    clippy::print_stdout,
    reason = "the figures are what this example is for"
)]

use std::path::Path;

use engine::{EngineError, JobContext, Result, Session};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, dictionary, n_films, seed] = arguments.as_slice() else {
        return Err(EngineError::request(
            "expected PROJECT DICTIONARY N_FILMS SEED",
        ));
    };
    let number = |text: &String| -> Result<u64> {
        text.parse()
            .map_err(|error| EngineError::request(format!("{text}: {error}")))
    };
    let (n_films, seed) = (number(n_films)? as usize, number(seed)?);
    let job = JobContext::silent();
    let session = Session::open(Path::new(project))?;
    let found = session.recover_findings(dictionary, seed ^ 0xf4e5, &job)?;
    let effects = session.steering_effects(dictionary, &found, (n_films, seed), &job)?;
    println!(
        "| finding | feature | F1 | films without | gained | random | others changed | random | \
         films that state it | lost | random |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (name, effect) in effects {
        println!(
            "| {name} | {} | {:.2} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {:.2} | {:.2} |",
            effect.feature,
            found.get(&name).map_or(0.0, |found| found.best_f1),
            effect.films,
            effect.gained,
            effect.random_gained,
            effect.others_changed,
            effect.random_others_changed,
            effect.stated_films,
            effect.lost,
            effect.random_lost
        );
    }
    Ok(())
}
