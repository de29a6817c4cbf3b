//! The job that makes a dictionary from samples to gallery: harvest, training, feature index; and
//! the list of runs, finished or not.
//!
//! A run that is stopped while it records is remembered by `run.json` in the dictionary's folder;
//! from the first training step on `train.json` says all that is needed, so that a finished folder
//! holds the same files whoever made it.

use std::fs;
use std::path::{Path, PathBuf};

use schema::{HarvestManifest, SaeConfig};
use serde::Deserialize;
use store::{ArtefactKind, HarvestReader};

use crate::error::{EngineError, Result};
use crate::harvest::{HarvestPlan, HarvestRequest};
use crate::jobs::JobContext;
use crate::kept_gauge;
use crate::model_registry::to_json;
use crate::presets::check_settings;
use crate::session::Session;
use crate::train_sae::{CHECKPOINT_EVERY, CHECKPOINTS, CONFIG, DictionaryEvaluation, METRICS};
use crate::views::{RunFigures, RunRequest, RunState, RunView, TrainingCurve};

/// What a run was asked for, as long as its activations are not recorded.
const RUN: &str = "run.json";
/// Points of a training curve.
const MAX_POINTS: usize = 600;

/// What `train.json` says.
#[derive(Debug, Deserialize)]
struct Begun {
    harvest: String,
    config: SaeConfig,
}

impl RunRequest {
    /// The harvest this run needs, under a name.
    pub(crate) fn harvest_request(&self, name: String) -> HarvestRequest {
        HarvestRequest {
            name,
            model: self.model.clone(),
            dataset: self.dataset.clone(),
            hook: self.hook,
            positions: self.positions.clone(),
            limit: self.limit,
            pool: self.pool,
        }
    }
}

/// Forgets what was asked for, once `train.json` says it.
pub(crate) fn forget_request(folder: &Path) {
    fs::remove_file(folder.join(RUN)).ok();
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let Ok(bytes) = fs::read(path) else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}

/// Whether two harvests hold the same rows, whatever their names.
fn is_same(a: &HarvestManifest, b: &HarvestManifest) -> bool {
    let nameless = |manifest: &HarvestManifest| HarvestManifest {
        name: String::new(),
        samples_per_shard: 0,
        ..manifest.clone()
    };
    nameless(a) == nameless(b)
}

impl Session {
    fn run_folder(&self, name: &str) -> Result<PathBuf> {
        Ok(self.project.artefact_dir(ArtefactKind::Sae, name)?)
    }

    /// The finished harvest that holds what `plan` would record.
    pub(crate) fn matching_harvest(&self, plan: &HarvestPlan) -> Result<Option<String>> {
        Ok(self
            .harvests()?
            .into_iter()
            .find(|known| is_same(known, &plan.manifest))
            .map(|known| known.name))
    }

    /// A name for a new harvest: that of one begun with the same settings, else a free one.
    fn harvest_name(&self, plan: &HarvestPlan) -> Result<String> {
        let manifest = &plan.manifest;
        let mut base = format!("{}-{}", manifest.dataset, manifest.hook);
        base.truncate(90);
        for i in 1_u32.. {
            let name = match i {
                1 => base.clone(),
                i => format!("{base}-{i}"),
            };
            let folder = self.project.artefact_dir(ArtefactKind::Harvest, &name)?;
            if !folder.exists() {
                return Ok(name);
            }
            let begun: Option<HarvestManifest> =
                read_json(&folder.join("manifest.json")).ok().flatten();
            let is_finished = self.project.is_finished(ArtefactKind::Harvest, &name);
            if !is_finished && begun.is_some_and(|begun| is_same(&begun, manifest)) {
                return Ok(name);
            }
        }
        Err(EngineError::other("no name is left for a harvest"))
    }

    /// Checks that these dictionaries can be begun, and notes them, so that they are listed and can
    /// be gone on with whatever happens.
    ///
    /// # Errors
    /// When there is none, a name is taken or cannot be a name, a setting is out of range, or
    /// model, dataset and hook do not fit. Nothing is noted then.
    pub fn begin_runs(&self, requests: &[RunRequest]) -> Result<()> {
        if requests.is_empty() {
            return Err(EngineError::request(
                "there is nothing to train: k must be at least 1 and at most the number of features",
            ));
        }
        for request in requests {
            self.check_run_name(&request.name)?;
        }
        for request in requests {
            let plan = self.plan_harvest(&request.harvest_request(String::new()))?;
            check_settings(&request.config, plan.manifest.d_model)?;
        }
        for request in requests {
            let folder = self.run_folder(&request.name)?;
            fs::create_dir_all(&folder)
                .map_err(|error| EngineError::other(format!("{}: {error}", folder.display())))?;
            store::write_atomically(
                &folder.join(RUN),
                &to_json(request)?,
                store::Durability::PowerCut,
            )?;
        }
        Ok(())
    }

    /// Refuses a name that is taken, by a run that was stopped too.
    ///
    /// # Errors
    /// When it is, or cannot be a name.
    pub(crate) fn check_run_name(&self, name: &str) -> Result<()> {
        if name.trim().is_empty() {
            return Err(EngineError::request("the dictionary needs a name"));
        }
        if self.run_folder(name)?.exists() {
            let state = if self.project.is_finished(ArtefactKind::Sae, name) {
                "is already there; choose another name"
            } else {
                "was begun before; resume or discard it, or choose another name"
            };
            return Err(EngineError::request(format!("saes/{name} {state}")));
        }
        Ok(())
    }

    /// Makes a dictionary from samples to gallery: records activations unless a harvest has them,
    /// trains, builds the feature index. Goes on where it stopped.
    ///
    /// # Errors
    /// When model, dataset or hook do not exist or do not fit, or a setting is out of range.
    pub fn train_run(
        &self,
        request: &RunRequest,
        job: &JobContext,
    ) -> Result<DictionaryEvaluation> {
        job.about(&request.name);
        let evaluation = self.train_request(request, job)?;
        self.build_feature_index(&request.name, job)?;
        Ok(evaluation)
    }

    /// As [`Session::train_run`], without the index.
    fn train_request(
        &self,
        request: &RunRequest,
        job: &JobContext,
    ) -> Result<DictionaryEvaluation> {
        let plan = self.plan_harvest(&request.harvest_request(String::new()))?;
        let harvest = if let Some(harvest) = self.matching_harvest(&plan)? {
            harvest
        } else {
            let name = self.harvest_name(&plan)?;
            self.harvest(&request.harvest_request(name), job)?.name
        };
        job.check_cancelled()?;
        self.train_sae(&request.name, &harvest, &request.config, job)
    }

    /// Goes on with a run that was stopped, to the end of its training.
    ///
    /// # Errors
    /// When there is no such run, or it is trained already.
    pub fn resume_sae(&self, name: &str, job: &JobContext) -> Result<DictionaryEvaluation> {
        if self.project.is_finished(ArtefactKind::Sae, name) {
            return Err(EngineError::request(format!(
                "saes/{name} is trained to its end; there is nothing to resume"
            )));
        }
        job.about(name);
        let folder = self.run_folder(name)?;
        if let Some(request) = read_json::<RunRequest>(&folder.join(RUN))? {
            return self.train_request(&request, job);
        }
        let begun: Begun = read_json(&folder.join(CONFIG))?.ok_or_else(|| {
            EngineError::request(format!(
                "saes/{name} was never begun; begin it with sae train"
            ))
        })?;
        self.train_sae(name, &begun.harvest, &begun.config, job)
    }

    /// Goes on with a run that was stopped, to its gallery.
    ///
    /// # Errors
    /// When there is no such run, or its gallery is there already.
    pub fn resume_run(&self, name: &str, job: &JobContext) -> Result<DictionaryEvaluation> {
        job.about(name);
        let evaluation = if self.project.is_finished(ArtefactKind::Sae, name) {
            if self.project.is_finished(ArtefactKind::Features, name) {
                return Err(EngineError::request(format!(
                    "saes/{name} has its gallery; there is nothing to resume"
                )));
            }
            self.recorded_evaluation(name)?
        } else {
            self.resume_sae(name, job)?
        };
        self.build_feature_index(name, job)?;
        Ok(evaluation)
    }

    /// Removes a run that was not trained to its end. Its harvest stays.
    ///
    /// # Errors
    /// When there is none, or it is finished.
    pub fn discard_run(&self, name: &str) -> Result<()> {
        self.check_unfinished(name)?;
        Ok(self.project.remove(ArtefactKind::Sae, name)?)
    }

    /// Refuses a run that is trained to its end.
    pub(crate) fn check_unfinished(&self, name: &str) -> Result<()> {
        if self.project.is_finished(ArtefactKind::Sae, name) {
            return Err(EngineError::request(format!(
                "saes/{name} is trained to its end, and is kept"
            )));
        }
        Ok(())
    }

    /// Every run of the project, by name.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn run_views(&self) -> Result<Vec<RunView>> {
        self.project
            .list(ArtefactKind::Sae)?
            .iter()
            .map(|entry| self.run_view(&entry.name))
            .collect()
    }

    fn run_view(&self, name: &str) -> Result<RunView> {
        let is_trained = self.project.is_finished(ArtefactKind::Sae, name);
        let state = match is_trained {
            true if self.project.is_finished(ArtefactKind::Features, name) => RunState::Ready,
            true => RunState::Trained,
            false => RunState::Training,
        };
        if is_trained && let Some(known) = self.known_run(name) {
            return Ok(RunView { state, ..known });
        }
        let folder = self.run_folder(name)?;
        let mut view = RunView {
            name: name.to_owned(),
            state,
            model: String::new(),
            dataset: String::new(),
            hook: None,
            config: None,
            steps_done: 0,
            figures: None,
        };
        if !is_trained && let Some(request) = read_json::<RunRequest>(&folder.join(RUN))? {
            return Ok(RunView {
                state: RunState::Recording,
                model: request.model,
                dataset: request.dataset,
                hook: Some(request.hook),
                config: Some(request.config),
                ..view
            });
        }
        if let Some(begun) = read_json::<Begun>(&folder.join(CONFIG))? {
            if let Ok(reader) = HarvestReader::open(&self.project, &begun.harvest) {
                let manifest = reader.manifest();
                view.model.clone_from(&manifest.model);
                view.dataset.clone_from(&manifest.dataset);
                view.hook = Some(manifest.hook);
            }
            let checkpoints = sae::CheckpointPlan {
                dir: folder.join(CHECKPOINTS),
                every_steps: CHECKPOINT_EVERY,
            };
            view.steps_done = if is_trained {
                begun.config.steps
            } else {
                checkpoints.newest_step().unwrap_or(0)
            };
            view.config = Some(begun.config);
        }
        if is_trained {
            let all = self.recorded_evaluation(name)?.all;
            view.figures = Some(RunFigures {
                fvu: all.fvu,
                l0: all.l0,
                dead_share: all.dead_share,
            });
            self.keep_run(&view);
        }
        Ok(view)
    }

    /// The training curve of a run, thinned out to some hundred steps; empty where none was kept.
    ///
    /// # Errors
    /// When the name cannot be a name, or the file is damaged.
    pub fn training_curve(&self, name: &str) -> Result<TrainingCurve> {
        let folder = self.run_folder(name)?;
        let path = folder.join(METRICS);
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(TrainingCurve::default());
        };
        let steps = thinned(&text)
            .map(serde_json::from_str)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
        Ok(TrainingCurve {
            steps,
            kept: kept_gauge::read_curve(&folder)?,
        })
    }
}

/// Whole lines of `text`, every so many, the last one always.
fn thinned(text: &str) -> impl Iterator<Item = &str> {
    // A line that is being written has no end yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let n = whole.lines().count();
    let every = n.div_ceil(MAX_POINTS).max(1);
    whole
        .lines()
        .enumerate()
        .filter(move |(i, _)| i.is_multiple_of(every) || i + 1 == n)
        .map(|(_, line)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_its_ends_and_drops_a_torn_line() {
        let numbers: Vec<String> = (0..1500).map(|i| i.to_string()).collect();
        let lines = numbers.join("\n") + "\n";
        let kept: Vec<&str> = thinned(&lines).collect();
        assert!(kept.len() <= MAX_POINTS + 1, "{}", kept.len());
        assert_eq!(kept[..2], ["0", "3"]);
        assert_eq!(kept.last(), Some(&"1499"));
        let torn: Vec<&str> = thinned("1\n2\n3").collect();
        assert_eq!(torn, ["1", "2"]);
        assert_eq!(thinned("").count(), 0);
    }
}
