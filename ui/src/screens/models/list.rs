//! The list on the left: trainings that run or were stopped, then the models.

use egui::{Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{JobView, ModelEntry};

use super::{Chosen, Known};
use crate::tokens::{self, GRID};
use crate::widgets::item_strip::{truncated, truncated_small};
use crate::widgets::notice;

/// Height of a row.
const ROW: f32 = 48.0;

/// Draws buttons and list; a click changes `chosen`.
pub(super) fn ui(ui: &mut Ui, known: &Known<'_>, chosen: &mut Chosen) {
    for (text, target) in [
        ("Train a recommender…", Chosen::Form),
        ("Import a recommender…", Chosen::Import),
        ("Add another model…", Chosen::Add),
    ] {
        let is_on = *chosen == target;
        let size = Vec2::new(ui.available_width(), 28.0);
        let button = egui::Button::selectable(is_on, text).frame_when_inactive(true);
        if ui.add_sized(size, button).clicked() {
            *chosen = target;
        }
    }
    ui.add_space(GRID);
    ScrollArea::vertical()
        .id_salt("model list")
        .auto_shrink(false)
        .show(ui, |ui| {
            for begun in known.unfinished {
                let name = &begun.request.name;
                let target = Chosen::Training(name.clone());
                let state = known.job(name).map_or("Stopped".to_owned(), running);
                row_ui(ui, ("Training", name, &state), target, chosen);
            }
            for entry in known.entries {
                let target = Chosen::Model(entry.name.clone());
                let words = described(entry);
                row_ui(ui, ("Model", &entry.name, &words), target, chosen);
            }
            if known.entries.is_empty() && known.unfinished.is_empty() {
                notice::weak_ui(ui, "Models and trainings are listed here");
            }
        });
}

/// Where a running training stands.
fn running(job: &JobView) -> String {
    let state = match (job.stopping, job.paused) {
        (true, _) => "Stopping…",
        (_, true) => "Paused",
        _ => "Training",
    };
    match job.epochs.last() {
        Some(curve) => format!("{state} · epoch {}", curve.loss.len()),
        None => state.to_owned(),
    }
}

/// What a model is, in one line.
fn described(entry: &ModelEntry) -> String {
    let origin = match (&entry.trained_on, &entry.imported, &entry.outside) {
        (Some(dataset), None, _) => format!("trained on {dataset}"),
        (_, Some(file), _) => format!("imported from {file}"),
        (_, _, Some(_)) => "outside the project".to_owned(),
        _ => "in the project".to_owned(),
    };
    format!("{} · {origin}", architecture_name(&entry.architecture))
}

/// An architecture as its authors write it.
pub(super) fn architecture_name(architecture: &str) -> &str {
    match architecture {
        "BprMf" | "bprmf" => "BPRMF",
        "LightGcn" | "lightgcn" => "LightGCN",
        "SasRec" | "sasrec" => "SASRec",
        "timirec" => "TiMiRec",
        "Gru4Rec" | "gru4rec" => "GRU4Rec",
        other => other,
    }
}

fn row_ui(
    ui: &mut Ui,
    (kind, name, words): (&str, &str, &str),
    target: Chosen,
    chosen: &mut Chosen,
) {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let is_chosen = *chosen == target;
    let label = format!("{kind} {name}, {words}");
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, &label));
    let fill = if is_chosen {
        theme.accent_quiet
    } else if response.hovered() || response.has_focus() {
        theme.hovered
    } else {
        theme.panel
    };
    let painter = ui.painter();
    painter.rect_filled(rect, tokens::RADIUS, fill);
    let inner = rect.shrink2(Vec2::new(12.0, 6.0));
    let name = truncated(painter, name, inner.width(), theme.text);
    painter.galley(inner.min, name, theme.text);
    let words = truncated_small(painter, words, inner.width(), theme.text_weak);
    let below = inner.min + Vec2::new(0.0, 20.0);
    painter.galley(below, words, theme.text_weak);
    if response.clicked() {
        *chosen = target;
    }
}
