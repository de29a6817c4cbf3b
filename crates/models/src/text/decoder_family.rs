//! The families of text models that share the decoder, and what sets them apart.

/// A family of decoders with the shape of Llama.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecoderFamily {
    /// Llama and all that is stored as one: `SmolLM2`, Mistral, Vicuna.
    Llama,
    /// Qwen2 and Qwen2.5: the maps to queries, keys and values have biases.
    Qwen2,
    /// Qwen3: the heads of queries and keys are normed before they are rotated.
    Qwen3,
}

impl DecoderFamily {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// The family that `general.architecture` of a GGUF file calls `key`.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.key() == key)
    }

    /// What files call it; the keys of its sizes in a GGUF file begin so.
    pub fn key(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Name for the user.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "Llama",
            Self::Qwen2 => "Qwen2",
            Self::Qwen3 => "Qwen3",
        }
    }

    /// Whether the maps to queries, keys and values have biases.
    pub(crate) fn has_biases(self) -> bool {
        self == Self::Qwen2
    }

    /// Whether every head of queries and keys is divided by its root mean square, and scaled,
    /// before it is rotated.
    pub(crate) fn has_head_norms(self) -> bool {
        self == Self::Qwen3
    }

    /// Whether a GGUF file keeps the two values that are rotated together side by side.
    ///
    /// # Source
    /// `llama.cpp`, `convert_hf_to_gguf.py`: `LlamaModel.permute`; Qwen is stored as published,
    /// for the rotation that `llama.cpp` calls NEOX.
    pub(crate) fn has_pairs_side_by_side(self) -> bool {
        self == Self::Llama
    }
}
