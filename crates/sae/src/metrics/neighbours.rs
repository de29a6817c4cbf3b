//! Which decoder directions lie close to each other.

use rayon::prelude::*;
use schema::{FeatureId, Neighbour};

use super::stability::unit_rows;
use crate::autoencoder::SparseAutoencoder;
use crate::kernels::dot;

/// Features whose nearest neighbour [`mean_neighbour_cosine`] looks for at most.
const MAX_ASKED: usize = 2048;

/// The `n` features whose decoder rows have the highest cosine with that of `feature`, nearest
/// first, of equally near ones the lower number first.
///
/// # Panics
/// If `feature` is not one of the dictionary's.
///
/// # Example
/// Rows `[1,0]`, `[0,1]`, `[1,1]`: the nearest to 0 is 2 with cosine 0.71, then 1 with 0.
pub fn nearest_directions(sae: &SparseAutoencoder, feature: FeatureId, n: usize) -> Vec<Neighbour> {
    let norm = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    let own = sae.decoder_row(feature.0);
    let own_norm = norm(own);
    let mut best: Vec<Neighbour> = Vec::with_capacity(n + 1);
    for other in (0..sae.n_features() as u32).filter(|&other| other != feature.0) {
        let row = sae.decoder_row(other);
        let dot: f32 = own.iter().zip(row).map(|(a, b)| a * b).sum();
        let cosine = dot / (own_norm * norm(row));
        if best.len() < n || best.last().is_some_and(|last| cosine > last.cosine) {
            let at = best.partition_point(|known| known.cosine >= cosine);
            best.insert(
                at,
                Neighbour {
                    feature: FeatureId(other),
                    cosine,
                },
            );
            best.truncate(n);
        }
    }
    best
}

/// Mean over features of the cosine with the nearest other decoder row: how much of a dictionary is
/// said twice. `None` for fewer than two features.
///
/// `mean_i max_{j ≠ i} ⟨w_i, w_j⟩ / (‖w_i‖ ‖w_j‖)`. Of more than 2,048 features, as many are
/// asked at equal steps; all are compared with.
///
/// # Example
/// Rows `[1,0]`, `[0,1]`, `[1,1]`: √½ for each.
pub fn mean_neighbour_cosine(sae: &SparseAutoencoder) -> Option<f64> {
    let (n, d) = (sae.n_features(), sae.d_model());
    if n < 2 {
        return None;
    }
    let rows = unit_rows(sae);
    let asked: Vec<usize> = (0..n).step_by(n.div_ceil(MAX_ASKED)).collect();
    let nearest: Vec<f32> = asked
        .par_iter()
        .map(|&feature| {
            let own = &rows[feature * d..(feature + 1) * d];
            rows.chunks_exact(d)
                .enumerate()
                .filter(|&(other, _)| other != feature)
                .map(|(_, row)| dot(own, row))
                .fold(f32::NEG_INFINITY, f32::max)
        })
        .collect();
    let sum: f64 = nearest.iter().copied().map(f64::from).sum();
    Some(sum / nearest.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::stability::tests::with_directions;
    use super::*;

    #[test]
    fn worked_example() {
        let sae = with_directions(2, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let near = nearest_directions(&sae, FeatureId(0), 8);
        let order: Vec<u32> = near.iter().map(|one| one.feature.0).collect();
        assert_eq!(order, [2, 1]);
        assert!((near[0].cosine - 0.5_f32.sqrt()).abs() < 1e-6);
        assert_eq!(nearest_directions(&sae, FeatureId(0), 1).len(), 1);
        let mean = mean_neighbour_cosine(&sae).unwrap();
        assert!((mean - 0.5_f64.sqrt()).abs() < 1e-6);
        assert_eq!(
            mean_neighbour_cosine(&with_directions(2, &[1.0, 0.0])),
            None
        );
    }
}
