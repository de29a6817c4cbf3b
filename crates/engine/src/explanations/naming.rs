//! Whether explanations name what was planted: on phantoms alone, where that is known.

use std::collections::BTreeMap;

use datasets::phantom::is_named;
use explain::{ClusterBootstrap, SparseColumns, recover};
use schema::{FeatureId, Split};

use crate::error::Result;
use crate::indexed::IndexedDictionary;
use crate::recover_planted::truth_of;
use crate::session::Session;
use crate::views::{ExplanationsView, NamedFindingView, PlantedNamesView};

/// A feature belongs to a planted finding from this F1 on, on patients of no training.
pub const BELONGS_FROM: f64 = 0.6;

/// The samples of one side: their place among its samples, and by finding which of them have it.
struct Side {
    place: BTreeMap<u32, u32>,
    truth: Vec<Vec<bool>>,
}

/// The finding that a feature goes with best.
struct Belonging {
    finding: usize,
    train_f1: f64,
    f1: f64,
}

impl Side {
    fn column(&self, strongest: &BTreeMap<u32, f32>) -> SparseColumns {
        let values = strongest
            .iter()
            .filter_map(|(sample, &value)| Some((*self.place.get(sample)?, value)));
        SparseColumns {
            n_samples: self.place.len(),
            columns: vec![values.collect()],
        }
    }
}

impl Session {
    /// How many features that belong to a planted finding have it named in a run's explanations;
    /// `None` where nothing was planted or nothing is explained.
    ///
    /// A feature's value on a film or report is its strongest activation there. Finding and
    /// threshold are chosen by F1 on the training patients; the feature belongs to that finding
    /// where F1 on all other patients is at least 0.6. A feature that was looked at and not
    /// explained names nothing.
    ///
    /// # Errors
    /// When the dictionary has no index or its dataset cannot be read.
    pub fn planted_names(&self, run: &ExplanationsView) -> Result<Option<PlantedNamesView>> {
        let dataset = self.dataset(&run.dataset)?;
        let findings = &dataset.manifest.findings;
        if !dataset.manifest.planted || findings.is_empty() || run.features.is_empty() {
            return Ok(None);
        }
        let indexed = self.indexed(&run.sae)?;
        let side = |is_training: bool| {
            let samples: Vec<_> = (0_u32..)
                .zip(&dataset.records)
                .filter(|(_, record)| (record.split == Split::Train) == is_training)
                // What was not recorded says nothing of any feature.
                .filter(|(sample, _)| !indexed.index.sample_rows(*sample).is_empty())
                .collect();
            Side {
                place: samples.iter().map(|(at, _)| *at).zip(0..).collect(),
                truth: truth_of(findings, samples.len(), |unit, name| {
                    samples[unit].1.has_finding(name)
                }),
            }
        };
        let sides = [side(true), side(false)];
        let mut best: Vec<Option<(f64, NamedFindingView)>> = vec![None; findings.len()];
        let mut named = Vec::new();
        for one in &run.features {
            let Some(belonging) = belonging(&indexed, one.feature, &sides)? else {
                continue;
            };
            let finding = &findings[belonging.finding];
            let is_named = is_named(finding, &one.explanation);
            if belonging.f1 >= BELONGS_FROM {
                named.push(f64::from(u8::from(is_named)));
            }
            let known = &mut best[belonging.finding];
            if known
                .as_ref()
                .is_none_or(|(train_f1, _)| belonging.train_f1 > *train_f1)
            {
                let view = NamedFindingView {
                    finding: finding.clone(),
                    feature: one.feature,
                    f1: belonging.f1,
                    explanation: one.explanation.clone(),
                    is_named,
                };
                *known = Some((belonging.train_f1, view));
            }
        }
        Ok(Some(PlantedNamesView {
            n_findings: findings.len(),
            n_belonging: named.len(),
            n_named: named.iter().filter(|&&is| is > 0.0).count(),
            interval: ClusterBootstrap::of_units(named.len(), run.settings.seed)
                .interval_of_mean(&named),
            findings: best.into_iter().flatten().map(|(_, view)| view).collect(),
        }))
    }
}

/// The finding a feature goes with best on the training side; `None` where it is active on none.
fn belonging(
    indexed: &IndexedDictionary,
    feature: FeatureId,
    [train, held_out]: &[Side; 2],
) -> Result<Option<Belonging>> {
    let maxima = indexed.index.sample_maxima(feature);
    let strongest = maxima
        .iter()
        .map(|one| (one.sample, one.activation))
        .collect();
    let recoveries = recover(
        &train.column(&strongest),
        &train.truth,
        &held_out.column(&strongest),
        &held_out.truth,
    )?;
    let found = recoveries.into_iter().enumerate().filter_map(|(at, one)| {
        let one = one?;
        Some(Belonging {
            finding: at,
            train_f1: one.train_f1,
            f1: one.f1,
        })
    });
    Ok(found.max_by(|a, b| {
        let by_f1 = a.train_f1.total_cmp(&b.train_f1);
        // Of equals the first finding.
        by_f1.then(b.finding.cmp(&a.finding))
    }))
}
