//! `SASRec` as a model under study: files, hooks, edits, ranking and evaluation by hand.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::sync::Arc;

use models::recommenders::{
    EvaluationSet, InteractionData, Recommender, RecommenderWeights, SasRecConfig,
    StateDictOptions, UserHistory, evaluate,
};
use models::{
    ActivationEdit, EditedPosition, HookSpec, HookedModel as _, ModelError, ModelInput, ModelSample,
};
use schema::{HookPoint, PositionClass, Split};

fn model() -> Recommender {
    let config = SasRecConfig {
        d_model: 8,
        history_max: 4,
        ..SasRecConfig::new(12)
    };
    Recommender::new(RecommenderWeights::random(config, 1).unwrap(), None).unwrap()
}

fn input(model: &Recommender, items: &[u32]) -> ModelInput {
    let sample = ModelSample {
        items: Some(items),
        ..ModelSample::default()
    };
    model.prepare(sample).unwrap()
}

#[test]
fn only_the_last_items_are_read_and_each_has_a_row() {
    let model = model();
    let input = input(&model, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(input.ids, [3, 4, 5, 6]);
    for hook in ["embed", "blocks.0.hook_resid_post", "hook_user_vector"] {
        let hook: HookPoint = hook.parse().unwrap();
        let positions = model.positions(&input, hook).unwrap();
        assert!(positions.iter().all(|p| p.class == PositionClass::Item));
        let captured = model
            .capture(std::slice::from_ref(&input), &[hook])
            .unwrap();
        assert_eq!(captured[0][0].n_rows, positions.len());
        assert_eq!(captured[0][0].values.len(), 4 * 8);
    }
}

#[test]
fn a_saved_model_is_read_back_to_the_bit() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let read = Recommender::load(folder.path(), &StateDictOptions::default()).unwrap();
    assert_eq!(read.weights(), model.weights());
    assert_eq!(read.card(), model.card());
    let bare = folder.path().join("model.safetensors");
    let read = Recommender::load(&bare, &StateDictOptions::default()).unwrap();
    assert_eq!(read.card(), model.card());
    let shorter = StateDictOptions {
        history_max: Some(2),
        ..StateDictOptions::default()
    };
    let read = Recommender::load(&bare, &shorter).unwrap();
    assert_eq!(input(&read, &[1, 2, 3]).ids, [2, 3]);
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    model().save(folder.path()).unwrap();
    let path = folder.path().join("model.safetensors");
    let good = std::fs::read(&path).unwrap();
    let mut nan = good.clone();
    let n = nan.len();
    nan[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut cases = vec![nan, Vec::new(), b"not a model".to_vec()];
    cases.extend([3, 9, 200, n - 1].map(|end| good[..end].to_vec()));
    for bytes in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = Recommender::load(folder.path(), &StateDictOptions::default()).unwrap_err();
        assert!(matches!(error, ModelError::Format { .. }), "{error}");
        assert!(error.to_string().contains("model.safetensors"));
    }
    std::fs::write(&path, &good).unwrap();
    let wrong_heads = StateDictOptions {
        n_heads: Some(3),
        ..StateDictOptions::default()
    };
    assert!(Recommender::load(&path, &wrong_heads).is_err());
    std::fs::write(folder.path().join("config.json"), "{").unwrap();
    let error = Recommender::load(folder.path(), &StateDictOptions::default()).unwrap_err();
    assert!(error.to_string().contains("config.json"));
    let absent = folder.path().join("absent");
    assert!(matches!(
        Recommender::load(&absent, &StateDictOptions::default()),
        Err(ModelError::Read { .. })
    ));
}

struct Shift(Vec<f32>);

impl ActivationEdit for Shift {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        assert_eq!(rows.len(), d_model * positions.len());
        for row in rows.chunks_exact_mut(d_model) {
            row.iter_mut()
                .zip(&self.0)
                .for_each(|(value, shift)| *value += shift);
        }
    }
}

#[test]
fn adding_a_direction_adds_its_logit_lens_to_the_scores() {
    let model = model();
    let inputs = [input(&model, &[1, 2, 3]), input(&model, &[9])];
    let direction: Vec<f32> = (0..8).map(|i| 0.1 * i as f32 - 0.3).collect();
    let lens = model
        .logit_lens(&direction, HookPoint::UserVector)
        .unwrap()
        .unwrap();
    assert_eq!(lens.len(), 12);
    let plain = model.rank(&inputs, &HookSpec::default()).unwrap();
    for hook in [HookPoint::UserVector, HookPoint::ResidPost(0)] {
        let edit: Arc<dyn ActivationEdit> = Arc::new(Shift(direction.clone()));
        let spec = HookSpec {
            capture: Vec::new(),
            edits: vec![(hook, edit)],
            keep_at: None,
        };
        let edited = model.rank(&inputs, &spec).unwrap();
        for (plain, edited) in plain.iter().zip(&edited) {
            for ((a, b), l) in plain.iter().zip(edited).zip(&lens) {
                assert!((b - a - l).abs() < 1e-5);
            }
        }
    }
    assert_eq!(
        model.logit_lens(&direction, HookPoint::Embed).unwrap(),
        None
    );
    assert!(
        model
            .logit_lens(&direction[..3], HookPoint::UserVector)
            .is_err()
    );
}

#[test]
fn wrong_requests_are_errors() {
    let model = model();
    let prepare = |items: Option<&[u32]>| {
        model.prepare(ModelSample {
            items,
            ..ModelSample::default()
        })
    };
    assert!(matches!(prepare(None), Err(ModelError::Sample { .. })));
    assert!(matches!(prepare(Some(&[])), Err(ModelError::Sample { .. })));
    assert!(matches!(prepare(Some(&[13])), Err(ModelError::Request(_))));
    assert!(matches!(prepare(Some(&[0])), Err(ModelError::Request(_))));
    let inputs = [input(&model, &[1])];
    let error = model
        .capture(&inputs, &[HookPoint::ResidPost(1)])
        .unwrap_err();
    assert!(error.to_string().contains("hook_user_vector"), "{error}");
}

/// A model whose user vector is always (1, 0) and whose item j scores `scores[j - 1]`.
fn fixed_scores(scores: &[f32]) -> Recommender {
    let config = SasRecConfig {
        n_items: scores.len() as u32,
        d_model: 2,
        n_layers: 1,
        n_heads: 1,
        history_max: 3,
        ..SasRecConfig::new(0)
    };
    let random = Recommender::new(RecommenderWeights::random(config, 0).unwrap(), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    random.save(folder.path()).unwrap();
    let path = folder.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &candle_core::Device::Cpu).unwrap();
    let mut set = |name: &str, values: Vec<f32>| {
        let shape = tensors[name].shape().clone();
        let tensor = candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu);
        tensors.insert(name.to_owned(), tensor.unwrap());
    };
    set("transformer_block.0.layer_norm2.weight", vec![0.0, 0.0]);
    set("transformer_block.0.layer_norm2.bias", vec![1.0, 0.0]);
    let items = std::iter::once(99.0).chain(scores.iter().copied());
    set(
        "i_embeddings.weight",
        items.flat_map(|score| [score, 0.0]).collect(),
    );
    candle_core::safetensors::save(&tensors, &path).unwrap();
    Recommender::load(&path, &StateDictOptions::default()).unwrap()
}

#[test]
fn ranks_of_a_worked_example() {
    // Item:                     1    2    3    4    5    6
    let model = fixed_scores(&[0.9, 0.5, 0.8, 0.5, 0.7, 0.1]);
    let user = |train: &[u32], dev: &[u32], test: &[u32]| UserHistory {
        train: train.to_vec(),
        dev: dev.to_vec(),
        test: test.to_vec(),
        ..UserHistory::default()
    };
    let data = InteractionData {
        n_items: 6,
        histories: vec![
            // Target 2 against 3, 4 (a tie) and 6: 1 is train, 5 is the other held-out item.
            user(&[1], &[2], &[5]),
            // Target 6, last of 2, 4, 5, 6: 1 and 3 are masked.
            user(&[1], &[3], &[6]),
            // Nothing before the dev item: no dev case.
            user(&[], &[4], &[1]),
        ],
    };
    let ranks = |split| {
        let set = EvaluationSet::new(&data, split);
        set.ranks(&model, &set.user_vectors(&model).unwrap())
            .unwrap()
    };
    assert_eq!(ranks(Split::Dev), [3, 1]);
    assert_eq!(ranks(Split::Test), [2, 4, 1]);
    let test = evaluate(&model, &data, Split::Test, &[1, 2, 4]).unwrap();
    let third = 1.0 / 3.0;
    assert_eq!(test.hr, [third, 2.0 * third, 1.0]);
    let gains = [1.0, 1.0 / 3_f64.log2(), 1.0 / 5_f64.log2()];
    assert!((test.ndcg[2] - gains.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    assert_eq!(test.n_cases, 3);
}
