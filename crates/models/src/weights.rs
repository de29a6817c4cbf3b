//! Weights of checkpoints: the files they lie in, and the codings they are kept in.

pub mod coded;
mod coded_cache;
pub mod files;
pub(crate) mod foreign;
pub(crate) mod linear;
pub(crate) mod reader;

pub(crate) use coded::FEW;
pub use coded::{CodedMatrix, Coding};
pub(crate) use coded_cache::CodedCache;
pub use files::{StoredTensor, WeightFiles};
pub(crate) use linear::{Linear, Weight};
pub(crate) use reader::{Reader, WeightLoader};
