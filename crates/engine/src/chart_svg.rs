//! Charts as SVG: marks, whiskers and words with presentation attributes only, so that the same text
//! stands in a page whose policy obeys no style, and in a file of its own.

use std::fmt::Write as _;

use crate::html::escaped;
use crate::views::{Chart, ChartShape, ChartValue, Mark, tick_words};

/// Width of a chart.
const WIDTH: f64 = 760.0;
/// Where the plot begins, below title and legend.
const TOP: f64 = 80.0;
/// Height of the plot of a histogram.
const HEIGHT: f64 = 220.0;
/// Height of one value's lane in a chart of rows.
const LANE: f64 = 16.0;
/// Space between two names of a chart of rows.
const ROW_GAP: f64 = 10.0;
/// Below the plot: ticks, name of the axis, source, safety.
const BOTTOM: f64 = 78.0;
/// Right of the rows: values in words.
const VALUES: f64 = 152.0;
/// Longest name of a category, in letters.
const LONGEST: usize = 34;
/// Colours of the series, told apart by colour-blind readers (Okabe and Ito); greys for what is
/// beside the dictionary would be lost in print.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#5a5a5a", "#009e73", "#cc79a7"];
const INK: &str = "#1a1a1e";
const WEAK: &str = "#56565e";
const LINE: &str = "#d4d4d8";
const FONT: &str = "IBM Plex Sans, Helvetica, Arial, sans-serif";

/// A place for values.
struct Plot<'a> {
    chart: &'a Chart,
    left: f64,
    right: f64,
    bottom: f64,
    range: [f64; 2],
}

impl<'a> Plot<'a> {
    fn new(chart: &'a Chart) -> Self {
        let longest = chart.categories.iter().map(|name| name.chars().count());
        let letters = longest.max().unwrap_or(0).min(LONGEST);
        let n = chart.categories.len() as f64;
        let (left, right, height) = match chart.shape {
            ChartShape::Rows => {
                let row = LANE * chart.series.len() as f64 + ROW_GAP;
                (28.0 + 6.6 * letters as f64, WIDTH - VALUES, row * n)
            }
            ChartShape::Columns | ChartShape::Curves => (64.0, WIDTH - 24.0, HEIGHT),
        };
        Self {
            chart,
            left,
            right,
            bottom: TOP + height,
            range: chart.range(),
        }
    }

    fn height(&self) -> f64 {
        self.bottom + BOTTOM
    }

    /// Where a value lies along its axis.
    fn at(&self, value: f64) -> f64 {
        let [low, high] = self.range;
        let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
        match self.chart.shape {
            ChartShape::Rows => self.left + (self.right - self.left) * share,
            ChartShape::Columns | ChartShape::Curves => self.bottom - (self.bottom - TOP) * share,
        }
    }

    /// Where bars begin.
    fn base(&self) -> f64 {
        self.at(0.0)
    }
}

/// A chart as a file of its own.
pub(crate) fn file(chart: &Chart) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
        drawn(chart, " xmlns=\"http://www.w3.org/2000/svg\"")
    )
}

/// A chart as part of a page.
pub(crate) fn inline(chart: &Chart) -> String {
    drawn(chart, "")
}

fn drawn(chart: &Chart, namespace: &str) -> String {
    let plot = Plot::new(chart);
    let height = plot.height();
    let mut svg = format!(
        "<svg{namespace} width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{title}\" font-family=\"{FONT}\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        title = escaped(&chart.title)
    );
    text(&mut svg, (16.0, 26.0), "start", (15, INK), &chart.title);
    legend(&mut svg, chart);
    axis(&mut svg, &plot);
    match chart.shape {
        ChartShape::Rows => rows(&mut svg, &plot),
        ChartShape::Columns => columns(&mut svg, &plot),
        ChartShape::Curves => curves(&mut svg, &plot),
    }
    reference(&mut svg, &plot);
    text(
        &mut svg,
        (16.0, height - 26.0),
        "start",
        (10, WEAK),
        &chart.source,
    );
    let safety = "Fluoroscope: research use, not for diagnosis";
    text(&mut svg, (16.0, height - 11.0), "start", (10, WEAK), safety);
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, (size, fill): (u8, &str), words: &str) {
    let words = escaped(words);
    // Writing to a string cannot fail.
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
         fill=\"{fill}\">{words}</text>"
    )
    .ok();
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), stroke: &str, rest: &str) {
    writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\"{rest}/>",
        from.0, from.1, to.0, to.1
    )
    .ok();
}

fn legend(svg: &mut String, chart: &Chart) {
    if chart.series.len() < 2 {
        return;
    }
    let mut x = 16.0;
    for (series, colour) in chart.series.iter().zip(COLOURS) {
        writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"39\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
        )
        .ok();
        text(svg, (x + 15.0, 48.0), "start", (11, INK), &series.name);
        x += 34.0 + 6.2 * series.name.chars().count() as f64;
    }
}

fn axis(svg: &mut String, plot: &Plot<'_>) {
    let chart = plot.chart;
    for tick in chart.ticks() {
        let at = plot.at(tick);
        let words = tick_words(tick);
        match chart.shape {
            ChartShape::Rows => {
                line(svg, (at, TOP - 4.0), (at, plot.bottom), LINE, "");
                text(svg, (at, plot.bottom + 14.0), "middle", (10, WEAK), &words);
            }
            ChartShape::Columns | ChartShape::Curves => {
                line(svg, (plot.left, at), (plot.right, at), LINE, "");
                text(svg, (plot.left - 6.0, at + 3.5), "end", (10, WEAK), &words);
            }
        }
    }
    let middle = f64::midpoint(plot.left, plot.right);
    let below = (middle, plot.bottom + 32.0);
    match chart.shape {
        ChartShape::Rows => text(svg, below, "middle", (11, INK), &chart.axis.words()),
        ChartShape::Columns => {
            text(svg, below, "middle", (11, INK), &chart.category);
            let beside = (plot.left - 6.0, TOP - 8.0);
            text(svg, beside, "end", (11, INK), &chart.axis.words());
        }
        ChartShape::Curves => {
            text(svg, below, "middle", (11, INK), &chart.category);
            let above = (16.0, TOP - 12.0);
            text(svg, above, "start", (11, INK), &chart.axis.words());
        }
    }
}

fn reference(svg: &mut String, plot: &Plot<'_>) {
    let Some((value, name)) = &plot.chart.reference else {
        return;
    };
    let at = plot.at(*value);
    let dashed = " stroke-dasharray=\"4 3\"";
    match plot.chart.shape {
        ChartShape::Rows => {
            line(svg, (at, TOP - 4.0), (at, plot.bottom), WEAK, dashed);
            let words = format!("{name} ({})", tick_words(*value));
            let at = at.clamp(plot.left + 40.0, plot.right - 40.0);
            text(svg, (at, TOP - 7.0), "middle", (10, WEAK), &words);
        }
        ChartShape::Columns | ChartShape::Curves => {
            line(svg, (plot.left, at), (plot.right, at), WEAK, dashed);
            text(svg, (plot.right, at - 4.0), "end", (10, WEAK), name);
        }
    }
}

/// A name cut to what there is room for.
fn cut(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LONGEST - 1).collect();
    format!("{kept}…")
}

fn rows(svg: &mut String, plot: &Plot<'_>) {
    let chart = plot.chart;
    let n_lanes = chart.series.len() as f64;
    for (at, category) in chart.categories.iter().enumerate() {
        let top = TOP + at as f64 * (LANE * n_lanes + ROW_GAP) + ROW_GAP / 2.0;
        let middle = top + LANE * n_lanes / 2.0;
        let label = (plot.left - 10.0, middle + 4.0);
        text(svg, label, "end", (11, INK), &cut(category));
        for (lane, (series, colour)) in chart.series.iter().zip(COLOURS).enumerate() {
            let Some(value) = series.values.get(at).copied().flatten() else {
                continue;
            };
            let y = top + LANE * (lane as f64 + 0.5);
            hint(svg, category, &series.name, &value);
            match series.mark {
                Mark::Bar => {
                    let (from, to) = (plot.base(), plot.at(value.value));
                    let (x, width) = (from.min(to), (to - from).abs());
                    writeln!(
                        svg,
                        "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"10\" \
                         fill=\"{colour}\"/>",
                        y - 5.0
                    )
                    .ok();
                }
                Mark::Point | Mark::Band => {
                    let x = plot.at(value.value);
                    writeln!(
                        svg,
                        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
                    )
                    .ok();
                }
            }
            if let Some([low, high]) = value.interval {
                let (low, high) = (plot.at(low), plot.at(high));
                let thick = " stroke-width=\"1.4\"";
                line(svg, (low, y), (high, y), INK, thick);
                for end in [low, high] {
                    line(svg, (end, y - 3.5), (end, y + 3.5), INK, thick);
                }
            }
            svg.push_str("</g>\n");
            let beside = (plot.right + 10.0, y + 3.5);
            text(svg, beside, "start", (10, INK), &value.words());
        }
    }
    line(
        svg,
        (plot.base(), TOP - 4.0),
        (plot.base(), plot.bottom),
        WEAK,
        "",
    );
}

fn columns(svg: &mut String, plot: &Plot<'_>) {
    let chart = plot.chart;
    let n = chart.categories.len().max(1) as f64;
    let group = (plot.right - plot.left) / n;
    let width = (group - 6.0).max(2.0) / chart.series.len().max(1) as f64;
    let every = (46.0 / group).ceil().max(1.0) as usize;
    for (at, category) in chart.categories.iter().enumerate() {
        let left = plot.left + group * at as f64 + 3.0;
        if at % every == 0 {
            let below = (left + (group - 6.0) / 2.0, plot.bottom + 14.0);
            text(svg, below, "middle", (10, WEAK), category);
        }
        for (lane, (series, colour)) in chart.series.iter().zip(COLOURS).enumerate() {
            let Some(value) = series.values.get(at).copied().flatten() else {
                continue;
            };
            let x = left + width * lane as f64;
            let top = plot.at(value.value);
            hint(svg, category, &series.name, &value);
            writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                 fill=\"{colour}\"/></g>",
                (width - 1.0).max(1.0),
                plot.base() - top
            )
            .ok();
        }
    }
    line(
        svg,
        (plot.left, plot.base()),
        (plot.right, plot.base()),
        WEAK,
        "",
    );
}

/// Bands first, so that they hide no line.
fn curves(svg: &mut String, plot: &Plot<'_>) {
    let chart = plot.chart;
    let steps = chart.categories.len().saturating_sub(1).max(1) as f64;
    let room = 20.0;
    let across = plot.right - plot.left - 2.0 * room;
    let at = |step: usize| plot.left + room + across * step as f64 / steps;
    let every = (46.0 * steps / across).ceil().max(1.0) as usize;
    for (step, category) in chart.categories.iter().enumerate().step_by(every) {
        let below = (at(step), plot.bottom + 14.0);
        text(svg, below, "middle", (10, WEAK), category);
    }
    let coloured: Vec<_> = chart.series.iter().zip(COLOURS).collect();
    let bands = coloured.iter().filter(|(one, _)| one.mark == Mark::Band);
    let lines = coloured.iter().filter(|(one, _)| one.mark != Mark::Band);
    for (series, colour) in bands.chain(lines) {
        let known: Vec<(usize, ChartValue)> = series
            .values
            .iter()
            .enumerate()
            .filter_map(|(step, value)| Some((step, (*value)?)))
            .collect();
        let is_band = series.mark == Mark::Band;
        if is_band {
            let edge = |end: usize| {
                let ends = known.iter();
                ends.map(move |(step, one)| {
                    (at(*step), one.interval.unwrap_or([one.value; 2])[end])
                })
            };
            let outline = edge(0).chain(edge(1).rev());
            let points = points_of(outline.map(|(x, value)| (x, plot.at(value))));
            let fill = "fill-opacity=\"0.18\"";
            writeln!(
                svg,
                "<polygon points=\"{points}\" fill=\"{colour}\" {fill}/>"
            )
            .ok();
        }
        let points = points_of(
            known
                .iter()
                .map(|(step, one)| (at(*step), plot.at(one.value))),
        );
        let dashed = if is_band {
            " stroke-dasharray=\"5 3\""
        } else {
            ""
        };
        writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"2\"{dashed}/>"
        )
        .ok();
        for (step, value) in &known {
            let category = chart.categories.get(*step).map_or("", String::as_str);
            hint(svg, category, &series.name, value);
            writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\" fill=\"{colour}\"/></g>",
                at(*step),
                plot.at(value.value),
                if is_band { 2 } else { 4 }
            )
            .ok();
        }
    }
}

fn points_of(points: impl Iterator<Item = (f64, f64)>) -> String {
    let each = points.map(|(x, y)| format!("{x:.1},{y:.1}"));
    each.collect::<Vec<_>>().join(" ")
}

/// Begins a group that says under the pointer what its mark is.
fn hint(svg: &mut String, category: &str, series: &str, value: &ChartValue) {
    let words = value.said(category, series);
    writeln!(svg, "<g><title>{}</title>", escaped(&words)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::{Axis, Series};

    fn chart(shape: ChartShape) -> Chart {
        let value = |value: f64| {
            Some(ChartValue {
                value,
                interval: Some([value - 0.1, value + 0.05]),
            })
        };
        Chart {
            id: "x".to_owned(),
            title: "Recall < 1 & \"kept\"".to_owned(),
            shape,
            category: "Finding".to_owned(),
            categories: vec!["effusion <left>".to_owned(), "nodule".to_owned()],
            axis: Axis {
                name: "AUROC".to_owned(),
                unit: "none".to_owned(),
                covers: [0.0, 1.0],
            },
            reference: Some((0.5, "chance".to_owned())),
            series: vec![
                Series {
                    name: "1 feature".to_owned(),
                    mark: Mark::Bar,
                    values: vec![value(0.8125), value(0.625)],
                },
                Series {
                    name: "5 features".to_owned(),
                    mark: Mark::Point,
                    values: vec![value(0.9375), None],
                },
            ],
            source: "films & more".to_owned(),
        }
    }

    #[test]
    fn it_is_xml_and_holds_each_value() {
        for shape in [ChartShape::Rows, ChartShape::Columns, ChartShape::Curves] {
            let svg = file(&chart(shape));
            let tree = resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
            let words: Vec<&str> = tree.descendants().filter_map(|node| node.text()).collect();
            let all = words.join("\n");
            for part in [
                "effusion <left>, 1 feature: 0.812 (0.713 to 0.863)",
                "nodule, 1 feature: 0.625 (0.525 to 0.675)",
                "effusion <left>, 5 features: 0.938 (0.838 to 0.988)",
                "AUROC (none)",
                "films & more",
                "Recall < 1 & \"kept\"",
                "not for diagnosis",
            ] {
                assert!(all.contains(part), "{part} in {all}");
            }
            let marks = tree.descendants().filter(|node| node.has_tag_name("g"));
            assert_eq!(marks.count(), 3);
        }
    }

    #[test]
    fn a_band_reaches_from_the_least_to_the_largest() {
        let mut chart = chart(ChartShape::Curves);
        chart.series[0].mark = Mark::Band;
        let svg = file(&chart);
        let tree = resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        let of = |tag: &str| -> Vec<Vec<f64>> {
            let nodes = tree.descendants().filter(|node| node.has_tag_name(tag));
            nodes
                .map(|node| {
                    let points = node.attribute("points").unwrap().split_whitespace();
                    points
                        .map(|point| point.split_once(',').unwrap().1.parse().unwrap())
                        .collect()
                })
                .collect()
        };
        let plot = Plot::new(&chart);
        // Written with one digit behind the point.
        let are_at = |drawn: &[f64], values: &[f64]| {
            assert_eq!(drawn.len(), values.len(), "{drawn:?}");
            for (height, &value) in drawn.iter().zip(values) {
                assert!((height - plot.at(value)).abs() < 0.06, "{drawn:?} {value}");
            }
        };
        let [outline] = of("polygon").try_into().unwrap();
        are_at(&outline, &[0.7125, 0.525, 0.675, 0.8625]);
        // The mean of the band, then the one point of the other series.
        let [mean, other] = of("polyline").try_into().unwrap();
        are_at(&mean, &[0.8125, 0.625]);
        are_at(&other, &[0.9375]);
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let svg = file(&chart(ChartShape::Rows));
        let tree = resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        let width = |name: &str| -> f64 {
            let group = tree
                .descendants()
                .find(|node| {
                    node.has_tag_name("g")
                        && node
                            .descendants()
                            .any(|n| n.text().is_some_and(|t| t.starts_with(name)))
                })
                .unwrap();
            let bar = group.children().find(|node| node.has_tag_name("rect"));
            bar.unwrap().attribute("width").unwrap().parse().unwrap()
        };
        let share = width("nodule, 1") / width("effusion <left>, 1");
        assert!((share - 0.625 / 0.8125).abs() < 0.002, "{share}");
    }
}
