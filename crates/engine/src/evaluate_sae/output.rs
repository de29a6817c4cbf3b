//! What a model's own task keeps when it runs on reconstructions: loss of reports, ranking.

use std::sync::Arc;

use explain::ClusterBootstrap;
use models::recommenders::EvaluationSet;
use models::{Architecture, ModelInput};
use sae::{Metric, SparseAutoencoder};
use schema::{HookPoint, Split};

use super::subject::{Side, Subject};
use super::{EvaluationReport, MeasuredMetric};
use crate::error::Result;
use crate::evaluate_ranking::check_catalogue;
use crate::model_registry::LoadedModel;
use crate::reconstructed_loss::{Instead, prepare_report, report_loss};

/// Cut-off of the ranking metrics.
const CUT_OFF: u32 = 10;

/// What one held-out item's rank gives.
type Gain = fn(u32) -> f64;

const GAINS: [(Metric, Gain); 2] = [
    (Metric::HrKept, |rank| f64::from(u8::from(rank <= CUT_OFF))),
    (Metric::NdcgKept, |rank| {
        if rank <= CUT_OFF {
            1.0 / (f64::from(rank) + 1.0).log2()
        } else {
            0.0
        }
    }),
];

/// HR@10 and NDCG@10 on the test items with reconstructed user vectors, as shares of those without.
pub(super) fn measure_ranking(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    if subject.manifest().hook != HookPoint::UserVector {
        report.notes.push(format!(
            "No ranking: only reconstructions at {} are ranked with.",
            HookPoint::UserVector
        ));
        return Ok(());
    }
    subject
        .job
        .report("Ranking with reconstructions", 0, 0, "users");
    let data = subject.session.interactions(&subject.manifest().dataset)?;
    let model = subject.session.model(&subject.manifest().model)?;
    let recommender = model.as_recommender()?;
    let manifest = subject.manifest();
    check_catalogue((&manifest.model, recommender), (&manifest.dataset, &data))?;
    let set = EvaluationSet::new(&data, Split::Test);
    let vectors = set.user_vectors(recommender)?;
    let ranks = |vectors: &[f32]| -> Result<Vec<u32>> {
        subject.job.check_cancelled()?;
        Ok(set.ranks(recommender, vectors)?)
    };
    let plain = ranks(&vectors)?;
    let own = ranks(&subject.sae().reconstruct(&vectors)?)?;
    let random = ranks(&subject.random.reconstruct(&vectors)?)?;
    let users: Vec<String> = set.users().iter().map(ToString::to_string).collect();
    let clusters =
        ClusterBootstrap::of_names(users.iter().map(String::as_str), subject.request.seed);
    let ones = vec![1; plain.len()];
    for (metric, gain) in GAINS {
        let kept = |with: &[u32], weights: &[u32]| {
            let sum = |ranks: &[u32]| -> f64 {
                let each = ranks.iter().zip(weights);
                each.map(|(&rank, &weight)| f64::from(weight) * gain(rank))
                    .sum()
            };
            sae::share_kept(sum(with), sum(&plain))
        };
        let Some(value) = kept(&own, &ones) else {
            report.notes.push(
                "No ranking: the recommender itself has no test item among its first ten."
                    .to_owned(),
            );
            return Ok(());
        };
        report.metrics.push(MeasuredMetric {
            interval: clusters.interval(&|weights| kept(&own, weights)),
            random_dictionary: kept(&random, &ones),
            ..MeasuredMetric::new(metric, value, (plain.len() as u64, "test items"))
        });
    }
    Ok(())
}

/// Losses of one sample's report, summed over its tokens: unchanged, reconstructed, through random
/// directions, and with zeros.
type Losses = [f64; 4];

/// The share of the loss of report tokens that reconstructions recover, on held-out samples.
pub(super) fn measure_loss(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    let manifest = subject.manifest();
    let n_asked = subject.request.loss_samples as usize;
    if n_asked == 0 {
        report.notes.push("Loss recovered was left out.".to_owned());
        return Ok(());
    }
    if manifest.pool > 1 {
        report.notes.push(
            "No loss recovered: the rows are averages of patches, which the model does not read."
                .to_owned(),
        );
        return Ok(());
    }
    let model = subject.session.model(&manifest.model)?;
    let needs_film = model.card().architecture != Architecture::Llama;
    let mut samples = subject.samples(Side::HeldOut);
    samples.retain(|&sample| {
        let record = &subject.dataset.records[sample as usize];
        record.report.is_some() && (record.image.is_some() || !needs_film)
    });
    samples.truncate(n_asked);
    let through = [subject.sae(), &subject.random].map(|sae| Arc::new(sae.clone()));
    let (mut losses, mut groups, mut n_tokens) = (Vec::new(), Vec::new(), 0);
    for (done, &sample) in samples.iter().enumerate() {
        let stage = "Running on reconstructions";
        subject
            .job
            .report(stage, done as u64, samples.len() as u64, "samples");
        let input = prepare_report(&model, &subject.dataset, sample)?;
        let Some((sums, n)) = losses_of(subject, &model, &input, &through)? else {
            report.notes.push(format!(
                "No loss recovered: models/{} writes no text.",
                manifest.model
            ));
            return Ok(());
        };
        n_tokens += n;
        losses.push(sums);
        groups.push(subject.record(sample)?.group.as_str());
    }
    let recovered = |through: usize, weights: &[u32]| {
        let sum = |at: usize| -> f64 {
            let each = losses.iter().zip(weights);
            each.map(|(losses, &weight)| f64::from(weight) * losses[at])
                .sum()
        };
        sae::loss_recovered(sum(3), sum(through), sum(0))
    };
    let ones = vec![1; losses.len()];
    let Some(value) = recovered(1, &ones) else {
        report.notes.push(
            "No loss recovered: there are no held-out reports, or zeros do not raise their loss."
                .to_owned(),
        );
        return Ok(());
    };
    report.metrics.push(MeasuredMetric {
        interval: ClusterBootstrap::of_names(groups, subject.request.seed)
            .interval(&|weights| recovered(1, weights)),
        random_dictionary: recovered(2, &ones),
        ..MeasuredMetric::new(Metric::LossRecovered, value, (n_tokens, "report tokens"))
    });
    Ok(())
}

/// The losses of one report and its number of tokens; `None` for a model that writes no text.
fn losses_of(
    subject: &Subject<'_>,
    model: &LoadedModel,
    input: &ModelInput,
    [own, random]: &[Arc<SparseAutoencoder>; 2],
) -> Result<Option<(Losses, u64)>> {
    let runs = [
        Instead::Nothing,
        Instead::Reconstruction(own),
        Instead::Reconstruction(random),
        Instead::Zeros,
    ];
    let mut losses = [0.0; 4];
    let mut n_tokens = 0;
    for (loss, instead) in losses.iter_mut().zip(runs) {
        subject.job.check_cancelled()?;
        let Some(found) = report_loss(model, subject.manifest(), input, instead)? else {
            return Ok(None);
        };
        (*loss, n_tokens) = found;
    }
    Ok(Some((losses, n_tokens)))
}
