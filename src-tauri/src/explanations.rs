//! `explain` for dictionaries of texts and films: passages, scores, controls.
#![expect(
    clippy::format_push_string,
    reason = "a few lines of text at the end of a command; clarity counts, not allocations"
)]

use engine::views::{
    ExplanationsView, MeanView, PlantedNamesView, ScoreTotalsView, ScoredFeatureView,
};
use engine::{
    BELONGS_FROM, EngineError, ExplainRequest, ExplanationSource, JobContext, Result, ScoreMethod,
    Session,
};
use serde_json::json;

use crate::arguments::ConceptChoices;
use crate::text::Answer;

/// Features listed at the end of a run.
const N_LISTED: usize = 20;

/// Proposes without a test.
pub(crate) fn propose(
    (sae, with): (&str, &str),
    choices: &ConceptChoices,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let request = ExplainRequest {
        explain: ExplanationSource::parse(with)?,
        judge: None,
        ..request(sae, choices)?
    };
    let view = session.explain_features(&request, job)?;
    let mut answer = shown(session, &view, N_LISTED)?;
    answer.json["proposed"] = json!(view.totals.n_explained);
    Ok(answer)
}

/// Tests proposals that are there.
pub(crate) fn score(
    (sae, judge): (&str, &str),
    methods: &[String],
    choices: &ConceptChoices,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let request = ExplainRequest {
        explain: ExplanationSource::Stored,
        judge: Some(ExplanationSource::parse(judge)?),
        methods: parse(methods)?,
        ..request(sae, choices)?
    };
    shown(session, &session.explain_features(&request, job)?, N_LISTED)
}

/// Explains and tests.
pub(crate) fn features(
    (sae, with, judge): (&str, &str, &str),
    methods: &[String],
    choices: &ConceptChoices,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let request = ExplainRequest {
        explain: ExplanationSource::parse(with)?,
        judge: Some(ExplanationSource::parse(judge)?),
        methods: parse(methods)?,
        ..request(sae, choices)?
    };
    shown(session, &session.explain_features(&request, job)?, N_LISTED)
}

/// Writes the prompts into the project.
pub(crate) fn prompts(session: &Session) -> Result<Answer> {
    let written = session.write_prompts()?;
    let mut lines = String::new();
    for (path, is_new) in &written {
        let what = if *is_new {
            "written"
        } else {
            "was there, unchanged"
        };
        lines += &format!("{}: {what}\n", path.display());
    }
    let prompts: Vec<_> = written
        .iter()
        .map(|(path, is_new)| json!({ "path": path, "written": is_new }))
        .collect();
    Ok(Answer::new(json!({ "prompts": prompts }), lines))
}

fn parse(methods: &[String]) -> Result<Vec<ScoreMethod>> {
    if methods.is_empty() {
        return Ok(vec![ScoreMethod::Detection]);
    }
    methods
        .iter()
        .map(|name| ScoreMethod::parse(name))
        .collect()
}

/// The defaults, with what was chosen otherwise.
fn request(sae: &str, choices: &ConceptChoices) -> Result<ExplainRequest> {
    let of_user_vectors = [
        ("--conventions", choices.conventions.is_some()),
        ("--cases", choices.cases.is_some()),
        ("--levels", choices.levels.is_some()),
        ("--levels-at", choices.levels_at.is_some()),
        ("--published", choices.published.is_some()),
    ];
    if let Some((option, _)) = of_user_vectors.iter().find(|(_, is_set)| *is_set) {
        return Err(EngineError::request(format!(
            "{option} is for dictionaries of user vectors, which {sae} is not"
        )));
    }
    let ours = ExplainRequest::new(sae);
    Ok(ExplainRequest {
        name: choices.name.clone().unwrap_or_default(),
        features: choices.features.clone(),
        limit: choices.limit,
        encoder: choices.encoder.clone(),
        baseline_limit: choices.control_limit,
        n_construction: choices.construction.unwrap_or(ours.n_construction),
        most: choices.most.unwrap_or(ours.most),
        temperature: choices.temperature.unwrap_or(ours.temperature),
        top_p: choices.top_p.unwrap_or(ours.top_p),
        seed: choices.seed.unwrap_or(ours.seed),
        has_baselines: !choices.no_baselines,
        ..ours
    })
}

/// A run in words.
///
/// # Errors
/// When what was planted in the run's dataset cannot be read.
pub(crate) fn shown(session: &Session, view: &ExplanationsView, n_listed: usize) -> Result<Answer> {
    let settings = &view.settings;
    let judged = settings.judged_by.as_deref().unwrap_or("nobody");
    let mut lines = format!(
        "{}: features of {} explained by {}, judged by {judged} ({})\n\
         samples of {}; {} of {} live features have passages to explain and to test\n",
        view.name,
        view.sae,
        settings.explained_by,
        settings.methods.join(", "),
        view.dataset,
        view.n_with_cases,
        view.n_live
    );
    if settings.judged_by.is_some() {
        lines += &totals(view);
    }
    let planted = session.planted_names(view)?;
    if let Some(planted) = &planted {
        lines += &planted_lines(planted);
    }
    lines += &listed(view, n_listed);
    for note in &view.notes {
        lines += &format!("Note: {note}\n");
    }
    let mut answer = Answer::new(json!(view), lines);
    if planted.is_some() {
        answer.json["planted"] = json!(planted);
    }
    Ok(answer)
}

/// How many explanations name what was planted, and of which findings.
fn planted_lines(planted: &PlantedNamesView) -> String {
    let share = if planted.n_belonging == 0 {
        String::new()
    } else {
        let share = planted.n_named as f64 / planted.n_belonging as f64;
        let interval = planted.interval.map_or_else(String::new, |[low, high]| {
            format!(" ({low:.2} to {high:.2})")
        });
        format!(", {share:.2}{interval}")
    };
    let named = planted.findings.iter().filter(|one| one.is_named).count();
    let mut lines = format!(
        "\nPlanted findings: {} of {} features that belong to one (F1 from {BELONGS_FROM}) have it named{share}; \
         {named} of {} findings are named by the feature that goes with them best\n",
        planted.n_named, planted.n_belonging, planted.n_findings
    );
    for one in &planted.findings {
        lines += &format!(
            "{:<20} {:>7} {:>6.2} {:<6} {}\n",
            one.finding,
            one.feature,
            one.f1,
            if one.is_named { "named" } else { "" },
            one.explanation
        );
    }
    lines
}

fn mean(mean: Option<MeanView>) -> String {
    match mean {
        Some(MeanView {
            value,
            interval: Some([low, high]),
        }) => format!("{value:.3} ({low:.3}-{high:.3})"),
        Some(MeanView { value, .. }) => schema::rounded(value, 3),
        None => "-".to_owned(),
    }
}

fn totals(view: &ExplanationsView) -> String {
    let mut lines = format!(
        "\n{:<22} {:>9} {:>20} {:>7} {:>11} {:>6} {:>20} {:>10} {:>20} {:>20} {:>20} {:>5} {:>9}\n",
        "",
        "explained",
        "detection",
        "recall",
        "specificity",
        "AUC",
        "swapped",
        "separation",
        "fuzzing",
        "simulation",
        "embedding",
        "sure",
        "unparsed"
    );
    lines += &totals_line("Dictionary", &view.totals);
    for control in &view.controls {
        lines += &totals_line(&control.name, &control.totals);
    }
    lines
}

fn totals_line(name: &str, totals: &ScoreTotalsView) -> String {
    let value = |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let plain = |of: Option<MeanView>| value(of.map(|of| of.value));
    format!(
        "{name:<22} {:>9} {:>20} {:>7} {:>11} {:>6} {:>20} {:>10} {:>20} {:>20} {:>20} {:>5} {:>9}\n",
        format!("{}/{}", totals.n_explained, totals.n_chosen),
        mean(totals.detection),
        plain(totals.recall),
        plain(totals.specificity),
        plain(totals.auc),
        mean(totals.shuffled),
        value(totals.separation),
        mean(totals.fuzzing),
        mean(totals.simulation),
        mean(totals.embedding),
        totals.n_above_chance,
        format!("{}/{}", totals.n_unparsed, totals.n_answers)
    )
}

/// Features with the highest score, and passages that they were explained from.
fn listed(view: &ExplanationsView, n_listed: usize) -> String {
    let score = |one: &ScoredFeatureView| {
        one.detection
            .as_ref()
            .and_then(|score| score.balanced_accuracy)
            .unwrap_or(0.0)
    };
    let mut features: Vec<&ScoredFeatureView> = view
        .features
        .iter()
        .filter(|one| !one.explanation.is_empty())
        .collect();
    features.sort_by(|a, b| {
        score(b)
            .total_cmp(&score(a))
            .then(b.n_active.cmp(&a.n_active))
    });
    let mut lines = String::new();
    for one in features.into_iter().take(n_listed) {
        lines += &format!("\n{:>6}  {}\n", one.feature, one.explanation);
        if let Some(score) = &one.detection {
            let share = |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
            let interval = score
                .interval
                .map_or_else(String::new, |[low, high]| format!(" ({low:.2}-{high:.2})"));
            lines += &format!(
                "        detection {}{interval}, recall {}, specificity {}, swapped {}; active on \
                 {} samples, in {}\n",
                share(score.balanced_accuracy),
                share(score.recall),
                share(score.specificity),
                share(one.shuffled),
                one.n_active,
                one.section
            );
        }
        for passage in one.construction.iter().take(3) {
            let text: String = passage.text.chars().take(110).collect();
            lines += &format!("        {:>6.2}  {text}\n", passage.activation);
        }
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}
