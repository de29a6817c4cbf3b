//! Commands on features.

use clap::Subcommand;

use super::packet::FeatureExportArguments;

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
    /// Features whose label, proposal, terms, top words or item titles hold these words.
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
    /// Features with labels, explanations, scores and examples, for other tools.
    #[command(
        after_help = "Examples: fluoroscope features export films features.jsonl\n          fluoroscope features export films neuronpedia --format neuronpedia"
    )]
    Export(FeatureExportArguments),
    /// Associations with findings, found on training patients, confirmed on held-out patients.
    #[command(after_help = "Example: fluoroscope features associations films")]
    Associations {
        /// The dictionary.
        sae: String,
    },
}
