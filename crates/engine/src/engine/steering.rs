//! The door's part for steering one sample: requests, sweeps, and files of both.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schema::JobId;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::views::{Event, SteerRequest, SteerTicket, SteeringExport, SweepRequest};

impl Engine {
    /// Turns features up or down on one sample; `Event::Steered` follows. A newer request replaces
    /// one that has not begun.
    ///
    /// # Errors
    /// When there is no such dictionary or its model can neither write nor rank.
    pub fn steer(&self, request: SteerRequest) -> Result<SteerTicket> {
        let session = self.shared.session()?;
        if !session.steerable(&request.sae) {
            return Err(EngineError::request(format!(
                "the model behind {} writes and ranks nothing, so there is nothing to steer",
                request.sae
            )));
        }
        let ticket = self.shared.latest_steer.fetch_add(1, Ordering::AcqRel) + 1;
        let shared = Arc::clone(&self.shared);
        self.steering.run(move || {
            if shared.latest_steer.load(Ordering::Acquire) != ticket {
                return;
            }
            let answer = session
                .steer(&request, &JobContext::silent())
                .map_err(|error| error.message);
            shared.send(Event::Steered(SteerTicket(ticket), Box::new(answer)));
        });
        Ok(SteerTicket(ticket))
    }

    /// Whether features of this dictionary can be turned up and down.
    pub fn can_steer(&self, sae: &str) -> bool {
        self.shared
            .session()
            .is_ok_and(|session| session.steerable(sae))
    }

    /// Steers one sample at many strengths beside random directions, as a job; `Event::Swept`
    /// follows after every run with all runs so far.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn sweep(&self, request: SweepRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        // Nothing that a query sees changes, so no revision is made of it.
        crate::jobs::lock(&self.jobs).start_with_id("Dose-response sweep", move |id, job| {
            let mut tell = |view: &crate::views::SweepView| {
                shared.send(Event::Swept(id, Box::new(Ok(view.clone()))));
            };
            match session.sweep(&request, job, &mut tell) {
                Ok(view) if view.is_complete() => Ok(String::new()),
                Ok(_) => Err(EngineError::cancelled()),
                Err(error) if error.is_cancelled() => Err(error),
                Err(error) => {
                    shared.send(Event::Swept(id, Box::new(Err(error.message))));
                    Ok(String::new())
                }
            }
        })
    }

    /// Writes a steering experiment, or a part of it, to a file, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn export_steering(&self, export: SteeringExport, file: &Path) -> Result<JobId> {
        let file = file.to_owned();
        self.start_in_project("Write the experiment", move |job, session| {
            job.report("Writing the experiment", 0, 0, "");
            session.export_steering(&export, &file, job)?;
            Ok(format!("Wrote {}", file.display()))
        })
    }
}
