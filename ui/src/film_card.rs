//! Films on the graphics card: stored values are uploaded once, a window is a table of 64 KB
//! beside them, and a shader looks each value up. Dragging a window moves no pixel of the film.
//!
//! What the shader draws is what [`crate::widgets::film_shade`] draws on the processor, within
//! one grey level: the same sizes of the film, values through the window first, then bilinear.

mod gl_films;
mod sizes;
mod wgpu_films;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eframe::{egui_glow, egui_wgpu};
use egui::{Id, PaintCallback, Painter, Rect};
use engine::views::FilmPixels;

/// Columns and rows of the table of greys as a texture: one place for each stored value.
const TABLE_SIDE: u32 = 256;

/// Where films are put through their window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FilmDrawing {
    /// On the card, unless it is one that the processor plays: then there is nothing to gain.
    #[default]
    Auto,
    /// On the card, whatever it is.
    Card,
    /// On the processor.
    Processor,
}

impl FilmDrawing {
    /// What a user calls it: `auto`, `card` or `processor`.
    ///
    /// # Errors
    /// A sentence with what was expected.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "" | "auto" => Ok(Self::Auto),
            "card" => Ok(Self::Card),
            "processor" => Ok(Self::Processor),
            other => Err(format!(
                "films are drawn by auto, card or processor, not by \"{other}\""
            )),
        }
    }
}

/// What draws films on the card of a window.
#[derive(Clone)]
enum FilmCard {
    Gl(Arc<gl_films::Films>),
    Wgpu {
        /// Most pixels along a side of a texture.
        max_side: u32,
    },
}

/// Lets the films of this window be drawn by its card, where that can be done; says whether.
///
/// Where it cannot (no card, an old OpenGL, a shader that its driver refuses), the processor draws.
pub fn draw_films_on_card(cc: &eframe::CreationContext<'_>, drawing: FilmDrawing) -> bool {
    if drawing == FilmDrawing::Processor {
        return false;
    }
    let played = drawing == FilmDrawing::Card;
    let card = if let Some(gl) = &cc.gl {
        gl_films::Films::new(gl, played).map(|films| FilmCard::Gl(Arc::new(films)))
    } else if let Some(state) = &cc.wgpu_render_state {
        wgpu_films::prepare(state, played).map(|max_side| FilmCard::Wgpu { max_side })
    } else {
        None
    };
    let found = card.is_some();
    if let Some(card) = card {
        cc.egui_ctx
            .data_mut(|data| data.insert_temp(Id::NULL, card));
    }
    found
}

/// Whether a film whose largest size has so many pixels along a side is drawn by the card.
pub(crate) fn draws(ctx: &egui::Context, side: u32) -> bool {
    FilmCard::of(ctx).is_some_and(|card| side > 0 && side <= card.max_side())
}

impl FilmCard {
    /// What draws films in the window of `ctx`, if its card does.
    fn of(ctx: &egui::Context) -> Option<Self> {
        ctx.data(|data| data.get_temp(Id::NULL))
    }

    fn max_side(&self) -> u32 {
        match self {
            Self::Gl(films) => films.max_side(),
            Self::Wgpu { max_side } => *max_side,
        }
    }
}

/// A film whose values lie on the card.
pub(crate) struct CardFilm {
    film: Arc<FilmPixels>,
    held: Mutex<Held>,
    refused: AtomicBool,
}

/// What of a film the card holds.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Gl(gl_films::HeldFilm),
    Wgpu(wgpu_films::HeldFilm),
}

/// One drawing of a film.
#[derive(Clone)]
pub(crate) struct Drawing {
    /// Where all of the film lies, in points; may reach beyond what is seen.
    pub(crate) place: Rect,
    /// Which of its sizes is wanted.
    pub(crate) size: usize,
    /// `[65536]`: the grey of each stored value.
    pub(crate) greys: Arc<Vec<u8>>,
    /// Changes whenever `greys` does.
    pub(crate) greys_version: u64,
}

impl CardFilm {
    pub(crate) fn new(film: Arc<FilmPixels>) -> Arc<Self> {
        Arc::new(Self {
            film,
            held: Mutex::default(),
            refused: AtomicBool::new(false),
        })
    }

    /// Whether the card took nothing of the film, e.g. for want of room.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the part of the film that lies in `seen`.
    pub(crate) fn paint(self: &Arc<Self>, painter: &Painter, seen: Rect, drawing: Drawing) {
        let ctx = painter.ctx();
        // A pixel around it, as the viewport is rounded; the shader leaves out what is no film.
        let rect = seen
            .intersect(drawing.place.expand(1.0 / ctx.pixels_per_point()))
            .intersect(painter.clip_rect())
            .intersect(ctx.content_rect());
        let Some(card) = FilmCard::of(ctx) else {
            return;
        };
        if !rect.is_positive() {
            return;
        }
        let film = Arc::clone(self);
        let again = ctx.clone();
        let callback = match card {
            FilmCard::Gl(films) => PaintCallback {
                rect,
                callback: Arc::new(egui_glow::CallbackFn::new(move |info, _| {
                    if films.paint(&film, &info, &drawing) == Uploaded::Partly {
                        again.request_repaint();
                    }
                })),
            },
            FilmCard::Wgpu { .. } => egui_wgpu::Callback::new_paint_callback(
                rect,
                wgpu_films::Callback {
                    film,
                    drawing,
                    again,
                },
            ),
        };
        painter.add(callback);
    }
}

/// How much of the wanted size the card holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uploaded {
    All,
    Partly,
}

/// Left and top of a film in pixels of the frame, then pixels of the film for one of the frame,
/// across and down.
fn placement(place: Rect, pixels_per_point: f32, [width, height]: [u32; 2]) -> [f32; 4] {
    let extent = |n: u32, points: f32| n as f32 / (points * pixels_per_point).max(1e-3);
    [
        place.left() * pixels_per_point,
        place.top() * pixels_per_point,
        extent(width, place.width()),
        extent(height, place.height()),
    ]
}

#[cfg(test)]
mod tests {
    use egui::{Pos2, Vec2};

    use super::*;

    #[test]
    fn a_film_is_placed_in_pixels_of_the_frame() {
        let place = Rect::from_min_size(Pos2::new(-10.0, 20.0), Vec2::new(100.0, 50.0));
        assert_eq!(placement(place, 2.0, [400, 400]), [-20.0, 40.0, 2.0, 4.0]);
    }

    #[test]
    fn a_way_of_drawing_has_a_name() {
        assert_eq!(FilmDrawing::named("card"), Ok(FilmDrawing::Card));
        assert_eq!(FilmDrawing::named(""), Ok(FilmDrawing::Auto));
        let refused = FilmDrawing::named("gpu").unwrap_err();
        assert!(refused.contains("auto, card or processor"), "{refused}");
    }
}
