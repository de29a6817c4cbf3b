//! `steer`: features turned up or down on one sample.

use std::path::PathBuf;

use clap::Args;

use super::Mode;

/// What is changed on which sample, and at which strengths.
#[derive(Debug, Args)]
pub(crate) struct SteerArguments {
    /// Dictionary.
    pub(crate) sae: String,
    /// Sample: its number or its name in the source.
    #[arg(long)]
    pub(crate) sample: String,
    /// Feature and strength, e.g. 87=2.0; repeatable, at most eight. With --sweep strengths count
    /// beside each other only, and a feature alone counts as 1.
    #[arg(long = "feature", required = true, value_name = "ID=STRENGTH")]
    pub(crate) features: Vec<String>,
    /// What is done.
    #[arg(long, value_enum, default_value_t = Mode::Add)]
    pub(crate) mode: Mode,
    /// Where: all, prompt, image, text, `from_last_prompt`, generated, or a range such as 17..40.
    #[arg(long, default_value = "all")]
    pub(crate) positions: String,
    /// Sweep the strength from the first to the second of these, beside random directions.
    #[arg(long, value_name = "FROM..TO", allow_hyphen_values = true)]
    pub(crate) sweep: Option<String>,
    /// Strengths of the sweep, both ends among them.
    #[arg(long, value_name = "N", default_value_t = 9, requires = "sweep")]
    pub(crate) steps: u32,
    /// Random directions beside the features, changed by as much.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "sweep")]
    pub(crate) controls: u32,
    /// Seed of the random directions.
    #[arg(long, default_value_t = 0, requires = "sweep")]
    pub(crate) seed: u64,
    /// Write what was measured to this file: the sweep as .csv, the experiment as .json or .html.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
