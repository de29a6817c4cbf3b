//! The window on a real engine, as tests drive it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use engine::Engine;
use ui::{App, Options, StartAt, Waker};

/// Opens a project in a window of 1280 by 800.
pub(crate) fn open(root: &Path, start: StartAt) -> Harness<'static, App> {
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
pub(crate) fn wait_for(harness: &mut Harness<'static, App>, part: &str) {
    let began = Instant::now();
    while harness.query_all_by_label_contains(part).next().is_none() {
        assert!(
            began.elapsed() < Duration::from_mins(10),
            "\"{part}\" did not come"
        );
        std::thread::sleep(Duration::from_millis(5));
        harness.run_steps(1);
    }
}
