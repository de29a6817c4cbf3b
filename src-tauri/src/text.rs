//! What a command prints: one JSON object, or lines for a person.
#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a few lines of text at the end of a command; clarity counts, not allocations"
)]

use engine::demo::DemoReport;
use engine::views::{
    DatasetView, DictionaryView, ExampleContent, ExampleView, FeatureCard, FeaturePage, FiringView,
    ImportPreview, ItemView, ModelView, RunState, RunView, SampleView, TokenView,
};
use engine::{ConceptRecovery, ConfirmedAssociations, DictionaryEvaluation, RankingReport};
use schema::{HarvestManifest, ReviewState, rounded};
use serde_json::{Value, json};

/// What a command has to say.
pub(crate) struct Answer {
    /// For `--json`.
    pub(crate) json: Value,
    /// For a person.
    pub(crate) lines: String,
    /// Damage was found, or not all was done: exit status 1.
    pub(crate) failed: bool,
}

impl Answer {
    pub(crate) fn new(json: Value, lines: String) -> Self {
        Self {
            json,
            lines,
            failed: false,
        }
    }

    /// Several answers as one, under a key.
    pub(crate) fn joined(key: &str, answers: Vec<Self>) -> Self {
        let lines = answers.iter().map(|answer| answer.lines.as_str()).collect();
        let list: Vec<Value> = answers.into_iter().map(|answer| answer.json).collect();
        Self::new(json!({ key: list }), lines)
    }
}

/// Words joined by commas, or `none`.
pub(crate) fn or_none(words: &[String]) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// The demo's findings.
pub(crate) fn demo(report: &DemoReport) -> Answer {
    let mut lines = format!("{}\n\n", report.sentence());
    for (title, concepts) in [("Findings", &report.findings), ("Tastes", &report.tastes)] {
        lines += &format!(
            "{title:<24} feature     F1  random dictionary  raw dimension  shuffled  prevalence  \
             peak inside\n"
        );
        for (name, recovery) in concepts {
            lines += &concept(name, recovery);
        }
        lines.push('\n');
    }
    lines += "One observed maximum of the feature added to films without the finding, and the feature \
              ablated where the report states it\n";
    lines += "                         feature  gained  random direction  others changed  random direction    lost  random direction\n";
    for (name, effect) in &report.steering {
        lines += &format!(
            "  {name:<22} {:>7}  {:>6}  {:>16}  {:>14}  {:>16}  {:>6}  {:>16}\n",
            effect.feature,
            rounded(effect.gained, 2),
            rounded(effect.random_gained, 2),
            rounded(effect.others_changed, 1),
            rounded(effect.random_others_changed, 1),
            rounded(effect.lost, 2),
            rounded(effect.random_lost, 2)
        );
    }
    lines.push('\n');
    for (name, figures) in &report.dictionaries {
        lines += &format!(
            "Dictionary {name}: FVU {:.3} (random {:.3}), L0 {:.1}, dead {:.1} %, {} features\n",
            figures.fvu,
            figures.random_fvu,
            figures.l0,
            100.0 * figures.dead_share,
            figures.n_features
        );
    }
    lines += "\nSeconds: ";
    let seconds: Vec<String> = report
        .seconds
        .iter()
        .map(|(stage, seconds)| format!("{stage} {seconds:.1}"))
        .collect();
    lines += &(seconds.join(", ") + "\n");
    lines += &format!("\nOpen it with: fluoroscope open {}\n", report.project);
    Answer::new(json!(report), lines)
}

fn concept(name: &str, recovery: &ConceptRecovery) -> String {
    let peak = recovery
        .peak_inside
        .map_or_else(|| "-".to_owned(), |share| format!("{share:.2}"));
    let mark = if recovery.has_own_feature() { "*" } else { " " };
    format!(
        "{mark} {name:<22} {:>7}  {:>5.2}  {:>17.2}  {:>13.2}  {:>8.2}  {:>10.2}  {peak:>11}\n",
        recovery.best_feature,
        recovery.best_f1,
        recovery.random_dictionary_f1,
        recovery.raw_dimension_f1,
        recovery.shuffled_f1,
        recovery.prevalence,
    )
}

/// What an import brought or would bring.
pub(crate) fn import(preview: &ImportPreview, only_preview: bool) -> Answer {
    let verb = if only_preview {
        "Would import"
    } else {
        "Imported"
    };
    let mut lines = format!("{verb} {} samples\n", preview.n_samples);
    for line in &preview.recognised {
        lines += &format!("  {line}\n");
    }
    for line in &preview.warnings {
        lines += &format!("  Note: {line}\n");
    }
    if !preview.skipped.is_empty() {
        lines += &format!("Skipped {}:\n", preview.n_skipped);
        for skipped in &preview.skipped {
            lines += &format!("  {}: {}\n", skipped.place, skipped.reason);
        }
    }
    Answer::new(json!(preview), lines)
}

/// A table of datasets.
pub(crate) fn datasets(views: &[DatasetView]) -> String {
    views
        .iter()
        .map(|view| {
            format!(
                "{}  {:?}  {} samples ({} train, {} dev, {} test) of {} patients or users, from \
                 {}\n",
                view.manifest.name,
                view.manifest.kind,
                view.manifest.n_samples,
                view.n_by_split[0],
                view.n_by_split[1],
                view.n_by_split[2],
                view.n_groups,
                view.manifest.source
            )
        })
        .collect()
}

/// One sample.
pub(crate) fn sample(view: &SampleView) -> String {
    let mut lines = format!("{}  {:?}\n", view.id, view.split);
    if let Some(report) = &view.report {
        lines += &format!("Report: {}\n", report.text());
    }
    if let Some(findings) = &view.findings {
        lines += &format!("Findings: {}\n", or_none(findings));
    }
    for film in &view.further {
        lines += &format!("{}: {}\n", film.title(), film.id);
    }
    for item in &view.items {
        lines += &format!("  {}  {}\n", item.id, item.title);
    }
    lines
}

/// A table of models.
pub(crate) fn models(views: &[ModelView]) -> String {
    views
        .iter()
        .map(|view| {
            format!(
                "{}  {}  {} weights\n  {}\n",
                view.name,
                view.architecture,
                view.n_parameters,
                view.hooks_in_words()
            )
        })
        .collect()
}

/// A table of dictionaries.
pub(crate) fn dictionaries(views: &[DictionaryView]) -> String {
    views
        .iter()
        .map(|view| {
            let live = if view.indexed {
                format!("{} live", view.n_live)
            } else {
                "no gallery yet".to_owned()
            };
            format!(
                "{}  {} features at {} of {}, FVU {:.3}, L0 {:.1}, {}, {} reviewed\n",
                view.name,
                view.n_features,
                view.hook,
                view.model,
                view.fvu,
                view.l0,
                live,
                view.n_reviewed
            )
        })
        .collect()
}

/// Runs that are not trained to their end, and how each goes on.
pub(crate) fn stopped_runs(runs: &[RunView]) -> String {
    runs.iter()
        .map(|run| {
            let steps = run.config.as_ref().map_or(0, |config| config.steps);
            let stand = match run.state {
                RunState::Recording => "its activations are not all recorded".to_owned(),
                _ => format!("not finished, step {} of {steps}", run.steps_done),
            };
            format!(
                "{}  {stand}; goes on with: fluoroscope sae resume {}\n",
                run.name, run.name
            )
        })
        .collect()
}

/// What the project holds.
pub(crate) fn project_info(value: &Value) -> String {
    let count = |key: &str| value[key].as_array().map_or(0, Vec::len);
    format!(
        "{} datasets, {} models, {} dictionaries\n",
        count("datasets"),
        count("models"),
        count("dictionaries")
    )
}

/// Figures by name, one a line.
pub(crate) fn figures(value: &Value) -> String {
    let mut lines = String::new();
    if let Some(map) = value.as_object() {
        for (name, figure) in map {
            match figure {
                Value::Object(one) if one.contains_key("interval") => {
                    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
                    lines += &format!("{name:<10} {:.4}", number(&figure["value"]));
                    if let Some([low, high]) = figure["interval"].as_array().map(Vec::as_slice) {
                        lines += &format!(" [{:.4}, {:.4}]", number(low), number(high));
                    }
                    lines.push('\n');
                }
                Value::Object(_) => lines += &format!("{name}:\n{}", figures(figure)),
                Value::Number(number) => {
                    lines += &format!("{name:<10} {:.4}\n", number.as_f64().unwrap_or(0.0));
                }
                other => lines += &format!("{name:<10} {other}\n"),
            }
        }
    }
    lines
}

/// How many held-out items a ranking was measured on, and of how many users.
pub(crate) fn ranked(report: &RankingReport) -> String {
    let counted = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    format!(
        "{} of {}\n",
        counted(report.n_cases, "held-out item"),
        counted(report.n_users, "user")
    )
}

/// How well a dictionary does.
pub(crate) fn evaluation(name: &str, evaluation: &DictionaryEvaluation) -> Answer {
    let mut lines = format!(
        "Dictionary {name}: FVU {:.4}, L0 {:.2}, dead {:.1} % of {} features, {} rows\n",
        evaluation.all.fvu,
        evaluation.all.l0,
        100.0 * evaluation.all.dead_share,
        evaluation.all.n_features,
        evaluation.all.n_rows
    );
    if let Some(held_out) = &evaluation.held_out {
        lines += &format!(
            "  on held-out samples: FVU {:.4}, L0 {:.2}\n",
            held_out.fvu, held_out.l0
        );
    }
    lines += &format!(
        "  random directions:   FVU {:.4}, L0 {:.2}\n",
        evaluation.random.fvu, evaluation.random.l0
    );
    Answer::new(json!(evaluation), lines)
}

/// One line per card.
pub(crate) fn cards(cards: &[FeatureCard]) -> String {
    cards
        .iter()
        .map(|card| {
            let caption = if card.label.is_empty() {
                &card.proposal
            } else {
                &card.label
            };
            let state = match card.state {
                ReviewState::Unseen if !caption.is_empty() => "Proposed".to_owned(),
                state => format!("{state:?}"),
            };
            format!(
                "{:>6}  density {:.5}  max {:>8.3}  {state}  {caption}\n",
                card.feature, card.density, card.max_activation
            )
        })
        .collect()
}

/// The first of so many features, and how to see the others.
pub(crate) fn first_cards(first: &[FeatureCard], n: usize) -> String {
    let mut lines = cards(first);
    if first.len() < n {
        lines += &format!("{} of {n} features; --count {n} lists all\n", first.len());
    }
    lines
}

/// Everything about one feature.
pub(crate) fn feature(page: &FeaturePage) -> String {
    let mut lines = cards(std::slice::from_ref(&page.card));
    for warning in page.warnings.iter().chain(&page.notes) {
        lines += &format!("  Note: {warning}\n");
    }
    lines += "Top samples:\n";
    for example in page.top.iter().take(10) {
        lines += &format!(
            "  {}  {:.3} at {}\n",
            example.sample_id,
            example.activation,
            place(example)
        );
    }
    if !page.associations.is_empty() {
        lines += "Associations:\n";
    }
    for association in page.associations.iter().take(8) {
        let interval = association
            .auroc_interval
            .map_or_else(String::new, |[low, high]| format!(" [{low:.3}, {high:.3}]"));
        lines += &format!(
            "  {:<28} log odds {:>6} [{}, {}]  AUROC {:.3}{interval}  q {:.2e}\n",
            association.name,
            rounded(f64::from(association.log_odds), 2),
            rounded(f64::from(association.interval[0]), 2),
            rounded(f64::from(association.interval[1]), 2),
            association.auroc,
            association.q
        );
    }
    if let Some(writes) = &page.writes {
        let names = |pairs: &[(String, f32)]| -> String {
            let names: Vec<&str> = pairs.iter().map(|(name, _)| name.trim()).collect();
            names.join(", ")
        };
        lines += &format!("Promotes: {}\n", names(&writes.promoted));
        lines += &format!("Suppresses: {}\n", names(&writes.suppressed));
    }
    for decision in &page.decisions {
        lines += &format!(
            "{}  {:?} by {}: {}\n",
            decision.at, decision.state, decision.reviewer, decision.text
        );
    }
    lines
}

/// Tokens shown on each side of the one that a feature is most active on.
const CONTEXT: usize = 8;

/// Where a feature is most active in an example, in words.
fn place(example: &ExampleView) -> String {
    let number = example.position + 1;
    match &example.content {
        ExampleContent::Film { grid, .. } => {
            let columns = grid.columns.max(1);
            format!(
                "row {} of {}, column {} of {}",
                example.position / columns + 1,
                grid.rows,
                example.position % columns + 1,
                grid.columns
            )
        }
        ExampleContent::History { items } => {
            let strongest = items
                .iter()
                .max_by(|a, b| a.activation.total_cmp(&b.activation));
            let item = strongest.map_or_else(String::new, |item| {
                format!(": {}  ({})", item.title, or_none(&item.categories))
            });
            format!("item {number}{item}")
        }
        ExampleContent::Text { tokens } => {
            let strongest = (0..tokens.len())
                .max_by(|&a, &b| tokens[a].activation.total_cmp(&tokens[b].activation));
            let Some(at) = strongest else {
                return format!("token {number}");
            };
            let join = |part: &[TokenView]| -> String {
                let text: String = part.iter().map(|token| token.text.as_str()).collect();
                text.replace(['\n', '\r'], " ")
            };
            let end = (at + 1 + CONTEXT).min(tokens.len());
            format!(
                "token {number}: {}[{}]{}",
                join(&tokens[at.saturating_sub(CONTEXT)..at]),
                join(&tokens[at..=at]),
                join(&tokens[at + 1..end])
            )
        }
    }
}

/// How well the image tower of a phantom model knows each finding.
pub(crate) fn phantom_training(name: &str, outcome: &Value) -> String {
    let mut lines = format!("Trained {name}\n");
    for score in outcome["dense_scores"].as_array().into_iter().flatten() {
        let figure = |key: &str| {
            score[key]
                .as_f64()
                .map_or_else(|| "-".to_owned(), |figure| format!("{figure:.3}"))
        };
        lines += &format!(
            "  {:<20} AUROC of patches {}, of films {}; F1 of films {}\n",
            score["finding"].as_str().unwrap_or("-"),
            figure("patch_auroc"),
            figure("film_auroc"),
            figure("film_f1")
        );
    }
    lines
}

/// Associations that held on held-out patients.
pub(crate) fn associations(confirmed: &ConfirmedAssociations) -> Answer {
    let mut lines = format!(
        "{} of {} pairs of feature and finding had q < 0.05 on {} training samples; {} of them \
         held on {} held-out samples (q < 0.05, same direction)\n",
        confirmed.n_found,
        confirmed.n_tested,
        confirmed.n_train,
        confirmed.confirmed.len(),
        confirmed.n_held_out
    );
    lines += "Active: stronger than on four fifths of the training samples; view, age and sex are \
              not adjusted for\n";
    if !confirmed.note.is_empty() {
        lines += &format!("{}\n", confirmed.note);
    }
    for pair in &confirmed.confirmed {
        lines += &format!(
            "{:>6}  {:<24} odds {:>7.2} [{:.2}, {:.2}]  AUROC {:.3} (training {:.3})  q {:.1e}\n",
            pair.feature,
            pair.held_out.name,
            pair.held_out.log_odds.exp(),
            pair.held_out.interval[0].exp(),
            pair.held_out.interval[1].exp(),
            pair.held_out.auroc,
            pair.train.auroc,
            pair.held_out.q
        );
    }
    Answer::new(json!(confirmed), lines)
}

/// A ranked list after steering.
pub(crate) fn ranking(
    after: &[ItemView],
    rank_before: &[u32],
    target_rank: Option<[u32; 2]>,
) -> String {
    let mut lines = String::new();
    for (rank, (item, before)) in after.iter().zip(rank_before).enumerate() {
        lines += &format!("{:>3} (was {before:>4})  {}\n", rank + 1, item.title);
    }
    if let Some([before, after]) = target_rank {
        lines += &format!("The held-out item moves from rank {before} to {after}\n");
    }
    lines
}

/// A table of harvests.
pub(crate) fn harvests(harvests: &[HarvestManifest]) -> String {
    harvests
        .iter()
        .map(|one| {
            format!(
                "{}  {} at {} of {}\n",
                one.name, one.dataset, one.hook, one.model
            )
        })
        .collect()
}

/// Features that fire on a sample, strongest first.
pub(crate) fn firing(firing: &[FiringView]) -> String {
    let width = |one: &FiringView| one.place.chars().count();
    let width = firing.iter().map(width).max().unwrap_or(0);
    firing
        .iter()
        .map(|one| {
            format!(
                "{:>6}  {:8.3} at {:<width$}  {}\n",
                one.feature, one.activation, one.place, one.caption
            )
        })
        .collect()
}

/// What a model takes in memory.
pub(crate) fn memory(estimate: &engine::MemoryEstimate) -> String {
    let size = |bytes: u64| match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    };
    format!(
        "{} of {:.1} M weights: {} of weights ({} of them in mapped files, which the system may \
         drop and read again), and {} for a text of {} positions\n",
        estimate.architecture,
        estimate.n_parameters as f64 / 1e6,
        size(estimate.weight_bytes),
        size(estimate.mapped_bytes),
        size(estimate.bytes_per_position * estimate.n_context),
        estimate.n_context
    )
}

/// Where a text feature comes from: the strongest patches.
pub(crate) fn trace(view: &engine::TraceView) -> String {
    let mut order: Vec<(usize, f32)> = view.values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let columns = view.grid.columns.max(1) as usize;
    let strongest: Vec<String> = order
        .iter()
        .take(5)
        .map(|(patch, value)| {
            let (row, column) = (patch / columns, patch % columns);
            format!(
                "row {row}, column {column}: {}\n",
                rounded(f64::from(*value), 4)
            )
        })
        .collect();
    format!(
        "{} from position {} (\"{}\", activation {:.2}), the strongest of {} patches:\n{}",
        view.method,
        view.position,
        view.token.trim(),
        view.activation,
        view.values.len(),
        strongest.concat()
    )
}
