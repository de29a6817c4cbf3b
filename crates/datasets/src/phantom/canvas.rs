//! Drawing on a square grey raster: pose, soft strokes, noise and the codes of masks; knows no anatomy.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use schema::{FindingBox, Mask};

/// A point, in body units (`-1..1` across the film) or in pixels, as said where it is used.
pub(super) type Point = (f32, f32);

/// How the body lies on the film: turned in the plane, scaled, shifted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Cosine of the turn.
    pub(super) cos: f32,
    /// Sine of the turn.
    pub(super) sin: f32,
    /// Body units to half films.
    pub(super) scale: f32,
    /// Shift in body units.
    pub(super) shift: Point,
    /// Side of the film in pixels.
    pub(super) size: f32,
}

impl Pose {
    /// Body units to pixels.
    pub(super) fn to_pixel(self, (x, y): Point) -> Point {
        let (u, v) = (
            self.scale * (self.cos * x - self.sin * y) + self.shift.0,
            self.scale * (self.sin * x + self.cos * y) + self.shift.1,
        );
        ((u + 1.0) * 0.5 * self.size, (v + 1.0) * 0.5 * self.size)
    }

    /// Pixels to body units.
    pub(super) fn to_body(self, (px, py): Point) -> Point {
        let u = (px / self.size * 2.0 - 1.0 - self.shift.0) / self.scale;
        let v = (py / self.size * 2.0 - 1.0 - self.shift.1) / self.scale;
        (self.cos * u + self.sin * v, self.cos * v - self.sin * u)
    }

    /// One pixel of a 224 px film, in pixels of this film.
    pub(super) fn unit(self) -> f32 {
        self.size / 224.0
    }
}

/// A square raster of f32, row-major.
#[derive(Debug, Clone)]
pub(super) struct Raster {
    /// Side in pixels.
    pub(super) size: usize,
    /// `size * size` values.
    pub(super) values: Vec<f32>,
}

impl Raster {
    /// A raster filled with one value.
    pub(super) fn filled(size: usize, value: f32) -> Self {
        Self {
            size,
            values: vec![value; size * size],
        }
    }

    /// Adds `weight * layer`.
    pub(super) fn add(&mut self, layer: &Self, weight: f32) {
        for (value, &extra) in self.values.iter_mut().zip(&layer.values) {
            *value += weight * extra;
        }
    }

    /// Paints `level` with the opacity `alpha * layer`.
    pub(super) fn paint(&mut self, layer: &Self, level: f32, alpha: f32) {
        for (value, &cover) in self.values.iter_mut().zip(&layer.values) {
            *value += (level - *value) * cover * alpha;
        }
    }

    /// Raises the raster to the coverage of a line through `points` (pixels), half as wide as
    /// `half_width` says, with an edge of `soft` pixels.
    pub(super) fn stroke(&mut self, points: &[Point], half_width: f32, soft: f32) {
        for pair in points.windows(2) {
            if let &[from, to] = pair {
                self.segment(from, to, half_width, soft);
            }
        }
    }

    fn segment(&mut self, from: Point, to: Point, half_width: f32, soft: f32) {
        let reach = half_width + soft;
        let limit = self.size as f32;
        let low = |a: f32, b: f32| (a.min(b) - reach).clamp(0.0, limit) as usize;
        let high = |a: f32, b: f32| (a.max(b) + reach + 1.0).clamp(0.0, limit) as usize;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).max(1e-6);
        for row in low(from.1, to.1)..high(from.1, to.1) {
            for column in low(from.0, to.0)..high(from.0, to.0) {
                let (px, py) = (column as f32 + 0.5 - from.0, row as f32 + 0.5 - from.1);
                let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                let (ex, ey) = (px - along * dx, py - along * dy);
                let distance = (ex * ex + ey * ey).sqrt();
                let cover = ((half_width + soft * 0.5 - distance) / soft).clamp(0.0, 1.0);
                let value = &mut self.values[row * self.size + column];
                *value = value.max(cover);
            }
        }
    }

    /// Mean of three by three pixels, mixed in with weight `amount`.
    pub(super) fn soften(&mut self, amount: f32) {
        let n = self.size;
        let mut across = self.values.clone();
        for row in 0..n {
            let line = &self.values[row * n..(row + 1) * n];
            for column in 1..n.saturating_sub(1) {
                across[row * n + column] =
                    (line[column - 1] + line[column] + line[column + 1]) / 3.0;
            }
        }
        for row in 1..n.saturating_sub(1) {
            for column in 0..n {
                let i = row * n + column;
                let mean = (across[i - n] + across[i] + across[i + n]) / 3.0;
                self.values[i] += amount * (mean - self.values[i]);
            }
        }
    }

    /// Which values are at least a half.
    pub(super) fn flags(&self) -> Vec<bool> {
        self.values.iter().map(|&value| value >= 0.5).collect()
    }
}

/// A smooth curve through `points`, with `steps` pieces between neighbours (Catmull-Rom).
pub(super) fn curve(points: &[Point], steps: usize) -> Vec<Point> {
    let last = points.len().saturating_sub(1);
    let mut path = Vec::with_capacity(points.len() * steps + 1);
    for i in 0..last {
        let (a, b) = (points[i.saturating_sub(1)], points[i]);
        let (c, d) = (points[i + 1], points[(i + 2).min(last)]);
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                0.5 * (2.0 * b
                    + (c - a) * t
                    + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                    + (3.0 * b - a - 3.0 * c + d) * t * t * t)
            };
            path.push((mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1)));
        }
    }
    path.extend(points.last());
    path
}

/// 0 below `low`, 1 above `high`, smooth between; `high` may lie below `low`.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Smooth random values over a square, from `-1` to `1`.
#[derive(Debug)]
pub(super) struct NoiseField {
    cells: usize,
    values: Vec<f32>,
}

impl NoiseField {
    /// A field with `cells` knots to a side.
    pub(super) fn new(rng: &mut ChaCha8Rng, cells: usize) -> Self {
        let side = cells + 2;
        Self {
            cells,
            values: (0..side * side)
                .map(|_| rng.random_range(-1.0_f32..1.0))
                .collect(),
        }
    }

    /// The value at `(u, v)`, both `0..1`.
    pub(super) fn at(&self, u: f32, v: f32) -> f32 {
        let scaled = |x: f32| x.clamp(0.0, 1.0) * self.cells as f32;
        let (x, y) = (scaled(u), scaled(v));
        let (column, row) = (x as usize, y as usize);
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (fx, fy) = (ease(x - column as f32), ease(y - row as f32));
        let side = self.cells + 2;
        let i = row * side + column;
        let top = self.values[i] + (self.values[i + 1] - self.values[i]) * fx;
        let bottom =
            self.values[i + side] + (self.values[i + side + 1] - self.values[i + side]) * fx;
        top + (bottom - top) * fy
    }
}

/// Roughly normal, mean 0, deviation 1: the sum of four uniform numbers from one draw.
pub(super) fn gaussian(rng: &mut ChaCha8Rng) -> f32 {
    let bits: u64 = rng.random();
    let sum: f32 = (0..4).map(|i| f32::from((bits >> (16 * i)) as u16)).sum();
    (sum / 65_535.0 - 2.0) * 1.732_050_8
}

/// The box and mask of a finding from its flags; `None` where no pixel is flagged.
pub(super) fn marked(finding: &str, size: usize, flags: &[bool]) -> Option<FindingBox> {
    let (mut left, mut top, mut right, mut bottom) = (size, size, 0, 0);
    for (row, line) in flags.chunks_exact(size).enumerate() {
        for (column, _) in line.iter().enumerate().filter(|(_, flag)| **flag) {
            left = left.min(column);
            right = right.max(column + 1);
            top = top.min(row);
            bottom = bottom.max(row + 1);
        }
    }
    (right > left).then(|| FindingBox {
        finding: finding.to_owned(),
        rect: [
            left as f32,
            top as f32,
            (right - left) as f32,
            (bottom - top) as f32,
        ],
        mask: Some(Mask::from_flags(size as u32, size as u32, flags)),
    })
}
