//! The job that measures a recommender's ranking, also through a dictionary.

use std::collections::{BTreeMap, BTreeSet};

use explain::ClusterBootstrap;
use models::recommenders::{EvaluationSet, InteractionData, RankingMetrics, Recommender};
use schema::Split;
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::evaluate_sae::WithInterval;
use crate::session::Session;

/// Cut-offs of HR and NDCG.
pub(crate) const KS: [u32; 4] = [5, 10, 20, 50];

/// HR and NDCG by full ranking, and through a dictionary's reconstruction where asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankingReport {
    /// Of the model.
    pub plain: RankingMetrics,
    /// Held-out items that were ranked.
    pub n_cases: usize,
    /// Users they are of.
    pub n_users: usize,
    /// With user vectors replaced by their reconstruction.
    pub reconstructed: Option<RankingMetrics>,
    /// The second as a share of the first, by name, with 95 % intervals over users.
    pub kept: BTreeMap<String, WithInterval>,
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

/// The held-out items of a part of a dataset.
///
/// # Errors
/// When the part has none that could be ranked.
pub(crate) fn held_out(
    dataset: &str,
    data: &InteractionData,
    split: Split,
) -> Result<EvaluationSet> {
    let set = EvaluationSet::new(data, split);
    if set.is_empty() {
        let part = match split {
            Split::Train => "train",
            Split::Dev => "dev",
            Split::Test => "test",
        };
        return Err(EngineError::request(format!(
            "datasets/{dataset} has no held-out items in its {part} part, so that there is nothing \
             to rank"
        )));
    }
    Ok(set)
}

/// Different users among those of cases.
pub(crate) fn n_distinct(users: impl IntoIterator<Item = u32>) -> usize {
    users.into_iter().collect::<BTreeSet<u32>>().len()
}

/// Cases of one user belong together.
pub(crate) fn by_user(users: &[u32], seed: u64) -> ClusterBootstrap {
    let names: Vec<String> = users.iter().map(ToString::to_string).collect();
    ClusterBootstrap::of_names(names.iter().map(String::as_str), seed)
}

impl Session {
    /// HR@k and NDCG@k by ranking every item; with a dictionary also through its reconstruction.
    ///
    /// # Errors
    /// When model, dataset or dictionary do not exist or do not fit together, or the part has no
    /// held-out items.
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
        let set = held_out(dataset, &data, split)?;
        let vectors = set.user_vectors(recommender)?;
        let plain = set.ranks(recommender, &vectors)?;
        let back = sae
            .map(|name| {
                let back = self.dictionary(name)?.sae.reconstruct(&vectors)?;
                Ok::<_, EngineError>(set.ranks(recommender, &back)?)
            })
            .transpose()?;
        let users = set.users();
        Ok(RankingReport {
            plain: RankingMetrics::from_ranks(&plain, &KS),
            n_cases: set.len(),
            n_users: n_distinct(users.iter().copied()),
            kept: back
                .as_ref()
                .map_or_else(BTreeMap::new, |back| shares_kept(&plain, back, &users)),
            reconstructed: back.map(|ranks| RankingMetrics::from_ranks(&ranks, &KS)),
        })
    }
}

/// HR and NDCG of the second ranks as shares of those of the first.
fn shares_kept(plain: &[u32], back: &[u32], users: &[u32]) -> BTreeMap<String, WithInterval> {
    let clusters = by_user(users, 0);
    let ones = vec![1; plain.len()];
    let mut kept = BTreeMap::new();
    for k in KS {
        for name in ["hr", "ndcg"] {
            let gain = |rank: u32| match name {
                "hr" => 1.0,
                _ => 1.0 / (f64::from(rank) + 1.0).log2(),
            };
            let sum = |ranks: &[u32], weights: &[u32]| -> f64 {
                let each = ranks.iter().zip(weights).filter(|(rank, _)| **rank <= k);
                each.map(|(&rank, &weight)| f64::from(weight) * gain(rank))
                    .sum()
            };
            let share = |weights: &[u32]| sae::share_kept(sum(back, weights), sum(plain, weights));
            if let Some(value) = share(&ones) {
                let interval = clusters.interval(&share);
                kept.insert(format!("{name}@{k}"), WithInterval { value, interval });
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use models::recommenders::UserHistory;

    use super::*;

    #[test]
    fn a_part_without_held_out_items_is_refused() {
        let data = InteractionData {
            n_items: 3,
            histories: vec![UserHistory {
                train: vec![1, 2],
                dev: Vec::new(),
                test: vec![3],
                ..UserHistory::default()
            }],
        };
        let error = held_out("shop", &data, Split::Dev).unwrap_err().to_string();
        assert!(
            error.contains("datasets/shop has no held-out items in its dev part"),
            "{error}"
        );
        assert_eq!(held_out("shop", &data, Split::Test).unwrap().len(), 1);
    }
}
