//! Filter and order above the cards.

use egui::{RichText, Ui};
use engine::views::{DictionaryView, FeaturePlot, FeatureSort, GalleryFacets};
use engine::{ExplainRequest, ExplanationSource};
use schema::ReviewState;

use crate::app_context::{AppContext, in_words};
use crate::commands::{Command, Screen};
use crate::screens::gallery::pane::Pane;
use crate::tokens;
use crate::widgets::{chip, number};

impl Pane {
    pub(super) fn filter_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        dictionary: &DictionaryView,
    ) {
        ui.horizontal_wrapped(|ui| {
            ui.add(
                egui::TextEdit::singleline(&mut self.query.text)
                    .hint_text("Filter by label, keyword or number")
                    .desired_width(170.0),
            )
            .accessible_name(format!("Filter text, {}", self.side));
            self.sort_ui(ui);
            self.state_ui(ui);
            self.density_ui(ui);
            let facets = self.facets(ctx, &dictionary.name);
            self.score_ui(ui, &facets);
            self.finding_ui(ui, &facets);
            self.group_ui(ui, &facets);
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
            if self.query.area.is_some() {
                let button = ui.button("In the rectangle  ×");
                let hint = "Show all features again, wherever they lie on the plot";
                if button.on_hover_text(hint).clicked() {
                    self.query.area = None;
                }
            }
            self.plots_ui(ui);
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
                let text = RichText::new(text).color(tokens::of(ui).text_weak);
                ui.add(egui::Label::new(text).extend());
            }
            if self.is_filtering() {
                let text = RichText::new("filtering …").color(tokens::of(ui).text_weak);
                ui.add(egui::Label::new(text).extend()).on_hover_text(
                    "The features below are those from before, until the new are found",
                );
            }
            let named = self.has_proposals || dictionary.n_reviewed > 0;
            if !named && ui.button("Propose labels").clicked() {
                ctx.send(Command::ProposeLabels(dictionary.name.clone()));
            }
        });
    }

    fn sort_ui(&mut self, ui: &mut Ui) {
        egui::ComboBox::from_id_salt(("sort", self.side))
            .selected_text(format!("Sort: {}", sort_name(self.query.sort)))
            .width(150.0)
            .show_ui(ui, |ui| {
                for sort in SORTS {
                    ui.selectable_value(&mut self.query.sort, sort, sort_name(sort))
                        .on_hover_text(sort_hint(sort));
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
        let query = &mut self.query;
        let chosen = if query.flagged {
            FLAGGED
        } else {
            name(query.state)
        };
        egui::ComboBox::from_id_salt(("state", self.side))
            .selected_text(chosen)
            .width(110.0)
            .show_ui(ui, |ui| {
                for state in [
                    None,
                    Some(ReviewState::Unseen),
                    Some(ReviewState::Accepted),
                    Some(ReviewState::Edited),
                    Some(ReviewState::Rejected),
                    Some(ReviewState::Unsure),
                    Some(ReviewState::Skipped),
                    Some(ReviewState::Conflict),
                ] {
                    let is_chosen = !query.flagged && query.state == state;
                    if ui.selectable_label(is_chosen, name(state)).clicked() {
                        (query.state, query.flagged) = (state, false);
                    }
                }
                let flagged = ui
                    .selectable_label(query.flagged, FLAGGED)
                    .on_hover_text("A reader wants somebody to look again, and nobody has since");
                if flagged.clicked() {
                    (query.state, query.flagged) = (None, true);
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

    fn score_ui(&mut self, ui: &mut Ui, facets: &GalleryFacets) {
        if facets.n_scored == 0 && self.query.score.is_none() {
            return;
        }
        let text = self.query.score.map_or_else(
            || "Score: any".to_owned(),
            |[low, high]| format!("Score: {low:.2} to {high:.2}"),
        );
        let side = self.side;
        let score = &mut self.query.score;
        ui.menu_button(text, |ui| {
            let mut range = score.unwrap_or([0.0, 1.0]);
            for (name, value) in ["Lowest", "Highest"].into_iter().zip(&mut range) {
                ui.horizontal(|ui| {
                    ui.add_sized([64.0, 24.0], egui::Label::new(name));
                    let drag = egui::DragValue::new(value)
                        .range(0.0..=1.0)
                        .speed(0.005)
                        .max_decimals(2);
                    ui.add(drag)
                        .accessible_name(format!("{name} score, {side}"));
                });
            }
            if range != score.unwrap_or([0.0, 1.0]) {
                *score = Some(range);
            }
            ui.horizontal(|ui| {
                for (name, range) in [
                    ("Any score", None),
                    ("Near chance", Some([0.0, 0.6])),
                    ("Holds well", Some([0.8, 1.0])),
                ] {
                    if ui.button(name).clicked() {
                        *score = range;
                    }
                }
            });
        })
        .response
        .on_hover_text(
            "Measured score of the proposal: 0.5 is chance. Those not tested are left out",
        )
        .accessible_name(format!("Score range, {side}"));
    }

    fn finding_ui(&mut self, ui: &mut Ui, facets: &GalleryFacets) {
        if facets.associations.is_empty() && self.query.association.is_none() {
            return;
        }
        let chosen = self.query.association.as_deref().map(in_words);
        egui::ComboBox::from_id_salt(("finding", self.side))
            .selected_text(chosen.unwrap_or_else(|| "Any finding".to_owned()))
            .width(130.0)
            .show_ui(ui, |ui| {
                let association = &mut self.query.association;
                ui.selectable_value(association, None, "Any finding");
                for (name, n) in &facets.associations {
                    let text = format!("{} · {}", in_words(name), number::count(u64::from(*n)));
                    ui.selectable_value(association, Some(name.clone()), text);
                }
            })
            .response
            .on_hover_text("Features that go best with this finding or category, with q below 0.05")
            .accessible_name(format!("Finding, {}", self.side));
    }

    fn group_ui(&mut self, ui: &mut Ui, facets: &GalleryFacets) {
        if facets.groups.is_empty() {
            return;
        }
        let name = |group: Option<u32>| {
            group.map_or_else(
                || "Any group".to_owned(),
                |group| format!("Group {}", group + 1),
            )
        };
        egui::ComboBox::from_id_salt(("group", self.side))
            .selected_text(name(self.query.group))
            .width(100.0)
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut self.query.group, None, name(None));
                for (group, size) in (0_u32..).zip(&facets.groups) {
                    let text = format!(
                        "{} · {}",
                        name(Some(group)),
                        number::count(u64::from(*size))
                    );
                    ui.selectable_value(&mut self.query.group, Some(group), text);
                }
            })
            .response
            .on_hover_text("Nested groups of a Matryoshka dictionary, the coarsest first")
            .accessible_name(format!("Group, {}", self.side));
    }

    /// Opens and closes the plots.
    fn plots_ui(&mut self, ui: &mut Ui) {
        for (plot, name, hint) in [
            (
                FeaturePlot::Activity,
                "Scatter",
                "Density against mean activation, beside the cards",
            ),
            (
                FeaturePlot::Directions,
                "Map",
                "Decoder directions on the plane in which they differ most, beside the cards",
            ),
        ] {
            let is_shown = self.plot == Some(plot);
            if ui
                .selectable_label(is_shown, name)
                .on_hover_text(hint)
                .clicked()
            {
                self.plot = (!is_shown).then_some(plot);
                // A filter that cannot be seen would be a riddle.
                self.query.area = None;
            }
        }
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

/// The choice of features that somebody should look at again.
const FLAGGED: &str = "Flagged";

const SORTS: [FeatureSort; 10] = [
    FeatureSort::Index,
    FeatureSort::Association,
    FeatureSort::BestScore,
    FeatureSort::WorstScore,
    FeatureSort::Disagreement,
    FeatureSort::Surprise,
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
        FeatureSort::BestScore => "best score",
        FeatureSort::WorstScore => "worst score",
        FeatureSort::Disagreement => "disagreement",
        FeatureSort::Surprise => "surprise",
    }
}

fn sort_hint(sort: FeatureSort) -> &'static str {
    match sort {
        FeatureSort::Index => "By number",
        FeatureSort::Density => "Active most often first",
        FeatureSort::Rarest => "Active least often first",
        FeatureSort::Maximum => "Highest activation first",
        FeatureSort::Mean => "Highest mean of the activations first",
        FeatureSort::Association => "Highest AUROC of the first term of the proposal first",
        FeatureSort::BestScore => {
            "Proposals that held best when they were tested first; those not tested last"
        }
        FeatureSort::WorstScore => {
            "Proposals that held worst when they were tested first; those not tested last"
        }
        FeatureSort::Disagreement => {
            "Features on which readers differ first, then those whose reader rejected or reworded \
             the proposal"
        }
        FeatureSort::Surprise => {
            "Strong but rare first: highest activation times the powers of ten by which the \
             density lies below 1"
        }
    }
}

/// Features that a language model explains at once, unless all are asked for: some minutes.
const N_EXPLAINED: usize = 20;

/// A menu of what can explain the features and be tested on other patients.
pub(super) fn explain_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
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
