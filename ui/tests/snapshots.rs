//! Every screen on the invented project in both themes, against the pictures kept in
//! `tests/snapshots`.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --workspace --test snapshots` writes them anew where a screen was
//! changed on purpose; a failure leaves what was drawn and the difference beside them.

use std::sync::Arc;

use egui_kittest::{Harness, SnapshotOptions, SnapshotResult};
use ui::bench::Invented;
use ui::{App, Options, Screen, StartAt, Waker};

/// Pixels of 1,024,000 that may differ visibly: drivers round the corners of letters differently. A
/// line that moved by a pixel is more.
const MOST_APART: usize = 300;
/// Frames after which lists, films and charts are there.
const N_FRAMES: usize = 60;

/// Opens a place and draws it as a graphics card would.
fn open(start: StartAt) -> Harness<'static, App> {
    let options = Options {
        start,
        demo_folder: "/home/reader/fluoroscope-demo".to_owned(),
        ..Options::default()
    };
    let mut harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .wgpu()
        .build_eframe(move |cc| {
            let backend = Arc::new(Invented::new(20_000));
            App::new(&cc.egui_ctx, backend, &Waker::default(), options)
        });
    harness.run_steps(N_FRAMES);
    harness
}

/// What each screen shows: films where it can.
fn starts() -> Vec<(&'static str, StartAt)> {
    let of = |screen, dictionary: &str| StartAt {
        screen: Some(screen),
        dictionary: Some(dictionary.to_owned()),
        ..StartAt::default()
    };
    let mut starts: Vec<_> = Screen::ALL
        .into_iter()
        .map(|screen| (screen.name(), of(screen, "films")))
        .collect();
    for (_, start) in &mut starts {
        if start.screen == Some(Screen::Steer) {
            start.strength = Some(2.0);
        }
    }
    starts.push(("Gallery of histories", of(Screen::Gallery, "histories")));
    starts.push(("Feature of a history", of(Screen::Feature, "histories")));
    starts.push(("Feature of a report", of(Screen::Feature, "reports")));
    starts
}

#[test]
fn every_screen_looks_as_it_did() {
    let mut problems = Vec::new();
    for (name, start) in starts() {
        for (light, theme) in [(false, "dark"), (true, "light")] {
            let start = StartAt {
                light: Some(light),
                ..start.clone()
            };
            let file = format!("{}-{theme}", name.to_lowercase().replace(' ', "-"));
            let options = SnapshotOptions::new().max_failed_pixels(MOST_APART);
            let result: SnapshotResult = open(start).try_snapshot_options(&file, &options);
            problems.extend(result.err().map(|problem| problem.to_string()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
