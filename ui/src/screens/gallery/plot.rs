//! All features of a dictionary as a picture of cells, however many they are: a frame draws one
//! image. A rectangle that is dragged filters the cards.

use std::sync::Arc;

use egui::{
    Align2, Color32, ColorImage, Pos2, Rect, Role, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, Ui, Vec2, WidgetInfo,
};
use engine::views::{FeaturePlot, FeaturePoints, PlotArea, Revision};
use schema::FeatureId;

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::screens::gallery::pane::Pane;
use crate::tokens::{self, GRID, Tokens};
use crate::widgets::{notice, number};

/// Side of a cell, in points.
const CELL: f32 = 4.0;
/// Room left of and below the plot for its scales.
const SCALES: Vec2 = Vec2::new(44.0, 34.0);
/// Least side of a dragged rectangle, in points; less is a click.
const LEAST: f32 = 4.0;
/// Share of the range left free around the points.
const MARGIN: f32 = 0.04;

/// What the picture was made of.
struct Made {
    sae: String,
    plot: FeaturePlot,
    points: Arc<FeaturePoints>,
    ids: Arc<Vec<FeatureId>>,
    cells: [usize; 2],
    canvas: Color32,
}

/// Where the features lie, as it was last asked.
struct Asked {
    sae: String,
    plot: FeaturePlot,
    revision: Revision,
    points: Answer<Option<Arc<FeaturePoints>>>,
}

/// The picture of a plot and what is dragged on it.
#[derive(Default)]
pub(super) struct Drawn {
    picture: Option<(Made, TextureHandle, Bounds)>,
    drag_from: Option<Pos2>,
    asked: Option<Asked>,
}

/// Range of the plot in its units.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bounds {
    x: [f32; 2],
    y: [f32; 2],
}

impl Bounds {
    fn of(points: &FeaturePoints) -> Self {
        let range = |values: &[f32]| {
            let finite = values.iter().copied().filter(|value| value.is_finite());
            let [low, high] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], at| {
                [low.min(at), high.max(at)]
            });
            if low > high {
                return [0.0, 1.0];
            }
            let margin = ((high - low) * MARGIN).max(1e-3);
            [low - margin, high + margin]
        };
        Self {
            x: range(&points.x),
            y: range(&points.y),
        }
    }

    /// Shares of the plot's width and height, from the left and from the top.
    fn share(self, x: f32, y: f32) -> [f32; 2] {
        [
            (x - self.x[0]) / (self.x[1] - self.x[0]),
            (self.y[1] - y) / (self.y[1] - self.y[0]),
        ]
    }

    fn position(self, rect: Rect, x: f32, y: f32) -> Pos2 {
        let [right, down] = self.share(x, y);
        rect.min + Vec2::new(right * rect.width(), down * rect.height())
    }

    fn area(self, plot: FeaturePlot, rect: Rect, chosen: Rect) -> PlotArea {
        let x = |at: f32| self.x[0] + (at - rect.left()) / rect.width() * (self.x[1] - self.x[0]);
        let y = |at: f32| self.y[1] - (at - rect.top()) / rect.height() * (self.y[1] - self.y[0]);
        PlotArea {
            plot,
            x: [x(chosen.left()), x(chosen.right())],
            y: [y(chosen.bottom()), y(chosen.top())],
        }
    }
}

/// Features in each cell, row-major from the top left: all, and those listed.
fn count(
    points: &FeaturePoints,
    ids: &[FeatureId],
    bounds: Bounds,
    [columns, rows]: [usize; 2],
) -> [Vec<u32>; 2] {
    let mut counts = [vec![0; columns * rows], vec![0; columns * rows]];
    let cell = |at: usize| {
        let (x, y) = (*points.x.get(at)?, *points.y.get(at)?);
        let [right, down] = bounds.share(x, y);
        (right.is_finite() && down.is_finite()).then(|| {
            let column = ((right * columns as f32) as usize).min(columns - 1);
            let row = ((down * rows as f32) as usize).min(rows - 1);
            row * columns + column
        })
    };
    for at in (0..points.x.len()).filter_map(cell) {
        counts[0][at] += 1;
    }
    for at in ids.iter().filter_map(|id| cell(id.0 as usize)) {
        counts[1][at] += 1;
    }
    counts
}

/// Cells with a listed feature in the accent colour, others weak; the more features the stronger.
fn image(theme: &Tokens, [all, listed]: &[Vec<u32>; 2], cells: [usize; 2]) -> ColorImage {
    let most = |counts: &[u32]| (1.0 + counts.iter().copied().max().unwrap_or(0) as f32).ln();
    let (most_all, most_listed) = (most(all), most(listed));
    let pixels = all.iter().zip(listed).map(|(&all, &listed)| {
        let shade = |n: u32, most: f32, colour| {
            let share = 0.4 + 0.6 * (1.0 + n as f32).ln() / most;
            tokens::mix(theme.canvas, colour, share)
        };
        if listed > 0 {
            shade(listed, most_listed, theme.accent)
        } else if all > 0 {
            shade(all, most_all, theme.outline)
        } else {
            theme.canvas
        }
    });
    ColorImage::new(cells, pixels.collect())
}

impl Pane {
    /// The plot beside the cards.
    pub(super) fn plot_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        sae: &str,
        (plot, ids): (FeaturePlot, &Arc<Vec<FeatureId>>),
    ) {
        let points = match self.drawn.points(ctx, sae, plot) {
            Ok(Some(points)) => points,
            Ok(None) => {
                map_first_ui(ctx, ui, sae);
                return;
            }
            Err(problem) => {
                notice::error_ui(ui, &problem);
                return;
            }
        };
        let text = if self.query.area.is_some() {
            "Only the features in the rectangle are shown"
        } else {
            "Drag a rectangle to show only the features in it"
        };
        ui.horizontal(|ui| {
            notice::weak_cut_ui(ui, text);
            if self.query.area.is_some() && ui.button("Show all again").clicked() {
                self.query.area = None;
            }
        });
        let size = ui.available_size();
        let (outer, _) = ui.allocate_exact_size(size, Sense::hover());
        let rect = Rect::from_min_max(
            outer.min + Vec2::new(SCALES.x, 0.0),
            (outer.max - Vec2::new(GRID, SCALES.y)).max(outer.min + SCALES + Vec2::splat(CELL)),
        );
        let made = Made {
            sae: sae.to_owned(),
            plot,
            points,
            ids: Arc::clone(ids),
            cells: [rect.width(), rect.height()].map(|side| ((side / CELL) as usize).max(1)),
            canvas: tokens::of(ui).canvas,
        };
        let bounds = self.drawn.refresh(ui, made);
        self.drawn.paint(ui, rect);
        scales(
            ui,
            rect,
            bounds,
            self.drawn.picture.as_ref().map(|(made, ..)| made),
        );
        self.rectangle_ui(ui, rect, (plot, bounds, ids.len()));
    }

    /// The rectangle that filters, and the dragging of a new one.
    fn rectangle_ui(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        (plot, bounds, n_shown): (FeaturePlot, Bounds, usize),
    ) {
        let theme = tokens::of(ui);
        let id = ui.scope_id().with(("plot", self.side));
        let response = ui.interact(rect, id, Sense::click_and_drag());
        let name = match plot {
            FeaturePlot::Activity => "Density against mean activation",
            FeaturePlot::Directions => "Map of decoder directions",
        };
        response.widget_info(|| {
            let shown = number::count(n_shown as u64);
            WidgetInfo::labeled(
                Role::Image,
                true,
                format!("{name}, {}: {shown} features shown", self.side),
            )
        });
        if response.drag_started() {
            self.drawn.drag_from = ui.input(|input| input.pointer.press_origin());
        }
        let to = response.interact_pointer_pos();
        let dragged = self
            .drawn
            .drag_from
            .zip(to)
            .map(|(from, to)| Rect::from_two_pos(rect.clamp(from), rect.clamp(to)));
        if response.drag_stopped() {
            self.drawn.drag_from = None;
            let large = dragged.filter(|dragged| dragged.width().min(dragged.height()) >= LEAST);
            if let Some(chosen) = large {
                self.query.area = Some(bounds.area(plot, rect, chosen));
            }
        } else if response.clicked() {
            self.query.area = None;
        }
        let kept = self
            .query
            .area
            .filter(|area| area.plot == plot)
            .map(|area| {
                let at = |x: usize| bounds.position(rect, area.x[x], area.y[x]);
                Rect::from_two_pos(at(0), at(1))
            });
        let dragged = dragged.filter(|_| self.drawn.drag_from.is_some());
        if let Some(shown) = dragged.or(kept) {
            let stroke = Stroke::new(1.5, theme.text);
            ui.painter_at(rect)
                .rect_stroke(shown, 0.0, stroke, StrokeKind::Inside);
        }
    }
}

impl Drawn {
    /// Where the features lie, asked for once a revision.
    fn points(
        &mut self,
        ctx: &AppContext<'_>,
        sae: &str,
        plot: FeaturePlot,
    ) -> Answer<Option<Arc<FeaturePoints>>> {
        if let Some(known) = &self.asked
            && known.sae == sae
            && known.plot == plot
            && known.revision == ctx.revision
        {
            return known.points.clone();
        }
        let points = ctx.backend.feature_points(sae, plot);
        self.asked = Some(Asked {
            sae: sae.to_owned(),
            plot,
            revision: ctx.revision,
            points: points.clone(),
        });
        points
    }

    /// Makes the picture again if anything it shows has changed.
    fn refresh(&mut self, ui: &Ui, made: Made) -> Bounds {
        if let Some((known, _, bounds)) = &self.picture
            && known.sae == made.sae
            && known.plot == made.plot
            && known.cells == made.cells
            && known.canvas == made.canvas
            && Arc::ptr_eq(&known.points, &made.points)
            && Arc::ptr_eq(&known.ids, &made.ids)
        {
            return *bounds;
        }
        let bounds = Bounds::of(&made.points);
        let counts = count(&made.points, &made.ids, bounds, made.cells);
        let image = image(tokens::of(ui), &counts, made.cells);
        let texture = ui
            .ctx()
            .load_texture("features", image, TextureOptions::NEAREST);
        self.picture = Some((made, texture, bounds));
        bounds
    }

    fn paint(&self, ui: &Ui, rect: Rect) {
        if let Some((_, texture, _)) = &self.picture {
            let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
            ui.painter()
                .image(texture.id(), rect, whole, tokens::UNTINTED);
        }
    }
}

/// The map is a job of its own.
fn map_first_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
    notice::empty_ui(
        ui,
        "No map yet",
        "The map lays the decoder directions on the plane in which they differ most (their first two \
         principal components). It is computed once.",
        |ui| {
            let title = format!("Map the directions of {sae}");
            if ctx.jobs.iter().any(|job| job.title == title) {
                notice::weak_ui(ui, "Being computed: see the bar below");
            } else if ui.button("Compute the map").clicked() {
                ctx.send(Command::MapDirections(sae.to_owned()));
            }
        },
    );
}

/// Names of the axes, and powers of ten where they are logarithms.
fn scales(ui: &Ui, rect: Rect, bounds: Bounds, made: Option<&Made>) {
    let theme = tokens::of(ui);
    let painter = ui.painter();
    let font = tokens::small_font();
    let write = |at: Pos2, align: Align2, text: String| {
        painter.text(at, align, text, font.clone(), theme.text_weak);
    };
    let Some(made) = made else {
        return;
    };
    let below = rect.center_bottom() + Vec2::new(0.0, SCALES.y);
    let share = |axis: usize| {
        let variance = made.points.variance.unwrap_or_default()[axis];
        format!("{} of the variance", number::percent(variance))
    };
    if made.plot == FeaturePlot::Directions {
        write(
            below,
            Align2::CENTER_BOTTOM,
            format!("Across: {}, up: {}", share(0), share(1)),
        );
        return;
    }
    write(
        below,
        Align2::CENTER_BOTTOM,
        "Density across, mean activation up".to_owned(),
    );
    let powers = |[low, high]: [f32; 2]| low.ceil() as i32..=high.floor() as i32;
    for power in powers(bounds.x) {
        let at = bounds.position(rect, power as f32, bounds.y[0]);
        let text = number::percent(10.0_f32.powi(power));
        write(at + Vec2::new(0.0, 2.0), Align2::CENTER_TOP, text);
    }
    for power in powers(bounds.y) {
        let at = bounds.position(rect, bounds.x[0], power as f32);
        let text = number::activation(10.0_f32.powi(power));
        write(at - Vec2::new(4.0, 0.0), Align2::RIGHT_CENTER, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_with_a_place_is_counted_in_its_cell() {
        let points = FeaturePoints {
            x: vec![0.0, 1.0, 1.0, f32::NAN],
            y: vec![0.0, 1.0, 1.0, 0.5],
            variance: None,
        };
        let bounds = Bounds::of(&points);
        let [all, listed] = count(&points, &[FeatureId(2), FeatureId(3)], bounds, [2, 2]);
        // Up is at the top: (1, 1) is the second cell of the first row, (0, 0) the first of the last.
        assert_eq!(all, [0, 2, 1, 0]);
        assert_eq!(listed, [0, 1, 0, 0]);
    }

    #[test]
    fn a_dragged_rectangle_holds_the_points_under_it() {
        let bounds = Bounds {
            x: [-4.0, 0.0],
            y: [-1.0, 1.0],
        };
        let rect = Rect::from_min_size(Pos2::new(100.0, 50.0), Vec2::new(400.0, 200.0));
        let chosen = Rect::from_min_max(Pos2::new(100.0, 50.0), Pos2::new(300.0, 150.0));
        let area = bounds.area(FeaturePlot::Activity, rect, chosen);
        assert!(area.contains(-3.0, 0.5) && area.contains(-2.0, 0.0));
        assert!(!area.contains(-1.9, 0.5) && !area.contains(-3.0, -0.1));
        assert_eq!(bounds.position(rect, -2.0, 0.0), chosen.max);
    }
}
