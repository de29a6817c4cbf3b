//! Invented readers: how far they agree, what they differ on, and a detection test.

use engine::views::{
    AgreementFigures, AgreementReport, DetectionResult, DetectionTest, Disagreement, Estimate,
    JudgeResult, PairAgreement, RepeatAgreement, TextFigures, TrapFigures,
};
use schema::{Decision, FeatureId, ReviewState};

use super::invented::example;

/// Cases of the invented test.
const N_CASES: u32 = 6;
/// What judged the cases of the invented test.
const JUDGE: &str = "keywords";
/// Who reads.
const READERS: [&str; 3] = ["Ada", "Ben", "Cleo"];

fn estimate(value: f64) -> Estimate {
    Estimate {
        value: Some(value),
        interval: Some([value - 0.14, (value + 0.1).min(1.0)]),
        n_features: 38,
    }
}

fn figures(raw: f64) -> AgreementFigures {
    AgreementFigures {
        n_features: 38,
        raw: estimate(raw),
        gwet_ac1: estimate(raw - 0.07),
        krippendorff_alpha: estimate(raw - 0.3),
        cohen_kappa: Some(estimate(raw - 0.31)),
        fleiss_kappa: None,
    }
}

fn texts() -> TextFigures {
    TextFigures {
        exact: estimate(0.55),
        edit: estimate(0.71),
    }
}

fn said(feature: u32, reviewer: &str, state: ReviewState, text: &str) -> Decision {
    Decision {
        feature: FeatureId(feature),
        state,
        text: text.to_owned(),
        reviewer: reviewer.to_owned(),
        at: "2026-01-01T00:00:00Z".to_owned(),
        confidence: Some(7),
        ..Decision::default()
    }
}

/// How far the invented readers agree.
pub(super) fn report(sae: &str) -> AgreementReport {
    let pair = |a: usize, b: usize, raw| PairAgreement {
        readers: [READERS[a].to_owned(), READERS[b].to_owned()],
        verdicts: figures(raw),
        texts: texts(),
        confidence: None,
    };
    AgreementReport {
        sae: sae.to_owned(),
        readers: READERS.map(|name| (name.to_owned(), 40)).to_vec(),
        n_compared: 38,
        all: AgreementFigures {
            cohen_kappa: None,
            fleiss_kappa: Some(estimate(0.5)),
            ..figures(0.82)
        },
        texts: texts(),
        pairs: vec![pair(0, 1, 0.87), pair(0, 2, 0.79), pair(1, 2, 0.8)],
        with_model: Vec::new(),
        repeats: vec![RepeatAgreement {
            reader: READERS[0].to_owned(),
            verdicts: figures(0.9),
        }],
        traps: vec![TrapFigures {
            reader: READERS[0].to_owned(),
            n_traps: 12,
            n_accepted: 1,
            share: 1.0 / 12.0,
            interval: Some([0.015, 0.35]),
        }],
        disagreements: vec![
            Disagreement {
                feature: FeatureId(7),
                open: true,
                readings: vec![
                    said(7, "Ada", ReviewState::Accepted, "effusion, pleural, left"),
                    said(7, "Ben", ReviewState::Edited, "raised left diaphragm"),
                ],
                adjudication: None,
            },
            Disagreement {
                feature: FeatureId(21),
                open: false,
                readings: vec![
                    said(21, "Ada", ReviewState::Rejected, ""),
                    said(21, "Ben", ReviewState::Accepted, "effusion, pleural, left"),
                ],
                adjudication: Some(said(21, "Cleo", ReviewState::Edited, "left effusion")),
            },
        ],
        n_stale: 0,
    }
}

/// A test of which every other case is active.
pub(super) fn test(sae: &str, feature: FeatureId, seed: u64) -> DetectionTest {
    DetectionTest {
        feature,
        label: "effusion, pleural, left".to_owned(),
        seed,
        cases: (0..N_CASES).map(|i| example(sae, feature, i)).collect(),
        judged_by: Some(JUDGE.to_owned()),
        notes: vec!["The cases of keywords".to_owned()],
    }
}

/// How the answers to it come out.
pub(super) fn result(test: &DetectionTest, said: &[bool], reviewer: &str) -> DetectionResult {
    let right = |active: bool| {
        let cases = said.iter().enumerate();
        let of_kind = cases.filter(|(at, _)| at.is_multiple_of(2) == active);
        let n = of_kind.clone().count() as u32;
        [
            of_kind.filter(|(_, said)| **said == active).count() as u32,
            n,
        ]
    };
    let share = |[n, of]: [u32; 2]| f64::from(n) / f64::from(of.max(1));
    let (active, silent) = (right(true), right(false));
    DetectionResult {
        feature: test.feature,
        label: test.label.clone(),
        reviewer: reviewer.to_owned(),
        at: "2026-01-01T00:00:00Z".to_owned(),
        balanced_accuracy: f64::midpoint(share(active), share(silent)),
        interval: Some([0.42, 0.97]),
        active,
        silent,
        judge: test.judged_by.as_ref().map(|judge| JudgeResult {
            name: judge.clone(),
            balanced_accuracy: Some(0.75),
            n_unread: 0,
        }),
    }
}
