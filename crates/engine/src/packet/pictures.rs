//! Films and pictures of items as data inside a page: shrunk, each once.

use std::collections::BTreeMap;
use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use serde::Serialize;

use crate::error::{EngineError, Result};
use crate::harvest::load_film_of;
use crate::indexed::IndexedDictionary;
use crate::item_pictures;
use crate::jobs::JobContext;

/// Longest side of a film in a page.
const FILM_SIDE: u32 = 512;
/// Quality of its JPEG, of 100.
const QUALITY: u8 = 88;

/// A picture in a page.
#[derive(Serialize)]
pub(super) struct Picture {
    width: u32,
    height: u32,
    /// What must be said of a film, e.g. `inverted (MONOCHROME1)`.
    badges: Vec<String>,
    /// A data URI.
    data: String,
}

/// The pictures of a page, each read once.
pub(super) struct Pictures<'a> {
    indexed: &'a IndexedDictionary,
    /// Place by sample; `None` for a film that cannot be read.
    films: BTreeMap<u32, Option<usize>>,
    items: BTreeMap<String, Option<usize>>,
    all: Vec<Picture>,
    n_bytes: usize,
}

impl<'a> Pictures<'a> {
    pub(super) fn of(indexed: &'a IndexedDictionary) -> Self {
        Self {
            indexed,
            films: BTreeMap::new(),
            items: BTreeMap::new(),
            all: Vec::new(),
            n_bytes: 0,
        }
    }

    /// Bytes that the pictures take in the page.
    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub(super) fn into_all(self) -> Vec<Picture> {
        self.all
    }

    /// Place of the film of a sample; `None` where it has none or it cannot be read, which is said.
    pub(super) fn film(&mut self, sample: u32, job: &JobContext) -> Option<usize> {
        if let Some(known) = self.films.get(&sample) {
            return *known;
        }
        let place = match shrunk_film(self.indexed, sample) {
            Ok(picture) => picture.map(|picture| self.add(picture)),
            Err(error) => {
                job.warn(format!(
                    "sample {sample} is shown without its film: {error}"
                ));
                None
            }
        };
        self.films.insert(sample, place);
        place
    }

    /// Place of the picture of an item; `None` where it cannot be read.
    pub(super) fn item(&mut self, path: &str) -> Option<usize> {
        if let Some(known) = self.items.get(path) {
            return *known;
        }
        let place = item_pictures::decode(Path::new(path))
            .ok()
            .and_then(|picture| {
                let (width, height) = (picture.width, picture.height);
                let png = datasets::film::encode_colour_png(width, height, &picture.rgba).ok()?;
                Some(self.add(Picture {
                    width,
                    height,
                    badges: Vec::new(),
                    data: data_uri("image/png", &png),
                }))
            });
        self.items.insert(path.to_owned(), place);
        place
    }

    fn add(&mut self, picture: Picture) -> usize {
        self.n_bytes += picture.data.len();
        self.all.push(picture);
        self.all.len() - 1
    }
}

/// The film through its default window, small enough for a page.
fn shrunk_film(indexed: &IndexedDictionary, sample: u32) -> Result<Option<Picture>> {
    let Some(film) = load_film_of(&indexed.dataset, sample)? else {
        return Ok(None);
    };
    let grey = film.to_u8(&datasets::film::default_window(&film));
    let (width, height, grey) = datasets::resize::shrink(film.width, film.height, grey, FILM_SIDE);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&grey, width, height, ExtendedColorType::L8)
        .map_err(|error| EngineError::other(format!("a film cannot be written: {error}")))?;
    Ok(Some(Picture {
        width,
        height,
        badges: film.badges,
        data: data_uri("image/jpeg", &jpeg),
    }))
}

fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", base64(bytes))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let three = chunk
            .iter()
            .chain([0; 2].iter())
            .take(3)
            .fold(0_u32, |all, &byte| all << 8 | u32::from(byte));
        for place in 0..4 {
            let digit = (three >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() {
                char::from(ALPHABET[digit as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }
}
