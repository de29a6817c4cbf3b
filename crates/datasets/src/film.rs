//! Reads one film from a PNG, JPEG or DICOM file, told apart by content, not by name.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, ImageReader};
use schema::{Film, Window};

use crate::dicom::{self, BurnedIn, FilmFacts, Privacy, StudyStated};
use crate::resize::shrink;

/// Largest film that is read, in pixels: far beyond any detector, small enough for memory.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Why a film cannot be read. Messages are for the user.
#[derive(Debug, thiserror::Error)]
pub enum FilmError {
    /// The operating system refused.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("{path} is empty (0 bytes)", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The content is of no known format.
    #[error("{path} is neither a PNG, nor a JPEG, nor a DICOM file", path = path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The content is damaged, or of a kind that cannot be shown.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong where, and what was expected.
        problem: String,
    },
    /// The pixels are compressed by a method this program has no decoder for.
    #[error(
        "{path} is compressed as {name}, which cannot be read here; \
         export it uncompressed, as JPEG lossless or as JPEG 2000",
        path = path.display()
    )]
    TransferSyntax {
        /// The file.
        path: PathBuf,
        /// Name and UID of the transfer syntax.
        name: String,
    },
}

impl FilmError {
    pub(crate) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// The reason without the path, for lists that name the file beside it.
    pub fn reason(&self) -> String {
        match self {
            Self::Read { source, .. } => format!("cannot be read: {source}"),
            Self::Empty { .. } => "is empty (0 bytes)".to_owned(),
            Self::UnknownFormat { .. } => {
                "is neither a PNG, nor a JPEG, nor a DICOM file".to_owned()
            }
            Self::Content { problem, .. } => problem.clone(),
            Self::TransferSyntax { name, .. } => {
                format!("is compressed as {name}, which cannot be read here")
            }
        }
    }
}

/// A film and what its file states about it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedFilm {
    /// The image.
    pub film: Film,
    /// Age, sex, view, modality, laterality and orientation, where a DICOM file states them.
    pub facts: FilmFacts,
    /// Stands for the patient a DICOM file names, without naming him: BLAKE3 of the identifier.
    pub(crate) patient: Option<String>,
    /// Stands for the study a DICOM file belongs to.
    pub(crate) study: Option<StudyStated>,
    /// What of the file a user should know before it is shared.
    pub(crate) privacy: Privacy,
}

/// Reads a film. Colour becomes luma; only the first frame of a DICOM file is read.
///
/// # Errors
/// [`FilmError`], one sentence that names the file and what is wrong with it. Damaged content never
/// panics.
pub fn load_film(path: &Path) -> Result<Film, FilmError> {
    Ok(load_film_with_facts(path)?.film)
}

/// Reads a film and the facts its file states.
///
/// # Errors
/// As [`load_film`].
pub fn load_film_with_facts(path: &Path) -> Result<LoadedFilm, FilmError> {
    let bytes = read_bytes(path)?;
    decode_film(&bytes, path)
}

/// Decodes a film from the bytes of its file; `path` is for messages only.
///
/// # Errors
/// As [`load_film`].
pub fn decode_film(bytes: &[u8], path: &Path) -> Result<LoadedFilm, FilmError> {
    if bytes.is_empty() {
        return Err(FilmError::Empty {
            path: path.to_owned(),
        });
    }
    match sniff(bytes) {
        Some(Format::Picture(format)) => Ok(LoadedFilm {
            film: decode_picture(bytes, format, path)?,
            facts: FilmFacts::default(),
            patient: None,
            study: None,
            privacy: Privacy {
                burned_in: BurnedIn::PictureWithoutStatement,
                ..Privacy::default()
            },
        }),
        Some(Format::Dicom) => dicom::decode(bytes, path),
        None => Err(FilmError::UnknownFormat {
            path: path.to_owned(),
        }),
    }
}

/// Reads a film, shows it through its default window and shrinks it.
///
/// # Shapes
/// Returns width, height (longer side at most `max_side`) and row-major 8-bit grey.
///
/// # Errors
/// As [`load_film`].
pub fn load_thumbnail(path: &Path, max_side: u32) -> Result<(u32, u32, Vec<u8>), FilmError> {
    let film = load_film(path)?;
    let grey = film.to_u8(&default_window(&film));
    Ok(shrink(film.width, film.height, grey, max_side))
}

/// The window a film is first shown through: the file's first, else the full range of its values.
pub fn default_window(film: &Film) -> Window {
    film.windows
        .first()
        .cloned()
        .unwrap_or_else(|| film.full_range())
}

/// What a file is, judged by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// PNG or JPEG.
    Picture(ImageFormat),
    /// DICOM, with or without its preamble.
    Dicom,
}

pub(crate) fn sniff(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(Format::Picture(ImageFormat::Png))
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        Some(Format::Picture(ImageFormat::Jpeg))
    } else if dicom::looks_like_dicom(bytes) {
        Some(Format::Dicom)
    } else {
        None
    }
}

/// The film as an 8-bit PNG, its values taken as they are and cut at 255.
///
/// # Errors
/// [`FilmError::Content`] if the sizes do not fit the pixels.
pub fn encode_png(film: &Film) -> Result<Vec<u8>, FilmError> {
    let grey: Vec<u8> = film.pixels.iter().map(|&v| v.min(255) as u8).collect();
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        &grey,
        film.width,
        film.height,
        image::ExtendedColorType::L8,
        ImageFormat::Png,
    )
    .map_err(|error| FilmError::content(Path::new("film"), error.to_string()))?;
    Ok(bytes.into_inner())
}

/// A colour picture (red, green, blue, alpha per pixel, row-major) as a PNG.
///
/// # Errors
/// [`FilmError::Content`] if the sizes do not fit the pixels.
pub fn encode_colour_png(width: u32, height: u32, rgba: &[u8]) -> Result<Vec<u8>, FilmError> {
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        rgba,
        width,
        height,
        image::ExtendedColorType::Rgba8,
        ImageFormat::Png,
    )
    .map_err(|error| FilmError::content(Path::new("picture"), error.to_string()))?;
    Ok(bytes.into_inner())
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, FilmError> {
    std::fs::read(path).map_err(|source| FilmError::Read {
        path: path.to_owned(),
        source,
    })
}

fn decode_picture(bytes: &[u8], format: ImageFormat, path: &Path) -> Result<Film, FilmError> {
    let name = if format == ImageFormat::Png {
        "PNG"
    } else {
        "JPEG"
    };
    // The decoder fills the missing rows of a cut JPEG with grey and says nothing.
    if format == ImageFormat::Jpeg && !jpeg_has_end(bytes) {
        return Err(FilmError::content(
            path,
            "the JPEG image is cut short: its end marker is missing",
        ));
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader.into_dimensions().map_err(|error| {
        FilmError::content(path, format!("the {name} header is damaged ({error})"))
    })?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(FilmError::content(
            path,
            format!("{width} × {height} pixels are more than the {MAX_PIXELS} that can be shown"),
        ));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits();
    let decoded = reader.decode().map_err(|error| {
        FilmError::content(path, format!("the {name} image is damaged ({error})"))
    })?;
    Ok(film_from_picture(decoded))
}

fn film_from_picture(decoded: DynamicImage) -> Film {
    let mut badges = Vec::new();
    if decoded.color().has_color() {
        badges.push("colour shown as grey".to_owned());
    }
    let deep = decoded.color().bytes_per_pixel() / decoded.color().channel_count() > 1;
    let (width, height) = (decoded.width(), decoded.height());
    let is_colour = decoded.color().has_color();
    let (pixels, windows) = if deep {
        (decoded.into_luma16().into_raw(), Vec::new())
    } else {
        let grey = if is_colour {
            decoded
                .to_rgb8()
                .pixels()
                .map(|pixel| luma(pixel.0))
                .collect()
        } else {
            decoded.into_luma8().into_raw()
        };
        (
            grey.into_iter().map(u16::from).collect(),
            vec![Window::between(0.0, 255.0, "As stored")],
        )
    };
    Film {
        width,
        height,
        pixels,
        windows,
        badges,
    }
}

/// Grey of a colour as Pillow's mode `L` has it: ITU-R BT.601, in fixed point.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b);
    ((sum + 0x8000) >> 16) as u8
}

/// Whether an end-of-image marker follows the last scan; entropy-coded bytes cannot contain one.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    bytes
        .windows(2)
        .rev()
        .find(|pair| *pair == [0xff, 0xd9] || *pair == [0xff, 0xda])
        .is_some_and(|pair| pair == [0xff, 0xd9])
}
