//! All runs of the project as a list, and those that read the same place on one plot.

use egui::{Role, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{JobView, RunState, RunView};

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::train::recipes::variant_name;
use crate::screens::train::setup::hook_in_words;
use crate::tokens;
use crate::widgets::item_strip::truncated;
use crate::widgets::plot::{RunPoint, runs_ui};
use crate::widgets::{notice, number};

/// Height of a row.
const ROW: f32 = 28.0;
/// Width from which list and plot stand side by side.
const BESIDE: f32 = 1000.0;
/// Columns: name, and share of the width.
const COLUMNS: [(&str, f32); 7] = [
    ("Name", 0.30),
    ("Where it stands", 0.20),
    ("Variant", 0.14),
    ("Features", 0.11),
    ("FVU", 0.09),
    ("L0", 0.08),
    ("Dead", 0.08),
];

/// Whether a running job makes this run later.
pub(super) fn is_queued(run: &RunView, jobs: &[JobView]) -> bool {
    jobs.iter().any(|job| job.queued.contains(&run.name))
}

/// Where a run stands, in words.
fn state_name(run: &RunView, jobs: &[JobView]) -> String {
    if let Some(job) = jobs.iter().find(|job| job.subject == run.name) {
        return if job.paused { "Paused" } else { "Running" }.to_owned();
    }
    if is_queued(run, jobs) {
        return "Queued".to_owned();
    }
    match run.state {
        RunState::Recording => "Not begun".to_owned(),
        RunState::Training => format!("Stopped at {}", number::count(u64::from(run.steps_done))),
        RunState::Trained => "No gallery yet".to_owned(),
        RunState::Ready => "Ready".to_owned(),
    }
}

/// Draws list and plot; a click changes `chosen`.
pub(super) fn ui(ctx: &AppContext<'_>, ui: &mut Ui, chosen: &mut Option<String>) {
    ui.horizontal(|ui| {
        ui.label(egui::RichText::new("Runs").font(tokens::title_font()));
        let mut jobs = ctx.jobs.iter();
        let is_training = jobs.any(|job| !job.subject.is_empty() || !job.queued.is_empty());
        let stopped = ctx.runs.iter().filter(|run| {
            !is_training && matches!(run.state, RunState::Recording | RunState::Training)
        });
        let waiting: Vec<String> = stopped.map(|run| run.name.clone()).collect();
        if waiting.len() > 1 {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let text = format!("Resume all {}", waiting.len());
                if ui.button(text).clicked() {
                    ctx.send(Command::ResumeRuns(waiting));
                }
            });
        }
    });
    if ctx.runs.is_empty() {
        notice::weak_ui(
            ui,
            "Dictionaries appear here while they are trained and afterwards, with their figures, to \
             be compared.",
        );
        return;
    }
    if ui.available_width() < BESIDE {
        list_ui(ctx, ui, chosen);
        ui.add_space(tokens::GRID);
        plot_ui(ctx, ui, chosen);
    } else {
        ui.columns(2, |columns| {
            list_ui(ctx, &mut columns[0], chosen);
            plot_ui(ctx, &mut columns[1], chosen);
        });
    }
}

fn list_ui(ctx: &AppContext<'_>, ui: &mut Ui, chosen: &mut Option<String>) {
    let theme = tokens::of(ui);
    let spacing = std::mem::replace(&mut ui.spacing_mut().item_spacing.y, 0.0);
    let head = COLUMNS.map(|(name, _)| name.to_owned());
    row_ui(ui, &head, theme.text_weak, None);
    for run in ctx.runs {
        let is_chosen = chosen.as_ref() == Some(&run.name);
        if row_ui(ui, &cells(run, ctx.jobs), theme.text, Some(is_chosen)) {
            *chosen = Some(run.name.clone());
        }
    }
    ui.spacing_mut().item_spacing.y = spacing;
}

fn cells(run: &RunView, jobs: &[JobView]) -> [String; 7] {
    let config = run.config.as_ref();
    let figure = |write: &dyn Fn(&engine::views::RunFigures) -> String| {
        run.figures.as_ref().map_or_else(|| "–".to_owned(), write)
    };
    [
        run.name.clone(),
        state_name(run, jobs),
        config.map_or("imported".to_owned(), |config| {
            variant_name(config.variant).to_owned()
        }),
        config.map_or(String::new(), |config| {
            number::count(u64::from(config.n_features))
        }),
        figure(&|figures| format!("{:.3}", figures.fvu)),
        figure(&|figures| format!("{:.1}", figures.l0)),
        figure(&|figures| number::percent(figures.dead_share as f32)),
    ]
}

/// One row; `chosen` is `None` for the head. Whether it was clicked.
fn row_ui(ui: &mut Ui, cells: &[String; 7], colour: egui::Color32, chosen: Option<bool>) -> bool {
    let theme = tokens::of(ui);
    let sense = if chosen.is_some() {
        Sense::click()
    } else {
        Sense::hover()
    };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), ROW), sense);
    let label = match chosen {
        Some(_) => format!("Run {}, {}", cells[0], cells[1]),
        None => "Columns of the runs".to_owned(),
    };
    response.widget_info(|| match chosen {
        Some(chosen) => WidgetInfo::selected(Role::Button, true, chosen, &label),
        None => WidgetInfo::labeled(Role::Label, true, &label),
    });
    if chosen == Some(true) {
        ui.painter()
            .rect_filled(rect, tokens::RADIUS, theme.accent_quiet);
    } else if chosen.is_some() && (response.hovered() || response.has_focus()) {
        ui.painter()
            .rect_filled(rect, tokens::RADIUS, theme.hovered);
    }
    let inner = rect.shrink2(Vec2::new(8.0, 0.0));
    let mut left = inner.left();
    for (i, (text, (_, share))) in cells.iter().zip(COLUMNS).enumerate() {
        let width = inner.width() * share;
        let galley = truncated(ui.painter(), text, width - 8.0, colour);
        // Numbers stand at the right of their columns.
        let x = if i >= 3 {
            left + width - 8.0 - galley.size().x
        } else {
            left
        };
        let at = egui::pos2(x, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, colour);
        left += width;
    }
    response.clicked()
}

/// Runs that read the same place as the chosen one, or as the first that is trained.
fn plot_ui(ctx: &AppContext<'_>, ui: &mut Ui, chosen: &mut Option<String>) {
    let trained = || ctx.runs.iter().filter(|run| run.figures.is_some());
    let place = ctx
        .runs
        .iter()
        .find(|run| Some(&run.name) == chosen.as_ref())
        .or_else(|| trained().next());
    let Some(place) = place else { return };
    let alike: Vec<&RunView> = trained()
        .filter(|run| {
            run.hook == place.hook && run.dataset == place.dataset && run.model == place.model
        })
        .collect();
    if alike.is_empty() {
        return;
    }
    let hook = place.hook.map_or_else(String::new, hook_in_words);
    notice::weak_ui(
        ui,
        format!(
            "{}, {hook}: fewer active features against less left unexplained. The line joins those \
             that none beats in both.",
            place.dataset
        ),
    );
    let points: Vec<RunPoint<'_>> = alike
        .iter()
        .filter_map(|run| {
            let figures = run.figures?;
            Some(RunPoint {
                name: &run.name,
                l0: figures.l0 as f32,
                fvu: figures.fvu as f32,
                chosen: chosen.as_ref() == Some(&run.name),
            })
        })
        .collect();
    if let Some(clicked) = runs_ui(ui, &points) {
        *chosen = Some(points[clicked].name.to_owned());
    }
}
