//! A radiograph in memory, how it is windowed, and how a model's patches lie on it.

use serde::{Deserialize, Serialize};

/// A window: which stored values are spread over black to white.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Middle of the window, in stored values.
    pub centre: f32,
    /// Extent of the window, in stored values, ≥ 1.
    pub width: f32,
    /// What the file or the program calls it, e.g. `Full range`.
    pub name: String,
}

/// A single-frame grey image, patient's right on the viewer's left as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    /// Columns, ≥ 1.
    pub width: u32,
    /// Rows, ≥ 1.
    pub height: u32,
    /// Stored values after the modality step, row-major, `width * height`; black is low (a
    /// MONOCHROME1 file has been inverted after windowing information was adjusted).
    pub pixels: Vec<u16>,
    /// Windows the file itself offers, first is its default; may be empty.
    pub windows: Vec<Window>,
    /// What a viewer must say about this film, e.g. `inverted (MONOCHROME1)`.
    pub badges: Vec<String>,
}

impl Film {
    /// The window that shows every value: from the lowest to the highest stored value.
    pub fn full_range(&self) -> Window {
        let low = self.pixels.iter().copied().min().unwrap_or(0);
        let high = self.pixels.iter().copied().max().unwrap_or(0);
        Window::between(f32::from(low), f32::from(high), "Full range")
    }

    /// The window from the 1st to the 99th percentile of the stored values.
    pub fn percentile_window(&self) -> Window {
        let mut counts = vec![0_u32; 1 << 16];
        for &value in &self.pixels {
            counts[usize::from(value)] += 1;
        }
        let total = self.pixels.len() as f64;
        let at = |share: f64| -> f32 {
            let mut seen = 0_f64;
            for (value, &count) in counts.iter().enumerate() {
                seen += f64::from(count);
                if seen >= share * total {
                    return value as f32;
                }
            }
            65_535.0
        };
        Window::between(at(0.01), at(0.99), "1st to 99th percentile")
    }

    /// 8-bit grey through `window` (the linear function of DICOM PS3.3 C.11.2.1.2), row-major.
    pub fn to_u8(&self, window: &Window) -> Vec<u8> {
        let width = window.width.max(1.0);
        let (lower, upper) = (
            window.centre - 0.5 - (width - 1.0) / 2.0,
            window.centre - 0.5 + (width - 1.0) / 2.0,
        );
        let table: Vec<u8> = (0..=u16::MAX)
            .map(|value| {
                let value = f32::from(value);
                if value <= lower {
                    0
                } else if value > upper {
                    255
                } else {
                    (((value - (window.centre - 0.5)) / (width - 1.0).max(f32::MIN_POSITIVE) + 0.5)
                        * 255.0)
                        .round()
                        .clamp(0.0, 255.0) as u8
                }
            })
            .collect();
        self.pixels
            .iter()
            .map(|&value| table[usize::from(value)])
            .collect()
    }
}

impl Window {
    /// The window that shows `low` as black and `high` as white.
    pub fn between(low: f32, high: f32, name: &str) -> Self {
        Self {
            centre: f32::midpoint(low, high) + 0.5,
            width: (high - low).abs() + 1.0,
            name: name.to_owned(),
        }
    }
}

/// How a model's patch positions lie on the film they came from.
///
/// The grid covers a rectangle of the *original* film, in its pixels: the region left after the
/// processor's crop. With padding the rectangle reaches beyond the film.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PatchGrid {
    /// Patch rows.
    pub rows: u32,
    /// Patch columns.
    pub columns: u32,
    /// Left edge of the covered rectangle, in film pixels.
    pub left: f32,
    /// Top edge of the covered rectangle, in film pixels.
    pub top: f32,
    /// Width of the covered rectangle, in film pixels.
    pub width: f32,
    /// Height of the covered rectangle, in film pixels.
    pub height: f32,
}

impl PatchGrid {
    /// The rectangle `[left, top, right, bottom]` of one patch, in film pixels.
    pub fn patch_rect(&self, row: u32, column: u32) -> [f32; 4] {
        let (w, h) = (
            self.width / self.columns as f32,
            self.height / self.rows as f32,
        );
        let (left, top) = (self.left + w * column as f32, self.top + h * row as f32);
        [left, top, left + w, top + h]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_range_spreads_black_to_white() {
        let film = Film {
            width: 3,
            height: 1,
            pixels: vec![100, 200, 300],
            windows: Vec::new(),
            badges: Vec::new(),
        };
        assert_eq!(film.to_u8(&film.full_range()), [0, 128, 255]);
    }

    #[test]
    fn patches_tile_the_covered_rectangle() {
        let grid = PatchGrid {
            rows: 2,
            columns: 4,
            left: 10.0,
            top: 0.0,
            width: 80.0,
            height: 40.0,
        };
        assert_eq!(grid.patch_rect(1, 3), [70.0, 20.0, 90.0, 40.0]);
    }
}
