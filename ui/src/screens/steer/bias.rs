//! Against a bias: which features carry it, and what turning them down brings and costs.

use egui::{DragValue, RichText, Role, Sense, Ui, Vec2, WidgetInfo};
use engine::views::{Bias, DebiasRequest, DebiasView, ListFigures, TradeOffPoint};
use schema::{FeatureId, JobId};

use super::ablation::written;
use super::all_users::category_ui;
use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::screens::gallery::card::card_title;
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens;
use crate::widgets::item_strip::truncated;
use crate::widgets::trade_off::{Series, TradeOff, trade_off_ui};
use crate::widgets::{notice, number};

/// Height of a row of the table.
const ROW: f32 = 26.0;

/// State of this part of the screen.
pub(crate) struct BiasSweep {
    bias: Bias,
    n_features: u32,
    strengths: String,
    n_controls: u32,
    waiting: Option<JobId>,
    answer: Option<Answer<DebiasView>>,
    /// The strength that is looked at.
    chosen: usize,
}

impl Default for BiasSweep {
    fn default() -> Self {
        Self {
            bias: Bias::Popularity,
            n_features: 4,
            strengths: "1, 0.75, 0.5, 0.25, 0".to_owned(),
            n_controls: 5,
            waiting: None,
            answer: None,
            chosen: 0,
        }
    }
}

/// Numbers between commas.
fn strengths(text: &str) -> Result<Vec<f32>, String> {
    let words = text.split([',', ';', ' ']).filter(|word| !word.is_empty());
    let numbers = words.map(|word| {
        let number: Option<f32> = word.parse().ok().filter(|value: &f32| value.is_finite());
        number.ok_or_else(|| format!("\"{word}\" is no number; expected a list such as 1, 0.5, 0"))
    });
    let numbers: Vec<f32> = numbers.collect::<Result<_, _>>()?;
    if numbers.is_empty() {
        return Err("Expected at least one strength, such as 1, 0.5, 0".to_owned());
    }
    Ok(numbers)
}

impl BiasSweep {
    /// Remembers which answer is wanted.
    pub(crate) fn waits_for(&mut self, job: JobId) {
        self.waiting = Some(job);
    }

    /// Takes an answer, if it is the one wanted.
    pub(super) fn take(&mut self, job: JobId, answer: &Answer<DebiasView>) {
        if self.waiting == Some(job) {
            self.waiting = None;
            self.chosen = 0;
            self.answer = Some(answer.clone());
        }
    }

    /// A job is over; one that was stopped brings no answer.
    pub(super) fn ended(&mut self, job: JobId) {
        if self.waiting == Some(job) {
            self.waiting = None;
        }
    }

    /// Which bias, how many features, which strengths, and the button that sweeps.
    pub(super) fn controls_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        card(ui, |ui| {
            ui.label(RichText::new("What is to be brought down").strong());
            let dataset = ctx
                .dictionary(sae)
                .and_then(|view| ctx.dataset(&view.dataset));
            let first = dataset.and_then(|view| view.categories.first());
            ui.horizontal_wrapped(|ui| {
                let is_popularity = self.bias == Bias::Popularity;
                if ui
                    .selectable_label(is_popularity, "What is popular anyway")
                    .clicked()
                {
                    self.bias = Bias::Popularity;
                }
                ui.add_enabled_ui(first.is_some(), |ui| {
                    let button = ui.selectable_label(!is_popularity, "A category");
                    if let Some(first) = first
                        && button.clicked()
                        && is_popularity
                    {
                        self.bias = Bias::Category(first.clone());
                    }
                });
            });
            if let Bias::Category(name) = &mut self.bias {
                ui.horizontal(|ui| {
                    field_label_ui(ui, "Category");
                    category_ui(ui, "Category brought down", dataset, name);
                });
            }
            for (name, value, most) in [
                ("Features", &mut self.n_features, 8),
                ("Random sets", &mut self.n_controls, 100),
            ] {
                ui.horizontal(|ui| {
                    let label = field_label_ui(ui, name);
                    let least = u32::from(name == "Features");
                    ui.add(DragValue::new(value).range(least..=most))
                        .labelled_by(label.id);
                });
            }
            ui.horizontal(|ui| {
                let label = field_label_ui(ui, "Strengths");
                let field = egui::TextEdit::singleline(&mut self.strengths).desired_width(200.0);
                ui.add(field).labelled_by(label.id);
            });
            notice::weak_ui(
                ui,
                "Factors of the features' activations: 1 leaves them, 0 ablates them.",
            );
            self.start_ui(ctx, ui, sae);
        });
    }

    fn start_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let strengths = strengths(&self.strengths);
        if let Err(problem) = &strengths {
            notice::warning_ui(ui, problem);
        }
        let can_ask = strengths.is_ok() && self.waiting.is_none();
        ui.add_enabled_ui(can_ask, |ui| {
            if accent_ui(ui, "Sweep the strengths") {
                ctx.send(Command::Debias(Box::new(DebiasRequest {
                    sae: sae.to_owned(),
                    bias: self.bias.clone(),
                    n_features: self.n_features,
                    strengths: strengths.unwrap_or_default(),
                    dataset: None,
                    n_controls: self.n_controls,
                    seed: 0,
                })));
            }
        });
    }

    /// What the last sweep brought.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        match &self.answer {
            Some(Ok(view)) => {
                let chosen = &mut self.chosen;
                egui::ScrollArea::vertical()
                    .id_salt("bias")
                    .auto_shrink(false)
                    .show(ui, |ui| view_ui(ctx, ui, view, chosen));
            }
            Some(Err(problem)) => notice::error_ui(ui, problem),
            None if self.waiting.is_some() => notice::empty_ui(
                ui,
                "Sweeping…",
                "Every strength is measured on the dev and the test part. The bar below says how \
                 far it is.",
                |_| {},
            ),
            None => notice::empty_ui(
                ui,
                "The trade-off appears here",
                "The features that add most to the scores of biased items are found and turned \
                 down step by step; you see what that brings and costs, and choose a strength.",
                |_| {},
            ),
        }
    }
}

/// The figure that says how much of the bias is left.
fn amount(bias: &Bias, figures: &ListFigures) -> f64 {
    match bias {
        Bias::Popularity => figures.popularity,
        Bias::Category(_) => figures.share,
    }
}

fn view_ui(ctx: &AppContext<'_>, ui: &mut Ui, view: &DebiasView, chosen: &mut usize) {
    let bias = &view.request.bias;
    let (title, x_name) = match bias {
        Bias::Popularity => (
            "Against popularity".to_owned(),
            "popularity of the top 10".to_owned(),
        ),
        Bias::Category(name) => (
            format!("Against {name}"),
            format!("share of {name} in the top 10"),
        ),
    };
    card(ui, |ui| {
        ui.label(RichText::new(title).font(tokens::title_font()));
        notice::weak_ui(
            ui,
            "Left is less of the bias, up is better ranking. Choose on the dev part; the test part \
             says what to expect.",
        );
        let series = |name, of: &dyn Fn(&TradeOffPoint) -> Option<ListFigures>| Series {
            name,
            points: view
                .points
                .iter()
                .filter_map(|point| {
                    let figures = of(point)?;
                    Some([amount(bias, &figures) as f32, figures.ndcg_10 as f32])
                })
                .collect(),
        };
        let plot = TradeOff {
            series: &[
                series("Dev", &|point| Some(point.dev)),
                series("Test", &|point| Some(point.test)),
                series("Random features, dev", &|point| point.control),
            ],
            names: &strength_names(&view.points),
            chosen: *chosen,
            axes: (&x_name, "NDCG@10"),
        };
        if let Some(clicked) = trade_off_ui(ui, &plot) {
            *chosen = clicked;
        }
        table_ui(ui, view, chosen);
    });
    card(ui, |ui| features_ui(ctx, ui, view, *chosen));
}

fn strength_names(points: &[TradeOffPoint]) -> Vec<String> {
    let each = points.iter().map(|point| format!("{}x", point.strength));
    each.collect()
}

/// Columns: name, and share of the width.
const COLUMNS: [(&str, f32); 8] = [
    ("Strength", 0.12),
    ("Bias, dev", 0.13),
    ("NDCG@10", 0.13),
    ("HR@10", 0.11),
    ("Coverage", 0.12),
    ("Gini", 0.11),
    ("Bias, test", 0.14),
    ("NDCG@10", 0.14),
];

fn table_ui(ui: &mut Ui, view: &DebiasView, chosen: &mut usize) {
    let bias = &view.request.bias;
    let spacing = std::mem::replace(&mut ui.spacing_mut().item_spacing.y, 0.0);
    row_ui(ui, &COLUMNS.map(|(name, _)| name.to_owned()), None);
    for (i, point) in view.points.iter().enumerate() {
        let (dev, test) = (&point.dev, &point.test);
        let cells = [
            format!("{}x", point.strength),
            written(amount(bias, dev), true),
            written(dev.ndcg_10, false),
            written(dev.hr_10, true),
            written(dev.coverage, true),
            written(dev.gini, false),
            written(amount(bias, test), true),
            written(test.ndcg_10, false),
        ];
        if row_ui(ui, &cells, Some(i == *chosen)) {
            *chosen = i;
        }
    }
    ui.spacing_mut().item_spacing.y = spacing;
}

/// One row; `chosen` is `None` for the head. Whether it was clicked.
fn row_ui(ui: &mut Ui, cells: &[String; 8], chosen: Option<bool>) -> bool {
    let theme = tokens::of(ui);
    let sense = if chosen.is_some() {
        Sense::click()
    } else {
        Sense::hover()
    };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), ROW), sense);
    let label = match chosen {
        Some(_) => format!("Strength {}, NDCG@10 {}", cells[0], cells[2]),
        None => "Columns of the strengths".to_owned(),
    };
    response.widget_info(|| match chosen {
        Some(chosen) => WidgetInfo::selected(Role::Button, true, chosen, &label),
        None => WidgetInfo::labeled(Role::Label, true, &label),
    });
    let (fill, colour) = match chosen {
        Some(true) => (theme.accent_quiet, theme.text),
        Some(false) if response.hovered() || response.has_focus() => (theme.hovered, theme.text),
        Some(false) => (tokens::CLEAR, theme.text),
        None => (tokens::CLEAR, theme.text_weak),
    };
    ui.painter().rect_filled(rect, tokens::RADIUS, fill);
    let mut left = rect.left();
    for (text, (_, share)) in cells.iter().zip(COLUMNS) {
        let width = rect.width() * share;
        let galley = truncated(ui.painter(), text, width - 8.0, colour);
        let x = left + width - 8.0 - galley.size().x;
        let y = rect.center().y - galley.size().y / 2.0;
        ui.painter().galley(egui::pos2(x, y), galley, colour);
        left += width;
    }
    response.clicked()
}

/// The features that carry the bias, and the button that takes the chosen strength on.
fn features_ui(ctx: &AppContext<'_>, ui: &mut Ui, view: &DebiasView, chosen: usize) {
    ui.label(RichText::new("Features that carry it").strong());
    let sae = &view.request.sae;
    for feature in &view.features {
        let id = FeatureId(feature.feature);
        let title = ctx
            .card(sae, id)
            .map_or_else(|_| String::new(), |card| card_title(&card).to_owned());
        ui.horizontal(|ui| {
            let open = ui.button(format!("{id}"));
            if open.accessible_name(format!("Open feature {id}")).clicked() {
                ctx.send(Command::OpenFeature(sae.clone(), id));
            }
            ui.label(title);
            notice::weak_cut_ui(
                ui,
                format!(
                    "adds {} to a biased item over others · active on {} of users",
                    schema::signed(feature.effect, 3),
                    number::percent(feature.density as f32)
                ),
            );
        });
    }
    let Some(point) = view.points.get(chosen) else {
        return;
    };
    let text = format!("Use strength {}x", point.strength);
    if accent_ui(ui, &text) {
        let features = view.features.iter().map(|one| FeatureId(one.feature));
        ctx.send(Command::UseStrength(
            sae.clone(),
            features.collect(),
            point.strength,
        ));
    }
    notice::weak_ui(
        ui,
        "Goes on to All users with these features multiplied by it, to be measured, saved as a \
         preset or exported.",
    );
}

#[cfg(test)]
mod tests {
    use super::strengths;

    #[test]
    fn strengths_are_read_or_refused() {
        assert_eq!(strengths("1, 0.5 0"), Ok(vec![1.0, 0.5, 0.0]));
        assert!(strengths("1, inf").is_err());
        assert!(strengths(" ").is_err());
    }
}
