//! One dictionary's cards with their filter; the gallery shows one or two of these.

use std::sync::Arc;

use egui::{Pos2, Rect, RichText, ScrollArea, Ui, Vec2};
use engine::views::{DictionaryView, ExampleKind, FeatureQuery, FeatureSort, Revision};
use engine::{ExplainRequest, ExplanationSource};
use schema::{FeatureId, ReviewState};

use crate::app_context::{AppContext, kind_name};
use crate::backend::Answer;
use crate::commands::{Command, Screen};
use crate::screens::gallery::card;
use crate::screens::gallery::concepts::Concepts;
use crate::tokens::{self, GRID};
use crate::widgets::{chip, notice, number};
use crate::words;

/// Width a card should at least have.
const CARD_WIDTH: f32 = 330.0;

/// What a gallery shows at first: everything alive, what means something before the rest.
pub(crate) fn first_query() -> FeatureQuery {
    FeatureQuery {
        sort: FeatureSort::Association,
        ..FeatureQuery::default()
    }
}

/// The features to show, for one query and revision.
struct Listing {
    sae: String,
    query: FeatureQuery,
    revision: Revision,
    ids: Answer<Arc<Vec<FeatureId>>>,
}

/// One dictionary's half of the gallery.
pub(crate) struct Pane {
    /// Tells the two halves apart.
    pub(crate) side: &'static str,
    /// Dictionary shown.
    pub(crate) dictionary: Option<String>,
    /// Filter and order.
    pub(crate) query: FeatureQuery,
    /// Card last opened.
    pub(crate) selected: Option<FeatureId>,
    /// Whether a card with a proposal was seen: then proposing again is not the next step.
    has_proposals: bool,
    /// Whether concepts are shown in place of cards, where the dictionary is a recommender's.
    pub(crate) shows_concepts: bool,
    /// Concepts of the dictionary.
    pub(crate) concepts: Concepts,
    listing: Option<Listing>,
}

impl Pane {
    /// An empty half.
    pub(crate) fn new(side: &'static str) -> Self {
        Self {
            side,
            dictionary: None,
            query: first_query(),
            selected: None,
            has_proposals: false,
            shows_concepts: false,
            concepts: Concepts::new(side),
            listing: None,
        }
    }

    /// The features of this half in the order shown, if it shows `sae`.
    pub(crate) fn ids(&self, sae: &str) -> Option<Arc<Vec<FeatureId>>> {
        let listing = self.listing.as_ref().filter(|listing| listing.sae == sae)?;
        listing.ids.clone().ok()
    }

    /// Draws filter and cards.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        self.chooser_ui(ctx, ui);
        let Some(dictionary) = self
            .dictionary
            .as_deref()
            .and_then(|name| ctx.dictionary(name))
        else {
            notice::empty_ui(
                ui,
                "Choose a dictionary",
                "Its features appear here as cards, each with the samples that excite it most.",
                |_| {},
            );
            return;
        };
        if self.shows_concepts && dictionary.kind == ExampleKind::History {
            self.concepts.ui(ctx, ui, &dictionary.name);
            return;
        }
        if !dictionary.indexed {
            notice::empty_ui(
                ui,
                "No feature index yet",
                "The gallery needs to know where each feature is active. Run `fluoroscope features \
                 index` for this dictionary; the cards appear when it is done.",
                |_| {},
            );
            return;
        }
        self.filter_ui(ctx, ui, dictionary);
        self.refresh(ctx, &dictionary.name);
        match self.listing.as_ref().map(|listing| listing.ids.clone()) {
            Some(Ok(ids)) if ids.is_empty() => {
                notice::empty_ui(
                    ui,
                    "No feature fits this filter",
                    "Widen the density range, choose another state, or clear the text.",
                    |ui| {
                        if ui.button("Clear the filter").clicked() {
                            self.query = first_query();
                        }
                    },
                );
            }
            Some(Ok(ids)) => self.cards_ui(ctx, ui, dictionary, &ids),
            Some(Err(problem)) => notice::error_ui(ui, &problem),
            None => {}
        }
    }

    fn chooser_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let current = self
            .dictionary
            .clone()
            .unwrap_or_else(|| "Dictionary".to_owned());
        ui.horizontal(|ui| {
            egui::ComboBox::from_id_salt(("dictionary", self.side))
                .selected_text(RichText::new(&current).font(tokens::title_font()))
                .width(200.0)
                .show_ui(ui, |ui| {
                    for view in ctx.dictionaries {
                        let text = format!("{} · {}", view.name, kind_name(view.kind));
                        let chosen = self.dictionary.as_ref() == Some(&view.name);
                        if ui.selectable_label(chosen, text).clicked() {
                            self.dictionary = Some(view.name.clone());
                        }
                    }
                })
                .response
                .accessible_name(format!("Dictionary on the {}", self.side));
            if let Some(view) = ctx.dictionary(&current) {
                if view.kind == ExampleKind::History {
                    self.tabs_ui(ui);
                }
                notice::weak_cut_ui(ui, facts(view)).on_hover_text(more_facts(view));
            }
        });
    }

    /// Cards, or concepts.
    fn tabs_ui(&mut self, ui: &mut Ui) {
        for (concepts, name, hint) in [
            (
                false,
                "Cards",
                "Every feature with the histories that excite it",
            ),
            (
                true,
                "Concepts",
                "What each feature looks for, in words, and how far that holds on other users",
            ),
        ] {
            let is_shown = self.shows_concepts == concepts;
            if ui
                .selectable_label(is_shown, name)
                .on_hover_text(hint)
                .clicked()
            {
                self.shows_concepts = concepts;
            }
        }
    }

    fn filter_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, dictionary: &DictionaryView) {
        ui.horizontal_wrapped(|ui| {
            ui.add(
                egui::TextEdit::singleline(&mut self.query.text)
                    .hint_text("Filter by label or number")
                    .desired_width(170.0),
            )
            .accessible_name(format!("Filter text, {}", self.side));
            self.sort_ui(ui);
            self.state_ui(ui);
            self.density_ui(ui);
            ui.checkbox(&mut self.query.hide_dead, "Hide dead")
                .on_hover_text("Leave out features that are never active");
            if let Some(sample) = self.query.fires_on_sample {
                let text = format!("Active on sample {sample}  ×");
                if ui
                    .button(text)
                    .on_hover_text("Show all features again, whatever they are active on")
                    .clicked()
                {
                    self.query.fires_on_sample = None;
                }
            }
            let shown = self
                .listing
                .as_ref()
                .and_then(|listing| listing.ids.as_ref().ok());
            if let Some(ids) = shown {
                let text = format!(
                    "{} of {} features",
                    number::count(ids.len() as u64),
                    number::count(u64::from(dictionary.n_features))
                );
                ui.label(RichText::new(text).color(tokens::of(ui).text_weak));
            }
            let named = self.has_proposals || dictionary.n_reviewed > 0;
            if !named && ui.button("Propose labels").clicked() {
                ctx.send(Command::ProposeLabels(dictionary.name.clone()));
            }
            if dictionary.kind != ExampleKind::History && dictionary.indexed {
                explain_ui(ctx, ui, &dictionary.name);
            }
        });
    }

    fn sort_ui(&mut self, ui: &mut Ui) {
        egui::ComboBox::from_id_salt(("sort", self.side))
            .selected_text(format!("Sort: {}", sort_name(self.query.sort)))
            .width(150.0)
            .show_ui(ui, |ui| {
                for sort in SORTS {
                    ui.selectable_value(&mut self.query.sort, sort, sort_name(sort));
                }
            })
            .response
            .accessible_name(format!("Sort, {}", self.side));
    }

    fn state_ui(&mut self, ui: &mut Ui) {
        let name = |state: Option<ReviewState>| match state {
            None => "Any state",
            Some(ReviewState::Unseen) => "Not reviewed",
            Some(state) => chip::state_name(state, false),
        };
        egui::ComboBox::from_id_salt(("state", self.side))
            .selected_text(name(self.query.state))
            .width(110.0)
            .show_ui(ui, |ui| {
                for state in [
                    None,
                    Some(ReviewState::Unseen),
                    Some(ReviewState::Accepted),
                    Some(ReviewState::Edited),
                    Some(ReviewState::Rejected),
                    Some(ReviewState::Unsure),
                ] {
                    ui.selectable_value(&mut self.query.state, state, name(state));
                }
            })
            .response
            .accessible_name(format!("State, {}", self.side));
    }

    fn density_ui(&mut self, ui: &mut Ui) {
        let (low, high) = (self.query.min_density, self.query.max_density);
        let text = if low <= 0.0 && high >= 1.0 {
            "Density: any".to_owned()
        } else {
            format!(
                "Density: {} to {}",
                number::percent(low),
                number::percent(high)
            )
        };
        let side = self.side;
        ui.menu_button(text, |ui| {
            density_row_ui(ui, "Lowest", side, &mut self.query.min_density);
            density_row_ui(ui, "Highest", side, &mut self.query.max_density);
            ui.horizontal(|ui| {
                for (name, low, high) in [
                    ("Any", 0.0, 1.0),
                    ("Rare", 0.0, 0.001),
                    ("Middle", 0.001, 0.05),
                    ("Dense", 0.05, 1.0),
                ] {
                    if ui.button(name).clicked() {
                        (self.query.min_density, self.query.max_density) = (low, high);
                    }
                }
            });
        })
        .response
        .accessible_name(format!("Density range, {side}"));
    }

    fn refresh(&mut self, ctx: &AppContext<'_>, sae: &str) {
        let current = self.listing.as_ref().is_some_and(|listing| {
            listing.sae == sae && listing.query == self.query && listing.revision == ctx.revision
        });
        if !current {
            let same = self
                .listing
                .as_ref()
                .is_some_and(|listing| listing.sae == sae);
            self.has_proposals &= same;
            self.listing = Some(Listing {
                sae: sae.to_owned(),
                query: self.query.clone(),
                revision: ctx.revision,
                ids: ctx.backend.feature_ids(sae, &self.query),
            });
        }
    }

    fn cards_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        dictionary: &DictionaryView,
        ids: &[FeatureId],
    ) {
        // Room for the scroll bar, so that columns do not change when it appears.
        let width = ui.available_width() - 12.0;
        let n_columns = ((width + GRID) / (CARD_WIDTH + GRID)).floor().max(1.0) as usize;
        let card_width = ((width + GRID) / n_columns as f32 - GRID).floor();
        let height = card::card_height(dictionary.kind, card_width);
        let n_rows = ids.len().div_ceil(n_columns);
        ui.spacing_mut().item_spacing.y = GRID;
        ScrollArea::vertical()
            .id_salt(("cards", self.side, &dictionary.name))
            .auto_shrink(false)
            .show_rows(ui, height, n_rows, |ui, rows| {
                let top = ui.max_rect().top();
                let left = ui.max_rect().left();
                for row in rows.clone() {
                    let y = top + (row - rows.start) as f32 * (height + GRID);
                    for column in 0..n_columns {
                        let Some(&feature) = ids.get(row * n_columns + column) else {
                            break;
                        };
                        let x = left + column as f32 * (card_width + GRID);
                        let rect =
                            Rect::from_min_size(Pos2::new(x, y), Vec2::new(card_width, height));
                        self.one_card_ui(ctx, ui, rect, dictionary, feature);
                    }
                }
                ui.allocate_space(Vec2::new(width, rows.len() as f32 * (height + GRID) - GRID));
            });
    }

    fn one_card_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        rect: Rect,
        dictionary: &DictionaryView,
        feature: FeatureId,
    ) {
        let card = match ctx.card(&dictionary.name, feature) {
            Ok(card) => card,
            Err(problem) => {
                notice::film_text(ui.painter(), rect, egui::Align2::CENTER_CENTER, &problem);
                return;
            }
        };
        self.has_proposals |= !card.proposal.is_empty();
        let selected = self.selected == Some(feature);
        let response = card::card_ui(ctx, ui, rect, &card, (dictionary.kind, selected));
        if response.clicked() {
            self.selected = Some(feature);
            ctx.send(Command::OpenFeature(dictionary.name.clone(), feature));
        }
        response.context_menu(|ui| {
            if ui.button("Open").clicked() {
                ctx.send(Command::OpenFeature(dictionary.name.clone(), feature));
            }
            let sample = card.top.first().map(|example| example.sample);
            if ui.button("Steer").clicked() {
                ctx.send(Command::SteerFeature(
                    dictionary.name.clone(),
                    feature,
                    sample,
                ));
            }
            if let Some(sample) = sample
                && ui.button("Features active on its top sample").clicked()
            {
                ctx.send(Command::FiringOnSample(dictionary.dataset.clone(), sample));
            }
        });
    }
}

/// One end of the density range, as a percentage.
fn density_row_ui(ui: &mut Ui, name: &str, side: &str, value: &mut f32) {
    ui.horizontal(|ui| {
        ui.add_sized([64.0, 24.0], egui::Label::new(name));
        let mut percent = *value * 100.0;
        let drag = egui::DragValue::new(&mut percent)
            .range(0.0..=100.0)
            .speed(0.05)
            .max_decimals(3)
            .suffix(" %");
        let name = format!("{name} density, {side}");
        if ui.add(drag).accessible_name(name).changed() {
            *value = percent / 100.0;
        }
    });
}

const SORTS: [FeatureSort; 6] = [
    FeatureSort::Index,
    FeatureSort::Association,
    FeatureSort::Density,
    FeatureSort::Rarest,
    FeatureSort::Maximum,
    FeatureSort::Mean,
];

fn sort_name(sort: FeatureSort) -> &'static str {
    match sort {
        FeatureSort::Index => "number",
        FeatureSort::Density => "densest",
        FeatureSort::Rarest => "rarest",
        FeatureSort::Maximum => "maximum",
        FeatureSort::Mean => "mean",
        FeatureSort::Association => "association",
    }
}

fn facts(view: &DictionaryView) -> String {
    format!(
        "{} on {} · FVU {:.3} · L0 {:.1} · {} dead",
        view.model,
        view.dataset,
        view.fvu,
        view.l0,
        number::percent(view.dead_share as f32)
    )
}

/// What the line of facts means, and where the dictionary reads.
fn more_facts(view: &DictionaryView) -> String {
    format!(
        "Reads {} at {}, {} values wide, while it looks at {}\n{}",
        view.model,
        view.hook,
        number::count(u64::from(view.d_model)),
        view.dataset,
        words::of(&["FVU", "L0", "Dead"])
    )
}
/// Features that a language model explains at once, unless all are asked for: some minutes.
const N_EXPLAINED: usize = 20;

/// A menu of what can explain the features and be tested on other patients.
fn explain_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
    let menu = ui.menu_button("Explain", |ui| {
        let ask = |request| ctx.send(Command::Explain(Box::new(request)));
        if ui
            .button("From keywords")
            .on_hover_text("Terms of some patients' reports, tested on others: every feature")
            .clicked()
        {
            ask(ExplainRequest::new(sae));
        }
        let model = ctx.backend.preferences().language_model;
        if model.is_empty() {
            let button = ui.button("With a language model…");
            if button.on_hover_text("Choose one under Settings").clicked() {
                ctx.send(Command::Show(Screen::Settings));
            }
            return;
        }
        let by_model = || ExplanationSource::Model(model.clone().into());
        let request = |limit| ExplainRequest {
            explain: by_model(),
            judge: Some(by_model()),
            limit,
            ..ExplainRequest::new(sae)
        };
        let name = model.rsplit(['/', '\\']).next().unwrap_or(&model);
        let some = ui.button(format!("{name}: {N_EXPLAINED} features, drawn"));
        if some
            .on_hover_text("The model explains and judges; baselines beside it. Minutes to hours")
            .clicked()
        {
            ask(request(Some(N_EXPLAINED)));
        }
        if ui.button(format!("{name}: every feature")).clicked() {
            ask(request(None));
        }
    });
    menu.response
        .on_hover_text("Propose a label for each feature and measure how far it is true")
        .accessible_name(format!("Explain features of {sae}"));
}
