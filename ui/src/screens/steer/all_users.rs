//! The same change for all users of a recommender: what is asked.

use egui::{ComboBox, DragValue, RichText, Ui};
use engine::views::{AblationRequest, AblationView, ConceptItems, DatasetView, ExampleKind};
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
}

/// Whether a dictionary's changes can be measured over all users.
pub(super) fn measures(ctx: &AppContext<'_>, sae: &str) -> bool {
    ctx.dictionary(sae)
        .is_some_and(|view| view.kind == ExampleKind::History)
}
