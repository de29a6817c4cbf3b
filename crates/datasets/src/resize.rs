//! Smaller copies of grey images, as Pillow's `thumbnail` makes them with its Lanczos filter.
//!
//! Pillow reads a JPEG smaller, or halves an image first, where that is faster (`reducing_gap`); here
//! the whole image is always read, as with `reducing_gap=None`.

/// Bits after the point of Pillow's weights: 32, less the 8 of a pixel and 2 for overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// How far the Lanczos kernel reaches.
const SUPPORT: f64 = 3.0;

/// The size that fits `width` × `height` into a square of `max_side` pixels, never enlarged.
pub fn fitted_size(width: u32, height: u32, max_side: u32) -> (u32, u32) {
    let (width, height, max_side) = (width.max(1), height.max(1), max_side.max(1));
    if width.max(height) <= max_side {
        return (width, height);
    }
    let aspect = f64::from(width) / f64::from(height);
    let side = f64::from(max_side);
    // Of the two whole numbers around the fitting one that which keeps the aspect best.
    let nearest = |exact: f64, off: &dyn Fn(f64) -> f64| -> u32 {
        let (low, high) = (exact.floor(), exact.ceil());
        let best = if off(high) < off(low) { high } else { low };
        (best as u32).max(1)
    };
    if aspect <= 1.0 {
        let width = nearest(side * aspect, &|n| (aspect - n / side).abs());
        (width, max_side)
    } else {
        let off = |n: f64| {
            if n == 0.0 {
                0.0
            } else {
                (aspect - side / n).abs()
            }
        };
        (max_side, nearest(side / aspect, &off))
    }
}

/// A 16-bit image of half the size, each pixel the mean of four, of two where the edge has no more.
///
/// # Shapes
/// - `deep`: row-major, `width * height`; anything else gives an image of 0 × 0
/// - returns: new width, new height, row-major values of that size
///
/// # Example
/// Rows (1, 3, 9) and (5, 7, 9) become (4, 9).
pub fn halve(width: u32, height: u32, deep: &[u16]) -> (u32, u32, Vec<u16>) {
    let (columns, rows) = (width as usize, height as usize);
    if deep.len() != columns * rows || deep.is_empty() {
        return (0, 0, Vec::new());
    }
    let (new_width, new_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut half = Vec::with_capacity(new_width as usize * new_height as usize);
    for row in 0..new_height as usize {
        let upper = &deep[2 * row * columns..][..columns];
        let lower = deep[(2 * row + 1).min(rows - 1) * columns..].get(..columns);
        let lower = lower.unwrap_or(upper);
        for (a, b) in upper.chunks(2).zip(lower.chunks(2)) {
            let right = a.len() - 1;
            let sum = u32::from(a[0]) + u32::from(a[right]) + u32::from(b[0]) + u32::from(b[right]);
            half.push(((sum + 2) / 4) as u16);
        }
    }
    (new_width, new_height, half)
}

/// Shrinks an 8-bit grey image so that its longer side has at most `max_side` pixels.
///
/// The kernel is as wide as the step of the new grid, so that fine lines fade instead of breaking
/// up. An image that fits already is returned as it is.
///
/// # Shapes
/// - `grey`: row-major, `width * height`; anything else gives an image of 0 × 0
/// - returns: new width, new height, row-major grey of that size
///
/// # Source
/// Pillow, `Resample.c` (`ImagingResampleHorizontal_8bpc`, `ImagingResampleVertical_8bpc`): rows
/// first, each pass rounded to 8 bits.
pub fn shrink(width: u32, height: u32, grey: Vec<u8>, max_side: u32) -> (u32, u32, Vec<u8>) {
    if grey.len() as u64 != u64::from(width) * u64::from(height) || grey.is_empty() {
        return (0, 0, Vec::new());
    }
    let (new_width, new_height) = fitted_size(width, height, max_side);
    let grey = narrowed(grey, width as usize, new_width as usize);
    let grey = lowered(grey, new_width as usize, new_height as usize);
    (new_width, new_height, grey)
}

/// Each row resampled to `new` pixels.
fn narrowed(grey: Vec<u8>, width: usize, new: usize) -> Vec<u8> {
    if width == new {
        return grey;
    }
    let taps = taps(width, new);
    grey.chunks_exact(width)
        .flat_map(|row| {
            taps.iter().map(|tap| {
                let covered = &row[tap.first..][..tap.weights.len()];
                let products = tap.weights.iter().zip(covered);
                rounded(products.map(|(&w, &v)| w * i64::from(v)).sum())
            })
        })
        .collect()
}

/// Rows of `width` pixels resampled to `new` rows.
fn lowered(grey: Vec<u8>, width: usize, new: usize) -> Vec<u8> {
    let height = grey.len() / width;
    if height == new {
        return grey;
    }
    let mut out = Vec::with_capacity(width * new);
    for tap in taps(height, new) {
        let mut sums = vec![0_i64; width];
        let rows = grey[tap.first * width..].chunks_exact(width);
        for (weight, row) in tap.weights.iter().zip(rows) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i64::from(value);
            }
        }
        out.extend(sums.into_iter().map(rounded));
    }
    out
}

/// The weighted pixels that make a new one.
struct Tap {
    first: usize,
    weights: Vec<i64>,
}

fn taps(old: usize, new: usize) -> Vec<Tap> {
    let scale = old as f64 / new as f64;
    let stretch = scale.max(1.0);
    let support = SUPPORT * stretch;
    (0..new)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(old);
            let weights: Vec<f64> = (first..end)
                .map(|x| lanczos((x as f64 - centre + 0.5) / stretch))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |w: f64| (w / sum * f64::from(1_u32 << PRECISION)).round() as i64;
            Tap {
                first,
                weights: weights.into_iter().map(fixed).collect(),
            }
        })
        .collect()
}

fn rounded(sum: i64) -> u8 {
    ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| {
        if x == 0.0 {
            return 1.0;
        }
        let x = x * std::f64::consts::PI;
        x.sin() / x
    };
    if (-SUPPORT..SUPPORT).contains(&x) {
        sinc(x) * sinc(x / SUPPORT)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_means_of_four() {
        assert_eq!(halve(3, 2, &[1, 3, 9, 5, 7, 9]), (2, 1, vec![4, 9]));
        assert_eq!(halve(1, 3, &[2, 4, 9]), (1, 2, vec![3, 9]));
        assert_eq!(halve(2, 2, &[1, 2, 3]), (0, 0, Vec::new()));
    }

    #[test]
    fn keeps_the_shape_and_never_enlarges() {
        assert_eq!(fitted_size(1024, 512, 256), (256, 128));
        assert_eq!(fitted_size(100, 50, 256), (100, 50));
        assert_eq!(fitted_size(5_000, 1, 100), (100, 1));
    }

    #[test]
    fn fine_stripes_average_to_grey() {
        let grey: Vec<u8> = (0..64 * 64)
            .map(|i| if i % 2 == 0 { 0 } else { 255 })
            .collect();
        let (width, height, small) = shrink(64, 64, grey, 8);
        assert_eq!((width, height), (8, 8));
        assert!(small.iter().all(|&v| (115..=140).contains(&v)), "{small:?}");
    }
}
