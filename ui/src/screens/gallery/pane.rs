//! One dictionary's cards with their filter; the gallery shows one or two of these.

use std::sync::Arc;

use egui::{Pos2, Rect, RichText, ScrollArea, Ui, Vec2};
use engine::views::{
    ChoiceTicket, ChosenFeatures, DictionaryView, Event, ExampleKind, FeaturePlot, FeatureQuery,
    FeatureSort, GalleryFacets, Revision,
};
use schema::FeatureId;

use crate::app_context::{AppContext, kind_name};
use crate::backend::Answer;
use crate::commands::{Command, Rail};
use crate::screens::gallery::card;
use crate::screens::gallery::concepts::Concepts;
use crate::screens::gallery::filter;
use crate::screens::gallery::plot::Drawn;
use crate::tokens::{self, GRID};
use crate::widgets::split::{Edge, Extent, split_ui};
use crate::widgets::{notice, number};
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

/// What was asked for last: features of one query and revision.
struct Asked {
    sae: String,
    query: FeatureQuery,
    revision: Revision,
    /// While the answer is on its way.
    waits: Option<ChoiceTicket>,
}

/// The features to show: those asked for, or those before them until the answer is there.
pub(super) struct Listing {
    sae: String,
    pub(super) ids: Answer<Arc<Vec<FeatureId>>>,
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
    pub(super) has_proposals: bool,
    /// Whether concepts are shown in place of cards, where the dictionary is a recommender's.
    pub(crate) shows_concepts: bool,
    /// Concepts of the dictionary.
    pub(crate) concepts: Concepts,
    asked: Option<Asked>,
    pub(super) listing: Option<Listing>,
    /// The plot beside the cards.
    pub(crate) plot: Option<FeaturePlot>,
    pub(super) drawn: Drawn,
    facets: Option<(String, Revision, Arc<GalleryFacets>)>,
    /// Whether the other half shows the same dataset: then a sample chosen here filters there.
    pub(super) is_linked: bool,
    /// The sample that was just chosen for the other half.
    pub(super) sent: Option<u32>,
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
            asked: None,
            listing: None,
            plot: None,
            drawn: Drawn::default(),
            facets: None,
            is_linked: false,
            sent: None,
        }
    }

    /// Shows another dictionary; what of the filter means something else there goes.
    pub(crate) fn use_dictionary(&mut self, name: String) {
        if self.dictionary.as_ref() != Some(&name) {
            self.dictionary = Some(name);
            (self.query.association, self.query.group) = (None, None);
            self.query.area = None;
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
                "No gallery yet",
                "The gallery needs to know where each feature is active on the samples of its \
                 dataset; the cards appear when that is read.",
                |ui| build_ui(ctx, ui, &dictionary.name),
            );
            return;
        }
        self.filter_ui(ctx, ui, dictionary);
        self.refresh(ctx, &dictionary.name);
        let listed = self.ids(&dictionary.name);
        if let (Some(plot), Some(ids)) = (self.plot, &listed) {
            let wide = ui.available_width() > 2.2 * CARD_WIDTH;
            let (edge, default, range) = if wide {
                (
                    Edge::Left,
                    400.0,
                    240.0..=ui.available_width() - CARD_WIDTH - 40.0,
                )
            } else {
                (Edge::Bottom, 280.0, 160.0..=480.0)
            };
            let name = format!("plot {} {}", self.side, if wide { "left" } else { "below" });
            let extent = Extent { default, range };
            split_ui(ctx, ui, (edge, &name), extent, |ui| {
                self.plot_ui(ctx, ui, &dictionary.name, (plot, ids));
            });
            egui::CentralPanel::no_frame().show(ui, |ui| self.listing_ui(ctx, ui, dictionary));
        } else {
            self.listing_ui(ctx, ui, dictionary);
        }
    }

    /// The cards that pass the filter, or why there are none.
    fn listing_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, dictionary: &DictionaryView) {
        match self.listing.as_ref().map(|listing| listing.ids.clone()) {
            Some(Ok(ids)) if ids.is_empty() => {
                notice::empty_ui(
                    ui,
                    "No feature fits this filter",
                    "Widen a range, choose another state or finding, or clear the text.",
                    |ui| {
                        if ui.button("Clear the filter").clicked() {
                            self.query = first_query();
                        }
                    },
                );
            }
            Some(Ok(ids)) => self.cards_ui(ctx, ui, dictionary, &ids),
            Some(Err(problem)) => notice::error_ui(ui, &problem),
            None => {
                notice::weak_ui(ui, "Choosing the features to show …");
            }
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
                            self.use_dictionary(view.name.clone());
                        }
                    }
                })
                .response
                .accessible_name(format!("Dictionary on the {}", self.side));
            if let Some(view) = ctx.dictionary(&current) {
                if view.kind == ExampleKind::History {
                    self.tabs_ui(ui);
                } else if view.indexed {
                    filter::explain_ui(ctx, ui, &view.name);
                }
                // Readers look at features, not at how their dictionary was made.
                if ctx.look.rail == Rail::Reader {
                    notice::weak_cut_ui(ui, format!("on {}", view.dataset));
                } else {
                    notice::weak_cut_ui(ui, facts(view)).on_hover_text(more_facts(view));
                }
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

    /// What the features can be filtered by, for this revision.
    pub(super) fn facets(&mut self, ctx: &AppContext<'_>, sae: &str) -> Arc<GalleryFacets> {
        match &self.facets {
            Some((of, revision, facets)) if of == sae && *revision == ctx.revision => {
                Arc::clone(facets)
            }
            _ => {
                // The listing tells the error.
                let facets = ctx.backend.gallery_facets(sae).unwrap_or_default();
                self.facets = Some((sae.to_owned(), ctx.revision, Arc::clone(&facets)));
                facets
            }
        }
    }

    /// Whether the rows shown are those of an earlier filter still.
    pub(crate) fn is_filtering(&self) -> bool {
        self.asked
            .as_ref()
            .is_some_and(|asked| asked.waits.is_some())
    }

    /// Takes in the features that were asked for, unless others were asked for since.
    pub(super) fn on_event(&mut self, event: &Event) {
        if let Event::FeaturesChosen(ticket, answer) = event
            && let Some(asked) = &mut self.asked
            && asked.waits == Some(*ticket)
        {
            asked.waits = None;
            self.listing = Some(Listing {
                sae: asked.sae.clone(),
                ids: answer.clone(),
            });
        }
    }

    fn refresh(&mut self, ctx: &AppContext<'_>, sae: &str) {
        let current = self.asked.as_ref().is_some_and(|asked| {
            asked.sae == sae && asked.query == self.query && asked.revision == ctx.revision
        });
        if current {
            return;
        }
        if self
            .listing
            .as_ref()
            .is_none_or(|listing| listing.sae != sae)
        {
            self.has_proposals = false;
            self.listing = None;
        }
        let ids = match ctx.backend.choose_features(self.side, sae, &self.query) {
            Ok(ChosenFeatures::Later(ticket)) => Err(ticket),
            Ok(ChosenFeatures::Now(ids)) => Ok(Ok(ids)),
            Err(problem) => Ok(Err(problem)),
        };
        self.asked = Some(Asked {
            sae: sae.to_owned(),
            query: self.query.clone(),
            revision: ctx.revision,
            waits: ids.as_ref().err().copied(),
        });
        if let Ok(ids) = ids {
            self.listing = Some(Listing {
                sae: sae.to_owned(),
                ids,
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
            if self.is_linked {
                for example in card.top.iter() {
                    let text = format!("Other half: features active on {}", example.sample_id);
                    if ui.button(text).clicked() {
                        self.sent = Some(example.sample);
                    }
                }
            }
        });
    }
}

/// A button that builds the gallery; says so where a job does already.
fn build_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
    let title = format!("Build the gallery of {sae}");
    if ctx.jobs.iter().any(|job| job.title == title) {
        notice::weak_ui(ui, "Being built: see the bar below");
    } else if ui.button("Build the gallery").clicked() {
        ctx.send(Command::BuildGallery(sae.to_owned()));
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
