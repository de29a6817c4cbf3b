//! Smaller copies of grey images, averaged over the area each new pixel covers.

use image::{GrayImage, imageops};

/// The size that fits `width` × `height` into a square of `max_side` pixels, never enlarged.
pub fn fitted_size(width: u32, height: u32, max_side: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    let max_side = max_side.max(1);
    if longest <= max_side {
        return (width.max(1), height.max(1));
    }
    let scaled = |side: u32| -> u32 {
        let side = f64::from(side) * f64::from(max_side) / f64::from(longest);
        (side.round() as u32).max(1)
    };
    (scaled(width), scaled(height))
}

/// Shrinks an 8-bit grey image so that its longer side has at most `max_side` pixels.
///
/// A triangle filter as wide as the step of the new grid, so that fine lines fade instead of
/// breaking up. An image that fits already is returned as it is.
///
/// # Shapes
/// - `grey`: row-major, `width * height`; anything else gives an image of 0 × 0
/// - returns: new width, new height, row-major grey of that size
pub fn shrink(width: u32, height: u32, grey: Vec<u8>, max_side: u32) -> (u32, u32, Vec<u8>) {
    let (new_width, new_height) = fitted_size(width, height, max_side);
    let Some(image) = GrayImage::from_raw(width, height, grey) else {
        return (0, 0, Vec::new());
    };
    if (new_width, new_height) == (width, height) {
        return (width, height, image.into_raw());
    }
    let small = imageops::resize(
        &image,
        new_width,
        new_height,
        imageops::FilterType::Triangle,
    );
    (new_width, new_height, small.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

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
