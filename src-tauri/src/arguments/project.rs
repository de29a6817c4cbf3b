//! Commands on the project itself.

use std::path::PathBuf;

use clap::Subcommand;

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
