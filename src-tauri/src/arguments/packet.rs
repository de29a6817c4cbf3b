//! Arguments of packets and of exports for other tools.

use std::path::PathBuf;

use clap::Args;

/// What goes into a packet.
#[derive(Debug, Args)]
pub(crate) struct PacketArguments {
    /// The dictionary.
    pub(crate) sae: String,
    /// The page to write.
    pub(crate) file: PathBuf,
    /// These features in this order, e.g. 87,12.
    #[arg(long, value_delimiter = ',', conflicts_with = "limit")]
    pub(crate) features: Vec<u32>,
    /// So many features that nobody decided on, drawn by the seed.
    #[arg(long, default_value_t = 40)]
    pub(crate) limit: usize,
    /// Name of the reader (default: the page asks for it).
    #[arg(long, default_value = "")]
    pub(crate) reviewer: String,
    /// Seed of the draw.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Show the proposed label only after the reader has written one.
    #[arg(long)]
    pub(crate) write_first: bool,
}

/// Features for other tools.
#[derive(Debug, Args)]
pub(crate) struct FeatureExportArguments {
    /// The dictionary.
    pub(crate) sae: String,
    /// The file, or for neuronpedia the new folder.
    pub(crate) file: PathBuf,
    /// jsonl or neuronpedia.
    #[arg(long, default_value = "jsonl")]
    pub(crate) format: String,
    /// These features only, e.g. 87,12 (default: all that are active).
    #[arg(long, value_delimiter = ',')]
    pub(crate) features: Vec<u32>,
}

/// A table of explanations.
#[derive(Debug, Args)]
pub(crate) struct ExplanationImportArguments {
    /// The dictionary.
    pub(crate) sae: String,
    /// CSV, TSV, JSON, JSON Lines or Parquet with columns such as feature, explanation and score.
    pub(crate) file: PathBuf,
    /// Who proposed them (default: published interpretations).
    #[arg(long, default_value = "")]
    pub(crate) by: String,
}
