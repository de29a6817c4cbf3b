//! The figures beside a feature: histogram, associations, what it writes, neighbours, history.

use egui::{RichText, Ui};
use engine::views::{ExampleKind, FeaturePage, WritesView};
use schema::{Association, Decision, Explanation, FeatureId, MeasuredScore, PublishedSource};

use crate::app_context::{AppContext, in_words, kind_name};
use crate::commands::Command;
use crate::screens::feature_page::score::{DETECTION, ScoreEvidence};
use crate::screens::feature_page::{effects, examples};
use crate::tokens;
use crate::widgets::notice::{section_ui, weak_ui};
use crate::widgets::{chip, histogram, number, table};
use crate::words;

/// Rows of a table before the rest is left out.
const MAX_ROWS: usize = 12;
/// Adjusted p value below which an association holds.
const MAX_Q: f64 = 0.05;

/// Everything below the judgement.
pub(crate) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (sae, page): (&str, &FeaturePage),
    score: &mut ScoreEvidence,
) {
    section_ui(ui, "Activations");
    let card = &page.card;
    let edges = examples::band_edges(&page.bands);
    histogram::histogram_ui(ui, &card.histogram, card.max_activation, &edges);
    figures_ui(ui, page);
    associations_ui(ui, page);
    if let Some(writes) = &page.writes {
        match &writes.items {
            Some(items) => effects::ui(ctx, ui, items),
            None => writes_ui(ui, writes),
        }
    }
    features_ui(
        ctx,
        ui,
        sae,
        ("Most similar features", "cosine of the decoder directions"),
        &page.neighbours,
    );
    nested_ui(ctx, ui, sae, page);
    features_ui(
        ctx,
        ui,
        sae,
        (
            "Active at the same places",
            "places with both, divided by places with either (Jaccard)",
        ),
        &page.cofiring,
    );
    explanations_ui(ctx, ui, &page.explanations, score);
    decisions_ui(ui, &page.decisions);
}

fn figures_ui(ui: &mut Ui, page: &FeaturePage) {
    let card = &page.card;
    let samples = kind_name(page.kind);
    let places = match page.kind {
        ExampleKind::Film => "patches",
        ExampleKind::Text => "word pieces",
        ExampleKind::History => "items",
    };
    for (name, value) in [
        (
            format!("Active {places}"),
            number::count(page.n_active_rows),
        ),
        (
            format!("Density, share of {places}"),
            number::percent(card.density),
        ),
        (
            format!("Share of {samples}"),
            number::percent(card.sample_density),
        ),
        (
            "Highest activation".to_owned(),
            number::activation(card.max_activation),
        ),
        (
            "Mean when active".to_owned(),
            number::activation(page.mean_activation),
        ),
    ] {
        let theme = tokens::of(ui);
        table::row_ui(
            ui,
            &[
                table::Cell::left(&name, 0.6, theme.text_weak),
                table::Cell::right(&value, 0.4, theme.text),
            ],
        );
    }
}

/// Names and shares of the width of the columns of terms and associations.
const ASSOCIATION_COLUMNS: [(&str, f32); 5] = [
    ("", 0.36),
    ("log-odds", 0.2),
    ("AUROC", 0.15),
    ("q", 0.17),
    ("n", 0.12),
];

/// [`ASSOCIATION_COLUMNS`] where the AUROC has an interval, which takes the room of `n`: hovering a
/// row tells that.
const INTERVAL_COLUMNS: [(&str, f32); 4] = [
    ("", 0.345),
    ("log-odds", 0.17),
    ("AUROC (95 %)", 0.33),
    ("q", 0.155),
];

fn associations_ui(ui: &mut Ui, page: &FeaturePage) {
    section_ui(ui, "Goes with");
    let associations = &page.associations;
    if associations.is_empty() {
        weak_ui(
            ui,
            "No finding, taste or category is known for these samples, or none was tested",
        );
        return;
    }
    let theme = tokens::of(ui);
    let columns = if associations.iter().any(|one| one.auroc_interval.is_some()) {
        &INTERVAL_COLUMNS[..]
    } else {
        &ASSOCIATION_COLUMNS[..]
    };
    let heads: Vec<table::Cell<'_>> = columns
        .iter()
        .map(|&(name, width)| table::Cell::right(name, width, theme.text_weak))
        .collect();
    let noun = match page.kind {
        ExampleKind::History => "items",
        kind => kind_name(kind),
    };
    let hint = format!(
        "{}\nn: {noun} with it. Hover a row for all of its figures",
        words::of(&["AUROC", "Log-odds", "q"])
    );
    table::row_ui(ui, &heads).on_hover_text(hint);
    // What holds comes first, however high the AUROC of the rest.
    let mut rows: Vec<&Association> = associations.iter().collect();
    rows.sort_by_key(|association| association.q >= MAX_Q);
    for association in rows.iter().take(MAX_ROWS) {
        association_row(ui, (association, columns), noun);
    }
    if rows.iter().all(|association| association.q >= MAX_Q) {
        let text = format!(
            "None of these holds at q < 0.05, which compares the fifth of the {noun} with the \
             strongest activation with the rest"
        );
        weak_ui(ui, text);
    }
}

fn association_row(
    ui: &mut Ui,
    (association, columns): (&Association, &[(&str, f32)]),
    noun: &str,
) {
    let theme = tokens::of(ui);
    let colour = if association.q < MAX_Q {
        theme.text
    } else {
        theme.text_weak
    };
    let texts = [
        in_words(&association.name),
        schema::signed(f64::from(association.log_odds), 1),
        auroc_words(association),
        number::p_value(association.q),
        number::count(u64::from(association.n_with)),
    ];
    let cells: Vec<table::Cell<'_>> = texts
        .iter()
        .zip(columns)
        .enumerate()
        .map(|(i, (text, &(_, width)))| {
            if i == 0 {
                table::Cell::left(text, width, colour)
            } else {
                table::Cell::right(text, width, colour)
            }
        })
        .collect();
    let [low, high] = association.interval;
    table::row_ui(ui, &cells).on_hover_text(format!(
        "{}: log-odds {}, 95 % interval {} to {}; AUROC {}; {} {noun} with it, {} without",
        association.name,
        schema::signed(f64::from(association.log_odds), 2),
        schema::signed(f64::from(low), 2),
        schema::signed(f64::from(high), 2),
        auroc_words(association),
        number::count(u64::from(association.n_with)),
        number::count(u64::from(association.n_without))
    ));
}

/// The area, and its 95 % interval where there is one: `0.91 (0.86 to 0.95)`.
fn auroc_words(association: &Association) -> String {
    match association.auroc_interval {
        Some([low, high]) => format!("{:.2} ({low:.2} to {high:.2})", association.auroc),
        None => format!("{:.2}", association.auroc),
    }
}

fn writes_ui(ui: &mut Ui, writes: &WritesView) {
    section_ui(ui, "Writes");
    let theme = tokens::of(ui);
    let n_rows = writes.promoted.len().max(writes.suppressed.len());
    table::row_ui(
        ui,
        &[
            table::Cell::left("Promotes", 0.5, theme.text_weak),
            table::Cell::left("Suppresses", 0.5, theme.text_weak),
        ],
    );
    let entry = |entries: &[(String, f32)], i: usize| {
        entries.get(i).map_or_else(
            || (String::new(), String::new()),
            |(text, score)| (schema::signed(f64::from(*score), 2), text.trim().to_owned()),
        )
    };
    for i in 0..n_rows.min(MAX_ROWS) {
        let (up, promoted) = entry(&writes.promoted, i);
        let (down, suppressed) = entry(&writes.suppressed, i);
        table::row_ui(
            ui,
            &[
                table::Cell::right(&up, 0.14, theme.text_weak),
                table::Cell::left(&promoted, 0.36, theme.text),
                table::Cell::right(&down, 0.14, theme.text_weak),
                table::Cell::left(&suppressed, 0.36, theme.text),
            ],
        );
    }
}

fn features_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    sae: &str,
    (title, unit): (&str, &str),
    features: &[(FeatureId, String, f32)],
) {
    if features.is_empty() {
        return;
    }
    section_ui(ui, title);
    for (feature, label, value) in features.iter().take(MAX_ROWS) {
        ui.horizontal(|ui| {
            let number = format!("{value:.2}");
            ui.label(RichText::new(number).color(tokens::of(ui).text_weak))
                .on_hover_text(unit);
            let label = if label.is_empty() {
                "no label yet"
            } else {
                label
            };
            let text = format!("{feature}  {label}");
            if ui
                .add(egui::Button::new(text).truncate().frame(false))
                .accessible_name(format!("Open feature {feature}"))
                .clicked()
            {
                ctx.send(Command::OpenFeature(sae.to_owned(), *feature));
            }
        });
    }
}

/// The nearest features of other nested groups.
fn nested_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
    let Some(nested) = &page.nested else {
        return;
    };
    let unit = "cosine of the decoder directions";
    let at = format!("group {} of {}", nested.group + 1, nested.n_groups);
    let parents = format!("Parents: nearest in coarser groups ({at})");
    let children = format!("Children: nearest in finer groups ({at})");
    features_ui(ctx, ui, sae, (&parents, unit), &nested.parents);
    features_ui(ctx, ui, sae, (&children, unit), &nested.children);
}

fn explanations_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    explanations: &[Explanation],
    evidence: &mut ScoreEvidence,
) {
    for explanation in explanations {
        section_ui(ui, "Proposal");
        ui.add(egui::Label::new(&explanation.text).wrap());
        weak_ui(
            ui,
            format!("by {}, {}", explanation.by, number::time(&explanation.at)),
        );
        if let Some(source) = &explanation.source {
            weak_ui(ui, source_words(source));
        }
        if let Some(score) = &explanation.score {
            weak_ui(ui, score_words(score));
            if score.method == DETECTION && !explanation.run.is_empty() {
                evidence.ui(ctx, ui, explanation);
            }
        }
        if explanation.evidence.is_empty() {
            continue;
        }
        evidence_ui(ui, &explanation.evidence);
    }
}

/// File and score of a published proposal.
fn source_words(source: &PublishedSource) -> String {
    match source.score {
        Some(score) => format!("from {}, score {score:.3}", source.file),
        None => format!("from {}", source.file),
    }
}

/// How far a proposal was found to be true.
fn score_words(score: &MeasuredScore) -> String {
    let interval = score.interval.map_or_else(String::new, |[low, high]| {
        format!(" ({low:.2} to {high:.2})")
    });
    format!(
        "{} {:.2}{interval} by {} on {} cases; guessing gives 0.50",
        score.method, score.value, score.judge, score.n_cases
    )
}

/// The terms that a proposal rests on.
fn evidence_ui(ui: &mut Ui, evidence: &[Association]) {
    let theme = tokens::of(ui);
    let row = |ui: &mut Ui, texts: [&str; 5], colour| {
        let mut cells = [table::Cell::left(texts[0], ASSOCIATION_COLUMNS[0].1, colour); 5];
        for (cell, (text, (_, width))) in cells
            .iter_mut()
            .zip(texts.iter().zip(ASSOCIATION_COLUMNS))
            .skip(1)
        {
            *cell = table::Cell::right(text, width, colour);
        }
        table::row_ui(ui, &cells)
    };
    row(
        ui,
        ["Terms it rests on", "log-odds", "AUROC", "q", "n"],
        theme.text_weak,
    )
    .on_hover_text(format!(
        "{}\nq compares the fifth with the strongest activation with the rest",
        words::of(&["AUROC", "Log-odds", "q"])
    ));
    for term in evidence.iter().take(MAX_ROWS) {
        let texts = [
            schema::signed(f64::from(term.log_odds), 1),
            format!("{:.2}", term.auroc),
            number::p_value(term.q),
            number::count(u64::from(term.n_with)),
        ];
        row(
            ui,
            [&term.name, &texts[0], &texts[1], &texts[2], &texts[3]],
            theme.text,
        );
    }
}

fn decisions_ui(ui: &mut Ui, decisions: &[Decision]) {
    section_ui(ui, "Decisions");
    if decisions.is_empty() {
        weak_ui(
            ui,
            "Every decision on this label is kept here, with name and time",
        );
    }
    for decision in decisions {
        ui.horizontal(|ui| {
            chip::chip_ui(ui, decision.state, false);
            if !decision.text.is_empty() {
                ui.add(egui::Label::new(&decision.text).truncate());
            }
        });
        let reviewer = if decision.reviewer.is_empty() {
            "no name given"
        } else {
            &decision.reviewer
        };
        let flagged = if decision.flagged { ", flagged" } else { "" };
        weak_ui(
            ui,
            format!("{reviewer}, {}{flagged}", number::time(&decision.at)),
        );
    }
}
