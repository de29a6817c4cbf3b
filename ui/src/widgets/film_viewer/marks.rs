//! What is drawn over a film: heatmap or its contours, patch boundaries, boxes, their legends.

use std::fmt::Write as _;

use egui::{Align2, Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Ui, Vec2};
use schema::PatchGrid;

use super::{BoxLayer, BoxSource, Heat, Subject};
use crate::app_context::AppContext;
use crate::film_textures::HeatDrawing;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::{colour_map, contours, example, notice, number};

impl BoxSource {
    /// Name of the switch, and what it switches.
    pub(super) fn switch(self) -> (&'static str, &'static str) {
        match self {
            Self::Data => ("Marked", "Boxes around findings that the dataset marks"),
            Self::Model => (
                "Model's boxes",
                "Boxes where the model's report says that findings are",
            ),
        }
    }

    /// As the legend calls the boxes.
    fn legend(self) -> &'static str {
        match self {
            Self::Data => "marked in the dataset",
            Self::Model => "placed by the model",
        }
    }

    /// Whether its frames are dashed.
    pub(super) fn is_dashed(self) -> bool {
        self == Self::Model
    }

    pub(super) fn colour(self) -> Color32 {
        match self {
            Self::Data => tokens::FINDING_BOX,
            Self::Model => tokens::MODEL_BOX,
        }
    }

    /// A frame in the manner of this source: whole lines for the dataset's, dashes for the model's.
    fn paint_frame(self, painter: &Painter, place: Rect) {
        let stroke = Stroke::new(1.5, self.colour());
        match self {
            Self::Data => {
                painter.rect_stroke(place, 2.0, stroke, StrokeKind::Outside);
            }
            Self::Model => {
                let [a, b, c, d] = [
                    place.left_top(),
                    place.right_top(),
                    place.right_bottom(),
                    place.left_bottom(),
                ];
                painter.extend(Shape::dashed_line(&[a, b, c, d, a], stroke, 6.0, 4.0));
            }
        }
    }
}

/// The boxes that are drawn.
pub(super) fn seen<'a>(
    subject: &'a Subject<'_>,
    hidden: &'a [BoxSource],
) -> impl Iterator<Item = &'a BoxLayer<'a>> {
    subject
        .boxes
        .iter()
        .filter(|layer| !layer.boxes.is_empty() && !hidden.contains(&layer.source))
}

/// What is drawn over the film, for those who hear it.
pub(super) fn in_words(
    ctx: &AppContext<'_>,
    subject: &Subject<'_>,
    hidden: &[BoxSource],
) -> String {
    let mut text = match &subject.heat {
        None => "No heatmap".to_owned(),
        Some(_) if !ctx.heat.visible() => "Heatmap hidden".to_owned(),
        Some(heat) if ctx.heat.drawing == HeatDrawing::Contours => format!(
            "Contours at 25, 50 and 75 % of {}",
            number::activation(heat.maximum)
        ),
        Some(heat) => format!(
            "Heatmap, {}, up to {}",
            if ctx.heat.drawing == HeatDrawing::Smooth {
                "smooth"
            } else {
                "raw"
            },
            number::activation(heat.maximum)
        ),
    };
    for layer in seen(subject, hidden) {
        let n = number::counted(layer.boxes.len() as u64, ["box", "boxes"]);
        write!(text, "; {n} {}", layer.source.legend()).ok();
    }
    text
}

pub(super) fn paint_heat(
    ctx: &AppContext<'_>,
    ui: &Ui,
    rect: Rect,
    film: Rect,
    subject: &Subject<'_>,
) {
    let Some(heat) = &subject.heat else { return };
    let columns = heat.grid.columns as usize;
    let place = example::grid_rect(film, subject.size, &heat.grid);
    let painter = ui.painter_at(rect.intersect(film));
    if ctx.heat.visible() && ctx.heat.drawing == HeatDrawing::Contours {
        paint_contours(ctx, &painter, place, heat);
    } else if ctx.heat.visible()
        && let Some(texture) =
            ctx.films
                .heatmap(ui.ctx(), heat.activations, columns, heat.maximum, ctx.heat)
    {
        painter.image(texture.id(), place, example::WHOLE, tokens::UNTINTED);
    }
    // A scale beside a film without colours would be read as "no activation".
    if ctx.heat.visible() {
        paint_legend(ctx, &ui.painter_at(rect), rect, heat);
    }
}

/// Lines of equal activation, dark underneath so that they are seen on bright bone.
fn paint_contours(ctx: &AppContext<'_>, painter: &Painter, place: Rect, heat: &Heat<'_>) {
    let columns = heat.grid.columns as usize;
    let lines = ctx.films.contours(heat.activations, columns, heat.maximum);
    let on_film = |at: Pos2| place.min + at.to_vec2() * place.size();
    let shade = Stroke::new(3.5, tokens::FILM_LINE_SHADE);
    let all = lines.iter().flat_map(|line| &line.pieces);
    for piece in all {
        painter.line_segment(piece.map(on_film), shade);
    }
    for line in lines.iter() {
        let colour = contours::line_colour(line.share, ctx.heat.opacity);
        for piece in &line.pieces {
            painter.line_segment(piece.map(on_film), Stroke::new(1.5, colour));
        }
    }
}

pub(super) fn paint_boxes(
    painter: &Painter,
    rect: Rect,
    film: Rect,
    (subject, hidden): (&Subject<'_>, &[BoxSource]),
) {
    let scale = film.width() / subject.size[0].max(1) as f32;
    // The legend first: where a box lies under it, the finding's name is the one to be read.
    for (i, layer) in seen(subject, hidden).enumerate() {
        let row = i as f32 * 20.0;
        let sample = Rect::from_min_size(
            Pos2::new(rect.left() + GRID, rect.top() + 36.0 + row),
            Vec2::new(18.0, 10.0),
        );
        let at = Pos2::new(sample.right() + HALF + 3.0, sample.bottom() + 5.0);
        layer.source.paint_frame(painter, sample);
        paint_tag(painter, at, layer.source.legend());
    }
    for layer in seen(subject, hidden) {
        for finding in layer.boxes {
            let [left, top, width, height] = finding.rect;
            let place = Rect::from_min_size(
                film.min + Vec2::new(left, top) * scale,
                Vec2::new(width, height) * scale,
            );
            layer.source.paint_frame(painter, place);
            paint_tag(painter, place.left_top(), &finding.finding);
        }
    }
}

/// A word whose lower left corner is a little above `at`.
fn paint_tag(painter: &Painter, at: Pos2, text: &str) {
    let name = painter.layout_no_wrap(text.to_owned(), tokens::body_font(), tokens::FILM_TEXT);
    let at = at - Vec2::new(0.0, name.size().y + 3.0);
    let back = Rect::from_min_size(at, name.size()).expand2(Vec2::new(3.0, 1.0));
    painter.rect_filled(back, 2.0, tokens::FILM_BACKGROUND);
    painter.galley(at, name, tokens::FILM_TEXT);
}

/// Patch boundaries.
pub(super) fn paint_patch_lines(painter: &Painter, place: Rect, grid: &PatchGrid) {
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
fn paint_legend(ctx: &AppContext<'_>, painter: &Painter, rect: Rect, heat: &Heat<'_>) {
    let maximum = heat.maximum;
    let opacity = ctx.heat.opacity;
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
    let value = |share: f32| number::activation(maximum * share);
    let texts: Vec<(f32, String)> = if ctx.heat.drawing == HeatDrawing::Contours {
        for share in contours::SHARES {
            let y = bar.bottom() - bar.height() * share;
            let stroke = Stroke::new(2.0, contours::line_colour(share, opacity));
            painter.hline(bar.x_range(), y, stroke);
        }
        let text = |share: f32| format!("{:.0} %  {}", share * 100.0, value(share));
        contours::SHARES.map(|share| (share, text(share))).to_vec()
    } else {
        paint_colours(painter, bar, opacity);
        vec![(0.0, "0".to_owned()), (0.5, value(0.5)), (1.0, value(1.0))]
    };
    for (share, text) in texts {
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

/// All colours of the heatmap, the strongest above.
fn paint_colours(painter: &Painter, bar: Rect, opacity: f32) {
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
}
