//! What of a dictionary can be compared with a published list of features and titles: `RecSAE`
//! published the five construction cases of 1,004 features.

use std::collections::BTreeSet;
use std::path::Path;

use explain::{CaseRule, title_coherence};
use serde::Deserialize;

use super::feature_set::FeatureSet;
use super::rows::TestRows;
use crate::error::{EngineError, Result};
use crate::views::{DistinctItemsView, TitleCoherenceView};

/// The published file in the folder that the user names.
const LIST: &str = "latents.jsonl";

/// Construction cases of a feature that has enough rows.
const N_CASES: usize = 5;

/// One line of the published list.
#[derive(Debug, Deserialize)]
struct PublishedFeature {
    titles: Vec<String>,
}

/// Distinct items and titles of one list.
pub(super) struct Measured {
    pub(super) items: DistinctItemsView,
    pub(super) titles: Option<TitleCoherenceView>,
}

/// Of the features of a set: the items that their construction cases by `RecSAE`'s rule recommend.
/// `title_of` gives the title of an item, where it has one.
pub(super) fn measure(
    set: &FeatureSet,
    rows: &TestRows,
    seed: u64,
    title_of: &dyn Fn(u32) -> Option<String>,
) -> Measured {
    let mut groups = Vec::new();
    for feature in 0..set.n_features() as u32 {
        if let Some(cases) = set.cases(feature, rows, CaseRule::RecSae, seed) {
            let items = cases.construction.iter();
            let items: Vec<u32> = items.map(|&row| rows.rows[row as usize].first).collect();
            groups.push(items);
        }
    }
    let titles: Option<Vec<Vec<String>>> = groups
        .iter()
        .map(|items| items.iter().map(|&item| title_of(item)).collect())
        .collect();
    Measured {
        items: distinct(&groups),
        titles: titles.map(|titles| coherence(&titles, seed)),
    }
}

/// Of a published list.
///
/// # Errors
/// When the folder has no `latents.jsonl`, or a line of it is not as expected.
pub(super) fn published(folder: &Path, seed: u64) -> Result<Measured> {
    let path = folder.join(LIST);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
    let mut groups = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let feature: PublishedFeature = serde_json::from_str(line).map_err(|error| {
            EngineError::request(format!(
                "{}, line {number}: expected an object with \"titles\": {error}",
                path.display()
            ))
        })?;
        groups.push(feature.titles);
    }
    Ok(Measured {
        items: distinct(&groups),
        titles: Some(coherence(&groups, seed)),
    })
}

fn distinct<T: Ord>(groups: &[Vec<T>]) -> DistinctItemsView {
    let mut view = DistinctItemsView {
        n_features: groups.len(),
        ..DistinctItemsView::default()
    };
    let whole = groups.iter().filter(|group| group.len() == N_CASES);
    let (mut sum, mut n_whole) = (0, 0_usize);
    for group in whole {
        let n = group.iter().collect::<BTreeSet<_>>().len();
        sum += n;
        n_whole += 1;
        if let Some(count) = view.counts.get_mut(n.wrapping_sub(1)) {
            *count += 1;
        }
    }
    view.mean = sum as f64 / n_whole.max(1) as f64;
    view
}

fn coherence(groups: &[Vec<String>], seed: u64) -> TitleCoherenceView {
    let borrowed: Vec<Vec<&str>> = groups
        .iter()
        .map(|titles| titles.iter().map(String::as_str).collect())
        .collect();
    let found = title_coherence(&borrowed, seed);
    TitleCoherenceView {
        all: found.all,
        distinct: found.distinct,
        shuffled: found.shuffled,
        shuffled_distinct: found.shuffled_distinct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_items_by_hand() {
        let view = distinct(&[vec![1, 1, 2, 2, 1], vec![3, 3], vec![4, 5, 6, 7, 8]]);
        assert_eq!((view.n_features, view.counts), (3, [0, 1, 0, 0, 1]));
        assert!((view.mean - 3.5).abs() < 1e-12);
    }

    #[test]
    fn a_line_that_is_no_feature_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LIST);
        std::fs::write(&path, "{\"titles\": [\"a\"]}\n{\"title\": 3}\n").unwrap();
        let error = published(folder.path(), 0).err().unwrap();
        assert!(error.message.contains("line 2"), "{}", error.message);
    }
}
