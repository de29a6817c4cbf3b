//! Scored features in the window's words.

use explain::{ClusterBootstrap, Detection};
use schema::{Explanation, FeatureId, MeasuredScore, PositionClass};

use super::scoring::{Scored, separation};
use crate::views::{
    DetectionView, MeanView, PassageView, ScoreSettingsView, ScoreTotalsView, ScoredFeatureView,
    TestedPassageView,
};

/// One feature.
pub(super) fn feature_view(one: &Scored) -> ScoredFeatureView {
    let said = one.said.detection.as_deref().unwrap_or_default();
    let explained = one.explained.as_ref();
    ScoredFeatureView {
        feature: FeatureId(one.feature),
        section: section_name(one.cases.section).to_owned(),
        n_active: one.cases.n_active,
        explanation: explained.map_or_else(String::new, |one| one.text.clone()),
        evidence: explained.map_or_else(Vec::new, |one| one.evidence.clone()),
        prompt: explained.and_then(|one| one.prompt.clone()),
        construction: one
            .cases
            .construction
            .iter()
            .map(|(sample, passage)| PassageView {
                sample: *sample,
                text: passage.marked(),
                activation: passage.strongest,
            })
            .collect(),
        tests: one
            .cases
            .tests
            .iter()
            .enumerate()
            .map(|(at, case)| TestedPassageView {
                sample: case.sample,
                text: case.passage.plain(),
                activation: if case.is_active {
                    case.passage.strongest
                } else {
                    0.0
                },
                is_hard: case.is_hard,
                said: said.get(at).copied().flatten(),
            })
            .collect(),
        detection: one
            .detection()
            .map(|score| detection_view(&score, one.interval)),
        shuffled: one.swapped,
        fuzzing: one
            .said
            .fuzzing
            .as_ref()
            .map(|(truth, said)| detection_view(&Detection::of(truth, said), None)),
        simulation: one.said.simulation,
        embedding: one.embedding(),
        is_divided_anew: one.cases.is_divided_anew,
        n_left_out: explained.map_or(0, |one| one.n_left_out),
        not_explained: if one.is_too_long {
            "prompt too long".to_owned()
        } else {
            String::new()
        },
    }
}

fn detection_view(score: &Detection, interval: Option<[f64; 2]>) -> DetectionView {
    let n_read = score.n_found + score.n_spared + score.n_false + score.n_missed;
    DetectionView {
        balanced_accuracy: score.balanced_accuracy(),
        interval,
        recall: score.recall(),
        specificity: score.specificity(),
        f1: score.f1(),
        auc: score.auc,
        n_cases: (n_read + score.n_unparsed) as usize,
        n_unparsed: score.n_unparsed as usize,
    }
}

/// What the scores of features come to.
pub(super) fn totals(scored: &[Scored], seed: u64) -> ScoreTotalsView {
    let mean = |values: Vec<f64>| -> Option<MeanView> {
        (!values.is_empty()).then(|| MeanView {
            value: values.iter().sum::<f64>() / values.len() as f64,
            interval: ClusterBootstrap::of_units(values.len(), seed).interval_of_mean(&values),
        })
    };
    let detections: Vec<Detection> = scored.iter().filter_map(Scored::detection).collect();
    let part =
        |of: &dyn Fn(&Detection) -> Option<f64>| mean(detections.iter().filter_map(of).collect());
    let fuzzing = |one: &Scored| {
        let (truth, said) = one.said.fuzzing.as_ref()?;
        Some(Detection::of(truth, said))
    };
    let answers = detections
        .iter()
        .copied()
        .chain(scored.iter().filter_map(fuzzing));
    let (mut n_answers, mut n_unparsed) = (0, 0);
    for score in answers {
        let view = detection_view(&score, None);
        n_answers += view.n_cases;
        n_unparsed += view.n_unparsed;
    }
    ScoreTotalsView {
        n_chosen: scored.len(),
        n_explained: scored.iter().filter(|one| one.explained.is_some()).count(),
        n_scored: detections
            .iter()
            .filter(|score| score.balanced_accuracy().is_some())
            .count(),
        detection: part(&Detection::balanced_accuracy),
        recall: part(&Detection::recall),
        specificity: part(&Detection::specificity),
        f1: part(&Detection::f1),
        auc: part(&|score| score.auc),
        shuffled: mean(scored.iter().filter_map(|one| one.swapped).collect()),
        separation: separation(scored),
        fuzzing: mean(
            scored
                .iter()
                .filter_map(|one| fuzzing(one)?.balanced_accuracy())
                .collect(),
        ),
        simulation: mean(
            scored
                .iter()
                .filter_map(|one| one.said.simulation)
                .collect(),
        ),
        embedding: mean(scored.iter().filter_map(Scored::embedding).collect()),
        n_above_chance: scored
            .iter()
            .filter(|one| one.interval.is_some_and(|[low, _]| low > 0.5))
            .count(),
        n_answers,
        n_unparsed,
    }
}

/// Explanations as proposals for the review, each with its score where it has one.
pub(super) fn proposals(
    features: &[ScoredFeatureView],
    settings: &ScoreSettingsView,
    run: &str,
) -> Vec<Explanation> {
    features
        .iter()
        .filter(|one| !one.explanation.is_empty())
        .map(|one| Explanation {
            feature: one.feature,
            text: one.explanation.clone(),
            by: settings.explained_by.clone(),
            evidence: one.evidence.clone(),
            at: settings.at.clone(),
            score: one.detection.as_ref().and_then(|score| {
                Some(MeasuredScore {
                    method: "detection".to_owned(),
                    judge: settings.judged_by.clone()?,
                    value: score.balanced_accuracy?,
                    interval: score.interval,
                    n_cases: score.n_cases as u32,
                })
            }),
            run: run.to_owned(),
            ..Explanation::default()
        })
        .collect()
}

/// A section in words.
fn section_name(class: PositionClass) -> &'static str {
    match class {
        PositionClass::Indication => "indication",
        PositionClass::Comparison => "comparison",
        PositionClass::Technique => "technique",
        PositionClass::PriorReport => "prior report",
        PositionClass::Report => "findings and impression",
        PositionClass::Generated => "generated text",
        PositionClass::Image | PositionClass::Cls => "film",
        PositionClass::Item => "item",
        PositionClass::Bos | PositionClass::Boilerplate => "template",
    }
}
