//! The command line: `fluoroscope <noun> <verb>`. Only words and types; no logic.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Look inside neural models of films and histories.
#[derive(Debug, Parser)]
#[command(name = "fluoroscope", version, about, disable_help_subcommand = false)]
pub(crate) struct Arguments {
    /// What to do; without it, the window opens.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Project folder (default: the current folder if it is one).
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Print one JSON object on standard output at the end and nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads to compute with (default: all cores).
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Device that MAIRA-2 and `LLaVA` compute on; all else computes on the processor.
    #[arg(long, global = true, value_enum, default_value_t = Device::Auto)]
    pub(crate) device: Device,
    #[command(flatten)]
    pub(crate) window: WindowArguments,
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
    /// Screen to start on: start, data, train, gallery, feature, steer.
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
        /// The project.
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
    /// Propose labels.
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Decide on labels.
    #[command(subcommand)]
    Review(ReviewCommand),
    /// Turn features up or down on one sample: before and after.
    #[command(after_help = "Example: fluoroscope steer films --sample 12 --feature 87=2.0")]
    Steer {
        /// Dictionary.
        sae: String,
        /// Sample: its number or its name in the source.
        #[arg(long)]
        sample: String,
        /// Feature and strength, e.g. 87=2.0; repeatable, at most eight.
        #[arg(long = "feature", required = true, value_name = "ID=STRENGTH")]
        features: Vec<String>,
        /// What is done.
        #[arg(long, value_enum, default_value_t = Mode::Add)]
        mode: Mode,
    },
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make an empty project.
    #[command(after_help = "Example: fluoroscope project new my-project")]
    New {
        /// The folder.
        dir: PathBuf,
    },
    /// What the project holds.
    #[command(after_help = "Example: fluoroscope project info --project my-project")]
    Info,
    /// Verify every file against its recorded hash and every record against its parents.
    #[command(after_help = "Example: fluoroscope project check --project my-project")]
    Check,
    /// Write the project to one file.
    #[command(after_help = "Example: fluoroscope project backup my.zip --project my-project")]
    Backup {
        /// The file.
        file: PathBuf,
    },
    /// Make a project from a backup.
    #[command(after_help = "Example: fluoroscope project restore my.zip restored")]
    Restore {
        /// The file.
        file: PathBuf,
        /// The new folder.
        dir: PathBuf,
    },
}

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
        /// Which columns hold what, as part=column with commas. Parts: image, patient, labels,
        /// label-source, set, report, indication, technique, comparison, findings, impression,
        /// view, age, sex, licence; usual names are found unasked.
        #[arg(long, default_value = "")]
        columns: String,
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
        /// Table of findings.
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
    ImportInteractions {
        /// Name of the new dataset.
        name: String,
        /// The folder.
        #[arg(long)]
        path: PathBuf,
        /// Layout of the folder: rechorus or movielens.
        #[arg(long)]
        layout: String,
        /// Only say what would be imported; write nothing.
        #[arg(long)]
        preview: bool,
    },
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

/// Phantoms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PhantomKind {
    /// Frontal chest radiographs with planted findings.
    Radiographs,
    /// Shoppers with planted tastes.
    Shoppers,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Add a model: a folder of MAIRA-2 or `LLaVA` with `DINOv2`, a GGUF file, the `LiteMedSAM`
    /// encoder's folder, a recommender checkpoint.
    #[command(after_help = "Example: fluoroscope model add maira --path maira-2 --weights q8")]
    Add {
        /// Its name in the project.
        name: String,
        /// File or folder.
        #[arg(long)]
        path: PathBuf,
        /// How matrices are kept in memory: f32, f16, bf16, q8 or q4 (default: as stored).
        #[arg(long)]
        weights: Option<String>,
    },
    /// Run a model once: text from films and a prompt, hook activations into a file.
    #[command(
        after_help = "Examples: fluoroscope model run maira-2 --image film.png --indication \"Cough.\"\n          fluoroscope model run maira-2 --image film.png --task grounded --max-new-tokens 450\n          fluoroscope model run maira-2 --image film.png --prompt \"… <image> …\" --dump out.safetensors --hooks blocks.*.hook_resid_post,projector.hook_out"
    )]
    Run(Box<RunArguments>),
    /// What a model takes in memory, from the headers of its files alone.
    #[command(after_help = "Example: fluoroscope model inspect maira-2 --weights q4")]
    Inspect {
        /// Folder or file of the model.
        path: PathBuf,
        /// How matrices would be kept: f32, f16, bf16, q8 or q4 (default: as stored).
        #[arg(long)]
        weights: Option<String>,
    },
    /// Train a recommender or the phantom model; goes on where it stopped.
    #[command(
        after_help = "Example: fluoroscope model train sasrec --arch sasrec --dataset grocery --seed 0"
    )]
    Train {
        /// Its name in the project.
        name: String,
        /// Architecture.
        #[arg(long, value_enum)]
        arch: Arch,
        /// Dataset to train on; the phantom model draws its own phantoms.
        #[arg(long)]
        dataset: Option<String>,
        /// Settings that differ from the defaults.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Learning rate, where it differs from the default.
        #[arg(long)]
        lr: Option<f64>,
        /// Epochs or steps at most.
        #[arg(long)]
        epochs: Option<u32>,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// HR@k and NDCG@k by full ranking, also through a dictionary's reconstruction.
    #[command(after_help = "Example: fluoroscope model evaluate sasrec --dataset grocery")]
    Evaluate {
        /// The model.
        name: String,
        /// Dataset to evaluate on.
        #[arg(long)]
        dataset: String,
        /// Part of it: dev or test.
        #[arg(long, default_value = "test")]
        split: String,
        /// Dictionary to reconstruct through.
        #[arg(long)]
        sae: Option<String>,
    },
    /// Models of the project.
    #[command(after_help = "Example: fluoroscope model list --project my-project")]
    List,
}

/// What a model is run on.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// Folder or file of the model, or its name in the project.
    pub(crate) model: String,
    /// A film, in the order of the prompt's markers; repeatable.
    #[arg(long = "image", value_name = "FILE")]
    pub(crate) images: Vec<PathBuf>,
    /// A raw prompt with an `<image>` marker for each film.
    #[arg(long)]
    pub(crate) prompt: Option<String>,
    /// Token ids, images already expanded: a JSON list.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) input_ids: Option<PathBuf>,
    /// Processed pixels in place of a film; repeatable.
    #[arg(long, value_name = "FILE.safetensors:KEY")]
    pub(crate) pixel_values: Vec<String>,
    /// Without a prompt: findings, grounded, or phrase=TEXT.
    #[arg(long, default_value = "findings")]
    pub(crate) task: String,
    /// The current lateral film.
    #[arg(long, value_name = "FILE")]
    pub(crate) lateral: Option<PathBuf>,
    /// The frontal film of the prior study.
    #[arg(long, value_name = "FILE")]
    pub(crate) prior: Option<PathBuf>,
    /// Why the study was made.
    #[arg(long)]
    pub(crate) indication: Option<String>,
    /// How the films were made.
    #[arg(long)]
    pub(crate) technique: Option<String>,
    /// What it is compared with.
    #[arg(long)]
    pub(crate) comparison: Option<String>,
    /// Report of the prior study.
    #[arg(long)]
    pub(crate) prior_report: Option<String>,
    /// Tokens to write at most (default: 300, 450 or 150 by task; 0 with --dump).
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// Go on past the end of the text.
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// Draw tokens at random at this temperature; 0 takes the most probable one.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) temperature: f32,
    /// Draw only from the most probable tokens that together reach this share.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// Seed of the drawing.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Changes of activations.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) steer: Option<PathBuf>,
    /// Write captured activations, scores and ids to this file.
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) dump: Option<PathBuf>,
    /// Hook points to capture, with commas; * stands for every number.
    #[arg(long, default_value = "")]
    pub(crate) hooks: String,
    /// Write the scores of every generated token too.
    #[arg(long)]
    pub(crate) dump_generated_logits: bool,
    /// How matrices are kept in memory: f32, f16, bf16, q8 or q4 (default: as stored).
    #[arg(long)]
    pub(crate) weights: Option<String>,
}

/// Architectures that can be trained here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// Self-attentive sequential recommender.
    Sasrec,
    /// The phantom vision-language model.
    PhantomVlm,
}

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
        /// Which positions to keep: text, image, report, items, all.
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
    /// Outside a project: folder of the dictionary whose weights it starts from.
    #[arg(long, requires = "input")]
    pub(crate) init: Option<PathBuf>,
    /// Outside a project: folder of the dictionary and its metrics.jsonl.
    #[arg(long, requires = "input")]
    pub(crate) out: Option<PathBuf>,
    /// Steps, if not those of the settings.
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// Settings in TOML: recipe (`dictionary_learning`, saelens, sparsify, recsae), variant
    /// (`top_k`, `batch_top_k`, matryoshka, relu, `jump_relu`, gated, `group_max`), `n_features`,
    /// k, lr, steps, `batch_rows` and others; a wrong key lists them all. "none" leaves out decay
    /// or clipping. In a project repeatable: dictionaries NAME-FILE from one pass over the rows.
    #[arg(long)]
    pub(crate) config: Vec<PathBuf>,
    /// Settings under a name: quick, standard, thorough, matryoshka or recsae; keys of --config
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
    /// text, image, report, items or all, several with commas.
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

#[derive(Debug, Subcommand)]
pub(crate) enum FeaturesCommand {
    /// Build the feature index of a dictionary.
    #[command(after_help = "Example: fluoroscope features index films")]
    Index {
        /// The dictionary.
        sae: String,
    },
    /// Features, densest first.
    #[command(after_help = "Example: fluoroscope features list films --count 20")]
    List {
        /// The dictionary.
        sae: String,
        /// How many.
        #[arg(long, default_value_t = 20)]
        count: usize,
    },
    /// Everything about one feature.
    #[command(after_help = "Example: fluoroscope features show films 87")]
    Show {
        /// The dictionary.
        sae: String,
        /// The feature.
        feature: u32,
    },
    /// Features whose label or proposal holds these words.
    #[command(after_help = "Example: fluoroscope features search films pacemaker")]
    Search {
        /// The dictionary.
        sae: String,
        /// The words.
        text: String,
    },
    /// Which features fire on a sample, strongest first.
    #[command(after_help = "Example: fluoroscope features firing films --sample 12")]
    Firing {
        /// The dictionary.
        sae: String,
        /// Sample: its number or its name in the source.
        #[arg(long)]
        sample: String,
    },
    /// Where in the film a feature comes from that fires on text: one number per patch.
    #[command(
        after_help = "Example: fluoroscope features trace text --sample 12 --feature 87 --method occlusion"
    )]
    Trace {
        /// The dictionary, of a hook in a text decoder.
        sae: String,
        /// The feature.
        #[arg(long)]
        feature: u32,
        /// Sample: its number or its name in the source.
        #[arg(long)]
        sample: String,
        /// Position of the sequence (default: where the feature is strongest).
        #[arg(long)]
        position: Option<u32>,
        /// gradient, rollout or occlusion.
        #[arg(long, default_value = "gradient")]
        method: String,
    },
    /// Associations with findings, found on training patients, confirmed on held-out patients.
    #[command(after_help = "Example: fluoroscope features associations films")]
    Associations {
        /// The dictionary.
        sae: String,
    },
}

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

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// CPU time of a gallery frame against the 8 ms budget.
    #[command(after_help = "Example: fluoroscope bench ui")]
    Ui {
        /// Features in the gallery.
        #[arg(long, default_value_t = 20_000)]
        features: u32,
    },
    /// Time from letting go of a slider to the frame that shows the answer, on a project.
    #[command(after_help = "Example: fluoroscope bench steer --project my-demo")]
    Steer,
    /// Speed of training dictionaries, against a limit of this machine.
    #[command(after_help = "Example: fluoroscope bench sae --threads 2")]
    Sae {
        /// Batches: a .safetensors file with `x_576` and `x_64`, `[n, 4096, width]` (default:
        /// random rows).
        #[arg(long, value_name = "FILE")]
        input: Option<String>,
    },
    /// Speed and memory of a text model, against limits of this machine.
    #[command(after_help = "Example: fluoroscope bench models --gguf model.gguf --threads 2")]
    Models {
        /// The model.
        #[arg(long, value_name = "FILE")]
        gguf: PathBuf,
        /// Rounds; the best one counts.
        #[arg(long, default_value_t = 5, value_name = "N")]
        rounds: usize,
    },
}
