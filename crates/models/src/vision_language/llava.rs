//! MAIRA-2 and `LLaVA` with a `DINOv2` tower, behind the seam of hooked models.

mod load;
mod prompt;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use schema::{HookPoint, PatchGrid, PositionClass};

use super::llava_config::{LlavaConfig, ProjectorAct};
use super::maira_prompt::{MairaInstructions, MairaTask, StudyFilms, StudyTexts, TypedText};
use crate::attribution::{ImageReader, attribute};
use crate::hooks::nearest_hooks;
use crate::tensor_ops::gelu;
use crate::text::chat_template::ChatTemplate;
use crate::text::generation::{Prompt, PromptCache, Vocabulary as _, Writer, prompt_positions};
use crate::text::hf_tokenizer::HfTokenizer;
use crate::text::llama::{self, Llama, PackedRows};
use crate::text::llama_model::direct_scores;
use crate::vision::dinov2::{self, Dinov2};
use crate::vision::processor::{ImageProcessor, patch_grid};
use crate::weights::{Coding, Linear};
use crate::{
    AttributionMethod, Captured, EditedPosition, Generation, GenerationOptions, HookRun, HookSpec,
    HookedModel, ModelCard, ModelError, ModelInput, ModelSample, PositionInfo, Probe, PromptImage,
};

pub(crate) use self::load::read_json;

/// How a checkpoint is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where it runs; the CPU by default.
    pub device: Option<Device>,
    /// Coding of the matrices; on the CPU as stored by default, on a card bf16, where it must not
    /// be one of blocks.
    pub coding: Option<Coding>,
    /// Folder in which matrices are kept that were coded anew, by the checkpoint's hash; `None` to
    /// code them at every start.
    pub cache: Option<PathBuf>,
}

/// Image tower and projector.
struct Eye {
    tower: Dinov2,
    projector: Vec<Linear>,
}

/// A vision-language model: `DINOv2` tower, projector, Llama decoder.
///
/// Weights stay in the mapped files of the checkpoint as they are stored, unless the options ask
/// for another coding.
pub struct Llava {
    card: ModelCard,
    config: LlavaConfig,
    eye: Eye,
    llama: Llama,
    tokenizer: HfTokenizer,
    processor: ImageProcessor,
    template: Option<ChatTemplate>,
    instructions: MairaInstructions,
    folder: PathBuf,
    /// The prompt read last, up to where edits began.
    cache: Mutex<Option<PromptCache>>,
}

impl Eye {
    /// What the decoder reads of the patches.
    ///
    /// # Shapes
    /// - `states`: `[n_images, n_tokens, d_vision]` each, CLS dropped where it is to be
    /// - returns: `[n_images, n_tokens, d_model]`
    fn project(&self, states: &[Tensor], act: ProjectorAct) -> candle_core::Result<Tensor> {
        let mut x = match states {
            [only] => only.clone(),
            several => Tensor::cat(several, 2)?,
        };
        for (i, layer) in self.projector.iter().enumerate() {
            if i > 0 {
                x = match act {
                    ProjectorAct::Gelu => gelu(&x)?,
                    ProjectorAct::Relu => x.relu()?,
                    ProjectorAct::Silu => x.silu()?,
                };
            }
            x = layer.apply(&x)?;
        }
        Ok(x)
    }
}

impl Llava {
    /// Its tokenizer.
    pub fn tokenizer(&self) -> &HfTokenizer {
        &self.tokenizer
    }

    /// What is done to a film before the tower.
    pub fn processor(&self) -> &ImageProcessor {
        &self.processor
    }

    /// Rows and columns of patches of an image.
    fn patches(&self, [_, height, width]: [usize; 3]) -> [usize; 2] {
        let patch = self.config.vision.patch_size;
        [height / patch, width / patch]
    }

    /// Positions that an image takes in the sequence.
    fn tokens_per_image(&self, shape: [usize; 3]) -> usize {
        let [rows, columns] = self.patches(shape);
        rows * columns + usize::from(!self.config.drops_cls)
    }

    /// Place of `hook` in the order of the forward pass.
    fn order(&self, hook: HookPoint) -> Result<usize, ModelError> {
        let hooks = &self.card.hooks;
        let place = hooks.iter().position(|info| info.hook == hook);
        place.ok_or_else(|| ModelError::NoSuchHook {
            model: self.card.name.clone(),
            hook,
            available: nearest_hooks(&hook.to_string(), hooks.iter().map(|info| info.hook)),
        })
    }

    /// Checks the hooks of a run; an edit where nothing downstream reads it is an error.
    fn check_spec(&self, spec: &HookSpec) -> Result<(), ModelError> {
        for &hook in &spec.capture {
            self.order(hook)?;
        }
        let tower_end = self.tower_end();
        for &(hook, _) in &spec.edits {
            self.order(hook)?;
            let place = dinov2::hook_order(hook, self.config.vision.num_hidden_layers);
            if place.is_some_and(|place| place > tower_end) {
                return Err(ModelError::Request(format!(
                    "a change at {hook} reaches nothing: {} reads its image tower before that",
                    self.card.name
                )));
            }
        }
        Ok(())
    }

    /// Place in the tower of the last state that the projector reads.
    fn tower_end(&self) -> usize {
        let last = self.config.states.iter().max().copied().unwrap_or(0);
        match last {
            0 => 0,
            last if last > self.config.vision.num_hidden_layers => {
                4 * self.config.vision.num_hidden_layers + 1
            }
            block => 4 * block,
        }
    }

    /// Runs tower and projector on images of one shape; `None` when `last` lies before the end.
    ///
    /// # Shapes
    /// - returns: `[n_images, n_tokens, d_model]`
    fn see(
        &self,
        (images, shape): (&[&[f32]], [usize; 3]),
        prompt_len: usize,
        run: &mut HookRun<'_>,
        last: Option<HookPoint>,
    ) -> Result<Option<Tensor>, ModelError> {
        let [channels, height, width] = shape;
        if channels != self.config.vision.num_channels {
            return Err(ModelError::Request(format!(
                "{} reads images of {} channels, found {channels}",
                self.card.name, self.config.vision.num_channels
            )));
        }
        let [rows, columns] = self.patches(shape);
        let n_patches = rows * columns;
        let positions = EditedPosition::tower(images.len(), n_patches);
        let n_blocks = self.config.vision.num_hidden_layers;
        // A capture beyond the state that is read needs the rest of the tower as well.
        let captured = run
            .captures()
            .filter_map(|hook| dinov2::hook_order(hook, n_blocks))
            .max()
            .unwrap_or(0);
        let in_tower = last.and_then(|hook| dinov2::hook_order(hook, n_blocks));
        let stop = in_tower.unwrap_or_else(|| self.tower_end().max(captured));
        let wanted = &self.config.states;
        let size = [height, width];
        let pass = self
            .eye
            .tower
            .forward((images, size), &positions, (wanted, stop), run)?;
        if in_tower.is_some() {
            return Ok(None);
        }
        let n_tokens = n_patches + usize::from(!self.config.drops_cls);
        let states = pass
            .states
            .iter()
            .map(|state| {
                state
                    .narrow(1, n_patches + 1 - n_tokens, n_tokens)?
                    .contiguous()
            })
            .collect::<candle_core::Result<Vec<_>>>()?;
        let image = self.eye.project(&states, self.config.projector_act)?;
        let at: Vec<EditedPosition> = (0..images.len() * n_tokens)
            .map(|i| EditedPosition {
                position: i as u32,
                prompt_len: prompt_len.max(images.len() * n_tokens) as u32,
                class: PositionClass::Image,
            })
            .collect();
        let image = run.visit(HookPoint::ProjectorOut, image, &at)?;
        Ok((last != Some(HookPoint::ProjectorOut)).then_some(image))
    }

    /// Embeddings with image features in place, `[n, d_model]`.
    fn place(&self, ids: &[u32], image: Option<&Tensor>) -> Result<Tensor, ModelError> {
        let text = self.llama.embed(ids)?;
        let Some(image) = image else {
            return Ok(text);
        };
        let (n_images, n_tokens, _) = image.dims3()?;
        let image = image.flatten_to(1)?;
        let mut parts = Vec::new();
        let (mut at, mut taken) = (0, 0);
        while at < ids.len() {
            let is_image = ids[at] == self.config.image_token;
            let run = ids[at..]
                .iter()
                .take_while(|&&id| (id == self.config.image_token) == is_image)
                .count();
            if is_image {
                parts.push(image.narrow(0, taken, run)?);
                taken += run;
            } else {
                parts.push(text.narrow(0, at, run)?);
            }
            at += run;
        }
        debug_assert_eq!(taken, n_images * n_tokens);
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Checks ids against the images of an input.
    fn check_input(&self, input: &ModelInput) -> Result<(), ModelError> {
        let config = self.llama.config();
        let name = &self.card.name;
        if input.ids.is_empty() {
            return Err(ModelError::Request(format!("{name} was given no tokens")));
        }
        if let Some(id) = input.ids.iter().find(|&&id| id as usize >= config.n_vocab) {
            return Err(ModelError::Request(format!(
                "token id {id} is beyond the {} tokens of {name}",
                config.n_vocab
            )));
        }
        if input.ids.len() > config.n_context {
            return Err(ModelError::Request(format!(
                "{name} reads at most {} tokens, the prompt has {}",
                config.n_context,
                input.ids.len()
            )));
        }
        let n_images = input.images().len();
        let expected = n_images * self.tokens_per_image(input.pixel_shape);
        let found = input
            .ids
            .iter()
            .filter(|&&id| id == self.config.image_token)
            .count();
        if found != expected {
            return Err(ModelError::Request(format!(
                "the prompt has {found} image positions, but {n_images} image{} take {expected}",
                if n_images == 1 { "" } else { "s" }
            )));
        }
        Ok(())
    }

    /// Reads the images of an input and lays out its sequence.
    fn embedded(&self, input: &ModelInput, run: &mut HookRun<'_>) -> Result<Tensor, ModelError> {
        let images = input.images();
        let image = if images.is_empty() {
            None
        } else {
            self.see((&images, input.pixel_shape), input.ids.len(), run, None)?
        };
        self.place(&input.ids, image.as_ref())
    }

    /// Runs an input to the end: rows after the final norm.
    fn run_prompt(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
    ) -> Result<(Tensor, Vec<Captured>), ModelError> {
        self.check_spec(spec)?;
        self.check_input(input)?;
        let mut run = HookRun::new(spec);
        let x = self.embedded(input, &mut run)?;
        let positions = prompt_positions(&input.classes);
        let rows = PackedRows {
            lens: &[input.ids.len()],
            positions: &positions,
        };
        let begin = (x, HookPoint::Embed);
        let pass = self
            .llama
            .forward(begin, &rows, &mut [], usize::MAX, &mut run)?;
        Ok((pass, run.into_captured()))
    }

    fn writer<'a>(&'a self, spec: &'a HookSpec, options: &'a GenerationOptions) -> Writer<'a> {
        Writer {
            llama: &self.llama,
            vocabulary: &self.tokenizer,
            spec,
            options,
        }
    }
}

impl ImageReader for Llava {
    fn read_embedded(&self, input: &ModelInput) -> Result<(Tensor, Vec<usize>), ModelError> {
        self.check_input(input)?;
        let nothing = HookSpec::default();
        let x = self.embedded(input, &mut HookRun::new(&nothing))?;
        let positions = self.positions(input, HookPoint::Embed)?;
        let rows = positions
            .iter()
            .enumerate()
            .filter(|(_, info)| info.patch.is_some_and(|(image, _)| image == 0))
            .map(|(row, _)| row);
        Ok((x.unsqueeze(0)?, rows.collect()))
    }

    fn grid_sides(&self, input: &ModelInput) -> [usize; 2] {
        self.patches(input.pixel_shape)
    }

    fn run_embedded(
        &self,
        x: &Tensor,
        last: HookPoint,
        run: &mut HookRun<'_>,
    ) -> Result<(), ModelError> {
        let (batch, n, d) = x.dims3()?;
        let stop = llama::hook_order(last, self.llama.config().n_blocks);
        let stop = stop.ok_or_else(|| {
            ModelError::Request(format!("{last} is no hook point of the text decoder"))
        })?;
        let lens = vec![n; batch];
        let rows = PackedRows {
            lens: &lens,
            positions: &[],
        };
        let begin = (x.reshape((batch * n, d))?, HookPoint::Embed);
        self.llama.forward(begin, &rows, &mut [], stop, run)?;
        Ok(())
    }
}

impl HookedModel for Llava {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        self.study(sample)
    }

    fn prepare_prompt(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let sections = sample.report.map(|report| schema::Report {
            indication: report.indication.clone(),
            technique: report.technique.clone(),
            comparison: report.comparison.clone(),
            ..schema::Report::default()
        });
        self.study(ModelSample {
            report: sections.as_ref(),
            ..sample
        })
    }

    fn prepare_text(
        &self,
        text: &str,
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        let text = TypedText::plain(text, PositionClass::Boilerplate);
        self.typed_input(&text, images)
    }

    fn prepare_study(
        &self,
        task: MairaTask<'_>,
        (shown, texts): (StudyFilms, StudyTexts<'_>),
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        self.typed_input(&self.study_prompt(task, shown, texts)?, images)
    }

    fn prepare_ids(
        &self,
        ids: &[u32],
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        let mut input = self.with_images(images)?;
        input.ids = ids.to_vec();
        input.classes = ids
            .iter()
            .map(|&id| match id {
                id if id == self.config.image_token => PositionClass::Image,
                _ => PositionClass::Boilerplate,
            })
            .collect();
        input.texts = ids
            .iter()
            .map(|&id| match id {
                id if id == self.config.image_token => String::new(),
                id => self.tokenizer.token_text(id),
            })
            .collect();
        self.check_input(&input)?;
        Ok(input)
    }

    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError> {
        self.order(hook)?;
        let [rows, columns] = self.patches(input.pixel_shape);
        let n_images = input.images().len() as u32;
        let n_patches = (rows * columns) as u32;
        let info = |class, patch, text: &str| PositionInfo {
            class,
            text: text.to_owned(),
            patch,
        };
        if hook.is_vision() {
            let has_cls = hook != HookPoint::ProjectorOut || !self.config.drops_cls;
            return Ok((0..n_images)
                .flat_map(|image| {
                    let cls = has_cls.then(|| info(PositionClass::Cls, None, ""));
                    cls.into_iter().chain(
                        (0..n_patches)
                            .map(move |i| info(PositionClass::Image, Some((image, i)), "")),
                    )
                })
                .collect());
        }
        let cls = u32::from(!self.config.drops_cls);
        let mut seen = 0;
        Ok(input
            .classes
            .iter()
            .enumerate()
            .map(|(at, &class)| {
                let text = input.texts.get(at).map_or("", String::as_str);
                if class != PositionClass::Image {
                    return info(class, None, text);
                }
                let (image, token) = (seen / (n_patches + cls), seen % (n_patches + cls));
                seen += 1;
                match token.checked_sub(cls) {
                    Some(patch) => info(class, Some((image, patch)), text),
                    None => info(PositionClass::Cls, None, text),
                }
            })
            .collect())
    }

    fn grid(&self, input: &ModelInput, hook: HookPoint) -> Option<PatchGrid> {
        self.order(hook).ok()?;
        let [rows, columns] = self.patches(input.pixel_shape);
        (rows * columns > 0).then(|| patch_grid(rows, columns, input.covered))
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
            return Ok(vec![Vec::new(); inputs.len()]);
        }
        let last = self.card.hooks[last].hook;
        let stop = llama::hook_order(last, self.llama.config().n_blocks);
        let spec = HookSpec::capturing(hooks);
        inputs
            .iter()
            .map(|input| {
                self.check_input(input)?;
                let mut run = HookRun::new(&spec);
                let images = input.images();
                let n = input.ids.len();
                let shape = input.pixel_shape;
                let image = if images.is_empty() {
                    None
                } else {
                    let end = stop.is_none().then_some(last);
                    self.see((&images, shape), n, &mut run, end)?
                };
                if let Some(stop) = stop {
                    let begin = (self.place(&input.ids, image.as_ref())?, HookPoint::Embed);
                    let rows = PackedRows {
                        lens: &[n],
                        positions: &[],
                    };
                    self.llama.forward(begin, &rows, &mut [], stop, &mut run)?;
                }
                let captured = run.into_captured();
                Ok(hooks
                    .iter()
                    .filter_map(|hook| captured.iter().find(|c| c.hook == *hook).cloned())
                    .collect())
            })
            .collect()
    }

    fn generate(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
        options: GenerationOptions,
        on_token: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, ModelError> {
        self.check_spec(spec)?;
        self.check_input(input)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut run = HookRun::new(spec);
        let mut generation = self.writer(spec, &options).write_cached(
            (input.prompt_key(), &input.classes),
            &mut || self.embedded(input, &mut run),
            &mut cache,
            on_token,
        )?;
        let mut captured = run.into_captured();
        captured.append(&mut generation.captured);
        generation.captured = captured;
        Ok(generation)
    }

    fn generate_batch(
        &self,
        inputs: &[ModelInput],
        spec: &HookSpec,
        options: GenerationOptions,
        on_token: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, ModelError> {
        self.check_spec(spec)?;
        let mut seen = Vec::new();
        let mut prompts = Vec::new();
        for input in inputs {
            self.check_input(input)?;
            let mut run = HookRun::new(spec);
            prompts.push(Prompt {
                x: self.embedded(input, &mut run)?,
                classes: input.classes.clone(),
            });
            seen.push(run.into_captured());
        }
        let mut written = self.writer(spec, &options).write(prompts, on_token)?;
        for (generation, mut captured) in written.iter_mut().zip(seen) {
            captured.append(&mut generation.captured);
            generation.captured = captured;
        }
        Ok(written)
    }

    fn logits(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
    ) -> Result<(Vec<f32>, Vec<Captured>), ModelError> {
        let (normed, captured) = self.run_prompt(input, spec)?;
        let logits = self.llama.logits(&normed)?.flatten_all()?.to_vec1()?;
        Ok((logits, captured))
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
        Ok(Some(direct_scores(&self.llama, direction, hook)?))
    }

    fn token_text(&self, id: u32) -> String {
        self.tokenizer.decode(&[id])
    }
}

#[cfg(test)]
mod tests;
