//! Sizes of a Llama-shaped decoder, read from the metadata of a GGUF file.

use super::DecoderFamily;
use super::gguf::Gguf;
use crate::ModelError;

/// Sizes and constants of a Llama-shaped decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// What it has beside the parts that all have.
    pub family: DecoderFamily,
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
        let Some(family) = DecoderFamily::of_key(gguf.text("general.architecture")?) else {
            let known = DecoderFamily::ALL.map(|family| format!("\"{}\"", family.key()));
            return Err(gguf.bad_key("general.architecture", &known.join(" or ")));
        };
        let keys = SizeKeys { gguf, family };
        let d_model = keys.size("embedding_length", 1 << 17)?;
        let [n_heads, n_kv_heads, d_head] = keys.heads(d_model)?;
        keys.check_rope(d_head)?;
        let n_vocab = gguf.texts("tokenizer.ggml.tokens")?.len();
        if n_vocab == 0 || n_vocab > 1 << 22 {
            return Err(gguf.bad_key("tokenizer.ggml.tokens", "1 to 4,194,304 tokens"));
        }
        let rope_base = match keys.get("rope.freq_base") {
            None => 10_000.0,
            Some(key) => gguf.number(&key)?,
        };
        if rope_base <= 1.0 {
            return Err(gguf.bad_key(&keys.key("rope.freq_base"), "a number above 1"));
        }
        let rms_eps = keys.key("attention.layer_norm_rms_epsilon");
        let eps = gguf.number(&rms_eps)? as f32;
        if !(eps > 0.0 && eps < 1.0) {
            return Err(gguf.bad_key(&rms_eps, "a number between 0 and 1"));
        }
        Ok(Self {
            family,
            n_blocks: keys.size("block_count", 1024)?,
            d_model,
            d_mlp: keys.size("feed_forward_length", 1 << 20)?,
            n_heads,
            n_kv_heads,
            d_head,
            n_vocab,
            n_context: keys.size("context_length", 1 << 24)?,
            rope_base,
            rope_factor: 1.0,
            rms_eps: eps,
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

/// The keys of the sizes, which begin with the family's own.
struct SizeKeys<'a> {
    gguf: &'a Gguf,
    family: DecoderFamily,
}

impl SizeKeys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.family.key())
    }

    /// The whole key, if the file has it.
    fn get(&self, name: &str) -> Option<String> {
        let key = self.key(name);
        self.gguf.get(&key).map(|_| key)
    }

    fn size(&self, name: &str, most: usize) -> Result<usize, ModelError> {
        let key = self.key(name);
        let value = self.gguf.count(&key)? as usize;
        if value == 0 || value > most {
            let expected = format!("an integer from 1 to {most}");
            return Err(self.gguf.bad_key(&key, &expected));
        }
        Ok(value)
    }

    /// Query heads, key heads and the width of a head.
    fn heads(&self, d_model: usize) -> Result<[usize; 3], ModelError> {
        let n_heads = self.size("attention.head_count", 1024)?;
        let n_kv_heads = match self.get("attention.head_count_kv") {
            None => n_heads,
            Some(_) => self.size("attention.head_count_kv", n_heads)?,
        };
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(self.gguf.bad_key(
                &self.key("attention.head_count_kv"),
                &format!("a divisor of the {n_heads} query heads"),
            ));
        }
        let d_head = match self.get("attention.key_length") {
            None if d_model.is_multiple_of(n_heads) => d_model / n_heads,
            None => {
                return Err(self.gguf.bad_key(
                    &self.key("attention.head_count"),
                    &format!("a divisor of the width {d_model}"),
                ));
            }
            Some(_) => self.size("attention.key_length", 4096)?,
        };
        Ok([n_heads, n_kv_heads, d_head])
    }

    /// Refuses rotary embeddings that this decoder does not compute.
    fn check_rope(&self, d_head: usize) -> Result<(), ModelError> {
        let gguf = self.gguf;
        let differs = |name: &str| match self.get(name) {
            None => Ok(false),
            Some(key) => Ok::<_, ModelError>(gguf.count(&key)? as usize != d_head),
        };
        if !d_head.is_multiple_of(2) || differs("rope.dimension_count")? {
            return Err(gguf.bad_key(
                &self.key("rope.dimension_count"),
                &format!("an even number equal to the width of a head, {d_head}"),
            ));
        }
        if differs("attention.value_length")? {
            let expected = format!("the width of a head, {d_head}");
            return Err(gguf.bad_key(&self.key("attention.value_length"), &expected));
        }
        match self.get("rope.scaling.type") {
            Some(key) if gguf.text(&key)? != "none" => {
                Err(gguf.bad_key(&key, "\"none\", the only scaling this build computes"))
            }
            _ => Ok(()),
        }
    }
}
