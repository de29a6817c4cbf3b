//! Training steps on a candle device: what a graphics card does in place of the sparse kernels.
//!
//! Dense products and plain operations that every device has. Weights and moments stay on the
//! device between steps; a step brings back one vector of counts and a few sums. Tests run the same
//! steps on candle's CPU beside the kernels and the fixtures.

mod choose;
mod gradients;
mod update;
mod weights;

use candle_core::{Device, Tensor};
use schema::{SaeConfig, SaeRecipe, SaeVariant, StepReport};

use self::gradients::Batch;
use self::update::Moments;
use self::weights::DeviceWeights;
use crate::error::SaeError;
use crate::gradients::{Plan, StepRows};
use crate::optimiser::{adam_step, clip_factor};
use crate::trainer::TrainingState;

/// Why a configuration is trained by the kernels of the CPU whatever device there is; `None` where
/// a device can train it.
///
/// A device trains `TopK`, `BatchTopK` and Matryoshka by the recipe of `dictionary_learning`.
#[must_use]
pub fn kept_on_cpu(config: &SaeConfig) -> Option<String> {
    use SaeVariant::{BatchTopK, Matryoshka, TopK};
    let is_known = matches!(config.variant, TopK | BatchTopK | Matryoshka);
    if config.recipe == SaeRecipe::DictionaryLearning && is_known {
        return None;
    }
    Some(
        "a card trains top_k, batch_top_k and matryoshka of the recipe dictionary_learning; all \
         else is trained on the CPU"
            .to_owned(),
    )
}

/// A run whose steps a device does.
pub(crate) struct OnDevice {
    device: Device,
    /// What is on the device; none before the first step of a sitting.
    held: Option<Held>,
}

/// Weights and moments there.
struct Held {
    weights: DeviceWeights,
    moments: Moments,
}

impl OnDevice {
    pub(crate) fn new(device: Device) -> Self {
        Self { device, held: None }
    }

    /// One step on a batch; the weights in `state` are left behind until [`Self::fetch`].
    pub(crate) fn step(
        &mut self,
        plan: &Plan<'_>,
        state: &mut TrainingState,
        of_step: StepRows<'_>,
    ) -> Result<StepReport, SaeError> {
        state.check_rows(plan.config, "batch", of_step.rows)?;
        state.prepare(plan, of_step);
        let held = match self.held.take() {
            Some(held) => held,
            None => Held::of(state, &self.device).map_err(|error| refused(&error))?,
        };
        let d = state.weights.d_model;
        let shape = (of_step.rows.len() / d, d);
        let rows = Tensor::from_slice(of_step.rows, shape, &self.device)
            .map_err(|error| refused(&error))?;
        let batch = Batch {
            plan,
            step: state.step,
            weights: &held.weights,
            rows: &rows,
        };
        let mut gradients = batch
            .gradients(&mut state.rows_since_active)
            .map_err(|error| refused(&error))?;
        let loss = gradients.loss;
        state.track_threshold(plan, &loss);
        let norm = gradients
            .weights
            .project(&held.weights)
            .and_then(|()| gradients.weights.norm())
            .map_err(|error| refused(&error))?;
        let total = state.check_finite(plan, &loss, norm)?;
        let clip = clip_factor(plan.config, norm);
        let step = adam_step((plan.config, &plan.conventions), state.step, clip);
        let next = held
            .after(&gradients.weights, step)
            .map_err(|error| refused(&error))?;
        self.held = Some(next);
        state.step += 1;
        Ok(TrainingState::report(state.step - 1, total, &loss))
    }

    /// Brings weights and moments back into `state`.
    pub(crate) fn fetch(&self, state: &mut TrainingState) -> Result<(), SaeError> {
        if let Some(held) = &self.held {
            held.weights
                .write_to(&mut state.weights)
                .map_err(|error| refused(&error))?;
            for (moment, into) in held.moments.iter().zip(&mut state.moments) {
                moment.write_to(into).map_err(|error| refused(&error))?;
            }
        }
        Ok(())
    }
}

impl Held {
    fn of(state: &TrainingState, device: &Device) -> candle_core::Result<Self> {
        let [first, second] = &state.moments;
        Ok(Self {
            weights: DeviceWeights::of(&state.weights, device)?,
            moments: [
                DeviceWeights::of(first, device)?,
                DeviceWeights::of(second, device)?,
            ],
        })
    }
}

fn refused(error: &candle_core::Error) -> SaeError {
    SaeError::Device {
        reason: error.to_string().lines().next().unwrap_or("").to_owned(),
    }
}
