//! Runs that keep what they were asked for beside their results, so that the same request is not
//! done twice, and a stopped one goes on.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{ArtefactKind, Durability, write_atomically};

use crate::error::{EngineError, Result};
use crate::model_registry::to_json;
use crate::session::Session;

/// What the run was asked for.
pub(crate) const REQUEST: &str = "request.json";

/// The folder of a run.
pub(crate) struct KeptRun<'a> {
    session: &'a Session,
    kind: ArtefactKind,
    name: &'a str,
    pub(crate) folder: PathBuf,
}

impl<'a> KeptRun<'a> {
    /// The run of this name, whether it is there or not.
    ///
    /// # Errors
    /// For a name that cannot be a folder's.
    pub(crate) fn new(session: &'a Session, kind: ArtefactKind, name: &'a str) -> Result<Self> {
        Ok(Self {
            session,
            kind,
            name,
            folder: session.project.artefact_dir(kind, name)?,
        })
    }

    /// Whether it is finished and was asked for the same. What an earlier version noted otherwise is
    /// not.
    pub(crate) fn is_finished_as<R: DeserializeOwned>(&self, same: impl Fn(&R) -> bool) -> bool {
        self.session.project.is_finished(self.kind, self.name)
            && read_json::<R>(&self.folder.join(REQUEST)).is_ok_and(|known| same(&known))
    }

    /// Refuses a name that a finished run of another request has: its results would be lost.
    ///
    /// # Errors
    /// Says so.
    pub(crate) fn check_free(&self) -> Result<()> {
        if !self.session.project.is_finished(self.kind, self.name) {
            return Ok(());
        }
        Err(EngineError::request(format!(
            "{}/{} was made with other choices, and its results would be lost; give another name",
            self.kind.folder(),
            self.name
        )))
    }

    /// Notes what is asked for; where it was begun with the same, what was noted then stays, its
    /// time included. Answers of another request stay in the folder: they are found by what was
    /// asked, and never wrong.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn begin<R: Serialize + DeserializeOwned>(
        &self,
        record: R,
        same: impl Fn(&R, &R) -> bool,
    ) -> Result<R> {
        let project = &self.session.project;
        if project.is_finished(self.kind, self.name) {
            project.unseal(self.kind, self.name)?;
        }
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| EngineError::other(format!("{}: {error}", self.folder.display())))?;
        let path = self.folder.join(REQUEST);
        if let Ok(known) = read_json::<R>(&path)
            && same(&known, &record)
        {
            return Ok(known);
        }
        write_atomically(&path, &to_json(&record)?, Durability::PowerCut)?;
        Ok(record)
    }
}

/// What a JSON file holds.
///
/// # Errors
/// When it cannot be read or is something else.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}
