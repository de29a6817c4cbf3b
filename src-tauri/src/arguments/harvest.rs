//! Commands that record activations.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum HarvestCommand {
    /// Record hook activations of a dataset; goes on where it stopped.
    #[command(
        after_help = "Example: fluoroscope harvest run smol15 --model smol --dataset iu --hook blocks.15.hook_resid_post --positions report"
    )]
    Run {
        /// Name of the harvest.
        name: String,
        /// The model.
        #[arg(long)]
        model: String,
        /// The dataset.
        #[arg(long)]
        dataset: String,
        /// Where to read.
        #[arg(long)]
        hook: String,
        /// Which positions to keep: text, image, report, items, all; of a
        /// recommender also contexts, every position of every history.
        #[arg(long, default_value = "all")]
        positions: String,
        /// At most this many samples.
        #[arg(long)]
        limit: Option<u32>,
        /// Patches averaged per side before a row is kept, for fine image grids.
        #[arg(long, default_value_t = 1)]
        pool: u32,
    },
    /// Harvests of the project.
    #[command(after_help = "Example: fluoroscope harvest list --project my-project")]
    List,
}
