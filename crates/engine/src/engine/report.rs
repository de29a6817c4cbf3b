//! The door's part for evaluations of dictionaries and their reports.

use std::path::Path;
use std::sync::Arc;

use schema::JobId;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::evaluate_sae::EvaluateRequest;
use crate::views::{Event, ReportPart};

impl Engine {
    /// Measures a dictionary and keeps the report, as a job; `Event::Evaluated` follows.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn evaluate(&self, request: EvaluateRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        let title = format!("Evaluate {}", request.dictionary);
        self.start(&title, move |job, shared| {
            let name = request.dictionary.clone();
            let report = session
                .evaluate_and_keep(&request, job)
                .and_then(|_kept| session.dictionary_report(&name));
            if report.as_ref().is_err_and(EngineError::is_cancelled) {
                return report.map(|_| String::new());
            }
            let answer = report.as_ref().map_err(|error| error.message.clone());
            let answer = answer.map(|report| Arc::new(report.clone()));
            shared.send(Event::Evaluated(name.clone(), answer));
            report.map(|_| format!("Evaluated {name}"))
        })
    }

    /// Reads what is known of a dictionary; `Event::Evaluated` follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn read_report(&self, sae: &str) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let name = sae.to_owned();
        self.reading.run(move || {
            let report = session.dictionary_report(&name);
            let answer = report.map(Arc::new).map_err(|error| error.message);
            shared.send(Event::Evaluated(name, answer));
        });
        Ok(())
    }

    /// Writes a part of a dictionary's report to a file, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn save_report(&self, sae: &str, part: ReportPart, file: &Path) -> Result<JobId> {
        let (sae, file) = (sae.to_owned(), file.to_owned());
        self.start_in_project("Write the report", move |job, session| {
            job.report("Writing the report", 0, 0, "");
            session.save_report_part(&sae, &part, &file)?;
            Ok(format!("Wrote {}", file.display()))
        })
    }
}
