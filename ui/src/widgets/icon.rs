//! Icons of the rail, drawn as lines so that they are sharp at any scale.

use egui::{Color32, Painter, Pos2, Rect, Stroke, StrokeKind, Vec2};

use crate::commands::Screen;

/// Paints the icon of `screen` into a square of 20 points around `centre`.
pub(crate) fn paint(painter: &Painter, screen: Screen, centre: Pos2, colour: Color32) {
    let stroke = Stroke::new(1.6, colour);
    let at = |x: f32, y: f32| centre + Vec2::new(x, y);
    match screen {
        Screen::Start => {
            painter.line(vec![at(-9.0, 0.0), at(0.0, -8.0), at(9.0, 0.0)], stroke);
            painter.line(
                vec![at(-6.0, -1.0), at(-6.0, 8.0), at(6.0, 8.0), at(6.0, -1.0)],
                stroke,
            );
        }
        Screen::Data => {
            for y in [-6.0, 0.0, 6.0] {
                painter.rect_stroke(
                    Rect::from_center_size(at(0.0, y), Vec2::new(17.0, 4.0)),
                    1.5,
                    stroke,
                    StrokeKind::Middle,
                );
            }
        }
        Screen::Models => {
            // Three layers of a network, joined.
            for (from, to) in [(-5.0, -5.0), (-5.0, 5.0), (5.0, -5.0), (5.0, 5.0)] {
                painter.line_segment([at(-7.0, from), at(7.0, to)], Stroke::new(1.0, colour));
            }
            for (x, y) in [(-7.0, -5.0), (-7.0, 5.0), (7.0, -5.0), (7.0, 5.0)] {
                painter.circle_filled(at(x, y), 3.0, colour);
            }
        }
        Screen::Train => {
            painter.line(
                vec![
                    at(-8.0, -7.0),
                    at(-5.0, 1.0),
                    at(-1.0, 4.0),
                    at(3.0, 5.5),
                    at(9.0, 6.0),
                ],
                stroke,
            );
            painter.line(vec![at(-9.0, -9.0), at(-9.0, 9.0), at(9.0, 9.0)], stroke);
        }
        Screen::Gallery => cards(painter, centre, stroke),
        Screen::Feature => {
            painter.circle_stroke(at(-2.0, -2.0), 6.0, stroke);
            painter.line_segment([at(2.5, 2.5), at(8.5, 8.5)], stroke);
        }
        Screen::Review => {
            // A list whose first entries are ticked.
            for y in [-6.0, 0.0, 6.0] {
                painter.line_segment([at(-1.0, y), at(9.0, y)], stroke);
            }
            for y in [-6.0, 0.0] {
                painter.line(
                    vec![at(-9.0, y), at(-7.0, y + 2.5), at(-4.0, y - 2.5)],
                    stroke,
                );
            }
            painter.rect_stroke(
                Rect::from_center_size(at(-6.5, 6.0), Vec2::splat(4.0)),
                1.0,
                Stroke::new(1.0, colour),
                StrokeKind::Middle,
            );
        }
        Screen::Settings => wheel(painter, centre, stroke),
        Screen::Steer => {
            for (y, knob) in [(-6.0, 4.0), (0.0, -4.0), (6.0, 2.0)] {
                painter.line_segment([at(-9.0, y), at(9.0, y)], stroke);
                painter.circle_filled(at(knob, y), 3.0, colour);
            }
        }
        Screen::Evaluate => bars(painter, centre, stroke),
    }
}

/// A wheel with teeth.
fn wheel(painter: &Painter, centre: Pos2, stroke: Stroke) {
    painter.circle_stroke(centre, 5.0, stroke);
    for i in 0..8 {
        let (sin, cos) = (std::f32::consts::FRAC_PI_4 * i as f32).sin_cos();
        let tooth = Vec2::new(cos, sin);
        painter.line_segment([centre + tooth * 6.0, centre + tooth * 9.0], stroke);
    }
}

/// Bars of three heights.
fn bars(painter: &Painter, centre: Pos2, stroke: Stroke) {
    for (x, top) in [(-6.0, 1.0), (0.0, -8.0), (6.0, -3.0)] {
        let bar = Rect::from_min_max(
            centre + Vec2::new(x - 2.0, top),
            centre + Vec2::new(x + 2.0, 8.0),
        );
        painter.rect_filled(bar, 0.5, stroke.color);
    }
    let ends = [Vec2::new(-9.5, 8.5), Vec2::new(9.5, 8.5)];
    painter.line_segment(ends.map(|end| centre + end), stroke);
}

/// Four cards.
fn cards(painter: &Painter, centre: Pos2, stroke: Stroke) {
    for (x, y) in [(-4.5, -4.5), (4.5, -4.5), (-4.5, 4.5), (4.5, 4.5)] {
        painter.rect_stroke(
            Rect::from_center_size(centre + Vec2::new(x, y), Vec2::splat(7.0)),
            1.5,
            stroke,
            StrokeKind::Middle,
        );
    }
}
