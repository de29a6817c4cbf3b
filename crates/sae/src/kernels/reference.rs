//! Plain forms of the kernels and test values, to compare with; compiled for tests only.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// `n` values in −1..1 from a seed.
pub(crate) fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// Pre-activations `[n_rows, n_features]`: fused multiply-adds along `d_model`, bias first.
pub(crate) fn pre_activations(centred: &[f32], w_enc: &[f32], b_enc: &[f32], d: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for x in centred.chunks_exact(d) {
        for (w, &bias) in w_enc.chunks_exact(d).zip(b_enc) {
            out.push(
                x.iter()
                    .zip(w)
                    .fold(bias, |sum, (&x, &w)| x.mul_add(w, sum)),
            );
        }
    }
    out
}

/// The `k` highest values above 0 of one row by a full sort, ties to the lower index.
pub(crate) fn highest(values: &[f32], k: usize) -> Vec<(f32, u32)> {
    let mut all: Vec<(f32, u32)> = values
        .iter()
        .enumerate()
        .filter(|&(_, &value)| value > 0.0)
        .map(|(i, &value)| (value, i as u32))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.truncate(k);
    all.sort_by_key(|&(_, i)| i);
    all
}
