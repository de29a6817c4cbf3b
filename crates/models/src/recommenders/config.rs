//! Shapes of the recommenders, one struct per architecture.

use schema::HookPoint;
use serde::{Deserialize, Serialize};

use crate::{Architecture, ModelError};

/// Shape of a matrix factorisation (`BPRMF`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BprMfConfig {
    /// Users, ≥ 1; their numbers run from 1; row 0 of the table is there too.
    pub n_users: u32,
    /// Items of the catalogue, ≥ 1; ids run from 1, id 0 is padding.
    pub n_items: u32,
    /// Width of user and item vectors, ≥ 1. 64 in `RecSAE`.
    pub d_model: u32,
}

/// Shape of a `LightGCN` model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightGcnConfig {
    /// Users, ≥ 1; their numbers run from 1; row 0 of the table is there too.
    pub n_users: u32,
    /// Items of the catalogue, ≥ 1; ids run from 1, id 0 is padding.
    pub n_items: u32,
    /// Width of user and item vectors, ≥ 1. 64 in `RecSAE`.
    pub d_model: u32,
    /// Steps of propagation over the graph of train interactions, ≥ 1. 3 in `RecSAE`.
    pub n_layers: u32,
}

/// How a `SASRec` model is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SasRecForm {
    /// Positions counted from the newest item, attention without output projection, `ReLU`, a
    /// feed-forward layer as wide as the items; the only form that is trained here.
    #[default]
    ReChorus,
    /// Positions counted from the oldest item, items and positions normalised together, attention
    /// with output projection, GELU, 1e-12 added to variances.
    RecBole {
        /// Width of the feed-forward layer, ≥ 1. 256 by default in `RecBole`.
        inner_width: u32,
    },
}

impl SasRecForm {
    /// Whether it is the form that is trained here.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over a reference"
    )]
    pub fn is_rechorus(&self) -> bool {
        matches!(self, Self::ReChorus)
    }
}

/// Shape of a `SASRec` model. No dropout: `RecSAE` uses 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SasRecConfig {
    /// Items of the catalogue, ≥ 1; ids run from 1, id 0 is padding.
    pub n_items: u32,
    /// Width of item and user vectors, ≥ 1. 64 in `RecSAE`.
    pub d_model: u32,
    /// Blocks, ≥ 1. 1 in `RecSAE`.
    pub n_layers: u32,
    /// Attention heads, a divisor of `d_model`. 1 in `RecSAE`.
    pub n_heads: u32,
    /// Last items of a history that the model reads, ≥ 1. 20 in `RecSAE`.
    pub history_max: u32,
    /// How it is built; `ReChorus`' way where a file does not say.
    #[serde(default, skip_serializing_if = "SasRecForm::is_rechorus")]
    pub form: SasRecForm,
}

/// Shape of a `TiMiRec` model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TiMiRecConfig {
    /// Items of the catalogue, ≥ 1; ids run from 1, id 0 is padding.
    pub n_items: u32,
    /// Width of item and user vectors, ≥ 1. 64 in `RecSAE`.
    pub d_model: u32,
    /// Interests a user has, ≥ 1. 6 in `RecSAE`.
    pub n_interests: u32,
    /// Width of the attention that gathers interests, ≥ 1. 8 in `RecSAE`.
    pub attention_width: u32,
    /// Linear layers between the predictor's state and the interests' weights, ≥ 1. 1 in `RecSAE`.
    pub n_layers: u32,
    /// Last items of a history that the model reads, ≥ 1. 20 in `RecSAE`.
    pub history_max: u32,
    /// Whether positions are added to the items.
    pub has_positions: bool,
    /// Whether a transformer block reads the items before interests are gathered.
    pub has_block: bool,
    /// Whether the predictor of the interests' weights is there; it is not in the first stage of
    /// training.
    pub has_predictor: bool,
}

/// Shape of a `GRU4Rec` model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gru4RecConfig {
    /// Items of the catalogue, ≥ 1; ids run from 1, id 0 is padding.
    pub n_items: u32,
    /// Width of item and user vectors, ≥ 1. 64.
    pub d_model: u32,
    /// Width of the recurrent state, ≥ 1. 64.
    pub hidden_width: u32,
    /// Last items of a history that the model reads, ≥ 1. 20.
    pub history_max: u32,
}

impl SasRecConfig {
    /// The shape `RecSAE` uses, over a catalogue of `n_items`.
    pub fn new(n_items: u32) -> Self {
        Self {
            n_items,
            d_model: 64,
            n_layers: 1,
            n_heads: 1,
            history_max: 20,
            form: SasRecForm::ReChorus,
        }
    }
}

/// Shape of a recommender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "kebab-case")]
pub enum RecommenderConfig {
    /// Matrix factorisation.
    BprMf(BprMfConfig),
    /// Propagation over the graph of users and items.
    LightGcn(LightGcnConfig),
    /// Self-attention over the history.
    SasRec(SasRecConfig),
    /// Several interests per user, weighted by a predictor.
    TiMiRec(TiMiRecConfig),
    /// A recurrent network over the history.
    Gru4Rec(Gru4RecConfig),
}

impl From<SasRecConfig> for RecommenderConfig {
    fn from(config: SasRecConfig) -> Self {
        Self::SasRec(config)
    }
}

impl RecommenderConfig {
    /// The shape `RecSAE` uses for an architecture; `None` for what is no recommender.
    pub fn of(architecture: Architecture, n_users: u32, n_items: u32) -> Option<Self> {
        let d_model = 64;
        let history_max = 20;
        Some(match architecture {
            Architecture::BprMf => Self::BprMf(BprMfConfig {
                n_users,
                n_items,
                d_model,
            }),
            Architecture::LightGcn => Self::LightGcn(LightGcnConfig {
                n_users,
                n_items,
                d_model,
                n_layers: 3,
            }),
            Architecture::SasRec => Self::SasRec(SasRecConfig::new(n_items)),
            Architecture::TiMiRec => Self::TiMiRec(TiMiRecConfig {
                n_items,
                d_model,
                n_interests: 6,
                attention_width: 8,
                n_layers: 1,
                history_max,
                has_positions: true,
                has_block: true,
                has_predictor: true,
            }),
            Architecture::Gru4Rec => Self::Gru4Rec(Gru4RecConfig {
                n_items,
                d_model,
                hidden_width: 64,
                history_max,
            }),
            _ => return None,
        })
    }

    /// Its architecture.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::BprMf(_) => Architecture::BprMf,
            Self::LightGcn(_) => Architecture::LightGcn,
            Self::SasRec(_) => Architecture::SasRec,
            Self::TiMiRec(_) => Architecture::TiMiRec,
            Self::Gru4Rec(_) => Architecture::Gru4Rec,
        }
    }

    /// The name of the architecture as its authors write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BprMf(_) => "BPRMF",
            Self::LightGcn(_) => "LightGCN",
            Self::SasRec(_) => "SASRec",
            Self::TiMiRec(_) => "TiMiRec",
            Self::Gru4Rec(_) => "GRU4Rec",
        }
    }

    /// Items of the catalogue.
    pub fn n_items(&self) -> u32 {
        match self {
            Self::BprMf(shape) => shape.n_items,
            Self::LightGcn(shape) => shape.n_items,
            Self::SasRec(shape) => shape.n_items,
            Self::TiMiRec(shape) => shape.n_items,
            Self::Gru4Rec(shape) => shape.n_items,
        }
    }

    /// Width of user and item vectors.
    pub fn d_model(&self) -> u32 {
        match self {
            Self::BprMf(shape) => shape.d_model,
            Self::LightGcn(shape) => shape.d_model,
            Self::SasRec(shape) => shape.d_model,
            Self::TiMiRec(shape) => shape.d_model,
            Self::Gru4Rec(shape) => shape.d_model,
        }
    }

    /// Users the model knows by number; `None` where it reads histories.
    pub fn n_users(&self) -> Option<u32> {
        match self {
            Self::BprMf(shape) => Some(shape.n_users),
            Self::LightGcn(shape) => Some(shape.n_users),
            _ => None,
        }
    }

    /// Last items of a history that are read; `None` where users are known by number.
    pub fn history_max(&self) -> Option<u32> {
        match self {
            Self::BprMf(_) | Self::LightGcn(_) => None,
            Self::SasRec(shape) => Some(shape.history_max),
            Self::TiMiRec(shape) => Some(shape.history_max),
            Self::Gru4Rec(shape) => Some(shape.history_max),
        }
    }

    /// Hook points in the order of the forward pass.
    pub fn hooks(&self) -> Vec<HookPoint> {
        let mut hooks = Vec::new();
        match self {
            Self::BprMf(_) | Self::LightGcn(_) => {}
            Self::SasRec(shape) => {
                hooks.push(HookPoint::Embed);
                hooks.extend((0..shape.n_layers as usize).map(HookPoint::ResidPost));
            }
            Self::TiMiRec(shape) => {
                hooks.push(HookPoint::Embed);
                hooks.extend(shape.has_block.then_some(HookPoint::ResidPost(0)));
            }
            Self::Gru4Rec(_) => hooks.push(HookPoint::Embed),
        }
        hooks.push(HookPoint::UserVector);
        hooks
    }

    /// Whether `hook_user_vector` has a row for every item read: what the model would know of the
    /// user had the history ended there. Elsewhere it has one row.
    pub fn has_vector_per_item(&self) -> bool {
        matches!(self, Self::SasRec(_) | Self::Gru4Rec(_))
    }

    /// What a user wants to see of the shape.
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![("Items", self.n_items()), ("Width", self.d_model())];
        match self {
            Self::BprMf(shape) => facts.push(("Users", shape.n_users)),
            Self::LightGcn(shape) => {
                facts.push(("Users", shape.n_users));
                facts.push(("Propagation steps", shape.n_layers));
            }
            Self::SasRec(shape) => {
                facts.push(("Blocks", shape.n_layers));
                facts.push(("Heads", shape.n_heads));
                if let SasRecForm::RecBole { inner_width } = shape.form {
                    facts.push(("Feed-forward width", inner_width));
                }
            }
            Self::TiMiRec(shape) => facts.push(("Interests", shape.n_interests)),
            Self::Gru4Rec(shape) => facts.push(("State", shape.hidden_width)),
        }
        facts.extend(self.history_max().map(|n| ("History", n)));
        facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_string()))
            .collect()
    }

    /// Says what is wrong with the shape, if anything.
    ///
    /// # Errors
    /// [`ModelError::Request`] naming the field, its value and what it may be.
    pub fn check(&self) -> Result<(), ModelError> {
        let mut fields = vec![
            ("n_items", self.n_items(), 1 << 26),
            ("d_model", self.d_model(), 1 << 12),
        ];
        fields.extend(self.n_users().map(|n| ("n_users", n, 1 << 26)));
        fields.extend(self.history_max().map(|n| ("history_max", n, 1 << 16)));
        match self {
            Self::BprMf(_) => {}
            Self::LightGcn(shape) => fields.push(("n_layers", shape.n_layers, 64)),
            Self::SasRec(shape) => {
                fields.push(("n_layers", shape.n_layers, 1 << 8));
                fields.push(("n_heads", shape.n_heads, 1 << 8));
                if let SasRecForm::RecBole { inner_width } = shape.form {
                    fields.push(("inner_width", inner_width, 1 << 14));
                }
            }
            Self::TiMiRec(shape) => {
                fields.push(("n_interests", shape.n_interests, 1 << 10));
                fields.push(("attention_width", shape.attention_width, 1 << 12));
                fields.push(("n_layers", shape.n_layers, 64));
            }
            Self::Gru4Rec(shape) => fields.push(("hidden_width", shape.hidden_width, 1 << 12)),
        }
        for (name, value, most) in fields {
            if value == 0 || value > most {
                return Err(ModelError::Request(format!(
                    "{name} is {value}; expected 1 to {most}"
                )));
            }
        }
        if let Self::SasRec(shape) = self
            && !shape.d_model.is_multiple_of(shape.n_heads)
        {
            return Err(ModelError::Request(format!(
                "n_heads is {}, which does not divide d_model = {}",
                shape.n_heads, shape.d_model
            )));
        }
        Ok(())
    }

    /// Width as a size.
    pub(crate) fn d(&self) -> usize {
        self.d_model() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_shape_is_an_error() {
        let shape = SasRecConfig {
            n_heads: 5,
            ..SasRecConfig::new(10)
        };
        assert!(RecommenderConfig::from(shape).check().is_err());
        assert!(
            RecommenderConfig::from(SasRecConfig::new(0))
                .check()
                .is_err()
        );
    }

    #[test]
    fn a_shape_is_written_with_its_architecture() {
        let shape = RecommenderConfig::from(SasRecConfig::new(7));
        let text = serde_json::to_value(&shape).unwrap();
        assert_eq!(text["architecture"], "sas-rec");
        assert_eq!(text["n_items"], 7);
        assert!(text.get("form").is_none());
        assert_eq!(
            serde_json::from_value::<RecommenderConfig>(text).unwrap(),
            shape
        );
        let shape = RecommenderConfig::from(SasRecConfig {
            form: SasRecForm::RecBole { inner_width: 40 },
            ..SasRecConfig::new(7)
        });
        let text = serde_json::to_value(&shape).unwrap();
        assert_eq!(text["form"]["recbole"]["inner_width"], 40);
        assert_eq!(
            serde_json::from_value::<RecommenderConfig>(text).unwrap(),
            shape
        );
    }
}
