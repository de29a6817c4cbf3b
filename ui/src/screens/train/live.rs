//! One run large: while it trains, figures and curves as they come; afterwards what it came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{Align2, RichText, Role, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{JobView, RunState, RunView, TrainingCurve};
use schema::{KeptMetric, KeptReport, StepReport};

use crate::app_context::AppContext;
use crate::commands::{Command, ExchangeCommand};
use crate::screens::train::recipes::variant_name;
use crate::screens::train::runs;
use crate::screens::train::setup::hook_in_words;
use crate::tokens;
use crate::widgets::plot::{Curve, curve_ui};
use crate::widgets::{discard, notice, number};
use crate::words;

/// Height of a figure with its name.
const FIGURE_HEIGHT: f32 = 38.0;

/// Writes a value of a curve.
type Format = fn(f32) -> String;

/// What a running job says of its training.
struct Live {
    steps: Arc<Vec<StepReport>>,
    kept: Arc<Vec<KeptReport>>,
}

/// Training curves: those read from the project, and the ones that grow.
#[derive(Default)]
pub(crate) struct Curves {
    /// What was read from the project; `None` while it is on its way.
    read: BTreeMap<String, Option<Result<Arc<TrainingCurve>, String>>>,
    /// The last curve seen of a running job, by dictionary.
    live: BTreeMap<String, Live>,
}

impl Curves {
    /// Looks at the running jobs.
    pub(super) fn watch(&mut self, jobs: &[JobView]) {
        for job in jobs {
            if let Some(name) = job.dictionary().filter(|_| !job.curve.is_empty()) {
                let live = Live {
                    steps: Arc::clone(&job.curve),
                    kept: Arc::clone(&job.kept),
                };
                self.live.insert(name.to_owned(), live);
            }
        }
    }

    /// Takes a curve that was read.
    pub(super) fn take(&mut self, name: &str, curve: &Result<Arc<TrainingCurve>, String>) {
        self.read.insert(name.to_owned(), Some(curve.clone()));
    }

    /// A job ended: what was read before may have grown.
    pub(super) fn refresh(&mut self) {
        self.read.clear();
        self.live.clear();
    }

    /// The curve of a run: what was read up to where the live part begins, then that.
    fn of(&mut self, ctx: &AppContext<'_>, name: &str) -> Result<TrainingCurve, String> {
        if !self.read.contains_key(name) {
            self.read.insert(name.to_owned(), None);
            ctx.send(Command::ReadCurve(name.to_owned()));
        }
        let nothing = TrainingCurve::default();
        let read = match self.read.get(name) {
            Some(Some(Ok(curve))) => curve.as_ref(),
            Some(Some(Err(problem))) => return Err(problem.clone()),
            _ => &nothing,
        };
        let live = self.live.get(name);
        let steps = live.map_or(&[][..], |live| &live.steps[..]);
        // A job tells all points, also those of sittings before.
        let kept = live.map_or(&[][..], |live| &live.kept[..]);
        Ok(TrainingCurve {
            steps: joined(&read.steps, steps),
            kept: if kept.is_empty() {
                &read.kept[..]
            } else {
                kept
            }
            .to_vec(),
        })
    }
}

/// Steps that were read up to where the live ones begin, then those.
fn joined(read: &[StepReport], live: &[StepReport]) -> Vec<StepReport> {
    let begins = live.first().map_or(u32::MAX, |first| first.step);
    read.iter()
        .filter(|step| step.step < begins)
        .chain(live)
        .copied()
        .collect()
}

/// A name in small letters above a figure in large ones.
pub(crate) fn figure_ui(ui: &mut Ui, name: &str, value: &str) {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), FIGURE_HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let label = format!("{name} {value}");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
    let painter = ui.painter_at(rect);
    painter.text(
        rect.left_top(),
        Align2::LEFT_TOP,
        name,
        tokens::small_font(),
        theme.text_weak,
    );
    painter.text(
        rect.left_bottom(),
        Align2::LEFT_BOTTOM,
        value,
        tokens::title_font(),
        theme.text,
    );
    let sentence = words::of(&[name]);
    if !sentence.is_empty() {
        response.on_hover_text(sentence);
    }
}

/// Draws a run; `job` is the one that makes it now.
pub(super) fn ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    (run, job): (&RunView, Option<&JobView>),
    curves: &mut Curves,
) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(&run.name).font(tokens::title_font()));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            buttons_ui(ctx, ui, run, job);
        });
    });
    discard::question_ui(ui, &run.name);
    notice::weak_ui(ui, settings_text(run));
    if let Some(job) = job {
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
        .accessible_name(format!("Progress of training {}", run.name));
        notice::weak_ui(ui, stage_text(job));
    } else if runs::is_queued(run, ctx.jobs) {
        notice::weak_ui(ui, "Queued; it begins when the runs before it are done.");
    } else if let Some(text) = state_text(run) {
        notice::weak_ui(ui, text);
    }
    match curves.of(ctx, &run.name) {
        // Nothing is known of a run that is not begun.
        Ok(curve) if curve.steps.is_empty() && run.figures.is_none() && job.is_none() => {}
        Ok(curve) => {
            figures_ui(ui, run, job, &curve);
            curves_ui(ui, run, &curve);
        }
        Err(problem) => notice::error_ui(ui, &problem),
    }
}

/// Stage and n of N; the figures stand below.
pub(crate) fn stage_text(job: &JobView) -> String {
    let mut parts = Vec::new();
    if job.stopping {
        parts.push("Stopping…".to_owned());
    } else if job.paused {
        parts.push("Paused".to_owned());
    }
    parts.push(job.stage.clone());
    if job.total > 0 {
        let (done, total) = (number::count(job.done), number::count(job.total));
        parts.push(format!("{done} of {total} {}", job.unit));
    }
    parts.push(format!("{} so far", number::duration(job.seconds)));
    parts.join("  ·  ")
}

/// What the run is, in one line.
fn settings_text(run: &RunView) -> String {
    let mut parts = vec![run.model.clone(), run.dataset.clone()];
    parts.extend(run.hook.map(hook_in_words));
    if let Some(config) = &run.config {
        parts.push(format!(
            "{}, {} features, k {}, {} steps",
            variant_name(config.variant),
            number::count(u64::from(config.n_features)),
            config.k,
            number::count(u64::from(config.steps))
        ));
    } else {
        parts.push("imported".to_owned());
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ·  ")
}

fn state_text(run: &RunView) -> Option<String> {
    match run.state {
        RunState::Recording => Some("Not begun, or stopped while it recorded activations.".into()),
        RunState::Training => Some(format!(
            "Stopped; step {} is kept to go on from.",
            number::count(u64::from(run.steps_done))
        )),
        RunState::Trained => Some("Trained; its gallery is still to be built.".into()),
        RunState::Ready => None,
    }
}

fn buttons_ui(ctx: &AppContext<'_>, ui: &mut Ui, run: &RunView, job: Option<&JobView>) {
    if let Some(job) = job {
        let stop = ui
            .add_enabled(!job.stopping, egui::Button::new("Stop and keep"))
            .on_hover_text("Stops within a second; what is done is kept, and can be resumed");
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
        return;
    }
    if runs::is_queued(run, ctx.jobs) {
        let take_out = ui.button("Take out").on_hover_text(
            "Leaves it out of the running job; it stays listed, to be resumed or discarded",
        );
        if take_out.clicked() {
            ctx.send(Command::TakeOut(run.name.clone()));
        }
        return;
    }
    match run.state {
        RunState::Ready => {
            if accent_ui(ui, "Open the gallery") {
                ctx.send(Command::UseDictionary(run.name.clone()));
            }
        }
        state => {
            let word = if state == RunState::Trained {
                "Build the gallery"
            } else {
                "Resume"
            };
            if accent_ui(ui, word) {
                ctx.send(Command::ResumeRuns(vec![run.name.clone()]));
            }
            let hint = "Removes the unfinished run; its harvest stays";
            if state != RunState::Trained && discard::button_ui(ui, &run.name, hint) {
                ctx.send(Command::DiscardRun(run.name.clone()));
            }
        }
    }
    if matches!(run.state, RunState::Ready | RunState::Trained) {
        let export = ui.button("Export…").on_hover_text(
            "Writes the dictionary for SAELens, dictionary_learning or sparsify, on Evaluate",
        );
        if export
            .accessible_name(format!("Export {}", run.name))
            .clicked()
        {
            let asked = ExchangeCommand::ShowExport(Some(run.name.clone()));
            ctx.send(Command::Exchange(asked));
        }
    }
}

/// A button in the accent's colour.
pub(crate) fn accent_ui(ui: &mut Ui, text: &str) -> bool {
    let theme = tokens::of(ui);
    let button = egui::Button::new(RichText::new(text).color(theme.on_accent)).fill(theme.accent);
    ui.add(button).clicked()
}

/// What the model keeps, as the field calls it.
fn kept_name(metric: KeptMetric) -> &'static str {
    match metric {
        KeptMetric::LossRecovered => "Loss recovered",
        KeptMetric::NdcgKept => "NDCG@10 kept",
    }
}

/// FVU, L0, dead share, what the model keeps, throughput.
fn figures_ui(ui: &mut Ui, run: &RunView, job: Option<&JobView>, curve: &TrainingCurve) {
    let n_features = run.config.as_ref().map_or(1, |config| config.n_features);
    let last = curve.steps.last();
    let (fvu, l0, dead) = match (run.figures, last) {
        (Some(figures), _) => (
            Some(figures.fvu as f32),
            Some(figures.l0 as f32),
            Some(figures.dead_share as f32),
        ),
        (None, Some(step)) => (
            Some(step.fvu),
            Some(step.l0),
            Some(step.dead as f32 / n_features.max(1) as f32),
        ),
        (None, None) => (None, None, None),
    };
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let is_training = job.is_some_and(|job| !job.curve.is_empty());
    let mut figures = vec![
        ("FVU", or_dash(fvu.map(|value| format!("{value:.3}")))),
        ("L0", or_dash(l0.map(|value| format!("{value:.1}")))),
        ("Dead", or_dash(dead.map(number::percent))),
    ];
    if let Some(point) = curve.kept.last() {
        figures.push((kept_name(point.metric), number::percent(point.share)));
    }
    if is_training {
        let rate = last.map(|step| format!("{}/s", number::count(step.rows_per_second as u64)));
        figures.push(("Rows", or_dash(rate)));
        let left = job.and_then(|job| job.seconds_left);
        figures.push(("Time left", or_dash(left.map(number::duration))));
    }
    ui.columns(figures.len(), |columns| {
        for (ui, (name, value)) in columns.iter_mut().zip(&figures) {
            figure_ui(ui, name, value);
        }
    });
}

fn curves_ui(ui: &mut Ui, run: &RunView, curve: &TrainingCurve) {
    let steps = &curve.steps;
    if steps.is_empty() {
        return;
    }
    let config = run.config.as_ref();
    let x_max = config.map_or(0, |config| config.steps).max(1) as f32;
    let n_features = config.map_or(1, |config| config.n_features).max(1) as f32;
    let points = |value: &dyn Fn(&StepReport) -> f32| -> Vec<[f32; 2]> {
        steps
            .iter()
            .map(|step| [step.step as f32, value(step)])
            .collect()
    };
    // The first batches stand far above the rest and would flatten the curve.
    let mut curves: Vec<(&str, Vec<[f32; 2]>, Format)> = vec![
        (
            "FVU of the batch",
            points(&|step| step.fvu.min(1.0)),
            |value| format!("{value:.3}"),
        ),
        ("L0 of the batch", points(&|step| step.l0), |value| {
            format!("{value:.1}")
        }),
        (
            "Dead features",
            points(&|step| step.dead as f32 / n_features),
            number::percent,
        ),
    ];
    if let Some(first) = curve.kept.first() {
        let points = curve.kept.iter();
        // Below 0 the model does worse than on zeros.
        let points = points.map(|point| [point.step as f32, point.share.max(0.0)]);
        curves.push((kept_name(first.metric), points.collect(), number::percent));
    }
    ui.columns(curves.len(), |columns| {
        for (ui, (name, points, format)) in columns.iter_mut().zip(&curves) {
            curve_ui(
                ui,
                &Curve {
                    name,
                    points,
                    format: *format,
                    x_max,
                    x_name: "Step",
                },
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_curve_takes_each_step_once() {
        let steps = |range: std::ops::Range<u32>| -> Vec<StepReport> {
            range
                .map(|step| StepReport {
                    step,
                    ..StepReport::default()
                })
                .collect()
        };
        let curve = joined(&steps(0..50), &steps(40..60));
        let numbers: Vec<u32> = curve.iter().map(|step| step.step).collect();
        assert!(numbers.iter().copied().eq(0..60));
        assert_eq!(joined(&steps(0..5), &[]).len(), 5);
    }
}
