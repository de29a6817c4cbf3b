//! How features are turned up or down.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{FeatureId, HookPoint};

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

/// Beyond so many times its observed maximum a feature is steered with a warning: models then mostly
/// write nothing of sense.
pub const STEERING_CAUTION: f32 = 4.0;

/// Which positions are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionScope {
    /// Every position.
    #[default]
    All,
    /// Positions before the prompt's length, an image in it included.
    Prompt,
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

impl PositionScope {
    /// The scopes that mean something at a hook, a range apart: an image tower has no text, and a
    /// user vector is one position.
    pub fn offered_at(hook: HookPoint) -> &'static [Self] {
        if hook == HookPoint::UserVector {
            &[Self::All]
        } else if hook.is_vision() {
            &[Self::All, Self::Image]
        } else {
            &[
                Self::All,
                Self::Prompt,
                Self::Image,
                Self::Text,
                Self::FromLastPrompt,
                Self::Generated,
            ]
        }
    }

    /// Whether it can reach a position of a hook.
    pub fn means_something_at(self, hook: HookPoint) -> bool {
        match self {
            Self::Range { .. } => hook != HookPoint::UserVector,
            other => Self::offered_at(hook).contains(&other),
        }
    }
}

/// As [`FromStr`] reads it.
impl fmt::Display for PositionScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Prompt => f.write_str("prompt"),
            Self::Generated => f.write_str("generated"),
            Self::FromLastPrompt => f.write_str("from_last_prompt"),
            Self::Image => f.write_str("image"),
            Self::Text => f.write_str("text"),
            Self::Range { from, to: None } => write!(f, "{from}.."),
            Self::Range { from, to: Some(to) } => write!(f, "{from}..{to}"),
        }
    }
}

impl FromStr for PositionScope {
    type Err = UnknownScope;

    /// Reads `all`, `prompt`, `generated`, `from_last_prompt`, `image`, `text`, or a range `17..`,
    /// `17..40`.
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
            "prompt" => Ok(Self::Prompt),
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
            "\"{}\" names no positions; expected all, prompt, generated, from_last_prompt, image, \
             text or a range such as 17.. or 17..40",
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
        let mut all = PositionScope::offered_at(HookPoint::Embed).to_vec();
        for to in [None, Some(40)] {
            all.push(PositionScope::Range { from: 17, to });
        }
        for scope in all {
            assert_eq!(scope.to_string().parse(), Ok(scope));
            let json = serde_json::to_string(&scope).unwrap();
            assert_eq!(serde_json::from_str::<PositionScope>(&json).unwrap(), scope);
        }
        for wrong in ["", "..", "9..3", "some", "-1.."] {
            assert!(wrong.parse::<PositionScope>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_image_tower_has_no_text() {
        use PositionScope::{All, Generated, Image, Range, Text};
        let range = Range { from: 0, to: None };
        let check = |hook: HookPoint, means: &[PositionScope], nothing: &[PositionScope]| {
            assert!(means.iter().all(|scope| scope.means_something_at(hook)));
            assert!(!nothing.iter().any(|scope| scope.means_something_at(hook)));
        };
        check(
            HookPoint::VisionLnFinal,
            &[All, Image, range],
            &[Text, Generated],
        );
        check(HookPoint::UserVector, &[All], &[Image, Generated, range]);
        check(
            HookPoint::ResidPost(3),
            &[All, Image, Text, Generated, range],
            &[],
        );
    }
}
