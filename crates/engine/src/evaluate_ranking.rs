//! The job that measures a recommender's ranking, also through a dictionary.

use std::collections::BTreeMap;

use models::ModelError;
use models::recommenders::{InteractionData, RankingMetrics, Recommender, evaluate, evaluate_with};
use schema::Split;
use serde::Serialize;

use crate::error::{EngineError, Result};
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

/// Refuses a model that was made for another catalogue or other users.
pub(crate) fn check_catalogue(
    (model, recommender): (&str, &Recommender),
    (dataset, data): (&str, &InteractionData),
) -> Result<()> {
    let config = recommender.config();
    if config.n_items() != data.n_items {
        return Err(EngineError::request(format!(
            "models/{model} was made for a catalogue of {} items, datasets/{dataset} has {}; \
             choose the dataset it was trained on",
            config.n_items(),
            data.n_items
        )));
    }
    match config.n_users() {
        Some(n_users) if n_users < data.n_users() => Err(EngineError::request(format!(
            "models/{model} knows {n_users} users by number, datasets/{dataset} has {}; choose the \
             dataset it was trained on",
            data.n_users()
        ))),
        _ => Ok(()),
    }
}

impl Session {
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
        check_catalogue((model, recommender), (dataset, &data))?;
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
