//! Dead features that start anew from rows which are reconstructed badly.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::kernels::dot;
use crate::weights::Weights;

/// Factor on a new encoder row, beside the mean length of living ones.
const SHARE_OF_LIVING: f32 = 0.2;

/// What a resampling draws from.
pub(crate) struct Badly<'a> {
    /// Rows of a batch, `[n_rows, d_model]`.
    pub(crate) rows: &'a [f32],
    /// Their errors, `[n_rows, d_model]`.
    pub(crate) errors: &'a [f32],
    pub(crate) seed: u64,
    /// Steps done; with the seed it decides what is drawn.
    pub(crate) step: u32,
}

/// Gives each feature of `dead` (as many as there are rows at most) a row drawn without
/// replacement by the length of its error: as decoder row of unit length, as encoder row
/// times a fifth of the mean length of living encoder rows; bias 0, and moments of the optimiser
/// too.
///
/// # Source
/// `dictionary_learning` 0.1.0, `StandardTrainer.resample_neurons`. Differs: errors are those of
/// before the step, and the draw is ours.
pub(crate) fn resample(
    from: &Badly<'_>,
    dead: &[u32],
    weights: &mut Weights,
    moments: &mut [Weights; 2],
) {
    let d = weights.d_model;
    let n = weights.n_features();
    if dead.is_empty() || dead.len() == n {
        return;
    }
    let living = (0..n).filter(|&f| dead.binary_search(&(f as u32)).is_err());
    let length = |row: &[f32]| dot(row, row).sqrt();
    let lengths = living.map(|f| f64::from(length(&weights.w_enc[f * d..(f + 1) * d])));
    let mean_length = (lengths.sum::<f64>() / (n - dead.len()) as f64) as f32;
    for (&feature, row) in dead.iter().zip(drawn(from, d)) {
        let row = &from.rows[row * d..(row + 1) * d];
        let norm = length(row).max(f32::MIN_POSITIVE);
        let at = feature as usize;
        let range = at * d..(at + 1) * d;
        for (i, value) in range.clone().zip(row) {
            weights.w_dec[i] = value / norm;
            weights.w_enc[i] = value * mean_length * SHARE_OF_LIVING;
        }
        weights.b_enc[at] = 0.0;
        for moment in moments.iter_mut() {
            moment.w_enc[range.clone()].fill(0.0);
            moment.w_dec[range.clone()].fill(0.0);
            moment.b_enc[at] = 0.0;
        }
    }
}

/// Rows in the order of a draw without replacement, weighted by the length of their errors.
fn drawn(from: &Badly<'_>, d: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(from.seed ^ 0x7e5a);
    rng.set_stream(u64::from(from.step));
    // Efraimidis and Spirakis (2006): the highest of uᵢ^(1/wᵢ) come first.
    let mut keys: Vec<(f64, usize)> = from
        .errors
        .chunks_exact(d)
        .enumerate()
        .map(|(row, error)| {
            let weight = f64::from(dot(error, error)).sqrt();
            let u: f64 = rng.random::<f64>().max(f64::MIN_POSITIVE);
            (
                if weight > 0.0 {
                    u.ln() / weight
                } else {
                    f64::NEG_INFINITY
                },
                row,
            )
        })
        .collect();
    keys.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    keys.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn rows_with_larger_errors_come_first_more_often_and_living_features_stay() {
        let d = 4;
        let rows = reference::values(3 * d, 1);
        // Row 1 has nine times the error of the others together... and row 2 none.
        let errors = [0.1, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let at = |step| Badly {
            rows: &rows,
            errors: &errors,
            seed: 3,
            step,
        };
        let first = (0..200).filter(|&step| drawn(&at(step), d)[0] == 1).count();
        assert!(first > 180, "{first}");
        assert!((0..200).all(|step| drawn(&at(step), d)[2] == 2));
        let before = Weights {
            d_model: d,
            w_enc: reference::values(3 * d, 2),
            b_enc: vec![1.0; 3],
            w_dec: reference::values(3 * d, 3),
            b_dec: vec![0.0; d],
            extra: Vec::new(),
            skip: Vec::new(),
        };
        let mut weights = before.clone();
        let mut moments = [before.clone(), before.clone()];
        resample(&at(0), &[1], &mut weights, &mut moments);
        assert_eq!(weights.w_dec[..d], before.w_dec[..d]);
        assert_eq!(weights.b_enc, [1.0, 0.0, 1.0]);
        let row = &weights.w_dec[d..2 * d];
        assert!((dot(row, row) - 1.0).abs() < 1e-5);
        assert_eq!(moments[0].w_enc[d..2 * d], [0.0; 4]);
        // All dead: nothing tells how long a living row is.
        let mut untouched = before.clone();
        resample(&at(0), &[0, 1, 2], &mut untouched, &mut moments);
        assert!(untouched == before);
    }
}
