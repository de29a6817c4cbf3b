//! A recommender from its training to the measurement of a change over all users, in the window on
//! a real engine with phantom shoppers.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/window.rs"]
mod window;

use std::path::Path;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::ImportRequest;
use engine::{HarvestRequest, JobContext, Session};
use schema::{HookPoint, SaeConfig};
use ui::{App, Screen, StartAt};

const SHOPPERS: &str = "shoppers";
const MODEL: &str = "shoppers-sasrec";

fn set(harness: &mut Harness<'static, App>, label: &str, value: f64) {
    harness.get_by_label(label).set_value_accesskit(value);
    harness.run_steps(3);
}

/// Trains a recommender in the window.
fn train(root: &Path) {
    let start = StartAt {
        screen: Some(Screen::Models),
        ..StartAt::default()
    };
    let mut harness = window::open(root, start);
    harness.get_by_label("No model yet");
    clicks::click(&mut harness, "Train a recommender…");
    harness.get_by_label("250 users, 300 items");
    set(&mut harness, "Learning rate", 0.001);
    set(&mut harness, "Width", 16.0);
    set(&mut harness, "Epochs at most", 8.0);
    clicks::click(&mut harness, "Start training");
    window::wait_for(&mut harness, &format!("Training {MODEL}, "));
    window::wait_for(&mut harness, "Epoch kept ");
    harness.get_by_label(&format!("Model {MODEL}, SASRec · trained on {SHOPPERS}"));
    harness.get_by_label("Trained on  shoppers");
    window::wait_for(&mut harness, "Train a dictionary at hook_user_vector");
    harness.get_by_label_contains("Dev NDCG@5 0.");
    harness.get_by_label_contains("Epochs at most 8");
}

/// A dictionary of its user vectors.
fn build_dictionary(root: &Path) {
    let session = Session::open(root).unwrap();
    let job = JobContext::silent();
    let harvest = HarvestRequest {
        name: "rows".to_owned(),
        model: MODEL.to_owned(),
        dataset: SHOPPERS.to_owned(),
        hook: HookPoint::UserVector,
        positions: "items".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&harvest, &job).unwrap();
    let config = SaeConfig {
        n_features: 32,
        k: 4,
        steps: 200,
        batch_rows: 256,
        warmup_steps: 20,
        ..SaeConfig::default()
    };
    session.train_sae("tastes", "rows", &config, &job).unwrap();
    session.build_feature_index("tastes", &job).unwrap();
}

#[test]
fn from_the_training_of_a_recommender_to_a_change_for_all_its_users() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    let session = Session::create(&root).unwrap();
    let shoppers = ImportRequest::PhantomShoppers {
        name: SHOPPERS.to_owned(),
        count: 250,
        seed: 4,
    };
    session.import(&shoppers, &JobContext::silent()).unwrap();
    drop(session);
    train(&root);
    assert!(root.join("models").join(MODEL).is_dir());
    assert!(!root.join("checkpoints").exists());
    build_dictionary(&root);

    // The feature page: the whole history, and what is recommended after it.
    let start = StartAt {
        screen: Some(Screen::Feature),
        dictionary: Some("tastes".to_owned()),
        ..StartAt::default()
    };
    let mut harness = window::open(&root, start);
    window::wait_for(&mut harness, "Recommended next: ");
    harness.get_by_label_contains(" items, oldest first, active on ");
    harness.get_by_label_contains("Promoted 1: ");
    harness.get_by_label_contains("Demoted 10: ");

    clicks::click(&mut harness, "Steer this feature");
    assert_eq!(harness.state().screen(), Screen::Steer);
    clicks::click(&mut harness, "All users");
    clicks::click(&mut harness, "Ablate");
    set(&mut harness, "Random sets", 3.0);
    clicks::click(&mut harness, "Measure over all users");
    window::wait_for(&mut harness, "250 users, of whom ");
    window::wait_for(&mut harness, "3 random sets of like density");
    harness.get_by_label_contains("Not changed by it");
    harness.get_by_label("Preset name").focus();
    harness.run_steps(2);
    harness.get_by_label("Preset name").type_text("quiet");
    harness.run_steps(2);
    clicks::click(&mut harness, "Save as preset");
    window::wait_for(&mut harness, "Use preset quiet");
    let text = std::fs::read_to_string(root.join("steering/quiet.toml")).unwrap();
    assert!(text.contains("mode = \"ablate\"") && text.contains("sae = \"tastes\""));

    clicks::click(&mut harness, "Against a bias");
    clicks::click(&mut harness, "Sweep the strengths");
    window::wait_for(&mut harness, "Features that carry it");
    clicks::click(&mut harness, "Use strength 1x");
    harness.get_by_label("Measure over all users");
}
