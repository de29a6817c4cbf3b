//! A chart of a report as the window draws it; its files are drawn by the engine.

use egui::{
    Align2, Color32, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2,
    WidgetInfo,
};
use engine::views::{Chart, ChartShape, ChartValue, Mark, tick_words};

use crate::tokens::{self, GRID, HALF, Tokens};
use crate::widgets::item_strip::truncated;

/// Height of one value's lane in a chart of rows.
const LANE: f32 = 16.0;
/// Space between two names of a chart of rows.
const ROW_GAP: f32 = 8.0;
/// Height of the plot of a histogram.
const HEIGHT: f32 = 200.0;
/// Above the plot: legend and reference.
const TOP: f32 = 40.0;
/// Below the plot: ticks and the name of the axis.
const BOTTOM: f32 = 40.0;
/// Right of rows: values in words.
const VALUES: f32 = 136.0;
/// Least distance of two labels below a histogram.
const LABEL: f32 = 48.0;

/// Where a chart is drawn.
struct Plot<'a> {
    chart: &'a Chart,
    painter: Painter,
    theme: &'static Tokens,
    place: Rect,
    names: f32,
    range: [f64; 2],
}

impl Plot<'_> {
    /// Where a value lies along its axis.
    fn at(&self, value: f64) -> f32 {
        let [low, high] = self.range;
        let share = ((value - low) / (high - low)).clamp(0.0, 1.0) as f32;
        match self.chart.shape {
            ChartShape::Rows => self.place.left() + self.place.width() * share,
            ChartShape::Columns | ChartShape::Curves => {
                self.place.bottom() - self.place.height() * share
            }
        }
    }

    fn colours(&self) -> [Color32; 5] {
        let theme = self.theme;
        [
            theme.accent,
            theme.warning,
            theme.bar,
            theme.good,
            theme.text_weak,
        ]
    }

    fn small(&self, at: Pos2, align: Align2, words: &str, colour: Color32) -> Rect {
        self.painter
            .text(at, align, words, tokens::small_font(), colour)
    }
}

/// Draws the chart without its title and source.
pub(crate) fn chart_ui(ui: &mut Ui, chart: &Chart) -> Response {
    let n_lanes = chart.series.len() as f32;
    let plot_height = match chart.shape {
        ChartShape::Rows => (LANE * n_lanes + ROW_GAP) * chart.categories.len() as f32,
        ChartShape::Columns | ChartShape::Curves => HEIGHT,
    };
    let size = Vec2::new(ui.available_width(), TOP + plot_height + BOTTOM);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, in_words(chart)));
    let names = match chart.shape {
        ChartShape::Rows => (rect.width() * 0.28).min(200.0),
        ChartShape::Columns | ChartShape::Curves => 44.0,
    };
    let beside = match chart.shape {
        ChartShape::Rows => VALUES,
        ChartShape::Columns | ChartShape::Curves => GRID,
    };
    let plot = Plot {
        chart,
        painter: ui.painter_at(rect),
        theme: tokens::of(ui),
        place: Rect::from_min_max(
            rect.min + Vec2::new(names, TOP),
            Pos2::new(rect.right() - beside, rect.top() + TOP + plot_height),
        ),
        names,
        range: chart.range(),
    };
    legend(&plot, rect);
    axis(&plot);
    let under = response.hover_pos();
    let hovered = match chart.shape {
        ChartShape::Rows => rows(&plot, under),
        ChartShape::Columns => columns(&plot, under),
        ChartShape::Curves => curves(&plot, under),
    };
    reference(&plot);
    match hovered {
        Some(words) => response.on_hover_text(words),
        None => response,
    }
}

/// Title, and each value with what it is of.
fn in_words(chart: &Chart) -> String {
    let mut parts = vec![chart.title.clone()];
    for (at, category) in chart.categories.iter().enumerate() {
        for series in &chart.series {
            if let Some(value) = series.values.get(at).copied().flatten() {
                parts.push(value.said(category, &series.name));
            }
        }
    }
    parts.join("; ")
}

fn legend(plot: &Plot<'_>, rect: Rect) {
    if plot.chart.series.len() < 2 {
        return;
    }
    let mut left = rect.left();
    for (series, colour) in plot.chart.series.iter().zip(plot.colours()) {
        let middle = rect.top() + 9.0;
        let swatch = Rect::from_center_size(Pos2::new(left + 5.0, middle), Vec2::splat(9.0));
        plot.painter.rect_filled(swatch, 1.0, colour);
        let at = Pos2::new(left + 14.0, middle);
        let words = plot.small(at, Align2::LEFT_CENTER, &series.name, plot.theme.text);
        left = words.right() + 2.0 * GRID;
    }
}

fn axis(plot: &Plot<'_>) {
    let (place, theme) = (plot.place, plot.theme);
    let line = Stroke::new(1.0, theme.line);
    for tick in plot.chart.ticks() {
        let at = plot.at(tick);
        let words = tick_words(tick);
        match plot.chart.shape {
            ChartShape::Rows => {
                plot.painter.vline(at, place.y_range(), line);
                let below = Pos2::new(at, place.bottom() + HALF);
                plot.small(below, Align2::CENTER_TOP, &words, theme.text_weak);
            }
            ChartShape::Columns | ChartShape::Curves => {
                plot.painter.hline(place.x_range(), at, line);
                let beside = Pos2::new(place.left() - HALF, at);
                plot.small(beside, Align2::RIGHT_CENTER, &words, theme.text_weak);
            }
        }
    }
    let below = Pos2::new(place.center().x, place.bottom() + 20.0);
    let (name, above) = match plot.chart.shape {
        ChartShape::Rows => (plot.chart.axis.words(), None),
        ChartShape::Columns | ChartShape::Curves => {
            (plot.chart.category.clone(), Some(plot.chart.axis.words()))
        }
    };
    plot.small(below, Align2::CENTER_TOP, &name, theme.text_weak);
    if let Some(above) = above {
        let at = Pos2::new(place.left() - plot.names, place.top() - HALF);
        plot.small(at, Align2::LEFT_BOTTOM, &above, theme.text_weak);
    }
}

fn reference(plot: &Plot<'_>) {
    let Some((value, name)) = &plot.chart.reference else {
        return;
    };
    let at = plot.at(*value);
    let place = plot.place;
    let ends = match plot.chart.shape {
        ChartShape::Rows => [Pos2::new(at, place.top()), Pos2::new(at, place.bottom())],
        ChartShape::Columns | ChartShape::Curves => {
            [Pos2::new(place.left(), at), Pos2::new(place.right(), at)]
        }
    };
    let stroke = Stroke::new(1.0, plot.theme.text_weak);
    plot.painter
        .add(Shape::dashed_line(&ends, stroke, 4.0, 3.0));
    if plot.chart.shape == ChartShape::Curves {
        let above = Pos2::new(place.right(), at - HALF);
        plot.small(above, Align2::RIGHT_BOTTOM, name, plot.theme.text_weak);
        return;
    }
    let x = at.clamp(place.left() + 48.0, place.right() - 48.0);
    let above = Pos2::new(x, place.top() - HALF);
    plot.small(above, Align2::CENTER_BOTTOM, name, plot.theme.text_weak);
}

fn rows(plot: &Plot<'_>, under: Option<Pos2>) -> Option<String> {
    let (place, theme) = (plot.place, plot.theme);
    let n_lanes = plot.chart.series.len() as f32;
    let mut hovered = None;
    for (at, category) in plot.chart.categories.iter().enumerate() {
        let top = place.top() + at as f32 * (LANE * n_lanes + ROW_GAP) + ROW_GAP / 2.0;
        name(plot, category, top + LANE * n_lanes / 2.0);
        for (lane, (series, colour)) in plot.chart.series.iter().zip(plot.colours()).enumerate() {
            let Some(value) = series.values.get(at).copied().flatten() else {
                continue;
            };
            let y = top + LANE * (lane as f32 + 0.5);
            mark(plot, (series.mark, &value), y, colour);
            let beside = Pos2::new(place.right() + GRID, y);
            plot.small(beside, Align2::LEFT_CENTER, &value.words(), theme.text);
            if under.is_some_and(|pos| (pos.y - y).abs() <= LANE / 2.0) {
                hovered = Some(value.said(category, &series.name));
            }
        }
    }
    hovered
}

/// The name of a row, left of it. Where there is no room for all of it, what follows its last comma,
/// as the number of a feature, stays whole.
fn name(plot: &Plot<'_>, category: &str, middle: f32) {
    let colour = plot.theme.text;
    let room = plot.names - GRID;
    let width = |text: &str| {
        let font = tokens::body_font();
        let galley = plot.painter.layout_no_wrap(text.to_owned(), font, colour);
        galley.size().x
    };
    let end = category.rfind(", ").filter(|_| width(category) > room);
    let (start, end) = category.split_at(end.unwrap_or(category.len()));
    let width_of_end = if end.is_empty() { 0.0 } else { width(end) };
    let mut right = plot.place.left() - GRID;
    for (text, room) in [(end, room), (start, room - width_of_end)] {
        if text.is_empty() || room <= 0.0 {
            continue;
        }
        let galley = truncated(&plot.painter, text, room, colour);
        right -= galley.size().x;
        let at = Pos2::new(right, middle - galley.size().y / 2.0);
        plot.painter.galley(at, galley, colour);
    }
}

fn mark(plot: &Plot<'_>, (mark, value): (Mark, &ChartValue), y: f32, colour: Color32) {
    let x = plot.at(value.value);
    match mark {
        Mark::Bar => {
            let base = plot.at(0.0);
            let bar = Rect::from_two_pos(Pos2::new(base, y - 5.0), Pos2::new(x, y + 5.0));
            plot.painter.rect_filled(bar, 0.0, colour);
        }
        Mark::Point | Mark::Band => {
            plot.painter.circle_filled(Pos2::new(x, y), 4.0, colour);
        }
    }
    if let Some([low, high]) = value.interval {
        let (low, high) = (plot.at(low), plot.at(high));
        let stroke = Stroke::new(1.4, plot.theme.text);
        plot.painter.hline(low..=high, y, stroke);
        for end in [low, high] {
            plot.painter.vline(end, y - 3.0..=y + 3.0, stroke);
        }
    }
}

fn columns(plot: &Plot<'_>, under: Option<Pos2>) -> Option<String> {
    let place = plot.place;
    let group = place.width() / plot.chart.categories.len().max(1) as f32;
    let width = (group - 4.0).max(2.0) / plot.chart.series.len().max(1) as f32;
    let every = (LABEL / group).ceil().max(1.0) as usize;
    let base = plot.at(0.0);
    let mut hovered = None;
    for (at, category) in plot.chart.categories.iter().enumerate() {
        let left = place.left() + group * at as f32 + 2.0;
        if at % every == 0 {
            let below = Pos2::new(left + (group - 4.0) / 2.0, place.bottom() + HALF);
            plot.small(below, Align2::CENTER_TOP, category, plot.theme.text_weak);
        }
        for (lane, (series, colour)) in plot.chart.series.iter().zip(plot.colours()).enumerate() {
            let Some(value) = series.values.get(at).copied().flatten() else {
                continue;
            };
            let x = left + width * lane as f32;
            let right = x + (width - 1.0).max(1.0);
            let corners = (Pos2::new(x, plot.at(value.value)), Pos2::new(right, base));
            let bar = Rect::from_two_pos(corners.0, corners.1);
            plot.painter.rect_filled(bar, 0.0, colour);
            if under.is_some_and(|pos| pos.x >= x && pos.x < x + width) {
                hovered = Some(value.said(category, &series.name));
            }
        }
    }
    let stroke = Stroke::new(1.0, plot.theme.outline);
    plot.painter.hline(place.x_range(), base, stroke);
    hovered
}

/// Bands first, so that they hide no line.
fn curves(plot: &Plot<'_>, under: Option<Pos2>) -> Option<String> {
    let (chart, place) = (plot.chart, plot.place);
    let steps = chart.categories.len().saturating_sub(1).max(1) as f32;
    let across = place.width() - 4.0 * GRID;
    let at = |step: usize| place.left() + 2.0 * GRID + across * step as f32 / steps;
    let every = (LABEL * steps / across).ceil().max(1.0) as usize;
    for (step, category) in chart.categories.iter().enumerate().step_by(every) {
        let below = Pos2::new(at(step), place.bottom() + HALF);
        plot.small(below, Align2::CENTER_TOP, category, plot.theme.text_weak);
    }
    let coloured: Vec<_> = chart.series.iter().zip(plot.colours()).collect();
    let bands = coloured.iter().filter(|(one, _)| one.mark == Mark::Band);
    let lines = coloured.iter().filter(|(one, _)| one.mark != Mark::Band);
    let mut hovered = Vec::new();
    for (series, colour) in bands.chain(lines) {
        let known = series.values.iter().enumerate();
        let known: Vec<(usize, ChartValue)> = known
            .filter_map(|(step, value)| Some((step, (*value)?)))
            .collect();
        curve(plot, series.mark, *colour, &at, &known);
        let nearest = known.iter().find(|(step, _)| {
            under.is_some_and(|pos| (pos.x - at(*step)).abs() <= across / steps / 2.0)
        });
        if let Some((step, value)) = nearest {
            let category = chart.categories.get(*step).map_or("", String::as_str);
            hovered.push(value.said(category, &series.name));
        }
    }
    (!hovered.is_empty()).then(|| hovered.join("\n"))
}

fn curve(
    plot: &Plot<'_>,
    mark: Mark,
    colour: Color32,
    at: &dyn Fn(usize) -> f32,
    known: &[(usize, ChartValue)],
) {
    let point = |step: usize, value: f64| Pos2::new(at(step), plot.at(value));
    let is_band = mark == Mark::Band;
    if is_band {
        // A band is not convex as a whole, but between two neighbours it is.
        for pair in known.windows(2) {
            let [(left, a), (right, b)] = pair else {
                continue;
            };
            let [a, b] = [a, b].map(|one| one.interval.unwrap_or([one.value; 2]));
            let corners = vec![
                point(*left, a[0]),
                point(*right, b[0]),
                point(*right, b[1]),
                point(*left, a[1]),
            ];
            let fill = tokens::mix(plot.theme.panel, colour, 0.18);
            plot.painter
                .add(Shape::convex_polygon(corners, fill, Stroke::NONE));
        }
    }
    let points: Vec<Pos2> = known
        .iter()
        .map(|(step, one)| point(*step, one.value))
        .collect();
    for one in &points {
        let radius = if is_band { 2.0 } else { 4.0 };
        plot.painter.circle_filled(*one, radius, colour);
    }
    let stroke = Stroke::new(2.0, colour);
    if is_band {
        plot.painter
            .extend(Shape::dashed_line(&points, stroke, 5.0, 3.0));
    } else {
        plot.painter.add(Shape::line(points, stroke));
    }
}
