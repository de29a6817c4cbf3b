//! A reviewer's decision on the label of a feature.

use serde::{Deserialize, Serialize};

use crate::FeatureId;

/// Where the label of a feature stands.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ReviewState {
    /// Nobody has decided.
    #[default]
    Unseen,
    /// The proposed text is the label.
    Accepted,
    /// The reviewer's text is the label.
    Edited,
    /// The proposed text is wrong; there is no label.
    Rejected,
    /// The reviewer could not tell.
    Unsure,
}

/// One reviewer's decision; appended to the journal, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Name of the dictionary.
    pub sae: String,
    /// BLAKE3 of the dictionary's weights: a decision cannot attach itself to another.
    pub sae_hash: String,
    /// Which feature.
    pub feature: FeatureId,
    /// What was decided.
    pub state: ReviewState,
    /// The label: the accepted or the reviewer's text; empty when rejected or unsure.
    pub text: String,
    /// The proposed text the decision was made on; empty when there was none.
    #[serde(default)]
    pub edited_from: String,
    /// Who decided.
    pub reviewer: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}
