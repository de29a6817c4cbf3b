//! Plain data shared by every crate: ids, configs and records. No IO, no tensors, no UI.

pub mod dataset;
pub mod feature;
pub mod figures;
pub mod film;
pub mod harvest;
pub mod hook_point;
pub mod ids;
pub mod review;
pub mod sae_config;
pub mod steering;
pub mod study;
pub mod train_metrics;
pub mod window;

pub use dataset::{
    CatalogueItem, DatasetKind, DatasetManifest, FindingBox, ImageRef, Mask, Report, SampleRecord,
    Skipped, Split,
};
pub use feature::{
    Association, CofiringFeature, ExampleRef, Explanation, FeatureSummary, MeasuredScore,
    Neighbour, PublishedSource,
};
pub use figures::{rounded, signed};
pub use film::{Film, FilmEdges, PatchGrid};
pub use harvest::{HarvestManifest, PositionClass, RowRef};
pub use hook_point::{HookPoint, UnknownHookPoint};
pub use ids::{FeatureId, JobId};
pub use review::{
    CaseRole, Decision, DetectionAnswers, DetectionCase, Origin, ReviewMode, ReviewState, Shown,
    normalised,
};
pub use sae_config::{InputScaling, L0Penalty, SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant};
pub use steering::{
    PositionScope, STEERING_CAUTION, SteeringMode, SteeringSpec, StrengthUnit, UnknownScope,
};
pub use study::{FilmRole, FurtherFilm};
pub use train_metrics::{KeptMetric, KeptReport, SaeEvaluation, StepReport};
pub use window::{VoiFunction, VoiTable, Window};
