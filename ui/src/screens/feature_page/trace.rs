//! Where in the film a feature comes from that fires on text: one method at a time, named.

use std::sync::Arc;

use egui::{RichText, Ui, Vec2};
use engine::views::{ExampleView, TraceTicket};
use engine::{TraceMethod, TraceRequest, TraceView};
use schema::FeatureId;

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::tokens;
use crate::widgets::example::FilmPlace;
use crate::widgets::film_viewer::{FilmViewer, Heat, Subject};
use crate::widgets::notice;

/// Height of the film with its tools: what is in sight, at least the one and at most the other.
const LEAST_SIDE: f32 = 240.0;
const MOST_SIDE: f32 = 640.0;

/// What each method says, in a sentence.
const METHODS: [(TraceMethod, &str, &str); 3] = [
    (
        TraceMethod::GradientInput,
        "Gradient × input",
        "How much each patch's embedding, as the decoder reads it, pushes the feature up here",
    ),
    (
        TraceMethod::Rollout,
        "Attention rollout",
        "How much attention flows from here to each patch; the same for every feature at this place",
    ),
    (
        TraceMethod::Occlusion,
        "Occlusion",
        "How much the feature falls when a patch and its neighbours are covered",
    ),
];

/// State of the tracing of one example.
#[derive(Default)]
pub(crate) struct Trace {
    /// What is shown or waited for.
    asked: Option<TraceRequest>,
    waiting: Option<TraceTicket>,
    answer: Option<Answer<TraceView>>,
    /// Values of the answer, ready to draw.
    heat: Arc<Vec<f32>>,
    viewer: FilmViewer,
}

impl Trace {
    /// The request was taken.
    pub(crate) fn waits_for(&mut self, ticket: TraceTicket, request: TraceRequest) {
        self.waiting = Some(ticket);
        self.asked = Some(request);
    }

    /// An answer arrived.
    pub(crate) fn take(&mut self, ticket: TraceTicket, answer: &Answer<TraceView>) {
        if self.waiting != Some(ticket) {
            return;
        }
        self.waiting = None;
        if let Ok(view) = answer {
            // What pushes the feature down is not where it comes from.
            let positive = view.values.iter().map(|value| value.max(0.0));
            self.heat = Arc::new(positive.collect());
        }
        self.answer = Some(answer.clone());
    }

    /// The choice of a method, and the map of the one that was asked for.
    pub(crate) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, feature): (&str, FeatureId),
        example: &ExampleView,
    ) {
        let is_same = self.asked.as_ref().is_some_and(|asked| {
            asked.sae == sae && asked.feature == feature && asked.sample == example.sample
        });
        if !is_same {
            self.asked = None;
            self.waiting = None;
            self.answer = None;
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("Where in the film does it come from?").strong());
            for (method, name, hint) in METHODS {
                let is_shown = self
                    .asked
                    .as_ref()
                    .is_some_and(|asked| asked.method == method);
                if ui
                    .selectable_label(is_shown, name)
                    .on_hover_text(hint)
                    .clicked()
                {
                    ctx.send(Command::Trace(TraceRequest {
                        sae: sae.to_owned(),
                        feature,
                        sample: example.sample,
                        position: Some(example.position),
                        method,
                    }));
                }
            }
        });
        let method = self.asked.as_ref().map(|asked| asked.method);
        let hint = METHODS.iter().find(|(known, ..)| Some(*known) == method);
        if let Some((_, _, hint)) = hint {
            notice::weak_ui(ui, *hint);
        }
        match (&self.answer, self.waiting) {
            (_, Some(_)) => {
                notice::weak_ui(ui, "Tracing…");
            }
            (Some(Ok(view)), None) => {
                let dataset = ctx.dictionary(sae).map(|view| view.dataset.clone());
                let strongest = self.heat.iter().copied().fold(0.0, f32::max);
                if strongest == 0.0 {
                    notice::weak_ui(ui, "No patch pushes this feature up here");
                }
                let name = format!(
                    "{}, traced from \"{}\"",
                    example.sample_id,
                    view.token.trim()
                );
                let subject = Subject {
                    place: FilmPlace::own(dataset.as_deref().unwrap_or_default(), example.sample),
                    name: &name,
                    size: view.film_size,
                    heat: Some(Heat {
                        grid: view.grid,
                        activations: &self.heat,
                        maximum: strongest,
                        unit: hint.map_or("", |(_, name, _)| *name),
                    }),
                    boxes: &[],
                };
                let in_sight = ui.clip_rect().bottom() - ui.cursor().top();
                let side = in_sight.clamp(LEAST_SIDE, MOST_SIDE);
                ui.allocate_ui(Vec2::new(ui.available_width().min(MOST_SIDE), side), |ui| {
                    self.viewer.ui(ctx, ui, &subject);
                });
            }
            (Some(Err(problem)), None) => notice::error_ui(ui, problem),
            (None, None) => {
                let text = "None of these is the feature's own activation on the patches: it was \
                            learned on text.";
                ui.label(RichText::new(text).color(tokens::of(ui).text_weak));
            }
        }
    }
}
