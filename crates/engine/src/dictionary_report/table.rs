//! The figures of a report as one table, a line per figure.

use crate::csv_field::field;
use crate::metric_views::metric_view;
use crate::views::DictionaryReport;

/// Names of the columns.
const COLUMNS: [&str; 13] = [
    "table",
    "name",
    "figure",
    "value",
    "low",
    "high",
    "random_dictionary",
    "shuffled",
    "raw_dimensions",
    "n",
    "of",
    "direction",
    "note",
];

/// A line.
#[derive(Default)]
struct Line {
    table: &'static str,
    name: String,
    figure: String,
    value: f64,
    interval: Option<[f64; 2]>,
    /// Random dictionary, shuffled, raw dimensions.
    baselines: [Option<f64>; 3],
    n: Option<u64>,
    of: String,
    direction: String,
}

/// All figures with all their digits, as RFC 4180 has it but for line ends of one character.
pub(super) fn csv(report: &DictionaryReport) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    let note = report.dictionary.kind.safety();
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for line in lines(report) {
        let [random, shuffled, raw] = line.baselines.map(number);
        let fields = [
            line.table.to_owned(),
            line.name,
            line.figure,
            line.value.to_string(),
            number(line.interval.map(|[low, _]| low)),
            number(line.interval.map(|[_, high]| high)),
            random,
            shuffled,
            raw,
            line.n.map_or_else(String::new, |n| n.to_string()),
            line.of,
            line.direction,
            note.to_owned(),
        ];
        text += &fields.map(|one| field(&one)).join(",");
        text.push('\n');
    }
    text
}

fn lines(report: &DictionaryReport) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(kept) = &report.evaluation {
        measured(&kept.report, &mut lines);
    }
    for one in &report.associations {
        for (figure, value, interval) in [
            ("auroc", one.auroc, None),
            ("log_odds", one.log_odds, Some(one.interval)),
            ("q", one.q, None),
        ] {
            lines.push(Line {
                table: "associations",
                name: format!("{}, feature {}", one.name, one.feature),
                figure: figure.to_owned(),
                value,
                interval,
                n: Some(u64::from(one.n_with) + u64::from(one.n_without)),
                of: "samples".to_owned(),
                ..Line::default()
            });
        }
    }
    for one in report.explanations.iter().flat_map(|all| &all.scores) {
        lines.push(Line {
            table: "explanations",
            name: one.name.clone(),
            figure: "mean".to_owned(),
            value: one.value,
            interval: one.interval,
            of: "features".to_owned(),
            ..Line::default()
        });
    }
    lines
}

fn measured(report: &crate::EvaluationReport, lines: &mut Vec<Line>) {
    for metric in &report.metrics {
        lines.push(Line {
            table: "metrics",
            name: metric.name.clone(),
            figure: metric.id.clone(),
            value: metric.value,
            interval: metric.interval,
            baselines: [
                metric.random_dictionary,
                metric.shuffled,
                metric.raw_dimensions,
            ],
            n: Some(metric.n),
            of: metric.of.clone(),
            direction: metric_view(&metric.id)
                .map_or_else(String::new, |view| view.direction.to_owned()),
        });
    }
    for bar in &report.densities {
        lines.push(Line {
            table: "density",
            name: format!("{} to {}", bar.from, bar.to),
            figure: "features".to_owned(),
            value: bar.n_features as f64,
            baselines: [Some(bar.random_dictionary as f64), None, None],
            ..Line::default()
        });
    }
    for concept in &report.concepts {
        for (figure, value) in [
            ("auroc_1", concept.auroc_1),
            ("auroc_5", concept.auroc_5),
            ("f1_1", concept.f1_1),
            ("f1_5", concept.f1_5),
        ] {
            lines.push(Line {
                table: "concepts",
                name: concept.name.clone(),
                figure: figure.to_owned(),
                value: value.value,
                interval: value.interval,
                n: Some(concept.n),
                of: "held-out units".to_owned(),
                ..Line::default()
            });
        }
    }
    for (name, one) in &report.recovery {
        lines.push(Line {
            table: "planted",
            name: format!("{name}, feature {}", one.best_feature),
            figure: "f1".to_owned(),
            value: one.best_f1,
            interval: one.f1_interval,
            baselines: [
                Some(one.random_dictionary_f1),
                Some(one.shuffled_f1),
                Some(one.raw_dimension_f1),
            ],
            ..Line::default()
        });
    }
    for one in &report.planted {
        lines.push(Line {
            table: "absorption",
            name: one.name.clone(),
            figure: "absorbed".to_owned(),
            value: one.n_absorbed as f64,
            n: Some(one.n_found),
            of: "positions found by a dense probe".to_owned(),
            ..Line::default()
        });
    }
}
