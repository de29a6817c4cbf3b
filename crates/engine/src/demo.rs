//! The demo project: phantom films and shoppers with planted features, the whole chain for both.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use schema::{HookPoint, SaeConfig, Split};
use serde::Serialize;
use store::HarvestReader;

use crate::error::{EngineError, Result};
use crate::harvest::HarvestRequest;
use crate::jobs::JobContext;
use crate::recovery::ConceptRecovery;
use crate::session::Session;
use crate::steering_effect::SteeringEffect;
use crate::train_recommender::TrainRecommenderRequest;
use crate::train_sae::DictionaryEvaluation;
use crate::views::ImportRequest;

/// Dictionary of the radiology half.
pub const FILMS: &str = "films";
/// Dictionary of the recommender half.
pub const SHOPPERS: &str = "shoppers";
const PHANTOM_MODEL: &str = "phantom-vlm";
const SASREC: &str = "sasrec";

/// Films with and without each finding that its feature is ablated on and added to.
const N_STEERED_FILMS: usize = 8;
/// Films drawn; features are chosen on the training patients among them.
pub const N_FILMS: u32 = 1200;
const N_SHOPPERS: u32 = 1500;
const N_FRESH_SHOPPERS: u32 = 400;
/// What turns the seed of the project into that of the films it is scored on.
pub const FRESH: u64 = 0x0f5e_ed00;
/// Where the radiology dictionary reads: the patch tokens that the projector takes.
const FILM_HOOK: HookPoint = HookPoint::VisionLnFinal;

/// What the demo found; printed by `demo --headless --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DemoReport {
    /// Folder of the project.
    pub project: String,
    /// Seed.
    pub seed: u64,
    /// By planted finding.
    pub findings: BTreeMap<String, ConceptRecovery>,
    /// Findings without a local mask: no peak can lie inside one.
    pub without_local_mask: Vec<String>,
    /// What adding the feature of each finding does to reports.
    pub steering: BTreeMap<String, SteeringEffect>,
    /// By planted taste.
    pub tastes: BTreeMap<String, ConceptRecovery>,
    /// By dictionary.
    pub dictionaries: BTreeMap<String, DictionaryFigures>,
    /// Held-out ranking quality of the recommender trained here.
    pub ranking: BTreeMap<String, f64>,
    /// Seconds by stage, and `total`.
    pub seconds: BTreeMap<String, f64>,
}

/// How well one dictionary of the demo does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DictionaryFigures {
    /// Fraction of variance unexplained.
    pub fvu: f64,
    /// The same for a dictionary of random directions.
    pub random_fvu: f64,
    /// Mean active features per row.
    pub l0: f64,
    /// Share of features never active.
    pub dead_share: f64,
    /// Number of features.
    pub n_features: u32,
    /// Rows.
    pub n_rows: u64,
}

impl From<&DictionaryEvaluation> for DictionaryFigures {
    fn from(evaluation: &DictionaryEvaluation) -> Self {
        Self {
            fvu: evaluation.all.fvu,
            random_fvu: evaluation.random.fvu,
            l0: evaluation.all.l0,
            dead_share: evaluation.all.dead_share,
            n_features: evaluation.all.n_features,
            n_rows: evaluation.all.n_rows,
        }
    }
}

/// F1 from which a concept counts as having a feature of its own.
pub const OWN_FEATURE_F1: f64 = 0.8;
/// By how much that feature must beat each of the three controls.
pub const OWN_FEATURE_MARGIN: f64 = 0.2;

impl ConceptRecovery {
    /// Whether a single feature stands for the concept: F1 at least 0.8, and at least 0.2 above
    /// the random dictionary, the raw dimensions and the shuffled truth.
    pub fn has_own_feature(&self) -> bool {
        let best_control = self
            .random_dictionary_f1
            .max(self.raw_dimension_f1)
            .max(self.shuffled_f1);
        self.best_f1 >= OWN_FEATURE_F1 && self.best_f1 >= best_control + OWN_FEATURE_MARGIN
    }
}

impl DemoReport {
    fn count_own(concepts: &BTreeMap<String, ConceptRecovery>) -> usize {
        concepts.values().filter(|c| c.has_own_feature()).count()
    }

    /// Findings with a feature of their own.
    pub fn n_findings_found(&self) -> usize {
        Self::count_own(&self.findings)
    }

    /// Tastes with a feature of their own.
    pub fn n_tastes_found(&self) -> usize {
        Self::count_own(&self.tastes)
    }

    /// One sentence for the job bar.
    pub fn sentence(&self) -> String {
        format!(
            "{} of {} planted findings and {} of {} planted tastes got a feature of their own, in \
             {:.0} s",
            self.n_findings_found(),
            self.findings.len(),
            self.n_tastes_found(),
            self.tastes.len(),
            self.seconds.get("total").copied().unwrap_or(0.0)
        )
    }
}

/// Runs the stages and notes how long each took.
struct Clock {
    began: Instant,
    seconds: BTreeMap<String, f64>,
}

impl Clock {
    fn time<T>(&mut self, stage: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let made = work()?;
        *self.seconds.entry(stage.to_owned()).or_default() += began.elapsed().as_secs_f64();
        Ok(made)
    }
}

/// Builds the demo project in `dir`; goes on where an earlier run with the same seed was stopped.
///
/// # Errors
/// When the folder holds something else, or a step fails.
pub fn build(dir: &Path, seed: u64, job: &JobContext) -> Result<(Session, DemoReport)> {
    let session = if Session::is_project(dir) {
        Session::open(dir)?
    } else {
        Session::create(dir)?
    };
    let mut clock = Clock {
        began: Instant::now(),
        seconds: BTreeMap::new(),
    };
    let films = build_films(&session, seed, job, &mut clock)?;
    let (shoppers, ranking) = build_shoppers(&session, seed, job, &mut clock)?;
    for name in [FILMS, SHOPPERS] {
        clock.time("associations and labels", || {
            session.propose_keywords(name, job).map(drop)
        })?;
    }
    let findings = clock.time("recovery of findings", || {
        session.recover_findings(FILMS, seed ^ FRESH, job)
    })?;
    let tastes = clock.time("recovery of tastes", || {
        session.recover_tastes(SHOPPERS, seed, N_FRESH_SHOPPERS, job)
    })?;
    let steering = clock.time("steering by findings", || {
        session.steering_effects(FILMS, &findings, (N_STEERED_FILMS, seed), job)
    })?;
    clock
        .seconds
        .insert("total".to_owned(), clock.began.elapsed().as_secs_f64());
    let report = DemoReport {
        project: dir.display().to_string(),
        seed,
        findings,
        steering,
        without_local_mask: datasets::phantom::WITHOUT_LOCAL_MASK
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
        tastes,
        dictionaries: BTreeMap::from([
            (FILMS.to_owned(), (&films).into()),
            (SHOPPERS.to_owned(), (&shoppers).into()),
        ]),
        ranking,
        seconds: clock.seconds,
    };
    Ok((session, report))
}

/// Imports a phantom dataset unless an earlier run did; another seed's is an error.
fn import_once(session: &Session, request: &ImportRequest, job: &JobContext) -> Result<()> {
    let (name, count, seed) = match request {
        ImportRequest::PhantomRadiographs { name, count, seed }
        | ImportRequest::PhantomShoppers { name, count, seed } => (name, *count, *seed),
        _ => return Err(EngineError::other("the demo draws phantoms only")),
    };
    if let Ok(dataset) = session.dataset(name) {
        if dataset.manifest.seed == Some(seed) && dataset.manifest.n_samples == count {
            return Ok(());
        }
        return Err(EngineError::request(format!(
            "{} holds a demo of another seed; choose another folder",
            session.root().display()
        )));
    }
    session.import(request, job).map(drop)
}

/// Settings of the radiology dictionary.
fn film_sae(seed: u64) -> SaeConfig {
    SaeConfig {
        n_features: 192,
        k: 8,
        lr: 1e-3,
        batch_rows: 2048,
        steps: 2500,
        warmup_steps: 100,
        decay_start: Some(2000),
        seed,
        ..SaeConfig::default()
    }
}

/// Settings of the recommender dictionary.
fn shopper_sae(seed: u64) -> SaeConfig {
    SaeConfig {
        n_features: 256,
        k: 4,
        lr: 2e-3,
        batch_rows: 1024,
        steps: 2000,
        warmup_steps: 100,
        decay_start: Some(1500),
        dead_after_rows: 50_000,
        seed,
        ..SaeConfig::default()
    }
}

fn build_films(
    session: &Session,
    seed: u64,
    job: &JobContext,
    clock: &mut Clock,
) -> Result<DictionaryEvaluation> {
    clock.time("drawing films", || {
        let request = ImportRequest::PhantomRadiographs {
            name: FILMS.to_owned(),
            count: N_FILMS,
            seed,
        };
        import_once(session, &request, job)
    })?;
    if session.model(PHANTOM_MODEL).is_err() {
        session.add_shipped_model(PHANTOM_MODEL)?;
    }
    clock.time("harvesting films", || {
        harvest_once(
            session,
            &HarvestRequest {
                name: FILMS.to_owned(),
                model: PHANTOM_MODEL.to_owned(),
                dataset: FILMS.to_owned(),
                hook: FILM_HOOK,
                positions: "image".to_owned(),
                limit: None,
                pool: 1,
            },
            job,
        )
    })?;
    finish_dictionary(session, FILMS, &film_sae(seed), job, clock)
}

fn build_shoppers(
    session: &Session,
    seed: u64,
    job: &JobContext,
    clock: &mut Clock,
) -> Result<(DictionaryEvaluation, BTreeMap<String, f64>)> {
    clock.time("drawing shoppers", || {
        let request = ImportRequest::PhantomShoppers {
            name: SHOPPERS.to_owned(),
            count: N_SHOPPERS,
            seed,
        };
        import_once(session, &request, job)
    })?;
    if session.model(SASREC).is_err() {
        clock.time("training the recommender", || {
            let request = TrainRecommenderRequest {
                name: SASREC.to_owned(),
                arch: "sasrec".to_owned(),
                dataset: SHOPPERS.to_owned(),
                settings: "lr = 1e-3\nmax_epochs = 30\npatience = 5".to_owned(),
                seed,
                ..TrainRecommenderRequest::default()
            };
            session.train_recommender(&request, job).map(drop)
        })?;
    }
    let ranking = session.evaluate_ranking(SASREC, SHOPPERS, Split::Test, None)?;
    clock.time("harvesting shoppers", || {
        harvest_once(
            session,
            &HarvestRequest {
                name: SHOPPERS.to_owned(),
                model: SASREC.to_owned(),
                dataset: SHOPPERS.to_owned(),
                hook: HookPoint::UserVector,
                positions: "items".to_owned(),
                limit: None,
                pool: 1,
            },
            job,
        )
    })?;
    let evaluation = finish_dictionary(session, SHOPPERS, &shopper_sae(seed), job, clock)?;
    Ok((evaluation, ranking.by_name()))
}

fn harvest_once(session: &Session, request: &HarvestRequest, job: &JobContext) -> Result<()> {
    if HarvestReader::open(&session.project, &request.name).is_ok() {
        return Ok(());
    }
    session.harvest(request, job).map(drop)
}

/// Trains and indexes the dictionary `name` on the harvest of the same name, unless that is done.
fn finish_dictionary(
    session: &Session,
    name: &str,
    config: &SaeConfig,
    job: &JobContext,
    clock: &mut Clock,
) -> Result<DictionaryEvaluation> {
    let evaluation = clock.time("training dictionaries", || {
        match session.recorded_evaluation(name) {
            Ok(done) if session.dictionary(name).is_ok() => Ok(done),
            _ => session.train_sae(name, name, config, job),
        }
    })?;
    clock.time("indexing features", || {
        if session.indexed(name).is_ok() {
            return Ok(());
        }
        session.build_feature_index(name, job)
    })?;
    Ok(evaluation)
}
