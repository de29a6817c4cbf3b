//! Invented outcomes of a change of features over all users.

use engine::WithInterval;
use engine::views::{
    AblationRequest, AblationView, BiasedFeature, ControlEffect, DebiasRequest, DebiasView,
    ExampleLists, Exposure, GroupEffect, ListFigures, TradeOffPoint,
};

use super::invented::items;

fn interval(value: f64, width: f64) -> WithInterval {
    WithInterval {
        value,
        interval: Some([value - width, value + width]),
    }
}

/// Figures with the concept at this share of what it was.
fn figures(left: f64) -> ListFigures {
    ListFigures {
        hr_10: 0.31 + 0.02 * left,
        ndcg_10: 0.181 + 0.012 * left * (2.0 - left),
        share: 0.04 + 0.22 * left,
        mean_rank: 61.0 - 30.0 * left,
        coverage: 0.78 - 0.1 * left,
        gini: 0.52 + 0.09 * left,
        popularity: 0.58 + 0.08 * left,
    }
}

/// What a change came to.
pub(super) fn ablation(request: AblationRequest) -> AblationView {
    let group = |name: &str, n_users, cost: f64, share: [f64; 2]| GroupEffect {
        group: name.to_owned(),
        n_users,
        n_cases: n_users,
        hr_10: [0.33, 0.33 + 1.5 * cost],
        ndcg_10: [0.193, 0.193 + cost],
        change: interval(cost, 0.003),
        share,
    };
    let examples = (0..3).map(|i| ExampleLists {
        sample: 40 + i,
        history: items(i * 9, 0.0)[..6].to_vec(),
        before: items(i * 9 + 20, 0.0)[..10].to_vec(),
        after: items(i * 9 + 24, 0.0)[..10].to_vec(),
        rank_before: vec![5, 6, 7, 8, 9, 10, 14, 31, 0, 12],
        target_rank: [9, 4 + i],
    });
    AblationView {
        n_users: 500,
        n_cases: 500,
        n_changed: 212,
        items: super::recommenders::effects(3).promoted,
        before: figures(1.0),
        after: figures(0.2),
        share_change: Some(interval(-0.677, 0.05)),
        ndcg_change: Some(interval(-0.031, 0.02)),
        groups: vec![
            group("Changed by it", 212, -0.0142, [0.41, 0.07]),
            group("Not changed by it", 288, 0.0, [0.15, 0.15]),
            group(
                "With such items in their history",
                260,
                -0.0121,
                [0.35, 0.08],
            ),
            group("Histories of up to 14 items", 255, -0.0032, [0.27, 0.09]),
        ],
        controls: (request.n_controls > 0).then(|| ControlEffect {
            n: request.n_controls,
            share_change: Some(interval(-0.012, 0.03)),
            ndcg_change: Some(interval(-0.004, 0.006)),
            hr_10: 0.328,
            ndcg_10: 0.1922,
            share: 0.2569,
            exposure: Exposure {
                coverage: 0.682,
                gini: 0.6089,
                popularity: 0.659,
            },
        }),
        examples: examples.collect(),
        request,
    }
}

/// What a sweep came to.
pub(super) fn sweep(request: DebiasRequest) -> DebiasView {
    let features = (0..request.n_features).map(|i| BiasedFeature {
        feature: 3 + i * 4,
        effect: 0.4 / f64::from(i + 1),
        density: 0.21 / f64::from(i + 2),
    });
    let points = request.strengths.iter().map(|&strength| {
        let left = f64::from(strength);
        let mut test = figures(left);
        test.ndcg_10 -= 0.006;
        TradeOffPoint {
            strength,
            dev: figures(left),
            test,
            control: (request.n_controls > 0).then(|| ListFigures {
                ndcg_10: figures(1.0).ndcg_10 - 0.004 * (1.0 - left),
                ..figures(1.0 - 0.08 * (1.0 - left))
            }),
        }
    });
    DebiasView {
        features: features.collect(),
        points: points.collect(),
        request,
    }
}
