//! What a front end shows of items: cards, histories with activations, what a feature promotes.

use std::sync::Arc;

use schema::FeatureId;
use serde::{Deserialize, Serialize};

/// How often an item was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PopularityView {
    /// Interactions with it that are not held out.
    pub n_train: u32,
    /// Share of the catalogue's items that have fewer, `0..1`.
    pub percentile: f32,
}

/// One item of an example or ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ItemView {
    /// Item id, from 1.
    pub id: u32,
    /// Title, or `item 123` where the source has none.
    pub title: String,
    /// Categories.
    pub categories: Vec<String>,
    /// Absolute path of its picture, where there is one; the pixels come from `Engine::picture`.
    pub picture: Option<Arc<str>>,
    /// How often it was chosen.
    pub popularity: PopularityView,
    /// Activation of the feature, 0 where silent; in a ranking the score, in a list of effects the
    /// effect on the score.
    pub activation: f32,
}

/// What a feature does to the scores of items when it is at its observed maximum.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ItemEffects {
    /// Items whose score it raises, the most first; `activation` is the change in score.
    pub promoted: Vec<ItemView>,
    /// Items whose score it lowers, the most first.
    pub demoted: Vec<ItemView>,
}

/// Identifies a request for a whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryTicket(pub u64);

/// One user's whole history as an example of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRequest {
    /// Dictionary.
    pub sae: String,
    /// Feature.
    pub feature: FeatureId,
    /// Index of the sample.
    pub sample: u32,
}

/// A history with the feature's activation at every position, and what is recommended after it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryView {
    /// The request it answers.
    pub request: HistoryRequest,
    /// Every item that is not held out, oldest first.
    pub items: Arc<Vec<ItemView>>,
    /// For each of `items`: 0 where the feature is silent, else the tenth of all its activations
    /// that this one lies in, 1 to 10.
    pub levels: Arc<Vec<u8>>,
    /// The item the model ranks first after them, of those not in the history; `activation` is its
    /// score. `None` where the model cannot be loaded.
    pub recommended: Option<ItemView>,
    /// Set where one item is recommended after most of the strongest histories.
    pub same: Option<SameRecommendation>,
}

/// One item that is recommended again and again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SameRecommendation {
    /// The item.
    pub item: ItemView,
    /// Histories after which it is recommended.
    pub n: u32,
    /// Histories looked at, those with the strongest activation.
    pub of: u32,
}
