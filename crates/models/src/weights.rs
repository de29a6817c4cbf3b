//! Weights of checkpoints: the files they lie in, and the codings they are kept in.

pub mod coded;
pub mod files;
pub(crate) mod linear;
pub(crate) mod reader;

pub(crate) use coded::FEW;
pub use coded::{CodedMatrix, Coding};
pub use files::{StoredTensor, WeightFiles};
pub(crate) use linear::{Linear, Weight};
pub(crate) use reader::{Reader, WeightLoader};
