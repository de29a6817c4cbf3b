//! Decisions for Argilla 2: the list of records that its `Dataset.records.from_json` reads.
//!
//! A record per feature: `fields`, `metadata`, `suggestions` by question (the proposed label) and
//! `responses` by question, one per reader. Argilla knows readers by UUID; here that is made from
//! the name, and `metadata` says whose it is.

use std::collections::BTreeMap;
use std::path::Path;

use schema::{Decision, FeatureId};
use serde_json::{Map, Value, json};

use crate::error::{EngineError, Result};
use crate::named_files::write_output;
use crate::session::Session;
use crate::views::{ExampleContent, ExampleView, SAFETY};

/// Tokens or items of an example that are written out.
const N_SHOWN: usize = 12;

impl Session {
    /// Writes what stands for each reader on each feature that has a proposal or a decision.
    /// Returns the number of records.
    ///
    /// # Errors
    /// When there is no such dictionary or the file cannot be written.
    pub fn export_argilla(&self, sae: &str, file: &Path) -> Result<usize> {
        let hash = self.indexed(sae)?.dictionary.hash.clone();
        let labels = self.labels(sae)?;
        let mut readings: BTreeMap<FeatureId, Vec<Decision>> =
            labels.proposed().map(|id| (id, Vec::new())).collect();
        for (feature, standing) in labels.reviewed() {
            // A reader has one response; who adjudicated has the adjudication.
            let own: BTreeMap<&str, &Decision> = standing
                .readings
                .iter()
                .chain(&standing.adjudication)
                .map(|record| (record.decision.reviewer.as_str(), &record.decision))
                .collect();
            readings
                .entry(feature)
                .or_default()
                .extend(own.into_values().cloned());
        }
        let records = readings
            .iter()
            .map(|(&feature, decisions)| self.argilla_record(sae, &hash, feature, decisions))
            .collect::<Result<Vec<_>>>()?;
        let mut text = serde_json::to_string_pretty(&records)
            .map_err(|error| EngineError::other(error.to_string()))?;
        text.push('\n');
        write_output(file, text.as_bytes())?;
        Ok(records.len())
    }

    fn argilla_record(
        &self,
        sae: &str,
        hash: &str,
        feature: FeatureId,
        decisions: &[Decision],
    ) -> Result<Value> {
        let card = self.feature_card(sae, feature)?;
        let mut metadata = json!({
            "sae": sae, "sae_hash": hash, "feature": feature, "density": card.density,
            "max_activation": card.max_activation, "state": card.state, "note": SAFETY,
        });
        let mut suggestions = Map::new();
        if let Some(explanation) = self.labels(sae)?.explanation(feature) {
            let published = explanation.source.as_ref().and_then(|source| source.score);
            let score = published.or(explanation.score.as_ref().map(|score| score.value));
            suggestions.insert(
                "label".to_owned(),
                json!({ "value": explanation.text, "score": score, "agent": explanation.by }),
            );
        }
        let evidence: Vec<String> = card.top.iter().map(shown).collect();
        let mut responses: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut readers = Map::new();
        for decision in decisions {
            let user = reader_id(&decision.reviewer);
            readers.insert(user.clone(), json!(decision.reviewer));
            let mut answer = |question: &'static str, value: Value| {
                let answer = json!({ "value": value, "user_id": user, "status": "submitted" });
                responses.entry(question).or_default().push(answer);
            };
            answer("decision", json!(decision.state.word()));
            if !decision.text.is_empty() {
                answer("label", json!(decision.text));
            }
            if let Some(confidence) = decision.confidence {
                answer("confidence", json!(confidence));
            }
        }
        // Metadata of Argilla are numbers and texts.
        metadata["readers"] = json!(Value::Object(readers).to_string());
        Ok(json!({
            "id": format!("{sae}-{feature}"),
            "fields": {
                "feature": format!("Feature {feature} of {sae}"),
                "evidence": format!("{}\n{SAFETY}", evidence.join("\n")),
            },
            "metadata": metadata,
            "suggestions": suggestions,
            "responses": responses,
            "vectors": {},
        }))
    }
}

/// An example in words, its active tokens or items in brackets.
fn shown(example: &ExampleView) -> String {
    let active = |text: &str, activation: f32| {
        if activation > 0.0 {
            format!("[{text}]")
        } else {
            text.to_owned()
        }
    };
    let words = match &example.content {
        ExampleContent::Film { .. } => String::from("a film"),
        ExampleContent::Text { tokens } => {
            let strongest = tokens
                .iter()
                .position(|token| token.activation == example.activation)
                .unwrap_or(0);
            let near = tokens.iter().skip(strongest.saturating_sub(N_SHOWN / 2));
            near.take(N_SHOWN)
                .map(|token| active(&token.text, token.activation))
                .collect()
        }
        ExampleContent::History { items } => {
            let items = items.iter().take(N_SHOWN);
            let titles: Vec<String> = items
                .map(|item| active(&item.title, item.activation))
                .collect();
            titles.join(", ")
        }
    };
    format!(
        "Sample {}, {:.3}: {words}",
        example.sample, example.activation
    )
}

/// A UUID (version 8 of RFC 9562) that is always the same for a name.
fn reader_id(name: &str) -> String {
    let hash = store::blake3_of_bytes(name.as_bytes());
    let part = |from: usize, n: usize| hash.get(from..from + n).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 4),
        part(12, 3),
        part(15, 3),
        part(18, 12)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_one_id() {
        let id = reader_id("Dr Ä");
        assert_eq!(id, reader_id("Dr Ä"));
        assert_ne!(id, reader_id("Dr B"));
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
