//! Vision-language models under study: the phantom model.

mod decoder;
mod film_pixels;
pub mod parameters;
mod phantom_vlm;
mod phantom_vlm_config;

pub(crate) use decoder::{Decoder, KvCache};
pub(crate) use film_pixels::{film_pixels, normalised, patches_of};
pub use phantom_vlm::PhantomVlm;
pub(crate) use phantom_vlm::{CONFIG_FILE, Tower, WEIGHT_FILE};
pub use phantom_vlm_config::{DecoderConfig, PhantomVlmConfig};
