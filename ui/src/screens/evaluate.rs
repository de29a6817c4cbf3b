//! Evaluate: how good a dictionary is, beside its baselines, and the files of its report.

pub(crate) mod export;
mod metrics;

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{ComboBox, ProgressBar, RichText, ScrollArea, Ui};
use engine::EvaluateRequest;
use engine::views::{Chart, DictionaryReport, Event, JobView, PathPurpose, ReportPart, Revision};
use schema::JobId;

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, EvaluationCommand, Screen};
use crate::jobs_bar::progress_text;
use crate::screens::Panel;
use crate::screens::evaluate::export::ExportForm;
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens::{self, GRID};
use crate::widgets::{chart, notice, number};

/// Width from which charts stand side by side.
const TWO_COLUMNS: f32 = 1040.0;
/// Width of the lists of dictionaries.
const LIST: f32 = 220.0;

/// A report, as of the revision at which it was asked for; `None` while it is on its way.
struct Read {
    asked_at: Revision,
    answer: Option<Answer<Arc<DictionaryReport>>>,
}

/// State of this screen.
#[derive(Default)]
pub(crate) struct EvaluateScreen {
    /// The dictionary that the gallery shows.
    pub(crate) in_use: Option<String>,
    /// The one chosen here.
    pub(crate) chosen: Option<String>,
    /// One whose figures stand beside.
    beside: Option<String>,
    /// One of another training that features are matched with.
    against: Option<String>,
    reports: BTreeMap<String, Read>,
    running: Option<(JobId, String)>,
    /// What the file that is being chosen is for.
    saving: Option<(String, ReportPart)>,
    pub(crate) export: ExportForm,
}

impl EvaluateScreen {
    /// Remembers the job that measures a dictionary.
    pub(crate) fn waits_for(&mut self, job: JobId, sae: String) {
        self.running = Some((job, sae));
    }

    /// Shows another dictionary.
    pub(crate) fn show(&mut self, name: String) {
        self.chosen = Some(name);
        (self.beside, self.against) = (None, None);
    }

    /// Shows the form that exports a dictionary.
    pub(crate) fn show_export(&mut self, name: Option<String>) {
        if let Some(name) = name {
            self.show(name);
        }
        self.export.is_open = true;
    }

    /// Whether a report that is shown is still on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.reports.values().any(|read| read.answer.is_none())
    }

    /// The dictionary shown: the one chosen here, else the gallery's, else the first.
    pub(crate) fn dictionary(&self, ctx: &AppContext<'_>) -> Option<String> {
        let is_there = |name: &&String| ctx.dictionary(name).is_some();
        let wanted = [&self.chosen, &self.in_use].into_iter().flatten();
        let found = wanted.into_iter().find(is_there).cloned();
        found.or_else(|| ctx.dictionaries.first().map(|view| view.name.clone()))
    }

    /// A report, asked for where that was not yet done since the project last changed.
    fn report(
        &mut self,
        ctx: &AppContext<'_>,
        name: &str,
    ) -> Option<Answer<Arc<DictionaryReport>>> {
        let read = self.reports.entry(name.to_owned()).or_insert_with(|| Read {
            // Differs from every revision, so that it is asked for.
            asked_at: Revision(u64::MAX),
            answer: None,
        });
        if read.asked_at != ctx.revision {
            read.asked_at = ctx.revision;
            let asked = EvaluationCommand::Read(name.to_owned());
            ctx.send(Command::Evaluation(asked));
        }
        read.answer.clone()
    }

    fn save(&mut self, ctx: &AppContext<'_>, sae: &str, part: ReportPart) {
        let purpose = match part {
            ReportPart::Page => PathPurpose::ReportPage,
            ReportPart::Table => PathPurpose::ReportTable,
            ReportPart::Svg(_) => PathPurpose::ChartSvg,
            ReportPart::Png(_) => PathPurpose::ChartPng,
        };
        self.saving = Some((sae.to_owned(), part));
        ctx.send(Command::ChoosePath(purpose));
    }

    /// Which dictionary, what would be measured, and the button that measures.
    fn head_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, report): (&str, Option<&DictionaryReport>),
    ) {
        ui.horizontal_wrapped(|ui| {
            field_label_ui(ui, "Dictionary");
            let mut chosen = sae.to_owned();
            list_ui(ctx, ui, "Dictionary evaluated", &mut chosen, |_| true);
            if chosen != sae {
                self.show(chosen);
            }
            ui.add_space(GRID);
            field_label_ui(ui, "Beside it");
            let others = |name: &str| name != sae;
            optional_list_ui(ctx, ui, "Dictionary beside it", &mut self.beside, others)
                .on_hover_text("A second dictionary whose figures stand in a column of their own");
            ui.add_space(GRID);
            field_label_ui(ui, "Matched with");
            let view = ctx.dictionary(sae);
            let alike = |name: &str| {
                name != sae
                    && ctx
                        .dictionary(name)
                        .zip(view)
                        .is_some_and(|(a, b)| a.d_model == b.d_model && a.hook == b.hook)
            };
            optional_list_ui(ctx, ui, "Dictionary matched with", &mut self.against, alike)
                .on_hover_text(
                    "A dictionary of another training: tells how many features both found",
                );
        });
        ui.add_space(GRID);
        if let Some(report) = report {
            plan_ui(ui, report);
        }
        ui.add_space(GRID);
        let running = self.running.clone();
        let job = running.and_then(|(id, of)| {
            let job = ctx.jobs.iter().find(|job| job.id == id)?;
            (of == sae).then_some(job)
        });
        if let Some(job) = job {
            job_ui(ctx, ui, job);
            return;
        }
        let measured = report.is_some_and(|report| report.evaluation.is_some());
        ui.horizontal_wrapped(|ui| {
            let text = if measured { "Measure again" } else { "Measure" };
            ui.add_enabled_ui(self.running.is_none(), |ui| {
                if accent_ui(ui, text) {
                    let request = EvaluateRequest {
                        against: self.against.clone(),
                        ..EvaluateRequest::of(sae)
                    };
                    let asked = EvaluationCommand::Measure(Box::new(request));
                    ctx.send(Command::Evaluation(asked));
                }
            });
            ui.add_enabled_ui(measured, |ui| {
                let page = ui.button("Save report as HTML…").on_hover_text(
                    "One file with charts, tables, definitions, settings and hashes; it needs no \
                     network",
                );
                if page.clicked() {
                    self.save(ctx, sae, ReportPart::Page);
                }
                let table = ui.button("Save table as CSV…");
                if table
                    .on_hover_text("Every figure of the report, a line each, with all digits")
                    .clicked()
                {
                    self.save(ctx, sae, ReportPart::Table);
                }
            });
            let is_open = self.export.is_open;
            let button = egui::Button::selectable(is_open, "Export…").frame_when_inactive(true);
            let button = ui.add(button).on_hover_text(
                "Writes the dictionary itself for SAELens, dictionary_learning or sparsify",
            );
            if button.accessible_name("Export the dictionary").clicked() {
                self.export.is_open = !is_open;
            }
        });
    }

    fn charts_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, report: &DictionaryReport) {
        if ui.available_width() < TWO_COLUMNS {
            for one in &report.charts {
                self.chart_ui(ctx, ui, report, one);
            }
            return;
        }
        ui.columns(2, |columns| {
            // The next one goes where there is more room.
            let mut heights = [0.0_f32; 2];
            for one in &report.charts {
                let at = usize::from(heights[1] < heights[0]);
                self.chart_ui(ctx, &mut columns[at], report, one);
                heights[at] = columns[at].min_rect().height();
            }
        });
    }

    fn chart_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        report: &DictionaryReport,
        one: &Chart,
    ) {
        let mut part = None;
        card(ui, |ui| {
            ui.add(egui::Label::new(RichText::new(&one.title).strong()).wrap());
            chart::chart_ui(ui, one);
            notice::weak_ui(ui, &one.source);
            ui.horizontal(|ui| {
                let svg = ui.button("Save as SVG…");
                let svg = svg.accessible_name(format!("Save as SVG: {}", one.title));
                if svg.clicked() {
                    part = Some(ReportPart::Svg(one.id.clone()));
                }
                let png = ui.button("Save as PNG…");
                let png = png.accessible_name(format!("Save as PNG: {}", one.title));
                if png.clicked() {
                    part = Some(ReportPart::Png(one.id.clone()));
                }
            });
        });
        if let Some(part) = part {
            self.save(ctx, &report.dictionary.name, part);
        }
    }

    fn measured_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, report: &DictionaryReport) {
        if !report.changed.is_empty() {
            let names = report.changed.join(", ");
            let text = format!("{names} changed after this was measured; measure again.");
            notice::warning_ui(ui, &text);
        }
        let beside = self.beside.clone().map(|name| {
            let other = self.report(ctx, &name);
            (name, other)
        });
        if let Some(kept) = &report.evaluation {
            let beside = beside
                .as_ref()
                .map(|(name, other)| (name.as_str(), other.as_ref()));
            card(ui, |ui| metrics::ui(ui, kept, beside));
        }
        if let Some(scores) = &report.explanations {
            card(ui, |ui| metrics::explanations_ui(ui, scores));
        }
        self.charts_ui(ctx, ui, report);
    }
}

/// A list of dictionaries of which one is chosen.
fn list_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    name: &str,
    chosen: &mut String,
    offers: impl Fn(&str) -> bool,
) {
    ComboBox::from_id_salt(name)
        .selected_text(chosen.as_str())
        .width(LIST)
        .show_ui(ui, |ui| {
            for view in ctx.dictionaries.iter().filter(|view| offers(&view.name)) {
                ui.selectable_value(chosen, view.name.clone(), &view.name);
            }
        })
        .response
        .accessible_name(name);
}

/// As [`list_ui`], or none.
fn optional_list_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    name: &str,
    chosen: &mut Option<String>,
    offers: impl Fn(&str) -> bool,
) -> egui::Response {
    ComboBox::from_id_salt(name)
        .selected_text(chosen.as_deref().unwrap_or("None"))
        .width(LIST / 2.0)
        .show_ui(ui, |ui| {
            ui.selectable_value(chosen, None, "None");
            for view in ctx.dictionaries.iter().filter(|view| offers(&view.name)) {
                ui.selectable_value(chosen, Some(view.name.clone()), &view.name);
            }
        })
        .response
        .accessible_name(name)
}

/// What would be measured, on what, how long about, and when it last was.
fn plan_ui(ui: &mut Ui, report: &DictionaryReport) {
    let (view, plan) = (&report.dictionary, &report.plan);
    let mut parts = vec![
        format!(
            "{} of {} at {}",
            number::counted(u64::from(view.n_features), ["feature", "features"]),
            view.model,
            view.hook
        ),
        format!(
            "{} on {}",
            number::counted(plan.metrics.len() as u64, ["metric", "metrics"]),
            number::counted(plan.n_rows, ["row", "rows"])
        ),
    ];
    parts.push(match plan.seconds {
        Some(seconds) => format!(
            "takes about {} ({})",
            number::duration(seconds as f32),
            plan.basis
        ),
        None => plan.basis.clone(),
    });
    if let Some(kept) = &report.evaluation {
        parts.push(format!("last measured {}", number::time(&kept.at)));
    }
    notice::weak_ui(ui, parts.join("  ·  "))
        .on_hover_text(format!("Measured are: {}", plan.metrics.join(", ")));
}

fn job_ui(ctx: &AppContext<'_>, ui: &mut Ui, job: &JobView) {
    let share = if job.total > 0 {
        job.done as f32 / job.total as f32
    } else {
        0.0
    };
    ui.add(
        ProgressBar::new(share)
            .desired_height(GRID)
            .fill(tokens::of(ui).accent),
    )
    .accessible_name("Progress of the measurement");
    ui.horizontal(|ui| {
        let stop = ui.add_enabled(!job.stopping, egui::Button::new("Cancel"));
        let stop = stop.accessible_name("Cancel the measurement");
        if stop
            .on_hover_text("Stops within a second; the last report stays")
            .clicked()
        {
            ctx.send(Command::CancelJob(job.id));
        }
        notice::weak_ui(ui, progress_text(job));
    });
}

impl Panel for EvaluateScreen {
    fn title(&self) -> String {
        match (&self.chosen, &self.in_use) {
            (Some(name), _) | (None, Some(name)) => format!("Evaluate {name}"),
            (None, None) => "Evaluate".to_owned(),
        }
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let Some(sae) = self.dictionary(ctx) else {
            let (text, next) = if ctx.project_open {
                (
                    "Here stand the figures of a dictionary beside their baselines, with charts, \
                     once one is trained or imported.",
                    Screen::Train,
                )
            } else {
                (
                    "Open a project first: its dictionaries are measured here.",
                    Screen::Start,
                )
            };
            notice::empty_ui(ui, "No dictionary yet", text, |ui| {
                if accent_ui(ui, &format!("Open {}", next.name())) {
                    ctx.send(Command::Show(next));
                }
            });
            return;
        };
        let read = self.report(ctx, &sae);
        ScrollArea::vertical()
            .id_salt("evaluate")
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = GRID;
                let report = read.as_ref().and_then(|read| read.as_ref().ok());
                card(ui, |ui| {
                    self.head_ui(ctx, ui, (&sae, report.map(|report| &**report)));
                });
                if self.export.is_open {
                    self.export.ui(ctx, ui, &sae);
                }
                match &read {
                    None => {
                        notice::weak_ui(ui, "Reading what was measured…");
                    }
                    Some(Err(problem)) => {
                        notice::error_ui(ui, problem);
                        if ui.button("Try again").clicked() {
                            self.reports.remove(&sae);
                        }
                    }
                    Some(Ok(report)) => {
                        if report.evaluation.is_none() {
                            notice::plain_ui(
                                ui,
                                "This dictionary was not measured yet. Measure it to see each \
                                 figure beside a random dictionary and shuffled data.",
                            );
                        }
                        self.measured_ui(ctx, ui, report);
                    }
                }
            });
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => *self = Self::default(),
            Event::Evaluated(name, answer) => {
                if let Some(read) = self.reports.get_mut(name) {
                    read.answer = Some(answer.clone());
                }
            }
            Event::JobEnded(id, end) => {
                self.running.take_if(|(job, _)| job == id);
                self.export.ended(*id, end);
            }
            Event::PathChosen(PathPurpose::ExportedDictionary, Some(path)) => {
                self.export.take_path(path);
            }
            Event::PathChosen(
                PathPurpose::ReportPage
                | PathPurpose::ReportTable
                | PathPurpose::ChartSvg
                | PathPurpose::ChartPng,
                path,
            ) => {
                if let Some((sae, part)) = self.saving.take()
                    && let Some(file) = path
                {
                    let asked = EvaluationCommand::Save(sae, part, file.clone());
                    ctx.send(Command::Evaluation(asked));
                }
            }
            _ => {}
        }
    }
}
