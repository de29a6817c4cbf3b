//! Vision-language models under study: MAIRA-2, `LLaVA`, and the phantom model.

mod decoder;
mod film_pixels;
pub mod grounded;
pub mod llava;
mod llava_config;
mod llava_memory;
pub mod maira_prompt;
pub mod parameters;
mod phantom_vlm;
mod phantom_vlm_config;

pub(crate) use decoder::{Decoder, KvCache};
pub(crate) use film_pixels::{film_pixels, normalised, patches_of};
pub use llava::{Llava, LoadOptions};
pub use llava_memory::{LlavaMemory, llava_memory};
pub use phantom_vlm::PhantomVlm;
pub(crate) use phantom_vlm::{CONFIG_FILE, Tower, WEIGHT_FILE};
pub use phantom_vlm_config::{DecoderConfig, PhantomVlmConfig};
