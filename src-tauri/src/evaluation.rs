//! `sae evaluate`: the metrics of a dictionary as a table or as JSON.
#![expect(
    clippy::format_push_string,
    reason = "a few lines of text at the end of a command; clarity counts, not allocations"
)]

use engine::views::{figure, metric_view};
use engine::{
    EvaluateRequest, EvaluationReport, JobContext, MeasuredMetric, PlantedConcept, ProbedConcept,
    Result, Session, WithInterval,
};
use serde_json::json;

use crate::arguments::SaeEvaluateArguments;
use crate::text::{self, Answer};

/// Measures a dictionary of the project.
pub(crate) fn evaluate(
    arguments: &SaeEvaluateArguments,
    session: &Session,
    job: &JobContext,
) -> Result<Answer> {
    let request = EvaluateRequest {
        dictionary: arguments.name.clone(),
        harvest: arguments.harvest.clone(),
        against: arguments.against.clone(),
        embeddings: arguments.embeddings.clone(),
        loss_samples: arguments.loss_samples,
        seed: arguments.seed,
    };
    let report = session.evaluate_and_keep(&request, job)?.report;
    let mut lines = text::evaluation(&report.dictionary, &report.evaluation).lines;
    lines += &table(&report);
    if arguments.definitions {
        lines += "\n";
        for metric in &report.metrics {
            if let Some(view) = metric_view(&metric.id) {
                lines += &format!(
                    "{}: {}\n  {}; {}; {}\n",
                    view.name, view.tooltip, view.formula, view.range, view.direction
                );
            }
        }
    }
    Ok(Answer::new(json!(report), lines))
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), figure)
}

fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |[low, high]| format!("{} to {}", figure(low), figure(high)),
    )
}

fn table(report: &EvaluationReport) -> String {
    let mut lines = format!(
        "\n{:<28} {:>9} {:>20} {:>9} {:>9} {:>9}  over\n",
        "Metric", "value", "95 % interval", "random", "shuffled", "raw dim."
    );
    for metric in &report.metrics {
        lines += &line(metric);
    }
    lines += "\nDensity            features  random dictionary\n";
    for bar in &report.densities {
        if bar.n_features + bar.random_dictionary > 0 {
            lines += &format!(
                "{:>7.1e} to {:>7.1e} {:>6} {:>18}\n",
                bar.from, bar.to, bar.n_features, bar.random_dictionary
            );
        }
    }
    if !report.concepts.is_empty() {
        lines += &format!(
            "\n{:<28} {:>9} {:>7} {:>24} {:>24} {:>24}\n",
            "Concept",
            "held out",
            "feature",
            "AUROC, 1 feature",
            "AUROC, 5 features",
            "F1, 1 feature"
        );
        for concept in &report.concepts {
            lines += &probed(concept);
        }
    }
    if !report.planted.is_empty() {
        lines += &format!(
            "\n{:<28} {:>8} {:>9} {:>11}\n",
            "Planted concept", "features", "found at", "absorbed at"
        );
        for concept in &report.planted {
            lines += &planted(concept);
        }
    }
    for note in &report.notes {
        lines += &format!("Note: {note}\n");
    }
    lines
}

fn line(metric: &MeasuredMetric) -> String {
    let arrow = match metric_view(&metric.id).map_or(0, |view| view.sign) {
        1 => "↑",
        -1 => "↓",
        _ => " ",
    };
    format!(
        "{:<26} {arrow} {:>9} {:>20} {:>9} {:>9} {:>9}  {} {}\n",
        metric.name,
        figure(metric.value),
        interval(metric.interval),
        or_dash(metric.random_dictionary),
        or_dash(metric.shuffled),
        or_dash(metric.raw_dimensions),
        metric.n,
        metric.of
    )
}

fn probed(concept: &ProbedConcept) -> String {
    let with = |one: WithInterval| format!("{} ({})", figure(one.value), interval(one.interval));
    format!(
        "{:<28} {:>4}/{:<4} {:>7} {:>24} {:>24} {:>24}\n",
        concept.name,
        concept.n_with,
        concept.n,
        concept
            .features
            .first()
            .map_or_else(|| "-".to_owned(), ToString::to_string),
        with(concept.auroc_1),
        with(concept.auroc_5),
        with(concept.f1_1)
    )
}

fn planted(concept: &PlantedConcept) -> String {
    let by = concept
        .absorbed_by
        .map_or_else(String::new, |feature| format!("  most often by {feature}"));
    format!(
        "{:<28} {:>8} {:>9} {:>11}{by}\n",
        concept.name,
        concept.features.len(),
        concept.n_found,
        concept.n_absorbed
    )
}
