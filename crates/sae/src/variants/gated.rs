//! Gated: one map says which features are active, another how much.

use std::sync::Arc;

use super::{Batch, Selection, Terms, Variant};
use crate::codes::SparseCodes;
use crate::sparsity::{Gate, Sparsity};
use crate::weights::Weights;

/// The loss adds `l1 · mean Σ relu(gate)` and the reconstruction by the gate alone, which
/// leaves the decoder as it is.
///
/// # Source
/// Rajamanoharan et al. 2024 (arXiv 2404.16014); `dictionary_learning` 0.1.0, `GatedSAETrainer`.
pub(super) struct Gated {
    pub(super) n_features: u32,
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
    fn places(&self, weights: &Weights, row: &[f32], out: &mut Vec<(f32, u32)>) {
        out.clear();
        let biases = self.parameters(weights).open_bias;
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
        let sum: f64 = gates.iter().map(|&gate| f64::from(gate)).sum();
        let (of_gates, by_gate) = batch.decode_again(gates);
        let mut sums = vec![0_f64; 3 * n];
        for (at, gradient) in gradients.iter_mut().enumerate() {
            let feature = batch.places.features[at] as usize;
            let of_gate = of_gates[at] + scale as f32;
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
            loss: scale * sum + by_gate,
            extra: sums.iter().map(|&sum| sum as f32).collect(),
            ..Terms::default()
        }
    }
}
