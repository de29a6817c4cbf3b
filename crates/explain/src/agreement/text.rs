//! How alike two readers' free texts are.

use crate::agreement::AgreementEstimate;
use crate::agreement::bootstrap::over_features;

/// Likeness of free texts over pairs of readers and features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextAgreement {
    /// Share of pairs with the same text, by [`same_text`].
    pub exact: AgreementEstimate,
    /// Mean [`edit_similarity`] of pairs.
    pub edit: AgreementEstimate,
}

/// Whether two texts are the same but for case and white space.
///
/// # Example
/// ```
/// assert!(explain::agreement::same_text("Pleural  effusion ", "pleural effusion"));
/// assert!(!explain::agreement::same_text("effusion", "effusions"));
/// ```
pub fn same_text(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

/// `1 - edits / length of the longer text`, in characters, without regard to case and white space:
/// 1 for the same text, 0 where nothing is shared. `None` for two empty texts.
///
/// # Source
/// Levenshtein 1966; the normalisation that Label Studio's text similarity uses.
///
/// # Example
/// From "kitten" to "sitting" it is 3 edits, of 7 characters.
/// ```
/// use explain::agreement::edit_similarity;
/// assert_eq!(edit_similarity("kitten", "Sitting"), Some(1.0 - 3.0 / 7.0));
/// assert_eq!(edit_similarity("", " "), None);
/// ```
pub fn edit_similarity(a: &str, b: &str) -> Option<f64> {
    let (a, b) = (folded(a), folded(b));
    let longer = a.len().max(b.len());
    (longer > 0).then(|| 1.0 - n_edits(&a, &b) as f64 / longer as f64)
}

/// [`same_text`] and [`edit_similarity`] averaged over the pairs of readers of a feature, then over
/// the features that at least two wrote a text for; empty texts count as none.
///
/// # Shapes
/// - `rows`: `[n_features][n_readers]`
///
/// # Determinism
/// The intervals are functions of texts and seed.
///
/// # Example
/// ```
/// let rows = [vec![Some("rib"), Some("Rib")], vec![Some("rib"), Some("ribs")], vec![Some("rib"), None]];
/// let alike = explain::agreement::text_agreement(&rows, 0);
/// assert_eq!((alike.exact.value, alike.exact.n_features), (Some(0.5), 2));
/// assert_eq!(alike.edit.value, Some((1.0 + 0.75) / 2.0));
/// ```
pub fn text_agreement(rows: &[Vec<Option<&str>>], seed: u64) -> TextAgreement {
    let by_feature: Vec<Option<(f64, f64)>> = rows.iter().map(|row| pairs(row)).collect();
    let compared: Vec<usize> = (0..rows.len())
        .filter(|&feature| by_feature[feature].is_some())
        .collect();
    let estimate = |of: fn((f64, f64)) -> f64| {
        let mean = |weights: &[u32]| {
            let (mut sum, mut total) = (0.0, 0.0);
            for (value, &weight) in by_feature.iter().zip(weights) {
                if let Some(value) = *value {
                    sum += f64::from(weight) * of(value);
                    total += f64::from(weight);
                }
            }
            (total > 0.0).then(|| sum / total)
        };
        AgreementEstimate {
            value: mean(&vec![1; rows.len()]),
            interval: over_features(&compared, rows.len(), seed, &mean),
            n_features: compared.len(),
        }
    };
    TextAgreement {
        exact: estimate(|(exact, _)| exact),
        edit: estimate(|(_, edit)| edit),
    }
}

/// Mean exactness and similarity over the pairs of texts of one feature.
fn pairs(row: &[Option<&str>]) -> Option<(f64, f64)> {
    let texts: Vec<&str> = row
        .iter()
        .flatten()
        .copied()
        .filter(|text| !text.trim().is_empty())
        .collect();
    let (mut exact, mut edit, mut n) = (0.0, 0.0, 0.0);
    for (i, a) in texts.iter().enumerate() {
        for b in texts.iter().skip(i + 1) {
            exact += f64::from(u8::from(same_text(a, b)));
            edit += edit_similarity(a, b).unwrap_or(0.0);
            n += 1.0;
        }
    }
    (n > 0.0).then(|| (exact / n, edit / n))
}

fn folded(text: &str) -> Vec<char> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").chars().collect()
}

/// Levenshtein's distance: insertions, deletions and substitutions at 1 each.
fn n_edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_by_hand() {
        let edits = |a: &str, b: &str| n_edits(&folded(a), &folded(b));
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("flaw", "lawn"), 2);
        assert_eq!(edits("Überfüllung", "überfüllung"), 0);
        assert_eq!(edit_similarity("ab", "xy"), Some(0.0));
    }

    #[test]
    fn texts_without_a_pair_have_no_value() {
        let alone = text_agreement(&[vec![Some("rib"), Some(" ")], vec![None, None]], 0);
        assert_eq!((alone.exact.value, alone.edit.interval), (None, None));
        assert_eq!(alone.exact.n_features, 0);
    }
}
