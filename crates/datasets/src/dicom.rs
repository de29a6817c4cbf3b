//! Decodes DICOM radiographs: from the bytes of a file to a [`schema::Film`] that is right to look at.
//!
//! Only pixels, windows and the six facts of [`FilmFacts`] leave this module; names, dates and
//! identifiers of patients do not (`identity.rs`). `display.rs` states the order of the steps.

use std::any::Any;
use std::borrow::Cow;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::file::ReadPreamble;
use dicom_object::{
    DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject, OpenFileOptions, Tag,
};

use crate::film::{FilmError, LoadedFilm};

mod display;
mod facts;
mod frame_header;
mod identity;
mod jpeg_grey;
mod jpeg_ls;
mod jpeg_ls_bits;
mod jpeg_ls_header;
mod stored;
mod structure;
mod transfer_syntax;

pub use facts::FilmFacts;
pub(crate) use facts::StudyStated;
pub(crate) use identity::{BurnedIn, Privacy};

/// Length of the unused bytes before the magic word `DICM`.
const PREAMBLE: usize = 128;

/// Implicit VR little endian: the transfer syntax of files without a meta header.
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// Explicit VR little endian.
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Whether the content begins like DICOM: the magic word, or a data set from group 0002 or 0008.
pub(crate) fn looks_like_dicom(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM")
        || bytes.starts_with(b"DICM")
        || bare_transfer_syntax(bytes).is_some()
}

/// The transfer syntax of a data set that starts at byte 0, without preamble and meta header.
fn bare_transfer_syntax(bytes: &[u8]) -> Option<&'static str> {
    let head: &[u8; 8] = bytes.first_chunk()?;
    let element = u16::from_le_bytes([head[2], head[3]]);
    if head[..2] != [8, 0] || element > 0x0100 {
        return None;
    }
    if head[4].is_ascii_uppercase() && head[5].is_ascii_uppercase() {
        return Some(EXPLICIT);
    }
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    (length <= 1024).then_some(IMPLICIT)
}

/// Decodes one file; only the first frame is read.
pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<LoadedFilm, FilmError> {
    // The decoders below are other people's; damaged input must not end the program.
    catch_unwind(AssertUnwindSafe(|| decode_object(bytes, path))).unwrap_or_else(|panic| {
        Err(FilmError::content(
            path,
            format!("the DICOM content is damaged ({})", panic_text(&*panic)),
        ))
    })
}

fn decode_object(bytes: &[u8], path: &Path) -> Result<LoadedFilm, FilmError> {
    let object = open(bytes, path)?;
    let facts = FilmFacts::from_object(&object);
    let privacy = identity::Privacy::of(&object);
    let patient = facts::patient_key(&object);
    let study = facts::study(&object);
    if is_encapsulated(&object) && !has_sequence_end(bytes) {
        return Err(FilmError::content(
            path,
            "the pixel data is cut short: the end of its last frame is missing",
        ));
    }
    let stored = stored::stored_values(&object, path)?;
    let mut film = display::film(&object, &stored, path)?;
    film.badges.extend(privacy.burned_in.badge());
    Ok(LoadedFilm {
        film,
        facts,
        patient,
        study,
        privacy,
    })
}

fn is_encapsulated(object: &InMemDicomObject) -> bool {
    object
        .get(tags::PIXEL_DATA)
        .is_some_and(|element| element.fragments().is_some())
}

/// Whether a sequence delimiter follows the last pixel data element; the reader does without.
fn has_sequence_end(bytes: &[u8]) -> bool {
    const PIXEL_DATA: [u8; 5] = [0xe0, 0x7f, 0x10, 0x00, b'O'];
    const END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
    let start = bytes
        .windows(PIXEL_DATA.len())
        .rposition(|window| window == PIXEL_DATA)
        .unwrap_or(0);
    bytes[start..]
        .windows(END.len())
        .any(|window| window == END)
}

fn open(bytes: &[u8], path: &Path) -> Result<DefaultDicomObject, FilmError> {
    let (bytes, preamble) = if bytes.starts_with(b"DICM") {
        (Cow::Borrowed(bytes), ReadPreamble::Never)
    } else if let (Some(uid), false) = (
        bare_transfer_syntax(bytes),
        bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM"),
    ) {
        (
            Cow::Owned(with_meta_header(bytes, uid, path)?),
            ReadPreamble::Never,
        )
    } else {
        (Cow::Borrowed(bytes), ReadPreamble::Always)
    };
    let start = if preamble == ReadPreamble::Always {
        PREAMBLE
    } else {
        0
    };
    structure::check(&bytes, start).map_err(|problem| {
        FilmError::content(
            path,
            format!("the DICOM file is cut short or damaged ({problem})"),
        )
    })?;
    OpenFileOptions::new()
        .read_preamble(preamble)
        .from_reader(Cursor::new(bytes.as_ref()))
        .map_err(|error| {
            FilmError::content(
                path,
                format!(
                    "the DICOM file is cut short or damaged ({})",
                    root_cause(&error)
                ),
            )
        })
}

fn with_meta_header(bytes: &[u8], uid: &str, path: &Path) -> Result<Vec<u8>, FilmError> {
    let mut whole = Vec::with_capacity(bytes.len() + 256);
    let header = FileMetaTableBuilder::new()
        .transfer_syntax(uid)
        .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.1")
        .media_storage_sop_instance_uid("1.2.3")
        .build();
    let written = header
        .map_err(|error| root_cause(&error))
        .and_then(|meta| meta.write(&mut whole).map_err(|error| root_cause(&error)));
    written.map_err(|reason| {
        FilmError::content(path, format!("a meta header cannot be made ({reason})"))
    })?;
    let mut file = b"DICM".to_vec();
    file.append(&mut whole);
    file.extend_from_slice(bytes);
    Ok(file)
}

/// The innermost message of an error: outer ones repeat it in the words of the library.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the decoder gave up".to_owned())
}

/// An element's text without padding; `None` where it is absent or empty.
fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = object.get(tag)?.to_str().ok()?;
    let value = value.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!value.is_empty()).then(|| value.to_owned())
}

/// An element's first number; `None` where it is absent, empty or not a number.
fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    numbers(object, tag).first().copied()
}

/// An element's numbers; empty where it is absent or not numeric.
fn numbers(object: &InMemDicomObject, tag: Tag) -> Vec<f64> {
    object
        .get(tag)
        .and_then(|element| element.to_multi_float64().ok())
        .unwrap_or_default()
        .into_iter()
        .filter(|value| value.is_finite())
        .collect()
}

/// All items of a sequence; none where it is absent.
fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object
        .get(tag)
        .and_then(|element| element.items())
        .unwrap_or_default()
}

/// The first item of a sequence.
fn first_item(object: &InMemDicomObject, tag: Tag) -> Option<&InMemDicomObject> {
    items(object, tag).first()
}

/// The object that states rescaling and windows of the first frame: the functional groups of an
/// enhanced multi-frame image first, else the image itself.
fn frame_group(object: &InMemDicomObject, group: Tag) -> &InMemDicomObject {
    [
        tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    ]
    .into_iter()
    .find_map(|sequence| first_item(first_item(object, sequence)?, group))
    .unwrap_or(object)
}

#[cfg(test)]
mod tests;
