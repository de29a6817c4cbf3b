//! Item histories: a barcode of activations for cards, a strip of item cards for the large view.

use egui::{Painter, Pos2, Rect, Ui, Vec2};
use engine::views::ItemView;

use crate::app_context::AppContext;
use crate::tokens::{self, GRID, HALF};
use crate::widgets::colour_map;
use crate::widgets::item_card::{self, CardStyle, Measure, item_card_ui};
use crate::widgets::item_row::any_picture;

fn share_of(item: &ItemView, maximum: f32) -> f32 {
    if maximum > 0.0 {
        item.activation / maximum
    } else {
        0.0
    }
}

/// One line: a cell per item, oldest left, and the title of the hottest item.
pub(crate) fn paint_row(
    ctx: &AppContext<'_>,
    ui: &Ui,
    rect: Rect,
    items: &[ItemView],
    maximum: f32,
) {
    let (painter, theme) = (ui.painter(), tokens::of(ui));
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
    let mut title = Rect::from_min_max(
        Pos2::new(bars.right() + HALF, rect.top() + 2.0),
        Pos2::new(rect.right(), rect.bottom() - 2.0),
    );
    if any_picture(items) {
        let picture = Rect::from_min_size(title.min, Vec2::splat(title.height()));
        item_card::paint_picture(ctx, ui, picture, hottest);
        title.min.x = picture.right() + HALF;
    }
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
    cut(painter, text, (width, tokens::body_font()), colour)
}

/// As [`truncated`], in small letters.
pub(crate) fn truncated_small(
    painter: &Painter,
    text: &str,
    width: f32,
    colour: egui::Color32,
) -> std::sync::Arc<egui::Galley> {
    cut(painter, text, (width, tokens::small_font()), colour)
}

fn cut(
    painter: &Painter,
    text: &str,
    (width, font): (f32, egui::FontId),
    colour: egui::Color32,
) -> std::sync::Arc<egui::Galley> {
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, colour);
    job.wrap = egui::text::TextWrapping::truncate_at_width(width.max(8.0));
    painter.layout_job(job)
}

/// What a strip says beside its items.
#[derive(Default)]
pub(crate) struct StripStyle<'a> {
    /// Activation that is fully bright; 0 draws no activations.
    pub(crate) maximum: f32,
    /// How many of the last items are held out, and therefore outlined.
    pub(crate) n_held_out: usize,
    /// The level of each item's activation, where it is known.
    pub(crate) levels: &'a [u8],
    /// What the model recommends after them.
    pub(crate) recommended: Option<&'a ItemView>,
    /// The item to bring into view now.
    pub(crate) scroll_to: Option<usize>,
}

/// An item and the feature's level there, where it is known.
pub(crate) type LevelledItem = (ItemView, Option<u8>);

/// Item cards with levels in reading order, oldest first, and what is recommended next outlined.
pub(crate) fn level_strip_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    items: &[LevelledItem],
    recommended: Option<&LevelledItem>,
) {
    let width = card_width(ui);
    let mut all = items.iter().chain(recommended);
    let has_picture = all.any(|(item, _)| item.picture.is_some());
    let measure = |level: Option<u8>| level.map_or(Measure::None, Measure::Level);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(GRID);
        for (i, (item, level)) in items.iter().enumerate() {
            let card = CardStyle {
                width,
                mark: None,
                measure: measure(*level),
                has_picture,
                name: format!("Item {}", i + 1),
            };
            item_card_ui(ctx, ui, item, &card);
        }
        if let Some((item, level)) = recommended {
            let card = CardStyle {
                width,
                mark: Some("recommended next"),
                measure: measure(*level),
                has_picture,
                name: "Recommended next".to_owned(),
            };
            item_card_ui(ctx, ui, item, &card);
        }
    });
}

/// Width of cards that fill the width of the place.
fn card_width(ui: &Ui) -> f32 {
    let n_columns = ((ui.available_width() + GRID) / (item_card::MIN_WIDTH + GRID))
        .floor()
        .max(1.0);
    ((ui.available_width() + GRID) / n_columns - GRID).floor()
}

/// Item cards in reading order, oldest first, wrapped to the width.
pub(crate) fn item_strip_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    items: &[ItemView],
    style: &StripStyle<'_>,
) {
    let width = card_width(ui);
    let first_held_out = items.len().saturating_sub(style.n_held_out);
    let recommended = style.recommended;
    let has_picture = any_picture(items) || recommended.is_some_and(|item| item.picture.is_some());
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(GRID);
        for (i, item) in items.iter().enumerate() {
            let measure = if style.maximum > 0.0 {
                Measure::Activation {
                    maximum: style.maximum,
                    level: style.levels.get(i).copied(),
                }
            } else {
                Measure::None
            };
            let card = CardStyle {
                width,
                mark: (i >= first_held_out).then_some("held out"),
                measure,
                has_picture,
                name: format!("Item {}", i + 1),
            };
            let response = item_card_ui(ctx, ui, item, &card);
            if style.scroll_to == Some(i) {
                response.scroll_to_me(Some(egui::Align::Center));
            }
        }
        if let Some(item) = recommended {
            let card = CardStyle {
                width,
                mark: Some("recommended next"),
                measure: Measure::Score,
                has_picture,
                name: "Recommended next".to_owned(),
            };
            item_card_ui(ctx, ui, item, &card);
        }
    });
}
