//! Dictionaries in files: our own folder, and those of other tools.

pub mod dictionary_learning;
pub mod folder;
pub mod recsae;
