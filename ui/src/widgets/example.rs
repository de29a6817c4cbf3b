//! One example of a feature, painted small: a film with its heatmap, a snippet, a history.

use egui::{Painter, Pos2, Rect, Ui, Vec2};
use engine::views::{ExampleContent, ExampleView, FilmSize, FilmState};
use schema::PatchGrid;

use crate::app_context::AppContext;
use crate::backend::Backend;
use crate::film_textures::Thumbnail;
use crate::tokens::{self, Tokens};
use crate::widgets::{item_strip, notice, token_text};

/// The whole texture.
pub(crate) const WHOLE: Rect = Rect {
    min: Pos2::new(0.0, 0.0),
    max: Pos2::new(1.0, 1.0),
};

/// The largest rectangle of the film's shape that fits the middle of `rect`.
pub(crate) fn fit(rect: Rect, size: [u32; 2]) -> Rect {
    let size = Vec2::new(size[0].max(1) as f32, size[1].max(1) as f32);
    let scale = (rect.width() / size.x).min(rect.height() / size.y);
    Rect::from_center_size(rect.center(), size * scale)
}

/// Where the patch grid lies when the film of `size` pixels is drawn into `film`.
pub(crate) fn grid_rect(film: Rect, size: [u32; 2], grid: &PatchGrid) -> Rect {
    let scale = Vec2::new(
        film.width() / size[0].max(1) as f32,
        film.height() / size[1].max(1) as f32,
    );
    Rect::from_min_size(
        film.min + Vec2::new(grid.left, grid.top) * scale,
        Vec2::new(grid.width, grid.height) * scale,
    )
}

/// Paints `example` into `rect`; `maximum` is the feature's, so that one scale serves all.
pub(crate) fn paint(
    ctx: &AppContext<'_>,
    ui: &Ui,
    rect: Rect,
    example: &ExampleView,
    maximum: f32,
) {
    let theme = tokens::of(ui);
    let painter = ui.painter();
    match &example.content {
        ExampleContent::Film {
            dataset,
            size,
            grid,
            heat,
        } => {
            let place = FilmPlace::own(dataset, example.sample);
            paint_film(ctx, ui, rect, place, *size);
            if ctx.heat.visible()
                && let Some(texture) =
                    ctx.films
                        .heatmap(ui.ctx(), heat, grid.columns as usize, maximum, ctx.heat)
            {
                let film = fit(rect, *size);
                painter
                    .with_clip_rect(film.intersect(painter.clip_rect()))
                    .image(
                        texture.id(),
                        grid_rect(film, *size, grid),
                        WHOLE,
                        tokens::UNTINTED,
                    );
            }
        }
        ExampleContent::Text { tokens } => {
            token_text::paint_snippet(painter, theme, rect, tokens, maximum);
        }
        ExampleContent::History { items } => {
            item_strip::paint_row(ctx, ui, rect, items, maximum);
        }
    }
}

/// Which film of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilmPlace<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) sample: u32,
    /// 0 for the sample's own; further films of its study count from 1.
    pub(crate) film: u32,
}

impl<'a> FilmPlace<'a> {
    /// The film that a sample is about.
    pub(crate) fn own(dataset: &'a str, sample: u32) -> Self {
        Self {
            dataset,
            sample,
            film: 0,
        }
    }

    /// The film as the engine has it now.
    pub(crate) fn read(self, backend: &dyn Backend, size: FilmSize) -> FilmState {
        if self.film == 0 {
            backend.film(self.dataset, self.sample, size)
        } else {
            backend.further_film(self.dataset, self.sample, self.film, size)
        }
    }
}

/// Paints the thumbnail of a film into `rect`, in its own shape, on black.
pub(crate) fn paint_film(
    ctx: &AppContext<'_>,
    ui: &Ui,
    rect: Rect,
    place: FilmPlace<'_>,
    size: [u32; 2],
) {
    let painter = ui.painter();
    painter.rect_filled(rect, 2.0, tokens::FILM_BACKGROUND);
    match ctx.films.thumbnail(ui.ctx(), ctx.backend, place) {
        Thumbnail::Ready(texture) => {
            painter.image(texture.id(), fit(rect, size), WHOLE, tokens::UNTINTED);
        }
        Thumbnail::Loading => paint_placeholder(painter, tokens::of(ui), rect),
        Thumbnail::Failed => {
            notice::film_text(painter, rect, egui::Align2::CENTER_CENTER, "unreadable");
        }
    }
}

fn paint_placeholder(painter: &Painter, theme: &Tokens, rect: Rect) {
    painter.circle_filled(rect.center(), 2.0, theme.text_weak);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_keep_their_shape() {
        let rect = Rect::from_min_size(Pos2::ZERO, Vec2::new(100.0, 100.0));
        let film = fit(rect, [200, 400]);
        assert_eq!(
            film,
            Rect::from_min_size(Pos2::new(25.0, 0.0), Vec2::new(50.0, 100.0))
        );
    }

    #[test]
    fn the_grid_follows_the_processors_crop() {
        let film = Rect::from_min_size(Pos2::new(10.0, 20.0), Vec2::new(50.0, 100.0));
        let grid = PatchGrid {
            rows: 4,
            columns: 4,
            left: 0.0,
            top: 100.0,
            width: 200.0,
            height: 200.0,
        };
        let place = grid_rect(film, [200, 400], &grid);
        assert_eq!(
            place,
            Rect::from_min_size(Pos2::new(10.0, 45.0), Vec2::splat(50.0))
        );
    }
}
