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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::super::plan::Plan;
    use super::super::report::compose;
    use super::*;

    fn check(text: &str, finding: &str, expected: Option<ReportState>) {
        assert_eq!(report_states(text, finding), expected, "{finding}: {text}");
    }

    #[test]
    fn reads_sides_negation_and_the_past() {
        use ReportState::{Absent, Present, Prior};
        let text = "Small left pleural effusion without pneumothorax. Prior nodule has resolved.";
        check(text, "left effusion", Some(Present));
        check(text, "right effusion", None);
        check(text, "pneumothorax", Some(Absent));
        check(text, "nodule", Some(Prior));
        check("No pleural effusion.", "right effusion", Some(Absent));
        check("A pleural line shows a pneumothorax.", "central line", None);
        check("Right central line.", "right effusion", None);
        check("Heart is enlarged.", "cardiomegaly", Some(Present));
        check("Heart is enlarged.", "no such finding", None);
    }

    #[test]
    fn two_thousand_reports_are_read_exactly() {
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        for _ in 0..2_000 {
            let plan = Plan::draw(&mut rng);
            let (report, stated) = compose(&mut rng, &plan);
            let text = report.text();
            for ((finding, present), stated) in FINDINGS.iter().zip(plan.present()).zip(stated) {
                check(&text, finding, stated);
                assert_eq!(
                    stated == Some(ReportState::Present),
                    present,
                    "{finding}: {text}"
                );
            }
        }
    }

    #[test]
    fn others_stand_negated_or_past_in_few_words() {
        let mut rng = ChaCha8Rng::seed_from_u64(78);
        let (mut sentences, mut others) = (0_u32, 0_u32);
        let mut vocabulary = BTreeSet::new();
        let mut texts = BTreeSet::new();
        for _ in 0..1_000 {
            let plan = Plan::draw(&mut rng);
            let (report, _) = compose(&mut rng, &plan);
            let text = report.text();
            let count = text.split_whitespace().count();
            assert!((25..=60).contains(&count), "{count} words: {text}");
            for sentence in text.split_inclusive('.') {
                sentences += 1;
                others += u32::from(FINDINGS.iter().any(|finding| {
                    report_states(sentence, finding)
                        .is_some_and(|state| state != ReportState::Present)
                }));
            }
            for part in [&text, &report.indication, &report.comparison] {
                vocabulary.extend(
                    part.split(|c: char| !c.is_ascii_alphanumeric())
                        .filter(|word| !word.is_empty())
                        .map(str::to_owned),
                );
            }
            texts.insert(text);
        }
        let share = f64::from(others) / f64::from(sentences);
        assert!(share >= 0.30, "share {share}");
        assert!(share <= 0.80, "share {share}");
        assert!(vocabulary.len() < 400, "{} words", vocabulary.len());
        assert!(texts.len() > 990, "{} different reports", texts.len());
    }
}
