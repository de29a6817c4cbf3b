//! Curves of a recommender's training by epoch, one row for each stage.

use egui::Ui;
use engine::RecommenderCurve;

use crate::screens::train::live::figure_ui;
use crate::widgets::notice;
use crate::widgets::plot::{Curve, curve_ui};

/// Epochs that a curve has room for at least.
const FEWEST_EPOCHS: usize = 10;

/// Writes a value of a curve.
fn written(value: f32) -> String {
    format!("{value:.4}")
}

/// The epoch with the best dev NDCG@5, from 1; the first of equals, as training keeps it.
pub(super) fn best_epoch(curve: &RecommenderCurve) -> Option<usize> {
    let best = curve.ndcg.iter().copied().reduce(f64::max)?;
    let place = curve.ndcg.iter().position(|&ndcg| ndcg == best)?;
    Some(place + 1)
}

/// Figures of an epoch, then the curves.
pub(super) fn stages_ui(ui: &mut Ui, stages: &[RecommenderCurve], kept: Option<u32>) {
    for (i, curve) in stages.iter().enumerate() {
        let is_last = i + 1 == stages.len();
        let kept = kept.filter(|_| is_last).map(|epoch| epoch as usize);
        if curve.stage.1 > 1 {
            let what = match curve.stage.0 {
                1 => "interests alone",
                _ => "the whole model, beginning with the best interests",
            };
            let text = format!("Stage {} of {}: {what}", curve.stage.0, curve.stage.1);
            notice::section_ui(ui, &text);
        }
        ui.push_id(i, |ui| {
            figures_ui(ui, curve, kept);
            curves_ui(ui, curve);
        });
    }
}

/// The last epoch, and the one that is kept.
fn figures_ui(ui: &mut Ui, curve: &RecommenderCurve, kept: Option<usize>) {
    let n_epochs = curve.loss.len();
    let best = kept.or_else(|| best_epoch(curve));
    let at = |values: &[f64], epoch: Option<usize>| {
        let value = epoch.and_then(|epoch| values.get(epoch.checked_sub(1)?));
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
    };
    let best_name = if kept.is_some() {
        "Epoch kept"
    } else {
        "Best epoch so far"
    };
    let figures = [
        ("Epochs", n_epochs.to_string()),
        ("Loss of the last", at(&curve.loss, Some(n_epochs))),
        (
            best_name,
            best.map_or_else(|| "–".to_owned(), |epoch| epoch.to_string()),
        ),
        ("HR@5", at(&curve.hr, best)),
        ("NDCG@5", at(&curve.ndcg, best)),
    ];
    ui.columns(figures.len(), |columns| {
        for (ui, (name, value)) in columns.iter_mut().zip(&figures) {
            figure_ui(ui, name, value);
        }
    });
}

fn curves_ui(ui: &mut Ui, curve: &RecommenderCurve) {
    let points = |values: &[f64]| -> Vec<[f32; 2]> {
        let epochs = (1..).zip(values);
        epochs
            .map(|(epoch, &value)| [epoch as f32, value as f32])
            .collect()
    };
    let x_max = curve.loss.len().max(FEWEST_EPOCHS) as f32;
    let all = [
        ("Loss", points(&curve.loss)),
        ("Dev HR@5", points(&curve.hr)),
        ("Dev NDCG@5", points(&curve.ndcg)),
    ];
    // Without dev items there is only a loss.
    let shown: Vec<_> = all
        .iter()
        .filter(|(_, points)| !points.is_empty())
        .collect();
    ui.columns(shown.len().max(1), |columns| {
        for (ui, (name, points)) in columns.iter_mut().zip(&shown) {
            let curve = Curve {
                name,
                points,
                format: written,
                x_max,
                x_name: "Epoch",
            };
            curve_ui(ui, &curve);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_epochs_counts() {
        let curve = RecommenderCurve {
            ndcg: vec![0.1, 0.3, 0.2, 0.3],
            ..RecommenderCurve::default()
        };
        assert_eq!(best_epoch(&curve), Some(2));
        assert_eq!(best_epoch(&RecommenderCurve::default()), None);
    }
}
