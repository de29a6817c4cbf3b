//! The shape of one phantom patient's chest: lungs, heart, bones; drawn by `chest`, findings apart.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::canvas::{Point, smoothstep};

/// Entries of the tables of a lung's outline.
const OUTLINE: usize = 128;

/// A side of the body. The patient's right is the viewer's left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Viewer's left, negative x.
    Right,
    /// Viewer's right, positive x.
    Left,
}

impl Side {
    /// Sign of x on this side.
    pub(super) fn sign(self) -> f32 {
        match self {
            Self::Right => -1.0,
            Self::Left => 1.0,
        }
    }

    /// The word of a report.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }

    /// One or the other, evenly.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        if rng.random() {
            Self::Left
        } else {
            Self::Right
        }
    }
}

/// The outline of one lung, in body units mirrored so that lateral is positive.
#[derive(Debug, Clone)]
pub(super) struct Lung {
    /// Which one.
    pub(super) side: Side,
    /// Top of the lung.
    pub(super) apex: Point,
    /// Where the medial border runs.
    pub(super) medial: f32,
    /// Farthest lateral extent.
    pub(super) lateral: f32,
    /// Height of the costophrenic angle.
    pub(super) angle_y: f32,
    /// Middle and height of the dome of the diaphragm.
    pub(super) dome: Point,
    medial_table: Vec<f32>,
    lateral_table: Vec<f32>,
}

impl Lung {
    fn new(side: Side, apex: Point, (medial, lateral): Point, angle_y: f32, dome: Point) -> Self {
        let steps = || (0..=OUTLINE).map(|i| i as f32 / OUTLINE as f32);
        Self {
            side,
            apex,
            medial,
            lateral,
            angle_y,
            dome,
            lateral_table: steps()
                .map(|t| apex.0 + (lateral - apex.0) * (1.0 - (1.0 - t).powf(2.4)).powf(0.62))
                .collect(),
            medial_table: steps()
                .map(|t| {
                    let u = (t / 0.34).min(1.0);
                    apex.0 - (apex.0 - medial) * (1.0 - (1.0 - u) * (1.0 - u)).sqrt()
                })
                .collect(),
        }
    }

    fn look_up(table: &[f32], t: f32) -> f32 {
        let x = t.clamp(0.0, 0.999_9) * OUTLINE as f32;
        let i = x as usize;
        table[i] + (table[i + 1] - table[i]) * (x - i as f32)
    }

    /// Share of the way from apex to costophrenic angle.
    fn share(&self, y: f32) -> f32 {
        (y - self.apex.1) / (self.angle_y - self.apex.1)
    }

    /// The lateral border at height `y`, lateral positive.
    pub(super) fn lateral_at(&self, y: f32) -> f32 {
        Self::look_up(&self.lateral_table, self.share(y))
    }

    /// The medial border at height `y`, lateral positive.
    pub(super) fn medial_at(&self, y: f32) -> f32 {
        Self::look_up(&self.medial_table, self.share(y))
    }

    /// Height of the diaphragm at `x`, lateral positive.
    pub(super) fn diaphragm_at(&self, x: f32) -> f32 {
        let fall = self.angle_y - self.dome.1;
        let across = (x - self.dome.0) / (self.lateral - self.dome.0);
        self.dome.1 + fall * across * across * if across > 0.0 { 1.0 } else { 0.45 }
    }

    /// How far a point lies inside the lung: negative outside, roughly in body units.
    pub(super) fn depth(&self, (x, y): Point) -> f32 {
        let x = x * self.side.sign();
        if y < self.apex.1 || y > self.angle_y + 0.02 {
            return -1.0;
        }
        (x - self.medial_at(y))
            .min(self.lateral_at(y) - x)
            .min(self.diaphragm_at(x) - y)
    }

    /// Root of the lung, in body units.
    pub(super) fn hilum(&self) -> Point {
        (
            self.side.sign() * (self.medial + 0.05),
            0.5 * (self.apex.1 + self.dome.1) + 0.08,
        )
    }

    /// Coverage of the lung with a soft edge, 0 to 1.
    pub(super) fn cover(&self, point: Point) -> f32 {
        smoothstep(-0.012, 0.022, self.depth(point))
    }
}

/// The heart: an ellipse lying towards the patient's left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heart {
    /// Middle, in body units.
    pub(super) centre: Point,
    /// Half axes.
    pub(super) radii: Point,
    /// Cosine and sine of the tilt.
    pub(super) tilt: Point,
}

impl Heart {
    /// 1 on the border, below 1 inside.
    pub(super) fn distance(&self, (x, y): Point) -> f32 {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let u = (dx * self.tilt.0 + dy * self.tilt.1) / self.radii.0;
        let v = (dy * self.tilt.0 - dx * self.tilt.1) / self.radii.1;
        (u * u + v * v).sqrt()
    }
}

/// What stays the same over all films of one patient.
#[derive(Debug, Clone)]
pub(super) struct Patient {
    /// Half width of the rib cage.
    pub(super) width: f32,
    /// Height of the apices.
    pub(super) apex_y: f32,
    /// Height of the right dome.
    pub(super) dome_y: f32,
    /// Cardiothoracic ratio without cardiomegaly.
    pub(super) heart_ratio: f32,
    /// How steep ribs fall.
    pub(super) rib_fall: f32,
    /// Distance of ribs.
    pub(super) rib_step: f32,
    /// How steep clavicles rise.
    pub(super) clavicle_rise: f32,
    /// Brightness of bone.
    pub(super) bone: f32,
    /// Extra soft tissue over the lower chest, 0 for none.
    pub(super) breast: f32,
    /// Half width of the body at the chest.
    pub(super) body: f32,
    /// Radius of the stomach's air bubble, 0 for none.
    pub(super) bubble: f32,
}

impl Patient {
    /// Draws a patient.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let width = rng.random_range(0.70_f32..0.80);
        Self {
            width,
            apex_y: rng.random_range(-0.82_f32..-0.74),
            dome_y: rng.random_range(0.40_f32..0.50),
            heart_ratio: rng.random_range(0.40_f32..0.475),
            rib_fall: rng.random_range(0.16_f32..0.26),
            rib_step: rng.random_range(0.135_f32..0.155),
            clavicle_rise: rng.random_range(0.06_f32..0.17),
            bone: rng.random_range(0.75_f32..1.2),
            breast: if rng.random_bool(0.45) {
                rng.random_range(0.03_f32..0.07)
            } else {
                0.0
            },
            body: width + rng.random_range(0.12_f32..0.24),
            bubble: if rng.random_bool(0.5) {
                rng.random_range(0.06_f32..0.12)
            } else {
                0.0
            },
        }
    }
}

/// One patient on one film, before findings.
#[derive(Debug, Clone)]
pub(super) struct Anatomy {
    /// The patient.
    pub(super) patient: Patient,
    /// How far the middle is thrown to a side by rotation, in body units.
    pub(super) turn: f32,
    /// Right and left lung.
    pub(super) lungs: [Lung; 2],
    /// The heart.
    pub(super) heart: Heart,
}

impl Anatomy {
    /// The chest of `patient` with the middle thrown by `turn` and a heart of `heart_ratio` of
    /// the chest's width.
    pub(super) fn new(rng: &mut ChaCha8Rng, patient: Patient, turn: f32, heart_ratio: f32) -> Self {
        let breath = rng.random_range(-0.04_f32..0.05);
        let dome_y = patient.dome_y + breath;
        let lung = |side: Side, lower: f32| {
            let s = side.sign();
            let medial = 0.115 + s * turn;
            Lung::new(
                side,
                (0.30 + 0.5 * s * turn, patient.apex_y),
                (medial, patient.width + 0.25 * s * turn),
                dome_y + lower + 0.20,
                (0.40 + 0.5 * s * turn, dome_y + lower),
            )
        };
        let lungs = [lung(Side::Right, 0.0), lung(Side::Left, 0.045)];
        let rx = heart_ratio * patient.width;
        let heart = Heart {
            centre: (0.08 + 0.09 * rx + 0.7 * turn, dome_y - 0.40 * rx - 0.02),
            radii: (rx * 1.04, rx * 0.80),
            tilt: (0.42_f32.cos(), 0.42_f32.sin()),
        };
        Self {
            patient,
            turn,
            lungs,
            heart,
        }
    }

    /// The lung on a side.
    pub(super) fn lung(&self, side: Side) -> &Lung {
        let [right, left] = &self.lungs;
        match side {
            Side::Right => right,
            Side::Left => left,
        }
    }
}
