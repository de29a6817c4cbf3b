//! What was measured of a dictionary, kept in the project, so that it is there at the next start.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use store::{ArtefactId, ArtefactKind, ArtefactState};

use crate::error::Result;
use crate::evaluate_sae::{EvaluateRequest, EvaluationReport};
use crate::jobs::JobContext;
use crate::kept_runs::read_json;
use crate::model_registry::to_json;
use crate::session::Session;

const EVALUATION: &str = "evaluation.json";

/// An evaluation with what it was asked for, of what, when and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptEvaluation {
    /// What was asked for.
    pub request: EvaluateRequest,
    /// BLAKE3 of the dictionary's weights.
    pub sae_hash: String,
    /// Version of the program.
    pub made_by: String,
    /// When it was done, RFC 3339 in UTC.
    pub at: String,
    /// How long it took.
    pub seconds: f64,
    /// What was measured.
    pub report: EvaluationReport,
}

impl Session {
    /// Measures a dictionary and keeps the report in the project, in place of an earlier one.
    ///
    /// # Errors
    /// Those of [`Session::evaluate_sae`], and when the report cannot be written.
    pub fn evaluate_and_keep(
        &self,
        request: &EvaluateRequest,
        job: &JobContext,
    ) -> Result<KeptEvaluation> {
        let began = Instant::now();
        let report = self.evaluate_sae(request, job)?;
        let name = request.dictionary.as_str();
        let kept = KeptEvaluation {
            request: request.clone(),
            sae_hash: self
                .project
                .file_hash(ArtefactKind::Sae, name, "sae.safetensors")?,
            made_by: format!("fluoroscope {}", env!("CARGO_PKG_VERSION")),
            at: store::utc_now(),
            seconds: began.elapsed().as_secs_f64(),
            report,
        };
        let mut parents = BTreeSet::from([
            ArtefactId::new(ArtefactKind::Sae, name)?,
            ArtefactId::new(ArtefactKind::Harvest, &kept.report.harvest)?,
        ]);
        if let Some(other) = &request.against {
            parents.insert(ArtefactId::new(ArtefactKind::Sae, other)?);
        }
        if let Some(other) = &request.embeddings {
            parents.insert(ArtefactId::new(ArtefactKind::Harvest, other)?);
        }
        let parents: Vec<ArtefactId> = parents.into_iter().collect();
        let draft = self
            .project
            .begin_replacing(ArtefactKind::Evaluation, name)?;
        draft.write(EVALUATION, &to_json(&kept)?)?;
        draft.finish(&parents, &[])?;
        // As the file has it, whose last digits a parser may read otherwise.
        self.kept_evaluation(name)?.map_or(Ok(kept), Ok)
    }

    /// The evaluation of a dictionary that is kept; `None` where none is.
    ///
    /// # Errors
    /// When its file is damaged.
    pub fn kept_evaluation(&self, dictionary: &str) -> Result<Option<KeptEvaluation>> {
        let kind = ArtefactKind::Evaluation;
        if !self.project.is_finished(kind, dictionary) {
            return Ok(None);
        }
        let folder = self.project.artefact_dir(kind, dictionary)?;
        read_json(&folder.join(EVALUATION)).map(Some)
    }

    /// Which of what an evaluation was made from has changed since or is gone, e.g. `saes/films`.
    ///
    /// # Errors
    /// When the record of the evaluation is damaged.
    pub(crate) fn changed_since_evaluation(&self, dictionary: &str) -> Result<Vec<String>> {
        let hashes = self.project.hashes(ArtefactKind::Evaluation, dictionary)?;
        let mut changed = Vec::new();
        for parent in &hashes.parents {
            let now = self.project.list(parent.artefact.kind())?;
            let is_same = now.iter().any(|entry| {
                entry.name == parent.artefact.name()
                    && matches!(&entry.state, ArtefactState::Finished { hash, .. } if *hash == parent.hash)
            });
            if !is_same {
                changed.push(parent.artefact.to_string());
            }
        }
        Ok(changed)
    }
}
