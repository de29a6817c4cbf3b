//! Arguments of the dictionary report.

use std::path::PathBuf;

use clap::Args;

/// Which files of a report are written.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("files").required(true).multiple(true))]
pub(crate) struct ReportArguments {
    /// The dictionary.
    pub(crate) sae: String,
    /// The page to write: charts, tables, definitions, settings and hashes in one HTML file.
    #[arg(group = "files", value_name = "FILE.html")]
    pub(crate) file: Option<PathBuf>,
    /// The page to write, named as other commands name what they write.
    #[arg(
        long,
        group = "files",
        value_name = "FILE.html",
        conflicts_with = "file"
    )]
    pub(crate) out: Option<PathBuf>,
    /// All figures as one table.
    #[arg(long, group = "files", value_name = "FILE.csv")]
    pub(crate) csv: Option<PathBuf>,
    /// Folder for every chart as SVG.
    #[arg(long, group = "files", value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,
    /// Folder for every chart as PNG.
    #[arg(long, group = "files", value_name = "DIR")]
    pub(crate) png: Option<PathBuf>,
    /// Measure anew, even where what is kept still holds.
    #[arg(long)]
    pub(crate) again: bool,
}
