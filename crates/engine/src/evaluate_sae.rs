//! The job that measures everything the catalogue knows of a dictionary, beside its baselines.

mod directions;
mod likeness;
mod output;
mod planted;
mod planted_rows;
mod probing;
mod rows;
mod subject;

use std::collections::BTreeMap;

use sae::Metric;
use schema::DatasetKind;
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::recovery::ConceptRecovery;
use crate::session::Session;
use crate::train_sae::DictionaryEvaluation;
use subject::Subject;

/// What is to be evaluated, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// The dictionary.
    pub dictionary: String,
    /// Rows to evaluate on; `None` for the harvest it was trained on.
    pub harvest: Option<String>,
    /// A dictionary of another training, to tell how stable the features are.
    pub against: Option<String>,
    /// A harvest of the same dataset whose rows, averaged per sample, say which samples are alike;
    /// `None` for the rows that are evaluated.
    pub embeddings: Option<String>,
    /// Samples whose reports the model is run on to tell how much of its loss is recovered, four
    /// times each; 0 to leave that out.
    pub loss_samples: u32,
    /// Seed of random dictionary, shuffles and resamples.
    pub seed: u64,
}

impl EvaluateRequest {
    /// Everything, on the dictionary's own harvest.
    pub fn of(dictionary: &str) -> Self {
        Self {
            dictionary: dictionary.to_owned(),
            loss_samples: 16,
            ..Self::default()
        }
    }
}

/// One metric of a dictionary, beside its baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredMetric {
    /// Key in the catalogue, see [`crate::views::metric_views`].
    pub id: String,
    /// The field's term.
    pub name: String,
    /// The dictionary's value.
    pub value: f64,
    /// 95 % interval, where there is one.
    pub interval: Option<[f64; 2]>,
    /// Value of a dictionary of random directions.
    pub random_dictionary: Option<f64>,
    /// Value after what is tested was shuffled.
    pub shuffled: Option<f64>,
    /// Value of raw dimensions of the hook in place of features.
    pub raw_dimensions: Option<f64>,
    /// How many of `of` it rests on.
    pub n: u64,
    /// What is counted by `n`: rows, features, films, …
    pub of: String,
}

impl MeasuredMetric {
    /// A value without interval and baselines.
    pub(crate) fn new(metric: Metric, value: f64, (n, of): (u64, &str)) -> Self {
        Self {
            id: metric.id().to_owned(),
            name: metric.definition().name.to_owned(),
            value,
            interval: None,
            random_dictionary: None,
            shuffled: None,
            raw_dimensions: None,
            n,
            of: of.to_owned(),
        }
    }
}

/// Features of one bin of the density histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DensityBar {
    /// Lowest density of the bin.
    pub from: f64,
    /// Density at which the next begins.
    pub to: f64,
    /// Features of the dictionary in it.
    pub n_features: u64,
    /// Features of the random dictionary in it.
    pub random_dictionary: u64,
}

/// A value and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WithInterval {
    /// The value.
    pub value: f64,
    /// Its interval, where there is one.
    pub interval: Option<[f64; 2]>,
}

/// How well features tell one finding or category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbedConcept {
    /// The finding or category.
    pub name: String,
    /// Held-out units with it.
    pub n_with: u64,
    /// Held-out units.
    pub n: u64,
    /// The best features, best first.
    pub features: Vec<u32>,
    /// AUROC of a probe on the best one.
    pub auroc_1: WithInterval,
    /// AUROC of a probe on the best five.
    pub auroc_5: WithInterval,
    /// F1 of the probe on one.
    pub f1_1: WithInterval,
    /// F1 of the probe on five.
    pub f1_5: WithInterval,
}

/// What became of one planted concept, position by position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlantedConcept {
    /// The finding or taste.
    pub name: String,
    /// Features that it is spread over.
    pub features: Vec<u32>,
    /// Held-out positions with it that a dense probe finds.
    pub n_found: u64,
    /// Those of them on which another feature has absorbed it.
    pub n_absorbed: u64,
    /// The feature that absorbed it most often.
    pub absorbed_by: Option<u32>,
}

/// Everything measured of a dictionary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// The dictionary.
    pub dictionary: String,
    /// Harvest whose rows were evaluated.
    pub harvest: String,
    /// FVU, L0 and dead share on all rows, on held-out samples, and of a random dictionary.
    #[serde(flatten)]
    pub evaluation: DictionaryEvaluation,
    /// The metrics that apply, in the order of the catalogue.
    pub metrics: Vec<MeasuredMetric>,
    /// How many features are how dense.
    pub densities: Vec<DensityBar>,
    /// By finding or category.
    pub concepts: Vec<ProbedConcept>,
    /// By planted concept, where the truth is known position by position.
    pub planted: Vec<PlantedConcept>,
    /// The best single feature of each planted concept, by its name, beside three controls.
    #[serde(default)]
    pub recovery: BTreeMap<String, ConceptRecovery>,
    /// What was left out or limits a figure, and why.
    pub notes: Vec<String>,
}

impl EvaluationReport {
    /// A metric by its key.
    pub fn metric(&self, id: &str) -> Option<&MeasuredMetric> {
        self.metrics.iter().find(|metric| metric.id == id)
    }
}

impl Session {
    /// Measures every metric of the catalogue that applies to a dictionary, each beside a random
    /// dictionary and a shuffled baseline where these mean something, with 95 % intervals.
    ///
    /// # Errors
    /// When dictionary, harvest, model or dataset do not exist, are damaged or do not fit together.
    ///
    /// # Determinism
    /// A function of the project and the request.
    pub fn evaluate_sae(
        &self,
        request: &EvaluateRequest,
        job: &JobContext,
    ) -> Result<EvaluationReport> {
        let subject = Subject::open(self, request, job)?;
        let evaluation =
            self.evaluate_rows(&subject.dictionary.sae, &subject.reader, request.seed, job)?;
        let mut report = EvaluationReport {
            dictionary: request.dictionary.clone(),
            harvest: subject.harvest.clone(),
            evaluation,
            metrics: Vec::new(),
            densities: Vec::new(),
            concepts: Vec::new(),
            planted: Vec::new(),
            recovery: BTreeMap::new(),
            notes: subject.notes(),
        };
        rows::measure(&subject, &mut report)?;
        directions::measure(&subject, &mut report)?;
        probing::measure(&subject, &mut report)?;
        likeness::measure(&subject, &mut report)?;
        if subject.dataset.manifest.kind == DatasetKind::Interactions {
            output::measure_ranking(&subject, &mut report)?;
        } else {
            output::measure_loss(&subject, &mut report)?;
        }
        planted::measure(&subject, &mut report)?;
        planted_rows::measure(&subject, &mut report)?;
        if let Some(broken) = report
            .metrics
            .iter()
            .find(|metric| !metric.value.is_finite())
        {
            return Err(EngineError::other(format!(
                "{} of saes/{} came out as {}",
                broken.name, request.dictionary, broken.value
            )));
        }
        let order = |id: &str| Metric::ALL.iter().position(|metric| metric.id() == id);
        report.metrics.sort_by_key(|metric| order(&metric.id));
        Ok(report)
    }
}
