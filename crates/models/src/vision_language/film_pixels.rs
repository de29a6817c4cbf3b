//! Films as the phantom model sees them: full range to 0..1, resized plain, cut into patches.

use schema::Film;

use crate::vision::vit::VitConfig;

/// Middle of the pixel values after scaling to 0..1.
const MEAN: f32 = 0.5;
/// Deviation of the pixel values after scaling to 0..1.
const DEVIATION: f32 = 0.25;

/// The film scaled from its lowest and highest value to 0..=255 and resized, without keeping
/// proportions, to `size` × `size`, row-major.
pub(crate) fn film_pixels(film: &Film, size: usize) -> Vec<u8> {
    let window = film.full_range();
    let (low, high) = (
        window.centre - 0.5 - (window.width - 1.0) / 2.0,
        window.centre - 0.5 + (window.width - 1.0) / 2.0,
    );
    let scale = 255.0 / (high - low).max(1.0);
    let values: Vec<f32> = film
        .pixels
        .iter()
        .map(|&value| (f32::from(value) - low) * scale)
        .collect();
    let (width, height) = (film.width as usize, film.height as usize);
    let resized = if (width, height) == (size, size) {
        values
    } else {
        resize(&values, [width, height], size)
    };
    resized
        .iter()
        .map(|value| value.round().clamp(0.0, 255.0) as u8)
        .collect()
}

/// Pixels 0..=255 as the network reads them.
pub(crate) fn normalised(pixels: &[u8]) -> impl Iterator<Item = f32> + '_ {
    pixels
        .iter()
        .map(|&value| (f32::from(value) / 255.0 - MEAN) / DEVIATION)
}

/// Cuts a row-major image into patches.
///
/// # Shapes
/// - `pixels`: `[image_size, image_size]`
/// - returns: `[n_patches, patch_size²]`, patches and their pixels row-major
pub(crate) fn patches_of(pixels: &[f32], config: &VitConfig) -> Vec<f32> {
    let (side, patch, grid) = (config.image_size, config.patch_size, config.grid_size());
    let mut out = Vec::with_capacity(pixels.len());
    for row in 0..grid {
        for column in 0..grid {
            for y in row * patch..(row + 1) * patch {
                out.extend_from_slice(&pixels[y * side + column * patch..][..patch]);
            }
        }
    }
    out
}

/// Source pixels and weights of each target pixel along one side: a triangle as wide as one target
/// pixel, so that shrinking averages and enlarging interpolates.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f32 / to as f32;
    let reach = ratio.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f32 + 0.5) * ratio;
            let first = (centre - reach).floor().max(0.0) as usize;
            let end = ((centre + reach).ceil() as usize).clamp(first + 1, from);
            let first = first.min(end - 1);
            let mut weights: Vec<f32> = (first..end)
                .map(|j| (1.0 - (j as f32 + 0.5 - centre).abs() / reach).max(0.0))
                .collect();
            let total: f32 = weights.iter().sum();
            if total > 0.0 {
                for weight in &mut weights {
                    *weight /= total;
                }
            } else {
                weights.fill(1.0 / (end - first) as f32);
            }
            (first, weights)
        })
        .collect()
}

/// Resizes a row-major image of `[width, height]` pixels to `size` × `size`.
fn resize(values: &[f32], [width, height]: [usize; 2], size: usize) -> Vec<f32> {
    let mut rows = vec![0_f32; height * size];
    let across = taps(width, size);
    for (out, row) in rows.chunks_mut(size).zip(values.chunks(width)) {
        for (out, (first, weights)) in out.iter_mut().zip(&across) {
            *out = row[*first..].iter().zip(weights).map(|(v, w)| v * w).sum();
        }
    }
    let mut out = vec![0_f32; size * size];
    for (out, (first, weights)) in out.chunks_mut(size).zip(taps(height, size)) {
        for (row, weight) in rows[first * size..].chunks(size).zip(&weights) {
            for (out, value) in out.iter_mut().zip(row) {
                *out += value * weight;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(width: u32, height: u32, pixels: Vec<u16>) -> Film {
        Film {
            width,
            height,
            pixels,
            windows: Vec::new(),
            badges: Vec::new(),
        }
    }

    #[test]
    fn shrinking_keeps_a_ramp_and_a_constant() {
        let ramp = film(40, 3, (0..120).map(|i| 1_000 + i % 40).collect());
        let out = film_pixels(&ramp, 4);
        assert_eq!(out[..4], out[12..]);
        let steps: Vec<i32> = out[..4]
            .windows(2)
            .map(|p| i32::from(p[1]) - i32::from(p[0]))
            .collect();
        assert!(
            steps.iter().all(|&step| (58..=68).contains(&step)),
            "{steps:?}"
        );
        assert_eq!(film_pixels(&film(5, 7, vec![9; 35]), 4), [0; 16]);
        assert_eq!(film_pixels(&film(1, 1, vec![9]), 4), [0; 16]);
    }

    #[test]
    fn enlarging_interpolates() {
        let out = film_pixels(&film(2, 1, vec![0, 100]), 4);
        assert_eq!(out[..4], [0, 64, 191, 255]);
    }

    #[test]
    fn patches_are_row_major() {
        let config = VitConfig {
            image_size: 4,
            patch_size: 2,
            d_patch_hidden: 0,
            d_model: 4,
            n_blocks: 1,
            n_heads: 1,
            d_mlp: 4,
            layer_norm_eps: 1e-6,
        };
        let pixels: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let patches = patches_of(&pixels, &config);
        assert_eq!(patches[..8], [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
    }
}
