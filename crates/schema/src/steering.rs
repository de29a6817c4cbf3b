//! How features are turned up or down.

use serde::{Deserialize, Serialize};

use crate::FeatureId;

/// What is done to a feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SteeringMode {
    /// x += strength · direction.
    #[default]
    Add,
    /// The feature's activation is set to the strength; the error term x − x̂ is kept.
    Clamp,
    /// The feature's activation is set to 0; the error term is kept.
    Ablate,
}

/// The unit of a strength.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrengthUnit {
    /// The feature's observed maximum.
    #[default]
    Max,
    /// Units of the hook activation.
    Absolute,
}

/// Which positions are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionScope {
    /// Every position.
    #[default]
    All,
    /// Positions at or after the prompt's length.
    Generated,
    /// Positions at or after the prompt's length − 1.
    FromLastPrompt,
    /// Image positions.
    Image,
    /// Text positions.
    Text,
}

/// One feature and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SteeringSpec {
    /// Which feature.
    pub feature: FeatureId,
    /// How far, in `unit`.
    pub strength: f32,
    /// What is done.
    #[serde(default)]
    pub mode: SteeringMode,
    /// The unit of `strength`.
    #[serde(default)]
    pub unit: StrengthUnit,
    /// Where.
    #[serde(default)]
    pub scope: PositionScope,
}
