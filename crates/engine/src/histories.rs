//! One user's whole history with a feature's activations, and what the model recommends after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use explain::Levels;
use models::{HookSpec, ModelInput, ModelSample};
use schema::SampleRecord;

use crate::error::{EngineError, Result};
use crate::harvest::{training_items, user_number};
use crate::indexed::{IndexedDictionary, activation_at, item_view};
use crate::model_registry::LoadedModel;
use crate::session::Session;
use crate::views::{ExampleKind, HistoryRequest, HistoryView, ItemView, SameRecommendation};

/// Strongest histories that are asked whether one item is recommended after most of them.
const N_STRONGEST: usize = 10;
/// Fewest histories of which that is said.
const FEWEST: usize = 5;

impl Session {
    /// One user's whole history with the feature's activation at every position.
    ///
    /// # Errors
    /// When dictionary, feature or sample do not exist, or the dictionary reads no histories.
    pub fn history(&self, request: &HistoryRequest) -> Result<HistoryView> {
        let indexed = self.indexed(&request.sae)?;
        if indexed.kind != ExampleKind::History {
            return Err(EngineError::request(format!(
                "saes/{} reads no item histories",
                request.sae
            )));
        }
        let summary = indexed.index.summary(request.feature)?;
        let record = record(&indexed, request.sample)?;
        let active = indexed.active_positions(request.feature, request.sample);
        let (_, activations) = indexed.index.column(request.feature);
        let levels =
            Levels::of(activations).map_err(|error| EngineError::other(error.to_string()))?;
        let items: Vec<ItemView> = (0..)
            .zip(training_items(record))
            .map(|(at, &id)| item_view(&indexed.dataset, id, activation_at(&active, at)))
            .collect();
        let level = |item: &ItemView| {
            let levels = levels.as_ref();
            levels.map_or(0, |levels| levels.level(item.activation))
        };
        // A model whose file has moved still has histories; only what it recommends is missing.
        let model = self.model(&indexed.harvest.model).ok();
        let (mut recommended, mut same) = (None, None);
        if let Some(model) = model {
            let strongest = summary.top.iter().take(N_STRONGEST).map(|at| at.sample);
            let samples: Vec<u32> = std::iter::once(request.sample).chain(strongest).collect();
            let first = first_ranked(&indexed, &model, &samples)?;
            if let Some((own, rest)) = first.split_first() {
                recommended = own.map(|(id, score)| item_view(&indexed.dataset, id, score));
                same = same_recommendation(&indexed, rest);
            }
        }
        Ok(HistoryView {
            request: request.clone(),
            levels: Arc::new(items.iter().map(level).collect()),
            items: Arc::new(items),
            recommended,
            same,
        })
    }
}

fn record(indexed: &IndexedDictionary, sample: u32) -> Result<&SampleRecord> {
    let records = &indexed.dataset.records;
    records.get(sample as usize).ok_or_else(|| {
        EngineError::request(format!(
            "datasets/{} has no sample {sample}",
            indexed.harvest.dataset
        ))
    })
}

/// The item ranked first after each of these histories, of those not in it, with its score; ties by
/// lower id.
fn first_ranked(
    indexed: &IndexedDictionary,
    model: &LoadedModel,
    samples: &[u32],
) -> Result<Vec<Option<(u32, f32)>>> {
    let records = samples
        .iter()
        .map(|&sample| record(indexed, sample))
        .collect::<Result<Vec<_>>>()?;
    let inputs = records
        .iter()
        .zip(samples)
        .map(|(record, &sample)| {
            let input = model.hooked.prepare(ModelSample {
                items: Some(training_items(record)),
                user: Some(user_number(record, sample)),
                ..ModelSample::default()
            })?;
            Ok(input)
        })
        .collect::<Result<Vec<ModelInput>>>()?;
    let scores = model.hooked.rank(&inputs, &HookSpec::default())?;
    let first = scores.iter().zip(&records).map(|(scores, record)| {
        let history = training_items(record);
        let unseen = (1..).zip(scores.iter().copied());
        unseen
            .filter(|(id, _)| !history.contains(id))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
    });
    Ok(first.collect())
}

/// The item that comes first after more than half of these histories.
fn same_recommendation(
    indexed: &IndexedDictionary,
    first: &[Option<(u32, f32)>],
) -> Option<SameRecommendation> {
    let (id, n) = most(first.iter().flatten().map(|(id, _)| *id))?;
    (first.len() >= FEWEST && n * 2 > first.len()).then(|| SameRecommendation {
        item: item_view(&indexed.dataset, id, 0.0),
        n: n as u32,
        of: first.len() as u32,
    })
}

/// The most frequent id and how often it is there; ties by lower id.
fn most(ids: impl Iterator<Item = u32>) -> Option<(u32, usize)> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for id in ids {
        *counts.entry(id).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)))
}

#[cfg(test)]
mod tests {
    use super::most;

    #[test]
    fn the_most_frequent_item_is_counted() {
        assert_eq!(most([4, 2, 4, 2, 4].into_iter()), Some((4, 3)));
        assert_eq!(most([4, 2].into_iter()), Some((2, 1)));
        assert_eq!(most(std::iter::empty()), None);
    }
}
