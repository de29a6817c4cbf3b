//! From stored values to grey on the screen: windows, presets from the film's own histogram.

use egui::{Color32, ColorImage};
use engine::views::FilmPixels;
use schema::Window;

use crate::tokens;

/// Number of stored values that a film of 16 bits can have.
const N_VALUES: usize = 1 << 16;

/// `[65536]`: the grey of each stored value through `window`, then inversion if asked.
pub(crate) fn greys(window: &Window, inverted: bool) -> Vec<u8> {
    let mut greys = window.greys();
    if inverted {
        for level in &mut greys {
            *level = 255 - *level;
        }
    }
    greys
}

/// A film at one size: all its pixels, or its halves.
#[derive(Clone, Copy)]
pub(crate) struct Level<'a> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    deep: &'a [u16],
}

impl Level<'_> {
    /// Whether it has as many pixels as it says.
    pub(crate) fn is_whole(&self) -> bool {
        self.deep.len() == self.width as usize * self.height as usize && !self.deep.is_empty()
    }

    /// The stored values of rows `first..until`, both within a whole level.
    pub(crate) fn rows(&self, first: u32, until: u32) -> &[u16] {
        let at = |row: u32| row as usize * self.width as usize;
        self.deep.get(at(first)..at(until)).unwrap_or_default()
    }
}

/// The sizes of a film, the largest first.
pub(crate) fn levels(film: &FilmPixels) -> impl Iterator<Item = Level<'_>> {
    let halves = film.halves.iter().map(|half| Level {
        width: half.width,
        height: half.height,
        deep: &half.deep,
    });
    std::iter::once(whole(film)).chain(halves)
}

/// All pixels of a film.
fn whole(film: &FilmPixels) -> Level<'_> {
    Level {
        width: film.width,
        height: film.height,
        deep: &film.deep,
    }
}

/// The smallest size of the film that has a pixel for each of `pixels` across the screen, and its
/// place among the sizes.
pub(crate) fn level(film: &FilmPixels, pixels: f32) -> (usize, Level<'_>) {
    let sharp = |level: &Level<'_>| level.width as f32 >= pixels;
    let fitting = levels(film)
        .enumerate()
        .take_while(|(_, level)| sharp(level));
    fitting.last().unwrap_or((0, whole(film)))
}

/// Left, top, right and bottom of a part, in pixels of a level.
pub(crate) type Part = [u32; 4];

/// A part of a film through a table of `[65536]` greys; a pixel of background where the film is
/// not what it says.
pub(crate) fn shade(level: Level<'_>, part: Part, greys: &[u8]) -> ColorImage {
    let [left, top, right, bottom] = part.map(|edge| edge as usize);
    let (width, height) = (level.width as usize, level.height as usize);
    let fits = level.is_whole() && right <= width && bottom <= height && left < right;
    if !fits || greys.len() != N_VALUES {
        return ColorImage::filled([1, 1], tokens::FILM_BACKGROUND);
    }
    let table: Vec<Color32> = greys.iter().map(|&level| tokens::grey(level)).collect();
    let mut pixels = Vec::with_capacity((right - left) * bottom.saturating_sub(top));
    for row in level.deep.chunks_exact(width).take(bottom).skip(top) {
        let greys = row[left..right]
            .iter()
            .map(|&value| table[usize::from(value)]);
        pixels.extend(greys);
    }
    ColorImage::new([right - left, bottom.saturating_sub(top)], pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(width: u32, height: u32, deep: &[u16]) -> Level<'_> {
        Level {
            width,
            height,
            deep,
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
        let shaded = shade(
            level(64, 64, &values),
            [0, 0, 64, 64],
            &greys(&window, false),
        );
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
        let image = shade(
            level(3, 1, &[0, 50, 100]),
            [0, 0, 3, 1],
            &greys(&window, false),
        );
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
        let image = shade(level(2, 1, &[0, 100]), [0, 0, 2, 1], &greys(&window, true));
        assert_eq!(image.pixels[0], tokens::grey(255));
        assert_eq!(image.pixels[1], tokens::grey(0));
    }

    #[test]
    fn a_part_is_the_part_of_the_whole() {
        let values: Vec<u16> = (0..60).collect();
        let window = Window::between(0.0, 59.0, "test");
        let whole = shade(level(10, 6, &values), [0, 0, 10, 6], &greys(&window, false));
        let part = shade(level(10, 6, &values), [3, 1, 8, 5], &greys(&window, false));
        assert_eq!(part.size, [5, 4]);
        for y in 0..4 {
            for x in 0..5 {
                assert_eq!(part[(x, y)], whole[(x + 3, y + 1)]);
            }
        }
        let beyond = shade(level(10, 6, &values), [3, 1, 11, 5], &greys(&window, false));
        assert_eq!(beyond.size, [1, 1]);
    }

    #[test]
    fn the_smallest_size_that_is_sharp_is_taken() {
        let film = crate::bench::film_of_side(4096);
        let widths = |pixels| level_of(&film, pixels);
        assert_eq!(widths(5000.0), 4096);
        assert_eq!(widths(2049.0), 4096);
        assert_eq!(widths(2048.0), 2048);
        assert_eq!(widths(100.0), 512);
    }

    fn level_of(film: &FilmPixels, pixels: f32) -> u32 {
        super::level(film, pixels).1.width
    }
}
