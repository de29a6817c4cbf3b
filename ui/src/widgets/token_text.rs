//! Report text with each token shaded by the feature's activation.

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Color32, FontId, Galley, Painter, Pos2, Rect, Role, Sense, Stroke, Ui, WidgetInfo};
use engine::views::TokenView;
use schema::PositionClass;

use crate::tokens::{self, Tokens};
use crate::widgets::{colour_map, number};

/// The token with the highest activation.
fn peak(tokens: &[TokenView]) -> usize {
    tokens
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.activation.total_cmp(&b.1.activation))
        .map_or(0, |(i, _)| i)
}

/// Tokens around the peak that fit into about `characters`.
fn around_peak(tokens: &[TokenView], characters: usize) -> std::ops::Range<usize> {
    if tokens.is_empty() {
        return 0..0;
    }
    let middle = peak(tokens);
    let (mut start, mut end) = (middle, middle + 1);
    let length = |i: usize| tokens[i].text.chars().count();
    let mut used = length(middle);
    loop {
        let before = start
            .checked_sub(1)
            .filter(|&i| used + length(i) <= characters);
        if let Some(i) = before {
            start = i;
            used += length(i);
        }
        let after = Some(end).filter(|&i| i < tokens.len() && used + length(i) <= characters);
        if let Some(i) = after {
            end = i + 1;
            used += length(i);
        }
        if before.is_none() && after.is_none() {
            return start..end;
        }
    }
}

fn append(job: &mut LayoutJob, text: &str, font: &FontId, colours: (Color32, Color32)) {
    job.append(
        text,
        0.0,
        TextFormat {
            font_id: font.clone(),
            color: colours.1,
            background: colours.0,
            expand_bg: 1.0,
            ..TextFormat::default()
        },
    );
}

/// One line around the peak token, painted into `rect`.
pub(crate) fn paint_snippet(
    painter: &Painter,
    theme: &Tokens,
    rect: Rect,
    text: &[TokenView],
    maximum: f32,
) {
    let font = tokens::body_font();
    let range = around_peak(text, (rect.width() / 6.0) as usize);
    let mut job = LayoutJob {
        wrap: TextWrapping::truncate_at_width(rect.width()),
        ..LayoutJob::default()
    };
    if range.start > 0 {
        append(&mut job, "… ", &font, (tokens::CLEAR, theme.text_weak));
    }
    for token in &text[range] {
        let share = if maximum > 0.0 {
            token.activation / maximum
        } else {
            0.0
        };
        let colours = colour_map::shade(theme.panel, theme.text, share);
        append(
            &mut job,
            &token.text.replace(['\n', '\r'], " "),
            &font,
            colours,
        );
    }
    let galley = painter.layout_job(job);
    let top = rect.center().y - galley.size().y / 2.0;
    painter.galley(Pos2::new(rect.left(), top), galley, theme.text);
}

/// Name of a position class in the user's words.
pub(crate) fn class_name(class: PositionClass) -> &'static str {
    match class {
        PositionClass::Bos => "start of text",
        PositionClass::Boilerplate => "prompt",
        PositionClass::Cls => "whole image",
        PositionClass::Image => "image",
        PositionClass::Indication => "indication",
        PositionClass::Comparison => "comparison",
        PositionClass::Report => "report",
        PositionClass::Generated => "written by the model",
        PositionClass::Item => "item",
        PositionClass::Technique => "technique",
        PositionClass::PriorReport => "prior report",
    }
}

/// The whole text, wrapped, each token shaded; hovering a token says its activation and class.
pub(crate) fn token_text_ui(ui: &mut Ui, text: &[TokenView], maximum: f32, shaded: bool) {
    let theme = tokens::of(ui);
    let font = FontId::proportional(15.0);
    let mut job = LayoutJob {
        wrap: TextWrapping::wrap_at_width(ui.available_width()),
        ..LayoutJob::default()
    };
    let mut ends = Vec::with_capacity(text.len());
    let mut n_characters = 0;
    for token in text {
        let share = if maximum > 0.0 && shaded {
            token.activation / maximum
        } else {
            0.0
        };
        let (background, colour) = colour_map::shade(theme.canvas, theme.text, share);
        let quiet = share <= 0.0
            && !matches!(
                token.class,
                PositionClass::Report | PositionClass::Generated
            );
        let colour = if quiet { theme.text_weak } else { colour };
        job.append(
            &token.text,
            0.0,
            TextFormat {
                font_id: font.clone(),
                color: colour,
                background,
                expand_bg: 1.0,
                line_height: Some(24.0),
                underline: if token.class == PositionClass::Generated {
                    Stroke::new(1.0, theme.outline)
                } else {
                    Stroke::NONE
                },
                ..TextFormat::default()
            },
        );
        n_characters += token.text.chars().count();
        ends.push(n_characters);
    }
    let galley = ui.painter().layout_job(job);
    let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::hover());
    let plain: String = text.iter().map(|token| token.text.as_str()).collect();
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &plain));
    ui.painter()
        .galley(rect.min, Arc::clone(&galley), theme.text);
    if let Some(token) = response
        .hover_pos()
        .and_then(|pos| token_at(&galley, &ends, pos - rect.min).and_then(|i| text.get(i)))
    {
        response.on_hover_text_at_pointer(format!(
            "\"{}\": {} ({})",
            token.text.trim(),
            number::activation(token.activation),
            class_name(token.class)
        ));
    }
}

fn token_at(galley: &Galley, ends: &[usize], offset: egui::Vec2) -> Option<usize> {
    let cursor: usize = galley.cursor_from_pos(offset).index.0;
    let index = ends.partition_point(|&end| end <= cursor);
    (index < ends.len()).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, activation: f32) -> TokenView {
        TokenView {
            text: text.to_owned(),
            activation,
            class: PositionClass::Report,
        }
    }

    #[test]
    fn snippet_keeps_the_peak() {
        let words: Vec<TokenView> = (0..50)
            .map(|i| token(" word", if i == 31 { 2.0 } else { 0.0 }))
            .collect();
        let range = around_peak(&words, 40);
        assert!(range.contains(&31));
        assert!(range.len() <= 8 && range.len() >= 7, "{range:?}");
        assert_eq!(around_peak(&[], 40), 0..0);
        assert_eq!(around_peak(&words[..1], 0), 0..1);
    }
}
