//! Tables of figures: each metric beside its baselines, scores of explanations.

use std::sync::Arc;

use egui::{RichText, Ui};
use engine::views::{DictionaryReport, ExplanationScores, MetricView, figure, metric_view};
use engine::{KeptEvaluation, MeasuredMetric};

use crate::backend::Answer;
use crate::tokens;
use crate::widgets::notice;
use crate::widgets::number;
use crate::widgets::table::{Cell, row_ui};

/// Shares of the columns: metric, direction, value, interval, random dictionary, shuffled, raw
/// dimensions, and the rest.
const WIDTHS: [f32; 8] = [0.19, 0.08, 0.09, 0.15, 0.09, 0.09, 0.09, 0.22];
/// Share of the other dictionary's column, out of the last of [`WIDTHS`].
const BESIDE: f32 = 0.12;

/// Another dictionary and its report, where that is there.
type Beside<'a> = (&'a str, Option<&'a Answer<Arc<DictionaryReport>>>);

fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |[low, high]| format!("{} to {}", figure(low), figure(high)),
    )
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

fn direction(view: Option<&MetricView>) -> &'static str {
    match view.map_or(0, |view| view.sign) {
        1 => "higher",
        -1 => "lower",
        _ => "neither",
    }
}

/// The table.
pub(super) fn ui(ui: &mut Ui, kept: &KeptEvaluation, beside: Option<Beside<'_>>) {
    let theme = tokens::of(ui);
    ui.label(RichText::new("Metrics").strong());
    let other = beside.and_then(|(_, read)| read?.as_ref().ok()?.evaluation.as_ref());
    let name = beside.map_or("", |(name, _)| name);
    let [w0, w1, w2, w3, w4, w5, w6, w7] = WIDTHS;
    let last = if beside.is_some() { w7 - BESIDE } else { w7 };
    let weak = theme.text_weak;
    let mut head = vec![
        Cell::left("Metric", w0, weak),
        Cell::left("Better", w1, weak),
        Cell::right("Value", w2, weak),
        Cell::right("95 % interval", w3, weak),
        Cell::right("Random", w4, weak),
        Cell::right("Shuffled", w5, weak),
        Cell::right("Raw dim.", w6, weak),
    ];
    if beside.is_some() {
        head.push(Cell::right(name, BESIDE, weak));
    }
    head.push(Cell::right("Over", last, weak));
    row_ui(ui, &head).on_hover_text(
        "Random: a dictionary of random directions. Shuffled: what is tested was dealt out anew. \
         Raw dim.: the hook's own dimensions in place of features.",
    );
    for metric in &kept.report.metrics {
        let view = metric_view(&metric.id);
        let texts = [
            figure(metric.value),
            interval(metric.interval),
            or_dash(metric.random_dictionary),
            or_dash(metric.shuffled),
            or_dash(metric.raw_dimensions),
        ];
        let of = format!("{} {}", number::count(metric.n), metric.of);
        let of_other = or_dash(
            other
                .and_then(|other| other.report.metric(&metric.id))
                .map(|metric| metric.value),
        );
        let is_poor = loses(metric, view.as_ref());
        let value = if is_poor { theme.warning } else { theme.text };
        let mut cells = vec![
            Cell::left(&metric.name, w0, theme.text),
            Cell::left(direction(view.as_ref()), w1, weak),
            Cell::right(&texts[0], w2, value),
            Cell::right(&texts[1], w3, theme.text),
            Cell::right(&texts[2], w4, weak),
            Cell::right(&texts[3], w5, weak),
            Cell::right(&texts[4], w6, weak),
        ];
        if beside.is_some() {
            cells.push(Cell::right(&of_other, BESIDE, theme.text));
        }
        cells.push(Cell::right(&of, last, weak));
        let row = row_ui(ui, &cells);
        if let Some(view) = view {
            row.on_hover_text(definition(&view, is_poor));
        }
    }
    match beside {
        Some((name, None)) => {
            notice::weak_ui(ui, format!("Reading what was measured of {name}…"));
        }
        Some((_, Some(Err(problem)))) => notice::error_ui(ui, problem),
        Some((name, Some(Ok(_)))) if other.is_none() => {
            notice::weak_ui(ui, format!("{name} was not measured yet."));
        }
        _ => {}
    }
    for note in &kept.report.notes {
        notice::weak_ui(ui, note);
    }
}

/// Whether the dictionary is no better than random directions.
fn loses(metric: &MeasuredMetric, view: Option<&MetricView>) -> bool {
    let sign = f64::from(view.map_or(0, |view| view.sign));
    let random = metric.random_dictionary;
    sign != 0.0 && random.is_some_and(|random| sign * metric.value <= sign * random)
}

fn definition(view: &MetricView, is_poor: bool) -> String {
    let mut lines = vec![
        view.tooltip.to_owned(),
        view.formula.to_owned(),
        format!("Range: {}; {}", view.range, view.direction),
        format!("Interval over: {}", view.resampled),
    ];
    if is_poor {
        lines.push("No better than a random dictionary.".to_owned());
    }
    lines.join("\n")
}

/// Who explained and judged, and what limits the scores; the chart has the scores.
pub(super) fn explanations_ui(ui: &mut Ui, scores: &ExplanationScores) {
    ui.label(RichText::new("Explanations").strong());
    let judge = scores.judged_by.as_deref().unwrap_or("nothing");
    notice::plain_ui(
        ui,
        &format!(
            "Run {}: explained by {}, judged by {judge}; {} of {} features have a score.",
            scores.run,
            scores.explained_by,
            number::count(scores.n_scored as u64),
            number::count(scores.n_chosen as u64)
        ),
    );
    for note in &scores.notes {
        notice::weak_ui(ui, note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_better_than_random_directions_is_told_either_way() {
        let metric = |id: &str, value: f64, random: Option<f64>| MeasuredMetric {
            id: id.to_owned(),
            name: id.to_owned(),
            value,
            interval: None,
            random_dictionary: random,
            shuffled: None,
            raw_dimensions: None,
            n: 1,
            of: "rows".to_owned(),
        };
        let loses = |one: &MeasuredMetric| loses(one, metric_view(&one.id).as_ref());
        assert!(loses(&metric("fvu", 0.9, Some(0.8))));
        assert!(!loses(&metric("fvu", 0.2, Some(0.8))));
        assert!(loses(&metric("cosine", 0.2, Some(0.8))));
        assert!(!loses(&metric("l0", 0.2, Some(0.8))));
        assert!(!loses(&metric("cosine", 0.2, None)));
    }
}
