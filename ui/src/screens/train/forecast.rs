//! The fifth step: what the run will take, asked for when the settings have come to rest.

use egui::{RichText, Ui};
use engine::views::{Forecast, RunRequest};
use schema::JobId;

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::train::live;
use crate::tokens;
use crate::widgets::{notice, number, table};

/// Seconds without a change before a forecast is made.
const REST: f64 = 0.6;

/// State of the forecast.
#[derive(Default)]
pub(crate) struct Forecasting {
    /// What the last forecast was asked for, and its job while it runs.
    asked: Option<(RunRequest, Option<JobId>)>,
    /// The settings as they were last seen, and since when.
    seen: Option<(RunRequest, f64)>,
    answer: Option<Result<Forecast, String>>,
}

impl Forecasting {
    /// Takes the job that makes the forecast last asked for.
    pub(crate) fn waits_for(&mut self, id: JobId) {
        if let Some((_, job)) = &mut self.asked {
            *job = Some(id);
        }
    }

    /// Takes an answer, if it is the one waited for.
    pub(super) fn take(&mut self, id: JobId, answer: &Result<Forecast, String>) {
        if let Some((_, job)) = &mut self.asked
            && *job == Some(id)
        {
            *job = None;
            self.answer = Some(answer.clone());
        }
    }

    /// A forecast that was stopped is no longer on its way.
    pub(super) fn ended(&mut self, id: JobId) {
        if let Some((_, job)) = &mut self.asked
            && *job == Some(id)
        {
            *job = None;
        }
    }

    /// The forecast of these settings, if it is there.
    fn answer_to(&self, request: &RunRequest) -> Option<&Result<Forecast, String>> {
        let asked = self.asked.as_ref()?;
        (asked.1.is_none() && asked.0 == *request)
            .then_some(self.answer.as_ref())
            .flatten()
    }

    /// Whether these settings were refused.
    pub(super) fn refuses(&self, request: &RunRequest) -> bool {
        self.answer_to(&nameless(request))
            .is_some_and(Result::is_err)
    }

    /// Asks for a forecast once the settings have rested, unless something else runs.
    fn ask(&mut self, ctx: &AppContext<'_>, ui: &Ui, request: &RunRequest) {
        let now = ui.input(|input| input.time);
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != request) {
            self.seen = Some((request.clone(), now));
        }
        let since = self.seen.as_ref().map_or(0.0, |(_, since)| now - since);
        if self
            .asked
            .as_ref()
            .is_some_and(|(asked, _)| asked == request)
        {
            return;
        }
        if since < REST || ui.input(|input| input.pointer.any_down()) {
            let rest = std::time::Duration::from_secs_f64(REST);
            ui.ctx().request_repaint_after(rest);
            return;
        }
        let ours = self.asked.as_ref().and_then(|(_, job)| *job);
        if let Some(job) = ours {
            // The answer to older settings is not wanted any more.
            ctx.send(Command::CancelJob(job));
        }
        let busy = ctx.jobs.iter().any(|job| Some(job.id) != ours);
        if !busy {
            self.start(ctx, request);
        }
    }

    fn start(&mut self, ctx: &AppContext<'_>, request: &RunRequest) {
        self.asked = Some((request.clone(), None));
        self.answer = None;
        ctx.send(Command::Forecast(Box::new(request.clone())));
    }

    /// Draws the forecast of `request`. Whether the mean is to be taken off the rows.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, request: &RunRequest) -> bool {
        let request = nameless(request);
        self.ask(ctx, ui, &request);
        match self.answer_to(&request) {
            Some(Ok(forecast)) => return forecast_ui(ui, forecast),
            Some(Err(problem)) => notice::error_ui(ui, problem),
            None if self.is_on_its_way() => {
                notice::weak_ui(
                    ui,
                    "Recording a few samples and training a few steps to tell how long it takes…",
                );
            }
            None => {
                notice::weak_ui(
                    ui,
                    "Rows, disk, memory and time appear here once the settings rest. While another \
                     job runs they would come out too long.",
                );
                if ui.button("Forecast now").clicked() {
                    self.start(ctx, &request);
                }
            }
        }
        false
    }

    fn is_on_its_way(&self) -> bool {
        self.asked.as_ref().is_some_and(|(_, job)| job.is_some())
    }
}

/// What the forecast depends on: not the name.
fn nameless(request: &RunRequest) -> RunRequest {
    RunRequest {
        name: String::new(),
        ..request.clone()
    }
}

/// Draws a forecast. Whether the mean is to be taken off the rows.
fn forecast_ui(ui: &mut Ui, forecast: &Forecast) -> bool {
    let rows = &forecast.rows;
    let about = if rows.is_exact { "" } else { "about " };
    let seconds = &forecast.seconds;
    ui.columns(4, |columns| {
        for (ui, (name, value)) in columns.iter_mut().zip([
            ("Time", number::duration(seconds.total().max(1.0) as f32)),
            ("Rows", format!("{about}{}", number::count(rows.n))),
            ("Disk", number::bytes(forecast.disk.total())),
            ("Memory", number::bytes(forecast.memory.total())),
        ]) {
            live::figure_ui(ui, name, &value);
        }
    });
    if let Some(harvest) = &forecast.harvest {
        notice::weak_ui(
            ui,
            format!("Harvest {harvest} holds these rows already; nothing is recorded again."),
        );
    }
    let theme = tokens::of(ui);
    let disk = &forecast.disk;
    let memory = &forecast.memory;
    let lines = [
        (
            "Time",
            format!(
                "harvest {}, training {} (at most {} if features die), evaluation {}, gallery {}",
                number::duration(seconds.harvest as f32),
                number::duration(seconds.training as f32),
                number::duration(seconds.training_at_most as f32),
                number::duration(seconds.evaluation as f32),
                number::duration(seconds.index as f32)
            ),
        ),
        (
            "Rows",
            format!(
                "{} to train on, {:.1} passes over them",
                number::count(rows.n_training),
                forecast.epochs
            ),
        ),
        (
            "Disk",
            format!(
                "harvest {}, dictionary {}, gallery {}; {} of checkpoints while it trains",
                number::bytes(disk.harvest),
                number::bytes(disk.dictionary),
                number::bytes(disk.index),
                number::bytes(disk.checkpoints)
            ),
        ),
        (
            "Memory",
            format!(
                "training {}, evaluation {}, beside the model",
                number::bytes(memory.training()),
                number::bytes(memory.evaluation)
            ),
        ),
    ];
    for (name, text) in &lines {
        table::row_ui(
            ui,
            &[
                table::Cell::left(name, 0.13, theme.text_weak),
                table::Cell::left(text, 0.87, theme.text),
            ],
        )
        .on_hover_text(text);
    }
    ui.add_space(tokens::HALF);
    let takes_off = dead_ui(ui, forecast);
    for note in &forecast.notes {
        notice::weak_ui(ui, note);
    }
    takes_off
}

/// What the rows say about dead features. Whether the mean is to be taken off the rows.
fn dead_ui(ui: &mut Ui, forecast: &Forecast) -> bool {
    let dead = &forecast.dead;
    let text = format!(
        "Dead features: mean to spread {:.2}. {}",
        dead.mean_to_spread, dead.sentence
    );
    if dead.is_risky {
        notice::warning_ui(ui, &text);
        return ui
            .button("Take the mean off the rows")
            .on_hover_text(
                "Trains on rows less their mean and folds it back into the dictionary afterwards; \
                 undone under Advanced settings",
            )
            .clicked();
    }
    let colour = tokens::of(ui).text_weak;
    ui.add(egui::Label::new(RichText::new(text).color(colour)).wrap())
        .on_hover_text(
            "Length of the mean row over the spread of rows around it, on the rows of the forecast",
        );
    false
}
