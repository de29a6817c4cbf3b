//! Films on their way to the screen: a cache filled by its own threads, newest request first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::error::{EngineError, Result};
use crate::jobs::lock;
use crate::views::{FilmPixels, FilmSize, FilmState};

/// Longest side of a thumbnail.
const THUMBNAIL_SIDE: u32 = 160;
/// Bytes of pixels kept.
const CACHE_BYTES: usize = 256 << 20;
/// Threads that decode.
const N_THREADS: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    dataset: String,
    sample: u32,
    size: FilmSize,
}

struct Entry {
    state: FilmState,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<Key, Entry>,
    /// Requests not yet begun; the last is served first.
    waiting: Vec<(Key, PathBuf)>,
    bytes: usize,
    clock: u64,
    closed: bool,
}

struct Shared {
    inner: Mutex<Inner>,
    woken: Condvar,
    on_ready: Box<dyn Fn() + Send + Sync>,
}

/// Decodes films away from the frame and keeps the most recently used ones.
pub(crate) struct FilmCache {
    shared: Arc<Shared>,
}

impl FilmCache {
    /// `on_ready` is called from a decoding thread after each film.
    pub(crate) fn new(on_ready: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let shared = Arc::new(Shared {
            inner: Mutex::default(),
            woken: Condvar::new(),
            on_ready,
        });
        for number in 0..N_THREADS {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("films {number}"))
                .spawn(move || decode_until_closed(&shared))
                .map_err(|error| EngineError::other(format!("cannot start a thread: {error}")))?;
        }
        Ok(Self { shared })
    }

    /// The film if it is here; otherwise asks for it. `path` tells where it is, if it is anywhere.
    pub(crate) fn get(
        &self,
        dataset: &str,
        sample: u32,
        size: FilmSize,
        path: impl FnOnce() -> Result<PathBuf>,
    ) -> FilmState {
        let key = Key {
            dataset: dataset.to_owned(),
            sample,
            size,
        };
        let mut inner = lock(&self.shared.inner);
        inner.clock += 1;
        let now = inner.clock;
        if let Some(entry) = inner.entries.get_mut(&key) {
            entry.used = now;
            let state = entry.state.clone();
            if state == FilmState::Loading
                && let Some(at) = inner
                    .waiting
                    .iter()
                    .position(|(waiting, _)| *waiting == key)
            {
                // Still on screen: serve it before what was scrolled past.
                let request = inner.waiting.remove(at);
                inner.waiting.push(request);
            }
            return state;
        }
        let state = match path() {
            Ok(path) => {
                inner.waiting.push((key.clone(), path));
                FilmState::Loading
            }
            Err(error) => FilmState::Failed(error.message),
        };
        inner.entries.insert(
            key,
            Entry {
                state: state.clone(),
                bytes: 0,
                used: now,
            },
        );
        drop(inner);
        self.shared.woken.notify_one();
        state
    }

    /// Forgets everything, when another project is opened.
    pub(crate) fn clear(&self) {
        let mut inner = lock(&self.shared.inner);
        inner.entries.clear();
        inner.waiting.clear();
        inner.bytes = 0;
    }
}

impl Drop for FilmCache {
    fn drop(&mut self) {
        lock(&self.shared.inner).closed = true;
        self.shared.woken.notify_all();
    }
}

fn decode_until_closed(shared: &Shared) {
    loop {
        let (key, path) = {
            let mut inner = lock(&shared.inner);
            loop {
                if inner.closed {
                    return;
                }
                if let Some(request) = inner.waiting.pop() {
                    break request;
                }
                inner = shared
                    .woken
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        };
        // A decoder's panic on a hostile file ends that film only.
        let decoded = std::panic::catch_unwind(|| decode(&path, key.size))
            .unwrap_or_else(|_| Err(format!("{}: cannot be decoded", path.display())));
        let state = match decoded {
            Ok(film) => FilmState::Ready(Arc::new(film)),
            Err(sentence) => FilmState::Failed(sentence),
        };
        keep(&mut lock(&shared.inner), &key, state);
        (shared.on_ready)();
    }
}

fn keep(inner: &mut Inner, key: &Key, state: FilmState) {
    let bytes = match &state {
        FilmState::Ready(film) => film.deep.len() * 2 + film.grey.len(),
        _ => 0,
    };
    // Gone when the cache was cleared meanwhile: then nobody wants it.
    let Some(entry) = inner.entries.get_mut(key) else {
        return;
    };
    entry.state = state;
    entry.bytes = bytes;
    inner.bytes += bytes;
    while inner.bytes > CACHE_BYTES {
        let oldest = inner
            .entries
            .iter()
            .filter(|(other, entry)| *other != key && entry.bytes > 0)
            .min_by_key(|(_, entry)| entry.used)
            .map(|(other, _)| other.clone());
        let Some(oldest) = oldest else { return };
        if let Some(entry) = inner.entries.remove(&oldest) {
            inner.bytes -= entry.bytes;
        }
    }
}

fn decode(path: &std::path::Path, size: FilmSize) -> std::result::Result<FilmPixels, String> {
    let film = datasets::film::load_film(path).map_err(|error| error.to_string())?;
    let window = datasets::film::default_window(&film);
    let grey = film.to_u8(&window);
    let original = [film.width, film.height];
    match size {
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
