//! What stands for a feature when several readers have decided, some of them more than once.

use std::collections::{BTreeMap, BTreeSet};

use schema::{CaseRole, Decision, ReviewState};

/// A decision with the number of its line in the journal, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the line.
    pub line: u64,
    /// What it says.
    pub decision: Decision,
}

/// What stands for one feature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// One reader's state, that on which all readers agree, the adjudicated one, or
    /// [`ReviewState::Conflict`].
    pub state: ReviewState,
    /// The label; empty without one.
    pub text: String,
    /// The latest valid decision of each reader on the label, by line; adjudications are apart.
    pub readings: Vec<Record>,
    /// The decision that settled what the readers differ on.
    pub adjudication: Option<Record>,
}

/// Those of a feature's records, ascending by line, that were not taken back and take nothing back.
pub fn valid_records(records: &[Record]) -> Vec<&Record> {
    let mut taken_back = BTreeSet::new();
    let mut valid: Vec<&Record> = Vec::new();
    for record in records.iter().rev() {
        if taken_back.contains(&record.line) {
            continue;
        }
        match record.decision.takes_back {
            Some(line) => {
                taken_back.insert(line);
            }
            None => valid.push(record),
        }
    }
    valid.reverse();
    valid
}

/// What stands for a feature, from all its records, ascending by line.
///
/// Of each reader the latest valid decision counts; repeats and traps never do, nor do skips. One
/// reader: theirs. Several that agree ([`Decision::agrees_with`]): the earliest. Several that
/// differ: a conflict, until somebody adjudicates. A later decision of the adjudicator takes the
/// adjudication's place; one of another reader that differs from it is a conflict again.
pub fn standing(records: &[Record]) -> Standing {
    let mut latest: BTreeMap<&str, &Record> = BTreeMap::new();
    let mut judged: Option<&Record> = None;
    for record in valid_records(records) {
        let decision = &record.decision;
        if !decision.bears_label() {
            continue;
        }
        let own = judged.is_some_and(|judged| judged.decision.reviewer == decision.reviewer);
        if decision.state.has_say() && (own || decision.role == CaseRole::Adjudication) {
            judged = Some(record);
        } else if decision.state != ReviewState::Skipped
            || latest
                .get(decision.reviewer.as_str())
                .is_none_or(|earlier| !earlier.decision.state.has_say())
        {
            // To pass a feature by takes nothing back.
            latest.insert(&decision.reviewer, record);
        }
    }
    let mut readings: Vec<&Record> = latest.into_values().collect();
    readings.sort_by_key(|record| record.line);
    let mut says = judged
        .into_iter()
        .chain(readings.iter().copied().filter(|record| {
            record.decision.state.has_say() && !judged.is_some_and(|judged| settles(judged, record))
        }));
    let (state, text) = match says.next() {
        None if readings
            .iter()
            .any(|record| record.decision.state == ReviewState::Skipped) =>
        {
            (ReviewState::Skipped, String::new())
        }
        None => (ReviewState::Unseen, String::new()),
        Some(first) if says.all(|other| first.decision.agrees_with(&other.decision)) => {
            (first.decision.state, first.decision.text.clone())
        }
        Some(_) => (ReviewState::Conflict, String::new()),
    };
    Standing {
        state,
        text,
        readings: readings.into_iter().cloned().collect(),
        adjudication: judged.cloned(),
    }
}

/// Whether an adjudication was made in sight of a reading: one that was made here, of every reading
/// before it; one that was taken in, of those before it in the same file.
fn settles(judged: &Record, reading: &Record) -> bool {
    match (&judged.decision.origin, &reading.decision.origin) {
        (None, _) => reading.line < judged.line,
        (Some(from), Some(read_from)) => from.file == read_from.file && reading.line < judged.line,
        (Some(_), None) => false,
    }
}

/// The lines that a reviewer may take back next: by undo their latest decision that was not taken
/// back, by redo the latest undo after which they decided nothing new. What was taken in from
/// another journal is not among them.
///
/// `records` are those of one or several features, ascending by line.
pub fn undo_and_redo<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    reviewer: &str,
) -> (Option<&'a Record>, Option<&'a Record>) {
    let mut done: Vec<&Record> = Vec::new();
    let mut undone: Vec<(&Record, &Record)> = Vec::new();
    for record in records {
        let decision = &record.decision;
        if decision.reviewer != reviewer || decision.origin.is_some() {
            continue;
        }
        let Some(line) = decision.takes_back else {
            done.push(record);
            undone.clear();
            continue;
        };
        if let Some(at) = done.iter().rposition(|known| known.line == line) {
            undone.push((record, done.remove(at)));
        } else if let Some(at) = undone.iter().rposition(|(undo, _)| undo.line == line) {
            done.push(undone.remove(at).1);
        }
    }
    (done.last().copied(), undone.last().map(|(undo, _)| *undo))
}

#[cfg(test)]
mod tests {
    use schema::Origin;

    use super::*;

    fn record(line: u64, reviewer: &str, state: ReviewState, text: &str) -> Record {
        Record {
            line,
            decision: Decision {
                state,
                text: text.to_owned(),
                reviewer: reviewer.to_owned(),
                ..Decision::default()
            },
        }
    }

    fn in_role(role: CaseRole, mut record: Record) -> Record {
        record.decision.role = role;
        record
    }

    fn taking_back(line: u64, reviewer: &str, other: u64) -> Record {
        let mut record = record(line, reviewer, ReviewState::Unseen, "");
        record.decision.takes_back = Some(other);
        record
    }

    fn stands(records: &[Record]) -> (ReviewState, String) {
        let standing = standing(records);
        (standing.state, standing.text)
    }

    #[test]
    fn an_adjudication_from_elsewhere_settles_only_what_it_saw() {
        use ReviewState::{Conflict, Edited, Rejected};
        let from = |file: &str, mut record: Record| {
            record.decision.origin = Some(Origin {
                file: file.to_owned(),
                ..Origin::default()
            });
            record
        };
        let carl = |line| {
            in_role(
                CaseRole::Adjudication,
                record(line, "Carl", Edited, "nodule"),
            )
        };
        let ada = record(0, "Ada", Rejected, "");
        // Read here, before the file came: Carl never saw it.
        assert_eq!(stands(&[ada.clone(), from("c.jsonl", carl(1))]).0, Conflict);
        // In the same file before it: settled.
        let same = [from("c.jsonl", ada.clone()), from("c.jsonl", carl(1))];
        assert_eq!(stands(&same), (Edited, "nodule".to_owned()));
        let other = [from("a.jsonl", ada.clone()), from("c.jsonl", carl(1))];
        assert_eq!(stands(&other).0, Conflict);
        assert_eq!(stands(&[ada, carl(1)]).0, Edited);
    }

    #[test]
    fn readers_stand_beside_each_other_until_somebody_adjudicates() {
        use ReviewState::{Accepted, Conflict, Edited, Rejected, Skipped, Unseen};
        let mut records = vec![record(0, "a", Accepted, "nodule")];
        assert_eq!(stands(&records), (Accepted, "nodule".to_owned()));
        records.push(record(1, "b", Skipped, ""));
        assert_eq!(stands(&records), (Accepted, "nodule".to_owned()));
        records.push(record(2, "b", Edited, "Nodule."));
        assert_eq!(stands(&records), (Accepted, "nodule".to_owned()));
        records.push(record(3, "b", Rejected, ""));
        assert_eq!(stands(&records), (Conflict, String::new()));
        let mut passed_by = records.clone();
        passed_by.push(record(4, "b", Skipped, ""));
        assert_eq!(stands(&passed_by).0, Conflict);
        assert_eq!(standing(&records).readings.len(), 2);
        records.push(in_role(
            CaseRole::Adjudication,
            record(4, "c", Edited, "mass"),
        ));
        assert_eq!(stands(&records), (Edited, "mass".to_owned()));
        assert_eq!(standing(&records).readings.len(), 2);
        // The adjudicator's own second thought counts; a reader's opens the case again.
        records.push(record(5, "c", Edited, "a mass"));
        assert_eq!(stands(&records), (Edited, "a mass".to_owned()));
        records.push(record(6, "a", Edited, "A mass"));
        assert_eq!(stands(&records), (Edited, "a mass".to_owned()));
        records.push(record(7, "b", Rejected, ""));
        assert_eq!(stands(&records).0, Conflict);
        records.push(taking_back(8, "b", 7));
        assert_eq!(stands(&records).0, Edited);
        assert_eq!(stands(&[record(0, "a", Skipped, "")]).0, Skipped);
        assert_eq!(stands(&[]).0, Unseen);
    }

    #[test]
    fn repeats_and_traps_never_change_a_label() {
        use ReviewState::{Accepted, Rejected};
        let records = [
            record(0, "a", Rejected, ""),
            in_role(CaseRole::Trap, record(1, "a", Accepted, "of another")),
            in_role(CaseRole::Repeat, record(2, "a", Accepted, "mass")),
        ];
        assert_eq!(stands(&records), (Rejected, String::new()));
        assert_eq!(standing(&records).readings.len(), 1);
    }

    #[test]
    fn undo_and_redo_walk_over_a_reviewers_own_lines() {
        use ReviewState::{Accepted, Rejected};
        let mut records = vec![
            record(0, "a", Accepted, "one"),
            record(1, "b", Accepted, "two"),
            record(2, "a", Rejected, ""),
        ];
        let lines = |records: &[Record]| {
            let (undo, redo) = undo_and_redo(records, "a");
            (undo.map(|r| r.line), redo.map(|r| r.line))
        };
        assert_eq!(lines(&records), (Some(2), None));
        records.push(taking_back(3, "a", 2));
        assert_eq!(lines(&records), (Some(0), Some(3)));
        assert_eq!(valid_records(&records).len(), 2);
        records.push(taking_back(4, "a", 0));
        assert_eq!(lines(&records), (None, Some(4)));
        // Redo takes the undo back.
        records.push(taking_back(5, "a", 4));
        assert_eq!(lines(&records), (Some(0), Some(3)));
        assert_eq!(valid_records(&records).len(), 2);
        records.push(taking_back(6, "a", 3));
        assert_eq!(lines(&records), (Some(2), None));
        assert_eq!(valid_records(&records).len(), 3);
        records.push(taking_back(7, "a", 2));
        // A new decision ends what could be restored.
        records.push(record(8, "a", Accepted, "three"));
        assert_eq!(lines(&records), (Some(8), None));
    }
}
