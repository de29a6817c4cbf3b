//! The bar at the bottom: running jobs with stage, count, rate, time left and a stop button.

use egui::{RichText, ScrollArea, Ui};
use engine::DeviceView;
use engine::views::JobView;

use crate::commands::{Command, CommandSender};
use crate::toasts::done_ui;
use crate::tokens::{self, GRID, JOB_HEIGHT};
use crate::widgets::number;
use crate::words;

/// Most lines that are seen at once; the others are scrolled to.
const MAX_LINES: usize = 3;
/// Height of the line that says how many jobs more there are.
const MORE_HEIGHT: f32 = GRID * 2.5;

/// Height of the bar for this many jobs.
pub(crate) fn height(n_jobs: usize) -> f32 {
    let more = if n_jobs > MAX_LINES { MORE_HEIGHT } else { 0.0 };
    JOB_HEIGHT * n_jobs.clamp(1, MAX_LINES) as f32 + more
}

/// Draws the bar; `done` is what was done last, with the number of its message; `sends` says that a
/// language model of another computer was allowed.
pub(crate) fn ui(
    commands: &CommandSender,
    ui: &mut Ui,
    (jobs, done): (&[JobView], Option<(u64, &str)>),
    (device, sends): (&DeviceView, bool),
) {
    ui.spacing_mut().item_spacing.y = 0.0;
    if jobs.is_empty() {
        line(ui, |ui| {
            weak(ui, "No job is running");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                weak(ui, &device.name).on_hover_text(&device.reason);
                let leaves = if sends {
                    "a language model elsewhere may be asked"
                } else {
                    "nothing leaves this computer"
                };
                weak(
                    ui,
                    &format!("Research use, not for diagnosis  ·  {leaves}  ·"),
                );
                if let Some(done) = done {
                    done_ui(commands, ui, done);
                }
            });
        });
    }
    let lines = |ui: &mut Ui| {
        for (i, job) in jobs.iter().enumerate() {
            line(ui, |ui| {
                job_ui(commands, ui, job);
                if i == 0 {
                    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                        weak(ui, &device.name).on_hover_text(&device.reason);
                        if sends {
                            weak(ui, "a language model elsewhere may be asked  ·");
                        }
                        if let Some(done) = done {
                            done_ui(commands, ui, done);
                        }
                    });
                }
            });
        }
    };
    if jobs.len() <= MAX_LINES {
        lines(ui);
        return;
    }
    ScrollArea::vertical()
        .id_salt("jobs")
        .max_height(JOB_HEIGHT * MAX_LINES as f32)
        .auto_shrink(false)
        .show(ui, lines);
    weak(
        ui,
        &format!("and {} more: scroll to them", jobs.len() - MAX_LINES),
    );
}

fn line(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    ui.allocate_ui_with_layout(
        egui::vec2(ui.available_width(), JOB_HEIGHT),
        egui::Layout::left_to_right(egui::Align::Center),
        contents,
    );
}

fn weak(ui: &mut Ui, text: &str) -> egui::Response {
    let colour = tokens::of(ui).text_weak;
    ui.label(RichText::new(text).font(tokens::small_font()).color(colour))
}

fn job_ui(commands: &CommandSender, ui: &mut Ui, job: &JobView) {
    ui.spacing_mut().item_spacing.x = GRID * 1.5;
    let stop = ui
        .add_enabled(!job.stopping, egui::Button::new("Stop"))
        .accessible_name(format!("Stop {}", job.title))
        .on_hover_text("Stops within a second and keeps what is done so far");
    if stop.clicked() {
        commands.send(Command::CancelJob(job.id));
    }
    let word = if job.paused { "Go on" } else { "Pause" };
    let pause = ui
        .add_enabled(!job.stopping, egui::Button::new(word))
        .accessible_name(format!("{word}: {}", job.title))
        .on_hover_text("Waits after the step at hand, until you let it go on");
    if pause.clicked() {
        commands.send(Command::PauseJob(job.id, !job.paused));
    }
    ui.label(&job.title);
    let share = if job.total > 0 {
        job.done as f32 / job.total as f32
    } else {
        0.0
    };
    // A bar takes all the width it can get, so it is given a size.
    ui.add_sized(
        [160.0, 8.0],
        egui::ProgressBar::new(share)
            .desired_width(160.0)
            .desired_height(8.0)
            .fill(tokens::of(ui).accent),
    )
    .accessible_name(format!("Progress of {}", job.title));
    let response = weak(ui, &progress_text(job));
    if !job.curve.is_empty() {
        response.on_hover_text(words::of(&["FVU", "L0", "Dead"]));
    }
}

/// Stage, n of N, rate and time left.
pub(crate) fn progress_text(job: &JobView) -> String {
    if job.stopping {
        return "Stopping…".to_owned();
    }
    if job.paused {
        return format!(
            "Paused  ·  {}  ·  {} of {} {}",
            job.stage,
            number::count(job.done),
            number::count(job.total),
            job.unit
        );
    }
    let mut parts = vec![job.stage.clone()];
    if job.total > 0 {
        parts.push(format!(
            "{} of {} {}",
            number::count(job.done),
            number::count(job.total),
            job.unit
        ));
    }
    if job.rate >= 10.0 {
        parts.push(format!("{:.0} {}/s", job.rate, job.unit));
    } else if job.rate > 0.0 {
        parts.push(format!("{:.1} {}/s", job.rate, job.unit));
    }
    if let Some(step) = job.curve.last() {
        parts.push(format!(
            "FVU {:.3}, L0 {:.1}, {} dead",
            step.fvu, step.l0, step.dead
        ));
    }
    if let Some(curve) = job.epochs.last() {
        let epoch = curve.loss.len();
        parts.push(match curve.ndcg.last() {
            Some(ndcg) => format!("epoch {epoch}, dev NDCG@5 {ndcg:.3}"),
            None => format!("epoch {epoch}"),
        });
    }
    match job.seconds_left {
        Some(seconds) => parts.push(format!("{} left in this step", number::duration(seconds))),
        None => parts.push(number::duration(job.seconds)),
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ·  ")
}
