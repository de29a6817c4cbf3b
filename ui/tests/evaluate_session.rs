//! The window on a real project: a dictionary of phantom shoppers is measured, and what was measured
//! is there at the next start.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use egui_kittest::kittest::Queryable as _;
use engine::Session;
use schema::SaeConfig;
use ui::{Screen, StartAt};

#[path = "support/clicks.rs"]
mod clicks;
#[path = "support/tastes.rs"]
mod tastes;
#[path = "support/window.rs"]
mod window;

use clicks::click;
use window::{open, wait_for};

#[test]
fn measured_once_and_there_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("project");
    let config = SaeConfig {
        n_features: 32,
        k: 4,
        lr: 2e-3,
        batch_rows: 256,
        steps: 80,
        warmup_steps: 10,
        ..SaeConfig::default()
    };
    drop(tastes::build(&root, 2, &config));
    let start = || StartAt {
        screen: Some(Screen::Evaluate),
        dictionary: Some(tastes::TASTES.to_owned()),
        ..StartAt::default()
    };
    let mut harness = open(&root, start());
    wait_for(&mut harness, "was not measured yet");
    click(&mut harness, "Measure");
    wait_for(&mut harness, "Evaluated tastes");
    wait_for(&mut harness, "FVU  lower");
    harness.get_by_label("Measure again");
    drop(harness);

    let session = Session::open(&root).unwrap();
    let kept = session.kept_evaluation(tastes::TASTES).unwrap().unwrap();
    drop(session);
    let fvu = kept.report.metric("fvu").unwrap();
    assert!(kept.report.metric("ndcg_kept").is_some());

    let mut harness = open(&root, start());
    wait_for(&mut harness, "Measure again");
    let row = format!("FVU  lower  {:.3}", fvu.value);
    harness.get_by_label_contains(&row);
    // Planted tastes, and the density of every feature.
    harness.get_by_label("Save as SVG: Planted concepts: the best single feature of each");
    harness.get_by_label("Save as PNG: How many features are how dense");
}
