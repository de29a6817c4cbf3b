//! Adam with the L2 term in the gradient, as `PyTorch`'s `Adam(weight_decay)`.

use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::{ParallelSlice as _, ParallelSliceMut as _};

use super::super::weights::RecommenderWeights;
use super::RecommenderTraining;

const BETAS: [f64; 2] = [0.9, 0.999];
const EPS: f32 = 1e-8;

/// Values updated by one task. Elementwise, so the split changes no result.
const CHUNK: usize = 1 << 15;

/// First and second moments of all weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adam {
    pub(crate) mean: Vec<f32>,
    pub(crate) square: Vec<f32>,
    /// Steps done.
    pub(crate) steps: u64,
}

/// The factors of one step.
#[derive(Clone, Copy)]
struct Factors {
    step_size: f32,
    inverse_root_correction: f32,
    l2: f32,
}

impl Adam {
    /// Moments at 0.
    pub(crate) fn new(n: usize) -> Self {
        Self {
            mean: vec![0.0; n],
            square: vec![0.0; n],
            steps: 0,
        }
    }

    /// Updates every weight: moments of rows without gradient decay too.
    pub(crate) fn step(
        &mut self,
        weights: &mut RecommenderWeights,
        gradient: &[f32],
        training: &RecommenderTraining,
    ) {
        self.steps += 1;
        let t = self.steps as f64;
        let factors = Factors {
            step_size: (f64::from(training.lr) / (1.0 - BETAS[0].powf(t))) as f32,
            inverse_root_correction: (1.0 / (1.0 - BETAS[1].powf(t)).sqrt()) as f32,
            l2: training.l2,
        };
        let spans: Vec<_> = weights
            .layout()
            .iter()
            .map(|segment| (segment.range.clone(), segment.is_decayed()))
            .collect();
        for (range, is_decayed) in spans {
            let factors = Factors {
                l2: if is_decayed { factors.l2 } else { 0.0 },
                ..factors
            };
            weights.values_mut()[range.clone()]
                .par_chunks_mut(CHUNK)
                .zip(gradient[range.clone()].par_chunks(CHUNK))
                .zip(self.mean[range.clone()].par_chunks_mut(CHUNK))
                .zip(self.square[range].par_chunks_mut(CHUNK))
                .for_each(|(((values, gradient), mean), square)| {
                    update(values, gradient, mean, square, factors);
                });
        }
    }
}

fn update(
    values: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    factors: Factors,
) {
    let [beta1, beta2] = BETAS.map(|beta| beta as f32);
    for (((value, &g), m), v) in values.iter_mut().zip(gradient).zip(mean).zip(square) {
        let g = g + factors.l2 * *value;
        *m += (1.0 - beta1) * (g - *m);
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let root = v.sqrt() * factors.inverse_root_correction + EPS;
        *value -= factors.step_size * *m / root;
    }
}
