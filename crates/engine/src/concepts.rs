//! The job that says what features of a recommender's dictionary look for, and tests how far that
//! holds: `RecSAE`'s concept dictionary and its confidence.

mod feature_set;
mod output;
mod request;
mod rows;
mod run;
mod scoring;
#[cfg(test)]
mod tests;
mod yardstick;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use models::recommenders::{InteractionData, Recommender};
use schema::{CatalogueItem, Explanation, FeatureId, HookPoint};
use store::{ArtefactId, ArtefactKind, Durability, HarvestReader, write_atomically};

pub use self::feature_set::LevelRule;
pub use self::request::{CaseChoice, ConceptRequest};

use self::request::RunRecord;
use self::run::Run;
use crate::error::{EngineError, Result};
use crate::evaluate_ranking::check_catalogue;
use crate::explanation_source::ExplanationSource;
use crate::indexed::Dictionary;
use crate::jobs::JobContext;
use crate::kept_runs::{KeptRun, REQUEST, read_json};
use crate::language_model::{AnswerBook, Voice, load_voice, load_voices};
use crate::model_registry::to_json;
use crate::prompts::ConceptPrompts;
use crate::session::Session;
use crate::views::{ConceptSettingsView, ConceptsView};

/// Answers of language models, with their prompts.
const ANSWERS: &str = "answers.jsonl";
/// The results.
const CONCEPTS: &str = "concepts.json";

/// What a dictionary of user vectors stands on.
struct Ground {
    dictionary: Dictionary,
    model: String,
    recommender: Arc<Recommender>,
    dataset: String,
    data: InteractionData,
    /// By id, from 1.
    catalogue: Vec<CatalogueItem>,
}

impl Session {
    /// Explains features of a dictionary of user vectors from test cases, and judges the
    /// explanations on other test cases; goes on where it stopped, asking no language model twice.
    ///
    /// # Errors
    /// When the dictionary does not read user vectors of a recommender, a feature does not exist, the
    /// name given is that of a finished run of another request, or a language model cannot be loaded.
    ///
    /// # Determinism
    /// The same request gives the same results, interrupted or not, but for the times.
    pub fn concepts(&self, request: &ConceptRequest, job: &JobContext) -> Result<ConceptsView> {
        let judge = request.judge.as_ref();
        let mut sources = [Some(&request.explain), judge].into_iter().flatten();
        if let Some(address) = sources.find_map(ExplanationSource::elsewhere) {
            return Err(EngineError::request(format!(
                "{address} is another computer; people's histories of items go to none, since no \
                 rule takes out of them who someone is: expected keywords, a GGUF file or a server \
                 on this computer"
            )));
        }
        self.concepts_by(request, &mut |from| load_voice(from, None, job), job)
    }

    /// [`Session::concepts`] with language models of the caller's.
    pub(crate) fn concepts_by(
        &self,
        request: &ConceptRequest,
        load: &mut dyn FnMut(&str) -> Result<Voice>,
        job: &JobContext,
    ) -> Result<ConceptsView> {
        let ground = self.concept_ground(&request.sae)?;
        request.check(ground.dictionary.sae.n_features() as u32)?;
        let voices = load_voices(request.models(), load)?;
        let prompts = ConceptPrompts::read(self.project.root())?;
        let mut record = RunRecord::of(request, &ground, (&voices, &prompts))?;
        if request.explain == ExplanationSource::Stored {
            let stored = self.stored_proposals(&request.sae)?;
            record = record.with_stored(store::blake3_of_bytes(&to_json(&stored)?));
        }
        let name = request.name(&voices, &record)?;
        let kept = KeptRun::new(self, ArtefactKind::Concepts, &name)?;
        let is_same = kept.is_finished_as(|known: &RunRecord| known.asks_the_same(&record));
        if is_same && let Ok(done) = self.concepts_of(&name) {
            return Ok(done);
        }
        // A name made of what is asked, or the same request, loses nothing.
        if !request.name.is_empty() && !is_same {
            kept.check_free()?;
        }
        let folder = kept.folder.clone();
        let record = kept.begin(record, RunRecord::asks_the_same)?;
        let run = Run {
            session: self,
            request,
            ground: &ground,
            voices: &voices,
            prompts: &prompts,
            book: AnswerBook::open(&folder.join(ANSWERS))?,
            name: name.clone(),
            record,
            job,
        };
        let (view, proposals) = run.run()?;
        write_atomically(
            &folder.join(CONCEPTS),
            &to_json(&view)?,
            Durability::PowerCut,
        )?;
        let parents = [
            ArtefactId::new(ArtefactKind::Sae, &request.sae)?,
            ArtefactId::new(ArtefactKind::Model, &ground.model)?,
            ArtefactId::new(ArtefactKind::Dataset, &ground.dataset)?,
        ];
        self.project
            .seal(ArtefactKind::Concepts, &name, &parents, &[])?;
        if let Some((by, proposals)) = proposals {
            let features: Vec<FeatureId> = view.concepts.iter().map(|one| one.feature).collect();
            self.project
                .replace_explanations_of(&request.sae, (&by, &features), &proposals)?;
            self.forget_labels(&request.sae);
        }
        // As the file has it, whose last digits a parser may read otherwise.
        self.concepts_of(&name)
    }

    /// The concepts of a run, by its name.
    ///
    /// # Errors
    /// When there is no such run, it is not finished, or its file is damaged.
    pub fn concepts_of(&self, name: &str) -> Result<ConceptsView> {
        // Says so where it is missing or unfinished.
        self.project
            .file_hash(ArtefactKind::Concepts, name, CONCEPTS)?;
        read_json(&self.concepts_file(name, CONCEPTS)?)
    }

    /// Names of the finished runs.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn concept_runs(&self) -> Result<Vec<String>> {
        self.finished(ArtefactKind::Concepts)
    }

    /// The newest proposal of each feature.
    pub(crate) fn stored_proposals(&self, sae: &str) -> Result<BTreeMap<FeatureId, Explanation>> {
        let stored = self.project.latest_explanations(sae)?;
        if stored.is_empty() {
            return Err(EngineError::request(format!(
                "saes/{sae} has no proposals to judge; make some with explain propose"
            )));
        }
        Ok(stored.into_iter().map(|one| (one.feature, one)).collect())
    }

    fn concepts_file(&self, name: &str, file: &str) -> Result<PathBuf> {
        let folder = self.project.artefact_dir(ArtefactKind::Concepts, name)?;
        Ok(folder.join(file))
    }

    /// Whether a dictionary reads user vectors of a recommender, whose features are explained as
    /// concepts.
    ///
    /// # Errors
    /// When there is none of that name, or its files are damaged.
    pub fn reads_user_vectors(&self, sae: &str) -> Result<bool> {
        let dictionary = self.dictionary(sae)?;
        let reader = HarvestReader::open(&self.project, &dictionary.harvest)?;
        Ok(reader.manifest().hook == HookPoint::UserVector)
    }

    /// Dictionary, recommender and data, where the dictionary reads user vectors.
    fn concept_ground(&self, sae: &str) -> Result<Ground> {
        let dictionary = self.dictionary(sae)?;
        let reader = HarvestReader::open(&self.project, &dictionary.harvest)?;
        let manifest = reader.manifest();
        if manifest.hook != HookPoint::UserVector {
            return Err(EngineError::request(format!(
                "concepts are read off what a recommender recommends: expected a dictionary of {}, \
                 but saes/{sae} was made at {} of models/{}",
                HookPoint::UserVector,
                manifest.hook,
                manifest.model
            )));
        }
        let recommender = Arc::clone(self.model(&manifest.model)?.as_recommender()?);
        let data = self.interactions(&manifest.dataset)?;
        check_catalogue((&manifest.model, &recommender), (&manifest.dataset, &data))?;
        let dataset = self.dataset(&manifest.dataset)?;
        let mut catalogue: Vec<CatalogueItem> = (1..=data.n_items)
            .map(|id| CatalogueItem {
                id,
                ..CatalogueItem::default()
            })
            .collect();
        for item in &dataset.catalogue {
            if let Some(slot) = catalogue.get_mut((item.id as usize).wrapping_sub(1)) {
                slot.clone_from(item);
            }
        }
        Ok(Ground {
            dictionary,
            model: manifest.model.clone(),
            recommender,
            dataset: manifest.dataset.clone(),
            data,
            catalogue,
        })
    }
}

/// The dictionary of a run and how it was made, without its results.
///
/// # Errors
/// When there is no such run, or its record is damaged.
pub(crate) fn concept_settings(
    session: &Session,
    name: &str,
) -> Result<(String, ConceptSettingsView)> {
    let record: RunRecord = read_json(&session.concepts_file(name, REQUEST)?)?;
    Ok(record.dictionary_and_settings())
}
