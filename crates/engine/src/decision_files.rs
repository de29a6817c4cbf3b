//! Decisions out to a file, and another reader's decisions in from one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schema::{Decision, FeatureId, Origin, ReviewState};
use serde::{Deserialize, Serialize};

use crate::csv_field::quoted;
use crate::error::{EngineError, Result};
use crate::labels::Labels;
use crate::named_files::{check_input, write_output};
use crate::packet_answers::are_answers;
use crate::session::Session;
use crate::views::SAFETY;

/// A decision as it stands in another journal, or was made elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignRecord {
    /// Number of its line there, from 0; what other records of the same file take back by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Hash of that line, by which it is known again; empty where there is none, and then the same
    /// decision of the same reviewer at the same second is taken for the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

/// What an import of decisions did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportedDecisions {
    /// Records in the file.
    pub n_records: u64,
    /// Records that were appended to the journal.
    pub n_new: u64,
    /// Records that were there already.
    pub n_known: u64,
    /// Readers in the file.
    pub readers: Vec<String>,
    /// Features on which readers differ now and did not before.
    pub new_conflicts: Vec<FeatureId>,
    /// Features on which readers differ now.
    pub n_conflicts: u64,
}

impl ImportedDecisions {
    /// What was done, in a sentence without full stop.
    pub fn sentence(&self) -> String {
        let readers = if self.readers.is_empty() {
            "no reader".to_owned()
        } else {
            self.readers.join(", ")
        };
        format!(
            "Took in {} of {} decisions of {readers}; {} were here already; readers differ on {} \
             features",
            self.n_new, self.n_records, self.n_known, self.n_conflicts
        )
    }
}

/// What goes between readers who work on different computers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionExchange {
    /// All decisions on a dictionary, into a file: JSON Lines, or a table where its name ends in
    /// `.csv`.
    HandOut,
    /// Another reader's decisions, or the answers to a packet, from a file.
    TakeIn,
    /// A page with features to decide on in a browser.
    Packet {
        /// Features that nobody decided on, drawn for it.
        limit: usize,
        /// Whether the reader must write a label before the proposed one is shown.
        write_first: bool,
    },
}

/// What a record is known again by.
type Identity = String;

impl Session {
    /// Writes every decision on a dictionary, oldest first, undo and redo among them: JSON Lines, or
    /// a table where the file's name ends in `.csv`. Returns how many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn export_decisions(&self, sae: &str, file: &Path) -> Result<usize> {
        let hashes = self.project.journal_hashes()?;
        let records: Vec<ForeignRecord> = self
            .project
            .records(sae)?
            .into_iter()
            .map(|record| ForeignRecord {
                line: Some(record.line),
                hash: hashes
                    .get(record.line as usize)
                    .cloned()
                    .unwrap_or_default(),
                decision: record.decision,
            })
            .collect();
        let is_table = file
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        let text = if is_table {
            // Decisions outlive their dictionary.
            let view = self.dictionary_view(sae);
            table(&records, view.map_or(SAFETY, |view| view.kind.safety()))
        } else {
            let mut text = String::new();
            for record in &records {
                text += &serde_json::to_string(record)
                    .map_err(|error| EngineError::other(error.to_string()))?;
                text.push('\n');
            }
            text
        };
        write_output(file, text.as_bytes())?;
        Ok(records.len())
    }

    /// Appends the decisions of a file that [`Session::export_decisions`] wrote as JSON Lines, of
    /// another project's journal, or of a packet's answers. What is there already is not doubled.
    /// `reviewer`, where given, is the name they are taken in under.
    ///
    /// # Errors
    /// When the file is damaged, or holds a decision on another dictionary or on a feature that is
    /// not there; then nothing is taken in.
    pub fn import_decisions(
        &self,
        sae: &str,
        file: &Path,
        reviewer: Option<&str>,
    ) -> Result<ImportedDecisions> {
        check_input(
            file,
            "an export of decisions (.jsonl) or the answers to a packet",
        )?;
        let text = std::fs::read_to_string(file)
            .map_err(|error| EngineError::request(format!("{}: {error}", file.display())))?;
        if are_answers(&text) {
            return self.import_answers(sae, (file, &text), reviewer);
        }
        let mut records = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let mut record: ForeignRecord = serde_json::from_str(line).map_err(|error| {
                EngineError::request(format!(
                    "{}, line {}: {error}; expected a file of \"review export\" that ends in .jsonl",
                    file.display(),
                    number + 1
                ))
            })?;
            if let Some(name) = reviewer {
                name.trim().clone_into(&mut record.decision.reviewer);
            }
            records.push(record);
        }
        let name = file.file_name().map_or_else(
            || file.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        self.import_records(sae, records, &name)
    }

    /// Appends decisions that were made elsewhere, in their order; `from` is the file they come
    /// from, as it is shown. What is there already is not doubled.
    ///
    /// # Errors
    /// When one was made on another dictionary, on a feature that is not there or takes back a line
    /// that is not among them; then nothing is taken in.
    pub fn import_records(
        &self,
        sae: &str,
        records: Vec<ForeignRecord>,
        from: &str,
    ) -> Result<ImportedDecisions> {
        for (number, record) in (1..).zip(&records) {
            self.check_foreign(sae, record).map_err(|what| {
                EngineError::request(format!("{from}, decision {number}: {what}"))
            })?;
        }
        let before = conflicts(self.labels(sae)?.as_ref());
        let mut known = self.known_records(sae)?;
        let mut outcome = ImportedDecisions {
            n_records: records.len() as u64,
            ..ImportedDecisions::default()
        };
        let lines = targets(&records, from)?;
        let readers: BTreeSet<&str> = records
            .iter()
            .map(|record| record.decision.reviewer.as_str())
            .collect();
        outcome.readers = readers.into_iter().map(str::to_owned).collect();
        for (record, target) in records.into_iter().zip(lines) {
            let identity = identity(&record);
            if known.contains_key(&identity) {
                outcome.n_known += 1;
                continue;
            }
            let mut decision = record.decision;
            sae.clone_into(&mut decision.sae);
            decision.takes_back = target.and_then(|target| known.get(&target).copied());
            decision.origin = Some(decision.origin.unwrap_or(Origin {
                file: from.to_owned(),
                line: record.line,
                hash: record.hash,
            }));
            let recorded = self.append(decision)?;
            known.insert(identity, recorded.line);
            outcome.n_new += 1;
        }
        self.forget_queue();
        let after = conflicts(self.labels(sae)?.as_ref());
        outcome.n_conflicts = after.len() as u64;
        outcome.new_conflicts = after.difference(&before).copied().collect();
        Ok(outcome)
    }

    fn check_foreign(&self, sae: &str, record: &ForeignRecord) -> std::result::Result<(), String> {
        let indexed = self.indexed(sae).map_err(|error| error.message)?;
        let decision = &record.decision;
        if decision.sae_hash != indexed.dictionary.hash {
            return Err(format!(
                "it was made on another dictionary than {sae}: its weights have the hash {}, those \
                 of {sae} {}; nothing was taken in",
                short(&decision.sae_hash),
                short(&indexed.dictionary.hash)
            ));
        }
        if decision.reviewer.trim().is_empty() {
            return Err("it has no reviewer's name".to_owned());
        }
        if decision.confidence.is_some_and(|n| !(1..=9).contains(&n)) {
            return Err("its confidence is not 1 to 9".to_owned());
        }
        if decision.state.has_label() && decision.text.trim().is_empty() {
            return Err(format!("it is {} without a text", decision.state.word()));
        }
        // A proposed text that was accepted as shown may be longer than what a reviewer may write.
        let is_as_shown = decision.state == ReviewState::Accepted
            && decision
                .shown
                .as_ref()
                .is_some_and(|shown| shown.text == decision.text);
        let written = if is_as_shown {
            "as shown"
        } else {
            decision.text.as_str()
        };
        self.check_decision(sae, decision.feature, decision.state, written)
            .map_err(|error| error.message)
    }

    /// The line of each known record by its identity.
    fn known_records(&self, sae: &str) -> Result<BTreeMap<Identity, u64>> {
        let hashes = self.project.journal_hashes()?;
        let mut known = BTreeMap::new();
        for record in self.project.records(sae)? {
            known.insert(content(&record.decision), record.line);
            if let Some(hash) = hashes.get(record.line as usize) {
                known.insert(hash.clone(), record.line);
            }
            if let Some(origin) = &record.decision.origin
                && !origin.hash.is_empty()
            {
                known.insert(origin.hash.clone(), record.line);
            }
        }
        Ok(known)
    }
}

/// The identity of what each record takes back; that must stand before it, on the same feature and
/// of the same reader, so that no import stops half-way.
fn targets(records: &[ForeignRecord], from: &str) -> Result<Vec<Option<Identity>>> {
    let mut before: BTreeMap<u64, &ForeignRecord> = BTreeMap::new();
    let mut targets = Vec::with_capacity(records.len());
    for (number, record) in (1..).zip(records) {
        let own = &record.decision;
        targets.push(match own.takes_back {
            None => None,
            Some(line) => {
                let target = before.get(&line).filter(|target| {
                    let taken = &target.decision;
                    taken.feature == own.feature && taken.reviewer == own.reviewer
                });
                let Some(target) = target else {
                    return Err(EngineError::request(format!(
                        "{from}, decision {number}: it takes back line {line}, and the file has no \
                         decision of {} on feature {} with that line before it",
                        own.reviewer, own.feature
                    )));
                };
                Some(identity(target))
            }
        });
        if let Some(line) = record.line {
            before.insert(line, record);
        }
    }
    Ok(targets)
}

fn conflicts(labels: &Labels) -> BTreeSet<FeatureId> {
    labels
        .reviewed()
        .filter(|(_, standing)| standing.state == ReviewState::Conflict)
        .map(|(feature, _)| feature)
        .collect()
}

/// The hash of the line where the decision was first written, else its content.
fn identity(record: &ForeignRecord) -> Identity {
    let origin = record.decision.origin.as_ref();
    match origin.map(|origin| origin.hash.as_str()) {
        Some(hash) if !hash.is_empty() => hash.to_owned(),
        _ if !record.hash.is_empty() => record.hash.clone(),
        _ => content(&record.decision),
    }
}

fn content(decision: &Decision) -> Identity {
    format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        decision.feature,
        decision.reviewer,
        decision.at,
        decision.state.word(),
        decision.role.word(),
        decision.text
    )
}

fn short(hash: &str) -> String {
    let start: String = hash.chars().take(12).collect();
    format!("{start}…")
}

/// The columns of a table of decisions.
const COLUMNS: &str = "line,at,reviewer,feature,state,text,proposed,proposed_by,role,mode,\
wrote_first,confidence,flagged,seconds,examples,heatmap,window_changed,takes_back_line,from_file,\
dictionary,dictionary_hash,note";

/// A line per decision; `note` stands at the end of each.
fn table(records: &[ForeignRecord], note: &str) -> String {
    let mut text = format!("{COLUMNS}\n");
    for record in records {
        let decision = &record.decision;
        let shown = decision.shown.as_ref();
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let shown_text = |of: &dyn Fn(&schema::Shown) -> String| shown.map(of).unwrap_or_default();
        let cells = [
            number(record.line),
            decision.at.clone(),
            decision.reviewer.clone(),
            decision.feature.to_string(),
            decision.state.word().to_owned(),
            decision.text.clone(),
            decision.edited_from.clone(),
            shown_text(&|shown| shown.by.clone()),
            decision.role.word().to_owned(),
            shown_text(&|shown| shown.mode.word().to_owned()),
            decision.wrote_first.clone(),
            number(decision.confidence.map(u64::from)),
            decision.flagged.to_string(),
            shown_text(&|shown| format!("{:.3}", shown.milliseconds as f64 / 1000.0)),
            shown_text(&|shown| shown.n_examples.to_string()),
            shown_text(&|shown| shown.heatmap.to_string()),
            shown_text(&|shown| shown.window_changed.to_string()),
            number(decision.takes_back),
            decision
                .origin
                .as_ref()
                .map(|origin| origin.file.clone())
                .unwrap_or_default(),
            decision.sae.clone(),
            decision.sae_hash.clone(),
            note.to_owned(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
        text += &cells.join(",");
        text.push('\n');
    }
    text
}

/// A cell as RFC 4180 has it; one that a spreadsheet would take for a formula begins with `'`.
fn csv_cell(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    quoted(if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_every_cell_in_its_place() {
        let record = ForeignRecord {
            line: Some(4),
            decision: Decision {
                text: "mass, \"left\"\nupper".to_owned(),
                reviewer: "=HYPERLINK(1)".to_owned(),
                state: ReviewState::Edited,
                ..Decision::default()
            },
            ..ForeignRecord::default()
        };
        let table = table(&[record], SAFETY);
        assert!(table.ends_with(",\"Research use, not for diagnosis\"\n"));
        assert!(table.contains(",'=HYPERLINK(1),0,edited,\"mass, \"\"left\"\"\nupper\","));
        let columns = COLUMNS.split(',').count();
        let commas = table.replace("\"mass, \"\"left\"\"\nupper\"", "x");
        let commas = commas.replace("\"Research use, not for diagnosis\"", "x");
        assert_eq!(commas.lines().nth(1).unwrap().split(',').count(), columns);
    }
}
