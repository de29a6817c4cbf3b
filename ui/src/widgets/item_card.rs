//! One item as a card: picture, title, categories, how often it was chosen, and a measure below.

use egui::{
    Align2, CornerRadius, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo,
};
use engine::views::{ItemView, PictureState, PopularityView};

use crate::app_context::AppContext;
use crate::film_textures::Thumbnail;
use crate::tokens::{self, GRID, Tokens};
use crate::widgets::{colour_map, example, item_strip, number};

/// Least width of a card.
pub(crate) const MIN_WIDTH: f32 = 192.0;
/// Height of title, categories and popularity, with the margins.
const HEIGHT: f32 = 88.0;
/// Height that a measure adds.
const MEASURE: f32 = 22.0;
/// Side of the picture.
const PICTURE: f32 = 40.0;
/// Height of the two lines of a title.
const TITLE_HEIGHT: f32 = 38.0;
/// Height of a line in small letters.
const SMALL_LINE: f32 = 16.0;

/// What is drawn at the foot of a card.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// Nothing.
    None,
    /// A shaded bar with the activation, and its level where that is known.
    Activation {
        /// Activation that fills the bar.
        maximum: f32,
        /// 1 to 10; 0 where the feature is silent.
        level: Option<u8>,
    },
    /// A bar with the level, 1 to 10; 0 where the feature is silent.
    Level(u8),
    /// The score, in words.
    Score,
}

/// How a card is drawn.
pub(crate) struct CardStyle<'a> {
    pub(crate) width: f32,
    /// What it is beside an item of the history, e.g. `held out`; such a card is outlined.
    pub(crate) mark: Option<&'a str>,
    pub(crate) measure: Measure,
    /// Whether room is kept for a picture, so that cards in a strip stand alike.
    pub(crate) has_picture: bool,
    /// What a screen reader says before the title.
    pub(crate) name: String,
}

/// How often an item was chosen, in one short line.
pub(crate) fn popularity(popularity: PopularityView) -> String {
    format!(
        "{} · percentile {}",
        number::counted(u64::from(popularity.n_train), ["choice", "choices"]),
        percentile(popularity)
    )
}

/// Whole percent of the items that were chosen less often.
fn percentile(popularity: PopularityView) -> u32 {
    (popularity.percentile * 100.0).floor() as u32
}

/// Everything known of an item, a line each.
pub(crate) fn details(ctx: &AppContext<'_>, item: &ItemView) -> String {
    let mut lines = vec![item.title.clone()];
    if !item.categories.is_empty() {
        lines.push(item.categories.join(", "));
    }
    lines.push(format!(
        "Chosen {} times in what is trained on, more often than {} % of the items",
        number::count(u64::from(item.popularity.n_train)),
        percentile(item.popularity)
    ));
    if let Some(path) = &item.picture
        && let PictureState::Failed(problem) = ctx.backend.picture(path)
    {
        lines.push(format!("The picture cannot be shown: {problem}"));
    }
    lines.join("\n")
}

/// Paints the picture of an item into `rect`, in its own shape; its first letter where there is
/// none.
pub(crate) fn paint_picture(ctx: &AppContext<'_>, ui: &Ui, rect: Rect, item: &ItemView) {
    let theme = tokens::of(ui);
    let painter = ui.painter();
    painter.rect_filled(rect, 3.0, theme.control);
    let picture = item.picture.as_ref();
    match picture.map(|path| ctx.films.picture(ui.ctx(), ctx.backend, path)) {
        Some(Thumbnail::Ready(texture)) => {
            let size = texture.size().map(|side| side as u32);
            let place = example::fit(rect, size);
            painter.image(texture.id(), place, example::WHOLE, tokens::UNTINTED);
        }
        Some(Thumbnail::Loading) => {
            painter.circle_filled(rect.center(), 2.0, theme.text_weak);
        }
        Some(Thumbnail::Failed) => {
            // A picture that should be here and cannot be read.
            let stroke = Stroke::new(1.0, theme.text_weak);
            let inner = rect.shrink(rect.width() * 0.3);
            painter.line_segment([inner.left_top(), inner.right_bottom()], stroke);
            painter.line_segment([inner.right_top(), inner.left_bottom()], stroke);
        }
        None => {
            let first = item.title.trim().chars().next();
            let letter = first.map_or_else(String::new, |c| c.to_uppercase().to_string());
            painter.text(
                rect.center(),
                Align2::CENTER_CENTER,
                letter,
                tokens::body_font(),
                theme.text_weak,
            );
        }
    }
}

/// Height of a card.
fn height(measure: Measure) -> f32 {
    match measure {
        Measure::None => HEIGHT,
        Measure::Activation { .. } | Measure::Level(_) | Measure::Score => HEIGHT + MEASURE,
    }
}

/// The categories of an item, after what else it is.
fn second_line(item: &ItemView, mark: Option<&str>) -> String {
    let categories = item.categories.join(", ");
    let parts = mark.into_iter().chain([categories.as_str()]);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}

/// Draws an item as a card.
pub(crate) fn item_card_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    item: &ItemView,
    style: &CardStyle<'_>,
) -> egui::Response {
    let theme = tokens::of(ui);
    let size = Vec2::new(style.width, height(style.measure));
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let label = format!("{}: {}{}", style.name, item.title, spoken(item, style));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let painter = ui.painter();
    painter.rect_filled(rect, tokens::RADIUS, theme.panel);
    let line = if style.mark.is_some() {
        theme.accent
    } else {
        theme.line
    };
    painter.rect_stroke(
        rect,
        tokens::RADIUS,
        Stroke::new(1.0, line),
        StrokeKind::Inside,
    );
    let inner = rect.shrink(GRID);
    let mut left = inner.left();
    if style.has_picture {
        let place = Rect::from_min_size(inner.min, Vec2::splat(PICTURE));
        paint_picture(ctx, ui, place, item);
        left = place.right() + GRID;
    }
    let mut title =
        egui::text::LayoutJob::simple(item.title.clone(), tokens::body_font(), theme.text, 0.0);
    title.wrap = egui::text::TextWrapping {
        max_width: inner.right() - left,
        max_rows: 2,
        ..egui::text::TextWrapping::default()
    };
    painter.galley(
        Pos2::new(left, inner.top()),
        painter.layout_job(title),
        theme.text,
    );
    let lines = [second_line(item, style.mark), popularity(item.popularity)];
    for (at, text) in lines.into_iter().enumerate() {
        let text = item_strip::truncated_small(painter, &text, inner.width(), theme.text_weak);
        let below = TITLE_HEIGHT + 4.0 + SMALL_LINE * at as f32;
        painter.galley(inner.min + Vec2::new(0.0, below), text, theme.text_weak);
    }
    paint_measure(painter, theme, inner, (item, style.measure));
    response.on_hover_ui(|ui| {
        ui.label(details(ctx, item));
    })
}

/// What a screen reader says after the title.
fn spoken(item: &ItemView, style: &CardStyle<'_>) -> String {
    let value = number::activation(item.activation);
    match style.measure {
        Measure::None => String::new(),
        Measure::Activation {
            level: Some(level), ..
        } => format!(", activation {value}, level {level}"),
        Measure::Activation { .. } => format!(", activation {value}"),
        Measure::Level(level) => format!(", level {level}"),
        Measure::Score => format!(", score {value}"),
    }
}

fn paint_measure(
    painter: &egui::Painter,
    theme: &Tokens,
    inner: Rect,
    (item, measure): (&ItemView, Measure),
) {
    let value = number::activation(item.activation);
    let (text, maximum, room) = match measure {
        Measure::None => return,
        Measure::Score => (format!("score {value}"), 0.0, 0.0),
        Measure::Level(0) => ("silent".to_owned(), 10.0, 52.0),
        Measure::Level(level) => (format!("level {level}"), 10.0, 52.0),
        Measure::Activation { maximum, level } => match level {
            Some(0) => ("silent".to_owned(), maximum, 88.0),
            Some(level) => (format!("{value} · level {level}"), maximum, 88.0),
            None => (value, maximum, 40.0),
        },
    };
    let bar = Rect::from_min_max(
        Pos2::new(inner.left(), inner.bottom() - 12.0),
        Pos2::new(inner.right() - room, inner.bottom() - 4.0),
    );
    if maximum > 0.0 {
        painter.rect_filled(bar, 2.0, theme.control);
        let share = match measure {
            Measure::Level(level) => f32::from(level) / maximum,
            _ => item.activation / maximum,
        };
        if share > 0.0 {
            let width = bar.width() * share.min(1.0);
            let filled = Rect::from_min_size(bar.min, Vec2::new(width, bar.height()));
            painter.rect_filled(filled, CornerRadius::same(2), colour_map::colour(share));
        }
    }
    painter.text(
        Pos2::new(inner.right(), bar.center().y),
        Align2::RIGHT_CENTER,
        text,
        tokens::small_font(),
        theme.text_weak,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_says_count_and_percentile() {
        let of = |n_train, percentile| {
            popularity(PopularityView {
                n_train,
                percentile,
            })
        };
        assert_eq!(of(1234, 0.839), "1\u{a0}234 choices · percentile 83");
        assert_eq!(of(1, 0.0), "1 choice · percentile 0");
    }
}
