//! Where features of a dictionary are active: of the dictionary itself by its index, of a control
//! that has none by encoding the rows once more.

use std::collections::{BTreeMap, BTreeSet};

use sae::SparseAutoencoder;
use schema::{FeatureId, PositionClass, RowRef};
use store::HarvestReader;

use crate::error::Result;
use crate::indexed::{IndexedDictionary, N_NEIGHBOURS};
use crate::jobs::JobContext;

/// Neighbours of a feature that hard cases come from.
const NEARBY: usize = 4;

/// One place where a feature is active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) sample: u32,
    pub(super) position: u32,
    pub(super) class: PositionClass,
    pub(super) value: f32,
}

impl Place {
    fn of(at: RowRef, value: f32) -> Self {
        Self {
            sample: at.sample,
            position: at.position,
            class: at.class,
            value,
        }
    }
}

/// Where features are active.
pub(super) enum Activity<'a> {
    /// By the index.
    Indexed(&'a IndexedDictionary),
    /// Of some features of a control, by feature, with the features of near direction.
    Encoded {
        places: BTreeMap<u32, Vec<Place>>,
        nearby: BTreeMap<u32, Vec<u32>>,
    },
}

impl Activity<'_> {
    /// Places of a feature, by sample and position.
    pub(super) fn places(&self, feature: u32) -> Vec<Place> {
        match self {
            Self::Indexed(indexed) => {
                let (rows, values) = indexed.index.column(FeatureId(feature));
                rows.iter()
                    .zip(values)
                    .filter_map(|(&row, &value)| {
                        Some(Place::of(indexed.index.row_ref(row)?, value))
                    })
                    .collect()
            }
            Self::Encoded { places, .. } => places.get(&feature).cloned().unwrap_or_default(),
        }
    }

    /// Features that hard cases come from: of near direction, and often active together.
    pub(super) fn nearby(&self, feature: u32) -> Vec<u32> {
        match self {
            Self::Indexed(indexed) => {
                let Ok(summary) = indexed.index.summary(FeatureId(feature)) else {
                    return Vec::new();
                };
                let near = summary.neighbours.iter().map(|one| one.feature.0);
                let along = summary.cofiring.iter().map(|one| one.feature.0);
                let mut found: Vec<u32> = Vec::new();
                for other in near.take(NEARBY).chain(along.take(NEARBY)) {
                    if !found.contains(&other) {
                        found.push(other);
                    }
                }
                found
            }
            Self::Encoded { nearby, .. } => nearby.get(&feature).cloned().unwrap_or_default(),
        }
    }
}

/// On how many rows of a harvest each feature of a dictionary is active.
pub(super) fn count_rows(
    sae: &SparseAutoencoder,
    reader: &HarvestReader,
    stage: &str,
    job: &JobContext,
) -> Result<Vec<u64>> {
    let mut counts = vec![0_u64; sae.n_features()];
    for index in 0..reader.n_shards() {
        job.check_cancelled()?;
        job.report(stage, index as u64, reader.n_shards() as u64, "shards");
        let codes = sae.encode(&reader.read_shard(index)?.rows)?;
        for (&feature, &value) in codes.features.iter().zip(&codes.values) {
            if value > 0.0 {
                counts[feature as usize] += 1;
            }
        }
    }
    Ok(counts)
}

/// Where some features of a dictionary and those of near direction are active.
pub(super) fn encoded(
    sae: &SparseAutoencoder,
    reader: &HarvestReader,
    (features, stage): (&BTreeSet<u32>, &str),
    job: &JobContext,
) -> Result<Activity<'static>> {
    let nearby: BTreeMap<u32, Vec<u32>> = features
        .iter()
        .map(|&feature| {
            let near = sae::nearest_directions(sae, FeatureId(feature), N_NEIGHBOURS);
            let near = near.iter().take(NEARBY).map(|one| one.feature.0);
            (feature, near.collect())
        })
        .collect();
    let mut places: BTreeMap<u32, Vec<Place>> = features
        .iter()
        .chain(nearby.values().flatten())
        .map(|&feature| (feature, Vec::new()))
        .collect();
    for index in 0..reader.n_shards() {
        job.check_cancelled()?;
        job.report(stage, index as u64, reader.n_shards() as u64, "shards");
        let shard = reader.read_shard(index)?;
        let codes = sae.encode(&shard.rows)?;
        for (row, &at) in shard.refs.iter().enumerate() {
            let (active, values) = codes.row(row);
            for (feature, &value) in active.iter().zip(values) {
                if value > 0.0
                    && let Some(list) = places.get_mut(feature)
                {
                    list.push(Place::of(at, value));
                }
            }
        }
    }
    Ok(Activity::Encoded { places, nearby })
}
