//! A dictionary of random directions: what a trained one has to beat.

use crate::autoencoder::{SaeParts, SparseAutoencoder};
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::initial::random_directions;
use crate::sparsity::Sparsity;

/// A `TopK` dictionary whose directions are random, centred like the rows it is compared on.
///
/// Encoder and decoder are the same random unit rows, `b_enc` is 0 and `b_dec` is `mean`
/// (`[d_model]`, e.g. [`FvuSum::mean`](crate::FvuSum::mean)).
///
/// # Errors
/// Those of [`SparseAutoencoder::new`].
///
/// # Determinism
/// A function of its arguments.
pub fn random_dictionary(
    n_features: usize,
    k: u32,
    seed: u64,
    mean: &[f32],
) -> Result<SparseAutoencoder, SaeError> {
    let d_model = mean.len();
    let w_dec = random_directions(n_features, d_model.max(1), seed);
    SparseAutoencoder::new(SaeParts {
        d_model,
        n_features,
        w_enc: w_dec.clone(),
        b_enc: vec![0.0; n_features],
        w_dec,
        b_dec: mean.to_vec(),
        is_centred: true,
        sparsity: Sparsity::TopK { k },
        extras: SaeExtras::default(),
    })
}
