//! The benchmarks.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// CPU time of frames of the gallery, the feature page and a film against the 8 ms budget; with
    /// a project also the time to its first frame and the memory of all screens, which need a
    /// display.
    #[command(after_help = "Example: fluoroscope bench ui --project my-demo")]
    Ui {
        /// Features in the gallery.
        #[arg(long, default_value_t = 200_000)]
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
    /// Speed of training and ranking of `SASRec`, against a limit of this machine.
    #[command(after_help = "Example: fluoroscope bench recommenders --threads 2")]
    Recommenders {
        /// Histories in the `ReChorus` layout (default: invented ones of Amazon Grocery's sizes).
        #[arg(long, value_name = "FOLDER")]
        path: Option<PathBuf>,
        /// Epochs; the fastest one counts.
        #[arg(long, default_value_t = 3, value_name = "N")]
        epochs: u32,
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
