//! A Llama-shaped text model as a model under study: tokens, hooks, loss per token, writing.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use schema::{HookPoint, PatchGrid, PositionClass, Report};

use super::chat_template::chat_prompt;
use super::generation::{Prompt, PromptCache, Vocabulary, Writer, prompt_positions};
use super::llama::{Llama, PackedRows, hook_order, hook_points};
use super::llama_gguf::{check_tensors, llama_from_gguf};
use super::report_tokens::{report_input, report_prompt, text_input};
use super::{Gguf, GgufTokenizer, LlamaConfig};
use crate::{
    Architecture, Captured, Generation, GenerationOptions, HookInfo, HookRun, HookSpec,
    HookedModel, ModelCard, ModelError, ModelInput, ModelSample, PositionInfo, PromptImage,
};

/// Rows of logits that are held at once while losses are computed: 64 × 49,152 × 4 bytes = 12 MB.
const LOSS_ROWS: usize = 64;

/// How samples are prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LlamaOptions {
    /// Tokens of a sample at most, > 0; the rest is dropped and counted in the input.
    pub max_tokens: usize,
}

impl Default for LlamaOptions {
    fn default() -> Self {
        Self { max_tokens: 512 }
    }
}

/// What the header of a GGUF file says about the model in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufFacts {
    /// The card; its hash is empty because the weights were not read.
    pub card: ModelCard,
    /// Longest sequence the model was made for, in tokens.
    pub n_context: usize,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Memory the loaded weights take in bytes: as they are coded in the file where this build
    /// multiplies that coding, else in the nearest that it does.
    pub memory_bytes: u64,
    /// Keys and values of one position, in bytes.
    pub bytes_per_position: u64,
}

/// A Llama-shaped text model with its tokenizer.
pub struct LlamaModel {
    card: ModelCard,
    pub(super) llama: Llama,
    tokenizer: GgufTokenizer,
    options: LlamaOptions,
    /// The prompt read last, up to where edits began.
    cache: Mutex<Option<PromptCache>>,
}

impl Vocabulary for GgufTokenizer {
    fn is_end(&self, id: u32) -> bool {
        Self::is_end(self, id)
    }

    fn decode(&self, ids: &[u32]) -> String {
        Self::decode(self, ids)
    }
}

/// Reads the header of the GGUF file at `path`: what it holds and what it would take to load it.
/// The tokenizer is not built and no weight is read.
///
/// # Errors
/// [`ModelError::Read`] or [`ModelError::Format`] with the place that is wrong.
pub fn inspect_gguf(path: &Path) -> Result<GgufFacts, ModelError> {
    let gguf = Gguf::open(path)?;
    let config = LlamaConfig::from_gguf(&gguf)?;
    let card = card_of(&gguf, &config, "")?;
    Ok(GgufFacts {
        n_context: config.n_context,
        file_bytes: gguf.file_bytes(),
        memory_bytes: gguf.memory_bytes(),
        bytes_per_position: config.bytes_per_position(),
        card,
    })
}

/// Loads the Llama-shaped model in the GGUF file at `path`, weights coded as in the file.
///
/// `hash` is the BLAKE3 of the file in hexadecimal, for the card.
///
/// # Errors
/// [`ModelError::Read`] or [`ModelError::Format`] with the place that is wrong.
///
/// # Cost
/// Memory as [`inspect_gguf`] says.
pub fn load_gguf(path: &Path, hash: &str) -> Result<LlamaModel, ModelError> {
    let gguf = Gguf::open(path)?;
    let config = LlamaConfig::from_gguf(&gguf)?;
    let card = card_of(&gguf, &config, hash)?;
    let tokenizer = GgufTokenizer::from_gguf(&gguf)?;
    let llama = llama_from_gguf(&gguf, config)?;
    Ok(LlamaModel {
        card,
        llama,
        tokenizer,
        options: LlamaOptions::default(),
        cache: Mutex::new(None),
    })
}

/// The card of the model in `gguf`.
fn card_of(gguf: &Gguf, config: &LlamaConfig, hash: &str) -> Result<ModelCard, ModelError> {
    let n_parameters = check_tensors(gguf, config)?;
    let name = gguf.path().file_stem().map_or("Llama".to_owned(), |stem| {
        stem.to_string_lossy().into_owned()
    });
    let coding = gguf
        .tensors()
        .get("blk.0.ffn_gate.weight")
        .map_or(String::new(), |entry| format!("{:?}", entry.dtype));
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("Family", config.family.name().to_owned()),
        fact("Blocks", config.n_blocks.to_string()),
        fact("Width", config.d_model.to_string()),
        fact(
            "Heads",
            format!("{} ({} for keys)", config.n_heads, config.n_kv_heads),
        ),
        fact("Vocabulary", config.n_vocab.to_string()),
        fact("Context", format!("{} tokens", config.n_context)),
        fact("Weights stored as", coding),
    ];
    for (name, key) in [("Title", "general.name"), ("Licence", "general.license")] {
        if let Ok(text) = gguf.text(key) {
            facts.push(fact(name, text.to_owned()));
        }
    }
    let d_model = config.d_model as u32;
    Ok(ModelCard {
        name,
        architecture: Architecture::Llama,
        n_parameters,
        hash: hash.to_owned(),
        hooks: hook_points(config.n_blocks)
            .into_iter()
            .map(|hook| HookInfo { hook, d_model })
            .collect(),
        facts,
    })
}

impl LlamaModel {
    /// The same model with other options.
    #[must_use]
    pub fn with_options(mut self, options: LlamaOptions) -> Self {
        self.options = options;
        self
    }

    /// Blocks of the decoder.
    pub fn n_blocks(&self) -> usize {
        self.llama.config().n_blocks
    }

    /// Weights in the matrices of the blocks: what each token is multiplied with on its way.
    pub fn n_block_weights(&self) -> u64 {
        let config = self.llama.config();
        let (d, query, key) = (config.d_model, config.d_query(), config.d_key());
        (config.n_blocks * d * (2 * query + 2 * key + 3 * config.d_mlp)) as u64
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &GgufTokenizer {
        &self.tokenizer
    }

    /// One question in the model's chat format, cut after the option's limit of tokens.
    ///
    /// `system` is `None` for the default system prompt.
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails, [`ModelError::Unsupported`] if the model
    /// has no chat tokens.
    pub fn chat_input(&self, system: Option<&str>, user: &str) -> Result<ModelInput, ModelError> {
        if self.tokenizer.special_id("<|im_start|>").is_none() {
            return Err(ModelError::Unsupported {
                model: self.card.name.clone(),
                ability: "chat in the ChatML format: its vocabulary has no <|im_start|>",
            });
        }
        text_input(
            &self.tokenizer,
            &chat_prompt(system, user),
            true,
            PositionClass::Boilerplate,
            self.llama.config().n_context,
        )
    }

    /// Plain text as one input of class `Report`; control tokens in it are plain text unless
    /// `parse_special`.
    ///
    /// # Errors
    /// [`ModelError::Request`] if the tokenizer fails.
    pub fn text_input(&self, text: &str, parse_special: bool) -> Result<ModelInput, ModelError> {
        text_input(
            &self.tokenizer,
            text,
            parse_special,
            PositionClass::Report,
            self.options.max_tokens,
        )
    }

    /// Loss of every token but the first given those before it, with the edits of `spec` applied.
    ///
    /// # Shapes
    /// - returns: n − 1 losses in nats; entry i is −log p(id i + 1 | ids 0..=i)
    ///
    /// # Errors
    /// As [`LlamaModel::logits`].
    pub fn token_losses(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
    ) -> Result<Vec<f32>, ModelError> {
        let (normed, _) = self.run_prompt(input, spec)?;
        let targets = &input.ids[1..];
        let mut losses = Vec::with_capacity(targets.len());
        for (chunk, targets) in targets.chunks(LOSS_ROWS).enumerate() {
            let rows = normed.narrow(0, chunk * LOSS_ROWS, targets.len())?;
            let logits = self.llama.logits(&rows)?.to_vec2::<f32>()?;
            losses.extend(logits.iter().zip(targets).map(|(row, &target)| {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = row.iter().map(|&v| f64::from(v - most).exp()).sum();
                (sum.ln() + f64::from(most - row[target as usize])) as f32
            }));
        }
        Ok(losses)
    }

    /// Runs the ids of `input` to the end: rows after the final norm, and what was captured.
    fn run_prompt(
        &self,
        input: &ModelInput,
        spec: &HookSpec,
    ) -> Result<(Tensor, Vec<Captured>), ModelError> {
        self.check_hooks(spec)?;
        self.check_ids(input)?;
        let classes = classes_of(input);
        let positions = prompt_positions(&classes);
        let rows = PackedRows {
            lens: &[classes.len()],
            positions: &positions,
        };
        let mut run = HookRun::new(spec);
        let begin = (self.llama.embed(&input.ids)?, HookPoint::Embed);
        let pass = self
            .llama
            .forward(begin, &rows, &mut [], usize::MAX, &mut run)?;
        Ok((pass, run.into_captured()))
    }

    pub(super) fn writer<'a>(
        &'a self,
        spec: &'a HookSpec,
        options: &'a GenerationOptions,
    ) -> Writer<'a> {
        Writer {
            llama: &self.llama,
            vocabulary: &self.tokenizer,
            spec,
            options,
        }
    }

    fn no_such_hook(&self, hook: HookPoint) -> ModelError {
        ModelError::NoSuchHook {
            model: self.card.name.clone(),
            hook,
            available: format!(
                "embed, blocks.0 to blocks.{} with hook_resid_pre, hook_attn_out, hook_mlp_out \
                 and hook_resid_post, and ln_final",
                self.llama.config().n_blocks - 1
            ),
        }
    }

    fn check_hook(&self, hook: HookPoint) -> Result<usize, ModelError> {
        hook_order(hook, self.llama.config().n_blocks).ok_or_else(|| self.no_such_hook(hook))
    }

    fn check_hooks(&self, spec: &HookSpec) -> Result<(), ModelError> {
        for hook in spec
            .capture
            .iter()
            .chain(spec.edits.iter().map(|(at, _)| at))
        {
            self.check_hook(*hook)?;
        }
        Ok(())
    }

    fn check_ids(&self, input: &ModelInput) -> Result<(), ModelError> {
        self.check_length(&input.ids)
    }

    /// Whether these are tokens of the model, and not too many.
    pub(super) fn check_length(&self, ids: &[u32]) -> Result<(), ModelError> {
        let config = self.llama.config();
        if ids.is_empty() {
            return Err(ModelError::Request(format!(
                "{} was given an empty text",
                self.card.name
            )));
        }
        if ids.len() > config.n_context {
            return Err(ModelError::Request(format!(
                "{} reads at most {} tokens, the text has {}",
                self.card.name,
                config.n_context,
                ids.len()
            )));
        }
        match ids.iter().find(|&&id| id as usize >= config.n_vocab) {
            Some(id) => Err(ModelError::Request(format!(
                "token id {id} is beyond the {} tokens of {}",
                config.n_vocab, self.card.name
            ))),
            None => Ok(()),
        }
    }

    fn check_no_images(&self, images: &[PromptImage<'_>]) -> Result<(), ModelError> {
        if images.is_empty() {
            return Ok(());
        }
        Err(ModelError::Unsupported {
            model: self.card.name.clone(),
            ability: "see images",
        })
    }

    fn need_report<'a>(&self, sample: ModelSample<'a>) -> Result<&'a Report, ModelError> {
        sample.report.ok_or_else(|| ModelError::Sample {
            model: self.card.name.clone(),
            needs: "a report",
        })
    }
}

/// What a direction at `hook` writes; the last norm scales each dimension by its weight, its common
/// factor is left out.
pub(crate) fn direct_scores(
    llama: &Llama,
    direction: &[f32],
    hook: HookPoint,
) -> Result<Vec<f32>, ModelError> {
    let d_model = llama.config().d_model;
    if direction.len() != d_model {
        return Err(ModelError::Request(format!(
            "a direction at {hook} has {d_model} numbers, {} were given",
            direction.len()
        )));
    }
    let direction = Tensor::from_slice(direction, (1, direction.len()), llama.device())?;
    let direction = match hook {
        HookPoint::LnFinal => direction,
        _ => direction.broadcast_mul(llama.final_norm())?,
    };
    Ok(llama.logits(&direction)?.flatten_all()?.to_vec1()?)
}

/// One class per id; `Report` where the input does not say.
fn classes_of(input: &ModelInput) -> Vec<PositionClass> {
    (0..input.ids.len()).map(|i| class_at(input, i)).collect()
}

/// Class of row `i`; `Report` where the input does not say.
fn class_at(input: &ModelInput, i: usize) -> PositionClass {
    input
        .classes
        .get(i)
        .copied()
        .unwrap_or(PositionClass::Report)
}

impl HookedModel for LlamaModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn prepare(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        let report = self.need_report(sample)?;
        let input = report_input(&self.tokenizer, report, self.options.max_tokens)?;
        if input.ids.is_empty() {
            return Err(ModelError::Sample {
                model: self.card.name.clone(),
                needs: "a report that is not empty",
            });
        }
        Ok(input)
    }

    fn prepare_prompt(&self, sample: ModelSample<'_>) -> Result<ModelInput, ModelError> {
        report_prompt(&self.tokenizer, sample.report, self.options.max_tokens)
    }

    fn prepare_text(
        &self,
        text: &str,
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        self.check_no_images(images)?;
        let limit = self.llama.config().n_context;
        text_input(
            &self.tokenizer,
            text,
            true,
            PositionClass::Boilerplate,
            limit,
        )
    }

    fn prepare_ids(
        &self,
        ids: &[u32],
        images: &[PromptImage<'_>],
    ) -> Result<ModelInput, ModelError> {
        self.check_no_images(images)?;
        let input = ModelInput {
            ids: ids.to_vec(),
            classes: vec![PositionClass::Boilerplate; ids.len()],
            texts: self.tokenizer.texts(ids),
            ..ModelInput::default()
        };
        self.check_ids(&input)?;
        Ok(input)
    }

    fn positions(
        &self,
        input: &ModelInput,
        hook: HookPoint,
    ) -> Result<Vec<PositionInfo>, ModelError> {
        self.check_hook(hook)?;
        Ok((0..input.ids.len())
            .map(|i| PositionInfo {
                class: class_at(input, i),
                patch: None,
                text: input.texts.get(i).cloned().unwrap_or_default(),
            })
            .collect())
    }

    fn grid(&self, _input: &ModelInput, _hook: HookPoint) -> Option<PatchGrid> {
        None
    }

    fn capture(
        &self,
        inputs: &[ModelInput],
        hooks: &[HookPoint],
    ) -> Result<Vec<Vec<Captured>>, ModelError> {
        let mut stop = 0;
        for &hook in hooks {
            stop = stop.max(self.check_hook(hook)?);
        }
        let mut ids = Vec::new();
        for input in inputs {
            self.check_ids(input)?;
            ids.extend_from_slice(&input.ids);
        }
        if inputs.is_empty() || hooks.is_empty() {
            return Ok(vec![Vec::new(); inputs.len()]);
        }
        let lens: Vec<usize> = inputs.iter().map(|input| input.ids.len()).collect();
        let spec = HookSpec::capturing(hooks);
        let mut run = HookRun::new(&spec);
        let rows = PackedRows {
            lens: &lens,
            positions: &[],
        };
        let begin = (self.llama.embed(&ids)?, HookPoint::Embed);
        self.llama.forward(begin, &rows, &mut [], stop, &mut run)?;
        let captured = run.into_captured();
        let mut start = 0;
        let mut all = Vec::with_capacity(inputs.len());
        for &len in &lens {
            let of_input = hooks
                .iter()
                .filter_map(|hook| captured.iter().find(|c| c.hook == *hook))
                .map(|c| Captured {
                    n_rows: len,
                    values: c.values[start * c.d_model..(start + len) * c.d_model].to_vec(),
                    ..*c
                });
            all.push(of_input.collect());
            start += len;
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
        self.check_ids(input)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.writer(spec, &options).write_cached(
            (input.prompt_key(), &classes_of(input)),
            &mut || self.llama.embed(&input.ids),
            &mut cache,
            on_token,
        )
    }

    fn generate_batch(
        &self,
        inputs: &[ModelInput],
        spec: &HookSpec,
        options: GenerationOptions,
        on_token: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, ModelError> {
        self.check_hooks(spec)?;
        let prompts = inputs
            .iter()
            .map(|input| {
                self.check_ids(input)?;
                Ok(Prompt {
                    x: self.llama.embed(&input.ids)?,
                    classes: classes_of(input),
                })
            })
            .collect::<Result<_, ModelError>>()?;
        self.writer(spec, &options).write(prompts, on_token)
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

    fn logit_lens(
        &self,
        direction: &[f32],
        hook: HookPoint,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        self.check_hook(hook)?;
        Ok(Some(direct_scores(&self.llama, direction, hook)?))
    }

    fn token_text(&self, id: u32) -> String {
        self.tokenizer.decode(&[id])
    }
}
