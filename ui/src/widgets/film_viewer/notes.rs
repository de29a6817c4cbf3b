//! What is written over a film: name, window, badges, sides; the whole film in a corner while zoomed.

use egui::{Align2, Rect, Stroke, StrokeKind, Ui, Vec2};
use schema::VoiFunction;

use super::{FilmViewer, Subject};
use crate::app_context::AppContext;
use crate::tokens::{self, GRID};
use crate::widgets::{example, notice};

/// Width of a film below which its notes are put above each other.
const NARROW: f32 = 420.0;
/// Width of a letter of the notes, on average.
const LETTER: f32 = 7.0;
/// Height of the line that says the window.
const FOOT: f32 = 22.0;

impl FilmViewer {
    /// Name, window, zoom, badges and the safety line.
    pub(super) fn paint_notes(
        &self,
        painter: &egui::Painter,
        rect: Rect,
        (subject, is_heat_hidden): (&Subject<'_>, bool),
    ) {
        let badges = self.badges(subject.heat.is_some() && is_heat_hidden);
        // On a narrow film, or with much to say, name and badges share the top; on a narrow one the
        // safety line stands over the window.
        let (mut left, mut right, mut foot) = (rect, rect, rect);
        let letters = subject.name.chars().count() + badges.chars().count();
        if rect.width() < (letters as f32 * LETTER + 4.0 * GRID).max(NARROW) {
            let middle = rect.center().x;
            left = rect.with_max_x(middle);
            right = rect.with_min_x(middle);
        }
        if rect.width() < NARROW {
            foot = rect.with_max_y(rect.bottom() - FOOT);
        }
        notice::film_text(painter, left, Align2::LEFT_TOP, subject.name);
        notice::film_text(painter, foot, Align2::CENTER_BOTTOM, notice::SAFETY);
        if !badges.is_empty() {
            notice::film_text(painter, right, Align2::RIGHT_TOP, &badges);
        }
        if let Some(window) = &self.window {
            let function = match window.function {
                VoiFunction::Linear => "",
                VoiFunction::LinearExact => "  exact",
                VoiFunction::Sigmoid => "  sigmoid",
                VoiFunction::Table(_) => "  table",
            };
            let text = format!("C {:.0}  W {:.0}{function}", window.centre, window.width);
            notice::film_text(painter, rect, Align2::LEFT_BOTTOM, &text);
        }
    }

    /// What must be said of how the film is shown.
    fn badges(&self, is_heat_hidden: bool) -> String {
        let mut badges: Vec<String> = Vec::new();
        if let Some(shown) = &self.shown {
            badges.extend(shown.film.badges.iter().cloned());
        }
        if self.fitted {
            badges.push("Window fitted to the file's table".to_owned());
        }
        let first = self
            .shown
            .as_ref()
            .and_then(|shown| shown.film.windows.first());
        if !self.fitted && first.is_some() && self.window.as_ref() != first {
            badges.push("another window".to_owned());
        }
        if self.inverted {
            badges.push("inverted".to_owned());
        }
        if self.zoom > 1.0 {
            badges.push(format!("zoomed {:.1}x", self.zoom));
        }
        if is_heat_hidden {
            badges.push("heatmap hidden".to_owned());
        }
        badges.join(" · ")
    }

    /// Where the sides of the film point to in the patient, as far as the file says so.
    pub(super) fn paint_edges(&self, painter: &egui::Painter, rect: Rect, film: Rect) {
        let Some(edges) = self
            .shown
            .as_ref()
            .and_then(|shown| shown.film.edges.as_ref())
        else {
            return;
        };
        let seen = rect.intersect(film);
        notice::film_text(painter, seen, Align2::LEFT_CENTER, &edges.left());
        notice::film_text(painter, seen, Align2::RIGHT_CENTER, &edges.right);
    }

    /// The whole film in a corner while zoomed, so that its side marker stays in sight.
    pub(super) fn paint_overview(
        &self,
        ctx: &AppContext<'_>,
        ui: &Ui,
        rect: Rect,
        film: Rect,
        subject: &Subject<'_>,
    ) {
        let side = (rect.width().min(rect.height()) * 0.22).clamp(72.0, 160.0);
        let corner = rect.right_bottom() - Vec2::splat(side + GRID);
        let inset = Rect::from_min_size(corner, Vec2::splat(side));
        if let Some((small, _)) = self.shown.as_ref().and_then(|shown| shown.small.as_ref()) {
            let painter = ui.painter();
            let whole = example::fit(inset, subject.size);
            painter.rect_filled(whole, 0.0, tokens::FILM_BACKGROUND);
            painter.image(small.id(), whole, example::WHOLE, tokens::UNTINTED);
            let seen = rect.intersect(film);
            let scale = whole.width() / film.width();
            let view = Rect::from_min_size(
                whole.min + (seen.min - film.min) * scale,
                seen.size() * scale,
            );
            let line = Stroke::new(1.0, tokens::FILM_TEXT);
            painter.rect_stroke(
                whole,
                0.0,
                Stroke::new(1.0, tokens::PATCH_LINE),
                StrokeKind::Outside,
            );
            painter.rect_stroke(view, 0.0, line, StrokeKind::Inside);
        } else {
            example::paint_film(ctx, ui, inset, subject.place, subject.size);
        }
    }
}
