//! Explanations of features of texts and films, and how far they hold, as the window and the command
//! line show them.

use schema::{Association, FeatureId};
use serde::{Deserialize, Serialize};

use super::MeanView;

/// How a run was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreSettingsView {
    /// What explained: `keywords`, `stored`, or the name of a language model.
    pub explained_by: String,
    /// BLAKE3 of that model's file.
    pub explainer_blake3: Option<String>,
    /// What judged.
    pub judged_by: Option<String>,
    /// BLAKE3 of that model's file.
    pub judge_blake3: Option<String>,
    /// Whether one language model explained and judged: it may know its own way of speaking.
    pub is_same_model: bool,
    /// `detection`, `fuzzing`, `simulation`, `embedding`.
    pub methods: Vec<String>,
    /// Passages that an explanation was made from, at most.
    pub n_construction: usize,
    /// Test passages of each kind, at most.
    pub most: usize,
    /// Temperature of language models.
    pub temperature: f32,
    /// Share of the most probable tokens drawn from.
    pub top_p: f32,
    /// Seed of passages, features and models.
    pub seed: u64,
    /// Whether swapped explanations and controls were measured.
    pub has_baselines: bool,
    /// Whether a language model of another computer was asked, so that what tells who someone is was
    /// taken out of every passage.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_deidentified: bool,
    /// When the run began, RFC 3339 in UTC.
    pub at: String,
}

/// What the scores of a set of features come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreTotalsView {
    /// Features that were looked at.
    pub n_chosen: usize,
    /// Of these, features with an explanation.
    pub n_explained: usize,
    /// Features with a detection score.
    pub n_scored: usize,
    /// Mean balanced accuracy of detection; 0.5 is chance.
    pub detection: Option<MeanView>,
    /// Mean share of active passages that were found.
    pub recall: Option<MeanView>,
    /// Mean share of silent passages that were spared.
    pub specificity: Option<MeanView>,
    /// Mean F1.
    pub f1: Option<MeanView>,
    /// Mean area under the ROC curve.
    pub auc: Option<MeanView>,
    /// Mean balanced accuracy with the explanation of another feature of like density and section.
    pub shuffled: Option<MeanView>,
    /// Area under the ROC curve by which the scores of right explanations and of swapped ones are
    /// told apart; 0.5 is chance.
    pub separation: Option<f64>,
    /// Mean balanced accuracy of fuzzing.
    pub fuzzing: Option<MeanView>,
    /// Mean correlation of simulated with actual activations.
    pub simulation: Option<MeanView>,
    /// Mean area under the ROC curve of the cosines between explanations and passages.
    pub embedding: Option<MeanView>,
    /// Features whose 95 % interval of detection lies above 0.5.
    pub n_above_chance: usize,
    /// Answers of the judge, and those among them that could not be read.
    pub n_answers: usize,
    /// Answers that could not be read.
    pub n_unparsed: usize,
}

/// A control: the same procedure on features that mean nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlView {
    /// `random dictionary` or `untrained dictionary`.
    pub name: String,
    /// What it came to.
    pub totals: ScoreTotalsView,
}

/// Answers of a judge on the cases of one feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DetectionView {
    /// Mean of recall and specificity; `None` without readable answers of both kinds.
    pub balanced_accuracy: Option<f64>,
    /// Its 95 % interval over patients.
    pub interval: Option<[f64; 2]>,
    /// Share of active cases that were found.
    pub recall: Option<f64>,
    /// Share of silent cases that were spared.
    pub specificity: Option<f64>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Area under the ROC curve of the predictions.
    pub auc: Option<f64>,
    /// Cases.
    pub n_cases: usize,
    /// Answers that could not be read.
    pub n_unparsed: usize,
}

/// A passage that an explanation was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassageView {
    /// Index of the sample in its dataset.
    pub sample: u32,
    /// The text, active words between `<<` and `>>`.
    pub text: String,
    /// Activation at the strongest place.
    pub activation: f32,
}

/// A passage that an explanation was tested on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestedPassageView {
    /// Index of the sample in its dataset.
    pub sample: u32,
    /// The text as the judge saw it.
    pub text: String,
    /// Activation at the strongest place; 0 where the feature is silent.
    pub activation: f32,
    /// Whether a feature of near direction, or one often active along with it, is there.
    pub is_hard: bool,
    /// What the judge predicted, 0 to 1; `None` where the answer could not be read.
    pub said: Option<f64>,
}

/// A feature, its explanation and how far it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredFeatureView {
    /// Which feature.
    pub feature: FeatureId,
    /// Where it is most often strongest: `report`, `indication`, …
    pub section: String,
    /// Samples it counts as active on, one of each patient.
    pub n_active: usize,
    /// The explanation, or empty.
    pub explanation: String,
    /// Terms it rests on; none from a language model.
    pub evidence: Vec<Association>,
    /// What the language model was asked.
    pub prompt: Option<String>,
    /// Passages it was made from.
    pub construction: Vec<PassageView>,
    /// Passages it was tested on.
    pub tests: Vec<TestedPassageView>,
    /// Detection.
    pub detection: Option<DetectionView>,
    /// Balanced accuracy of detection with the explanation of another feature.
    pub shuffled: Option<f64>,
    /// Fuzzing.
    pub fuzzing: Option<DetectionView>,
    /// Correlation of simulated with actual activations.
    pub simulation: Option<f64>,
    /// Area under the ROC curve of the cosines between explanation and passages.
    pub embedding: Option<f64>,
    /// The dataset's own split left one part with less than two activating samples, so that the
    /// feature's samples were divided anew.
    pub is_divided_anew: bool,
    /// Passages and worked examples left out of the prompt, which was too long with them.
    #[serde(default, skip_serializing_if = "is_none_left_out")]
    pub n_left_out: usize,
    /// Why a language model was not asked for an explanation: `prompt too long`; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_explained: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field by reference"
)]
pub(super) fn is_none_left_out(n: &usize) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field by reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Explanations of a dictionary and how far they hold: one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplanationsView {
    /// Name of the run.
    pub name: String,
    /// The dictionary.
    pub sae: String,
    /// Its dataset.
    pub dataset: String,
    /// How it was made.
    pub settings: ScoreSettingsView,
    /// Features of the dictionary.
    pub n_features: usize,
    /// Of these, features that are active anywhere.
    pub n_live: usize,
    /// Features that have passages to explain and to test.
    pub n_with_cases: usize,
    /// What the scores come to.
    pub totals: ScoreTotalsView,
    /// The same of dictionaries that mean nothing.
    pub controls: Vec<ControlView>,
    /// The features, ascending.
    pub features: Vec<ScoredFeatureView>,
    /// What limits the results.
    pub notes: Vec<String>,
}

/// What the measured score of one feature rests on, with what it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreEvidenceView {
    /// Name of the run.
    pub run: String,
    /// How the run was made.
    pub settings: ScoreSettingsView,
    /// The feature with its passages and the judge's answers.
    pub feature: ScoredFeatureView,
    /// What the scores of all features of the run come to.
    pub totals: ScoreTotalsView,
    /// The same of dictionaries that mean nothing.
    pub controls: Vec<ControlView>,
}

/// A planted finding and the feature that goes with it best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedFindingView {
    /// The finding.
    pub finding: String,
    /// Of the features looked at the one that goes with it best on the training patients.
    pub feature: FeatureId,
    /// How well it does so on all other patients.
    pub f1: f64,
    /// Its explanation; empty for none.
    pub explanation: String,
    /// Whether that names the finding.
    pub is_named: bool,
}

/// How many explanations name what was planted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlantedNamesView {
    /// Findings that were planted.
    pub n_findings: usize,
    /// Features looked at that belong to a planted finding.
    pub n_belonging: usize,
    /// Of these, features whose explanation names it.
    pub n_named: usize,
    /// 95 % interval of that share, over features.
    pub interval: Option<[f64; 2]>,
    /// Findings that any feature goes with, in the dataset's order.
    pub findings: Vec<NamedFindingView>,
}
