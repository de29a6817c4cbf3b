//! Concepts of a recommender's dictionary as the window and the command line show them.

use std::collections::BTreeMap;

use schema::{Association, FeatureId};
use serde::{Deserialize, Serialize};

use super::ItemView;

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanView {
    /// The mean over features.
    pub value: f64,
    /// Its interval by resampling features; `None` for fewer than two.
    pub interval: Option<[f64; 2]>,
}

/// What the confidences of a set of features come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConceptTotalsView {
    /// Features that were looked at.
    pub n_chosen: usize,
    /// Of these, features with an explanation, hence with a confidence.
    pub n_scored: usize,
    /// Mean share of activating cases told rightly.
    pub recall: Option<MeanView>,
    /// Mean share of non-activating cases told rightly; `RecSAE` calls it precision.
    pub specificity: Option<MeanView>,
    /// Mean share of all cases told rightly.
    pub confidence: Option<MeanView>,
    /// Features with confidence 1.
    pub n_certain: usize,
    /// Features with at least 0.9.
    pub n_at_least_09: usize,
    /// Features with more than 0.8.
    pub n_above_08: usize,
    /// Features with at least 0.8, the interpretable ones.
    pub n_interpretable: usize,
    /// Features whose 95 % interval lies above 1/2, what guessing gives.
    pub n_above_chance: usize,
    /// Predictions that could not be read.
    pub n_unparsed: usize,
    /// Mean cosine of the vectors of two different items that the highest rows of a feature
    /// recommend, and the features it is over.
    pub item_cosine: Option<(f64, usize)>,
    /// The same over interpretable features only.
    pub item_cosine_interpretable: Option<(f64, usize)>,
}

/// How many different items the five construction cases of a feature recommend, by `RecSAE`'s rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DistinctItemsView {
    /// Features with a row at level 5 or above.
    pub n_features: usize,
    /// Of those with five cases, features with 1, 2, 3, 4 and 5 different items.
    pub counts: [usize; 5],
    /// Mean number over them.
    pub mean: f64,
}

/// How alike the titles of the construction cases inside a feature are, by TF-IDF cosine; each with
/// the number of features it is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TitleCoherenceView {
    /// Of all pairs.
    pub all: Option<(f64, usize)>,
    /// Without titles that a feature repeats.
    pub distinct: Option<(f64, usize)>,
    /// Of all pairs, titles dealt to other features.
    pub shuffled: Option<(f64, usize)>,
    /// Without repeated titles, titles dealt to other features.
    pub shuffled_distinct: Option<(f64, usize)>,
}

/// What can be compared with a published list of features and titles.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct YardstickView {
    /// Distinct items, this dictionary.
    pub own_items: DistinctItemsView,
    /// Distinct items, a random dictionary.
    pub random_items: DistinctItemsView,
    /// Distinct titles, the published list.
    pub published_items: Option<DistinctItemsView>,
    /// Titles, this dictionary; `None` where items have no titles.
    pub own_titles: Option<TitleCoherenceView>,
    /// Titles, a random dictionary.
    pub random_titles: Option<TitleCoherenceView>,
    /// Titles, the published list.
    pub published_titles: Option<TitleCoherenceView>,
}

/// How concepts were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConceptSettingsView {
    /// What explained: `keywords`, a model, or `stored` for proposals that were there.
    pub explained_by: String,
    /// BLAKE3 of the explaining model's file.
    pub explainer_blake3: Option<String>,
    /// What judged; `None` where nothing was judged.
    pub judged_by: Option<String>,
    /// BLAKE3 of the judging model's file.
    pub judge_blake3: Option<String>,
    /// Rule of the cases: `apart` or `recsae`.
    pub cases: String,
    /// Test cases of each kind at most.
    pub most: usize,
    /// Deciles: `pooled` over all features, or `per-feature`.
    pub levels: String,
    /// Whether explainers saw the level at each item of a history.
    pub history_levels: bool,
    /// Temperature of the language models.
    pub temperature: f32,
    /// Share of the most probable tokens drawn from.
    pub top_p: f32,
    /// Seed of cases, samples and models.
    pub seed: u64,
    /// When the run began, RFC 3339 in UTC.
    pub at: String,
}

/// An item of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptItemView {
    /// Its id.
    pub item: u32,
    /// Its title.
    pub title: String,
    /// The feature's level there, 0 to 10, where it is known.
    pub level: Option<u8>,
}

/// A case that an explanation was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptCaseView {
    /// The user's place in the dataset.
    pub user: u32,
    /// Last items of the history, oldest first.
    pub history: Vec<ConceptItemView>,
    /// The item recommended first, with the row's level.
    pub recommended: ConceptItemView,
}

/// A case that an explanation was tested on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptTestView {
    /// The user's place in the dataset.
    pub user: u32,
    /// The item recommended first, with the feature's true level.
    pub recommended: ConceptItemView,
    /// What the judge predicted, 0 to 10; `None` where it could not be read.
    pub predicted: Option<f64>,
}

/// One feature with its explanation and how far it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptView {
    /// The feature.
    pub feature: FeatureId,
    /// Test rows on which it is active.
    pub n_active: usize,
    /// The explanation; empty where none could be made.
    pub explanation: String,
    /// Terms it rests on, from keywords.
    pub evidence: Vec<Association>,
    /// What the language model was asked.
    pub prompt: Option<String>,
    /// Cases it was made from.
    pub cases: Vec<ConceptCaseView>,
    /// Cases it was tested on, activating ones first.
    pub tests: Vec<ConceptTestView>,
    /// Test cases that were construction cases too.
    pub n_shared: usize,
    /// Share of activating cases told rightly.
    pub recall: Option<f64>,
    /// Share of non-activating cases told rightly.
    pub specificity: Option<f64>,
    /// Share of all cases told rightly.
    pub confidence: Option<f64>,
    /// Its 95 % interval (Wilson).
    pub interval: Option<[f64; 2]>,
    /// Predictions that could not be read.
    pub n_unparsed: usize,
    /// Confidence of the explanation of another feature of like density on the same cases.
    pub shuffled: Option<f64>,
    /// Cases left out of the prompt, which was too long with them.
    #[serde(default, skip_serializing_if = "super::explanations::is_none_left_out")]
    pub n_left_out: usize,
    /// Why a language model was not asked for an explanation: `prompt too long`; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_explained: String,
}

/// Concepts of a dictionary: one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConceptsView {
    /// Name of the run in the project.
    pub name: String,
    /// The dictionary.
    pub sae: String,
    /// The recommender.
    pub model: String,
    /// The dataset whose test part the cases are from.
    pub dataset: String,
    /// How they were made.
    pub settings: ConceptSettingsView,
    /// Test rows.
    pub n_rows: usize,
    /// Features of the dictionary.
    pub n_features: usize,
    /// Features with cases to explain and to test.
    pub n_with_cases: usize,
    /// What the confidences come to.
    pub totals: ConceptTotalsView,
    /// The same of a random dictionary.
    pub random_dictionary: Option<ConceptTotalsView>,
    /// The same of the dimensions of the user vector.
    pub raw_dimensions: Option<ConceptTotalsView>,
    /// The same of explanations swapped between features of like density.
    pub shuffled: Option<ConceptTotalsView>,
    /// What can be compared with a published list.
    pub yardstick: YardstickView,
    /// By feature.
    pub concepts: Vec<ConceptView>,
    /// What limits the figures, a sentence each.
    pub notes: Vec<String>,
}

/// A finished run of concepts in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConceptRunView {
    /// Its name in the project.
    pub name: String,
    /// What explained: `keywords`, a model, or `stored`.
    pub explained_by: String,
    /// What judged; `None` where nothing was judged.
    pub judged_by: Option<String>,
    /// Rule of the cases: `apart` or `recsae`.
    pub cases: String,
    /// When it began, RFC 3339 in UTC.
    pub at: String,
}

/// One run with everything its cases are drawn from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConceptPages {
    /// The run.
    pub view: ConceptsView,
    /// Every item of its cases, by id; activation 0.
    pub items: BTreeMap<u32, ItemView>,
    /// By user that is a test case: the last items before the recommended one, oldest first.
    pub histories: BTreeMap<u32, Vec<u32>>,
}
