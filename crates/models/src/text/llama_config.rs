//! Sizes of a Llama-shaped decoder, read from the metadata of a GGUF file.

use super::gguf::Gguf;
use crate::ModelError;

/// Sizes and constants of a Llama-shaped decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Number of blocks.
    pub n_blocks: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head; even.
    pub d_head: usize,
    /// Number of token ids.
    pub n_vocab: usize,
    /// Longest sequence the model was made for.
    pub n_context: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f64,
    /// What the rotary frequencies are divided by (linear scaling); 1 for none.
    pub rope_factor: f64,
    /// Added to the mean square in every norm.
    pub rms_eps: f32,
}

impl LlamaConfig {
    /// Reads the sizes from `gguf` and checks that they fit each other.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the architecture is another, or a key is missing or out of range.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, ModelError> {
        if gguf.text("general.architecture")? != "llama" {
            return Err(gguf.bad_key("general.architecture", "\"llama\""));
        }
        let size = |key: &str, most: usize| -> Result<usize, ModelError> {
            let value = gguf.count(key)? as usize;
            if value == 0 || value > most {
                return Err(gguf.bad_key(key, &format!("an integer from 1 to {most}")));
            }
            Ok(value)
        };
        let n_blocks = size("llama.block_count", 1024)?;
        let d_model = size("llama.embedding_length", 1 << 17)?;
        let d_mlp = size("llama.feed_forward_length", 1 << 20)?;
        let n_heads = size("llama.attention.head_count", 1024)?;
        let n_kv_heads = match gguf.get("llama.attention.head_count_kv") {
            None => n_heads,
            Some(_) => size("llama.attention.head_count_kv", n_heads)?,
        };
        if n_heads % n_kv_heads != 0 {
            return Err(gguf.bad_key(
                "llama.attention.head_count_kv",
                &format!("a divisor of the {n_heads} query heads"),
            ));
        }
        let d_head = match gguf.get("llama.attention.key_length") {
            None if d_model % n_heads == 0 => d_model / n_heads,
            None => {
                return Err(gguf.bad_key(
                    "llama.attention.head_count",
                    &format!("a divisor of the width {d_model}"),
                ));
            }
            Some(_) => size("llama.attention.key_length", 4096)?,
        };
        check_rope(gguf, d_head)?;
        let n_vocab = gguf.texts("tokenizer.ggml.tokens")?.len();
        if n_vocab == 0 || n_vocab > 1 << 22 {
            return Err(gguf.bad_key("tokenizer.ggml.tokens", "1 to 4,194,304 tokens"));
        }
        let rope_base = match gguf.get("llama.rope.freq_base") {
            None => 10_000.0,
            Some(_) => gguf.number("llama.rope.freq_base")?,
        };
        if rope_base <= 1.0 {
            return Err(gguf.bad_key("llama.rope.freq_base", "a number above 1"));
        }
        let rms_eps = gguf.number("llama.attention.layer_norm_rms_epsilon")? as f32;
        if !(rms_eps > 0.0 && rms_eps < 1.0) {
            return Err(gguf.bad_key(
                "llama.attention.layer_norm_rms_epsilon",
                "a number between 0 and 1",
            ));
        }
        Ok(Self {
            n_blocks,
            d_model,
            d_mlp,
            n_heads,
            n_kv_heads,
            d_head,
            n_vocab,
            n_context: size("llama.context_length", 1 << 24)?,
            rope_base,
            rope_factor: 1.0,
            rms_eps,
        })
    }

    /// Width of all query heads together.
    pub fn d_query(&self) -> usize {
        self.n_heads * self.d_head
    }

    /// Bytes of keys and values of one position in all blocks, f32.
    pub fn bytes_per_position(&self) -> u64 {
        (2 * 4 * self.n_blocks * self.d_key()) as u64
    }

    /// Width of all key heads together.
    pub fn d_key(&self) -> usize {
        self.n_kv_heads * self.d_head
    }
}

/// Refuses rotary embeddings that this decoder does not compute.
fn check_rope(gguf: &Gguf, d_head: usize) -> Result<(), ModelError> {
    let width = "llama.rope.dimension_count";
    if !d_head.is_multiple_of(2)
        || (gguf.get(width).is_some() && gguf.count(width)? as usize != d_head)
    {
        return Err(gguf.bad_key(
            width,
            &format!("an even number equal to the width of a head, {d_head}"),
        ));
    }
    let values = "llama.attention.value_length";
    if gguf.get(values).is_some() && gguf.count(values)? as usize != d_head {
        return Err(gguf.bad_key(values, &format!("the width of a head, {d_head}")));
    }
    let scaling = "llama.rope.scaling.type";
    if gguf.get(scaling).is_some() && gguf.text(scaling)? != "none" {
        return Err(gguf.bad_key(scaling, "\"none\", the only scaling this build computes"));
    }
    Ok(())
}
