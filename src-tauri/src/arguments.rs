//! The command line: `fluoroscope <noun> <verb>`. Only words and types; no logic.

mod ablation;
mod bench;
mod dataset;
mod features;
mod harvest;
mod labels;
mod model;
mod packet;
mod project;
mod report;
mod review;
mod sae;
mod steering;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub(crate) use ablation::{AblateArguments, DebiasArguments};
pub(crate) use bench::BenchCommand;
pub(crate) use dataset::{DatasetCommand, InteractionsArguments, PhantomKind};
pub(crate) use features::FeaturesCommand;
pub(crate) use harvest::HarvestCommand;
pub(crate) use labels::{Cases, ConceptChoices, Conventions, ExplainCommand, LevelsAt, LevelsOf};
pub(crate) use model::{Arch, ModelCommand, RecommenderArguments, RunArguments};
pub(crate) use packet::{ExplanationImportArguments, FeatureExportArguments, PacketArguments};
pub(crate) use project::ProjectCommand;
pub(crate) use report::ReportArguments;
pub(crate) use review::{
    DecideArguments, DecisionFormat, For, Order, QueueArguments, ReviewCommand, When,
};
pub(crate) use sae::{
    SaeCommand, SaeEvaluateArguments, SaeForecastArguments, SaeImportArguments, SaeTrainArguments,
};
pub(crate) use steering::SteerArguments;

/// Look inside neural models of films and histories.
#[derive(Debug, Parser)]
#[command(name = "fluoroscope", version, about, disable_help_subcommand = false)]
pub(crate) struct Arguments {
    /// Project to open in the window: its folder or its .fluoroscope file.
    #[arg(value_name = "PROJECT")]
    pub(crate) path: Option<PathBuf>,
    /// What to do; without it, the window opens.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Project folder (default: the current folder if it is one).
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Print one JSON object on standard output at the end and nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads to compute with (default: as in the window's settings, else all cores).
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Device that MAIRA-2 and `LLaVA` compute on, and that trains `TopK`, `BatchTopK` and Matryoshka
    /// dictionaries of the recipe `dictionary_learning` (default: as in the window's settings, else
    /// auto); all else computes on the processor.
    #[arg(long, global = true, value_enum)]
    pub(crate) device: Option<Device>,
    #[command(flatten)]
    pub(crate) window: WindowArguments,
}

/// Reads the command line; an error holds what is to be said.
pub(crate) fn parse() -> Result<Arguments, clap::Error> {
    let matches = plain(Arguments::command()).try_get_matches()?;
    Arguments::from_arg_matches(&matches)
}

/// The command with texts as a terminal shows them: names of code are marked for the documents only.
pub(crate) fn plain(command: clap::Command) -> clap::Command {
    let without = |text: &clap::builder::StyledStr| text.to_string().replace('`', "");
    let (about, long) = (
        command.get_about().map(without),
        command.get_long_about().map(without),
    );
    let mut command = command.mut_args(|argument| {
        let (help, long) = (
            argument.get_help().map(without),
            argument.get_long_help().map(without),
        );
        let argument = match help {
            Some(help) => argument.help(help),
            None => argument,
        };
        match long {
            Some(long) => argument.long_help(long),
            None => argument,
        }
    });
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long) = long {
        command = command.long_about(long);
    }
    command.mut_subcommands(plain)
}

/// Devices a user may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// A card that this build and computer have, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA card.
    Cuda,
    /// An Apple card.
    Metal,
}

/// How the window starts; for pictures of it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WindowArguments {
    /// Screen to start on: start, data, models, train, gallery, feature, review, steer,
    /// evaluate.
    #[arg(long, global = true, hide = true)]
    pub(crate) screen: Option<String>,
    /// Dictionary to show.
    #[arg(long, global = true, hide = true)]
    pub(crate) dictionary: Option<String>,
    /// Second dictionary, beside the first.
    #[arg(long, global = true, hide = true)]
    pub(crate) beside: Option<String>,
    /// Dataset to show on the data screen.
    #[arg(long, global = true, hide = true)]
    pub(crate) show_dataset: Option<String>,
    /// Sample to show.
    #[arg(long, global = true, hide = true)]
    pub(crate) show_sample: Option<u32>,
    /// Strength of the feature on the steering screen.
    #[arg(long, global = true, hide = true)]
    pub(crate) show_strength: Option<f32>,
    /// Feature to show.
    #[arg(long, global = true, hide = true)]
    pub(crate) show_feature: Option<u32>,
    /// Theme: dark or light.
    #[arg(long, global = true, hide = true)]
    pub(crate) theme: Option<String>,
    /// Window size, e.g. 1280x800.
    #[arg(long, global = true, hide = true)]
    pub(crate) size: Option<String>,
    /// Write a picture of the window to this PNG file and leave.
    #[arg(long, global = true, hide = true)]
    pub(crate) screenshot: Option<PathBuf>,
    /// Show every screen in turn, print the first frame and the memory, and leave.
    #[arg(long, global = true, hide = true)]
    pub(crate) measure: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build the demo project: phantom films and shoppers with planted features, the whole chain.
    #[command(after_help = "Example: fluoroscope demo my-demo --headless --seed 1")]
    Demo {
        /// Folder to build in (default: fluoroscope-demo).
        dir: Option<PathBuf>,
        /// Do not open the window.
        #[arg(long)]
        headless: bool,
        /// Seed of phantoms, training and indexes.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Open the window on a project.
    #[command(after_help = "Example: fluoroscope open my-demo")]
    Open {
        /// The project's folder or its .fluoroscope file.
        dir: PathBuf,
    },
    /// Make, check, back up a project.
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Bring films, reports and histories into the project.
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Add, train, measure models.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Record hook activations.
    #[command(subcommand)]
    Harvest(HarvestCommand),
    /// Train and measure dictionaries.
    #[command(subcommand)]
    Sae(SaeCommand),
    /// Index features and look at them.
    #[command(subcommand)]
    Features(FeaturesCommand),
    /// Propose labels and test them.
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Decide on labels.
    #[command(subcommand)]
    Review(ReviewCommand),
    /// Turn features up or down on one sample: before and after.
    #[command(
        after_help = "Examples: fluoroscope steer films --sample 12 --feature 87=2.0\n          fluoroscope steer films --sample 12 --feature 87 --sweep -4..4 --out sweep.csv"
    )]
    Steer(SteerArguments),
    /// Change features for all users of a recommender: what they are shown then, and what it costs.
    #[command(
        after_help = "Examples: fluoroscope ablate concepts --feature 87 --category Comedy\n          fluoroscope ablate concepts --feature 87=0.5 --feature 12=0.5 --mode scale"
    )]
    Ablate(AblateArguments),
    /// Find the features of a recommender that carry a bias and sweep their strength.
    #[command(
        after_help = "Examples: fluoroscope debias concepts\n          fluoroscope debias concepts --category Horror --strength 0.5 --out milder"
    )]
    Debias(DebiasArguments),
    /// Write the report of a dictionary: one HTML page, a table, every chart as SVG or PNG.
    #[command(
        after_help = "Examples: fluoroscope report films films.html\n          fluoroscope report films --csv films.csv --svg charts"
    )]
    Report(ReportArguments),
    /// What this program is, and where it is installed.
    #[command(after_help = "Example: fluoroscope about")]
    About,
    /// The project's own benchmarks; each prints ratios against a stated limit.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// What steering does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Add the direction, strength times the observed maximum.
    Add,
    /// Set the feature to strength times the observed maximum.
    Clamp,
    /// Set the feature to zero.
    Ablate,
    /// Multiply the feature by the strength.
    Scale,
}
