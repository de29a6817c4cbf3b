//! The form that takes a recommender's checkpoint into the project.

use egui::{RichText, Ui};
use engine::views::{AddRecommenderRequest, JobEnd, PathPurpose};
use schema::{DatasetKind, JobId};

use super::Known;
use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::own_job::{self, OwnJob};
use crate::screens::start::{card, field_label_ui, path_row_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens;
use crate::widgets::notice;

/// Architectures, as a request calls them and as the screen does.
const ARCHITECTURES: [(&str, &str); 6] = [
    ("", "Recognise it"),
    ("bprmf", "BPRMF"),
    ("lightgcn", "LightGCN"),
    ("sasrec", "SASRec"),
    ("timirec", "TiMiRec"),
    ("gru4rec", "GRU4Rec"),
];

/// State of the form.
#[derive(Default)]
pub(crate) struct ImportForm {
    request: AddRecommenderRequest,
    pub(crate) job: OwnJob,
    /// The model that was asked for and is not there yet.
    asked: Option<String>,
}

impl ImportForm {
    /// Fills the path from a dialog, and the name where there is none.
    pub(super) fn take_path(&mut self, path: &str) {
        path.clone_into(&mut self.request.path);
        if self.request.name.is_empty() {
            let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
            let stem = file.split('.').next().unwrap_or(file);
            stem.clone_into(&mut self.request.name);
        }
    }

    /// The model whose import was asked for.
    pub(super) fn asked_for(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// A job is over; an import that failed can be asked for again.
    pub(super) fn ended(&mut self, job: JobId, end: &JobEnd) {
        if self.job.ended(job) && !matches!(end, JobEnd::Finished(_)) {
            self.asked = None;
        }
    }

    /// Draws the form; whether it was left.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, known: &Known<'_>) -> bool {
        let mut left = own_job::is_left_by_key(ui);
        card(ui, |ui| {
            ui.label(RichText::new("Import a recommender").font(tokens::title_font()));
            notice::weak_ui(
                ui,
                "A folder that fluoroscope wrote, or a state dict as ReChorus and RecBole save it \
                 (.safetensors, .pt, .pth). It is copied into the project.",
            );
            let purpose = PathPurpose::Recommender;
            path_row_ui(ctx, ui, "Checkpoint", &mut self.request.path, purpose);
            field_ui(ui, "Name", &mut self.request.name, "");
            ui.horizontal_wrapped(|ui| {
                field_label_ui(ui, "Architecture");
                for (arch, name) in ARCHITECTURES {
                    let chosen = self.request.arch == arch;
                    if ui.selectable_label(chosen, name).clicked() {
                        arch.clone_into(&mut self.request.arch);
                    }
                }
            });
            self.dataset_ui(ctx, ui);
            egui::CollapsingHeader::new("What the file may not say")
                .id_salt("recommender file")
                .show(ui, |ui| {
                    let request = &mut self.request;
                    field_ui(ui, "Heads", &mut request.heads, "1");
                    field_ui(ui, "Layers", &mut request.layers, "LightGCN: 3");
                    let hint = "As many as it has positions";
                    field_ui(ui, "History", &mut request.history_max, hint);
                });
            left |= self.start_ui(ctx, ui, known);
        });
        left
    }

    fn dataset_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        ui.horizontal_wrapped(|ui| {
            field_label_ui(ui, "For the items of");
            let none = self.request.dataset.is_empty();
            if ui.selectable_label(none, "No dataset").clicked() {
                self.request.dataset.clear();
            }
            for view in ctx.datasets {
                let name = &view.manifest.name;
                if view.manifest.kind != DatasetKind::Interactions {
                    continue;
                }
                let chosen = self.request.dataset == *name;
                let button = ui.selectable_label(chosen, name);
                let button = button.accessible_name(format!("For the items of {name}"));
                if button.clicked() {
                    self.request.dataset.clone_from(name);
                }
            }
        });
        if self.request.arch == "lightgcn" && self.request.dataset.is_empty() {
            notice::weak_ui(
                ui,
                "LightGCN propagates over the train interactions of a dataset; choose it here.",
            );
        }
    }

    fn start_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, known: &Known<'_>) -> bool {
        if self.job.ui(ctx, ui, None) {
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
                if accent_ui(ui, "Import") {
                    self.request.name = name;
                    self.asked = Some(self.request.name.clone());
                    let request = Box::new(self.request.clone());
                    ctx.send(Command::ImportRecommender(request));
                }
            });
            left = own_job::leave_ui(ui);
        });
        left
    }
}

fn field_ui(ui: &mut Ui, name: &str, text: &mut String, hint: &str) {
    ui.horizontal(|ui| {
        let label = field_label_ui(ui, name);
        let width = ui.available_width().min(280.0);
        let field = egui::TextEdit::singleline(text).hint_text(hint);
        ui.add(field.desired_width(width)).labelled_by(label.id);
    });
}
