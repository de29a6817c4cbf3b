//! The report of a dictionary: what was measured of it, what its features go with, how far their
//! explanations hold, and the files that hold it.

mod charts;
mod page;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sae::Metric;
use schema::{DatasetKind, FeatureId};
use store::{ArtefactId, ArtefactKind, HarvestReader};

use crate::error::{EngineError, Result};
use crate::evaluate_sae::EvaluateRequest;
use crate::jobs::JobContext;
use crate::kept_runs::read_json;
use crate::named_files::{check_output, write_output};
use crate::session::Session;
use crate::views::{
    ConceptTotalsView, DictionaryReport, DictionaryView, EvaluationPlan, ExplanationScore,
    ExplanationScores, FindingAssociation, MeanView, ReportPart, ScoreTotalsView,
};
use crate::{chart_png, chart_svg};

/// Findings or categories whose strongest feature is listed.
const MAX_FINDINGS: usize = 60;

/// The files of a report that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportFiles {
    /// The whole as one HTML file.
    pub page: Option<PathBuf>,
    /// All its tables as one CSV file.
    pub csv: Option<PathBuf>,
    /// A folder for every chart as SVG; made if it is not there.
    pub svg: Option<PathBuf>,
    /// A folder for every chart as PNG; made if it is not there.
    pub png: Option<PathBuf>,
}

impl ReportFiles {
    /// Whether the files can be written: asked before the work that fills them.
    ///
    /// # Errors
    /// When a file is a folder or its folder is not there, or a folder is a file.
    pub fn check(&self) -> Result<()> {
        for file in self.page.iter().chain(&self.csv) {
            check_output(file)?;
        }
        for folder in self.svg.iter().chain(&self.png) {
            if folder.exists() && !folder.is_dir() {
                return Err(EngineError::request(format!(
                    "\"{}\": it is a file; expected a folder for charts",
                    folder.display()
                )));
            }
        }
        Ok(())
    }
}

impl Session {
    /// Everything known of how good a dictionary is. Reads files of some megabytes: away from the
    /// frame.
    ///
    /// # Errors
    /// When there is no such dictionary, or what is kept of it is damaged.
    pub fn dictionary_report(&self, name: &str) -> Result<DictionaryReport> {
        let dictionary = self.dictionary_view(name)?;
        let evaluation = self.kept_evaluation(name)?;
        let changed = match &evaluation {
            Some(_) => self.changed_since_evaluation(name)?,
            None => Vec::new(),
        };
        let mut report = DictionaryReport {
            plan: self.evaluation_plan(&dictionary)?,
            associations: self.strongest_associations(&dictionary)?,
            explanations: self.explanation_scores(name)?,
            charts: Vec::new(),
            settings: self.settings_of(name)?,
            hashes: self.hashes_of(&dictionary)?,
            dictionary,
            evaluation,
            changed,
        };
        report.charts = charts::of(&report);
        Ok(report)
    }

    /// The report with an evaluation that holds: the one that is kept, or, where none is, it has
    /// changed since or `again` is asked for, one measured now.
    ///
    /// # Errors
    /// Those of [`Session::evaluate_sae`].
    pub fn measured_report(
        &self,
        name: &str,
        again: bool,
        job: &JobContext,
    ) -> Result<DictionaryReport> {
        let kept = self.kept_evaluation(name)?;
        let request = match &kept {
            Some(kept) => kept.request.clone(),
            None => EvaluateRequest::of(name),
        };
        if again || kept.is_none() || !self.changed_since_evaluation(name)?.is_empty() {
            self.evaluate_and_keep(&request, job)?;
        }
        self.dictionary_report(name)
    }

    /// Writes one part of a report, whole or not at all.
    ///
    /// # Errors
    /// When nothing was measured yet, there is no such chart, or the file cannot be written.
    pub fn save_report_part(&self, name: &str, part: &ReportPart, file: &Path) -> Result<()> {
        check_output(file)?;
        let report = self.dictionary_report(name)?;
        if report.evaluation.is_none() {
            return Err(EngineError::request(format!(
                "saes/{name} was not evaluated yet; expected an evaluation to report"
            )));
        }
        let chart = |id: &String| {
            let found = report.charts.iter().find(|chart| chart.id == *id);
            found.ok_or_else(|| {
                EngineError::request(format!("the report of saes/{name} has no chart {id}"))
            })
        };
        let bytes = match part {
            ReportPart::Page => page::of(&report)?.into_bytes(),
            ReportPart::Table => table::csv(&report).into_bytes(),
            ReportPart::Svg(id) => chart_svg::file(chart(id)?).into_bytes(),
            ReportPart::Png(id) => chart_png::of(chart(id)?)?,
        };
        write_output(file, &bytes)
    }

    /// Writes the files of a report; the charts are called by their ids.
    ///
    /// # Errors
    /// When a file or folder cannot be written; those before it are there then.
    pub fn write_report(
        report: &DictionaryReport,
        files: &ReportFiles,
        job: &JobContext,
    ) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        let mut write = |file: PathBuf, bytes: &[u8]| {
            job.check_cancelled()?;
            write_output(&file, bytes)?;
            written.push(file);
            Ok::<(), EngineError>(())
        };
        job.report("Writing the report", 0, 0, "");
        if let Some(file) = &files.page {
            write(file.clone(), page::of(report)?.as_bytes())?;
        }
        if let Some(file) = &files.csv {
            write(file.clone(), table::csv(report).as_bytes())?;
        }
        for folder in files.svg.iter().chain(&files.png) {
            std::fs::create_dir_all(folder)
                .map_err(|error| EngineError::request(format!("{}: {error}", folder.display())))?;
        }
        for chart in &report.charts {
            if let Some(folder) = &files.svg {
                let file = folder.join(format!("{}.svg", chart.id));
                write(file, chart_svg::file(chart).as_bytes())?;
            }
            if let Some(folder) = &files.png {
                let file = folder.join(format!("{}.png", chart.id));
                write(file, &chart_png::of(chart)?)?;
            }
        }
        Ok(written)
    }

    /// What an evaluation would measure, and how long it would take by those that are kept.
    fn evaluation_plan(&self, dictionary: &DictionaryView) -> Result<EvaluationPlan> {
        let dataset = self.dataset(&dictionary.dataset)?;
        let is_interactions = dataset.manifest.kind == DatasetKind::Interactions;
        let is_planted = dataset.manifest.planted;
        let applies = |metric: &Metric| match metric {
            Metric::LossRecovered => !is_interactions,
            Metric::HrKept | Metric::NdcgKept => is_interactions,
            Metric::Stability | Metric::SharedShare => false,
            Metric::Splitting
            | Metric::Absorption
            | Metric::PlantedF1
            | Metric::PlantedRecovered => is_planted,
            _ => true,
        };
        let metrics = Metric::ALL.into_iter().filter(applies);
        let n_rows = HarvestReader::open(&self.project, &dictionary.harvest)?.n_rows();
        let (seconds, basis) = self.evaluation_time(dictionary, n_rows)?;
        Ok(EvaluationPlan {
            metrics: metrics
                .map(|metric| metric.definition().name.to_owned())
                .collect(),
            n_rows,
            seconds,
            basis,
        })
    }

    /// From the last evaluation of this dictionary, else from another's by rows and features.
    fn evaluation_time(
        &self,
        dictionary: &DictionaryView,
        n_rows: u64,
    ) -> Result<(Option<f64>, String)> {
        let name = dictionary.name.as_str();
        if let Some(kept) = self.kept_evaluation(name)? {
            let basis = "as long as the last time".to_owned();
            return Ok((Some(kept.seconds), basis));
        }
        let work = |rows: u64, features: u32| (rows.max(1) as f64) * f64::from(features.max(1));
        for other in self.finished(ArtefactKind::Evaluation)? {
            let Some(kept) = self.kept_evaluation(&other)? else {
                continue;
            };
            let all = &kept.report.evaluation.all;
            let share = work(n_rows, dictionary.n_features) / work(all.n_rows, all.n_features);
            let basis = format!("by rows and features from the evaluation of {other}");
            return Ok((Some(kept.seconds * share), basis));
        }
        Ok((
            None,
            "nothing was evaluated in this project yet; the first run tells".to_owned(),
        ))
    }

    /// Per finding or category, the feature with the highest AUROC.
    fn strongest_associations(
        &self,
        dictionary: &DictionaryView,
    ) -> Result<Vec<FindingAssociation>> {
        let mut best: BTreeMap<String, FindingAssociation> = BTreeMap::new();
        for feature in 0..dictionary.n_features {
            let table = self
                .project
                .associations(&dictionary.name, FeatureId(feature))?;
            for one in table {
                let auroc = f64::from(one.auroc);
                if best
                    .get(&one.name)
                    .is_some_and(|known| known.auroc >= auroc)
                {
                    continue;
                }
                let found = FindingAssociation {
                    name: one.name.clone(),
                    feature,
                    auroc,
                    log_odds: f64::from(one.log_odds),
                    interval: one.interval.map(f64::from),
                    q: one.q,
                    n_with: one.n_with,
                    n_without: one.n_without,
                };
                best.insert(one.name, found);
            }
        }
        let mut all: Vec<FindingAssociation> = best.into_values().collect();
        all.sort_by(|a, b| b.auroc.total_cmp(&a.auroc).then(a.name.cmp(&b.name)));
        all.truncate(MAX_FINDINGS);
        Ok(all)
    }

    /// Scores of the newest run of explanations or concepts of a dictionary.
    fn explanation_scores(&self, sae: &str) -> Result<Option<ExplanationScores>> {
        let mut newest: Option<ExplanationScores> = None;
        let own = ArtefactId::new(ArtefactKind::Sae, sae)?;
        for run in self.explanation_runs()? {
            // A run is a large file: its record tells whether it is worth reading.
            let made_from = self.project.hashes(ArtefactKind::Explanations, &run)?;
            if made_from.parents.iter().all(|one| one.artefact != own) {
                continue;
            }
            let view = self.explanations_run(&run)?;
            if newest.as_ref().is_some_and(|n| n.at >= view.settings.at) {
                continue;
            }
            newest = Some(ExplanationScores {
                run,
                explained_by: view.settings.explained_by,
                judged_by: view.settings.judged_by,
                n_scored: view.totals.n_scored,
                n_chosen: view.totals.n_chosen,
                at: view.settings.at,
                scores: scores_of_passages(&view.totals, &view.controls),
                notes: view.notes,
            });
        }
        if let Some(run) = self.concept_runs_of(sae)?.into_iter().next()
            && newest.as_ref().is_none_or(|known| known.at < run.at)
        {
            let view = self.concepts_of(&run.name)?;
            let own = concept_scores("", &view.totals);
            let controls = [
                (", swapped explanations", &view.shuffled),
                (", random dictionary", &view.random_dictionary),
                (", raw dimensions", &view.raw_dimensions),
            ];
            let controls = controls.into_iter().filter_map(|(name, totals)| {
                let totals = totals.as_ref()?;
                Some(concept_scores(name, totals))
            });
            newest = Some(ExplanationScores {
                run: run.name,
                explained_by: run.explained_by,
                judged_by: run.judged_by,
                n_scored: view.totals.n_scored,
                n_chosen: view.totals.n_chosen,
                at: run.at,
                scores: own.into_iter().chain(controls.flatten()).collect(),
                notes: view.notes,
            });
        }
        Ok(newest)
    }

    /// What its settings file says, name by name.
    fn settings_of(&self, name: &str) -> Result<Vec<(String, String)>> {
        let folder = self.project.artefact_dir(ArtefactKind::Sae, name)?;
        let settings: serde_json::Value = read_json(&folder.join("cfg.json"))?;
        let mut lines = Vec::new();
        flatten("", &settings, &mut lines);
        Ok(lines)
    }

    /// Dictionary, harvest, model and dataset with the hashes that stand for them.
    fn hashes_of(&self, dictionary: &DictionaryView) -> Result<Vec<(String, String)>> {
        let weights = "sae.safetensors";
        let hash = self
            .project
            .file_hash(ArtefactKind::Sae, &dictionary.name, weights)?;
        let mut hashes = vec![(format!("saes/{}/{weights}", dictionary.name), hash)];
        for (kind, name) in [
            (ArtefactKind::Harvest, &dictionary.harvest),
            (ArtefactKind::Model, &dictionary.model),
            (ArtefactKind::Dataset, &dictionary.dataset),
        ] {
            for entry in self.project.list(kind)? {
                if let store::ArtefactState::Finished { hash, .. } = entry.state
                    && entry.name == *name
                {
                    hashes.push((format!("{}/{name}", kind.folder()), hash));
                }
            }
        }
        Ok(hashes)
    }
}

/// Leaves of a JSON object as `name.part` and value; what says nothing is left out.
fn flatten(name: &str, value: &serde_json::Value, lines: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}.{field}")
                };
                flatten(&name, value, lines);
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(text) if text.is_empty() => {}
        serde_json::Value::Array(values) if values.is_empty() => {}
        serde_json::Value::String(text) => lines.push((name.to_owned(), text.clone())),
        other => lines.push((name.to_owned(), other.to_string())),
    }
}

fn score(name: &str, mean: Option<MeanView>, chance: Option<f64>) -> Option<ExplanationScore> {
    mean.map(|mean| ExplanationScore {
        name: name.to_owned(),
        value: mean.value,
        interval: mean.interval,
        chance,
    })
}

/// Half of the answers are right by guessing.
const GUESSED: Option<f64> = Some(0.5);

fn scores_of_passages(
    totals: &ScoreTotalsView,
    controls: &[crate::views::ControlView],
) -> Vec<ExplanationScore> {
    let own = [
        score("Detection", totals.detection, GUESSED),
        score("Detection, swapped explanations", totals.shuffled, GUESSED),
    ];
    let controls = controls.iter().map(|control| {
        let name = format!("Detection, {}", control.name);
        score(&name, control.totals.detection, GUESSED)
    });
    let others = [
        score("Fuzzing", totals.fuzzing, GUESSED),
        score("Simulation", totals.simulation, Some(0.0)),
        score("Embedding", totals.embedding, GUESSED),
    ];
    own.into_iter()
        .chain(controls)
        .chain(others)
        .flatten()
        .collect()
}

fn concept_scores(of: &str, totals: &ConceptTotalsView) -> Vec<ExplanationScore> {
    [
        score(&format!("Confidence{of}"), totals.confidence, GUESSED),
        score(&format!("Recall{of}"), totals.recall, None),
        score(&format!("Specificity{of}"), totals.specificity, None),
    ]
    .into_iter()
    .flatten()
    .collect()
}
