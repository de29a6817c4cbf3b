//! Files of `torch.save`, read as data: nothing they name is ever looked up or called.
//!
//! Knows neither dictionaries nor models: it hands out the values of the pickle and the bytes of
//! its tensors, and its callers say what they mean.

mod file;
mod names;
mod pickle;
mod value;
mod view;

pub use file::{Elements, TorchFile, TorchFileError};
pub use names::{ElementType, Names};
pub use pickle::{PickleFault, read};
pub use value::{Pickle, StorageRef, TensorRef, Value, ValueId, printable};
