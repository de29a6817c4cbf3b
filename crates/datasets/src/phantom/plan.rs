//! What is planted on one film: which findings, where and how large; the report reads it too.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::anatomy::Side;
use super::{FINDINGS, PREVALENCE};

/// Size of a finding in words and as a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Small.
    Small,
    /// Moderate.
    Moderate,
    /// Large.
    Large,
}

impl Size {
    /// The words of a share of `0..1`.
    pub(super) fn of(share: f32) -> Self {
        if share < 0.34 {
            Self::Small
        } else if share < 0.67 {
            Self::Moderate
        } else {
            Self::Large
        }
    }
}

/// Height in a lung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Upper third.
    Upper,
    /// Middle third.
    Mid,
    /// Lower third.
    Lower,
}

impl Zone {
    /// The zone of a share of the way from apex to dome.
    pub(super) fn of(share: f32) -> Self {
        if share < 0.37 {
            Self::Upper
        } else if share < 0.66 {
            Self::Mid
        } else {
            Self::Lower
        }
    }
}

/// A place in a lung, known once the finding is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Which lung.
    pub(super) side: Side,
    /// How high.
    pub(super) zone: Zone,
}

/// Where a central line enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineCourse {
    /// From the neck.
    Jugular(Side),
    /// From the arm.
    Arm(Side),
}

/// What is planted, with what the report says about it. `None` is absent.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Cardiomegaly, how much, `0..1`.
    pub(super) cardiomegaly: Option<f32>,
    /// Effusions on the right and on the left, how much, `0..1`.
    pub(super) effusions: [Option<f32>; 2],
    /// Pneumothorax, and how much, `0..1`.
    pub(super) pneumothorax: Option<(Side, f32)>,
    /// Nodule, its size `0..1`; the place is chosen while drawing.
    pub(super) nodule: Option<f32>,
    /// Consolidation, its size `0..1`; the place is chosen while drawing.
    pub(super) consolidation: Option<f32>,
    /// Pacemaker.
    pub(super) pacemaker: Option<Side>,
    /// Central line.
    pub(super) central_line: Option<LineCourse>,
    /// Endotracheal tube.
    pub(super) tube: bool,
    /// Rotation: towards which side of the patient.
    pub(super) rotated: Option<Side>,
    /// Portable marker.
    pub(super) portable: bool,
    /// Laterality letter, of this side.
    pub(super) letter: Option<Side>,
    /// Where the nodule lies.
    pub(super) nodule_place: Option<Place>,
    /// Where the consolidation lies.
    pub(super) consolidation_place: Option<Place>,
}

impl Plan {
    /// Draws each finding independently, then its details.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let present = PREVALENCE.map(|share| rng.random_bool(share));
        let mut amount = || rng.random_range(0.0_f32..1.0);
        let amounts = [(); 5].map(|()| amount());
        let mut side = || Side::draw(rng);
        let sides = [(); 4].map(|()| side());
        let course = match rng.random_range(0_u8..10) {
            0..6 => LineCourse::Jugular(Side::Right),
            6..8 => LineCourse::Jugular(Side::Left),
            8 => LineCourse::Arm(Side::Right),
            _ => LineCourse::Arm(Side::Left),
        };
        let generator_side = if rng.random_bool(0.7) {
            Side::Left
        } else {
            Side::Right
        };
        Self {
            cardiomegaly: present[0].then_some(amounts[0]),
            effusions: [
                present[2].then_some(amounts[2]),
                present[1].then_some(amounts[1]),
            ],
            pneumothorax: present[3].then_some((sides[0], amounts[3])),
            nodule: present[4].then_some(amounts[4]),
            consolidation: present[5].then(|| rng.random_range(0.0_f32..1.0)),
            pacemaker: present[6].then_some(generator_side),
            central_line: present[7].then_some(course),
            tube: present[8],
            rotated: present[9].then_some(sides[1]),
            portable: present[10],
            letter: present[11].then_some(sides[2]),
            nodule_place: None,
            consolidation_place: None,
        }
    }

    /// The effusion on a side.
    pub(super) fn effusion(&self, side: Side) -> Option<f32> {
        let [right, left] = self.effusions;
        match side {
            Side::Right => right,
            Side::Left => left,
        }
    }

    /// Which findings are present, in the order of [`FINDINGS`].
    pub(super) fn present(&self) -> [bool; FINDINGS.len()] {
        [
            self.cardiomegaly.is_some(),
            self.effusion(Side::Left).is_some(),
            self.effusion(Side::Right).is_some(),
            self.pneumothorax.is_some(),
            self.nodule.is_some(),
            self.consolidation.is_some(),
            self.pacemaker.is_some(),
            self.central_line.is_some(),
            self.tube,
            self.rotated.is_some(),
            self.portable,
            self.letter.is_some(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const COUNT: u32 = 6_000;

    fn drawn() -> Vec<[bool; FINDINGS.len()]> {
        (0..COUNT)
            .map(|index| {
                let mut rng = ChaCha8Rng::seed_from_u64(5);
                rng.set_stream(u64::from(index));
                Plan::draw(&mut rng).present()
            })
            .collect()
    }

    #[test]
    fn prevalences_lie_between_10_and_30_percent() {
        let drawn = drawn();
        for (i, &wanted) in PREVALENCE.iter().enumerate() {
            assert!((0.10..=0.30).contains(&wanted));
            let share = drawn.iter().filter(|present| present[i]).count() as f64 / f64::from(COUNT);
            // Five deviations of a share of 6,000.
            let slack = 5.0 * (wanted * (1.0 - wanted) / f64::from(COUNT)).sqrt();
            assert!((share - wanted).abs() < slack, "{}: {share}", FINDINGS[i]);
        }
    }

    #[test]
    fn findings_are_independent_in_pairs() {
        let drawn = drawn();
        let n = f64::from(COUNT);
        for a in 0..FINDINGS.len() {
            for b in 0..a {
                let count = |of: &dyn Fn(&[bool; FINDINGS.len()]) -> bool| {
                    drawn.iter().filter(|present| of(present)).count() as f64
                };
                let (in_a, in_b) = (count(&|p| p[a]), count(&|p| p[b]));
                let both = count(&|p| p[a] && p[b]);
                let gap = both * n - in_a * in_b;
                let chi_square = n * gap * gap / (in_a * in_b * (n - in_a) * (n - in_b));
                // One degree of freedom: above 17 by chance in 4 of 100,000 pairs.
                assert!(
                    chi_square < 17.0,
                    "{} and {}: {chi_square}",
                    FINDINGS[a],
                    FINDINGS[b]
                );
            }
        }
    }
}
