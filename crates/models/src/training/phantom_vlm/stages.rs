//! The two stages of a training run, their losses, and the files they leave.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use half::f16;

use super::checkpoint::{self, Checkpoint, write_file};
use super::context_head::ContextHead;
use super::dense_head::{DenseHead, DenseScore, Tally, head_parameters};
use super::films::{CompactFilm, Films};
use super::{VlmObserver, VlmProgress, VlmStage, VlmTrainingConfig};
use crate::differentiable::objectives::{IGNORED, next_token_loss};
use crate::text::word_tokenizer::{BOS, EOS, PAD, REPORT, WordTokenizer};
use crate::training::adamw::{AdamW, learning_rate};
use crate::vision_language::parameters::Parameters;
use crate::vision_language::{
    CONFIG_FILE, Decoder, PhantomVlm, PhantomVlmConfig, Tower, WEIGHT_FILE, normalised, patches_of,
};
use crate::{HookRun, HookSpec, ModelError};

/// A training run in memory.
pub(super) struct Trainer<'a> {
    config: &'a VlmTrainingConfig,
    sizes: PhantomVlmConfig,
    settings: String,
    folder: PathBuf,
    parameters: Parameters,
    /// Weights of stage one: image tower and dense head.
    tower_vars: Vec<(String, Var)>,
    /// Weights of stage two: projector and decoder.
    text_vars: Vec<(String, Var)>,
    tower: Tower,
    head: DenseHead,
    /// `None` where its weight is 0.
    context: Option<ContextHead>,
    decoder: Decoder,
    resumed: Option<Checkpoint>,
}

impl<'a> Trainer<'a> {
    pub(super) fn new(
        config: &'a VlmTrainingConfig,
        n_findings: usize,
        films: &Films,
        folder: &Path,
    ) -> Result<Self, ModelError> {
        let reports = films.train.iter().map(|film| film.report.as_str());
        let vocabulary = WordTokenizer::collect(reports, config.max_tokens as usize);
        let sizes = config.sizes(vocabulary);
        if let Some(fault) = sizes.fault() {
            return Err(ModelError::Request(fault));
        }
        let settings = serde_json::to_string(&(config, &sizes))
            .map_err(|error| ModelError::Request(format!("settings cannot be written: {error}")))?;
        let mut specs = sizes.parameters();
        specs.extend(head_parameters(n_findings, sizes.vision.d_model));
        let (parameters, vars) = Parameters::draw(&specs, config.seed)?;
        let (tower_vars, text_vars): (Vec<_>, Vec<_>) = vars
            .into_iter()
            .partition(|(name, _)| name.starts_with("vision.") || name.starts_with("dense_head."));
        let resumed = Checkpoint::read(folder)?;
        if let Some(checkpoint) = &resumed {
            if checkpoint.settings != settings {
                return Err(ModelError::Request(format!(
                    "{} belongs to a run with other settings; remove it to start anew",
                    checkpoint::path(folder).display()
                )));
            }
            checkpoint.restore(folder, &tower_vars)?;
            checkpoint.restore(folder, &text_vars)?;
        }
        let counts = films.patch_counts(n_findings);
        let context = (config.context.weight > 0.0)
            .then(|| {
                let (targets, vision) = (&config.context, &sizes.vision);
                ContextHead::new(targets, vision, &films.train, config.seed)
            })
            .transpose()?;
        Ok(Self {
            context,
            head: DenseHead::load(&parameters, &counts, config)?,
            tower: Tower::load(&sizes, &parameters)?,
            decoder: Decoder::load(&sizes.decoder, &parameters)?,
            folder: folder.to_owned(),
            config,
            sizes,
            settings,
            parameters,
            tower_vars,
            text_vars,
            resumed,
        })
    }

    /// Weights of stage one.
    #[cfg(test)]
    pub(super) fn tower_vars(&self) -> &[(String, Var)] {
        &self.tower_vars
    }

    /// Weights of stage two.
    #[cfg(test)]
    pub(super) fn text_vars(&self) -> &[(String, Var)] {
        &self.text_vars
    }

    /// Patch tokens after the tower's final norm, CLS left out, `[batch, n_patches, d_vision]`.
    pub(super) fn tokens(&self, films: &[&CompactFilm]) -> Result<Tensor, ModelError> {
        let vision = &self.sizes.vision;
        let mut values = Vec::new();
        for film in films {
            let pixels: Vec<f32> = normalised(&film.pixels).collect();
            values.extend(patches_of(&pixels, vision));
        }
        let n_patches = vision.n_patches();
        let shape = (
            films.len(),
            n_patches,
            vision.patch_size * vision.patch_size,
        );
        let patches = Tensor::from_vec(values, shape, &Device::Cpu)?;
        let spec = HookSpec::default();
        let normed = self
            .tower
            .vit
            .forward(&patches, &mut HookRun::new(&spec), &[], None)?
            .ok_or_else(|| ModelError::Request("the image tower stopped early".to_owned()))?;
        Ok(normed.narrow(1, 1, n_patches)?.contiguous()?)
    }

    /// Loss of stage one on some films.
    pub(super) fn tower_loss(&self, films: &[&CompactFilm]) -> Result<Tensor, ModelError> {
        let tokens = self.tokens(films)?;
        let findings = self.head.loss(&tokens, films)?;
        match &self.context {
            Some(context) => Ok((findings + context.loss(&tokens, films)?)?),
            None => Ok(findings),
        }
    }

    /// Loss of stage two: next token of the reports, given patch tokens.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, n_patches, d_vision]`
    pub(super) fn text_loss(
        &self,
        tokens: &Tensor,
        films: &[&CompactFilm],
    ) -> Result<Tensor, ModelError> {
        let n_patches = self.sizes.vision.n_patches();
        let room = self.sizes.decoder.n_positions - n_patches - 2;
        let reports: Vec<Vec<u32>> = films
            .iter()
            .map(|film| {
                let mut ids = self.sizes.vocabulary.encode(&film.report);
                ids.truncate(room);
                ids.push(EOS);
                ids
            })
            .collect();
        let longest = reports.iter().map(Vec::len).max().unwrap_or(1);
        let (mut read, mut targets) = (Vec::new(), Vec::new());
        for report in &reports {
            let words = &report[..report.len() - 1];
            let padding = longest - report.len();
            read.extend([BOS, REPORT]);
            read.extend_from_slice(words);
            read.extend(std::iter::repeat_n(PAD, padding));
            targets.extend_from_slice(report);
            targets.extend(std::iter::repeat_n(IGNORED, padding));
        }
        let text = self.decoder.embed(&read, films.len())?;
        let x = Tensor::cat(
            &[
                &text.narrow(1, 0, 1)?,
                &self.tower.project(tokens)?,
                &text.narrow(1, 1, longest)?,
            ],
            1,
        )?;
        let states = self.decoder.forward_from(&x, n_patches + 1)?;
        Ok(next_token_loss(&self.decoder.logits(&states)?, targets)?)
    }

    /// Takes the image tower of the model in `folder`.
    pub(super) fn take_tower(&mut self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(WEIGHT_FILE);
        let bytes = std::fs::read(&path).map_err(|source| ModelError::Read {
            path: path.clone(),
            source,
        })?;
        let given = Parameters::from_bytes(&bytes, &self.sizes.vision.parameters(), &path)?;
        let is_tower = |name: &str| name.starts_with("vision.");
        for (name, var) in self.tower_vars.iter().filter(|(name, _)| is_tower(name)) {
            var.set(&given.get(name)?)?;
        }
        Ok(())
    }

    /// Stage one.
    pub(super) fn train_tower(
        &mut self,
        films: &Films,
        observer: &mut VlmObserver<'_>,
    ) -> Result<(), ModelError> {
        let mut adam = AdamW::new(&self.tower_vars, VlmTrainingConfig::optimiser());
        let mut step = 0;
        match &self.resumed {
            Some(checkpoint) if checkpoint.stage == 0 => {
                adam.moments = checkpoint.moments(&self.folder, &self.tower_vars)?;
                adam.n_steps = checkpoint.step;
                step = checkpoint.step;
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let config = self.config;
        while step < config.vision_steps {
            let batch = pick(films, &films.batch(step, config.batch, VlmStage::Vision));
            let loss = self.tower_loss(&batch)?;
            let lr = learning_rate(
                config.vision_lr,
                step,
                config.warmup_steps,
                config.vision_steps,
            );
            adam.step(&self.tower_vars, &loss.backward()?, lr)?;
            step += 1;
            let progress = VlmProgress {
                stage: VlmStage::Vision,
                done: step,
                total: config.vision_steps,
                loss: loss.to_scalar::<f32>()?,
            };
            let stops = observer(progress).is_break();
            if stops || step % config.checkpoint_every == 0 || step == config.vision_steps {
                self.checkpoint([0, step], &self.tower_vars, &adam)?;
            }
            if stops {
                return Err(ModelError::Cancelled);
            }
        }
        Ok(())
    }

    /// Scores the dense head on the films held out.
    pub(super) fn score_tower(
        &self,
        films: &Films,
        findings: &[String],
    ) -> Result<Vec<DenseScore>, ModelError> {
        let mut tallies: Vec<Tally> = findings.iter().map(|_| Tally::new()).collect();
        for batch in films.held_out.chunks(self.config.batch as usize) {
            let batch: Vec<&CompactFilm> = batch.iter().collect();
            let logits = self.head.logits(&self.tokens(&batch)?)?.to_vec3::<f32>()?;
            for (film, patches) in batch.iter().zip(&logits) {
                for (finding, tally) in tallies.iter_mut().enumerate() {
                    let logits: Vec<f32> = patches.iter().map(|patch| patch[finding]).collect();
                    tally.add(&logits, film, finding);
                }
            }
        }
        let scores = tallies.into_iter().zip(findings);
        Ok(scores
            .map(|(tally, finding)| tally.score(finding))
            .collect())
    }

    /// Patch tokens of all films, in f16.
    fn all_tokens(
        &self,
        films: &Films,
        observer: &mut VlmObserver<'_>,
    ) -> Result<Vec<Vec<f16>>, ModelError> {
        let mut all = Vec::with_capacity(films.train.len());
        for batch in films.train.chunks(self.config.batch as usize) {
            let batch: Vec<&CompactFilm> = batch.iter().collect();
            let tokens = self.tokens(&batch)?;
            for i in 0..batch.len() {
                let values = tokens.get(i)?.flatten_all()?.to_vec1::<f32>()?;
                all.push(values.into_iter().map(f16::from_f32).collect());
            }
            let progress = VlmProgress {
                stage: VlmStage::Tokens,
                done: all.len() as u32,
                total: films.train.len() as u32,
                loss: 0.0,
            };
            if observer(progress).is_break() {
                return Err(ModelError::Cancelled);
            }
        }
        Ok(all)
    }

    /// Stage two.
    pub(super) fn train_text(
        &mut self,
        films: &Films,
        observer: &mut VlmObserver<'_>,
    ) -> Result<(), ModelError> {
        let mut adam = AdamW::new(&self.text_vars, VlmTrainingConfig::optimiser());
        let mut step = 0;
        if let Some(checkpoint) = self.resumed.as_ref().filter(|it| it.stage == 1) {
            adam.moments = checkpoint.moments(&self.folder, &self.text_vars)?;
            adam.n_steps = checkpoint.step;
            step = checkpoint.step;
        }
        if step >= self.config.text_steps {
            return Ok(());
        }
        let all_tokens = self.all_tokens(films, observer)?;
        let (n_patches, d_vision) = (self.sizes.vision.n_patches(), self.sizes.vision.d_model);
        let config = self.config;
        while step < config.text_steps {
            let indexes = films.batch(step, config.batch, VlmStage::Text);
            let batch = pick(films, &indexes);
            let values: Vec<f32> = indexes
                .iter()
                .flat_map(|&index| all_tokens[index].iter().map(|value| value.to_f32()))
                .collect();
            let shape = (batch.len(), n_patches, d_vision);
            let tokens = Tensor::from_vec(values, shape, &Device::Cpu)?;
            let loss = self.text_loss(&tokens, &batch)?;
            let lr = learning_rate(config.text_lr, step, config.warmup_steps, config.text_steps);
            adam.step(&self.text_vars, &loss.backward()?, lr)?;
            step += 1;
            let progress = VlmProgress {
                stage: VlmStage::Text,
                done: step,
                total: config.text_steps,
                loss: loss.to_scalar::<f32>()?,
            };
            let stops = observer(progress).is_break();
            if stops || step % config.checkpoint_every == 0 || step == config.text_steps {
                self.checkpoint([1, step], &self.text_vars, &adam)?;
                self.write_model()?;
            }
            if stops {
                return Err(ModelError::Cancelled);
            }
        }
        Ok(())
    }

    fn checkpoint(
        &self,
        at: [u32; 2],
        trained: &[(String, Var)],
        adam: &AdamW,
    ) -> Result<(), ModelError> {
        let vars: Vec<(String, Var)> = self
            .tower_vars
            .iter()
            .chain(&self.text_vars)
            .cloned()
            .collect();
        let moments: Vec<_> = trained
            .iter()
            .map(|(name, _)| name.as_str())
            .zip(&adam.moments)
            .collect();
        Checkpoint::write(&self.folder, &self.settings, at, &vars, &moments)
    }

    fn write_model(&self) -> Result<(), ModelError> {
        let weights = self.parameters.to_f16_bytes(&self.sizes.parameters())?;
        let sizes = serde_json::to_string_pretty(&self.sizes)
            .map_err(|error| ModelError::Request(format!("sizes cannot be written: {error}")))?;
        write_file(&self.folder.join(CONFIG_FILE), sizes.as_bytes())?;
        write_file(&self.folder.join(WEIGHT_FILE), &weights)
    }

    /// Writes the model, removes the checkpoint, and reads the model back.
    pub(super) fn finish(self) -> Result<PhantomVlm, ModelError> {
        self.write_model()?;
        let model = PhantomVlm::load(&self.folder)?;
        let path = checkpoint::path(&self.folder);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(ModelError::Write { path, source })
            }
            _ => Ok(model),
        }
    }
}

fn pick<'f>(films: &'f Films, indexes: &[usize]) -> Vec<&'f CompactFilm> {
    indexes.iter().map(|&index| &films.train[index]).collect()
}
