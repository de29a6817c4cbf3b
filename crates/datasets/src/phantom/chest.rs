//! Paints the layers of a chest without findings: body, lungs, vessels, mediastinum, bones.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::anatomy::{Anatomy, Lung, Side};
use super::canvas::{NoiseField, Point, Pose, Raster, curve, smoothstep};

/// Where things lie on one film, pixel by pixel.
#[derive(Debug)]
pub(super) struct Fields {
    /// Body coordinates of every pixel.
    pub(super) points: Vec<Point>,
    /// Coverage of the right and the left lung.
    pub(super) lungs: [Raster; 2],
    /// Coverage of heart and mediastinum, which hide lung.
    pub(super) middle: Raster,
    /// Distance from the heart's middle in units of its border.
    pub(super) heart: Vec<f32>,
}

impl Fields {
    /// Measures every pixel.
    pub(super) fn new(anatomy: &Anatomy, pose: Pose) -> Self {
        let size = pose.size as usize;
        let points: Vec<Point> = (0..size * size)
            .map(|i| pose.to_body(((i % size) as f32 + 0.5, (i / size) as f32 + 0.5)))
            .collect();
        let raster = |of: &dyn Fn(Point) -> f32| Raster {
            size,
            values: points.iter().map(|&point| of(point)).collect(),
        };
        let [right, left] = &anatomy.lungs;
        let lungs = [
            raster(&|point| right.cover(point)),
            raster(&|point| left.cover(point)),
        ];
        let heart: Vec<f32> = points.iter().map(|&p| anatomy.heart.distance(p)).collect();
        let middle = Raster {
            size,
            values: points
                .iter()
                .zip(&heart)
                .map(|(&point, &heart)| {
                    let border = smoothstep(1.03, 0.96, heart);
                    border.max(mediastinum(anatomy, point))
                })
                .collect(),
        };
        Self {
            points,
            lungs,
            middle,
            heart,
        }
    }

    /// The lung's raster on a side.
    pub(super) fn lung(&self, side: Side) -> &Raster {
        let [right, left] = &self.lungs;
        match side {
            Side::Right => right,
            Side::Left => left,
        }
    }
}

/// Coverage of the great vessels and the aortic knob.
fn mediastinum(anatomy: &Anatomy, (x, y): Point) -> f32 {
    let x = x - anatomy.turn;
    let widen = 0.105 + 0.06 * smoothstep(-0.4, 0.35, y) + 0.03 * smoothstep(-0.55, -0.9, y);
    let band = smoothstep(widen + 0.03, widen - 0.03, x.abs());
    let (kx, ky) = (x - 0.115, y + 0.27);
    let knob = smoothstep(0.105, 0.075, (kx * kx + ky * ky).sqrt());
    band.max(knob)
}

/// Air and soft tissue: everything that is not lung, heart or bone. Gives the body's coverage.
pub(super) fn paint_body(film: &mut Raster, anatomy: &Anatomy, fields: &Fields) -> Raster {
    let patient = &anatomy.patient;
    let mut body = Raster::filled(film.size, 0.0);
    for ((value, body), &(x, y)) in film
        .values
        .iter_mut()
        .zip(&mut body.values)
        .zip(&fields.points)
    {
        let shoulder = -0.80 + 0.30 * smoothstep(0.22, 1.05, x.abs());
        let side = if y < -0.25 {
            // Arms: the body widens into the shoulders.
            patient.body + 0.5 * smoothstep(-0.25, -0.6, y)
        } else {
            patient.body
        };
        let width = 0.25 + 0.10 * smoothstep(-1.0, -0.78, y);
        let neck = smoothstep(width + 0.02, width - 0.04, x.abs());
        let torso = smoothstep(side + 0.015, side - 0.015, x.abs())
            * smoothstep(shoulder - 0.03, shoulder + 0.03, y);
        let inside = torso.max(neck);
        let round = 1.0 - 0.35 * (x / side).powi(2).min(1.0);
        let belly = 0.10 * smoothstep(0.35, 0.75, y);
        let tissue = 0.60 * round + belly + 0.02;
        *value += (tissue - *value) * inside;
        *body = inside;
    }
    body
}

/// Darkens the lungs; `lucency` is the level of the right and the left one.
pub(super) fn paint_lungs(film: &mut Raster, fields: &Fields, lucency: [f32; 2]) {
    for (lung, level) in fields.lungs.iter().zip(lucency) {
        for ((value, &cover), &(_, y)) in
            film.values.iter_mut().zip(&lung.values).zip(&fields.points)
        {
            let target = level + 0.05 * smoothstep(-0.3, 0.6, y);
            *value += (target - *value) * cover;
        }
    }
}

/// Vessels that branch from the root of a lung, as a coverage.
pub(super) fn vessels(rng: &mut ChaCha8Rng, lung: &Lung, pose: Pose) -> Raster {
    let mut layer = Raster::filled(pose.size as usize, 0.0);
    let s = lung.side.sign();
    let (hx, hy) = lung.hilum();
    for i in 0..13_u8 {
        let angle = -1.45 + f32::from(i) * 0.235 + rng.random_range(-0.12_f32..0.12);
        let reach = rng.random_range(0.34_f32..0.62);
        let bend = rng.random_range(-0.35_f32..0.35);
        let step = |share: f32| {
            let turned = angle + bend * share;
            (
                hx + s * reach * share * turned.cos(),
                hy + reach * share * turned.sin() * 1.25,
            )
        };
        let path: Vec<Point> = (0_u8..=6)
            .map(|k| pose.to_pixel(step(f32::from(k) / 6.0)))
            .collect();
        let unit = pose.unit();
        layer.stroke(&path[..3], 1.1 * unit, 2.6 * unit);
        layer.stroke(&path[2..], 0.5 * unit, 2.0 * unit);
        let fork = step(0.5);
        let aside = angle + if rng.random() { 0.5 } else { -0.5 };
        let tip = (fork.0 + s * 0.22 * aside.cos(), fork.1 + 0.26 * aside.sin());
        layer.stroke(
            &[pose.to_pixel(fork), pose.to_pixel(tip)],
            0.4 * unit,
            1.8 * unit,
        );
    }
    // Vessels thin out towards the chest wall.
    let (px, py) = pose.to_pixel((hx, hy));
    let size = layer.size;
    for (i, value) in layer.values.iter_mut().enumerate() {
        if *value > 0.0 {
            let (dx, dy) = ((i % size) as f32 - px, (i / size) as f32 - py);
            let far = (dx * dx + dy * dy).sqrt() / (0.5 * pose.size);
            *value *= smoothstep(0.75, 0.05, far);
        }
    }
    layer
}

/// Heart, great vessels, roots of the lungs, trachea, spine, abdomen.
pub(super) fn paint_middle(film: &mut Raster, anatomy: &Anatomy, fields: &Fields) {
    let hila = anatomy.lungs.each_ref().map(Lung::hilum);
    let bubble = anatomy.patient.bubble;
    let bubble_at = (0.42, anatomy.lung(Side::Left).dome.1 + 0.06 + bubble);
    let cover = |i: usize| fields.middle.values[i];
    for (i, value) in film.values.iter_mut().enumerate() {
        let (x, y) = fields.points[i];
        for (hx, hy) in hila {
            let (dx, dy) = ((x - hx) / 0.085, (y - hy) / 0.15);
            *value += 0.20 * (-(dx * dx + dy * dy)).exp();
        }
        // The heart is thickest in its middle.
        let thick = (1.0 - fields.heart[i] * fields.heart[i]).max(0.0);
        let level = 0.66 + 0.08 * thick;
        *value += (level.max(*value) - *value) * cover(i);
        let centre = x - anatomy.turn;
        let airway = smoothstep(0.052, 0.030, centre.abs()) * smoothstep(-0.24, -0.32, y);
        *value -= 0.15 * airway;
        let spine = smoothstep(0.105, 0.075, (x - 0.35 * anatomy.turn).abs());
        let discs = 0.5 + 0.5 * (y * 46.0).sin();
        let behind = 1.0 - 0.55 * smoothstep(-0.4, 0.3, y);
        *value += spine * (0.045 + 0.03 * discs) * behind;
        if bubble > 0.0 {
            let (dx, dy) = (
                (x - bubble_at.0) / (1.5 * bubble),
                (y - bubble_at.1) / bubble,
            );
            let air = smoothstep(1.1, 0.85, (dx * dx + dy * dy).sqrt());
            *value -= 0.20 * air;
        }
    }
}

/// Ribs and clavicles, as coverages of dim and of bright bone.
pub(super) fn bones(anatomy: &Anatomy, pose: Pose) -> (Raster, Raster) {
    let size = pose.size as usize;
    let unit = pose.unit();
    let (mut ribs, mut clavicles) = (Raster::filled(size, 0.0), Raster::filled(size, 0.0));
    let patient = &anatomy.patient;
    let draw = |layer: &mut Raster, points: &[Point], width: f32, soft: f32| {
        let path: Vec<Point> = curve(points, 5)
            .into_iter()
            .map(|p| pose.to_pixel(p))
            .collect();
        layer.stroke(&path, width * unit, soft * unit);
    };
    for side in [Side::Right, Side::Left] {
        let s = side.sign();
        for i in 0..9_u8 {
            let y = patient.apex_y + 0.02 + f32::from(i) * patient.rib_step;
            let wide = (0.42 + 0.11 * f32::from(i)).min(1.0) * (patient.width + 0.05);
            let fall = patient.rib_fall * (0.5 + 0.08 * f32::from(i));
            draw(
                &mut ribs,
                &[
                    (s * 0.08, y),
                    (s * wide * 0.40, y - 0.025),
                    (s * wide * 0.75, y + fall * 0.35),
                    (s * wide * 0.96, y + fall),
                    (s * wide, y + fall + 0.09),
                ],
                3.1,
                2.2,
            );
        }
        let (inner, rise) = (0.075, patient.clavicle_rise);
        let base = patient.apex_y + 0.27;
        // A turned patient shows one clavicle's end near the middle, the other far from it.
        let end = s * inner - 0.9 * anatomy.turn;
        draw(
            &mut clavicles,
            &[
                (end, base),
                (s * 0.24 - 0.5 * anatomy.turn, base - 0.25 * rise),
                (s * 0.48, base - 0.55 * rise),
                (s * 0.80, base - 0.9 * rise),
            ],
            4.0,
            2.4,
        );
    }
    (ribs, clavicles)
}

/// Brightness of soft tissue in front of the lower chest, of scatter and of the tilt of exposure.
pub(super) fn paint_veil(film: &mut Raster, anatomy: &Anatomy, fields: &Fields, tilt: Point) {
    let breast = anatomy.patient.breast;
    for (value, &(x, y)) in film.values.iter_mut().zip(&fields.points) {
        if breast > 0.0 {
            let (dx, dy) = ((x.abs() - 0.46) / 0.36, (y - 0.18) / 0.34);
            *value += breast * smoothstep(1.1, 0.8, (dx * dx + dy * dy).sqrt());
        }
        *value += tilt.0 * x + tilt.1 * y;
    }
}

/// A texture of small mottles, about `-1..1`, the same everywhere in the lungs.
pub(super) fn mottle(rng: &mut ChaCha8Rng, size: usize) -> Vec<f32> {
    let (coarse, fine) = (NoiseField::new(rng, 28), NoiseField::new(rng, 64));
    (0..size * size)
        .map(|i| {
            let (u, v) = (
                (i % size) as f32 / size as f32,
                (i / size) as f32 / size as f32,
            );
            0.6 * coarse.at(u, v) + 0.5 * fine.at(u, v)
        })
        .collect()
}
