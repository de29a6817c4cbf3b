//! Small plots: a curve over the steps of a training, and runs by L0 and FVU.

use egui::{Align2, Painter, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};

use crate::tokens::{self, GRID, HALF, Tokens};
use crate::widgets::number;

/// Height of a curve.
const CURVE_HEIGHT: f32 = 104.0;
/// Width of the lowest and highest value beside a curve.
const SCALE_WIDTH: f32 = 40.0;
/// Height of the plot of runs.
const SCATTER_HEIGHT: f32 = 232.0;
/// Radius within which a click takes a point.
const REACH: f32 = 14.0;

/// One curve and how its values are written.
pub(crate) struct Curve<'a> {
    /// What is drawn.
    pub(crate) name: &'a str,
    /// `[x, y]`, x ascending.
    pub(crate) points: &'a [[f32; 2]],
    /// Writes a value.
    pub(crate) format: fn(f32) -> String,
    /// Largest x, so that a running curve shows how far it is.
    pub(crate) x_max: f32,
    /// What x counts, e.g. `Step`.
    pub(crate) x_name: &'a str,
}

/// Lowest and highest value, made a range even where all are alike.
fn range(values: impl Iterator<Item = f32>) -> [f32; 2] {
    let finite = values.filter(|value| value.is_finite());
    let [low, high] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], value| {
        [low.min(value), high.max(value)]
    });
    if low > high {
        [0.0, 1.0]
    } else if high - low < 1e-6 {
        [low - 0.5, high + 0.5]
    } else {
        [low, high]
    }
}

/// Draws a curve with its name, its last value, and the lowest and highest.
pub(crate) fn curve_ui(ui: &mut Ui, curve: &Curve<'_>) {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), CURVE_HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, tokens::RADIUS, theme.canvas);
    let write = |value: Option<f32>| value.map_or_else(|| "–".to_owned(), curve.format);
    let last = curve.points.last().map(|point| point[1]);
    let label = format!("{} {}", curve.name, write(last));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    let inner = rect.shrink(GRID);
    painter.text(
        inner.left_top(),
        Align2::LEFT_TOP,
        curve.name,
        tokens::small_font(),
        theme.text_weak,
    );
    painter.text(
        inner.right_top(),
        Align2::RIGHT_TOP,
        write(last),
        tokens::body_font(),
        theme.text,
    );
    let plot = Rect::from_min_max(
        inner.min + Vec2::new(0.0, 24.0),
        inner.max - Vec2::new(SCALE_WIDTH, 0.0),
    );
    let [low, high] = range(curve.points.iter().map(|point| point[1]));
    for (value, y, align) in [
        (high, plot.top(), Align2::RIGHT_TOP),
        (low, plot.bottom(), Align2::RIGHT_BOTTOM),
    ] {
        painter.text(
            Pos2::new(inner.right(), y),
            align,
            (curve.format)(value),
            tokens::small_font(),
            theme.text_weak,
        );
    }
    let x_max = curve.x_max.max(1.0);
    let at = |point: &[f32; 2]| {
        let y = ((point[1] - low) / (high - low)).clamp(0.0, 1.0);
        Pos2::new(
            plot.left() + plot.width() * (point[0] / x_max).clamp(0.0, 1.0),
            plot.bottom() - plot.height() * y,
        )
    };
    painter.hline(plot.x_range(), plot.bottom(), Stroke::new(1.0, theme.line));
    painter.add(Shape::line(
        curve.points.iter().map(at).collect(),
        Stroke::new(1.5, theme.accent),
    ));
    if let Some(pos) = response.hover_pos()
        && let Some(near) = nearest_in_x(curve.points, (pos.x - plot.left()) / plot.width() * x_max)
    {
        painter.circle_filled(at(near), 3.0, theme.accent);
        response.on_hover_text(format!(
            "{} {}: {} {}",
            curve.x_name,
            number::count(near[0] as u64),
            curve.name,
            (curve.format)(near[1])
        ));
    }
}

fn nearest_in_x(points: &[[f32; 2]], x: f32) -> Option<&[f32; 2]> {
    points
        .iter()
        .min_by(|a, b| (a[0] - x).abs().total_cmp(&(b[0] - x).abs()))
}

/// One run in the plot.
pub(crate) struct RunPoint<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Mean active features per row.
    pub(crate) l0: f32,
    /// Fraction of variance unexplained.
    pub(crate) fvu: f32,
    /// Whether it is the one looked at.
    pub(crate) chosen: bool,
}

/// The runs that no other run beats in both L0 and FVU, by ascending L0.
pub(crate) fn pareto_front(points: &[RunPoint<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&points[a], &points[b]);
        a.l0.total_cmp(&b.l0).then(a.fvu.total_cmp(&b.fvu))
    });
    let mut best = f32::INFINITY;
    order.retain(|&i| {
        let beats = points[i].fvu < best;
        best = best.min(points[i].fvu);
        beats
    });
    order
}

/// Draws runs by L0 (across) and FVU (up), the front as a line; the run that was clicked.
pub(crate) fn runs_ui(ui: &mut Ui, points: &[RunPoint<'_>]) -> Option<usize> {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), SCATTER_HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, tokens::RADIUS, theme.canvas);
    let front = pareto_front(points);
    let names: Vec<&str> = front.iter().map(|&i| points[i].name).collect();
    let label = format!(
        "L0 and FVU of {}; on the front: {}",
        number::counted(points.len() as u64, ["dictionary", "dictionaries"]),
        names.join(", ")
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    let plot = Rect::from_min_max(
        rect.min + Vec2::new(52.0, 16.0),
        rect.max - Vec2::new(24.0, 36.0),
    );
    let widened = |[low, high]: [f32; 2]| {
        let margin = (high - low) * 0.12;
        [(low - margin).max(0.0), high + margin]
    };
    let x_range = widened(range(points.iter().map(|point| point.l0)));
    let y_range = widened(range(points.iter().map(|point| point.fvu)));
    axes(&painter, theme, plot, (x_range, y_range));
    let at = |point: &RunPoint<'_>| {
        let share = |value: f32, [low, high]: [f32; 2]| (value - low) / (high - low);
        Pos2::new(
            plot.left() + plot.width() * share(point.l0, x_range),
            plot.bottom() - plot.height() * share(point.fvu, y_range),
        )
    };
    painter.add(Shape::line(
        front.iter().map(|&i| at(&points[i])).collect(),
        Stroke::new(1.0, theme.text_weak),
    ));
    let mut taken: Vec<Rect> = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let centre = at(point);
        let colour = if point.chosen {
            theme.accent
        } else if front.contains(&i) {
            theme.text
        } else {
            theme.bar
        };
        painter.circle_filled(centre, if point.chosen { 5.5 } else { 4.0 }, colour);
        name_beside(&painter, (point.name, colour), (centre, plot), &mut taken);
    }
    let near = response.hover_pos().and_then(|pos| {
        let nearest = points
            .iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| at(a).distance(pos).total_cmp(&at(b).distance(pos)))?;
        (at(nearest.1).distance(pos) < REACH).then_some(nearest)
    });
    let clicked = response.clicked();
    if let Some((_, point)) = near {
        response.on_hover_text(format!(
            "{}: L0 {:.1}, FVU {:.3}",
            point.name, point.l0, point.fvu
        ));
    }
    near.filter(|_| clicked).map(|(i, _)| i)
}

/// Writes a name beside its point where it covers no other name.
fn name_beside(
    painter: &Painter,
    (name, colour): (&str, egui::Color32),
    (centre, plot): (Pos2, Rect),
    taken: &mut Vec<Rect>,
) {
    let galley = painter.layout_no_wrap(name.to_owned(), tokens::small_font(), colour);
    let size = galley.size();
    // The front falls from left to right, so it runs below a name that stands to the upper right.
    let right = Vec2::new(HALF + 2.0, -size.y - 1.0);
    let left = Vec2::new(-GRID - size.x, 1.0);
    let above = Vec2::new(-size.x / 2.0, -size.y - HALF - 2.0);
    let place = [right, left, above]
        .into_iter()
        .map(|offset| Rect::from_min_size(centre + offset, size))
        .find(|place| {
            let inside = place.left() >= plot.left() && place.right() <= plot.right() + 20.0;
            inside && !taken.iter().any(|other| other.intersects(*place))
        });
    if let Some(place) = place {
        painter.galley(place.min, galley, colour);
        taken.push(place);
    }
}

fn axes(painter: &Painter, theme: &Tokens, plot: Rect, (x, y): ([f32; 2], [f32; 2])) {
    let line = Stroke::new(1.0, theme.outline);
    painter.hline(plot.x_range(), plot.bottom(), line);
    painter.vline(plot.left(), plot.y_range(), line);
    let text = |at: Pos2, align: Align2, text: String| {
        painter.text(at, align, text, tokens::small_font(), theme.text_weak);
    };
    for share in [0.0, 0.5, 1.0] {
        let value = x[0] + (x[1] - x[0]) * share;
        let at = Pos2::new(plot.left() + plot.width() * share, plot.bottom() + HALF);
        text(at, Align2::CENTER_TOP, number::activation(value));
        let value = y[0] + (y[1] - y[0]) * share;
        let at = Pos2::new(plot.left() - HALF, plot.bottom() - plot.height() * share);
        text(at, Align2::RIGHT_CENTER, format!("{value:.3}"));
    }
    let below = Pos2::new(plot.center().x, plot.bottom() + 20.0);
    text(
        below,
        Align2::CENTER_TOP,
        "L0, active at one place".to_owned(),
    );
    let beside = Pos2::new(plot.left() + HALF, plot.top() - HALF);
    text(beside, Align2::LEFT_CENTER, "FVU".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points: Vec<RunPoint<'_>> = [(8.0, 0.3), (4.0, 0.4), (16.0, 0.35), (16.0, 0.2)]
            .into_iter()
            .map(|(l0, fvu)| RunPoint {
                name: "",
                l0,
                fvu,
                chosen: false,
            })
            .collect();
        assert_eq!(pareto_front(&points), [1, 0, 3]);
        assert!(pareto_front(&[]).is_empty());
    }

    #[test]
    fn a_flat_curve_has_a_range() {
        assert_eq!(range([2.0, 2.0].into_iter()), [1.5, 2.5]);
        assert_eq!(range([1.0, f32::NAN, 3.0].into_iter()), [1.0, 3.0]);
        assert_eq!(range(std::iter::empty()), [0.0, 1.0]);
    }
}
