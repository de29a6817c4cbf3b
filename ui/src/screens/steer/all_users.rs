//! The same change for all users of a recommender: what is asked, and changes kept under a name.

use std::sync::Arc;

use egui::{ComboBox, DragValue, RichText, Ui};
use engine::views::{
    AblationRequest, AblationView, ConceptItems, DatasetView, ExampleKind, PathPurpose, Revision,
    SavedChange,
};
use schema::{JobId, Split, SteeringMode, SteeringSpec};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::live::accent_ui;
use crate::widgets::{notice, number};

/// Items that a changed feature promotes, at first.
const PROMOTED: u32 = 20;
/// Users whose lists are shown.
const N_EXAMPLES: u32 = 6;

/// State of this part of the screen.
pub(crate) struct AllUsers {
    items: ConceptItems,
    split: Split,
    n_controls: u32,
    waiting: Option<JobId>,
    pub(super) answer: Option<Answer<AblationView>>,
    /// The user whose lists are shown.
    pub(super) example: usize,
    name: String,
    saved: Option<(Revision, Arc<Vec<SavedChange>>)>,
    /// The change that was removed last.
    removed: Option<SavedChange>,
    /// The change whose folder is being chosen.
    exporting: Option<SavedChange>,
}

impl Default for AllUsers {
    fn default() -> Self {
        Self {
            items: ConceptItems::Promoted(PROMOTED),
            split: Split::Test,
            n_controls: 20,
            waiting: None,
            answer: None,
            example: 0,
            name: String::new(),
            saved: None,
            removed: None,
            exporting: None,
        }
    }
}

/// The category that is chosen, from those of the dataset.
pub(super) fn category_ui(
    ui: &mut Ui,
    name: &str,
    dataset: Option<&DatasetView>,
    chosen: &mut String,
) {
    ComboBox::from_id_salt(name)
        .selected_text(chosen.as_str())
        .height(360.0)
        .show_ui(ui, |ui| {
            for category in dataset.map_or(&[][..], |view| &view.categories) {
                ui.selectable_value(chosen, category.clone(), category);
            }
        })
        .response
        .accessible_name(name);
}

impl AllUsers {
    /// Whether a measurement is on its way.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Remembers which answer is wanted.
    pub(crate) fn waits_for(&mut self, job: JobId) {
        self.waiting = Some(job);
    }

    /// Takes an answer, if it is the one wanted.
    pub(super) fn take(&mut self, job: JobId, answer: &Answer<AblationView>) {
        if self.waiting == Some(job) {
            self.waiting = None;
            self.example = 0;
            self.answer = Some(answer.clone());
        }
    }

    /// A job is over; one that was stopped brings no answer.
    pub(super) fn ended(&mut self, job: JobId) {
        if self.waiting == Some(job) {
            self.waiting = None;
        }
    }

    /// The folder for a change that is to be written was chosen.
    pub(super) fn export_to(&mut self, ctx: &AppContext<'_>, place: &str) {
        if let Some(change) = self.exporting.take() {
            ctx.send(Command::ExportChange(change, place.to_owned()));
        }
    }

    /// What is counted, on whom, and the button that measures.
    pub(super) fn controls_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, edits): (&str, &[SteeringSpec]),
    ) {
        card(ui, |ui| {
            ui.label(RichText::new("What is counted").strong());
            let dataset = ctx
                .dictionary(sae)
                .and_then(|view| ctx.dataset(&view.dataset));
            self.items_ui(ui, dataset);
            ui.horizontal(|ui| {
                field_label_ui(ui, "Users of the");
                ui.selectable_value(&mut self.split, Split::Test, "Test part");
                ui.selectable_value(&mut self.split, Split::Dev, "Dev part");
            });
            ui.horizontal(|ui| {
                let label = field_label_ui(ui, "Random sets");
                let field = DragValue::new(&mut self.n_controls).range(0..=200);
                ui.add(field).labelled_by(label.id).on_hover_text(
                    "Sets of random features of like density that are changed the same way",
                );
            });
            let changes =
                |edit: &SteeringSpec| edit.mode != SteeringMode::Add || edit.strength != 0.0;
            let can_ask = edits.iter().any(changes) && self.waiting.is_none();
            ui.add_enabled_ui(can_ask, |ui| {
                if accent_ui(ui, "Measure over all users") {
                    ctx.send(Command::Ablate(Box::new(self.request(sae, edits))));
                }
            });
            if edits.is_empty() {
                notice::weak_ui(ui, "Add a feature above first.");
            } else if !edits.iter().any(changes) {
                notice::weak_ui(ui, "To add 0 changes nothing: move a slider, or ablate.");
            }
        });
        card(ui, |ui| self.saved_ui(ctx, ui, (sae, edits)));
    }

    fn items_ui(&mut self, ui: &mut Ui, dataset: Option<&DatasetView>) {
        let by_category = matches!(self.items, ConceptItems::Category(_));
        let by_effect = matches!(self.items, ConceptItems::Promoted(_));
        ui.horizontal_wrapped(|ui| {
            let promoted = ui.selectable_label(by_effect, "Items it promotes most");
            if promoted.clicked() && !by_effect {
                self.items = ConceptItems::Promoted(PROMOTED);
            }
            let first = dataset.and_then(|view| view.categories.first());
            ui.add_enabled_ui(first.is_some(), |ui| {
                let button = ui.selectable_label(by_category, "Items of a category");
                if let Some(first) = first
                    && button.clicked()
                    && !by_category
                {
                    self.items = ConceptItems::Category(first.clone());
                }
            });
        });
        ui.horizontal(|ui| match &mut self.items {
            ConceptItems::Promoted(n) => {
                let label = field_label_ui(ui, "How many");
                let field = DragValue::new(n).range(1..=1000);
                ui.add(field).labelled_by(label.id);
            }
            ConceptItems::Category(name) => {
                field_label_ui(ui, "Category");
                category_ui(ui, "Category counted", dataset, name);
            }
            ConceptItems::Items(items) => {
                let n = number::counted(items.len() as u64, ["item", "items"]);
                notice::weak_ui(ui, n);
            }
        });
    }

    fn request(&self, sae: &str, edits: &[SteeringSpec]) -> AblationRequest {
        AblationRequest {
            sae: sae.to_owned(),
            edits: edits.to_vec(),
            dataset: None,
            split: self.split,
            items: self.items.clone(),
            n_controls: self.n_controls,
            n_examples: N_EXAMPLES,
            seed: 0,
        }
    }

    /// Saves, exports and lists changes under a name.
    fn saved_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, edits): (&str, &[SteeringSpec]),
    ) {
        ui.label(RichText::new("Keep this change").strong());
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Preset name");
            let field = egui::TextEdit::singleline(&mut self.name).desired_width(160.0);
            ui.add(field).labelled_by(label.id);
        });
        let name = self.name.trim().to_owned();
        ui.horizontal(|ui| {
            ui.add_enabled_ui(!name.is_empty() && !edits.is_empty(), |ui| {
                let change = || SavedChange {
                    name: name.clone(),
                    sae: sae.to_owned(),
                    edits: edits.to_vec(),
                };
                if ui.button("Save as preset").clicked() {
                    ctx.send(Command::SaveChange(change()));
                }
                let export = ui.button("Export…").on_hover_text(
                    "Writes the model, the dictionary and the change as a steering file into a \
                     folder of this name, for use without this project",
                );
                if export.clicked() {
                    self.exporting = Some(change());
                    ctx.send(Command::ChoosePath(PathPurpose::SteeredFolder));
                }
            });
        });
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
                    ctx.send(Command::RemoveChange(change.name.clone()));
                }
            });
        }
        let put_back = self.removed.take_if(|removed| {
            let text = format!("Put {} back", removed.name);
            ui.button(text).clicked()
        });
        if let Some(removed) = put_back {
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
    each.collect::<Vec<_>>().join(", ")
}

/// Whether a dictionary's changes can be measured over all users.
pub(super) fn measures(ctx: &AppContext<'_>, sae: &str) -> bool {
    ctx.dictionary(sae)
        .is_some_and(|view| view.kind == ExampleKind::History)
}
