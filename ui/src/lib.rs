//! Everything on the screen. Knows `engine` and `schema`; no tensors, no files, no threads.

mod app;
mod app_context;
pub mod backend;
pub mod bench;
mod commands;
mod film_card;
mod film_textures;
mod fonts;
mod jobs_bar;
mod keys;
mod keys_sheet;
mod options;
mod palette;
mod screens;
mod sending;
mod toasts;
mod tokens;
mod tour;
mod widgets;
mod words;

pub use app::App;
pub use backend::{
    Backend, Evaluations, Exchange, Galleries, Sending, Steering, Studies, Surroundings,
};
pub use commands::Screen;
pub use film_card::{FilmDrawing, draw_films_on_card};
pub use options::{Options, Screenshot, ScreenshotSink, StartAt, Waker};

/// Whether the window filled the screen last time.
pub fn window_was_maximized(backend: &dyn Backend) -> bool {
    app::remembered(backend).maximized
}

/// Inner size of the window: what was asked for, else what it was last time, in points.
pub fn window_size(backend: &dyn Backend, start: &StartAt) -> [f32; 2] {
    start
        .size
        .unwrap_or_else(|| app::remembered(backend).size)
        .map(|side| side.clamp(480.0, 16_384.0))
}
