//! Sparse probing: how well one feature and five tell findings of patients or categories of items.

use std::collections::BTreeMap;

use explain::{ClusterBootstrap, ProbeOutcome, SparseProbe, rank_columns, shuffled};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::Metric;
use schema::{CatalogueItem, RowRef};

use super::subject::{Side, SideViews, Subject};
use super::{EvaluationReport, MeasuredMetric, ProbedConcept, WithInterval};
use crate::error::Result;
use crate::recovery::{Maxima, Unit};

/// Features of the larger probe.
const N_FEATURES: usize = 5;
/// Units with and without a concept that both sides must have.
const MIN_UNITS: usize = 10;
/// Items that a category must have.
const MIN_ITEMS: usize = 5;
/// Categories probed, those with the most items.
const MAX_CATEGORIES: usize = 30;

/// The two probes for one concept, judged.
struct Judged {
    features: Vec<u32>,
    /// With one feature, and with [`N_FEATURES`].
    outcomes: [ProbeOutcome; 2],
}

/// A figure of the judged probes with units counted several times.
type Figure = fn(&Judged, &[u32]) -> Option<f64>;

const FIGURES: [(Metric, Figure); 4] = [
    (Metric::ProbeAuroc1, |judged, w| judged.outcomes[0].auroc(w)),
    (Metric::ProbeAuroc5, |judged, w| judged.outcomes[1].auroc(w)),
    (Metric::ProbeF1x1, |judged, w| {
        Some(judged.outcomes[0].f1(w))
    }),
    (Metric::ProbeF1x5, |judged, w| {
        Some(judged.outcomes[1].f1(w))
    }),
];

/// For each concept, which units of the training and of the held-out side have it.
struct Truth {
    names: Vec<String>,
    train: Vec<Vec<bool>>,
    held_out: Vec<Vec<bool>>,
}

pub(super) fn measure(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    let is_interactions = subject.is_interactions();
    let unit = if is_interactions {
        Unit::Row
    } else {
        Unit::Sample
    };
    let views = |side| {
        subject.side_views(side, unit, &|record| {
            is_interactions || record.findings.is_some()
        })
    };
    let (train, held_out) = (views(Side::Train)?, views(Side::HeldOut)?);
    let truth = truth(subject, &train, &held_out)?;
    if truth.names.is_empty() {
        report.notes.push(format!(
            "No probes: no finding or category stands on {MIN_UNITS} training and {MIN_UNITS} \
             held-out units, and is absent from as many."
        ));
        return Ok(());
    }
    subject.job.report("Probing", 0, 0, "concepts");
    let judge = |on: &Maxima, of: &Maxima, truth: &Truth| judge(on, of, truth);
    let own = judge(&train.views.dictionary, &held_out.views.dictionary, &truth)?;
    subject.job.check_cancelled()?;
    let random = judge(&train.views.random, &held_out.views.random, &truth)?;
    subject.job.check_cancelled()?;
    let raw = judge(&train.views.raw, &held_out.views.raw, &truth)?;
    subject.job.check_cancelled()?;
    let mixed = mixed(&truth, subject.request.seed);
    let by_chance = judge(&train.views.dictionary, &held_out.views.dictionary, &mixed)?;
    let n = held_out.at.len();
    let ones = vec![1_u32; n];
    let mean = |all: &[Judged], figure: Figure| {
        let values: Option<Vec<f64>> = all.iter().map(|one| figure(one, &ones)).collect();
        values.map(|values| values.iter().sum::<f64>() / values.len().max(1) as f64)
    };
    let clusters = ClusterBootstrap::of_names(subject.groups(&held_out.at)?, subject.request.seed);
    subject.job.check_cancelled()?;
    subject
        .job
        .report("Resampling patients or users", 0, 0, "concepts");
    let draws: Vec<Vec<Vec<Option<f64>>>> = own
        .iter()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|one| {
            FIGURES
                .map(|(_, figure)| clusters.draws(&|w| figure(one, w)))
                .to_vec()
        })
        .collect();
    for (at, (metric, figure)) in FIGURES.into_iter().enumerate() {
        if let Some(value) = mean(&own, figure) {
            report.metrics.push(MeasuredMetric {
                interval: ClusterBootstrap::interval_of_draws(&mean_draws(&draws, at)),
                random_dictionary: mean(&random, figure),
                shuffled: mean(&by_chance, figure),
                raw_dimensions: mean(&raw, figure),
                ..MeasuredMetric::new(metric, value, (own.len() as u64, "concepts"))
            });
        }
    }
    for (concept, (one, draws)) in own.iter().zip(&draws).enumerate() {
        let figure = |at: usize| WithInterval {
            value: FIGURES[at].1(one, &ones).unwrap_or(0.5),
            interval: ClusterBootstrap::interval_of_draws(&draws[at]),
        };
        report.concepts.push(ProbedConcept {
            name: truth.names[concept].clone(),
            n_with: truth.held_out[concept].iter().filter(|&&with| with).count() as u64,
            n: n as u64,
            features: one.features.clone(),
            auroc_1: figure(0),
            auroc_5: figure(1),
            f1_1: figure(2),
            f1_5: figure(3),
        });
    }
    Ok(())
}

/// Resample by resample the mean over concepts, where all have a value.
fn mean_draws(draws: &[Vec<Vec<Option<f64>>>], figure: usize) -> Vec<Option<f64>> {
    let n = draws.first().map_or(0, |concept| concept[figure].len());
    (0..n)
        .map(|at| {
            let values: Option<Vec<f64>> = draws.iter().map(|one| one[figure][at]).collect();
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
        })
        .collect()
}

/// Chooses features and fits probes on the training side, judges them on the other.
fn judge(train: &Maxima, held_out: &Maxima, truth: &Truth) -> Result<Vec<Judged>> {
    let ranked = rank_columns(train, &truth.train, N_FEATURES)?;
    ranked
        .into_iter()
        .enumerate()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|(concept, features)| {
            let outcome = |n: usize| -> Result<ProbeOutcome> {
                let columns = &features[..n.min(features.len())];
                let probe = SparseProbe::fit(train, columns, &truth.train[concept])?;
                Ok(ProbeOutcome::new(
                    &probe,
                    held_out,
                    &truth.held_out[concept],
                )?)
            };
            Ok(Judged {
                outcomes: [outcome(1)?, outcome(N_FEATURES)?],
                features,
            })
        })
        .collect()
}

/// The same truth, each concept's units in another order on either side.
fn mixed(truth: &Truth, seed: u64) -> Truth {
    let mix = |sides: &[Vec<bool>], salt: u64| -> Vec<Vec<bool>> {
        (seed ^ salt..)
            .zip(sides)
            .map(|(seed, side)| shuffled(side, seed))
            .collect()
    };
    Truth {
        names: truth.names.clone(),
        train: mix(&truth.train, 1 << 32),
        held_out: mix(&truth.held_out, 1 << 33),
    }
}

/// Whether a unit has a concept.
type HasConcept<'a> = Box<dyn Fn(&RowRef, &str) -> Result<bool> + 'a>;

/// Findings of samples, or categories of the item at each position; only those that both sides
/// have enough units with and without.
fn truth(subject: &Subject<'_>, train: &SideViews, held_out: &SideViews) -> Result<Truth> {
    let has: HasConcept<'_>;
    let names: Vec<String>;
    if subject.is_interactions() {
        let items: BTreeMap<u32, &CatalogueItem> = subject
            .dataset
            .catalogue
            .iter()
            .map(|item| (item.id, item))
            .collect();
        names = categories(&subject.dataset.catalogue);
        has = Box::new(move |at, name| {
            let record = subject.record(at.sample)?;
            let item = record.items.get(at.position as usize);
            let known = item.and_then(|id| items.get(id));
            Ok(known.is_some_and(|item| item.categories.iter().any(|category| category == name)))
        });
    } else {
        names = subject.dataset.manifest.findings.clone();
        has = Box::new(|at, name| Ok(subject.record(at.sample)?.has_finding(name)));
    }
    let mut truth = Truth {
        names: Vec::new(),
        train: Vec::new(),
        held_out: Vec::new(),
    };
    for name in names {
        let of = |side: &SideViews| -> Result<Vec<bool>> {
            side.at.iter().map(|at| has(at, &name)).collect()
        };
        let (on_train, on_held_out) = (of(train)?, of(held_out)?);
        if is_usable(&on_train) && is_usable(&on_held_out) {
            truth.names.push(name);
            truth.train.push(on_train);
            truth.held_out.push(on_held_out);
        }
    }
    Ok(truth)
}

fn is_usable(truth: &[bool]) -> bool {
    let n_with = truth.iter().filter(|&&with| with).count();
    n_with >= MIN_UNITS && truth.len() - n_with >= MIN_UNITS
}

/// The categories with the most items, by name.
fn categories(catalogue: &[CatalogueItem]) -> Vec<String> {
    let mut n_items: BTreeMap<&String, usize> = BTreeMap::new();
    for category in catalogue.iter().flat_map(|item| &item.categories) {
        *n_items.entry(category).or_default() += 1;
    }
    let mut frequent: Vec<(&String, usize)> = n_items
        .into_iter()
        .filter(|&(_, n)| n >= MIN_ITEMS)
        .collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    frequent.truncate(MAX_CATEGORIES);
    let mut names: Vec<String> = frequent.into_iter().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names
}
