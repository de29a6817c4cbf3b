//! What the decoder rows alone tell: nearest neighbours, and stability against another training.

use explain::ClusterBootstrap;
use sae::{FeatureMatch, Metric};

use super::subject::Subject;
use super::{EvaluationReport, MeasuredMetric};
use crate::error::Result;

/// Reads a figure out of matches.
type Figure = fn(&[FeatureMatch]) -> f64;

pub(super) fn measure(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    let sae = subject.sae();
    subject.job.check_cancelled()?;
    subject.job.report("Comparing directions", 0, 0, "features");
    if let Some(value) = sae::mean_neighbour_cosine(sae) {
        report.metrics.push(MeasuredMetric {
            random_dictionary: sae::mean_neighbour_cosine(&subject.random),
            ..MeasuredMetric::new(
                Metric::NeighbourCosine,
                value,
                (sae.n_features() as u64, "features"),
            )
        });
    }
    let Some(other) = &subject.request.against else {
        return Ok(());
    };
    let second = subject.session.dictionary(other)?.sae;
    let matches = sae::match_features(sae, &second)?;
    subject.job.check_cancelled()?;
    let mean = vec![0.0; second.d_model()];
    let seed = subject.request.seed ^ 0xfee1;
    let random = sae::random_dictionary(second.n_features(), 1, seed, &mean)?;
    let by_chance = sae::match_features(sae, &random)?;
    let figures: [(Metric, Figure); 2] = [
        (Metric::Stability, sae::mean_cosine),
        (Metric::SharedShare, sae::shared_share),
    ];
    let features = ClusterBootstrap::of_units(matches.len(), subject.request.seed);
    for (metric, figure) in figures {
        let each: Vec<f64> = matches
            .iter()
            .map(|one| figure(std::slice::from_ref(one)))
            .collect();
        report.metrics.push(MeasuredMetric {
            interval: features.interval_of_mean(&each),
            random_dictionary: Some(figure(&by_chance)),
            ..MeasuredMetric::new(metric, figure(&matches), (matches.len() as u64, "features"))
        });
    }
    Ok(())
}
