//! A training of a recommender that runs or was stopped.

use egui::{RichText, Ui};
use engine::views::{JobView, UnfinishedRecommender};
use engine::{RecommenderCurve, TrainRecommenderRequest};

use super::curves;
use super::list::architecture_name;
use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::start::card;
use crate::screens::train::live::{accent_ui, stage_text};
use crate::tokens;
use crate::widgets::{discard, notice, number};

/// Draws a training; `job` is the one that makes it now.
pub(super) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (name, (begun, job)): (&str, (Option<&UnfinishedRecommender>, Option<&JobView>)),
    curves: &[RecommenderCurve],
) {
    card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(RichText::new(name).font(tokens::title_font()));
            ui.with_layout(
                egui::Layout::right_to_left(egui::Align::Center),
                |ui| match job {
                    Some(job) => running_ui(ctx, ui, job),
                    None => stopped_ui(ctx, ui, name),
                },
            );
        });
        discard::question_ui(ui, name);
        if let Some(begun) = begun {
            notice::weak_ui(ui, asked_for(&begun.request));
        }
        match (job, begun) {
            (Some(job), _) => progress_ui(ui, name, job),
            (None, Some(begun)) if begun.has_checkpoint => {
                notice::weak_ui(
                    ui,
                    "Stopped. Its last finished epoch is kept to go on from.",
                );
            }
            (None, _) => {
                notice::weak_ui(ui, "Stopped before its first epoch was finished.");
            }
        }
        if curves.is_empty() {
            notice::weak_ui(
                ui,
                "Loss, HR@5 and NDCG@5 on the dev items appear here after every epoch.",
            );
        }
        curves::stages_ui(ui, curves, None);
    });
}

/// What was asked for, in one line.
fn asked_for(request: &TrainRecommenderRequest) -> String {
    let mut parts = vec![
        architecture_name(&request.arch).to_owned(),
        request.dataset.clone(),
    ];
    let lines = request.settings.lines().filter(|line| !line.is_empty());
    let changed: Vec<&str> = lines.collect();
    parts.push(if changed.is_empty() {
        "the preset's settings".to_owned()
    } else {
        changed.join(", ")
    });
    parts.push(format!("seed {}", request.seed));
    parts.join("  ·  ")
}

fn running_ui(ctx: &AppContext<'_>, ui: &mut Ui, job: &JobView) {
    let stop = ui
        .add_enabled(!job.stopping, egui::Button::new("Stop and keep"))
        .on_hover_text(
            "Stops within a second; the last finished epoch is kept, and can be resumed",
        );
    if stop.clicked() {
        ctx.send(Command::CancelJob(job.id));
    }
    let word = if job.paused { "Go on" } else { "Pause" };
    let pause = ui
        .add_enabled(!job.stopping, egui::Button::new(word))
        .accessible_name(format!("{word} training"));
    if pause.clicked() {
        ctx.send(Command::PauseJob(job.id, !job.paused));
    }
}

fn stopped_ui(ctx: &AppContext<'_>, ui: &mut Ui, name: &str) {
    if accent_ui(ui, "Resume") {
        ctx.send(Command::ResumeRecommender(name.to_owned()));
    }
    let hint = "Removes the unfinished training with what is kept of it";
    if discard::button_ui(ui, name, hint) {
        ctx.send(Command::DiscardRecommender(name.to_owned()));
    }
}

fn progress_ui(ui: &mut Ui, name: &str, job: &JobView) {
    let share = if job.total > 0 {
        job.done as f32 / job.total as f32
    } else {
        0.0
    };
    ui.add(
        egui::ProgressBar::new(share)
            .desired_height(8.0)
            .fill(tokens::of(ui).accent),
    )
    .accessible_name(format!("Progress of training {name}"));
    let left = job.seconds_left.map_or_else(String::new, |seconds| {
        let left = number::duration(seconds);
        format!("  ·  at most {left} left in this stage")
    });
    notice::weak_ui(ui, stage_text(job) + &left);
}
