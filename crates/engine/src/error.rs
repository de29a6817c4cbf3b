//! Errors of the boundary: whether the request was wrong, and one sentence for the user.

/// Whose fault an error is; decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request was wrong: a path, a value, a file's content. Exit status 2.
    Request,
    /// The user asked to stop; what was checkpointed is kept.
    Cancelled,
    /// Anything else. Exit status 1.
    Other,
}

/// An error with a sentence for the user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// One sentence that names the file, the place in it and what was expected.
    pub message: String,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, EngineError>;

impl EngineError {
    /// The request was wrong.
    pub fn request(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Request,
            message: message.into(),
        }
    }

    /// Something else failed.
    pub fn other(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Other,
            message: message.into(),
        }
    }

    /// The user asked to stop.
    pub fn cancelled() -> Self {
        Self {
            kind: ErrorKind::Cancelled,
            message:
                "stopped; what was done so far is kept, and the same command goes on from there"
                    .to_owned(),
        }
    }

    /// Whether the user asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.kind == ErrorKind::Cancelled
    }
}

impl From<crate::jobs::Cancelled> for EngineError {
    fn from(_: crate::jobs::Cancelled) -> Self {
        Self::cancelled()
    }
}

impl From<models::ModelError> for EngineError {
    fn from(error: models::ModelError) -> Self {
        use models::ModelError as M;
        match error {
            M::Cancelled => Self::cancelled(),
            M::Write { .. } | M::Tensor(_) => Self::other(error.to_string()),
            _ => Self::request(error.to_string()),
        }
    }
}

impl From<store::StoreError> for EngineError {
    fn from(error: store::StoreError) -> Self {
        use store::StoreError as S;
        match error {
            S::Io { ref source, .. } if source.kind() != std::io::ErrorKind::NotFound => {
                Self::other(error.to_string())
            }
            _ => Self::request(error.to_string()),
        }
    }
}

impl From<sae::SaeError> for EngineError {
    fn from(error: sae::SaeError) -> Self {
        match error {
            sae::SaeError::Io { .. } => Self::other(error.to_string()),
            _ => Self::request(error.to_string()),
        }
    }
}

impl From<schema::UnknownHookPoint> for EngineError {
    fn from(error: schema::UnknownHookPoint) -> Self {
        Self::request(error.to_string())
    }
}
