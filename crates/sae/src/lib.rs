//! Sparse autoencoders: their codes, training, metrics and files. Knows no model and no project.

mod autoencoder;
mod baseline;
mod batch_selection;
mod checkpoint;
mod codes;
mod dead_features;
mod error;
mod extras;
mod fold;
mod gradients;
mod initial;
mod kernels;
mod layer_norm;
mod metrics;
mod on_device;
mod optimiser;
#[cfg(test)]
mod parity;
mod recipe;
mod resample;
mod settings;
mod source;
mod sparsity;
mod tensors;
mod trainer;
mod training;
mod variants;
mod weights;

pub mod formats;

pub use autoencoder::{SaeParts, SparseAutoencoder};
pub use candle_core::Device as TrainingDevice;

pub use baseline::random_dictionary;
pub use checkpoint::CheckpointPlan;
pub use codes::SparseCodes;
pub use error::SaeError;
pub use extras::SaeExtras;
pub use initial::initial_weights;
pub use metrics::{
    CentreSums, Centres, DENSE_ABOVE, DensityBin, Direction, Embeddings, Evaluator, FeatureMatch,
    FvuSum, MAX_MATCHED, Metric, MetricDefinition, RowSums, SHARED_FROM, best_assignment,
    check_matchable, dead_share, dense_share, density_histogram, evaluate, loss_recovered,
    match_features, mean_cosine, mean_neighbour_cosine, nearest_directions, row_sums, share_kept,
    shared_share,
};
pub use on_device::kept_on_cpu;
pub use recipe::starts_off_the_mean;
pub use settings::{check_config, unreached_rate, variants_of};
pub use source::{ActivationSource, InMemorySource};
pub use sparsity::{Gate, Sparsity};
pub use training::{RunSpec, Trained, check_start, train, train_from, train_together};
