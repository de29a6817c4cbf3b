//! A steering experiment as files: what was asked, what came of it before and after, the sweep, and
//! the dictionary it holds for. Nothing of a patient but what the model wrote.

use std::path::Path;

use schema::{FeatureId, HookPoint, SteeringMode, SteeringSpec, StrengthUnit};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::html::{Cell, escaped, page, paragraphs, section, table};
use crate::jobs::JobContext;
use crate::model_registry::to_json;
use crate::named_files::{check_output, write_output};
use crate::session::Session;
use crate::views::{
    Chart, ItemView, SAFETY, SteerOutcome, SteerRequest, SteeringExport, SteeringPart, SweepView,
};
use crate::{chart_png, chart_svg, sweep};

/// What the file says it is.
const FORMAT: &str = "fluoroscope steering experiment";
/// Grows when a field changes its meaning.
const VERSION: u32 = 1;

/// A steering experiment as its JSON file holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SteeringExperiment {
    /// `fluoroscope steering experiment`.
    pub format: String,
    /// 1; grows when a field changes its meaning.
    pub version: u32,
    /// What it may be used for.
    pub safety: String,
    /// Its name; empty where it has none.
    pub name: String,
    /// When it was written, RFC 3339 in UTC.
    pub at: String,
    /// The program and its version.
    pub made_by: String,
    /// The dictionary it holds for.
    pub dictionary: SteeredDictionary,
    /// What was asked.
    pub request: SteerRequest,
    /// What the features that are changed are called, in the order of the request; empty in files of
    /// before that was written.
    #[serde(default)]
    pub features: Vec<SteeredFeature>,
    /// What came of it.
    pub outcome: MeasuredOutcome,
    /// The sweep, where one was run.
    pub sweep: Option<SweepView>,
}

/// The dictionary of an experiment, and what it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SteeredDictionary {
    /// Its name in the project.
    pub name: String,
    /// BLAKE3 of its weights.
    pub blake3: String,
    /// The model that was steered.
    pub model: String,
    /// Where.
    pub hook: HookPoint,
    /// Dataset that the sample is of.
    pub dataset: String,
}

/// What one changed feature is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteeredFeature {
    /// Its number in the dictionary.
    pub feature: FeatureId,
    /// The label that reviewers approved; empty where there is none.
    pub label: String,
    /// The newest explanation, which nobody need have reviewed; empty where there is none.
    pub explanation: String,
}

impl SteeredFeature {
    /// The label, else what is proposed and that it is no more than that.
    fn words(&self) -> String {
        match (self.label.as_str(), self.explanation.as_str()) {
            ("", "") => "no label".to_owned(),
            ("", proposed) => format!("{proposed} (proposed)"),
            (label, _) => label.to_owned(),
        }
    }
}

/// One item of a ranked list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedItem {
    /// Item id, from 1.
    pub id: u32,
    /// Title.
    pub title: String,
    /// Its score.
    pub score: f32,
    /// Its rank without steering, from 1, in a list with steering.
    pub rank_before: Option<u32>,
}

/// What steering changed, as a file holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredOutcome {
    /// A report.
    Report {
        /// Without steering.
        before: String,
        /// With it.
        after: String,
        /// Whether findings are read from these reports.
        reads_findings: bool,
        /// Findings stated only with steering.
        gained: Vec<String>,
        /// Findings stated only without.
        lost: Vec<String>,
    },
    /// The first ten of a ranked list.
    Ranking {
        /// Without steering.
        before: Vec<RankedItem>,
        /// With it.
        after: Vec<RankedItem>,
        /// Rank of the held-out item without and with, from 1.
        target_rank: Option<[u32; 2]>,
    },
}

impl From<SteerOutcome> for MeasuredOutcome {
    fn from(outcome: SteerOutcome) -> Self {
        match outcome {
            SteerOutcome::Text {
                before,
                after,
                reads_findings,
                gained,
                lost,
                located: _,
            } => Self::Report {
                before,
                after,
                reads_findings,
                gained,
                lost,
            },
            SteerOutcome::Ranking {
                before,
                after,
                rank_before,
                target_rank,
            } => {
                let item = |item: ItemView, rank_before| RankedItem {
                    id: item.id,
                    title: item.title,
                    score: item.activation,
                    rank_before,
                };
                Self::Ranking {
                    before: before.into_iter().map(|one| item(one, None)).collect(),
                    after: after
                        .into_iter()
                        .zip(rank_before)
                        .map(|(one, rank)| item(one, Some(rank)))
                        .collect(),
                    target_rank,
                }
            }
        }
    }
}

impl Session {
    /// Steers the sample as asked and gathers what a file of it holds.
    ///
    /// # Errors
    /// As [`Session::steer`], and when the sweep is of another sample, other features or another
    /// dictionary than the request.
    pub fn steering_experiment(
        &self,
        export: &SteeringExport,
        job: &JobContext,
    ) -> Result<SteeringExperiment> {
        let indexed = self.indexed(&export.request.sae)?;
        if let Some(sweep) = &export.sweep {
            let is_same = sweep.request.is_about(&export.request)
                && sweep.sae_hash == indexed.dictionary.hash;
            if !is_same {
                return Err(EngineError::request(
                    "the sweep is of another sample, other features or another dictionary than \
                     what is steered now; expected one of the same",
                ));
            }
        }
        let known = export.known.as_ref();
        let view = match known.filter(|view| view.request == export.request) {
            Some(view) => view.clone(),
            None => self.steer(&export.request, job)?,
        };
        let labels = self.labels(&export.request.sae)?;
        let features = view.request.edits.iter().map(|edit| SteeredFeature {
            feature: edit.feature,
            label: labels.label(edit.feature),
            explanation: labels.proposal(edit.feature),
        });
        let features = features.collect();
        Ok(SteeringExperiment {
            format: FORMAT.to_owned(),
            version: VERSION,
            safety: SAFETY.to_owned(),
            name: export.name.clone(),
            at: store::utc_now(),
            made_by: format!("fluoroscope {}", env!("CARGO_PKG_VERSION")),
            dictionary: SteeredDictionary {
                name: export.request.sae.clone(),
                blake3: indexed.dictionary.hash.clone(),
                model: indexed.harvest.model.clone(),
                hook: indexed.harvest.hook,
                dataset: indexed.harvest.dataset.clone(),
            },
            request: view.request,
            features,
            outcome: view.outcome.into(),
            sweep: export.sweep.clone(),
        })
    }

    /// Writes an experiment, or a part of it, to a file, whole or not at all.
    ///
    /// # Errors
    /// As [`Session::steering_experiment`], when a part of a sweep is asked for without one, and
    /// when the file cannot be written.
    pub fn export_steering(
        &self,
        export: &SteeringExport,
        file: &Path,
        job: &JobContext,
    ) -> Result<()> {
        check_output(file)?;
        let swept = || {
            export.sweep.as_ref().ok_or_else(|| {
                EngineError::request("there is no sweep to write; expected one to be run before")
            })
        };
        let bytes = match &export.part {
            SteeringPart::Json => to_json(&self.steering_experiment(export, job)?)?,
            SteeringPart::Page => written(&self.steering_experiment(export, job)?)?.into_bytes(),
            SteeringPart::Table => sweep::csv(swept()?).into_bytes(),
            SteeringPart::Svg(id) => chart_svg::file(&chart(swept()?, id)?).into_bytes(),
            SteeringPart::Png(id) => chart_png::of(&chart(swept()?, id)?)?,
        };
        write_output(file, &bytes)
    }
}

fn chart(sweep: &SweepView, id: &str) -> Result<Chart> {
    let found = sweep.charts().into_iter().find(|chart| chart.id == id);
    found.ok_or_else(|| EngineError::request(format!("the sweep has no chart {id}")))
}

/// A feature and what is done to it, in words.
fn done_to(edit: &SteeringSpec) -> String {
    let unit = match edit.unit {
        _ if edit.mode == SteeringMode::Scale => "",
        StrengthUnit::Max => " observed maxima",
        StrengthUnit::Absolute => " units of activation",
    };
    match edit.mode {
        SteeringMode::Add => format!("added {}{unit}", edit.strength),
        SteeringMode::Clamp => format!("set to {}{unit}", edit.strength),
        SteeringMode::Ablate => "set to 0".to_owned(),
        SteeringMode::Scale => format!("multiplied by {}", edit.strength),
    }
}

/// The experiment as one page that asks for nothing.
fn written(experiment: &SteeringExperiment) -> Result<String> {
    let nonce = store::blake3_of_bytes(&to_json(experiment)?);
    let of = &experiment.dictionary;
    let title = if experiment.name.is_empty() {
        "Steering experiment".to_owned()
    } else {
        format!("Steering experiment {}", experiment.name)
    };
    let about = format!(
        "Features of {} at {} of {}, changed on sample {} of {}. Written {} by {}.",
        of.name,
        of.hook,
        of.model,
        experiment.request.sample,
        of.dataset,
        experiment.at,
        experiment.made_by
    );
    let called = |feature: FeatureId| {
        let mut features = experiment.features.iter();
        let found = features.find(|one| one.feature == feature);
        found.map_or_else(String::new, SteeredFeature::words)
    };
    let changed = experiment.request.edits.iter().map(|edit| {
        vec![
            Cell::Number(edit.feature.to_string()),
            Cell::Text(called(edit.feature)),
            Cell::Text(done_to(edit)),
            Cell::Text(edit.scope.to_string()),
        ]
    });
    let changed = table(&["#Feature", "Label", "What is done", "Positions"], changed);
    let mut body = section("What is changed", &changed);
    body += &section("Before and after", &outcome(&experiment.outcome));
    if let Some(sweep) = &experiment.sweep {
        body += &section("Dose-response sweep", &swept(sweep));
    }
    let rows = [vec![
        Cell::Text(format!("saes/{}", of.name)),
        Cell::Hash(of.blake3.clone()),
    ]];
    let made_from = table(&["Made from", "BLAKE3"], rows.into_iter());
    body += &section("Hashes", &made_from);
    Ok(page(&nonce, [&title, &about], "", &body))
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn outcome(outcome: &MeasuredOutcome) -> String {
    match outcome {
        MeasuredOutcome::Report {
            before,
            after,
            reads_findings,
            gained,
            lost,
        } => {
            let mut rows = vec![("Before", before.clone()), ("After", after.clone())];
            if *reads_findings {
                rows.push(("Findings gained", or_none(gained)));
                rows.push(("Findings lost", or_none(lost)));
            }
            let rows = rows
                .into_iter()
                .map(|(name, text)| vec![Cell::Text(name.to_owned()), Cell::Text(text)]);
            table(&["", "Report"], rows)
        }
        MeasuredOutcome::Ranking {
            before,
            after,
            target_rank,
        } => {
            let rows = (1..)
                .zip(before.iter().zip(after))
                .map(|(rank, (old, new))| {
                    let was = new
                        .rank_before
                        .map_or_else(String::new, |was| was.to_string());
                    vec![
                        Cell::Number(format!("{rank}")),
                        Cell::Text(old.title.clone()),
                        Cell::Text(new.title.clone()),
                        Cell::Number(was),
                    ]
                });
            let target = target_rank.map_or_else(String::new, |[from, to]| {
                format!("<p>The item that was really chosen next: rank {from}, now {to}.</p>\n")
            });
            target + &table(&["#Rank", "Before", "After", "#Was"], rows)
        }
    }
}

fn swept(sweep: &SweepView) -> String {
    let charts = sweep.charts();
    let mut body: String = charts
        .iter()
        .map(|chart| {
            let drawn = chart_svg::inline(chart);
            format!(
                "<figure id=\"chart-{}\">\n{drawn}</figure>\n",
                escaped(&chart.id)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let mut columns = vec!["#Strength".to_owned()];
    for chart in &charts {
        columns.push(format!("#{}", chart.axis.name));
        columns.push("#Random directions".to_owned());
    }
    columns.push("Findings gained".to_owned());
    columns.push("Findings lost".to_owned());
    let rows = sweep.points.iter().enumerate().map(|(at, point)| {
        let mut row = vec![Cell::Number(point.strength.to_string())];
        for chart in &charts {
            for lane in 0..2 {
                let series = chart.series.get(lane);
                let value = series.and_then(|series| series.values.get(at).copied().flatten());
                row.push(Cell::Number(
                    value.map_or_else(|| "–".to_owned(), |value| value.words()),
                ));
            }
        }
        let findings = point.features.findings();
        let gained = findings.map_or_else(String::new, |all| all.gained.join(", "));
        let lost = findings.map_or_else(String::new, |all| all.lost.join(", "));
        row.extend([gained, lost].map(Cell::Text));
        row
    });
    let heads: Vec<&str> = columns.iter().map(String::as_str).collect();
    body += &table(&heads, rows);
    let mut notes = vec![format!(
        "Random directions: {} of seed {}, changed by the same length at every position; mean, and \
         in brackets the least and the largest of them.",
        sweep.request.n_controls, sweep.request.seed
    )];
    if !sweep.is_complete() {
        notes.push(format!(
            "The sweep was stopped after {} of {} runs.",
            sweep.n_runs(),
            sweep.n_planned
        ));
    }
    if !sweep.promoted.is_empty() {
        notes.push(format!("Promoted items: {}.", sweep.promoted.join("; ")));
    }
    body + &paragraphs(&notes)
}
