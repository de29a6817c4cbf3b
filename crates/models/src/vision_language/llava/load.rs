//! Reading a checkpoint: its parts by the tensors they have, and what the card says of it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use candle_core::Device;
use schema::HookPoint;

use super::{Eye, Llava, LoadOptions};
use crate::text::chat_template::ChatTemplate;
use crate::text::hf_llama::read_llama;
use crate::text::hf_tokenizer::HfTokenizer;
use crate::text::llama;
use crate::vision::dinov2::{self, Dinov2};
use crate::vision::processor::{GreyLevels, ImageProcessor};
use crate::vision_language::llava_config::{LlavaConfig, LlavaKind};
use crate::vision_language::maira_prompt::MairaInstructions;
use crate::weights::{Linear, Reader, WeightFiles, WeightLoader};
use crate::{Architecture, HookInfo, ModelCard, ModelError};

/// Prefixes under which a checkpoint keeps its parts, found by the tensors that each part has.
struct Prefixes {
    tower: String,
    text: String,
    head: Option<String>,
    projector: String,
}

impl Prefixes {
    fn find(files: &WeightFiles) -> Result<Self, ModelError> {
        let before = |end: &str| {
            files
                .tensors()
                .keys()
                .find_map(|name| name.strip_suffix(end).map(str::to_owned))
        };
        let missing = |name: &str| files.fault(name, "the tensor is missing");
        let tower = "embeddings.cls_token";
        let text = "embed_tokens.weight";
        let projector = files
            .tensors()
            .keys()
            .find_map(|name| name.find("multi_modal_projector.").map(|at| &name[..at]));
        Ok(Self {
            tower: before(tower).ok_or_else(|| missing(&format!("vision_tower.{tower}")))?,
            text: before(text).ok_or_else(|| missing(&format!("language_model.model.{text}")))?,
            head: before("lm_head.weight").map(|prefix| format!("{prefix}lm_head.weight")),
            projector: format!("{}multi_modal_projector.", projector.unwrap_or_default()),
        })
    }
}

/// Tensors that checkpoints have and no forward pass reads.
fn is_known_surplus(name: &str) -> bool {
    ["mask_token", "rotary_emb.inv_freq", "position_ids"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn read_projector(reader: &Reader<'_>, config: &LlavaConfig) -> Result<Vec<Linear>, ModelError> {
    let n_sides = config.states.len();
    let d_text = config.text.sizes.d_model;
    (0..config.n_projector_layers)
        .map(|i| {
            let name = match config.kind {
                LlavaKind::Maira2 => format!("layers.{}", 2 * i),
                LlavaKind::Llava => format!("linear_{}", i + 1),
            };
            let d_in = if i == 0 {
                n_sides * config.vision.hidden_size
            } else {
                d_text
            };
            reader.linear(&[&name], [d_text, d_in], config.projector_bias)
        })
        .collect()
}

impl Llava {
    /// Loads a checkpoint folder: `config.json`, safetensors, `tokenizer.json`,
    /// `preprocessor_config.json`.
    ///
    /// `hash` is the BLAKE3 that stands for the weights, for the card.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Format`] with the file and the place that is wrong.
    ///
    /// # Cost
    /// Reads every weight once, to see that it is a finite number.
    pub fn load(folder: &Path, hash: &str, options: &LoadOptions) -> Result<Self, ModelError> {
        let device = options.device.clone().unwrap_or(Device::Cpu);
        let mut load = WeightLoader::new(device, options.coding)?;
        if let Some(cache) = &options.cache {
            load = load.with_cache(cache, hash);
        }
        Self::load_with(folder, hash, &load)
    }

    pub(super) fn load_with(
        folder: &Path,
        hash: &str,
        load: &WeightLoader,
    ) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let config = LlavaConfig::read(&read_json(&path)?, &path)?;
        let files = WeightFiles::open(folder)?;
        let prefixes = Prefixes::find(&files)?;
        let seen = RefCell::new(BTreeSet::new());
        let reader = |prefix: String| Reader {
            files: &files,
            prefix,
            load,
            seen: &seen,
        };
        let eye = Eye {
            tower: Dinov2::read(&reader(prefixes.tower), &config.vision)?,
            projector: read_projector(&reader(prefixes.projector), &config)?,
        };
        let head = prefixes.head.as_deref();
        let llama = read_llama(&reader(prefixes.text), head, &config.text)?;
        let seen = seen.into_inner();
        let unread = files.tensors().keys().find(|name| {
            let is_head = config.text.is_tied && Some(name.as_str()) == head;
            !seen.contains(*name) && !is_known_surplus(name) && !is_head
        });
        if let Some(name) = unread {
            return Err(files.fault(name, "config.json describes a model without this tensor"));
        }
        load.keep_coded();
        let levels = match config.kind {
            LlavaKind::Maira2 => GreyLevels::MinMax,
            LlavaKind::Llava => GreyLevels::Stored,
        };
        let processor = ImageProcessor::read(&folder.join("preprocessor_config.json"), levels)?;
        Ok(Self {
            card: card(&config, &files, hash, folder),
            eye,
            llama,
            tokenizer: HfTokenizer::read(folder)?,
            processor,
            template: ChatTemplate::read(folder)?,
            instructions: MairaInstructions::read(folder),
            folder: folder.to_owned(),
            cache: Mutex::new(None),
            config,
        })
    }
}

pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value, ModelError> {
    let text = std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| ModelError::Format {
        path: path.to_owned(),
        place: "(whole)".to_owned(),
        expected: format!("JSON: {error}"),
    })
}

fn card(config: &LlavaConfig, files: &WeightFiles, hash: &str, folder: &Path) -> ModelCard {
    let vision = &config.vision;
    let text = &config.text.sizes;
    let at = |d_model: usize| {
        move |hook| HookInfo {
            hook,
            d_model: d_model as u32,
        }
    };
    let tower = dinov2::hook_points(vision.num_hidden_layers);
    let mut hooks: Vec<HookInfo> = tower.into_iter().map(at(vision.hidden_size)).collect();
    hooks.push(at(text.d_model)(HookPoint::ProjectorOut));
    let decoder = llama::hook_points(text.n_blocks);
    hooks.extend(decoder.into_iter().map(at(text.d_model)));
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let side = vision.grid_side();
    let stored = files
        .tensors()
        .values()
        .max_by_key(|tensor| tensor.n_values())
        .map_or("", |tensor| tensor.coding.name());
    ModelCard {
        name: folder.file_name().map_or("model".to_owned(), |name| {
            name.to_string_lossy().into_owned()
        }),
        architecture: match config.kind {
            LlavaKind::Maira2 => Architecture::Maira2,
            LlavaKind::Llava => Architecture::Llava,
        },
        n_parameters: files.n_parameters(),
        hash: hash.to_owned(),
        hooks,
        facts: vec![
            fact("Image blocks", vision.num_hidden_layers.to_string()),
            fact("Patches", format!("{side} × {side}")),
            fact("Text blocks", text.n_blocks.to_string()),
            fact("Width", text.d_model.to_string()),
            fact("Vocabulary", text.n_vocab.to_string()),
            fact("Context", format!("{} tokens", text.n_context)),
            fact("Weights stored as", stored.to_owned()),
        ],
    }
}
