//! The import form: what to read, then a preview, then the import. Nothing is written before.

use egui::{Grid, RichText, ScrollArea, Ui};
use engine::views::{Arrival, ArrivalKind, Event, ImportPreview, ImportRequest, PathPurpose};
use schema::{DatasetKind, JobId};

use super::interactions_form::{InteractionsForm, Paths};
use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::own_job::{self, OwnJob};
use crate::screens::start::{card, field_label_ui, folder_or_file_ui, path_row_ui};
use crate::tokens;
use crate::widgets::notice::{self, section_ui, weak_ui};
use crate::widgets::number;

/// What is imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Radiographs,
    Reports,
    Interactions,
    PhantomRadiographs,
    PhantomShoppers,
}

impl Source {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Radiographs, "Radiographs"),
        (Self::Reports, "Reports"),
        (Self::Interactions, "Interactions"),
        (Self::PhantomRadiographs, "Phantom radiographs"),
        (Self::PhantomShoppers, "Phantom shoppers"),
    ];
}

/// State of the form.
pub(crate) struct ImportForm {
    source: Source,
    name: String,
    folder: String,
    table: String,
    columns: String,
    /// Boxes or item titles.
    extra: String,
    /// Table of findings, or folder of phrases.
    labels: String,
    interactions: InteractionsForm,
    count: u32,
    seed: u64,
    /// Whether a preview was asked for and is not there yet, and its job.
    waiting: bool,
    previewing: OwnJob,
    preview: Option<Result<ImportPreview, String>>,
    /// The dataset whose import was asked for.
    asked_for: Option<String>,
    importing: OwnJob,
}

impl Default for ImportForm {
    fn default() -> Self {
        Self {
            source: Source::default(),
            name: String::new(),
            folder: String::new(),
            table: String::new(),
            columns: String::new(),
            extra: String::new(),
            labels: String::new(),
            interactions: InteractionsForm::default(),
            count: 1000,
            seed: 0,
            waiting: false,
            previewing: OwnJob::default(),
            preview: None,
            asked_for: None,
            importing: OwnJob::default(),
        }
    }
}

impl ImportForm {
    /// The form as it is for what was dropped on the window.
    pub(crate) fn of(arrival: &Arrival) -> Self {
        let mut form = Self {
            name: arrival.name.clone(),
            ..Self::default()
        };
        let path = arrival.path.clone();
        match &arrival.kind {
            ArrivalKind::Reports => (form.source, form.table) = (Source::Reports, path),
            ArrivalKind::Interactions { is_table: true } => {
                form.interactions = InteractionsForm::of_table();
                (form.source, form.table) = (Source::Interactions, path);
            }
            ArrivalKind::Interactions { is_table: false } => {
                (form.source, form.folder) = (Source::Interactions, path);
            }
            ArrivalKind::Films { table } => {
                form.table.clone_from(table);
                (form.source, form.folder) = (Source::Radiographs, path);
            }
            // None of them is a dataset.
            ArrivalKind::Project
            | ArrivalKind::Recommender
            | ArrivalKind::Dictionary
            | ArrivalKind::Model
            | ArrivalKind::Nothing => {}
        }
        form
    }

    /// What to ask for the preview; it is waited for.
    pub(crate) fn preview(&mut self) -> ImportRequest {
        self.waiting = true;
        self.preview = None;
        self.request()
    }

    /// The dataset whose import was asked for, once: the job is over.
    pub(crate) fn take_asked_for(&mut self) -> Option<String> {
        self.asked_for.take()
    }

    /// Whether this job imports what the form asked for.
    pub(crate) fn is_importing(&self, job: JobId) -> bool {
        self.importing.is(job)
    }

    /// A preview was asked for: its job, where it could be started.
    pub(crate) fn previews(&mut self, job: Option<JobId>) {
        match job {
            Some(job) => self.previewing.waits_for(job),
            None => self.waiting = false,
        }
    }

    /// Remembers the job that imports.
    pub(crate) fn imports(&mut self, job: JobId) {
        self.importing.waits_for(job);
    }

    /// Paths that were chosen, and the preview that was asked for.
    pub(crate) fn on_event(&mut self, _ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::PathChosen(
                PathPurpose::ImagesFolder | PathPurpose::InteractionsFolder,
                Some(path),
            ) => self.folder.clone_from(path),
            Event::PathChosen(PathPurpose::TableFile, Some(path)) => self.table.clone_from(path),
            Event::PathChosen(PathPurpose::SecondTable, Some(path)) => self.extra.clone_from(path),
            Event::PathChosen(
                PathPurpose::FindingsTable | PathPurpose::PhrasesFolder,
                Some(path),
            ) => self.labels.clone_from(path),
            // A preview that was stopped or that failed is no longer on its way.
            Event::JobEnded(job, _) => {
                self.importing.ended(*job);
                if self.previewing.ended(*job) {
                    self.waiting = false;
                }
            }
            Event::ImportPreview(preview) => {
                self.waiting = false;
                self.preview = Some((**preview).clone());
            }
            _ => {}
        }
    }

    fn request(&self) -> ImportRequest {
        let text = |field: &String| field.trim().to_owned();
        let name = text(&self.name);
        match self.source {
            Source::Radiographs => ImportRequest::Radiographs {
                name,
                images: text(&self.folder),
                table: text(&self.table),
                columns: text(&self.columns),
                labels: text(&self.labels),
                boxes: text(&self.extra),
            },
            Source::Reports => ImportRequest::Reports {
                name,
                table: text(&self.table),
                columns: text(&self.columns),
                labels: text(&self.labels),
            },
            Source::Interactions => ImportRequest::Interactions(
                self.interactions
                    .request(name, (&self.folder, &self.table, &self.extra)),
            ),
            Source::PhantomRadiographs => ImportRequest::PhantomRadiographs {
                name,
                count: self.count,
                seed: self.seed,
            },
            Source::PhantomShoppers => ImportRequest::PhantomShoppers {
                name,
                count: self.count,
                seed: self.seed,
            },
        }
    }

    /// Draws the form and, below it, the preview; whether it was left.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) -> bool {
        let mut left = own_job::is_left_by_key(ui);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width().min(760.0));
            card(ui, |ui| {
                ui.label(RichText::new("Import data").font(tokens::title_font()));
                weak_ui(
                    ui,
                    "Your files are read where they are and never changed. Nothing is written \
                     before you have seen the preview.",
                );
                ui.horizontal_wrapped(|ui| {
                    for (source, name) in Source::ALL {
                        ui.selectable_value(&mut self.source, source, name);
                    }
                });
                self.fields_ui(ctx, ui);
                left |= self.buttons_ui(ctx, ui);
            });
            let hint = "Nothing was written";
            let previews = self.previewing.ui(ctx, ui, Some(("the preview", hint)));
            if self.waiting && !previews {
                weak_ui(ui, "Reading…");
            }
            match &self.preview {
                Some(Ok(preview)) => preview_ui(ui, preview),
                Some(Err(problem)) => notice::error_ui(ui, problem),
                None => {}
            }
        });
        if left && self.waiting {
            // Nobody waits for it any more.
            self.previewing.cancel(ctx);
        }
        left
    }

    fn fields_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        text_row_ui(ui, "Name", &mut self.name, "Name of the new dataset");
        let columns_hint = "Leave empty to recognise columns by name";
        match self.source {
            Source::Radiographs => {
                path_row_ui(
                    ctx,
                    ui,
                    "Images folder",
                    &mut self.folder,
                    PathPurpose::ImagesFolder,
                );
                path_row_ui(ctx, ui, "Table", &mut self.table, PathPurpose::TableFile);
                text_row_ui(ui, "Columns", &mut self.columns, columns_hint);
                self.findings_ui(ctx, ui);
                path_row_ui(
                    ctx,
                    ui,
                    "Boxes table",
                    &mut self.extra,
                    PathPurpose::SecondTable,
                );
            }
            Source::Reports => {
                path_row_ui(ctx, ui, "Table", &mut self.table, PathPurpose::TableFile);
                text_row_ui(ui, "Columns", &mut self.columns, columns_hint);
                self.findings_ui(ctx, ui);
            }
            Source::Interactions => {
                let mut paths = Paths {
                    folder: &mut self.folder,
                    table: &mut self.table,
                    items: &mut self.extra,
                };
                self.interactions.ui(ctx, ui, &mut paths);
            }
            Source::PhantomRadiographs | Source::PhantomShoppers => {
                Grid::new("phantom").num_columns(2).show(ui, |ui| {
                    let label = ui.label("Number");
                    ui.add(egui::DragValue::new(&mut self.count).range(1..=1_000_000))
                        .labelled_by(label.id);
                    ui.end_row();
                    let label = ui.label("Seed");
                    ui.add(egui::DragValue::new(&mut self.seed))
                        .labelled_by(label.id);
                    ui.end_row();
                });
            }
        }
    }

    /// Where findings come from, if not from the table.
    fn findings_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let purposes = [PathPurpose::PhrasesFolder, PathPurpose::FindingsTable];
        folder_or_file_ui(ctx, ui, "Findings", &mut self.labels, purposes);
        weak_ui(
            ui,
            "A table of findings, or a folder with lists of phrases by which they are read in the \
             reports; empty where the table above has them.",
        );
    }

    fn buttons_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) -> bool {
        let hint = "Nothing is imported: it is all or nothing";
        if self.importing.ui(ctx, ui, Some(("the import", hint))) {
            return false;
        }
        let mut left = false;
        let request = self.request();
        let named = !self.name.trim().is_empty();
        ui.horizontal(|ui| {
            if ui
                .add_enabled(named, egui::Button::new("Preview"))
                .clicked()
            {
                ctx.send(Command::PreviewImport(self.preview()));
            }
            let ready = matches!(&self.preview, Some(Ok(preview))
                if preview.request == request && preview.n_samples > 0);
            let import = ui
                .add_enabled(ready, egui::Button::new("Import"))
                .on_disabled_hover_text("Preview first");
            if import.clicked() {
                self.preview = None;
                self.asked_for = Some(self.name.trim().to_owned());
                ctx.send(Command::Import(request));
            }
            left = own_job::leave_ui(ui);
            if !named {
                weak_ui(ui, "Give the dataset a name to preview it");
            }
        });
        left
    }
}

pub(super) fn text_row_ui(ui: &mut Ui, name: &str, text: &mut String, hint: &str) {
    ui.horizontal(|ui| {
        let label = field_label_ui(ui, name);
        ui.add(
            egui::TextEdit::singleline(text)
                .hint_text(hint)
                .desired_width(ui.available_width()),
        )
        .labelled_by(label.id);
    });
}

fn preview_ui(ui: &mut Ui, preview: &ImportPreview) {
    card(ui, |ui| {
        let nouns = match preview.kind {
            DatasetKind::Radiographs => ["film", "films"],
            DatasetKind::Reports => ["report", "reports"],
            DatasetKind::Interactions => ["history", "histories"],
        };
        let text = format!(
            "{} would be imported, {} skipped",
            number::counted(u64::from(preview.n_samples), nouns),
            number::count(preview.n_skipped)
        );
        ui.label(RichText::new(text).font(tokens::title_font()));
        for sentence in &preview.recognised {
            ui.add(egui::Label::new(sentence).wrap());
        }
        for warning in &preview.warnings {
            notice::warning_ui(ui, warning);
        }
        if !preview.skipped.is_empty() {
            section_ui(ui, "Skipped, with reasons");
            for skipped in preview.skipped.iter().take(200) {
                weak_ui(ui, format!("{}: {}", skipped.place, skipped.reason));
            }
            if preview.skipped.len() > 200 {
                let rest = number::count(preview.n_skipped.saturating_sub(200));
                weak_ui(ui, format!("and {rest} more"));
            }
        }
    });
}
