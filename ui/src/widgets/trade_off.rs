//! A plot of what is gained against what it costs, with a point for each strength.

use egui::{
    Align2, Color32, Painter, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo,
};

use crate::tokens::{self, GRID, HALF, Tokens};
use crate::widgets::number;

/// Height of the plot.
const HEIGHT: f32 = 240.0;
/// Distance within which a click takes a point.
const REACH: f32 = 14.0;

/// One line of the plot.
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    /// `[x, y]` by strength.
    pub(crate) points: Vec<[f32; 2]>,
}

/// What is plotted; the first series is the one to choose on.
pub(crate) struct TradeOff<'a> {
    pub(crate) series: &'a [Series<'a>],
    /// What the strengths are called, in the order of the points.
    pub(crate) names: &'a [String],
    pub(crate) chosen: usize,
    /// Names of x and y.
    pub(crate) axes: (&'a str, &'a str),
}

/// Lowest and highest value with some room around them.
fn range(values: impl Iterator<Item = f32>) -> [f32; 2] {
    let [low, high] = values.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], value| {
        [low.min(value), high.max(value)]
    });
    if low > high {
        return [0.0, 1.0];
    }
    let room = ((high - low) * 0.1).max(high.abs() * 0.01).max(1e-6);
    [low - room, high + room]
}

/// Draws the plot; the point of the first series that was clicked.
pub(crate) fn trade_off_ui(ui: &mut Ui, plot: &TradeOff<'_>) -> Option<usize> {
    let theme = tokens::of(ui);
    let size = Vec2::new(ui.available_width(), HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, tokens::RADIUS, theme.canvas);
    let (x_name, y_name) = plot.axes;
    let label = format!("{y_name} against {x_name} at {}", plot.names.join(", "));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    let place = Rect::from_min_max(
        rect.min + Vec2::new(60.0, 32.0),
        rect.max - Vec2::new(24.0, 40.0),
    );
    let all = || plot.series.iter().flat_map(|series| &series.points);
    let x = range(all().map(|point| point[0]));
    let y = range(all().map(|point| point[1]));
    axes(&painter, theme, (rect, place), (x, y), plot.axes);
    let at = |point: &[f32; 2]| {
        let share = |value: f32, [low, high]: [f32; 2]| (value - low) / (high - low);
        Pos2::new(
            place.left() + place.width() * share(point[0], x),
            place.bottom() - place.height() * share(point[1], y),
        )
    };
    let colours = [theme.accent, theme.text, theme.bar];
    for (series, colour) in plot.series.iter().zip(colours).rev() {
        let places: Vec<Pos2> = series.points.iter().map(at).collect();
        for place in &places {
            painter.circle_filled(*place, 3.0, colour);
        }
        painter.add(Shape::line(places, Stroke::new(1.5, colour)));
    }
    legend(&painter, rect, plot.series, &colours);
    let first = plot.series.first().map_or(&[][..], |series| &series.points);
    if let Some(point) = first.get(plot.chosen) {
        painter.circle_stroke(at(point), 7.0, Stroke::new(2.0, theme.accent));
    }
    for (point, name) in first.iter().zip(plot.names) {
        painter.text(
            at(point) + Vec2::new(0.0, -9.0),
            Align2::CENTER_BOTTOM,
            name,
            tokens::small_font(),
            theme.text_weak,
        );
    }
    let hovered = response.hover_pos().and_then(|pos| {
        let distance = |point: &[f32; 2]| at(point).distance(pos);
        let each = first.iter().enumerate();
        let nearest = each.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))?;
        (distance(nearest.1) < REACH).then_some(nearest.0)
    });
    hovered.filter(|_| response.clicked())
}

/// Names of the lines, from the left.
fn legend(painter: &Painter, rect: Rect, series: &[Series<'_>], colours: &[Color32]) {
    let mut left = rect.left() + GRID;
    for (series, &colour) in series.iter().zip(colours) {
        if series.points.is_empty() {
            continue;
        }
        let middle = rect.top() + 14.0;
        painter.circle_filled(Pos2::new(left + 3.0, middle), 3.0, colour);
        let text = painter.text(
            Pos2::new(left + 10.0, middle),
            Align2::LEFT_CENTER,
            series.name,
            tokens::small_font(),
            colour,
        );
        left = text.right() + 2.0 * GRID;
    }
}

fn axes(
    painter: &Painter,
    theme: &Tokens,
    (rect, place): (Rect, Rect),
    (x, y): ([f32; 2], [f32; 2]),
    (x_name, y_name): (&str, &str),
) {
    let line = Stroke::new(1.0, theme.outline);
    painter.hline(place.x_range(), place.bottom(), line);
    painter.vline(place.left(), place.y_range(), line);
    let text = |at: Pos2, align: Align2, text: String| {
        painter.text(at, align, text, tokens::small_font(), theme.text_weak);
    };
    for share in [0.0, 0.5, 1.0] {
        let value = x[0] + (x[1] - x[0]) * share;
        let at = Pos2::new(place.left() + place.width() * share, place.bottom() + HALF);
        text(at, Align2::CENTER_TOP, number::percent(value));
        let value = y[0] + (y[1] - y[0]) * share;
        let at = Pos2::new(place.left() - HALF, place.bottom() - place.height() * share);
        text(at, Align2::RIGHT_CENTER, format!("{value:.4}"));
    }
    let below = Pos2::new(place.center().x, place.bottom() + 20.0);
    text(below, Align2::CENTER_TOP, x_name.to_owned());
    let beside = Pos2::new(rect.right() - GRID, rect.top() + 14.0);
    text(beside, Align2::RIGHT_CENTER, format!("{y_name}, up"));
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_leaves_room_even_where_all_are_alike() {
        let [low, high] = range([0.2, 0.2].into_iter());
        assert!(low < 0.2 && high > 0.2);
        assert_eq!(range(std::iter::empty()), [0.0, 1.0]);
    }
}
