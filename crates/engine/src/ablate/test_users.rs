//! The users of a part of a dataset: their vectors, codes, and lists.

use std::sync::Arc;

use explain::{coverage, gini, mean_over_places};
use models::recommenders::{EvaluationSet, InteractionData, RankedCases, Recommender};
use models::{ActivationEdit as _, EditedPosition};
use sae::SparseCodes;
use schema::{HookPoint, PositionClass, Split};

use super::figures::{Members, first_ten, hit_10, ndcg_10};
use crate::edits::FeatureEdit;
use crate::error::{EngineError, Result};
use crate::evaluate_ranking::{check_catalogue, held_out};
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::{Exposure, ListFigures};

/// Users over whom the mean rank of items is taken at most.
const N_RANKED: usize = 1000;

/// Users to recommend to, one case for each of their held-out items.
pub(super) struct TestUsers {
    pub(super) set: EvaluationSet,
    pub(super) recommender: Arc<Recommender>,
    /// `[n_cases, d_model]`.
    pub(super) vectors: Vec<f32>,
    pub(super) codes: SparseCodes,
    /// Share of cases on which each feature is active.
    pub(super) density: Vec<f64>,
    /// By item id from 0: share of train interactions of items no more popular.
    popularity: Vec<f64>,
    /// By item id from 0: train interactions.
    pub(super) counts: Vec<u64>,
    n_items: u32,
}

impl TestUsers {
    /// Reads users, vectors and codes.
    pub(super) fn load(
        session: &Session,
        indexed: &IndexedDictionary,
        dataset: Option<&str>,
        split: Split,
        job: &JobContext,
    ) -> Result<Self> {
        let manifest = &indexed.harvest;
        let model = session.model(&manifest.model)?;
        let Some(recommender) = model
            .recommender
            .clone()
            .filter(|_| manifest.hook == HookPoint::UserVector)
        else {
            return Err(EngineError::request(format!(
                "expected a dictionary of {} of a recommender; this one reads {} of models/{}",
                HookPoint::UserVector,
                manifest.hook,
                manifest.model
            )));
        };
        let dataset = dataset.unwrap_or(&manifest.dataset);
        let data = session.interactions(dataset)?;
        check_catalogue((&manifest.model, &recommender), (dataset, &data))?;
        let set = held_out(dataset, &data, split)?;
        job.report("Reading user vectors", 0, 0, "users");
        let vectors = set.user_vectors(&recommender)?;
        let codes = indexed.dictionary.sae.encode(&vectors)?;
        let mut active = vec![0_u32; indexed.dictionary.sae.n_features()];
        for row in 0..codes.n_rows() {
            let (features, values) = codes.row(row);
            for (&feature, _) in features.iter().zip(values).filter(|(_, v)| **v > 0.0) {
                active[feature as usize] += 1;
            }
        }
        let n = codes.n_rows().max(1) as f64;
        let counts = train_counts(&data);
        Ok(Self {
            set,
            recommender,
            vectors,
            codes,
            density: active.iter().map(|&n_rows| f64::from(n_rows) / n).collect(),
            popularity: percentiles(&counts),
            counts,
            n_items: data.n_items,
        })
    }

    /// Lists and ranks with these vectors.
    pub(super) fn ranked(&self, vectors: &[f32], n_top: usize) -> Result<RankedCases> {
        Ok(self.set.ranked(&self.recommender, vectors, n_top)?)
    }

    /// Vectors after a change, and the places of those that differ.
    pub(super) fn changed(&self, edit: &FeatureEdit) -> (Vec<f32>, Vec<usize>) {
        let d = self.recommender.config().d_model() as usize;
        let mut changed = self.vectors.clone();
        let at_end = EditedPosition {
            position: 0,
            prompt_len: 1,
            class: PositionClass::Item,
        };
        edit.apply(&mut changed, d, &vec![at_end; self.vectors.len() / d]);
        let places = changed
            .chunks_exact(d)
            .zip(self.vectors.chunks_exact(d))
            .enumerate()
            .filter(|(_, (after, before))| after != before)
            .map(|(place, _)| place)
            .collect();
        (changed, places)
    }

    /// Lists and ranks after a change: only those of changed users are made anew.
    pub(super) fn reranked(
        &self,
        base: &RankedCases,
        changed: &[f32],
        places: &[usize],
        n_top: usize,
    ) -> Result<RankedCases> {
        let d = self.recommender.config().d_model() as usize;
        let rows: Vec<f32> = places
            .iter()
            .flat_map(|&place| changed[place * d..(place + 1) * d].iter().copied())
            .collect();
        let again = self
            .set
            .at(places)
            .ranked(&self.recommender, &rows, n_top)?;
        let mut after = base.clone();
        for list in &mut after.top {
            list.truncate(n_top);
        }
        for ((&place, rank), list) in places.iter().zip(again.ranks).zip(again.top) {
            after.ranks[place] = rank;
            after.top[place] = list;
        }
        Ok(after)
    }

    /// What the lists come to.
    pub(super) fn figures(
        &self,
        ranked: &RankedCases,
        vectors: &[f32],
        members: &Members,
    ) -> ListFigures {
        let lists = first_ten(ranked);
        let n = ranked.ranks.len().max(1) as f64;
        let mean = |of: fn(u32) -> f64| ranked.ranks.iter().map(|&rank| of(rank)).sum::<f64>() / n;
        let shares = explain::shares_of(&lists, &members.flags);
        let exposure = self.exposure(&lists);
        ListFigures {
            hr_10: mean(hit_10),
            ndcg_10: mean(ndcg_10),
            share: shares.iter().sum::<f64>() / n,
            mean_rank: self.mean_rank(vectors, members),
            coverage: exposure.coverage,
            gini: exposure.gini,
            popularity: exposure.popularity,
        }
    }

    /// Which items lists show, and how evenly.
    pub(super) fn exposure(&self, lists: &[Vec<u32>]) -> Exposure {
        Exposure {
            coverage: coverage(lists, self.n_items),
            gini: gini(lists, self.n_items),
            popularity: mean_over_places(lists, &self.popularity).unwrap_or(0.0),
        }
    }

    /// Mean rank of the concept's items among all items, over at most 1,000 users spread evenly.
    fn mean_rank(&self, vectors: &[f32], members: &Members) -> f64 {
        let d = self.recommender.config().d_model() as usize;
        let n_users = vectors.len() / d;
        let step = n_users.div_ceil(N_RANKED).max(1);
        let (mut sum, mut n) = (0.0, 0_u64);
        for user in (0..n_users).step_by(step) {
            let scores = self.recommender.scores(&vectors[user * d..(user + 1) * d]);
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
            for (rank, item) in (1_u32..).zip(order) {
                if members.flags[item as usize + 1] {
                    sum += f64::from(rank);
                    n += 1;
                }
            }
        }
        sum / n.max(1) as f64
    }
}

/// Train interactions of each item, by id from 0.
fn train_counts(data: &InteractionData) -> Vec<u64> {
    let mut counts = vec![0; data.n_items as usize + 1];
    for (_, item) in data.train_pairs() {
        counts[item as usize] += 1;
    }
    counts
}

/// Of each item, by id from 0, the share of interactions that items no more popular have: 1 for the
/// most popular one.
fn percentiles(counts: &[u64]) -> Vec<f64> {
    let total: u64 = counts.iter().sum();
    let mut sorted: Vec<u64> = counts[1..].to_vec();
    sorted.sort_unstable();
    let mut sums = Vec::with_capacity(sorted.len() + 1);
    sums.push(0);
    for &count in &sorted {
        sums.push(sums[sums.len() - 1] + count);
    }
    let share = |count: u64| {
        let n = sorted.partition_point(|&other| other <= count);
        sums[n] as f64 / total.max(1) as f64
    };
    counts.iter().map(|&count| share(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_is_the_share_of_interactions_up_to_an_item() {
        // Item 1 twice, item 2 five times, item 3 three times.
        let shares = percentiles(&[0, 2, 5, 3]);
        assert_eq!(shares[1..], [0.2, 1.0, 0.5]);
    }
}
