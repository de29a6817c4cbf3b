//! Gallery: the features of one dictionary as cards, or of two side by side.

pub(crate) mod card;
mod concepts;
mod filter;
pub(crate) mod pane;
mod plot;

use egui::Ui;
use engine::views::{DictionaryView, Event, ExampleKind};
use schema::{FeatureId, JobId};

use crate::app_context::AppContext;
use crate::commands::{Command, Screen};
use crate::screens::Panel;
use crate::screens::gallery::pane::Pane;
use crate::widgets::notice;
use crate::widgets::split::{Edge, Extent, split_ui};

/// State of the gallery.
pub(crate) struct GalleryScreen {
    /// Left, and right when two dictionaries are shown.
    pub(crate) panes: [Pane; 2],
    /// Whether two dictionaries are shown.
    pub(crate) side_by_side: bool,
}

impl Default for GalleryScreen {
    fn default() -> Self {
        Self {
            panes: [Pane::new("left"), Pane::new("right")],
            side_by_side: false,
        }
    }
}

impl GalleryScreen {
    /// Chooses dictionaries for halves that have none, or whose dictionary is gone: a film
    /// dictionary left and a recommender right, where the project has them.
    pub(crate) fn choose_missing(&mut self, dictionaries: &[DictionaryView]) {
        let known = |name: &Option<String>| {
            name.as_ref()
                .is_some_and(|name| dictionaries.iter().any(|view| &view.name == name))
        };
        let of_kind = |kind: ExampleKind, other: Option<&String>| {
            dictionaries
                .iter()
                .filter(|view| Some(&view.name) != other)
                .max_by_key(|view| (view.indexed, view.kind == kind))
                .map(|view| view.name.clone())
        };
        if !known(&self.panes[0].dictionary) {
            self.panes[0].dictionary = of_kind(ExampleKind::Film, None);
        }
        if !known(&self.panes[1].dictionary) {
            self.panes[1].dictionary =
                of_kind(ExampleKind::History, self.panes[0].dictionary.as_ref());
        }
    }

    /// The feature `step` places after `feature` in the order shown.
    pub(crate) fn step_from(
        &self,
        sae: &str,
        feature: FeatureId,
        step: isize,
    ) -> Option<FeatureId> {
        let ids = self.panes.iter().find_map(|pane| pane.ids(sae))?;
        let place = ids.iter().position(|&id| id == feature)?;
        ids.get(place.checked_add_signed(step)?).copied()
    }

    /// Shows the concepts of a recommender's dictionary, or that of one feature.
    pub(crate) fn show_concept(&mut self, sae: &str, feature: Option<FeatureId>) {
        let of = |pane: &Pane| pane.dictionary.as_deref() == Some(sae);
        // The half that shows the dictionary already, else the left one.
        let at = usize::from(self.side_by_side && !of(&self.panes[0]) && of(&self.panes[1]));
        let pane = &mut self.panes[at];
        pane.dictionary = Some(sae.to_owned());
        pane.shows_concepts = true;
        pane.concepts.chosen = feature;
    }

    /// Remembers the job that makes concepts of a dictionary.
    pub(crate) fn concepts_wait_for(&mut self, job: JobId, sae: &str) {
        for pane in &mut self.panes {
            pane.concepts.waits_for(job, sae.to_owned());
        }
    }

    /// Hands a sample that was chosen in one half to the other, where both show the same dataset.
    fn link(&mut self, ctx: &AppContext<'_>) {
        let dataset = |pane: &Pane| {
            let view = ctx.dictionary(pane.dictionary.as_deref()?)?;
            Some(&view.dataset)
        };
        let [left, right] = &mut self.panes;
        let is_linked =
            self.side_by_side && dataset(left).is_some() && dataset(left) == dataset(right);
        let sent = [left.sent.take(), right.sent.take()].map(|sample| sample.filter(|_| is_linked));
        if let Some(sample) = sent[0] {
            right.query.fires_on_sample = Some(sample);
        }
        if let Some(sample) = sent[1] {
            left.query.fires_on_sample = Some(sample);
        }
        left.is_linked = is_linked;
        right.is_linked = is_linked;
    }

    /// Shows only features active on `sample` in every half that reads `dataset`.
    pub(crate) fn filter_by_sample(
        &mut self,
        dictionaries: &[DictionaryView],
        dataset: &str,
        sample: u32,
    ) {
        for pane in &mut self.panes {
            let reads = dictionaries.iter().any(|view| {
                Some(&view.name) == pane.dictionary.as_ref() && view.dataset == dataset
            });
            if reads {
                pane.query.fires_on_sample = Some(sample);
            }
        }
    }
}

impl Panel for GalleryScreen {
    fn title(&self) -> String {
        "Gallery".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        if ctx.dictionaries.is_empty() {
            notice::empty_ui(
                ui,
                "No dictionary yet",
                "Here every feature of a trained dictionary has a card with the samples that excite \
                 it. Build the demo project to see it now, or train a dictionary on your own data.",
                |ui| {
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                    if ctx.project_open && ui.button("Train a dictionary").clicked() {
                        ctx.send(Command::Show(Screen::Train));
                    }
                },
            );
            return;
        }
        self.link(ctx);
        if self.side_by_side {
            let half = ui.available_width() / 2.0;
            let [left, right] = &mut self.panes;
            split_ui(
                ctx,
                ui,
                (Edge::Right, "gallery right"),
                Extent {
                    default: half,
                    range: 320.0..=(half * 2.0 - 320.0).max(330.0),
                },
                |ui| right.ui(ctx, ui),
            );
            egui::CentralPanel::no_frame().show(ui, |ui| left.ui(ctx, ui));
        } else {
            self.panes[0].ui(ctx, ui);
        }
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        for pane in &mut self.panes {
            pane.concepts.on_event(event);
            pane.on_event(event);
        }
        if matches!(event, Event::ProjectChanged) {
            let side_by_side = self.side_by_side;
            *self = Self {
                side_by_side,
                ..Self::default()
            };
            self.choose_missing(ctx.dictionaries);
        }
    }
}
