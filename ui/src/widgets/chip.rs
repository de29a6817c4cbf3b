//! Chips: where the review of a feature stands, and single words.

use egui::{Color32, FontId, Painter, Pos2, Rect, Sense, Ui, Vec2, WidgetInfo};
use schema::ReviewState;

use crate::tokens::{self, Tokens};

/// The state in one word.
pub(crate) fn state_name(state: ReviewState, proposed: bool) -> &'static str {
    match state {
        ReviewState::Unseen if proposed => "Proposed",
        ReviewState::Unseen => "No label",
        ReviewState::Accepted => "Accepted",
        ReviewState::Edited => "Edited",
        ReviewState::Rejected => "Rejected",
        ReviewState::Unsure => "Unsure",
        ReviewState::Skipped => "Skipped",
        ReviewState::Conflict => "Conflict",
    }
}

fn colours(tokens: &Tokens, state: ReviewState) -> (Color32, Color32) {
    match state {
        ReviewState::Unseen => (tokens.control, tokens.text_weak),
        ReviewState::Accepted | ReviewState::Edited => (tokens.accent_quiet, tokens.text),
        ReviewState::Rejected
        | ReviewState::Unsure
        | ReviewState::Skipped
        | ReviewState::Conflict => (tokens.control, tokens.text),
    }
}

/// Paints the chip with its right top corner at `right_top`; returns its rectangle.
pub(crate) fn paint(
    painter: &Painter,
    tokens: &Tokens,
    right_top: Pos2,
    state: ReviewState,
    proposed: bool,
) -> Rect {
    let (fill, text) = colours(tokens, state);
    let font: FontId = tokens::small_font();
    let galley = painter.layout_no_wrap(state_name(state, proposed).to_owned(), font, text);
    let size = galley.size() + Vec2::new(12.0, 4.0);
    let rect = Rect::from_min_size(Pos2::new(right_top.x - size.x, right_top.y), size);
    painter.rect_filled(rect, 8.0, fill);
    painter.galley(rect.min + Vec2::new(6.0, 2.0), galley, text);
    rect
}

/// The chip as a widget.
pub(crate) fn chip_ui(ui: &mut Ui, state: ReviewState, proposed: bool) {
    let tokens = tokens::of(ui);
    let name = state_name(state, proposed);
    let width = ui
        .painter()
        .layout_no_wrap(name.to_owned(), tokens::small_font(), tokens.text)
        .size();
    let (rect, response) = ui.allocate_exact_size(width + Vec2::new(12.0, 4.0), Sense::hover());
    paint(ui.painter(), tokens, rect.right_top(), state, proposed);
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, name));
}

/// A word in a colour, on a ground of it.
pub(crate) fn word_ui(ui: &mut Ui, word: &str, colour: Color32, name: &str) {
    let theme = tokens::of(ui);
    let galley = ui
        .painter()
        .layout_no_wrap(word.to_owned(), tokens::body_font(), theme.text);
    let size = galley.size() + Vec2::new(16.0, 6.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let ground = tokens::mix(theme.panel, colour, 0.22);
    ui.painter().rect_filled(rect, 8.0, ground);
    ui.painter()
        .galley(rect.min + Vec2::new(8.0, 3.0), galley, theme.text);
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, name));
}
