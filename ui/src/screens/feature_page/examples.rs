//! The rows of small examples: the top, then one row per quantile band.

use egui::{Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};
use engine::views::{ExampleKind, ExampleView, FeaturePage};

use crate::app_context::AppContext;
use crate::screens::feature_page::example_name;
use crate::tokens::{self, GRID};
use crate::widgets::{example, notice, number};

/// Side of a film thumbnail.
const THUMB: f32 = 88.0;

/// The examples of one feature.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    /// How they look.
    pub(crate) kind: ExampleKind,
    /// Best first.
    pub(crate) top: &'a [ExampleView],
    /// From equal quantile bands of the activation, highest band first.
    pub(crate) bands: &'a [Vec<ExampleView>],
    /// The feature's highest activation.
    pub(crate) maximum: f32,
}

impl<'a> Examples<'a> {
    /// Those of a feature page.
    pub(crate) fn of_page(page: &'a FeaturePage) -> Self {
        Self {
            kind: page.kind,
            top: &page.top,
            bands: &page.bands,
            maximum: page.card.max_activation,
        }
    }
}

/// Activations where two bands meet: halfway between the lowest example of one and the highest of
/// the next. Bands hold equally many samples by their highest activation, which a histogram of
/// places does not tell.
pub(crate) fn band_edges(bands: &[Vec<ExampleView>]) -> Vec<f32> {
    let range = |band: &Vec<ExampleView>| {
        let activations = || band.iter().map(|example| example.activation);
        let lowest = activations().reduce(f32::min)?;
        Some((lowest, activations().reduce(f32::max)?))
    };
    let ranges: Vec<(f32, f32)> = bands.iter().filter_map(range).collect();
    ranges
        .windows(2)
        .map(|pair| f32::midpoint(pair[0].0, pair[1].1))
        .collect()
}

/// Row 0 is the top, the others are quantile bands, highest first.
pub(crate) fn row(shown: Examples<'_>, index: usize) -> Option<&[ExampleView]> {
    match index.checked_sub(1) {
        None => Some(shown.top),
        Some(band) => shown.bands.get(band).map(Vec::as_slice),
    }
}

/// The example that is shown large.
pub(crate) fn chosen(shown: Examples<'_>, place: (usize, usize)) -> Option<&ExampleView> {
    row(shown, place.0)
        .and_then(|examples| examples.get(place.1))
        .or_else(|| shown.top.first())
}

fn row_name(shown: Examples<'_>, index: usize) -> String {
    match index {
        0 => "Top".to_owned(),
        _ => format!("Band {index} of {}", shown.bands.len()),
    }
}

/// All rows; a click makes an example the large one.
pub(crate) fn rows_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    shown: Examples<'_>,
    place: &mut (usize, usize),
) {
    ui.add_space(GRID);
    ScrollArea::vertical()
        .id_salt("example rows")
        .auto_shrink(false)
        .show(ui, |ui| {
            for index in 0..=shown.bands.len() {
                let Some(examples) = row(shown, index).filter(|row| !row.is_empty()) else {
                    continue;
                };
                notice::weak_ui(ui, heading(shown, index, examples));
                match shown.kind {
                    ExampleKind::Film => films_ui(ctx, ui, shown, (index, examples), place),
                    ExampleKind::Text | ExampleKind::History => {
                        lines_ui(ctx, ui, shown, (index, examples), place);
                    }
                }
            }
        });
}

fn heading(shown: Examples<'_>, index: usize, examples: &[ExampleView]) -> String {
    let highest = examples.iter().map(|e| e.activation).fold(0.0, f32::max);
    let lowest = examples
        .iter()
        .map(|e| e.activation)
        .fold(highest, f32::min);
    format!(
        "{} · activation {} to {}",
        row_name(shown, index),
        number::activation(highest),
        number::activation(lowest)
    )
}

fn films_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    shown: Examples<'_>,
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
                    one_ui(ctx, ui, shown, (size, sample), (index, i), place);
                }
            });
        });
}

fn lines_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    shown: Examples<'_>,
    (index, examples): (usize, &[ExampleView]),
    place: &mut (usize, usize),
) {
    ui.spacing_mut().item_spacing.y = 2.0;
    for (i, sample) in examples.iter().enumerate() {
        let size = Vec2::new(ui.available_width() - GRID, 26.0);
        one_ui(ctx, ui, shown, (size, sample), (index, i), place);
    }
    ui.add_space(GRID);
}

fn one_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    shown: Examples<'_>,
    (size, sample): (Vec2, &ExampleView),
    own: (usize, usize),
    place: &mut (usize, usize),
) {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let label = format!("Example {} of {}", own.1 + 1, row_name(shown, own.0));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    if response.clicked() {
        *place = own;
    }
    if !ui.is_rect_visible(rect) {
        return;
    }
    let theme = tokens::of(ui);
    let is_film = shown.kind == ExampleKind::Film;
    if !is_film {
        ui.painter().rect_filled(rect, tokens::RADIUS, theme.panel);
    }
    let inner = if is_film {
        rect
    } else {
        rect.shrink2(Vec2::new(GRID, 0.0))
    };
    example::paint(ctx, ui, inner, sample, shown.maximum);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::views::ExampleContent;
    use schema::Split;

    use super::*;

    #[test]
    fn bands_meet_between_their_examples() {
        let band = |activations: &[f32]| -> Vec<ExampleView> {
            let one = |&activation: &f32| ExampleView {
                sample: 0,
                sample_id: String::new(),
                split: Split::Train,
                position: 0,
                activation,
                content: ExampleContent::Text {
                    tokens: Arc::default(),
                },
            };
            activations.iter().map(one).collect()
        };
        let bands = [band(&[9.0, 8.0]), band(&[6.0, 4.0]), band(&[2.0])];
        assert_eq!(band_edges(&bands), [7.0, 3.0]);
        // Of three samples one band of four is empty.
        let bands = [band(&[]), band(&[9.0]), band(&[5.0]), band(&[2.0])];
        assert_eq!(band_edges(&bands), [7.0, 3.5]);
        assert!(band_edges(&[band(&[9.0])]).is_empty());
        assert!(band_edges(&[]).is_empty());
    }
}
