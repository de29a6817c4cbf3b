//! Tests of the gradient, of determinism and of resuming.

use std::ops::ControlFlow;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::instances::TrainingCase;
use super::*;
use crate::recommenders::UserHistory;

/// Weights far from their initial values, so that every path carries gradient.
fn busy_weights(config: &SasRecConfig, seed: u64) -> SasRecWeights {
    let mut weights = SasRecWeights::random(config, seed).unwrap();
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
            history: HISTORIES[i % 5],
            positive: 1 + (i * 7 % 9) as u32,
            negative: 1 + (i * 5 % 8) as u32,
        })
        .collect()
}

fn small_config() -> SasRecConfig {
    SasRecConfig {
        d_model: 12,
        history_max: 6,
        ..SasRecConfig::new(9)
    }
}

#[test]
fn hand_written_gradient_equals_automatic_differentiation() {
    let weights = busy_weights(&small_config(), 3);
    let cases = cases();
    let mut by_hand = vec![0.0; weights.values().len()];
    let mut by_machine = by_hand.clone();
    let loss = folded::gradient(&weights, &cases, &mut by_hand);
    let expected = autograd::gradient(&weights, &cases, &mut by_machine).unwrap();
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    let scale = by_machine.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    assert!(scale > 0.01);
    for (i, (a, b)) in by_hand.iter().zip(&by_machine).enumerate() {
        assert!(
            (a - b).abs() < 2e-6 + 1e-5 * scale,
            "value {i}: {a} against {b}"
        );
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let two_blocks = SasRecConfig {
        n_layers: 2,
        n_heads: 3,
        ..small_config()
    };
    for config in [small_config(), two_blocks] {
        let weights = busy_weights(&config, 5);
        let cases = cases();
        let mut gradient = vec![0.0; weights.values().len()];
        batch_gradient(&weights, &cases, &mut gradient).unwrap();
        let mut unused = gradient.clone();
        let mut loss_at = |i: usize, change: f32| {
            let mut moved = weights.clone();
            moved.values_mut()[i] += change;
            batch_gradient(&moved, &cases, &mut unused).unwrap()
        };
        let h = 1e-3;
        let here = loss_at(0, 0.0);
        let n_values = weights.values().len();
        for i in (0..n_values).step_by(17) {
            let left = (here - loss_at(i, -h)) / f64::from(h);
            let right = (loss_at(i, h) - here) / f64::from(h);
            // Between the slopes of both sides, which differ where a ReLU turns on within h.
            let found = f64::from(gradient[i]);
            let slack = 3e-4 + 0.02 * found.abs();
            assert!(
                left.min(right) - slack < found && found < left.max(right) + slack,
                "value {i} of {n_values}: {left} and {right} against {found}"
            );
        }
    }
}

#[test]
fn training_forward_equals_inference() {
    let weights = busy_weights(&small_config(), 11);
    let model = SasRec::unhashed(weights.clone());
    let vectors = model.user_vectors(&HISTORIES).unwrap();
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
    let mut gradient = vec![0.0; weights.values().len()];
    let loss = folded::gradient(&weights, &cases, &mut gradient);
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
}

#[test]
fn adam_equals_the_published_rule() {
    let config = small_config();
    let mut weights = busy_weights(&config, 2);
    let training = SasRecTraining {
        lr: 0.01,
        l2: 0.1,
        ..SasRecTraining::default()
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

fn quick() -> SasRecTraining {
    SasRecTraining {
        lr: 2e-3,
        max_epochs: 4,
        batch_size: 100,
        ..SasRecTraining::default()
    }
}

fn quick_config() -> SasRecConfig {
    SasRecConfig {
        d_model: 16,
        ..SasRecConfig::new(60)
    }
}

#[test]
fn an_interrupted_run_ends_like_an_undisturbed_one() {
    let data = phantom_data(80, 60, 2);
    let train = |folder: Option<&Path>, stop_at: Option<(u32, u32)>| {
        train_sasrec(
            &quick_config(),
            &quick(),
            &data,
            folder,
            &mut |progress| match stop_at {
                Some(stop) if (progress.epoch, progress.step) >= stop => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            },
        )
    };
    let whole = train(None, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for stop in [(1, 2), (2, 3), (3, 1)] {
        let stopped = train(Some(folder.path()), Some(stop));
        assert!(matches!(stopped, Err(ModelError::Cancelled)));
    }
    let resumed = train(Some(folder.path()), None).unwrap();
    assert_eq!(whole.epochs, resumed.epochs);
    assert_eq!(whole.best_epoch, resumed.best_epoch);
    assert_eq!(whole.model.weights(), resumed.model.weights());
    // A finished run is handed back without training.
    let again = train(Some(folder.path()), Some((1, 1))).unwrap();
    assert_eq!(again.model.weights(), whole.model.weights());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let data = phantom_data(80, 60, 2);
    let train = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap();
        pool.install(|| {
            let training = SasRecTraining {
                batch_size: 256,
                ..quick()
            };
            train_sasrec(&quick_config(), &training, &data, None, &mut |_| {
                ControlFlow::Continue(())
            })
            .unwrap()
        })
    };
    assert_eq!(train(1).model.weights(), train(5).model.weights());
}

#[test]
fn a_damaged_or_foreign_checkpoint_is_an_error() {
    let data = phantom_data(40, 60, 2);
    let folder = tempfile::tempdir().unwrap();
    let mut go_on = |_: &TrainingProgress<'_>| ControlFlow::Continue(());
    let mut train = |training: &SasRecTraining| {
        let folder = Some(folder.path());
        train_sasrec(&quick_config(), training, &data, folder, &mut go_on)
    };
    let short = SasRecTraining {
        max_epochs: 1,
        ..quick()
    };
    train(&short).unwrap();
    let foreign = SasRecTraining {
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
    let training = SasRecTraining {
        lr: 3e-3,
        max_epochs: 30,
        batch_size: 128,
        ..SasRecTraining::default()
    };
    let trained = train_sasrec(&quick_config(), &training, &data, None, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let metrics = crate::recommenders::evaluate(&trained.model, &data, Split::Test, &[5]).unwrap();
    // By chance 5 of about 50 competing items; knowing the group 0.8 · 5/6 or more.
    assert!(metrics.hr[0] > 0.4, "{metrics:?}");
}

#[test]
fn impossible_requests_are_errors() {
    let data = phantom_data(20, 60, 2);
    let mut go_on = |_: &TrainingProgress<'_>| ControlFlow::Continue(());
    let mut fails = |config: SasRecConfig, training: SasRecTraining, data: &InteractionData| {
        matches!(
            train_sasrec(&config, &training, data, None, &mut go_on),
            Err(ModelError::Request(_))
        )
    };
    let nan = SasRecTraining {
        lr: f32::NAN,
        ..quick()
    };
    assert!(fails(quick_config(), nan, &data));
    assert!(fails(SasRecConfig::new(30), quick(), &data));
    assert!(fails(quick_config(), quick(), &InteractionData::default()));
    let diverging = SasRecTraining {
        lr: 1e30,
        ..quick()
    };
    assert!(fails(quick_config(), diverging, &data));
}
