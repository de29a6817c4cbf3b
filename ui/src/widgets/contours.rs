//! Lines of equal activation on a heatmap: marching squares on the map between patch centres.

use egui::{Color32, ColorImage, Pos2};

use crate::tokens;
use crate::widgets::colour_map;

/// Where lines are drawn, in shares of the feature's maximum.
pub(crate) const SHARES: [f32; 3] = [0.25, 0.5, 0.75];

/// Steps per patch and direction; even, so that patch centres are met.
const STEPS: usize = 4;

/// One line, in pieces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contour {
    /// Of the feature's maximum.
    pub(crate) share: f32,
    /// The ends of straight pieces, in shares of the grid's width and height.
    pub(crate) pieces: Vec<[Pos2; 2]>,
}

/// The map between patch centres, as a fine lattice: what [`egui::TextureOptions::LINEAR`] shows.
struct Lattice {
    /// Points across and down.
    size: [usize; 2],
    /// Shares of the maximum, row-major.
    values: Vec<f32>,
}

impl Lattice {
    /// `None` for a map without patches or without a scale.
    fn new(heat: &[f32], columns: usize, maximum: f32) -> Option<Self> {
        if columns == 0 || heat.is_empty() || !heat.len().is_multiple_of(columns) {
            return None;
        }
        if maximum.is_nan() || maximum <= 0.0 {
            return None;
        }
        let rows = heat.len() / columns;
        let size = [columns * STEPS + 1, rows * STEPS + 1];
        // The two patches whose centres lie beside a point of the lattice, and how far between them.
        let between = |i: usize, n: usize| -> (usize, usize, f32) {
            let at = (i as f32 / STEPS as f32 - 0.5).clamp(0.0, (n - 1) as f32);
            let low = at as usize;
            (low, (low + 1).min(n - 1), at - low as f32)
        };
        let value = |row: usize, column: usize| -> f32 {
            let share = heat[row * columns + column] / maximum;
            if share.is_nan() { 0.0 } else { share }
        };
        let mut values = Vec::with_capacity(size[0] * size[1]);
        for y in 0..size[1] {
            let (above, below, down) = between(y, rows);
            for x in 0..size[0] {
                let (left, right, across) = between(x, columns);
                let mix = |row| value(row, left) * (1.0 - across) + value(row, right) * across;
                values.push(mix(above) * (1.0 - down) + mix(below) * down);
            }
        }
        Some(Self { size, values })
    }

    /// Values at the corners of a cell, clockwise from the upper left.
    fn corners(&self, x: usize, y: usize) -> [f32; 4] {
        let at = y * self.size[0] + x;
        let below = at + self.size[0];
        [
            self.values[at],
            self.values[at + 1],
            self.values[below + 1],
            self.values[below],
        ]
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        let [across, down] = self.size.map(|n| n - 1);
        (0..down).flat_map(move |y| (0..across).map(move |x| (x, y)))
    }
}

/// The lines of `heat` (row-major, `columns` wide) at [`SHARES`] of `maximum`.
pub(crate) fn contours(heat: &[f32], columns: usize, maximum: f32) -> Vec<Contour> {
    let Some(lattice) = Lattice::new(heat, columns, maximum) else {
        return Vec::new();
    };
    let line = |share| Contour {
        share,
        pieces: pieces(&lattice, share),
    };
    SHARES.map(line).to_vec()
}

fn pieces(lattice: &Lattice, share: f32) -> Vec<[Pos2; 2]> {
    let [across, down] = lattice.size.map(|n| (n - 1) as f32);
    let mut pieces = Vec::new();
    for (x, y) in lattice.cells() {
        let corners = lattice.corners(x, y);
        let inside = corners.map(|value| value >= share);
        let n_inside = inside.iter().filter(|inside| **inside).count();
        if n_inside == 0 || n_inside == 4 {
            continue;
        }
        // Where the line crosses side `i`, which goes from corner `i` to the next.
        let crossing = |i: usize| -> Pos2 {
            let (from, to) = (corners[i], corners[(i + 1) % 4]);
            let t = (share - from) / (to - from);
            let (dx, dy) = [(t, 0.0), (1.0, t), (1.0 - t, 1.0), (0.0, 1.0 - t)][i];
            Pos2::new((x as f32 + dx) / across, (y as f32 + dy) / down)
        };
        let crossed: Vec<usize> = (0..4)
            .filter(|&i| inside[i] != inside[(i + 1) % 4])
            .collect();
        match crossed[..] {
            [a, b] => pieces.push([crossing(a), crossing(b)]),
            [a, b, c, d] => {
                // Two corners opposite each other are inside: the middle says whether they meet.
                let middle = corners.iter().sum::<f32>() / 4.0 >= share;
                if middle == inside[0] {
                    pieces.extend([[crossing(a), crossing(b)], [crossing(c), crossing(d)]]);
                } else {
                    pieces.extend([[crossing(d), crossing(a)], [crossing(b), crossing(c)]]);
                }
            }
            _ => {}
        }
    }
    pieces
}

/// The same lines as a picture, for small films; all else is transparent.
pub(crate) fn image(heat: &[f32], columns: usize, maximum: f32, opacity: f32) -> ColorImage {
    let Some(lattice) = Lattice::new(heat, columns, maximum) else {
        return ColorImage::filled([1, 1], tokens::CLEAR);
    };
    let colour = |(x, y)| -> Color32 {
        let corners = lattice.corners(x, y);
        let crossed = SHARES.into_iter().rev().find(|share| {
            let n_inside = corners.iter().filter(|value| *value >= share).count();
            (1..4).contains(&n_inside)
        });
        crossed.map_or(tokens::CLEAR, |share| line_colour(share, opacity))
    };
    let pixels = lattice.cells().map(colour).collect();
    ColorImage::new(lattice.size.map(|n| n - 1), pixels)
}

/// The colour of the line at a share of the maximum.
pub(crate) fn line_colour(share: f32, opacity: f32) -> Color32 {
    colour_map::colour(share).gamma_multiply(opacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 24;

    /// A map of which each patch has the value at its centre, in patches from the middle.
    fn map(value: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let at = |i: usize| i as f32 + 0.5 - SIDE as f32 / 2.0;
        (0..SIDE * SIDE)
            .map(|i| value(at(i % SIDE), at(i / SIDE)))
            .collect()
    }

    fn in_patches(point: Pos2) -> Pos2 {
        Pos2::new((point.x - 0.5) * SIDE as f32, (point.y - 0.5) * SIDE as f32)
    }

    #[test]
    fn lines_of_a_cone_are_circles_of_known_radii() {
        let heat = map(|x, y| (8.0 - x.hypot(y)).max(0.0));
        let lines = contours(&heat, SIDE, 8.0);
        assert_eq!(lines.len(), 3);
        for line in &lines {
            let radius = 8.0 * (1.0 - line.share);
            let mut length = 0.0;
            for [a, b] in line.pieces.iter().map(|piece| piece.map(in_patches)) {
                for end in [a, b] {
                    let off = (end.x.hypot(end.y) - radius).abs();
                    assert!(off < 0.12, "{} at {end:?}: off by {off}", line.share);
                }
                length += a.distance(b);
            }
            let round = std::f32::consts::TAU * radius;
            assert!((length / round - 1.0).abs() < 0.03, "{length} {round}");
        }
    }

    #[test]
    fn lines_of_a_ramp_are_straight_and_where_the_value_is() {
        // From 0 at the left edge to 1 at the right one.
        let heat = map(|x, _| x / SIDE as f32 + 0.5);
        for line in contours(&heat, SIDE, 1.0) {
            assert_eq!(line.pieces.len(), SIDE * STEPS);
            for point in line.pieces.iter().flatten() {
                assert!((point.x - line.share).abs() < 1e-4, "{point:?}");
            }
        }
    }

    #[test]
    fn a_saddle_is_two_lines_that_do_not_cross() {
        // Two peaks at opposite corners of four patches.
        let heat = [1.0, 0.0, 0.0, 1.0];
        let half = &contours(&heat, 2, 1.0)[0];
        assert!(!half.pieces.is_empty());
        for [a, b] in &half.pieces {
            assert!(a.distance(*b) <= 0.2, "{a:?} {b:?}");
        }
    }

    #[test]
    fn zero_has_no_line_and_no_colour() {
        assert!(contours(&[], 3, 1.0).is_empty());
        assert!(contours(&[1.0; 9], 3, 0.0).is_empty());
        let flat = contours(&[0.0, f32::NAN, 0.0, 0.0], 2, 1.0);
        assert!(flat.iter().all(|line| line.pieces.is_empty()));
        let empty = image(&[0.0; 9], 3, 1.0, 1.0);
        assert!(empty.pixels.iter().all(|pixel| *pixel == tokens::CLEAR));
        let cone = map(|x, y| (8.0 - x.hypot(y)).max(0.0));
        let drawn = image(&cone, SIDE, 8.0, 1.0);
        assert_eq!(drawn.size, [SIDE * STEPS; 2]);
        let n_lines = drawn.pixels.iter().filter(|p| **p != tokens::CLEAR).count();
        // Three circles of radii 6, 4 and 2 patches, one or two pixels wide.
        let round = std::f32::consts::TAU * 12.0 * STEPS as f32;
        assert!((0.9..2.0).contains(&(n_lines as f32 / round)), "{n_lines}");
        assert_eq!(drawn[(0, 0)], tokens::CLEAR);
        assert_eq!(drawn[(SIDE * STEPS / 2, SIDE * STEPS / 2)], tokens::CLEAR);
    }
}
