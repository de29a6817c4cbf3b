//! Plants the findings of lung and pleura: effusion, pneumothorax, nodule, consolidation.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::anatomy::{Anatomy, Lung, Side};
use super::canvas::{NoiseField, Point, Pose, Raster, smoothstep};
use super::chest::Fields;
use super::plan::{Place, Zone};

/// Candidates tried for the place of a lesion.
const TRIES: usize = 60;

/// Coverage of the fluid of an effusion of `amount` (`0..1`), limited to lung.
pub(super) fn effusion(anatomy: &Anatomy, fields: &Fields, side: Side, amount: f32) -> Raster {
    let lung = anatomy.lung(side);
    let height = 0.34 + 0.31 * amount;
    let mut layer = fields.lung(side).clone();
    for (value, &(x, y)) in layer.values.iter_mut().zip(&fields.points) {
        let x = x * side.sign();
        let across = ((x - lung.medial) / (lung.lateral - lung.medial)).clamp(0.0, 1.1);
        // The meniscus climbs towards the chest wall.
        let level = lung.angle_y - height * (0.52 + 0.48 * across * across);
        *value *= smoothstep(level - 0.02, level + 0.035, y);
    }
    layer
}

/// Coverage of the free air of a pneumothorax, and of its pleural line.
pub(super) fn pneumothorax(
    anatomy: &Anatomy,
    fields: &Fields,
    (side, amount): (Side, f32),
    pose: Pose,
) -> (Raster, Raster) {
    let lung = anatomy.lung(side);
    let shrink = Shrink::new(lung, 0.80 - 0.16 * amount);
    let mut air = fields.lung(side).clone();
    for (value, &point) in air.values.iter_mut().zip(&fields.points) {
        // Air gathers at the apex and along the chest wall, not between lung and heart.
        let beside = point.0 * side.sign() > lung.dome.0 || point.1 < shrink.root.1 - 0.25;
        *value *= if beside {
            smoothstep(0.008, -0.008, lung.depth(shrink.original(point)))
        } else {
            0.0
        };
    }
    let mut line = Raster::filled(air.size, 0.0);
    let s = side.sign();
    let span = lung.angle_y - lung.apex.1;
    let border = |at: &dyn Fn(f32) -> f32, from: f32, to: f32| -> Vec<Point> {
        (0_u8..=48)
            .map(|i| {
                let share = from + (to - from) * f32::from(i) / 48.0;
                // Denser near the apex, where the outline turns.
                let y = lung.apex.1 + share * share * span;
                pose.to_pixel(shrink.shrunk((s * at(y), y)))
            })
            .collect()
    };
    let unit = pose.unit();
    let lateral = border(&|y| lung.lateral_at(y), 0.0, 0.95);
    let medial = border(&|y| lung.medial_at(y), 0.0, 0.36);
    line.stroke(&lateral, 0.95 * unit, 1.2 * unit);
    line.stroke(&medial, 0.95 * unit, 1.2 * unit);
    for (value, &cover) in line.values.iter_mut().zip(&fields.lung(side).values) {
        *value *= cover;
    }
    (air, line)
}

/// The collapse of a lung towards its root.
struct Shrink {
    root: Point,
    factor: f32,
}

impl Shrink {
    fn new(lung: &Lung, factor: f32) -> Self {
        let (hx, hy) = lung.hilum();
        Self {
            root: (hx - 0.5 * lung.side.sign() * 0.1, hy + 0.15),
            factor,
        }
    }

    /// Where a point of the full lung comes to lie.
    fn shrunk(&self, (x, y): Point) -> Point {
        let dy = y - self.root.1;
        (
            self.root.0 + (x - self.root.0) * self.factor,
            self.root.1 + if dy < 0.0 { dy * self.factor } else { dy },
        )
    }

    /// The inverse of [`Self::shrunk`].
    fn original(&self, (x, y): Point) -> Point {
        let dy = y - self.root.1;
        (
            self.root.0 + (x - self.root.0) / self.factor,
            self.root.1 + if dy < 0.0 { dy / self.factor } else { dy },
        )
    }
}

/// A place whose disc of `radius` (body units) holds the most free lung of all that were tried.
///
/// `free` is 1 where aerated lung is seen.
pub(super) fn free_place(
    rng: &mut ChaCha8Rng,
    anatomy: &Anatomy,
    free: &Raster,
    (radius, pose): (f32, Pose),
) -> (Point, Place) {
    let mut best = ((0.4, -0.2), Side::Left, 0.0, -1.0_f32);
    for _ in 0..TRIES {
        let side = Side::draw(rng);
        let lung = anatomy.lung(side);
        let share = rng.random_range(0.10_f32..0.95);
        let y = lung.apex.1 + share * (lung.dome.1 - lung.apex.1);
        let (low, high) = (lung.medial_at(y), lung.lateral_at(y));
        let x = low + (high - low) * rng.random_range(0.1_f32..0.95);
        let centre = (side.sign() * x, y);
        let score = freedom(free, centre, radius, pose);
        if score > best.3 {
            best = (centre, side, share, score);
        }
        if score > 0.985 {
            break;
        }
    }
    let (centre, side, share, _) = best;
    (
        centre,
        Place {
            side,
            zone: Zone::of(share),
        },
    )
}

/// Share of free lung over a disc.
fn freedom(free: &Raster, (x, y): Point, radius: f32, pose: Pose) -> f32 {
    let mut sum = 0.0;
    for ring in 0..3_u8 {
        let r = radius * f32::from(ring + 1) / 3.0;
        for spoke in 0..8_u8 {
            let angle = f32::from(spoke) * std::f32::consts::FRAC_PI_4;
            let (px, py) = pose.to_pixel((x + r * angle.cos(), y + r * angle.sin()));
            let n = free.size as f32;
            if px >= 0.0 && py >= 0.0 && px < n && py < n {
                sum += free.values[py as usize * free.size + px as usize];
            }
        }
    }
    sum / 24.0
}

/// Coverage of a round nodule of `radius` pixels.
pub(super) fn nodule(centre: Point, radius: f32, pose: Pose) -> Raster {
    let mut layer = Raster::filled(pose.size as usize, 0.0);
    let at = pose.to_pixel(centre);
    layer.stroke(&[at, at], radius, 3.0 * pose.unit());
    layer
}

/// Coverage of an irregular patch around `centre`, and its texture (about `-1..1`).
pub(super) fn consolidation(
    rng: &mut ChaCha8Rng,
    fields: &Fields,
    centre: Point,
    radius: f32,
) -> (Raster, Vec<f32>) {
    let (shape, texture) = (NoiseField::new(rng, 5), NoiseField::new(rng, 17));
    let stretch = rng.random_range(0.85_f32..1.2);
    let cover = |&(x, y): &Point| {
        let (dx, dy) = (
            (x - centre.0) / radius / stretch,
            (y - centre.1) / radius * stretch,
        );
        if dx * dx + dy * dy > 4.0 {
            return (0.0, 0.0);
        }
        let (u, v) = (dx * 0.25 + 0.5, dy * 0.25 + 0.5);
        let far = (dx * dx + dy * dy).sqrt() + 0.36 * shape.at(u, v);
        (smoothstep(1.12, 0.72, far), texture.at(u, v))
    };
    let (values, texture) = fields.points.iter().map(cover).unzip();
    (
        Raster {
            size: fields.middle.size,
            values,
        },
        texture,
    )
}
