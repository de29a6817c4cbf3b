//! Commands that propose labels and decide on them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::packet::ExplanationImportArguments;

#[derive(Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// Propose a label for every live feature, or say what features of user vectors look for.
    ///
    /// With keywords and no further choice, terms are taken from all that the feature index holds.
    /// Else labels are made from passages of reports, or, for a dictionary of user vectors, from test
    /// cases.
    #[command(
        after_help = "Examples: fluoroscope explain propose films --with keywords\n          fluoroscope explain propose reports --with SmolLM2.gguf --limit 30\n          fluoroscope explain propose reports --with http://127.0.0.1:8080/v1\n          fluoroscope explain propose reports --with http://10.0.0.7:8080/v1#llama --allow-address 10.0.0.7"
    )]
    Propose {
        /// The dictionary.
        sae: String,
        /// What proposes: keywords, a language model's GGUF file, or the address of a server that
        /// speaks `OpenAI`'s protocol; of another computer with --allow-address and the model's name
        /// behind a #.
        #[arg(long = "with", default_value = "keywords")]
        with: String,
        #[command(flatten)]
        choices: ConceptChoices,
    },
    /// Take a table of explanations in as proposals to review.
    #[command(
        after_help = "Example: fluoroscope explain import films explanations.csv --by \"our group\""
    )]
    Import(ExplanationImportArguments),
    /// Test the proposals: does a judge who is told them know where the features are active?
    #[command(
        after_help = "Examples: fluoroscope explain score reports --method detection,fuzzing --judge SmolLM2.gguf\n          fluoroscope explain score shoppers --method confidence --judge keywords"
    )]
    Score {
        /// The dictionary.
        sae: String,
        /// detection, fuzzing, simulation, embedding; for a dictionary of user vectors confidence, the share of
        /// test cases that the judge tells rightly (default: detection or confidence).
        #[arg(long, value_delimiter = ',')]
        method: Vec<String>,
        /// What judges: keywords, a language model's GGUF file, or the address of a server.
        #[arg(long, default_value = "keywords")]
        judge: String,
        #[command(flatten)]
        choices: ConceptChoices,
    },
    /// Explain features of texts or films from passages of some patients and test the explanations on
    /// passages of others, in one run, beside baselines.
    #[command(
        after_help = "Examples: fluoroscope explain features films --with keywords\n          fluoroscope explain features reports --with SmolLM2.gguf --method detection,fuzzing --limit 200"
    )]
    Features {
        /// The dictionary.
        sae: String,
        /// What explains: keywords, a language model's GGUF file, or the address of a server.
        #[arg(long = "with", default_value = "keywords")]
        with: String,
        /// What judges (default: what explains).
        #[arg(long)]
        judge: Option<String>,
        /// detection, fuzzing, simulation, embedding (default: detection).
        #[arg(long, value_delimiter = ',')]
        method: Vec<String>,
        #[command(flatten)]
        choices: ConceptChoices,
    },
    /// Write the prompts of language models into the project's folder prompts, to be changed there.
    #[command(after_help = "Example: fluoroscope explain prompts")]
    Prompts,
    /// Explain features of user vectors and test the explanations in one run, beside baselines.
    #[command(
        after_help = "Examples: fluoroscope explain concepts shoppers --with keywords\n          fluoroscope explain concepts shoppers --with Llama-3-8B.gguf --conventions recsae"
    )]
    Concepts {
        /// The dictionary.
        sae: String,
        /// What explains: keywords, or a language model's GGUF file.
        #[arg(long = "with", default_value = "keywords")]
        with: String,
        /// What judges (default: what explains).
        #[arg(long)]
        judge: Option<String>,
        #[command(flatten)]
        choices: ConceptChoices,
    },
    /// Runs of explanations and concepts in the project.
    #[command(after_help = "Example: fluoroscope explain list")]
    List,
    /// A run of explanations or concepts as it was measured.
    #[command(after_help = "Example: fluoroscope explain show shoppers-keywords --rows 20")]
    Show {
        /// The run.
        name: String,
        /// Features listed, best first.
        #[arg(long, default_value_t = 20)]
        rows: usize,
    },
}

/// How concepts are made and tested.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct ConceptChoices {
    /// Features, e.g. 1,2,7 (default: all that have cases).
    #[arg(long, value_delimiter = ',')]
    pub(crate) features: Vec<u32>,
    /// So many features, drawn by the seed.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// `RecSAE`'s cases, levels and temperature in place of our own.
    #[arg(long, value_enum)]
    pub(crate) conventions: Option<Conventions>,
    /// How test cases are chosen (default: apart).
    #[arg(long, value_enum)]
    pub(crate) cases: Option<Cases>,
    /// Test cases of each kind at most, with cases apart (default: 50; passages: 25).
    #[arg(long)]
    pub(crate) most: Option<usize>,
    /// Passages that an explanation is made from (default: 10); not for user vectors.
    #[arg(long)]
    pub(crate) construction: Option<usize>,
    /// Folder of a sentence encoder, for --method embedding.
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// Features of each control (default: as many); not for user vectors.
    #[arg(long)]
    pub(crate) control_limit: Option<usize>,
    /// Deciles of all features together, or of each feature (default: pooled).
    #[arg(long, value_enum)]
    pub(crate) levels: Option<LevelsOf>,
    /// Where explainers see levels: at every item, or at the recommended one (default: every).
    #[arg(long, value_enum)]
    pub(crate) levels_at: Option<LevelsAt>,
    /// Temperature of language models (default: 0, the same answer each time).
    #[arg(long)]
    pub(crate) temperature: Option<f32>,
    /// Share of the most probable tokens drawn from (default: 1).
    #[arg(long)]
    pub(crate) top_p: Option<f32>,
    /// Seed of cases, samples and models.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Leave out the random dictionary, the raw dimensions and the swapped explanations.
    #[arg(long)]
    pub(crate) no_baselines: bool,
    /// Folder of a published list to compare with: latents.jsonl.
    #[arg(long, value_name = "DIR")]
    pub(crate) published: Option<PathBuf>,
    /// Another computer that may be asked, by name or number, where --with or --judge names its
    /// address. Texts go there unencrypted, with names, dates and numbers taken out by rules.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_address: Vec<String>,
    /// Name of the run (default: dictionary, explainer and conventions).
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// Whose conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conventions {
    /// Ours.
    Own,
    #[value(help = "RecSAE's")]
    Recsae,
}

/// How test cases are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cases {
    /// No case in both parts, distinct items and users, hard cases among the others.
    Apart,
    /// Five of each kind, cases of the explanation serving again.
    Recsae,
}

/// Whose deciles levels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelsOf {
    /// All features together.
    Pooled,
    /// Each feature's own.
    PerFeature,
}

/// Where explainers see levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelsAt {
    /// At every item shown.
    Every,
    /// At the recommended item.
    Recommended,
}
