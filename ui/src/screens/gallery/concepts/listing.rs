//! The list of concepts: sortable by each column, filtered by words and by how far they hold.

use egui::{
    Align2, ComboBox, Pos2, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, TextEdit, Ui, Vec2,
    WidgetInfo,
};
use engine::views::{ConceptView, ConceptsView};
use schema::FeatureId;

use crate::tokens::{self, GRID};
use crate::widgets::table::{self, Cell};
use crate::widgets::{notice, number};

/// Height of a row.
const ROW: f32 = 28.0;
/// Least confidence of a concept that `RecSAE` calls interpretable.
const INTERPRETABLE: f64 = 0.8;

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Column {
    Feature,
    Explanation,
    Recall,
    Specificity,
    #[default]
    Confidence,
    Cases,
    Unparsed,
}

/// Column, its name, its share of the width and what it means.
const COLUMNS: [(Column, &str, f32, &str); 7] = [
    (Column::Feature, "Feature", 0.09, "The feature's number"),
    (
        Column::Explanation,
        "Concept",
        0.29,
        "What the feature looks for, in words",
    ),
    (
        Column::Recall,
        "Recall",
        0.09,
        "Share of the users on whom the feature is active that the judge said so of",
    ),
    (
        Column::Specificity,
        "Specificity",
        0.12,
        "Share of the users on whom the feature is silent that the judge said so of; RecSAE calls it \
         precision",
    ),
    (
        Column::Confidence,
        "Confidence",
        0.24,
        "Share of all test cases told rightly, with its 95 % interval: one half is guessing",
    ),
    (Column::Cases, "Cases", 0.08, "Test cases"),
    (
        Column::Unparsed,
        "Unread",
        0.09,
        "Answers of the judge that could not be read; they count as silent",
    ),
];

/// Which concepts are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Only {
    #[default]
    All,
    Explained,
    Interpretable,
    AboveChance,
    AboveSwapped,
}

const ONLY: [(Only, &str); 5] = [
    (Only::All, "All features"),
    (Only::Explained, "With a concept"),
    (Only::Interpretable, "Confidence 0.8 and above"),
    (Only::AboveChance, "Interval above one half"),
    (Only::AboveSwapped, "Better than a swapped concept"),
];

/// State of the list.
#[derive(Default)]
pub(super) struct Listing {
    column: Column,
    /// Whether the lowest comes first.
    ascending: bool,
    text: String,
    only: Only,
    /// Places in the run, in the order shown; made anew when what they depend on changes.
    order: Option<Vec<usize>>,
}

impl Listing {
    /// Another run is shown.
    pub(super) fn forget(&mut self) {
        self.order = None;
    }

    /// Draws filter, heads and rows; a click chooses a concept.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        side: &'static str,
        view: &ConceptsView,
        chosen: &mut Option<FeatureId>,
    ) {
        self.filter_ui(ui, side, view.concepts.len());
        self.heads_ui(ui);
        if self.order.is_none() {
            self.order = Some(self.sorted(&view.concepts));
        }
        let order = self.order.as_deref().unwrap_or_default();
        if order.is_empty() {
            notice::weak_ui(ui, "No concept fits. Clear the text, or show all features");
            return;
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical()
            .id_salt(("concepts", side))
            .auto_shrink(false)
            .show_rows(ui, ROW, order.len(), |ui, rows| {
                for &at in order.get(rows).unwrap_or_default() {
                    if let Some(concept) = view.concepts.get(at) {
                        let is_chosen = *chosen == Some(concept.feature);
                        if row_ui(ui, concept, is_chosen) {
                            *chosen = Some(concept.feature);
                        }
                    }
                }
            });
    }

    fn filter_ui(&mut self, ui: &mut Ui, side: &'static str, n: usize) {
        let before = (self.text.clone(), self.only);
        ui.horizontal_wrapped(|ui| {
            ui.add(
                TextEdit::singleline(&mut self.text)
                    .hint_text("Filter by words or number")
                    .desired_width(180.0),
            )
            .accessible_name(format!("Filter concepts, {side}"));
            let name = ONLY.iter().find(|(only, _)| *only == self.only);
            ComboBox::from_id_salt(("only", side))
                .selected_text(name.map_or("", |(_, name)| name))
                .width(200.0)
                .show_ui(ui, |ui| {
                    for (only, name) in ONLY {
                        ui.selectable_value(&mut self.only, only, name);
                    }
                })
                .response
                .accessible_name(format!("Which concepts, {side}"));
            if let Some(order) = &self.order {
                let text = format!(
                    "{} of {}",
                    number::count(order.len() as u64),
                    number::counted(n as u64, ["feature", "features"])
                );
                ui.label(egui::RichText::new(text).color(tokens::of(ui).text_weak));
            }
        });
        if before != (self.text.clone(), self.only) {
            self.order = None;
        }
    }

    fn heads_ui(&mut self, ui: &mut Ui) {
        let (rect, _) =
            ui.allocate_exact_size(Vec2::new(ui.available_width() - GRID, 22.0), Sense::hover());
        let mut left = rect.left();
        for (column, name, share, hint) in COLUMNS {
            let width = rect.width() * share;
            let place =
                Rect::from_min_size(Pos2::new(left, rect.top()), Vec2::new(width, rect.height()));
            left += width;
            let id = ui.scope_id().with(("head", name));
            let response = ui.interact(place, id, Sense::click());
            response.widget_info(|| {
                WidgetInfo::labeled(
                    Role::Button,
                    true,
                    format!("Sort by {}", name.to_lowercase()),
                )
            });
            if response.clicked() {
                if self.column == column {
                    self.ascending = !self.ascending;
                } else {
                    self.column = column;
                    // Words and numbers begin at the beginning, figures with the best.
                    self.ascending = matches!(column, Column::Feature | Column::Explanation);
                }
                self.order = None;
            }
            self.head_ui(ui, place, (column, name), &response);
            response.on_hover_text(hint);
        }
    }

    fn head_ui(
        &self,
        ui: &Ui,
        place: Rect,
        (column, name): (Column, &str),
        response: &egui::Response,
    ) {
        let theme = tokens::of(ui);
        let is_chosen = self.column == column;
        let colour = if is_chosen || response.hovered() || response.has_focus() {
            theme.accent
        } else {
            theme.text_weak
        };
        let is_words = matches!(column, Column::Explanation);
        let (at, align) = if is_words {
            (place.left_center(), Align2::LEFT_CENTER)
        } else {
            let right = place.right_center() - Vec2::new(GRID + 10.0, 0.0);
            (right, Align2::RIGHT_CENTER)
        };
        let text = ui
            .painter()
            .text(at, align, name, tokens::small_font(), colour);
        if is_chosen {
            // A small arrow: up where the lowest comes first.
            let (x, y) = (text.right() + 6.0, place.center().y);
            let tip = if self.ascending { -3.0 } else { 3.0 };
            ui.painter().add(egui::Shape::convex_polygon(
                vec![
                    Pos2::new(x - 3.0, y - tip / 2.0),
                    Pos2::new(x + 3.0, y - tip / 2.0),
                    Pos2::new(x, y + tip),
                ],
                colour,
                Stroke::NONE,
            ));
        }
        if response.has_focus() {
            ui.painter().rect_stroke(
                place,
                tokens::RADIUS,
                Stroke::new(1.0, theme.accent),
                StrokeKind::Inside,
            );
        }
    }

    fn sorted(&self, concepts: &[ConceptView]) -> Vec<usize> {
        let words = self.text.trim().to_lowercase();
        let fits = |concept: &ConceptView| {
            let has_words = words.is_empty()
                || concept.feature.to_string() == words
                || concept.explanation.to_lowercase().contains(&words);
            let holds = match self.only {
                Only::All => true,
                Only::Explained => !concept.explanation.is_empty(),
                Only::Interpretable => concept.confidence.is_some_and(|c| c >= INTERPRETABLE),
                Only::AboveChance => concept.interval.is_some_and(|[low, _]| low > 0.5),
                Only::AboveSwapped => {
                    concept.shuffled.is_some() && concept.confidence > concept.shuffled
                }
            };
            has_words && holds
        };
        let mut order: Vec<(usize, &ConceptView)> = concepts
            .iter()
            .enumerate()
            .filter(|(_, concept)| fits(concept))
            .collect();
        order.sort_by(|(_, a), (_, b)| {
            let by = self.compare(a, b);
            by.then_with(|| a.feature.cmp(&b.feature))
        });
        order.into_iter().map(|(at, _)| at).collect()
    }

    /// Features without a figure come last, whichever end comes first.
    fn compare(&self, a: &ConceptView, b: &ConceptView) -> std::cmp::Ordering {
        if self.column == Column::Explanation {
            let empty = a.explanation.is_empty().cmp(&b.explanation.is_empty());
            let words = a
                .explanation
                .to_lowercase()
                .cmp(&b.explanation.to_lowercase());
            return empty.then(if self.ascending {
                words
            } else {
                words.reverse()
            });
        }
        let value = |concept: &ConceptView| match self.column {
            Column::Feature => Some(f64::from(concept.feature.0)),
            Column::Explanation => None,
            Column::Recall => concept.recall,
            Column::Specificity => concept.specificity,
            Column::Confidence => concept.confidence,
            Column::Cases => Some(concept.tests.len() as f64),
            Column::Unparsed => Some(concept.n_unparsed as f64),
        };
        match (value(a), value(b)) {
            (Some(a), Some(b)) if self.ascending => a.total_cmp(&b),
            (Some(a), Some(b)) => b.total_cmp(&a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
}

/// A confidence with its interval.
pub(super) fn with_interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    match (value, interval) {
        (Some(value), Some([low, high])) => format!("{value:.2} ({low:.2} to {high:.2})"),
        (Some(value), None) => format!("{value:.2}"),
        (None, _) => "none".to_owned(),
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:.2}"))
}

/// Draws one concept; whether it was chosen.
fn row_ui(ui: &mut Ui, concept: &ConceptView, is_chosen: bool) -> bool {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width() - GRID, ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let words = if concept.explanation.is_empty() {
        "no words found"
    } else {
        &concept.explanation
    };
    let confidence = with_interval(concept.confidence, concept.interval);
    response.widget_info(|| {
        let label = format!(
            "Concept of feature {}: {words}, confidence {confidence}",
            concept.feature
        );
        WidgetInfo::selected(Role::Button, true, is_chosen, label)
    });
    if ui.is_rect_visible(rect) {
        let fill = if is_chosen {
            theme.accent_quiet
        } else if response.hovered() || response.has_focus() {
            theme.hovered
        } else {
            theme.canvas
        };
        ui.painter().rect_filled(rect, tokens::RADIUS, fill);
        let colour = if concept.explanation.is_empty() {
            theme.text_weak
        } else {
            theme.text
        };
        let texts = [
            concept.feature.to_string(),
            words.to_owned(),
            share(concept.recall),
            share(concept.specificity),
            confidence,
            number::count(concept.tests.len() as u64),
            number::count(concept.n_unparsed as u64),
        ];
        let cells: Vec<Cell<'_>> = texts
            .iter()
            .zip(COLUMNS)
            .map(|(text, (column, _, width, _))| match column {
                Column::Explanation => Cell::left(text, width, colour),
                Column::Feature => Cell::right(text, width, theme.text_weak),
                _ => Cell::right(text, width, colour),
            })
            .collect();
        table::paint(ui, rect, &cells);
    }
    response.on_hover_text(words).clicked()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concept(feature: u32, explanation: &str, confidence: Option<f64>) -> ConceptView {
        ConceptView {
            n_left_out: 0,
            not_explained: String::new(),
            feature: FeatureId(feature),
            n_active: 1,
            explanation: explanation.to_owned(),
            evidence: Vec::new(),
            prompt: None,
            cases: Vec::new(),
            tests: Vec::new(),
            n_shared: 0,
            recall: confidence,
            specificity: None,
            confidence,
            interval: confidence.map(|value| [value - 0.2, 1.0]),
            n_unparsed: 0,
            shuffled: Some(0.6),
        }
    }

    #[test]
    fn figures_sort_from_the_best_and_nothing_comes_last() {
        let concepts = [
            concept(0, "tea", Some(0.5)),
            concept(1, "", None),
            concept(2, "Coffee", Some(0.9)),
        ];
        let mut listing = Listing::default();
        assert_eq!(listing.sorted(&concepts), [2, 0, 1]);
        listing.ascending = true;
        assert_eq!(listing.sorted(&concepts), [0, 2, 1]);
        listing.column = Column::Explanation;
        assert_eq!(listing.sorted(&concepts), [2, 0, 1]);
        listing.column = Column::Feature;
        assert_eq!(listing.sorted(&concepts), [0, 1, 2]);
    }

    #[test]
    fn the_filter_reads_words_and_figures() {
        let concepts = [
            concept(0, "tea", Some(0.5)),
            concept(1, "", None),
            concept(2, "green tea", Some(0.9)),
        ];
        let mut listing = Listing {
            text: " Tea ".to_owned(),
            ..Listing::default()
        };
        assert_eq!(listing.sorted(&concepts), [2, 0]);
        for (only, left) in [
            (Only::Interpretable, vec![2]),
            (Only::AboveChance, vec![2]),
            (Only::AboveSwapped, vec![2]),
            (Only::Explained, vec![2, 0]),
        ] {
            listing.only = only;
            assert_eq!(listing.sorted(&concepts), left, "{only:?}");
        }
        listing.text = "1".to_owned();
        listing.only = Only::All;
        assert_eq!(listing.sorted(&concepts), [1]);
    }
}
