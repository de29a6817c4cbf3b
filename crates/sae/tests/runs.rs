//! Whole runs: determinism, interruption and resumption, damaged files, stopping, learning.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sae::formats::folder;
use sae::{
    CheckpointPlan, InMemorySource, RunSpec, SaeError, SaeExtras, SaeParts, SparseAutoencoder,
    Sparsity, Trained, evaluate, initial_weights, random_dictionary, train, train_together,
};
use schema::{InputScaling, L0Penalty, SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant, StepReport};

const D: usize = 20;
const PLANTED: usize = 30;

/// Rows made of 1 to 3 of 30 planted directions, off centre, with a little noise.
fn planted_rows(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let mut directions: Vec<f32> = (0..PLANTED * D)
        .map(|_| rng.random::<f32>() - 0.5)
        .collect();
    for row in directions.chunks_exact_mut(D) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        for v in row {
            *v /= norm;
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Vec::with_capacity(n * D);
    for _ in 0..n {
        let mut row = [2.0_f32; D];
        for v in &mut row {
            *v += 0.01 * (rng.random::<f32>() - 0.5);
        }
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..PLANTED) * D;
            let strength = 1.0 + rng.random::<f32>();
            for (v, d) in row.iter_mut().zip(&directions[at..at + D]) {
                *v += strength * d;
            }
        }
        rows.extend_from_slice(&row);
    }
    rows
}

const ALL: [SaeVariant; 6] = [
    SaeVariant::TopK,
    SaeVariant::BatchTopK,
    SaeVariant::Matryoshka,
    SaeVariant::Relu,
    SaeVariant::JumpRelu,
    SaeVariant::Gated,
];

fn config(variant: SaeVariant) -> SaeConfig {
    SaeConfig {
        variant,
        n_features: 70,
        k: 3,
        lr: 3e-3,
        warmup_steps: 20,
        decay_start: Some(160),
        batch_rows: 150,
        steps: 200,
        dead_after_rows: 1500,
        threshold_start_step: 50,
        group_sizes: vec![17, 17, 36],
        bandwidth: 0.1,
        sparsity_warmup_steps: 50,
        seed: 5,
        ..SaeConfig::default()
    }
}

/// Every variant of the first recipe, every recipe, and every option that keeps a state.
fn all_configs() -> Vec<SaeConfig> {
    use SaeRecipe::{Recsae, Saelens, Sparsify};
    let of = |recipe, variant| {
        let plain = config(variant);
        let groups = variant == SaeVariant::GroupMax;
        SaeConfig {
            lr: plain.lr,
            k: if groups { 5 } else { plain.k },
            n_features: 70,
            warmup_steps: plain.warmup_steps,
            decay_start: plain.decay_start,
            batch_rows: plain.batch_rows,
            steps: plain.steps,
            dead_after_rows: plain.dead_after_rows,
            group_sizes: plain.group_sizes,
            auxk_alpha: 1.0 / 32.0,
            optimizer: SaeOptimiser::Adam,
            ..SaeConfig::of_recipe(recipe, variant, 70)
        }
    };
    let mut all: Vec<SaeConfig> = ALL.into_iter().map(config).collect();
    all.extend(ALL.into_iter().map(|variant| of(Saelens, variant)));
    all.extend([SaeVariant::TopK, SaeVariant::GroupMax].map(|variant| of(Sparsify, variant)));
    all.push(of(Recsae, SaeVariant::TopK));
    all.push(SaeConfig {
        optimizer: SaeOptimiser::Signum,
        multi_topk: true,
        auxk_alpha: 0.0,
        ..of(Sparsify, SaeVariant::TopK)
    });
    all.push(SaeConfig {
        normalize_activations: InputScaling::LayerNorm,
        ..of(Saelens, SaeVariant::Relu)
    });
    all.push(SaeConfig {
        use_matryoshka_aux_loss: true,
        ..of(Saelens, SaeVariant::Matryoshka)
    });
    all.push(SaeConfig {
        pre_act_loss: Some(0.01),
        ste_to_input: true,
        l0_penalty: L0Penalty::Quadratic,
        ..of(Saelens, SaeVariant::JumpRelu)
    });
    all.push(SaeConfig {
        resample_steps: Some(60),
        ..config(SaeVariant::Relu)
    });
    all.push(SaeConfig {
        normalize_activations: InputScaling::ExpectedAverage,
        centre_rows: true,
        k_anneal_steps: 80,
        ..config(SaeVariant::Matryoshka)
    });
    all.push(SaeConfig {
        transcode: true,
        skip_connection: true,
        ..of(Sparsify, SaeVariant::TopK)
    });
    all
}

/// What tells one configuration from another when a test fails.
fn name(config: &SaeConfig) -> String {
    let transcoder = if config.transcode { " transcoder" } else { "" };
    format!("{:?} {:?}{transcoder}", config.recipe, config.variant)
}

fn plan(dir: &Path) -> CheckpointPlan {
    CheckpointPlan {
        dir: dir.to_owned(),
        every_steps: 30,
    }
}

/// Trains until `stop_after` steps are done in all.
fn run(
    config: &SaeConfig,
    plan: Option<&CheckpointPlan>,
    stop_after: u32,
) -> Result<(Trained, Vec<StepReport>), SaeError> {
    let mut source = InMemorySource::new(planted_rows(1000, 1), D, config.seed)?;
    if config.transcode {
        let outputs = planted_rows(1000, 1);
        let outputs = outputs.iter().map(|value| value.max(2.1) - value * 0.5);
        source = source.with_targets(outputs.collect())?;
    }
    let mut reports = Vec::new();
    let trained = train(
        config,
        &mut source,
        &mut |report| {
            reports.push(StepReport {
                rows_per_second: 0.0,
                ..*report
            });
            if report.step + 1 == stop_after {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
        plan,
    )?;
    Ok((trained, reports))
}

/// All that a run leaves, as bytes.
fn bytes(trained: &Trained) -> Vec<u8> {
    let parts = trained.sae.parts();
    let own = match &parts.sparsity {
        Sparsity::BatchTopK { threshold, .. } | Sparsity::Matryoshka { threshold, .. } => {
            vec![*threshold]
        }
        Sparsity::JumpRelu { thresholds } => thresholds.to_vec(),
        Sparsity::Gated(gate) => [&gate.open_bias[..], &gate.r_mag, &gate.mag_bias].concat(),
        Sparsity::TopK { .. } | Sparsity::GroupMax { .. } | Sparsity::Relu => Vec::new(),
    };
    let skip = parts.extras.skip.iter().flatten();
    let floats = [&parts.w_enc, &parts.b_enc, &parts.w_dec, &parts.b_dec]
        .into_iter()
        .flatten()
        .chain(&own)
        .chain(skip)
        .flat_map(|v| v.to_le_bytes());
    let counts = trained
        .rows_since_active
        .iter()
        .flat_map(|v| v.to_le_bytes());
    floats.chain(counts).collect()
}

fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
fn two_runs_give_the_same_bytes_on_one_thread_and_on_three() {
    for config in all_configs() {
        let on = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| run(&config, None, u32::MAX).unwrap())
        };
        let ((one, one_reports), (three, three_reports)) = (on(1), on(3));
        assert_eq!(one_reports, three_reports, "{}", name(&config));
        assert!(bytes(&one) == bytes(&three), "{}", name(&config));
    }
}

#[test]
fn resumed_runs_equal_the_undisturbed_one_to_the_byte() {
    for config in all_configs() {
        let (whole, whole_reports) = run(&config, None, u32::MAX).unwrap();
        assert!(whole.completed);
        // The AuxK loss must have had work, or its state is not tested.
        // Each group of GroupMax has an active feature in almost every row.
        let has_auxk = config.variant.is_top_k()
            && config.variant != SaeVariant::GroupMax
            && config.auxk_alpha > 0.0;
        let had_dead = whole_reports.iter().any(|report| report.dead > 0);
        assert!(!has_auxk || had_dead, "{}", name(&config));
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        let mut reports = Vec::new();
        for stop in [17, 100, 163] {
            let (part, part_reports) = run(&config, Some(&plan), stop).unwrap();
            assert!(!part.completed);
            assert_eq!(part.steps_done, stop);
            reports.extend(part_reports);
        }
        let (last, last_reports) = run(&config, Some(&plan), u32::MAX).unwrap();
        assert_eq!(last.resumed_at, 163);
        reports.extend(last_reports);
        assert_eq!(reports, whole_reports, "{}", name(&config));
        assert!(bytes(&last) == bytes(&whole), "{}", name(&config));
        // A finished run trains no further.
        let (again, none) = run(&config, Some(&plan), u32::MAX).unwrap();
        assert!(again.completed && none.is_empty());
        assert_eq!(bytes(&again), bytes(&whole));
    }
}

#[test]
fn dictionaries_trained_on_one_pass_end_as_they_would_alone() {
    let configs = [
        config(SaeVariant::TopK),
        SaeConfig {
            k: 5,
            n_features: 40,
            steps: 120,
            decay_start: None,
            ..config(SaeVariant::TopK)
        },
        SaeConfig {
            centre_rows: true,
            ..config(SaeVariant::JumpRelu)
        },
    ];
    let folders = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let plans = folders.each_ref().map(|folder| plan(folder.path()));
    // The second begins ahead of the others, as after an interruption of its own.
    run(&configs[1], Some(&plans[1]), 50).unwrap();
    let together = |stop: u32| {
        let mut source = InMemorySource::new(planted_rows(1000, 1), D, 5).unwrap();
        let runs = configs.iter().zip(&plans).map(|(config, plan)| RunSpec {
            device: None,
            config,
            initial: initial_weights(config, D).unwrap(),
            checkpoint: Some(plan),
            until: None,
        });
        let mut steps = [0; 3];
        let trained = train_together(runs.collect(), &mut source, &mut |run, report| {
            steps[run] += 1;
            if report.step + 1 == stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        (trained.unwrap(), steps)
    };
    let (_, steps) = together(70);
    assert_eq!(steps, [70, 20, 70]);
    let (trained, steps) = together(u32::MAX);
    assert_eq!(steps, [130, 50, 130]);
    for (config, trained) in configs.iter().zip(&trained) {
        let (alone, _) = run(config, None, u32::MAX).unwrap();
        assert!(bytes(trained) == bytes(&alone), "{}", name(config));
    }
    let other = SaeConfig {
        batch_rows: 100,
        ..configs[0].clone()
    };
    let runs = [&configs[0], &other].map(|config| RunSpec {
        device: None,
        config,
        initial: initial_weights(config, D).unwrap(),
        checkpoint: None,
        until: None,
    });
    let mut source = InMemorySource::new(planted_rows(1000, 1), D, 5).unwrap();
    let continues = &mut |_: usize, _: &StepReport| ControlFlow::Continue(());
    let error = train_together(runs.into(), &mut source, continues).unwrap_err();
    assert!(error.to_string().contains("150 and 100"), "{error}");
}

#[test]
fn damaged_checkpoint_falls_back_to_the_one_before() {
    let config = config(SaeVariant::BatchTopK);
    let (whole, _) = run(&config, None, u32::MAX).unwrap();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(5),
        Vec::clear,
        |bytes| bytes[2000] ^= 1,
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        run(&config, Some(&plan), 100).unwrap();
        let found = checkpoints(folder.path());
        assert_eq!(found.len(), 2, "{found:?}");
        let mut content = fs::read(&found[1]).unwrap();
        damage(&mut content);
        fs::write(&found[1], &content).unwrap();
        // What a killed writer leaves behind does no harm.
        fs::write(
            folder.path().join("step-0000000110.checkpoint.tmp"),
            b"half",
        )
        .unwrap();
        let (resumed, _) = run(&config, Some(&plan), u32::MAX).unwrap();
        assert_eq!(resumed.resumed_at, 90);
        assert_eq!(bytes(&resumed), bytes(&whole));
    }
}

#[test]
fn all_checkpoints_damaged_is_a_clear_error() {
    let config = config(SaeVariant::TopK);
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    run(&config, Some(&plan), 100).unwrap();
    for path in checkpoints(folder.path()) {
        let mut content = fs::read(&path).unwrap();
        content.truncate(300);
        fs::write(&path, &content).unwrap();
    }
    let error = run(&config, Some(&plan), u32::MAX).unwrap_err().to_string();
    assert!(error.contains("step-0000000100.checkpoint"), "{error}");
    assert!(error.contains("damaged checkpoint"), "{error}");
}

#[test]
fn checkpoint_of_other_settings_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    run(&config(SaeVariant::TopK), Some(&plan), 40).unwrap();
    let other = SaeConfig {
        lr: 1e-3,
        ..config(SaeVariant::TopK)
    };
    let error = run(&other, Some(&plan), u32::MAX).unwrap_err();
    assert!(error.to_string().contains("other settings"), "{error}");
}

#[test]
fn rows_that_are_not_finite_stop_the_run() {
    let mut rows = planted_rows(200, 1);
    rows[777] = f32::INFINITY;
    let mut source = InMemorySource::in_order(rows, D).unwrap();
    let error = train(
        &config(SaeVariant::TopK),
        &mut source,
        &mut |_| ControlFlow::Continue(()),
        None,
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("row 38 of the batch of step 0"),
        "{error}"
    );
}

#[test]
fn training_finds_the_planted_directions_and_beats_random_ones() {
    for variant in ALL {
        let config = SaeConfig {
            steps: 1500,
            decay_start: Some(1200),
            ..config(variant)
        };
        let (trained, reports) = run(&config, None, u32::MAX).unwrap();
        let held_out = planted_rows(800, 2);
        let batches = || held_out.chunks(100 * D).map(|rows| Ok(rows.to_vec()));
        let learnt = evaluate(&trained.sae, batches()).unwrap();
        let mean = trained.sae.b_dec().to_vec();
        let random = random_dictionary(70, 3, 1, &mean).unwrap();
        let random = evaluate(&random, batches()).unwrap();
        let has_k = trained.sae.sparsity().k().is_some();
        let most = if has_k { 0.15 } else { 0.2 };
        assert!(learnt.fvu < most, "{variant:?}: {learnt:?}");
        assert!(
            learnt.fvu < 0.5 * random.fvu,
            "{learnt:?} against {random:?}"
        );
        let l0 = if has_k { 1.0..4.0 } else { 1.0..25.0 };
        assert!(l0.contains(&learnt.l0), "{variant:?}: {learnt:?}");
        assert!(reports[1499].loss < 0.2 * reports[0].loss);
        for feature in 0..70 {
            let row = trained.sae.decoder_row(feature);
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            assert!((norm - 1.0).abs() < 1e-5);
        }
    }
}

/// Rows that lie far from the origin beside their spread leave `ReLU` features dead; taking their
/// mean off keeps them alive, and the finished dictionary reads rows as they are all the same.
#[test]
fn centred_rows_reconstruct_better_where_b_dec_starts_at_the_origin() {
    let plain = SaeConfig {
        steps: 600,
        decay_start: Some(500),
        ..config(SaeVariant::JumpRelu)
    };
    let fvu_of = |config: &SaeConfig| {
        let (trained, reports) = run(config, None, u32::MAX).unwrap();
        let held_out = planted_rows(800, 2);
        let batches = held_out.chunks(100 * D).map(|rows| Ok(rows.to_vec()));
        let measured = evaluate(&trained.sae, batches).unwrap();
        let last = reports[599].fvu;
        // The dictionary of unmapped rows does what the run's last steps saw on mapped ones.
        assert!(
            (measured.fvu - f64::from(last)).abs() < 0.1,
            "{measured:?} {last}"
        );
        measured.fvu
    };
    let centred = SaeConfig {
        centre_rows: true,
        ..plain.clone()
    };
    let scaled = SaeConfig {
        normalize_activations: InputScaling::ExpectedAverage,
        ..centred.clone()
    };
    let [plain, centred, scaled] = [plain, centred, scaled].map(|config| fvu_of(&config));
    assert!(
        centred < plain && scaled < 0.5,
        "{plain} {centred} {scaled}"
    );
}

#[test]
fn codes_of_a_row_do_not_depend_on_its_batch() {
    let (trained, _) = run(&config(SaeVariant::TopK), None, 30).unwrap();
    let rows = planted_rows(61, 3);
    let together = trained.sae.encode(&rows).unwrap();
    for (i, row) in rows.chunks_exact(D).enumerate() {
        let alone = trained.sae.encode(row).unwrap();
        assert_eq!(alone.row(0), together.row(i));
        let feature = alone.features[0];
        let activation = trained.sae.feature_activation(row, feature).unwrap();
        assert_eq!(activation, alone.values[0]);
    }
}

#[test]
fn folder_round_trips_and_damage_is_named() {
    for variant in [SaeVariant::TopK, SaeVariant::BatchTopK] {
        let (trained, _) = run(&config(variant), None, 90).unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("sae");
        let provenance = serde_json::json!({"harvest": "abc", "seed": 5});
        folder::save(&path, &trained.sae, &provenance).unwrap();
        let (loaded, found) = folder::load(&path).unwrap();
        assert_eq!(loaded, trained.sae);
        assert_eq!(found, provenance);
        let weights = path.join(folder::WEIGHTS_FILE);
        let whole = fs::read(&weights).unwrap();
        for cut in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&weights, &whole[..cut]).unwrap();
            let error = folder::load(&path).unwrap_err().to_string();
            assert!(error.contains("sae.safetensors"), "{error}");
        }
        fs::write(&weights, &whole).unwrap();
        let settings = path.join(folder::CONFIG_FILE);
        let text = fs::read_to_string(&settings).unwrap();
        for (from, to) in [
            ("\"d_in\": 20", "\"d_in\": 21"),
            ("\"k\": 3", "\"k\": 0"),
            ("topk", "softmax"),
            ("{", ""),
        ] {
            fs::write(&settings, text.replacen(from, to, 1)).unwrap();
            assert!(folder::load(&path).is_err(), "{from} as {to}");
        }
    }
    assert!(matches!(
        folder::load(Path::new("absent")),
        Err(SaeError::Io { .. })
    ));
}

#[test]
fn one_feature_and_one_dimension_work() {
    let sae = SparseAutoencoder::new(SaeParts {
        d_model: 1,
        n_features: 1,
        w_enc: vec![1.0],
        b_enc: vec![0.0],
        w_dec: vec![1.0],
        b_dec: vec![0.5],
        is_centred: true,
        sparsity: Sparsity::TopK { k: 1 },
        extras: SaeExtras::default(),
    })
    .unwrap();
    assert_eq!(sae.reconstruct(&[2.0, -3.0]).unwrap(), [2.0, 0.5]);
}
