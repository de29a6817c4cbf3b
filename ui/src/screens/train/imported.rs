//! What an import of dictionaries brought: figures, the layer self-test, and what was left out.

use egui::{RichText, Ui};
use engine::{ImportedSae, LayerTest, SaeImport};

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::start::card;
use crate::screens::train::live::{accent_ui, figure_ui};
use crate::tokens::{self, GRID};
use crate::widgets::{notice, number, table};

/// Files left out that are named.
const MOST_NAMED: usize = 8;

/// Draws what came in, or what will stand here.
pub(super) fn ui(ctx: &AppContext<'_>, ui: &mut Ui, imported: Option<&SaeImport>) {
    let Some(imported) = imported else {
        card(ui, |ui| {
            ui.label(RichText::new("What comes in").font(tokens::title_font()));
            notice::weak_ui(
                ui,
                "After an import its figures, the layer self-test, proposals that came with it and \
                 files that were left out stand here.",
            );
        });
        return;
    };
    for one in &imported.dictionaries {
        card(ui, |ui| dictionary_ui(ctx, ui, one));
    }
    if !imported.skipped.is_empty() {
        card(ui, |ui| skipped_ui(ui, imported));
    }
}

fn dictionary_ui(ctx: &AppContext<'_>, ui: &mut Ui, one: &ImportedSae) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(&one.name).font(tokens::title_font()));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            gallery_ui(ctx, ui, &one.name);
        });
    });
    let mut parts = vec![
        one.class.clone(),
        format!("{} features", number::count(one.n_features as u64)),
        format!("{} wide", number::count(one.d_model as u64)),
    ];
    parts.extend(one.k.map(|k| format!("k {k}")));
    parts.push(format!("at {}", one.hook));
    parts.push(format!("harvest {}", one.harvest));
    notice::weak_ui(ui, parts.join("  ·  "));
    let figures = [
        ("FVU", format!("{:.3}", one.evaluation.fvu)),
        ("L0", format!("{:.1}", one.evaluation.l0)),
        ("Proposals", number::count(one.n_proposals as u64)),
    ];
    ui.columns(figures.len(), |columns| {
        for (ui, (name, value)) in columns.iter_mut().zip(&figures) {
            figure_ui(ui, name, value);
        }
    });
    notice::weak_ui(ui, number::capitalised(&one.read_back.sentence()));
    for table in &one.tables {
        notice::weak_ui(ui, number::capitalised(&table.sentence()));
    }
    for note in &one.notes {
        notice::weak_ui(ui, note);
    }
    if let Some(test) = &one.layer_test {
        ui.add_space(GRID);
        test_ui(ui, test);
    }
}

/// Where one goes on: to its gallery, which an imported dictionary does not have yet.
fn gallery_ui(ctx: &AppContext<'_>, ui: &mut Ui, name: &str) {
    let Some(view) = ctx.dictionary(name) else {
        return;
    };
    if view.indexed {
        let button = ui.button("Open the gallery");
        let button = button.accessible_name(format!("Open the gallery of {name}"));
        if button.clicked() {
            ctx.send(Command::UseDictionary(name.to_owned()));
        }
        return;
    }
    let title = format!("Build the gallery of {name}");
    if ctx.jobs.iter().any(|job| job.title == title) {
        notice::weak_ui(ui, "Its gallery is being built");
    } else if accent_ui(ui, "Build the gallery") {
        ctx.send(Command::BuildGallery(name.to_owned()));
    }
}

/// FVU and L0 at every candidate, and the outcome.
fn test_ui(ui: &mut Ui, test: &LayerTest) {
    let theme = tokens::of(ui);
    let k = test
        .k
        .map_or_else(String::new, |k| format!(", made for k = {k}"));
    let title = format!(
        "Layer self-test on {} of {}{k}",
        number::counted(test.n_rows as u64, ["row", "rows"]),
        test.dataset
    );
    ui.label(RichText::new(title).strong()).on_hover_text(
        "A dictionary reconstructs best where it was made: the FVU there is lower than at other \
         blocks",
    );
    let row_ui = |ui: &mut Ui, cells: [&str; 4], colour| {
        let [hook, fvu, l0, mark] = cells;
        table::row_ui(
            ui,
            &[
                table::Cell::left(hook, 0.46, colour),
                table::Cell::right(fvu, 0.18, colour),
                table::Cell::right(l0, 0.18, colour),
                table::Cell::left(mark, 0.18, colour),
            ],
        );
    };
    row_ui(ui, ["Hook point", "FVU", "L0", ""], theme.text_weak);
    for candidate in &test.candidates {
        let is_lowest = test.lowest == Some(candidate.hook);
        let hook = candidate.hook.to_string();
        let (fvu, l0) = (
            format!("{:.4}", candidate.fvu),
            format!("{:.2}", candidate.l0),
        );
        let mark = if is_lowest { "lowest" } else { "" };
        row_ui(ui, [&hook, &fvu, &l0, mark], theme.text);
    }
    notice::weak_ui(ui, &test.sentence);
}

fn skipped_ui(ui: &mut Ui, imported: &SaeImport) {
    ui.label(RichText::new("Left out").font(tokens::title_font()));
    for skipped in imported.skipped.iter().take(MOST_NAMED) {
        notice::weak_ui(ui, format!("{}: {}", skipped.place, skipped.reason));
    }
    let more = imported.skipped.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        notice::weak_ui(ui, format!("and {more} more"));
    }
}
