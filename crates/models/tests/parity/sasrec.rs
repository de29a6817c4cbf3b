//! `SASRec` against reference values written by `ReChorus` and `RecSAE` in `PyTorch`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use models::recommenders::{
    EvaluationSet, InteractionData, RankingMetrics, Recommender, StateDictOptions, UserHistory,
    UserQuery, evaluate, evaluate_with,
};
use models::{
    ActivationEdit, EditedPosition, HookSpec, HookedModel as _, ModelError, ModelInput, ModelSample,
};
use schema::{HookPoint, Split};

use crate::shared_files::{max_difference, shared, shared_json};

struct Reference(HashMap<String, Tensor>);

impl Reference {
    fn open(path: PathBuf) -> Self {
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensor = self.0[name].to_dtype(DType::F32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        let tensor = self.0[name].to_dtype(DType::U32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Right-padded histories, oldest first.
    fn histories(&self, items: &str, lengths: &str) -> Vec<Vec<u32>> {
        let width = self.0[items].dims()[1];
        let rows = self.ids(items);
        self.ids(lengths)
            .iter()
            .zip(rows.chunks_exact(width))
            .map(|(&length, row)| row[..length as usize].to_vec())
            .collect()
    }
}

fn inputs(model: &Recommender, histories: &[Vec<u32>]) -> Vec<ModelInput> {
    histories
        .iter()
        .map(|history| {
            model
                .prepare(ModelSample {
                    items: Some(history),
                    ..ModelSample::default()
                })
                .unwrap()
        })
        .collect()
}

/// The `n` best items, best first.
fn top_items(scores: &[f32], n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (1..=scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize - 1].total_cmp(&scores[a as usize - 1]));
    order.truncate(n);
    order
}

const OPTIONS: StateDictOptions = StateDictOptions {
    n_heads: Some(4),
    history_max: None,
    architecture: None,
    n_layers: None,
    train_pairs: None,
};

#[test]
fn two_blocks_of_four_heads_equal_the_reference() {
    let Some(folder) = shared("fixtures/sasrec/sasrec") else {
        return;
    };
    let reference = Reference::open(folder.join("ref.safetensors"));
    let histories = reference.histories("history_items", "lengths");
    for file in ["weights.safetensors", "SASRec_SAE.pt"] {
        let model = Recommender::load(&folder.join(file), &OPTIONS).unwrap();
        assert_eq!(model.config().history_max(), Some(10));
        let inputs = inputs(&model, &histories);
        let hooks = [
            HookPoint::ResidPost(0),
            HookPoint::ResidPost(1),
            HookPoint::UserVector,
        ];
        let captured = model.capture(&inputs, &hooks).unwrap();
        let blocks = [reference.floats("block.0"), reference.floats("block.1")];
        let vectors = reference.floats("seq_repr");
        for (i, (captured, history)) in captured.iter().zip(&histories).enumerate() {
            assert_eq!(captured.len(), 3);
            let n = history.len() * 24;
            for (found, block) in captured.iter().zip(&blocks) {
                assert_eq!(found.n_rows, history.len());
                assert!(max_difference(&found.values, &block[i * 240..i * 240 + n]) < 2e-5);
            }
            assert_eq!(captured[2].values, captured[1].values);
            let last = &captured[2].values[n - 24..];
            assert!(max_difference(last, &vectors[i * 24..(i + 1) * 24]) < 2e-5);
        }
        let ranked = model.rank(&inputs, &HookSpec::default()).unwrap();
        assert!(max_difference(&ranked.concat(), &reference.floats("prediction")) < 5e-5);
        let best: Vec<u32> = ranked
            .iter()
            .flat_map(|scores| top_items(scores, 10))
            .collect();
        assert_eq!(best, reference.ids("top10"));
        let unseen: Vec<u32> = ranked
            .iter()
            .zip(&histories)
            .flat_map(|(scores, history)| {
                let mut scores = scores.clone();
                for &item in history {
                    scores[item as usize - 1] = f32::NEG_INFINITY;
                }
                top_items(&scores, 10)
            })
            .collect();
        assert_eq!(unseen, reference.ids("top10_excluding_history"));
    }
}

/// Puts the rows of a table in place of the last position of each history.
struct Replace(Vec<f32>);

impl ActivationEdit for Replace {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        let mut next = self.0.chunks_exact(d_model);
        for (row, position) in rows.chunks_exact_mut(d_model).zip(positions) {
            if position.position + 1 == position.prompt_len {
                row.copy_from_slice(next.next().unwrap());
            }
        }
    }
}

#[test]
fn edited_user_vectors_rank_as_the_reference() {
    let Some(folder) = shared("fixtures/sasrec/sasrec") else {
        return;
    };
    let reference = Reference::open(folder.join("ref.safetensors"));
    let model = Recommender::load(&folder.join("weights.safetensors"), &OPTIONS).unwrap();
    let inputs = inputs(&model, &reference.histories("history_items", "lengths"));
    for (vectors, scores, top) in [
        ("sae_recon", "scores_sae", "top10_sae"),
        ("ablated_recon", "scores_ablated", "top10_ablated"),
        ("boost3x_recon", "scores_boost3x", "top10_boost3x"),
    ] {
        for hook in [HookPoint::UserVector, HookPoint::ResidPost(1)] {
            let edit: Arc<dyn ActivationEdit> = Arc::new(Replace(reference.floats(vectors)));
            let spec = HookSpec {
                capture: Vec::new(),
                edits: vec![(hook, edit)],
                keep_at: None,
            };
            let ranked = model.rank(&inputs, &spec).unwrap();
            assert!(
                max_difference(&ranked.concat(), &reference.floats(scores)) < 5e-5,
                "{scores}"
            );
            let best: Vec<u32> = ranked
                .iter()
                .flat_map(|scores| top_items(scores, 10))
                .collect();
            assert_eq!(best, reference.ids(top));
        }
    }
}

#[test]
fn metrics_equal_the_reference() {
    let Some(folder) = shared("fixtures/sasrec") else {
        return;
    };
    let reference = Reference::open(folder.join("sasrec/eval_metrics.safetensors"));
    let report = shared_json("fixtures/sasrec/report.json").unwrap();
    let expected = &report["models"]["sasrec"]["eval_metrics_peer"];
    for name in ["prediction", "prediction_sae"] {
        // The target is the first of 31 candidates; ties count against it.
        let ranks: Vec<u32> = reference
            .floats(name)
            .chunks_exact(31)
            .map(|row| row.iter().filter(|&&score| score >= row[0]).count() as u32)
            .collect();
        let metrics = RankingMetrics::from_ranks(&ranks, &[1, 3, 5, 10]);
        for (i, k) in metrics.ks.iter().enumerate() {
            let of = |metric: &str| expected[name][format!("{metric}@{k}")].as_f64().unwrap();
            assert!((metrics.hr[i] - of("HR")).abs() < 1e-12);
            assert!((metrics.ndcg[i] - of("NDCG")).abs() < 1e-12);
        }
    }
}

/// `(user, item, time)` rows of a `ReChorus` table.
fn rows(path: PathBuf) -> Vec<[u64; 3]> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split('\t').map(|cell| cell.parse().unwrap());
            [(); 3].map(|()| cells.next().unwrap())
        })
        .collect()
}

fn grocery(folder: &std::path::Path) -> InteractionData {
    let mut histories = vec![UserHistory::default(); 14_681];
    for (file, part) in [("train.csv", 0), ("dev.csv", 1), ("test.csv", 2)] {
        let mut rows = rows(folder.join(file));
        rows.sort_by_key(|row| row[2]);
        for [user, item, _] in rows {
            let user = &mut histories[user as usize - 1];
            [&mut user.train, &mut user.dev, &mut user.test][part].push(item as u32);
        }
    }
    InteractionData {
        n_items: 8713,
        histories,
    }
}

#[test]
fn grocery_model_equals_the_reference_on_real_users() {
    let (Some(fixtures), Some(data)) = (
        shared("fixtures/recsae"),
        shared("data/recommender/amazon-grocery"),
    ) else {
        return;
    };
    let golden = Reference::open(fixtures.join("grocery_golden256.safetensors"));
    let path = fixtures.join("grocery_sasrec.safetensors");
    let model = Recommender::load(&path, &StateDictOptions::default()).unwrap();
    assert_eq!(model.card().n_parameters, 580_096);
    let histories = golden.histories("history", "length");
    let queries: Vec<UserQuery<'_>> = histories
        .iter()
        .map(|history| UserQuery::of_history(history))
        .collect();
    let vectors = model.user_vectors(&queries).unwrap();
    let difference = max_difference(&vectors, &golden.floats("hidden"));
    assert!(difference < 2e-5, "{difference}");
    for (vectors, top) in [(vectors, "top10"), (golden.floats("recon"), "top10_recon")] {
        let scores = model.scores(&vectors);
        let best: Vec<u32> = scores
            .chunks_exact(8713)
            .flat_map(|row| top_items(row, 10))
            .collect();
        assert_eq!(best, golden.ids(top));
    }

    let data = grocery(&data);
    let set = EvaluationSet::new(&data, Split::Test);
    assert_eq!(set.len(), 14_681);
    let ranks = set
        .ranks(&model, &set.user_vectors(&model).unwrap())
        .unwrap();
    let users = golden.ids("user");
    let targets = set.targets();
    for ((user, target), rank) in users
        .iter()
        .zip(golden.ids("target"))
        .zip(golden.ids("rank"))
    {
        let case = *user as usize - 1;
        assert_eq!((targets[case], ranks[case]), (target, rank), "user {user}");
    }
}

#[test]
fn grocery_model_has_the_measured_quality() {
    let (Some(fixtures), Some(data)) = (
        shared("fixtures/recsae"),
        shared("data/recommender/amazon-grocery"),
    ) else {
        return;
    };
    let path = fixtures.join("grocery_sasrec.safetensors");
    let model = Recommender::load(&path, &StateDictOptions::default()).unwrap();
    let data = grocery(&data);
    let ks = [5, 10, 20, 50];
    let test = evaluate(&model, &data, Split::Test, &ks).unwrap();
    // specs/recsae.md 7.2, four digits.
    let close = |found: &[f64], expected: [f64; 4]| {
        found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 5.1e-5)
    };
    assert!(
        close(&test.hr, [0.0464, 0.0692, 0.1032, 0.1733]),
        "{test:?}"
    );
    assert!(
        close(&test.ndcg, [0.0308, 0.0381, 0.0467, 0.0605]),
        "{test:?}"
    );
    let dev = evaluate(&model, &data, Split::Dev, &ks).unwrap();
    assert!(close(&dev.hr, [0.0621, 0.0922, 0.1361, 0.2144]), "{dev:?}");
    assert!(
        close(&dev.ndcg, [0.0406, 0.0502, 0.0612, 0.0766]),
        "{dev:?}"
    );
    // Vectors that say nothing: every score ties, and ties count against the target.
    let mut blank = |vectors: &mut [f32]| -> Result<(), ModelError> {
        vectors.fill(0.0);
        Ok(())
    };
    let blind = evaluate_with(&model, &data, Split::Test, &ks, &mut blank).unwrap();
    assert!(blind.hr.iter().all(|&share| share == 0.0));
}
