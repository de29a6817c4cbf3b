//! The test part of a dataset as rows that features are active on: user vectors, the item that is
//! recommended first, and the vectors after earlier items of each history.

use std::collections::BTreeSet;

use explain::N_SHOWN;
use models::ModelError;
use models::recommenders::{EvaluationSet, InteractionData, Recommender, UserQuery};
use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;
use schema::Split;

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;

/// Rows ranked together.
const BLOCK: usize = 128;

/// One held-out item: what the recommender knew before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestRow {
    /// The user's place in the data.
    pub(super) user: u32,
    /// The last items of the history, oldest first.
    pub(super) shown: Vec<u32>,
    /// What is recommended first: the highest score of all but the user's train items and other
    /// held-out items.
    pub(super) first: u32,
}

/// Rows of the test part.
pub(super) struct TestRows {
    /// Which they are.
    pub(super) rows: Vec<TestRow>,
    /// `[n_rows, d_model]`.
    pub(super) vectors: Vec<f32>,
    /// Vectors after each shown item; `None` where they mean nothing or are not wanted.
    pub(super) places: Option<Places>,
}

/// User vectors after each item that is shown of each row.
pub(super) struct Places {
    /// Where the places of each row begin, `[n_rows + 1]`.
    pub(super) starts: Vec<u32>,
    /// `[n_places, d_model]`.
    pub(super) vectors: Vec<f32>,
}

impl TestRows {
    /// Reads the test part. With `one_per_user` the last row of each user only; with `with_places`
    /// also what the recommender knew after each shown item, where it reads histories.
    ///
    /// # Errors
    /// Those of the recommender; [`EngineError`] where the dataset has no test items.
    pub(super) fn read(
        recommender: &Recommender,
        data: &InteractionData,
        (one_per_user, with_places): (bool, bool),
        job: &JobContext,
    ) -> Result<Self> {
        job.report("Reading test users", 0, 0, "users");
        let set = EvaluationSet::new(data, Split::Test);
        if set.is_empty() {
            return Err(EngineError::request(
                "the dataset has no test items, from which concepts are made",
            ));
        }
        let d = recommender.config().d_model() as usize;
        let all = set.user_vectors(recommender)?;
        let users = set.users();
        let kept: Vec<usize> = (0..users.len())
            .filter(|&at| !one_per_user || users.get(at + 1) != Some(&users[at]))
            .collect();
        let vectors: Vec<f32> = kept
            .iter()
            .flat_map(|&at| all[at * d..(at + 1) * d].iter().copied())
            .collect();
        let masked = set.masked();
        let masked: Vec<&[u32]> = kept.iter().map(|&at| masked[at]).collect();
        let first = first_items(recommender, &vectors, &masked);
        let queries = set.queries();
        let rows = kept
            .iter()
            .zip(first)
            .map(|(&at, first)| {
                let history = queries[at].history;
                TestRow {
                    user: users[at],
                    shown: history[history.len().saturating_sub(N_SHOWN)..].to_vec(),
                    first,
                }
            })
            .collect();
        job.check_cancelled()?;
        let reads_histories = recommender.config().history_max().is_some();
        let places = (with_places && reads_histories)
            .then(|| places(recommender, kept.iter().map(|&at| queries[at])))
            .transpose()?;
        Ok(Self {
            rows,
            vectors,
            places,
        })
    }
}

/// The item with the highest score of each row, those that are masked left out; of equals the first.
fn first_items(recommender: &Recommender, vectors: &[f32], masked: &[&[u32]]) -> Vec<u32> {
    let d = recommender.config().d_model() as usize;
    let n_items = recommender.config().n_items() as usize;
    let blocks: Vec<Vec<u32>> = vectors
        .par_chunks(BLOCK * d)
        .zip(masked.par_chunks(BLOCK))
        .map(|(vectors, masked)| {
            let scores = recommender.scores(vectors);
            let rows = scores.chunks_exact(n_items).zip(masked);
            rows.map(|(scores, masked)| highest(scores, masked))
                .collect()
        })
        .collect();
    blocks.concat()
}

fn highest(scores: &[f32], masked: &[u32]) -> u32 {
    let mut best = (1, f32::NEG_INFINITY);
    for (item, &score) in (1_u32..).zip(scores) {
        if score > best.1 && masked.binary_search(&item).is_err() {
            best = (item, score);
        }
    }
    best.0
}

/// What the recommender knows after each of the last items of each history.
fn places<'a>(
    recommender: &Recommender,
    queries: impl Iterator<Item = UserQuery<'a>>,
) -> std::result::Result<Places, ModelError> {
    let mut starts = vec![0];
    let mut prefixes = Vec::new();
    for query in queries {
        let n = query.history.len();
        prefixes.extend((n.saturating_sub(N_SHOWN)..n).map(|last| UserQuery {
            user: query.user,
            history: &query.history[..=last],
        }));
        starts.push(prefixes.len() as u32);
    }
    let blocks = prefixes
        .par_chunks(BLOCK)
        .map(|prefixes| recommender.user_vectors(prefixes))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Places {
        starts,
        vectors: blocks.concat(),
    })
}

/// Mean of each dimension.
pub(super) fn mean_of(vectors: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; d];
    for row in vectors.chunks_exact(d) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let n = (vectors.len() / d).max(1) as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

/// Distinct users of rows, for notes.
pub(super) fn n_users(rows: &[TestRow]) -> usize {
    rows.iter()
        .map(|row| row.user)
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_item_is_the_best_that_competes() {
        assert_eq!(highest(&[1.0, 5.0, 5.0, 9.0], &[4]), 2);
        assert_eq!(highest(&[1.0, 5.0, 5.0, 9.0], &[2, 4]), 3);
        assert_eq!(highest(&[f32::NAN, -3.0], &[]), 2);
    }

    #[test]
    fn means_by_hand() {
        assert_eq!(mean_of(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
    }
}
