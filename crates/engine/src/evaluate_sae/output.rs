//! What a model's own task keeps when it runs on reconstructions: loss of reports, ranking.

use std::sync::Arc;

use explain::ClusterBootstrap;
use models::recommenders::EvaluationSet;
use models::{ActivationEdit, Architecture, EditedPosition, HookSpec, ModelError, ModelInput};
use sae::{Metric, SparseAutoencoder};
use schema::{HookPoint, PositionClass, Split};

use super::subject::{Side, Subject};
use super::{EvaluationReport, MeasuredMetric};
use crate::error::{EngineError, Result};
use crate::evaluate_ranking::check_catalogue;
use crate::harvest::load_film_of;
use crate::model_registry::LoadedModel;

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

/// Puts something else in place of the rows that a dictionary reads.
struct Replaced {
    /// The dictionary whose reconstruction it is; `None` for zeros.
    by: Option<Arc<SparseAutoencoder>>,
    classes: Vec<PositionClass>,
}

impl ActivationEdit for Replaced {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        let read: Vec<usize> = (0..positions.len())
            .filter(|&at| self.classes.contains(&positions[at].class))
            .collect();
        let chosen: Vec<f32> = read
            .iter()
            .flat_map(|&at| rows[at * d_model..(at + 1) * d_model].iter().copied())
            .collect();
        let replaced = match &self.by {
            None => vec![0.0; chosen.len()],
            // Rows that cannot be encoded end in a loss that is no number, which is reported.
            Some(sae) => sae
                .reconstruct(&chosen)
                .unwrap_or_else(|_| vec![f32::NAN; chosen.len()]),
        };
        for (&at, row) in read.iter().zip(replaced.chunks_exact(d_model)) {
            rows[at * d_model..(at + 1) * d_model].copy_from_slice(row);
        }
    }
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
    let (mut losses, mut groups, mut n_tokens) = (Vec::new(), Vec::new(), 0);
    for (done, &sample) in samples.iter().enumerate() {
        let stage = "Running on reconstructions";
        subject
            .job
            .report(stage, done as u64, samples.len() as u64, "samples");
        let input = input_of(subject, &model, sample)?;
        let Some((sums, n)) = losses_of(subject, &model, &input)? else {
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

fn input_of(subject: &Subject<'_>, model: &LoadedModel, sample: u32) -> Result<ModelInput> {
    let film = load_film_of(&subject.dataset, sample)?;
    Ok(model.hooked.prepare(models::ModelSample {
        film: film.as_ref(),
        report: subject.record(sample)?.report.as_ref(),
        ..models::ModelSample::default()
    })?)
}

/// The losses of one report and its number of tokens; `None` for a model that writes no text.
fn losses_of(
    subject: &Subject<'_>,
    model: &LoadedModel,
    input: &ModelInput,
) -> Result<Option<(Losses, u64)>> {
    let replaced = |by: Option<&SparseAutoencoder>| -> HookSpec {
        let edit: Arc<dyn ActivationEdit> = Arc::new(Replaced {
            by: by.cloned().map(Arc::new),
            classes: subject.manifest().classes.clone(),
        });
        HookSpec {
            edits: vec![(subject.manifest().hook, edit)],
            ..HookSpec::default()
        }
    };
    let specs = [
        HookSpec::default(),
        replaced(Some(subject.sae())),
        replaced(Some(&subject.random)),
        replaced(None),
    ];
    let mut losses = [0.0; 4];
    let mut n_tokens = 0;
    for (loss, spec) in losses.iter_mut().zip(&specs) {
        subject.job.check_cancelled()?;
        match model.hooked.logits(input, spec) {
            Ok((logits, _)) => (*loss, n_tokens) = report_loss(input, &logits)?,
            Err(ModelError::Unsupported { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some((losses, n_tokens)))
}

/// Sum of −log p over the tokens of the report, in nats, and how many there are.
fn report_loss(input: &ModelInput, logits: &[f32]) -> Result<(f64, u64)> {
    let n_vocab = logits.len() / input.ids.len().max(1);
    let (mut sum, mut n) = (0.0, 0);
    for at in 1..input.ids.len() {
        if input.classes.get(at) != Some(&PositionClass::Report) {
            continue;
        }
        let row = &logits[(at - 1) * n_vocab..at * n_vocab];
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|&score| f64::from(score - most).exp()).sum();
        let own = row.get(input.ids[at] as usize).copied().unwrap_or(f32::NAN);
        sum += total.ln() + f64::from(most - own);
        n += 1;
    }
    if f64::is_finite(sum) {
        Ok((sum, n))
    } else {
        Err(EngineError::other(
            "the loss of a report is not a finite number",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_a_report_by_hand() {
        let input = ModelInput {
            ids: vec![0, 1, 1],
            classes: vec![
                PositionClass::Bos,
                PositionClass::Boilerplate,
                PositionClass::Report,
            ],
            ..ModelInput::default()
        };
        // The last token is predicted from the second position, with odds of 3 to 1 against it.
        let logits = [9.0, 0.0, 3_f32.ln(), 0.0, 5.0, 5.0];
        let (loss, n) = report_loss(&input, &logits).unwrap();
        assert!((loss - 4_f64.ln()).abs() < 1e-6, "{loss}");
        assert_eq!(n, 1);
        assert!(report_loss(&input, &[f32::NAN; 6]).is_err());
    }

    #[test]
    fn only_rows_that_the_dictionary_reads_are_replaced() {
        let position = |class| EditedPosition {
            position: 0,
            prompt_len: 2,
            class,
        };
        let mut rows = vec![1.0, 2.0, 3.0, 4.0];
        let zeros = Replaced {
            by: None,
            classes: vec![PositionClass::Report],
        };
        let positions = [
            position(PositionClass::Image),
            position(PositionClass::Report),
        ];
        zeros.apply(&mut rows, 2, &positions);
        assert_eq!(rows, [1.0, 2.0, 0.0, 0.0]);
    }
}
