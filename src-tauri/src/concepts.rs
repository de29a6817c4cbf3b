//! `explain`: labels proposed, tested, and listed.
#![expect(
    clippy::format_push_string,
    reason = "a few lines of text at the end of a command; clarity counts, not allocations"
)]

use engine::views::{
    ConceptTotalsView, ConceptView, ConceptsView, DistinctItemsView, MeanView, TitleCoherenceView,
};
use engine::{
    CaseChoice, ConceptRequest, EngineError, ExplanationSource, JobContext, LevelRule, Result,
    Session,
};
use serde_json::json;

use crate::arguments::{Cases, ConceptChoices, Conventions, ExplainCommand, LevelsAt, LevelsOf};
use crate::explanations;
use crate::text::Answer;

/// Features listed at the end of a run.
const N_LISTED: usize = 20;

/// Other computers are asked if this command names them; what was allowed in the window does not
/// count here.
fn allow(command: &ExplainCommand, session: &Session) {
    if let ExplainCommand::Propose { choices, .. }
    | ExplainCommand::Score { choices, .. }
    | ExplainCommand::Features { choices, .. }
    | ExplainCommand::Concepts { choices, .. } = command
    {
        session.allow_hosts(&choices.allow_address);
    }
}

/// Runs a command on labels.
pub(crate) fn explain(
    command: &ExplainCommand,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    allow(command, session);
    match command {
        ExplainCommand::Propose { sae, with, choices } => {
            if with == "keywords" && *choices == ConceptChoices::default() {
                let proposed = session.propose_keywords(sae, job)?;
                return Ok(Answer::new(
                    json!({ "sae": sae, "proposed": proposed }),
                    format!("Proposed labels for {proposed} features of {sae}\n"),
                ));
            }
            if !session.reads_user_vectors(sae)? {
                return explanations::propose((sae, with), choices, session, job);
            }
            let request = ConceptRequest {
                explain: ExplanationSource::parse(with)?,
                judge: None,
                ..request(sae, choices)
            };
            let view = session.concepts(&request, job)?;
            let proposed = view.concepts.iter();
            let proposed = proposed.filter(|one| !one.explanation.is_empty()).count();
            let mut answer = shown(&view, N_LISTED);
            answer.json["proposed"] = json!(proposed);
            Ok(answer)
        }
        ExplainCommand::Score {
            sae,
            method,
            judge,
            choices,
        } => {
            if !session.reads_user_vectors(sae)? {
                return explanations::score((sae, judge), method, choices, session, job);
            }
            if let Some(other) = method.iter().find(|method| *method != "confidence") {
                return Err(EngineError::request(format!(
                    "\"{other}\" scores no labels of {sae}, which reads user vectors; expected \
                     confidence"
                )));
            }
            let request = ConceptRequest {
                explain: ExplanationSource::Stored,
                judge: Some(ExplanationSource::parse(judge)?),
                ..request(sae, choices)
            };
            Ok(shown(&session.concepts(&request, job)?, N_LISTED))
        }
        ExplainCommand::Features {
            sae,
            with,
            judge,
            method,
            choices,
        } => {
            let judge = judge.as_ref().unwrap_or(with);
            explanations::features((sae, with, judge), method, choices, session, job)
        }
        ExplainCommand::Prompts => explanations::prompts(session),
        ExplainCommand::Concepts {
            sae,
            with,
            judge,
            choices,
        } => {
            let judge = judge.as_ref().unwrap_or(with);
            let request = ConceptRequest {
                explain: ExplanationSource::parse(with)?,
                judge: Some(ExplanationSource::parse(judge)?),
                ..request(sae, choices)
            };
            Ok(shown(&session.concepts(&request, job)?, N_LISTED))
        }
        ExplainCommand::Import(arguments) => crate::packet::import_explanations(arguments, session),
        ExplainCommand::List => list(session),
        ExplainCommand::Show { name, rows } => show(session, name, *rows),
    }
}

fn list(session: &Session) -> Result<Answer> {
    let runs: Vec<String> = session
        .concept_runs()?
        .into_iter()
        .chain(session.explanation_runs()?)
        .collect();
    let lines = if runs.is_empty() {
        "no run of explanations yet; explain features makes one\n".to_owned()
    } else {
        runs.join("\n") + "\n"
    };
    Ok(Answer::new(json!({ "runs": runs }), lines))
}

fn show(session: &Session, name: &str, rows: usize) -> Result<Answer> {
    let (concepts, features) = (session.concept_runs()?, session.explanation_runs()?);
    if features.iter().any(|run| run == name) {
        return explanations::shown(session, &session.explanations_run(name)?, rows);
    }
    if concepts.iter().any(|run| run == name) {
        return Ok(shown(&session.concepts_of(name)?, rows));
    }
    let known: Vec<String> = concepts.into_iter().chain(features).collect();
    Err(EngineError::request(if known.is_empty() {
        format!("there is no run \"{name}\", nor any other; explain features makes one")
    } else {
        format!("there is no run \"{name}\"; there are {}", known.join(", "))
    }))
}

/// The conventions, with what was chosen otherwise.
fn request(sae: &str, choices: &ConceptChoices) -> ConceptRequest {
    let ours = match choices.conventions {
        Some(Conventions::Recsae) => ConceptRequest::recsae(sae),
        Some(Conventions::Own) | None => ConceptRequest::new(sae),
    };
    ConceptRequest {
        name: choices.name.clone().unwrap_or_default(),
        features: choices.features.clone(),
        limit: choices.limit,
        cases: choices.cases.map_or(ours.cases, |cases| match cases {
            Cases::Apart => CaseChoice::Apart,
            Cases::Recsae => CaseChoice::RecSae,
        }),
        most: choices.most.unwrap_or(ours.most),
        levels: choices.levels.map_or(ours.levels, |levels| match levels {
            LevelsOf::Pooled => LevelRule::Pooled,
            LevelsOf::PerFeature => LevelRule::PerFeature,
        }),
        history_levels: choices
            .levels_at
            .map_or(ours.history_levels, |at| at == LevelsAt::Every),
        temperature: choices.temperature.unwrap_or(ours.temperature),
        top_p: choices.top_p.unwrap_or(ours.top_p),
        seed: choices.seed.unwrap_or(ours.seed),
        has_baselines: !choices.no_baselines,
        published: choices.published.clone(),
        ..ours
    }
}

fn shown(view: &ConceptsView, n_listed: usize) -> Answer {
    let settings = &view.settings;
    let judged = settings.judged_by.as_deref().unwrap_or("nobody");
    let mut lines = format!(
        "{}: features of {} explained by {}, judged by {judged}; cases {}, levels {}\n\
         {} test rows of {}; {} of {} features have cases\n",
        view.name,
        view.sae,
        settings.explained_by,
        settings.cases,
        settings.levels,
        view.n_rows,
        view.dataset,
        view.n_with_cases,
        view.n_features
    );
    if settings.judged_by.is_some() {
        lines += &totals(view);
    }
    lines += &yardstick(view);
    lines += &listed(view, n_listed);
    for note in &view.notes {
        lines += &format!("Note: {note}\n");
    }
    Answer::new(json!(view), lines)
}

fn totals(view: &ConceptsView) -> String {
    let mut lines = format!(
        "\n{:<24} {:>9} {:>22} {:>22} {:>22} {:>4} {:>6} {:>6} {:>6} {:>6} {:>9} {:>11}\n",
        "",
        "explained",
        "recall",
        "specificity",
        "confidence",
        "= 1",
        ">= 0.9",
        "> 0.8",
        ">= 0.8",
        "sure",
        "unparsed",
        "item cosine"
    );
    let rows = [
        ("Dictionary", Some(&view.totals)),
        ("Random dictionary", view.random_dictionary.as_ref()),
        ("Raw dimensions", view.raw_dimensions.as_ref()),
        ("Swapped explanations", view.shuffled.as_ref()),
    ];
    for (name, totals) in rows {
        if let Some(totals) = totals {
            lines += &totals_line(name, totals);
        }
    }
    lines
}

fn totals_line(name: &str, totals: &ConceptTotalsView) -> String {
    let mean = |mean: Option<MeanView>| match mean {
        Some(MeanView {
            value,
            interval: Some([low, high]),
        }) => format!("{value:.3} ({low:.3}-{high:.3})"),
        Some(MeanView { value, .. }) => format!("{value:.3}"),
        None => "-".to_owned(),
    };
    let explained = format!("{}/{}", totals.n_scored, totals.n_chosen);
    let cosine = totals
        .item_cosine
        .map_or_else(|| "-".to_owned(), |(value, _)| format!("{value:.3}"));
    format!(
        "{name:<24} {explained:>9} {:>22} {:>22} {:>22} {:>4} {:>6} {:>6} {:>6} {:>6} {:>9} {cosine:>11}\n",
        mean(totals.recall),
        mean(totals.specificity),
        mean(totals.confidence),
        totals.n_certain,
        totals.n_at_least_09,
        totals.n_above_08,
        totals.n_interpretable,
        totals.n_above_chance,
        totals.n_unparsed
    )
}

fn yardstick(view: &ConceptsView) -> String {
    let mut lines = format!(
        "\n{:<24} {:>8} {:>30} {:>5} {:>14} {:>14} {:>14} {:>14}\n",
        "Five construction cases",
        "features",
        "distinct items: 1/2/3/4/5",
        "mean",
        "titles alike",
        "no repeats",
        "dealt",
        "no repeats"
    );
    let stick = &view.yardstick;
    let rows = [
        (
            "Dictionary",
            Some(&stick.own_items),
            stick.own_titles.as_ref(),
        ),
        (
            "Random dictionary",
            Some(&stick.random_items),
            stick.random_titles.as_ref(),
        ),
        (
            "Published",
            stick.published_items.as_ref(),
            stick.published_titles.as_ref(),
        ),
    ];
    for (name, items, titles) in rows {
        if let Some(items) = items {
            lines += &yardstick_line(name, items, titles);
        }
    }
    lines
}

fn yardstick_line(
    name: &str,
    items: &DistinctItemsView,
    titles: Option<&TitleCoherenceView>,
) -> String {
    let counts = items.counts.map(|n| n.to_string()).join("/");
    let part = |of: &dyn Fn(&TitleCoherenceView) -> Option<(f64, usize)>| {
        titles
            .and_then(of)
            .map_or_else(|| "-".to_owned(), |(value, n)| format!("{value:.3} ({n})"))
    };
    format!(
        "{name:<24} {:>8} {counts:>30} {:>5.2} {:>14} {:>14} {:>14} {:>14}\n",
        items.n_features,
        items.mean,
        part(&|titles| titles.all),
        part(&|titles| titles.distinct),
        part(&|titles| titles.shuffled),
        part(&|titles| titles.shuffled_distinct)
    )
}

/// Features with the highest confidence, and what their cases recommend.
fn listed(view: &ConceptsView, n_listed: usize) -> String {
    let mut concepts: Vec<&ConceptView> = view
        .concepts
        .iter()
        .filter(|one| !one.explanation.is_empty())
        .collect();
    let score = |one: &ConceptView| one.confidence.unwrap_or(0.0);
    concepts.sort_by(|a, b| {
        score(b)
            .total_cmp(&score(a))
            .then(b.n_active.cmp(&a.n_active))
    });
    let mut lines = String::new();
    for one in concepts.into_iter().take(n_listed) {
        let share = |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
        let interval = one
            .interval
            .map_or_else(String::new, |[low, high]| format!(" ({low:.2}-{high:.2})"));
        lines += &format!(
            "\n{:>6}  {}\n        confidence {}{interval}, recall {}, specificity {}, swapped {}; \
             active on {} rows\n",
            one.feature,
            one.explanation,
            share(one.confidence),
            share(one.recall),
            share(one.specificity),
            share(one.shuffled),
            one.n_active
        );
        for case in &one.cases {
            let level = case.recommended.level.unwrap_or(0);
            lines += &format!("        {level:>2}  {}\n", case.recommended.title);
        }
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}
