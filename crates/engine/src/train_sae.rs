//! The job that trains a dictionary on a harvest, resumable, and the one that evaluates it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sae::{
    ActivationSource, CheckpointPlan, Evaluator, RunSpec, SaeParts, SparseAutoencoder, Trained,
};
use schema::{DatasetKind, SaeConfig, SaeEvaluation, SaeRecipe, Split, StepReport};
use serde::{Deserialize, Serialize};
use store::{ArtefactId, ArtefactKind, Dataset, HarvestReader, blake3_of_bytes};

use crate::device::{left_from_card, note_card, training_card};
use crate::early_stop;
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::kept_gauge::{KeptGauge, train_gauged};
use crate::model_registry::to_json;
use crate::presets::check_settings;
use crate::session::Session;
use crate::shard_source::ShardSource;

pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const EVALUATION: &str = "evaluation.json";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const CONFIG: &str = "train.json";

/// Steps between two checkpoints.
pub(crate) const CHECKPOINT_EVERY: u32 = 500;

/// How well a dictionary does, beside a random one of the same size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryEvaluation {
    /// On every row of the harvest.
    pub all: SaeEvaluation,
    /// On rows of samples that it was not trained on; `None` where there are none.
    pub held_out: Option<SaeEvaluation>,
    /// A dictionary of random directions with the same k, on every row.
    pub random: SaeEvaluation,
}

impl Session {
    /// Trains a dictionary on the training samples of a harvest; goes on where it stopped.
    ///
    /// # Errors
    /// When the harvest does not exist, a setting is out of range, or the name is taken.
    pub fn train_sae(
        &self,
        name: &str,
        harvest: &str,
        config: &SaeConfig,
        job: &JobContext,
    ) -> Result<DictionaryEvaluation> {
        let runs = [(name.to_owned(), config.clone())];
        let mut evaluations = self.train_saes(harvest, &runs, job)?;
        evaluations
            .pop()
            .ok_or_else(|| EngineError::other("no dictionary was trained"))
    }

    /// Trains several dictionaries, by name and settings, on one pass over the training samples of
    /// a harvest; each is what [`Self::train_sae`] makes of it alone. Goes on where it stopped.
    ///
    /// # Errors
    /// Those of [`Self::train_sae`], and when seeds or batches differ, or a name is given twice.
    /// Nothing is begun then.
    pub fn train_saes(
        &self,
        harvest: &str,
        runs: &[(String, SaeConfig)],
        job: &JobContext,
    ) -> Result<Vec<DictionaryEvaluation>> {
        let reader = HarvestReader::open(&self.project, harvest)?;
        // Before anything is written: a refused setting must not count as a run begun with it.
        let seed = self.check_runs(runs, &reader)?;
        let mut folders = Vec::with_capacity(runs.len());
        for (name, config) in runs {
            let folder = self.project.artefact_dir(ArtefactKind::Sae, name)?;
            if let Some(note) = sae::unreached_rate(config) {
                job.warn(format!("{name}: {note}"));
            }
            if let Some(why) = left_from_card(config) {
                job.warn(format!("{name}: {why}"));
            }
            begin_or_resume(&folder, harvest, config)?;
            crate::train_run::forget_request(&folder);
            folders.push(folder);
        }
        let is_training = self.training_samples(&reader)?;
        let mut source = ShardSource::new(&reader, &is_training, seed)?;
        let mut specs = Vec::with_capacity(runs.len());
        for ((_, config), folder) in runs.iter().zip(&folders) {
            let initial = sae::initial_weights(config, reader.d_model())?;
            specs.push((folder.as_path(), config, initial));
        }
        let trained = match runs {
            [(_, config)] if config.early_stop.is_some() => {
                let dev = self.dev_ranking(reader.manifest())?;
                vec![early_stop::train(specs, &mut source, &dev, job)?]
            }
            _ => {
                let gauge = self.gauge_or_note(reader.manifest(), job)?;
                train_gauged(&specs, &mut source, gauge, job)?
            }
        };
        drop(source);
        let harvest_hash = harvest_hash(self, harvest)?;
        let parent = ArtefactId::new(ArtefactKind::Harvest, harvest)?;
        let mut evaluations = Vec::with_capacity(runs.len());
        for (((name, config), folder), (trained, _)) in runs.iter().zip(&folders).zip(&trained) {
            let mut provenance = serde_json::json!({
                "harvest": harvest,
                "harvest_blake3": harvest_hash,
                "config": config,
            });
            note_card(&mut provenance, config);
            sae::formats::folder::save(folder, &trained.sae, &provenance)?;
            let evaluation = self.evaluate_rows(&trained.sae, &reader, config.seed, job)?;
            write(&folder.join(EVALUATION), &to_json(&evaluation)?)?;
            remove_checkpoints(folder);
            let parents = std::slice::from_ref(&parent);
            self.project.seal(ArtefactKind::Sae, name, parents, &[])?;
            self.forget(name);
            evaluations.push(evaluation);
        }
        Ok(evaluations)
    }

    /// Checks that these runs can be begun on the rows; returns their seed.
    fn check_runs(&self, runs: &[(String, SaeConfig)], reader: &HarvestReader) -> Result<u64> {
        let Some((_, first)) = runs.first() else {
            return Err(EngineError::request("no dictionary is to be trained"));
        };
        for (at, (name, config)) in runs.iter().enumerate() {
            if self.project.is_finished(ArtefactKind::Sae, name) {
                return Err(EngineError::request(format!(
                    "saes/{name} is already there; choose another name"
                )));
            }
            check_settings(config, reader.d_model() as u32)?;
            if runs[..at].iter().any(|(before, _)| before == name) {
                let reason = format!("two dictionaries are to be called {name}");
                return Err(EngineError::request(reason));
            }
            if config.early_stop.is_some() && runs.len() > 1 {
                return Err(EngineError::request(format!(
                    "{name} is to stop early, but dictionaries trained on one pass all take its \
                     steps; train it alone, or without early_stop"
                )));
            }
            if (config.seed, config.batch_rows) != (first.seed, first.batch_rows) {
                return Err(EngineError::request(format!(
                    "dictionaries trained on one pass have one seed and batches of one size; {name} \
                     has seed {} and batch_rows {}, {} has {} and {}",
                    config.seed, config.batch_rows, runs[0].0, first.seed, first.batch_rows
                )));
            }
        }
        Ok(first.seed)
    }

    /// Steps that make so many passes over the training rows of a harvest.
    ///
    /// # Errors
    /// When there is no such harvest, or they are too many.
    pub fn steps_of_passes(&self, harvest: &str, config: &SaeConfig, passes: u32) -> Result<u32> {
        let reader = HarvestReader::open(&self.project, harvest)?;
        let is_training = self.training_samples(&reader)?;
        let n_rows = ShardSource::new(&reader, &is_training, config.seed)?.n_rows();
        let steps = n_rows.div_ceil(u64::from(config.batch_rows.max(1))) * u64::from(passes);
        u32::try_from(steps).map_err(|_too_many| {
            EngineError::request(format!(
                "{passes} passes over {n_rows} rows in batches of {} are too many steps",
                config.batch_rows
            ))
        })
    }

    /// What was measured when the dictionary was trained.
    ///
    /// # Errors
    /// When there is no such dictionary, or the file is damaged.
    pub fn recorded_evaluation(&self, name: &str) -> Result<DictionaryEvaluation> {
        let path = self
            .project
            .artefact_dir(ArtefactKind::Sae, name)?
            .join(EVALUATION);
        let bytes = fs::read(&path)
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
    }

    /// What tells how much the model keeps while a dictionary trains; a model that is gone or cannot
    /// be read is no reason not to train on its rows.
    fn gauge_or_note(
        &self,
        manifest: &schema::HarvestManifest,
        job: &JobContext,
    ) -> Result<Option<KeptGauge>> {
        match self.kept_gauge(manifest) {
            Err(error) if error.is_cancelled() => Err(error),
            Err(error) => {
                job.warn(format!(
                    "What the model keeps is not measured while the dictionary trains: {}",
                    error.message
                ));
                Ok(None)
            }
            found => found,
        }
    }

    /// Whether a sample may be trained on: all users of an interactions dataset (their held-out
    /// items are never harvested), the training patients of any other.
    fn training_samples(&self, reader: &HarvestReader) -> Result<impl Fn(u32) -> bool + use<>> {
        let dataset = self.dataset(&reader.manifest().dataset)?;
        Ok(move |sample: u32| may_train_on(&dataset, sample))
    }

    pub(crate) fn evaluate_rows(
        &self,
        sae: &SparseAutoencoder,
        reader: &HarvestReader,
        seed: u64,
        job: &JobContext,
    ) -> Result<DictionaryEvaluation> {
        let is_training = self.training_samples(reader)?;
        let mut mean = sae::FvuSum::new(reader.d_model());
        let mut all = Evaluator::new(sae);
        let mut held_out = Evaluator::new(sae);
        let mut n_held_out = 0;
        let n_shards = reader.n_shards() as u64;
        for index in 0..reader.n_shards() {
            job.check_cancelled()?;
            job.report(
                "Evaluating dictionary",
                index as u64,
                2 * n_shards,
                "shards",
            );
            let shard = reader.read_shard(index)?;
            mean.add(&shard.rows, &shard.rows)?;
            all.add(&shard.rows)?;
            let rows: Vec<f32> = (0..shard.n_rows())
                .filter(|&row| !is_training(shard.refs[row].sample))
                .flat_map(|row| shard.row(row).iter().copied())
                .collect();
            if !rows.is_empty() {
                n_held_out += 1;
                held_out.add(&rows)?;
            }
        }
        let all = all.evaluation()?;
        let random = random_control(sae, &mean.mean(), all.l0, seed)?;
        let mut baseline = Evaluator::new(&random);
        for index in 0..reader.n_shards() {
            job.check_cancelled()?;
            job.report(
                "Evaluating a random dictionary",
                n_shards + index as u64,
                2 * n_shards,
                "shards",
            );
            baseline.add(&reader.read_shard(index)?.rows)?;
        }
        Ok(DictionaryEvaluation {
            all,
            held_out: (n_held_out > 0)
                .then(|| held_out.evaluation())
                .transpose()?,
            random: baseline.evaluation()?,
        })
    }
}

/// Whether a sample of a dataset may be trained on.
pub(crate) fn may_train_on(dataset: &Dataset, sample: u32) -> bool {
    let everyone = dataset.manifest.kind == DatasetKind::Interactions;
    everyone
        || dataset
            .records
            .get(sample as usize)
            .is_some_and(|record| record.split == Split::Train)
}

/// The control beside a dictionary: random directions around the rows' mean, as many, with its k;
/// where its rule has none, with as many active features as it has on average (`l0`).
pub(crate) fn random_control(
    sae: &SparseAutoencoder,
    mean: &[f32],
    l0: f64,
    seed: u64,
) -> Result<SparseAutoencoder> {
    let n_features = sae.n_features();
    let alike = (l0.round() as u32).clamp(1, n_features as u32);
    let k = sae.sparsity().k().unwrap_or(alike);
    Ok(sae::random_dictionary(n_features, k, seed ^ 0x5eed, mean)?)
}

/// The hash that stands for a whole harvest.
pub(crate) fn harvest_hash(session: &Session, harvest: &str) -> Result<String> {
    let hashes = session.project.hashes(ArtefactKind::Harvest, harvest)?;
    Ok(blake3_of_bytes(
        serde_json::to_string(&hashes)
            .map_err(|error| EngineError::other(error.to_string()))?
            .as_bytes(),
    ))
}

/// Notes what is trained; a run that was begun with other settings, and has a checkpoint, is an
/// error.
fn begin_or_resume(folder: &Path, harvest: &str, config: &SaeConfig) -> Result<()> {
    note_run(
        folder,
        &serde_json::json!({ "harvest": harvest, "config": config }),
    )
}

/// The same for whatever says what a run is made from.
pub(crate) fn note_run(folder: &Path, run: &serde_json::Value) -> Result<()> {
    let wanted = to_json(run)?;
    let path = folder.join(CONFIG);
    if let Ok(found) = fs::read(&path) {
        if found == wanted {
            return Ok(());
        }
        // Without a checkpoint there is nothing that other settings could not go on from.
        if !has_checkpoint(folder) {
            fs::remove_file(folder.join(METRICS)).ok();
            return write(&path, &wanted);
        }
        return Err(EngineError::request(format!(
            "{} was begun with other settings; give the dictionary another name, or remove the \
             folder first",
            folder.display()
        )));
    }
    fs::create_dir_all(folder)
        .map_err(|error| EngineError::other(format!("{}: {error}", folder.display())))?;
    write(&path, &wanted)
}

/// Whether a run in this folder has anything to go on from.
pub(crate) fn has_checkpoint(folder: &Path) -> bool {
    fs::read_dir(folder.join(CHECKPOINTS)).is_ok_and(|mut entries| entries.next().is_some())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(store::write_atomically(
        path,
        bytes,
        store::Durability::PowerCut,
    )?)
}

/// The folder of a run, its settings and the weights it begins with.
pub(crate) type PlacedRun<'a> = (&'a Path, &'a SaeConfig, SaeParts);

/// What a run came to: its dictionary, and the last step's report if there was a step left to do.
pub(crate) type RunOutcome = (Trained, Option<StepReport>);

/// Trains with checkpoints and metrics in `folder`, going on where it stopped.
pub(crate) fn train_in(
    folder: &Path,
    config: &SaeConfig,
    initial: SaeParts,
    source: &mut dyn ActivationSource,
    job: &JobContext,
) -> Result<RunOutcome> {
    if config.early_stop.is_some() {
        return Err(EngineError::request(
            "early_stop needs user vectors of a recommender in a project, whose dev part says when \
             to stop",
        ));
    }
    let mut all = train_all_in(vec![(folder, config, initial)], source, job)?;
    all.pop()
        .ok_or_else(|| EngineError::other("no dictionary was trained"))
}

/// The same for several runs on one pass over the rows, each in a folder of its own.
pub(crate) fn train_all_in(
    runs: Vec<PlacedRun<'_>>,
    source: &mut dyn ActivationSource,
    job: &JobContext,
) -> Result<Vec<RunOutcome>> {
    let trained = train_until(runs, source, u32::MAX, job)?;
    if trained.iter().any(|(run, _)| !run.completed) {
        return Err(EngineError::cancelled());
    }
    Ok(trained)
}

/// The same up to so many steps: a run that has more to do is written to its checkpoint then, as one
/// that the user stopped is.
pub(crate) fn train_until(
    runs: Vec<PlacedRun<'_>>,
    source: &mut dyn ActivationSource,
    until: u32,
    job: &JobContext,
) -> Result<Vec<RunOutcome>> {
    let plans: Vec<CheckpointPlan> = runs
        .iter()
        .map(|(folder, ..)| CheckpointPlan {
            dir: folder.join(CHECKPOINTS),
            every_steps: CHECKPOINT_EVERY,
        })
        .collect();
    let paths: Vec<PathBuf> = runs.iter().map(|run| run.0.join(METRICS)).collect();
    let mut metrics: Vec<MetricsFile<'_>> =
        paths.iter().map(|path| MetricsFile::new(path)).collect();
    let mut last: Vec<Option<StepReport>> = vec![None; runs.len()];
    let total = runs.iter().map(|run| u64::from(run.1.steps)).max();
    let specs = runs.into_iter().zip(&plans).map(|(run, plan)| RunSpec {
        config: run.1,
        initial: run.2,
        checkpoint: Some(plan),
        device: training_card(run.1),
        until: Some(until),
    });
    let trained = sae::train_together(specs.collect(), source, &mut |run, report| {
        metrics[run].add(report);
        last[run] = Some(*report);
        job.train_step(*report);
        let done = u64::from(report.step) + 1;
        job.step("Training dictionary", done, total.unwrap_or(0), "steps")
    })?;
    for file in metrics {
        file.finish()?;
    }
    Ok(trained.into_iter().zip(last).collect())
}

/// Removes what [`train_in`] would go on from, once its dictionary is written.
pub(crate) fn remove_checkpoints(folder: &Path) {
    fs::remove_dir_all(folder.join(CHECKPOINTS)).ok();
}

/// `metrics.jsonl`: one line per step from step 0, each step once however often a run resumed.
struct MetricsFile<'a> {
    path: &'a Path,
    file: Option<fs::File>,
    fault: Option<EngineError>,
}

impl<'a> MetricsFile<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            file: None,
            fault: None,
        }
    }

    fn add(&mut self, report: &StepReport) {
        if self.fault.is_none()
            && let Err(error) = self.try_add(report)
        {
            self.fault = Some(EngineError::other(format!(
                "{}: {error}",
                self.path.display()
            )));
        }
    }

    fn try_add(&mut self, report: &StepReport) -> std::io::Result<()> {
        if self.file.is_none() {
            // Lines of steps that will be repeated are dropped: the run goes on from a checkpoint.
            let known = fs::read(self.path).unwrap_or_default();
            let kept: Vec<u8> = known
                .split_inclusive(|&byte| byte == b'\n')
                .take(report.step as usize)
                .flatten()
                .copied()
                .collect();
            fs::write(self.path, kept)?;
            self.file = Some(fs::OpenOptions::new().append(true).open(self.path)?);
        }
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        match &mut self.file {
            Some(file) => file.write_all(&line),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<()> {
        self.fault.map_or(Ok(()), Err)
    }
}

/// Reads the settings of a training from TOML text; keys not given are those of `base`, or where
/// the text names another recipe or variant than `base` and that one has a value for it, its own.
/// A key that may be absent is so by the text "none".
///
/// # Errors
/// When the text is no TOML, or a key or value is unknown.
pub fn sae_config_from_toml(text: &str, base: &SaeConfig) -> Result<SaeConfig> {
    let given: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        EngineError::request(format!("settings: {}", error.message()))
    })?;
    let base = usual_settings(&given, base)?;
    // Through JSON, since TOML knows no null.
    let unreadable = |error: serde_json::Error| EngineError::request(format!("settings: {error}"));
    let base = serde_json::to_value(base).map_err(unreadable)?;
    let mut value = base.clone();
    for (key, given) in given {
        let given = match given.as_str() {
            Some("none") => serde_json::Value::Null,
            _ => serde_json::to_value(given).map_err(unreadable)?,
        };
        // Alone first, so that a value of the wrong kind is told with its key.
        let mut alone = base.clone();
        for settings in [&mut alone, &mut value] {
            if let Some(settings) = settings.as_object_mut() {
                settings.insert(key.clone(), given.clone());
            }
        }
        serde_json::from_value::<SaeConfig>(alone)
            .map_err(|error| EngineError::request(format!("settings: {key}: {error}")))?;
    }
    serde_json::from_value(value).map_err(unreadable)
}

/// What keys that are not given stand for.
fn usual_settings(given: &toml::Table, base: &SaeConfig) -> Result<SaeConfig> {
    let variant = named(given, "variant")?.unwrap_or(base.variant);
    let recipe: SaeRecipe = named(given, "recipe")?.unwrap_or(base.recipe);
    let n_features = named(given, "n_features")?.unwrap_or(base.n_features);
    let usual = SaeConfig::of_recipe(recipe, variant, n_features);
    if recipe != base.recipe {
        // Sizes are the user's where a preset or an initial dictionary gave them, everything else
        // is the recipe's.
        let default = SaeConfig::default();
        let k = if base.k == default.k { usual.k } else { base.k };
        let is_usual = base.dead_after_rows == default.dead_after_rows;
        return Ok(SaeConfig {
            k,
            batch_rows: base.batch_rows,
            steps: base.steps,
            seed: base.seed,
            group_sizes: base.group_sizes.clone(),
            dead_after_rows: if is_usual {
                usual.dead_after_rows
            } else {
                base.dead_after_rows
            },
            ..usual
        });
    }
    let mut base = base.clone();
    if variant != base.variant {
        (base.betas, base.grad_clip) = (usual.betas, usual.grad_clip);
    }
    Ok(base)
}

/// A key's value, if the table has the key.
fn named<T: serde::de::DeserializeOwned>(given: &toml::Table, key: &str) -> Result<Option<T>> {
    let read = |value: &toml::Value| {
        value.clone().try_into().map_err(|error: toml::de::Error| {
            EngineError::request(format!("settings: {key}: {}", error.message()))
        })
    };
    given.get(key).map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_wrong_kind_is_told_with_its_key() {
        let read = |text: &str| sae_config_from_toml(text, &SaeConfig::default());
        for (text, expected) in [
            ("k = \"many\"", "settings: k: "),
            ("steps = 10\nseed = -1", "settings: seed: "),
            ("betas = [0.9]", "settings: betas: "),
            ("no_such_key = 1", "no_such_key"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message.contains(expected), "{}", error.message);
        }
        let config = read("recipe = \"recsae\"\nn_features = 64\ndecay_start = \"none\"").unwrap();
        assert_eq!((config.k, config.n_features), (8, 64));
        assert_eq!(config.decay_start, None);
        let named = read("recipe = \"sparsify\"\nk = 3").unwrap();
        assert_eq!((named.k, named.dead_after_rows), (3, 10_000_000));
    }
}
