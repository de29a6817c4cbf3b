//! The image processor of a Hugging Face checkpoint: resize, centre crop, rescale, normalise, as
//! its `preprocessor_config.json` says, and the way back from the crop to the film.

use std::path::Path;

use schema::{Film, PatchGrid};
use serde::Deserialize;

use super::preprocess::{Filter, GreyImage, resize};
use crate::ModelError;

/// How grey values become 8 bits before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreyLevels {
    /// MAIRA-2: lowest value 0, highest 255, fractions cut off.
    MinMax,
    /// As stored; values beyond 8 bits are spread like [`GreyLevels::MinMax`].
    Stored,
}

/// What is done to an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageProcessor {
    /// Before resizing.
    pub levels: GreyLevels,
    /// Length of the shortest edge after resizing; `None` to leave the size.
    pub shortest_edge: Option<usize>,
    /// Filter of the resizing.
    pub filter: Filter,
    /// Height and width of the centre crop; `None` for no crop.
    pub crop: Option<[usize; 2]>,
    /// Values of 8 bits are multiplied by it.
    pub rescale: f64,
    /// Taken off each channel after that.
    pub mean: [f32; 3],
    /// Divides each channel after that.
    pub deviation: [f32; 3],
}

/// An image as a model reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessedImage {
    /// `[3, height, width]`, normalised.
    pub pixels: Vec<f32>,
    /// Height and width.
    pub size: [usize; 2],
    /// What the pixels cover, in film pixels: left, top, width, height.
    pub covered: [f32; 4],
}

/// `preprocessor_config.json`; what is absent has the value of the reference processor.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the keys of the file")]
struct Stored {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Option<serde_json::Value>,
    #[serde(default = "bicubic")]
    resample: u32,
    #[serde(default = "yes")]
    do_center_crop: bool,
    crop_size: Option<serde_json::Value>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "per_255")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: Option<Vec<f32>>,
    image_std: Option<Vec<f32>>,
}

fn yes() -> bool {
    true
}

fn bicubic() -> u32 {
    3
}

fn per_255() -> f64 {
    1.0 / 255.0
}

/// A number, or the first of the keys of an object.
fn length(value: &serde_json::Value, keys: &[&str]) -> Option<usize> {
    let number = value
        .as_u64()
        .or_else(|| keys.iter().find_map(|key| value.get(key)?.as_u64()))?;
    (1..=16_384).contains(&number).then_some(number as usize)
}

impl ImageProcessor {
    /// Reads `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`ModelError::Read`], or [`ModelError::Format`] naming the key that is wrong.
    pub fn read(path: &Path, levels: GreyLevels) -> Result<Self, ModelError> {
        let bad = |key: &str, expected: &str| ModelError::Format {
            path: path.to_owned(),
            place: format!("key {key}"),
            expected: expected.to_owned(),
        };
        let text = std::fs::read(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|error| bad("(whole)", &error.to_string()))?;
        let shortest_edge = match stored.size.filter(|_| stored.do_resize) {
            None => None,
            Some(size) => Some(
                length(&size, &["shortest_edge"])
                    .ok_or_else(|| bad("size", "expected shortest_edge from 1 to 16384"))?,
            ),
        };
        let crop = match stored.crop_size.filter(|_| stored.do_center_crop) {
            None => None,
            Some(size) => {
                let side = |key: &str| {
                    length(&size, &[key, "shortest_edge"])
                        .ok_or_else(|| bad("crop_size", "expected height and width above 0"))
                };
                Some([side("height")?, side("width")?])
            }
        };
        let filter = match stored.resample {
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            _ => return Err(bad("resample", "expected 2 (bilinear) or 3 (bicubic)")),
        };
        let channels = |values: Option<Vec<f32>>, key: &str, otherwise: f32| {
            let Some(values) = values.filter(|_| stored.do_normalize) else {
                return Ok([otherwise; 3]);
            };
            <[f32; 3]>::try_from(values)
                .ok()
                .filter(|values| values.iter().all(|v| v.is_finite()))
                .ok_or_else(|| bad(key, "expected three numbers"))
        };
        let deviation = channels(stored.image_std, "image_std", 1.0)?;
        if deviation.contains(&0.0) {
            return Err(bad("image_std", "expected three numbers other than 0"));
        }
        Ok(Self {
            levels,
            shortest_edge,
            filter,
            crop,
            rescale: if stored.do_rescale {
                stored.rescale_factor
            } else {
                1.0
            },
            mean: channels(stored.image_mean, "image_mean", 0.0)?,
            deviation,
        })
    }

    /// The film in 8 bits.
    pub fn grey(&self, film: &Film) -> GreyImage {
        let low = film.pixels.iter().copied().min().unwrap_or(0);
        let high = film.pixels.iter().copied().max().unwrap_or(0);
        let is_stored = self.levels == GreyLevels::Stored && high <= 255;
        let range = f64::from(high - low);
        let level = |value: u16| {
            if is_stored {
                value as u8
            } else if range == 0.0 {
                // One value everywhere: black, where the reference divides by zero.
                0
            } else {
                (f64::from(value - low) / range * 255.0) as u8
            }
        };
        GreyImage {
            width: film.width as usize,
            height: film.height as usize,
            pixels: film.pixels.iter().map(|&value| level(value)).collect(),
        }
    }

    /// The 8-bit image after resizing and cropping, and what it covers of the film.
    pub fn resized_and_cropped(&self, grey: &GreyImage) -> (GreyImage, [f32; 4]) {
        let (width, height) = (grey.width, grey.height);
        let mut image = match self.shortest_edge {
            None => grey.clone(),
            Some(edge) => {
                let (short, long) = (width.min(height), width.max(height));
                let longer = (edge as f64 * long as f64 / short.max(1) as f64) as usize;
                let size = if width <= height {
                    [edge, longer]
                } else {
                    [longer, edge]
                };
                resize(grey, size, self.filter)
            }
        };
        let scale = [
            width as f32 / image.width as f32,
            height as f32 / image.height as f32,
        ];
        let mut offset = [0_isize; 2];
        if let Some([crop_height, crop_width]) = self.crop {
            offset = [
                (image.width.cast_signed() - crop_width.cast_signed()).div_euclid(2),
                (image.height.cast_signed() - crop_height.cast_signed()).div_euclid(2),
            ];
            image = cropped(&image, offset, [crop_width, crop_height]);
        }
        let covered = [
            offset[0] as f32 * scale[0],
            offset[1] as f32 * scale[1],
            image.width as f32 * scale[0],
            image.height as f32 * scale[1],
        ];
        (image, covered)
    }

    /// Values of an 8-bit image as the network reads them, `[3, height, width]`.
    pub fn normalised(&self, image: &GreyImage) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(3 * image.pixels.len());
        for (mean, deviation) in self.mean.iter().zip(&self.deviation) {
            let values: Vec<f32> = (0..=255_u8)
                .map(|value| {
                    let scaled = (f64::from(value) * self.rescale) as f32;
                    (scaled - mean) / deviation
                })
                .collect();
            pixels.extend(image.pixels.iter().map(|&value| values[usize::from(value)]));
        }
        pixels
    }

    /// All steps.
    pub fn process(&self, film: &Film) -> ProcessedImage {
        let (image, covered) = self.resized_and_cropped(&self.grey(film));
        ProcessedImage {
            pixels: self.normalised(&image),
            size: [image.height, image.width],
            covered,
        }
    }
}

/// A part of an image; what lies beyond it is black.
fn cropped(image: &GreyImage, offset: [isize; 2], [width, height]: [usize; 2]) -> GreyImage {
    let mut pixels = vec![0; width * height];
    for (y, out) in pixels.chunks_exact_mut(width).enumerate() {
        let Some(row) = offset[1].checked_add_unsigned(y).map(usize::try_from) else {
            continue;
        };
        let Some(row) = row.ok().filter(|&row| row < image.height) else {
            continue;
        };
        for (x, out) in out.iter_mut().enumerate() {
            let column = offset[0].cast_unsigned().wrapping_add(x);
            if column < image.width {
                *out = image.pixels[row * image.width + column];
            }
        }
    }
    GreyImage {
        width,
        height,
        pixels,
    }
}

/// The grid of `rows × columns` patches over what a processed image covers of its film.
pub fn patch_grid(rows: usize, columns: usize, covered: [f32; 4]) -> PatchGrid {
    let [left, top, width, height] = covered;
    PatchGrid {
        rows: rows as u32,
        columns: columns as u32,
        left,
        top,
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::preprocess::tests::film;

    fn processor(edge: usize) -> ImageProcessor {
        ImageProcessor {
            levels: GreyLevels::MinMax,
            shortest_edge: Some(edge),
            filter: Filter::Bicubic,
            crop: Some([edge, edge]),
            rescale: 1.0 / 255.0,
            mean: [0.5; 3],
            deviation: [0.5; 3],
        }
    }

    #[test]
    fn fractions_of_grey_levels_are_cut_off() {
        let grey = processor(4).grey(&film(3, 1, |x, _| [10, 20, 40][x as usize]));
        assert_eq!(grey.pixels, [0, 85, 255]);
        assert_eq!(processor(4).grey(&film(2, 2, |_, _| 9)).pixels, [0; 4]);
    }

    #[test]
    fn a_bright_patch_is_found_again_on_the_film() {
        // 400 × 1000 with a bright square of 40 × 40 at (80, 520).
        let inside = |x: u32, y: u32| (80..120).contains(&x) && (520..560).contains(&y);
        let film = film(400, 1000, |x, y| if inside(x, y) { 4095 } else { 0 });
        let processed = processor(80).process(&film);
        assert_eq!(processed.covered, [0.0, 300.0, 400.0, 400.0]);
        let grid = patch_grid(10, 10, processed.covered);
        let mut best = (0, f32::NEG_INFINITY);
        for patch in 0..100 {
            let (row, column) = (patch / 10, patch % 10);
            let sum: f32 = (0..64)
                .map(|i| processed.pixels[(row * 8 + i / 8) * 80 + column * 8 + i % 8])
                .sum();
            if sum > best.1 {
                best = (patch, sum);
            }
        }
        let rect = grid.patch_rect(best.0 as u32 / 10, best.0 as u32 % 10);
        assert_eq!(rect, [80.0, 500.0, 120.0, 540.0]);
    }

    #[test]
    fn a_crop_beyond_the_image_is_black() {
        let mut processor = processor(8);
        processor.shortest_edge = None;
        let (image, covered) = processor.resized_and_cropped(&GreyImage {
            width: 4,
            height: 4,
            pixels: vec![200; 16],
        });
        assert_eq!(covered, [-2.0, -2.0, 8.0, 8.0]);
        let sum: u32 = image.pixels.iter().map(|&v| u32::from(v)).sum();
        assert_eq!(sum, 16 * 200);
        assert_eq!(image.pixels[2 * 8 + 2], 200);
    }
}
