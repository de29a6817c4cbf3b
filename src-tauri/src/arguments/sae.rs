//! Commands on dictionaries.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SaeCommand {
    /// Train a dictionary; goes on where it stopped.
    #[command(
        after_help = "Examples:\n  fluoroscope sae train films --harvest films --preset standard\n  fluoroscope sae train films --harvest films --config sae.toml\n  fluoroscope sae train --input rows.safetensors:x --steps 500 --out my-sae"
    )]
    Train(SaeTrainArguments),
    /// Go on with a training that was stopped, here or in the window.
    #[command(after_help = "Example: fluoroscope sae resume films")]
    Resume {
        /// Name of the dictionary.
        name: String,
    },
    /// Say what a training would take: rows, disk, memory, time, and whether many features are to
    /// be expected dead.
    #[command(
        after_help = "Example: fluoroscope sae forecast --model phantom-vlm --dataset films --hook vision.ln_final --preset standard"
    )]
    Forecast(SaeForecastArguments),
    /// The presets of `sae train --preset`, each with a sentence.
    #[command(after_help = "Example: fluoroscope sae presets")]
    Presets,
    /// Encode the rows of a file: indices, values and reconstruction; prints FVU and L0.
    #[command(
        after_help = "Example: fluoroscope sae encode my-sae --input rows.safetensors:x --output codes.safetensors"
    )]
    Encode {
        /// Folder or file of a dictionary, or its name in the project.
        sae: String,
        /// Rows `[n, d_model]`: FILE.safetensors with a tensor x, or FILE.safetensors:KEY.
        #[arg(long)]
        input: String,
        /// Of a transcoder: the rows it is to predict, in FILE.safetensors:KEY; its FVU is theirs.
        #[arg(long)]
        target: Option<String>,
        /// Where the codes go.
        #[arg(long)]
        output: PathBuf,
        /// k of a bare `RecSAE` state dictionary.
        #[arg(long)]
        k: Option<u32>,
    },
    /// Write a dictionary for another tool, and read it back to compare.
    #[command(
        after_help = "Example: fluoroscope sae export films --format saelens --out films-saelens"
    )]
    Export {
        /// Folder or file of a dictionary, or its name in the project.
        sae: String,
        /// saelens, `dictionary_learning` or sparsify.
        #[arg(long)]
        format: String,
        /// New or empty folder.
        #[arg(long)]
        out: PathBuf,
        /// k of a bare `RecSAE` state dictionary.
        #[arg(long)]
        k: Option<u32>,
    },
    /// Import dictionaries of other tools, and published interpretations as proposals.
    #[command(
        after_help = "Example: fluoroscope sae import maira --path maira-2-sae --model maira --dataset reports"
    )]
    Import(SaeImportArguments),
    /// Tell the layer of a dictionary from its FVU at several hook points.
    #[command(
        after_help = "Example: fluoroscope sae locate maira-2-sae --model maira --dataset reports --hooks all"
    )]
    Locate {
        /// Dictionary of the project, or folder of one or several.
        sae: String,
        /// Model to run.
        #[arg(long)]
        model: String,
        /// Dataset to run it over.
        #[arg(long)]
        dataset: String,
        /// Hook points with commas, or all (default: the expected one and its neighbours).
        #[arg(long)]
        hooks: Option<String>,
    },
    /// Every metric that applies to a dictionary, with intervals, beside its baselines.
    #[command(after_help = "Example: fluoroscope sae evaluate films --against films-seed-1")]
    Evaluate(SaeEvaluateArguments),
    /// Dictionaries of the project.
    #[command(after_help = "Example: fluoroscope sae list --project my-project")]
    List,
}

/// What is evaluated, on what, and beside what.
#[derive(Debug, Args)]
pub(crate) struct SaeEvaluateArguments {
    /// The dictionary.
    pub(crate) name: String,
    /// Harvest whose rows to evaluate on (default: the one it was trained on).
    #[arg(long)]
    pub(crate) harvest: Option<String>,
    /// Dictionary of another training, to tell how stable the features are.
    #[arg(long)]
    pub(crate) against: Option<String>,
    /// Harvest, best of another model, whose rows tell which samples are alike.
    #[arg(long)]
    pub(crate) embeddings: Option<String>,
    /// Samples whose reports the model is run on, four times each; 0 leaves the loss out.
    #[arg(long, default_value_t = 16)]
    pub(crate) loss_samples: u32,
    /// Seed of random dictionary, shuffles and resamples.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Say below the table what each metric is.
    #[arg(long)]
    pub(crate) definitions: bool,
}

/// What is trained, on what, and from where.
#[derive(Debug, Args)]
pub(crate) struct SaeTrainArguments {
    /// Name of the dictionary in the project.
    #[arg(required_unless_present = "input", conflicts_with = "input")]
    pub(crate) name: Option<String>,
    /// The harvest of the project; of several with commas, each gives a dictionary NAME-HARVEST.
    #[arg(long, required_unless_present = "input", conflicts_with = "input")]
    pub(crate) harvest: Option<String>,
    /// Outside a project: rows in FILE.safetensors:KEY, `[n_batches, batch, d_model]` taken batch
    /// by batch, or `[n, d_model]` shuffled.
    #[arg(long, requires = "out")]
    pub(crate) input: Option<String>,
    /// Outside a project: for a transcoder (recipe sparsify, transcode = true, with or without
    /// `skip_connection`), the rows in FILE.safetensors:KEY that those of --input are to predict.
    #[arg(long, requires = "input")]
    pub(crate) target: Option<String>,
    /// Outside a project: folder of the dictionary whose weights it starts from.
    #[arg(long, requires = "input")]
    pub(crate) init: Option<PathBuf>,
    /// Outside a project: folder of the dictionary and its metrics.jsonl.
    #[arg(long, requires = "input")]
    pub(crate) out: Option<PathBuf>,
    /// Steps, if not those of the settings.
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// Steps that make so many passes over the rows, if not those of the settings.
    #[arg(long, conflicts_with_all = ["steps", "input"])]
    pub(crate) epochs: Option<u32>,
    /// Settings in TOML: recipe (`dictionary_learning`, saelens, sparsify, recsae), variant
    /// (`top_k`, `batch_top_k`, matryoshka, relu, `jump_relu`, gated, `group_max`), `n_features`,
    /// k, lr, steps, `batch_rows` and others; a wrong key lists them all. "none" leaves out decay
    /// or clipping. In a project repeatable: dictionaries NAME-FILE from one pass over the rows.
    #[arg(long)]
    pub(crate) config: Vec<PathBuf>,
    /// Settings under a name: quick, standard, thorough, matryoshka, recsae or recsae-paper; keys of --config
    /// stand above them.
    #[arg(long, conflicts_with = "input")]
    pub(crate) preset: Option<String>,
    /// Seed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// What a forecast is made for.
#[derive(Debug, Args)]
pub(crate) struct SaeForecastArguments {
    /// Model to read.
    #[arg(long)]
    pub(crate) model: String,
    /// Dataset to run it over.
    #[arg(long)]
    pub(crate) dataset: String,
    /// Hook point.
    #[arg(long)]
    pub(crate) hook: String,
    /// text, image, report, items, contexts or all, several with commas.
    #[arg(long, default_value = "all")]
    pub(crate) positions: String,
    /// The first so many samples only.
    #[arg(long)]
    pub(crate) limit: Option<u32>,
    /// Patches averaged per side.
    #[arg(long, default_value_t = 1)]
    pub(crate) pool: u32,
    /// Settings under a name.
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// Settings in TOML, as for sae train.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
}

/// What is imported, and which rows it is looked at on.
#[derive(Debug, Args)]
pub(crate) struct SaeImportArguments {
    /// Name of the dictionary; of several in sub-folders, what each name begins with.
    pub(crate) name: String,
    /// Folder of one dictionary, or of several in sub-folders.
    #[arg(long)]
    pub(crate) path: PathBuf,
    /// Layout: auto, `dictionary_learning`, `gemma_scope`, openai, recsae, saelens, sparsify.
    #[arg(long, default_value = "auto")]
    pub(crate) format: String,
    /// Harvest of the project whose rows it reads.
    #[arg(long)]
    pub(crate) harvest: Option<String>,
    /// Model to record a harvest from, in place of --harvest.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Dataset to record a harvest of.
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Where it reads (default: told by the layer self-test, else by its own files).
    #[arg(long)]
    pub(crate) hook: Option<String>,
    /// Candidates of the layer self-test: hook points with commas, or all.
    #[arg(long)]
    pub(crate) hooks: Option<String>,
    /// At most this many samples in the harvest.
    #[arg(long)]
    pub(crate) limit: Option<u32>,
    /// Active features per row, which a bare `RecSAE` file does not say.
    #[arg(long)]
    pub(crate) k: Option<u32>,
}
