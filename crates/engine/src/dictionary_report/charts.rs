//! Which charts a report has.

use crate::evaluate_sae::{EvaluationReport, WithInterval};
use crate::recovery::{ConceptRecovery, RECOVERED_F1};
use crate::views::{
    Axis, Chart, ChartShape, ChartValue, DictionaryReport, FindingAssociation, Mark, Series,
};

/// Rows of a chart at most; a table holds all.
const MAX_ROWS: usize = 24;

/// The charts there is something to draw for.
pub(super) fn of(report: &DictionaryReport) -> Vec<Chart> {
    let name = report.dictionary.name.as_str();
    let mut charts = Vec::new();
    if let Some(kept) = &report.evaluation {
        let evaluation = &kept.report;
        let source = format!("{name} on {}", evaluation.harvest);
        charts.extend(densities(evaluation, &source));
        charts.extend(concepts(evaluation, &source));
        charts.extend(recovery(evaluation, &source));
    }
    charts.extend(associations(&report.associations, name));
    if let Some(scores) = &report.explanations
        && !scores.scores.is_empty()
    {
        let values = scores.scores.iter().map(|one| {
            Some(ChartValue {
                value: one.value,
                interval: one.interval,
            })
        });
        charts.push(Chart {
            id: "explanation-scores".to_owned(),
            title: "Scores of explanations beside their baselines".to_owned(),
            shape: ChartShape::Rows,
            category: "Score".to_owned(),
            categories: scores.scores.iter().map(|one| one.name.clone()).collect(),
            axis: axis("Mean over features", "", [0.0, 1.0]),
            reference: Some((0.5, "guessing".to_owned())),
            series: vec![Series {
                name: "Mean".to_owned(),
                mark: Mark::Point,
                values: values.collect(),
            }],
            source: format!(
                "{name}, run {}: {} of {} features; 95 % intervals over features",
                scores.run, scores.n_scored, scores.n_chosen
            ),
        });
    }
    charts
}

fn axis(name: &str, unit: &str, covers: [f64; 2]) -> Axis {
    Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        covers,
    }
}

fn series(name: &str, mark: Mark, values: impl Iterator<Item = ChartValue>) -> Series {
    Series {
        name: name.to_owned(),
        mark,
        values: values.map(Some).collect(),
    }
}

/// `: the first 24 of 40`, where not all are shown.
fn first_of(n: usize) -> String {
    if n > MAX_ROWS {
        format!("; the first {MAX_ROWS} of {n}")
    } else {
        String::new()
    }
}

fn densities(report: &EvaluationReport, source: &str) -> Option<Chart> {
    let is_used = |at: &usize| {
        let bar = &report.densities[*at];
        bar.n_features + bar.random_dictionary > 0
    };
    let first = (0..report.densities.len()).find(is_used)?;
    let last = (0..report.densities.len()).rev().find(is_used)?;
    let shown = &report.densities[first..=last];
    let counts = |count: &dyn Fn(&crate::evaluate_sae::DensityBar) -> u64| {
        let values = shown.iter().map(|bar| ChartValue::exact(count(bar) as f64));
        values.collect::<Vec<_>>()
    };
    Some(Chart {
        id: "density".to_owned(),
        title: "How many features are how dense".to_owned(),
        shape: ChartShape::Columns,
        category: "Share of rows on which a feature is active, from".to_owned(),
        categories: shown
            .iter()
            .map(|bar| format!("{:.1e}", bar.from))
            .collect(),
        axis: axis("Features", "", [0.0, 1.0]),
        reference: None,
        series: vec![
            series(
                "Dictionary",
                Mark::Bar,
                counts(&|bar| bar.n_features).into_iter(),
            ),
            series(
                "Random dictionary",
                Mark::Bar,
                counts(&|bar| bar.random_dictionary).into_iter(),
            ),
        ],
        source: format!("{source}, {} rows", report.evaluation.all.n_rows),
    })
}

fn with_interval(value: WithInterval) -> ChartValue {
    ChartValue {
        value: value.value,
        interval: value.interval,
    }
}

fn concepts(report: &EvaluationReport, source: &str) -> Option<Chart> {
    let n = report.concepts.len();
    let mut order: Vec<_> = report.concepts.iter().collect();
    order.sort_by(|a, b| b.auroc_5.value.total_cmp(&a.auroc_5.value));
    order.truncate(MAX_ROWS);
    (n > 0).then(|| Chart {
        id: "concept-auroc".to_owned(),
        title: "How well features tell findings or categories".to_owned(),
        shape: ChartShape::Rows,
        category: "Finding or category".to_owned(),
        categories: order.iter().map(|one| one.name.clone()).collect(),
        axis: axis("AUROC of a probe, held out", "", [0.0, 1.0]),
        reference: Some((0.5, "chance".to_owned())),
        series: vec![
            series(
                "5 features",
                Mark::Bar,
                order.iter().map(|one| with_interval(one.auroc_5)),
            ),
            series(
                "1 feature",
                Mark::Bar,
                order.iter().map(|one| with_interval(one.auroc_1)),
            ),
        ],
        source: format!(
            "{source}; 95 % intervals over patients or users{}",
            first_of(n)
        ),
    })
}

fn recovery(report: &EvaluationReport, source: &str) -> Option<Chart> {
    let mut order: Vec<(&String, &ConceptRecovery)> = report.recovery.iter().collect();
    let n = order.len();
    order.sort_by(|a, b| b.1.best_f1.total_cmp(&a.1.best_f1));
    order.truncate(MAX_ROWS);
    let control = |name: &str, figure: &dyn Fn(&ConceptRecovery) -> f64| {
        let values = order.iter().map(|(_, one)| ChartValue::exact(figure(one)));
        series(name, Mark::Point, values)
    };
    (n > 0).then(|| Chart {
        id: "planted-recovery".to_owned(),
        title: "Planted concepts: the best single feature of each".to_owned(),
        shape: ChartShape::Rows,
        category: "Planted concept".to_owned(),
        categories: order.iter().map(|(name, _)| (*name).clone()).collect(),
        axis: axis("F1 on fresh units", "", [0.0, 1.0]),
        reference: Some((RECOVERED_F1, "recovered from here".to_owned())),
        series: vec![
            series(
                "Dictionary",
                Mark::Bar,
                order.iter().map(|(_, one)| ChartValue {
                    value: one.best_f1,
                    interval: one.f1_interval,
                }),
            ),
            control("Random dictionary", &|one| one.random_dictionary_f1),
            control("Raw dimensions", &|one| one.raw_dimension_f1),
            control("Shuffled truth", &|one| one.shuffled_f1),
        ],
        source: format!(
            "{source}; 95 % intervals over films or shoppers{}",
            first_of(n)
        ),
    })
}

fn associations(found: &[FindingAssociation], name: &str) -> Option<Chart> {
    let shown = &found[..found.len().min(MAX_ROWS)];
    (!shown.is_empty()).then(|| Chart {
        id: "associations".to_owned(),
        title: "Findings or categories and the feature that goes with each best".to_owned(),
        shape: ChartShape::Rows,
        category: "Finding or category".to_owned(),
        categories: shown
            .iter()
            .map(|one| format!("{}, feature {}", one.name, one.feature))
            .collect(),
        axis: axis("Log-odds ratio", "natural logarithm", [0.0, 1.0]),
        reference: Some((0.0, "no difference".to_owned())),
        series: vec![series(
            "Log-odds ratio",
            Mark::Point,
            shown.iter().map(|one| ChartValue {
                value: one.log_odds,
                interval: Some(one.interval),
            }),
        )],
        source: format!(
            "{name}, associations found on training samples; 95 % intervals (Woolf){}",
            first_of(found.len())
        ),
    })
}
