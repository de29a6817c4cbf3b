//! A radiograph in memory, and how a model's patches lie on it.

use serde::{Deserialize, Serialize};

use crate::window::Window;

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
        let [percentiles, _, _] = self.histogram_windows();
        percentiles
    }

    /// Windows from the film's own histogram: from the 1st to the 99th percentile, for lung (its
    /// dark 60 %), for bone and mediastinum (its bright 60 %).
    pub fn histogram_windows(&self) -> [Window; 3] {
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
        [
            Window::between(at(0.01), at(0.99), "1st to 99th percentile"),
            Window::between(at(0.02), at(0.6), "Lung (dark 60 %)"),
            Window::between(at(0.4), at(0.995), "Bone and mediastinum (bright 60 %)"),
        ]
    }

    /// 8-bit grey through `window`, row-major.
    pub fn to_u8(&self, window: &Window) -> Vec<u8> {
        let table = window.greys();
        self.pixels
            .iter()
            .map(|&value| table[usize::from(value)])
            .collect()
    }
}

/// Which directions of the patient the right and the lower edge of a film point to, in DICOM's
/// letters: `L` left, `R` right, `A` anterior, `P` posterior, `H` head, `F` foot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilmEdges {
    /// Along the rows, e.g. `L`: the patient's left is on the right of the film.
    pub right: String,
    /// Down the columns, e.g. `F`.
    pub bottom: String,
}

impl FilmEdges {
    /// Reads DICOM's Patient Orientation, `L\\F`: two directions of one to three letters. Anything
    /// else is `None`.
    pub fn parse(orientation: &str) -> Option<Self> {
        let direction = |text: &str| -> Option<String> {
            let text = text.trim();
            let known = (1..=3).contains(&text.len())
                && text.chars().all(|letter| opposite(letter).is_some());
            known.then(|| text.to_owned())
        };
        let (right, bottom) = orientation.split_once('\\')?;
        Some(Self {
            right: direction(right)?,
            bottom: direction(bottom)?,
        })
    }

    /// Where the left edge points to.
    pub fn left(&self) -> String {
        self.right.chars().filter_map(opposite).collect()
    }

    /// Where the upper edge points to.
    pub fn top(&self) -> String {
        self.bottom.chars().filter_map(opposite).collect()
    }
}

fn opposite(direction: char) -> Option<char> {
    let pair = ["LR", "AP", "HF"]
        .into_iter()
        .find(|pair| pair.contains(direction))?;
    pair.chars().find(|other| *other != direction)
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
    fn windows_come_from_the_histogram() {
        let film = Film {
            width: 10,
            height: 10,
            pixels: (0..100).collect(),
            windows: Vec::new(),
            badges: Vec::new(),
        };
        let [_, lung, bone] = film.histogram_windows();
        assert_eq!(lung, Window::between(1.0, 59.0, "Lung (dark 60 %)"));
        assert_eq!(
            bone,
            Window::between(39.0, 99.0, "Bone and mediastinum (bright 60 %)")
        );
    }

    #[test]
    fn edges_are_read_from_letters_only() {
        let edges = FilmEdges::parse("L\\F").unwrap();
        assert_eq!((edges.left().as_str(), edges.top().as_str()), ("R", "H"));
        let edges = FilmEdges::parse("AF\\PH").unwrap();
        assert_eq!((edges.left().as_str(), edges.top().as_str()), ("PH", "AF"));
        for wrong in ["", "L", "L\\", "L\\X", "Smith\\F", "LRAP\\F", "L\\F\\H"] {
            assert_eq!(FilmEdges::parse(wrong), None, "{wrong}");
        }
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
