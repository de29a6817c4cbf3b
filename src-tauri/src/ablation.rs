//! `ablate` and `debias`: features changed for all users of a recommender.

use std::fmt::Write as _;

use engine::views::{
    AblationRequest, AblationView, Bias, ConceptItems, ControlEffect, DebiasRequest, DebiasView,
    ListFigures,
};
use engine::{EngineError, JobContext, Result, Session};
use schema::{Split, SteeringMode, signed};
use serde_json::json;

use crate::arguments::{AblateArguments, DebiasArguments, Mode};
use crate::text::Answer;

/// The mode as the engine calls it.
pub(crate) fn steering_mode(mode: Mode) -> SteeringMode {
    match mode {
        Mode::Add => SteeringMode::Add,
        Mode::Clamp => SteeringMode::Clamp,
        Mode::Ablate => SteeringMode::Ablate,
        Mode::Scale => SteeringMode::Scale,
    }
}

/// The part of a dataset that is ranked.
pub(crate) fn ranked_split(name: &str) -> Result<Split> {
    match name {
        "dev" => Ok(Split::Dev),
        "test" => Ok(Split::Test),
        other => Err(EngineError::request(format!(
            "\"{other}\" is no part to evaluate on; expected dev or test"
        ))),
    }
}

/// Changes features and measures what comes of it.
pub(crate) fn ablate(
    arguments: &AblateArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let mode = steering_mode(arguments.mode);
    let edits = arguments
        .features
        .iter()
        .map(|text| match (text.contains('='), mode) {
            // A feature alone is ablated, which has no strength.
            (false, SteeringMode::Ablate) => engine::parse_edit(&format!("{text}=0"), mode),
            _ => engine::parse_edit(text, mode),
        })
        .collect::<Result<Vec<_>>>()?;
    let request = AblationRequest {
        sae: arguments.sae.clone(),
        edits,
        dataset: arguments.dataset.clone(),
        split: ranked_split(&arguments.split)?,
        items: match &arguments.category {
            Some(name) => ConceptItems::Category(name.clone()),
            None if arguments.items.is_empty() => ConceptItems::Promoted(arguments.promoted),
            None => ConceptItems::Items(arguments.items.clone()),
        },
        n_controls: arguments.controls,
        n_examples: arguments.examples,
        seed: arguments.seed,
    };
    let view = session.ablate(&request, job)?;
    let lines = ablation_lines(&view);
    Ok(Answer::new(json!(view), lines))
}

/// Sweeps the strength of the features that carry a bias.
pub(crate) fn debias(
    arguments: &DebiasArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let request = DebiasRequest {
        sae: arguments.sae.clone(),
        bias: match &arguments.category {
            Some(name) => Bias::Category(name.clone()),
            None => Bias::Popularity,
        },
        n_features: arguments.features,
        strengths: arguments.strengths.clone(),
        dataset: arguments.dataset.clone(),
        n_controls: arguments.controls,
        seed: arguments.seed,
    };
    let view = session.debias(&request, job)?;
    let mut lines = debias_lines(&view);
    if let (Some(folder), Some(strength)) = (&arguments.out, arguments.strength) {
        let features: Vec<u32> = view.features.iter().map(|one| one.feature).collect();
        session.export_steered(&arguments.sae, &features, strength, folder)?;
        writeln!(
            lines,
            "Wrote the recommender, its dictionary and steering.toml to {}",
            folder.display()
        )
        .ok();
    }
    Ok(Answer::new(json!(view), lines))
}

/// A relative change, or `nothing` where there was nothing to change.
fn percent_or(change: Option<&engine::WithInterval>, nothing: &str) -> String {
    change.map_or_else(|| nothing.to_owned(), percent)
}

/// What is said where the concept's items held no place before.
const NO_PLACE: &str = "held no place before";
/// What is said where no held-out item was in the first ten before.
const NO_HIT: &str = "no hit before";

fn percent(change: &engine::WithInterval) -> String {
    let value = 100.0 * change.value;
    match change.interval {
        Some([low, high]) => format!(
            "{} % [{}, {}]",
            signed(value, 1),
            signed(100.0 * low, 1),
            signed(100.0 * high, 1)
        ),
        None => format!("{} %", signed(value, 1)),
    }
}

fn figures_line(name: &str, figures: &ListFigures) -> String {
    format!(
        "{name:<12}{:>9.4}{:>9.4}{:>9.4}{:>10.1}{:>10.4}{:>8.4}{:>12.4}\n",
        figures.hr_10,
        figures.ndcg_10,
        figures.share,
        figures.mean_rank,
        figures.coverage,
        figures.gini,
        figures.popularity
    )
}

const HEADER: &str =
    "               HR@10  NDCG@10    share mean rank  coverage    Gini  popularity\n";

/// Users, and their held-out items where these are more.
fn who(n_users: u32, n_cases: u32) -> String {
    if n_users == n_cases {
        return format!("{n_users} users");
    }
    format!("{n_users} users with {n_cases} held-out items")
}

/// The mean over random sets, of which no mean rank is measured.
fn controls_line(controls: &ControlEffect) -> String {
    format!(
        "{:<12}{:>9.4}{:>9.4}{:>9.4}{:>10}{:>10.4}{:>8.4}{:>12.4}\n",
        "random",
        controls.hr_10,
        controls.ndcg_10,
        controls.share,
        "-",
        controls.exposure.coverage,
        controls.exposure.gini,
        controls.exposure.popularity
    )
}

fn ablation_lines(view: &AblationView) -> String {
    let mut lines = format!(
        "{}, {} of the users changed\n{HEADER}",
        who(view.n_users, view.n_cases),
        view.n_changed
    );
    lines.push_str(&figures_line("before", &view.before));
    lines.push_str(&figures_line("after", &view.after));
    if let Some(controls) = &view.controls {
        lines.push_str(&controls_line(controls));
    }
    let changes = |share: Option<&engine::WithInterval>, ndcg: Option<&engine::WithInterval>| {
        (percent_or(share, NO_PLACE), percent_or(ndcg, NO_HIT))
    };
    let (share, ndcg) = changes(view.share_change.as_ref(), view.ndcg_change.as_ref());
    writeln!(
        lines,
        "share of the concept's items in the first ten: {share}\nNDCG@10: {ndcg}"
    )
    .ok();
    if let Some(controls) = &view.controls {
        let (share, ndcg) = changes(
            controls.share_change.as_ref(),
            controls.ndcg_change.as_ref(),
        );
        writeln!(
            lines,
            "{} random sets of features of like density: share {share}, NDCG@10 {ndcg}",
            controls.n
        )
        .ok();
    }
    for group in &view.groups {
        writeln!(
            lines,
            "  {}: {}, HR@10 {:.4} to {:.4}, NDCG@10 {:.4} to {:.4}, share {:.4} to {:.4}",
            group.group,
            who(group.n_users, group.n_cases),
            group.hr_10[0],
            group.hr_10[1],
            group.ndcg_10[0],
            group.ndcg_10[1],
            group.share[0],
            group.share[1]
        )
        .ok();
    }
    let titles: Vec<&str> = view.items.iter().map(|item| item.title.as_str()).collect();
    writeln!(lines, "items: {}", titles.join("; ")).ok();
    lines
}

fn debias_lines(view: &DebiasView) -> String {
    let features: Vec<String> = view
        .features
        .iter()
        .map(|one| format!("{} ({})", one.feature, signed(one.effect, 4)))
        .collect();
    let mut lines = format!("features, and what each adds: {}\n", features.join(", "));
    for (name, of) in [("dev", 0), ("test", 1), ("random, dev", 2)] {
        writeln!(lines, "{name}").ok();
        lines.push_str(HEADER);
        for point in &view.points {
            let figures = match of {
                0 => Some(&point.dev),
                1 => Some(&point.test),
                _ => point.control.as_ref(),
            };
            if let Some(figures) = figures {
                lines.push_str(&figures_line(&format!("x {}", point.strength), figures));
            }
        }
    }
    lines
}
