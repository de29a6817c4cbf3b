//! From stored values to a [`Film`]: modality step, brightness table, windows, polarity.
//!
//! Order as in DICOM: padding, modality, windows, and only then the inversion of MONOCHROME1.

use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use schema::{Film, Window};

use super::stored::Stored;
use super::{first_item, frame_group, number, numbers, text};
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
        let entries: Vec<u16> = item.get(tags::LUT_DATA)?.to_multi_int().ok()?;
        let count = if count < 1.0 { 65_536 } else { count as usize };
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

    fn apply(&self, values: &mut [i32], before: Line) {
        let last = self.entries.len() - 1;
        for value in values {
            let input = f64::from(*value) * before.slope + before.intercept;
            let at = (input - self.first).round().clamp(0.0, last as f64) as usize;
            *value = i32::from(self.entries[at]);
        }
    }
}

/// `to = slope · from + intercept`.
#[derive(Clone, Copy)]
struct Line {
    slope: f64,
    intercept: f64,
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
    let shown = to_presentation(object, stored, &mut badges, path)?;
    let flip = inverted != (shown.units.slope < 0.0);
    let line = fit_to_u16(&shown, &is_padding, flip);
    let pixels = map_to_u16(&shown.values, &is_padding, line);
    let windows = shown
        .windows
        .iter()
        .map(|window| in_film_units(window, shown.units, line))
        .collect();
    Ok(Film {
        width: stored.width,
        height: stored.height,
        pixels,
        windows,
        badges,
    })
}

/// Values after the tables of the file, and how windows relate to them.
struct Presentation {
    values: Vec<i32>,
    /// From `values` to the units of `windows`.
    units: Line,
    windows: Vec<Window>,
    /// The highest value that the bits allow.
    highest: f64,
}

fn to_presentation(
    object: &InMemDicomObject,
    stored: &Stored,
    badges: &mut Vec<String>,
    path: &Path,
) -> Result<Presentation, FilmError> {
    let mut values = stored.values.clone();
    let mut highest = f64::from(u32::MAX >> (32 - stored.bits));
    let mut units = IDENTITY;
    let mut signed = stored.signed;
    if let Some(item) = first_item(object, tags::MODALITY_LUT_SEQUENCE) {
        let table = Lookup::from_item(item, signed).ok_or_else(|| {
            FilmError::content(path, "the Modality LUT is shorter than it states")
        })?;
        table.apply(&mut values, IDENTITY);
        highest = f64::from(table.highest);
        signed = false;
    } else {
        units = rescale(object);
        signed |= units.intercept < 0.0;
    }
    let windows = if let Some(item) = first_item(object, tags::VOILUT_SEQUENCE) {
        let table = Lookup::from_item(item, signed)
            .ok_or_else(|| FilmError::content(path, "the VOI LUT is shorter than it states"))?;
        table.apply(&mut values, units);
        units = IDENTITY;
        highest = f64::from(table.highest);
        badges.push("brightness table of the file applied".to_owned());
        vec![Window::between(0.0, table.highest, &table.name)]
    } else {
        file_windows(object, badges)
    };
    Ok(Presentation {
        values,
        units,
        windows,
        highest,
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
fn file_windows(object: &InMemDicomObject, badges: &mut Vec<String>) -> Vec<Window> {
    let group = frame_group(object, tags::FRAME_VOILUT_SEQUENCE);
    let centres = numbers(group, tags::WINDOW_CENTER);
    let widths = numbers(group, tags::WINDOW_WIDTH);
    let names: Vec<String> = group
        .get(tags::WINDOW_CENTER_WIDTH_EXPLANATION)
        .and_then(|element| element.to_multi_str().ok())
        .map(|names| names.iter().map(|name| name.trim().to_owned()).collect())
        .unwrap_or_default();
    let function = text(group, tags::VOILUT_FUNCTION).unwrap_or_default();
    let exact = function == "LINEAR_EXACT" || function == "SIGMOID";
    // The exact function spreads c ± w/2, the linear one c − 0.5 ± (w − 1)/2.
    let (shift, extra) = if exact { (0.5, 1.0) } else { (0.0, 0.0) };
    let mut windows: Vec<Window> = Vec::new();
    for (i, (&centre, &width)) in centres.iter().zip(&widths).enumerate() {
        let window = Window {
            centre: (centre + shift) as f32,
            width: (width + extra) as f32,
            name: names
                .get(i)
                .filter(|name| !name.is_empty())
                .cloned()
                .unwrap_or_else(|| format!("Window {}", i + 1)),
        };
        let known = windows
            .iter()
            .any(|other| other.centre == window.centre && other.width == window.width);
        if !known && window.width >= 1.0 {
            windows.push(window);
        }
    }
    if function == "SIGMOID" && !windows.is_empty() {
        badges.push("sigmoid window shown as a straight one".to_owned());
    }
    windows
}

/// The line that brings values into `0..=65535`, kept as they are where they fit.
fn fit_to_u16(shown: &Presentation, is_padding: &[bool], flip: bool) -> Line {
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
/// `g = m/a`; a negative `g` is an inverted film, whose window is mirrored.
fn in_film_units(window: &Window, modality: Line, film: Line) -> Window {
    let gain = modality.slope / film.slope;
    let offset = modality.intercept - gain * film.intercept;
    let centre = (f64::from(window.centre) - 0.5 - offset) / gain + 0.5;
    let width = (f64::from(window.width) - 1.0) / gain.abs() + 1.0;
    Window {
        centre: centre as f32,
        width: width as f32,
        name: window.name.clone(),
    }
}
