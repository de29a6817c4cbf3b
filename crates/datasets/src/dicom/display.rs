//! From stored values to a [`Film`]: modality step, VOI functions and tables, polarity.
//!
//! The order is DICOM's (PS3.3 C.11.1, C.11.2 and C.7.6.3.1.2; PS3.4 N.2):
//!
//! 1. stored values, masked to their bits, with their sign (`stored.rs`);
//! 2. Pixel Padding Value and its Range Limit are set aside;
//! 3. modality: the Modality LUT Sequence if there is one, else Rescale Slope and Intercept;
//! 4. VOI: the tables of the VOI LUT Sequence are offered first, then the pairs of Window Center and
//!    Width with the VOI LUT Function, each by its explanation; without any the full range is shown;
//! 5. MONOCHROME1 is inverted after all that.
//!
//! A [`Film`] keeps values of step 3, so that the viewer can do step 4 anew while a window is dragged.
//! They are whole numbers from 0 to 65,535, related to modality values by a [`Line`], and a
//! MONOCHROME1 film's run backwards. Windows and tables are restated in film values: mirrored where
//! those run backwards. All functions of step 4 give `1 − y` for mirrored values, so step 5 is the
//! last in effect although the values were turned round first.

use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use schema::{Film, VoiFunction, VoiTable, Window};

use super::stored::Stored;
use super::{first_item, frame_group, items, number, numbers, text};
use crate::film::FilmError;

/// A table that replaces values.
struct Lookup {
    /// Input value of the first entry; lower ones take it too.
    first: f64,
    /// At least one.
    entries: Vec<u16>,
    /// Highest output the table's stated depth allows.
    highest: f32,
    name: String,
}

impl Lookup {
    fn from_item(item: &InMemDicomObject, signed: bool) -> Option<Self> {
        let descriptor = numbers(item, tags::LUT_DESCRIPTOR);
        let [count, first, bits] = *descriptor.first_chunk::<3>()?;
        let mut entries: Vec<u16> = item.get(tags::LUT_DATA)?.to_multi_int().ok()?;
        let count = if count < 1.0 { 65_536 } else { count as usize };
        // Entries of 8 bits may be two to a word.
        if bits <= 8.0 && entries.len() < count {
            entries = entries
                .into_iter()
                .flat_map(u16::to_le_bytes)
                .map(u16::from)
                .collect();
        }
        let entries = entries.get(..count)?.to_vec();
        // The sign of the second number follows the pixels, whatever the file calls it.
        let first = if signed && first > 32_767.0 {
            first - 65_536.0
        } else {
            first
        };
        let name = text(item, tags::LUT_EXPLANATION);
        Some(Self {
            first,
            entries,
            highest: 2_f32.powi(bits.clamp(1.0, 16.0) as i32) - 1.0,
            name: name.unwrap_or_else(|| "Table of the file".to_owned()),
        })
    }

    fn output(&self, input: f64) -> u16 {
        let last = self.entries.len() - 1;
        let at = (input - self.first).round().clamp(0.0, last as f64) as usize;
        self.entries[at]
    }

    /// The table as a window of the film: from film values to levels, turned round with them.
    fn in_film_units(&self, modality: Line, film: Line, inverted: bool) -> Window {
        let inverse = modality.after(film.inverse());
        let table = VoiTable::new(|value| {
            let output = f64::from(self.output(inverse.at(f64::from(value))));
            let share = (output / f64::from(self.highest)).min(1.0);
            let level = (share * f64::from(u16::MAX)).round() as u16;
            if inverted { u16::MAX - level } else { level }
        });
        Window::from_table(table, &self.name)
    }
}

/// `to = slope · from + intercept`.
#[derive(Clone, Copy)]
struct Line {
    slope: f64,
    intercept: f64,
}

impl Line {
    fn at(self, from: f64) -> f64 {
        self.slope * from + self.intercept
    }

    fn inverse(self) -> Self {
        Self {
            slope: 1.0 / self.slope,
            intercept: -self.intercept / self.slope,
        }
    }

    /// First `other`, then this.
    fn after(self, other: Self) -> Self {
        Self {
            slope: self.slope * other.slope,
            intercept: self.at(other.intercept),
        }
    }
}

const IDENTITY: Line = Line {
    slope: 1.0,
    intercept: 0.0,
};

/// Makes the film that is shown from the values that are stored.
pub(super) fn film(
    object: &InMemDicomObject,
    stored: &Stored,
    path: &Path,
) -> Result<Film, FilmError> {
    let mut badges = Vec::new();
    if stored.n_frames > 1 {
        badges.push(format!("first of {} frames", stored.n_frames));
    }
    if stored.colour {
        badges.push("colour shown as grey".to_owned());
    }
    let is_padding = padding(object, stored);
    let inverted = text(object, tags::PHOTOMETRIC_INTERPRETATION).as_deref() == Some("MONOCHROME1");
    if inverted {
        badges.push("inverted (MONOCHROME1)".to_owned());
    }
    let shown = after_modality(object, stored, path)?;
    let flip = inverted != (shown.units.slope < 0.0);
    let line = fit_to_u16(&shown, &is_padding, flip);
    let pixels = map_to_u16(&shown.values, &is_padding, line);
    let mut windows = Vec::new();
    for item in items(object, tags::VOILUT_SEQUENCE) {
        let table = Lookup::from_item(item, shown.signed)
            .ok_or_else(|| FilmError::content(path, "the VOI LUT is shorter than it states"))?;
        windows.push(table.in_film_units(shown.units, line, inverted));
    }
    if !windows.is_empty() {
        badges.push("brightness table of the file applied".to_owned());
    }
    for window in file_windows(object) {
        windows.push(in_film_units(&window, shown.units, line));
    }
    Ok(Film {
        width: stored.width,
        height: stored.height,
        pixels,
        windows,
        badges,
    })
}

/// Values after the modality table, if there is one, and how modality values follow from them.
struct AfterModality {
    values: Vec<i32>,
    /// From `values` to the units of windows and VOI tables.
    units: Line,
    /// Whether modality values may be below 0.
    signed: bool,
    /// The highest value that the bits allow.
    highest: f64,
}

fn after_modality(
    object: &InMemDicomObject,
    stored: &Stored,
    path: &Path,
) -> Result<AfterModality, FilmError> {
    let Some(item) = first_item(object, tags::MODALITY_LUT_SEQUENCE) else {
        let units = rescale(object);
        return Ok(AfterModality {
            values: stored.values.clone(),
            units,
            signed: stored.signed || units.intercept < 0.0,
            highest: f64::from(u32::MAX >> (32 - stored.bits)),
        });
    };
    let table = Lookup::from_item(item, stored.signed)
        .ok_or_else(|| FilmError::content(path, "the Modality LUT is shorter than it states"))?;
    let output = |&value: &i32| i32::from(table.output(f64::from(value)));
    Ok(AfterModality {
        values: stored.values.iter().map(output).collect(),
        units: IDENTITY,
        signed: false,
        highest: f64::from(table.highest),
    })
}

fn rescale(object: &InMemDicomObject) -> Line {
    let group = frame_group(object, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
    let slope = number(group, tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0);
    Line {
        slope: slope.unwrap_or(1.0),
        intercept: number(group, tags::RESCALE_INTERCEPT).unwrap_or(0.0),
    }
}

/// Which stored values mean "no image here".
fn padding(object: &InMemDicomObject, stored: &Stored) -> Vec<bool> {
    let Some(value) = number(object, tags::PIXEL_PADDING_VALUE) else {
        return vec![false; stored.values.len()];
    };
    let limit = number(object, tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
    // Some files state the padding of signed pixels as an unsigned number.
    let with_sign = |value: f64| -> i32 {
        let half = 32_768.0;
        if stored.signed && value >= half {
            (value - 2.0 * half) as i32
        } else {
            value as i32
        }
    };
    let (a, b) = (with_sign(value), with_sign(limit));
    let range = a.min(b)..=a.max(b);
    stored.values.iter().map(|v| range.contains(v)).collect()
}

/// The file's windows in units after the modality step, repeated ones once.
fn file_windows(object: &InMemDicomObject) -> Vec<Window> {
    let group = frame_group(object, tags::FRAME_VOILUT_SEQUENCE);
    let centres = numbers(group, tags::WINDOW_CENTER);
    let widths = numbers(group, tags::WINDOW_WIDTH);
    let names: Vec<String> = group
        .get(tags::WINDOW_CENTER_WIDTH_EXPLANATION)
        .and_then(|element| element.to_multi_str().ok())
        .map(|names| names.iter().map(|name| name.trim().to_owned()).collect())
        .unwrap_or_default();
    let (function, least) = match text(group, tags::VOILUT_FUNCTION).as_deref() {
        Some("SIGMOID") => (VoiFunction::Sigmoid, f32::MIN_POSITIVE),
        Some("LINEAR_EXACT") => (VoiFunction::LinearExact, f32::MIN_POSITIVE),
        _ => (VoiFunction::Linear, 1.0),
    };
    let mut windows: Vec<Window> = Vec::new();
    for (i, (&centre, &width)) in centres.iter().zip(&widths).enumerate() {
        let window = Window {
            centre: centre as f32,
            width: width as f32,
            name: names
                .get(i)
                .filter(|name| !name.is_empty())
                .cloned()
                .unwrap_or_else(|| format!("Window {}", i + 1)),
            function: function.clone(),
        };
        let known = windows
            .iter()
            .any(|other| other.centre == window.centre && other.width == window.width);
        if !known && window.width >= least {
            windows.push(window);
        }
    }
    windows
}

/// The line that brings values into `0..=65535`, kept as they are where they fit.
fn fit_to_u16(shown: &AfterModality, is_padding: &[bool], flip: bool) -> Line {
    let seen = || {
        shown
            .values
            .iter()
            .zip(is_padding)
            .filter(|(_, padding)| !**padding)
            .map(|(&value, _)| f64::from(value))
    };
    let low = seen().fold(f64::INFINITY, f64::min);
    let high = seen().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
    let limit = f64::from(u16::MAX);
    let fits = low >= 0.0 && high <= limit;
    let base = if fits { 0.0 } else { low };
    // Inverted within the depth of the file, so that the same exposure keeps the same value.
    let top = if fits && high <= shown.highest {
        shown.highest.min(limit)
    } else {
        high
    };
    let scale = (limit / (high.max(top) - base).max(1.0)).min(1.0);
    if flip {
        Line {
            slope: -scale,
            intercept: scale * top,
        }
    } else {
        Line {
            slope: scale,
            intercept: -scale * base,
        }
    }
}

/// Maps values; padding takes the darkest of the others.
fn map_to_u16(values: &[i32], is_padding: &[bool], line: Line) -> Vec<u16> {
    let map = |value: i32| -> u16 {
        (f64::from(value) * line.slope + line.intercept)
            .round()
            .clamp(0.0, f64::from(u16::MAX)) as u16
    };
    let mut pixels: Vec<u16> = values.iter().map(|&value| map(value)).collect();
    let darkest = pixels
        .iter()
        .zip(is_padding)
        .filter(|(_, padding)| !**padding)
        .map(|(&pixel, _)| pixel)
        .min()
        .unwrap_or(0);
    for (pixel, _) in pixels.iter_mut().zip(is_padding).filter(|(_, p)| **p) {
        *pixel = darkest;
    }
    pixels
}

/// Restates a window, given in units after the modality step, in units of the film.
///
/// The film value is `u = a·s + k`, the modality value `x = m·s + b`, so `x = g·u + h` with
/// `g = m/a`; a negative `g` is an inverted film, whose window is mirrored. What is kept are the
/// values that become black and white: of the linear function those are half a unit below
/// `c ± (w − 1)/2`, whatever the unit is.
fn in_film_units(window: &Window, modality: Line, film: Line) -> Window {
    let to_modality = modality.after(film.inverse());
    let to_film = to_modality.inverse();
    let gain = to_modality.slope.abs();
    let (below, extra) = match window.function {
        VoiFunction::Linear => (0.5, 1.0),
        _ => (0.0, 0.0),
    };
    let centre = to_film.at(f64::from(window.centre) - below) + below;
    let width = (f64::from(window.width) - extra) / gain + extra;
    Window {
        centre: centre as f32,
        width: width as f32,
        ..window.clone()
    }
}
