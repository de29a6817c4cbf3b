//! What the trainer learns from: films with planted findings and their reports.

use schema::{Film, Mask};

use crate::ModelError;

/// A finding planted in a film.
#[derive(Debug, Clone, PartialEq)]
pub struct PlantedFinding {
    /// Index in the list of findings.
    pub finding: usize,
    /// The pixels it covers; `None` for a finding that changes the whole film.
    pub mask: Option<Mask>,
}

/// One film to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct VlmExample {
    /// The film.
    pub film: Film,
    /// All findings it shows.
    pub findings: Vec<PlantedFinding>,
    /// The report to be written.
    pub report: String,
}

/// Where examples come from: by index, the same one each time, from several threads at once.
pub trait VlmExamples: Sync {
    /// The example number `index`.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn example(&self, index: u32) -> Result<VlmExample, ModelError>;
}

impl<F: Fn(u32) -> Result<VlmExample, ModelError> + Sync> VlmExamples for F {
    fn example(&self, index: u32) -> Result<VlmExample, ModelError> {
        self(index)
    }
}
