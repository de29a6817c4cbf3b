//! What a model takes in memory, told from the headers of its files before anything is loaded.

use std::path::Path;

use models::Architecture;
use models::vision_language::llava_memory;
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::model_registry::{coding_named, recognise};

/// What a model takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryEstimate {
    /// Its family.
    pub architecture: String,
    /// Number of weights.
    pub n_parameters: u64,
    /// Bytes of the weights in memory.
    pub weight_bytes: u64,
    /// Of these, bytes that the system may drop and read again, because they lie in mapped files.
    pub mapped_bytes: u64,
    /// Bytes of keys and values for one position of a text.
    pub bytes_per_position: u64,
    /// Positions of the longest prompt with one image.
    pub n_context: u64,
}

impl MemoryEstimate {
    /// Weights, and keys and values of a whole context.
    pub fn total_bytes(&self) -> u64 {
        self.weight_bytes + self.bytes_per_position * self.n_context
    }
}

/// Reads the headers of a model's files.
///
/// # Errors
/// When the path is no model whose memory is known beforehand, or a header is damaged.
pub fn inspect_model(path: &Path, weights: Option<&str>) -> Result<MemoryEstimate> {
    let coding = weights.map(coding_named).transpose()?;
    match recognise(path)? {
        architecture @ (Architecture::Maira2 | Architecture::Llava) => {
            let memory = llava_memory(path, coding)?;
            Ok(MemoryEstimate {
                architecture: format!("{architecture:?}"),
                n_parameters: memory.n_parameters,
                weight_bytes: memory.weight_bytes,
                mapped_bytes: memory.mapped_bytes,
                bytes_per_position: memory.bytes_per_position,
                n_context: memory.n_context,
            })
        }
        Architecture::Llama => {
            let facts = models::text::inspect_gguf(path)?;
            Ok(MemoryEstimate {
                architecture: "Llama".to_owned(),
                n_parameters: facts.card.n_parameters,
                weight_bytes: facts.memory_bytes,
                mapped_bytes: 0,
                bytes_per_position: facts.bytes_per_position,
                n_context: facts.n_context as u64,
            })
        }
        other => Err(EngineError::request(format!(
            "{}: the memory of a {other:?} is small and not told beforehand",
            path.display()
        ))),
    }
}
