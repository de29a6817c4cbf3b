//! `model run`: hands the arguments to the engine and prints what it gave.
#![expect(
    clippy::format_push_string,
    reason = "lines for a terminal, not a hot loop"
)]

use engine::{
    EngineError, JobContext, RankAnswer, RankRequest, RecommenderFile, Result, RunAnswer,
    RunRequest, Session, StudyRequest,
};
use serde_json::json;

use crate::arguments::{RecommenderArguments, RunArguments};
use crate::text::Answer;

/// Runs a model once.
pub(crate) fn run(
    arguments: &RunArguments,
    session: Option<&Session>,
    job: &JobContext,
) -> Result<Answer> {
    let here = session.is_none() && !std::path::Path::new(&arguments.model).exists();
    let current = std::env::current_dir().unwrap_or_default();
    let opened = (here && Session::is_project(&current))
        .then(|| crate::opening::open_reading(&current))
        .transpose()?;
    let session = session.or(opened.as_ref());
    if arguments.histories.is_some() || arguments.users.is_some() {
        return rank(arguments, session);
    }
    if arguments.sae.is_some() || arguments.mask_history {
        return Err(EngineError::request(
            "--sae and --mask-history are for a recommender, which reads --histories FILE.json or \
             --users FILE.json",
        ));
    }
    let request = RunRequest {
        model: arguments.model.clone(),
        images: arguments.images.clone(),
        prompt: arguments.prompt.clone(),
        input_ids: arguments.input_ids.clone(),
        pixel_values: arguments.pixel_values.clone(),
        study: StudyRequest {
            task: arguments.task.clone(),
            lateral: arguments.lateral.clone(),
            prior: arguments.prior.clone(),
            indication: arguments.indication.clone(),
            technique: arguments.technique.clone(),
            comparison: arguments.comparison.clone(),
            prior_report: arguments.prior_report.clone(),
        },
        max_new_tokens: arguments.max_new_tokens,
        ignore_eos: arguments.ignore_eos,
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        seed: arguments.seed,
        steer: arguments.steer.clone(),
        dump: arguments.dump.clone(),
        hooks: arguments.hooks.clone(),
        dump_generated_logits: arguments.dump_generated_logits,
        weights: arguments.weights.clone(),
    };
    let answer = engine::run_model(session, &request, job)?;
    let lines = lines(&answer);
    Ok(Answer::new(json!(answer), lines))
}

/// What the user says of a recommender's file.
pub(crate) fn recommender_file(arguments: &RecommenderArguments) -> RecommenderFile {
    RecommenderFile {
        arch: arguments.arch.clone(),
        heads: arguments.heads,
        layers: arguments.layers,
        history_max: arguments.history_max,
        interactions: arguments.interactions.clone(),
    }
}

/// Runs a recommender once.
fn rank(arguments: &RunArguments, session: Option<&Session>) -> Result<Answer> {
    let request = RankRequest {
        model: arguments.model.clone(),
        file: recommender_file(&arguments.recommender),
        histories: arguments.histories.clone(),
        users: arguments.users.clone(),
        sae: arguments.sae.clone(),
        k: arguments.k,
        steer: arguments.steer.clone(),
        mask_history: arguments.mask_history,
        dump: arguments.dump.clone(),
        hooks: arguments.hooks.clone(),
    };
    let answer = engine::run_recommender(session, &request)?;
    let lines = ranked_lines(&answer);
    Ok(Answer::new(json!(answer), lines))
}

/// The best items of each entry, a line each.
fn ranked_lines(answer: &RankAnswer) -> String {
    let mut lines = String::new();
    for (at, items) in answer.top_items.iter().enumerate() {
        let list = |items: &[u32]| -> String {
            let ids: Vec<String> = items.iter().map(ToString::to_string).collect();
            ids.join(" ")
        };
        lines += &format!("{at}: {}\n", list(items));
        if let Some(items) = answer.top_items_reconstructed.get(at) {
            lines += &format!("{at}, reconstructed: {}\n", list(items));
        }
    }
    lines
}

/// What a reader wants of it.
fn lines(answer: &RunAnswer) -> String {
    let mut lines = String::new();
    if answer.sentences.is_empty() {
        if !answer.text.is_empty() {
            lines.push_str(answer.text.trim());
            lines.push('\n');
        }
    } else {
        for sentence in &answer.sentences {
            lines.push_str(&sentence.text);
            for corners in &sentence.boxes {
                let numbers = corners.map(|corner| format!("{corner:.3}"));
                lines += &format!("  [{}]", numbers.join(", "));
            }
            lines.push('\n');
        }
    }
    for warning in &answer.warnings {
        lines += &format!("Note: {warning}\n");
    }
    for (name, shape) in &answer.dumped {
        lines += &format!("{name} {shape:?}\n");
    }
    let ended = match answer.ended {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    lines += &format!(
        "{} positions read, {} tokens written{ended} on {} in {:.2} s (loaded in {:.2} s)\n",
        answer.n_prompt,
        answer.generated_ids.len(),
        answer.device,
        answer.run_seconds,
        answer.load_seconds
    );
    lines
}
