//! Reconstruction, sparsity and density over all rows of a harvest.

use explain::ClusterBootstrap;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sae::{CentreSums, Centres, Metric, RowSums, SparseAutoencoder, row_sums};
use store::Shard;

use super::subject::Subject;
use super::{DensityBar, EvaluationReport, MeasuredMetric};
use crate::error::{EngineError, Result};

/// The sums of one dictionary.
struct Sums {
    all: RowSums,
    /// By sample of the dataset.
    by_sample: Vec<RowSums>,
    /// With reconstructions dealt to other rows of their shard.
    shuffled: RowSums,
    /// Rows on which each feature is active.
    active_rows: Vec<u64>,
}

/// Reads a figure out of sums.
type Figure = fn(&RowSums) -> Option<f64>;

/// Reads a figure out of the rows on which each feature is active, and the number of rows.
type Share = fn(&[u64], u64) -> f64;

/// What is measured, and whether it is so when reconstructions are dealt to other rows.
const FIGURES: [(Metric, Figure, bool); 5] = [
    (Metric::Fvu, RowSums::fvu, true),
    (Metric::ExplainedVariance, RowSums::explained_variance, true),
    (Metric::Cosine, RowSums::cosine, true),
    (Metric::L0, RowSums::l0, false),
    (Metric::L1, RowSums::l1, false),
];

pub(super) fn measure(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    let own = sums(subject, subject.sae(), "Reconstructing rows")?;
    let random = sums(
        subject,
        &subject.random,
        "Reconstructing with random directions",
    )?;
    let n = subject.reader.n_rows();
    let nothing = || EngineError::request("the rows to evaluate on do not differ from each other");
    let (clusters, by_cluster) = by_cluster(subject, &own.by_sample);
    for (metric, figure, is_paired) in FIGURES {
        let value = figure(&own.all).ok_or_else(nothing)?;
        report.metrics.push(MeasuredMetric {
            interval: clusters.interval(&|weights| {
                let mut drawn = RowSums::default();
                for (sums, &weight) in by_cluster.iter().zip(weights) {
                    if weight > 0 {
                        drawn.join(sums, f64::from(weight));
                    }
                }
                figure(&drawn)
            }),
            random_dictionary: figure(&random.all),
            shuffled: is_paired.then(|| figure(&own.shuffled)).flatten(),
            ..MeasuredMetric::new(metric, value, (n, "rows"))
        });
    }
    let n_features = own.active_rows.len() as u64;
    let shares: [(Metric, Share); 3] = [
        (Metric::Density, median_density),
        (Metric::DeadShare, |active, _| sae::dead_share(active)),
        (Metric::DenseShare, sae::dense_share),
    ];
    for (metric, share) in shares {
        report.metrics.push(MeasuredMetric {
            random_dictionary: Some(share(&random.active_rows, n)),
            ..MeasuredMetric::new(metric, share(&own.active_rows, n), (n_features, "features"))
        });
    }
    let of_random = sae::density_histogram(&random.active_rows, n);
    report.densities = sae::density_histogram(&own.active_rows, n)
        .into_iter()
        .zip(of_random)
        .map(|(own, random)| DensityBar {
            from: own.from,
            to: own.to,
            n_features: own.n_features,
            random_dictionary: random.n_features,
        })
        .collect();
    Ok(())
}

/// Median over live features of the share of rows on which they are active; 0 where none is live.
fn median_density(active_rows: &[u64], n_rows: u64) -> f64 {
    let mut live: Vec<u64> = active_rows.iter().copied().filter(|&n| n > 0).collect();
    live.sort_unstable();
    let middle = live.len() / 2;
    let twice = match live.len() {
        0 => 0,
        n if n % 2 == 1 => 2 * live[middle],
        _ => live[middle - 1] + live[middle],
    };
    twice as f64 / (2 * n_rows.max(1)) as f64
}

/// Sums joined by patient or user, each of them a unit of its own.
fn by_cluster(subject: &Subject<'_>, by_sample: &[RowSums]) -> (ClusterBootstrap, Vec<RowSums>) {
    let mut by_group = std::collections::BTreeMap::<&str, RowSums>::new();
    for (record, sums) in subject.dataset.records.iter().zip(by_sample) {
        if sums.n_rows > 0.0 {
            by_group.entry(&record.group).or_default().join(sums, 1.0);
        }
    }
    let joined: Vec<RowSums> = by_group.into_values().collect();
    (
        ClusterBootstrap::of_units(joined.len(), subject.request.seed),
        joined,
    )
}

fn shards(
    subject: &Subject<'_>,
    stage: &str,
    (from, of): (usize, usize),
    visit: &mut dyn FnMut(usize, &Shard) -> Result<()>,
) -> Result<()> {
    let n = subject.reader.n_shards();
    for index in 0..n {
        subject.job.check_cancelled()?;
        subject
            .job
            .report(stage, (from * n + index) as u64, (of * n) as u64, "shards");
        visit(index, &subject.reader.read_shard(index)?)?;
    }
    Ok(())
}

/// Two passes: the mean of rows and of errors, then the sums around them.
fn sums(subject: &Subject<'_>, sae: &SparseAutoencoder, stage: &str) -> Result<Sums> {
    let mut centres = CentreSums::new(sae.d_model());
    shards(subject, stage, (0, 2), &mut |_, shard| {
        Ok(centres.add(&shard.rows, &sae.reconstruct(&shard.rows)?)?)
    })?;
    let centres: Centres = centres.centres();
    let mut sums = Sums {
        all: RowSums::default(),
        by_sample: vec![RowSums::default(); subject.dataset.records.len()],
        shuffled: RowSums::default(),
        active_rows: vec![0; sae.n_features()],
    };
    shards(subject, stage, (1, 2), &mut |index, shard| {
        let codes = sae.encode(&shard.rows)?;
        let x_hat = sae.reconstruct_from(&shard.rows, &codes)?;
        for &feature in &codes.features {
            sums.active_rows[feature as usize] += 1;
        }
        let each = row_sums(&shard.rows, &x_hat, Some(&codes), &centres)?;
        for (row, at) in each.iter().zip(&shard.refs) {
            sums.all.join(row, 1.0);
            subject.record(at.sample)?;
            sums.by_sample[at.sample as usize].join(row, 1.0);
        }
        let d = sae.d_model();
        let mut order: Vec<usize> = (0..each.len()).collect();
        let seed = subject.request.seed ^ 0x0d0_f0e5 ^ ((index as u64) << 32);
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let dealt: Vec<f32> = order
            .iter()
            .flat_map(|&row| x_hat[row * d..(row + 1) * d].iter().copied())
            .collect();
        for row in row_sums(&shard.rows, &dealt, None, &centres)? {
            sums.shuffled.join(&row, 1.0);
        }
        Ok(())
    })?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::median_density;

    #[test]
    fn median_density_by_hand() {
        assert_eq!(median_density(&[0, 1, 10], 10), 0.55);
        assert_eq!(median_density(&[2, 0, 1, 10], 10), 0.2);
        assert_eq!(median_density(&[0], 10), 0.0);
    }
}
