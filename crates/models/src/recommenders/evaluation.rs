//! HR@k and NDCG@k of a recommender by ranking every item of the catalogue.

use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;
use schema::Split;
use serde::{Deserialize, Serialize};

use super::architectures::UserQuery;
use super::data::InteractionData;
use super::recommender::Recommender;
use crate::ModelError;

/// Histories ranked together.
const BLOCK: usize = 128;

/// Ranking quality at several cut-offs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankingMetrics {
    /// The cut-offs.
    pub ks: Vec<u32>,
    /// Share of cases whose target is among the first k, per cut-off.
    pub hr: Vec<f64>,
    /// Mean of `1 / log2(rank + 1)` where the target is among the first k, per cut-off.
    pub ndcg: Vec<f64>,
    /// Cases ranked.
    pub n_cases: usize,
}

impl RankingMetrics {
    /// Metrics of target ranks, 1 being best. All 0 for no ranks.
    ///
    /// # Example
    /// Ranks 1 and 3 at k = 2: HR 1/2, NDCG 1/2.
    /// ```
    /// use models::recommenders::RankingMetrics;
    ///
    /// let metrics = RankingMetrics::from_ranks(&[1, 3], &[2, 5]);
    /// assert_eq!(metrics.hr, [0.5, 1.0]);
    /// assert_eq!(metrics.ndcg, [0.5, 0.75]);
    /// ```
    pub fn from_ranks(ranks: &[u32], ks: &[u32]) -> Self {
        let n = ranks.len().max(1) as f64;
        let mean = |k: u32, gain: &dyn Fn(u32) -> f64| {
            ranks
                .iter()
                .filter(|&&rank| rank <= k)
                .map(|&rank| gain(rank))
                .sum::<f64>()
                / n
        };
        Self {
            ks: ks.to_vec(),
            hr: ks.iter().map(|&k| mean(k, &|_| 1.0)).collect(),
            ndcg: ks
                .iter()
                .map(|&k| mean(k, &|rank| 1.0 / (f64::from(rank) + 1.0).log2()))
                .collect(),
            n_cases: ranks.len(),
        }
    }

    /// HR at a cut-off that was asked for.
    pub fn hr_at(&self, k: u32) -> Option<f64> {
        self.ks
            .iter()
            .position(|&known| known == k)
            .map(|i| self.hr[i])
    }

    /// NDCG at a cut-off that was asked for.
    pub fn ndcg_at(&self, k: u32) -> Option<f64> {
        self.ks
            .iter()
            .position(|&known| known == k)
            .map(|i| self.ndcg[i])
    }
}

/// What users are shown and where their targets stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RankedCases {
    /// Rank of each target, 1 being best.
    pub ranks: Vec<u32>,
    /// The best items of each case, best first; ties by lower id.
    pub top: Vec<Vec<u32>>,
}

/// One held-out item to be ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    /// The user's place in the data.
    user: u32,
    /// The user's number in tables of users.
    number: u32,
    history: Vec<u32>,
    target: u32,
    /// Items that do not compete: the user's train items and other held-out items, sorted.
    masked: Vec<u32>,
}

impl Case {
    fn query(&self) -> UserQuery<'_> {
        UserQuery {
            user: Some(self.number),
            history: &self.history,
        }
    }
}

/// The cases of one split: every held-out item with at least one item before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationSet {
    cases: Vec<Case>,
}

impl EvaluationSet {
    /// Collects the cases of `split`: `Dev` or `Test`. `Train` gives no cases.
    pub fn new(data: &InteractionData, split: Split) -> Self {
        let mut cases = Vec::new();
        for (user, parts) in (0_u32..).zip(&data.histories) {
            let (before, targets) = match split {
                Split::Train => continue,
                Split::Dev => (parts.train.clone(), &parts.dev),
                Split::Test => ([&parts.train[..], &parts.dev].concat(), &parts.test),
            };
            let mut history = before;
            for &target in targets {
                if !history.is_empty() {
                    let held_out = parts.dev.iter().chain(&parts.test);
                    let mut masked: Vec<u32> =
                        parts.train.iter().chain(held_out).copied().collect();
                    masked.sort_unstable();
                    masked.dedup();
                    masked.retain(|&item| item != target);
                    cases.push(Case {
                        user,
                        number: data.user_number(user as usize),
                        history: history.clone(),
                        target,
                        masked,
                    });
                }
                history.push(target);
            }
        }
        Self { cases }
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is nothing to rank.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The histories before the held-out items, oldest first, in case order.
    pub fn histories(&self) -> Vec<&[u32]> {
        self.cases.iter().map(|case| &case.history[..]).collect()
    }

    /// What the model is asked, in case order.
    pub fn queries(&self) -> Vec<UserQuery<'_>> {
        self.cases.iter().map(Case::query).collect()
    }

    /// Items that do not compete, per case: the user's train items and other held-out items.
    pub fn masked(&self) -> Vec<&[u32]> {
        self.cases.iter().map(|case| &case.masked[..]).collect()
    }

    /// The user's index in the data, per case.
    pub fn users(&self) -> Vec<u32> {
        self.cases.iter().map(|case| case.user).collect()
    }

    /// The held-out items, in case order.
    pub fn targets(&self) -> Vec<u32> {
        self.cases.iter().map(|case| case.target).collect()
    }

    /// The model's user vectors, `[len, d_model]`, in case order.
    ///
    /// # Errors
    /// As [`Recommender::user_vectors`].
    pub fn user_vectors(&self, model: &Recommender) -> Result<Vec<f32>, ModelError> {
        let blocks = self
            .cases
            .par_chunks(BLOCK)
            .map(|cases| {
                let queries: Vec<UserQuery<'_>> = cases.iter().map(Case::query).collect();
                model.user_vectors(&queries)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(blocks.concat())
    }

    /// Rank of each target among all items for user vectors `[len, d_model]`.
    ///
    /// `rank = 1 + #{items not masked with score ≥ the target's}`: ties count against the target.
    /// A vector that is not finite ranks its target last.
    ///
    /// # Errors
    /// [`ModelError::Request`] when the number of vectors is not that of the cases.
    ///
    /// # Source
    /// `ReChorus` `--test_all 1`.
    pub fn ranks(&self, model: &Recommender, user_vectors: &[f32]) -> Result<Vec<u32>, ModelError> {
        let d = model.config().d();
        if user_vectors.len() != self.cases.len() * d {
            return Err(ModelError::Request(format!(
                "expected {} user vectors of width {d}, got {} numbers",
                self.cases.len(),
                user_vectors.len()
            )));
        }
        self.ranks_by(model, (user_vectors, d), |vectors, _| model.scores(vectors))
    }

    /// Ranks as [`EvaluationSet::ranks`] and the `n_top` best items of each case, items that do not
    /// compete left out.
    ///
    /// # Errors
    /// As [`EvaluationSet::ranks`].
    pub fn ranked(
        &self,
        model: &Recommender,
        user_vectors: &[f32],
        n_top: usize,
    ) -> Result<RankedCases, ModelError> {
        let d = model.config().d();
        let n_items = model.config().n_items() as usize;
        let ranks = self.ranks(model, user_vectors)?;
        let top = self
            .cases
            .par_chunks(BLOCK)
            .zip(user_vectors.par_chunks(BLOCK * d))
            .map(|(cases, vectors)| -> Vec<Vec<u32>> {
                let scores = model.scores(vectors);
                cases
                    .iter()
                    .zip(scores.chunks_exact(n_items))
                    .map(|(case, scores)| best_items(scores, &case.masked, n_top))
                    .collect()
            })
            .collect::<Vec<_>>()
            .concat();
        Ok(RankedCases { ranks, top })
    }

    /// The cases at some places, in the order given.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        Self {
            cases: places
                .iter()
                .map(|&place| self.cases[place].clone())
                .collect(),
        }
    }

    /// Rank of each target when a user has several vectors, `[len, n_vectors, d_model]`, and an
    /// item's score is the highest of their products with it.
    pub(crate) fn ranks_of_best(
        &self,
        model: &Recommender,
        vectors: &[f32],
        n_vectors: usize,
    ) -> Result<Vec<u32>, ModelError> {
        let n_items = model.config().n_items() as usize;
        let width = n_vectors * model.config().d();
        self.ranks_by(model, (vectors, width), |vectors, n| {
            let all = model.scores(vectors);
            let mut best = vec![f32::NEG_INFINITY; n * n_items];
            for (best, own) in best
                .chunks_exact_mut(n_items)
                .zip(all.chunks_exact(n_vectors * n_items))
            {
                for scores in own.chunks_exact(n_items) {
                    for (best, &score) in best.iter_mut().zip(scores) {
                        *best = best.max(score);
                    }
                }
            }
            best
        })
    }

    /// Ranks by scores that `scores_of` makes of the vectors of a number of cases.
    fn ranks_by(
        &self,
        model: &Recommender,
        (vectors, width): (&[f32], usize),
        scores_of: impl Fn(&[f32], usize) -> Vec<f32> + Sync,
    ) -> Result<Vec<u32>, ModelError> {
        let n_items = model.config().n_items() as usize;
        let highest = self
            .cases
            .iter()
            .flat_map(|case| case.masked.iter().chain([&case.target]));
        if let Some(id) = highest.max().filter(|&&id| id as usize > n_items) {
            return Err(ModelError::Request(format!(
                "the data has the item {id}, but the model knows {n_items} items"
            )));
        }
        let blocks: Vec<Vec<u32>> = self
            .cases
            .par_chunks(BLOCK)
            .zip(vectors.par_chunks(BLOCK * width))
            .map(|(cases, vectors)| {
                let scores = scores_of(vectors, cases.len());
                cases
                    .iter()
                    .zip(scores.chunks_exact(n_items))
                    .map(|(case, scores)| rank_of(case, scores))
                    .collect()
            })
            .collect();
        Ok(blocks.concat())
    }
}

/// The `n` items with the highest scores that are not `masked` (sorted), best first.
fn best_items(scores: &[f32], masked: &[u32], n: usize) -> Vec<u32> {
    // A short list kept in order: nearly every item fails against its last place.
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(n + 1);
    for (item, &score) in (1_u32..).zip(scores) {
        let is_beaten = best.len() == n && best.last().is_some_and(|&(last, _)| score <= last);
        if n == 0 || is_beaten || score.is_nan() || masked.binary_search(&item).is_ok() {
            continue;
        }
        let at = best.partition_point(|&(other, _)| other >= score);
        best.insert(at, (score, item));
        best.truncate(n);
    }
    best.into_iter().map(|(_, item)| item).collect()
}

fn rank_of(case: &Case, scores: &[f32]) -> u32 {
    let target = scores[case.target as usize - 1];
    if !target.is_finite() {
        return scores.len() as u32;
    }
    let at_least = scores
        .iter()
        .map(|&score| u32::from(score >= target))
        .sum::<u32>();
    let masked = case
        .masked
        .iter()
        .filter(|&&item| scores[item as usize - 1] >= target)
        .count();
    at_least - masked as u32
}

/// HR and NDCG of a model on a split, by full ranking.
///
/// The user's train items and other held-out items do not compete.
///
/// # Errors
/// [`ModelError::Request`] when data and model do not fit together.
pub fn evaluate(
    model: &Recommender,
    data: &InteractionData,
    split: Split,
    ks: &[u32],
) -> Result<RankingMetrics, ModelError> {
    evaluate_with(model, data, split, ks, &mut |_| Ok(()))
}

/// As [`evaluate`], with other vectors in place of the user vectors, e.g. reconstructions.
///
/// `replace` gets all user vectors at once, `[cases, d_model]`, in user order.
///
/// # Errors
/// As [`evaluate`], and what `replace` returns.
pub fn evaluate_with(
    model: &Recommender,
    data: &InteractionData,
    split: Split,
    ks: &[u32],
    replace: &mut dyn FnMut(&mut [f32]) -> Result<(), ModelError>,
) -> Result<RankingMetrics, ModelError> {
    let set = EvaluationSet::new(data, split);
    let mut vectors = set.user_vectors(model)?;
    replace(&mut vectors)?;
    Ok(RankingMetrics::from_ranks(&set.ranks(model, &vectors)?, ks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_items_are_those_of_a_full_sort() {
        let scores: Vec<f32> = (0..200)
            .map(|i| ((i * 37 % 101) as f32 * 0.3).sin())
            .collect();
        let masked = [3, 50, 77];
        let mut all: Vec<u32> = (1..=200).filter(|item| !masked.contains(item)).collect();
        let of = |item: u32| scores[item as usize - 1];
        all.sort_by(|&a, &b| of(b).total_cmp(&of(a)).then(a.cmp(&b)));
        assert_eq!(best_items(&scores, &masked, 12), all[..12]);
        assert_eq!(best_items(&scores, &masked, 0), Vec::<u32>::new());
        assert_eq!(best_items(&scores[..4], &masked, 9).len(), 3);
    }
}
