//! The auxiliary loss: dead features reconstruct what the others left.

use crate::dead_features::{DeadChoice, dead_codes};
use crate::gradients::Plan;
use crate::gradients::backward::Backward;
use crate::recipe::AuxLoss;
use crate::weights::Weights;

/// What the auxiliary loss of some dead features came to.
pub(super) struct Auxiliary {
    pub(super) pass: Backward,
    /// ê less the error to be reconstructed, `[n_rows, d_model]`.
    pub(super) error: Vec<f32>,
    /// The loss before its weight `auxk_alpha`.
    pub(super) loss: f64,
    /// By which the loss shrinks while few features are dead.
    pub(super) shrink: f64,
}

/// What a batch offers to the auxiliary loss.
pub(super) struct Left<'a> {
    /// x̂ − x, `[n_rows, d_model]`.
    pub(super) error: &'a [f32],
    /// What the encoder saw, `[n_rows, d_model]`.
    pub(super) input: &'a [f32],
    /// Σ‖e − ē‖² over the batch.
    pub(super) error_variation: f64,
    /// Σ‖x − x̄‖² over the batch.
    pub(super) variation: f64,
    /// Lengths of decoder rows, where features are chosen by them.
    pub(super) lengths: Option<&'a [f32]>,
}

impl Auxiliary {
    /// The loss of the features `dead`, or `None` where there is nothing to reconstruct.
    pub(super) fn of(
        plan: &Plan<'_>,
        weights: &Weights,
        dead: &[u32],
        left: &Left<'_>,
    ) -> Option<Self> {
        let (config, conventions) = (plan.config, plan.conventions);
        let d = weights.d_model;
        let n_rows = left.error.len() / d;
        let denominator = match conventions.aux {
            AuxLoss::OverErrorVariance => left.error_variation,
            AuxLoss::OverRows => n_rows as f64,
            AuxLoss::OverVariationDecoderOnly | AuxLoss::Recsae => left.variation,
        };
        let wanted = config.top_k_aux.map_or(d / 2, |k| k as usize).max(1);
        if dead.is_empty() || config.auxk_alpha == 0.0 || denominator <= 0.0 {
            return None;
        }
        let shrink = if conventions.aux_shrinks {
            (dead.len() as f64 / wanted as f64).min(1.0)
        } else {
            1.0
        };
        let choice = DeadChoice {
            features: dead,
            k: wanted.min(dead.len()),
            below_zero: conventions.aux == AuxLoss::OverRows,
            lengths: left.lengths,
        };
        let codes = dead_codes(weights, choice, left.input);
        let mut error: Vec<f32> = if conventions.aux == AuxLoss::Recsae {
            let less_bias = |row: &[f32]| -> Vec<f32> {
                std::iter::zip(row, &weights.b_dec)
                    .map(|(e, bias)| e - bias)
                    .collect()
            };
            left.error.chunks_exact(d).flat_map(less_bias).collect()
        } else {
            left.error.iter().map(|e| -e).collect()
        };
        let scale = 2.0 * f64::from(config.auxk_alpha) * shrink / denominator;
        let pass = Backward::new(codes, weights, scale as f32, &mut error);
        Some(Self {
            loss: shrink * pass.sums.squares / denominator,
            pass,
            error,
            shrink,
        })
    }
}

#[cfg(test)]
mod tests {
    use schema::SaeConfig;

    use crate::gradients::{Ages, Plan, Scratch, StepRows};
    use crate::kernels::{dot, reference};
    use crate::weights::Weights;

    /// `b_dec` taken off before the encoder or by the encoder's bias is one dictionary.
    #[test]
    fn dead_features_see_what_the_encoder_sees() {
        let (d, n) = (8, 20);
        let mut weights = Weights {
            d_model: d,
            w_enc: reference::values(n * d, 1),
            b_enc: reference::values(n, 2),
            w_dec: reference::values(n * d, 3),
            b_dec: reference::values(d, 4),
            extra: Vec::new(),
            skip: Vec::new(),
        };
        let rows = reference::values(30 * d, 5);
        let losses = [true, false].map(|is_centred| {
            let config = SaeConfig {
                n_features: n as u32,
                k: 3,
                dead_after_rows: 100,
                apply_b_dec_to_input: Some(is_centred),
                ..SaeConfig::default()
            };
            if !is_centred {
                let shifts = weights.w_enc.chunks_exact(d);
                for (bias, row) in weights.b_enc.iter_mut().zip(shifts) {
                    *bias -= dot(row, &weights.b_dec);
                }
            }
            let plan = Plan::of(&config).unwrap();
            let mut since: Vec<u64> = (0..n as u64).map(|f| 200 * (f % 2)).collect();
            let mut ages = Ages {
                rows_since_active: &mut since,
                of_epoch: &[],
            };
            let of_step = StepRows::alike(&rows);
            let loss = Scratch::new(&weights).batch(&plan, 9, &weights, of_step, &mut ages);
            assert!(loss.n_dead > 0);
            loss.auxk
        });
        assert!((losses[0] / losses[1] - 1.0).abs() < 1e-4, "{losses:?}");
    }
}
