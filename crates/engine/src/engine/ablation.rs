//! The door's part for changes of features over all users of a recommender.

use std::path::Path;
use std::sync::Arc;

use schema::JobId;

use crate::engine::Engine;
use crate::error::Result;
use crate::views::{AblationRequest, DebiasRequest, Event, SavedChange};

impl Engine {
    /// Measures a change of features over all users, as a job; `Event::Ablated` follows.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn ablate(&self, request: AblationRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        // Nothing that a query sees changes, so no revision is made of it.
        crate::jobs::lock(&self.jobs).start_with_id(
            "Change features for all users",
            move |id, job| {
                let view = session.ablate(&request, job);
                let answer = match &view {
                    Err(error) if error.is_cancelled() => return Err(error.clone()),
                    answer => answer.as_ref().map_err(|error| error.message.clone()),
                };
                shared.send(Event::Ablated(id, Box::new(answer.cloned())));
                Ok(String::new())
            },
        )
    }

    /// Sweeps the strength of features that carry a bias, as a job; `Event::Debiased` follows.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn debias(&self, request: DebiasRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        crate::jobs::lock(&self.jobs).start_with_id("Sweep against a bias", move |id, job| {
            let view = session.debias(&request, job);
            let answer = match &view {
                Err(error) if error.is_cancelled() => return Err(error.clone()),
                answer => answer.as_ref().map_err(|error| error.message.clone()),
            };
            shared.send(Event::Debiased(id, Box::new(answer.cloned())));
            Ok(String::new())
        })
    }

    /// Changes of features that are kept in the project. Some small files: keep the answer until
    /// the revision changes.
    ///
    /// # Errors
    /// When no project is open.
    pub fn saved_changes(&self) -> Result<Arc<Vec<SavedChange>>> {
        Ok(Arc::new(self.shared.session()?.saved_changes()?))
    }

    /// Keeps a change of features under its name, away from the frame.
    ///
    /// # Errors
    /// When no project is open.
    pub fn save_change(&self, change: SavedChange) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        self.decisions.run(move || {
            if let Err(error) = session.save_change(&change) {
                shared.send(Event::DecisionFailed(error.message));
            }
            shared.changed();
        });
        Ok(())
    }

    /// Removes a kept change, away from the frame.
    ///
    /// # Errors
    /// When no project is open.
    pub fn remove_change(&self, name: &str) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let name = name.to_owned();
        self.decisions.run(move || {
            if let Err(error) = session.remove_change(&name) {
                shared.send(Event::DecisionFailed(error.message));
            }
            shared.changed();
        });
        Ok(())
    }

    /// Writes recommender, dictionary and steering file into a folder of the name of the change in
    /// `place`, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn export_change(&self, change: SavedChange, place: &Path) -> Result<JobId> {
        let folder = place.join(&change.name);
        self.start_in_project("Export the change", move |job, session| {
            job.report("Writing model and dictionary", 0, 0, "");
            session.export_change(&change, &folder)?;
            Ok(format!("Wrote {}", folder.display()))
        })
    }
}
