//! The door's part for decisions that come from readers elsewhere and go out to them.

use std::path::Path;

use engine::{DecisionExchange, Engine};
use schema::JobId;

use super::{Answer, sentence};

/// What the window may ask of decisions elsewhere; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Decisions {
    fn exchange_decisions(&self, sae: &str, what: DecisionExchange, file: &str) -> Answer<JobId>;
}

impl Decisions for Engine {
    fn exchange_decisions(&self, sae: &str, what: DecisionExchange, file: &str) -> Answer<JobId> {
        Self::exchange_decisions(self, sae, what, Path::new(file)).map_err(sentence)
    }
}
