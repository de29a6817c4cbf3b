//! Commands that bring data into the project.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Films from a folder, with tables.
    #[command(
        after_help = "Example: fluoroscope dataset import-radiographs nih --images films --table films/images.csv --columns image=image,patient=patient_id,labels=labels"
    )]
    ImportRadiographs {
        /// Name of the new dataset.
        name: String,
        /// Folder of images.
        #[arg(long)]
        images: PathBuf,
        /// Table with one row per image.
        #[arg(long)]
        table: Option<PathBuf>,
        /// Which columns hold what, as part=column with commas. Parts: image, patient, study,
        /// order, labels, label-source, set, report, indication, technique, comparison, findings,
        /// impression, view, age, sex, licence; usual names are found unasked.
        #[arg(long, default_value = "")]
        columns: String,
        /// Table of findings whose first column names the image, or a folder with lists of phrases
        /// by which they are read in the reports.
        #[arg(long)]
        labels: Option<PathBuf>,
        /// Table of radiologists' boxes.
        #[arg(long)]
        boxes: Option<PathBuf>,
        /// Only say what would be imported; write nothing.
        #[arg(long)]
        preview: bool,
    },
    /// Report texts from a table.
    #[command(
        after_help = "Example: fluoroscope dataset import-reports iu --table iu_reports.csv --labels openi_gold_std14.csv"
    )]
    ImportReports {
        /// Name of the new dataset.
        name: String,
        /// The table.
        #[arg(long)]
        table: PathBuf,
        /// Which columns hold what, as part=column with commas. Parts: id, patient, report,
        /// indication, technique, comparison, findings, impression, licence; usual names are found
        /// unasked.
        #[arg(long, default_value = "")]
        columns: String,
        /// Table of findings, or a folder with lists of phrases by which they are read in the reports.
        #[arg(long)]
        labels: Option<PathBuf>,
        /// Only say what would be imported; write nothing.
        #[arg(long)]
        preview: bool,
    },
    /// Item histories of users.
    #[command(
        after_help = "Example: fluoroscope dataset import-interactions grocery --path amazon-grocery --layout rechorus"
    )]
    ImportInteractions(InteractionsArguments),
    /// Planted data with ground truth.
    #[command(
        after_help = "Example: fluoroscope dataset phantom films --kind radiographs --count 1000"
    )]
    Phantom {
        /// Name of the new dataset.
        name: String,
        /// What is generated.
        #[arg(long, value_enum)]
        kind: PhantomKind,
        /// How many.
        #[arg(long)]
        count: u32,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Datasets of the project.
    #[command(after_help = "Example: fluoroscope dataset list --project my-project")]
    List,
    /// What a dataset or one of its samples holds.
    #[command(after_help = "Example: fluoroscope dataset show films --sample 12")]
    Show {
        /// The dataset.
        name: String,
        /// Sample: its number or its name in the source.
        #[arg(long)]
        sample: Option<String>,
    },
}

/// What is imported of item histories.
#[derive(Debug, Args)]
pub(crate) struct InteractionsArguments {
    /// Name of the new dataset.
    pub(crate) name: String,
    /// The folder, or one file of it.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) path: PathBuf,
    /// Layout of the files: rechorus, movielens, recbole or csv.
    #[arg(long, default_value = "auto")]
    pub(crate) layout: String,
    /// Which columns hold what, as part=column with commas, for csv and recbole and for --items.
    /// Parts: user, item, time, rating, title, categories, picture; usual names are found unasked.
    #[arg(long, default_value = "")]
    pub(crate) columns: String,
    /// Further table of items: titles, categories, pictures.
    #[arg(long, value_name = "FILE")]
    pub(crate) items: Option<PathBuf>,
    /// What is held out: leave-one-out or global-time (default: what the files state, else
    /// leave-one-out).
    #[arg(long, default_value = "auto")]
    pub(crate) split: String,
    /// Only ratings of at least this are interactions (default: all).
    #[arg(long, value_name = "R")]
    pub(crate) min_rating: Option<String>,
    /// Leave out users and items with fewer interactions until none is; 1 leaves out none
    /// (default: 5 for movielens, 1 for all others).
    #[arg(long, value_name = "N")]
    pub(crate) core: Option<String>,
    /// Only say what would be imported; write nothing.
    #[arg(long)]
    pub(crate) preview: bool,
}

/// Phantoms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PhantomKind {
    /// Frontal chest radiographs with planted findings.
    Radiographs,
    /// Shoppers with planted tastes.
    Shoppers,
}
