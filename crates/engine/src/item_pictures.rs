//! Pictures of items on their way to the screen: PNG or JPEG files, shrunk to what a card shows.

use std::io::{BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ImageDecoder as _, ImageFormat, ImageReader};

use crate::decoding::{Decoded, DecodingCache, Limits, Reading};
use crate::error::{EngineError, Result};

/// Longest side of what is kept of a picture: a card is smaller, also on a screen of twice the
/// density.
const SIDE: u32 = 160;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// Most pixels on a side.
const MAX_SIDE: u32 = 1 << 14;
/// Most bytes a decoder may take.
const MAX_DECODED_BYTES: u64 = 512 << 20;
/// Pixels kept, and threads that decode.
const LIMITS: Limits = Limits {
    n_bytes: 64 << 20,
    n_threads: 1,
};

/// A picture of an item, ready to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemPicture {
    /// Columns, at most 160.
    pub width: u32,
    /// Rows, at most 160.
    pub height: u32,
    /// Red, green, blue, alpha per pixel, row-major.
    pub rgba: Vec<u8>,
}

/// Where a picture asked for stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureState {
    /// On its way; an `Event::FilmReady` follows.
    Loading,
    /// Here it is.
    Ready(Arc<ItemPicture>),
    /// Cannot be read; the sentence is for the user.
    Failed(String),
}

/// Decodes pictures away from the frame and keeps the most recently used ones.
pub(crate) struct PictureCache(DecodingCache<Arc<str>, PathBuf, ItemPicture>);

impl PictureCache {
    /// `on_ready` is called from the decoding thread after each picture.
    pub(crate) fn new(on_ready: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let reading: Reading<Arc<str>, PathBuf, ItemPicture> =
            (|path, _| decode(path), |picture| picture.rgba.len());
        DecodingCache::new("pictures", LIMITS, reading, on_ready).map(Self)
    }

    /// The picture if it is here; otherwise asks for it.
    pub(crate) fn get(&self, path: &Arc<str>) -> PictureState {
        let place = || match Path::new(&**path) {
            absolute if absolute.is_absolute() => Ok(PathBuf::from(absolute)),
            _ => Err(EngineError::request(format!(
                "{path}: expected the absolute path of a picture"
            ))),
        };
        match self.0.get(Arc::clone(path), place) {
            Decoded::Loading => PictureState::Loading,
            Decoded::Ready(picture) => PictureState::Ready(picture),
            Decoded::Failed(sentence) => PictureState::Failed(sentence),
        }
    }

    /// Forgets everything, when another project is opened.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

/// Reads and shrinks a picture; what it is is told by its content.
pub(crate) fn decode(path: &Path) -> std::result::Result<ItemPicture, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = std::fs::File::open(path).map_err(|error| at(&error))?;
    let n_bytes = file.seek(SeekFrom::End(0)).map_err(|error| at(&error))?;
    if n_bytes > MAX_FILE_BYTES {
        return Err(at(&format!(
            "the file has {n_bytes} bytes; a picture of an item may have {MAX_FILE_BYTES}"
        )));
    }
    file.rewind().map_err(|error| at(&error))?;
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(|error| at(&error))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(at(&"expected a PNG or JPEG file"));
    }
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| at(&error))?;
    let turned = decoder.orientation().map_err(|error| at(&error))?;
    let mut picture = image::DynamicImage::from_decoder(decoder).map_err(|error| at(&error))?;
    picture.apply_orientation(turned);
    if picture.width().max(picture.height()) > SIDE {
        picture = picture.thumbnail(SIDE, SIDE);
    }
    let rgba = picture.into_rgba8();
    Ok(ItemPicture {
        width: rgba.width(),
        height: rgba.height(),
        rgba: rgba.into_raw(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_shrunk_and_keeps_its_colour_and_shape() {
        let dir = tempfile::tempdir().unwrap();
        // What it is is told by the content, not by the name.
        let path = dir.path().join("shoe.jpg");
        let red = image::RgbImage::from_pixel(640, 320, image::Rgb([200, 10, 10]));
        red.save_with_format(&path, ImageFormat::Png).unwrap();
        let picture = decode(&path).unwrap();
        assert_eq!((picture.width, picture.height), (160, 80));
        assert_eq!(picture.rgba.len(), 160 * 80 * 4);
        assert_eq!(picture.rgba[..4], [200, 10, 10, 255]);
    }

    #[test]
    fn what_is_no_picture_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.png");
        std::fs::write(&path, b"<html>").unwrap();
        let error = decode(&path).unwrap_err();
        assert!(
            error.ends_with("page.png: expected a PNG or JPEG file"),
            "{error}"
        );
        let mut cut = Vec::new();
        let grey = image::GrayImage::from_pixel(64, 64, image::Luma([9]));
        let mut writer = std::io::Cursor::new(&mut cut);
        grey.write_to(&mut writer, ImageFormat::Png).unwrap();
        cut.truncate(cut.len() / 2);
        std::fs::write(&path, &cut).unwrap();
        assert!(decode(&path).unwrap_err().contains("page.png"));
        assert!(decode(&dir.path().join("absent.png")).is_err());
    }
}
