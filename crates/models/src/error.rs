//! Why a model could not be loaded, run or trained.

use std::path::PathBuf;

use schema::HookPoint;

/// Errors of this crate. Messages are for the user.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is damaged or not of the expected format.
    #[error("{path}: {place}: {expected}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in it: a tensor, a key, a byte offset.
        place: String,
        /// What was expected and what was found.
        expected: String,
    },
    /// The model has no such hook point.
    #[error("{model} has no hook point {hook}; the nearest it has are {available}")]
    NoSuchHook {
        /// Name of the model.
        model: String,
        /// What was asked for.
        hook: HookPoint,
        /// What there is.
        available: String,
    },
    /// The sample lacks what the model reads.
    #[error("{model} needs {needs}, which this sample does not have")]
    Sample {
        /// Name of the model.
        model: String,
        /// What is missing, e.g. `a film`.
        needs: &'static str,
    },
    /// The model cannot do what was asked, e.g. generate text with an image encoder.
    #[error("{model} cannot {ability}")]
    Unsupported {
        /// Name of the model.
        model: String,
        /// The ability, e.g. `write text`.
        ability: &'static str,
    },
    /// A value in a request is out of range.
    #[error("{0}")]
    Request(String),
    /// Stopped by the caller; what was checkpointed is kept.
    #[error("cancelled")]
    Cancelled,
    /// The tensor library failed.
    #[error("tensor computation: {0}")]
    Tensor(#[from] candle_core::Error),
}
