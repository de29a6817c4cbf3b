//! Films on their way to the screen: read, shown through their window, shrunk for thumbnails.

use std::path::{Path, PathBuf};

use crate::decoding::{Decoded, DecodingCache, Limits};
use crate::error::Result;
use crate::views::{FilmPixels, FilmSize, FilmState};

/// Longest side of a thumbnail.
const THUMBNAIL_SIDE: u32 = 160;
/// Pixels kept, and threads that decode.
const LIMITS: Limits = Limits {
    n_bytes: 256 << 20,
    n_threads: 2,
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FilmKey {
    dataset: String,
    sample: u32,
    size: FilmSize,
}

/// Decodes films away from the frame and keeps the most recently used ones.
pub(crate) struct FilmCache(DecodingCache<FilmKey, FilmPixels>);

impl FilmCache {
    /// `on_ready` is called from a decoding thread after each film.
    pub(crate) fn new(on_ready: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let bytes = |film: &FilmPixels| film.deep.len() * 2 + film.grey.len();
        DecodingCache::new("films", LIMITS, (decode, bytes), on_ready).map(Self)
    }

    /// The film if it is here; otherwise asks for it. `path` tells where it is, if it is anywhere.
    pub(crate) fn get(
        &self,
        dataset: &str,
        sample: u32,
        size: FilmSize,
        path: impl FnOnce() -> Result<PathBuf>,
    ) -> FilmState {
        let key = FilmKey {
            dataset: dataset.to_owned(),
            sample,
            size,
        };
        match self.0.get(key, path) {
            Decoded::Loading => FilmState::Loading,
            Decoded::Ready(film) => FilmState::Ready(film),
            Decoded::Failed(sentence) => FilmState::Failed(sentence),
        }
    }

    /// Keeps so many megabytes of pixels from now on.
    pub(crate) fn keep_megabytes(&self, n: u32) {
        self.0.keep_bytes((n as usize) << 20);
    }

    /// Forgets everything, when another project is opened.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

fn decode(path: &Path, key: &FilmKey) -> std::result::Result<FilmPixels, String> {
    let film = datasets::film::load_film(path).map_err(|error| error.to_string())?;
    let window = datasets::film::default_window(&film);
    let grey = film.to_u8(&window);
    let original = [film.width, film.height];
    match key.size {
        FilmSize::Thumbnail => {
            let (width, height, grey) =
                datasets::resize::shrink(film.width, film.height, grey, THUMBNAIL_SIDE);
            Ok(FilmPixels {
                width,
                height,
                deep: Vec::new(),
                grey,
                windows: Vec::new(),
                badges: film.badges,
                original,
            })
        }
        FilmSize::Full => {
            let mut windows = vec![window];
            for other in film
                .windows
                .iter()
                .cloned()
                .chain([film.full_range(), film.percentile_window()])
            {
                if windows
                    .iter()
                    .all(|known| known.centre != other.centre || known.width != other.width)
                {
                    windows.push(other);
                }
            }
            Ok(FilmPixels {
                width: film.width,
                height: film.height,
                deep: film.pixels,
                grey,
                windows,
                badges: film.badges,
                original,
            })
        }
    }
}
