//! Whether two dictionaries learned the same features: their decoder rows matched one to one.

use rayon::prelude::*;

use super::assignment::best_assignment;
use crate::autoencoder::SparseAutoencoder;
use crate::error::SaeError;
use crate::kernels::dot;

/// Cosine above which a matched feature counts as shared.
///
/// # Source
/// Paulo and Belrose 2025, "Sparse Autoencoders Trained on the Same Data Learn Different Features"
/// (arXiv 2501.16615), who also match by the Hungarian method.
pub const SHARED_FROM: f32 = 0.7;

/// Features of the larger dictionary that are matched at most: the method needs all cosines at
/// once, and time grows at worst with the cube of their number.
pub const MAX_MATCHED: usize = 8192;

/// A feature and its counterpart in another dictionary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureMatch {
    /// Feature of the first dictionary.
    pub feature: u32,
    /// Its counterpart in the second.
    pub other: u32,
    /// Cosine between the two decoder rows.
    pub cosine: f32,
}

/// Whether the features of two dictionaries can be matched; takes no time.
///
/// # Errors
/// Those of [`match_features`].
pub fn check_matchable(
    first: &SparseAutoencoder,
    second: &SparseAutoencoder,
) -> Result<(), SaeError> {
    let d = first.d_model();
    if second.d_model() != d {
        return Err(SaeError::shape(
            "a decoder row of the second dictionary",
            d,
            second.d_model(),
        ));
    }
    let (n, m) = (first.n_features(), second.n_features());
    if n.max(m) > MAX_MATCHED {
        return Err(SaeError::Config {
            field: "n_features",
            reason: format!(
                "it is {}, and no more than {MAX_MATCHED} features are matched one to one",
                n.max(m)
            ),
        });
    }
    Ok(())
}

/// Matches the features of two dictionaries one to one so that the sum of the cosines between
/// decoder rows is highest; of the larger dictionary some stay without.
///
/// # Shapes
/// - returns: one match per feature of the smaller dictionary, in the order of the first's features
///
/// # Errors
/// [`SaeError::Shape`] if the two differ in `d_model`; [`SaeError::Config`] if one has more than
/// [`MAX_MATCHED`] features.
///
/// # Example
/// `[[1,0],[0,1]]` against `[[0,2],[1,1]]`: 0 with 1 (cosine 0.71), 1 with 0 (1).
pub fn match_features(
    first: &SparseAutoencoder,
    second: &SparseAutoencoder,
) -> Result<Vec<FeatureMatch>, SaeError> {
    check_matchable(first, second)?;
    let d = first.d_model();
    let (n, m) = (first.n_features(), second.n_features());
    let (few, many) = if n <= m {
        (first, second)
    } else {
        (second, first)
    };
    let (few_rows, many_rows) = (unit_rows(few), unit_rows(many));
    let cosines: Vec<f32> = few_rows
        .par_chunks(d)
        .flat_map_iter(|row| many_rows.chunks_exact(d).map(|other| dot(row, other)))
        .collect();
    let columns = best_assignment(&cosines, few.n_features(), many.n_features())?;
    let mut matches: Vec<FeatureMatch> = (0_u32..)
        .zip(columns)
        .map(|(row, column)| {
            let cosine = cosines[row as usize * many.n_features() + column as usize];
            let (feature, other) = if n <= m { (row, column) } else { (column, row) };
            FeatureMatch {
                feature,
                other,
                cosine,
            }
        })
        .collect();
    matches.sort_unstable_by_key(|one| one.feature);
    Ok(matches)
}

/// Mean cosine of matched features; 0 without matches.
///
/// # Example
/// Cosines 1 and 0.5: 0.75.
pub fn mean_cosine(matches: &[FeatureMatch]) -> f64 {
    let sum: f64 = matches.iter().map(|one| f64::from(one.cosine)).sum();
    sum / matches.len().max(1) as f64
}

/// Share of matches whose cosine is above [`SHARED_FROM`]; 0 without matches.
///
/// # Example
/// Cosines 1 and 0.5: 0.5.
pub fn shared_share(matches: &[FeatureMatch]) -> f64 {
    let n = matches
        .iter()
        .filter(|one| one.cosine > SHARED_FROM)
        .count();
    n as f64 / matches.len().max(1) as f64
}

/// Decoder rows of unit length; a row of zeros stays one.
pub(super) fn unit_rows(sae: &SparseAutoencoder) -> Vec<f32> {
    let mut rows = sae.parts().w_dec.clone();
    for row in rows.chunks_exact_mut(sae.d_model()) {
        let norm = dot(row, row).sqrt().max(1e-12);
        for value in row.iter_mut() {
            *value /= norm;
        }
    }
    rows
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{SaeParts, Sparsity};

    pub(in crate::metrics) fn with_directions(d_model: usize, w_dec: &[f32]) -> SparseAutoencoder {
        let n_features = w_dec.len() / d_model;
        SparseAutoencoder::new(SaeParts {
            d_model,
            n_features,
            w_enc: w_dec.to_vec(),
            b_enc: vec![0.0; n_features],
            w_dec: w_dec.to_vec(),
            b_dec: vec![0.0; d_model],
            is_centred: true,
            extras: crate::SaeExtras::default(),
            sparsity: Sparsity::Relu,
        })
        .unwrap()
    }

    #[test]
    fn worked_example() {
        let first = with_directions(2, &[1.0, 0.0, 0.0, 1.0]);
        let second = with_directions(2, &[0.0, 2.0, 1.0, 1.0]);
        let matches = match_features(&first, &second).unwrap();
        assert_eq!((matches[0].other, matches[1].other), (1, 0));
        assert!((matches[0].cosine - 0.5_f32.sqrt()).abs() < 1e-6);
        assert!((matches[1].cosine - 1.0).abs() < 1e-6);
        assert!((mean_cosine(&matches) - 0.853_553).abs() < 1e-5);
        // √½ is just above 0.7.
        assert_eq!(shared_share(&matches), 1.0);
    }

    #[test]
    fn a_permuted_dictionary_is_the_same_and_sizes_may_differ() {
        let rows = [1.0, 0.2, -0.3, 1.0, -1.0, 0.1, 0.4, -1.0];
        let first = with_directions(2, &rows);
        let turned = [&rows[4..8], &rows[0..4]].concat();
        let matches = match_features(&first, &with_directions(2, &turned)).unwrap();
        let others: Vec<u32> = matches.iter().map(|one| one.other).collect();
        assert_eq!(others, [2, 3, 0, 1]);
        assert!((mean_cosine(&matches) - 1.0).abs() < 1e-6);
        let fewer = with_directions(2, &rows[2..6]);
        let matches = match_features(&first, &fewer).unwrap();
        let pairs: Vec<_> = matches.iter().map(|one| (one.feature, one.other)).collect();
        assert_eq!(pairs, [(1, 0), (2, 1)]);
        assert!(match_features(&first, &with_directions(4, &rows)).is_err());
    }
}
