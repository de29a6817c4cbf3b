//! What the `config.json` of a MAIRA-2 or `LLaVA` checkpoint says.

use std::path::Path;

use serde::Deserialize;

use crate::ModelError;
use crate::text::hf_llama::{self, HfLlamaConfig};
use crate::vision::dinov2::{self, Dinov2Config};

/// Which of the two layouts a checkpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LlavaKind {
    /// A `DINOv2` backbone whose feature map is read; a projector of any depth.
    Maira2,
    /// A `DINOv2` model whose hidden states are read; a projector of two layers.
    Llava,
}

/// Activation between the layers of a projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProjectorAct {
    Gelu,
    Relu,
    Silu,
}

/// Sizes and choices of a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct LlavaConfig {
    pub(crate) kind: LlavaKind,
    pub(crate) text: HfLlamaConfig,
    pub(crate) vision: Dinov2Config,
    /// Id that stands for one image position.
    pub(crate) image_token: u32,
    /// Hidden states of the tower that the projector reads, side by side: 0 the embeddings, i + 1
    /// the output of block i, `n_blocks + 1` after the final norm.
    pub(crate) states: Vec<usize>,
    /// Whether CLS is dropped.
    pub(crate) drops_cls: bool,
    pub(crate) n_projector_layers: usize,
    pub(crate) projector_act: ProjectorAct,
    pub(crate) projector_bias: bool,
}

/// The file's own keys; defaults are those of the reference.
#[derive(Deserialize)]
struct Stored {
    model_type: Option<String>,
    image_token_index: Option<u32>,
    image_token_id: Option<u32>,
    vision_feature_layer: Option<serde_json::Value>,
    vision_feature_select_strategy: Option<String>,
    projector_hidden_act: Option<String>,
    projector_n_layers: Option<usize>,
    multimodal_projector_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
}

impl LlavaConfig {
    /// Reads `config.json`, already parsed; `path` is what errors name.
    pub(crate) fn read(value: &serde_json::Value, path: &Path) -> Result<Self, ModelError> {
        let bad = |key: &str, expected: String| ModelError::Format {
            path: path.to_owned(),
            place: format!("key {key}"),
            expected,
        };
        let stored = Stored::deserialize(value)
            .map_err(|error| bad("(whole)", format!("settings of LLaVA: {error}")))?;
        let kind = match stored.model_type.as_deref() {
            Some("maira2") => LlavaKind::Maira2,
            Some("llava") => LlavaKind::Llava,
            other => {
                let found = other.unwrap_or("");
                let expected = format!("expected \"maira2\" or \"llava\", found \"{found}\"");
                return Err(bad("model_type", expected));
            }
        };
        let vision = dinov2::read_config(&value["vision_config"], (path, "vision_config."))?;
        let mut text = hf_llama::read_config(&value["text_config"], (path, "text_config."))?;
        text.is_tied |= stored.tie_word_embeddings.unwrap_or(false);
        let image_token = stored
            .image_token_index
            .or(stored.image_token_id)
            .unwrap_or(32_000);
        if image_token as usize >= text.sizes.n_vocab {
            let expected = format!("expected an id below {}", text.sizes.n_vocab);
            return Err(bad("image_token_index", expected));
        }
        let drops_cls = match stored.vision_feature_select_strategy.as_deref() {
            None | Some("default") => true,
            Some("full") => false,
            Some(other) => {
                let expected = format!("expected \"default\" or \"full\", found \"{other}\"");
                return Err(bad("vision_feature_select_strategy", expected));
            }
        };
        let projector_act = match stored.projector_hidden_act.as_deref() {
            None | Some("gelu") => ProjectorAct::Gelu,
            Some("relu") => ProjectorAct::Relu,
            Some("silu" | "swish") => ProjectorAct::Silu,
            Some(other) => {
                let expected =
                    format!("expected \"gelu\", \"relu\" or \"silu\", found \"{other}\"");
                return Err(bad("projector_hidden_act", expected));
            }
        };
        let layer = stored.vision_feature_layer.as_ref();
        let states = match kind {
            LlavaKind::Maira2 => backbone_states(layer, &vision),
            LlavaKind::Llava => hidden_states(layer, &vision),
        }
        .map_err(|(key, expected)| bad(key, expected))?;
        let n_projector_layers = match kind {
            LlavaKind::Maira2 => stored.projector_n_layers.unwrap_or(4),
            LlavaKind::Llava => 2,
        };
        if !(1..=64).contains(&n_projector_layers) {
            let expected = format!("expected 1 to 64, found {n_projector_layers}");
            return Err(bad("projector_n_layers", expected));
        }
        Ok(Self {
            kind,
            text,
            vision,
            image_token,
            states,
            drops_cls,
            n_projector_layers,
            projector_act,
            projector_bias: stored.multimodal_projector_bias.unwrap_or(true),
        })
    }
}

/// The index `layer` of `n` things, counted from the end where it is negative.
fn index(layer: i64, n: usize) -> Option<usize> {
    let at = if layer < 0 {
        layer + n.cast_signed() as i64
    } else {
        layer
    };
    usize::try_from(at).ok().filter(|&at| at < n)
}

type Fault = (&'static str, String);

/// The feature map a backbone hands out, as a hidden state.
fn backbone_states(
    layer: Option<&serde_json::Value>,
    vision: &Dinov2Config,
) -> Result<Vec<usize>, Fault> {
    if vision.reshape_hidden_states {
        let expected = "expected false: positions, not an image, are read".to_owned();
        return Err(("vision_config.reshape_hidden_states", expected));
    }
    let n_blocks = vision.num_hidden_layers;
    let last = vec![format!("stage{n_blocks}")];
    let features = vision.out_features.as_ref().unwrap_or(&last);
    let layer = layer.map_or(Some(-1), serde_json::Value::as_i64);
    let name = layer
        .and_then(|layer| features.get(index(layer, features.len())?))
        .ok_or_else(|| {
            let expected = format!("expected one of the {} feature maps", features.len());
            ("vision_feature_layer", expected)
        })?;
    let stage = match name.as_str() {
        "stem" => Some(0),
        name => name
            .strip_prefix("stage")
            .and_then(|number| number.parse().ok())
            .filter(|stage| (1..=n_blocks).contains(stage)),
    };
    let stage = stage.ok_or_else(|| {
        let expected = format!("expected stem or stage1 to stage{n_blocks}, found \"{name}\"");
        ("vision_config.out_features", expected)
    })?;
    if !vision.apply_layernorm {
        return Ok(vec![stage]);
    }
    if stage == n_blocks {
        return Ok(vec![n_blocks + 1]);
    }
    // The final norm on an earlier stage has no hook point of its own.
    let expected = format!("expected stage{n_blocks} where apply_layernorm is set");
    Err(("vision_config.out_features", expected))
}

/// The hidden states that `LLaVA` reads.
fn hidden_states(
    layer: Option<&serde_json::Value>,
    vision: &Dinov2Config,
) -> Result<Vec<usize>, Fault> {
    let n = vision.num_hidden_layers + 1;
    let fault = || {
        let expected = format!("expected a hidden state from −{n} to {}, or several", n - 1);
        ("vision_feature_layer", expected)
    };
    let one = |value: &serde_json::Value| value.as_i64().and_then(|layer| index(layer, n));
    let states: Option<Vec<usize>> = match layer {
        None => index(-2, n).map(|state| vec![state]),
        Some(serde_json::Value::Array(layers)) => layers.iter().map(one).collect(),
        Some(value) => one(value).map(|state| vec![state]),
    };
    states.filter(|states| !states.is_empty()).ok_or_else(fault)
}
