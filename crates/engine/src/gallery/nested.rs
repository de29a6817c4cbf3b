//! Where a feature stands among the nested groups of a Matryoshka dictionary.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::SparseAutoencoder;
use schema::FeatureId;

use super::known::groups;
use crate::indexed::IndexedDictionary;
use crate::labels::Labels;
use crate::views::NestedView;

/// Features named before and after the feature's own group.
const N_NAMED: usize = 6;

/// The nearest features of other groups; `None` without groups.
pub(super) fn nearest(
    indexed: &IndexedDictionary,
    labels: &Labels,
    feature: FeatureId,
) -> Option<NestedView> {
    let sizes = groups(indexed);
    let sae = &indexed.dictionary.sae;
    let (group, own) = group_of(sizes, feature)?;
    let named = |others: Range<u32>| {
        nearest_among(sae, feature, others)
            .into_iter()
            .map(|(cosine, other)| (other, labels.caption(other), cosine))
            .collect()
    };
    Some(NestedView {
        group,
        n_groups: sizes.len() as u32,
        parents: named(0..own.start),
        children: named(own.end..sae.n_features() as u32),
    })
}

/// Group of a feature, with the numbers of its features.
fn group_of(sizes: &[u32], feature: FeatureId) -> Option<(u32, Range<u32>)> {
    let mut first = 0;
    for (group, &size) in (0_u32..).zip(sizes) {
        if feature.0 < first + size {
            return Some((group, first..first + size));
        }
        first += size;
    }
    None
}

/// Those of `others` whose decoder rows have the highest cosine, nearest first.
fn nearest_among(
    sae: &SparseAutoencoder,
    feature: FeatureId,
    others: Range<u32>,
) -> Vec<(f32, FeatureId)> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let own = sae.decoder_row(feature.0);
    let own_square = dot(own, own);
    let mut all: Vec<(f32, FeatureId)> = others
        .into_par_iter()
        .map(|other| {
            let row = sae.decoder_row(other);
            let norms = (own_square * dot(row, row)).sqrt().max(1e-12);
            (dot(own, row) / norms, FeatureId(other))
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.truncate(N_NAMED);
    all
}

#[cfg(test)]
mod tests {
    use sae::SaeParts;

    use super::*;

    #[test]
    fn parents_and_children_come_from_other_groups() {
        let rows = [[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [2.0, 0.1], [0.0, 3.0]];
        let parts = SaeParts {
            w_dec: rows.concat(),
            ..crate::gallery::tests::parts(2, 5)
        };
        let sae = SparseAutoencoder::new(parts).unwrap();
        let (group, own) = group_of(&[2, 1, 2], FeatureId(2)).unwrap();
        assert_eq!((group, own.clone()), (1, 2..3));
        let numbers = |others| -> Vec<u32> {
            let near = nearest_among(&sae, FeatureId(2), others);
            near.iter().map(|(_, other)| other.0).collect()
        };
        assert_eq!(numbers(0..own.start), [0, 1]);
        assert_eq!(numbers(own.end..5), [3, 4]);
        assert_eq!(group_of(&[2, 1, 2], FeatureId(5)), None);
    }
}
