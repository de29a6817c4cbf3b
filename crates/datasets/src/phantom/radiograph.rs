//! A phantom radiograph: a frontal chest film with planted findings, its masks and its report.

use std::ops::Range;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schema::{Film, FindingBox, SampleRecord, Split, Window};

use super::FINDINGS;
use super::anatomy::{Anatomy, Patient, Side};
use super::canvas::{Pose, Raster, gaussian, marked, smoothstep};
use super::chest::{self, Fields};
use super::devices::{self, BurnedIn};
use super::lesions;
use super::plan::Plan;
use super::report::write_report;

/// Smallest side of a film, in pixels, that still shows every finding.
const LEAST_SIZE: u32 = 64;
/// Streams from here on draw patients, those below draw films.
const PATIENT_STREAM: u64 = 1 << 40;

/// A film with everything that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct PhantomRadiograph {
    /// The pixels, 8-bit grey: `0..=255`, with one window that shows them as they are.
    pub film: Film,
    /// Id, patient, split, report, findings present, boxes with masks. `image` is left to the
    /// one who writes the file.
    pub record: SampleRecord,
}

/// The film number `index` of the phantom dataset of `seed`, `size` pixels to a side (at least 64).
///
/// Each finding of [`FINDINGS`] is drawn independently of the others with its
/// [`PREVALENCE`](super::PREVALENCE). Every finding but
/// [`WITHOUT_LOCAL_MASK`](super::WITHOUT_LOCAL_MASK) has its exact mask and box. Of every five
/// films in a row the first two show one patient; anatomy and split belong to the patient.
///
/// # Determinism
/// A pure function: one `ChaCha8` stream per film and one per patient, on one thread.
pub fn radiograph(seed: u64, index: u32, size: u32) -> PhantomRadiograph {
    let size = size.max(LEAST_SIZE);
    let patient_number = index / 5 * 4 + (index % 5).saturating_sub(1);
    let mut patient_rng = ChaCha8Rng::seed_from_u64(seed);
    patient_rng.set_stream(PATIENT_STREAM + u64::from(patient_number));
    let patient = Patient::draw(&mut patient_rng);
    let split = match patient_rng.random_range(0_u8..20) {
        0..14 => Split::Train,
        14..17 => Split::Dev,
        _ => Split::Test,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(index));
    let mut plan = Plan::draw(&mut rng);
    let mut scene = Scene::new(&mut rng, patient, &plan, size);
    scene.plant_in_lungs(&mut rng, &mut plan);
    scene.cover(&mut rng, &plan);
    scene.plant_devices(&mut rng, &plan);
    scene.expose(&mut rng);
    scene.burn_in(&mut rng, &plan);
    let findings = FINDINGS
        .iter()
        .zip(plan.present())
        .filter(|(_, present)| *present)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let record = SampleRecord {
        id: format!("phantom-{index:06}"),
        group: format!("patient-{patient_number:06}"),
        split,
        report: Some(write_report(&mut rng, &plan)),
        findings: Some(findings),
        boxes: scene.boxes,
        ..SampleRecord::default()
    };
    let film = Film {
        width: size,
        height: size,
        pixels: scene.film.values.iter().map(|&v| grey(v)).collect(),
        windows: vec![Window::between(0.0, 255.0, "Full range")],
        badges: Vec::new(),
    };
    PhantomRadiograph { film, record }
}

/// The films of a range of indexes, drawn on all threads, in order.
///
/// # Determinism
/// The same films as [`radiograph`] gives one by one, whatever the number of threads.
pub fn radiographs(seed: u64, range: Range<u32>, size: u32) -> Vec<PhantomRadiograph> {
    range
        .into_par_iter()
        .map(|index| radiograph(seed, index, size))
        .collect()
}

fn grey(value: f32) -> u16 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u16
}

/// A film while it is being painted.
struct Scene {
    anatomy: Anatomy,
    pose: Pose,
    fields: Fields,
    /// Coverage of the body.
    body: Raster,
    film: Raster,
    /// Aerated lung that is seen: where a lesion can lie.
    free: Raster,
    /// Lung that holds no air, where ribs are hardly seen.
    dense: Raster,
    boxes: Vec<FindingBox>,
}

impl Scene {
    fn new(rng: &mut ChaCha8Rng, patient: Patient, plan: &Plan, size: u32) -> Self {
        let turn = match plan.rotated {
            Some(side) => side.sign() * rng.random_range(0.11_f32..0.15),
            None => rng.random_range(-0.018_f32..0.018),
        };
        let ratio = match plan.cardiomegaly {
            Some(amount) => 0.59 + 0.07 * amount,
            None => patient.heart_ratio,
        };
        let tilt = rng.random_range(-0.05_f32..0.05);
        let pose = Pose {
            cos: tilt.cos(),
            sin: tilt.sin(),
            scale: rng.random_range(0.96_f32..1.05),
            shift: (
                rng.random_range(-0.035_f32..0.035),
                rng.random_range(-0.03_f32..0.04),
            ),
            size: size as f32,
        };
        let anatomy = Anatomy::new(rng, patient, turn, ratio);
        let fields = Fields::new(&anatomy, pose);
        let side = size as usize;
        let mut film = Raster::filled(side, rng.random_range(0.02_f32..0.05));
        let body = chest::paint_body(&mut film, &anatomy, &fields);
        let level = rng.random_range(0.17_f32..0.24);
        // The lung that is turned away lets more light through.
        chest::paint_lungs(
            &mut film,
            &fields,
            [level - 0.30 * turn, level + 0.30 * turn],
        );
        let mut free = fields.lungs[0].clone();
        free.add(&fields.lungs[1], 1.0);
        for (value, &middle) in free.values.iter_mut().zip(&fields.middle.values) {
            *value *= 1.0 - middle;
        }
        Self {
            anatomy,
            pose,
            fields,
            body,
            film,
            free,
            dense: Raster::filled(side, 0.0),
            boxes: Vec::new(),
        }
    }

    /// Takes `layer` away from the lung that lesions may still use.
    fn occupy(&mut self, layer: &Raster) {
        for (free, &cover) in self.free.values.iter_mut().zip(&layer.values) {
            *free *= 1.0 - cover;
        }
    }

    fn mark(&mut self, finding: usize, flags: &[bool]) {
        let name = FINDINGS.get(finding).copied().unwrap_or_default();
        self.boxes.extend(marked(name, self.film.size, flags));
    }

    /// Vessels, and what lies in lung or pleura.
    fn plant_in_lungs(&mut self, rng: &mut ChaCha8Rng, plan: &mut Plan) {
        let size = self.film.size;
        let mottle = chest::mottle(rng, size);
        let mut markings = Raster::filled(size, 0.0);
        for lung in &self.anatomy.lungs {
            let mut layer = chest::vessels(rng, lung, self.pose);
            let inside = self.fields.lung(lung.side);
            for ((value, &inside), mottle) in
                layer.values.iter_mut().zip(&inside.values).zip(&mottle)
            {
                *value = (*value * 0.20 + 0.018 * mottle) * inside;
            }
            markings.add(&layer, 1.0);
        }
        let effusions: Vec<(Side, Raster)> = [Side::Left, Side::Right]
            .into_iter()
            .filter_map(|side| {
                let amount = plan.effusion(side)?;
                Some((
                    side,
                    lesions::effusion(&self.anatomy, &self.fields, side, amount),
                ))
            })
            .collect();
        for (_, layer) in &effusions {
            self.occupy(layer);
            self.dense.add(layer, 0.9);
        }
        self.plant_pneumothorax(plan, &mut markings);
        self.film.add(&markings, 1.0);
        self.plant_consolidation(rng, plan);
        self.plant_nodule(rng, plan);
        for (side, layer) in &effusions {
            self.film.paint(layer, 0.70, 0.96);
            // What lies behind the heart is not seen.
            let mut seen = layer.clone();
            for (value, &middle) in seen.values.iter_mut().zip(&self.fields.middle.values) {
                *value *= 1.0 - middle;
            }
            self.mark(if *side == Side::Left { 1 } else { 2 }, &seen.flags());
        }
    }

    fn plant_pneumothorax(&mut self, plan: &Plan, markings: &mut Raster) {
        let Some(planted) = plan.pneumothorax else {
            return;
        };
        let (air, line) = lesions::pneumothorax(&self.anatomy, &self.fields, planted, self.pose);
        for (value, &cover) in markings.values.iter_mut().zip(&air.values) {
            *value *= 1.0 - cover;
        }
        self.film.paint(&air, 0.06, 0.85);
        self.film.add(&line, 0.24);
        self.occupy(&air);
        self.occupy(&line);
        let flags: Vec<bool> = air
            .values
            .iter()
            .zip(&line.values)
            .zip(&self.fields.middle.values)
            .map(|((air, line), middle)| air.max(*line) * (1.0 - middle) >= 0.5)
            .collect();
        self.mark(3, &flags);
    }

    fn plant_consolidation(&mut self, rng: &mut ChaCha8Rng, plan: &mut Plan) {
        let Some(amount) = plan.consolidation else {
            return;
        };
        let radius = 0.20 + 0.09 * amount;
        let place = (0.75 * radius, self.pose);
        let (centre, place) = lesions::free_place(rng, &self.anatomy, &self.free, place);
        let (mut patch, texture) = lesions::consolidation(rng, &self.fields, centre, radius);
        let inside = self.fields.lung(place.side);
        for (value, (&inside, &free)) in patch
            .values
            .iter_mut()
            .zip(inside.values.iter().zip(&self.free.values))
        {
            *value *= inside.min(free);
        }
        for ((value, &cover), texture) in
            self.film.values.iter_mut().zip(&patch.values).zip(texture)
        {
            *value += (0.50 + 0.17 * texture - *value) * cover * 0.85;
        }
        self.occupy(&patch);
        plan.consolidation_place = Some(place);
        self.mark(5, &patch.flags());
    }

    fn plant_nodule(&mut self, rng: &mut ChaCha8Rng, plan: &mut Plan) {
        let Some(amount) = plan.nodule else {
            return;
        };
        let radius = (7.5 + 4.5 * amount) * self.pose.unit();
        let reach = radius * 2.0 / self.pose.size / self.pose.scale;
        let place = (reach * 1.1, self.pose);
        let (centre, place) = lesions::free_place(rng, &self.anatomy, &self.free, place);
        let disc = lesions::nodule(centre, radius, self.pose);
        self.film.paint(&disc, 0.62, 0.92);
        plan.nodule_place = Some(place);
        self.mark(4, &disc.flags());
    }

    /// Heart, mediastinum and bones over the lungs.
    fn cover(&mut self, rng: &mut ChaCha8Rng, plan: &Plan) {
        chest::paint_middle(&mut self.film, &self.anatomy, &self.fields);
        let (mut ribs, mut clavicles) = chest::bones(&self.anatomy, self.pose);
        let bone = self.anatomy.patient.bone;
        for (i, &body) in self.body.values.iter().enumerate() {
            // Bone is seen against air, hardly against the heart.
            let aerated: f32 = self.fields.lungs.iter().map(|lung| lung.values[i]).sum();
            let hidden = self.fields.middle.values[i].max(self.dense.values[i]);
            let seen = aerated.min(1.0) * (1.0 - hidden.min(1.0));
            ribs.values[i] *= body * (0.25 + 0.75 * seen);
            clavicles.values[i] *= body;
        }
        self.film.add(&ribs, 0.075 * bone);
        self.film.add(&clavicles, 0.11 * bone);
        let tilt = (
            rng.random_range(-0.03_f32..0.03),
            rng.random_range(-0.03_f32..0.03),
        );
        chest::paint_veil(&mut self.film, &self.anatomy, &self.fields, tilt);
        if plan.cardiomegaly.is_some() {
            let flags: Vec<bool> = self
                .fields
                .heart
                .iter()
                .zip(&self.fields.points)
                .map(|(&heart, &(x, y))| {
                    let side = if x < 0.0 { Side::Right } else { Side::Left };
                    let floor = self.anatomy.lung(side).diaphragm_at(x.abs());
                    heart <= 1.0 && y <= floor + 0.05
                })
                .collect();
            self.mark(0, &flags);
        }
    }

    fn plant_devices(&mut self, rng: &mut ChaCha8Rng, plan: &Plan) {
        if plan.tube {
            let (walls, whole) = devices::tube(rng, &self.anatomy, self.pose);
            self.film.paint(&whole, 0.80, 0.45);
            self.film.paint(&walls, 0.98, 0.95);
            self.mark(8, &whole.flags());
        }
        if let Some(course) = plan.central_line {
            let line = devices::central_line(rng, &self.anatomy, course, self.pose);
            self.film.paint(&line, 1.0, 0.95);
            self.mark(7, &line.flags());
        }
        if let Some(side) = plan.pacemaker {
            let (generator, lead) = devices::pacemaker(rng, &self.anatomy, side, self.pose);
            self.film.paint(&lead, 0.98, 0.9);
            self.film.paint(&generator, 0.97, 0.97);
            let flags: Vec<bool> = generator
                .values
                .iter()
                .zip(&lead.values)
                .map(|(generator, lead)| generator.max(*lead) >= 0.5)
                .collect();
            self.mark(6, &flags);
        }
    }

    /// Blur, automatic exposure, noise.
    fn expose(&mut self, rng: &mut ChaCha8Rng) {
        self.film.soften(rng.random_range(0.35_f32..0.75));
        let count = self.film.values.len() as f32;
        let mean = self.film.values.iter().sum::<f32>() / count;
        // The exposure is set so that the mean says nothing about what is on the film.
        let target = rng.random_range(0.40_f32..0.50);
        let contrast = rng.random_range(0.90_f32..1.12);
        let noise = rng.random_range(0.010_f32..0.022);
        for value in &mut self.film.values {
            let exposed = target + (*value - mean) * contrast;
            *value = smoothstep_toe(exposed) + noise * gaussian(rng);
        }
    }

    fn burn_in(&mut self, rng: &mut ChaCha8Rng, plan: &Plan) {
        let size = self.film.size;
        if let Some(side) = plan.letter {
            let text = devices::letter(rng, side, size);
            self.burn(&text, 11, 0.25);
        }
        if plan.portable {
            let text = devices::portable(rng, size);
            self.burn(&text, 10, 0.9);
        }
    }

    fn burn(&mut self, text: &BurnedIn, finding: usize, plate_alpha: f32) {
        let size = self.film.size;
        let [left, top, width, height] = text.plate;
        let mut flags = vec![false; size * size];
        for row in top..(top + height).min(size) {
            for column in left..(left + width).min(size) {
                let i = row * size + column;
                flags[i] = true;
                self.film.values[i] += (0.04 - self.film.values[i]) * plate_alpha;
            }
        }
        for &i in &text.lit {
            self.film.values[i] = 0.98;
        }
        self.mark(finding, &flags);
    }
}

/// Bends the darkest values so that they end at black softly.
fn smoothstep_toe(value: f32) -> f32 {
    if value > 0.12 {
        value
    } else {
        0.12 * smoothstep(-0.12, 0.36, value) / smoothstep(-0.12, 0.36, 0.12)
    }
}
