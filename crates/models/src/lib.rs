//! The models under study: loading, forward passes with hooks, generation, ranking and training.
//!
//! Knows tensors; knows neither dictionaries nor project folders.

pub mod attribution;
pub mod device;
mod differentiable;
pub mod error;
pub mod hooked_model;
pub mod hooks;
pub mod kernels;
pub mod limits;
pub mod recommenders;
pub mod tensor_files;
mod tensor_ops;
pub mod text;
pub mod training;
pub mod vision;
pub mod vision_language;
pub mod weights;

pub use attribution::{AttributionMethod, Probe};
pub use device::{ChosenDevice, DeviceChoice};
pub use error::ModelError;
pub use hooked_model::{
    Architecture, Generation, GenerationOptions, HookInfo, HookedModel, ModelCard, ModelInput,
    ModelSample, PositionInfo, PromptImage, Sampling,
};
pub use hooks::{ActivationEdit, Captured, EditedPosition, HookRun, HookSpec};
pub use vision_language::PhantomVlm;
