//! One item as a row of a list: rank, picture, title over categories and popularity, a value.

use egui::{Align2, Color32, Pos2, Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo};
use engine::views::ItemView;

use crate::app_context::AppContext;
use crate::tokens::{self, GRID, HALF, Tokens};
use crate::widgets::{item_card, item_strip};

/// Height of a row.
const ROW: f32 = 40.0;
/// Side of the picture.
const PICTURE: f32 = 32.0;
/// Width of the rank.
const RANK: f32 = 24.0;
/// Width of the value.
const VALUE: f32 = 52.0;
/// Width of the move or the bar.
const BESIDE: f32 = 68.0;

/// What stands between an item and its value.
#[derive(Clone, Copy)]
pub(crate) enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// Words, e.g. the rank it had.
    Words(&'a str, Color32),
    /// A bar from the middle, right where the share is above 0; `-1..=1`.
    Bar(f32),
}

/// How a row is drawn.
pub(crate) struct RowStyle<'a> {
    pub(crate) rank: u32,
    /// The value, as it is written.
    pub(crate) value: &'a str,
    pub(crate) beside: Beside<'a>,
    /// Whether room is kept for a picture, so that rows of a list stand alike.
    pub(crate) has_picture: bool,
    /// What a screen reader says before the title, e.g. `Promoted 1`.
    pub(crate) name: &'a str,
}

/// Whether any item of a list has a picture.
pub(crate) fn any_picture(items: &[ItemView]) -> bool {
    items.iter().any(|item| item.picture.is_some())
}

/// Draws an item as a row over the whole width.
pub(crate) fn item_row_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    item: &ItemView,
    style: &RowStyle<'_>,
) -> Response {
    let theme = tokens::of(ui);
    let spacing = std::mem::replace(&mut ui.spacing_mut().item_spacing.y, 0.0);
    let size = Vec2::new(ui.available_width(), ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    ui.spacing_mut().item_spacing.y = spacing;
    let words = match style.beside {
        Beside::Words(words, _) if !words.is_empty() => format!(", {words}"),
        _ => String::new(),
    };
    let label = format!("{}: {}{words}, {}", style.name, item.title, style.value);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
    if ui.is_rect_visible(rect) {
        paint(ctx, ui, theme, rect, (item, style));
    }
    response.on_hover_ui(|ui| {
        ui.label(item_card::details(ctx, item));
    })
}

fn paint(
    ctx: &AppContext<'_>,
    ui: &Ui,
    theme: &Tokens,
    rect: Rect,
    (item, style): (&ItemView, &RowStyle<'_>),
) {
    let painter = ui.painter();
    let middle = rect.center().y;
    let at_right = |x: f32, text: &str, colour: Color32| {
        let place = Pos2::new(x, middle);
        painter.text(
            place,
            Align2::RIGHT_CENTER,
            text,
            tokens::body_font(),
            colour,
        );
    };
    let rank = style.rank.to_string();
    at_right(rect.left() + RANK - HALF, &rank, theme.text_weak);
    let mut left = rect.left() + RANK + HALF;
    if style.has_picture {
        let place = Rect::from_min_size(
            Pos2::new(left, middle - PICTURE / 2.0),
            Vec2::splat(PICTURE),
        );
        item_card::paint_picture(ctx, ui, place, item);
        left = place.right() + GRID;
    }
    at_right(rect.right() - HALF, style.value, theme.text);
    let mut right = rect.right() - HALF - VALUE;
    match style.beside {
        Beside::Nothing => {}
        Beside::Words(words, colour) => {
            at_right(right, words, colour);
            right -= BESIDE;
        }
        Beside::Bar(share) => {
            let bar = Rect::from_min_max(
                Pos2::new(right - BESIDE, middle - 4.0),
                Pos2::new(right, middle + 4.0),
            );
            paint_bar(painter, theme, bar, share);
            right -= BESIDE + GRID;
        }
    }
    let width = right - GRID - left;
    let title = item_strip::truncated(painter, &item.title, width, theme.text);
    painter.galley(Pos2::new(left, middle - 18.0), title, theme.text);
    let mut facts = item_card::popularity(item.popularity);
    if !item.categories.is_empty() {
        facts = format!("{facts} · {}", item.categories.join(", "));
    }
    let facts = item_strip::truncated_small(painter, &facts, width, theme.text_weak);
    painter.galley(Pos2::new(left, middle + 2.0), facts, theme.text_weak);
}

/// A bar from the middle of its place to either side.
fn paint_bar(painter: &egui::Painter, theme: &Tokens, bar: Rect, share: f32) {
    painter.rect_filled(bar, 2.0, theme.control);
    let end = bar.center().x + bar.width() / 2.0 * share.clamp(-1.0, 1.0);
    let (from, to) = (bar.center().x.min(end), bar.center().x.max(end));
    let filled = Rect::from_x_y_ranges(from..=to, bar.y_range());
    let colour = if share >= 0.0 {
        theme.accent
    } else {
        theme.warning
    };
    painter.rect_filled(filled, 2.0, colour);
    painter.vline(
        bar.center().x,
        bar.y_range(),
        egui::Stroke::new(1.0, theme.outline),
    );
}
