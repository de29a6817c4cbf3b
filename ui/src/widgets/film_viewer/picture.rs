//! The film through its window: by the card, or as a texture of the part that is on the screen,
//! as fine as the screen is.

use std::sync::Arc;

use egui::{Painter, Rect, TextureHandle, TextureOptions, Ui, Vec2};
use engine::views::FilmPixels;
use schema::Window;

use super::FilmViewer;
use crate::film_card::{self, CardFilm, Drawing};
use crate::tokens;
use crate::widgets::example::{self, FilmPlace};
use crate::widgets::film_shade::{self, Part};

/// The film as it is on the screen now.
pub(super) struct Shown {
    dataset: String,
    sample: u32,
    /// Which film of the sample.
    number: u32,
    pub(super) film: Arc<FilmPixels>,
    /// The window and inversion that it is shown with now.
    through: Option<Through>,
    /// Number of windows it was shown through.
    n_windows: u64,
    on_screen: OnScreen,
    refused: bool,
    /// The whole film, small; made when it is needed, with the number of its window.
    pub(super) small: Option<(TextureHandle, u64)>,
}

/// A window and an inversion with the greys that they come to.
struct Through {
    window: Window,
    inverted: bool,
    greys: Arc<Vec<u8>>,
}

/// What draws the film.
enum OnScreen {
    Nothing,
    /// The processor: the part of the film that is on the screen, no finer than the screen is.
    Texture(TextureHandle, Made),
    /// The card: the film itself, and which of its sizes is wanted.
    Card(Arc<CardFilm>, usize),
}

/// What the texture of a film is made with.
#[derive(Clone, Copy, PartialEq)]
struct Made {
    /// Number of the window.
    window: u64,
    /// Which size of the film.
    level: usize,
    part: Part,
}

impl FilmViewer {
    /// Makes the film ready to be drawn in `rect`, through its window. What this costs goes with
    /// the screen, not with the film.
    pub(super) fn refresh_picture(&mut self, ui: &Ui, rect: Rect, film: Rect) {
        let (Some(shown), Some(window)) = (&mut self.shown, &self.window) else {
            return;
        };
        shown.look_through(window, self.inverted);
        let across = film.width() * ui.ctx().pixels_per_point();
        let (at, level) = film_shade::level(&shown.film, across);
        let size = [level.width, level.height];
        let by_card = film_card::draws(ui.ctx(), shown.film.width.max(shown.film.height));
        if by_card && !shown.is_refused() {
            shown.put_on_card(at);
        } else {
            let part = part_of(rect.intersect(film), film, size);
            shown.make_texture(ui.ctx(), at, part);
        }
        if self.zoom > 1.05 {
            shown.make_small(ui.ctx());
        }
    }
}

impl Shown {
    pub(super) fn new(place: FilmPlace<'_>, film: Arc<FilmPixels>) -> Self {
        Self {
            dataset: place.dataset.to_owned(),
            sample: place.sample,
            number: place.film,
            film,
            through: None,
            n_windows: 0,
            on_screen: OnScreen::Nothing,
            refused: false,
            small: None,
        }
    }

    /// Reckons the greys of a window, where it is another one than before.
    fn look_through(&mut self, window: &Window, inverted: bool) {
        let is_same = |through: &Through| through.window == *window && through.inverted == inverted;
        if self.through.as_ref().is_some_and(is_same) {
            return;
        }
        self.through = Some(Through {
            window: window.clone(),
            inverted,
            greys: Arc::new(film_shade::greys(window, inverted)),
        });
        self.n_windows += 1;
    }

    /// Whether the card took nothing of the film; it is not asked again.
    fn is_refused(&mut self) -> bool {
        if let OnScreen::Card(film, _) = &self.on_screen {
            self.refused |= film.is_refused();
        }
        self.refused
    }

    fn put_on_card(&mut self, size: usize) {
        if let OnScreen::Card(_, wanted) = &mut self.on_screen {
            *wanted = size;
        } else {
            self.on_screen = OnScreen::Card(CardFilm::new(Arc::clone(&self.film)), size);
        }
    }

    fn make_texture(&mut self, ctx: &egui::Context, size: usize, part: Part) {
        let wanted = Made {
            window: self.n_windows,
            level: size,
            part,
        };
        let (Some(through), Some(level)) =
            (&self.through, film_shade::levels(&self.film).nth(size))
        else {
            return;
        };
        match &mut self.on_screen {
            OnScreen::Texture(_, made) if *made == wanted => {}
            OnScreen::Texture(texture, made) => {
                let image = film_shade::shade(level, part, &through.greys);
                texture.set(image, TextureOptions::LINEAR);
                *made = wanted;
            }
            OnScreen::Nothing | OnScreen::Card(..) => {
                let image = film_shade::shade(level, part, &through.greys);
                let texture = ctx.load_texture("film", image, TextureOptions::LINEAR);
                self.on_screen = OnScreen::Texture(texture, wanted);
            }
        }
    }

    fn make_small(&mut self, ctx: &egui::Context) {
        let is_made = self
            .small
            .as_ref()
            .is_some_and(|(_, of)| *of == self.n_windows);
        if let (false, Some(through), Some(level)) = (
            is_made,
            &self.through,
            film_shade::levels(&self.film).last(),
        ) {
            let part = [0, 0, level.width, level.height];
            let image = film_shade::shade(level, part, &through.greys);
            let texture = ctx.load_texture("small film", image, TextureOptions::LINEAR);
            self.small = Some((texture, self.n_windows));
        }
    }

    /// Draws it, with all of the film in `film` and what is seen in `rect`.
    pub(super) fn paint(&self, painter: &Painter, rect: Rect, film: Rect) {
        match (&self.on_screen, &self.through) {
            (OnScreen::Texture(texture, made), _) => {
                let place = self.place(made, film);
                painter.image(texture.id(), place, example::WHOLE, tokens::UNTINTED);
            }
            (OnScreen::Card(card, size), Some(through)) => {
                let drawing = Drawing {
                    place: film,
                    size: *size,
                    greys: Arc::clone(&through.greys),
                    greys_version: self.n_windows,
                };
                card.paint(painter, rect, drawing);
            }
            _ => {}
        }
    }

    /// Whether this is the film there.
    pub(super) fn is_of(&self, place: FilmPlace<'_>) -> bool {
        self.dataset == place.dataset && self.sample == place.sample && self.number == place.film
    }

    /// Where the part that a texture holds lies, with the film in `film`.
    fn place(&self, made: &Made, film: Rect) -> Rect {
        let Some(level) = film_shade::levels(&self.film).nth(made.level) else {
            return film;
        };
        let scale = Vec2::new(
            film.width() / level.width.max(1) as f32,
            film.height() / level.height.max(1) as f32,
        );
        let [left, top, right, bottom] = made.part.map(|edge| edge as f32);
        Rect::from_min_max(
            film.min + Vec2::new(left, top) * scale,
            film.min + Vec2::new(right, bottom) * scale,
        )
    }
}

/// The pixels of a film of `size`, drawn in `film`, that `seen` touches, and one more around them.
fn part_of(seen: Rect, film: Rect, [width, height]: [u32; 2]) -> Part {
    let edge = |at: f32, from: f32, extent: f32, n: u32, out: f32| -> u32 {
        let exact = (at - from) / extent.max(1.0) * n as f32;
        let whole = if out < 0.0 {
            exact.floor()
        } else {
            exact.ceil()
        };
        (whole + out).clamp(0.0, n as f32) as u32
    };
    [
        edge(seen.left(), film.left(), film.width(), width, -1.0),
        edge(seen.top(), film.top(), film.height(), height, -1.0),
        edge(seen.right(), film.left(), film.width(), width, 1.0),
        edge(seen.bottom(), film.top(), film.height(), height, 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use egui::Pos2;

    use super::*;

    #[test]
    fn only_what_is_seen_is_drawn() {
        let film = Rect::from_min_size(Pos2::new(-100.0, 0.0), Vec2::new(400.0, 200.0));
        let seen = Rect::from_min_size(Pos2::ZERO, Vec2::new(100.0, 200.0));
        assert_eq!(part_of(seen, film, [4000, 2000]), [999, 0, 2001, 2000]);
        assert_eq!(part_of(film, film, [4000, 2000]), [0, 0, 4000, 2000]);
    }
}
