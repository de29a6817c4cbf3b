//! All films of a training run in memory, compact: pixels as bytes, findings as bits per patch.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schema::Mask;

use super::{VlmExample, VlmExamples, VlmObserver, VlmProgress, VlmStage, VlmTrainingConfig};
use crate::ModelError;
use crate::text::word_tokenizer::WordTokenizer;
use crate::vision::vit::VitConfig;
use crate::vision_language::{PhantomVlmConfig, film_pixels};

/// Findings at most: one bit each.
const MOST_FINDINGS: usize = 16;
/// Share of a patch's pixels from which a finding counts as covering it. Below it, but above 0, the
/// patch is left out of the loss.
const COVERING_SHARE: f32 = 0.08;
/// Films drawn between two calls of the observer.
const FILMS_PER_CALL: u32 = 32;

/// One film, ready for a step.
pub(super) struct CompactFilm {
    /// `[image_size, image_size]`.
    pub(super) pixels: Vec<u8>,
    /// Per patch, a bit for each finding that covers it.
    pub(super) covered: Vec<u16>,
    /// Per patch, a bit for each finding that only touches it.
    pub(super) touched: Vec<u16>,
    /// A bit for each finding of the film.
    pub(super) present: u16,
    /// A bit for each finding of the film that has no mask.
    pub(super) global: u16,
    /// The report.
    pub(super) report: String,
}

/// The films to train on, and those held out.
pub(super) struct Films {
    pub(super) train: Vec<CompactFilm>,
    pub(super) held_out: Vec<CompactFilm>,
    seed: u64,
}

impl Films {
    /// Draws all films, in parallel.
    pub(super) fn draw(
        config: &VlmTrainingConfig,
        n_findings: usize,
        examples: &dyn VlmExamples,
        observer: &mut VlmObserver<'_>,
    ) -> Result<Self, ModelError> {
        if n_findings == 0 || n_findings > MOST_FINDINGS {
            return Err(ModelError::Request(format!(
                "the dense head takes 1 to {MOST_FINDINGS} findings, found {n_findings}"
            )));
        }
        let shipped = PhantomVlmConfig::shipped(WordTokenizer::collect([], 8)).vision;
        let vision = config.vision.as_ref().unwrap_or(&shipped);
        let total = config.n_films + config.n_held_out;
        let mut films = Vec::with_capacity(total as usize);
        for first in (0..total).step_by(FILMS_PER_CALL as usize) {
            let end = (first + FILMS_PER_CALL).min(total);
            let drawn: Result<Vec<_>, ModelError> = (first..end)
                .into_par_iter()
                .map(|index| compact(&examples.example(index)?, vision, n_findings))
                .collect();
            films.extend(drawn?);
            let progress = VlmProgress {
                stage: VlmStage::Films,
                done: end,
                total,
                loss: 0.0,
            };
            if observer(progress).is_break() {
                return Err(ModelError::Cancelled);
            }
        }
        let held_out = films.split_off(config.n_films as usize);
        Ok(Self {
            train: films,
            held_out,
            seed: config.seed,
        })
    }

    /// Indexes of the films of a step: every epoch in an order of its own.
    pub(super) fn batch(&self, step: u32, batch: u32, stage: VlmStage) -> Vec<usize> {
        let n = self.train.len();
        let first = step as usize * batch as usize;
        let mut indexes = Vec::with_capacity(batch as usize);
        let mut order: (Option<usize>, Vec<usize>) = (None, Vec::new());
        for at in first..first + batch as usize {
            let epoch = at / n;
            if order.0 != Some(epoch) {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(1 + 2 * epoch as u64 + u64::from(stage == VlmStage::Text));
                let mut all: Vec<usize> = (0..n).collect();
                all.shuffle(&mut rng);
                order = (Some(epoch), all);
            }
            indexes.push(order.1[at % n]);
        }
        indexes
    }

    /// Patches on which each finding lies, and patches on which it does not.
    pub(super) fn patch_counts(&self, n_findings: usize) -> Vec<(f64, f64)> {
        let mut with = vec![0_u64; n_findings];
        let mut all = 0_u64;
        for film in &self.train {
            all += film.covered.len() as u64;
            for bits in &film.covered {
                for (finding, count) in with.iter_mut().enumerate() {
                    *count += u64::from(bits >> finding & 1);
                }
            }
        }
        with.iter()
            .map(|&count| (count as f64, (all - count) as f64))
            .collect()
    }
}

fn compact(
    example: &VlmExample,
    vision: &VitConfig,
    n_findings: usize,
) -> Result<CompactFilm, ModelError> {
    let n_patches = vision.n_patches();
    let (mut covered, mut touched) = (vec![0_u16; n_patches], vec![0_u16; n_patches]);
    let (mut present, mut global) = (0_u16, 0_u16);
    for planted in &example.findings {
        if planted.finding >= n_findings {
            return Err(ModelError::Request(format!(
                "finding {} is beyond the {n_findings} findings of the list",
                planted.finding
            )));
        }
        let bit = 1_u16 << planted.finding;
        present |= bit;
        let Some(mask) = &planted.mask else {
            global |= bit;
            for bits in &mut covered {
                *bits |= bit;
            }
            continue;
        };
        let shares = shares(mask, vision.grid_size());
        let most = shares.iter().copied().fold(0.0, f32::max);
        for (patch, &share) in shares.iter().enumerate() {
            if share >= COVERING_SHARE || (most > 0.0 && share >= most) {
                covered[patch] |= bit;
            } else if share > 0.0 {
                touched[patch] |= bit;
            }
        }
    }
    Ok(CompactFilm {
        pixels: film_pixels(&example.film, vision.image_size),
        covered,
        touched,
        present,
        global,
        report: example.report.clone(),
    })
}

/// Share of each patch's pixels that a mask covers, row-major.
fn shares(mask: &Mask, grid: usize) -> Vec<f32> {
    let (width, height) = (mask.width as usize, mask.height as usize);
    let (mut inside, mut all) = (vec![0_u32; grid * grid], vec![0_u32; grid * grid]);
    let flags = mask.to_flags();
    for (y, row) in flags.chunks(width.max(1)).take(height).enumerate() {
        for (x, &flag) in row.iter().enumerate() {
            let patch = y * grid / height * grid + x * grid / width;
            all[patch] += 1;
            inside[patch] += u32::from(flag);
        }
    }
    inside
        .iter()
        .zip(&all)
        .map(|(&inside, &all)| inside as f32 / all.max(1) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_pixels_of_each_patch() {
        let mut flags = vec![false; 8 * 8];
        flags[0] = true;
        flags[8 * 4 + 5] = true;
        flags[8 * 5 + 5] = true;
        let shares = shares(&Mask::from_flags(8, 8, &flags), 2);
        assert_eq!(shares, [1.0 / 16.0, 0.0, 0.0, 2.0 / 16.0]);
    }
}
