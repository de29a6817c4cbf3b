//! Monosemanticity: whether the samples that excite a feature are alike.

use std::collections::BTreeMap;

use explain::{ClusterBootstrap, ColumnSource as _};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use sae::{Embeddings, Metric};
use schema::RowRef;
use store::HarvestReader;

use super::subject::{Side, Subject};
use super::{EvaluationReport, MeasuredMetric};
use crate::error::{EngineError, Result};
use crate::recovery::{Maxima, Unit};

pub(super) fn measure(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    let train = subject.side_views(Side::Train, Unit::Sample, &|_| true)?;
    let held_out = subject.side_views(Side::HeldOut, Unit::Sample, &|_| true)?;
    let at = [train.at, held_out.at].concat();
    let all = train
        .views
        .dictionary
        .followed_by(&held_out.views.dictionary);
    let random = train.views.random.followed_by(&held_out.views.random);
    let rows = embeddings(subject, &at)?;
    let d = rows.len() / at.len().max(1);
    if d == 0 {
        return Ok(());
    }
    let alike = Embeddings::new(d, &rows)?;
    let mut order: Vec<usize> = (0..at.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(
        subject.request.seed ^ 0xa11c,
    ));
    let dealt: Vec<f32> = order
        .iter()
        .flat_map(|&unit| rows[unit * d..(unit + 1) * d].iter().copied())
        .collect();
    subject.job.check_cancelled()?;
    subject.job.report("Comparing samples", 0, 0, "features");
    let own = scores(&all, &alike)?;
    let Some(value) = mean(&own) else {
        report
            .notes
            .push("No monosemanticity: no feature is active on two samples.".to_owned());
        return Ok(());
    };
    subject.job.check_cancelled()?;
    let shuffled = mean(&scores(&all, &Embeddings::new(d, &dealt)?)?);
    let by_random = mean(&scores(&random, &alike)?);
    report.metrics.push(MeasuredMetric {
        interval: ClusterBootstrap::of_units(own.len(), subject.request.seed)
            .interval_of_mean(&own),
        random_dictionary: by_random,
        shuffled,
        ..MeasuredMetric::new(
            Metric::Monosemanticity,
            value,
            (own.len() as u64, "features"),
        )
    });
    if subject.request.embeddings.is_none() {
        report.notes.push(
            "Monosemanticity takes the hook's own rows, averaged per sample, as embeddings, which \
             favours the dictionary; name a harvest of another model with --embeddings."
                .to_owned(),
        );
    }
    Ok(())
}

/// The score of each feature that has one.
fn scores(columns: &Maxima, embeddings: &Embeddings) -> Result<Vec<f64>> {
    let each: Vec<Option<f64>> = (0..columns.n_columns())
        .into_par_iter()
        .map(|feature| Ok(embeddings.monosemanticity(&columns.column(feature))?))
        .collect::<Result<_>>()?;
    Ok(each.into_iter().flatten().collect())
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean row of each sample in the harvest that says what is alike, `[at.len(), d]`.
fn embeddings(subject: &Subject<'_>, at: &[RowRef]) -> Result<Vec<f32>> {
    let name = subject
        .request
        .embeddings
        .as_ref()
        .unwrap_or(&subject.harvest);
    let reader = HarvestReader::open(&subject.session.project, name)?;
    let d = reader.d_model();
    let unit_of: BTreeMap<u32, usize> = at
        .iter()
        .enumerate()
        .map(|(unit, at)| (at.sample, unit))
        .collect();
    let mut sums = vec![0_f64; at.len() * d];
    let mut n_rows = vec![0_u32; at.len()];
    for index in 0..reader.n_shards() {
        subject.job.check_cancelled()?;
        subject.job.report(
            "Reading embeddings",
            index as u64,
            reader.n_shards() as u64,
            "shards",
        );
        let shard = reader.read_shard(index)?;
        for (row, at) in shard.refs.iter().enumerate() {
            if let Some(&unit) = unit_of.get(&at.sample) {
                n_rows[unit] += 1;
                let sums = &mut sums[unit * d..(unit + 1) * d];
                for (sum, &value) in sums.iter_mut().zip(shard.row(row)) {
                    *sum += f64::from(value);
                }
            }
        }
    }
    if let Some(unit) = n_rows.iter().position(|&n| n == 0) {
        return Err(EngineError::request(format!(
            "activations/{name} has no rows of sample {}; harvest the same samples for embeddings",
            at[unit].sample
        )));
    }
    Ok(sums
        .chunks_exact(d)
        .zip(&n_rows)
        .flat_map(|(sum, &n)| sum.iter().map(move |sum| (sum / f64::from(n)) as f32))
        .collect())
}
