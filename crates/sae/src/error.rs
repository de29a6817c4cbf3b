//! What can go wrong with a sparse autoencoder, one sentence each.

use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SaeError {
    /// A slice has another length than its dimensions say.
    #[error("{what} has {found} values, expected {expected}")]
    Shape {
        /// Which slice or tensor.
        what: String,
        /// Expected number of values, or the shape.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A number is NaN or infinite.
    #[error("{what} holds a value that is not a finite number")]
    NotFinite {
        /// Where it is.
        what: String,
    },
    /// A training setting is outside its range.
    #[error("the setting {field} is not usable: {reason}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// Why, with the expected range.
        reason: String,
    },
    /// There are no rows, or all rows are equal.
    #[error("{what}")]
    NoVariance {
        /// Which rows.
        what: String,
    },
    /// The rows to train or evaluate on could not be read.
    #[error("activations could not be read: {reason}")]
    Source {
        /// Why.
        reason: String,
    },
    /// The device that trains refused, e.g. for want of memory.
    #[error("the graphics card could not go on training: {reason}")]
    Device {
        /// What its driver says.
        reason: String,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        reason: String,
    },
}

impl SaeError {
    pub(crate) fn shape(
        what: impl Into<String>,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Shape {
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
