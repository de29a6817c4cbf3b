//! Stored values of a DICOM image: decompressed, masked to their bits, with their sign.

use std::borrow::Cow;
use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject, Tag};
use dicom_pixeldata::PixelDecoder as _;

use super::frame_header::{FrameSize, frame_size};
use super::{jpeg_grey, jpeg_ls, number, root_cause, text, transfer_syntax};
use crate::film::{FilmError, MAX_PIXELS};

/// The first frame as the file stores it, one number per pixel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// Row-major, `width * height`.
    pub(super) values: Vec<i32>,
    /// Bits that carry the value.
    pub(super) bits: u32,
    /// Whether values are two's complement.
    pub(super) signed: bool,
    /// Whether the image was in colour and its luma was taken.
    pub(super) colour: bool,
    /// Frames in the file, of which this is the first.
    pub(super) n_frames: u32,
}

/// How pixels are laid out, checked.
struct Layout {
    width: u32,
    height: u32,
    samples: usize,
    allocated: u32,
    bits: u32,
    /// How far the value is above bit 0.
    shift: u32,
    signed: bool,
    photometric: String,
    n_frames: u32,
}

impl Layout {
    fn from_object(object: &InMemDicomObject, path: &Path) -> Result<Self, FilmError> {
        let required = |tag: Tag, name: &str| -> Result<u32, FilmError> {
            number(object, tag)
                .filter(|value| (0.0..=f64::from(u32::MAX)).contains(value))
                .map(|value| value as u32)
                .ok_or_else(|| FilmError::content(path, format!("the DICOM tag {name} is missing")))
        };
        let width = required(tags::COLUMNS, "Columns")?;
        let height = required(tags::ROWS, "Rows")?;
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(FilmError::content(
                path,
                format!(
                    "{width} × {height} pixels are stated, between 1 and {MAX_PIXELS} were expected"
                ),
            ));
        }
        let allocated = required(tags::BITS_ALLOCATED, "Bits Allocated")?;
        if ![8, 16, 32].contains(&allocated) {
            return Err(FilmError::content(
                path,
                format!("Bits Allocated is {allocated}, 8, 16 or 32 was expected"),
            ));
        }
        let bits = number(object, tags::BITS_STORED).map_or(allocated, |bits| bits as u32);
        let high = number(object, tags::HIGH_BIT).map_or(bits.saturating_sub(1), |bit| bit as u32);
        if bits == 0 || bits > allocated || high + 1 < bits || high >= allocated {
            return Err(FilmError::content(
                path,
                format!("Bits Stored {bits} and High Bit {high} do not fit {allocated} bits"),
            ));
        }
        Ok(Self {
            width,
            height,
            samples: number(object, tags::SAMPLES_PER_PIXEL).map_or(1, |n| n as usize),
            allocated,
            bits,
            shift: high + 1 - bits,
            signed: number(object, tags::PIXEL_REPRESENTATION) == Some(1.0),
            photometric: text(object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default(),
            n_frames: number(object, tags::NUMBER_OF_FRAMES).map_or(1, |n| n.max(1.0) as u32),
        })
    }

    fn n_pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    fn frame_bytes(&self) -> usize {
        self.n_pixels() * self.samples * (self.allocated / 8) as usize
    }
}

/// The first frame, decompressed: samples side by side, little endian, as wide as allocated.
pub(super) struct Frame {
    layout: Layout,
    bytes: Vec<u8>,
    colour: Colour,
}

impl Frame {
    /// Decompresses the first frame of `object`.
    pub(super) fn decode(object: &DefaultDicomObject, path: &Path) -> Result<Self, FilmError> {
        let Some(pixel_data) = object.get(tags::PIXEL_DATA) else {
            let modality = text(object, tags::MODALITY).unwrap_or_else(|| "not stated".to_owned());
            return Err(FilmError::content(
                path,
                format!("the DICOM file holds no pixels (modality {modality})"),
            ));
        };
        let layout = Layout::from_object(object, path)?;
        check_colour(&layout, path)?;
        let uid = object.meta().transfer_syntax();
        if !transfer_syntax::can_decode(uid) {
            return Err(FilmError::TransferSyntax {
                path: path.to_owned(),
                name: transfer_syntax::name(uid),
            });
        }
        let Some(fragments) = pixel_data.fragments() else {
            let found = pixel_data.to_bytes().map_or(0, |bytes| bytes.len());
            if found < layout.frame_bytes() {
                return Err(cut_short(found, &layout, path));
            }
            let bytes = decompress(object, path)?;
            let colour = Colour::of_native(object, &layout);
            return Self::checked(layout, bytes, colour, path);
        };
        if fragments.len() < layout.n_frames as usize {
            return Err(FilmError::content(
                path,
                format!(
                    "the file is cut short: {} of {} frames are there",
                    fragments.len(),
                    layout.n_frames
                ),
            ));
        }
        let stated = match fragments.first() {
            Some(frame) => check_frame_header(frame, &layout, path)?,
            None => None,
        };
        let frame = if layout.n_frames == 1 && fragments.len() > 1 {
            Cow::Owned(fragments.concat())
        } else {
            Cow::Borrowed(&fragments[0][..])
        };
        if transfer_syntax::is_jpeg_ls(uid) {
            let bytes = decode_jpeg_ls(&frame, &layout, object, path)?;
            let colour = if layout.photometric.starts_with("YBR") {
                Colour::InterleavedLuma
            } else {
                Colour::InterleavedRgb
            };
            return Self::checked(layout, bytes, colour, path);
        }
        if transfer_syntax::is_jpeg(uid)
            && layout.samples == 1
            && let Some(pixels) = jpeg_grey::decode(&frame)
        {
            let wide = layout.allocated as usize / 8;
            let bytes = pixels
                .iter()
                .flat_map(|&pixel| u32::from(pixel).to_le_bytes().into_iter().take(wide))
                .collect();
            return Self::checked(layout, bytes, Colour::InterleavedRgb, path);
        }
        let mut bytes = decompress(object, path)?;
        // An 8-bit JPEG in a 16-bit image: the decoder gives one byte per pixel and leaves the rest 0.
        let narrow = stated.is_some_and(|stated| stated.precision <= 8);
        if transfer_syntax::is_jpeg(uid) && layout.allocated == 16 && narrow {
            bytes.truncate(bytes.len() / 2);
            bytes = bytes.into_iter().flat_map(|byte| [byte, 0]).collect();
        }
        Self::checked(layout, bytes, Colour::InterleavedRgb, path)
    }

    fn checked(
        layout: Layout,
        bytes: Vec<u8>,
        colour: Colour,
        path: &Path,
    ) -> Result<Self, FilmError> {
        if bytes.len() < layout.frame_bytes() {
            return Err(cut_short(bytes.len(), &layout, path));
        }
        Ok(Self {
            layout,
            bytes,
            colour,
        })
    }

    /// All samples in the order of the file, those of a colour pixel beside each other.
    #[cfg(test)]
    pub(super) fn samples(&self) -> Vec<i32> {
        (0..self.layout.n_pixels() * self.layout.samples)
            .map(|i| extract(&self.layout, &self.bytes, i))
            .collect()
    }
}

/// Decodes the first frame of `object`.
pub(super) fn stored_values(object: &DefaultDicomObject, path: &Path) -> Result<Stored, FilmError> {
    let frame = Frame::decode(object, path)?;
    Ok(to_grey(&frame.layout, &frame.bytes, frame.colour))
}

fn decompress(object: &DefaultDicomObject, path: &Path) -> Result<Vec<u8>, FilmError> {
    let decoded = object
        .decode_pixel_data_frame(0)
        .map_err(|error| undecodable(object, &root_cause(&error), path))?;
    Ok(decoded.data().to_vec())
}

fn undecodable(object: &DefaultDicomObject, cause: &str, path: &Path) -> FilmError {
    let name = transfer_syntax::name(object.meta().transfer_syntax());
    FilmError::content(
        path,
        format!("the pixels, {name}, cannot be decoded ({cause})"),
    )
}

fn decode_jpeg_ls(
    frame: &[u8],
    layout: &Layout,
    object: &DefaultDicomObject,
    path: &Path,
) -> Result<Vec<u8>, FilmError> {
    let decoded = jpeg_ls::decode(frame).map_err(|cause| undecodable(object, cause, path))?;
    if decoded.n_components != layout.samples {
        let cause = format!(
            "{} samples per pixel where the header says {}",
            decoded.n_components, layout.samples
        );
        return Err(undecodable(object, &cause, path));
    }
    let wide = layout.allocated as usize / 8;
    Ok(decoded
        .samples
        .iter()
        .flat_map(|&sample| u32::from(sample).to_le_bytes().into_iter().take(wide))
        .collect())
}

fn cut_short(found: usize, layout: &Layout, path: &Path) -> FilmError {
    FilmError::content(
        path,
        format!(
            "the pixel data is cut short: {found} bytes where {} × {} pixels of {} bits need {}",
            layout.width,
            layout.height,
            layout.allocated,
            layout.frame_bytes()
        ),
    )
}

fn check_colour(layout: &Layout, path: &Path) -> Result<(), FilmError> {
    let kind = layout.photometric.as_str();
    let known = match layout.samples {
        1 => kind.starts_with("MONOCHROME"),
        3 => kind.starts_with("RGB") || kind.starts_with("YBR"),
        _ => false,
    };
    if known {
        return Ok(());
    }
    let kind = if kind.is_empty() {
        "of no stated kind"
    } else {
        kind
    };
    Err(FilmError::content(
        path,
        format!(
            "the image is {kind} with {} samples per pixel, a grey or RGB one was expected",
            layout.samples
        ),
    ))
}

/// Compares the size that the compressed frame states with the file's header: decoders trust it.
fn check_frame_header(
    frame: &[u8],
    layout: &Layout,
    path: &Path,
) -> Result<Option<FrameSize>, FilmError> {
    match frame_size(frame) {
        Ok(Some(size)) if (size.width, size.height) != (layout.width, layout.height) => {
            Err(FilmError::content(
                path,
                format!(
                    "the compressed image is {} × {} pixels, the header says {} × {}",
                    size.width, size.height, layout.width, layout.height
                ),
            ))
        }
        Ok(size) => Ok(size),
        Err(reason) => Err(FilmError::content(path, reason)),
    }
}

/// How the three samples of a colour pixel are stored.
#[derive(Clone, Copy)]
enum Colour {
    InterleavedRgb,
    PlanarRgb,
    /// The first sample is the luma already.
    InterleavedLuma,
    PlanarLuma,
}

impl Colour {
    fn of_native(object: &InMemDicomObject, layout: &Layout) -> Self {
        let planar = number(object, tags::PLANAR_CONFIGURATION) == Some(1.0);
        match (planar, layout.photometric.starts_with("YBR")) {
            (false, false) => Self::InterleavedRgb,
            (true, false) => Self::PlanarRgb,
            (false, true) => Self::InterleavedLuma,
            (true, true) => Self::PlanarLuma,
        }
    }
}

/// Extracts each value from its bits; colour becomes luma (ITU-R BT.601).
fn to_grey(layout: &Layout, bytes: &[u8], colour: Colour) -> Stored {
    let n = layout.n_pixels();
    let sample = |i: usize| -> i32 { extract(layout, bytes, i) };
    let luma = |[r, g, b]: [i32; 3]| -> i32 {
        (0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)).round() as i32
    };
    let is_colour = layout.samples == 3;
    let pixel = |i: usize| -> i32 {
        match colour {
            _ if !is_colour => sample(i),
            Colour::InterleavedRgb => luma([0, 1, 2].map(|c| sample(3 * i + c))),
            Colour::PlanarRgb => luma([0, 1, 2].map(|c| sample(c * n + i))),
            Colour::InterleavedLuma => sample(3 * i),
            Colour::PlanarLuma => sample(i),
        }
    };
    Stored {
        width: layout.width,
        height: layout.height,
        values: (0..n).map(pixel).collect(),
        bits: layout.bits,
        signed: layout.signed,
        colour: is_colour,
        n_frames: layout.n_frames,
    }
}

/// Sample `i`: little endian, shifted down to bit 0, masked, with its sign.
fn extract(layout: &Layout, bytes: &[u8], i: usize) -> i32 {
    let raw = match layout.allocated {
        8 => u32::from(bytes[i]),
        16 => u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])),
        _ => u32::from_le_bytes([
            bytes[4 * i],
            bytes[4 * i + 1],
            bytes[4 * i + 2],
            bytes[4 * i + 3],
        ]),
    };
    // Up to the top bit, then down again: drops overlay bits above and brings the sign along.
    let top = (raw >> layout.shift) << (32 - layout.bits);
    if layout.signed {
        top.cast_signed() >> (32 - layout.bits)
    } else {
        i32::try_from(top >> (32 - layout.bits)).unwrap_or(i32::MAX)
    }
}
