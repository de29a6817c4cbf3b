//! Reads which findings a report in the words of the phantom generator states; knows no other words.

use super::FINDINGS;

/// How a report speaks of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportState {
    /// It was there earlier and is there no more.
    Prior,
    /// It is not there.
    Absent,
    /// It is there.
    Present,
}

/// Words by which a finding is named, in the order of [`FINDINGS`]; effusions are read apart.
const WORDS: [&[&str]; FINDINGS.len()] = [
    &["cardiomegaly", "heart", "cardiac"],
    &["effusion", "effusions", "costophrenic"],
    &["effusion", "effusions", "costophrenic"],
    &["pneumothorax"],
    &["nodule", "lesion", "clear"],
    &["consolidation", "opacity", "clear"],
    &["pacemaker", "pacing"],
    &["line", "catheter", "lines"],
    &["endotracheal", "breathing", "tubes"],
    &["rotated", "rotation"],
    &["portable"],
    &["letter", "laterality"],
];

/// Words that put a clause in the past.
const PRIOR: &[&str] = &[
    "prior",
    "previous",
    "previously",
    "resolved",
    "removed",
    "cleared",
    "longer",
];

/// Words that negate a clause.
const ABSENT: &[&str] = &["no", "not", "normal", "sharp", "clear", "without"];

/// How `text` speaks of `finding`, one of [`FINDINGS`]; `None` where it does not.
///
/// Reads sentence by sentence, and what follows "without" as a clause of its own. Understands the
/// words of phantom reports alone (a model trained on them writes no others). Where sentences
/// disagree, present outweighs absent, and absent outweighs prior.
pub fn report_states(text: &str, finding: &str) -> Option<ReportState> {
    let finding = FINDINGS.iter().position(|name| *name == finding)?;
    let text = text.to_lowercase();
    let mut strongest = None;
    for sentence in text.split('.') {
        let words: Vec<&str> = sentence
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let cut = words.iter().position(|word| *word == "without");
        let (head, tail) = words.split_at(cut.unwrap_or(words.len()));
        strongest = strongest
            .max(clause_states(head, finding))
            .max(clause_states(tail, finding));
    }
    strongest
}

fn clause_states(words: &[&str], finding: usize) -> Option<ReportState> {
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if !has(WORDS[finding]) {
        return None;
    }
    // A pleural line is no catheter.
    if finding == 7
        && words
            .windows(2)
            .all(|pair| pair[1] != "line" || pair[0] == "pleural")
        && !has(&["catheter", "lines"])
    {
        return None;
    }
    let other_side = match finding {
        1 => has(&["right"]) && !has(&["left"]),
        2 => has(&["left"]) && !has(&["right"]),
        _ => false,
    };
    if other_side {
        return None;
    }
    Some(if has(PRIOR) {
        ReportState::Prior
    } else if has(ABSENT) {
        ReportState::Absent
    } else {
        ReportState::Present
    })
}
