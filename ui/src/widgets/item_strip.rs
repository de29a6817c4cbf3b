//! Item histories: a barcode of activations for cards, a strip of item cards for the large view.

use egui::{Align2, CornerRadius, Painter, Pos2, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};
use engine::views::ItemView;

use crate::tokens::{self, GRID, HALF, Tokens};
use crate::widgets::{colour_map, number};

/// Size that a card of the large strip at least has.
const CARD: Vec2 = Vec2::new(168.0, 90.0);
/// Height of a card that shows no activation.
const CARD_WITHOUT_BAR: f32 = 68.0;
/// Height of the two lines of a title.
const TITLE_HEIGHT: f32 = 38.0;

fn share_of(item: &ItemView, maximum: f32) -> f32 {
    if maximum > 0.0 {
        item.activation / maximum
    } else {
        0.0
    }
}

/// One line: a cell per item, oldest left, and the title of the hottest item.
pub(crate) fn paint_row(
    painter: &Painter,
    theme: &Tokens,
    rect: Rect,
    items: &[ItemView],
    maximum: f32,
) {
    let bars = Rect::from_min_size(
        rect.min,
        Vec2::new((rect.width() * 0.38).min(200.0), rect.height()),
    )
    .shrink2(Vec2::new(0.0, 5.0));
    let cell = (bars.width() / items.len().max(1) as f32).clamp(2.0, 10.0);
    let n_shown = ((bars.width() / cell) as usize).min(items.len());
    for (i, item) in items[items.len() - n_shown..].iter().enumerate() {
        let share = share_of(item, maximum);
        let fill = if share > 0.0 {
            colour_map::colour(share)
        } else {
            theme.control
        };
        let left = bars.left() + cell * i as f32;
        let place = Rect::from_min_size(
            Pos2::new(left, bars.top()),
            Vec2::new((cell - 1.0).max(1.0), bars.height()),
        );
        painter.rect_filled(place, 1.0, fill);
    }
    let Some(hottest) = items
        .iter()
        .max_by(|a, b| a.activation.total_cmp(&b.activation))
    else {
        return;
    };
    let (fill, text) = colour_map::shade(theme.panel, theme.text, share_of(hottest, maximum));
    let title = Rect::from_min_max(
        Pos2::new(bars.right() + HALF, rect.top() + 2.0),
        Pos2::new(rect.right(), rect.bottom() - 2.0),
    );
    let galley = truncated(painter, &hottest.title, title.width() - 2.0 * HALF, text);
    let chip = Rect::from_min_size(
        title.min,
        Vec2::new(galley.size().x + 2.0 * HALF, title.height()),
    );
    painter.rect_filled(chip, 3.0, fill);
    let top = title.center().y - galley.size().y / 2.0;
    painter.galley(Pos2::new(title.left() + HALF, top), galley, text);
}

/// One line of text, cut with an ellipsis at `width`.
pub(crate) fn truncated(
    painter: &Painter,
    text: &str,
    width: f32,
    colour: egui::Color32,
) -> std::sync::Arc<egui::Galley> {
    let mut job =
        egui::text::LayoutJob::simple_singleline(text.to_owned(), tokens::body_font(), colour);
    job.wrap = egui::text::TextWrapping::truncate_at_width(width.max(8.0));
    painter.layout_job(job)
}

/// What a strip says beside its items.
pub(crate) struct StripStyle {
    /// Activation that is fully bright; 0 draws no activations.
    pub(crate) maximum: f32,
    /// How many of the last items are held out, and therefore outlined.
    pub(crate) n_held_out: usize,
}

/// Item cards in reading order, oldest first, wrapped to the width.
pub(crate) fn item_strip_ui(ui: &mut Ui, items: &[ItemView], style: &StripStyle) {
    let n_columns = ((ui.available_width() + GRID) / (CARD.x + GRID))
        .floor()
        .max(1.0);
    let width = ((ui.available_width() + GRID) / n_columns - GRID).floor();
    let first_held_out = items.len().saturating_sub(style.n_held_out);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(GRID);
        for (i, item) in items.iter().enumerate() {
            let place = Place {
                index: i,
                width,
                held_out: i >= first_held_out,
            };
            item_card_ui(ui, item, &place, style.maximum);
        }
    });
}

/// Where a card stands in the strip.
struct Place {
    index: usize,
    width: f32,
    held_out: bool,
}

/// The categories of an item, after whether it was held out.
fn second_line(item: &ItemView, held_out: bool) -> String {
    let categories = item.categories.join(", ");
    match (held_out, categories.is_empty()) {
        (true, true) => "held out".to_owned(),
        (true, false) => format!("held out · {categories}"),
        (false, _) => categories,
    }
}

fn item_card_ui(ui: &mut Ui, item: &ItemView, place: &Place, maximum: f32) {
    let Place {
        index,
        width,
        held_out,
    } = *place;
    let theme = tokens::of(ui);
    let height = if maximum > 0.0 {
        CARD.y
    } else {
        CARD_WITHOUT_BAR
    };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, height), Sense::hover());
    if !ui.is_rect_visible(rect) {
        return;
    }
    let share = share_of(item, maximum);
    let painter = ui.painter();
    painter.rect_filled(rect, tokens::RADIUS, theme.panel);
    let stroke = if held_out { theme.accent } else { theme.line };
    painter.rect_stroke(
        rect,
        tokens::RADIUS,
        Stroke::new(1.0, stroke),
        egui::StrokeKind::Inside,
    );
    let inner = rect.shrink(GRID);
    let mut title =
        egui::text::LayoutJob::simple(item.title.clone(), tokens::body_font(), theme.text, 0.0);
    title.wrap = egui::text::TextWrapping {
        max_width: inner.width(),
        max_rows: 2,
        ..egui::text::TextWrapping::default()
    };
    painter.galley(inner.min, painter.layout_job(title), theme.text);
    let mut categories = egui::text::LayoutJob::simple_singleline(
        second_line(item, held_out),
        tokens::small_font(),
        theme.text_weak,
    );
    categories.wrap = egui::text::TextWrapping::truncate_at_width(inner.width());
    let categories = painter.layout_job(categories);
    painter.galley(
        inner.min + Vec2::new(0.0, TITLE_HEIGHT),
        categories,
        theme.text_weak,
    );
    let bar = Rect::from_min_max(
        Pos2::new(inner.left(), inner.bottom() - 14.0),
        Pos2::new(inner.right() - 40.0, inner.bottom() - 6.0),
    );
    if maximum > 0.0 {
        painter.rect_filled(bar, 2.0, theme.control);
        if share > 0.0 {
            let filled = Rect::from_min_size(
                bar.min,
                Vec2::new(bar.width() * share.min(1.0), bar.height()),
            );
            painter.rect_filled(filled, CornerRadius::same(2), colour_map::colour(share));
        }
        painter.text(
            Pos2::new(inner.right(), bar.center().y),
            Align2::RIGHT_CENTER,
            number::activation(item.activation),
            tokens::small_font(),
            theme.text_weak,
        );
    }
    let label = format!(
        "Item {}: {}, activation {}",
        index + 1,
        item.title,
        number::activation(item.activation)
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    response.on_hover_text(format!("{}\n{}", item.title, item.categories.join(", ")));
}
