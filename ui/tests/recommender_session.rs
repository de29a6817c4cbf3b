//! A recommender from its training to the measurement of a change over all users, in the window on
//! a real engine with phantom shoppers.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::ImportRequest;
use engine::{Engine, HarvestRequest, JobContext, Session};
use schema::{HookPoint, SaeConfig};
use ui::{App, Options, Screen, StartAt, Waker};

const SHOPPERS: &str = "shoppers";
const MODEL: &str = "shoppers-sasrec";

fn open(root: &Path, start: StartAt) -> Harness<'static, App> {
    let engine = Arc::new(Engine::forgetful(Arc::new(|| {})).unwrap());
    engine.open_project(root).unwrap();
    let options = Options {
        start,
        ..Options::default()
    };
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .build_eframe(move |cc| App::new(&cc.egui_ctx, engine, &Waker::default(), options));
    harness.run_steps(6);
    harness
}

/// Draws frames until something with `part` in its label is there.
fn wait_for(harness: &mut Harness<'static, App>, part: &str) {
    let began = Instant::now();
    while harness.query_all_by_label_contains(part).next().is_none() {
        assert!(
            began.elapsed() < Duration::from_mins(2),
            "\"{part}\" did not come"
        );
        std::thread::sleep(Duration::from_millis(5));
        harness.run_steps(1);
    }
}

fn click(harness: &mut Harness<'static, App>, label: &str) {
    harness.get_by_label(label).scroll_to_me();
    harness.run_steps(3);
    harness.get_by_label(label).click();
    harness.run_steps(3);
}

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
    let mut harness = open(root, start);
    harness.get_by_label("No model yet");
    click(&mut harness, "Train a recommender…");
    harness.get_by_label("250 users, 300 items");
    set(&mut harness, "Learning rate", 0.001);
    set(&mut harness, "Width", 16.0);
    set(&mut harness, "Epochs at most", 8.0);
    click(&mut harness, "Start training");
    wait_for(&mut harness, &format!("Training {MODEL}, "));
    wait_for(&mut harness, "Epoch kept ");
    harness.get_by_label(&format!("Model {MODEL}, SASRec · trained on {SHOPPERS}"));
    harness.get_by_label("Trained on  shoppers");
    wait_for(&mut harness, "Train a dictionary at hook_user_vector");
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
    let mut harness = open(&root, start);
    wait_for(&mut harness, "Recommended next: ");
    harness.get_by_label_contains(" items, oldest first, active on ");
    harness.get_by_label_contains("Promoted 1: ");
    harness.get_by_label_contains("Demoted 10: ");

    click(&mut harness, "Steer this feature");
    assert_eq!(harness.state().screen(), Screen::Steer);
    click(&mut harness, "All users");
    click(&mut harness, "Ablate");
    set(&mut harness, "Random sets", 3.0);
    click(&mut harness, "Measure over all users");
    wait_for(&mut harness, "250 users, of whom ");
    wait_for(&mut harness, "3 random sets of like density");
    harness.get_by_label_contains("Not changed by it");
    harness.get_by_label("Preset name").focus();
    harness.run_steps(2);
    harness.get_by_label("Preset name").type_text("quiet");
    harness.run_steps(2);
    click(&mut harness, "Save as preset");
    wait_for(&mut harness, "Use preset quiet");
    let text = std::fs::read_to_string(root.join("steering/quiet.toml")).unwrap();
    assert!(text.contains("mode = \"ablate\"") && text.contains("sae = \"tastes\""));

    click(&mut harness, "Against a bias");
    click(&mut harness, "Sweep the strengths");
    wait_for(&mut harness, "Features that carry it");
    click(&mut harness, "Use strength 1x");
    harness.get_by_label("Measure over all users");
}
