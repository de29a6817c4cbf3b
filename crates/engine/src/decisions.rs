//! A decision from what the reviewer did to the synced journal; undo and redo.

use schema::{CaseRole, Decision, FeatureId, ReviewState, Shown};
use serde::{Deserialize, Serialize};
use store::Record;

use crate::error::{EngineError, Result};
use crate::labels::Labels;
use crate::session::Session;

/// Who decided, where no name is given.
const UNNAMED: &str = "unnamed reviewer";

/// What a reviewer decides on one feature; also one line of `review decide`'s input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Which feature.
    pub feature: FeatureId,
    /// What is decided.
    pub state: ReviewState,
    /// The reviewer's text, for edited. Accepted without one takes the text that was shown.
    #[serde(default)]
    pub text: String,
    /// Who decides; empty for nobody named.
    #[serde(default)]
    pub reviewer: String,
    /// Why the feature was shown.
    #[serde(default)]
    pub role: CaseRole,
    /// What was on the screen.
    #[serde(default)]
    pub shown: Option<Shown>,
    /// What the reviewer wrote before the proposal was revealed.
    #[serde(default)]
    pub wrote_first: String,
    /// How sure, 1 to 9.
    #[serde(default)]
    pub confidence: Option<u8>,
    /// Flagged for a second look.
    #[serde(default)]
    pub flagged: bool,
}

/// A decision that is durable: in the synced journal and in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Number of its line in the journal, from 0.
    pub line: u64,
    /// Hash of that line.
    pub hash: String,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Session {
    /// Records a decision on a feature's label. When this returns it is in the synced journal, then
    /// in the database.
    ///
    /// # Errors
    /// As [`Session::check_decision`]; when the journal cannot be written, nothing is changed.
    pub fn decide(
        &self,
        sae: &str,
        feature: FeatureId,
        state: ReviewState,
        text: &str,
        reviewer: &str,
    ) -> Result<Decision> {
        let request = DecisionRequest {
            feature,
            state,
            text: text.to_owned(),
            reviewer: reviewer.to_owned(),
            ..DecisionRequest::default()
        };
        Ok(self.record(sae, &request)?.decision)
    }

    /// Records a decision with all that is known of how it was made. When this returns it is in the
    /// synced journal, then in the database.
    ///
    /// # Errors
    /// As [`Session::check_decision`]; when the journal cannot be written, nothing is changed.
    pub fn record(&self, sae: &str, request: &DecisionRequest) -> Result<Recorded> {
        let labels = self.labels(sae)?;
        let shown = match &request.shown {
            Some(shown) => shown.text.clone(),
            None => labels.proposal(request.feature),
        };
        let text = match request.state {
            ReviewState::Accepted if request.text.trim().is_empty() => {
                let text = if shown.is_empty() && request.shown.is_none() {
                    labels.caption(request.feature)
                } else {
                    shown.clone()
                };
                self.check_decision(sae, request.feature, ReviewState::Accepted, &text)?;
                text
            }
            state => {
                self.check_decision(sae, request.feature, state, &request.text)?;
                if state.has_label() {
                    request.text.trim().to_owned()
                } else {
                    String::new()
                }
            }
        };
        self.append(Decision {
            sae: sae.to_owned(),
            sae_hash: self.indexed(sae)?.dictionary.hash.clone(),
            feature: request.feature,
            state: request.state,
            text,
            edited_from: shown,
            reviewer: named(&request.reviewer).to_owned(),
            at: store::utc_now(),
            role: request.role,
            shown: request.shown.clone(),
            wrote_first: request.wrote_first.trim().to_owned(),
            confidence: request.confidence,
            flagged: request.flagged,
            takes_back: None,
            origin: None,
        })
    }

    /// Appends a decision to the journal, then to what is kept in memory.
    pub(crate) fn append(&self, decision: Decision) -> Result<Recorded> {
        let receipt = self.project.decide(&decision)?;
        self.add_to_labels(
            &decision.sae,
            Record {
                line: receipt.line,
                decision: decision.clone(),
            },
        );
        Ok(Recorded {
            line: receipt.line,
            hash: receipt.hash,
            decision,
        })
    }

    /// Takes back the reviewer's last decision on a dictionary that was not taken back, whichever
    /// session it was made in, by a new record. `None` when there is nothing to take back.
    ///
    /// # Errors
    /// When the dictionary does not exist or the journal cannot be written.
    pub fn undo(&self, sae: &str, reviewer: &str) -> Result<Option<Recorded>> {
        let labels = self.labels(sae)?;
        let (last, _) = store::undo_and_redo(labels.records(), named(reviewer));
        last.map(|record| self.take_back(&labels, record))
            .transpose()
    }

    /// Takes back the reviewer's last undo on a dictionary, so that the decision stands again.
    /// `None` when there is none, or something new was decided since.
    ///
    /// # Errors
    /// When the dictionary does not exist or the journal cannot be written.
    pub fn redo(&self, sae: &str, reviewer: &str) -> Result<Option<Recorded>> {
        let labels = self.labels(sae)?;
        let (_, undone) = store::undo_and_redo(labels.records(), named(reviewer));
        undone
            .map(|record| self.take_back(&labels, record))
            .transpose()
    }

    fn take_back(&self, labels: &Labels, taken: &Record) -> Result<Recorded> {
        let of = &taken.decision;
        let mut undo = Decision {
            sae: of.sae.clone(),
            sae_hash: of.sae_hash.clone(),
            feature: of.feature,
            reviewer: of.reviewer.clone(),
            at: store::utc_now(),
            role: of.role,
            takes_back: Some(taken.line),
            ..Decision::default()
        };
        // What stands for the reviewer afterwards, so that the line can be read by itself.
        let mut after = labels.records_of(of.feature).to_vec();
        after.push(Record {
            line: u64::MAX,
            decision: undo.clone(),
        });
        let reading = store::valid_records(&after)
            .into_iter()
            .rfind(|record| {
                record.decision.bears_label() && record.decision.reviewer == of.reviewer
            })
            .map(|record| &record.decision);
        if let Some(reading) = reading {
            undo.state = reading.state;
            undo.text.clone_from(&reading.text);
        }
        self.append(undo)
    }

    /// Every decision on a dictionary, in the journal's order, undo and redo among them.
    ///
    /// # Errors
    /// When the dictionary does not exist or the database cannot be read.
    pub fn decisions(&self, sae: &str) -> Result<Vec<Decision>> {
        let labels = self.labels(sae)?;
        let records = labels.records().into_iter();
        Ok(records.map(|record| record.decision.clone()).collect())
    }

    /// Decisions that were made on other weights under the dictionary's name. They are kept and
    /// shown as stale, and never applied.
    ///
    /// # Errors
    /// When the dictionary does not exist or the database cannot be read.
    pub fn stale_decisions(&self, sae: &str) -> Result<Vec<Decision>> {
        let records = self.project.stale_records(sae)?;
        Ok(records.into_iter().map(|record| record.decision).collect())
    }
}

/// The name as it stands in the journal.
pub(crate) fn named(reviewer: &str) -> &str {
    let name = reviewer.trim();
    if name.is_empty() { UNNAMED } else { name }
}

/// Refuses a decision that was made in sight of another proposal than the present one. Where it is
/// not said what was shown, as on the command line, nothing is refused.
///
/// # Errors
/// When they differ.
pub(crate) fn check_shown(shown: Option<&str>, proposal: &str) -> Result<()> {
    if shown.is_none_or(|shown| shown == proposal) {
        return Ok(());
    }
    Err(EngineError::request(
        "the proposal has changed meanwhile: look at it again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_on_another_text_than_the_present_proposal_is_refused() {
        assert!(check_shown(Some("nodule"), "nodule").is_ok());
        assert!(check_shown(Some(""), "").is_ok());
        assert!(check_shown(None, "nodule").is_ok());
        let refused = check_shown(Some("nodule"), "mass").unwrap_err();
        assert_eq!(
            refused.message,
            "the proposal has changed meanwhile: look at it again"
        );
        assert!(check_shown(Some(""), "mass").is_err());
    }
}
