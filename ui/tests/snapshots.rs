//! Every screen in both themes beside the picture of it that is kept in `tests/snapshots`.
//!
//! After a wanted change, `UPDATE_SNAPSHOTS=1 cargo test -p ui --test snapshots` writes the pictures
//! anew. A picture that differs is written beside the kept one as `*.new.png`, what differs as
//! `*.diff.png`.

use std::sync::Arc;

use egui_kittest::wgpu::WgpuTestRenderer;
use egui_kittest::{Harness, SnapshotOptions, SnapshotResults};
use ui::bench::Invented;
use ui::{App, Options, Screen, StartAt, Waker};

const SIZE: [f32; 2] = [1280.0, 800.0];

/// Another version of a driver draws the edges of lines and films a little differently.
const THRESHOLD: f32 = 2.0;

/// Of a million pixels; a button that is gone has thousands, a word hundreds.
const MAX_FAILED_PIXELS: usize = 100;

/// Something that draws; without one nothing can be compared, which a hosted run must not pass over.
fn renderer() -> Option<WgpuTestRenderer> {
    let made = std::panic::catch_unwind(WgpuTestRenderer::new).ok();
    let is_hosted = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(
        made.is_some() || !is_hosted,
        "no graphics adapter: a hosted run needs a Vulkan driver, e.g. Mesa's lavapipe"
    );
    if made.is_none() {
        eprintln!("skipped: no graphics adapter to draw pictures with");
    }
    made
}

fn start(screen: Screen, light: bool) -> StartAt {
    let has_feature = matches!(screen, Screen::Gallery | Screen::Feature | Screen::Steer);
    StartAt {
        screen: Some(screen),
        light: Some(light),
        dictionary: has_feature.then(|| "films".to_owned()),
        strength: (screen == Screen::Steer).then_some(2.0),
        ..StartAt::default()
    }
}

fn compare(screen: Screen, results: &mut SnapshotResults) {
    for (light, theme) in [(false, "dark"), (true, "light")] {
        let Some(renderer) = renderer() else { return };
        let options = Options {
            start: start(screen, light),
            demo_folder: "fluoroscope-demo".to_owned(),
            ..Options::default()
        };
        let mut harness = Harness::builder()
            .with_size(SIZE)
            .renderer(renderer)
            .build_eframe(move |cc| {
                let backend = Arc::new(Invented::new(20_000));
                App::new(&cc.egui_ctx, backend, &Waker::default(), options)
            });
        // Long enough for films, forecasts and animations to be there.
        harness.run_steps(80);
        let name = format!("{}-{theme}", screen.name().to_lowercase());
        let tolerance = SnapshotOptions::new()
            .threshold(THRESHOLD)
            .max_failed_pixels(MAX_FAILED_PIXELS);
        results.add(harness.try_snapshot_options(name, &tolerance));
    }
}

#[test]
fn every_screen_looks_as_it_is_kept_in_both_themes() {
    // Fails with all that differ, not with the first alone.
    let mut results = SnapshotResults::new();
    for screen in Screen::ALL {
        compare(screen, &mut results);
    }
}
