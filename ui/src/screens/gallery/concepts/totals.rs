//! What a run of concepts comes to beside its baselines, and what settings made it.

use egui::{CollapsingHeader, Ui};
use engine::views::{ConceptSettingsView, ConceptTotalsView, ConceptsView, MeanView};

use crate::screens::start::card;
use crate::tokens;
use crate::widgets::table::{self, Cell};
use crate::widgets::{notice, number};

/// Names and shares of the width of the columns.
const COLUMNS: [(&str, f32); 6] = [
    ("", 0.26),
    ("scored", 0.1),
    ("recall", 0.1),
    ("specificity", 0.12),
    ("confidence", 0.24),
    ("0.8 and above", 0.18),
];

const HINT: &str = "Means over features, with 95 % intervals by resampling features\nScored: features \
                    with a concept, of those looked at\n0.8 and above: features that RecSAE calls \
                    interpretable";

/// Draws the totals.
pub(super) fn ui(ui: &mut Ui, view: &ConceptsView) {
    card(ui, |ui| {
        let theme = tokens::of(ui);
        let heads = COLUMNS.map(|(name, width)| Cell::right(name, width, theme.text_weak));
        table::row_ui(ui, &heads).on_hover_text(HINT);
        row_ui(
            ui,
            "This dictionary",
            "Concepts of its features, each on test cases of its own",
            Some(&view.totals),
        );
        row_ui(
            ui,
            "Random dictionary",
            "The same done with a dictionary whose weights are random: what any dictionary gets",
            view.random_dictionary.as_ref(),
        );
        row_ui(
            ui,
            "Raw dimensions",
            "The same done with the dimensions of the user vector, without a dictionary",
            view.raw_dimensions.as_ref(),
        );
        row_ui(
            ui,
            "Swapped concepts",
            "Each feature judged by the concept of another of like density: what the words add",
            view.shuffled.as_ref(),
        );
        CollapsingHeader::new("How these were made")
            .id_salt("concept settings")
            .show(ui, |ui| settings_ui(ui, view));
    });
}

fn mean(value: Option<MeanView>) -> String {
    value.map_or_else(|| "none".to_owned(), |mean| format!("{:.2}", mean.value))
}

fn row_ui(ui: &mut Ui, name: &str, hint: &str, totals: Option<&ConceptTotalsView>) {
    let theme = tokens::of(ui);
    let Some(totals) = totals else {
        table::row_ui(
            ui,
            &[
                Cell::left(name, COLUMNS[0].1, theme.text_weak),
                Cell::left("not measured in this run", 0.7, theme.text_weak),
            ],
        )
        .on_hover_text(hint);
        return;
    };
    let confidence = totals.confidence;
    let texts = [
        name.to_owned(),
        number::count(totals.n_scored as u64),
        mean(totals.recall),
        mean(totals.specificity),
        super::listing::with_interval(
            confidence.map(|mean| mean.value),
            confidence.and_then(|mean| mean.interval),
        ),
        number::count(totals.n_interpretable as u64),
    ];
    let cells: Vec<Cell<'_>> = texts
        .iter()
        .zip(COLUMNS)
        .enumerate()
        .map(|(at, (text, (_, width)))| match at {
            0 => Cell::left(text, width, theme.text),
            _ => Cell::right(text, width, theme.text),
        })
        .collect();
    table::row_ui(ui, &cells).on_hover_text(format!(
        "{hint}\n{} features looked at; confidence 1: {}, at least 0.9: {}, interval above one half: \
         {}; answers that could not be read: {}",
        number::count(totals.n_chosen as u64),
        number::count(totals.n_certain as u64),
        number::count(totals.n_at_least_09 as u64),
        number::count(totals.n_above_chance as u64),
        number::count(totals.n_unparsed as u64)
    ));
}

fn settings_ui(ui: &mut Ui, view: &ConceptsView) {
    let settings = &view.settings;
    notice::weak_ui(
        ui,
        format!(
            "{} on {}: {} test rows, {} of {} features with cases",
            view.model,
            view.dataset,
            number::count(view.n_rows as u64),
            number::count(view.n_with_cases as u64),
            number::count(view.n_features as u64)
        ),
    );
    notice::weak_ui(ui, sources(settings));
    notice::weak_ui(ui, conventions(settings));
    for note in &view.notes {
        notice::weak_ui(ui, note.as_str());
    }
}

/// Who explained and judged, with the hashes of language models.
fn sources(settings: &ConceptSettingsView) -> String {
    let hashed = |name: &str, hash: Option<&String>| match hash {
        Some(hash) => format!("{name} (BLAKE3 {})", hash.get(..12).unwrap_or(hash)),
        None => name.to_owned(),
    };
    let explained = hashed(&settings.explained_by, settings.explainer_blake3.as_ref());
    let judged = settings.judged_by.as_ref().map_or_else(
        || "not judged".to_owned(),
        |judge| {
            format!(
                "judged by {}",
                hashed(judge, settings.judge_blake3.as_ref())
            )
        },
    );
    format!(
        "Explained by {explained}, {judged}, begun {}",
        number::time(&settings.at)
    )
}

fn conventions(settings: &ConceptSettingsView) -> String {
    let cases = match settings.cases.as_str() {
        "apart" => "cases for words and tests kept apart",
        "recsae" => "cases as in RecSAE",
        other => other,
    };
    let seen = if settings.history_levels {
        "levels shown at every item of a history"
    } else {
        "the level shown at the recommended item only"
    };
    format!(
        "{}, at most {} of each kind; levels are deciles, {}; {seen}; temperature {}, top-p {}, \
         seed {}",
        number::capitalised(cases),
        settings.most,
        settings.levels,
        settings.temperature,
        settings.top_p,
        settings.seed
    )
}
