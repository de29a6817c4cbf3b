//! The door's part for readers who work elsewhere: decisions out and in, and packets.

use std::path::Path;

use schema::JobId;

use crate::decision_files::DecisionExchange;
use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::lock;
use crate::packet::PacketRequest;

impl Engine {
    /// Hands decisions on a dictionary out, or takes a reader's in, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn exchange_decisions(
        &self,
        sae: &str,
        what: DecisionExchange,
        file: &Path,
    ) -> Result<JobId> {
        let session = self.shared.session()?;
        let (sae, file) = (sae.to_owned(), file.to_owned());
        match what {
            DecisionExchange::TakeIn => {
                let title = format!("Take in decisions on {sae}");
                self.start_in_project(&title, move |job, session| {
                    job.report("Reading the decisions", 0, 0, "");
                    let imported = session.import_decisions(&sae, &file, None)?;
                    Ok(imported.sentence())
                })
            }
            // Nothing that a query sees changes, so no revision is made of these.
            DecisionExchange::HandOut => {
                lock(&self.jobs).start(&format!("Hand out decisions on {sae}"), move |job| {
                    job.report("Writing the decisions", 0, 0, "");
                    let n = session.export_decisions(&sae, &file)?;
                    Ok(format!("Wrote {n} decisions to {}", file.display()))
                })
            }
            DecisionExchange::Packet { limit, write_first } => {
                lock(&self.jobs).start(&format!("Write a packet of {sae}"), move |job| {
                    let request = PacketRequest {
                        sae,
                        file,
                        features: Vec::new(),
                        limit,
                        reviewer: String::new(),
                        seed: 0,
                        write_first,
                    };
                    Ok(session.write_packet(&request, job)?.sentence())
                })
            }
        }
    }
}
