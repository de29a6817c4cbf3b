//! Puts the sentences of a phantom report into one order; knows no other words than the reader.

use super::FINDINGS;
use super::report_reader::{ReportState, report_states};

/// The same sentences, those that state a finding as present first, then those that negate one or
/// speak of an earlier one, then the rest; each group in the order of [`FINDINGS`], equals as they
/// stood.
///
/// A writer that always picks its likeliest next word loses count of what it has said when
/// sentences come in any order; in this one, the place in the report says what is left to say.
pub fn in_finding_order(text: &str) -> String {
    let mut sentences: Vec<(usize, usize, &str)> = text
        .split_inclusive('.')
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
        .map(|sentence| {
            let first = |is_wanted: fn(ReportState) -> bool| {
                FINDINGS
                    .iter()
                    .position(|finding| report_states(sentence, finding).is_some_and(is_wanted))
            };
            let present = first(|state| state == ReportState::Present).map(|i| (0, i));
            let other = || first(|_| true).map(|i| (1, i));
            let (group, finding) = present.or_else(other).unwrap_or((2, 0));
            (group, finding, sentence)
        })
        .collect();
    sentences.sort_by_key(|&(group, finding, _)| (group, finding));
    let sentences: Vec<&str> = sentences.iter().map(|sentence| sentence.2).collect();
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::radiograph;

    #[test]
    fn present_findings_come_first() {
        let text = "Bones are intact. No nodule. Pacemaker in place. Prior left effusion has \
                    resolved. Heart is enlarged without pneumothorax.";
        assert_eq!(
            in_finding_order(text),
            "Heart is enlarged without pneumothorax. Pacemaker in place. Prior left effusion has \
             resolved. No nodule. Bones are intact."
        );
    }

    #[test]
    fn what_is_stated_stays_the_same() {
        for index in 0..40 {
            let report = radiograph(3, index, 64).record.report.unwrap_or_default();
            let ordered = in_finding_order(&report.text());
            assert_eq!(ordered.len(), report.text().len());
            for finding in FINDINGS {
                assert_eq!(
                    report_states(&ordered, finding),
                    report_states(&report.text(), finding)
                );
            }
        }
    }
}
