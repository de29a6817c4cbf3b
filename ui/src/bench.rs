//! Measures the window without a window: frames are laid out and tessellated, not rasterised.

use std::sync::Arc;
use std::time::Instant;

use egui::{Event as UiEvent, MouseWheelUnit, Pos2, RawInput, Rect, Vec2};

use crate::app::App;
use crate::commands::Screen;
use crate::options::{Options, StartAt, Waker};

mod ablation;
mod concepts;
mod evaluation;
mod invented;
mod invented_backend;
mod invented_page;
mod readers;
mod recommenders;
mod review;
mod steering;
mod training;

pub use invented::Invented;

/// Names of the palette's commands, features and dictionaries aside.
pub fn palette_names() -> Vec<&'static str> {
    let entries = crate::commands::palette_entries();
    entries.into_iter().map(|entry| entry.name).collect()
}

pub use steering::{SteeringTimes, steering_times};

/// Milliseconds of CPU that frames took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameTimes {
    /// Features in the gallery.
    pub n_features: u32,
    /// Frames measured.
    pub n_frames: usize,
    /// Half of the frames took at most this long.
    pub p50_ms: f64,
    /// All but one in a hundred took at most this long.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Frames measured.
const N_FRAMES: usize = 600;
/// Frames before them, which make fonts: that happens once in the life of a window.
const N_WARM_UP: usize = 20;
/// Times that the same frames are drawn again.
const N_PASSES: usize = 5;

/// Scrolls through a gallery of `n_features` invented film features and measures every frame:
/// logic, layout, painting and tessellation at 1920 x 1080, textures made included; the upload to
/// the graphics card and its rasteriser are not.
///
/// The same frames are drawn five times from a fresh start, and each frame counts with its best
/// time: what the program itself does is the same every time and stays in, what other processes
/// took from it does not.
///
/// # Cost
/// A few seconds.
pub fn gallery_frame_times(n_features: u32) -> FrameTimes {
    let mut best = vec![f64::INFINITY; N_FRAMES];
    for _ in 0..N_PASSES {
        for (best, took) in best.iter_mut().zip(one_pass(n_features)) {
            *best = best.min(took);
        }
    }
    best.sort_by(f64::total_cmp);
    let at = |share: f64| best[((N_FRAMES - 1) as f64 * share).round() as usize];
    FrameTimes {
        n_features,
        n_frames: N_FRAMES,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    }
}

/// Milliseconds of each frame, in order.
fn one_pass(n_features: u32) -> Vec<f64> {
    let ctx = egui::Context::default();
    let options = Options {
        start: StartAt {
            screen: Some(Screen::Gallery),
            ..StartAt::default()
        },
        ..Options::default()
    };
    let backend = Arc::new(Invented::new(n_features));
    let mut app = App::new(&ctx, backend, &Waker::default(), options);
    let mut times = Vec::with_capacity(N_FRAMES);
    for frame in 0..N_FRAMES + N_WARM_UP {
        let took = self::frame(&ctx, &mut app, scroll_input(frame));
        if frame >= N_WARM_UP {
            times.push(took);
        }
    }
    times
}

/// One frame: logic, layout, painting and tessellation; how many milliseconds it took.
fn frame(ctx: &egui::Context, app: &mut App, input: RawInput) -> f64 {
    let began = Instant::now();
    let mut output = ctx.run_ui(input, |ui| {
        app.logic(&ui.ctx().clone());
        app.draw(ui);
    });
    let shapes = std::mem::take(&mut output.shapes);
    let meshes = ctx.tessellate(shapes, output.pixels_per_point);
    let took = began.elapsed().as_secs_f64() * 1e3;
    drop(meshes);
    output.drop_without_applying_deltas();
    took
}

/// The screen of the benchmarks.
fn screen_rect() -> Rect {
    Rect::from_min_size(Pos2::ZERO, Vec2::new(1920.0, 1080.0))
}

/// A wheel that turns by about one and a half rows of cards per frame, without pause.
fn scroll_input(frame: usize) -> RawInput {
    let mut input = RawInput {
        screen_rect: Some(screen_rect()),
        time: Some(frame as f64 / 60.0),
        ..RawInput::default()
    };
    input
        .events
        .push(UiEvent::PointerMoved(Pos2::new(900.0, 600.0)));
    if frame >= 10 {
        input.events.push(UiEvent::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: Vec2::new(0.0, -300.0),
            phase: egui::TouchPhase::Move,
            modifiers: egui::Modifiers::NONE,
            source: egui::MouseWheelSource::Wheel,
        });
    }
    input
}

/// Milliseconds to put a film of `side` x `side` 16-bit pixels through another window, the best
/// and the median of 20.
///
/// # Panics
/// Never: the shaded film has the size of the film.
pub fn film_window_times(side: u32) -> [f64; 2] {
    let film = invented::film(side);
    let mut times: Vec<f64> = (0..20)
        .map(|i| {
            let window = schema::Window::between(100.0, 3000.0 + i as f32, "bench");
            let began = Instant::now();
            let image = crate::widgets::film_shade::shade(&film, &window, false, 16_384);
            let took = began.elapsed().as_secs_f64() * 1e3;
            assert_eq!(image.size[0], side as usize);
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[times.len() / 2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gallery_of_the_benchmark_shows_and_scrolls() {
        let times = gallery_frame_times(20_000);
        assert_eq!(times.n_frames, 600);
        assert!(times.p50_ms > 0.05, "{times:?}");
        // The limit holds for release builds; an unoptimised one may take several times longer.
        if !cfg!(debug_assertions) {
            assert!(times.p99_ms < 8.0, "{times:?}");
        }
    }
}
