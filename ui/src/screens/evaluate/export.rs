//! The form that writes a dictionary for another tool, and what reading it back gave.

use std::path::PathBuf;

use egui::{RichText, Ui};
use engine::ExportRequest;
use engine::views::{JobEnd, PathPurpose};
use schema::JobId;

use crate::app_context::AppContext;
use crate::commands::{Command, ExchangeCommand};
use crate::screens::own_job::{self, OwnJob};
use crate::screens::start::{card, field_label_ui, path_row_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens;
use crate::widgets::notice;

/// Formats, as a request calls them, as the screen does, and what each becomes.
const FORMATS: [(&str, &str, &str); 3] = [
    (
        "saelens",
        "SAELens",
        "cfg.json and sae_weights.safetensors; one tracked threshold becomes its jumprelu",
    ),
    (
        "dictionary_learning",
        "dictionary_learning",
        "config.json and ae.pt",
    ),
    ("sparsify", "sparsify", "cfg.json and sae.safetensors"),
];

/// State of the form.
#[derive(Default)]
pub(crate) struct ExportForm {
    pub(super) is_open: bool,
    /// Place in the list of formats.
    format: usize,
    out: String,
    /// The job, and the dictionary that it writes.
    pub(crate) job: OwnJob,
    asked: String,
    /// How the last export ended, by dictionary.
    told: Option<(String, Result<String, String>)>,
}

impl ExportForm {
    /// Takes a folder from the dialog.
    pub(super) fn take_path(&mut self, path: &str) {
        path.clone_into(&mut self.out);
    }

    /// A job is over: what came of the form's own is told.
    pub(super) fn ended(&mut self, job: JobId, end: &JobEnd) {
        if !self.job.ended(job) {
            return;
        }
        let said = match end {
            JobEnd::Finished(text) => Ok(text.clone()),
            JobEnd::Failed(text) => Err(text.clone()),
            JobEnd::Cancelled => return,
        };
        self.told = Some((self.asked.clone(), said));
    }

    /// Draws the form for one dictionary.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        if own_job::is_left_by_key(ui) {
            self.is_open = false;
        }
        card(ui, |ui| {
            let title = format!("Export {sae} for another tool");
            ui.label(RichText::new(title).font(tokens::title_font()));
            notice::weak_ui(
                ui,
                "Written as the tool itself writes it, then read back: the largest difference of the \
                 reconstructions is told.",
            );
            ui.horizontal_wrapped(|ui| {
                field_label_ui(ui, "Format");
                for (at, (_, name, sentence)) in FORMATS.iter().enumerate() {
                    ui.selectable_value(&mut self.format, at, *name)
                        .on_hover_text(*sentence);
                }
            });
            let purpose = PathPurpose::ExportedDictionary;
            path_row_ui(ctx, ui, "Export folder", &mut self.out, purpose);
            self.start_ui(ctx, ui, sae);
        });
    }

    fn start_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        // It is done in seconds, and not stopped on the way.
        if self.job.ui(ctx, ui, None) {
            return;
        }
        let out = self.out.trim();
        ui.horizontal(|ui| {
            ui.add_enabled_ui(!out.is_empty() && !self.job.is_waiting(), |ui| {
                if accent_ui(ui, "Export") {
                    let format = FORMATS.get(self.format).unwrap_or(&FORMATS[0]).0;
                    let request = Box::new(ExportRequest {
                        sae: sae.to_owned(),
                        format: format.to_owned(),
                        out: PathBuf::from(out),
                        k: None,
                    });
                    sae.clone_into(&mut self.asked);
                    ctx.send(Command::Exchange(ExchangeCommand::Export(request)));
                }
            });
            if own_job::leave_ui(ui) {
                self.is_open = false;
            }
            if out.is_empty() {
                notice::weak_ui(ui, "Choose a new or empty folder first.");
            }
        });
        match &self.told {
            Some((of, Ok(text))) if of == sae => {
                notice::plain_ui(ui, text);
            }
            Some((of, Err(problem))) if of == sae => notice::error_ui(ui, problem),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_engine_is_offered() {
        let offered = FORMATS.map(|(format, ..)| format);
        assert_eq!(offered, engine::sae_export_formats());
    }
}
