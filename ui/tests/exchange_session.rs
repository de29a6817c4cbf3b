//! A dictionary of another tool from the desktop into a project and out again, by the window alone,
//! on a real engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use egui_kittest::kittest::Queryable as _;
use engine::views::ImportRequest;
use engine::{JobContext, Session};
use ui::{Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/drops.rs"]
mod drops;
#[path = "support/window.rs"]
mod window;

use clicks::click;
use drops::drop_on;

#[test]
fn a_dictionary_is_dropped_imported_indexed_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    let session = Session::create(&root).unwrap();
    let films = ImportRequest::PhantomRadiographs {
        name: "films".to_owned(),
        count: 20,
        seed: 3,
    };
    session.import(&films, &JobContext::silent()).unwrap();
    session.add_shipped_model("phantom-vlm").unwrap();
    drop(session);

    let mut harness = window::open(&root, StartAt::default());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let published = here.join("../tests/fixtures/maira2_sae/ef1/ae.pt");
    drop_on(&mut harness, &[&published.display().to_string()]);
    window::wait_for(&mut harness, "From another tool");
    click(&mut harness, "Import");
    window::wait_for(&mut harness, "Layer self-test on");
    harness.get_by_label("Proposals 20");
    window::wait_for(&mut harness, "Run ef1, No gallery yet");
    click(&mut harness, "Build the gallery");
    window::wait_for(&mut harness, "Open the gallery of ef1");

    harness.state().show(Screen::Evaluate);
    harness.run_steps(4);
    click(&mut harness, "Export the dictionary");
    let out = dir.path().join("for-saelens");
    click(&mut harness, "Export folder");
    harness
        .get_by_label("Export folder")
        .type_text(&out.display().to_string());
    harness.run_steps(3);
    click(&mut harness, "Export");
    window::wait_for(&mut harness, "reconstructions of 256 rows differ by");
    assert!(out.join("sae_weights.safetensors").is_file());
}
