//! Training instances: a history, the item that followed, and a sampled item that did not.

use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::super::config::RecommenderConfig;
use super::super::data::InteractionData;
use super::objective::TrainingCase;
use crate::ModelError;

/// All instances of a dataset.
pub(crate) struct Instances<'a> {
    data: &'a InteractionData,
    n_items: u32,
    history_max: usize,
    /// User and index of the positive in the user's `train`.
    places: Vec<(u32, u32)>,
    /// Each user's train items, sorted.
    known: Vec<Vec<u32>>,
}

impl<'a> Instances<'a> {
    /// Collects the instances.
    pub(crate) fn new(
        config: &RecommenderConfig,
        data: &'a InteractionData,
    ) -> Result<Self, ModelError> {
        let n_items = config.n_items();
        let mut places = Vec::new();
        let mut known = Vec::with_capacity(data.histories.len());
        for (user, parts) in (0_u32..).zip(&data.histories) {
            let all = parts.train.iter().chain(&parts.dev).chain(&parts.test);
            if let Some(bad) = all.clone().find(|&&id| id == 0 || id > n_items) {
                return Err(ModelError::Request(format!(
                    "the data has the item {bad}, but item ids run from 1 to {n_items}"
                )));
            }
            let mut items = parts.train.clone();
            items.sort_unstable();
            items.dedup();
            if items.len() == n_items as usize {
                return Err(ModelError::Request(format!(
                    "the user at place {user} has every item of the catalogue, so no item is left \
                     to train against"
                )));
            }
            known.push(items);
            // A model of histories has nothing to read before the first item.
            let first = u32::from(config.history_max().is_some());
            places.extend((first..parts.train.len() as u32).map(|end| (user, end)));
        }
        if places.is_empty() {
            return Err(ModelError::Request(
                "no user has enough train items, so there is nothing to train on".to_owned(),
            ));
        }
        Ok(Self {
            data,
            n_items,
            history_max: config.history_max().unwrap_or(0) as usize,
            places,
            known,
        })
    }

    /// Steps of an epoch.
    pub(crate) fn n_steps(&self, batch_size: u32) -> u32 {
        self.places.len().div_ceil(batch_size as usize) as u32
    }

    /// The instances of one epoch in a fresh order, with fresh negatives.
    pub(crate) fn epoch(&self, seed: u64, epoch: u32) -> Vec<TrainingCase<'a>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(epoch));
        let mut cases: Vec<TrainingCase<'a>> = self
            .places
            .iter()
            .map(|&(user, end)| {
                let train = &self.data.histories[user as usize].train;
                let end = end as usize;
                let known = &self.known[user as usize];
                let negative = loop {
                    let item = rng.random_range(1..=self.n_items);
                    if known.binary_search(&item).is_err() {
                        break item;
                    }
                };
                TrainingCase {
                    user: self.data.user_number(user as usize),
                    history: &train[end.saturating_sub(self.history_max)..end],
                    positive: train[end],
                    negative,
                }
            })
            .collect();
        cases.shuffle(&mut rng);
        cases
    }
}
