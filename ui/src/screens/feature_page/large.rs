//! One example of a feature, as large as there is room: a film with its heatmap, a report, a whole
//! history.

use std::sync::Arc;

use egui::{CollapsingHeader, ScrollArea, Ui};
use engine::views::{Event, ExampleContent, ExampleKind, ExampleView, Revision, SampleView};
use schema::FeatureId;

use super::example_name;
use super::history::History;
use super::trace::Trace;
use crate::app_context::AppContext;
use crate::screens::data::sample_view;
use crate::tokens::GRID;
use crate::widgets::example::FilmPlace;
use crate::widgets::film_viewer::{BoxLayer, BoxSource, FilmViewer, Heat, Subject};
use crate::widgets::hanging::{Hanging, Study};
use crate::widgets::{notice, token_text};

/// Height that the large example keeps, however much is asked for the rows below it: a film has its
/// tools above it, in up to three lines.
pub(crate) fn large_height(kind: ExampleKind) -> f32 {
    match kind {
        ExampleKind::Film => 280.0,
        _ => 120.0,
    }
}

/// State of the large example of a screen.
pub(crate) struct LargeExample {
    /// The film with the others of its study.
    hanging: Hanging,
    /// What the dataset has on the sample that is shown.
    record: Option<Record>,
    /// The film that stays on the left to be compared with others.
    kept: Option<Kept>,
    /// Where in the film a text feature comes from.
    pub(crate) trace: Trace,
    /// The whole history.
    pub(crate) history: History,
}

/// A sample as the dataset has it.
struct Record {
    revision: Revision,
    dataset: String,
    sample: u32,
    /// `None` if it cannot be read; the film itself says why.
    view: Option<Arc<SampleView>>,
}

impl Default for LargeExample {
    fn default() -> Self {
        Self {
            // What radiologists marked is not thrust upon a reader who judges a feature.
            hanging: Hanging::with_marks_hidden(true),
            record: None,
            kept: None,
            trace: Trace::default(),
            history: History::default(),
        }
    }
}

/// A film that stays while others are chosen.
struct Kept {
    sae: String,
    feature: FeatureId,
    example: ExampleView,
    record: Option<Arc<SampleView>>,
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
        self.hanging.drawn()
    }

    /// Whether the window of the film that is shown is no longer the one it came with.
    pub(crate) fn is_window_changed(&self) -> bool {
        self.hanging.is_changed()
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

    /// What the source says of the film of `example`, closed until it is asked for; nothing where
    /// the example is no film.
    pub(crate) fn words_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, example: &ExampleView) {
        let Some(record) = self.record_of(ctx, example) else {
            return;
        };
        CollapsingHeader::new("Report and findings of this film")
            .id_salt("words of the film")
            .show(ui, |ui| sample_view::words_ui(ctx, ui, &record));
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
        let record = self.record_of(ctx, example);
        match &mut self.kept {
            None => {
                let shown = (example, record.as_ref(), maximum);
                study_ui((ctx, ui), &mut self.hanging, shown, compare);
            }
            Some(kept) => {
                let viewer = self.hanging.own();
                viewer.hear(true);
                ui.columns(2, |columns| {
                    let shown = (&kept.example, kept.record.as_ref(), maximum);
                    kept.viewer.set_view(kept.view);
                    columns[0].push_id("kept", |ui| {
                        film_ui((ctx, ui), &mut kept.viewer, shown, |_| {});
                    });
                    let moved = kept.viewer.view();
                    viewer.set_view(moved);
                    columns[1].push_id("chosen", |ui| {
                        let shown = (example, record.as_ref(), maximum);
                        film_ui((ctx, ui), viewer, shown, compare);
                    });
                    kept.view = viewer.view();
                });
            }
        }
        if keep && self.kept.is_none() {
            // What is not thrust upon a reader on the one film is not on the other either.
            let own = self.hanging.own();
            let view = own.view();
            let mut viewer = FilmViewer::deaf();
            viewer.hide_boxes(own.hidden_boxes().to_vec());
            self.kept = Some(Kept {
                sae: sae.to_owned(),
                feature,
                example: example.clone(),
                record,
                viewer,
                view,
            });
        } else if !keep {
            self.kept = None;
        }
    }

    /// What the dataset has on the sample of `example`.
    fn record_of(
        &mut self,
        ctx: &AppContext<'_>,
        example: &ExampleView,
    ) -> Option<Arc<SampleView>> {
        let ExampleContent::Film { dataset, .. } = &example.content else {
            return None;
        };
        let is_known = self.record.as_ref().is_some_and(|record| {
            record.revision == ctx.revision
                && record.dataset == *dataset
                && record.sample == example.sample
        });
        if !is_known {
            self.record = Some(Record {
                revision: ctx.revision,
                dataset: dataset.clone(),
                sample: example.sample,
                view: ctx
                    .backend
                    .sample(dataset, example.sample)
                    .ok()
                    .map(Arc::new),
            });
        }
        self.record.as_ref()?.view.clone()
    }
}

/// A film with the feature's heatmap, and beside it the others of its study.
fn study_ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    hanging: &mut Hanging,
    (example, record, maximum): (&ExampleView, Option<&Arc<SampleView>>, f32),
    tools: impl FnOnce(&mut Ui),
) {
    let (ExampleContent::Film { dataset, size, .. }, Some(record)) = (&example.content, record)
    else {
        film_ui((ctx, ui), hanging.own(), (example, None, maximum), tools);
        return;
    };
    let study = Study {
        dataset,
        record,
        name: &example_name(example),
        size: *size,
    };
    hanging.ui(ctx, ui, study, heat_of(example, maximum), tools);
}

/// The feature's heatmap on a film.
fn heat_of(example: &ExampleView, maximum: f32) -> Option<Heat<'_>> {
    let ExampleContent::Film { grid, heat, .. } = &example.content else {
        return None;
    };
    Some(Heat {
        grid: *grid,
        activations: heat,
        maximum,
        unit: "activation",
    })
}

/// A film with the feature's heatmap.
fn film_ui(
    (ctx, ui): (&AppContext<'_>, &mut Ui),
    viewer: &mut FilmViewer,
    (example, record, maximum): (&ExampleView, Option<&Arc<SampleView>>, f32),
    tools: impl FnOnce(&mut Ui),
) {
    let ExampleContent::Film { dataset, size, .. } = &example.content else {
        return;
    };
    let name = example_name(example);
    let marked = [BoxLayer {
        source: BoxSource::Data,
        boxes: record.map_or(&[][..], |record| &record.boxes),
    }];
    let subject = Subject {
        place: FilmPlace::own(dataset, example.sample),
        name: &name,
        size: *size,
        heat: heat_of(example, maximum),
        boxes: &marked,
    };
    viewer.ui_with(ctx, ui, &subject, tools);
}
