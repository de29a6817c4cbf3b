//! The head that asks every patch token where the patch lies and what it looks like; never kept.
//!
//! The tokens of a pretrained encoder (`DINOv2`, masked autoencoders) carry place and local
//! appearance on every patch, beside what is rare. A tower trained on planted masks alone drops
//! both: its tokens are empty wherever nothing is planted, and any direction tells a finding.
//! This head asks for both through a fixed read-out of orthonormal rows, so that a share of the
//! tokens' variance that the settings choose goes to them.

use candle_core::{Device, Tensor};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::ContextTargets;
use super::films::CompactFilm;
use crate::ModelError;
use crate::differentiable::affine::linear;
use crate::vision::vit::VitConfig;
use crate::vision_language::{normalised, patches_of};

/// Films from which spread and centre of appearances are measured.
const MEASURED_FILMS: usize = 512;
/// Stream of the seed that draws read-out and waves.
const STREAM: u64 = 1 << 50;
/// Deviations at which an appearance is cut: ink and metal are no reason for a long token.
const MOST_DEVIATIONS: f32 = 2.5;

/// Mean and deviation of each of some numbers.
type Spread = Vec<(f32, f32)>;

/// The head.
pub(super) struct ContextHead {
    weight: f32,
    vision: VitConfig,
    /// `[n_targets, d_model]`, orthonormal rows.
    read_out: Tensor,
    /// `[n_patches, n_place]`
    place: Vec<f32>,
    /// `[n_patch, patch_size²]`
    patch_waves: Vec<f32>,
    patch_spread: Spread,
    /// `[n_film, n_patches]`
    film_waves: Vec<f32>,
    film_spread: Spread,
    /// Deviation in the token of the numbers of place, patch and film.
    scales: [f32; 3],
    /// `[n_targets]`, one over the deviation of each number.
    inverse: Tensor,
}

/// Raw appearance of a film: of every patch `[n_patches, n_patch]`, and as a whole `[n_film]`.
struct Appearance {
    patches: Vec<f32>,
    film: Vec<f32>,
}

impl ContextHead {
    pub(super) fn new(
        targets: &ContextTargets,
        vision: &VitConfig,
        films: &[CompactFilm],
        seed: u64,
    ) -> Result<Self, ModelError> {
        let [n_place, n_patch, n_film] = targets.parts().map(|part| part.n as usize);
        let n_targets = n_place + n_patch + n_film;
        if n_targets > vision.d_model {
            return Err(ModelError::Request(format!(
                "the context takes {n_targets} numbers, the tokens have {}",
                vision.d_model
            )));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let rows = orthonormal(&mut rng, n_targets, vision.d_model);
        let mut film_waves = cosines(vision.grid_size(), n_film + 1);
        // The mean of a film is its exposure alone, which is set by the machine.
        film_waves.drain(..vision.n_patches());
        let d_model = vision.d_model as f32;
        let scales = targets
            .parts()
            .map(|part| (part.share * d_model / part.n.max(1) as f32).sqrt());
        let inverse: Vec<f32> = [n_place, n_patch, n_film]
            .into_iter()
            .zip(scales)
            .flat_map(|(n, scale)| std::iter::repeat_n(1.0 / scale, n))
            .collect();
        let mut head = Self {
            weight: targets.weight,
            vision: vision.clone(),
            read_out: Tensor::from_vec(rows, (n_targets, vision.d_model), &Device::Cpu)?,
            place: places(&mut rng, vision.grid_size(), n_place),
            patch_waves: cosines(vision.patch_size, n_patch),
            patch_spread: vec![(0.0, 1.0); n_patch],
            film_waves,
            film_spread: vec![(0.0, 1.0); n_film],
            scales,
            inverse: Tensor::new(inverse, &Device::Cpu)?,
        };
        let measured = &films[..films.len().min(MEASURED_FILMS)];
        let looks: Vec<Appearance> = measured.iter().map(|film| head.appearance(film)).collect();
        head.patch_spread = spread(&looks.iter().map(|look| look.patches.as_slice()), n_patch);
        head.film_spread = spread(&looks.iter().map(|look| look.film.as_slice()), n_film);
        Ok(head)
    }

    fn appearance(&self, film: &CompactFilm) -> Appearance {
        let pixels: Vec<f32> = normalised(&film.pixels).collect();
        let n_pixels = self.vision.patch_size * self.vision.patch_size;
        let cut = patches_of(&pixels, &self.vision);
        let patches = cut
            .chunks(n_pixels)
            .flat_map(|patch| {
                self.patch_waves
                    .chunks(n_pixels)
                    .map(|wave| dot(patch, wave))
            })
            .collect();
        let means: Vec<f32> = cut
            .chunks(n_pixels)
            .map(|patch| patch.iter().sum::<f32>() / n_pixels as f32)
            .collect();
        let film = self
            .film_waves
            .chunks(means.len())
            .map(|wave| dot(&means, wave))
            .collect();
        Appearance { patches, film }
    }

    /// What the tokens of a film should give, `[n_patches, n_targets]`.
    fn wanted(&self, film: &CompactFilm) -> Vec<f32> {
        let n_patches = self.vision.n_patches();
        let n_place = self.place.len() / n_patches;
        let n_patch = self.patch_spread.len();
        let looks = self.appearance(film);
        let [place_scale, patch_scale, film_scale] = self.scales;
        let whole: Vec<f32> = standard(&looks.film, &self.film_spread, film_scale).collect();
        (0..n_patches)
            .flat_map(|patch| {
                let place = &self.place[patch * n_place..][..n_place];
                let look = &looks.patches[patch * n_patch..][..n_patch];
                let place = place.iter().map(move |x| x * place_scale);
                place
                    .chain(standard(look, &self.patch_spread, patch_scale))
                    .chain(whole.iter().copied())
            })
            .collect()
    }

    /// Weighted mean squared error over films, patches and targets, each in units of its variance.
    ///
    /// # Shapes
    /// - `normed`: `[batch, n_patches, d_model]`, patch tokens after the final norm
    pub(super) fn loss(
        &self,
        normed: &Tensor,
        films: &[&CompactFilm],
    ) -> candle_core::Result<Tensor> {
        let given = linear(normed, &self.read_out, None)?;
        let wanted: Vec<f32> = films.iter().flat_map(|film| self.wanted(film)).collect();
        let wanted = Tensor::from_vec(wanted, given.shape(), &Device::Cpu)?;
        (given - wanted)?
            .broadcast_mul(&self.inverse)?
            .sqr()?
            .mean_all()?
            * f64::from(self.weight)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Deviations from the mean, cut, times `scale`.
fn standard<'a>(
    values: &'a [f32],
    spread: &'a Spread,
    scale: f32,
) -> impl Iterator<Item = f32> + 'a {
    values
        .iter()
        .zip(spread)
        .map(move |(x, (mean, deviation))| {
            scale * ((x - mean) / deviation).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        })
}

/// Mean and deviation of each of `n` numbers, of which each source has a whole number of rows.
fn spread<'a>(sources: &(impl Iterator<Item = &'a [f32]> + Clone), n: usize) -> Spread {
    (0..n)
        .map(|i| {
            let all = || {
                sources
                    .clone()
                    .flat_map(move |rows| rows.iter().skip(i).step_by(n))
            };
            let count = all().count().max(1) as f32;
            let mean = all().sum::<f32>() / count;
            let variance = all().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
            (mean, variance.sqrt().max(1e-6))
        })
        .collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let sum: f32 = (0..12).map(|_| rng.random_range(0.0_f32..1.0)).sum();
    sum - 6.0
}

/// `n` orthonormal rows of `d` values.
fn orthonormal(rng: &mut ChaCha8Rng, n: usize, d: usize) -> Vec<f32> {
    let mut rows: Vec<f32> = Vec::with_capacity(n * d);
    for _ in 0..n {
        let mut row: Vec<f32> = (0..d).map(|_| normal(rng)).collect();
        // Twice, since the first pass leaves rounding behind.
        for _ in 0..2 {
            for earlier in rows.chunks(d) {
                let along: f32 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
                row.iter_mut()
                    .zip(earlier)
                    .for_each(|(a, b)| *a -= along * b);
            }
        }
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        rows.extend(row.iter().map(|x| x / length));
    }
    rows
}

/// Smooth waves over the grid, `[grid², n]`, each of mean square about 1: cosines of drawn
/// direction and phase, with 0.5 to 2.5 periods across the film.
fn places(rng: &mut ChaCha8Rng, grid: usize, n: usize) -> Vec<f32> {
    let waves: Vec<[f32; 3]> = (0..n)
        .map(|_| {
            let angle = rng.random_range(0.0..std::f32::consts::TAU);
            let turns = std::f32::consts::TAU * rng.random_range(0.5_f32..2.5);
            let phase = rng.random_range(0.0..std::f32::consts::TAU);
            [turns * angle.cos(), turns * angle.sin(), phase]
        })
        .collect();
    let at = |i: usize| (i as f32 + 0.5) / grid as f32;
    (0..grid * grid)
        .flat_map(|patch| {
            let (x, y) = (at(patch % grid), at(patch / grid));
            waves
                .iter()
                .map(move |[u, v, phase]| std::f32::consts::SQRT_2 * (u * x + v * y + phase).cos())
        })
        .collect()
}

/// The `n` lowest cosines of the discrete cosine transform over a patch, `[n, side²]`.
fn cosines(side: usize, n: usize) -> Vec<f32> {
    let mut orders: Vec<(usize, usize)> = (0..side)
        .flat_map(|u| (0..side).map(move |v| (u, v)))
        .collect();
    orders.sort_by_key(|&(u, v)| (u + v, u));
    let wave = |order: usize, i: usize| {
        (std::f32::consts::PI * order as f32 * (i as f32 + 0.5) / side as f32).cos()
    };
    orders
        .into_iter()
        .take(n)
        .flat_map(|(u, v)| {
            (0..side * side).map(move |i| wave(v, i % side) * wave(u, i / side) / side as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_read_out_are_orthonormal() {
        let rows = orthonormal(&mut ChaCha8Rng::seed_from_u64(3), 5, 8);
        for (i, a) in rows.chunks(8).enumerate() {
            for (j, b) in rows.chunks(8).enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let wanted = if i == j { 1.0 } else { 0.0 };
                assert!((dot - wanted).abs() < 1e-5, "{i} {j}: {dot}");
            }
        }
    }

    #[test]
    fn the_lowest_cosine_is_the_mean_and_the_next_are_slopes() {
        let waves = cosines(2, 3);
        let c = std::f32::consts::FRAC_1_SQRT_2 / 2.0;
        let wanted = [0.5, 0.5, 0.5, 0.5, c, -c, c, -c, c, c, -c, -c];
        for (got, wanted) in waves.iter().zip(wanted) {
            assert!((got - wanted).abs() < 1e-6, "{waves:?}");
        }
    }
}
