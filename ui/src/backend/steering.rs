//! The door's part for steering one sample.

use std::path::Path;

use engine::Engine;
use engine::views::{SteerRequest, SteerTicket, SteeringExport, SweepRequest};
use schema::JobId;

use super::{Answer, sentence};

/// What the window may ask of steering; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Steering {
    fn steer(&self, request: SteerRequest) -> Answer<SteerTicket>;
    fn can_steer(&self, sae: &str) -> bool;
    fn sweep(&self, request: SweepRequest) -> Answer<JobId>;
    fn export_steering(&self, export: SteeringExport, file: &str) -> Answer<JobId>;
}

impl Steering for Engine {
    fn steer(&self, request: SteerRequest) -> Answer<SteerTicket> {
        Self::steer(self, request).map_err(sentence)
    }

    fn can_steer(&self, sae: &str) -> bool {
        Self::can_steer(self, sae)
    }

    fn sweep(&self, request: SweepRequest) -> Answer<JobId> {
        Self::sweep(self, request).map_err(sentence)
    }

    fn export_steering(&self, export: SteeringExport, file: &str) -> Answer<JobId> {
        Self::export_steering(self, export, Path::new(file)).map_err(sentence)
    }
}
