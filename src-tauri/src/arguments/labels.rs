//! Commands that propose labels and decide on them.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// Propose a label for every live feature.
    #[command(after_help = "Example: fluoroscope explain propose films --with keywords")]
    Propose {
        /// The dictionary.
        sae: String,
        /// What proposes: keywords.
        #[arg(long = "with", default_value = "keywords")]
        with: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// Record a decision; done when it is durable.
    #[command(
        after_help = "Example: fluoroscope review decide films --feature 87 --state edited --text pacemaker"
    )]
    Decide {
        /// The dictionary.
        sae: String,
        /// The feature.
        #[arg(long)]
        feature: u32,
        /// accepted, edited, rejected or unsure.
        #[arg(long)]
        state: String,
        /// The label, for edited.
        #[arg(long, default_value = "")]
        text: String,
        /// Name on the decision.
        #[arg(long)]
        reviewer: Option<String>,
    },
    /// Every decision on a dictionary as JSON Lines.
    #[command(after_help = "Example: fluoroscope review export films decisions.jsonl")]
    Export {
        /// The dictionary.
        sae: String,
        /// The file.
        file: PathBuf,
    },
}
