//! Changes kept under a name: saved, listed, used, removed and put back, and written to files.

use std::sync::Arc;

use egui::{RichText, Ui};
use engine::views::{PathPurpose, Revision, SavedChange, SteeringPart};
use schema::{PositionScope, SteeringMode, SteeringSpec};

use super::knobs::scope_words;
use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::start::field_label_ui;
use crate::widgets::notice;

/// What was done to presets in a frame, for the steps back.
pub(super) enum PresetStep {
    Removed(SavedChange),
    PutBack(String),
}

/// What is asked for besides.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) step: Option<PresetStep>,
    /// A file of the experiment.
    pub(super) export: Option<SteeringPart>,
}

/// State of this part of the screen.
#[derive(Default)]
pub(super) struct Presets {
    pub(super) name: String,
    saved: Option<(Revision, Arc<Vec<SavedChange>>)>,
    /// The change that was removed last.
    removed: Option<SavedChange>,
    /// The change whose folder is being chosen.
    exporting: Option<SavedChange>,
}

impl Presets {
    /// The folder for a change that is to be written was chosen.
    pub(super) fn export_to(&mut self, ctx: &AppContext<'_>, place: &str) {
        if let Some(change) = self.exporting.take() {
            ctx.send(Command::ExportChange(change, place.to_owned()));
        }
    }

    /// A removed preset is there again, or is to be.
    pub(super) fn is_back(&mut self) {
        self.removed = None;
    }

    /// Saves, exports and lists changes under a name; `sample` is the one that is steered, where it
    /// is one.
    pub(super) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, edits): (&str, &[SteeringSpec]),
        sample: Option<u32>,
    ) -> Asked {
        let mut asked = Asked::default();
        let title = if sample.is_some() {
            "Keep this experiment"
        } else {
            "Keep this change"
        };
        ui.label(RichText::new(title).strong());
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Preset name");
            let field = egui::TextEdit::singleline(&mut self.name).desired_width(160.0);
            ui.add(field).labelled_by(label.id);
        });
        let name = self.name.trim().to_owned();
        let change = || SavedChange {
            name: name.clone(),
            sae: sae.to_owned(),
            edits: edits.to_vec(),
            sample,
        };
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(!name.is_empty() && !edits.is_empty(), |ui| {
                if ui.button("Save as preset").clicked() {
                    // A removal of that name is no step back any more: it would undo this one.
                    self.removed.take_if(|old| old.name == name);
                    asked.step = Some(PresetStep::PutBack(name.clone()));
                    ctx.send(Command::SaveChange(change()));
                }
                if sample.is_none() && folder_ui(ui) {
                    self.exporting = Some(change());
                    ctx.send(Command::ChoosePath(PathPurpose::SteeredFolder));
                }
            });
            if sample.is_some() {
                ui.add_enabled_ui(!edits.is_empty(), |ui| {
                    asked.export = experiment_ui(ui);
                });
            }
        });
        self.list_ui(ctx, ui, sae, &mut asked);
        asked
    }

    fn list_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, asked: &mut Asked) {
        let saved = self.saved(ctx);
        for change in saved.iter().filter(|change| change.sae == sae) {
            ui.horizontal(|ui| {
                let load = ui.button(&change.name);
                let load = load.accessible_name(format!("Use preset {}", change.name));
                if load.on_hover_text(in_words(&change.edits)).clicked() {
                    self.name.clone_from(&change.name);
                    ctx.send(Command::UseChange(change.clone()));
                }
                let remove = ui.small_button("Remove");
                let remove = remove.accessible_name(format!("Remove preset {}", change.name));
                if remove.clicked() {
                    self.removed = Some(change.clone());
                    asked.step = Some(PresetStep::Removed(change.clone()));
                    ctx.send(Command::RemoveChange(change.name.clone()));
                }
                if let Some(sample) = change.sample {
                    notice::weak_cut_ui(ui, format!("sample {sample}"));
                }
            });
        }
        let put_back = self.removed.take_if(|removed| {
            let text = format!("Put {} back", removed.name);
            ui.button(text).on_hover_text("Ctrl+Z").clicked()
        });
        if let Some(removed) = put_back {
            asked.step = Some(PresetStep::PutBack(removed.name.clone()));
            ctx.send(Command::SaveChange(removed));
        }
    }

    fn saved(&mut self, ctx: &AppContext<'_>) -> Arc<Vec<SavedChange>> {
        let known = self.saved.as_ref().filter(|(at, _)| *at == ctx.revision);
        if let Some((_, saved)) = known {
            return Arc::clone(saved);
        }
        let saved = ctx.backend.saved_changes().unwrap_or_default();
        self.saved = Some((ctx.revision, Arc::clone(&saved)));
        saved
    }
}

/// The button that writes everything into a folder.
fn folder_ui(ui: &mut Ui) -> bool {
    let export = ui.button("Export…").on_hover_text(
        "Writes the model, the dictionary and the change as a steering file into a folder of \
         this name, for use without this project",
    );
    export.clicked()
}

/// The buttons that write the experiment.
fn experiment_ui(ui: &mut Ui) -> Option<SteeringPart> {
    let mut part = None;
    for (text, hint, wanted) in [
        (
            "Save as JSON…",
            "Request, before and after, findings, sweep and the dictionary's hash, for programs",
            SteeringPart::Json,
        ),
        (
            "Save as HTML…",
            "The same as one page with charts, for people; it needs no network",
            SteeringPart::Page,
        ),
    ] {
        if ui.button(text).on_hover_text(hint).clicked() {
            part = Some(wanted);
        }
    }
    part
}

/// A change in one line.
pub(super) fn in_words(edits: &[SteeringSpec]) -> String {
    let each = edits.iter().map(|edit| {
        let verb = match edit.mode {
            SteeringMode::Add => format!("add {:.2}x to", edit.strength),
            SteeringMode::Clamp => format!("clamp to {:.2}x", edit.strength),
            SteeringMode::Ablate => "ablate".to_owned(),
            SteeringMode::Scale => format!("multiply by {:.2}", edit.strength),
        };
        format!("{verb} feature {}", edit.feature)
    });
    let all = each.collect::<Vec<_>>().join(", ");
    match edits.first().map(|edit| edit.scope) {
        None | Some(PositionScope::All) => all,
        Some(scope) => format!("{all}; {}", scope_words(scope).0),
    }
}
