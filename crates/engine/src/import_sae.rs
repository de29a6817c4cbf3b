//! The job that takes dictionaries of other tools into the project, with what was published of
//! their features as proposals to review.

use std::path::{Path, PathBuf};

use sae::SaeError;
use sae::formats::interpretations;
use schema::{Explanation, HookPoint, SaeEvaluation, Skipped};
use serde::Serialize;
use store::{ArtefactDraft, ArtefactId, ArtefactKind, HarvestReader, blake3_of_file};

use crate::error::{EngineError, Result};
use crate::foreign_sae::{ForeignPlace, ForeignSae, entries, find_dictionaries};
use crate::harvest::HarvestRequest;
use crate::import_explanations::proposal;
use crate::jobs::JobContext;
use crate::locate_sae::{LayerTest, TestedSae, misfit};
use crate::model_registry::to_json;
use crate::read_back::ReadBack;
use crate::session::Session;
use crate::train_sae::{EVALUATION, harvest_hash};

/// Who proposed an explanation that came with a dictionary.
pub(crate) const PUBLISHED: &str = "published interpretations";

/// What is to be imported, and what its rows are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaeImportRequest {
    /// Name of the dictionary; with several in one folder, what each name begins with.
    pub name: String,
    /// Folder of one dictionary, or of several in sub-folders.
    pub path: PathBuf,
    /// One of [`crate::sae_formats`], or `auto`.
    pub format: String,
    /// A harvest of the project that it reads; else model and dataset are given.
    pub harvest: Option<String>,
    /// Model to record a harvest from.
    pub model: Option<String>,
    /// Dataset to record a harvest of.
    pub dataset: Option<String>,
    /// Where it reads; `None` leaves it to the layer self-test and the dictionary's own files.
    pub hook: Option<HookPoint>,
    /// Candidates of the layer self-test, as [`crate::LocateRequest::hooks`].
    pub hooks: Option<String>,
    /// The first so many samples of the dataset only.
    pub limit: Option<u32>,
    /// Active features per row of a bare state dictionary.
    pub k: Option<u32>,
}

/// A table of interpretations that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedTable {
    /// Name of the file.
    pub file: String,
    /// BLAKE3 of its bytes.
    pub blake3: String,
    /// Rows with a text.
    pub n_rows: usize,
    /// Rows that became proposals; the others repeat what an earlier file says of the feature.
    pub n_proposals: usize,
}

impl ImportedTable {
    /// What came of it.
    pub fn sentence(&self) -> String {
        format!(
            "{} proposals to review from the {} rows of {}",
            self.n_proposals, self.n_rows, self.file
        )
    }
}

/// One dictionary that was imported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedSae {
    /// Its name in the project.
    pub name: String,
    /// Its class in the other tool.
    pub class: String,
    /// Width of the vectors it reads.
    pub d_model: usize,
    /// Number of features.
    pub n_features: usize,
    /// Active features per row, where its rule has such a number.
    pub k: Option<u32>,
    /// Where it reads.
    pub hook: HookPoint,
    /// The harvest that it hangs off.
    pub harvest: String,
    /// On every row of that harvest.
    pub evaluation: SaeEvaluation,
    /// How far what is kept differs from what was read.
    pub read_back: ReadBack,
    /// Proposals to review.
    pub n_proposals: usize,
    /// Where they came from.
    pub tables: Vec<ImportedTable>,
    /// Where the layer self-test puts it, if it was run.
    pub layer_test: Option<LayerTest>,
    /// What a user should know, a sentence each.
    pub notes: Vec<String>,
}

impl ImportedSae {
    /// What it is, where it reads, and its figures there.
    pub fn sentence(&self) -> String {
        format!(
            "Imported {}: {} of {} features, width {}, at {} (harvest {}), FVU {:.3}, L0 {:.1}; {}",
            self.name,
            self.class,
            self.n_features,
            self.d_model,
            self.hook,
            self.harvest,
            self.evaluation.fvu,
            self.evaluation.l0,
            self.read_back.sentence()
        )
    }
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SaeImport {
    /// The dictionaries, in order of name.
    pub dictionaries: Vec<ImportedSae>,
    /// Files that were left out.
    pub skipped: Vec<Skipped>,
}

impl SaeImport {
    /// What came in, and how many files were left out, in one line.
    pub fn sentence(&self) -> String {
        let brought = match self.dictionaries.as_slice() {
            [one] => one.sentence(),
            several => {
                let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
                format!(
                    "Imported {} dictionaries: {}",
                    several.len(),
                    names.join(", ")
                )
            }
        };
        match self.skipped.len() {
            0 => brought,
            1 => format!("{brought}; 1 file was left out"),
            n => format!("{brought}; {n} files were left out"),
        }
    }
}

/// A dictionary that was read and may be kept.
struct Candidate {
    foreign: ForeignSae,
    format: &'static str,
    tables: Vec<ImportedTable>,
    explanations: Vec<Explanation>,
    test: Option<LayerTest>,
}

impl Session {
    /// Imports one or several dictionaries and the interpretations that lie beside them.
    ///
    /// Everything is read and checked first, so that a file that cannot be used changes nothing.
    /// A dictionary always hangs off a harvest, as one trained here does: the harvest that is
    /// named, or one that is recorded from model and dataset. In the second case the layer
    /// self-test decides between the readings of its layer unless `hook` is given.
    ///
    /// # Errors
    /// When a file is missing, damaged, or would run code; the widths of dictionary and hook point
    /// differ; a name is taken; or model, dataset or harvest do not exist.
    pub fn import_sae(&self, request: &SaeImportRequest, job: &JobContext) -> Result<SaeImport> {
        let source = self.row_source(request)?;
        let places = find_dictionaries(&request.path, &request.format)?;
        let mut skipped = Vec::new();
        let mut candidates = Vec::with_capacity(places.len());
        for (done, place) in (0_u64..).zip(&places) {
            job.check_cancelled()?;
            job.report(
                "Reading dictionaries",
                done,
                places.len() as u64,
                "dictionaries",
            );
            self.check_free(&place.name(&request.name))?;
            candidates.push(read_candidate(place, request, &mut skipped)?);
        }
        if places.len() > 1 || places.iter().any(|place| place.part.is_some()) {
            skip_tables_of_none(&request.path, &mut skipped)?;
        }
        if let RowSource::Recorded { model, dataset } = &source {
            let tests = self.test_candidates(&candidates, model, dataset, request, job)?;
            for (candidate, test) in candidates.iter_mut().zip(tests) {
                candidate.test = Some(test);
            }
        }
        let mut plans = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            plans.push(self.plan(candidate, &source, request)?);
        }
        let mut drafts = Vec::with_capacity(candidates.len());
        for (candidate, (hook, harvest)) in candidates.into_iter().zip(plans) {
            if let RowSource::Recorded { model, dataset } = &source
                && !self.project.is_finished(ArtefactKind::Harvest, &harvest)
            {
                self.harvest(
                    &HarvestRequest {
                        name: harvest.clone(),
                        model: model.clone(),
                        dataset: dataset.clone(),
                        hook,
                        positions: self.positions_at(model, hook)?.to_owned(),
                        limit: request.limit,
                        pool: 1,
                    },
                    job,
                )?;
            }
            drafts.push(self.draft_sae(candidate, hook, &harvest, job)?);
        }
        // All or none: from here on nothing takes long or reads the user's files.
        let mut dictionaries = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let parent = ArtefactId::new(ArtefactKind::Harvest, &draft.imported.harvest)?;
            draft.artefact.finish(&[parent], &[])?;
            self.project
                .put_explanations(&draft.imported.name, &draft.explanations)?;
            self.forget(&draft.imported.name);
            dictionaries.push(draft.imported);
        }
        Ok(SaeImport {
            dictionaries,
            skipped,
        })
    }

    fn check_free(&self, name: &str) -> Result<()> {
        let folder = self.project.artefact_dir(ArtefactKind::Sae, name)?;
        if folder.exists() {
            return Err(EngineError::request(format!(
                "saes/{name} is already there; choose another name"
            )));
        }
        Ok(())
    }

    /// Which rows the dictionaries are to hang off.
    fn row_source(&self, request: &SaeImportRequest) -> Result<RowSource> {
        match (&request.harvest, &request.model, &request.dataset) {
            (Some(harvest), None, None) => Ok(RowSource::Harvest(harvest.clone())),
            (None, Some(model), Some(dataset)) => {
                self.model(model)?;
                self.dataset(dataset)?;
                Ok(RowSource::Recorded {
                    model: model.clone(),
                    dataset: dataset.clone(),
                })
            }
            _ => Err(EngineError::request(
                "a dictionary is looked at on rows of a model; give either --harvest H, or \
                 --model M and --dataset D",
            )),
        }
    }

    fn test_candidates(
        &self,
        candidates: &[Candidate],
        model: &str,
        dataset: &str,
        request: &SaeImportRequest,
        job: &JobContext,
    ) -> Result<Vec<LayerTest>> {
        let tested: Vec<TestedSae<'_>> = candidates
            .iter()
            .map(|candidate| TestedSae {
                name: candidate.foreign.name.clone(),
                sae: &candidate.foreign.sae,
                expected: candidate.foreign.expected.or(request.hook),
            })
            .collect();
        self.test_layers(&tested, model, dataset, request.hooks.as_deref(), job)
    }

    /// Hook point and harvest of a dictionary.
    fn plan(
        &self,
        candidate: &Candidate,
        source: &RowSource,
        request: &SaeImportRequest,
    ) -> Result<(HookPoint, String)> {
        let foreign = &candidate.foreign;
        match source {
            RowSource::Harvest(harvest) => {
                let reader = HarvestReader::open(&self.project, harvest)?;
                let manifest = reader.manifest();
                if manifest.d_model as usize != foreign.sae.d_model() {
                    return Err(EngineError::request(format!(
                        "{} reads vectors of width {}, but those of activations/{harvest} ({} of \
                         models/{}) have width {}",
                        foreign.name,
                        foreign.sae.d_model(),
                        manifest.hook,
                        manifest.model,
                        manifest.d_model
                    )));
                }
                if let Some(hook) = request.hook
                    && hook != manifest.hook
                {
                    return Err(EngineError::request(format!(
                        "activations/{harvest} was read at {}, not at {hook}",
                        manifest.hook
                    )));
                }
                Ok((manifest.hook, harvest.clone()))
            }
            RowSource::Recorded { model, dataset } => {
                let located = candidate.test.as_ref().and_then(LayerTest::settled);
                let hook = request.hook.or(located).or(foreign.expected);
                let hook = hook.ok_or_else(|| {
                    EngineError::request(format!(
                        "{} names no layer and the layer self-test tells none; give --hook H",
                        foreign.name
                    ))
                })?;
                let loaded = self.model(model)?;
                let d_model = foreign.sae.d_model();
                let known = loaded.card().hooks.iter().find(|info| info.hook == hook);
                if known.is_none_or(|info| info.d_model as usize != d_model) {
                    return Err(misfit(&loaded, &foreign.name, d_model, hook));
                }
                let harvest = format!("{}-{hook}", request.name);
                if self.project.is_finished(ArtefactKind::Harvest, &harvest) {
                    let reader = HarvestReader::open(&self.project, &harvest)?;
                    let manifest = reader.manifest();
                    if (&manifest.model, &manifest.dataset) != (model, dataset) {
                        return Err(EngineError::request(format!(
                            "activations/{harvest} is already there, of models/{} and datasets/{}; \
                             choose another name",
                            manifest.model, manifest.dataset
                        )));
                    }
                }
                Ok((hook, harvest))
            }
        }
    }

    /// Positions that a dictionary at `hook` is made for: text in a decoder.
    fn positions_at(&self, model: &str, hook: HookPoint) -> Result<&'static str> {
        Ok(if hook.is_vision() {
            "image"
        } else if self.model(model)?.recommender.is_some() {
            "items"
        } else {
            "text"
        })
    }

    /// Measures one dictionary and writes it where it can be finished.
    fn draft_sae(
        &self,
        candidate: Candidate,
        hook: HookPoint,
        harvest: &str,
        job: &JobContext,
    ) -> Result<Draft<'_>> {
        let foreign = candidate.foreign;
        let reader = HarvestReader::open(&self.project, harvest)?;
        let evaluation = self.evaluate_rows(&foreign.sae, &reader, 0, job)?;
        let mut files = Vec::new();
        for path in &foreign.files {
            let (blake3, bytes) = blake3_of_file(path)?;
            files.push(serde_json::json!({
                "file": file_name(path), "blake3": blake3, "bytes": bytes,
            }));
        }
        let provenance = serde_json::json!({
            "harvest": harvest,
            "harvest_blake3": harvest_hash(self, harvest)?,
            "imported": {
                "format": candidate.format,
                "class": foreign.class,
                "layer": foreign.layer,
                "trained_on": foreign.trained_on,
                "files": files,
                "interpretations": candidate.tables,
                "layer_test": candidate.test,
                "notes": foreign.notes,
            },
        });
        let artefact = self.project.begin(ArtefactKind::Sae, &foreign.name)?;
        sae::formats::folder::save(artefact.folder(), &foreign.sae, &provenance)?;
        let (again, _) = sae::formats::folder::load(artefact.folder())?;
        let read_back = ReadBack::of(&foreign.sae, &again)?;
        artefact.write(EVALUATION, &to_json(&evaluation)?)?;
        let mut notes = foreign.notes;
        if let Some(expected) = foreign.expected
            && expected != hook
        {
            notes.push(format!(
                "Its files say {expected}; it was imported at {hook}"
            ));
        }
        let imported = ImportedSae {
            name: foreign.name,
            class: foreign.class,
            d_model: foreign.sae.d_model(),
            n_features: foreign.sae.n_features(),
            k: foreign.sae.sparsity().k(),
            hook,
            harvest: harvest.to_owned(),
            evaluation: evaluation.all,
            read_back,
            n_proposals: candidate.explanations.len(),
            tables: candidate.tables,
            layer_test: candidate.test,
            notes,
        };
        Ok(Draft {
            artefact,
            explanations: candidate.explanations,
            imported,
        })
    }
}

/// A dictionary that is written and measured, but not yet part of the project.
struct Draft<'a> {
    artefact: ArtefactDraft<'a>,
    explanations: Vec<Explanation>,
    imported: ImportedSae,
}

/// The rows that dictionaries are to hang off.
enum RowSource {
    /// Those of a harvest.
    Harvest(String),
    /// Those that are recorded now.
    Recorded { model: String, dataset: String },
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read_candidate(
    place: &ForeignPlace,
    request: &SaeImportRequest,
    skipped: &mut Vec<Skipped>,
) -> Result<Candidate> {
    let foreign = ForeignSae::read(place, &request.name, request.k)?;
    let mut candidate = Candidate {
        format: place.format.name(),
        tables: Vec::new(),
        explanations: Vec::new(),
        test: None,
        foreign,
    };
    if place.path.is_dir() {
        for path in entries(&place.path)? {
            let is_known = candidate.foreign.files.contains(&path);
            if is_known || !path.is_file() || !interpretations::has_known_extension(&path) {
                continue;
            }
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| OWN_FILES.contains(&name)) {
                continue;
            }
            if let Err(reason) = add_table(&mut candidate, &path)? {
                skipped.push(Skipped {
                    place: path.display().to_string(),
                    reason,
                });
            }
        }
    }
    Ok(candidate)
}

/// What this program writes beside its own dictionaries.
const OWN_FILES: [&str; 4] = [
    "evaluation.json",
    "hashes.json",
    "metrics.json",
    "train.json",
];

/// Takes a table into the proposals of a candidate; the inner error is why it is left out.
fn add_table(candidate: &mut Candidate, path: &Path) -> Result<std::result::Result<(), String>> {
    let rows = match interpretations::read(path) {
        Ok(Some(rows)) => rows,
        Ok(None) => {
            return Ok(Err(
                "it has no columns of features and of interpretations".to_owned()
            ));
        }
        // The place is named beside the reason.
        Err(SaeError::Format { reason, .. }) => return Ok(Err(reason)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let n_features = candidate.foreign.sae.n_features();
    if let Some(row) = rows.iter().find(|row| row.feature as usize >= n_features) {
        return Ok(Err(format!(
            "it names feature {}, but the dictionary beside it has only 0 to {}",
            row.feature,
            n_features - 1
        )));
    }
    let (blake3, _) = blake3_of_file(path)?;
    let file = file_name(path);
    let at = store::utc_now();
    let n_rows = rows.len();
    let mut known: std::collections::BTreeSet<(u32, String)> = candidate
        .explanations
        .iter()
        .map(|known| (known.feature.0, known.text.clone()))
        .collect();
    let before = candidate.explanations.len();
    for row in rows {
        if !known.insert((row.feature, row.text.clone())) {
            continue;
        }
        let from = (file.as_str(), blake3.as_str());
        candidate
            .explanations
            .push(proposal(row, PUBLISHED, &at, from));
    }
    candidate.tables.push(ImportedTable {
        file,
        blake3,
        n_rows,
        n_proposals: candidate.explanations.len() - before,
    });
    Ok(Ok(()))
}

/// Tables that lie beside several dictionaries belong to none that could be told.
fn skip_tables_of_none(folder: &Path, skipped: &mut Vec<Skipped>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_file() && matches!(interpretations::read(&path), Ok(Some(_))) {
            skipped.push(Skipped {
                place: path.display().to_string(),
                reason: "it lies beside several dictionaries; move it into the folder of the one \
                         it describes"
                    .to_owned(),
            });
        }
    }
    Ok(())
}
