//! Checkpoints of `RecBole`'s trainer against what `RecBole` computes from them, and damaged ones.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::Device;
use models::recommenders::{
    InteractionData, Recommender, RecommenderConfig, RecommenderTraining, SasRecForm,
    StateDictOptions, UserQuery, train_recommender,
};
use models::{Architecture, HookSpec, HookedModel as _, ModelInput, ModelSample};
use schema::HookPoint;

use crate::recommenders::{Reference, top_ten};
use crate::shared_files::max_difference;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/recbole")
        .join(name)
}

fn reference(name: &str) -> Reference {
    let path = fixture(&format!("{name}.safetensors"));
    Reference(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
}

fn load(name: &str, reference: &Reference) -> Recommender {
    let mut options = StateDictOptions::default();
    if reference.0.contains_key("train_pairs") {
        let pairs = reference.ids("train_pairs");
        options.train_pairs = Some(pairs.chunks_exact(2).map(|p| (p[0], p[1])).collect());
    }
    Recommender::load(&fixture(&format!("{name}.pth")), &options).unwrap()
}

/// Users and histories of the reference.
fn cases(reference: &Reference) -> Vec<(Option<u32>, Vec<u32>)> {
    if reference.0.contains_key("user_id") {
        let users = reference.ids("user_id");
        return users.iter().map(|&user| (Some(user), Vec::new())).collect();
    }
    let n = reference.0["lengths"].dims()[0];
    let histories = reference.histories(n);
    histories.into_iter().map(|items| (None, items)).collect()
}

fn inputs(model: &Recommender, cases: &[(Option<u32>, Vec<u32>)]) -> Vec<ModelInput> {
    let prepare = |(user, history): &(Option<u32>, Vec<u32>)| {
        model.prepare(ModelSample {
            items: Some(history),
            user: *user,
            ..ModelSample::default()
        })
    };
    cases.iter().map(|case| prepare(case).unwrap()).collect()
}

fn check(name: &str, architecture: Architecture) -> Recommender {
    let reference = reference(name);
    let model = load(name, &reference);
    assert_eq!(model.config().architecture(), architecture);
    assert_eq!(
        (model.config().n_items(), model.config().d_model()),
        (30, 24)
    );
    let cases = cases(&reference);
    let queries: Vec<UserQuery<'_>> = cases
        .iter()
        .map(|(user, history)| UserQuery {
            user: *user,
            history,
        })
        .collect();
    let close = |found: &[f32], of: &str| {
        let difference = max_difference(found, &reference.floats(of));
        assert!(difference < 5e-5, "{name} {of}: {difference}");
    };
    close(&model.user_vectors(&queries).unwrap(), "user_vector");
    let ranked = model
        .rank(&inputs(&model, &cases), &HookSpec::default())
        .unwrap();
    close(&ranked.concat(), "prediction");
    assert_eq!(top_ten(&ranked), reference.ids("top10"), "{name}");
    model
}

#[test]
fn bpr_equals_recbole() {
    check("BPR", Architecture::BprMf);
}

#[test]
fn lightgcn_equals_recbole() {
    let model = check("LightGCN", Architecture::LightGcn);
    // RecBole's default is 2: the number is read from the checkpoint.
    assert!(matches!(model.config(), RecommenderConfig::LightGcn(shape) if shape.n_layers == 3));
}

#[test]
fn gru4rec_equals_recbole() {
    let model = check("GRU4Rec", Architecture::Gru4Rec);
    assert_eq!(model.config().history_max(), Some(8));
}

#[test]
fn sasrec_equals_recbole_at_every_hook_point() {
    let model = check("SASRec", Architecture::SasRec);
    let RecommenderConfig::SasRec(shape) = model.config() else {
        panic!("{:?}", model.config());
    };
    assert_eq!(
        (shape.n_layers, shape.n_heads, shape.history_max),
        (2, 2, 8)
    );
    assert_eq!(shape.form, SasRecForm::RecBole { inner_width: 40 });
    let reference = reference("SASRec");
    let cases = cases(&reference);
    let hooks = [
        (HookPoint::Embed, "embed"),
        (HookPoint::ResidPost(0), "block_0"),
        (HookPoint::ResidPost(1), "block_1"),
        (HookPoint::UserVector, "block_1"),
    ];
    let asked = hooks.map(|(hook, _)| hook);
    let captured = model.capture(&inputs(&model, &cases), &asked).unwrap();
    for (number, (hook, name)) in hooks.iter().enumerate() {
        let padded = reference.floats(name);
        for (of_input, padded) in captured.iter().zip(padded.chunks_exact(8 * 24)) {
            let found = &of_input[number];
            let difference = max_difference(&found.values, &padded[..found.n_rows * 24]);
            assert!(difference < 5e-5, "{hook}: {difference}");
        }
    }
}

#[test]
fn a_saved_model_of_either_kind_is_the_same() {
    for name in ["SASRec", "GRU4Rec", "BPR", "LightGCN"] {
        let reference = reference(name);
        let model = load(name, &reference);
        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path()).unwrap();
        let read = Recommender::load(saved.path(), &StateDictOptions::default()).unwrap();
        assert_eq!(read.config(), model.config());
        let cases = cases(&reference);
        let rank = |model: &Recommender| {
            let inputs = inputs(model, &cases);
            model.rank(&inputs, &HookSpec::default()).unwrap()
        };
        assert_eq!(rank(&read), rank(&model), "{name}");
        // Without the settings beside them, the tensors are read by RecBole's defaults.
        let bare = Recommender::load(
            &saved.path().join("model.safetensors"),
            &StateDictOptions::default(),
        )
        .unwrap();
        assert_eq!(bare.config().architecture(), model.config().architecture());
        if name == "SASRec" {
            assert_eq!(rank(&bare), rank(&model));
        }
    }
}

#[test]
fn recbole_s_form_is_not_trained() {
    let model = load("SASRec", &reference("SASRec"));
    let data = InteractionData::default();
    let error = train_recommender(
        model.config(),
        &RecommenderTraining::default(),
        &data,
        None,
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap_err();
    assert!(error.to_string().contains("not trained"), "{error}");
}

#[test]
fn the_graph_s_interactions_are_asked_for() {
    let path = fixture("LightGCN.pth");
    let error = Recommender::load(&path, &StateDictOptions::default()).unwrap_err();
    assert!(error.to_string().contains("train interactions"), "{error}");
}

/// What loading a file of these bytes comes to; a refusal is one sentence.
fn attempt(folder: &Path, bytes: &[u8]) -> Option<String> {
    let path = folder.join("model.pth");
    std::fs::write(&path, bytes).unwrap();
    let error = Recommender::load(&path, &StateDictOptions::default()).err()?;
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 600, "{text}");
    assert!(text.contains("model.pth"), "{text}");
    Some(text)
}

#[test]
fn a_damaged_checkpoint_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(fixture("BPR.pth")).unwrap();
    assert_eq!(attempt(folder.path(), &good), None);
    for n in (0..good.len()).step_by(331) {
        assert!(attempt(folder.path(), &good[..n]).is_some(), "cut at {n}");
    }
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        attempt(folder.path(), &bad);
    }
    assert!(attempt(folder.path(), b"").is_some());
    assert!(attempt(folder.path(), &[0x80, 2, b'}', b'.']).is_some());
}

#[test]
fn code_in_a_checkpoint_is_named_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = std::fs::read(fixture("hostile.pth")).unwrap();
    let text = attempt(folder.path(), &hostile).unwrap();
    assert!(
        text.contains("system") && text.contains("not run"),
        "{text}"
    );
}
