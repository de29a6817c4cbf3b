//! The phantom vision-language model: `ViT`, projector and decoder behind the seam of hooked models.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{Device, Tensor};
use schema::{HookPoint, PatchGrid, PositionClass};

use super::film_pixels::{film_pixels, normalised, patches_of};
use super::parameters::{ParameterSpec, Parameters};
use super::phantom_vlm_config::PhantomVlmConfig;
use super::{Decoder, KvCache};
use crate::attribution::{ImageReader, attribute};
use crate::differentiable::activations::gelu;
use crate::differentiable::affine::linear;
use crate::text::generation::{highest, prompt_positions};
use crate::text::word_tokenizer::{BOS, EOS, IMAGE, REPORT};
use crate::vision::vit::Vit;
use crate::{
    Architecture, AttributionMethod, Captured, EditedPosition, Generation, GenerationOptions,
    HookInfo, HookRun, HookSpec, HookedModel, ModelCard, ModelError, ModelInput, ModelSample,
    PositionInfo, Probe,
};

/// Films that go through the model at once.
const FILMS_PER_BATCH: usize = 16;
/// Name of the file with the sizes and the vocabulary.
pub(crate) const CONFIG_FILE: &str = "config.json";
/// Name of the file with the weights.
pub(crate) const WEIGHT_FILE: &str = "model.safetensors";

/// Image tower and projector, as shared by the model and its trainer.
pub(crate) struct Tower {
    pub(crate) vit: Vit,
    up: (Tensor, Tensor),
    down: (Tensor, Tensor),
}

impl Tower {
    pub(crate) fn load(
        config: &PhantomVlmConfig,
        parameters: &Parameters,
    ) -> Result<Self, ModelError> {
        let affine = |name: &str| -> Result<(Tensor, Tensor), ModelError> {
            Ok((
                parameters.get(&format!("projector.{name}.weight"))?,
                parameters.get(&format!("projector.{name}.bias"))?,
            ))
        };
        Ok(Self {
            vit: Vit::load(&config.vision, parameters)?,
            up: affine("up")?,
            down: affine("down")?,
        })
    }

    /// What the decoder reads of the patches.
    ///
    /// # Shapes
    /// - `normed`: `[batch, n_patches, d_vision]` after the tower's final norm, without CLS
    /// - returns: `[batch, n_patches, d_model]`
    pub(crate) fn project(&self, normed: &Tensor) -> candle_core::Result<Tensor> {
        let hidden = gelu(&linear(normed, &self.up.0, Some(&self.up.1))?)?;
        linear(&hidden, &self.down.0, Some(&self.down.1))
    }
}

/// A vision-language model of under three million weights that writes the report of a phantom
/// film: a DINOv2-style image tower, a projector of two layers and a Llama-shaped decoder.
///
/// The prompt is the start token, one position per patch, and a token that opens the report.
pub struct PhantomVlm {
    card: ModelCard,
    config: PhantomVlmConfig,
    tower: Tower,
    decoder: Decoder,
}

impl PhantomVlm {
    /// Reads `config.json` and `model.safetensors` of a folder.
    ///
    /// # Errors
    /// [`ModelError::Read`] and [`ModelError::Format`] name the file and the place in it.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| ModelError::Read { path, source })
        };
        Self::from_bytes(&read(CONFIG_FILE)?, &read(WEIGHT_FILE)?, folder)
    }

    /// Builds the model from the bytes of its two files; `folder` is what errors name.
    ///
    /// # Errors
    /// As [`PhantomVlm::load`].
    pub fn from_bytes(config: &[u8], weights: &[u8], folder: &Path) -> Result<Self, ModelError> {
        let broken = |expected: String| ModelError::Format {
            path: folder.join(CONFIG_FILE),
            place: "sizes".to_owned(),
            expected,
        };
        let config: PhantomVlmConfig = serde_json::from_slice(config)
            .map_err(|error| broken(format!("expected the sizes of a phantom model: {error}")))?;
        if let Some(fault) = config.fault() {
            return Err(broken(fault));
        }
        let specs = config.parameters();
        let parameters = Parameters::from_bytes(weights, &specs, &folder.join(WEIGHT_FILE))?;
        let hash = blake3::hash(weights).to_hex().to_string();
        Self::from_parameters(config, &parameters, hash)
    }

    /// Builds the model on weights in memory.
    pub(crate) fn from_parameters(
        config: PhantomVlmConfig,
        parameters: &Parameters,
        hash: String,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            tower: Tower::load(&config, parameters)?,
            decoder: Decoder::load(&config.decoder, parameters)?,
            card: card(&config, hash),
            config,
        })
    }

    /// Sizes and vocabulary.
    pub fn config(&self) -> &PhantomVlmConfig {
        &self.config
    }

    fn n_patches(&self) -> usize {
        self.config.vision.n_patches()
    }

    /// Place of `hook` in the order of the forward pass.
    fn order(&self, hook: HookPoint) -> Result<usize, ModelError> {
        let hooks = &self.card.hooks;
        hooks
            .iter()
            .position(|info| info.hook == hook)
            .ok_or_else(|| {
                let names: Vec<String> = hooks.iter().map(|info| info.hook.to_string()).collect();
                ModelError::NoSuchHook {
                    model: self.card.name.clone(),
                    hook,
                    available: names.join(", "),
                }
            })
    }

    fn patches(&self, inputs: &[ModelInput]) -> Result<Tensor, ModelError> {
        let vision = &self.config.vision;
        let n_pixels = vision.image_size * vision.image_size;
        let mut values = Vec::with_capacity(inputs.len() * n_pixels);
        for input in inputs {
            if input.pixels.len() != n_pixels {
                return Err(ModelError::Request(format!(
                    "{} reads {} pixels, found {}",
                    self.card.name,
                    n_pixels,
                    input.pixels.len()
                )));
            }
            values.extend(patches_of(&input.pixels, vision));
        }
        let shape = (
            inputs.len(),
            vision.n_patches(),
            vision.patch_size * vision.patch_size,
        );
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Runs tower and projector; `None` when `last` lies before the decoder.
    fn project(
        &self,
        inputs: &[ModelInput],
        run: &mut HookRun<'_>,
        last: Option<HookPoint>,
    ) -> Result<Option<Tensor>, ModelError> {
        let n_patches = self.n_patches();
        let tower_rows = EditedPosition::tower(inputs.len(), n_patches);
        let patches = self.patches(inputs)?;
        let normed = self.tower.vit.forward(&patches, run, &tower_rows, last)?;
        let Some(normed) = normed else {
            return Ok(None);
        };
        let image_rows: Vec<EditedPosition> = inputs
            .iter()
            .flat_map(|input| {
                let prompt_len = input.ids.len() as u32;
                (0..n_patches as u32).map(move |i| EditedPosition {
                    position: i + 1,
                    prompt_len,
                    class: PositionClass::Image,
                })
            })
            .collect();
        let image = normed.narrow(1, 1, n_patches)?.contiguous()?;
        let image = self.tower.project(&image)?;
        let image = run.visit(HookPoint::ProjectorOut, image, &image_rows)?;
        Ok((last != Some(HookPoint::ProjectorOut)).then_some(image))
    }

    /// Embedded sequences, padded at the end to the longest.
    fn embed(&self, inputs: &[ModelInput], image: &Tensor) -> Result<Tensor, ModelError> {
        let n_patches = self.n_patches();
        let n = inputs
            .iter()
            .map(|input| input.ids.len())
            .max()
            .unwrap_or(0);
        let mut text = Vec::new();
        for input in inputs {
            let is_prompt = input.ids.len() > n_patches + 1
                && input.ids[1..=n_patches].iter().all(|&id| id == IMAGE);
            if !is_prompt || input.ids.iter().any(|&id| id as usize >= self.n_vocab()) {
                return Err(ModelError::Request(format!(
                    "{} reads a start token, {n_patches} patches and a report",
                    self.card.name
                )));
            }
            text.push(input.ids[0]);
            text.extend_from_slice(&input.ids[n_patches + 1..]);
            text.extend(std::iter::repeat_n(0, n - input.ids.len()));
        }
        let text = self.decoder.embed(&text, inputs.len())?;
        let first = text.narrow(1, 0, 1)?;
        let rest = text.narrow(1, 1, n - n_patches - 1)?;
        Ok(Tensor::cat(&[&first, image, &rest], 1)?)
    }

    fn n_vocab(&self) -> usize {
        self.config.vocabulary.n_tokens()
    }

    fn capture_batch(
        &self,
        inputs: &[ModelInput],
        spec: &HookSpec,
        last: HookPoint,
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        let mut run = HookRun::new(spec);
        if let Some(image) = self.project(inputs, &mut run, Some(last))? {
            let x = self.embed(inputs, &image)?;
            self.decoder.forward(x, None, &mut run, &[], Some(last))?;
        }
        let captured = run.into_captured();
        Ok(inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                captured
                    .iter()
                    .map(|whole| part(whole, i, inputs.len(), input))
                    .collect()
            })
            .collect())
    }

    /// Runs the prompt; the states of all its positions after the final norm, and the cache.
    fn read_prompt(
        &self,
        input: &ModelInput,
        run: &mut HookRun<'_>,
    ) -> Result<(Tensor, KvCache), ModelError> {
        let inputs = std::slice::from_ref(input);
        let mut cache = KvCache::default();
        let unreached = || ModelError::Request("the model stopped early".to_owned());
        let image = self.project(inputs, run, None)?.ok_or_else(unreached)?;
        let x = self.embed(inputs, &image)?;
        let positions = prompt_positions(&input.classes);
        let normed = self
            .decoder
            .forward(x, Some(&mut cache), run, &positions, None)?
            .ok_or_else(unreached)?;
        Ok((normed, cache))
    }

    /// Refuses a spec that names a hook point the model lacks.
    fn check_hooks(&self, spec: &HookSpec) -> Result<(), ModelError> {
        let edited = spec.edits.iter().map(|(hook, _)| hook);
        for &hook in spec.capture.iter().chain(edited) {
            self.order(hook)?;
        }
        Ok(())
    }
}

fn card(config: &PhantomVlmConfig, hash: String) -> ModelCard {
    let (d_vision, d_model) = (config.vision.d_model as u32, config.decoder.d_model as u32);
    let at = |hook, d_model| HookInfo { hook, d_model };
    let mut hooks = vec![at(HookPoint::VisionEmbed, d_vision)];
    let tower = (0..config.vision.n_blocks).map(|i| at(HookPoint::VisionResidPost(i), d_vision));
    hooks.extend(tower);
    hooks.push(at(HookPoint::VisionLnFinal, d_vision));
    hooks.push(at(HookPoint::ProjectorOut, d_model));
    hooks.push(at(HookPoint::Embed, d_model));
    hooks.extend((0..config.decoder.n_blocks).map(|i| at(HookPoint::ResidPost(i), d_model)));
    hooks.push(at(HookPoint::LnFinal, d_model));
    let n_parameters: usize = config
        .parameters()
        .iter()
        .map(ParameterSpec::n_values)
        .sum();
    let grid = config.vision.grid_size();
    let fact = |name: &str, value: String| (name.to_owned(), value);
    ModelCard {
        name: "Phantom model".to_owned(),
        architecture: Architecture::PhantomVlm,
        n_parameters: n_parameters as u64,
        hash,
        hooks,
        facts: vec![
            fact("Image blocks", config.vision.n_blocks.to_string()),
            fact("Patches", format!("{grid} × {grid}")),
            fact("Text blocks", config.decoder.n_blocks.to_string()),
            fact("Vocabulary", config.vocabulary.n_tokens().to_string()),
            fact("Training", config.training.clone()),
        ],
    }
}

impl ImageReader for PhantomVlm {
    fn read_embedded(&self, input: &ModelInput) -> Result<(Tensor, Vec<usize>), ModelError> {
        let inputs = std::slice::from_ref(input);
        let nothing = HookSpec::default();
        let image = self.project(inputs, &mut HookRun::new(&nothing), None)?;
        let image = image.ok_or_else(|| ModelError::Request("there is no image".to_owned()))?;
        let rows = (1..=self.n_patches()).collect();
        Ok((self.embed(inputs, &image)?, rows))
    }

    fn grid_sides(&self, _input: &ModelInput) -> [usize; 2] {
        [self.config.vision.grid_size(); 2]
    }

    fn run_embedded(
        &self,
        x: &Tensor,
        last: HookPoint,
        run: &mut HookRun<'_>,
    ) -> Result<(), ModelError> {
        self.decoder
            .forward(x.clone(), None, run, &[], Some(last))?;
        Ok(())
    }
}

impl HookedModel for PhantomVlm {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let film = sample.need_film(&self.card.name)?;
        let size = self.config.vision.image_size;
        let n_patches = self.n_patches();
        let mut ids = vec![BOS];
        ids.extend(std::iter::repeat_n(IMAGE, n_patches));
        ids.push(REPORT);
        let mut classes = vec![PositionClass::Bos];
        classes.extend(std::iter::repeat_n(PositionClass::Image, n_patches));
        classes.push(PositionClass::Boilerplate);
        let mut n_dropped = 0;
        if let Some(report) = sample.report {
            let room = self.config.decoder.n_positions - ids.len();
            let words = self.config.vocabulary.encode(&report.text());
            n_dropped = words.len().saturating_sub(room);
            ids.extend(words.into_iter().take(room));
            classes.resize(ids.len(), PositionClass::Report);
        }
        let texts = ids
            .iter()
            .map(|&id| match id {
                IMAGE => String::new(),
                _ => self.token_text(id),
            })
            .collect();
        Ok(ModelInput {
            film_size: [film.width, film.height],
            pixels: normalised(&film_pixels(film, size)).collect(),
            pixel_shape: [1, size, size],
            covered: [0.0, 0.0, film.width as f32, film.height as f32],
            ids,
            classes,
            texts,
            n_dropped,
            ..ModelInput::default()
        })
    }

    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError> {
        self.order(hook)?;
        let blank = |class, patch| PositionInfo {
            class,
            text: String::new(),
            patch,
        };
        let n_patches = self.n_patches();
        let image = (0..n_patches as u32).map(|i| blank(PositionClass::Image, Some((0, i))));
        Ok(if hook == HookPoint::ProjectorOut {
            image.collect()
        } else if hook.is_vision() {
            std::iter::once(blank(PositionClass::Cls, None))
                .chain(image)
                .collect()
        } else {
            let texts = input.texts.iter().cloned();
            let rows = input.classes.iter().zip(texts).enumerate();
            rows.map(|(at, (&class, text))| PositionInfo {
                class,
                text,
                patch: (class == PositionClass::Image).then(|| (0, at as u32 - 1)),
            })
            .collect()
        })
    }

    fn grid(&self, input: &ModelInput, hook: HookPoint) -> Option<PatchGrid> {
        self.order(hook).ok()?;
        let side = self.config.vision.grid_size() as u32;
        let [left, top, width, height] = input.covered;
        Some(PatchGrid {
            rows: side,
            columns: side,
            left,
            top,
            width,
            height,
        })
    }

    fn capture(
        &self,
        inputs: &[ModelInput],
        hooks: &[HookPoint],
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        let mut last = 0;
        for &hook in hooks {
            last = last.max(self.order(hook)?);
        }
        if hooks.is_empty() {
            return Ok(inputs.iter().map(|_| Vec::new()).collect());
        }
        let last = self.card.hooks[last].hook;
        let spec = HookSpec::capturing(hooks);
        let mut all = Vec::with_capacity(inputs.len());
        for batch in inputs.chunks(FILMS_PER_BATCH) {
            for met in self.capture_batch(batch, &spec, last)? {
                let asked = hooks
                    .iter()
                    .filter_map(|hook| met.iter().find(|captured| captured.hook == *hook).cloned());
                all.push(asked.collect());
            }
        }
        Ok(all)
    }

    fn generate(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
        options: GenerationOptions,
        on_token: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, ModelError> {
        self.check_hooks(spec)?;
        let mut run = HookRun::new(spec);
        let (normed, mut cache) = self.read_prompt(input, &mut run)?;
        let mut state = normed.narrow(1, input.ids.len() - 1, 1)?.contiguous()?;
        let mut generation = Generation {
            captured: run.into_captured(),
            ..Generation::default()
        };
        let edits = HookSpec {
            edits: spec.edits.clone(),
            ..HookSpec::default()
        };
        let prompt_len = input.ids.len();
        let room = self.config.decoder.n_positions.saturating_sub(prompt_len);
        while generation.ids.len() < options.max_new_tokens.min(room) {
            let scores = self
                .decoder
                .logits(&state)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            let id = highest(&scores);
            generation.ids.push(id);
            if options.keep_logits {
                generation.logits.extend(scores);
            }
            if id == EOS && !options.ignore_eos {
                generation.is_complete = true;
                break;
            }
            let piece = self.config.vocabulary.piece_after(&generation.text, id);
            generation.text.push_str(&piece);
            if on_token(&piece).is_break()
                || generation.ids.len() >= options.max_new_tokens.min(room)
            {
                break;
            }
            let position = EditedPosition {
                position: (prompt_len + generation.ids.len() - 1) as u32,
                prompt_len: prompt_len as u32,
                class: PositionClass::Generated,
            };
            let x = self.decoder.embed(&[id], 1)?;
            let mut step = HookRun::new(&edits);
            let next = self
                .decoder
                .forward(x, Some(&mut cache), &mut step, &[position], None)?;
            match next {
                Some(next) => state = next,
                None => break,
            }
        }
        Ok(generation)
    }

    fn logits(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
    ) -> Result<(Vec<f32>, Vec<Captured>), ModelError> {
        self.check_hooks(spec)?;
        let mut run = HookRun::new(spec);
        let (normed, _) = self.read_prompt(input, &mut run)?;
        let scores = self.decoder.logits(&normed)?.flatten_all()?;
        Ok((scores.to_vec1::<f32>()?, run.into_captured()))
    }

    fn image_attribution(
        &self,
        input: &ModelInput,
        probe: &Probe,
        method: AttributionMethod,
    ) -> Result<Vec<f32>, ModelError> {
        self.order(probe.hook)?;
        attribute(self, input, probe, method)
    }

    fn logit_lens(
        &self,
        direction: &[f32],
        hook: HookPoint,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        self.order(hook)?;
        if hook.is_vision() && hook != HookPoint::ProjectorOut {
            return Ok(None);
        }
        if direction.len() != self.config.decoder.d_model {
            return Err(ModelError::Request(format!(
                "a direction at {hook} has {} numbers, found {}",
                self.config.decoder.d_model,
                direction.len()
            )));
        }
        let is_normed = hook == HookPoint::LnFinal;
        Ok(Some(self.decoder.direct_scores(direction, is_normed)?))
    }

    fn token_text(&self, id: u32) -> String {
        self.config.vocabulary.token(id).to_owned()
    }
}

/// The rows of input `i` among the rows of a batch, padding left out.
fn part(whole: &Captured, i: usize, batch: usize, input: &ModelInput) -> Captured {
    let per_input = whole.n_rows / batch.max(1);
    let n_rows = if whole.hook.is_vision() {
        per_input
    } else {
        input.ids.len()
    };
    let start = i * per_input * whole.d_model;
    Captured {
        hook: whole.hook,
        n_rows,
        d_model: whole.d_model,
        values: whole.values[start..start + n_rows * whole.d_model].to_vec(),
    }
}
