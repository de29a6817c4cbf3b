//! Sentences that several screens show: what an empty place is for, warnings, the safety line.

use egui::{Align2, Color32, Frame, Margin, RichText, Stroke, Ui, Vec2};

/// Shown with every radiograph.
pub(crate) use engine::views::SAFETY;

use crate::tokens::{self, GRID};

/// Fills an empty place: what will appear here, and the next step.
///
/// `steps` draws the buttons of the next step.
pub(crate) fn empty_ui(ui: &mut Ui, title: &str, text: &str, steps: impl FnOnce(&mut Ui)) {
    let height = ui.available_height();
    ui.add_space((height * 0.28).max(GRID));
    ui.vertical_centered(|ui| {
        ui.label(RichText::new(title).font(tokens::title_font()));
        let width = ui.available_width().min(520.0);
        let words = RichText::new(text).color(tokens::of(ui).text_weak);
        ui.allocate_ui(egui::vec2(width, 0.0), |ui| {
            ui.add(egui::Label::new(words).wrap().halign(egui::Align::Center));
        });
        ui.add_space(GRID);
        steps(ui);
    });
}

/// A warning in its own frame.
pub(crate) fn warning_ui(ui: &mut Ui, text: &str) {
    framed_ui(ui, text, tokens::of(ui).warning);
}

/// An error in its own frame.
pub(crate) fn error_ui(ui: &mut Ui, text: &str) {
    framed_ui(ui, text, tokens::of(ui).error);
}

fn framed_ui(ui: &mut Ui, text: &str, colour: Color32) {
    Frame::new()
        .fill(tokens::of(ui).panel)
        .stroke(Stroke::new(1.0, colour))
        .corner_radius(tokens::RADIUS)
        .inner_margin(Margin::same(8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.add(egui::Label::new(RichText::new(text).color(colour)).wrap());
        });
}

/// A heading within a side panel.
pub(crate) fn section_ui(ui: &mut Ui, title: &str) {
    ui.add_space(GRID);
    ui.label(RichText::new(title).strong().color(tokens::of(ui).text));
}

/// Running text.
pub(crate) fn plain_ui(ui: &mut Ui, text: &str) -> egui::Response {
    ui.add(egui::Label::new(text).wrap())
}

/// Secondary text.
pub(crate) fn weak_ui(ui: &mut Ui, text: impl Into<String>) -> egui::Response {
    let colour = tokens::of(ui).text_weak;
    ui.add(egui::Label::new(RichText::new(text).color(colour)).wrap())
}

/// Secondary text on one line, cut with an ellipsis where the space ends.
pub(crate) fn weak_cut_ui(ui: &mut Ui, text: impl Into<String>) -> egui::Response {
    let colour = tokens::of(ui).text_weak;
    ui.add(egui::Label::new(RichText::new(text).color(colour)).truncate())
}

/// Narrower than this, a film has no room for text of several lines.
const LEAST_FOR_LINES: f32 = 140.0;

/// Text on a film, with its own dark background, anchored at `align` of `rect`; on several lines where
/// one is too short.
pub(crate) fn film_text(painter: &egui::Painter, rect: egui::Rect, align: Align2, text: &str) {
    let margin = Vec2::new(6.0, 3.0);
    let room = if rect.width() < LEAST_FOR_LINES {
        f32::INFINITY
    } else {
        rect.width() - 8.0 - 2.0 * margin.x
    };
    let font = tokens::small_font();
    let galley = painter.layout(text.to_owned(), font, tokens::FILM_TEXT, room);
    let size = galley.size() + 2.0 * margin;
    if size.x > rect.width() || size.y > rect.height() {
        return;
    }
    let place = align.align_size_within_rect(size, rect.shrink(4.0));
    painter.rect_filled(place, tokens::RADIUS, tokens::FILM_TEXT_BACKGROUND);
    painter.galley(place.min + margin, galley, tokens::FILM_TEXT);
}
