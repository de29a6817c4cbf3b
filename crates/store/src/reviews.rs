//! Decisions, explanations and settings: first the journal, then the database.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schema::{Association, Decision, DetectionAnswers, Explanation, FeatureId, ReviewState};
use serde::{Deserialize, Serialize};

use crate::database::{Database, Table};
use crate::datasets::to_json_lines;
use crate::error::AtPath as _;
use crate::journal::{Journal, JournalLine, Receipt};
use crate::standing::{Record, Standing, standing};
use crate::{ArtefactKind, Durability, Project, Result, StoreError, write_atomically};

mod kept;
mod reading;

pub(crate) use kept::DATABASE_LINES;

/// File of a dictionary that decisions are bound to.
const WEIGHTS: &str = "sae.safetensors";
/// The journal of decisions.
const DECISIONS: &str = "decisions.jsonl";
/// The journal of detection tests.
const DETECTIONS: &str = "detections.jsonl";

/// How far the journal was taken into the database.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct TakenIn {
    n_lines: u64,
    head: String,
}

/// The journal of detection tests, and what it says.
#[derive(Debug)]
struct Detections {
    journal: Journal<DetectionAnswers>,
    answers: Vec<DetectionAnswers>,
}

/// The journals, and the database that follows that of the decisions.
#[derive(Debug)]
pub(crate) struct Reviews {
    journal: Mutex<Journal<Decision>>,
    detections: Mutex<Detections>,
    pub(crate) database: Database,
}

impl Reviews {
    /// Opens both and brings the database up to the journal. Returns what the user should know.
    pub(crate) fn open(root: &Path) -> Result<(Self, Vec<String>)> {
        let (journal, lines, torn) = Journal::open(root, DECISIONS)?;
        let (detections, tests, torn_test) = Journal::open(root, DETECTIONS)?;
        let (database, damaged) = Database::open(root)?;
        let mut notices: Vec<String> = torn.into_iter().chain(torn_test).chain(damaged).collect();
        let reviews = Self::of(
            (journal, &lines),
            (detections, tests),
            database,
            &mut notices,
        );
        notices.extend(reviews.follow(&lines)?);
        reviews.take_in_backup(root)?;
        Ok((reviews, notices))
    }

    fn of(
        (journal, lines): (Journal<Decision>, &[JournalLine<Decision>]),
        (detections, tests): (
            Journal<DetectionAnswers>,
            Vec<JournalLine<DetectionAnswers>>,
        ),
        database: Database,
        notices: &mut Vec<String>,
    ) -> Self {
        for line in lines {
            if let Err(what) = &line.record {
                notices.push(format!(
                    "line {} of {}: {what}; its decision is not shown",
                    line.line + 1,
                    journal.path().display()
                ));
            }
        }
        for line in &tests {
            if let Err(what) = &line.record {
                notices.push(format!(
                    "line {} of {}: {what}; its answers are not shown",
                    line.line + 1,
                    detections.path().display()
                ));
            }
        }
        Self {
            journal: Mutex::new(journal),
            detections: Mutex::new(Detections {
                journal: detections,
                answers: tests
                    .into_iter()
                    .filter_map(|line| line.record.ok())
                    .collect(),
            }),
            database,
        }
    }

    /// Adds lines that the database lacks, or rebuilds its reviews if it contradicts the journal.
    fn follow(&self, lines: &[JournalLine<Decision>]) -> Result<Option<String>> {
        if self.follows(lines)? {
            return Ok(None);
        }
        let notice = self.set_lost_decisions_aside(lines)?;
        self.rebuild(lines)?;
        Ok(notice)
    }

    fn rebuild(&self, lines: &[JournalLine<Decision>]) -> Result<()> {
        self.database.clear(Table::Reviews)?;
        self.database.clear(Table::Journal)?;
        self.take_in(lines)
    }

    /// Adds lines that the database lacks; false, and nothing is added, if it contradicts them.
    fn follows(&self, lines: &[JournalLine<Decision>]) -> Result<bool> {
        let taken_in: TakenIn = self
            .database
            .get(Table::Journal, b"taken in")?
            .unwrap_or_default();
        let n_taken = usize::try_from(taken_in.n_lines).unwrap_or(usize::MAX);
        let n_good =
            |lines: &[JournalLine<Decision>]| lines.iter().filter(|l| l.record.is_ok()).count();
        let agrees = n_taken == 0
            || lines
                .get(n_taken - 1)
                .is_some_and(|line| line.hash == taken_in.head);
        // More than was noted is possible: a killed process noted less than it had put.
        let n_stored = self.database.len(Table::Reviews)?;
        let complete = agrees && {
            let at_least = n_good(&lines[..n_taken]);
            (at_least..=n_good(lines)).contains(&n_stored)
        };
        if complete {
            self.take_in(&lines[n_taken..])?;
        }
        Ok(complete)
    }

    fn take_in(&self, lines: &[JournalLine<Decision>]) -> Result<()> {
        let Some(last) = lines.last() else {
            return Ok(());
        };
        let mut pairs = Vec::new();
        for line in lines {
            if let Ok(decision) = &line.record {
                pairs.push((review_key(decision, line.line), decision));
            }
        }
        self.database.put(Table::Reviews, &pairs)?;
        self.note(last.line + 1, &last.hash)
    }

    fn note(&self, n_lines: u64, head: &str) -> Result<()> {
        let taken_in = TakenIn {
            n_lines,
            head: head.to_owned(),
        };
        self.database
            .put(Table::Journal, &[(b"taken in".to_vec(), taken_in)])
    }

    /// Decisions that the database has and the journal lost are written beside the journal.
    fn set_lost_decisions_aside(&self, lines: &[JournalLine<Decision>]) -> Result<Option<String>> {
        let stored: Vec<(Vec<u8>, Decision)> = self.database.scan(Table::Reviews, b"")?;
        let lost: Vec<Decision> = stored
            .into_iter()
            .map(|(_, decision)| decision)
            .filter(|decision| !lines.iter().any(|l| l.record.as_ref() == Ok(decision)))
            .collect();
        if lost.is_empty() {
            return Ok(None);
        }
        let journal = self.journal();
        let mut n = 1;
        let path = loop {
            let path = journal.path().with_file_name(format!("lost-{n}.jsonl"));
            if !path.exists() {
                break path;
            }
            n += 1;
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).at(folder)?;
        }
        write_atomically(&path, &to_json_lines(&lost)?, Durability::PowerCut)?;
        Ok(Some(format!(
            "{} lacks {} decisions that the database had; they were written to {}",
            journal.path().display(),
            lost.len(),
            path.display()
        )))
    }

    fn decide(&self, decision: &Decision) -> Result<Receipt> {
        let mut journal = self.journal();
        let receipt = journal.append(decision)?;
        // The lock is kept, so that the database follows in the journal's order.
        self.database
            .put(
                Table::Reviews,
                &[(review_key(decision, receipt.line), decision)],
            )
            .and_then(|()| self.note(journal.n_lines(), journal.head()))
            .map_err(|error| StoreError::DatabaseLags {
                what: error.to_string(),
            })?;
        Ok(receipt)
    }

    /// What is wrong with journal and database, as file and clause.
    pub(crate) fn faults(&self) -> Result<Vec<(std::path::PathBuf, String)>> {
        let journal = self.journal();
        let mut found = Vec::new();
        let (on_disk, lines) = crate::journal::faults::<Decision>(journal.path())?;
        let n_damaged = lines.len() as u64;
        for (line, what) in lines {
            found.push((journal.path().to_owned(), format!("line {line}: {what}")));
        }
        let n_lines = journal.n_lines();
        if on_disk != n_lines {
            let what = format!("it has {on_disk} lines, written were {n_lines}");
            found.push((journal.path().to_owned(), what));
        }
        let detections = self.detections();
        let (_, lines) = crate::journal::faults::<DetectionAnswers>(detections.journal.path())?;
        for (line, what) in lines {
            let path = detections.journal.path().to_owned();
            found.push((path, format!("line {line}: {what}")));
        }
        let n_stored = self.database.len(Table::Reviews)? as u64;
        if n_stored + n_damaged < n_lines {
            let what = format!("it holds {n_stored} of the journal's {n_lines} decisions");
            found.push((self.database.path().to_owned(), what));
        }
        let readable = || -> Result<()> {
            self.database.scan::<Decision>(Table::Reviews, b"")?;
            for table in Table::KEPT {
                self.database.scan::<serde_json::Value>(table, b"")?;
            }
            Ok(())
        };
        if let Err(error) = readable() {
            found.push((self.database.path().to_owned(), error.to_string()));
        }
        Ok(found)
    }

    fn journal(&self) -> MutexGuard<'_, Journal<Decision>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn detections(&self) -> MutexGuard<'_, Detections> {
        self.detections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Project {
    /// BLAKE3 of the weights of dictionary `sae`, which decisions and explanations are bound to.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Unfinished`]; [`StoreError::Invalid`] if it has no
    /// `sae.safetensors`.
    pub fn sae_hash(&self, sae: &str) -> Result<String> {
        self.file_hash(ArtefactKind::Sae, sae, WEIGHTS)
    }

    /// Records a reviewer's decision. When this returns, the decision survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::DifferentDictionary`] if it was made on other weights;
    /// [`StoreError::Invalid`] if it accepts or edits without a text, or takes back what is not
    /// there; [`StoreError::Io`] if the journal cannot be written, and then nothing is recorded; [`StoreError::DatabaseLags`] if
    /// only the database could not.
    pub fn decide(&self, decision: &Decision) -> Result<Receipt> {
        if self.sae_hash(&decision.sae)? != decision.sae_hash {
            return Err(StoreError::DifferentDictionary {
                sae: decision.sae.clone(),
                feature: decision.feature.0,
            });
        }
        self.check_decision(decision)?;
        self.reviews.decide(decision)
    }

    fn check_decision(&self, decision: &Decision) -> Result<()> {
        let refuse = |what: &str| {
            Err(StoreError::invalid(format!(
                "feature {} {what}",
                decision.feature
            )))
        };
        if decision.state.has_label() && decision.text.trim().is_empty() {
            return refuse(&format!(
                "cannot be {} without a text",
                decision.state.word()
            ));
        }
        if decision.state == ReviewState::Conflict {
            return refuse(
                "cannot be decided to be in conflict: that is what readers who differ make",
            );
        }
        if decision.confidence.is_some_and(|n| !(1..=9).contains(&n)) {
            return refuse("has a confidence outside 1 to 9");
        }
        let Some(line) = decision.takes_back else {
            return Ok(());
        };
        let known = self
            .feature_records(&decision.sae, decision.feature)?
            .into_iter()
            .any(|record| record.line == line && record.decision.reviewer == decision.reviewer);
        if known {
            Ok(())
        } else {
            refuse(&format!(
                "has no decision of {} in line {} of the journal to take back",
                decision.reviewer,
                line + 1
            ))
        }
    }

    /// What stands for `feature`.
    ///
    /// # Errors
    /// As [`Self::sae_hash`]; [`StoreError::Database`].
    pub fn review(&self, sae: &str, feature: FeatureId) -> Result<Standing> {
        Ok(standing(&self.feature_records(sae, feature)?))
    }

    /// What stands for each feature of `sae` that somebody decided on.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn reviews(&self, sae: &str) -> Result<BTreeMap<FeatureId, Standing>> {
        let mut by_feature: BTreeMap<FeatureId, Vec<Record>> = BTreeMap::new();
        for record in self.records(sae)? {
            by_feature
                .entry(record.decision.feature)
                .or_default()
                .push(record);
        }
        Ok(by_feature
            .into_iter()
            .map(|(feature, records)| (feature, standing(&records)))
            .collect())
    }

    /// All decisions on `feature`, oldest first.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn history(&self, sae: &str, feature: FeatureId) -> Result<Vec<Decision>> {
        let records = self.feature_records(sae, feature)?;
        Ok(records.into_iter().map(|record| record.decision).collect())
    }

    /// All decisions on `sae` with their lines, in the journal's order.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn records(&self, sae: &str) -> Result<Vec<Record>> {
        self.records_under(&self.sae_key(sae)?)
    }

    /// The decisions that were made on other weights under the name `sae`, in the journal's order:
    /// they are kept, and never applied.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn stale_records(&self, sae: &str) -> Result<Vec<Record>> {
        let hash = self.sae_hash(sae)?;
        let mut name = sae.as_bytes().to_vec();
        name.push(0);
        let mut records = self.records_under(&name)?;
        records.retain(|record| record.decision.sae_hash != hash);
        Ok(records)
    }

    /// The hash of each line of the journal, in order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn journal_hashes(&self) -> Result<Vec<String>> {
        self.reviews.journal().hashes()
    }

    fn feature_records(&self, sae: &str, feature: FeatureId) -> Result<Vec<Record>> {
        self.records_under(&self.feature_key(sae, feature)?)
    }

    fn records_under(&self, prefix: &[u8]) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for (key, decision) in self.reviews.database.scan(Table::Reviews, prefix)? {
            let line = key
                .last_chunk()
                .map_or(0, |bytes| u64::from_be_bytes(*bytes));
            records.push(Record { line, decision });
        }
        records.sort_by_key(|record| record.line);
        Ok(records)
    }

    /// How many features of `sae` stand in each state; undecided ones are not counted.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn review_counts(&self, sae: &str) -> Result<BTreeMap<ReviewState, u64>> {
        let mut counts = BTreeMap::new();
        for standing in self.reviews(sae)?.into_values() {
            *counts.entry(standing.state).or_default() += 1;
        }
        Ok(counts)
    }

    /// Records a reader's answers to a detection test. When this returns, they survive a power cut.
    ///
    /// # Errors
    /// [`StoreError::DifferentDictionary`] if the test was made on other weights;
    /// [`StoreError::Io`] if the journal cannot be written, and then nothing is recorded.
    pub fn record_detection(&self, answers: &DetectionAnswers) -> Result<Receipt> {
        if self.sae_hash(&answers.sae)? != answers.sae_hash {
            return Err(StoreError::DifferentDictionary {
                sae: answers.sae.clone(),
                feature: answers.feature.0,
            });
        }
        let mut detections = self.reviews.detections();
        let receipt = detections.journal.append(answers)?;
        detections.answers.push(answers.clone());
        Ok(receipt)
    }

    /// The detection tests on `sae`, oldest first.
    ///
    /// # Errors
    /// As [`Self::sae_hash`].
    pub fn detections(&self, sae: &str) -> Result<Vec<DetectionAnswers>> {
        let hash = self.sae_hash(sae)?;
        let detections = self.reviews.detections();
        let of_sae = detections.answers.iter().filter(|one| one.sae_hash == hash);
        Ok(of_sae.cloned().collect())
    }

    /// Keeps explanations of features of `sae`. One that repeats what the same proposer said of
    /// the feature before is left out.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn put_explanations(&self, sae: &str, explanations: &[Explanation]) -> Result<()> {
        let mut added: BTreeMap<FeatureId, Vec<Explanation>> = BTreeMap::new();
        for new in explanations {
            let known = match added.entry(new.feature) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.explanations(sae, new.feature)?),
            };
            if !known
                .iter()
                .any(|old| old.text == new.text && old.by == new.by)
            {
                known.push(new.clone());
            }
        }
        let mut pairs = Vec::new();
        for (feature, known) in added {
            pairs.push((self.feature_key(sae, feature)?, known));
        }
        self.reviews.database.put(Table::Explanations, &pairs)
    }

    /// Puts `explanations` in the place of all that the proposer `by` said of features of `sae`
    /// before: a proposal that its proposer would no longer make is not left standing.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn replace_explanations(
        &self,
        sae: &str,
        by: &str,
        explanations: &[Explanation],
    ) -> Result<()> {
        let prefix = self.sae_key(sae)?;
        let all: Vec<(Vec<u8>, Vec<Explanation>)> =
            self.reviews.database.scan(Table::Explanations, &prefix)?;
        let mut kept: BTreeMap<Vec<u8>, Vec<Explanation>> = all.into_iter().collect();
        for known in kept.values_mut() {
            known.retain(|old| old.by != by);
        }
        for new in explanations {
            let key = self.feature_key(sae, new.feature)?;
            kept.entry(key).or_default().push(new.clone());
        }
        let pairs: Vec<_> = kept.into_iter().collect();
        self.reviews.database.put(Table::Explanations, &pairs)
    }

    /// Puts `explanations` in the place of what the proposer `by` said of these `features` of `sae`
    /// before. What it said of others stays.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn replace_explanations_of(
        &self,
        sae: &str,
        (by, features): (&str, &[FeatureId]),
        explanations: &[Explanation],
    ) -> Result<()> {
        let mut pairs = Vec::new();
        for &feature in features {
            let mut known = self.explanations(sae, feature)?;
            known.retain(|old| old.by != by);
            let new = explanations.iter().filter(|new| new.feature == feature);
            known.extend(new.cloned());
            pairs.push((self.feature_key(sae, feature)?, known));
        }
        self.reviews.database.put(Table::Explanations, &pairs)
    }

    /// Notes the scores of proposals that are there, found by feature, proposer and text; nothing
    /// else of them changes, nor their order.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn note_scores(&self, sae: &str, scored: &[Explanation]) -> Result<()> {
        let mut pairs = Vec::new();
        for one in scored {
            let mut known = self.explanations(sae, one.feature)?;
            for old in &mut known {
                if old.by == one.by && old.text == one.text {
                    old.score.clone_from(&one.score);
                    old.run.clone_from(&one.run);
                }
            }
            pairs.push((self.feature_key(sae, one.feature)?, known));
        }
        self.reviews.database.put(Table::Explanations, &pairs)
    }

    /// Explanations of `feature`, oldest first.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn explanations(&self, sae: &str, feature: FeatureId) -> Result<Vec<Explanation>> {
        let key = self.feature_key(sae, feature)?;
        let found = self.reviews.database.get(Table::Explanations, &key)?;
        Ok(found.unwrap_or_default())
    }

    /// The latest explanation of each explained feature of `sae`, by feature.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn latest_explanations(&self, sae: &str) -> Result<Vec<Explanation>> {
        let prefix = self.sae_key(sae)?;
        let all: Vec<(Vec<u8>, Vec<Explanation>)> =
            self.reviews.database.scan(Table::Explanations, &prefix)?;
        Ok(all
            .into_iter()
            .filter_map(|(_, mut explanations)| explanations.pop())
            .collect())
    }

    /// Keeps how features of `sae` go with findings or categories, in place of what was kept.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn put_associations(
        &self,
        sae: &str,
        associations: &[(FeatureId, Vec<Association>)],
    ) -> Result<()> {
        let mut pairs = Vec::new();
        for (feature, table) in associations {
            pairs.push((self.feature_key(sae, *feature)?, table));
        }
        self.reviews.database.put(Table::Associations, &pairs)
    }

    /// How `feature` goes with findings or categories; empty if that was not computed.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub fn associations(&self, sae: &str, feature: FeatureId) -> Result<Vec<Association>> {
        let key = self.feature_key(sae, feature)?;
        let found = self.reviews.database.get(Table::Associations, &key)?;
        Ok(found.unwrap_or_default())
    }

    /// A setting of the project, e.g. `reviewer`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        self.reviews.database.get(Table::Settings, name.as_bytes())
    }

    /// Changes a setting of the project.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_setting(&self, name: &str, value: &str) -> Result<()> {
        self.reviews
            .database
            .put(Table::Settings, &[(name.as_bytes().to_vec(), value)])
    }

    /// Changes a setting of the project; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_setting_durably(&self, name: &str, value: &str) -> Result<()> {
        self.set_setting(name, value)?;
        self.reviews.database.flush()
    }

    pub(crate) fn sae_key(&self, sae: &str) -> Result<Vec<u8>> {
        Ok(key_of(sae, &self.sae_hash(sae)?))
    }

    fn feature_key(&self, sae: &str, feature: FeatureId) -> Result<Vec<u8>> {
        let mut key = self.sae_key(sae)?;
        key.extend_from_slice(&feature.0.to_be_bytes());
        Ok(key)
    }
}

/// Name and hash of a dictionary; neither contains a zero byte.
fn key_of(sae: &str, sae_hash: &str) -> Vec<u8> {
    let mut key = sae.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(sae_hash.as_bytes());
    key.push(0);
    key
}

fn review_key(decision: &Decision, line: u64) -> Vec<u8> {
    let mut key = key_of(&decision.sae, &decision.sae_hash);
    key.extend_from_slice(&decision.feature.0.to_be_bytes());
    key.extend_from_slice(&line.to_be_bytes());
    key
}
