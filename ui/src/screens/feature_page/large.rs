//! One example of a feature, as large as there is room: a film with its heatmap, a report, a whole
//! history.

use egui::{ScrollArea, Ui};
use engine::views::{Event, ExampleContent, ExampleView};
use schema::FeatureId;

use super::example_name;
use super::history::History;
use super::trace::Trace;
use crate::app_context::AppContext;
use crate::tokens::GRID;
use crate::widgets::film_viewer::{FilmViewer, Heat, Subject};
use crate::widgets::{notice, token_text};

/// State of the large example of a screen.
#[derive(Default)]
pub(crate) struct LargeExample {
    viewer: FilmViewer,
    /// The film that stays on the left to be compared with others.
    kept: Option<Kept>,
    /// Where in the film a text feature comes from.
    pub(crate) trace: Trace,
    /// The whole history.
    pub(crate) history: History,
}

/// A film that stays while others are chosen.
struct Kept {
    sae: String,
    feature: FeatureId,
    example: ExampleView,
    viewer: FilmViewer,
    /// How both films were zoomed and moved last.
    view: (f32, egui::Vec2),
}

impl LargeExample {
    /// Hears answers that were asked for.
    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Traced(ticket, answer) => self.trace.take(*ticket, answer),
            Event::HistoryRead(ticket, answer) => self.history.take(*ticket, answer),
            _ => {}
        }
    }

    /// Where the film was drawn last.
    pub(crate) fn film_drawn(&self) -> Option<egui::Rect> {
        self.viewer.drawn()
    }

    /// Whether the window of the film that is shown is no longer the one it came with.
    pub(crate) fn is_window_changed(&self) -> bool {
        self.viewer.is_changed()
    }

    /// Draws `example` of a feature whose highest activation is `maximum`.
    pub(crate) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, feature): (&str, FeatureId),
        (example, maximum): (&ExampleView, f32),
    ) {
        match &example.content {
            ExampleContent::Film { .. } => {
                self.films_ui(ctx, ui, (sae, feature), (example, maximum));
            }
            ExampleContent::Text { tokens } => {
                notice::weak_ui(ui, example_name(example));
                let traces = ctx.backend.can_trace(sae);
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    ui.set_max_width(ui.available_width().min(760.0));
                    token_text::token_text_ui(ui, tokens, maximum, ctx.heat.visible());
                    if traces {
                        ui.add_space(GRID);
                        let subject = (sae, feature);
                        self.trace.ui(ctx, ui, subject, example);
                    }
                });
            }
            ExampleContent::History { items } => {
                notice::weak_ui(ui, example_name(example));
                let subject = (sae, feature);
                let shown = (example, items.as_slice(), maximum);
                self.history.ui(ctx, ui, subject, shown);
            }
        }
    }

    /// The film, and on its left the one that is kept, zoomed and moved as one.
    fn films_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, feature): (&str, FeatureId),
        (example, maximum): (&ExampleView, f32),
    ) {
        let is_kept = |kept: &Kept| kept.sae == sae && kept.feature == feature;
        if !self.kept.as_ref().is_some_and(is_kept) {
            self.kept = None;
        }
        let mut keep = self.kept.is_some();
        let compare = |ui: &mut Ui| {
            ui.toggle_value(&mut keep, "Compare").on_hover_text(
                "Keeps this film on the left, beside whichever you choose next; both zoom and move \
                 together",
            );
        };
        match &mut self.kept {
            None => film_ui((ctx, ui), &mut self.viewer, (example, maximum), compare),
            Some(kept) => {
                let viewer = &mut self.viewer;
                ui.columns(2, |columns| {
                    let shown = (&kept.example, maximum);
                    kept.viewer.set_view(kept.view);
                    columns[0].push_id("kept", |ui| {
                        film_ui((ctx, ui), &mut kept.viewer, shown, |_| {});
                    });
                    let moved = kept.viewer.view();
                    viewer.set_view(moved);
                    columns[1].push_id("chosen", |ui| {
                        film_ui((ctx, ui), viewer, (example, maximum), compare);
                    });
                    kept.view = viewer.view();
                });
            }
        }
        if keep && self.kept.is_none() {
            self.kept = Some(Kept {
                sae: sae.to_owned(),
                feature,
                example: example.clone(),
                viewer: FilmViewer::deaf(),
                view: self.viewer.view(),
            });
        } else if !keep {
            self.kept = None;
        }
    }
}

/// A film with the feature's heatmap.
fn film_ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    viewer: &mut FilmViewer,
    (example, maximum): (&ExampleView, f32),
    tools: impl FnOnce(&mut Ui),
) {
    let ExampleContent::Film {
        dataset,
        size,
        grid,
        heat,
    } = &example.content
    else {
        return;
    };
    let name = example_name(example);
    let subject = Subject {
        dataset,
        sample: example.sample,
        name: &name,
        size: *size,
        heat: Some(Heat {
            grid: *grid,
            activations: heat,
            maximum,
            unit: "activation",
        }),
        boxes: &[],
    };
    viewer.ui_with(ctx, ui, &subject, tools);
}
