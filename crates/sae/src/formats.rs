//! Dictionaries in files: our own folder, and those of other tools.

pub mod dictionary_learning;
pub mod export;
pub mod folder;
pub mod gemma_scope;
pub mod interpretations;
mod npz;
pub mod openai;
pub mod recsae;
pub mod saelens;
mod tensor_file;
mod torch_file;
mod torch_writer;
mod trainer_settings;

pub use trainer_settings::trainer_settings;
