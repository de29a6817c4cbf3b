//! Recommenders: five architectures with hook points, their training and their evaluation.

mod architectures;
mod blocks;
pub mod config;
pub mod data;
pub mod evaluation;
mod kernels;
pub mod recommender;
mod state_dict;
pub mod training;
pub mod weights;

pub use architectures::UserQuery;
pub use architectures::graph::InteractionGraph;
pub use config::{
    BprMfConfig, Gru4RecConfig, LightGcnConfig, RecommenderConfig, SasRecConfig, SasRecForm,
    TiMiRecConfig,
};
pub use data::{InteractionData, UserHistory};
pub use evaluation::{EvaluationSet, RankedCases, RankingMetrics, evaluate, evaluate_with};
pub use recommender::Recommender;
pub use state_dict::StateDictOptions;
pub use training::{
    EpochReport, RecommenderTraining, TrainedRecommender, TrainingProgress, train_recommender,
};
pub use weights::RecommenderWeights;
