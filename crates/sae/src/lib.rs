//! Sparse autoencoders: their codes, training, metrics and files. Knows no model and no project.

mod autoencoder;
mod baseline;
mod batch_selection;
mod checkpoint;
mod codes;
mod dead_features;
mod error;
mod gradients;
mod kernels;
mod metrics;
mod optimiser;
#[cfg(test)]
mod parity;
mod source;
mod sparsity;
mod tensors;
mod trainer;
mod weights;

pub mod formats;

pub use autoencoder::{SaeParts, SparseAutoencoder};
pub use baseline::random_dictionary;
pub use checkpoint::CheckpointPlan;
pub use codes::SparseCodes;
pub use error::SaeError;
pub use metrics::{Evaluator, FvuSum, evaluate};
pub use source::{ActivationSource, InMemorySource};
pub use sparsity::Sparsity;
pub use trainer::{Trained, check_config, initial_weights, train, train_from};
