//! The door's part for dictionaries and models that come in from other tools and go out to them.

use std::sync::Arc;

use engine::views::AddModelRequest;
use engine::{Engine, ExportRequest, SaeImportRequest};
use schema::{HarvestManifest, JobId};

use super::{Answer, sentence};

/// What the window may ask of what comes in and goes out; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Exchange {
    fn harvests(&self) -> Answer<Arc<Vec<HarvestManifest>>>;
    fn import_sae(&self, request: SaeImportRequest) -> Answer<JobId>;
    fn export_sae(&self, request: ExportRequest) -> Answer<JobId>;
    fn add_model(&self, request: AddModelRequest) -> Answer<JobId>;
}

impl Exchange for Engine {
    fn harvests(&self) -> Answer<Arc<Vec<HarvestManifest>>> {
        Self::harvests(self).map_err(sentence)
    }

    fn import_sae(&self, request: SaeImportRequest) -> Answer<JobId> {
        Self::import_sae(self, request).map_err(sentence)
    }

    fn export_sae(&self, request: ExportRequest) -> Answer<JobId> {
        Self::export_sae(self, request).map_err(sentence)
    }

    fn add_model(&self, request: AddModelRequest) -> Answer<JobId> {
        Self::add_model(self, request).map_err(sentence)
    }
}
