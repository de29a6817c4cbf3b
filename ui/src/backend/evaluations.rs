//! The door's part for evaluations of dictionaries and their reports.

use std::path::Path;

use engine::views::ReportPart;
use engine::{Engine, EvaluateRequest};
use schema::JobId;

use super::{Answer, sentence};

/// What the window may ask of evaluations; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Evaluations {
    fn read_report(&self, sae: &str) -> Answer<()>;
    fn evaluate(&self, request: EvaluateRequest) -> Answer<JobId>;
    fn save_report(&self, sae: &str, part: ReportPart, file: &str) -> Answer<JobId>;
}

impl Evaluations for Engine {
    fn read_report(&self, sae: &str) -> Answer<()> {
        Self::read_report(self, sae).map_err(sentence)
    }

    fn evaluate(&self, request: EvaluateRequest) -> Answer<JobId> {
        Self::evaluate(self, request).map_err(sentence)
    }

    fn save_report(&self, sae: &str, part: ReportPart, file: &str) -> Answer<JobId> {
        Self::save_report(self, sae, part, Path::new(file)).map_err(sentence)
    }
}
