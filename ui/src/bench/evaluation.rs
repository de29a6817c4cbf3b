//! Invented evaluations and what is asked of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::views::{
    Axis, Chart, ChartShape, ChartValue, DictionaryReport, EvaluationPlan, Event, ExplanationScore,
    ExplanationScores, FindingAssociation, JobView, Mark, ReportPart, Series, metric_views,
};
use engine::{
    DictionaryEvaluation, EvaluateRequest, EvaluationReport, KeptEvaluation, MeasuredMetric,
};
use schema::{JobId, SaeEvaluation};

use super::invented::Invented;
use crate::backend::{Answer, Backend as _, Evaluations};

/// A dictionary that was measured before; the others are not.
const MEASURED: &str = "films";

impl Evaluations for Invented {
    fn read_report(&self, sae: &str) -> Answer<()> {
        let is_new = self.asked().contains(&format!("evaluate {sae}"));
        let answer = self.report(sae, sae == MEASURED || is_new);
        self.send(Event::Evaluated(sae.to_owned(), answer));
        Ok(())
    }

    fn evaluate(&self, request: EvaluateRequest) -> Answer<JobId> {
        let name = request.dictionary;
        let against = request
            .against
            .map_or_else(String::new, |other| format!(" against {other}"));
        self.note(format!("evaluate {name}{against}"));
        let job = JobId(61);
        self.state().jobs.push(JobView {
            id: job,
            title: format!("Evaluate {name}"),
            stage: "Comparing reconstructions".to_owned(),
            done: 3,
            total: 8,
            unit: "shards",
            seconds: 4.0,
            ..super::invented::demo_job(job)
        });
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(job)
    }

    fn save_report(&self, sae: &str, part: ReportPart, file: &str) -> Answer<JobId> {
        self.note(format!("save {part:?} of {sae} to {file}"));
        Ok(JobId(62))
    }
}

impl Invented {
    fn report(&self, sae: &str, is_measured: bool) -> Answer<Arc<DictionaryReport>> {
        let dictionaries = self.dictionaries()?;
        let view = dictionaries.iter().find(|view| view.name == sae);
        let view = view.ok_or_else(|| format!("there is no dictionary {sae}"))?;
        let evaluation = is_measured.then(|| KeptEvaluation {
            request: EvaluateRequest::of(sae),
            sae_hash: "0f".repeat(32),
            made_by: "fluoroscope 0.1.0".to_owned(),
            at: "2026-11-27T09:30:00Z".to_owned(),
            seconds: 84.0,
            report: measured(sae),
        });
        let charts = if is_measured { charts() } else { Vec::new() };
        Ok(Arc::new(DictionaryReport {
            dictionary: view.clone(),
            plan: EvaluationPlan {
                metrics: metric_views()
                    .iter()
                    .map(|view| view.name.to_owned())
                    .collect(),
                n_rows: 250_000,
                seconds: is_measured.then_some(84.0),
                basis: if is_measured {
                    "as long as the last time".to_owned()
                } else {
                    "nothing was evaluated in this project yet; the first run tells".to_owned()
                },
            },
            changed: Vec::new(),
            associations: associations(),
            explanations: is_measured.then(explanations),
            evaluation,
            charts,
            settings: Vec::new(),
            hashes: Vec::new(),
        }))
    }
}

fn measured(sae: &str) -> EvaluationReport {
    let all = SaeEvaluation {
        fvu: 0.125,
        l0: 16.0,
        dead_share: 0.02,
        n_features: 512,
        n_rows: 250_000,
    };
    let metrics = metric_views().into_iter().enumerate().map(|(at, view)| {
        let value = match view.id {
            "fvu" => 0.125,
            "l0" => 16.0,
            "l1" => 143.2,
            "density" => 0.000_31,
            _ => 0.93 - 0.02 * at as f64,
        };
        let random = match view.sign {
            -1 => value + 0.4,
            _ => value - 0.3,
        };
        MeasuredMetric {
            id: view.id.to_owned(),
            name: view.name.to_owned(),
            value,
            interval: (view.resampled != "not resampled").then_some([value * 0.97, value * 1.02]),
            random_dictionary: (at % 4 != 3).then_some(random),
            shuffled: (at % 3 == 0).then_some(random * 0.9),
            raw_dimensions: view.id.starts_with("probe").then_some(value - 0.1),
            n: 250_000,
            of: "rows".to_owned(),
        }
    });
    EvaluationReport {
        dictionary: sae.to_owned(),
        harvest: sae.to_owned(),
        evaluation: DictionaryEvaluation {
            all,
            held_out: None,
            random: all,
        },
        metrics: metrics.collect(),
        densities: Vec::new(),
        concepts: Vec::new(),
        planted: Vec::new(),
        recovery: std::collections::BTreeMap::new(),
        notes: vec![
            "Monosemanticity takes the hook's own rows, averaged per sample, as embeddings."
                .to_owned(),
        ],
    }
}

fn associations() -> Vec<FindingAssociation> {
    vec![FindingAssociation {
        name: "pleural effusion, left-sided".to_owned(),
        feature: 11_874,
        auroc: 0.94,
        log_odds: 3.1,
        interval: [2.6, 3.7],
        q: 1e-9,
        n_with: 80,
        n_without: 320,
    }]
}

fn explanations() -> ExplanationScores {
    let score = |name: &str, value: f64| ExplanationScore {
        name: name.to_owned(),
        value,
        interval: Some([value - 0.04, value + 0.04]),
        chance: Some(0.5),
    };
    ExplanationScores {
        run: "films-keywords".to_owned(),
        explained_by: "keywords".to_owned(),
        judged_by: Some("keywords".to_owned()),
        n_scored: 40,
        n_chosen: 60,
        at: "2026-11-27T10:00:00Z".to_owned(),
        scores: vec![
            score("Detection", 0.81),
            score("Detection, random dictionary", 0.52),
        ],
        notes: Vec::new(),
    }
}

fn chart(id: &str, title: &str, categories: &[&str], series: Vec<Series>) -> Chart {
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        shape: ChartShape::Rows,
        category: "Finding".to_owned(),
        categories: categories.iter().map(|&name| name.to_owned()).collect(),
        axis: Axis {
            name: "AUROC of a probe, held out".to_owned(),
            unit: String::new(),
            covers: [0.0, 1.0],
        },
        reference: Some((0.5, "chance".to_owned())),
        series,
        source: "films on films; 95 % intervals over patients".to_owned(),
    }
}

fn series(name: &str, mark: Mark, values: &[f64], width: Option<f64>) -> Series {
    let value = |value: f64| ChartValue {
        value,
        interval: width.map(|width| [value - width, (value + width * 0.7).min(1.0)]),
    };
    Series {
        name: name.to_owned(),
        mark,
        values: values.iter().map(|&one| Some(value(one))).collect(),
    }
}

fn densities() -> Chart {
    let from: Vec<String> = (0..14)
        .map(|at| format!("{:.1e}", 10_f64.powf(-5.0 + 0.35 * f64::from(at))))
        .collect();
    let bins: Vec<&str> = from.iter().map(String::as_str).collect();
    let own = [
        2.0, 5.0, 14.0, 33.0, 61.0, 88.0, 97.0, 80.0, 54.0, 31.0, 17.0, 8.0, 4.0, 1.0,
    ];
    let random = [
        0.0, 0.0, 0.0, 2.0, 9.0, 44.0, 160.0, 190.0, 80.0, 21.0, 5.0, 1.0, 0.0, 0.0,
    ];
    Chart {
        shape: ChartShape::Columns,
        category: "Share of rows on which a feature is active, from".to_owned(),
        axis: Axis {
            name: "Features".to_owned(),
            unit: String::new(),
            covers: [0.0, 1.0],
        },
        reference: None,
        source: "films on films, 250000 rows".to_owned(),
        ..chart(
            "density",
            "How many features are how dense",
            &bins,
            vec![
                series("Dictionary", Mark::Bar, &own, None),
                series("Random dictionary", Mark::Bar, &random, None),
            ],
        )
    }
}

fn charts() -> Vec<Chart> {
    let findings = [
        "effusion",
        "cardiomegaly",
        "pneumothorax",
        "consolidation in the left lower lobe",
    ];
    let probes = chart(
        "concept-auroc",
        "How well features tell findings or categories",
        &findings,
        vec![
            series(
                "5 features",
                Mark::Bar,
                &[0.97, 0.94, 0.9, 0.71],
                Some(0.03),
            ),
            series("1 feature", Mark::Bar, &[0.93, 0.9, 0.74, 0.55], Some(0.04)),
        ],
    );
    let recovery = Chart {
        reference: Some((0.8, "recovered from here".to_owned())),
        axis: Axis {
            name: "F1 on fresh units".to_owned(),
            unit: String::new(),
            covers: [0.0, 1.0],
        },
        ..chart(
            "planted-recovery",
            "Planted concepts: the best single feature of each",
            &findings[..3],
            vec![
                series("Dictionary", Mark::Bar, &[0.95, 0.88, 0.72], Some(0.04)),
                series("Random dictionary", Mark::Point, &[0.4, 0.33, 0.2], None),
                series("Raw dimensions", Mark::Point, &[0.6, 0.5, 0.31], None),
                series("Shuffled truth", Mark::Point, &[0.21, 0.2, 0.12], None),
            ],
        )
    };
    let odds = Chart {
        reference: Some((0.0, "no difference".to_owned())),
        axis: Axis {
            name: "Log-odds ratio".to_owned(),
            unit: "natural logarithm".to_owned(),
            covers: [0.0, 1.0],
        },
        ..chart(
            "associations",
            "Findings or categories and the feature that goes with each best",
            &["effusion, feature 3", "nodule, feature 41"],
            vec![series("Log-odds ratio", Mark::Point, &[3.1, -0.4], None)],
        )
    };
    vec![densities(), probes, recovery, odds]
}
