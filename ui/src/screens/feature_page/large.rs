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
    /// Where in the film a text feature comes from.
    pub(crate) trace: Trace,
    /// The whole history.
    pub(crate) history: History,
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
            ExampleContent::Film {
                dataset,
                size,
                grid,
                heat,
            } => {
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
                self.viewer.ui(ctx, ui, &subject);
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
}
