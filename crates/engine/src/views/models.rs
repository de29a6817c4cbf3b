//! What a front end shows of models before they are loaded, and of trainings of recommenders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::inspect_model::MemoryEstimate;
use crate::train_recommender::{RecommenderCurve, TrainRecommenderRequest};

/// A model as its record describes it: to read that loads no weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelEntry {
    /// Its name in the project.
    pub name: String,
    /// Its architecture, in the words of `ModelView`.
    pub architecture: String,
    /// Whether it ranks items.
    pub ranks: bool,
    /// Where its weights are, if not in the project.
    pub outside: Option<String>,
    /// Bytes of the files that hold its weights.
    pub n_bytes: u64,
    /// What it takes in memory once it is loaded, for kinds of which the headers of their files
    /// tell it.
    pub memory: Option<MemoryEstimate>,
    /// Dataset it was trained on or imported for.
    pub trained_on: Option<String>,
    /// File it was imported from.
    pub imported: Option<String>,
    /// How its training went, where it is a recommender that was trained here.
    pub training: Option<RecommenderRecord>,
}

/// How the training of a recommender went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecommenderRecord {
    /// The curves of each stage, in order.
    pub stages: Arc<Vec<RecommenderCurve>>,
    /// The epoch of the last stage whose weights were kept, from 1.
    pub best_epoch: u32,
    /// Settings as `(name, value)`.
    pub settings: Vec<(String, String)>,
}

/// A training of a recommender that was begun and is not finished.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnfinishedRecommender {
    /// What was asked for.
    pub request: TrainRecommenderRequest,
    /// Whether a finished epoch is kept, from which it goes on.
    pub has_checkpoint: bool,
}

/// A model outside the project that is to be added; its files stay where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddModelRequest {
    /// Name of the new model.
    pub name: String,
    /// A GGUF file or the folder of a model.
    pub path: String,
    /// How its matrices are kept in memory: f32, f16, bf16, q8 or q4; empty for as they are stored.
    pub weights: String,
}

/// A recommender's checkpoint that is to be taken into the project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddRecommenderRequest {
    /// Name of the new model.
    pub name: String,
    /// Folder or file.
    pub path: String,
    /// bprmf, lightgcn, sasrec, timirec or gru4rec; empty to tell it by the tensors.
    pub arch: String,
    /// Dataset whose catalogue it must fit; empty for none. `LightGCN` propagates over its train
    /// interactions.
    pub dataset: String,
    /// Attention heads, where the file does not say; empty for 1.
    pub heads: String,
    /// Propagation steps of `LightGCN`, where the file does not say; empty for `RecSAE`'s.
    pub layers: String,
    /// Last items of a history that are read, where the file does not say; empty for what its table
    /// of positions has.
    pub history_max: String,
}
