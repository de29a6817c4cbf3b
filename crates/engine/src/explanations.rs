//! The job that says what features of a text or film model look for, and tests how far that holds:
//! passages to explain from, passages of other patients to judge, swapped explanations and
//! dictionaries that mean nothing beside them.

mod activity;
mod output;
mod passages;
mod prompts;
mod request;
mod run;
mod scoring;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schema::{Explanation, FeatureId};
use store::{ArtefactId, ArtefactKind, Durability, write_atomically};

pub use self::request::{ExplainRequest, ScoreMethod};

use self::prompts::Prompts;
use self::request::RunRecord;
use self::run::Run;
use crate::concepts::ConceptSource;
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::kept_runs::{KeptRun, read_json};
use crate::language_model::{AnswerBook, Voice, load_voice, load_voices};
use crate::model_registry::to_json;
use crate::session::Session;
use crate::views::{ExampleKind, ExplanationsView};

/// Answers of language models, with their prompts.
const ANSWERS: &str = "answers.jsonl";
/// The results.
const EXPLANATIONS: &str = "explanations.json";

impl Session {
    /// Explains features of a dictionary from passages of some patients and judges the explanations
    /// on passages of others; goes on where it stopped, asking no language model twice.
    ///
    /// # Errors
    /// When the dictionary has no index or reads item histories, a feature does not exist, the
    /// dataset says nothing in words, or a language model cannot be loaded.
    ///
    /// # Determinism
    /// The same request gives the same results, interrupted or not, but for the times.
    pub fn explain_features(
        &self,
        request: &ExplainRequest,
        job: &JobContext,
    ) -> Result<ExplanationsView> {
        self.explain_features_by(request, &mut |from| load_voice(from, job), job)
    }

    /// [`Session::explain_features`] with language models of the caller's.
    pub(crate) fn explain_features_by(
        &self,
        request: &ExplainRequest,
        load: &mut dyn FnMut(&str) -> Result<Voice>,
        job: &JobContext,
    ) -> Result<ExplanationsView> {
        let indexed = self.indexed(&request.sae)?;
        if indexed.kind == ExampleKind::History {
            return Err(EngineError::request(format!(
                "{} reads item histories, whose features are explained as concepts (explain \
                 concepts); expected a dictionary of texts or films",
                request.sae
            )));
        }
        request.check(indexed.index.n_features())?;
        let prompts = Prompts::read(self.project.root())?;
        let stored = (request.explain == ConceptSource::Stored)
            .then(|| self.stored_proposals(&request.sae))
            .transpose()?;
        let voices = load_voices(request.models(), load)?;
        let record = RunRecord::of(
            request,
            &indexed.dictionary.hash,
            (&voices, &prompts),
            stored.as_ref(),
        )?;
        let name = request.name(&voices);
        let kept = KeptRun::new(self, ArtefactKind::Explanations, &name)?;
        if kept.is_finished_as(|known: &RunRecord| known.asks_the_same(&record))
            && let Ok(done) = self.explanations_run(&name)
        {
            return Ok(done);
        }
        let record = kept.begin(record, RunRecord::asks_the_same)?;
        let settings = record.settings.clone();
        let run = Run {
            session: self,
            request,
            indexed: &indexed,
            voices: &voices,
            prompts: &prompts,
            stored: stored.as_ref(),
            book: AnswerBook::open(&kept.folder.join(ANSWERS))?,
            name: name.clone(),
            record,
            job,
        };
        let view = run.run()?;
        write_atomically(
            &kept.folder.join(EXPLANATIONS),
            &to_json(&view)?,
            Durability::PowerCut,
        )?;
        let parents = [ArtefactId::new(ArtefactKind::Sae, &request.sae)?];
        self.project
            .seal(ArtefactKind::Explanations, &name, &parents, &[])?;
        let proposed = output::proposals(&view.features, &settings, &name);
        if let Some(stored) = stored {
            self.note_scores(&request.sae, stored, &proposed)?;
        } else {
            self.project
                .replace_explanations(&request.sae, &settings.explained_by, &proposed)?;
        }
        self.forget_labels(&request.sae);
        // As the file has it, whose last digits a parser may read otherwise.
        self.explanations_run(&name)
    }

    /// Puts scores to proposals that were there; who made them and when stays.
    fn note_scores(
        &self,
        sae: &str,
        stored: BTreeMap<FeatureId, Explanation>,
        scored: &[Explanation],
    ) -> Result<()> {
        let mut by_proposer: BTreeMap<String, Vec<Explanation>> = BTreeMap::new();
        for (feature, mut known) in stored {
            if let Some(one) = scored.iter().find(|one| one.feature == feature)
                && one.score.is_some()
            {
                known.score.clone_from(&one.score);
                known.run.clone_from(&one.run);
            }
            by_proposer.entry(known.by.clone()).or_default().push(known);
        }
        for (by, explanations) in by_proposer {
            self.project.replace_explanations(sae, &by, &explanations)?;
        }
        Ok(())
    }

    /// The results of a run, by its name.
    ///
    /// # Errors
    /// When there is no such run, it is not finished, or its file is damaged.
    pub fn explanations_run(&self, name: &str) -> Result<ExplanationsView> {
        // Says so where it is missing or unfinished.
        self.project
            .file_hash(ArtefactKind::Explanations, name, EXPLANATIONS)?;
        let folder = self
            .project
            .artefact_dir(ArtefactKind::Explanations, name)?;
        read_json(&folder.join(EXPLANATIONS))
    }

    /// Names of the finished runs.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn explanation_runs(&self) -> Result<Vec<String>> {
        self.finished(ArtefactKind::Explanations)
    }
}
