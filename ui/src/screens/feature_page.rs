//! Feature page: the evidence large, the judgement beside it.

mod effects;
mod evidence;
pub(crate) mod examples;
mod history;
mod judgement;
pub(crate) mod large;
mod score;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{RichText, ScrollArea, Ui};
use engine::views::{Event, ExampleContent, ExampleKind, ExampleView, FeaturePage, Revision};
use schema::FeatureId;

use crate::app_context::{AppContext, sample_name};
use crate::backend::Answer;
use crate::commands::{Command, Screen};
use crate::keys::{self, Action};
use crate::screens::Panel;
use crate::screens::feature_page::examples::Examples;
use crate::screens::feature_page::judgement::Judgement;
use crate::screens::feature_page::large::{LargeExample, large_height};
use crate::screens::feature_page::score::ScoreEvidence;
use crate::screens::gallery::card::card_title;
use crate::tokens::{self, GRID};
use crate::widgets::split::{Edge, Extent, LESS, beside, split_ui};
use crate::widgets::{chip, notice, number};

/// State of the feature page.
#[derive(Default)]
pub(crate) struct FeatureScreen {
    /// Dictionary and feature shown.
    pub(crate) subject: Option<(String, FeatureId)>,
    /// The feature shown last of each dictionary.
    last: BTreeMap<String, FeatureId>,
    /// Which example is large: row (0 is the top, then the bands) and place in it.
    chosen: (usize, usize),
    /// The large example.
    pub(crate) large: LargeExample,
    judgement: Judgement,
    score: ScoreEvidence,
    page: Option<(Revision, Answer<Arc<FeaturePage>>)>,
}

impl FeatureScreen {
    /// Shows another feature.
    pub(crate) fn open(&mut self, sae: String, feature: FeatureId) {
        self.last.insert(sae.clone(), feature);
        self.subject = Some((sae, feature));
        self.chosen = (0, 0);
        self.page = None;
        self.judgement = Judgement::default();
        self.score = ScoreEvidence::default();
    }

    fn shows(&self, sae: &str, feature: FeatureId) -> bool {
        let subject = self.subject.as_ref();
        subject.is_some_and(|(of, shown)| of == sae && *shown == feature)
    }

    /// The feature of a dictionary that was shown last.
    pub(crate) fn last_of(&self, sae: &str) -> Option<FeatureId> {
        self.last.get(sae).copied()
    }

    fn refresh(&mut self, ctx: &AppContext<'_>) {
        let Some((sae, feature)) = &self.subject else {
            return;
        };
        if self
            .page
            .as_ref()
            .is_none_or(|(revision, _)| *revision != ctx.revision)
        {
            self.page = Some((ctx.revision, ctx.backend.feature_page(sae, *feature)));
        }
    }

    fn page_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
        self.keys(ui, page);
        header_ui(
            ctx,
            ui,
            sae,
            page,
            examples::chosen(Examples::of_page(page), self.chosen),
        );
        let (side, extent) = beside(ui, "feature side", (400.0, LESS));
        split_ui(ctx, ui, (Edge::Right, &side), extent, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                self.judgement.ui(ctx, ui, sae, page);
                if let Some(example) = examples::chosen(Examples::of_page(page), self.chosen) {
                    self.large.words_ui(ctx, ui, example);
                }
                evidence::ui(ctx, ui, (sae, page), &mut self.score);
            });
        });
        split_ui(
            ctx,
            ui,
            match page.kind {
                ExampleKind::Film => (Edge::Bottom, "feature films"),
                ExampleKind::Text if ctx.backend.can_trace(sae) => {
                    (Edge::Bottom, "feature texts of films")
                }
                ExampleKind::Text => (Edge::Bottom, "feature texts"),
                ExampleKind::History => (Edge::Bottom, "feature histories"),
            },
            Extent {
                default: match page.kind {
                    ExampleKind::Film => 216.0,
                    // A text that is traced has its film above the lines.
                    ExampleKind::Text if ctx.backend.can_trace(sae) => ui.available_height() * 0.3,
                    // Lines need less room above them than a film, and show more when there are many.
                    ExampleKind::Text => ui.available_height() * 0.6,
                    ExampleKind::History => ui.available_height() * 0.34,
                },
                range: 96.0..=(ui.available_height() - large_height(page.kind)).max(97.0),
            },
            |ui| {
                examples::rows_ui(ctx, ui, Examples::of_page(page), &mut self.chosen);
            },
        );
        egui::CentralPanel::no_frame().show(ui, |ui| self.large_ui(ctx, ui, sae, page));
    }

    /// The chosen example, as large as there is room.
    fn large_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
        let Some(example) = examples::chosen(Examples::of_page(page), self.chosen) else {
            notice::empty_ui(
                ui,
                "Never active",
                "No indexed sample activates this feature, so there is nothing to show. The \
                 gallery's \"Hide dead\" leaves such features out.",
                |_| {},
            );
            return;
        };
        let shown = (example, page.card.max_activation);
        self.large.ui(ctx, ui, (sae, page.card.feature), shown);
    }

    fn keys(&mut self, ui: &Ui, page: &FeaturePage) {
        if ui.ctx().egui_wants_keyboard_input() || keys::is_behind(ui.ctx()) {
            return;
        }
        let n_in_row = examples::row(Examples::of_page(page), self.chosen.0).map_or(0, <[_]>::len);
        if keys::fired(ui.ctx(), Action::NextExample) && self.chosen.1 + 1 < n_in_row {
            self.chosen.1 += 1;
        }
        if keys::fired(ui.ctx(), Action::PreviousExample) {
            self.chosen.1 = self.chosen.1.saturating_sub(1);
        }
    }
}

impl Panel for FeatureScreen {
    fn title(&self) -> String {
        match &self.subject {
            Some((sae, feature)) => format!("Feature {feature} of {sae}"),
            None => "Feature".to_owned(),
        }
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        self.refresh(ctx);
        let Some((sae, _)) = self.subject.clone() else {
            notice::empty_ui(
                ui,
                "No feature chosen",
                "Choose a card in the gallery, or press Ctrl+K and type a label or a number. Its \
                 samples, statistics and label appear here.",
                |ui| {
                    if ui.button("Go to Gallery").clicked() {
                        ctx.send(Command::Show(Screen::Gallery));
                    }
                },
            );
            return;
        };
        match self.page.as_ref().map(|(_, page)| page.clone()) {
            Some(Ok(page)) => self.page_ui(ctx, ui, &sae, &page),
            Some(Err(problem)) => notice::error_ui(ui, &problem),
            None => {}
        }
    }

    fn on_event(&mut self, _ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => *self = Self::default(),
            // What takes a decision back is told by an event of its own.
            Event::Decided(decision) if decision.takes_back.is_none() => {
                if self.shows(&decision.sae, decision.feature) {
                    self.judgement.saved();
                }
            }
            Event::TakenBack(sae, feature) if self.shows(sae, *feature) => {
                self.judgement.taken_back();
            }
            Event::Restored(sae, feature) if self.shows(sae, *feature) => self.judgement.saved(),
            Event::ScoreRead(run, feature, answer) => self.score.arrived(run, *feature, answer),
            Event::DecisionFailed(_) => self.judgement.failed(),
            other => self.large.on_event(other),
        }
    }
}

/// What an example is called above its large view.
pub(crate) fn example_name(example: &ExampleView) -> String {
    let is_history = matches!(example.content, ExampleContent::History { .. });
    let split = match example.split {
        _ if is_history => "",
        schema::Split::Train => " · train",
        schema::Split::Dev => " · dev",
        schema::Split::Test => " · test",
    };
    format!(
        "{}{split} · activation {}",
        sample_name(&example.sample_id, is_history),
        number::activation(example.activation)
    )
}

fn header_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    sae: &str,
    page: &FeaturePage,
    example: Option<&ExampleView>,
) {
    let card = &page.card;
    ui.horizontal(|ui| {
        if ui
            .button("Gallery")
            .on_hover_text("Back to the cards")
            .clicked()
        {
            ctx.send(Command::Show(Screen::Gallery));
        }
        if ui.button("Previous").on_hover_text("K").clicked() {
            ctx.send(Command::PreviousFeature);
        }
        if ui.button("Next").on_hover_text("J").clicked() {
            ctx.send(Command::NextFeature);
        }
        let number = format!("Feature {}", card.feature);
        ui.label(RichText::new(number).font(tokens::title_font()));
        chip::chip_ui(ui, card.state, !card.proposal.is_empty());
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let dataset = ctx.dictionary(sae).map(|view| view.dataset.clone());
            if let (Some(example), Some(dataset)) = (example, dataset)
                && ui
                    .button("Show in Data")
                    .on_hover_text("The large example with everything known of it")
                    .clicked()
            {
                ctx.send(Command::ShowSample(dataset, example.sample));
            }
            if ctx.backend.can_steer(sae)
                && ui
                    .button("Steer this feature")
                    .on_hover_text("On the sample shown here, unless one is steered already")
                    .clicked()
            {
                let sample = example.or(card.top.first()).map(|example| example.sample);
                ctx.send(Command::SteerFeature(sae.to_owned(), card.feature, sample));
            }
            if page.kind == ExampleKind::History
                && ui
                    .button("Concept")
                    .on_hover_text(
                        "What it looks for, in words, and how far that holds on other users",
                    )
                    .clicked()
            {
                ctx.send(Command::ShowConcept(sae.to_owned(), Some(card.feature)));
            }
            let title = RichText::new(card_title(card)).font(tokens::title_font());
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.add(egui::Label::new(title).truncate());
            });
        });
    });
    ui.add_space(GRID);
}
