//! The job that trains a recommender.

use std::ops::ControlFlow;

use models::Architecture;
use models::recommenders::{
    InteractionData, RecommenderConfig, RecommenderTraining, TrainingProgress, train_recommender,
};
use schema::DatasetKind;
use serde::{Deserialize, Serialize};
use store::ArtefactKind;

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::session::Session;

/// The names of the recommenders on the command line and on screen.
const NAMES: [(&str, Architecture); 5] = [
    ("bprmf", Architecture::BprMf),
    ("lightgcn", Architecture::LightGcn),
    ("sasrec", Architecture::SasRec),
    ("timirec", Architecture::TiMiRec),
    ("gru4rec", Architecture::Gru4Rec),
];

/// The recommender of that name.
///
/// # Errors
/// When it is none.
pub(crate) fn recommender_named(name: &str) -> Result<Architecture> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, architecture)| *architecture)
        .ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            EngineError::request(format!(
                "\"{name}\" is no recommender; expected {}",
                known.join(", ")
            ))
        })
}

/// What a recommender is to be trained on and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainRecommenderRequest {
    /// Name of the new model.
    pub name: String,
    /// bprmf, lightgcn, sasrec, timirec or gru4rec.
    pub arch: String,
    /// The dataset.
    pub dataset: String,
    /// Settings that differ from the preset, as TOML.
    pub settings: String,
    /// Learning rate, where it differs from the preset's.
    pub lr: Option<f64>,
    /// Epochs at most, where they differ from the preset's.
    pub epochs: Option<u32>,
    /// Seed.
    pub seed: u64,
}

/// How far a training has come, for its curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecommenderCurve {
    /// Stage under way, from 1, and how many there are.
    pub stage: (u32, u32),
    /// Mean loss of each finished epoch of the stage.
    pub loss: Vec<f64>,
    /// Dev NDCG@5 of each finished epoch, where there are dev items.
    pub ndcg: Vec<f64>,
    /// Dev HR@5 of each finished epoch, where there are dev items.
    pub hr: Vec<f64>,
}

impl RecommenderCurve {
    fn of(progress: &TrainingProgress<'_>) -> Self {
        let at_five = |metric: fn(&models::recommenders::RankingMetrics, u32) -> Option<f64>| {
            progress
                .epochs
                .iter()
                .filter_map(|epoch| metric(epoch.dev.as_ref()?, 5))
                .collect()
        };
        Self {
            stage: (progress.stage, progress.n_stages),
            loss: progress.epochs.iter().map(|epoch| epoch.loss).collect(),
            ndcg: at_five(models::recommenders::RankingMetrics::ndcg_at),
            hr: at_five(models::recommenders::RankingMetrics::hr_at),
        }
    }
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainedRecommenderView {
    /// Name of the model.
    pub model: String,
    /// The epoch that was kept, from 1.
    pub best_epoch: u32,
    /// Epochs of the last stage.
    pub n_epochs: u32,
    /// Whether there were dev items to choose the epoch by.
    pub has_dev: bool,
    /// Seconds it took, those before an interruption left out.
    pub seconds: f64,
    /// Its curves.
    pub curve: RecommenderCurve,
}

impl TrainedRecommenderView {
    /// Which epoch was kept, and why.
    pub fn kept(&self) -> String {
        let why = if self.has_dev {
            ", the best on the dev part"
        } else {
            "; no dev items: the last epoch is kept, nothing stops it early"
        };
        format!("kept epoch {} of {}{why}", self.best_epoch, self.n_epochs)
    }
}

impl Session {
    /// The item histories of a dataset.
    pub(crate) fn interactions(&self, dataset: &str) -> Result<InteractionData> {
        let loaded = self.dataset(dataset)?;
        if loaded.manifest.kind != DatasetKind::Interactions {
            return Err(EngineError::request(format!(
                "datasets/{dataset} holds no item histories, which a recommender needs"
            )));
        }
        Ok(InteractionData::from_records(
            loaded.catalogue.len() as u32,
            &loaded.records,
        )?)
    }

    /// Trains a recommender on a dataset of the project; goes on where it stopped.
    ///
    /// # Errors
    /// When the dataset holds no histories, a setting is out of range, or the name is taken.
    pub fn train_recommender(
        &self,
        request: &TrainRecommenderRequest,
        job: &JobContext,
    ) -> Result<TrainedRecommenderView> {
        let began = std::time::Instant::now();
        let name = &request.name;
        if self.project.is_finished(ArtefactKind::Model, name) {
            return Err(EngineError::request(format!(
                "models/{name} is already there; choose another name"
            )));
        }
        let data = self.interactions(&request.dataset)?;
        let (config, training) = recommender_settings(request, &data)?;
        let checkpoints = self.root().join("checkpoints").join(name);
        std::fs::create_dir_all(&checkpoints)
            .map_err(|error| EngineError::other(format!("{}: {error}", checkpoints.display())))?;
        let mut curve = RecommenderCurve::default();
        let mut observer = |progress: &TrainingProgress<'_>| {
            if !progress.epochs.is_empty()
                && (progress.stage, progress.epochs.len()) != (curve.stage.0, curve.loss.len())
            {
                curve = RecommenderCurve::of(progress);
                job.epoch(&curve);
            }
            report_progress(progress, job)
        };
        let folder = Some(checkpoints.as_path());
        let trained = train_recommender(&config, &training, &data, folder, &mut observer)?;
        let record = serde_json::json!({
            "settings": training,
            "best_epoch": trained.best_epoch,
            "epochs": trained.epochs,
            "first_stage": trained.first_stage,
        });
        self.keep_model(
            name,
            config.architecture(),
            Some(&request.dataset),
            record,
            |folder| trained.model.save(folder).map_err(EngineError::from),
        )?;
        std::fs::remove_dir_all(&checkpoints).ok();
        std::fs::remove_dir(self.root().join("checkpoints")).ok();
        Ok(TrainedRecommenderView {
            model: name.clone(),
            best_epoch: trained.best_epoch,
            n_epochs: trained.epochs.len() as u32,
            has_dev: trained.epochs.iter().any(|epoch| epoch.dev.is_some()),
            seconds: began.elapsed().as_secs_f64(),
            curve,
        })
    }
}

fn report_progress(progress: &TrainingProgress<'_>, job: &JobContext) -> ControlFlow<()> {
    let per_epoch = u64::from(progress.steps_per_epoch);
    let done = u64::from(progress.epoch.saturating_sub(1)) * per_epoch + u64::from(progress.step);
    if job.is_cancelled() {
        return ControlFlow::Break(());
    }
    let stage = match (progress.stage, progress.n_stages) {
        (_, 1) => "Training recommender",
        (1, _) => "Training interests",
        _ => "Training recommender on its interests",
    };
    job.step(
        stage,
        done,
        u64::from(progress.max_epochs) * per_epoch,
        "steps",
    )
}

/// Shape and training: the preset of the architecture, what the settings say on top.
///
/// # Errors
/// When the settings are no TOML, or a key or value is unknown.
pub(crate) fn recommender_settings(
    request: &TrainRecommenderRequest,
    data: &InteractionData,
) -> Result<(RecommenderConfig, RecommenderTraining)> {
    let architecture = recommender_named(&request.arch)?;
    let config = RecommenderConfig::of(architecture, data.n_users(), data.n_items)
        .ok_or_else(|| EngineError::other("a recommender without a preset"))?;
    let bad = |what: String| EngineError::request(format!("settings: {what}"));
    let given: toml::Table =
        toml::from_str(&request.settings).map_err(|error| bad(error.message().to_owned()))?;
    let table = |result: std::result::Result<toml::Table, toml::ser::Error>| {
        result.map_err(|error| EngineError::other(error.to_string()))
    };
    let mut training = table(toml::Table::try_from(RecommenderTraining::of(architecture)))?;
    let mut shape = table(toml::Table::try_from(&config))?;
    let is_fixed = |key: &str| {
        ["architecture", "n_items", "n_users", "seed"].contains(&key) || key.starts_with("has_")
    };
    for (key, value) in given {
        let place = match (training.get_mut(&key), shape.get_mut(&key)) {
            (Some(place), _) | (None, Some(place)) if !is_fixed(&key) => place,
            _ => {
                let mut known: Vec<&String> = training.keys().chain(shape.keys()).collect();
                known.retain(|key| !is_fixed(key));
                known.sort_unstable();
                let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
                return Err(bad(format!(
                    "\"{key}\" is no setting of {}; expected {}",
                    config.name(),
                    known.join(", ")
                )));
            }
        };
        *place = value;
    }
    if let Some(lr) = request.lr {
        training.insert("lr".to_owned(), toml::Value::Float(lr));
    }
    let mut training: RecommenderTraining = training
        .try_into()
        .map_err(|error: toml::de::Error| bad(error.message().to_owned()))?;
    let config: RecommenderConfig = shape
        .try_into()
        .map_err(|error: toml::de::Error| bad(error.message().to_owned()))?;
    if let Some(epochs) = request.epochs {
        training.max_epochs = epochs;
    }
    training.seed = request.seed;
    Ok((config, training))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arch: &str, settings: &str) -> Result<(RecommenderConfig, RecommenderTraining)> {
        let request = TrainRecommenderRequest {
            arch: arch.to_owned(),
            settings: settings.to_owned(),
            seed: 3,
            ..TrainRecommenderRequest::default()
        };
        let data = InteractionData {
            n_items: 9,
            ..InteractionData::default()
        };
        recommender_settings(&request, &data)
    }

    #[test]
    fn settings_change_shape_and_training() {
        let (config, training) = settings("timirec", "lr = 1\nn_interests = 4").unwrap();
        assert!(matches!(config, RecommenderConfig::TiMiRec(shape) if shape.n_interests == 4));
        assert_eq!((training.lr, training.seed), (1.0, 3));
        let (_, preset) = settings("lightgcn", "").unwrap();
        assert_eq!((preset.lr, preset.l2), (1e-3, 1e-8));
    }

    #[test]
    fn without_dev_items_no_epoch_is_called_the_best() {
        let mut trained = TrainedRecommenderView {
            model: "m".to_owned(),
            best_epoch: 15,
            n_epochs: 15,
            has_dev: false,
            seconds: 1.0,
            curve: RecommenderCurve::default(),
        };
        assert_eq!(
            trained.kept(),
            "kept epoch 15 of 15; no dev items: the last epoch is kept, nothing stops it early"
        );
        trained.has_dev = true;
        assert_eq!(
            trained.kept(),
            "kept epoch 15 of 15, the best on the dev part"
        );
    }

    #[test]
    fn an_unknown_setting_is_named_with_those_there_are() {
        for (arch, text) in [
            ("bprmf", "n_heads = 2"),
            ("sasrec", "n_items = 3"),
            ("sasrec", "lr = \"fast\""),
        ] {
            let error = settings(arch, text).unwrap_err().to_string();
            assert!(error.starts_with("settings: "), "{error}");
        }
        let error = settings("bprmf", "n_heads = 2").unwrap_err().to_string();
        assert!(
            error.contains("d_model") && error.contains("patience"),
            "{error}"
        );
        assert!(
            settings("svd", "")
                .unwrap_err()
                .to_string()
                .contains("gru4rec")
        );
    }
}
