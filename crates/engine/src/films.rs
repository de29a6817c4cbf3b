//! Films on their way to the screen: read, shown through their window, shrunk for thumbnails.

use std::path::{Path, PathBuf};

use schema::Window;
use store::{Thumbnail, Thumbnails};

use crate::decoding::{Decoded, DecodingCache, Limits};
use crate::error::Result;
use crate::views::{FilmPixels, FilmSize, FilmState, HalvedFilm};

/// Longest side of a thumbnail.
const THUMBNAIL_SIDE: u32 = 160;
/// Films of at most so many pixels a side are decoded as fast as a copy is read.
const KEPT_FROM: u32 = 2 * THUMBNAIL_SIDE;
/// Pixels kept, and threads that decode.
const LIMITS: Limits = Limits {
    n_bytes: 256 << 20,
    n_threads: 2,
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FilmKey {
    dataset: String,
    sample: u32,
    /// 0 for the sample's own, from 1 for further films of its study.
    film: u32,
    size: FilmSize,
}

/// Where a film is, and where a small copy of it is kept.
pub(crate) struct FilmSource {
    pub(crate) path: PathBuf,
    /// BLAKE3 of its file.
    pub(crate) hash: String,
    pub(crate) kept: Thumbnails,
}

impl AsRef<Path> for FilmSource {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Decodes films away from the frame and keeps the most recently used ones; thumbnails are kept on
/// the disk too.
pub(crate) struct FilmCache(DecodingCache<FilmKey, FilmSource, FilmPixels>);

impl FilmCache {
    /// `on_ready` is called from a decoding thread after each film.
    pub(crate) fn new(on_ready: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let bytes = |film: &FilmPixels| {
            let halves: usize = film.halves.iter().map(|half| half.deep.len()).sum();
            (film.deep.len() + halves) * 2 + film.grey.len()
        };
        DecodingCache::new("films", LIMITS, (decode, bytes), on_ready).map(Self)
    }

    /// The film if it is here; otherwise asks for it. `source` tells where it is, if it is anywhere.
    pub(crate) fn get(
        &self,
        dataset: &str,
        (sample, film): (u32, u32),
        size: FilmSize,
        source: impl FnOnce() -> Result<FilmSource>,
    ) -> FilmState {
        let key = FilmKey {
            dataset: dataset.to_owned(),
            sample,
            film,
            size,
        };
        match self.0.get(key, source) {
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

fn decode(source: &FilmSource, key: &FilmKey) -> std::result::Result<FilmPixels, String> {
    match key.size {
        FilmSize::Thumbnail => thumbnail(source),
        FilmSize::Full => full(&source.path),
    }
}

/// The small copy on the disk if there is one, else one made now.
fn thumbnail(source: &FilmSource) -> std::result::Result<FilmPixels, String> {
    let kept = source.kept.get(&source.path, &source.hash, THUMBNAIL_SIDE);
    let copy = kept.map_or_else(|| made_small(source), Ok)?;
    Ok(FilmPixels {
        width: copy.width,
        height: copy.height,
        deep: Vec::new(),
        halves: Vec::new(),
        grey: copy.grey,
        windows: Vec::new(),
        badges: copy.badges,
        original: copy.original,
        edges: None,
    })
}

/// Decodes and shrinks the film; of a large one a copy is kept.
fn made_small(source: &FilmSource) -> std::result::Result<Thumbnail, String> {
    let FilmSource { path, hash, kept } = source;
    let film = datasets::load_film(path).map_err(|error| error.to_string())?;
    let grey = film.to_u8(&datasets::default_window(&film));
    let (width, height, grey) =
        datasets::resize::shrink(film.width, film.height, grey, THUMBNAIL_SIDE);
    let copy = Thumbnail {
        width,
        height,
        original: [film.width, film.height],
        badges: film.badges,
        grey,
    };
    if film.width.max(film.height) > KEPT_FROM {
        // A full disk costs time at the next start, nothing else.
        kept.put(path, hash, THUMBNAIL_SIDE, &copy).ok();
    }
    Ok(copy)
}

fn full(path: &Path) -> std::result::Result<FilmPixels, String> {
    let loaded = datasets::load_film_with_facts(path).map_err(|error| error.to_string())?;
    let film = loaded.film;
    let window = datasets::default_window(&film);
    let grey = film.to_u8(&window);
    let mut windows = vec![window];
    let own = std::iter::once(film.full_range()).chain(film.histogram_windows());
    for other in film.windows.iter().cloned().chain(own) {
        let like = |known: &Window| {
            known.centre == other.centre
                && known.width == other.width
                && known.function == other.function
        };
        if !windows.iter().any(like) {
            windows.push(other);
        }
    }
    Ok(FilmPixels {
        width: film.width,
        height: film.height,
        original: [film.width, film.height],
        halves: HalvedFilm::all_of(film.width, film.height, &film.pixels),
        deep: film.pixels,
        grey,
        windows,
        badges: film.badges,
        edges: loaded.facts.edges(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_shows_thumbnails_without_decoding() {
        let folder = tempfile::tempdir().unwrap();
        let project = store::Project::create(&folder.path().join("project")).unwrap();
        let path = folder.path().join("film.png");
        let film = schema::Film {
            width: 400,
            height: 300,
            pixels: (0..400 * 300).map(|i| (i % 256) as u16).collect(),
            windows: Vec::new(),
            badges: Vec::new(),
        };
        let png = datasets::film::encode_png(&film).unwrap();
        std::fs::write(&path, &png).unwrap();
        let hash = store::blake3_of_bytes(&png);
        let source = || FilmSource {
            path: path.clone(),
            hash: hash.clone(),
            kept: project.thumbnails().clone(),
        };
        let first = thumbnail(&source()).unwrap();
        assert_eq!((first.width, first.height), (160, 120));
        // The same size and time, but no picture any more: only the copy can tell what it was.
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, vec![0; png.len()]).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        assert_eq!(thumbnail(&source()).unwrap(), first);
        file.set_modified(time + std::time::Duration::from_secs(1))
            .unwrap();
        assert!(thumbnail(&source()).is_err());
    }
}
