//! The figures beside a feature: histogram, associations, what it writes, neighbours, history.

use egui::{Grid, RichText, Ui};
use engine::views::{FeaturePage, WritesView};
use schema::{Association, Decision, Explanation, FeatureId};

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::tokens;
use crate::widgets::notice::{section_ui, weak_line_ui, weak_ui};
use crate::widgets::{chip, histogram, number};

/// Rows of a table before the rest is left out.
const MAX_ROWS: usize = 12;

/// Everything below the judgement.
pub(crate) fn ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
    section_ui(ui, "Activations");
    let card = &page.card;
    let edges = band_edges(&card.histogram, card.max_activation, page.bands.len());
    histogram::histogram_ui(ui, &card.histogram, card.max_activation, &edges);
    figures_ui(ui, page);
    associations_ui(ui, &page.associations);
    if let Some(writes) = &page.writes {
        writes_ui(ui, writes);
    }
    features_ui(
        ctx,
        ui,
        sae,
        ("Neighbours by decoder angle", "cosine"),
        &page.neighbours,
    );
    features_ui(
        ctx,
        ui,
        sae,
        ("Active on the same positions", "Jaccard"),
        &page.cofiring,
    );
    explanations_ui(ui, &page.explanations);
    decisions_ui(ui, &page.decisions);
}

/// Activations where quantile bands of equal counts meet, from the histogram.
fn band_edges(counts: &[u32], maximum: f32, n_bands: usize) -> Vec<f32> {
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    if n_bands < 2 || total == 0 {
        return Vec::new();
    }
    (1..n_bands)
        .map(|band| {
            let wanted = total as f64 * band as f64 / n_bands as f64;
            let mut seen = 0.0;
            for (i, &count) in counts.iter().enumerate() {
                let next = seen + f64::from(count);
                if count > 0 && next >= wanted {
                    let within = (wanted - seen) / f64::from(count);
                    return maximum * ((i as f64 + within) / counts.len() as f64) as f32;
                }
                seen = next;
            }
            maximum
        })
        .collect()
}

fn figures_ui(ui: &mut Ui, page: &FeaturePage) {
    let card = &page.card;
    let facts = [
        ("Active positions", number::count(page.n_active_rows)),
        ("Share of positions", number::percent(card.density)),
        ("Share of samples", number::percent(card.sample_density)),
        (
            "Highest activation",
            number::activation(card.max_activation),
        ),
        ("Mean when active", number::activation(page.mean_activation)),
    ];
    Grid::new("figures")
        .num_columns(2)
        .spacing([16.0, 2.0])
        .show(ui, |ui| {
            for (name, value) in facts {
                weak_line_ui(ui, name);
                ui.label(value);
                ui.end_row();
            }
        });
}

fn associations_ui(ui: &mut Ui, associations: &[Association]) {
    section_ui(ui, "Goes with");
    if associations.is_empty() {
        weak_ui(
            ui,
            "No finding, taste or category is known for these samples, or none was tested",
        );
        return;
    }
    Grid::new("associations")
        .num_columns(5)
        .spacing([12.0, 2.0])
        .show(ui, |ui| {
            for (title, hint) in [
                ("", ""),
                (
                    "log-odds",
                    "Natural logarithm of the odds ratio, with its 95 % interval",
                ),
                (
                    "AUROC",
                    "Area under the ROC curve of the sample's highest activation",
                ),
                ("q", "Benjamini-Hochberg adjusted p value within this table"),
                ("n", "Samples with it"),
            ] {
                let response = weak_line_ui(ui, title);
                if !hint.is_empty() {
                    response.on_hover_text(hint);
                }
            }
            ui.end_row();
            for association in associations.iter().take(MAX_ROWS) {
                association_row(ui, association);
            }
        });
}

fn association_row(ui: &mut Ui, association: &Association) {
    let significant = association.q < 0.05;
    let colour = if significant {
        tokens::of(ui).text
    } else {
        tokens::of(ui).text_weak
    };
    let text = |text: String| RichText::new(text).color(colour);
    ui.add(egui::Label::new(text(association.name.clone())).truncate());
    let [low, high] = association.interval;
    ui.label(text(format!("{:+.1}", association.log_odds)))
        .on_hover_text(format!("95 % interval {low:+.1} to {high:+.1}"));
    ui.label(text(format!("{:.2}", association.auroc)));
    ui.label(text(number::p_value(association.q)));
    ui.label(text(number::count(u64::from(association.n_with))));
    ui.end_row();
}

fn writes_ui(ui: &mut Ui, writes: &WritesView) {
    section_ui(ui, "Writes");
    ui.columns(2, |columns| {
        for (column, title, entries) in [
            (0, "Promotes", &writes.promoted),
            (1, "Suppresses", &writes.suppressed),
        ] {
            let ui = &mut columns[column];
            weak_ui(ui, title);
            Grid::new(title)
                .num_columns(2)
                .spacing([8.0, 2.0])
                .show(ui, |ui| {
                    for (text, score) in entries.iter().take(MAX_ROWS) {
                        ui.label(
                            RichText::new(format!("{score:+.2}")).color(tokens::of(ui).text_weak),
                        );
                        ui.add(egui::Label::new(text.trim()).truncate());
                        ui.end_row();
                    }
                });
        }
    });
}

fn features_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    sae: &str,
    (title, unit): (&str, &str),
    features: &[(FeatureId, String, f32)],
) {
    if features.is_empty() {
        return;
    }
    section_ui(ui, title);
    for (feature, label, value) in features.iter().take(MAX_ROWS) {
        ui.horizontal(|ui| {
            let number = format!("{value:.2}");
            ui.label(RichText::new(number).color(tokens::of(ui).text_weak))
                .on_hover_text(unit);
            let label = if label.is_empty() {
                "no label yet"
            } else {
                label
            };
            let text = format!("{feature}  {label}");
            if ui
                .add(egui::Button::new(text).truncate().frame(false))
                .accessible_name(format!("Open feature {feature}"))
                .clicked()
            {
                ctx.send(Command::OpenFeature(sae.to_owned(), *feature));
            }
        });
    }
}

fn explanations_ui(ui: &mut Ui, explanations: &[Explanation]) {
    for explanation in explanations {
        section_ui(ui, "Proposal");
        ui.add(egui::Label::new(&explanation.text).wrap());
        weak_ui(ui, format!("by {}, {}", explanation.by, explanation.at));
        if explanation.evidence.is_empty() {
            continue;
        }
        weak_ui(ui, "Terms it rests on");
        Grid::new(("terms", &explanation.at))
            .num_columns(4)
            .spacing([12.0, 2.0])
            .show(ui, |ui| {
                for title in ["", "log-odds", "with", "without"] {
                    weak_line_ui(ui, title);
                }
                ui.end_row();
                for term in explanation.evidence.iter().take(MAX_ROWS) {
                    ui.add(egui::Label::new(&term.name).truncate());
                    ui.label(format!("{:+.1}", term.log_odds));
                    ui.label(number::count(u64::from(term.n_with)));
                    ui.label(number::count(u64::from(term.n_without)));
                    ui.end_row();
                }
            });
    }
}

fn decisions_ui(ui: &mut Ui, decisions: &[Decision]) {
    section_ui(ui, "Decisions");
    if decisions.is_empty() {
        weak_ui(
            ui,
            "Every decision on this label is kept here, with name and time",
        );
    }
    for decision in decisions {
        ui.horizontal(|ui| {
            chip::chip_ui(ui, decision.state, false);
            if !decision.text.is_empty() {
                ui.add(egui::Label::new(&decision.text).truncate());
            }
        });
        let reviewer = if decision.reviewer.is_empty() {
            "no name given"
        } else {
            &decision.reviewer
        };
        weak_ui(ui, format!("{reviewer}, {}", decision.at));
    }
}

#[cfg(test)]
mod tests {
    use super::band_edges;

    #[test]
    fn bands_hold_equal_counts() {
        assert_eq!(band_edges(&[10, 10, 10, 10], 8.0, 4), [2.0, 4.0, 6.0]);
        assert_eq!(band_edges(&[30, 0, 0, 10], 8.0, 2), [4.0 / 3.0]);
        assert!(band_edges(&[], 8.0, 4).is_empty());
    }
}
