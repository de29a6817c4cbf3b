//! The dose-response sweep of one sample: what is asked, the curves beside random directions, the
//! table, and the files of both.

use egui::{DragValue, ProgressBar, RichText, Ui};
use engine::views::{
    Chart, JobView, SteerRequest, SteeringPart, SweepRange, SweepRequest, SweepRun, SweepView,
};
use schema::{JobId, SteeringMode};

use super::presets::in_words;
use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::jobs_bar::progress_text;
use crate::options::RememberedSweep;
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens::{self, GRID};
use crate::widgets::{chart, notice, number, table};

/// Widths of columns beside each other: strengths, a measure, the random directions with their
/// range, names of findings.
const STRENGTH: f32 = 0.9;
const MEASURE: f32 = 1.0;
const RANDOM: f32 = 2.0;
const FINDINGS: f32 = 1.5;

/// A sweep that came, with its charts, which are made once.
struct Swept {
    view: SweepView,
    charts: Vec<Chart>,
}

/// State of this part of the screen.
#[derive(Default)]
pub(crate) struct DoseResponse {
    /// What is asked for, kept from one start to the next.
    form: RememberedSweep,
    waiting: Option<JobId>,
    answer: Option<Answer<Swept>>,
    /// The chart that is looked at.
    chosen: usize,
}

impl DoseResponse {
    /// With a form as it was left.
    pub(super) fn of(form: RememberedSweep) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }

    /// The form as it is, to be remembered.
    pub(super) fn form(&self) -> RememberedSweep {
        self.form
    }

    /// Remembers which answer is wanted.
    pub(crate) fn waits_for(&mut self, job: JobId) {
        self.waiting = Some(job);
        self.answer = None;
    }

    /// Takes what there is of a sweep, if it is the one wanted.
    pub(super) fn take(&mut self, job: JobId, answer: &Answer<SweepView>) {
        if self.waiting == Some(job) {
            self.answer = Some(answer.clone().map(|view| Swept {
                charts: view.charts(),
                view,
            }));
        }
    }

    /// A job is over; what came of one that was stopped stays.
    pub(super) fn ended(&mut self, job: JobId) {
        self.waiting.take_if(|waiting| *waiting == job);
    }

    /// Whether there is something to show.
    pub(super) fn is_there(&self) -> bool {
        self.waiting.is_some() || self.answer.is_some()
    }

    /// The sweep that is shown.
    pub(super) fn view(&self) -> Option<&SweepView> {
        let swept = self.answer.as_ref()?.as_ref().ok()?;
        Some(&swept.view)
    }

    /// Which strengths, how many random directions, and the button that runs it.
    pub(super) fn controls_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        request: Option<SteerRequest>,
    ) {
        ui.label(RichText::new("Dose-response sweep").strong());
        notice::weak_ui(
            ui,
            "This sample at many strengths, and changed by as much along random directions. Of \
             several features the strongest is swept, the others keep their proportion to it.",
        );
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Strengths from");
            let field = |value| DragValue::new(value).speed(0.1).range(-50.0..=50.0);
            ui.add(field(&mut self.form.range.from))
                .labelled_by(label.id);
            let label = ui.label("to");
            ui.add(field(&mut self.form.range.to)).labelled_by(label.id);
            let label = ui.label("steps");
            let steps =
                DragValue::new(&mut self.form.range.steps).range(2..=SweepRange::MOST_STEPS);
            ui.add(steps).labelled_by(label.id);
        });
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Random directions");
            let field = DragValue::new(&mut self.form.n_controls).range(0..=20);
            ui.add(field)
                .labelled_by(label.id)
                .on_hover_text("Each is changed by the same length at every position");
        });
        let job = ctx.jobs.iter().find(|job| Some(job.id) == self.waiting);
        if let Some(job) = job {
            job_ui(ctx, ui, job);
            return;
        }
        let edits = request.as_ref().map_or(&[][..], |request| &request.edits);
        let fault = if edits.is_empty() {
            Some("Add a feature above first.".to_owned())
        } else if edits.iter().any(|edit| edit.mode == SteeringMode::Ablate) {
            Some("To ablate has no strength to sweep: add, clamp or scale.".to_owned())
        } else {
            self.form
                .range
                .fault()
                .map(|fault| number::capitalised(&fault))
        };
        let can_ask = fault.is_none() && self.waiting.is_none();
        ui.add_enabled_ui(can_ask, |ui| {
            if accent_ui(ui, "Run the sweep")
                && let Some(steer) = request
            {
                ctx.send(Command::Sweep(Box::new(SweepRequest {
                    steer,
                    range: self.form.range,
                    n_controls: self.form.n_controls,
                    seed: 0,
                })));
            }
        });
        if let Some(fault) = fault {
            notice::weak_ui(ui, fault);
        }
    }

    /// Curves and table; which file of them is asked for.
    pub(super) fn ui(&mut self, ui: &mut Ui, now: Option<&SteerRequest>) -> Option<SteeringPart> {
        let is_running = self.waiting.is_some();
        let mut part = None;
        card(ui, |ui| match &self.answer {
            Some(Ok(swept)) => {
                part = swept_ui(ui, swept, &mut self.chosen, (now, is_running));
            }
            Some(Err(problem)) => notice::error_ui(ui, problem),
            None => {
                ui.label(RichText::new("Dose-response sweep").strong());
                notice::weak_ui(ui, "The first run is on its way…");
            }
        });
        part
    }
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
    .accessible_name("Progress of the sweep");
    ui.horizontal(|ui| {
        let stop = ui.add_enabled(!job.stopping, egui::Button::new("Cancel"));
        let stop = stop.accessible_name("Cancel the sweep");
        if stop.on_hover_text("The runs that are done stay").clicked() {
            ctx.send(Command::CancelJob(job.id));
        }
        notice::weak_ui(ui, progress_text(job));
    });
}

fn swept_ui(
    ui: &mut Ui,
    swept: &Swept,
    chosen: &mut usize,
    (now, is_running): (Option<&SteerRequest>, bool),
) -> Option<SteeringPart> {
    let Swept { view, charts } = swept;
    let title = number::capitalised(&in_words(&view.request.edits_at(1.0)));
    ui.label(RichText::new(format!("Dose-response sweep: {title}, times the strength")).strong());
    if !now.is_some_and(|now| view.request.is_about(now)) {
        notice::weak_ui(
            ui,
            format!(
                "Of sample {}, as features, mode and positions were then.",
                view.request.steer.sample
            ),
        );
    }
    if !view.is_complete() {
        let state = if is_running { "so far" } else { "then stopped" };
        let text = format!("{} of {} runs {state}", view.n_runs(), view.n_planned);
        notice::weak_ui(ui, text);
    }
    ui.horizontal_wrapped(|ui| {
        for (at, chart) in charts.iter().enumerate() {
            ui.selectable_value(chosen, at, &chart.axis.name);
        }
    });
    let mut part = None;
    if let Some(chart) = charts.get(*chosen).or(charts.first()) {
        notice::weak_ui(
            ui,
            format!(
                "{}. The band reaches from the least to the largest of the random directions.",
                chart.title
            ),
        );
        chart::chart_ui(ui, chart);
        notice::weak_ui(ui, &chart.source);
        part = files_ui(ui, chart);
    }
    ui.add_space(GRID);
    table_ui(ui, swept);
    if !view.promoted.is_empty() {
        notice::weak_cut_ui(ui, format!("Promoted items: {}", view.promoted.join("; ")));
    }
    part
}

fn files_ui(ui: &mut Ui, chart: &Chart) -> Option<SteeringPart> {
    let mut part = None;
    ui.horizontal_wrapped(|ui| {
        for (text, wanted) in [
            ("Save table as CSV…", SteeringPart::Table),
            ("Save chart as SVG…", SteeringPart::Svg(chart.id.clone())),
            ("Save chart as PNG…", SteeringPart::Png(chart.id.clone())),
        ] {
            if ui.button(text).clicked() {
                part = Some(wanted);
            }
        }
    });
    part
}

/// What a column of a measure is called.
fn short(chart: &Chart) -> &str {
    match chart.id.as_str() {
        "words-changed" => "Words",
        "findings-changed" => "Findings",
        "mean-rise" => "Rise",
        "target-rank" => "Rank",
        "overlap" => "Top 10",
        _ => &chart.axis.name,
    }
}

/// A line per strength: each measure beside the random directions, then findings.
fn table_ui(ui: &mut Ui, Swept { view, charts }: &Swept) {
    let theme = tokens::of(ui);
    let mut heads = vec![("Strength", STRENGTH)];
    for chart in charts {
        heads.push((short(chart), MEASURE));
        if view.request.n_controls > 0 {
            heads.push(("Random directions", RANDOM));
        }
    }
    let n_numbers = heads.len();
    let reads_findings = view.unsteered.findings().is_some();
    if reads_findings {
        heads.extend([("Gained", FINDINGS), ("Lost", FINDINGS)]);
    }
    let total: f32 = heads.iter().map(|(_, weight)| weight).sum();
    let row_ui = |ui: &mut Ui, cells: &[String], colour| {
        let cells = cells.iter().zip(&heads).enumerate();
        let cells: Vec<table::Cell<'_>> = cells
            .map(|(at, (text, (_, weight)))| {
                if at < n_numbers {
                    table::Cell::right(text, weight / total, colour)
                } else {
                    table::Cell::left(text, weight / total, colour)
                }
            })
            .collect();
        table::row_ui(ui, &cells)
    };
    let names: Vec<String> = heads.iter().map(|(name, _)| (*name).to_owned()).collect();
    row_ui(ui, &names, theme.text_weak);
    for (at, point) in view.points.iter().enumerate() {
        let mut cells = vec![format!("{:.2}x", point.strength)];
        for series in charts.iter().flat_map(|chart| &chart.series) {
            let value = series.values.get(at).copied().flatten();
            cells.push(value.map_or_else(|| "–".to_owned(), |value| value.words()));
        }
        if reads_findings {
            let findings = point.features.findings();
            let words = |names: Option<&Vec<String>>| match names {
                Some(names) if !names.is_empty() => names.join(", "),
                _ => "none".to_owned(),
            };
            cells.push(words(findings.map(|all| &all.gained)));
            cells.push(words(findings.map(|all| &all.lost)));
        }
        let row = row_ui(ui, &cells, theme.text);
        if let SweepRun::Text { text, .. } = &point.features {
            row.on_hover_text(text);
        }
    }
}
