//! The report as one page that asks for nothing: inline charts, tables, definitions, settings, hashes.
#![expect(
    clippy::format_push_string,
    reason = "a page of some kilobytes, written once; clarity counts, not allocations"
)]

use crate::chart_svg;
use crate::error::Result;
use crate::evaluate_sae::{EvaluationReport, MeasuredMetric};
use crate::html::{Cell, escaped, page, paragraphs, section, table};
use crate::kept_evaluation::KeptEvaluation;
use crate::metric_views::metric_view;
use crate::model_registry::to_json;
use crate::views::{ChartValue, DictionaryReport, ExplanationScores, FindingAssociation, figure};

/// The page.
pub(super) fn of(report: &DictionaryReport) -> Result<String> {
    let nonce = store::blake3_of_bytes(&to_json(report)?);
    let view = &report.dictionary;
    let mut body = String::new();
    let mut about = format!(
        "{} features of {} at {}, trained on {} of {}.",
        view.n_features, view.model, view.hook, view.harvest, view.dataset
    );
    if let Some(kept) = &report.evaluation {
        about += &format!(" Evaluated {} by {}.", kept.at, kept.made_by);
        body += &section("Metrics", &metrics(&kept.report));
    }
    let charts = report.charts.iter().map(|chart| {
        let drawn = chart_svg::inline(chart);
        format!("<figure id=\"chart-{}\">\n{drawn}</figure>\n", chart.id)
    });
    body += &section("Charts", &charts.collect::<String>());
    if let Some(kept) = &report.evaluation {
        body += &measured(&kept.report);
    }
    if !report.associations.is_empty() {
        body += &section("Association with findings", &found(&report.associations));
    }
    if let Some(scores) = &report.explanations {
        body += &section("Explanations beside their baselines", &explained(scores));
    }
    if let Some(kept) = &report.evaluation {
        body += &section("What each metric is", &definitions(&kept.report));
    }
    body += &section("Settings and hashes", &origin(report));
    let changed = if report.changed.is_empty() {
        String::new()
    } else {
        let names = escaped(&report.changed.join(", "));
        format!("<p class=\"changed\">{names} changed after this was measured; measure again.</p>")
    };
    let title = format!("Report of the dictionary {}", view.name);
    Ok(page(&nonce, [&title, &about], &changed, &body))
}

fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |[low, high]| format!("{} to {}", figure(low), figure(high)),
    )
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

fn metrics(report: &EvaluationReport) -> String {
    let row = |metric: &MeasuredMetric| {
        let direction = metric_view(&metric.id).map_or("", |view| view.direction);
        vec![
            Cell::Text(metric.name.clone()),
            Cell::Number(figure(metric.value)),
            Cell::Number(interval(metric.interval)),
            Cell::Number(or_dash(metric.random_dictionary)),
            Cell::Number(or_dash(metric.shuffled)),
            Cell::Number(or_dash(metric.raw_dimensions)),
            Cell::Text(direction.to_owned()),
            Cell::Text(format!("{} {}", metric.n, metric.of)),
        ]
    };
    let columns = [
        "Metric",
        "#Value",
        "#95 % interval",
        "#Random dictionary",
        "#Shuffled",
        "#Raw dimensions",
        "Direction",
        "Over",
    ];
    table(&columns, report.metrics.iter().map(row)) + &paragraphs(&report.notes)
}

fn measured(report: &EvaluationReport) -> String {
    let mut body = String::new();
    if !report.concepts.is_empty() {
        let words = |one: crate::WithInterval| {
            let value = ChartValue {
                value: one.value,
                interval: one.interval,
            };
            Cell::Number(value.words())
        };
        let rows = report.concepts.iter().map(|one| {
            let feature = one.features.first();
            vec![
                Cell::Text(one.name.clone()),
                Cell::Number(format!("{} of {}", one.n_with, one.n)),
                Cell::Number(feature.map_or_else(|| "–".to_owned(), ToString::to_string)),
                words(one.auroc_1),
                words(one.auroc_5),
                words(one.f1_1),
            ]
        });
        let columns = [
            "Finding or category",
            "#Held out",
            "#Feature",
            "#AUROC, 1 feature",
            "#AUROC, 5 features",
            "#F1, 1 feature",
        ];
        body += &section("Findings or categories", &table(&columns, rows));
    }
    if !report.recovery.is_empty() {
        let rows = report.recovery.iter().map(|(name, one)| {
            let value = ChartValue {
                value: one.best_f1,
                interval: one.f1_interval,
            };
            let of = report.planted.iter().find(|planted| planted.name == *name);
            let absorbed = of.map_or_else(
                || "–".to_owned(),
                |of| format!("{} of {}", of.n_absorbed, of.n_found),
            );
            vec![
                Cell::Text(name.clone()),
                Cell::Number(one.best_feature.to_string()),
                Cell::Number(value.words()),
                Cell::Number(figure(one.random_dictionary_f1)),
                Cell::Number(figure(one.raw_dimension_f1)),
                Cell::Number(figure(one.shuffled_f1)),
                Cell::Number(absorbed),
            ]
        });
        let columns = [
            "Planted concept",
            "#Feature",
            "#F1",
            "#Random dictionary",
            "#Raw dimensions",
            "#Shuffled",
            "#Absorbed",
        ];
        body += &section("Recovery of planted concepts", &table(&columns, rows));
    }
    body
}

fn found(associations: &[FindingAssociation]) -> String {
    let rows = associations.iter().map(|one| {
        vec![
            Cell::Text(one.name.clone()),
            Cell::Number(one.feature.to_string()),
            Cell::Number(figure(one.auroc)),
            Cell::Number(figure(one.log_odds)),
            Cell::Number(interval(Some(one.interval))),
            Cell::Number(if one.q < 0.001 {
                "< 0.001".to_owned()
            } else {
                figure(one.q)
            }),
            Cell::Number(format!("{} and {}", one.n_with, one.n_without)),
        ]
    });
    let columns = [
        "Finding or category",
        "#Feature",
        "#AUROC",
        "#Log-odds",
        "#95 % interval",
        "#q",
        "#With and without",
    ];
    let note = "<p class=\"weak\">The feature with the highest AUROC on the training samples; of \
                many features the best stands out by chance too, which the held-out figures above \
                do not suffer from.</p>\n";
    table(&columns, rows) + note
}

fn explained(scores: &ExplanationScores) -> String {
    let rows = scores.scores.iter().map(|one| {
        vec![
            Cell::Text(one.name.clone()),
            Cell::Number(figure(one.value)),
            Cell::Number(interval(one.interval)),
            Cell::Number(or_dash(one.chance)),
        ]
    });
    let judge = scores.judged_by.as_deref().unwrap_or("nothing");
    let about = format!(
        "<p>Run {}: explained by {}, judged by {}; {} of {} features have a score.</p>\n",
        escaped(&scores.run),
        escaped(&scores.explained_by),
        escaped(judge),
        scores.n_scored,
        scores.n_chosen
    );
    let columns = ["Score", "#Mean", "#95 % interval", "#Guessing"];
    about + &table(&columns, rows) + &paragraphs(&scores.notes)
}

fn definitions(report: &EvaluationReport) -> String {
    let entries = report.metrics.iter().filter_map(|metric| {
        let view = metric_view(&metric.id)?;
        Some(format!(
            "<div><dt>{}</dt><dd>{} <br>{}<br>Range: {}; {}. Interval over: {}. \
             <span class=\"weak\">Source: {}</span></dd></div>\n",
            escaped(view.name),
            escaped(view.tooltip),
            escaped(view.formula),
            escaped(view.range),
            escaped(view.direction),
            escaped(view.resampled),
            escaped(view.source)
        ))
    });
    format!("<dl>\n{}</dl>\n", entries.collect::<String>())
}

fn origin(report: &DictionaryReport) -> String {
    let asked = report.evaluation.as_ref().map_or_else(Vec::new, asked_for);
    let rows = asked
        .into_iter()
        .chain(report.settings.iter().cloned())
        .map(|(name, value)| vec![Cell::Text(name), Cell::Text(value)]);
    let settings = table(&["Setting", "Value"], rows);
    let rows = report
        .hashes
        .iter()
        .map(|(name, hash)| vec![Cell::Text(name.clone()), Cell::Hash(hash.clone())]);
    settings + &table(&["Made from", "BLAKE3"], rows)
}

/// What the evaluation was asked for, in words.
fn asked_for(kept: &KeptEvaluation) -> Vec<(String, String)> {
    let request = &kept.request;
    let mut asked = vec![
        ("evaluation.harvest".to_owned(), kept.report.harvest.clone()),
        ("evaluation.seed".to_owned(), request.seed.to_string()),
        (
            "evaluation.loss_samples".to_owned(),
            request.loss_samples.to_string(),
        ),
        (
            "evaluation.seconds".to_owned(),
            format!("{:.1}", kept.seconds),
        ),
        ("evaluation.sae_blake3".to_owned(), kept.sae_hash.clone()),
    ];
    for (name, value) in [
        ("evaluation.against", &request.against),
        ("evaluation.embeddings", &request.embeddings),
    ] {
        if let Some(value) = value {
            asked.push((name.to_owned(), value.clone()));
        }
    }
    asked
}
