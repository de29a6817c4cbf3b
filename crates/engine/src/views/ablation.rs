//! What a front end shows of a change of features over all test users.

use schema::{Split, SteeringSpec};
use serde::{Deserialize, Serialize};

use super::ItemView;
use crate::evaluate_sae::WithInterval;

/// The items whose places are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConceptItems {
    /// The so many items whose scores the changed features raise most, by direct effect.
    Promoted(u32),
    /// The items of a category.
    Category(String),
    /// These items, by id.
    Items(Vec<u32>),
}

/// A change of features to be measured over all test users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblationRequest {
    /// The dictionary, of a recommender's user vectors.
    pub sae: String,
    /// The changes.
    pub edits: Vec<SteeringSpec>,
    /// Dataset to evaluate on; `None` for the one the dictionary was harvested from.
    pub dataset: Option<String>,
    /// Part of it: dev or test.
    pub split: Split,
    /// Whose places are counted.
    pub items: ConceptItems,
    /// Sets of random features of like density that are changed the same way, for comparison.
    pub n_controls: u32,
    /// Users whose lists are shown, those that change most first.
    pub n_examples: u32,
    /// Seed of controls and intervals.
    pub seed: u64,
}

/// What ranked lists come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ListFigures {
    /// Share of held-out items that are among the first ten.
    pub hr_10: f64,
    /// NDCG at 10.
    pub ndcg_10: f64,
    /// Share of the first ten that the concept's items hold.
    pub share: f64,
    /// Mean rank of the concept's items over users, 1 being best.
    pub mean_rank: f64,
    /// Share of the catalogue that is among the first ten of someone.
    pub coverage: f64,
    /// Gini coefficient of how often items are among the first ten.
    pub gini: f64,
    /// Mean popularity of what is among the first ten: share of train interactions of items no more
    /// popular than it.
    pub popularity: f64,
}

/// Which items the first ten of all users show, and how evenly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Exposure {
    /// Share of the catalogue that is among the first ten of someone.
    pub coverage: f64,
    /// Gini coefficient of how often items are among the first ten.
    pub gini: f64,
    /// Mean popularity of what is among the first ten: share of train interactions of items no more
    /// popular.
    pub popularity: f64,
}

/// Cost for a group of users.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupEffect {
    /// Who they are.
    pub group: String,
    /// How many.
    pub n_users: u32,
    /// Held-out items of theirs that were ranked.
    pub n_cases: u32,
    /// Share of these among the first ten before and after.
    pub hr_10: [f64; 2],
    /// NDCG at 10 before and after.
    pub ndcg_10: [f64; 2],
    /// Change of NDCG at 10, with an interval over users.
    pub change: WithInterval,
    /// Share of the concept's items in the first ten before and after.
    pub share: [f64; 2],
}

/// The same change on random features of like density.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ControlEffect {
    /// Sets of features.
    pub n: u32,
    /// Relative change of the share of the concept's items: mean, and its 95 % range over the sets;
    /// `None` where they held no place before.
    pub share_change: Option<WithInterval>,
    /// Relative change of NDCG at 10: mean, and its 95 % range over the sets; `None` where it was 0.
    pub ndcg_change: Option<WithInterval>,
    /// Mean over the sets: share of held-out items among the first ten.
    pub hr_10: f64,
    /// Mean over the sets: NDCG at 10.
    pub ndcg_10: f64,
    /// Mean over the sets: share of the first ten that the concept's items hold.
    pub share: f64,
    /// Mean over the sets: what the lists show.
    pub exposure: Exposure,
}

/// The lists of one user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExampleLists {
    /// Index of the user's sample.
    pub sample: u32,
    /// The user's last items, oldest first.
    pub history: Vec<ItemView>,
    /// The first ten before.
    pub before: Vec<ItemView>,
    /// The first ten after.
    pub after: Vec<ItemView>,
    /// Rank before of each item of `after`, 0 beyond the first hundred.
    pub rank_before: Vec<u32>,
    /// Rank of the held-out item before and after.
    pub target_rank: [u32; 2],
}

/// A change of features over all test users.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AblationView {
    /// What was asked.
    pub request: AblationRequest,
    /// Users ranked for.
    pub n_users: u32,
    /// Held-out items ranked, of which a user may have several.
    pub n_cases: u32,
    /// Users on whom a changed feature was active, or was set.
    pub n_changed: u32,
    /// The concept's items with their direct effect, highest first; those of a category too.
    pub items: Vec<ItemView>,
    /// Before the change.
    pub before: ListFigures,
    /// After it.
    pub after: ListFigures,
    /// Relative change of the share of the concept's items, with an interval over users; `None` where
    /// they held no place before.
    pub share_change: Option<WithInterval>,
    /// Relative change of NDCG at 10, with an interval over users; `None` where it was 0.
    pub ndcg_change: Option<WithInterval>,
    /// Cost by group of users.
    pub groups: Vec<GroupEffect>,
    /// Random features of like density; `None` where none were asked for.
    pub controls: Option<ControlEffect>,
    /// Lists side by side.
    pub examples: Vec<ExampleLists>,
}

/// What a sweep is to bring down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// Recommending what is popular anyway.
    Popularity,
    /// Recommending a category.
    Category(String),
}

/// A sweep over the strength of features that carry a bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DebiasRequest {
    /// The dictionary, of a recommender's user vectors.
    pub sae: String,
    /// What is to be brought down.
    pub bias: Bias,
    /// Features at most.
    pub n_features: u32,
    /// Factors their activations are multiplied with; 1 leaves them.
    pub strengths: Vec<f32>,
    /// Dataset; `None` for the one the dictionary was harvested from.
    pub dataset: Option<String>,
    /// Random sets of features of like density beside them.
    pub n_controls: u32,
    /// Seed of the controls.
    pub seed: u64,
}

/// One strength of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TradeOffPoint {
    /// The factor.
    pub strength: f32,
    /// On the dev part, which the strength is chosen on.
    pub dev: ListFigures,
    /// On the test part.
    pub test: ListFigures,
    /// Mean over random sets of features on the dev part: the same figures.
    pub control: Option<ListFigures>,
}

/// A feature that carries a bias.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BiasedFeature {
    /// Which.
    pub feature: u32,
    /// How much it adds to the bias: what its mean activation adds to the score of a biased item
    /// over what it adds to another item.
    pub effect: f64,
    /// Share of dev users on whom it is active.
    pub density: f64,
}

/// A sweep and what it found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DebiasView {
    /// What was asked.
    pub request: DebiasRequest,
    /// The features, strongest first.
    pub features: Vec<BiasedFeature>,
    /// By strength, in the order asked.
    pub points: Vec<TradeOffPoint>,
}
