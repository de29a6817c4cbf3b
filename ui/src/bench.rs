//! Measures the window without a window: frames are laid out and tessellated, not rasterised.

use std::sync::Arc;
use std::time::Instant;

use egui::{Event as UiEvent, MouseWheelUnit, Pos2, RawInput, Rect, Vec2};

use crate::app::App;
use crate::commands::Screen;
use crate::options::{Options, StartAt, Waker};

mod ablation;
mod concepts;
mod decisions;
mod evaluation;
mod exchange;
mod gallery;
mod invented;
mod invented_backend;
mod invented_page;
mod readers;
mod recommenders;
mod review;
mod sending;
mod steering;
mod studies;
mod surroundings;
mod sweep;
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
    /// All but one in twenty took at most this long.
    pub p95_ms: f64,
    /// All but one in a hundred took at most this long.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl FrameTimes {
    fn of(n_features: u32, mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let last = times.len().saturating_sub(1) as f64;
        let at = |share: f64| times.get((last * share).round() as usize).copied();
        Self {
            n_features,
            n_frames: times.len(),
            p50_ms: at(0.5).unwrap_or_default(),
            p95_ms: at(0.95).unwrap_or_default(),
            p99_ms: at(0.99).unwrap_or_default(),
            max_ms: at(1.0).unwrap_or_default(),
        }
    }
}

/// A window that is drawn without a screen.
struct Bench {
    ctx: egui::Context,
    app: App,
    n_frames: usize,
}

impl Bench {
    /// Opens it and draws some frames, which make fonts: that happens once in the life of a window.
    fn open(backend: Invented, start: StartAt) -> Self {
        let ctx = egui::Context::default();
        let options = Options {
            start,
            ..Options::default()
        };
        let app = App::new(&ctx, Arc::new(backend), &Waker::default(), options);
        let mut bench = Self {
            ctx,
            app,
            n_frames: 0,
        };
        for _ in 0..N_WARM_UP {
            bench.frame(Vec::new());
        }
        bench
    }

    /// Draws a frame; how many milliseconds it took.
    fn frame(&mut self, events: Vec<UiEvent>) -> f64 {
        let input = RawInput {
            screen_rect: Some(screen_rect()),
            time: Some(self.n_frames as f64 / 60.0),
            events,
            ..RawInput::default()
        };
        self.n_frames += 1;
        frame(&self.ctx, &mut self.app, input)
    }
}

/// Frames measured.
const N_FRAMES: usize = 600;
/// Frames before them, which make fonts: that happens once in the life of a window.
const N_WARM_UP: usize = 20;

/// Scrolls through a gallery of `n_features` invented film features and measures every frame:
/// logic, layout, painting and tessellation at 1920 x 1080, textures made included; the upload to
/// the graphics card and its rasteriser are not.
///
/// # Cost
/// A few seconds.
pub fn gallery_frame_times(n_features: u32) -> FrameTimes {
    let at = StartAt {
        screen: Some(Screen::Gallery),
        ..StartAt::default()
    };
    let mut bench = Bench::open(Invented::new(n_features), at);
    let times = (0..N_FRAMES).map(|_| bench.frame(wheel()));
    FrameTimes::of(n_features, times.collect())
}

/// As [`gallery_frame_times`] with the scatter of all features beside the cards.
pub fn scatter_frame_times(n_features: u32) -> FrameTimes {
    let at = StartAt {
        screen: Some(Screen::Gallery),
        ..StartAt::default()
    };
    let mut bench = Bench::open(Invented::new(n_features), at);
    bench.app.show_scatter();
    bench.frame(Vec::new());
    let times = (0..N_FRAMES).map(|_| bench.frame(wheel()));
    FrameTimes::of(n_features, times.collect())
}

/// Changes filter and order every tenth frame while it scrolls, and measures every frame. Features are
/// chosen on another thread, as the engine does it; what that takes is no part of a frame.
///
/// # Errors
/// When the cards of the last filter never came.
pub fn filter_frame_times(n_features: u32) -> Result<FrameTimes, String> {
    let at = StartAt {
        screen: Some(Screen::Gallery),
        ..StartAt::default()
    };
    let mut bench = Bench::open(Invented::new(n_features), at);
    let mut times = Vec::with_capacity(N_FRAMES);
    for frame in 0..N_FRAMES {
        if frame % 10 == 0 {
            let query = bench.app.gallery_query();
            let text = ["effusion", "12", "costophrenic", ""][frame / 10 % 4];
            text.clone_into(&mut query.text);
        }
        times.push(bench.frame(wheel()));
    }
    let asked = Instant::now();
    while bench.app.gallery_is_filtering() {
        if asked.elapsed().as_secs() > 10 {
            return Err("the gallery still filters after ten seconds".to_owned());
        }
        bench.frame(Vec::new());
    }
    Ok(FrameTimes::of(n_features, times))
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

/// A wheel that turns by about one and a half rows of cards per frame.
fn wheel() -> Vec<UiEvent> {
    vec![
        UiEvent::PointerMoved(Pos2::new(900.0, 600.0)),
        UiEvent::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: Vec2::new(0.0, -300.0),
            phase: egui::TouchPhase::Move,
            modifiers: egui::Modifiers::NONE,
            source: egui::MouseWheelSource::Wheel,
        },
    ]
}

/// A film of so many pixels a side.
#[cfg(test)]
pub(crate) fn film_of_side(side: u32) -> engine::views::FilmPixels {
    invented::film(side)
}

/// Turns the pages of features, one every five frames, and measures every frame.
///
/// # Cost
/// A few seconds.
pub fn feature_page_times(n_features: u32) -> FrameTimes {
    let at = StartAt {
        screen: Some(Screen::Feature),
        feature: Some(1),
        ..StartAt::default()
    };
    let mut bench = Bench::open(Invented::new(n_features), at);
    let times = (0..N_FRAMES).map(|frame| {
        if frame % 5 == 0 {
            bench.app.send(crate::commands::Command::NextFeature);
        }
        bench.frame(Vec::new())
    });
    FrameTimes::of(n_features, times.collect())
}

/// Drags window and level on a film of `side` x `side` 16-bit pixels and measures every frame.
///
/// # Errors
/// When the pointer is on no film: the layout of the page has changed, and this with it.
pub fn film_drag_times(side: u32) -> Result<FrameTimes, String> {
    let mut invented = Invented::new(100);
    invented.film_side = side;
    let at = StartAt {
        screen: Some(Screen::Feature),
        feature: Some(1),
        ..StartAt::default()
    };
    let mut bench = Bench::open(invented, at);
    let Some(film) = bench.app.large_film() else {
        return Err("the feature page shows no film".to_owned());
    };
    let press = |pos, pressed| UiEvent::PointerButton {
        pos,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: egui::Modifiers::NONE,
    };
    let from = film.center();
    bench.frame(vec![UiEvent::PointerMoved(from), press(from, true)]);
    let mut times = Vec::with_capacity(N_FRAMES);
    for frame in 0..N_FRAMES {
        let angle = frame as f32 * 0.1;
        let to = from + Vec2::new(angle.cos(), angle.sin()) * film.height() * 0.3;
        times.push(bench.frame(vec![UiEvent::PointerMoved(to)]));
    }
    if !bench.app.large_film_is_changed() {
        return Err("dragging did not change the film's window".to_owned());
    }
    Ok(FrameTimes::of(100, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmarks_draw_what_they_say() {
        let times = gallery_frame_times(20_000);
        assert_eq!(times.n_frames, N_FRAMES);
        assert!(times.p50_ms > 0.05, "{times:?}");
        let scatter = scatter_frame_times(200_000);
        assert!(scatter.p50_ms > 0.05, "{scatter:?}");
        let filtered = filter_frame_times(30_000).unwrap();
        assert!(filtered.p50_ms > 0.05, "{filtered:?}");
        assert!(feature_page_times(200).p50_ms > 0.05);
        let drag = film_drag_times(600).unwrap();
        assert!(drag.p50_ms > 0.05 && drag.p50_ms <= drag.p95_ms, "{drag:?}");
    }
}
