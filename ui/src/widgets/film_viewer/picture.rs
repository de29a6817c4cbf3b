//! The film as a texture: the part that is on the screen, as fine as the screen is.

use std::sync::Arc;

use egui::{Rect, TextureHandle, TextureOptions, Ui, Vec2};
use engine::views::FilmPixels;
use schema::Window;

use super::FilmViewer;
use crate::widgets::example::FilmPlace;
use crate::widgets::film_shade::{self, Part};

/// The film as it is on the screen now.
pub(super) struct Shown {
    dataset: String,
    sample: u32,
    /// Which film of the sample.
    number: u32,
    pub(super) film: Arc<FilmPixels>,
    /// The part of the film that is on the screen, no finer than the screen is.
    pub(super) texture: TextureHandle,
    /// What `texture` was made with.
    made_with: Option<Made>,
    /// The whole film, small; made when it is needed.
    pub(super) small: Option<(TextureHandle, (Window, bool))>,
}

/// What the texture of a film is made with.
#[derive(Clone, PartialEq)]
struct Made {
    window: Window,
    inverted: bool,
    /// Which size of the film.
    level: usize,
    part: Part,
}

impl FilmViewer {
    /// Puts the part of the film that is on the screen through the window, at the size that the
    /// screen shows: what this costs goes with the screen, not with the film.
    pub(super) fn refresh_texture(&mut self, ui: &Ui, rect: Rect, film: Rect) {
        let (Some(shown), Some(window)) = (&mut self.shown, &self.window) else {
            return;
        };
        let across = film.width() * ui.ctx().pixels_per_point();
        let (at, level) = film_shade::level(&shown.film, across);
        let wanted = Made {
            window: window.clone(),
            inverted: self.inverted,
            level: at,
            part: part_of(rect.intersect(film), film, [level.width, level.height]),
        };
        if shown.made_with.as_ref() != Some(&wanted) {
            let image = film_shade::shade(level, wanted.part, window, self.inverted);
            shown.texture.set(image, TextureOptions::LINEAR);
            shown.made_with = Some(wanted);
        }
        let whole = (window.clone(), self.inverted);
        let is_made = shown.small.as_ref().is_some_and(|small| small.1 == whole);
        if self.zoom > 1.05
            && !is_made
            && let Some(level) = film_shade::levels(&shown.film).last()
        {
            let part = [0, 0, level.width, level.height];
            let image = film_shade::shade(level, part, window, self.inverted);
            let texture = ui
                .ctx()
                .load_texture("small film", image, TextureOptions::LINEAR);
            shown.small = Some((texture, whole));
        }
    }
}

impl Shown {
    pub(super) fn new(place: FilmPlace<'_>, film: Arc<FilmPixels>, texture: TextureHandle) -> Self {
        Self {
            dataset: place.dataset.to_owned(),
            sample: place.sample,
            number: place.film,
            film,
            texture,
            made_with: None,
            small: None,
        }
    }

    /// Whether this is the film there.
    pub(super) fn is_of(&self, place: FilmPlace<'_>) -> bool {
        self.dataset == place.dataset && self.sample == place.sample && self.number == place.film
    }

    /// Where the part that `texture` holds lies, with the film in `film`.
    pub(super) fn place(&self, film: Rect) -> Rect {
        let Some(made) = &self.made_with else {
            return film;
        };
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
