//! The form that adds a model that lies outside the project: a GGUF file or a folder.

use egui::{ComboBox, RichText, Ui};
use engine::views::{AddModelRequest, JobEnd, PathPurpose};
use schema::JobId;

use super::Known;
use crate::app_context::AppContext;
use crate::commands::{Command, ExchangeCommand};
use crate::screens::own_job::{self, OwnJob};
use crate::screens::start::{card, field_label_ui, folder_or_file_ui, name_of};
use crate::screens::train::live::accent_ui;
use crate::tokens;
use crate::widgets::notice;

/// How matrices are kept in memory: as a request calls it, as the screen does, and what it means.
const CODINGS: [(&str, &str, &str); 6] = [
    ("", "As stored", "Nothing is converted"),
    ("f32", "f32", "Four bytes a weight"),
    ("f16", "f16", "Two bytes a weight, 11 bits of precision"),
    ("bf16", "bf16", "Two bytes a weight, 8 bits of precision"),
    (
        "q8",
        "q8",
        "About one byte a weight, in blocks with a scale",
    ),
    (
        "q4",
        "q4",
        "About 0.6 bytes a weight; what the model writes can change",
    ),
];

/// State of the form.
#[derive(Default)]
pub(crate) struct AddForm {
    request: AddModelRequest,
    pub(crate) job: OwnJob,
    /// The model that was asked for and is not there yet.
    asked: Option<String>,
}

impl AddForm {
    /// Fills the path, and the name where there is none.
    pub(super) fn take_path(&mut self, path: &str, name: &str) {
        path.clone_into(&mut self.request.path);
        if self.request.name.is_empty() {
            name.clone_into(&mut self.request.name);
        }
    }

    /// As [`AddForm::take_path`], with a name from the path.
    pub(super) fn take_chosen(&mut self, path: &str) {
        self.take_path(path, name_of(path, &[".gguf"]));
    }

    /// The model that was asked for.
    pub(super) fn asked_for(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// A job is over; one that failed can be asked for again.
    pub(super) fn ended(&mut self, job: JobId, end: &JobEnd) {
        if self.job.ended(job) && !matches!(end, JobEnd::Finished(_)) {
            self.asked = None;
        }
    }

    /// Draws the form; whether it was left.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, known: &Known<'_>) -> bool {
        let mut left = own_job::is_left_by_key(ui);
        card(ui, |ui| {
            ui.label(RichText::new("Add a model").font(tokens::title_font()));
            notice::weak_ui(
                ui,
                "A language model in a GGUF file, or the folder of MAIRA-2, of LLaVA with DINOv2, of \
                 LiteMedSAM's encoder or of the phantom model. Its files stay where they are; the \
                 project keeps their hashes and notices when they change.",
            );
            let purposes = [PathPurpose::ModelFolder, PathPurpose::Model];
            folder_or_file_ui(ctx, ui, "Model", &mut self.request.path, purposes);
            ui.horizontal(|ui| {
                let label = field_label_ui(ui, "Name");
                let width = ui.available_width().min(280.0);
                let field = egui::TextEdit::singleline(&mut self.request.name);
                ui.add(field.desired_width(width)).labelled_by(label.id);
            });
            self.coding_ui(ui);
            left |= self.start_ui(ctx, ui, known);
        });
        left
    }

    fn coding_ui(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            field_label_ui(ui, "Kept in memory");
            let weights = &mut self.request.weights;
            let known = CODINGS.iter().find(|(coding, ..)| coding == weights);
            let named = known.map_or("As stored", |(_, name, _)| *name);
            ComboBox::from_id_salt("coding of the model")
                .selected_text(named)
                .show_ui(ui, |ui| {
                    for (coding, name, sentence) in CODINGS {
                        ui.selectable_value(weights, coding.to_owned(), name)
                            .on_hover_text(sentence);
                    }
                })
                .response
                .on_hover_text("A coarser coding takes less memory; the files stay as they are")
                .accessible_name("Coding in memory");
        });
    }

    fn start_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, known: &Known<'_>) -> bool {
        let cancel = ("the adding of the model", "No model is added");
        if self.job.ui(ctx, ui, Some(cancel)) {
            return false;
        }
        let name = self.request.name.trim().to_owned();
        let is_taken = known.is_taken(&name);
        if is_taken && !self.job.is_waiting() {
            notice::warning_ui(ui, "There is a model of this name; choose another name");
        }
        let is_complete = !name.is_empty() && !self.request.path.trim().is_empty();
        let can_ask = is_complete && !is_taken && !self.job.is_waiting();
        let mut left = false;
        ui.horizontal(|ui| {
            ui.add_enabled_ui(can_ask, |ui| {
                if accent_ui(ui, "Add") {
                    self.request.name = name;
                    self.asked = Some(self.request.name.clone());
                    let request = Box::new(self.request.clone());
                    ctx.send(Command::Exchange(ExchangeCommand::AddModel(request)));
                }
            });
            left = own_job::leave_ui(ui);
        });
        notice::weak_ui(
            ui,
            "Its files are hashed and it is loaded once, which takes a while and its memory with a \
             large one.",
        );
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_from_the_path() {
        let mut form = AddForm::default();
        form.take_chosen("/models/qwen2.5-0.5b-q8.gguf");
        assert_eq!(form.request.name, "qwen2.5-0.5b-q8");
        form.take_chosen("/models/maira-2/");
        assert_eq!(form.request.path, "/models/maira-2/");
        assert_eq!(form.request.name, "qwen2.5-0.5b-q8");
    }
}
