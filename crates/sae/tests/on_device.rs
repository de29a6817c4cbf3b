//! Training by the operations of a card, run on candle's CPU, beside the sparse kernels.
#![expect(
    clippy::print_stderr,
    reason = "says how close the two ways of training come"
)]

use std::ops::ControlFlow;

use candle_core::Device;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sae::{
    CheckpointPlan, InMemorySource, RunSpec, SaeError, Sparsity, Trained, initial_weights,
    kept_on_cpu, train_together,
};
use schema::{InputScaling, SaeConfig, SaeRecipe, SaeVariant, StepReport};

const D: usize = 20;

/// Rows of a few directions off the centre, with noise.
fn rows(n: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let directions: Vec<f32> = (0..30 * D).map(|_| rng.random::<f32>() - 0.5).collect();
    let mut rows = Vec::with_capacity(n * D);
    for _ in 0..n {
        let mut row: [f32; D] = std::array::from_fn(|_| 1.0 + 0.01 * rng.random::<f32>());
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..30) * D;
            let strength = 1.0 + rng.random::<f32>();
            for (value, direction) in row.iter_mut().zip(&directions[at..at + D]) {
                *value += strength * direction;
            }
        }
        rows.extend_from_slice(&row);
    }
    rows
}

fn config(variant: SaeVariant) -> SaeConfig {
    SaeConfig {
        variant,
        n_features: 70,
        k: 3,
        lr: 3e-3,
        warmup_steps: 10,
        batch_rows: 100,
        steps: 60,
        dead_after_rows: 500,
        threshold_start_step: 20,
        group_sizes: vec![17, 17, 36],
        seed: 5,
        ..SaeConfig::default()
    }
}

fn run(
    config: &SaeConfig,
    device: Option<Device>,
    (checkpoint, until): (Option<&CheckpointPlan>, Option<u32>),
) -> Result<(Trained, Vec<StepReport>), SaeError> {
    let mut source = InMemorySource::new(rows(700), D, config.seed)?;
    let run = RunSpec {
        config,
        initial: initial_weights(config, D)?,
        checkpoint,
        device,
        until,
    };
    let mut reports = Vec::new();
    let mut trained = train_together(vec![run], &mut source, &mut |_, report| {
        reports.push(*report);
        ControlFlow::Continue(())
    })?;
    Ok((trained.remove(0), reports))
}

/// The settings that a card heeds, each at least once away from its default.
fn configs() -> Vec<SaeConfig> {
    use SaeVariant::{BatchTopK, Matryoshka, TopK};
    let mut all: Vec<SaeConfig> = [TopK, BatchTopK, Matryoshka].map(config).into();
    all.push(SaeConfig {
        apply_b_dec_to_input: Some(false),
        grad_clip: Some(0.05),
        weight_decay: 0.01,
        ..config(TopK)
    });
    all.push(SaeConfig {
        top_k_aux: Some(2),
        auxk_alpha: 0.5,
        group_weights: Some(vec![3.0, 1.0, 0.5]),
        ..config(Matryoshka)
    });
    all.push(SaeConfig {
        normalize_activations: InputScaling::ExpectedAverage,
        centre_rows: true,
        k_anneal_steps: 30,
        decay_start: Some(40),
        ..config(BatchTopK)
    });
    all
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    std::iter::zip(a, b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

#[test]
fn ends_where_the_kernels_end() {
    for config in configs() {
        let name = format!("{:?}", config.variant);
        let (kernels, by_kernels) = run(&config, None, (None, None)).unwrap();
        let (device, by_device) = run(&config, Some(Device::Cpu), (None, None)).unwrap();
        assert!(by_kernels.iter().any(|report| report.dead > 0), "{name}");
        for (a, b) in by_kernels.iter().zip(&by_device) {
            assert_eq!((a.step, a.dead), (b.step, b.dead), "{name}");
            assert!((a.loss / b.loss - 1.0).abs() < 1e-4, "{name}: {a:?} {b:?}");
            assert!((a.fvu / b.fvu - 1.0).abs() < 1e-4, "{name}: {a:?} {b:?}");
            assert!((a.l0 - b.l0).abs() < 1e-4, "{name}: {a:?} {b:?}");
        }
        assert_eq!(by_kernels.len(), by_device.len());
        assert_eq!(kernels.rows_since_active, device.rows_since_active);
        let (a, b) = (kernels.sae.parts(), device.sae.parts());
        for (a, b) in [
            (&a.w_enc, &b.w_enc),
            (&a.b_enc, &b.b_enc),
            (&a.w_dec, &b.w_dec),
            (&a.b_dec, &b.b_dec),
            (&threshold(&a.sparsity), &threshold(&b.sparsity)),
        ] {
            let worst = worst(a, b);
            eprintln!("{name}: largest difference {worst:.2e}");
            assert!(worst < 2e-4, "{name}");
        }
    }
}

fn threshold(sparsity: &Sparsity) -> Vec<f32> {
    match sparsity {
        Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } => {
            vec![*threshold]
        }
        _ => Vec::new(),
    }
}

#[test]
fn goes_on_from_a_checkpoint_as_if_never_stopped() {
    let config = config(SaeVariant::Matryoshka);
    let on = || Some(Device::Cpu);
    let (whole, _) = run(&config, on(), (None, None)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = CheckpointPlan {
        dir: folder.path().to_owned(),
        every_steps: 1000,
    };
    let (part, _) = run(&config, on(), (Some(&plan), Some(23))).unwrap();
    assert!(!part.completed);
    let (rest, reports) = run(&config, on(), (Some(&plan), None)).unwrap();
    assert_eq!((rest.resumed_at, reports.len()), (23, 37));
    assert!(rest.sae == whole.sae);
    // What the card left can be gone on with by the kernels, too.
    let other = tempfile::tempdir().unwrap();
    let plan = CheckpointPlan {
        dir: other.path().to_owned(),
        ..plan
    };
    run(&config, on(), (Some(&plan), Some(23))).unwrap();
    let (rest, _) = run(&config, None, (Some(&plan), None)).unwrap();
    let (a, b) = (rest.sae.parts(), whole.sae.parts());
    assert!(worst(&a.w_dec, &b.w_dec) < 2e-4);
}

#[test]
fn what_a_card_cannot_train_is_trained_by_the_kernels() {
    for config in [
        SaeConfig {
            sparsity_warmup_steps: 10,
            ..config(SaeVariant::Relu)
        },
        SaeConfig {
            steps: 30,
            ..SaeConfig::of_recipe(SaeRecipe::Sparsify, SaeVariant::TopK, 70)
        },
    ] {
        assert!(kept_on_cpu(&config).unwrap().contains("on the CPU"));
        let [(a, _), (b, _)] =
            [None, Some(Device::Cpu)].map(|device| run(&config, device, (None, None)).unwrap());
        assert!(a.sae == b.sae);
    }
}

#[test]
fn a_rate_that_breaks_the_run_is_told() {
    let config = SaeConfig {
        lr: 1e30,
        warmup_steps: 0,
        ..config(SaeVariant::TopK)
    };
    let error = run(&config, Some(Device::Cpu), (None, None)).unwrap_err();
    assert!(error.to_string().contains("is lr too high?"), "{error}");
}
