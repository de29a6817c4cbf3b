//! Where training starts: random directions, and the middle of the first batch.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schema::{SaeConfig, SaeRecipe};

use crate::autoencoder::SaeParts;
use crate::batch_selection::BatchSums;
use crate::error::SaeError;
use crate::extras::SaeExtras;
use crate::gradients::Plan;
use crate::kernels::{add_scaled, squared_distance, unit_norm};
use crate::settings::check_config;
use crate::sparsity::Sparsity;
use crate::weights::Weights;

/// Where a recipe's training starts; biases 0.
///
/// Decoder rows point in random directions. By the recipes `dictionary_learning` and `saelens` the
/// encoder is their copy, of length `decoder_init_norm`; by `sparsify` and `recsae` encoder weights
/// are uniform in ±1/√`d_model`, and decoder rows their copy of unit length; a transcoder's decoder
/// and its linear path start at 0.
///
/// # Errors
/// [`SaeError::Config`] for settings out of range.
///
/// # Determinism
/// A function of the recipe, `config.seed`, `n_features` and `d_model`.
pub fn initial_weights(config: &SaeConfig, d_model: usize) -> Result<SaeParts, SaeError> {
    check_config(config, d_model)?;
    let plan = Plan::of(config)?;
    let n_features = config.n_features as usize;
    let (w_enc, w_dec) = match config.recipe {
        SaeRecipe::Sparsify | SaeRecipe::Recsae => {
            let bound = 1.0 / (d_model as f32).sqrt();
            let mut w_enc = uniform(n_features * d_model, config.seed);
            scale(&mut w_enc, bound);
            let mut w_dec = w_enc.clone();
            if config.transcode {
                w_dec.fill(0.0);
            } else {
                w_dec.chunks_exact_mut(d_model).for_each(unit_norm);
            }
            (w_enc, w_dec)
        }
        _ => {
            let mut w_dec = random_directions(n_features, d_model, config.seed);
            scale(&mut w_dec, config.decoder_init_norm);
            (w_dec.clone(), w_dec)
        }
    };
    let mut parts = SaeParts {
        d_model,
        n_features,
        w_enc,
        b_enc: vec![0.0; n_features],
        w_dec,
        b_dec: vec![0.0; d_model],
        is_centred: plan.is_centred(),
        sparsity: Sparsity::Relu,
        extras: SaeExtras {
            is_transcoder: config.transcode,
            skip: config.skip_connection.then(|| vec![0.0; d_model * d_model]),
            ..SaeExtras::default()
        },
    };
    let extra = plan.variant.initial_extra(&parts.sparsity);
    let weights = Weights::from_parts(parts.clone(), extra, config.skip_connection);
    parts.sparsity = plan.variant.rule(&weights, -1.0);
    Ok(parts)
}

fn scale(values: &mut [f32], factor: f32) {
    if factor != 1.0 {
        for value in values {
            *value *= factor;
        }
    }
}

/// Values uniform in −1..1.
fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n)
        .map(|_| rng.random::<f32>().mul_add(2.0, -1.0))
        .collect()
}

/// `n` rows of unit length, `[n, d]`: uniform in −1..1, then normalised.
pub(crate) fn random_directions(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let mut rows = uniform(n * d, seed);
    for row in rows.chunks_exact_mut(d) {
        unit_norm(row);
    }
    rows
}

/// The mean of `rows` `[n_rows, d]`.
pub(crate) fn mean(rows: &[f32], d: usize) -> Vec<f32> {
    let n = (rows.len() / d).max(1);
    let sums = BatchSums::of_rows(rows, d).columns;
    sums.iter().map(|sum| (sum / n as f64) as f32).collect()
}

/// The point with the smallest sum of distances to the rows, by at most 100 rounds of Weiszfeld's
/// iteration from the mean, until it moves less than 1e-5.
pub(crate) fn geometric_median(rows: &[f32], d: usize) -> Vec<f32> {
    const ROWS_PER_TASK: usize = 64;
    let weighted_mean = |weight: &(dyn Fn(&[f32]) -> f32 + Sync)| -> Vec<f32> {
        let parts: Vec<(Vec<f32>, f64)> = rows
            .par_chunks(d * ROWS_PER_TASK)
            .map(|rows| {
                let mut sum = vec![0.0; d];
                let mut weights = 0.0;
                for row in rows.chunks_exact(d) {
                    let weight = weight(row);
                    add_scaled(&mut sum, weight, row);
                    weights += f64::from(weight);
                }
                (sum, weights)
            })
            .collect();
        let mut total = vec![0_f64; d];
        let mut weights = 0.0;
        for (sum, weight) in &parts {
            for (total, &value) in total.iter_mut().zip(sum) {
                *total += f64::from(value);
            }
            weights += weight;
        }
        total.iter().map(|sum| (sum / weights) as f32).collect()
    };
    let mut guess = weighted_mean(&|_| 1.0);
    for _ in 0..100 {
        let previous = guess;
        // A row at the guess itself would get an infinite weight.
        guess = weighted_mean(&|row| 1.0 / squared_distance(row, &previous).sqrt().max(1e-10));
        if squared_distance(&guess, &previous).sqrt() < 1e-5 {
            break;
        }
    }
    guess
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_start_with_encoders_of_their_own_length() {
        let (n, d) = (400, 16);
        let length = |row: &[f32]| squared_distance(row, &[0.0; 16]).sqrt();
        for (recipe, expected) in [
            (SaeRecipe::DictionaryLearning, 1.0),
            (SaeRecipe::Saelens, 0.1),
            // √(d · bound² / 3) = 1/√3 on average.
            (SaeRecipe::Sparsify, 1.0 / 3_f32.sqrt()),
        ] {
            let config = SaeConfig {
                k: 2,
                ..SaeConfig::of_recipe(recipe, schema::SaeVariant::TopK, n)
            };
            let parts = initial_weights(&config, d).unwrap();
            let sum: f32 = parts.w_enc.chunks_exact(d).map(length).sum();
            assert!((sum / n as f32 - expected).abs() < 0.02, "{recipe:?}");
            let decoder = length(&parts.w_dec[..d]);
            let unit = recipe != SaeRecipe::Saelens;
            assert!((decoder - if unit { 1.0 } else { 0.1 }).abs() < 1e-5);
        }
    }

    #[test]
    fn median_is_less_moved_by_an_outlier_than_the_mean() {
        // Three corners of a square and one far point: the median is near the corners.
        let rows = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 100.0, 100.0];
        let median = geometric_median(&rows, 2);
        assert!(median.iter().all(|v| *v < 1.0), "{median:?}");
        let same = [2.0, 3.0, 2.0, 3.0];
        assert_eq!(geometric_median(&same, 2), [2.0, 3.0]);
    }
}
