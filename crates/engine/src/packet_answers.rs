//! The answers that a packet's page saves, as decisions of its reader.

use std::path::Path;

use schema::{Decision, FeatureId, ReviewMode, ReviewState, Shown};
use serde::Deserialize;

use crate::decision_files::{ForeignRecord, ImportedDecisions};
use crate::error::{EngineError, Result};
use crate::session::Session;

/// What a file of answers calls itself.
const FORMAT: &str = "fluoroscope-answers";

/// A file of answers.
#[derive(Debug, Deserialize)]
struct Answers {
    format: String,
    version: u32,
    packet: String,
    sae_hash: String,
    reviewer: String,
    #[serde(default)]
    mode: ReviewMode,
    #[serde(rename = "answers")]
    given: Vec<Answer>,
}

/// What the reader said of one feature.
#[derive(Debug, Deserialize)]
struct Answer {
    feature: FeatureId,
    state: ReviewState,
    #[serde(default)]
    text: String,
    /// The proposed label.
    #[serde(default)]
    shown: String,
    /// What proposed it.
    #[serde(default)]
    by: String,
    #[serde(default)]
    wrote_first: String,
    #[serde(default)]
    confidence: Option<u8>,
    #[serde(default)]
    flagged: bool,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    n_examples: u32,
    #[serde(default)]
    heatmap: bool,
    at: String,
}

/// Whether a text is a file of answers, well-formed or not, and no list of decisions.
pub(crate) fn are_answers(text: &str) -> bool {
    // A list of decisions has an object on each line; answers are one object that says what it is.
    let head: String = text
        .chars()
        .take(400)
        .filter(|c| !c.is_whitespace())
        .collect();
    head.starts_with(&format!("{{\"format\":\"{FORMAT}\""))
}

impl Session {
    /// Takes the answers to a packet, a file and its text, in as decisions of the reader who gave
    /// them.
    ///
    /// An answer that is there already is not doubled, and one that is older than what the same
    /// reader said of the feature since does not replace it: both count as known. `reviewer`, where
    /// given, is the name they are taken in under.
    ///
    /// # Errors
    /// When the file is damaged, holds answers to another dictionary or names a feature that is
    /// not there; then nothing is taken in.
    pub(crate) fn import_answers(
        &self,
        sae: &str,
        (file, text): (&Path, &str),
        reviewer: Option<&str>,
    ) -> Result<ImportedDecisions> {
        let name = file.display();
        let answers: Answers = serde_json::from_str(text).map_err(|error| {
            EngineError::request(format!(
                "{name}: {error}; expected a file that \"Save answers\" of a packet wrote"
            ))
        })?;
        if answers.format != FORMAT || answers.version != 1 {
            return Err(EngineError::request(format!(
                "{name}: it says {} {}; expected {FORMAT} 1",
                answers.format, answers.version
            )));
        }
        let reader = reviewer.unwrap_or(&answers.reviewer).trim().to_owned();
        let labels = self.labels(sae)?;
        let known = labels.records();
        let is_past = |record: &ForeignRecord| {
            let own = &record.decision;
            known.iter().map(|record| &record.decision).any(|other| {
                other.reviewer == own.reviewer && other.feature == own.feature && other.at > own.at
            })
        };
        let records: Vec<ForeignRecord> = answers
            .given
            .iter()
            .map(|answer| record(&answers, answer, &reader, sae))
            .collect::<std::result::Result<_, String>>()
            .map_err(|what| EngineError::request(format!("{name}: {what}")))?;
        let from = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let n_records = records.len() as u64;
        // A file for another dictionary is refused whole, also where all of it is past.
        let foreign = records
            .iter()
            .any(|record| record.decision.sae_hash != answers.sae_hash);
        let (past, new): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| !foreign && is_past(record));
        let mut outcome = self.import_records(sae, new, &from)?;
        outcome.n_records = n_records;
        outcome.n_known += past.len() as u64;
        Ok(outcome)
    }
}

fn record(
    answers: &Answers,
    answer: &Answer,
    reader: &str,
    sae: &str,
) -> std::result::Result<ForeignRecord, String> {
    if !is_moment(&answer.at) {
        return Err(format!(
            "feature {} was answered at \"{}\"; expected a time such as 2026-01-31T08:15:00Z",
            answer.feature, answer.at
        ));
    }
    let has_label = answer.state.has_label();
    let decision = Decision {
        sae: sae.to_owned(),
        sae_hash: answers.sae_hash.clone(),
        feature: answer.feature,
        state: answer.state,
        text: if has_label {
            answer.text.trim().to_owned()
        } else {
            String::new()
        },
        edited_from: answer.shown.clone(),
        reviewer: reader.to_owned(),
        at: answer.at.clone(),
        shown: Some(Shown {
            text: answer.shown.clone(),
            by: answer.by.clone(),
            mode: answers.mode,
            milliseconds: (answer.seconds.max(0.0) * 1000.0).round() as u64,
            n_examples: answer.n_examples,
            heatmap: answer.heatmap,
            ..Shown::default()
        }),
        wrote_first: answer.wrote_first.clone(),
        confidence: answer.confidence,
        flagged: answer.flagged,
        ..Decision::default()
    };
    // Time on the item goes on after an answer; it is no part of what the answer is known by.
    let identity = serde_json::json!([
        answers.packet,
        answers.sae_hash,
        reader,
        answer.feature,
        answer.state,
        decision.text,
        answer.confidence,
        answer.flagged,
        answer.at,
    ]);
    Ok(ForeignRecord {
        line: None,
        hash: store::blake3_of_bytes(identity.to_string().as_bytes()),
        decision,
    })
}

/// Whether a text is a time in UTC to the second, as the journal has it.
fn is_moment(text: &str) -> bool {
    let pattern = b"0000-00-00T00:00:00Z";
    text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(got, wanted)| match wanted {
            b'0' => got.is_ascii_digit(),
            wanted => got == *wanted,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_decisions() {
        assert!(are_answers(
            "{\n \"format\": \"fluoroscope-answers\",\n \"version\": 1"
        ));
        assert!(!are_answers(
            "{\"sae\":\"films\",\"feature\":3}\n{\"sae\":\"films\"}"
        ));
        assert!(!are_answers(""));
    }

    #[test]
    fn moments_of_the_journal_only() {
        assert!(is_moment("2026-01-31T08:15:00Z"));
        for other in [
            "2026-01-31T08:15:00.5Z",
            "2026-01-31",
            "2026-01-31T08:15:00+0",
        ] {
            assert!(!is_moment(other), "{other}");
        }
    }
}
