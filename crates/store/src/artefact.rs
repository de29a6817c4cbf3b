//! The kinds of artefact a project holds, and how one is named.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Result, validate_name};

/// What an artefact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtefactKind {
    /// Samples.
    Dataset,
    /// A model under study.
    Model,
    /// Hook activations of a dataset.
    Harvest,
    /// A sparse autoencoder.
    Sae,
    /// The feature index of a sparse autoencoder.
    Features,
    /// Concepts of a recommender's dictionary: explanations, their cases and confidence.
    Concepts,
    /// Explanations of a dictionary's features over passages, and how far they hold.
    Explanations,
    /// What was measured of a sparse autoencoder.
    Evaluation,
}

impl ArtefactKind {
    /// Every kind, parents before children.
    pub const ALL: [Self; 8] = [
        Self::Dataset,
        Self::Model,
        Self::Harvest,
        Self::Sae,
        Self::Features,
        Self::Concepts,
        Self::Explanations,
        Self::Evaluation,
    ];

    /// Folder of the project that holds artefacts of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
            Self::Harvest => "activations",
            Self::Sae => "saes",
            Self::Features => "features",
            Self::Concepts => "concepts",
            Self::Explanations => "explanations",
            Self::Evaluation => "evaluations",
        }
    }
}

/// Names one artefact of a project; shown as `datasets/phantoms`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArtefactId {
    kind: ArtefactKind,
    name: String,
}

impl ArtefactId {
    /// Names the artefact `name` of `kind`.
    ///
    /// # Errors
    /// [`crate::StoreError::BadName`] if `name` cannot be a folder's name.
    pub fn new(kind: ArtefactKind, name: &str) -> Result<Self> {
        validate_name(name)?;
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }

    /// What it is.
    pub fn kind(&self) -> ArtefactKind {
        self.kind
    }

    /// Its name among its kind.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ArtefactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.folder(), self.name)
    }
}

/// One artefact in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtefactEntry {
    /// Its name among its kind.
    pub name: String,
    /// Whether it is finished.
    pub state: ArtefactState,
}

/// Whether an artefact is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtefactState {
    /// All its files are there and recorded.
    Finished {
        /// BLAKE3 of its `hashes.json`, which covers every file.
        hash: String,
        /// Bytes of all its files together.
        bytes: u64,
    },
    /// A job was stopped before its end.
    Unfinished,
}
