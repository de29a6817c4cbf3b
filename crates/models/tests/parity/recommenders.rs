//! BPRMF, `LightGCN`, `GRU4Rec` and `TiMiRec` against reference values written by `ReChorus`.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use models::recommenders::{Recommender, StateDictOptions, UserQuery};
use models::{
    ActivationEdit, Architecture, EditedPosition, HookSpec, HookedModel as _, ModelInput,
    ModelSample,
};
use schema::HookPoint;

use crate::shared_files::{max_difference, shared};

pub(crate) struct Reference(pub(crate) HashMap<String, Tensor>);

impl Reference {
    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let tensor = self.0[name].to_dtype(DType::F32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        let tensor = self.0[name].to_dtype(DType::U32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Right-padded histories, oldest first; empty ones where the model reads none.
    pub(crate) fn histories(&self, n: usize) -> Vec<Vec<u32>> {
        if !self.0.contains_key("history_items") {
            return vec![Vec::new(); n];
        }
        let width = self.0["history_items"].dims()[1];
        let rows = self.ids("history_items");
        self.ids("lengths")
            .iter()
            .zip(rows.chunks_exact(width))
            .map(|(&length, row)| row[..length as usize].to_vec())
            .collect()
    }
}

/// The ten best items, best first.
pub(crate) fn top_ten(scores: &[Vec<f32>]) -> Vec<u32> {
    scores
        .iter()
        .flat_map(|scores| {
            let mut order: Vec<u32> = (1..=scores.len() as u32).collect();
            order.sort_by(|&a, &b| scores[b as usize - 1].total_cmp(&scores[a as usize - 1]));
            order.truncate(10);
            order
        })
        .collect()
}

/// Puts rows in place of the deciding row of each query.
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

fn check(name: &str, architecture: Architecture) {
    let Some(folder) = shared("fixtures/sasrec").map(|folder| folder.join(name)) else {
        return;
    };
    let path = folder.join("ref.safetensors");
    let reference = Reference(candle_core::safetensors::load(path, &Device::Cpu).unwrap());
    let users = reference.ids("user_id");
    let histories = reference.histories(users.len());
    let mut options = StateDictOptions {
        history_max: Some(10),
        n_layers: Some(2),
        ..StateDictOptions::default()
    };
    if reference.0.contains_key("train_pairs") {
        let pairs = reference.ids("train_pairs");
        options.train_pairs = Some(pairs.chunks_exact(2).map(|p| (p[0], p[1])).collect());
    }
    let model = Recommender::load(&folder.join("weights.safetensors"), &options).unwrap();
    assert_eq!(model.config().architecture(), architecture);
    let close = |found: &[f32], of: &str| {
        let difference = max_difference(found, &reference.floats(of));
        assert!(difference < 5e-5, "{name} {of}: {difference}");
    };
    // Row 0 is padding, which no score reads.
    let items = &reference.floats("item_vectors")[24..];
    assert!(max_difference(&model.item_vectors()[24..], items) < 5e-5);
    let queries: Vec<UserQuery<'_>> = users
        .iter()
        .zip(&histories)
        .map(|(&user, history)| UserQuery {
            user: Some(user),
            history,
        })
        .collect();
    close(&model.user_vectors(&queries).unwrap(), "user_vector");
    let inputs: Vec<ModelInput> = queries
        .iter()
        .map(|query| {
            let sample = ModelSample {
                items: Some(query.history),
                user: query.user,
                ..ModelSample::default()
            };
            model.prepare(sample).unwrap()
        })
        .collect();
    // The deciding row of what the hook records is the user vector.
    let captured = model.capture(&inputs, &[HookPoint::UserVector]).unwrap();
    let last: Vec<f32> = captured
        .iter()
        .flat_map(|of_input| of_input[0].values[of_input[0].values.len() - 24..].to_vec())
        .collect();
    close(&last, "user_vector");
    let plain = model.rank(&inputs, &HookSpec::default()).unwrap();
    close(&plain.concat(), "prediction");
    assert_eq!(top_ten(&plain), reference.ids("top10"));
    for (vectors, scores, top) in [
        ("sae_recon", "scores_sae", "top10_sae"),
        ("ablated_recon", "scores_ablated", "top10_ablated"),
        ("boost3x_recon", "scores_boost3x", "top10_boost3x"),
    ] {
        let edit: Arc<dyn ActivationEdit> = Arc::new(Replace(reference.floats(vectors)));
        let spec = HookSpec {
            edits: vec![(HookPoint::UserVector, edit)],
            ..HookSpec::default()
        };
        let ranked = model.rank(&inputs, &spec).unwrap();
        close(&ranked.concat(), scores);
        assert_eq!(top_ten(&ranked), reference.ids(top), "{name} {top}");
    }
}

#[test]
fn bprmf_equals_the_reference() {
    check("bprmf", Architecture::BprMf);
}

#[test]
fn lightgcn_equals_the_reference() {
    check("lightgcn", Architecture::LightGcn);
}

#[test]
fn gru4rec_equals_the_reference() {
    check("gru4rec", Architecture::Gru4Rec);
}

#[test]
fn timirec_equals_the_reference() {
    check("timirec", Architecture::TiMiRec);
}

#[test]
fn a_graph_model_without_its_graph_is_refused() {
    let Some(folder) = shared("fixtures/sasrec/lightgcn") else {
        return;
    };
    let path = folder.join("weights.safetensors");
    let error = Recommender::load(&path, &StateDictOptions::default()).unwrap_err();
    assert!(error.to_string().contains("train interactions"), "{error}");
}

#[test]
fn a_graph_model_is_saved_with_its_graph() {
    let Some(folder) = shared("fixtures/sasrec/lightgcn") else {
        return;
    };
    let options = StateDictOptions {
        train_pairs: Some(Arc::new([(1, 2), (3, 4), (29, 82)])),
        ..StateDictOptions::default()
    };
    let model = Recommender::load(&folder.join("weights.safetensors"), &options).unwrap();
    let saved = tempfile::tempdir().unwrap();
    model.save(saved.path()).unwrap();
    let read = Recommender::load(saved.path(), &StateDictOptions::default()).unwrap();
    assert_eq!(read.item_vectors(), model.item_vectors());
    let query = UserQuery {
        user: Some(29),
        history: &[],
    };
    assert_eq!(
        read.user_vectors(&[query]).unwrap(),
        model.user_vectors(&[query]).unwrap()
    );
}
