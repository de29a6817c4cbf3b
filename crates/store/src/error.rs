//! What can go wrong with a project folder, each as one sentence for the user.

use std::io;
use std::path::{Path, PathBuf};

use crate::ArtefactId;

/// Shorthand for results of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A request to the project folder that could not be met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused to read or write.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder holds no project.
    #[error("{dir} is not a project: {reason}", dir = dir.display())]
    NotAProject {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A project cannot be made here.
    #[error("cannot make a project in {dir}: {reason}", dir = dir.display())]
    CannotCreate {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The project has a newer format than this build knows.
    #[error(
        "{dir} was made by a newer version of Fluoroscope (project format {found}, this version \
         reads up to {known}); nothing was changed", dir = dir.display()
    )]
    NewerVersion {
        /// The project's folder.
        dir: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format this build reads.
        known: u64,
    },
    /// Another process has the project open.
    #[error(
        "{dir} is open in another Fluoroscope{holder}; close it there first",
        dir = dir.display(),
        holder = match pid { Some(pid) => format!(" (process {pid})"), None => String::new() }
    )]
    Locked {
        /// The project's folder.
        dir: PathBuf,
        /// Process id of the holder, where it could be read.
        pid: Option<u32>,
    },
    /// A name cannot be used for a file.
    #[error(
        "\"{name}\" cannot be a name: use 1 to 100 letters, digits, '-', '_' or '.', not \
         beginning or ending with '.'"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// A path that leaves its folder, or is otherwise unusable inside an artefact.
    #[error(
        "\"{path}\" cannot be a file inside {artefact}: give a relative path such as images/1.png"
    )]
    BadFilePath {
        /// The path.
        path: String,
        /// The artefact.
        artefact: ArtefactId,
    },
    /// The project has no such artefact.
    #[error("{project} has no {artefact}{known}", project = project.display())]
    Missing {
        /// The project's folder.
        project: PathBuf,
        /// What was asked for.
        artefact: ArtefactId,
        /// What there is, as ` (it has …)`, or empty.
        known: String,
    },
    /// The artefact is there, but was never finished.
    #[error("{artefact} in {project} is not finished: run the command that makes it again to go on", project = project.display())]
    Unfinished {
        /// The project's folder.
        project: PathBuf,
        /// What was asked for.
        artefact: ArtefactId,
    },
    /// The artefact is already there.
    #[error("{artefact} is already in {project}: choose another name", project = project.display())]
    Exists {
        /// The project's folder.
        project: PathBuf,
        /// What was to be written.
        artefact: ArtefactId,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place in it and what was expected.
        what: String,
    },
    /// What was given does not fit together.
    #[error("{what}")]
    Invalid {
        /// Names the argument, its value and what was expected.
        what: String,
    },
    /// A harvest was begun with other settings.
    #[error(
        "{harvest} was begun with another {field} ({was}, now {now}): go on with those settings, or \
         give it another name"
    )]
    DifferentManifest {
        /// The harvest.
        harvest: ArtefactId,
        /// First setting that differs.
        field: &'static str,
        /// Its value on disk.
        was: String,
        /// Its value now.
        now: String,
    },
    /// A decision names another dictionary than the project holds.
    #[error(
        "the decision on feature {feature} was made on another version of saes/{sae}; load its \
         features again"
    )]
    DifferentDictionary {
        /// The dictionary.
        sae: String,
        /// The feature.
        feature: u32,
    },
    /// The database refused.
    #[error("the database of the project, {path}: {what}", path = path.display())]
    Database {
        /// Folder of the database.
        path: PathBuf,
        /// What it said.
        what: String,
    },
    /// The decision is in the journal, but the database could not be brought up to it.
    #[error(
        "the decision is recorded in the journal, but the database could not be updated ({what}); \
         it is rebuilt when the project is next opened"
    )]
    DatabaseLags {
        /// What the database said.
        what: String,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

impl StoreError {
    /// A [`StoreError::Damaged`].
    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// A [`StoreError::Invalid`].
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }
}

/// Adds the path to an error of the operating system.
pub(crate) trait AtPath<T> {
    /// The result, its error naming `path`.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| StoreError::Io {
            path: path.to_owned(),
            source,
        })
    }
}
