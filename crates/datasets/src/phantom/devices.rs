//! Plants what people put in or on a film: pacemaker, central line, endotracheal tube, letters.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::anatomy::{Anatomy, Side};
use super::canvas::{Point, Pose, Raster, curve, smoothstep};
use super::glyphs::{draw_text, text_size};
use super::plan::LineCourse;

/// A smooth path through points in body units, in pixels.
fn path(points: &[Point], pose: Pose) -> Vec<Point> {
    curve(points, 8)
        .into_iter()
        .map(|point| pose.to_pixel(point))
        .collect()
}

/// Where the superior vena cava ends, in body units.
fn caval_end(anatomy: &Anatomy) -> Point {
    (-0.115 + anatomy.turn, 0.02)
}

/// Coverage of a pacemaker's generator, and of its lead.
pub(super) fn pacemaker(
    rng: &mut ChaCha8Rng,
    anatomy: &Anatomy,
    side: Side,
    pose: Pose,
) -> (Raster, Raster) {
    let s = side.sign();
    let size = pose.size as usize;
    let centre = (
        s * rng.random_range(0.52_f32..0.64),
        rng.random_range(-0.50_f32..-0.40),
    );
    let half = (
        rng.random_range(0.105_f32..0.13),
        rng.random_range(0.085_f32..0.105),
    );
    let tilt = rng.random_range(-0.3_f32..0.3);
    let (sin, cos) = tilt.sin_cos();
    let mut generator = Raster::filled(size, 0.0);
    for (i, value) in generator.values.iter_mut().enumerate() {
        let (x, y) = pose.to_body(((i % size) as f32 + 0.5, (i / size) as f32 + 0.5));
        let (dx, dy) = (x - centre.0, y - centre.1);
        let (u, v) = (
            (dx * cos + dy * sin) / half.0,
            (dy * cos - dx * sin) / half.1,
        );
        *value = smoothstep(1.05, 0.95, (u.powi(4) + v.powi(4)).sqrt().sqrt());
    }
    let end = caval_end(anatomy);
    let heart = anatomy.heart.centre;
    let points = [
        (centre.0 - s * 0.04, centre.1 - half.1),
        (s * 0.40, -0.62),
        (s * 0.20, -0.56),
        (end.0 + 0.02 * s, -0.36),
        (end.0, -0.08),
        (heart.0 - 0.12, heart.1 + 0.02),
        (heart.0 + 0.02, heart.1 + 0.13),
        (heart.0 + 0.18, heart.1 + 0.12),
    ];
    let mut lead = Raster::filled(size, 0.0);
    let unit = pose.unit();
    let course = path(&points, pose);
    lead.stroke(&course, 0.85 * unit, 1.0 * unit);
    if let Some(&tip) = course.last() {
        lead.stroke(&[tip, tip], 1.9 * unit, 1.0 * unit);
    }
    (generator, lead)
}

/// Coverage of a central line.
pub(super) fn central_line(
    rng: &mut ChaCha8Rng,
    anatomy: &Anatomy,
    course: LineCourse,
    pose: Pose,
) -> Raster {
    let end = caval_end(anatomy);
    let tip = (end.0 + 0.01, end.1 + rng.random_range(-0.10_f32..0.08));
    let wave = rng.random_range(-0.03_f32..0.03);
    let points = match course {
        LineCourse::Jugular(Side::Right) => vec![
            (-0.26 + wave, -1.25),
            (-0.235 + wave, -0.86),
            (-0.20, -0.62),
            (end.0 - 0.015, -0.40),
            (end.0, -0.2),
            tip,
        ],
        LineCourse::Jugular(Side::Left) => vec![
            (0.27 + wave, -1.25),
            (0.25 + wave, -0.86),
            (0.21, -0.62),
            (0.08, -0.46),
            (end.0 + 0.04, -0.35),
            (end.0, -0.2),
            tip,
        ],
        LineCourse::Arm(side) => {
            let s = side.sign();
            vec![
                (s * 1.25, -0.12 + wave),
                (s * 0.92, -0.34 + wave),
                (s * 0.62, -0.57),
                (s * 0.34, -0.60),
                ((s * 0.16 + end.0) * 0.5 + s * 0.05, -0.46),
                (end.0, -0.26),
                tip,
            ]
        }
    };
    let mut line = Raster::filled(pose.size as usize, 0.0);
    line.stroke(&path(&points, pose), 1.05 * pose.unit(), 1.0 * pose.unit());
    line
}

/// Coverage of an endotracheal tube's walls, and of the whole tube.
pub(super) fn tube(rng: &mut ChaCha8Rng, anatomy: &Anatomy, pose: Pose) -> (Raster, Raster) {
    let tip = rng.random_range(-0.47_f32..-0.36);
    let bend = rng.random_range(-0.015_f32..0.015);
    let at = |offset: f32| {
        let x = anatomy.turn + offset;
        path(
            &[
                (x + 2.0 * bend, -1.3),
                (x + bend, -0.9),
                (x, -0.65),
                (x, tip),
            ],
            pose,
        )
    };
    let unit = pose.unit();
    let half = 0.030;
    let size = pose.size as usize;
    let (mut walls, mut whole) = (Raster::filled(size, 0.0), Raster::filled(size, 0.0));
    walls.stroke(&at(-half), 0.8 * unit, 1.0 * unit);
    walls.stroke(&at(half), 0.8 * unit, 1.0 * unit);
    whole.stroke(&at(0.0), half * 0.5 * pose.size * pose.scale, 1.0 * unit);
    whole.stroke(&at(-half), 0.8 * unit, 1.0 * unit);
    whole.stroke(&at(half), 0.8 * unit, 1.0 * unit);
    (walls, whole)
}

/// A burned-in text: its lit pixels, and the plate behind it as `[left, top, width, height]`.
#[derive(Debug)]
pub(super) struct BurnedIn {
    /// Indexes of lit pixels.
    pub(super) lit: Vec<usize>,
    /// The plate.
    pub(super) plate: [usize; 4],
}

/// A text of `scale` pixels to a dot, its plate at `(left, top)`.
fn burned_in(text: &str, (left, top): (usize, usize), scale: usize, size: usize) -> BurnedIn {
    let margin = scale.max(2);
    let (width, height) = text_size(text, scale);
    let left = left.min(size.saturating_sub(width + 2 * margin));
    let top = top.min(size.saturating_sub(height + 2 * margin));
    let mut lit = Vec::new();
    draw_text(text, (left + margin, top + margin), scale, |column, row| {
        if column < size && row < size {
            lit.push(row * size + column);
        }
    });
    BurnedIn {
        lit,
        plate: [
            left,
            top,
            (width + 2 * margin).min(size),
            (height + 2 * margin).min(size),
        ],
    }
}

/// The laterality letter, in the upper corner of its side.
pub(super) fn letter(rng: &mut ChaCha8Rng, side: Side, size: usize) -> BurnedIn {
    let unit = size as f32 / 224.0;
    let scale = (f32::from(rng.random_range(2_u8..=3)) * unit)
        .round()
        .max(1.0) as usize;
    let (text, from) = match side {
        Side::Right => ("R", 0.03),
        Side::Left => ("L", 0.85),
    };
    let left = (from + rng.random_range(0.0_f32..0.05)) * size as f32;
    let top = rng.random_range(0.03_f32..0.12) * size as f32;
    burned_in(text, (left as usize, top as usize), scale, size)
}

/// The portable marker: a word in one of the lower corners.
pub(super) fn portable(rng: &mut ChaCha8Rng, size: usize) -> BurnedIn {
    let unit = size as f32 / 224.0;
    let text = ["PORTABLE", "PORT", "AP PORT"][rng.random_range(0_usize..3)];
    let wide = if text.len() > 4 { 1.0 } else { 2.0 };
    let scale = (wide * unit).round().max(1.0) as usize;
    let width = text_size(text, scale).0;
    let left = if rng.random() {
        rng.random_range(2..8)
    } else {
        size.saturating_sub(width + 8 + rng.random_range(0_usize..6))
    };
    let top = rng.random_range(0.86_f32..0.90) * size as f32;
    burned_in(text, (left, top as usize), scale, size)
}
