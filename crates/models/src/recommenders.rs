//! Recommenders: the `SASRec` model with hook points, its training and its evaluation.

pub mod data;
pub mod evaluation;
mod forward;
mod kernels;
pub mod sasrec;
mod state_dict;
pub mod training;
pub mod weights;

pub use data::{InteractionData, UserHistory};
pub use evaluation::{EvaluationSet, RankingMetrics, evaluate, evaluate_with};
pub use sasrec::{SasRec, StateDictOptions};
pub use training::{EpochReport, SasRecTraining, TrainedSasRec, TrainingProgress, train_sasrec};
pub use weights::{SasRecConfig, SasRecWeights};
