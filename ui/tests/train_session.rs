//! A training from choosing a model to the gallery, in the window on a real engine: phantom films
//! through the phantom model that ships with the program. The dictionary must be, byte for byte,
//! the one that the same settings give without a window.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/window.rs"]
mod window;

use std::path::Path;
use std::time::Duration;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::views::ImportRequest;
use engine::{HarvestRequest, JobContext, Session, preset};
use schema::HookPoint;
use ui::{App, Screen, StartAt};

const MODEL: &str = "phantom-vlm";
const FILMS: &str = "films";
/// Films: enough rows for a batch, few enough to wait for.
const N_FILMS: u32 = 24;

/// A project with films and model, nothing trained.
fn build(root: &Path) -> Session {
    let session = Session::create(root).unwrap();
    let films = ImportRequest::PhantomRadiographs {
        name: FILMS.to_owned(),
        count: N_FILMS,
        seed: 3,
    };
    session.import(&films, &JobContext::silent()).unwrap();
    session.add_shipped_model(MODEL).unwrap();
    session
}

fn open(root: &Path) -> Harness<'static, App> {
    let start = StartAt {
        screen: Some(Screen::Train),
        ..StartAt::default()
    };
    window::open(root, start)
}

/// What the progress of the job says, without its rate and time.
fn steps_done(harness: &Harness<'static, App>) -> String {
    let mut nodes = harness.query_all_by_label_contains("Paused  ·  Training dictionary  ·");
    let node = nodes.next().unwrap();
    egui_kittest::kittest::NodeT::accesskit_node(&node)
        .value()
        .unwrap()
}

#[test]
fn from_model_to_gallery_in_the_window_and_the_same_without() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("window");
    drop(build(&root));
    let mut harness = open(&root);
    window::wait_for(&mut harness, "image tower, after its last norm");
    clicks::click(&mut harness, &format!("Model {MODEL}"));
    clicks::click(&mut harness, &format!("Train on {FILMS}"));
    clicks::click(&mut harness, "Hook point");
    window::wait_for(&mut harness, "vision.blocks.0.hook_resid_post  ·");
    harness
        .get_by_label_contains("vision.blocks.0.hook_resid_post  ·")
        .click();
    harness.run_steps(3);
    window::wait_for(&mut harness, "image tower, after block 0");
    clicks::click(&mut harness, "Preset Quick look");
    // 64 patches to a film.
    window::wait_for(&mut harness, "to train on,");
    harness.get_by_label_contains("Dead features: mean to spread");
    clicks::click(&mut harness, "Start training");

    window::wait_for(&mut harness, "of 500 steps");
    clicks::click(&mut harness, "Pause training");
    window::wait_for(&mut harness, "Paused  ·  Training dictionary  ·");
    // The step at hand ends, then nothing moves.
    std::thread::sleep(Duration::from_millis(300));
    harness.run_steps(3);
    let before = steps_done(&harness);
    std::thread::sleep(Duration::from_millis(400));
    harness.run_steps(3);
    assert_eq!(steps_done(&harness), before);
    clicks::click(&mut harness, "Go on training");
    window::wait_for(&mut harness, "Open the gallery");
    harness.get_by_label("Run films-quick, Ready");
    clicks::click(&mut harness, "Open the gallery");
    assert_eq!(harness.state().screen(), Screen::Gallery);
    window::wait_for(&mut harness, "of 384 features");
    drop(harness);

    let other = dir.path().join("commands");
    let session = build(&other);
    let job = JobContext::silent();
    let hook = HookPoint::VisionResidPost(0);
    let request = HarvestRequest {
        name: "rows".to_owned(),
        model: MODEL.to_owned(),
        dataset: FILMS.to_owned(),
        hook,
        positions: "image".to_owned(),
        limit: None,
        pool: 1,
    };
    session.harvest(&request, &job).unwrap();
    let d_model = session.d_model_at(MODEL, hook).unwrap();
    let config = preset("quick").unwrap().config(d_model);
    session
        .train_sae("films-quick", "rows", &config, &job)
        .unwrap();
    for file in [
        "sae.safetensors",
        "metrics.jsonl",
        "kept.jsonl",
        "evaluation.json",
    ] {
        let read = |root: &Path| std::fs::read(root.join("saes/films-quick").join(file)).unwrap();
        assert!(read(&root) == read(&other), "{file} differs");
    }
    // Nothing but what a training without a window leaves.
    let names = |root: &Path| {
        let folder = std::fs::read_dir(root.join("saes/films-quick")).unwrap();
        let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&root), names(&other));
}
