//! Commands that record, exchange and compare reviewers' decisions.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::packet::PacketArguments;

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// Record a decision; done when it is durable.
    ///
    /// Without --feature, decisions are read as lines of JSON from standard input, e.g.
    /// {"feature": 87, "state": "edited", "text": "pacemaker"} or {"undo": true}, and each is
    /// answered by a line when it is durable.
    #[command(
        after_help = "Examples: fluoroscope review decide films --feature 87 --state edited --text pacemaker\n          fluoroscope review decide films --undo\n          fluoroscope review decide films --reviewer Ada < decisions.jsonl"
    )]
    Decide(DecideArguments),
    /// The cases of a reviewer's queue and how far they are.
    ///
    /// About 5 % of a queue are repeats and 5 % have the label of another feature; the list does
    /// not tell which.
    #[command(
        after_help = "Example: fluoroscope review queue films --reviewer Ada --order density"
    )]
    Queue(QueueArguments),
    /// One page with features and a form for a reader without this program: it opens in a browser,
    /// needs no network, and saves answers that `review import` takes back.
    #[command(
        after_help = "Examples: fluoroscope review packet films packet.html --limit 30\n          fluoroscope review packet films packet.html --features 87,12 --write-first"
    )]
    Packet(PacketArguments),
    /// Every decision on a dictionary as JSON Lines, as a table (.csv), or as records of Argilla 2.
    #[command(
        after_help = "Examples: fluoroscope review export films decisions.jsonl\n          fluoroscope review export films records.json --format argilla"
    )]
    Export {
        /// The dictionary.
        sae: String,
        /// The file.
        file: PathBuf,
        /// What it is for.
        #[arg(long, value_enum, default_value_t = DecisionFormat::Own)]
        format: DecisionFormat,
    },
    /// Take another reader's decisions in, from a file of review export or the answers to a packet;
    /// none is doubled, and none of another reader overwritten.
    #[command(
        after_help = "Examples: fluoroscope review import films decisions-of-grace.jsonl\n          fluoroscope review import films answers-films-Grace-0b1c2d3e.json"
    )]
    Import {
        /// The dictionary.
        sae: String,
        /// The file: JSON Lines, or a packet's saved answers.
        file: PathBuf,
        /// Name to take them in under (default: that in the file).
        #[arg(long)]
        reviewer: Option<String>,
    },
    /// How far readers agree with each other, with themselves and with the model, and on what they
    /// differ.
    #[command(after_help = "Example: fluoroscope review agreement films")]
    Agreement {
        /// The dictionary.
        sae: String,
    },
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct DecideArguments {
    /// The dictionary.
    pub(crate) sae: String,
    /// The feature.
    #[arg(long, requires = "state")]
    pub(crate) feature: Option<u32>,
    /// accepted, edited, rejected, unsure or skipped.
    #[arg(long, requires = "feature")]
    pub(crate) state: Option<String>,
    /// The label, for edited.
    #[arg(long, requires = "feature")]
    pub(crate) text: Option<String>,
    /// How sure, 1 to 9.
    #[arg(long, requires = "feature", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) confidence: Option<u8>,
    /// Flag the feature for a second look.
    #[arg(long, requires = "feature")]
    pub(crate) flag: bool,
    /// Settle what readers differ on.
    #[arg(long, requires = "feature")]
    pub(crate) adjudicate: bool,
    /// Take the reviewer's last decision back.
    #[arg(long, conflicts_with_all = ["feature", "redo"])]
    pub(crate) undo: bool,
    /// Restore what was last taken back.
    #[arg(long, conflicts_with = "feature")]
    pub(crate) redo: bool,
    /// Name on the decision.
    #[arg(long, default_value = "")]
    pub(crate) reviewer: String,
}

#[derive(Debug, Args)]
pub(crate) struct QueueArguments {
    /// The dictionary.
    pub(crate) sae: String,
    /// Whose queue.
    #[arg(long, default_value = "")]
    pub(crate) reviewer: String,
    /// In which order features come.
    #[arg(long, value_enum, default_value_t = Order::Clearest)]
    pub(crate) order: Order,
    /// When the proposal is shown.
    #[arg(long = "mode", value_enum, default_value_t = When::ProposalFirst)]
    pub(crate) when: When,
    /// What the queue is for.
    #[arg(long = "for", value_enum, default_value_t = For::Label)]
    pub(crate) purpose: For,
    /// Seed of order, repeats and traps.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Leave out repeats and traps.
    #[arg(long)]
    pub(crate) no_controls: bool,
    /// Features without a proposal too.
    #[arg(long)]
    pub(crate) everything: bool,
    /// Cases listed, from the first to do.
    #[arg(long, default_value_t = 20)]
    pub(crate) count: usize,
}

/// What decisions are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecisionFormat {
    /// This program and spreadsheets: every decision, undo among them.
    Own,
    /// Argilla 2: what stands for each reader.
    Argilla,
}

/// In which order features come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// What shows most first: active on 1 to 50 % of the samples, best scored proposals at the top.
    Clearest,
    /// Lowest score first.
    Score,
    /// Most distinct answers first.
    Disagreement,
    /// Highest density first.
    Density,
    /// By the seed.
    Random,
}

/// When the proposal is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// At once.
    ProposalFirst,
    /// After writing.
    WriteFirst,
    /// Never.
    Blind,
}

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum For {
    /// To label features.
    Label,
    /// To label, blind, what another reader decided on.
    SecondReader,
    /// To settle what readers differ on.
    Adjudicate,
    /// To look again at what a reader flagged.
    Flagged,
}
