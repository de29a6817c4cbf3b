//! Flags: features that a reader wants somebody to look at again, and who has looked since.

use schema::Decision;
use store::Record;

/// Whether the latest valid decision of anybody on a feature is flagged. A repeat or a trap can set
/// a flag, and takes none away: it says nothing of the label.
///
/// `records` are those of one feature, ascending by line.
pub(crate) fn is_flagged(records: &[Record]) -> bool {
    latest(records, |_| true).is_some_and(|decision| decision.flagged)
}

/// Whether a feature is in the queue of flagged ones of this reader: it is flagged, or it was until
/// they answered. So the cases keep their numbers while the reader goes through them.
pub(crate) fn was_flagged_for(records: &[Record], reviewer: &str) -> bool {
    let of_others = |decision: &Decision| decision.reviewer != reviewer;
    latest(records, of_others).is_some_and(|decision| decision.flagged)
}

/// Whether this reader has decided since somebody flagged the feature, and nobody else has flagged
/// it since then.
pub(crate) fn has_answered(records: &[Record], reviewer: &str) -> bool {
    let valid = store::valid_records(records);
    let bears =
        |record: &&Record| record.decision.bears_label() && record.decision.reviewer == reviewer;
    let Some(answer) = valid.iter().rposition(bears) else {
        return false;
    };
    let is_flagged = |record: &&Record| record.decision.flagged;
    let by_others = |record: &&Record| is_flagged(record) && record.decision.reviewer != reviewer;
    valid[..answer].iter().any(is_flagged) && !valid[answer + 1..].iter().any(by_others)
}

/// The latest valid decision that sets a flag, or that bears a label and `counts`.
fn latest(records: &[Record], counts: impl Fn(&Decision) -> bool) -> Option<&Decision> {
    store::valid_records(records)
        .into_iter()
        .map(|record| &record.decision)
        .rfind(|decision| decision.flagged || (decision.bears_label() && counts(decision)))
}

#[cfg(test)]
mod tests {
    use schema::{CaseRole, ReviewState};

    use super::*;

    fn record(line: u64, reviewer: &str, flagged: bool) -> Record {
        Record {
            line,
            decision: Decision {
                state: ReviewState::Unsure,
                reviewer: reviewer.to_owned(),
                flagged,
                ..Decision::default()
            },
        }
    }

    fn taking_back(line: u64, other: u64) -> Record {
        let mut record = record(line, "Ada", false);
        record.decision.takes_back = Some(other);
        record
    }

    #[test]
    fn a_flag_stands_until_somebody_decides_again_and_is_taken_back_with_its_decision() {
        assert!(!is_flagged(&[]));
        assert!(!is_flagged(&[record(0, "Ada", false)]));
        let mut records = vec![record(0, "Ada", true)];
        assert!(is_flagged(&records));
        let mut repeat = record(1, "Ada", false);
        repeat.decision.role = CaseRole::Repeat;
        records.push(repeat);
        assert!(is_flagged(&records));
        records.push(record(2, "Grace", false));
        assert!(!is_flagged(&records));
        // Grace's answer is taken back: the flag stands again.
        let mut undo = taking_back(3, 2);
        undo.decision.reviewer = "Grace".to_owned();
        records.push(undo);
        assert!(is_flagged(&records));
        assert!(!is_flagged(&[record(0, "Ada", true), taking_back(1, 0)]));
    }

    #[test]
    fn who_answers_a_flag_is_done_with_it_and_keeps_the_case() {
        let mut records = vec![record(0, "Ada", true)];
        let told = |records: &[Record], reviewer: &str| {
            let is_there = was_flagged_for(records, reviewer);
            (is_there, has_answered(records, reviewer))
        };
        // Whoever flagged a feature may look again too.
        assert_eq!(told(&records, "Ada"), (true, false));
        assert_eq!(told(&records, "Grace"), (true, false));
        records.push(record(1, "Grace", false));
        assert_eq!(told(&records, "Grace"), (true, true));
        assert_eq!(told(&records, "Ada"), (false, false));
        assert!(!is_flagged(&records));
        // Flagged anew by another, it comes up again; by oneself, it is for others.
        records.push(record(2, "Ada", true));
        assert_eq!(told(&records, "Grace"), (true, false));
        assert_eq!(told(&records, "Ada"), (true, true));
        records.push(record(3, "Grace", true));
        assert_eq!(told(&records, "Grace"), (true, true));
        assert_eq!(told(&records, "Ada"), (true, false));
    }
}
