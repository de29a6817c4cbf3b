//! What every model under study offers: prepare a sample, capture activations, write or rank.

use std::ops::ControlFlow;

use schema::{Film, HookPoint, PatchGrid, PositionClass, Report};
use serde::{Deserialize, Serialize};

use crate::vision_language::maira_prompt::{MairaTask, StudyFilms, StudyTexts};
use crate::{AttributionMethod, Captured, HookSpec, ModelError, Probe};

/// Architectures this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Architecture {
    /// Llama-shaped text decoder (Llama, Qwen2, Qwen3) from a GGUF file.
    Llama,
    /// MAIRA-2: `DINOv2` tower, projector, Llama decoder.
    Maira2,
    /// `LLaVA` with a `DINOv2` tower.
    Llava,
    /// `DINOv2` image encoder alone.
    Dinov2,
    /// `TinyViT` image encoder of `LiteMedSAM`.
    TinyVit,
    /// Matrix factorisation.
    BprMf,
    /// Propagation over the graph of users and items.
    LightGcn,
    /// Self-attentive sequential recommender.
    SasRec,
    /// Recommender with several interests per user.
    TiMiRec,
    /// Recurrent recommender.
    Gru4Rec,
    /// The phantom vision-language model: `ViT`, projector, Llama decoder.
    PhantomVlm,
}

impl Architecture {
    /// Whether it reads users and ranks items.
    pub fn is_recommender(self) -> bool {
        matches!(
            self,
            Self::BprMf | Self::LightGcn | Self::SasRec | Self::TiMiRec | Self::Gru4Rec
        )
    }
}

/// A hook point of a model and the width of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookInfo {
    /// Where.
    pub hook: HookPoint,
    /// Width of a row.
    pub d_model: u32,
}

/// What is known of a loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Name for the user.
    pub name: String,
    /// Its family.
    pub architecture: Architecture,
    /// Number of weights.
    pub n_parameters: u64,
    /// BLAKE3 of the weight file, in hexadecimal.
    pub hash: String,
    /// Hook points in the order of the forward pass.
    pub hooks: Vec<HookInfo>,
    /// Facts a user wants to see, as `(name, value)`, e.g. `("Blocks", "30")`.
    pub facts: Vec<(String, String)>,
}

/// What a sample offers to a model; a model takes what it reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelSample<'a> {
    /// The film; of a study, the current frontal one.
    pub film: Option<&'a Film>,
    /// The current lateral film of the study.
    pub lateral: Option<&'a Film>,
    /// The frontal film of the prior study, and its report.
    pub prior: Option<(&'a Film, Option<&'a str>)>,
    /// The report.
    pub report: Option<&'a Report>,
    /// Item ids of the history, oldest first, without held-out items.
    pub items: Option<&'a [u32]>,
    /// The user's row in the table of users, for recommenders that have one.
    pub user: Option<u32>,
}

impl<'a> ModelSample<'a> {
    /// The film, where it is whole.
    ///
    /// # Errors
    /// [`ModelError::Sample`] in the name of `model`.
    pub(crate) fn need_film(&self, model: &str) -> Result<&'a Film, ModelError> {
        self.film
            .filter(|film| film.pixels.len() == film.width as usize * film.height as usize)
            .filter(|film| !film.pixels.is_empty())
            .ok_or_else(|| ModelError::Sample {
                model: model.to_owned(),
                needs: "a film",
            })
    }
}

/// An image of a prompt.
#[derive(Debug, Clone, Copy)]
pub enum PromptImage<'a> {
    /// A film, which the model's processor prepares.
    Film(&'a Film),
    /// What a processor made: values and `[channels, height, width]`.
    Processed(&'a [f32], [usize; 3]),
}

/// A sample as tensors' worth of numbers, ready for a forward pass.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelInput {
    /// Image pixels, normalised as the model wants them: `[channels, height, width]`, row-major.
    pub pixels: Vec<f32>,
    /// Channels, height and width of `pixels`.
    pub pixel_shape: [usize; 3],
    /// Pixels of the further images of the prompt, in its order, each of `pixel_shape`.
    pub further_pixels: Vec<Vec<f32>>,
    /// The part of the film, in its own pixels, that `pixels` covers: left, top, width, height.
    pub covered: [f32; 4],
    /// Width and height of the film in its own pixels; what `covered` has beyond it is padding.
    pub film_size: [u32; 2],
    /// Token ids, images already expanded to one id per patch; or item ids, oldest first.
    pub ids: Vec<u32>,
    /// The user's row in a table of users, where the sample is of a user.
    pub user: Option<u32>,
    /// One class per entry of `ids`.
    pub classes: Vec<PositionClass>,
    /// Text of each entry of `ids` as the user should see it; empty for items and patches.
    pub texts: Vec<String>,
    /// Tokens at the end that were left out because the model's limit was reached; 0 if all fit.
    pub n_dropped: usize,
}

impl ModelInput {
    /// Pixels of all images, in the order of the prompt.
    pub(crate) fn images(&self) -> Vec<&[f32]> {
        if self.pixels.is_empty() {
            return Vec::new();
        }
        std::iter::once(&self.pixels)
            .chain(&self.further_pixels)
            .map(Vec::as_slice)
            .collect()
    }

    /// Stands for ids and images: two inputs with the same key are the same prompt.
    pub(crate) fn prompt_key(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for id in &self.ids {
            hasher.update(&id.to_le_bytes());
        }
        for image in self.images() {
            for value in image {
                hasher.update(&value.to_le_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}

/// What one position of a hooked activation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionInfo {
    /// Its class.
    pub class: PositionClass,
    /// Token text, or empty.
    pub text: String,
    /// Which image, in the order of the prompt, and which of its patches, row-major; `None` for
    /// text and CLS.
    pub patch: Option<(u32, u32)>,
}

/// How tokens are drawn at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Scores are divided by it; 0 is greedy.
    pub temperature: f32,
    /// Only the fewest most probable tokens that together reach this share are drawn from; 1 for
    /// all.
    pub top_p: f32,
    /// The same seed draws the same tokens.
    pub seed: u64,
}

/// How text is generated. The same input and options give the same text.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GenerationOptions {
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// Go on past the end-of-sequence token.
    pub ignore_eos: bool,
    /// Keep the logits of every generated step.
    pub keep_logits: bool,
    /// How tokens are drawn; `None` for the most probable one each time.
    pub sampling: Option<Sampling>,
}

/// Text a model wrote.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generation {
    /// Generated ids, the end-of-sequence token included when it was met.
    pub ids: Vec<u32>,
    /// The decoded text.
    pub text: String,
    /// Whether the model ended the text itself, by its end-of-sequence token.
    pub is_complete: bool,
    /// `[ids.len(), n_vocab]` row-major when asked for, else empty.
    pub logits: Vec<f32>,
    /// What the spec captured during the prompt pass.
    pub captured: Vec<Captured>,
}

/// A model under study.
///
/// Call sequence: `prepare` a sample, then `capture`, `generate` or `rank` as often as needed.
pub trait HookedModel: Send + Sync {
    /// What the model is.
    fn card(&self) -> &ModelCard;

    /// Turns a sample into numbers.
    ///
    /// # Errors
    /// [`ModelError::Sample`] when the sample lacks what the model reads.
    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError>;

    /// What each row captured at `hook` for `input` is, in row order.
    ///
    /// # Errors
    /// [`ModelError::NoSuchHook`].
    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError>;

    /// How image positions at `hook` lie on the film; `None` where the hook has no image rows.
    /// Image rows of `positions` are in row-major grid order.
    fn grid(&self, input: &ModelInput, hook: HookPoint) -> Option<PatchGrid>;

    /// Runs the inputs as one batch and returns, per input, what was captured at each of `hooks`,
    /// in the order asked. The model may stop after the last hook.
    ///
    /// # Errors
    /// [`ModelError::NoSuchHook`], or a failure of the tensor library.
    fn capture(
        &self,
        inputs: &[ModelInput],
        hooks: &[HookPoint],
    ) -> Result<Vec<Vec<Captured>>, ModelError>;

    /// Writes text for `input` (its ids are the prompt), with hooks active in the prompt pass and
    /// in every step. `on_token` sees each new piece of text and may stop the generation.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for models that write no text.
    #[expect(
        unused_variables,
        reason = "models that write no text read none of them"
    )]
    fn generate(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
        options: GenerationOptions,
        on_token: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, ModelError> {
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "write text",
        })
    }

    /// [`HookedModel::generate`] for several prompts together. `on_token` sees the number of the
    /// prompt with each piece.
    ///
    /// # Errors
    /// As [`HookedModel::generate`].
    fn generate_batch(
        &self,
        inputs: &[ModelInput],
        spec: &HookSpec,
        options: GenerationOptions,
        on_token: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, ModelError> {
        inputs
            .iter()
            .enumerate()
            .map(|(i, input)| self.generate(input, spec, options, &mut |piece| on_token(i, piece)))
            .collect()
    }

    /// Scores of the next token at every position, with the edits of `spec`, and what it captured.
    ///
    /// # Shapes
    /// - returns: `[n, n_vocab]` row-major for the n ids of `input`
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for models that write no text.
    fn logits(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
    ) -> Result<(Vec<f32>, Vec<Captured>), ModelError> {
        let _ = (input, spec);
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "write text",
        })
    }

    /// Scores every item for each history: `[inputs.len()][n_items]`, column j is item j + 1.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for models that rank no items.
    fn rank(&self, inputs: &[ModelInput], spec: &HookSpec) -> Result<Vec<Vec<f32>>, ModelError> {
        let _ = (inputs, spec);
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "rank items",
        })
    }

    /// `prepare` for generation: the prompt only, without the report that is to be written.
    ///
    /// # Errors
    /// As [`HookedModel::prepare`].
    fn prepare_prompt(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        self.prepare(ModelSample {
            report: None,
            ..sample
        })
    }

    /// A raw prompt, with a marker `<image>` for each image where the model reads images.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for models that read no text; [`ModelError::Request`] when images
    /// and markers do not match.
    fn prepare_text(
        &self,
        text: &str,
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        let _ = (text, images);
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "read a prompt",
        })
    }

    /// A study in MAIRA-2's own prompt: the images are the current frontal film, the lateral one
    /// and the prior one, where they are shown.
    ///
    /// # Errors
    /// As [`HookedModel::prepare_text`].
    fn prepare_study(
        &self,
        task: MairaTask<'_>,
        (shown, texts): (StudyFilms, StudyTexts<'_>),
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        let _ = (task, shown, texts, images);
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "read a study; give it a prompt",
        })
    }

    /// Token ids, images already expanded to one id per position.
    ///
    /// # Errors
    /// As [`HookedModel::prepare_text`].
    fn prepare_ids(
        &self,
        ids: &[u32],
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        let _ = (ids, images);
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "read token ids",
        })
    }

    /// How the patches of the first image of `input` bear on what `probe` reads at a position of
    /// the text, one number per patch, row-major.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for models that read no image before their text;
    /// [`ModelError::Request`] when the position does not follow the image.
    ///
    /// # Cost
    /// Gradient and rollout: about three passes up to the hook. Occlusion: one pass per patch.
    fn image_attribution(
        &self,
        input: &ModelInput,
        probe: &Probe,
        method: AttributionMethod,
    ) -> Result<Vec<f32>, ModelError> {
        let _ = (input, probe, method);
        Err(ModelError::Unsupported {
            model: self.card().name.clone(),
            ability: "trace a text back to an image",
        })
    }

    /// What a direction at `hook` writes: `[n_vocab]` or `[n_items]` scores of `direction` read
    /// through the rest of the model's output map (logit lens). `None` where it means nothing.
    ///
    /// # Errors
    /// A failure of the tensor library.
    fn logit_lens(
        &self,
        direction: &[f32],
        hook: HookPoint,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        let _ = (direction, hook);
        Ok(None)
    }

    /// Text of a token id, for the logit lens; empty for recommenders.
    fn token_text(&self, id: u32) -> String {
        let _ = id;
        String::new()
    }
}
