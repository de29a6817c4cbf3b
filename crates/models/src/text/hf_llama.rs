//! Llama-shaped decoders of Hugging Face checkpoints: sizes from `config.json`, weights from
//! safetensors under any of the prefixes in use.

use std::path::Path;

use serde::Deserialize;

use super::llama::{Block, Llama, LlamaParts};
use super::{DecoderFamily, LlamaConfig};
use crate::ModelError;
use crate::weights::Reader;

/// Sizes as the file has them; what is absent has the default of the reference, which leaves out
/// of a file what equals it.
///
/// # Source
/// `transformers`, `models/llama/configuration_llama.py`.
#[derive(Debug, Clone, Deserialize)]
struct Stored {
    #[serde(default = "stored::vocab_size")]
    vocab_size: usize,
    #[serde(default = "stored::hidden_size")]
    hidden_size: usize,
    #[serde(default = "stored::intermediate_size")]
    intermediate_size: usize,
    #[serde(default = "stored::num_hidden_layers")]
    num_hidden_layers: usize,
    #[serde(default = "stored::num_attention_heads")]
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "stored::hidden_act")]
    hidden_act: String,
    #[serde(default = "stored::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "stored::rms_norm_eps")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    rope_parameters: Option<serde_json::Value>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
}

/// Defaults of the reference.
mod stored {
    pub(super) fn vocab_size() -> usize {
        32_000
    }
    pub(super) fn hidden_size() -> usize {
        4096
    }
    pub(super) fn intermediate_size() -> usize {
        11_008
    }
    pub(super) fn num_hidden_layers() -> usize {
        32
    }
    pub(super) fn num_attention_heads() -> usize {
        32
    }
    pub(super) fn hidden_act() -> String {
        "silu".to_owned()
    }
    pub(super) fn max_position_embeddings() -> usize {
        2048
    }
    pub(super) fn rms_norm_eps() -> f64 {
        1e-6
    }
}

/// What a `config.json` says of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HfLlamaConfig {
    pub(crate) sizes: LlamaConfig,
    /// Whether the maps of the attention have biases.
    pub(crate) attention_bias: bool,
    /// Whether the maps of the MLP have biases.
    pub(crate) mlp_bias: bool,
    /// Whether the embedding is the output map too.
    pub(crate) is_tied: bool,
}

/// Reads the sizes from the object at `place` of a `config.json`.
pub(crate) fn read_config(
    value: &serde_json::Value,
    (path, place): (&Path, &str),
) -> Result<HfLlamaConfig, ModelError> {
    let bad = |key: &str, expected: String| ModelError::Format {
        path: path.to_owned(),
        place: format!("key {place}{key}"),
        expected,
    };
    let kind = value["model_type"].as_str().unwrap_or("llama");
    if kind != "llama" {
        let expected = format!("expected \"llama\", found \"{kind}\"");
        return Err(bad("model_type", expected));
    }
    let stored = Stored::deserialize(value)
        .map_err(|error| bad("(whole)", format!("sizes of a Llama decoder: {error}")))?;
    let n_kv_heads = stored
        .num_key_value_heads
        .unwrap_or(stored.num_attention_heads);
    let d_head = stored
        .head_dim
        .unwrap_or(stored.hidden_size / stored.num_attention_heads.max(1));
    for (key, size, most) in [
        ("vocab_size", stored.vocab_size, 1 << 22),
        ("hidden_size", stored.hidden_size, 1 << 17),
        ("intermediate_size", stored.intermediate_size, 1 << 20),
        ("num_hidden_layers", stored.num_hidden_layers, 1024),
        ("num_attention_heads", stored.num_attention_heads, 1024),
        ("num_key_value_heads", n_kv_heads, 1024),
        ("head_dim", d_head, 4096),
        (
            "max_position_embeddings",
            stored.max_position_embeddings,
            1 << 24,
        ),
    ] {
        if !(1..=most).contains(&size) {
            return Err(bad(key, format!("expected 1 to {most}, found {size}")));
        }
    }
    if !stored.num_attention_heads.is_multiple_of(n_kv_heads) {
        let heads = stored.num_attention_heads;
        return Err(bad(
            "num_key_value_heads",
            format!("expected a divisor of the {heads} query heads, found {n_kv_heads}"),
        ));
    }
    if !d_head.is_multiple_of(2) {
        return Err(bad(
            "head_dim",
            format!("expected an even number, found {d_head}"),
        ));
    }
    if stored.hidden_act != "silu" {
        let expected = format!("expected \"silu\", found \"{}\"", stored.hidden_act);
        return Err(bad("hidden_act", expected));
    }
    if !(stored.rms_norm_eps > 0.0 && stored.rms_norm_eps < 1.0) {
        return Err(bad(
            "rms_norm_eps",
            "expected a number from 0 to 1".to_owned(),
        ));
    }
    let (rope_base, rope_factor) = read_rope(&stored).map_err(|(key, text)| bad(key, text))?;
    Ok(HfLlamaConfig {
        sizes: LlamaConfig {
            family: DecoderFamily::Llama,
            n_blocks: stored.num_hidden_layers,
            d_model: stored.hidden_size,
            d_mlp: stored.intermediate_size,
            n_heads: stored.num_attention_heads,
            n_kv_heads,
            d_head,
            n_vocab: stored.vocab_size,
            n_context: (stored.max_position_embeddings as f64 * rope_factor.max(1.0)) as usize,
            rope_base,
            rope_factor,
            rms_eps: stored.rms_norm_eps as f32,
        },
        attention_bias: stored.attention_bias,
        mlp_bias: stored.mlp_bias,
        is_tied: stored.tie_word_embeddings,
    })
}

/// Base and linear factor of the rotary embedding, from the older keys or the newer one.
fn read_rope(stored: &Stored) -> Result<(f64, f64), (&'static str, String)> {
    let newer = stored.rope_parameters.as_ref();
    let base = stored
        .rope_theta
        .or_else(|| newer?.get("rope_theta")?.as_f64())
        .unwrap_or(10_000.0);
    if !(base > 1.0 && base.is_finite()) {
        return Err((
            "rope_theta",
            format!("expected a number above 1, found {base}"),
        ));
    }
    let Some(scaling) = newer
        .or(stored.rope_scaling.as_ref())
        .filter(|s| !s.is_null())
    else {
        return Ok((base, 1.0));
    };
    let kind = ["rope_type", "type"]
        .iter()
        .find_map(|key| scaling.get(key)?.as_str())
        .unwrap_or("default");
    match kind {
        "default" => Ok((base, 1.0)),
        "linear" => {
            let factor = scaling.get("factor").and_then(serde_json::Value::as_f64);
            match factor.filter(|factor| (0.01..=1000.0).contains(factor)) {
                Some(factor) => Ok((base, factor)),
                None => Err((
                    "rope_scaling.factor",
                    format!("expected a number, found {}", scaling["factor"]),
                )),
            }
        }
        other => Err((
            "rope_scaling.rope_type",
            format!("expected \"linear\" or \"default\", found \"{other}\""),
        )),
    }
}

fn read_block(reader: &Reader<'_>, config: &HfLlamaConfig, i: usize) -> Result<Block, ModelError> {
    let sizes = &config.sizes;
    let (d, query, key) = (sizes.d_model, sizes.d_query(), sizes.d_key());
    let at = format!("layers.{i}");
    let norm = |name: &str| reader.tensor(&format!("{at}.{name}.weight"), &[d]);
    let attention = |name: &str, shape| {
        let name = format!("{at}.self_attn.{name}");
        reader.linear(&[&name], shape, config.attention_bias)
    };
    let mlp = |name: &str, shape| {
        let name = format!("{at}.mlp.{name}");
        reader.linear(&[&name], shape, config.mlp_bias)
    };
    Ok(Block {
        attn_norm: norm("input_layernorm")?,
        q: attention("q_proj", [query, d])?,
        q_norm: None,
        k: attention("k_proj", [key, d])?,
        k_norm: None,
        v: attention("v_proj", [key, d])?,
        o: attention("o_proj", [d, query])?,
        mlp_norm: norm("post_attention_layernorm")?,
        gate: mlp("gate_proj", [sizes.d_mlp, d])?,
        up: mlp("up_proj", [sizes.d_mlp, d])?,
        down: mlp("down_proj", [d, sizes.d_mlp])?,
    })
}

/// Reads the decoder; the reader's prefix ends before `embed_tokens`, `head` is the whole name of
/// the output map where the checkpoint has one.
pub(crate) fn read_llama(
    reader: &Reader<'_>,
    head: Option<&str>,
    config: &HfLlamaConfig,
) -> Result<Llama, ModelError> {
    let sizes = &config.sizes;
    let vocab = [sizes.n_vocab, sizes.d_model];
    let head = match head {
        _ if config.is_tied => None,
        Some(name) => {
            let whole = Reader {
                prefix: String::new(),
                ..*reader
            };
            Some(whole.weight(&[name], vocab)?)
        }
        None => {
            return Err(reader.files.fault(
                "lm_head.weight",
                format!("expected shape {vocab:?}, the tensor is missing and config.json does not tie it to the embedding"),
            ));
        }
    };
    let parts = LlamaParts {
        embed: reader.weight(&["embed_tokens.weight"], vocab)?,
        blocks: (0..sizes.n_blocks)
            .map(|i| read_block(reader, config, i))
            .collect::<Result<_, _>>()?,
        ln_final: reader.tensor("norm.weight", &[sizes.d_model])?,
        head,
        rope_factors: Vec::new(),
        device: reader.load.device.clone(),
    };
    Ok(Llama::new(sizes.clone(), parts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &serde_json::Value) -> Result<HfLlamaConfig, String> {
        read_config(value, (Path::new("config.json"), "text_config."))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn absent_sizes_are_those_of_the_reference() {
        let config = read(&json!({"model_type": "llama", "vocab_size": 32_064})).unwrap();
        assert_eq!(config.sizes.d_model, 4096);
        assert_eq!(config.sizes.n_kv_heads, 32);
        assert_eq!(config.sizes.n_vocab, 32_064);
        assert_eq!(config.sizes.rope_factor, 1.0);
    }

    #[test]
    fn both_ways_to_write_the_rotary_scaling_are_read() {
        let old = json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 1.5}});
        let new = json!({"rope_parameters":
            {"rope_theta": 5e5, "rope_type": "linear", "factor": 1.5}});
        for value in [old, new] {
            let sizes = read(&value).unwrap().sizes;
            assert_eq!((sizes.rope_base, sizes.rope_factor), (5e5, 1.5));
            assert_eq!(sizes.n_context, 3072);
        }
        let yarn = json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}});
        assert!(
            read(&yarn)
                .unwrap_err()
                .contains("text_config.rope_scaling.rope_type")
        );
    }

    #[test]
    fn unsound_sizes_are_named() {
        for (value, key) in [
            (json!({"model_type": "gemma"}), "model_type"),
            (
                json!({"num_attention_heads": 6, "num_key_value_heads": 4}),
                "num_key_value_heads",
            ),
            (json!({"num_hidden_layers": 0}), "num_hidden_layers"),
            (json!({"hidden_size": "wide"}), "(whole)"),
            (json!({"hidden_act": "relu"}), "hidden_act"),
        ] {
            let message = read(&value).unwrap_err();
            assert!(
                message.contains(&format!("key text_config.{key}")),
                "{message}"
            );
        }
    }
}
