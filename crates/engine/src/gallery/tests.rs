//! Each filter and each order, on a handful of features.

use sae::{SaeExtras, SaeParts, Sparsity};
use schema::{Association, CaseRole, Decision, Explanation, FeatureId, MeasuredScore, ReviewState};
use store::{Overview, Record};

use super::choose::{Facts, choose};
use super::known::{BestAssociations, activity, whole_word};
use crate::labels::Labels;
use crate::views::{FeaturePlot, FeatureQuery, FeatureSort, PlotArea};

/// Parts of zeros.
pub(super) fn parts(d_model: usize, n_features: usize) -> SaeParts {
    SaeParts {
        d_model,
        n_features,
        w_enc: vec![0.0; d_model * n_features],
        b_enc: vec![0.0; n_features],
        w_dec: vec![0.0; d_model * n_features],
        b_dec: vec![0.0; d_model],
        is_centred: true,
        sparsity: Sparsity::TopK { k: 1 },
        extras: SaeExtras::default(),
    }
}

fn association(name: &str, auroc: f32, q: f64) -> Association {
    Association {
        name: name.to_owned(),
        log_odds: 1.0,
        interval: [0.5, 1.5],
        auroc,
        auroc_interval: None,
        p: q,
        q,
        n_with: 10,
        n_without: 90,
    }
}

fn proposal(feature: u32, text: &str, score: Option<f64>) -> Explanation {
    Explanation {
        feature: FeatureId(feature),
        text: text.to_owned(),
        evidence: vec![association("Meniscus", 0.6 + feature as f32 * 0.05, 0.01)],
        score: score.map(|value| MeasuredScore {
            method: "detection".to_owned(),
            judge: "keywords".to_owned(),
            value,
            interval: None,
            n_cases: 40,
        }),
        ..Explanation::default()
    }
}

fn decision(line: u64, feature: u32, reviewer: &str, state: ReviewState, text: &str) -> Record {
    Record {
        line,
        decision: Decision {
            feature: FeatureId(feature),
            reviewer: reviewer.to_owned(),
            state,
            text: text.to_owned(),
            role: CaseRole::default(),
            ..Decision::default()
        },
    }
}

/// Six features, the last of them dead.
fn overview() -> Overview {
    Overview {
        density: vec![0.5, 0.01, 0.001, 0.1, 0.02, 0.0],
        sample_density: vec![0.5; 6],
        max_activation: vec![2.0, 3.0, 9.0, 1.0, 4.0, 0.0],
        mean_activation: vec![1.0, 0.1, 0.5, 0.2, 2.0, 0.0],
    }
}

fn labels() -> Labels {
    use ReviewState::{Accepted, Edited, Rejected, Skipped};
    let mut records = vec![
        decision(0, 0, "a", Accepted, "effusion"),
        decision(1, 1, "a", Rejected, ""),
        decision(2, 2, "a", Accepted, "nodule"),
        decision(3, 2, "b", Rejected, ""),
        decision(4, 3, "a", Skipped, ""),
        decision(5, 4, "a", Edited, "Pacemaker."),
    ];
    // Flagged on 2 before the other reader decided, and on 3.
    records[2].decision.flagged = true;
    records[4].decision.flagged = true;
    let proposals = vec![
        proposal(0, "effusion", Some(0.9)),
        proposal(1, "heart", Some(0.6)),
        proposal(3, "device", None),
        proposal(4, "pacemaker", Some(0.75)),
    ];
    Labels::new(records, proposals)
}

fn chosen(query: &FeatureQuery) -> Vec<u32> {
    let overview = overview();
    let best = BestAssociations::new(&[
        (
            FeatureId(0),
            vec![
                association("effusion", 0.9, 0.001),
                association("mass", 0.95, 0.2),
            ],
        ),
        (FeatureId(1), vec![association("mass", 0.7, 0.01)]),
        (FeatureId(2), vec![association("mass", 0.3, 0.01)]),
        (FeatureId(4), vec![association("effusion", 0.8, 0.06)]),
    ]);
    let words = ["left", "costophrenic angle", "", "", "lead", ""].map(str::to_owned);
    let points = activity(&overview.density, &overview.mean_activation);
    let fires = query
        .fires_on_sample
        .map(|_| std::collections::BTreeSet::from([1, 2]));
    let facts = Facts {
        overview: &overview,
        labels: &labels(),
        groups: &[2, 4],
        best: Some(&best),
        words: Some(&words),
        points: Some(&points),
        fires: fires.as_ref(),
    };
    choose(query, &facts).iter().map(|id| id.0).collect()
}

#[test]
fn each_filter_lets_through_what_it_says() {
    let all = FeatureQuery::default;
    assert_eq!(chosen(&all()), [0, 1, 2, 3, 4]);
    let text = |text: &str| {
        chosen(&FeatureQuery {
            text: text.to_owned(),
            ..all()
        })
    };
    // Label, number, term of the proposal, and a word on which the feature is strongest.
    assert_eq!(text("EFFUSION"), [0]);
    assert_eq!(text("3"), [3]);
    assert_eq!(text("meniscus heart"), [1]);
    assert_eq!(text("costophrenic"), [1]);
    assert_eq!(text("nothing"), [0_u32; 0]);
    // A whole title, not a part of one.
    assert_eq!(text("\"Costophrenic angle\""), [1]);
    assert_eq!(text("\"costophrenic\""), [0_u32; 0]);
    let score = |range| {
        chosen(&FeatureQuery {
            score: Some(range),
            ..all()
        })
    };
    assert_eq!(score([0.7, 1.0]), [0, 4]);
    assert_eq!(score([0.0, 0.7]), [1]);
    let finding = |name: &str| {
        chosen(&FeatureQuery {
            association: Some(name.to_owned()),
            ..all()
        })
    };
    // Not 0 of mass and not 4 of effusion, whose q is too high; not 2, which goes against it.
    assert_eq!(finding("effusion"), [0]);
    assert_eq!(finding("mass"), [1]);
    assert_eq!(finding("pneumothorax"), [0_u32; 0]);
    let group = |group| {
        chosen(&FeatureQuery {
            group: Some(group),
            hide_dead: false,
            ..all()
        })
    };
    assert_eq!(group(0), [0, 1]);
    assert_eq!(group(1), [2, 3, 4, 5]);
    assert_eq!(group(2), [0_u32; 0]);
    let state = |state| {
        chosen(&FeatureQuery {
            state: Some(state),
            ..all()
        })
    };
    assert_eq!(state(ReviewState::Skipped), [3]);
    assert_eq!(state(ReviewState::Conflict), [2]);
    let flagged = FeatureQuery {
        flagged: true,
        ..all()
    };
    assert_eq!(chosen(&flagged), [3]);
    let fires = FeatureQuery {
        fires_on_sample: Some(7),
        ..all()
    };
    assert_eq!(chosen(&fires), [1, 2]);
    let area = FeatureQuery {
        area: Some(PlotArea {
            plot: FeaturePlot::Activity,
            x: [-3.5, -1.5],
            y: [-0.5, 1.0],
        }),
        hide_dead: false,
        ..all()
    };
    assert_eq!(chosen(&area), [2, 4]);
}

#[test]
fn each_order_is_what_it_says() {
    let sorted = |sort| {
        chosen(&FeatureQuery {
            sort,
            ..FeatureQuery::default()
        })
    };
    assert_eq!(sorted(FeatureSort::Density), [0, 3, 4, 1, 2]);
    assert_eq!(sorted(FeatureSort::Rarest), [2, 1, 4, 3, 0]);
    assert_eq!(sorted(FeatureSort::Association), [4, 3, 1, 0, 2]);
    assert_eq!(sorted(FeatureSort::BestScore), [0, 4, 1, 2, 3]);
    assert_eq!(sorted(FeatureSort::WorstScore), [1, 4, 0, 2, 3]);
    // Readers differ on 2; the reader rejected what was proposed for 1. 4 says the same in other
    // letters.
    assert_eq!(sorted(FeatureSort::Disagreement), [2, 1, 0, 3, 4]);
    // 9 × 3, 4 × 1.7, 3 × 2, 1 × 1, 2 × 0.3.
    assert_eq!(sorted(FeatureSort::Surprise), [2, 4, 1, 3, 0]);
}

#[test]
fn a_word_is_put_together_from_its_pieces() {
    let pieces = ["The", " cost", "ophren", "ic", " angle", "."].map(str::to_owned);
    assert_eq!(whole_word(&pieces, 2).as_deref(), Some("costophrenic"));
    assert_eq!(whole_word(&pieces, 0).as_deref(), Some("The"));
    assert_eq!(whole_word(&pieces, 5).as_deref(), Some("angle."));
    assert_eq!(whole_word(&pieces, 6), None);
}

#[test]
fn a_place_remembered_by_an_earlier_version_is_read() {
    let query: FeatureQuery = serde_json::from_str(r#"{"text":"","sort":"density"}"#).unwrap();
    assert_eq!(query.sort, FeatureSort::Density);
    assert_eq!(query.score, None);
    assert!(query.hide_dead);
}
