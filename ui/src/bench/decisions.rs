//! What the invented project says of decisions that come in and go out.

use engine::views::{Event, JobEnd};
use engine::{DecisionExchange, ImportedDecisions};
use schema::JobId;

use super::invented::Invented;
use crate::backend::{Answer, Decisions};

impl Decisions for Invented {
    fn exchange_decisions(&self, sae: &str, what: DecisionExchange, file: &str) -> Answer<JobId> {
        self.note(format!("exchange decisions on {sae}, {what:?}, {file}"));
        let job = JobId(72);
        let imported = ImportedDecisions {
            n_records: 15,
            n_new: 12,
            n_known: 3,
            readers: vec!["Bea".to_owned()],
            n_conflicts: 2,
            ..ImportedDecisions::default()
        };
        let said = match what {
            DecisionExchange::TakeIn => imported.sentence(),
            DecisionExchange::HandOut => format!("Wrote 15 decisions to {file}"),
            DecisionExchange::Packet { .. } => format!("Wrote the packet to {file}"),
        };
        self.send(Event::JobEnded(job, JobEnd::Finished(said)));
        Ok(job)
    }
}
