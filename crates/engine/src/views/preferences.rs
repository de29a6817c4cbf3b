//! What a user chooses for this computer, whatever the project.

use serde::{Deserialize, Serialize};

/// Least and largest megabytes of decoded films that may be kept.
pub const FILM_MEGABYTES: [u32; 2] = [64, 8192];

/// A device that a user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreferredDevice {
    /// A card that this build and computer have, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA card.
    Cuda,
    /// An Apple card.
    Metal,
}

/// What a user chooses for this computer; unknown or missing fields fall back to defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Device that large models compute on; heard at the next start.
    pub device: PreferredDevice,
    /// Threads to compute with, `None` for all cores; heard at the next start.
    pub threads: Option<u32>,
    /// Megabytes of decoded films kept in memory.
    pub film_megabytes: u32,
    /// The language model that explains and judges: path of a GGUF file, or address of a server;
    /// empty for none.
    pub language_model: String,
    /// Whether the project that was open last opens again at the start of the window.
    pub reopen: bool,
    /// Whether the desktop tells of the end of a long job behind other windows.
    pub notify: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            device: PreferredDevice::Auto,
            threads: None,
            film_megabytes: 256,
            language_model: String::new(),
            reopen: true,
            notify: true,
        }
    }
}
