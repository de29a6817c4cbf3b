//! Rows of small tables: columns of fixed shares, text cut where its column ends.

use egui::{Align, Color32, Pos2, Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::widgets::item_strip::truncated;

/// Height of a row.
const ROW: f32 = 20.0;
/// Space between two columns.
const GAP: f32 = 8.0;

/// One cell.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    text: &'a str,
    /// Share of the width of the table.
    width: f32,
    align: Align,
    colour: Color32,
}

impl<'a> Cell<'a> {
    /// For words.
    pub(crate) fn left(text: &'a str, width: f32, colour: Color32) -> Self {
        Self {
            text,
            width,
            align: Align::Min,
            colour,
        }
    }

    /// For numbers.
    pub(crate) fn right(text: &'a str, width: f32, colour: Color32) -> Self {
        Self {
            text,
            width,
            align: Align::Max,
            colour,
        }
    }
}

/// Draws one row over the whole width.
pub(crate) fn row_ui(ui: &mut Ui, cells: &[Cell<'_>]) -> Response {
    let spacing = std::mem::replace(&mut ui.spacing_mut().item_spacing.y, 0.0);
    let size = Vec2::new(ui.available_width(), ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    ui.spacing_mut().item_spacing.y = spacing;
    let label = cells
        .iter()
        .map(|cell| cell.text)
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("  ");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
    paint(ui, rect, cells);
    response
}

/// Paints cells into a row that the caller has allocated.
pub(crate) fn paint(ui: &Ui, rect: Rect, cells: &[Cell<'_>]) {
    let mut left = rect.left();
    for cell in cells {
        let width = rect.width() * cell.width;
        let text = truncated(ui.painter(), cell.text, width - GAP, cell.colour);
        let x = match cell.align {
            Align::Max => left + width - GAP - text.size().x,
            _ => left,
        };
        let at = Pos2::new(x, rect.center().y - text.size().y / 2.0);
        ui.painter().galley(at, text, cell.colour);
        left += width;
    }
}
