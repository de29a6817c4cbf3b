//! Commands on models.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Add a model: a folder of MAIRA-2 or `LLaVA` with `DINOv2`, a GGUF file, the `LiteMedSAM`
    /// encoder's folder, a recommender checkpoint.
    #[command(
        after_help = "Examples: fluoroscope model add maira --path maira-2 --weights q8\n          fluoroscope model add lightgcn --path LightGCN.pt --arch lightgcn --dataset grocery"
    )]
    Add {
        /// Its name in the project.
        name: String,
        /// File or folder.
        #[arg(long)]
        path: PathBuf,
        /// How matrices are kept in memory: f32, f16, bf16, q8 or q4 (default: as stored).
        #[arg(long)]
        weights: Option<String>,
        /// What a recommender's file does not say.
        #[command(flatten)]
        recommender: RecommenderArguments,
        /// Dataset a recommender was trained on; `LightGCN` needs it.
        #[arg(long)]
        dataset: Option<String>,
    },
    /// Run a model once: text from films and a prompt, hook activations into a file.
    #[command(
        after_help = "Examples: fluoroscope model run maira-2 --image film.png --indication \"Cough.\"\n          fluoroscope model run maira-2 --image film.png --task grounded --max-new-tokens 450\n          fluoroscope model run maira-2 --image film.png --prompt \"… <image> …\" --dump out.safetensors --hooks blocks.*.hook_resid_post,projector.hook_out\n          fluoroscope model run sasrec --histories histories.json --sae concepts --dump out.safetensors"
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

/// What a bare state dict of a recommender does not say.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecommenderArguments {
    /// Recommender in a bare state dict: bprmf, lightgcn, sasrec, timirec or gru4rec (default: told
    /// by its tensors).
    #[arg(long)]
    pub(crate) arch: Option<String>,
    /// Attention heads of a recommender (default: 1).
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<u32>,
    /// Steps of propagation of `LightGCN` (default: 3).
    #[arg(long, value_name = "N")]
    pub(crate) layers: Option<u32>,
    /// Last items of a history that a recommender reads (default: as its position table allows, or
    /// 20).
    #[arg(long, value_name = "N")]
    pub(crate) history_max: Option<u32>,
    /// Users and items of the train interactions, which `LightGCN` propagates over: shape `[n, 2]`.
    #[arg(long, value_name = "FILE.safetensors:KEY")]
    pub(crate) interactions: Option<String>,
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
    /// For a recommender: a JSON list of lists of item ids, oldest first.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) histories: Option<PathBuf>,
    /// For a recommender that knows users by number: a JSON list of them.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) users: Option<PathBuf>,
    /// Leave the items of a history out of its ranked list.
    #[arg(long)]
    pub(crate) mask_history: bool,
    /// Rank through the reconstruction of this dictionary too: its path or name.
    #[arg(long)]
    pub(crate) sae: Option<String>,
    /// Active features, where the dictionary's file does not say.
    #[arg(long, value_name = "N")]
    pub(crate) k: Option<u32>,
    /// What a recommender's file does not say.
    #[command(flatten)]
    pub(crate) recommender: RecommenderArguments,
}

/// Architectures that can be trained here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// Matrix factorisation.
    Bprmf,
    /// Propagation over the graph of users and items.
    Lightgcn,
    /// Self-attentive sequential recommender.
    Sasrec,
    /// Several interests per user.
    Timirec,
    /// Recurrent recommender.
    Gru4rec,
    /// The phantom vision-language model.
    PhantomVlm,
}

impl Arch {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bprmf => "bprmf",
            Self::Lightgcn => "lightgcn",
            Self::Sasrec => "sasrec",
            Self::Timirec => "timirec",
            Self::Gru4rec => "gru4rec",
            Self::PhantomVlm => "phantom-vlm",
        }
    }
}
