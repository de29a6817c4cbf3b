//! The window on an invented project, as tests drive it.

use std::sync::Arc;

use egui_kittest::Harness;
use ui::bench::Invented;
use ui::{App, Options, StartAt, Waker};

/// Opens an invented project in a window of this size.
pub(crate) fn open_on(
    backend: &Arc<Invented>,
    size: [f32; 2],
    start: StartAt,
) -> Harness<'static, App> {
    let door: Arc<Invented> = Arc::clone(backend);
    let options = Options {
        start,
        demo_folder: "/tmp/fluoroscope-demo".to_owned(),
        ..Options::default()
    };
    let mut harness = Harness::builder()
        .with_size(size)
        .build_eframe(move |cc| App::new(&cc.egui_ctx, door, &Waker::default(), options));
    harness.run_steps(6);
    harness
}
