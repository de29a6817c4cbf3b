//! Imports: what a user's folder or table would become, worked out before anything is written.
//!
//! Every importer returns an [`ImportPlan`]; nothing here writes a file.

use std::path::{Path, PathBuf};

use schema::{CatalogueItem, DatasetManifest, SampleRecord};

mod columns;
mod glance;
pub mod interactions;
mod labels;
mod phrases;
pub mod radiographs;
pub mod reports;
mod table;

pub use columns::{ColumnMap, Role};
pub use glance::{LooksLike, looks_like};
pub use interactions::{
    InteractionSource, InteractionTables, Layout, SplitRule, UserHistory, import_interactions,
};
pub use radiographs::{RadiographSource, import_radiographs};
pub use reports::{ReportSource, import_reports};

/// What an import would add to the project.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportPlan {
    /// The dataset, with the files and rows that are left out and why: of rows of interactions at
    /// most 1,000 for each reason.
    pub manifest: DatasetManifest,
    /// All files and rows that are left out as unusable, listed or not.
    pub n_skipped: usize,
    /// Its samples, in an order that depends on the source alone.
    pub records: Vec<SampleRecord>,
    /// Items with titles and categories; empty unless the dataset holds item histories.
    pub catalogue: Vec<CatalogueItem>,
    /// What was recognised, one line each.
    pub recognised: Vec<String>,
    /// What the user should know before going on, one line each.
    pub warnings: Vec<String>,
}

/// Why nothing can be imported. Messages are for the user.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operating system refused.
    #[error("cannot read {path}: {why}", path = path.display(), why = in_words(source))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A folder was expected.
    #[error("{path} is not a folder", path = path.display())]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// A table is damaged.
    #[error("{path}: {place}: {problem}", path = path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// Row or column.
        place: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A table lacks a needed column.
    #[error(
        "{path} has no column {wanted}; its columns are {present}",
        path = path.display()
    )]
    MissingColumn {
        /// The table.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// Columns that are there.
        present: String,
    },
    /// The text of a column mapping is wrong.
    #[error("{0}")]
    Columns(String),
    /// Something is asked for that the source has not, or that cannot be.
    #[error("{0}")]
    Request(String),
    /// Nothing in the source can be used.
    #[error("nothing in {path} can be imported: {reason}", path = path.display())]
    Nothing {
        /// The source.
        path: PathBuf,
        /// Why, with an example.
        reason: String,
    },
    /// The caller stopped it.
    #[error("the import was cancelled; nothing was changed")]
    Cancelled,
}

/// What the operating system said, in plain words where they are known.
fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        _ => error.to_string(),
    }
}

impl ImportError {
    fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    fn nothing(path: &Path, reason: impl Into<String>) -> Self {
        Self::Nothing {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// The path as other folders see it, for records that outlive the working directory.
fn absolute(path: &Path) -> Result<PathBuf, ImportError> {
    path.canonicalize()
        .map_err(|source| ImportError::read(path, source))
}

/// `1 film`, `2 films`.
fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
