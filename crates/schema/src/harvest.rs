//! What a harvest holds: hook activations of a dataset, row by row.

use serde::{Deserialize, Serialize};

use crate::HookPoint;

/// What a position within a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PositionClass {
    /// Beginning-of-sequence token.
    Bos = 0,
    /// Template and instruction text, the same in every prompt.
    Boilerplate = 1,
    /// CLS token of an image tower.
    Cls = 2,
    /// Image patch.
    Image = 3,
    /// Indication section.
    Indication = 4,
    /// Comparison section.
    Comparison = 5,
    /// Report text: findings and impression.
    Report = 6,
    /// Text the model wrote.
    Generated = 7,
    /// Item of a history.
    Item = 8,
    /// Technique section.
    Technique = 9,
    /// Report of the prior study.
    PriorReport = 10,
}

impl PositionClass {
    /// The class stored as `code`, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::Bos,
            Self::Boilerplate,
            Self::Cls,
            Self::Image,
            Self::Indication,
            Self::Comparison,
            Self::Report,
            Self::Generated,
            Self::Item,
            Self::Technique,
            Self::PriorReport,
        ]
        .into_iter()
        .find(|class| *class as u8 == code)
    }
}

/// Which sample and position one row of a harvest came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRef {
    /// Index of the sample in its dataset.
    pub sample: u32,
    /// Position within the sample: token, patch (row-major) or item slot (oldest first).
    pub position: u32,
    /// What the position is.
    pub class: PositionClass,
}

/// Describes one harvest of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HarvestManifest {
    /// Its name in the project.
    pub name: String,
    /// Model it was run through.
    pub model: String,
    /// BLAKE3 of the model's weights.
    pub model_hash: String,
    /// Dataset it was run over.
    pub dataset: String,
    /// BLAKE3 of the dataset's sample records.
    pub dataset_hash: String,
    /// Where activations were read.
    pub hook: HookPoint,
    /// Position classes that were kept.
    pub classes: Vec<PositionClass>,
    /// Width of a row.
    pub d_model: u32,
    /// Patches averaged per side before a row is kept; 1 keeps every patch.
    #[serde(default = "one")]
    pub pool: u32,
    /// Samples per shard.
    pub samples_per_shard: u32,
    /// Samples to harvest in all.
    pub n_samples: u32,
}

fn one() -> u32 {
    1
}
