//! Data: datasets, their samples as thumbnails or a table, one sample large, import.

mod import_form;
mod interactions_form;
pub(crate) mod sample_view;
mod samples;

use std::fmt::Write as _;

use egui::{RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{Arrival, DatasetView, Event, ImportRequest, JobEnd};
use schema::{DatasetKind, JobId};

use crate::app_context::AppContext;
use crate::commands::{Command, Screen};
use crate::screens::Panel;
use crate::screens::data::import_form::ImportForm;
use crate::screens::data::sample_view::SampleDetail;
use crate::screens::data::samples::Samples;
use crate::tokens::{self, GRID};
use crate::widgets::split::{Edge, Extent, split_ui};
use crate::widgets::{item_strip, notice, number};

/// State of the data screen.
#[derive(Default)]
pub(crate) struct DataScreen {
    /// Dataset and sample shown.
    pub(crate) dataset: Option<String>,
    pub(crate) sample: u32,
    samples: Samples,
    detail: SampleDetail,
    form: ImportForm,
    importing: bool,
}

impl DataScreen {
    /// Shows one sample.
    pub(crate) fn show(&mut self, dataset: String, sample: u32) {
        self.dataset = Some(dataset);
        self.sample = sample;
        self.importing = false;
        self.samples.scroll_to(sample);
    }

    /// Opens the import form on what was dropped on the window; the preview to ask for.
    pub(crate) fn import(&mut self, arrival: &Arrival) -> ImportRequest {
        self.importing = true;
        self.form = ImportForm::of(arrival);
        self.form.preview()
    }

    /// A preview was asked for: its job, where it could be started.
    pub(crate) fn previews(&mut self, job: Option<JobId>) {
        self.form.previews(job);
    }

    /// Remembers the job that imports.
    pub(crate) fn imports(&mut self, job: JobId) {
        self.form.imports(job);
    }

    /// The dataset shown, or the first.
    fn current<'a>(&self, ctx: &AppContext<'a>) -> Option<&'a DatasetView> {
        self.dataset
            .as_ref()
            .and_then(|name| ctx.datasets.iter().find(|view| &view.manifest.name == name))
            .or_else(|| ctx.datasets.first())
    }

    fn list_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        if ui.button("Import data…").clicked() {
            self.importing = true;
        }
        ui.add_space(GRID);
        let current = self.current(ctx).map(|view| view.manifest.name.clone());
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            for view in ctx.datasets {
                let manifest = &view.manifest;
                let chosen = !self.importing && current.as_ref() == Some(&manifest.name);
                if dataset_row_ui(ui, view, chosen) {
                    self.dataset = Some(manifest.name.clone());
                    self.sample = 0;
                    self.importing = false;
                }
            }
        });
    }

    fn dataset_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, view: &DatasetView) {
        // What is looked at large is the sample.
        if ctx.is_alone() {
            self.detail.ui(ctx, ui, view, self.sample);
            return;
        }
        split_ui(
            ctx,
            ui,
            (Edge::Right, "sample"),
            Extent {
                default: (ui.available_width() * 0.46).clamp(320.0, 720.0),
                range: 280.0..=900.0,
            },
            |ui| self.detail.ui(ctx, ui, view, self.sample),
        );
        egui::CentralPanel::no_frame().show(ui, |ui| {
            manifest_ui(ui, view);
            self.samples.ui(ctx, ui, view, &mut self.sample);
        });
    }
}

impl Panel for DataScreen {
    fn title(&self) -> String {
        "Data".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        if !ctx.project_open {
            notice::empty_ui(
                ui,
                "No project is open",
                "Datasets of a project appear here: films, reports and item histories. Open a \
                 project or build the demo project first.",
                |ui| {
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                },
            );
            return;
        }
        split_ui(
            ctx,
            ui,
            (Edge::Left, "datasets"),
            Extent {
                default: 216.0,
                range: 160.0..=360.0,
            },
            |ui| self.list_ui(ctx, ui),
        );
        egui::CentralPanel::no_frame().show(ui, |ui| {
            ui.add_space(0.0);
            if self.importing {
                self.importing = !self.form.ui(ctx, ui);
                return;
            }
            match self.current(ctx) {
                Some(view) => self.dataset_ui(ctx, ui, view),
                None => notice::empty_ui(
                    ui,
                    "No dataset yet",
                    "Import films, reports or interactions, or generate phantoms. You see what \
                     would be imported before anything is written.",
                    |ui| {
                        if ui.button("Import data").clicked() {
                            self.importing = true;
                        }
                    },
                ),
            }
        });
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => *self = Self::default(),
            Event::JobEnded(job, end) if self.form.is_importing(*job) => {
                self.form.on_event(ctx, event);
                let name = self.form.take_asked_for();
                if let (JobEnd::Finished(_), Some(name)) = (end, name)
                    && self.importing
                    && ctx.dataset(&name).is_some()
                {
                    self.show(name, 0);
                    self.form = ImportForm::default();
                }
            }
            _ => self.form.on_event(ctx, event),
        }
    }
}

/// Name and size of a dataset in the list; `true` when it is chosen.
fn dataset_row_ui(ui: &mut Ui, view: &DatasetView, chosen: bool) -> bool {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), 48.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let name = &view.manifest.name;
    let label = format!("Dataset {name}");
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
    let fill = if chosen {
        theme.accent_quiet
    } else if response.hovered() || response.has_focus() {
        theme.hovered
    } else {
        theme.panel
    };
    ui.painter().rect_filled(rect, tokens::RADIUS, fill);
    let inner = rect.shrink2(Vec2::new(10.0, 6.0));
    for (text, top, colour) in [
        (name.clone(), 0.0, theme.text),
        (summary(view), 19.0, theme.text_weak),
    ] {
        let galley = item_strip::truncated(ui.painter(), &text, inner.width(), colour);
        ui.painter()
            .galley(inner.min + Vec2::new(0.0, top), galley, colour);
    }
    response.clicked()
}

fn summary(view: &DatasetView) -> String {
    let manifest = &view.manifest;
    let samples = number::count(u64::from(manifest.n_samples));
    let groups = number::count(u64::from(view.n_groups));
    match manifest.kind {
        DatasetKind::Radiographs => format!("{samples} films of {groups} patients"),
        DatasetKind::Reports => format!("{samples} reports"),
        DatasetKind::Interactions => format!(
            "{samples} histories, {} items",
            number::count(u64::from(view.n_items))
        ),
    }
}

fn manifest_ui(ui: &mut Ui, view: &DatasetView) {
    let manifest = &view.manifest;
    ui.label(RichText::new(&manifest.name).font(tokens::title_font()));
    let [train, dev, test] = view.n_by_split;
    let mut text = summary(view);
    if dev + test > 0 {
        write!(
            text,
            " · {} train, {} dev, {} test",
            number::count(u64::from(train)),
            number::count(u64::from(dev)),
            number::count(u64::from(test))
        )
        .ok();
    }
    if let Some(licence) = &manifest.licence {
        write!(text, " · {licence}").ok();
    }
    notice::weak_ui(ui, text);
    notice::weak_ui(ui, format!("From {}", manifest.source));
    if !manifest.skipped.is_empty() {
        egui::CollapsingHeader::new("Left out at import").show(ui, |ui| {
            for skipped in manifest.skipped.iter().take(100) {
                notice::weak_ui(ui, format!("{}: {}", skipped.place, skipped.reason));
            }
        });
    }
}
