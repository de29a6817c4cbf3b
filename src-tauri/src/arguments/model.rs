//! Commands on models.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
#[derive(Debug, Args)]
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
