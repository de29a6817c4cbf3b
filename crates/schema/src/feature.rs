//! What is known of one feature of a dictionary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::FeatureId;

/// One place where a feature is active.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExampleRef {
    /// Index of the sample in its dataset.
    pub sample: u32,
    /// Position within the sample where the activation is highest.
    pub position: u32,
    /// That activation.
    pub activation: f32,
}

/// A feature whose decoder direction is close.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The other feature.
    pub feature: FeatureId,
    /// Cosine between the decoder rows.
    pub cosine: f32,
}

/// A feature that is active on the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CofiringFeature {
    /// The other feature.
    pub feature: FeatureId,
    /// Rows with both active, divided by rows with either (Jaccard index).
    pub jaccard: f32,
}

/// What the feature index keeps of one feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureSummary {
    /// Which feature.
    pub feature: FeatureId,
    /// Rows on which it is active.
    pub n_active_rows: u64,
    /// Share of positions on which it is active.
    pub density: f32,
    /// Share of samples with an active position.
    pub sample_density: f32,
    /// Highest activation.
    pub max_activation: f32,
    /// Mean of the activations above 0.
    pub mean_activation: f32,
    /// Counts of activations above 0 in equal bins from 0 to `max_activation`.
    pub histogram: Vec<u32>,
    /// Samples with the highest activations, best first, each sample once.
    pub top: Vec<ExampleRef>,
    /// Samples drawn from equal quantile bands of the activation, highest band first.
    pub quantiles: Vec<Vec<ExampleRef>>,
    /// Nearest decoder directions, nearest first.
    pub neighbours: Vec<Neighbour>,
    /// Features most often active with it.
    pub cofiring: Vec<CofiringFeature>,
}

/// How a feature goes with a finding, category or title word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Association {
    /// The finding, category or term.
    pub name: String,
    /// Natural logarithm of the odds ratio, 0.5 added to each cell (Haldane-Anscombe).
    pub log_odds: f32,
    /// Lower and upper end of its 95 % interval (Woolf).
    pub interval: [f32; 2],
    /// Area under the ROC curve of the sample's highest activation for the name.
    pub auroc: f32,
    /// Lower and upper end of its 95 % interval (`DeLong`); `None` where it was not computed, or is
    /// a point because the samples with and without the name are apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auroc_interval: Option<[f32; 2]>,
    /// p value of the test named beside the table, not adjusted.
    pub p: f64,
    /// Benjamini-Hochberg adjusted p value within the table.
    pub q: f64,
    /// Samples with the name.
    pub n_with: u32,
    /// Samples without it.
    pub n_without: u32,
}

/// A machine-proposed text for a feature, not yet reviewed; never changed afterwards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which feature.
    pub feature: FeatureId,
    /// The proposed label.
    pub text: String,
    /// What proposed it, e.g. `keywords`.
    pub by: String,
    /// Terms it rests on, strongest first.
    pub evidence: Vec<Association>,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Where it was published, if it was not made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PublishedSource>,
    /// How far it was found to be true, if it was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<MeasuredScore>,
    /// The run that made it, which keeps examples, prompts, model hashes and seed; empty where there
    /// was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// How far an explanation was found to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredScore {
    /// `detection`: balanced accuracy of telling active from silent passages; `confidence`: the share
    /// of cases told rightly, as `RecSAE` has it. 0.5 is chance.
    pub method: String,
    /// What judged.
    pub judge: String,
    /// The score, 0 to 1.
    pub value: f64,
    /// Its 95 % interval; `None` where there are too few patients or users.
    pub interval: Option<[f64; 2]>,
    /// Cases it rests on.
    pub n_cases: u32,
}

/// The row of a published table that an explanation was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedSource {
    /// Name of the file.
    pub file: String,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub blake3: String,
    /// Its score there, in the publisher's own scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The other columns of the row, by name, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}
