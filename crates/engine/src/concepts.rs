//! The job that says what features of a recommender's dictionary look for, and tests how far that
//! holds: `RecSAE`'s concept dictionary and its confidence.

mod answers;
mod feature_set;
mod local_model;
mod output;
mod request;
mod rows;
mod run;
mod scoring;
#[cfg(test)]
mod tests;
mod yardstick;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use explain::TextModel;
use models::recommenders::{InteractionData, Recommender};
use schema::{CatalogueItem, Explanation, FeatureId, HookPoint};
use store::{ArtefactId, ArtefactKind, Durability, HarvestReader, write_atomically};

pub use self::feature_set::LevelRule;
pub use self::request::{CaseChoice, ConceptRequest, ConceptSource};

use self::answers::AnswerBook;
use self::request::RunRecord;
use self::run::Run;
use crate::error::{EngineError, Result};
use crate::evaluate_ranking::check_catalogue;
use crate::indexed::Dictionary;
use crate::jobs::JobContext;
use crate::model_registry::to_json;
use crate::session::Session;
use crate::views::{ConceptSettingsView, ConceptsView};

/// What the run was asked for, beside its results.
const REQUEST: &str = "request.json";
/// Answers of language models, with their prompts.
const ANSWERS: &str = "answers.jsonl";
/// The results.
const CONCEPTS: &str = "concepts.json";

/// A language model that was loaded.
pub(crate) struct Voice {
    /// Its name.
    pub(crate) name: String,
    /// BLAKE3 of its file.
    pub(crate) hash: String,
    /// The model.
    pub(crate) model: Box<dyn TextModel>,
}

/// Language models by the path they were asked for.
type Voices = BTreeMap<PathBuf, Voice>;

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
    /// When the dictionary does not read user vectors of a recommender, a feature does not exist, or
    /// a language model cannot be loaded.
    ///
    /// # Determinism
    /// The same request gives the same results, interrupted or not, but for the times.
    pub fn concepts(&self, request: &ConceptRequest, job: &JobContext) -> Result<ConceptsView> {
        self.concepts_by(request, &mut |path| local_model::load(path, job), job)
    }

    /// [`Session::concepts`] with language models of the caller's.
    pub(crate) fn concepts_by(
        &self,
        request: &ConceptRequest,
        load: &mut dyn FnMut(&Path) -> Result<Voice>,
        job: &JobContext,
    ) -> Result<ConceptsView> {
        let ground = self.concept_ground(&request.sae)?;
        request.check(ground.dictionary.sae.n_features() as u32)?;
        let mut voices = Voices::new();
        for path in request.model_paths() {
            if !voices.contains_key(path) {
                voices.insert(path.clone(), load(path)?);
            }
        }
        let mut record = RunRecord::of(request, &ground, &voices)?;
        if request.explain == ConceptSource::Stored {
            let stored = self.stored_proposals(&request.sae)?;
            record = record.with_stored(store::blake3_of_bytes(&to_json(&stored)?));
        }
        let name = request.name(&voices);
        if let Some(done) = self.finished_concepts(&name, &record) {
            return Ok(done);
        }
        let folder = self.project.artefact_dir(ArtefactKind::Concepts, &name)?;
        let record = self.begin_concepts(&name, &folder, record)?;
        let run = Run {
            session: self,
            request,
            ground: &ground,
            voices: &voices,
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
            self.project
                .replace_explanations(&request.sae, &by, &proposals)?;
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
        read(&self.concepts_file(name, CONCEPTS)?)
    }

    /// Names of the finished runs.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn concept_runs(&self) -> Result<Vec<String>> {
        self.finished(ArtefactKind::Concepts)
    }

    /// The newest proposal of each feature.
    fn stored_proposals(&self, sae: &str) -> Result<BTreeMap<FeatureId, Explanation>> {
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

    /// What is there already for this very request.
    fn finished_concepts(&self, name: &str, record: &RunRecord) -> Option<ConceptsView> {
        if !self.project.is_finished(ArtefactKind::Concepts, name) {
            return None;
        }
        let known = self
            .concepts_file(name, REQUEST)
            .and_then(|path| read::<RunRecord>(&path));
        // What an earlier version wrote otherwise is made anew.
        let known = known.ok().filter(|known| known.asks_the_same(record));
        known.and_then(|_| self.concepts_of(name).ok())
    }

    /// Notes what is asked for; where it was begun with the same, its time stays. Answers of another
    /// request stay too: they are found by what was asked, and never wrong.
    fn begin_concepts(&self, name: &str, folder: &Path, record: RunRecord) -> Result<RunRecord> {
        if self.project.is_finished(ArtefactKind::Concepts, name) {
            self.project.unseal(ArtefactKind::Concepts, name)?;
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| EngineError::other(format!("{}: {error}", folder.display())))?;
        let path = folder.join(REQUEST);
        if let Ok(known) = read::<RunRecord>(&path)
            && known.asks_the_same(&record)
        {
            return Ok(known);
        }
        write_atomically(&path, &to_json(&record)?, Durability::PowerCut)?;
        Ok(record)
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
    let record: RunRecord = read(&session.concepts_file(name, REQUEST)?)?;
    Ok(record.dictionary_and_settings())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}
