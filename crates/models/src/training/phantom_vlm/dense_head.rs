//! The head that predicts, patch by patch, which planted findings lie there; dropped after training.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::VlmTrainingConfig;
use super::films::CompactFilm;
use crate::ModelError;
use crate::differentiable::affine::linear;
use crate::differentiable::objectives::presence_loss;
use crate::vision_language::parameters::{Initial, ParameterSpec, Parameters};

/// Weight of a patch for a finding without a mask: such a finding lies on every patch.
const GLOBAL_WEIGHT: f32 = 0.25;
/// Highest weight of a patch with a finding against one without.
const MOST_WEIGHT: f64 = 10.0;

/// How well the dense head tells a finding on held-out films.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DenseScore {
    /// The finding.
    pub finding: String,
    /// Area under the ROC curve over patches, those that are only touched left out.
    pub patch_auroc: f64,
    /// Area under the ROC curve over films, by the highest patch.
    pub film_auroc: f64,
    /// F1 over films of the highest patch being above a probability of one half.
    pub film_f1: f64,
}

/// Names and shapes of the head's weights.
pub(super) fn head_parameters(n_findings: usize, d_model: usize) -> Vec<ParameterSpec> {
    vec![
        ParameterSpec::new(
            "dense_head.weight".to_owned(),
            &[n_findings, d_model],
            Initial::FanIn,
        ),
        ParameterSpec::new(
            "dense_head.bias".to_owned(),
            &[n_findings],
            Initial::Constant(-4.0),
        ),
    ]
}

/// The head.
pub(super) struct DenseHead {
    weight: Tensor,
    bias: Tensor,
    /// Weight of a patch with each finding.
    weights: Vec<f32>,
    film_loss_weight: f32,
    scale: f32,
}

impl DenseHead {
    pub(super) fn load(
        parameters: &Parameters,
        patch_counts: &[(f64, f64)],
        config: &VlmTrainingConfig,
    ) -> Result<Self, ModelError> {
        let weights = patch_counts
            .iter()
            .map(|(with, without)| (without / with.max(1.0)).sqrt().clamp(1.0, MOST_WEIGHT) as f32)
            .collect();
        Ok(Self {
            weight: parameters.get("dense_head.weight")?,
            bias: parameters.get("dense_head.bias")?,
            weights,
            film_loss_weight: config.film_loss_weight,
            scale: config.head_scale,
        })
    }

    /// Log-odds of each finding on each patch, `[batch, n_patches, n_findings]`.
    pub(super) fn logits(&self, normed: &Tensor) -> candle_core::Result<Tensor> {
        let weight = self.weight.affine(f64::from(self.scale), 0.0)?;
        linear(normed, &weight, Some(&self.bias))
    }

    /// Loss of a batch: per patch, summed over findings, plus the weighted loss of the highest
    /// patch of each film.
    ///
    /// # Shapes
    /// - `normed`: `[batch, n_patches, d_model]`, patch tokens after the final norm
    pub(super) fn loss(
        &self,
        normed: &Tensor,
        films: &[&CompactFilm],
    ) -> candle_core::Result<Tensor> {
        let logits = self.logits(normed)?;
        let (batch, n_patches, n_findings) = logits.dims3()?;
        let n = batch * n_patches * n_findings;
        let (mut targets, mut weights) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for film in films {
            for (&covered, &touched) in film.covered.iter().zip(&film.touched) {
                for (finding, &weight) in self.weights.iter().enumerate() {
                    let is_covered = covered >> finding & 1 == 1;
                    targets.push(f32::from(u8::from(is_covered)));
                    weights.push(if touched >> finding & 1 == 1 {
                        0.0
                    } else if film.global >> finding & 1 == 1 {
                        GLOBAL_WEIGHT
                    } else if is_covered {
                        weight
                    } else {
                        1.0
                    });
                }
            }
        }
        let dense = presence_loss(&logits, targets, weights, (batch * n_patches) as f32)?;
        let present: Vec<f32> = films
            .iter()
            .flat_map(|film| (0..n_findings).map(|finding| f32::from(film.present >> finding & 1)))
            .collect();
        let weights = vec![self.film_loss_weight; present.len()];
        let film = presence_loss(&logits.max(1)?, present, weights, batch as f32)?;
        dense + film
    }
}

/// Scores of one finding from log-odds of patches and what is true of them.
pub(super) struct Tally {
    patches: Vec<(f32, bool)>,
    films: Vec<(f32, bool)>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            patches: Vec::new(),
            films: Vec::new(),
        }
    }

    /// Adds a film: `logits` of the finding on each patch.
    pub(super) fn add(&mut self, logits: &[f32], film: &CompactFilm, finding: usize) {
        for (patch, &logit) in logits.iter().enumerate() {
            if film.touched[patch] >> finding & 1 == 0 {
                let is_covered = film.covered[patch] >> finding & 1 == 1;
                self.patches.push((logit, is_covered));
            }
        }
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        self.films.push((highest, film.present >> finding & 1 == 1));
    }

    pub(super) fn score(mut self, finding: &str) -> DenseScore {
        let count = |is_said: bool, is_true: bool| {
            self.films
                .iter()
                .filter(|(logit, truth)| (*logit > 0.0) == is_said && *truth == is_true)
                .count() as f64
        };
        let (hits, false_alarms, misses) =
            (count(true, true), count(true, false), count(false, true));
        let film_f1 = 2.0 * hits / (2.0 * hits + false_alarms + misses).max(1.0);
        DenseScore {
            finding: finding.to_owned(),
            patch_auroc: auroc(&mut self.patches),
            film_auroc: auroc(&mut self.films),
            film_f1,
        }
    }
}

/// Area under the ROC curve, ties counted half; 0.5 when one of the two kinds is missing.
fn auroc(scored: &mut [(f32, bool)]) -> f64 {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n_with = scored.iter().filter(|(_, truth)| *truth).count() as f64;
    let n_without = scored.len() as f64 - n_with;
    if n_with == 0.0 || n_without == 0.0 {
        return 0.5;
    }
    let (mut below, mut area) = (0.0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let with = tied.iter().filter(|(_, truth)| *truth).count() as f64;
        let without = tied.len() as f64 - with;
        area += with * (below + without / 2.0);
        below += without;
    }
    area / (n_with * n_without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs() {
        let mut scored = vec![(0.1, false), (0.4, true), (0.4, false), (0.9, true)];
        assert_eq!(auroc(&mut scored), 3.5 / 4.0);
        assert_eq!(auroc(&mut [(1.0, true)]), 0.5);
    }
}
