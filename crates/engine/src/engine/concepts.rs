//! The door's part for concepts of recommenders' dictionaries.

use std::sync::Arc;

use schema::JobId;

use crate::concepts::ConceptRequest;
use crate::engine::Engine;
use crate::error::Result;
use crate::views::{ConceptRunView, Event};

impl Engine {
    /// Finished runs of concepts of a dictionary, newest first. Some small files: keep the answer
    /// until the revision changes.
    ///
    /// # Errors
    /// When no project is open, or the record of a run is damaged.
    pub fn concept_runs(&self, sae: &str) -> Result<Arc<Vec<ConceptRunView>>> {
        Ok(Arc::new(self.shared.session()?.concept_runs_of(sae)?))
    }

    /// Reads a run of concepts; `Event::ConceptsRead` follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn read_concepts(&self, name: &str) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let name = name.to_owned();
        self.reading.run(move || {
            let answer = session.concept_pages(&name);
            let answer = answer.map(Arc::new).map_err(|error| error.message);
            shared.send(Event::ConceptsRead(name, answer));
        });
        Ok(())
    }

    /// Explains features of a dictionary of user vectors and tests the explanations, as a job; one
    /// that was stopped goes on where it was when the same is asked for again.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn make_concepts(&self, request: ConceptRequest) -> Result<JobId> {
        let title = format!("Concepts of {}", request.sae);
        self.start_in_project(&title, move |job, session| {
            let view = session.concepts(&request, job)?;
            Ok(format!(
                "Explained {} of {} features of {}, {} of them interpretable",
                view.totals.n_scored, view.totals.n_chosen, view.sae, view.totals.n_interpretable
            ))
        })
    }
}
