//! The API boundary of the program: what the user can ask for, and how long work is run.
//!
//! `ui` and the command line know this crate and `schema`, and nothing below. One file per job a
//! user can start, so the folder listing is the list of features.

mod ablate;
mod agreement;
mod arrivals;
mod associate;
mod bench_models;
mod bench_recommenders;
mod bench_sae;
mod chart_png;
mod chart_svg;
mod concept_pages;
mod concepts;
mod csv_field;
mod decision_files;
mod decision_stream;
mod decisions;
mod decoding;
pub mod demo;
mod detection_test;
mod device;
mod dictionary_report;
mod drawing;
mod early_stop;
mod edits;
mod engine;
mod error;
mod evaluate_ranking;
mod evaluate_sae;
mod explanation_source;
mod explanations;
mod export_argilla;
mod export_features;
mod film_picture;
mod films;
mod flags;
mod forecast;
mod foreign_sae;
mod gallery;
mod harvest;
mod histories;
mod html;
pub mod import;
mod import_explanations;
mod import_files;
mod import_sae;
mod indexed;
mod inspect_model;
mod item_pictures;
mod jobs;
mod keep_project;
mod kept_evaluation;
mod kept_gauge;
mod kept_runs;
mod labels;
mod language_model;
mod locate_sae;
mod located;
mod loose_sae;
mod memory;
mod metric_views;
mod model_registry;
mod named_files;
mod packet;
mod packet_answers;
mod presets;
mod project_views;
mod prompt_lengths;
mod prompts;
mod read_back;
mod recommender_runs;
mod reconstructed_loss;
mod recover_planted;
mod recovery;
mod review_plan;
mod review_queue;
mod run_model;
mod run_recommender;
mod saved_changes;
mod search;
mod sending;
mod session;
mod settings;
mod shard_source;
mod shipped;
mod steer;
mod steering_effect;
mod steering_experiment;
mod steering_file;
mod sweep;
#[cfg(test)]
mod test_support;
mod threads;
mod trace_to_image;
mod train_phantom_vlm;
mod train_recommender;
mod train_run;
mod train_sae;
mod user_folders;
pub mod views;
mod whole_folder;
mod worker;

pub use agreement::MODEL_STANDS_BY;
pub use associate::{ConfirmedAssociation, ConfirmedAssociations};
pub use bench_models::{SpeedOfModel, SpeedsOfModel, bench_models};
pub use bench_recommenders::{SpeedOfRecommender, bench_recommenders};
pub use bench_sae::{SpeedOfTraining, SpeedsOfTraining, bench_sae};
pub use concepts::{CaseChoice, ConceptRequest, LevelRule};
pub use decision_files::{DecisionExchange, ForeignRecord, ImportedDecisions};
pub use decision_stream::StreamedDecisions;
pub use decisions::{DecisionRequest, Recorded};
pub use device::{DeviceChoice, DeviceView, device};
pub use dictionary_report::ReportFiles;
pub use engine::{CHOSEN_AT_ONCE, Engine, choose_hardware};
pub use error::{EngineError, ErrorKind, Result};
pub use evaluate_ranking::RankingReport;
pub use evaluate_sae::{
    DensityBar, EvaluateRequest, EvaluationReport, MeasuredMetric, PlantedConcept, ProbedConcept,
    WithInterval,
};
pub use explanation_source::ExplanationSource;
pub use explanations::{BELONGS_FROM, ExplainRequest, ScoreMethod};
pub use export_features::{ExportedFeatures, FeatureFormat, parse_feature_format};
pub use foreign_sae::sae_formats;
pub use gallery::{QueryTime, parse_state, query_times};
pub use harvest::{HarvestOutcome, HarvestRequest};
pub use import_sae::{ImportedSae, ImportedTable, SaeImport, SaeImportRequest};
pub use inspect_model::{MemoryEstimate, inspect_model};
pub use jobs::{Cancelled, JobContext, Observer, Progress, Wake};
pub use keep_project::{restore, write_picture};
pub use kept_evaluation::KeptEvaluation;
pub use locate_sae::{LayerCandidate, LayerTest, LocateRequest};
pub use located::{LocatedReport, LocatedSentence};
pub use loose_sae::{
    EncodeAnswer, EncodeRequest, ExportAnswer, ExportRequest, LooseTrained, LooseTraining,
    encode_file, export_sae, sae_export_formats, train_on_file,
};
pub use memory::peak_memory;
pub use models::AttributionMethod as TraceMethod;
pub use packet::{PacketRequest, WrittenPacket};
pub use presets::{Preset, check_settings, over_steps, preset, presets};
pub use read_back::ReadBack;
pub use recommender_runs::{
    RecommenderPreset, RecommenderSetting, SettingValue, check_recommender, recommender_presets,
};
pub use recovery::ConceptRecovery;
pub use run_model::{RunAnswer, RunRequest, StudyRequest, run_model};
pub use run_recommender::{RankAnswer, RankRequest, RecommenderFile, run_recommender};
pub use sae::variants_of;
pub use session::Session;
pub use steer::parse_edit;
pub use steering_effect::SteeringEffect;
pub use steering_experiment::{
    MeasuredOutcome, RankedItem, SteeredDictionary, SteeredFeature, SteeringExperiment,
};
pub use trace_to_image::{InsideShares, TraceRequest, TraceScore, TraceView, parse_method};
pub use train_recommender::{RecommenderCurve, TrainRecommenderRequest, TrainedRecommenderView};
pub use train_sae::{DictionaryEvaluation, sae_config_from_toml};
pub use user_folders::free_folder;
