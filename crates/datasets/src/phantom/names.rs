//! In which words an explanation names a planted finding.

use super::FINDINGS;

/// For each finding of [`FINDINGS`] the names it goes by; a name is said where all its words are.
const NAMES: [&[&str]; FINDINGS.len()] = [
    &["cardiomegaly", "enlarged heart", "heart enlargement"],
    &["left effusion", "left effusions"],
    &["right effusion", "right effusions"],
    &["pneumothorax"],
    &["nodule", "nodules", "round lesion"],
    &["consolidation", "airspace opacity"],
    &["pacemaker", "pacing device"],
    // "Central" and "venous" are said of nothing else.
    &["central", "venous catheter"],
    &["endotracheal", "breathing tube"],
    &["rotation", "rotated"],
    &["portable"],
    &["laterality", "side letter"],
];

/// Whether `text` names a finding of [`FINDINGS`]: all words of one of its names occur in it, as
/// whole words in any order and case. A name of no finding is named by nothing.
///
/// "Effusion" does not name the left effusion, "effusion, pleural, left" does.
pub fn is_named(finding: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    let said: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let names = FINDINGS.iter().zip(NAMES);
    names
        .filter(|&(&known, _)| known == finding)
        .flat_map(|(_, names)| names)
        .any(|name| name.split(' ').all(|word| said.contains(&word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_said_by_all_its_words() {
        assert!(is_named("left effusion", "effusion, pleural, Left"));
        assert!(!is_named("left effusion", "pleural effusion"));
        assert!(!is_named("left effusion", "right pleural effusion"));
        assert!(is_named("central line", "Central; catheter"));
        assert!(!is_named("nodule", "nodular opacity"));
        assert!(!is_named("fracture", "fracture"));
    }

    #[test]
    fn every_finding_is_named_by_one_of_its_names_only() {
        for (at, names) in NAMES.iter().enumerate() {
            for name in *names {
                let named: Vec<usize> = (0..FINDINGS.len())
                    .filter(|&other| is_named(FINDINGS[other], name))
                    .collect();
                assert_eq!(named, [at], "{name}");
            }
        }
    }
}
