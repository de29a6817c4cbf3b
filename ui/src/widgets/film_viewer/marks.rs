//! What is drawn over a film: heatmap, patch boundaries, boxes, the scale of the heatmap.

use egui::{Align2, Pos2, Rect, Stroke, StrokeKind, Ui, Vec2};
use schema::PatchGrid;

use super::{Heat, Subject};
use crate::app_context::AppContext;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::{colour_map, example, notice, number};

pub(super) fn paint_heat(
    ctx: &AppContext<'_>,
    ui: &Ui,
    rect: Rect,
    film: Rect,
    subject: &Subject<'_>,
) {
    let Some(heat) = &subject.heat else { return };
    let columns = heat.grid.columns as usize;
    if ctx.heat.visible()
        && let Some(texture) =
            ctx.films
                .heatmap(ui.ctx(), heat.activations, columns, heat.maximum, ctx.heat)
    {
        let place = example::grid_rect(film, subject.size, &heat.grid);
        let painter = ui.painter_at(rect.intersect(film));
        painter.image(texture.id(), place, example::WHOLE, tokens::UNTINTED);
    }
    paint_legend(&ui.painter_at(rect), rect, heat, ctx.heat.opacity);
}

pub(super) fn paint_boxes(painter: &egui::Painter, film: Rect, subject: &Subject<'_>) {
    let scale = film.width() / subject.size[0].max(1) as f32;
    let stroke = Stroke::new(1.5, tokens::FINDING_BOX);
    for finding in subject.boxes {
        let [left, top, width, height] = finding.rect;
        let place = Rect::from_min_size(
            film.min + Vec2::new(left, top) * scale,
            Vec2::new(width, height) * scale,
        );
        painter.rect_stroke(place, 2.0, stroke, StrokeKind::Outside);
        let name = painter.layout_no_wrap(
            finding.finding.clone(),
            tokens::body_font(),
            tokens::FILM_TEXT,
        );
        let at = place.left_top() - Vec2::new(0.0, name.size().y + 3.0);
        let back = Rect::from_min_size(at, name.size()).expand2(Vec2::new(3.0, 1.0));
        painter.rect_filled(back, 2.0, tokens::FILM_BACKGROUND);
        painter.galley(at, name, tokens::FILM_TEXT);
    }
}

/// Patch boundaries.
pub(super) fn paint_patch_lines(painter: &egui::Painter, place: Rect, grid: &PatchGrid) {
    let step = Vec2::new(
        place.width() / grid.columns.max(1) as f32,
        place.height() / grid.rows.max(1) as f32,
    );
    let stroke = Stroke::new(1.0, tokens::PATCH_LINE);
    for i in 0..=grid.columns {
        painter.vline(place.left() + step.x * i as f32, place.y_range(), stroke);
    }
    for i in 0..=grid.rows {
        painter.hline(place.x_range(), place.top() + step.y * i as f32, stroke);
    }
}

/// The scale of the heatmap, with its unit.
fn paint_legend(painter: &egui::Painter, rect: Rect, heat: &Heat<'_>, opacity: f32) {
    let maximum = heat.maximum;
    let height = (rect.height() * 0.35).clamp(64.0, 200.0);
    let bar = Rect::from_min_size(
        Pos2::new(rect.right() - GRID - 12.0, rect.center().y - height / 2.0),
        Vec2::new(12.0, height),
    );
    painter.rect_filled(
        bar.expand(HALF),
        tokens::RADIUS,
        tokens::FILM_TEXT_BACKGROUND,
    );
    let n_steps = 48;
    for i in 0..n_steps {
        let share = (i as f32 + 0.5) / n_steps as f32;
        let step = bar.height() / n_steps as f32;
        let top = bar.bottom() - step * (i + 1) as f32;
        let cell = Rect::from_min_size(
            Pos2::new(bar.left(), top),
            Vec2::new(bar.width(), step + 0.5),
        );
        painter.rect_filled(cell, 0.0, colour_map::on_black(share, opacity));
    }
    for (share, text) in [
        (0.0, "0".to_owned()),
        (0.5, number::activation(maximum * 0.5)),
        (1.0, number::activation(maximum)),
    ] {
        let y = bar.bottom() - bar.height() * share;
        let galley = painter.layout_no_wrap(text, tokens::small_font(), tokens::FILM_TEXT);
        let at = Pos2::new(
            bar.left() - HALF - galley.size().x - 3.0,
            y - galley.size().y / 2.0,
        );
        let back = Rect::from_min_size(at, galley.size()).expand2(Vec2::new(3.0, 0.0));
        painter.rect_filled(back, 2.0, tokens::FILM_TEXT_BACKGROUND);
        painter.galley(at, galley, tokens::FILM_TEXT);
    }
    let top = Rect::from_min_max(
        Pos2::new(rect.left(), bar.top() - 34.0),
        Pos2::new(rect.right() - HALF, bar.top() - HALF),
    );
    notice::film_text(painter, top, Align2::RIGHT_BOTTOM, heat.unit);
}
