//! How values of a film become grey: the three functions of DICOM, and a table of the file.

use std::sync::Arc;

/// How a window spreads values over black to white.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VoiFunction {
    /// From `c − 0.5 − (w − 1)/2` to `c − 0.5 + (w − 1)/2` (DICOM PS3.3, C.11.2.1.2.1).
    #[default]
    Linear,
    /// From `c − w/2` to `c + w/2` (C.11.2.1.3.2).
    LinearExact,
    /// `1 / (1 + exp(−4 · (x − c)/w))` (C.11.2.1.3.1).
    Sigmoid,
    /// A VOI LUT of the file (C.11.2.1.1). Centre and width are those of the line that fits it.
    Table(Arc<VoiTable>),
}

/// The level of each film value from 0 to 65,535: 0 is black, 65,535 is white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiTable(Vec<u16>);

impl VoiTable {
    /// The table in which value `x` has `level(x)`.
    pub fn new(level: impl Fn(u16) -> u16) -> Self {
        Self((0..=u16::MAX).map(level).collect())
    }

    /// The level of a film value.
    pub fn level(&self, value: u16) -> u16 {
        self.0[usize::from(value)]
    }

    /// The values that the line through a tenth and nine tenths of the table's rise makes black and
    /// white; of a table that does not rise, the first and the last value.
    fn line(&self) -> (f32, f32) {
        let low = self.0.iter().copied().min().unwrap_or(0);
        let high = self.0.iter().copied().max().unwrap_or(0);
        let rise = f32::from(high) - f32::from(low);
        let reaches = |share: f32| {
            let level = f32::from(low) + share * rise;
            self.0.iter().position(|&at| f32::from(at) >= level)
        };
        match (reaches(0.1), reaches(0.9)) {
            (Some(a), Some(b)) if a < b => {
                let (a, b) = (a as u16, b as u16);
                let (level_a, level_b) = (f32::from(self.level(a)), f32::from(self.level(b)));
                let per_level = (f32::from(b) - f32::from(a)) / (level_b - level_a).max(1.0);
                (
                    f32::from(a) - level_a * per_level,
                    f32::from(b) + (f32::from(u16::MAX) - level_b) * per_level,
                )
            }
            _ => (0.0, f32::from(u16::MAX)),
        }
    }
}

/// A window: which film values are spread over black to white.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Middle of the window, in film values.
    pub centre: f32,
    /// Extent of the window, in film values: at least 1 for [`VoiFunction::Linear`], above 0 else.
    pub width: f32,
    /// What the file or the program calls it, e.g. `Full range`.
    pub name: String,
    /// How it spreads.
    pub function: VoiFunction,
}

impl Window {
    /// The linear window that shows `low` as black and `high` as white.
    pub fn between(low: f32, high: f32, name: &str) -> Self {
        Self {
            centre: f32::midpoint(low, high) + 0.5,
            width: (high - low).abs() + 1.0,
            name: name.to_owned(),
            function: VoiFunction::Linear,
        }
    }

    /// The window that is a table of the file.
    pub fn from_table(table: VoiTable, name: &str) -> Self {
        let (low, high) = table.line();
        Self {
            function: VoiFunction::Table(Arc::new(table)),
            ..Self::between(low, high, name)
        }
    }

    /// Whether it is a table, which has no centre and width to change.
    pub fn is_table(&self) -> bool {
        matches!(self.function, VoiFunction::Table(_))
    }

    /// The linear window closest to a table; any other window as it is.
    #[must_use]
    pub fn without_table(&self) -> Self {
        let function = match &self.function {
            VoiFunction::Table(_) => VoiFunction::Linear,
            other => other.clone(),
        };
        Self {
            function,
            ..self.clone()
        }
    }

    /// The grey of a film value, from 0 for black to 1 for white.
    ///
    /// # Source
    /// DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3, with output from 0 to 1.
    pub fn level(&self, value: f32) -> f64 {
        let (x, c) = (f64::from(value), f64::from(self.centre));
        match &self.function {
            VoiFunction::Linear => {
                let span = f64::from(self.width).max(1.0) - 1.0;
                let c = c - 0.5;
                if x <= c - span / 2.0 {
                    0.0
                } else if x > c + span / 2.0 {
                    1.0
                } else {
                    (x - c) / span + 0.5
                }
            }
            VoiFunction::LinearExact => {
                let w = f64::from(self.width).max(f64::MIN_POSITIVE);
                if x <= c - w / 2.0 {
                    0.0
                } else if x > c + w / 2.0 {
                    1.0
                } else {
                    (x - c) / w + 0.5
                }
            }
            VoiFunction::Sigmoid => {
                let w = f64::from(self.width).max(f64::MIN_POSITIVE);
                1.0 / (1.0 + (-4.0 * (x - c) / w).exp())
            }
            VoiFunction::Table(table) => {
                let at = value.round().clamp(0.0, f32::from(u16::MAX)) as u16;
                f64::from(table.level(at)) / f64::from(u16::MAX)
            }
        }
    }

    /// 8-bit grey of each film value from 0 to 65,535.
    pub fn greys(&self) -> Vec<u8> {
        (0..=u16::MAX)
            .map(|value| (self.level(f32::from(value)) * 255.0).round() as u8)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(centre: f32, width: f32, function: VoiFunction) -> Window {
        Window {
            centre,
            width,
            name: String::new(),
            function,
        }
    }

    /// The pseudocode of the standard for output from 0 to 255, value by value.
    fn check(window: &Window, expected: impl Fn(f64) -> f64) {
        for value in 0..=4095_u16 {
            let found = window.level(f32::from(value)) * 255.0;
            let expected = expected(f64::from(value));
            assert!(
                (found - expected).abs() < 1e-9,
                "{value}: {found} {expected}"
            );
        }
    }

    #[test]
    fn linear_follows_the_standard() {
        // The standard's own notes: c = 2048, w = 4096 spreads 0..=4095; w = 1 is a threshold.
        let whole = window(2048.0, 4096.0, VoiFunction::Linear);
        check(&whole, |x| x / 4095.0 * 255.0);
        let one = window(2048.0, 1.0, VoiFunction::Linear);
        check(&one, |x| if x <= 2047.5 { 0.0 } else { 255.0 });
        let narrow = window(0.0, 100.0, VoiFunction::Linear);
        check(&narrow, |x| {
            if x <= -50.0 {
                0.0
            } else if x > 49.0 {
                255.0
            } else {
                ((x + 0.5) / 99.0 + 0.5) * 255.0
            }
        });
    }

    #[test]
    fn linear_exact_follows_the_standard() {
        let exact = window(2048.0, 4096.0, VoiFunction::LinearExact);
        check(&exact, |x| x / 4096.0 * 255.0);
        let threshold = window(10.0, 0.5, VoiFunction::LinearExact);
        check(&threshold, |x| match x {
            x if x < 10.0 => 0.0,
            x if x > 10.0 => 255.0,
            _ => 127.5,
        });
    }

    #[test]
    fn sigmoid_follows_the_standard() {
        let sigmoid = window(2048.0, 1000.0, VoiFunction::Sigmoid);
        check(&sigmoid, |x| {
            255.0 / (1.0 + (-4.0 * (x - 2048.0) / 1000.0).exp())
        });
        assert_eq!(sigmoid.level(2048.0), 0.5);
    }

    #[test]
    fn a_table_is_applied_and_the_line_that_fits_a_straight_one_is_its_own() {
        let table = VoiTable::new(|x| match x {
            0..1000 => 0,
            1000..=3000 => ((u32::from(x) - 1000) * 65_535 / 2000) as u16,
            _ => u16::MAX,
        });
        let window = Window::from_table(table, "Bone");
        assert!(window.is_table());
        assert_eq!(window.level(999.0), 0.0);
        assert_eq!(window.level(3001.0), 1.0);
        assert!((window.level(2000.0) - 0.5).abs() < 1e-4);
        let line = window.without_table();
        assert_eq!(line.function, VoiFunction::Linear);
        for x in (0..=4000_u16).map(f32::from) {
            let off = (line.level(x) - window.level(x)).abs();
            assert!(off < 0.002, "{x}: {off}");
        }
    }
}
