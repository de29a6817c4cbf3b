//! Training of the phantom vision-language model in two stages, from films with planted findings.
//!
//! Stage one trains the image tower alone: a linear head on the final patch tokens predicts which
//! planted findings cover each patch, and its highest patch whether the film shows the finding; a
//! second one where the patch lies, what it looks like, and what the whole film looks like, and
//! takes most of every token. That stands in for the pretraining of a medical image encoder, whose
//! patch tokens carry localised findings beside all that is the same in healthy films; both heads
//! are dropped afterwards. Stage two keeps the tower fixed, as `LLaVA`
//! does, and trains projector and decoder to write the report, by next-token loss alone.

mod checkpoint;
mod context_head;
mod dense_head;
mod examples;
mod films;
#[cfg(test)]
mod gradient_tests;
mod stages;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::text::word_tokenizer::WordTokenizer;
use crate::training::adamw::AdamWConfig;
use crate::vision::vit::VitConfig;
use crate::vision_language::{DecoderConfig, PhantomVlm, PhantomVlmConfig};

pub use dense_head::DenseScore;
pub use examples::{PlantedFinding, VlmExample, VlmExamples};

use films::Films;
use stages::Trainer;

/// Some numbers that every patch token must give, and how much of the token they take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextPart {
    /// How many numbers.
    pub n: u32,
    /// Share of the token's mean square that they take, `0..1`.
    pub share: f32,
}

/// What every patch token must give beside findings: where the patch lies, what it looks like, and
/// what the whole film looks like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContextTargets {
    /// Where a patch lies: smooth waves over the grid.
    pub place: ContextPart,
    /// What a patch looks like: the lowest frequencies of its pixels.
    pub patch: ContextPart,
    /// What the film looks like: the lowest frequencies of its patches' brightness. It stands for
    /// exposure, pose and build, and is the same for all patches of a film.
    pub film: ContextPart,
    /// Weight of the loss beside that of the findings, ≥ 0; 0 leaves it out.
    pub weight: f32,
}

impl Default for ContextTargets {
    fn default() -> Self {
        Self {
            place: ContextPart { n: 4, share: 0.04 },
            patch: ContextPart { n: 4, share: 0.06 },
            film: ContextPart { n: 20, share: 0.8 },
            weight: 6.0,
        }
    }
}

impl ContextTargets {
    fn parts(&self) -> [ContextPart; 3] {
        [self.place, self.patch, self.film]
    }
}

/// Settings of a training run. The same settings give the same weights, bit for bit, on processors
/// with the same vector instructions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VlmTrainingConfig {
    /// Films to train on: examples `0..n_films`, all kept in memory (about 100 kB each).
    pub n_films: u32,
    /// Films after those, on which the dense head is scored.
    pub n_held_out: u32,
    /// Steps of stage one, the image tower.
    pub vision_steps: u32,
    /// Steps of stage two, projector and decoder.
    pub text_steps: u32,
    /// Films per step.
    pub batch: u32,
    /// Peak learning rate of stage one.
    pub vision_lr: f32,
    /// Peak learning rate of stage two.
    pub text_lr: f32,
    /// Steps of linear warm-up in each stage.
    pub warmup_steps: u32,
    /// Weight of the film-level loss beside the patch-level one, ≥ 0.
    pub film_loss_weight: f32,
    /// Log-odds per unit of the dense head's read-out, > 0: the higher, the smaller the part of a
    /// token that a finding needs.
    pub head_scale: f32,
    /// What the tokens must give beside findings in stage one.
    pub context: ContextTargets,
    /// Words in the vocabulary at most, special tokens included.
    pub max_tokens: u32,
    /// Steps between checkpoints.
    pub checkpoint_every: u32,
    /// Seed of initial weights and of the order of films.
    pub seed: u64,
    /// Folder of a model whose image tower is taken over; stage one is then left out. `None` to
    /// train a tower.
    pub tower_from: Option<PathBuf>,
    /// Sizes of the image tower; `None` for those shipped.
    pub vision: Option<VitConfig>,
    /// Sizes of the decoder; `None` for those shipped.
    pub decoder: Option<DecoderConfig>,
}

impl Default for VlmTrainingConfig {
    fn default() -> Self {
        Self {
            n_films: 4_000,
            n_held_out: 200,
            vision_steps: 1_200,
            text_steps: 1_500,
            batch: 16,
            vision_lr: 1.5e-3,
            text_lr: 2e-3,
            warmup_steps: 100,
            film_loss_weight: 0.1,
            head_scale: 3.0,
            context: ContextTargets::default(),
            max_tokens: 500,
            checkpoint_every: 100,
            seed: 0,
            tower_from: None,
            vision: None,
            decoder: None,
        }
    }
}

impl VlmTrainingConfig {
    fn check(&self) -> Result<(), ModelError> {
        let fault = if self.n_films == 0 || self.batch == 0 || self.checkpoint_every == 0 {
            "n_films, batch and checkpoint_every must be at least 1"
        } else if !(self.vision_lr > 0.0 && self.text_lr > 0.0) {
            "learning rates must be above 0"
        } else if !self.context.parts().iter().all(|part| part.share > 0.0)
            || self
                .context
                .parts()
                .iter()
                .map(|part| part.share)
                .sum::<f32>()
                >= 1.0
            || !(self.context.weight >= 0.0 && self.context.weight.is_finite())
        {
            "shares of context must be above 0 and together below 1, its weight at least 0"
        } else if self.head_scale.is_nan() || self.head_scale <= 0.0 {
            "head_scale must be above 0"
        } else if !(8..=10_000).contains(&self.max_tokens) {
            "max_tokens must lie between 8 and 10000"
        } else {
            return Ok(());
        };
        Err(ModelError::Request(fault.to_owned()))
    }

    fn sizes(&self, vocabulary: WordTokenizer) -> PhantomVlmConfig {
        let mut sizes = PhantomVlmConfig::shipped(vocabulary);
        if let Some(vision) = &self.vision {
            sizes.vision = vision.clone();
        }
        if let Some(decoder) = &self.decoder {
            sizes.decoder = decoder.clone();
        }
        let tower = if self.tower_from.is_some() {
            "image tower of an earlier model".to_owned()
        } else {
            format!(
                "{} steps of {} films for the image tower on planted masks, place and appearance",
                self.vision_steps, self.batch
            )
        };
        sizes.training = format!(
            "{} phantom films; {tower}, then {} steps for projector and decoder on reports; seed {}",
            self.n_films, self.text_steps, self.seed
        );
        sizes
    }

    fn optimiser() -> AdamWConfig {
        AdamWConfig::default()
    }
}

/// What a training run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VlmStage {
    /// Drawing or reading films.
    Films,
    /// Training the image tower.
    Vision,
    /// Running the trained tower over all films.
    Tokens,
    /// Training projector and decoder.
    Text,
}

/// How far a training run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VlmProgress {
    /// What is done now.
    pub stage: VlmStage,
    /// Films or steps done in this stage.
    pub done: u32,
    /// Films or steps of this stage in all.
    pub total: u32,
    /// Loss of the last step, in nats; 0 outside of training.
    pub loss: f32,
}

/// Called after every step; breaking stops the run and leaves a checkpoint.
pub type VlmObserver<'a> = dyn FnMut(VlmProgress) -> ControlFlow<()> + 'a;

/// What a finished run leaves.
pub struct VlmTrained {
    /// The model, as read back from its files.
    pub model: PhantomVlm,
    /// How well the dense head did on held-out films, per finding; empty for a tower taken over.
    pub dense_scores: Vec<DenseScore>,
}

/// Trains a phantom model and writes `config.json` and `model.safetensors` into `folder`.
///
/// A `checkpoint.safetensors` in `folder` from a run with the same settings is continued; it is
/// removed at the end. During stage two the two files are rewritten with every checkpoint, so an
/// interrupted run leaves a model that works as far as it got.
///
/// # Errors
/// [`ModelError::Cancelled`] when the observer breaks (within one step), [`ModelError::Request`]
/// for unsound settings or a checkpoint of other settings, and errors of the examples and of files.
///
/// # Determinism
/// A function of the settings and the examples alone, on one kind of processor; resumed runs give
/// the same bytes as undisturbed ones.
///
/// # Cost
/// About 100 kB of memory per film.
pub fn train(
    config: &VlmTrainingConfig,
    findings: &[String],
    examples: &dyn VlmExamples,
    folder: &Path,
    observer: &mut VlmObserver<'_>,
) -> Result<VlmTrained, ModelError> {
    config.check()?;
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let films = Films::draw(config, findings.len(), examples, observer)?;
    let mut trainer = Trainer::new(config, findings.len(), &films, folder)?;
    let dense_scores = if let Some(folder) = &config.tower_from {
        trainer.take_tower(folder)?;
        Vec::new()
    } else {
        trainer.train_tower(&films, observer)?;
        trainer.score_tower(&films, findings)?
    };
    trainer.train_text(&films, observer)?;
    let model = trainer.finish()?;
    Ok(VlmTrained {
        model,
        dense_scores,
    })
}
