//! The evidence of a case: one example large, the others in rows, the top first and then a row of
//! each band of the activation.

use egui::Ui;
use engine::views::{ExampleKind, ReviewItem};

use super::examples_of;
use crate::app_context::AppContext;
use crate::keys::{self, Action};
use crate::screens::feature_page::examples;
use crate::screens::feature_page::large::{LargeExample, large_height};
use crate::tokens::GRID;
use crate::widgets::split::{Edge, Extent, split_ui};
use crate::widgets::{histogram, notice, number};

/// Left and Right go through all examples, from the top to the lowest band.
pub(super) fn keys(ui: &Ui, item: &ReviewItem, chosen: &mut (usize, usize)) {
    if ui.memory(egui::Memory::focused).is_some() {
        return;
    }
    if keys::fired(ui.ctx(), Action::NextExample) {
        *chosen = step(item, *chosen, true);
    }
    if keys::fired(ui.ctx(), Action::PreviousExample) {
        *chosen = step(item, *chosen, false);
    }
}

/// The example after or before one; the same at either end.
fn step(item: &ReviewItem, (row, at): (usize, usize), forward: bool) -> (usize, usize) {
    let shown = examples_of(item);
    let length = |row: usize| examples::row(shown, row).map_or(0, <[_]>::len);
    if forward {
        if at + 1 < length(row) {
            return (row, at + 1);
        }
        let next = (row + 1..=item.bands.len()).find(|row| length(*row) > 0);
        return next.map_or((row, at), |row| (row, 0));
    }
    if at > 0 {
        return (row, at - 1);
    }
    let before = (0..row).rev().find(|row| length(*row) > 0);
    before.map_or((row, at), |row| (row, length(row) - 1))
}

/// Draws the large example, the rows below it and what one should know of them.
pub(super) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (sae, item): (&str, &ReviewItem),
    large: &mut LargeExample,
    chosen: &mut (usize, usize),
) {
    for warning in &item.warnings {
        notice::warning_ui(ui, warning);
    }
    let shown = examples_of(item);
    let height = ui.available_height();
    split_ui(
        ctx,
        ui,
        match item.kind {
            ExampleKind::Film => (Edge::Bottom, "review films"),
            ExampleKind::Text => (Edge::Bottom, "review texts"),
            ExampleKind::History => (Edge::Bottom, "review histories"),
        },
        Extent {
            default: match item.kind {
                ExampleKind::Film => height * 0.34,
                ExampleKind::Text => height * 0.6,
                ExampleKind::History => height * 0.4,
            },
            range: 96.0..=(height - large_height(item.kind)).max(97.0),
        },
        |ui| examples::rows_ui(ctx, ui, shown, chosen),
    );
    egui::CentralPanel::no_frame().show(ui, |ui| match examples::chosen(shown, *chosen) {
        Some(example) => large.ui(ctx, ui, (sae, item.feature), (example, item.max_activation)),
        None => notice::empty_ui(
            ui,
            "Never active",
            "No indexed sample activates this feature, so there is nothing to judge. S passes it \
                 by.",
            |_| {},
        ),
    });
}

/// Activations and how often the feature is active, for the reviewer's side.
pub(super) fn figures_ui(ui: &mut Ui, item: &ReviewItem) {
    notice::section_ui(ui, "Activations");
    let edges = examples::band_edges(&item.bands);
    histogram::histogram_ui(ui, &item.histogram, item.max_activation, &edges);
    notice::weak_ui(
        ui,
        format!(
            "Active on {} of all places, highest {}",
            number::percent(item.density),
            number::activation(item.max_activation)
        ),
    );
    for note in &item.notes {
        notice::weak_ui(ui, note.as_str());
    }
    ui.add_space(GRID);
}
