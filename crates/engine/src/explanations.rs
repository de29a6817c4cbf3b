//! The job that says what features of a text or film model look for, and tests how far that holds:
//! passages to explain from, passages of other patients to judge, swapped explanations and
//! dictionaries that mean nothing beside them.

mod activity;
#[cfg(test)]
mod elsewhere_tests;
mod naming;
mod output;
mod passages;
mod request;
mod run;
mod scoring;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{Explanation, FeatureId};
use store::{ArtefactId, ArtefactKind, Durability, write_atomically};

pub use self::naming::BELONGS_FROM;
pub use self::request::{ExplainRequest, ScoreMethod};

use self::request::RunRecord;
use self::run::Run;
use crate::error::{EngineError, Result};
use crate::explanation_source::ExplanationSource;
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::kept_runs::{KeptRun, read_json};
use crate::language_model::{AnswerBook, Voice, Voices, load_voices};
use crate::model_registry::to_json;
use crate::prompts::Prompts;
use crate::sending::Planned;
use crate::session::Session;
use crate::views::{ExampleKind, ExplanationsView, ScoreEvidenceView};

/// Answers of language models, with their prompts.
const ANSWERS: &str = "answers.jsonl";
/// The results.
const EXPLANATIONS: &str = "explanations.json";

/// What a request is answered from, read before a run is begun or planned.
struct Asked {
    indexed: Arc<IndexedDictionary>,
    prompts: Prompts,
    stored: Option<BTreeMap<FeatureId, Explanation>>,
    voices: Voices,
}

impl Asked {
    fn read(
        session: &Session,
        request: &ExplainRequest,
        load: &mut dyn FnMut(&str) -> Result<Voice>,
    ) -> Result<Self> {
        let indexed = session.indexed(&request.sae)?;
        if indexed.kind == ExampleKind::History {
            return Err(EngineError::request(format!(
                "{} reads item histories, whose features are explained as concepts (explain \
                 concepts); expected a dictionary of texts or films",
                request.sae
            )));
        }
        request.check(indexed.index.n_features())?;
        Ok(Self {
            indexed,
            prompts: Prompts::read(session.project.root())?,
            stored: (request.explain == ExplanationSource::Stored)
                .then(|| session.stored_proposals(&request.sae))
                .transpose()?,
            voices: load_voices(request.models(), load)?,
        })
    }

    fn record(&self, request: &ExplainRequest) -> Result<RunRecord> {
        let hash = &self.indexed.dictionary.hash;
        let by = (&self.voices, &self.prompts);
        RunRecord::of(request, hash, by, self.stored.as_ref())
    }
}

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
        self.explain_features_by(request, &mut |from| self.load_allowed_voice(from, job), job)
    }

    /// [`Session::explain_features`] with language models of the caller's.
    pub(crate) fn explain_features_by(
        &self,
        request: &ExplainRequest,
        load: &mut dyn FnMut(&str) -> Result<Voice>,
        job: &JobContext,
    ) -> Result<ExplanationsView> {
        let asked = Asked::read(self, request, load)?;
        let record = asked.record(request)?;
        let stored = asked.stored.as_ref();
        let name = request.name(&asked.voices, &record)?;
        let kept = KeptRun::new(self, ArtefactKind::Explanations, &name)?;
        let is_same = kept.is_finished_as(|known: &RunRecord| known.asks_the_same(&record));
        if is_same && let Ok(done) = self.explanations_run(&name) {
            self.keep_proposals(&done, stored)?;
            return Ok(done);
        }
        // A name made of what is asked, or the same request, loses nothing.
        if !request.name.is_empty() && !is_same {
            kept.check_free()?;
        }
        let record = kept.begin(record, RunRecord::asks_the_same)?;
        let run = Run {
            session: self,
            request,
            indexed: &asked.indexed,
            voices: &asked.voices,
            prompts: &asked.prompts,
            stored: asked.stored.as_ref(),
            book: AnswerBook::open(&kept.folder.join(ANSWERS))?,
            name: name.clone(),
            record,
            planned: None,
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
        self.keep_proposals(&view, stored)?;
        // As the file has it, whose last digits a parser may read otherwise.
        self.explanations_run(&name)
    }

    /// Runs a request up to the first question that is not answered, and says how much there would
    /// be to ask; writes nothing.
    ///
    /// # Errors
    /// Those of [`Session::explain_features`], up to there.
    pub(crate) fn plan_explanations(
        &self,
        request: &ExplainRequest,
        load: &mut dyn FnMut(&str) -> Result<Voice>,
        job: &JobContext,
    ) -> Result<Planned> {
        let asked = Asked::read(self, request, load)?;
        let planned = Cell::new(Planned::default());
        let run = Run {
            session: self,
            request,
            record: asked.record(request)?,
            indexed: &asked.indexed,
            voices: &asked.voices,
            prompts: &asked.prompts,
            stored: asked.stored.as_ref(),
            book: AnswerBook::forgetful(),
            name: String::new(),
            planned: Some(&planned),
            job,
        };
        match run.run() {
            Err(error) if !error.is_cancelled() => Err(error),
            _ => {
                job.check_cancelled()?;
                Ok(planned.get())
            }
        }
    }

    /// Keeps what a run proposed of the features it looked at, or, where proposals were there, their
    /// scores only. What is known of other features stays.
    fn keep_proposals(
        &self,
        view: &ExplanationsView,
        stored: Option<&BTreeMap<FeatureId, Explanation>>,
    ) -> Result<()> {
        let proposed = output::proposals(&view.features, &view.settings, &view.name);
        if let Some(stored) = stored {
            let scored: Vec<Explanation> = proposed
                .into_iter()
                .filter(|one| one.score.is_some())
                .filter_map(|one| {
                    let known = stored.get(&one.feature)?;
                    Some(Explanation {
                        by: known.by.clone(),
                        text: known.text.clone(),
                        ..one
                    })
                })
                .collect();
            self.project.note_scores(&view.sae, &scored)?;
        } else {
            let features: Vec<FeatureId> = view.features.iter().map(|one| one.feature).collect();
            let by = view.settings.explained_by.as_str();
            self.project
                .replace_explanations_of(&view.sae, (by, &features), &proposed)?;
        }
        self.forget_labels(&view.sae);
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

    /// What the score of a feature rests on, from the run that measured it.
    ///
    /// # Errors
    /// As [`Session::explanations_run`], or when the run did not look at the feature.
    pub fn score_evidence(&self, run: &str, feature: FeatureId) -> Result<ScoreEvidenceView> {
        let view = self.explanations_run(run)?;
        let mut features = view.features.into_iter();
        let Some(feature) = features.find(|one| one.feature == feature) else {
            return Err(EngineError::request(format!(
                "explanations/{run} did not look at feature {feature}; expected one of its features"
            )));
        };
        Ok(ScoreEvidenceView {
            run: view.name,
            settings: view.settings,
            feature,
            totals: view.totals,
            controls: view.controls,
        })
    }

    /// Names of the finished runs.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn explanation_runs(&self) -> Result<Vec<String>> {
        self.finished(ArtefactKind::Explanations)
    }
}
