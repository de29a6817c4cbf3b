//! The rows of small examples: the top, then one row per quantile band.

use egui::{Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use engine::views::{ExampleKind, ExampleView, FeaturePage};

use crate::app_context::AppContext;
use crate::screens::feature_page::example_name;
use crate::tokens::{self, GRID};
use crate::widgets::{example, notice, number};

/// Side of a film thumbnail.
const THUMB: f32 = 88.0;

/// Row 0 is the top, the others are quantile bands, highest first.
pub(crate) fn row(page: &FeaturePage, index: usize) -> Option<&[ExampleView]> {
    match index.checked_sub(1) {
        None => Some(&page.top),
        Some(band) => page.bands.get(band).map(Vec::as_slice),
    }
}

/// The example that is shown large.
pub(crate) fn chosen(page: &FeaturePage, place: (usize, usize)) -> Option<&ExampleView> {
    row(page, place.0)
        .and_then(|examples| examples.get(place.1))
        .or_else(|| page.top.first())
}

fn row_name(page: &FeaturePage, index: usize) -> String {
    match index {
        0 => "Top".to_owned(),
        _ => format!("Band {index} of {}", page.bands.len()),
    }
}

/// All rows; a click makes an example the large one.
pub(crate) fn rows_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    page: &FeaturePage,
    place: &mut (usize, usize),
) {
    ui.add_space(GRID);
    ScrollArea::vertical()
        .id_salt("example rows")
        .auto_shrink(false)
        .show(ui, |ui| {
            for index in 0..=page.bands.len() {
                let Some(examples) = row(page, index).filter(|row| !row.is_empty()) else {
                    continue;
                };
                notice::weak_ui(ui, heading(page, index, examples));
                match page.kind {
                    ExampleKind::Film => films_ui(ctx, ui, page, (index, examples), place),
                    ExampleKind::Text | ExampleKind::History => {
                        lines_ui(ctx, ui, page, (index, examples), place);
                    }
                }
            }
        });
}

fn heading(page: &FeaturePage, index: usize, examples: &[ExampleView]) -> String {
    let highest = examples.iter().map(|e| e.activation).fold(0.0, f32::max);
    let lowest = examples
        .iter()
        .map(|e| e.activation)
        .fold(highest, f32::min);
    format!(
        "{} · activation {} to {}",
        row_name(page, index),
        number::activation(highest),
        number::activation(lowest)
    )
}

fn films_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    page: &FeaturePage,
    (index, examples): (usize, &[ExampleView]),
    place: &mut (usize, usize),
) {
    ScrollArea::horizontal()
        .id_salt(("films", index))
        .auto_shrink([false, true])
        .show(ui, |ui| {
            ui.horizontal(|ui| {
                for (i, sample) in examples.iter().enumerate() {
                    let size = Vec2::splat(THUMB);
                    one_ui(ctx, ui, page, (size, sample), (index, i), place);
                }
            });
        });
}

fn lines_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    page: &FeaturePage,
    (index, examples): (usize, &[ExampleView]),
    place: &mut (usize, usize),
) {
    ui.spacing_mut().item_spacing.y = 2.0;
    for (i, sample) in examples.iter().enumerate() {
        let size = Vec2::new(ui.available_width() - GRID, 26.0);
        one_ui(ctx, ui, page, (size, sample), (index, i), place);
    }
    ui.add_space(GRID);
}

fn one_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    page: &FeaturePage,
    (size, sample): (Vec2, &ExampleView),
    own: (usize, usize),
    place: &mut (usize, usize),
) {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let label = format!("Example {} of {}", own.1 + 1, row_name(page, own.0));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    if response.clicked() {
        *place = own;
    }
    if !ui.is_rect_visible(rect) {
        return;
    }
    let theme = tokens::of(ui);
    let is_film = page.kind == ExampleKind::Film;
    if !is_film {
        ui.painter().rect_filled(rect, tokens::RADIUS, theme.panel);
    }
    let inner = if is_film {
        rect
    } else {
        rect.shrink2(Vec2::new(GRID, 0.0))
    };
    example::paint(ctx, ui, inner, sample, page.card.max_activation);
    let width = if *place == own {
        2.0
    } else if response.hovered() || response.has_focus() {
        1.0
    } else {
        0.0
    };
    if width > 0.0 {
        ui.painter().rect_stroke(
            rect,
            tokens::RADIUS,
            Stroke::new(width, theme.accent),
            StrokeKind::Inside,
        );
    }
    response.on_hover_text(example_name(sample));
}
