//! Commands that change features for all users of a recommender.

use std::path::PathBuf;

use clap::Args;

use super::Mode;

/// What is changed and counted.
#[derive(Debug, Args)]
pub(crate) struct AblateArguments {
    /// Dictionary of a recommender's user vectors.
    pub(crate) sae: String,
    /// Feature, or feature and strength such as 87=0.5; repeatable.
    #[arg(long = "feature", required = true, value_name = "ID[=STRENGTH]")]
    pub(crate) features: Vec<String>,
    /// What is done.
    #[arg(long, value_enum, default_value_t = Mode::Ablate)]
    pub(crate) mode: Mode,
    /// Dataset to evaluate on (default: the one of the dictionary).
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Part of it: dev or test.
    #[arg(long, default_value = "test")]
    pub(crate) split: String,
    /// Count the places of the items of this category (default: of those the features promote).
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// Count the places of these items, by id with commas.
    #[arg(long, value_delimiter = ',', conflicts_with = "category")]
    pub(crate) items: Vec<u32>,
    /// Count the places of so many items, those the features promote most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) promoted: u32,
    /// Sets of random features of like density beside them.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) controls: u32,
    /// Users whose lists are shown.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) examples: u32,
    /// Seed of controls and intervals.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Which bias is swept.
#[derive(Debug, Args)]
pub(crate) struct DebiasArguments {
    /// Dictionary of a recommender's user vectors.
    pub(crate) sae: String,
    /// Bring down a category (default: what is popular anyway).
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// Features at most, those that carry most of the bias.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) features: u32,
    /// Factors that their activations are multiplied with.
    #[arg(long, value_delimiter = ',', default_values_t = [1.0, 0.75, 0.5, 0.25, 0.0, -0.5])]
    pub(crate) strengths: Vec<f32>,
    /// Dataset (default: the one of the dictionary).
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Sets of random features of like density beside them.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) controls: u32,
    /// Seed of the controls.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Write the recommender with dictionary and steering file into this new folder.
    #[arg(long, value_name = "FOLDER", requires = "strength")]
    pub(crate) out: Option<PathBuf>,
    /// The factor that is written.
    #[arg(long)]
    pub(crate) strength: Option<f32>,
}
