//! Whether planted concepts got a feature of their own, where they were planted.

use sae::Metric;
use schema::{HookPoint, PositionClass};

use super::subject::Subject;
use super::{EvaluationReport, MeasuredMetric};
use crate::demo::FRESH;
use crate::error::Result;
use crate::recover_planted::text_recovery;
use crate::recovery::{ConceptRecovery, RECOVERED_F1, ScoredConcepts};

/// Shoppers that tastes are scored on.
const N_FRESH_SHOPPERS: u32 = 400;

pub(super) fn measure(subject: &Subject<'_>, report: &mut EvaluationReport) -> Result<()> {
    if !subject.dataset.manifest.planted {
        return Ok(());
    }
    if !subject.is_own_harvest() {
        report.notes.push(
            "Planted concepts are looked for in the harvest that a dictionary was trained on only."
                .to_owned(),
        );
        return Ok(());
    }
    let Some((scored, of)) = scored(subject)? else {
        return Ok(());
    };
    let mean = |figure: &dyn Fn(&ConceptRecovery) -> f64| {
        scored.concepts.values().map(figure).sum::<f64>() / scored.concepts.len().max(1) as f64
    };
    let recovered = |f1: f64| f64::from(u8::from(f1 >= RECOVERED_F1));
    let all: [(Metric, &dyn Fn(f64) -> f64); 2] = [
        (Metric::PlantedF1, &|f1| f1),
        (Metric::PlantedRecovered, &recovered),
    ];
    for ((metric, figure), interval) in all.into_iter().zip(scored.intervals) {
        let value = mean(&|one| figure(one.best_f1));
        report.metrics.push(MeasuredMetric {
            interval,
            random_dictionary: Some(mean(&|one| figure(one.random_dictionary_f1))),
            shuffled: Some(mean(&|one| figure(one.shuffled_f1))),
            raw_dimensions: Some(mean(&|one| figure(one.raw_dimension_f1))),
            ..MeasuredMetric::new(metric, value, (scored.n_clusters, of))
        });
    }
    report.recovery = scored.concepts;
    Ok(())
}

fn scored(subject: &Subject<'_>) -> Result<Option<(ScoredConcepts, &'static str)>> {
    let (session, name) = (subject.session, subject.request.dictionary.as_str());
    let seed = subject.dataset.manifest.seed.unwrap_or(0);
    let manifest = subject.manifest();
    Ok(if subject.is_interactions() {
        if manifest.hook != HookPoint::UserVector {
            return Ok(None);
        }
        let scored = session.score_tastes(name, seed, N_FRESH_SHOPPERS, subject.job)?;
        Some((scored, "shoppers"))
    } else if manifest.classes == [PositionClass::Image] {
        let scored = session.score_findings(name, seed ^ FRESH, subject.job)?;
        Some((scored, "films"))
    } else {
        let seed = subject.request.seed;
        Some((text_recovery(session, name, seed)?, "patients"))
    })
}
