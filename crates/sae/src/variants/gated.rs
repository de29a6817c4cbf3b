//! Gated: one map says which features are active, another how much.

use std::sync::Arc;

use super::{Batch, Given, Selection, Terms, Variant};
use crate::codes::SparseCodes;
use crate::gradients::decoder_lengths;
use crate::sparsity::{Gate, Sparsity};
use crate::weights::Weights;

/// The loss adds `l1 · mean Σ relu(gate)` and the reconstruction by the gate alone, which
/// leaves the decoder as it is.
///
/// # Source
/// Rajamanoharan et al. 2024 (arXiv 2404.16014); `dictionary_learning` 0.1.0, `GatedSAETrainer`;
/// `SAELens` 6.54, `GatedTrainingSAE`.
pub(super) struct Gated {
    pub(super) n_features: u32,
    /// In `SAELens` the penalty counts a gate with its decoder row's length, and the decoder
    /// follows the reconstruction by the gate too.
    pub(super) is_saelens: bool,
}

/// The gate's parameters, `[n_features]` each, in the order of [`Weights::extra`].
struct Parameters<'a> {
    open_bias: &'a [f32],
    r_mag: &'a [f32],
    mag_bias: &'a [f32],
}

impl Gated {
    fn parameters<'a>(&self, weights: &'a Weights) -> Parameters<'a> {
        let n = self.n_features as usize;
        Parameters {
            open_bias: &weights.extra[..n],
            r_mag: &weights.extra[n..2 * n],
            mag_bias: &weights.extra[2 * n..],
        }
    }
}

impl Variant for Gated {
    fn rule(&self, weights: &Weights, _: f32) -> Sparsity {
        let parameters = self.parameters(weights);
        Sparsity::Gated(Arc::new(Gate {
            open_bias: parameters.open_bias.to_vec(),
            r_mag: parameters.r_mag.to_vec(),
            mag_bias: parameters.mag_bias.to_vec(),
        }))
    }

    fn selection(&self) -> Selection {
        Selection::Each
    }

    /// Those whose gate is open.
    fn places(&self, given: &Given<'_>, row: &[f32], out: &mut Vec<(f32, u32)>) {
        out.clear();
        let biases = self.parameters(given.weights).open_bias;
        for (feature, (&value, &bias)) in (0_u32..).zip(row.iter().zip(biases)) {
            if value + bias > 0.0 {
                out.push((value, feature));
            }
        }
    }

    fn activations(&self, weights: &Weights, places: &SparseCodes) -> Option<Vec<f32>> {
        let parameters = self.parameters(weights);
        let factors: Vec<f32> = parameters.r_mag.iter().map(|r| r.exp()).collect();
        let each = places.features.iter().zip(&places.values);
        Some(
            each.map(|(&feature, &value)| {
                let at = feature as usize;
                (factors[at] * value + parameters.mag_bias[at]).max(0.0)
            })
            .collect(),
        )
    }

    /// Gate and magnitude have biases of their own.
    fn has_encoder_bias(&self) -> bool {
        false
    }

    fn initial_extra(&self, initial: &Sparsity) -> Vec<f32> {
        match initial {
            Sparsity::Gated(gate) => [&gate.open_bias[..], &gate.r_mag, &gate.mag_bias].concat(),
            _ => vec![0.0; 3 * self.n_features as usize],
        }
    }

    fn terms(&self, batch: &Batch<'_>, gradients: &mut [f32]) -> Terms {
        let n = self.n_features as usize;
        let parameters = self.parameters(batch.weights);
        let factors: Vec<f32> = parameters.r_mag.iter().map(|r| r.exp()).collect();
        let places = batch.places.features.iter().zip(&batch.places.values);
        let gates: Vec<f32> = places
            .map(|(&feature, &value)| value + parameters.open_bias[feature as usize])
            .collect();
        let scale = f64::from(batch.config.l1) * batch.penalty_share() / batch.n_rows();
        let lengths = self
            .is_saelens
            .then(|| decoder_lengths(&batch.weights.w_dec, batch.weights.d_model));
        let mut sums_of_gates = vec![0_f64; n];
        for (&gate, &feature) in gates.iter().zip(&batch.places.features) {
            sums_of_gates[feature as usize] += f64::from(gate);
        }
        let sum: f64 = match &lengths {
            None => sums_of_gates.iter().sum(),
            Some(lengths) => std::iter::zip(&sums_of_gates, lengths)
                .map(|(sum, &length)| sum * f64::from(length))
                .sum(),
        };
        let (by_gate, error) = batch.decode_again(gates);
        let mut sums = vec![0_f64; 3 * n];
        for (at, gradient) in gradients.iter_mut().enumerate() {
            let feature = batch.places.features[at] as usize;
            let length = lengths.as_ref().map_or(1.0, |lengths| lengths[feature]);
            let of_gate = by_gate.value_gradients[at] + scale as f32 * length;
            sums[feature] += f64::from(of_gate);
            let mut whole = of_gate;
            if batch.codes.values[at] > 0.0 {
                let through = *gradient * factors[feature];
                sums[n + feature] += f64::from(through) * f64::from(batch.places.values[at]);
                sums[2 * n + feature] += f64::from(*gradient);
                whole += through;
            }
            *gradient = whole;
        }
        Terms {
            loss: scale * sum + by_gate.sums.squares / batch.n_rows(),
            extra: sums.iter().map(|&sum| sum as f32).collect(),
            along_decoder: lengths.map_or_else(Vec::new, |lengths| {
                std::iter::zip(&sums_of_gates, &lengths)
                    .map(|(sum, &length)| (scale * sum / f64::from(length)) as f32)
                    .collect()
            }),
            decoded: self.is_saelens.then_some((by_gate, error)),
        }
    }
}
