//! What a MAIRA-2 or `LLaVA` checkpoint takes in memory, from its headers alone.

use std::path::Path;

use super::llava::read_json;
use super::llava_config::LlavaConfig;
use crate::ModelError;
use crate::weights::{Coding, WeightFiles};

/// What a checkpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LlavaMemory {
    /// Number of weights.
    pub n_parameters: u64,
    /// Bytes of all weights in memory.
    pub weight_bytes: u64,
    /// Of these, bytes in mapped files, which the system may drop and read again.
    pub mapped_bytes: u64,
    /// Keys and values of one position, in bytes.
    pub bytes_per_position: u64,
    /// Positions at most.
    pub n_context: u64,
}

/// Reads `config.json` and the headers of the weight files; no weight is read.
///
/// # Errors
/// [`ModelError::Read`] or [`ModelError::Format`].
pub fn llava_memory(folder: &Path, coding: Option<Coding>) -> Result<LlavaMemory, ModelError> {
    let path = folder.join("config.json");
    let config = LlavaConfig::read(&read_json(&path)?, &path)?;
    let files = WeightFiles::open(folder)?;
    let (mut owned, mut mapped) = (0_u64, 0_u64);
    for tensor in files.tensors().values() {
        let n = tensor.n_values();
        match (tensor.shape.as_slice(), coding) {
            (&[rows, columns], Some(coding))
                if coding != tensor.coding && columns.is_multiple_of(coding.block().1) =>
            {
                owned += (rows * coding.bytes_of(columns)) as u64;
            }
            (&[_, _], _) => mapped += tensor.coding.bytes_of(n) as u64,
            // Norms, biases and the patch embedding are kept as f32.
            _ => owned += 4 * n as u64,
        }
    }
    let sizes = &config.text.sizes;
    Ok(LlavaMemory {
        n_parameters: files.n_parameters(),
        weight_bytes: owned + mapped,
        mapped_bytes: mapped,
        bytes_per_position: sizes.bytes_per_position(),
        n_context: sizes.n_context as u64,
    })
}
