//! Whether planted concepts got a feature of their own, beside three controls.

use std::collections::BTreeMap;

use explain::{ClusterBootstrap, ClusteredF1, ColumnSource, Recovery, recover, shuffled};
use sae::SparseAutoencoder;
use schema::{PatchGrid, SampleRecord};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Highest value of every column in every unit (a film, or one position of a history); a unit that
/// a column does not list has 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maxima {
    columns: Vec<Vec<(u32, f32)>>,
    n_units: u32,
}

impl Maxima {
    fn with_columns(n: usize) -> Self {
        Self {
            columns: vec![Vec::new(); n],
            n_units: 0,
        }
    }

    /// Adds one unit, given the highest value of each column.
    fn push(&mut self, values: &[f32]) {
        for (column, &value) in self.columns.iter_mut().zip(values) {
            if value != 0.0 {
                column.push((self.n_units, value));
            }
        }
        self.n_units += 1;
    }

    /// In which units a column reaches a threshold, `[n_units]`.
    fn at_least(&self, column: u32, threshold: f32) -> Vec<bool> {
        let mut said = vec![0.0 >= threshold; self.n_units as usize];
        for &(unit, value) in &self.columns[column as usize] {
            said[unit as usize] = value >= threshold;
        }
        said
    }

    /// This side's units and then those of another, as one source.
    pub(crate) fn followed_by(&self, next: &Self) -> Self {
        let shifted = |entries: &[(u32, f32)]| -> Vec<(u32, f32)> {
            let each = entries.iter();
            each.map(|&(unit, value)| (unit + self.n_units, value))
                .collect()
        };
        Self {
            columns: self
                .columns
                .iter()
                .zip(&next.columns)
                .map(|(own, next)| [own.as_slice(), &shifted(next)].concat())
                .collect(),
            n_units: self.n_units + next.n_units,
        }
    }

    /// The value of a column in a unit.
    fn value(&self, column: u32, unit: u32) -> f32 {
        let entries = &self.columns[column as usize];
        entries
            .binary_search_by_key(&unit, |&(at, _)| at)
            .map_or(0.0, |found| entries[found].1)
    }
}

impl ColumnSource for Maxima {
    fn n_columns(&self) -> u32 {
        self.columns.len() as u32
    }

    fn n_samples(&self) -> usize {
        self.n_units as usize
    }

    fn column(&self, column: u32) -> Vec<(u32, f32)> {
        self.columns[column as usize].clone()
    }
}

/// The three views of the same rows: the dictionary, a random one, and raw dimensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views {
    pub(crate) dictionary: Maxima,
    pub(crate) random: Maxima,
    /// Each dimension twice: as it is, and negated.
    pub(crate) raw: Maxima,
    /// Per unit and feature of the dictionary: the row within the unit where it is highest.
    peaks: Vec<Vec<u32>>,
    keeps_peaks: bool,
}

/// Which rows form one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// All rows of a sample: a film has a finding anywhere.
    Sample,
    /// Each row by itself: a taste is at work at one position of a history.
    Row,
}

impl Views {
    pub(crate) fn new(trained: &SparseAutoencoder, random: &SparseAutoencoder) -> Self {
        Self {
            dictionary: Maxima::with_columns(trained.n_features()),
            random: Maxima::with_columns(random.n_features()),
            raw: Maxima::with_columns(2 * trained.d_model()),
            peaks: Vec::new(),
            keeps_peaks: true,
        }
    }

    /// Without the places of the highest activations, which take a number per unit and feature.
    pub(crate) fn without_peaks(trained: &SparseAutoencoder, random: &SparseAutoencoder) -> Self {
        Self {
            keeps_peaks: false,
            ..Self::new(trained, random)
        }
    }

    /// Adds rows `[n, d_model]` of one sample.
    pub(crate) fn add(
        &mut self,
        trained: &SparseAutoencoder,
        random: &SparseAutoencoder,
        rows: &[f32],
        unit: Unit,
    ) -> Result<()> {
        let d = trained.d_model();
        let n = rows.len() / d;
        let codes = [trained.encode(rows)?, random.encode(rows)?];
        let spans: Vec<(usize, usize)> = match unit {
            Unit::Sample => vec![(0, n)],
            Unit::Row => (0..n).map(|row| (row, row + 1)).collect(),
        };
        for (from, to) in spans {
            let mut peaks = vec![0_u32; trained.n_features()];
            let mut highest = [
                vec![0.0_f32; trained.n_features()],
                vec![0.0_f32; random.n_features()],
            ];
            let mut raw = vec![f32::NEG_INFINITY; 2 * d];
            for row in from..to {
                for (view, (codes, highest)) in codes.iter().zip(&mut highest).enumerate() {
                    let (features, values) = codes.row(row);
                    for (&feature, &value) in features.iter().zip(values) {
                        if value > highest[feature as usize] {
                            highest[feature as usize] = value;
                            if view == 0 {
                                peaks[feature as usize] = (row - from) as u32;
                            }
                        }
                    }
                }
                for (dimension, &value) in rows[row * d..(row + 1) * d].iter().enumerate() {
                    raw[dimension] = raw[dimension].max(value);
                    raw[d + dimension] = raw[d + dimension].max(-value);
                }
            }
            self.dictionary.push(&highest[0]);
            self.random.push(&highest[1]);
            self.raw.push(&raw);
            if unit == Unit::Sample && self.keeps_peaks {
                self.peaks.push(peaks);
            }
        }
        Ok(())
    }
}

/// One planted concept and the single feature that goes with it best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptRecovery {
    /// Feature chosen on training units.
    pub best_feature: u32,
    /// Threshold chosen with it.
    pub threshold: f32,
    /// F1 of "feature above threshold" on units of another seed.
    pub best_f1: f64,
    /// Its 95 % interval over films or shoppers.
    pub f1_interval: Option<[f64; 2]>,
    /// The same procedure on a dictionary of random directions.
    pub random_dictionary_f1: f64,
    /// The same procedure on raw dimensions of the hook, either sign.
    pub raw_dimension_f1: f64,
    /// The same procedure with the truth of both sets shuffled.
    pub shuffled_f1: f64,
    /// Share of units with the concept, on the units of another seed.
    pub prevalence: f64,
    /// Share of activating films whose highest patch overlaps the planted mask; findings only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_inside: Option<f64>,
}

/// All concepts, and how certain their mean is.
pub(crate) struct ScoredConcepts {
    /// By name.
    pub(crate) concepts: BTreeMap<String, ConceptRecovery>,
    /// 95 % intervals of the mean F1 and of the share with F1 of [`RECOVERED_F1`].
    pub(crate) intervals: [Option<[f64; 2]>; 2],
    /// Films or shoppers that F1 was measured on.
    pub(crate) n_clusters: u64,
}

/// F1 from which a planted concept counts as recovered.
pub(crate) const RECOVERED_F1: f64 = crate::demo::OWN_FEATURE_F1;

/// Views of some units, and for each concept which of them have it.
pub(crate) type Labelled<'a> = (&'a Views, &'a [Vec<bool>]);

/// Scores every concept: feature and threshold chosen on `train`, F1 measured on `held_out`.
///
/// # Shapes
/// - the truths: for each name, one flag per unit of its side
/// - `clusters`: of the held-out units
pub(crate) fn score_concepts(
    names: &[String],
    (train, train_truth): Labelled<'_>,
    (held_out, held_out_truth): Labelled<'_>,
    clusters: &ClusterBootstrap,
    seed: u64,
) -> Result<ScoredConcepts> {
    let score = |on: &Maxima, of: &Maxima| recover(on, train_truth, of, held_out_truth);
    let own = score(&train.dictionary, &held_out.dictionary)?;
    let random = score(&train.random, &held_out.random)?;
    let raw = score(&train.raw, &held_out.raw)?;
    let mix = |truth: &[Vec<bool>], salt: u64| -> Vec<Vec<bool>> {
        (seed ^ salt..)
            .zip(truth)
            .map(|(seed, truth)| shuffled(truth, seed))
            .collect()
    };
    let by_chance = recover(
        &train.dictionary,
        &mix(train_truth, 1 << 32),
        &held_out.dictionary,
        &mix(held_out_truth, 1 << 33),
    )?;
    let f1 = |of: Option<Recovery>| of.map_or(0.0, |recovery| recovery.f1);
    let drawn = clusters.of_clusters();
    let counts: Vec<ClusteredF1> = own
        .iter()
        .zip(held_out_truth)
        .map(|(found, truth)| {
            let said = found.map_or(vec![false; truth.len()], |found| {
                held_out.dictionary.at_least(found.column, found.threshold)
            });
            ClusteredF1::new(&said, truth, clusters.cluster_of())
        })
        .collect();
    let mean = |of: &dyn Fn(&ClusteredF1) -> f64| {
        counts.iter().map(of).sum::<f64>() / counts.len().max(1) as f64
    };
    let recovered = |f1: f64| f64::from(u8::from(f1 >= RECOVERED_F1));
    let intervals = [
        drawn.interval(&|weights| Some(mean(&|one| one.f1_weighted(weights)))),
        drawn.interval(&|weights| Some(mean(&|one| recovered(one.f1_weighted(weights))))),
    ];
    let concepts = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let best = own[at].unwrap_or_default();
            let recovery = ConceptRecovery {
                best_feature: best.column,
                threshold: best.threshold,
                best_f1: best.f1,
                f1_interval: drawn.interval(&|weights| Some(counts[at].f1_weighted(weights))),
                random_dictionary_f1: f1(random[at]),
                raw_dimension_f1: f1(raw[at]),
                shuffled_f1: f1(by_chance[at]),
                prevalence: best.prevalence,
                peak_inside: None,
            };
            (name.clone(), recovery)
        })
        .collect();
    Ok(ScoredConcepts {
        concepts,
        intervals,
        n_clusters: clusters.n_clusters() as u64,
    })
}

/// Share of the films on which the feature reaches its threshold whose highest patch overlaps the
/// mask of the finding; `None` when it is above on no film.
pub(crate) fn peak_inside(
    recovery: &ConceptRecovery,
    finding: &str,
    views: &Views,
    films: &[(SampleRecord, Option<PatchGrid>)],
) -> Option<f64> {
    let (mut activating, mut inside) = (0_u32, 0_u32);
    for (unit, (record, grid)) in films.iter().enumerate() {
        let value = views.dictionary.value(recovery.best_feature, unit as u32);
        if value < recovery.threshold || value == 0.0 {
            continue;
        }
        activating += 1;
        let Some(grid) = grid else { continue };
        let patch = views.peaks[unit][recovery.best_feature as usize];
        let rect = grid.patch_rect(patch / grid.columns, patch % grid.columns);
        let hit = record
            .boxes
            .iter()
            .filter(|planted| planted.finding == finding)
            .any(|planted| {
                planted
                    .mask
                    .as_ref()
                    .is_some_and(|mask| overlaps(mask, rect))
            });
        inside += u32::from(hit);
    }
    (activating > 0).then(|| f64::from(inside) / f64::from(activating))
}

pub(crate) fn overlaps(mask: &schema::Mask, rect: [f32; 4]) -> bool {
    let flags = mask.to_flags();
    let clamp = |value: f32, limit: u32| (value.max(0.0) as u32).min(limit);
    let (left, top) = (clamp(rect[0], mask.width), clamp(rect[1], mask.height));
    let (right, bottom) = (
        clamp(rect[2].ceil(), mask.width),
        clamp(rect[3].ceil(), mask.height),
    );
    (top..bottom).any(|y| {
        let row = (y * mask.width) as usize;
        flags[row + left as usize..row + right as usize]
            .iter()
            .any(|&inside| inside)
    })
}
