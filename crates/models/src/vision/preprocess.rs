//! What is done to a film before an image encoder: window, resize as Pillow does, pad, normalise.

use schema::Film;

/// A grey image of 8 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreyImage {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row-major, `width * height`.
    pub pixels: Vec<u8>,
}

/// The film as 8-bit grey: through its own default window; without one, films of at most 8 bits
/// as they are, deeper films from the 1st to the 99th percentile.
pub fn grey_of_film(film: &Film) -> GreyImage {
    let is_8_bit = film.pixels.iter().all(|&value| value <= 255);
    let pixels = match film.windows.first() {
        Some(window) => film.to_u8(window),
        None if is_8_bit => film.pixels.iter().map(|&value| value as u8).collect(),
        None => film.to_u8(&film.percentile_window()),
    };
    GreyImage {
        width: film.width as usize,
        height: film.height as usize,
        pixels,
    }
}

/// Weights of one output pixel in fixed point, and the first input pixel they apply to.
struct Taps {
    first: usize,
    weights: Vec<i64>,
}

/// Pillow's fixed point: 32 − 8 − 2 bits after the point.
const PRECISION_BITS: u32 = 22;

/// A resampling filter of Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Cubic convolution with a = −0.5.
    Bicubic,
}

impl Filter {
    /// Distance up to which a pixel counts, in input pixels of an image that is not made smaller.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }

    /// Taps of every output pixel; the filter widens when it makes an image smaller.
    fn taps(self, from: usize, to: usize) -> Vec<Taps> {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let support = self.support() * widening;
        (0..to)
            .map(|i| {
                let centre = (i as f64 + 0.5) * scale;
                let first = (centre - support + 0.5).max(0.0) as usize;
                let last = ((centre + support + 0.5) as usize).min(from);
                let weights: Vec<f64> = (first..last)
                    .map(|at| self.weight((at as f64 - centre + 0.5) / widening))
                    .collect();
                let sum: f64 = weights.iter().sum();
                let one = f64::from(1 << PRECISION_BITS);
                let fixed = |weight: &f64| {
                    let scaled = weight / sum * one;
                    (scaled + 0.5_f64.copysign(scaled)) as i64
                };
                Taps {
                    first,
                    weights: weights.iter().map(fixed).collect(),
                }
            })
            .collect()
    }
}

/// Resizes as `PIL.Image.resize((width, height), filter)` does for 8-bit grey, bit for bit:
/// columns first, rounded to 8 bits, then rows.
///
/// # Source
/// Pillow, `libImaging/Resample.c`. torch's `interpolate(antialias=True)` differs by rounding.
pub fn resize(image: &GreyImage, [width, height]: [usize; 2], filter: Filter) -> GreyImage {
    let half = 1_i64 << (PRECISION_BITS - 1);
    let round = |sum: i64| (sum >> PRECISION_BITS).clamp(0, 255) as u8;
    let across = filter.taps(image.width, width);
    let narrow: Vec<u8> = if width == image.width {
        image.pixels.clone()
    } else {
        image
            .pixels
            .chunks_exact(image.width)
            .flat_map(|row| {
                across.iter().map(move |taps| {
                    let values = &row[taps.first..];
                    let products = taps.weights.iter().zip(values);
                    round(half + products.map(|(w, &v)| w * i64::from(v)).sum::<i64>())
                })
            })
            .collect()
    };
    if height == image.height {
        return GreyImage {
            width,
            height,
            pixels: narrow,
        };
    }
    let mut pixels = Vec::with_capacity(width * height);
    let mut sums = vec![0_i64; width];
    for taps in filter.taps(image.height, height) {
        sums.fill(half);
        let rows = narrow.chunks_exact(width).skip(taps.first);
        for (weight, row) in taps.weights.iter().zip(rows) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i64::from(value);
            }
        }
        pixels.extend(sums.iter().map(|&sum| round(sum)));
    }
    GreyImage {
        width,
        height,
        pixels,
    }
}

/// A film made ready for a square encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct SquareFilm {
    /// `[side, side]` row-major, lowest value of the film 0 and highest 1; padding is 0.
    pub pixels: Vec<f32>,
    /// What the square covers, in film pixels: left, top, width, height. Reaches beyond the film
    /// to the right or below where the square is padded.
    pub covered: [f32; 4],
}

/// Resizes so that the longer side is `side`, spreads the values over 0 to 1, and pads with zeros
/// to the right and below, as `LiteMedSAM`'s inference does.
///
/// # Source
/// `bowang-lab/MedSAM`, `CVPR24_LiteMedSAM_infer.py` (`resize_longest_side`, min-max, `pad_image`)
/// with Pillow's bilinear filter in place of `OpenCV`'s area filter.
pub fn square_film(film: &Film, side: usize) -> SquareFilm {
    let grey = grey_of_film(film);
    let longest = grey.width.max(grey.height).max(1) as f64;
    let scaled = |length: usize| {
        let length = (length as f64 * side as f64 / longest + 0.5) as usize;
        length.clamp(1, side)
    };
    let (width, height) = (scaled(grey.width), scaled(grey.height));
    let resized = resize(&grey, [width, height], Filter::Bilinear);
    let low = resized.pixels.iter().copied().min().unwrap_or(0);
    let high = resized.pixels.iter().copied().max().unwrap_or(0);
    let range = f32::from(high - low).max(f32::MIN_POSITIVE);
    let mut pixels = vec![0.0; side * side];
    for (row, out) in resized
        .pixels
        .chunks_exact(width)
        .zip(pixels.chunks_exact_mut(side))
    {
        for (value, out) in row.iter().zip(out) {
            *out = f32::from(value - low) / range;
        }
    }
    SquareFilm {
        pixels,
        covered: [
            0.0,
            0.0,
            side as f32 * grey.width as f32 / width as f32,
            side as f32 * grey.height as f32 / height as f32,
        ],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn film(width: u32, height: u32, value: impl Fn(u32, u32) -> u16) -> Film {
        Film {
            width,
            height,
            pixels: (0..height)
                .flat_map(|y| (0..width).map(move |x| (x, y)))
                .map(|(x, y)| value(x, y))
                .collect(),
            windows: Vec::new(),
            badges: Vec::new(),
        }
    }

    #[test]
    fn a_wide_film_is_padded_below() {
        let film = film(400, 200, |x, _| (x / 2) as u16);
        let square = square_film(&film, 100);
        assert_eq!(square.covered, [0.0, 0.0, 400.0, 400.0]);
        assert_eq!(square.pixels.len(), 10_000);
        assert_eq!(square.pixels[0], 0.0);
        assert_eq!(square.pixels[99], 1.0);
        assert!(square.pixels[5_000..].iter().all(|&value| value == 0.0));
    }

    #[test]
    fn a_flat_film_gives_finite_numbers() {
        let square = square_film(&film(3, 5, |_, _| 700), 8);
        assert!(square.pixels.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn resizing_averages_what_a_pixel_covers() {
        let image = GreyImage {
            width: 4,
            height: 1,
            pixels: vec![0, 0, 200, 200],
        };
        // Triangle of half-width 2 around 1 and 3: weights 1, 3, 3, 1 of 7 inside.
        let half = resize(&image, [2, 1], Filter::Bilinear);
        assert_eq!(half.pixels, [29, 171]);
        assert_eq!(resize(&image, [4, 1], Filter::Bicubic), image);
    }

    #[test]
    fn deep_films_are_windowed() {
        let mut film = film(10, 10, |x, y| (1000 + 10 * x + 100 * y) as u16);
        assert_eq!(grey_of_film(&film).pixels[0], 0);
        film.windows
            .push(schema::Window::between(0.0, 65_535.0, "wide"));
        assert!(grey_of_film(&film).pixels.iter().all(|&value| value < 10));
    }
}
