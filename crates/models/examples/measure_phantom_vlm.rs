//! Measures a trained phantom model: reports, speed, and what steering by mean differences does.
//!
//! `measure_phantom_vlm FOLDER [N_FILMS] [reports] [speed] [steer] [dimensions]`
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use datasets::phantom::{FINDINGS, PhantomRadiograph, ReportState, radiographs, report_states};
use models::{
    ActivationEdit, EditedPosition, GenerationOptions, HookSpec, HookedModel as _, ModelError,
    ModelInput, ModelSample, PhantomVlm,
};
use rayon::prelude::*;
use schema::{HookPoint, PositionClass};

/// Seed of the films that are measured on; the model never saw them.
const HELD_OUT_SEED: u64 = 5;
const OPTIONS: GenerationOptions = GenerationOptions {
    max_new_tokens: 100,
    ignore_eos: false,
    keep_logits: false,
    sampling: None,
};

struct Add {
    direction: Vec<f32>,
}

impl ActivationEdit for Add {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        for (row, at) in rows.chunks_mut(d_model).zip(positions) {
            if at.class == PositionClass::Image {
                row.iter_mut()
                    .zip(&self.direction)
                    .for_each(|(x, d)| *x += d);
            }
        }
    }
}

fn prepare(model: &PhantomVlm, film: &PhantomRadiograph) -> Result<ModelInput, ModelError> {
    model.prepare_prompt(ModelSample {
        film: Some(&film.film),
        ..ModelSample::default()
    })
}

fn write(model: &PhantomVlm, input: &ModelInput, spec: &HookSpec) -> Result<String, ModelError> {
    let go_on = &mut |_: &str| ControlFlow::Continue(());
    Ok(model.generate(input, spec, OPTIONS, go_on)?.text)
}

fn has(film: &PhantomRadiograph, finding: &str) -> bool {
    film.record.has_finding(finding)
}

fn states(text: &str, finding: &str) -> bool {
    report_states(text, finding) == Some(ReportState::Present)
}

fn measure_reports(
    model: &PhantomVlm,
    films: &[PhantomRadiograph],
    inputs: &[ModelInput],
) -> Result<(), ModelError> {
    let start = Instant::now();
    let texts: Result<Vec<String>, ModelError> = inputs
        .par_iter()
        .map(|input| write(model, input, &HookSpec::default()))
        .collect();
    let texts = texts?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.1} reports per second", texts.len() as f64 / seconds);
    for finding in FINDINGS {
        let (mut hits, mut false_alarms, mut misses) = (0.0, 0.0, 0.0);
        for (film, text) in films.iter().zip(&texts) {
            match (states(text, finding), has(film, finding)) {
                (true, true) => hits += 1.0,
                (true, false) => false_alarms += 1.0,
                (false, true) => misses += 1.0,
                (false, false) => {}
            }
        }
        let f1 = 2.0 * hits / (2.0 * hits + false_alarms + misses);
        println!(
            "{finding:18} report F1 {f1:.3}  hits {hits} false alarms {false_alarms} misses {misses}"
        );
    }
    for (film, text) in films.iter().zip(&texts).take(4) {
        let written = film.record.report.clone().unwrap_or_default().text();
        println!(
            "planted {:?}\n  human: {written}\n  model: {text}",
            film.record.findings
        );
    }
    Ok(())
}

fn measure_speed(model: &PhantomVlm, inputs: &[ModelInput]) -> Result<(), ModelError> {
    let last = model.config().vision.n_blocks - 1;
    for (hook, threads) in [
        (HookPoint::VisionResidPost(last), 1),
        (HookPoint::VisionResidPost(last), 2),
        (HookPoint::ProjectorOut, 2),
    ] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| ModelError::Request(error.to_string()))?;
        let inputs = &inputs[..inputs.len().min(128)];
        let start = Instant::now();
        pool.install(|| model.capture(inputs, &[hook]))?;
        let rate = inputs.len() as f64 / start.elapsed().as_secs_f64();
        println!("{hook}, {threads} threads: {rate:.1} films per second");
    }
    Ok(())
}

/// Mean activation on patches under the finding's mask minus the mean elsewhere, and the length of
/// the former along the direction.
fn mean_difference(
    films: &[PhantomRadiograph],
    rows: &[(Vec<f32>, usize)],
    finding: &str,
) -> Vec<f32> {
    let d = rows[0].1;
    let (mut inside, mut outside) = (vec![0_f64; d], vec![0_f64; d]);
    let (mut n_inside, mut n_outside) = (0.0, 0.0);
    for (film, (rows, _)) in films.iter().zip(rows) {
        let planted = film
            .record
            .boxes
            .iter()
            .find(|planted| planted.finding == finding);
        let flags = planted
            .and_then(|planted| planted.mask.as_ref())
            .map(schema::Mask::to_flags);
        for (patch, row) in rows.chunks(d).enumerate() {
            let (x, y) = (patch % 16 * 14, patch / 16 * 14);
            let is_inside = match &flags {
                Some(flags) => {
                    (0..196)
                        .filter(|i| flags[(y + i / 14) * 224 + x + i % 14])
                        .count()
                        >= 16
                }
                None => finding == "rotated patient" && has(film, finding),
            };
            let (sum, n) = if is_inside {
                (&mut inside, &mut n_inside)
            } else {
                (&mut outside, &mut n_outside)
            };
            *n += 1.0;
            sum.iter_mut()
                .zip(row)
                .for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }
    inside
        .iter()
        .zip(&outside)
        .map(|(a, b)| (a / f64::max(n_inside, 1.0) - b / n_outside) as f32)
        .collect()
}

fn measure_steering(
    model: &PhantomVlm,
    films: &[PhantomRadiograph],
    inputs: &[ModelInput],
) -> Result<(), ModelError> {
    let mut hooks: Vec<HookPoint> = (0..model.config().vision.n_blocks)
        .map(HookPoint::VisionResidPost)
        .collect();
    hooks.push(HookPoint::ProjectorOut);
    let captured = model.capture(inputs, &hooks)?;
    for (i, hook) in hooks.into_iter().enumerate() {
        let rows: Vec<(Vec<f32>, usize)> = captured
            .iter()
            .map(|all| {
                let d = all[i].d_model;
                let skipped = (all[i].n_rows - 256) * d;
                (all[i].values[skipped..].to_vec(), d)
            })
            .collect();
        for finding in FINDINGS {
            let direction = mean_difference(films, &rows, finding);
            let without: Vec<usize> = (0..films.len())
                .filter(|&i| !has(&films[i], finding))
                .take(10)
                .collect();
            let with: Vec<usize> = (0..films.len())
                .filter(|&i| has(&films[i], finding))
                .take(10)
                .collect();
            let share = |chosen: &[usize], strength: f32| -> Result<f64, ModelError> {
                let spec = HookSpec {
                    capture: Vec::new(),
                    edits: vec![(
                        hook,
                        Arc::new(Add {
                            direction: direction.iter().map(|x| strength * x).collect(),
                        }),
                    )],
                    keep_at: None,
                };
                let stated: Result<Vec<bool>, ModelError> = chosen
                    .par_iter()
                    .map(|&i| Ok(states(&write(model, &inputs[i], &spec)?, finding)))
                    .collect();
                let n = stated?.into_iter().filter(|stated| *stated).count();
                Ok(n as f64 / chosen.len().max(1) as f64)
            };
            println!(
                "{hook} {finding:18} without: +0 {:.2} +0.25 {:.2} +0.5 {:.2} +1 {:.2} +2 {:.2}  with: +0 {:.2} -0.5 {:.2} -1 {:.2}",
                share(&without, 0.0)?,
                share(&without, 0.25)?,
                share(&without, 0.5)?,
                share(&without, 1.0)?,
                share(&without, 2.0)?,
                share(&with, 0.0)?,
                share(&with, -0.5)?,
                share(&with, -1.0)?,
            );
        }
    }
    Ok(())
}

/// Highest F1 of "score above a threshold" on the first half of the films, and that threshold's F1
/// on the second half.
fn halves_f1(scores: &[f32], truth: &[bool]) -> (f64, f64) {
    let half = scores.len() / 2;
    let f1 = |scores: &[f32], truth: &[bool], threshold: f32| {
        let (mut hits, mut wrong) = (0.0, 0.0);
        for (&score, &truth) in scores.iter().zip(truth) {
            match (score >= threshold, truth) {
                (true, true) => hits += 1.0,
                (false, false) => {}
                _ => wrong += 1.0,
            }
        }
        2.0 * hits / f64::max(2.0 * hits + wrong, 1.0)
    };
    let mut best = (0.0, f32::INFINITY);
    for &threshold in &scores[..half] {
        let found = f1(&scores[..half], &truth[..half], threshold);
        if found > best.0 {
            best = (found, threshold);
        }
    }
    (best.0, f1(&scores[half..], &truth[half..], best.1))
}

/// Per hook and finding: F1 over films of the best single dimension and of the mean-difference
/// direction, both by the highest patch; chosen on the first half, measured on the second.
fn measure_dimensions(
    model: &PhantomVlm,
    films: &[PhantomRadiograph],
    inputs: &[ModelInput],
) -> Result<(), ModelError> {
    let mut hooks: Vec<HookPoint> = (0..model.config().vision.n_blocks)
        .map(HookPoint::VisionResidPost)
        .collect();
    hooks.extend([HookPoint::VisionLnFinal, HookPoint::ProjectorOut]);
    for hook in hooks {
        let captured = model.capture(inputs, &[hook])?;
        let rows: Vec<(Vec<f32>, usize)> = captured
            .iter()
            .map(|all| {
                let d = all[0].d_model;
                (all[0].values[(all[0].n_rows - 256) * d..].to_vec(), d)
            })
            .collect();
        let half = films.len() / 2;
        print!("{hook}:");
        for finding in FINDINGS {
            let truth: Vec<bool> = films.iter().map(|film| has(film, finding)).collect();
            let highest = |direction: &[f32]| -> Vec<f32> {
                let along = |row: &[f32]| row.iter().zip(direction).map(|(x, d)| x * d).sum();
                rows.par_iter()
                    .map(|(rows, d)| rows.chunks(*d).map(along).fold(f32::NEG_INFINITY, f32::max))
                    .collect()
            };
            let d = rows[0].1;
            let best = (0..2 * d)
                .map(|i| {
                    let mut direction = vec![0.0; d];
                    direction[i / 2] = if i % 2 == 0 { 1.0 } else { -1.0 };
                    halves_f1(&highest(&direction), &truth)
                })
                .fold((0.0, 0.0), |best, it| if it.0 > best.0 { it } else { best });
            let direction = mean_difference(&films[..half], &rows[..half], finding);
            let along = halves_f1(&highest(&direction), &truth);
            print!("  {finding} {:.2}/{:.2}", best.1, along.1);
        }
        println!();
    }
    Ok(())
}

fn main() -> Result<(), ModelError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments
        .first()
        .map_or("assets/phantom-vlm", String::as_str);
    let n = arguments
        .get(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let wants = |what: &str| arguments.len() < 3 || arguments.iter().any(|text| text == what);
    let model = PhantomVlm::load(Path::new(folder))?;
    println!(
        "{} weights, {:?}",
        model.card().n_parameters,
        model.card().facts
    );
    let films = radiographs(HELD_OUT_SEED, 0..n, 224);
    let inputs: Result<Vec<ModelInput>, ModelError> =
        films.iter().map(|film| prepare(&model, film)).collect();
    let inputs = inputs?;
    if wants("speed") {
        measure_speed(&model, &inputs)?;
    }
    if wants("reports") {
        measure_reports(&model, &films, &inputs)?;
    }
    if wants("dimensions") {
        measure_dimensions(&model, &films, &inputs)?;
    }
    if wants("steer") {
        measure_steering(&model, &films, &inputs)?;
    }
    Ok(())
}
