//! One concept: what the feature looks for, the cases it was read off, and the cases it was tested
//! on with what the judge said.

use egui::{RichText, ScrollArea, Ui};
use engine::views::{ConceptPages, ConceptView};
use schema::Association;

use super::cases;
use super::listing::with_interval;
use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::start::card;
use crate::tokens::{self, GRID};
use crate::widgets::table::{self, Cell};
use crate::widgets::{notice, number};

/// Terms that are shown.
const MAX_TERMS: usize = 8;

/// Draws a concept; whether it is to be closed.
pub(super) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (sae, pages): (&str, &ConceptPages),
    concept: &ConceptView,
) -> bool {
    let close = head_ui(ctx, ui, sae, concept);
    ScrollArea::vertical()
        .id_salt(("concept", concept.feature))
        .auto_shrink(false)
        .show(ui, |ui| {
            words_ui(ui, pages, concept);
            cases::construction_ui(ctx, ui, pages, concept);
            cases::tests_ui(ctx, ui, pages, concept);
        });
    close
}

fn head_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, concept: &ConceptView) -> bool {
    let mut close = false;
    ui.horizontal_wrapped(|ui| {
        let number = format!("Feature {}", concept.feature);
        ui.label(RichText::new(number).font(tokens::title_font()));
        if ui
            .button("Feature page")
            .on_hover_text("Its activations on all histories, and its label")
            .clicked()
        {
            ctx.send(Command::OpenFeature(sae.to_owned(), concept.feature));
        }
        if ctx.backend.can_steer(sae) && ui.button("Steer this feature").clicked() {
            let user = concept.cases.first().map(|case| case.user);
            ctx.send(Command::SteerFeature(sae.to_owned(), concept.feature, user));
        }
        close = ui
            .button("Close")
            .on_hover_text("Back to all concepts")
            .accessible_name("Close concept")
            .clicked();
    });
    close
}

fn words_ui(ui: &mut Ui, pages: &ConceptPages, concept: &ConceptView) {
    card(ui, |ui| {
        if concept.explanation.is_empty() {
            notice::weak_ui(
                ui,
                "No words set its cases apart from the rest, so nothing was tested",
            );
        } else {
            let text = RichText::new(&concept.explanation).font(tokens::title_font());
            ui.add(egui::Label::new(text).wrap());
        }
        figures_ui(ui, concept);
        terms_ui(ui, &concept.evidence);
        if concept.n_shared > 0 {
            let text = format!(
                "{} of the test cases were used to find the words too, as RecSAE does: the figures \
                 flatter",
                concept.n_shared
            );
            notice::warning_ui(ui, &text);
        }
        if let Some(prompt) = &concept.prompt {
            egui::CollapsingHeader::new("What the language model was asked")
                .id_salt(("prompt", concept.feature))
                .show(ui, |ui| {
                    ui.add(egui::Label::new(RichText::new(prompt).monospace()).wrap());
                });
        }
        notice::weak_ui(
            ui,
            format!("From the run {} on {}", pages.view.name, pages.view.dataset),
        );
    });
    ui.add_space(GRID);
}

/// How far it holds.
fn figures_ui(ui: &mut Ui, concept: &ConceptView) {
    let theme = tokens::of(ui);
    let share =
        |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| format!("{value:.2}"));
    let rows = [
        (
            "Confidence",
            with_interval(concept.confidence, concept.interval),
            "Share of all test cases told rightly, with its 95 % interval",
        ),
        (
            "Recall, active cases",
            share(concept.recall),
            "Share of the active test cases that the judge said to be active",
        ),
        (
            "Specificity, silent cases",
            share(concept.specificity),
            "Share of the silent test cases that the judge said to be silent",
        ),
        (
            "A swapped concept gets",
            share(concept.shuffled),
            "Confidence of the words of another feature of like density on the same cases",
        ),
        (
            "Test cases, answers not read",
            format!(
                "{}, {}",
                number::count(concept.tests.len() as u64),
                number::count(concept.n_unparsed as u64)
            ),
            "An answer that could not be read counts as silent",
        ),
        (
            "Test rows it is active on",
            number::count(concept.n_active as u64),
            "Of all rows of the test part",
        ),
    ];
    for (name, value, hint) in rows {
        table::row_ui(
            ui,
            &[
                Cell::left(name, 0.5, theme.text_weak),
                Cell::right(&value, 0.5, theme.text),
            ],
        )
        .on_hover_text(hint);
    }
}

fn terms_ui(ui: &mut Ui, terms: &[Association]) {
    if terms.is_empty() {
        return;
    }
    let theme = tokens::of(ui);
    table::row_ui(
        ui,
        &[
            Cell::left("Terms it rests on", 0.4, theme.text_weak),
            Cell::right("log-odds", 0.22, theme.text_weak),
            Cell::right("q", 0.2, theme.text_weak),
            Cell::right("n", 0.18, theme.text_weak),
        ],
    )
    .on_hover_text(crate::words::of(&["Log-odds", "q"]));
    for term in terms.iter().take(MAX_TERMS) {
        table::row_ui(
            ui,
            &[
                Cell::left(&term.name, 0.4, theme.text),
                Cell::right(
                    &schema::signed(f64::from(term.log_odds), 1),
                    0.22,
                    theme.text,
                ),
                Cell::right(&number::p_value(term.q), 0.2, theme.text),
                Cell::right(&number::count(u64::from(term.n_with)), 0.18, theme.text),
            ],
        );
    }
}
