//! The jobs that train and evaluate recommenders.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use models::recommenders::{
    InteractionData, RankingMetrics, SasRec, SasRecConfig, SasRecTraining, evaluate, evaluate_with,
    train_sasrec,
};
use models::{Architecture, ModelError};
use schema::{DatasetKind, Split};
use serde::Serialize;
use store::ArtefactKind;

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::session::Session;

/// Cut-offs of HR and NDCG.
pub(crate) const KS: [u32; 4] = [5, 10, 20, 50];

/// HR and NDCG by full ranking, and through a dictionary's reconstruction where asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankingReport {
    /// Of the model.
    pub plain: RankingMetrics,
    /// With user vectors replaced by their reconstruction.
    pub reconstructed: Option<RankingMetrics>,
}

impl RankingReport {
    /// `hr@5`, `ndcg@5` and so on.
    pub fn by_name(&self) -> BTreeMap<String, f64> {
        by_name(&self.plain)
    }

    /// The same through the reconstruction.
    pub fn reconstructed_by_name(&self) -> Option<BTreeMap<String, f64>> {
        self.reconstructed.as_ref().map(by_name)
    }
}

fn by_name(metrics: &RankingMetrics) -> BTreeMap<String, f64> {
    let mut named = BTreeMap::new();
    for (at, k) in metrics.ks.iter().enumerate() {
        named.insert(format!("hr@{k}"), metrics.hr[at]);
        named.insert(format!("ndcg@{k}"), metrics.ndcg[at]);
    }
    named
}

impl Session {
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

    /// Trains `SASRec` on a dataset of the project; goes on where it stopped.
    ///
    /// # Errors
    /// When the dataset holds no histories, a setting is out of range, or the name is taken.
    pub fn train_sasrec(
        &self,
        name: &str,
        dataset: &str,
        training: &SasRecTraining,
        job: &JobContext,
    ) -> Result<u32> {
        if self.project.is_finished(ArtefactKind::Model, name) {
            return Err(EngineError::request(format!(
                "models/{name} is already there; choose another name"
            )));
        }
        let data = self.interactions(dataset)?;
        let config = SasRecConfig::new(data.n_items);
        let checkpoints = self.root().join("checkpoints").join(name);
        std::fs::create_dir_all(&checkpoints)
            .map_err(|error| EngineError::other(format!("{}: {error}", checkpoints.display())))?;
        let trained = train_sasrec(
            &config,
            training,
            &data,
            Some(&checkpoints),
            &mut |progress| {
                let per_epoch = u64::from(progress.steps_per_epoch);
                let done = u64::from(progress.epoch.saturating_sub(1)) * per_epoch
                    + u64::from(progress.step);
                if job.is_cancelled() {
                    return ControlFlow::Break(());
                }
                job.step(
                    "Training recommender",
                    done,
                    u64::from(progress.max_epochs) * per_epoch,
                    "steps",
                )
            },
        )?;
        let record = serde_json::json!({
            "settings": training,
            "best_epoch": trained.best_epoch,
            "epochs": trained.epochs,
        });
        let model: &SasRec = &trained.model;
        self.keep_model(
            name,
            Architecture::SasRec,
            Some(dataset),
            record,
            |folder| model.save(folder).map_err(EngineError::from),
        )?;
        std::fs::remove_dir_all(&checkpoints).ok();
        std::fs::remove_dir(self.root().join("checkpoints")).ok();
        Ok(trained.best_epoch)
    }

    /// HR@k and NDCG@k by ranking every item; with a dictionary also through its reconstruction.
    ///
    /// # Errors
    /// When model, dataset or dictionary do not exist or do not fit together.
    pub fn evaluate_ranking(
        &self,
        model: &str,
        dataset: &str,
        split: Split,
        sae: Option<&str>,
    ) -> Result<RankingReport> {
        let data = self.interactions(dataset)?;
        let loaded = self.model(model)?;
        let recommender = loaded.as_recommender()?;
        let plain = evaluate(recommender, &data, split, &KS)?;
        let reconstructed = sae
            .map(|name| {
                let dictionary = self.dictionary(name)?;
                let metrics = evaluate_with(recommender, &data, split, &KS, &mut |vectors| {
                    let back = dictionary
                        .sae
                        .reconstruct(vectors)
                        .map_err(|error| ModelError::Request(error.to_string()))?;
                    vectors.copy_from_slice(&back);
                    Ok(())
                })?;
                Ok::<_, EngineError>(metrics)
            })
            .transpose()?;
        Ok(RankingReport {
            plain,
            reconstructed,
        })
    }
}

/// Settings of a recommender's training: `settings` as TOML text, single values on top.
///
/// # Errors
/// When the text is no TOML, or a key or value is unknown.
pub fn sasrec_training(
    settings: Option<&str>,
    lr: Option<f64>,
    epochs: Option<u32>,
    seed: u64,
) -> Result<SasRecTraining> {
    let mut training: SasRecTraining = toml::from_str(settings.unwrap_or_default())
        .map_err(|error| EngineError::request(format!("settings: {error}")))?;
    if let Some(lr) = lr {
        training.lr = lr as f32;
    }
    if let Some(epochs) = epochs {
        training.max_epochs = epochs;
    }
    training.seed = seed;
    Ok(training)
}
