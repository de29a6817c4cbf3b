//! Named places in a forward pass where activations are read or changed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where in a forward pass activations are read or changed.
///
/// The text form follows the `TransformerLens` names, for example `blocks.5.hook_resid_post`;
/// places in an image tower carry the prefix `vision.`. An unknown name is an error, never a
/// hook that silently captures nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HookPoint {
    /// Residual stream entering block 0 of the decoder, images placed: `embed`.
    Embed,
    /// Residual stream before block `i`.
    ResidPre(usize),
    /// What the attention of block `i` adds.
    AttnOut(usize),
    /// What the MLP of block `i` adds.
    MlpOut(usize),
    /// Residual stream after block `i`.
    ResidPost(usize),
    /// After the final norm of the decoder: `ln_final`.
    LnFinal,
    /// Image tower: patch embeddings plus position, CLS first: `vision.embed`.
    VisionEmbed,
    /// Image tower: residual stream before block `i`.
    VisionResidPre(usize),
    /// Image tower: what the attention of block `i` adds.
    VisionAttnOut(usize),
    /// Image tower: what the MLP of block `i` adds.
    VisionMlpOut(usize),
    /// Image tower: residual stream after block `i`.
    VisionResidPost(usize),
    /// Image tower: after its final norm: `vision.ln_final`.
    VisionLnFinal,
    /// `TinyViT`: output of stage `i`: `vision.stages.{i}.hook_out`.
    VisionStageOut(usize),
    /// `TinyViT`: output of the neck: `vision.neck`.
    VisionNeck,
    /// What the projector hands to the decoder: `projector.hook_out`.
    ProjectorOut,
    /// Recommender: the user vector just before the product with the item vectors, what `RecSAE`
    /// reads: `hook_user_vector`.
    UserVector,
}

impl HookPoint {
    /// Whether the place lies in an image tower (before or at the projector).
    pub fn is_vision(self) -> bool {
        matches!(
            self,
            Self::VisionEmbed
                | Self::VisionResidPre(_)
                | Self::VisionAttnOut(_)
                | Self::VisionMlpOut(_)
                | Self::VisionResidPost(_)
                | Self::VisionLnFinal
                | Self::VisionStageOut(_)
                | Self::VisionNeck
                | Self::ProjectorOut
        )
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => write!(f, "embed"),
            Self::ResidPre(i) => write!(f, "blocks.{i}.hook_resid_pre"),
            Self::AttnOut(i) => write!(f, "blocks.{i}.hook_attn_out"),
            Self::MlpOut(i) => write!(f, "blocks.{i}.hook_mlp_out"),
            Self::ResidPost(i) => write!(f, "blocks.{i}.hook_resid_post"),
            Self::LnFinal => write!(f, "ln_final"),
            Self::VisionEmbed => write!(f, "vision.embed"),
            Self::VisionResidPre(i) => write!(f, "vision.blocks.{i}.hook_resid_pre"),
            Self::VisionAttnOut(i) => write!(f, "vision.blocks.{i}.hook_attn_out"),
            Self::VisionMlpOut(i) => write!(f, "vision.blocks.{i}.hook_mlp_out"),
            Self::VisionResidPost(i) => write!(f, "vision.blocks.{i}.hook_resid_post"),
            Self::VisionLnFinal => write!(f, "vision.ln_final"),
            Self::VisionStageOut(i) => write!(f, "vision.stages.{i}.hook_out"),
            Self::VisionNeck => write!(f, "vision.neck"),
            Self::ProjectorOut => write!(f, "projector.hook_out"),
            Self::UserVector => write!(f, "hook_user_vector"),
        }
    }
}

/// The text is not the name of a hook point this build knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownHookPoint(pub String);

impl fmt::Display for UnknownHookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not a hook point; expected a name such as blocks.3.hook_resid_post, \
             vision.stages.2.hook_out, projector.hook_out or hook_user_vector",
            self.0
        )
    }
}

impl std::error::Error for UnknownHookPoint {}

/// Splits `{prefix}{i}.{rest}` into `i` and `rest`.
fn indexed<'a>(text: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let (index, rest) = text.strip_prefix(prefix)?.split_once('.')?;
    Some((index.parse().ok()?, rest))
}

impl FromStr for HookPoint {
    type Err = UnknownHookPoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = match text {
            "embed" => Some(Self::Embed),
            "ln_final" => Some(Self::LnFinal),
            "vision.embed" => Some(Self::VisionEmbed),
            "vision.ln_final" => Some(Self::VisionLnFinal),
            "vision.neck" => Some(Self::VisionNeck),
            "projector.hook_out" => Some(Self::ProjectorOut),
            "hook_user_vector" => Some(Self::UserVector),
            _ => None,
        };
        let found = whole
            .or_else(|| {
                let (i, rest) = indexed(text, "blocks.")?;
                match rest {
                    "hook_resid_pre" => Some(Self::ResidPre(i)),
                    "hook_attn_out" => Some(Self::AttnOut(i)),
                    "hook_mlp_out" => Some(Self::MlpOut(i)),
                    "hook_resid_post" => Some(Self::ResidPost(i)),
                    _ => None,
                }
            })
            .or_else(|| {
                let (i, rest) = indexed(text, "vision.blocks.")?;
                match rest {
                    "hook_resid_pre" => Some(Self::VisionResidPre(i)),
                    "hook_attn_out" => Some(Self::VisionAttnOut(i)),
                    "hook_mlp_out" => Some(Self::VisionMlpOut(i)),
                    "hook_resid_post" => Some(Self::VisionResidPost(i)),
                    _ => None,
                }
            })
            .or_else(|| match indexed(text, "vision.stages.")? {
                (i, "hook_out") => Some(Self::VisionStageOut(i)),
                _ => None,
            });
        found.ok_or_else(|| UnknownHookPoint(text.to_owned()))
    }
}

impl TryFrom<String> for HookPoint {
    type Error = UnknownHookPoint;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HookPoint> for String {
    fn from(hook: HookPoint) -> Self {
        hook.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for hook in [
            HookPoint::Embed,
            HookPoint::ResidPre(0),
            HookPoint::ResidPost(11),
            HookPoint::LnFinal,
            HookPoint::VisionResidPost(3),
            HookPoint::VisionStageOut(2),
            HookPoint::VisionNeck,
            HookPoint::ProjectorOut,
            HookPoint::UserVector,
        ] {
            assert_eq!(hook.to_string().parse(), Ok(hook));
        }
    }

    #[test]
    fn misspelt_name_is_an_error() {
        for text in [
            "blocks.5.hook_resid_pots",
            "blocks.x.hook_resid_pre",
            "",
            "vision.stages.1",
        ] {
            assert!(text.parse::<HookPoint>().is_err(), "{text}");
        }
    }
}
