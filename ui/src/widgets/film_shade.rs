//! From stored values to grey on the screen: windows, presets from the film's own histogram.

use egui::{Color32, ColorImage};
use engine::views::FilmPixels;
use schema::Window;

use crate::tokens;

/// The grey of each stored value through `window`, then inversion if asked.
fn table(window: &Window, inverted: bool) -> Vec<Color32> {
    window
        .greys()
        .into_iter()
        .map(|level| tokens::grey(if inverted { 255 - level } else { level }))
        .collect()
}

/// The film through `window`, at most `max_side` pixels a side (every nth pixel otherwise).
///
/// A film without deep pixels is shown as it is, `window` in units of its 8-bit grey.
pub(crate) fn shade(
    film: &FilmPixels,
    window: &Window,
    inverted: bool,
    max_side: usize,
) -> ColorImage {
    let (width, height) = (film.width as usize, film.height as usize);
    let table = table(window, inverted);
    let step = width.max(height).div_ceil(max_side.max(1)).max(1);
    let deep = film.deep.len() == width * height;
    if !deep && film.grey.len() != width * height {
        return ColorImage::filled([1, 1], tokens::FILM_BACKGROUND);
    }
    let pixels: Vec<Color32> = if step == 1 && deep {
        film.deep
            .iter()
            .map(|&value| table[usize::from(value)])
            .collect()
    } else {
        let mut pixels = Vec::with_capacity(width.div_ceil(step) * height.div_ceil(step));
        for row in (0..height).step_by(step) {
            for column in (0..width).step_by(step) {
                let i = row * width + column;
                let value = if deep {
                    film.deep[i]
                } else {
                    u16::from(film.grey[i])
                };
                pixels.push(table[usize::from(value)]);
            }
        }
        pixels
    };
    ColorImage::new([width.div_ceil(step), height.div_ceil(step)], pixels)
}

/// Windows to offer for a film: the file's own, then from its histogram.
pub(crate) fn presets(film: &FilmPixels) -> Vec<Window> {
    let mut counts = vec![0_u64; 1 << 16];
    if film.deep.is_empty() {
        for &value in &film.grey {
            counts[usize::from(value)] += 1;
        }
    } else {
        for &value in &film.deep {
            counts[usize::from(value)] += 1;
        }
    }
    let total: u64 = counts.iter().sum();
    let at = |share: f64| -> f32 {
        let mut seen = 0;
        for (value, &count) in counts.iter().enumerate() {
            seen += count;
            if count > 0 && seen as f64 >= share * total as f64 {
                return value as f32;
            }
        }
        65_535.0
    };
    let mut presets: Vec<Window> = if film.deep.is_empty() {
        Vec::new()
    } else {
        film.windows.clone()
    };
    let own = [
        Window::between(at(0.0), at(1.0), "Full range"),
        Window::between(at(0.01), at(0.99), "1st to 99th percentile"),
        Window::between(at(0.02), at(0.6), "Lung (dark 60 %)"),
        Window::between(at(0.4), at(0.995), "Bone and mediastinum (bright 60 %)"),
    ];
    for window in own {
        if presets.iter().all(|known| known.name != window.name) {
            presets.push(window);
        }
    }
    presets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(width: u32, height: u32, deep: Vec<u16>) -> FilmPixels {
        FilmPixels {
            width,
            height,
            grey: Vec::new(),
            deep,
            windows: Vec::new(),
            badges: Vec::new(),
            original: [width, height],
            edges: None,
        }
    }

    #[test]
    fn agrees_with_the_reference_function() {
        let values: Vec<u16> = (0..4096).collect();
        let reference = schema::Film {
            width: 64,
            height: 64,
            pixels: values.clone(),
            windows: Vec::new(),
            badges: Vec::new(),
        };
        let window = Window::between(400.0, 3000.0, "test");
        let expected = reference.to_u8(&window);
        let shaded = shade(&film(64, 64, values), &window, false, 4096);
        let difference = shaded
            .pixels
            .iter()
            .zip(&expected)
            .map(|(a, &b)| a.r().abs_diff(b))
            .max();
        assert!(difference <= Some(1), "{difference:?}");
    }

    #[test]
    fn a_sigmoid_is_drawn_as_a_sigmoid() {
        let window = Window {
            function: schema::VoiFunction::Sigmoid,
            ..Window::between(0.0, 99.0, "test")
        };
        let image = shade(&film(3, 1, vec![0, 50, 100]), &window, false, 64);
        let expected = [0.0, 50.0, 100.0_f32]
            .map(|x| 255.0 / (1.0 + (-4.0 * (x - window.centre) / window.width).exp()));
        for (pixel, expected) in image.pixels.iter().zip(expected) {
            assert!(
                (f32::from(pixel.r()) - expected).abs() <= 0.51,
                "{expected}"
            );
        }
        // A straight window would be black and white at the ends.
        assert!(image.pixels[0].r() > 20 && image.pixels[2].r() < 235);
    }

    #[test]
    fn inverting_turns_black_into_white() {
        let window = Window::between(0.0, 100.0, "test");
        let image = shade(&film(2, 1, vec![0, 100]), &window, true, 64);
        assert_eq!(image.pixels[0], tokens::grey(255));
        assert_eq!(image.pixels[1], tokens::grey(0));
    }

    #[test]
    fn large_films_are_thinned_to_the_largest_texture() {
        let image = shade(
            &film(10, 6, vec![7; 60]),
            &Window::between(0.0, 10.0, "test"),
            false,
            4,
        );
        assert_eq!(image.size, [4, 2]);
    }

    #[test]
    fn presets_come_from_the_histogram() {
        let presets = presets(&film(10, 10, (0..100).collect()));
        assert_eq!(presets[0], Window::between(0.0, 99.0, "Full range"));
        assert_eq!(presets.len(), 4);
    }
}
