//! Tests of the gradient, of determinism and of resuming.

use std::ops::ControlFlow;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::recommenders::{
    BprMfConfig, Gru4RecConfig, LightGcnConfig, SasRecConfig, TiMiRecConfig, UserHistory, UserQuery,
};

/// Weights far from their initial values, so that every path carries gradient.
fn busy_weights(config: &RecommenderConfig, seed: u64) -> RecommenderWeights {
    let mut weights = RecommenderWeights::random(config.clone(), seed).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed + 1);
    for value in weights.values_mut() {
        *value += 0.8 * (rng.random::<f32>() - 0.5);
    }
    weights
}

/// Users who mostly walk through their own group of items.
fn phantom_data(n_users: u32, n_items: u32, n_held_out: usize) -> InteractionData {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let histories = (0..n_users)
        .map(|_| {
            let group = rng.random_range(0..10);
            let mut items: Vec<u32> = (0..rng.random_range(6..24))
                .map(|_| {
                    if rng.random_bool(0.8) {
                        group * n_items / 10 + rng.random_range(1..=n_items / 10)
                    } else {
                        rng.random_range(1..=n_items)
                    }
                })
                .collect();
            let test = items.split_off(items.len() - n_held_out);
            let (dev, test) = test.split_at(n_held_out / 2);
            UserHistory {
                train: items,
                dev: dev.to_vec(),
                test: test.to_vec(),
                ..UserHistory::default()
            }
        })
        .collect();
    InteractionData { n_items, histories }
}

const HISTORIES: [&[u32]; 5] = [
    &[3],
    &[1, 2, 3, 4, 5, 6],
    &[7, 7, 2],
    &[9, 1],
    &[5, 8, 3, 1],
];

fn cases() -> Vec<TrainingCase<'static>> {
    (0..150)
        .map(|i: usize| TrainingCase {
            user: 1 + (i * 11 % 6) as u32,
            history: HISTORIES[i % 5],
            positive: 1 + (i * 7 % 9) as u32,
            negative: 1 + (i * 5 % 8) as u32,
        })
        .collect()
}

fn small_sasrec() -> SasRecConfig {
    SasRecConfig {
        d_model: 12,
        history_max: 6,
        ..SasRecConfig::new(9)
    }
}

fn timirec(n_items: u32, has_predictor: bool) -> TiMiRecConfig {
    TiMiRecConfig {
        n_items,
        d_model: 12,
        n_interests: 3,
        attention_width: 5,
        n_layers: 2,
        history_max: 6,
        has_positions: true,
        has_block: true,
        has_predictor,
    }
}

/// One small shape of each architecture, and the shapes whose gradient is written otherwise.
fn small_configs() -> Vec<RecommenderConfig> {
    let (n_users, n_items, d_model) = (6, 9, 12);
    vec![
        small_sasrec().into(),
        RecommenderConfig::SasRec(SasRecConfig {
            n_layers: 2,
            n_heads: 3,
            ..small_sasrec()
        }),
        RecommenderConfig::BprMf(BprMfConfig {
            n_users,
            n_items,
            d_model,
        }),
        RecommenderConfig::LightGcn(LightGcnConfig {
            n_users,
            n_items,
            d_model,
            n_layers: 2,
        }),
        RecommenderConfig::Gru4Rec(Gru4RecConfig {
            n_items,
            d_model,
            hidden_width: 7,
            history_max: 6,
        }),
        RecommenderConfig::TiMiRec(timirec(n_items, false)),
        RecommenderConfig::TiMiRec(timirec(n_items, true)),
        RecommenderConfig::TiMiRec(TiMiRecConfig {
            n_layers: 1,
            has_positions: false,
            has_block: false,
            ..timirec(n_items, true)
        }),
    ]
}

/// Loss and gradient of the cases.
fn loss_and_gradient(weights: &RecommenderWeights, cases: &[TrainingCase<'_>]) -> (f64, Vec<f32>) {
    let data = phantom_data(6, 10, 2);
    let training = RecommenderTraining {
        temperature: 0.7,
        ..RecommenderTraining::default()
    };
    let graph = match weights.config() {
        RecommenderConfig::LightGcn(shape) => {
            let pairs = cases.iter().map(|case| (case.user, case.positive));
            let graph = InteractionGraph::new(shape.n_users, shape.n_items, pairs).unwrap();
            Some(Arc::new(graph))
        }
        _ => None,
    };
    let stage = Stage {
        config: weights.config().clone(),
        training: &training,
        instances: &Instances::new(&SasRecConfig::new(10).into(), &data).unwrap(),
        dev: &EvaluationSet::new(&data, Split::Dev),
        graph,
        number: 1,
        n_stages: 1,
    };
    let mut gradient = vec![0.0; weights.values().len()];
    let loss = stage.batch_gradient(weights, cases, &mut gradient).unwrap();
    (loss, gradient)
}

#[test]
fn folded_gradient_equals_that_of_every_position() {
    let weights = busy_weights(&small_sasrec().into(), 3);
    let cases = cases();
    let (loss, folded) = loss_and_gradient(&weights, &cases);
    let mut whole = vec![0.0; weights.values().len()];
    let expected = gather(&weights, &cases, &mut whole, |chunk| {
        Ok(sasrec::gradient(&weights, chunk, cases.len()))
    })
    .unwrap();
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    let scale = whole.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    assert!(scale > 0.01);
    for (i, (a, b)) in folded.iter().zip(&whole).enumerate() {
        assert!(
            (a - b).abs() < 2e-6 + 1e-5 * scale,
            "value {i}: {a} against {b}"
        );
    }
}

#[test]
fn gradients_equal_finite_differences() {
    for config in small_configs() {
        let weights = busy_weights(&config, 5);
        let cases = cases();
        let (here, gradient) = loss_and_gradient(&weights, &cases);
        let loss_at = |i: usize, change: f32| {
            let mut moved = weights.clone();
            moved.values_mut()[i] += change;
            loss_and_gradient(&moved, &cases).0
        };
        let h = 1e-3;
        let n_values = weights.values().len();
        let mut n_large = 0;
        for i in (0..n_values).step_by(17) {
            let left = (here - loss_at(i, -h)) / f64::from(h);
            let right = (loss_at(i, h) - here) / f64::from(h);
            // Between the slopes of both sides, which differ where a ReLU turns on within h.
            let found = f64::from(gradient[i]);
            n_large += usize::from(found.abs() > 1e-3);
            let slack = 3e-4 + 0.02 * found.abs();
            // The distillation's target is held fixed, so the items' slopes differ by its own.
            let is_target = matches!(&config, RecommenderConfig::TiMiRec(shape)
                if shape.has_predictor)
                && !weights.layout()[at(&weights, i)].name.contains("predictor")
                && !weights.layout()[at(&weights, i)].name.contains("proj");
            if is_target {
                continue;
            }
            assert!(
                left.min(right) - slack < found && found < left.max(right) + slack,
                "{} value {i} of {n_values}: {left} and {right} against {found}",
                config.name()
            );
        }
        assert!(n_large > 5, "{}: {n_large}", config.name());
    }
}

/// Which tensor a value belongs to.
fn at(weights: &RecommenderWeights, value: usize) -> usize {
    weights
        .layout()
        .iter()
        .position(|segment| segment.range.contains(&value))
        .unwrap()
}

#[test]
fn training_forward_equals_inference() {
    for config in [
        small_configs()[0].clone(),
        small_configs()[1].clone(),
        small_configs()[4].clone(),
    ] {
        let weights = busy_weights(&config, 11);
        let model = Recommender::unhashed(weights.clone(), None).unwrap();
        let queries = HISTORIES.map(UserQuery::of_history);
        let vectors = model.user_vectors(&queries).unwrap();
        let d = 12;
        let items = weights.items();
        let mut expected = 0.0;
        let cases = cases();
        for (i, case) in cases.iter().enumerate() {
            let user = &vectors[(i % 5) * d..(i % 5 + 1) * d];
            let score = |item: u32| -> f64 {
                let row = &items[item as usize * d..(item as usize + 1) * d];
                user.iter().zip(row).map(|(a, b)| f64::from(a * b)).sum()
            };
            let margin = score(case.positive) - score(case.negative);
            expected += (1.0 + (-margin).exp()).ln() / cases.len() as f64;
        }
        let (loss, _) = loss_and_gradient(&weights, &cases);
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }
}

#[test]
fn adam_equals_the_published_rule() {
    let config = RecommenderConfig::from(small_sasrec());
    let mut weights = busy_weights(&config, 2);
    let training = RecommenderTraining {
        lr: 0.01,
        l2: 0.1,
        ..RecommenderTraining::default()
    };
    let before = weights.values().to_vec();
    let gradients: Vec<Vec<f32>> = (0..3)
        .map(|step| {
            (0..before.len())
                .map(|i| ((i * (step + 2)) as f32 * 0.37).sin())
                .collect()
        })
        .collect();
    let mut adam = Adam::new(before.len());
    for gradient in &gradients {
        adam.step(&mut weights, gradient, &training);
    }
    for segment in crate::recommenders::weights::segments(&config) {
        for i in segment.range.clone() {
            let (mut p, mut m, mut v) = (f64::from(before[i]), 0.0, 0.0);
            for (t, gradient) in (1..).zip(&gradients) {
                let l2 = if segment.is_decayed() { 0.1 } else { 0.0 };
                let g = f64::from(gradient[i]) + l2 * p;
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                let (m_hat, v_hat) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
                p -= 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
            }
            assert!(
                (p - f64::from(weights.values()[i])).abs() < 1e-5,
                "{}",
                segment.name
            );
        }
    }
}

fn quick() -> RecommenderTraining {
    RecommenderTraining {
        lr: 2e-3,
        max_epochs: 4,
        batch_size: 100,
        ..RecommenderTraining::default()
    }
}

fn quick_config() -> RecommenderConfig {
    SasRecConfig {
        d_model: 16,
        ..SasRecConfig::new(60)
    }
    .into()
}

/// One shape of each architecture over 80 users and 60 items.
fn quick_configs() -> Vec<RecommenderConfig> {
    [
        Architecture::BprMf,
        Architecture::LightGcn,
        Architecture::SasRec,
        Architecture::TiMiRec,
        Architecture::Gru4Rec,
    ]
    .into_iter()
    .map(|architecture| {
        let mut config = RecommenderConfig::of(architecture, 80, 60).unwrap();
        match &mut config {
            RecommenderConfig::BprMf(shape) => shape.d_model = 16,
            RecommenderConfig::LightGcn(shape) => shape.d_model = 16,
            RecommenderConfig::SasRec(shape) => shape.d_model = 16,
            RecommenderConfig::TiMiRec(shape) => shape.d_model = 16,
            RecommenderConfig::Gru4Rec(shape) => shape.d_model = 16,
        }
        config
    })
    .collect()
}

#[test]
fn an_interrupted_run_ends_like_an_undisturbed_one() {
    let data = phantom_data(80, 60, 2);
    for config in quick_configs() {
        let train = |folder: Option<&Path>, stop_at: Option<(u32, u32, u32)>| {
            train_recommender(&config, &quick(), &data, folder, &mut |progress| {
                let here = (progress.stage, progress.epoch, progress.step);
                match stop_at {
                    Some(stop) if here >= stop => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            })
        };
        let whole = train(None, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut stops = vec![(1, 1, 2), (1, 2, 3), (1, 3, 1)];
        if config.architecture() == Architecture::TiMiRec {
            stops.push((2, 2, 1));
        }
        for stop in stops {
            let stopped = train(Some(folder.path()), Some(stop));
            assert!(matches!(stopped, Err(ModelError::Cancelled)));
        }
        let resumed = train(Some(folder.path()), None).unwrap();
        assert_eq!(whole.epochs, resumed.epochs);
        assert_eq!(whole.first_stage, resumed.first_stage);
        assert_eq!(whole.best_epoch, resumed.best_epoch);
        assert_eq!(whole.model.weights(), resumed.model.weights());
        // A finished run is handed back without training.
        let again = train(Some(folder.path()), Some((1, 1, 1))).unwrap();
        assert_eq!(again.model.weights(), whole.model.weights());
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let data = phantom_data(80, 60, 2);
    for config in quick_configs() {
        let train = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(n)
                .build()
                .unwrap();
            pool.install(|| {
                let training = RecommenderTraining {
                    batch_size: 256,
                    ..quick()
                };
                train_recommender(&config, &training, &data, None, &mut |_| {
                    ControlFlow::Continue(())
                })
                .unwrap()
            })
        };
        assert_eq!(train(1).model.weights(), train(5).model.weights());
    }
}

#[test]
fn a_damaged_or_foreign_checkpoint_is_an_error() {
    let data = phantom_data(40, 60, 2);
    let folder = tempfile::tempdir().unwrap();
    let mut go_on = |_: &TrainingProgress<'_>| ControlFlow::Continue(());
    let mut train = |training: &RecommenderTraining| {
        let folder = Some(folder.path());
        train_recommender(&quick_config(), training, &data, folder, &mut go_on)
    };
    let short = RecommenderTraining {
        max_epochs: 1,
        ..quick()
    };
    train(&short).unwrap();
    let foreign = RecommenderTraining {
        seed: 9,
        ..short.clone()
    };
    assert!(
        train(&foreign)
            .unwrap_err()
            .to_string()
            .contains("other settings")
    );
    let path = folder.path().join("checkpoint.safetensors");
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    assert!(train(&short).unwrap_err().to_string().contains("damaged"));
    for n in [0, 7, 100, good.len() - 1] {
        std::fs::write(&path, &good[..n]).unwrap();
        assert!(
            matches!(train(&short), Err(ModelError::Format { .. })),
            "{n}"
        );
    }
}

#[test]
fn training_finds_planted_groups() {
    let data = phantom_data(300, 60, 2);
    let training = RecommenderTraining {
        lr: 3e-3,
        max_epochs: 40,
        batch_size: 128,
        ..RecommenderTraining::default()
    };
    for mut config in quick_configs() {
        match &mut config {
            RecommenderConfig::BprMf(shape) => shape.n_users = 300,
            RecommenderConfig::LightGcn(shape) => shape.n_users = 300,
            _ => {}
        }
        let trained = train_recommender(&config, &training, &data, None, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let metrics =
            crate::recommenders::evaluate(&trained.model, &data, Split::Test, &[5]).unwrap();
        // By chance 5 of about 50 competing items, 0.1; knowing the group 0.8 · 5/6 or more, unless
        // the item was bought before and is masked.
        assert!(metrics.hr[0] > 0.35, "{}: {metrics:?}", config.name());
    }
}

#[test]
fn impossible_requests_are_errors() {
    let data = phantom_data(20, 60, 2);
    let mut go_on = |_: &TrainingProgress<'_>| ControlFlow::Continue(());
    let mut fails =
        |config: RecommenderConfig, training: RecommenderTraining, data: &InteractionData| {
            matches!(
                train_recommender(&config, &training, data, None, &mut go_on),
                Err(ModelError::Request(_))
            )
        };
    let nan = RecommenderTraining {
        lr: f32::NAN,
        ..quick()
    };
    assert!(fails(quick_config(), nan, &data));
    assert!(fails(SasRecConfig::new(30).into(), quick(), &data));
    assert!(fails(quick_config(), quick(), &InteractionData::default()));
    let diverging = RecommenderTraining {
        lr: 1e30,
        ..quick()
    };
    assert!(fails(quick_config(), diverging, &data));
}
