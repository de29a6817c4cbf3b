//! How features are turned up or down.

use std::fmt;
use std::str::FromStr;

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
    /// The feature's activation is multiplied by the strength; the error term is kept.
    Scale,
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
    /// Positions from `from` on, before `to` where there is one.
    Range {
        /// The first position.
        from: u32,
        /// The first position after them.
        #[serde(default)]
        to: Option<u32>,
    },
}

impl FromStr for PositionScope {
    type Err = UnknownScope;

    /// Reads `all`, `generated`, `from_last_prompt`, `image`, `text`, or a range `17..`, `17..40`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = || {
            let (from, to) = text.split_once("..")?;
            let to = match to.trim() {
                "" => None,
                to => Some(to.parse().ok()?),
            };
            let from = from.trim().parse().ok()?;
            to.is_none_or(|to| to > from)
                .then_some(Self::Range { from, to })
        };
        match text {
            "all" => Ok(Self::All),
            "generated" => Ok(Self::Generated),
            "from_last_prompt" => Ok(Self::FromLastPrompt),
            "image" => Ok(Self::Image),
            "text" => Ok(Self::Text),
            _ => range().ok_or_else(|| UnknownScope(text.to_owned())),
        }
    }
}

/// The text names no positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownScope(pub String);

impl fmt::Display for UnknownScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" names no positions; expected all, generated, from_last_prompt, image, text or \
             a range such as 17.. or 17..40",
            self.0
        )
    }
}

impl std::error::Error for UnknownScope {}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read() {
        assert_eq!("generated".parse(), Ok(PositionScope::Generated));
        let range = |from, to| Ok(PositionScope::Range { from, to });
        assert_eq!("17..".parse(), range(17, None));
        assert_eq!("3..9".parse(), range(3, Some(9)));
        for wrong in ["", "..", "9..3", "some", "-1.."] {
            assert!(wrong.parse::<PositionScope>().is_err(), "{wrong}");
        }
    }
}
