//! Reviewers' decisions on the labels of features, as the journal keeps them.

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
    /// The reviewer passed the feature by; this says nothing of its label.
    Skipped,
    /// Readers differ and nobody has adjudicated. Never decided, only found.
    Conflict,
}

impl ReviewState {
    /// Whether the reviewer said something of the label: not passed by, not taken back.
    pub fn has_say(self) -> bool {
        matches!(
            self,
            Self::Accepted | Self::Edited | Self::Rejected | Self::Unsure
        )
    }

    /// Whether there is a label.
    pub fn has_label(self) -> bool {
        matches!(self, Self::Accepted | Self::Edited)
    }

    /// The word the journal has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Accepted => "accepted",
            Self::Edited => "edited",
            Self::Rejected => "rejected",
            Self::Unsure => "unsure",
            Self::Skipped => "skipped",
            Self::Conflict => "conflict",
        }
    }
}

/// Why a feature was put before the reviewer.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CaseRole {
    /// For its label.
    #[default]
    First,
    /// For its label, by a reader who did not see what another reader decided.
    SecondReader,
    /// Again, to measure whether the reviewer agrees with themselves. Does not change the label.
    Repeat,
    /// With the label of another feature, to measure what is accepted unread. Does not change the
    /// label.
    Trap,
    /// To settle what readers differ on.
    Adjudication,
}

impl CaseRole {
    /// Whether a decision in this role changes the feature's label.
    pub fn bears_label(self) -> bool {
        matches!(self, Self::First | Self::SecondReader | Self::Adjudication)
    }

    /// The word the journal has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::SecondReader => "second-reader",
            Self::Repeat => "repeat",
            Self::Trap => "trap",
            Self::Adjudication => "adjudication",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_first(&self) -> bool {
        *self == Self::First
    }
}

/// When the reviewer saw the proposed text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewMode {
    /// At once.
    #[default]
    ProposalFirst,
    /// After having written a text.
    WriteFirst,
    /// Never.
    Blind,
}

impl ReviewMode {
    /// The word the journal has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::ProposalFirst => "proposal-first",
            Self::WriteFirst => "write-first",
            Self::Blind => "blind",
        }
    }
}

/// What was on the screen when the reviewer decided, and what they did with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The proposed text that was displayed; empty when none was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What had proposed it, e.g. `keywords`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The feature that the text was proposed for, where that is another: a trap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<FeatureId>,
    /// When the text was shown.
    #[serde(default)]
    pub mode: ReviewMode,
    /// Time on the item, in milliseconds.
    #[serde(default)]
    pub milliseconds: u64,
    /// Examples looked at.
    #[serde(default)]
    pub n_examples: u32,
    /// Whether a heatmap was shown.
    #[serde(default)]
    pub heatmap: bool,
    /// Whether window or level was changed.
    #[serde(default)]
    pub window_changed: bool,
}

/// Where a decision was first written, for one that was taken in from another journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file it was taken in from.
    pub file: String,
    /// Number of its line in the other journal, from 0, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Hash of that line, by which it is known again; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// One reviewer's decision; appended to the journal, never changed.
///
/// Fields that an older journal lacks have their default and are then not written, so that old
/// lines are read as they were meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Name of the dictionary.
    pub sae: String,
    /// BLAKE3 of the dictionary's weights: a decision cannot attach itself to another.
    pub sae_hash: String,
    /// Which feature.
    pub feature: FeatureId,
    /// What was decided; of one that takes another back, what stands for the reviewer afterwards.
    pub state: ReviewState,
    /// The label: the accepted or the reviewer's text; empty when rejected, unsure or skipped.
    pub text: String,
    /// The proposed text the decision was made on; empty when there was none.
    #[serde(default)]
    pub edited_from: String,
    /// Who decided.
    pub reviewer: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Why the feature was put before the reviewer.
    #[serde(default, skip_serializing_if = "CaseRole::is_first")]
    pub role: CaseRole,
    /// What was on the screen, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// What the reviewer wrote before the proposed text was revealed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wrote_first: String,
    /// How sure the reviewer was, 1 to 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// Whether the reviewer flagged the feature for a second look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flagged: bool,
    /// The line of the journal, from 0, that this one takes back. To take back a line that takes
    /// back another restores the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_back: Option<u64>,
    /// Where it was first written, if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// One case of a detection test and what the reader said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionCase {
    /// Index of the sample in its dataset.
    pub sample: u32,
    /// Whether the feature is active on it.
    pub active: bool,
    /// Whether the reader, told the label, said that it is.
    pub said: bool,
    /// What a judge had said of the same case, told the proposal; `None` where no judge saw it or
    /// its answer could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<bool>,
}

/// A reader's answers to a detection test; appended to a journal, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionAnswers {
    /// Name of the dictionary.
    pub sae: String,
    /// BLAKE3 of the dictionary's weights.
    pub sae_hash: String,
    /// Which feature.
    pub feature: FeatureId,
    /// The label that was tested.
    pub label: String,
    /// Who was tested.
    pub reviewer: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Seed of cases and order.
    pub seed: u64,
    /// In the order they were shown.
    pub cases: Vec<DetectionCase>,
    /// What had judged the proposal on the same cases; empty where they were drawn for this test.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub judged_by: String,
    /// Time on the test, in milliseconds.
    #[serde(default)]
    pub milliseconds: u64,
}

impl Decision {
    /// Whether it says something of the feature's label: no repeat, no trap, and takes nothing
    /// back.
    pub fn bears_label(&self) -> bool {
        self.role.bears_label() && self.takes_back.is_none()
    }

    /// Whether two decisions say the same of a label: both that there is one, with the same words,
    /// or both the same state. Case, spaces and punctuation do not count.
    ///
    /// ```
    /// # use schema::{Decision, ReviewState};
    /// let accepted = Decision {
    ///     state: ReviewState::Accepted,
    ///     text: "Pleural effusion, left".to_owned(),
    ///     ..Decision::default()
    /// };
    /// let edited = Decision {
    ///     state: ReviewState::Edited,
    ///     text: "pleural effusion  left".to_owned(),
    ///     ..Decision::default()
    /// };
    /// assert!(accepted.agrees_with(&edited));
    /// ```
    pub fn agrees_with(&self, other: &Self) -> bool {
        if self.state.has_label() && other.state.has_label() {
            return normalised(&self.text) == normalised(&other.text);
        }
        self.state == other.state
    }
}

/// The words of a text in lower case, one space between them, without punctuation.
///
/// ```
/// assert_eq!(schema::normalised(" Kerley-B  lines. "), "kerley b lines");
/// ```
pub fn normalised(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_decision_is_written_as_it_always_was() {
        let decision = Decision {
            sae: "films".to_owned(),
            sae_hash: "ab".to_owned(),
            feature: FeatureId(3),
            state: ReviewState::Accepted,
            text: "nodule".to_owned(),
            reviewer: "A".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            ..Decision::default()
        };
        let written = serde_json::to_string(&decision).unwrap();
        assert_eq!(
            written,
            r#"{"sae":"films","sae_hash":"ab","feature":3,"state":"accepted","text":"nodule","edited_from":"","reviewer":"A","at":"2026-01-01T00:00:00Z"}"#
        );
        assert_eq!(
            serde_json::from_str::<Decision>(&written).unwrap(),
            decision
        );
    }

    #[test]
    fn what_readers_say_is_compared_by_words() {
        let say = |state, text: &str| Decision {
            state,
            text: text.to_owned(),
            ..Decision::default()
        };
        let nodule = say(ReviewState::Accepted, "Nodule");
        assert!(nodule.agrees_with(&say(ReviewState::Edited, "nodule.")));
        assert!(!nodule.agrees_with(&say(ReviewState::Edited, "mass")));
        assert!(!nodule.agrees_with(&say(ReviewState::Unsure, "")));
        assert!(
            say(ReviewState::Rejected, "").agrees_with(&say(ReviewState::Rejected, "whatever"))
        );
    }
}
