//! A cache of pixels filled by its own threads, newest request first; knows no format.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::error::{EngineError, Result};
use crate::jobs::lock;

/// Where what was asked for stands.
#[derive(Debug)]
pub(crate) enum Decoded<V> {
    /// On its way.
    Loading,
    /// Here it is.
    Ready(Arc<V>),
    /// Cannot be read; the sentence is for the user.
    Failed(String),
}

impl<V> Clone for Decoded<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Loading => Self::Loading,
            Self::Ready(value) => Self::Ready(Arc::clone(value)),
            Self::Failed(sentence) => Self::Failed(sentence.clone()),
        }
    }
}

/// How much a cache takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of decoded pixels kept.
    pub(crate) n_bytes: usize,
    /// Threads that decode.
    pub(crate) n_threads: usize,
}

/// Reads a file, and says how many bytes what it read takes.
pub(crate) type Reading<K, S, V> = (
    fn(&S, &K) -> std::result::Result<V, String>,
    fn(&V) -> usize,
);

struct Entry<V> {
    state: Decoded<V>,
    bytes: usize,
    used: u64,
}

struct Inner<K, S, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// Requests not yet begun; the last is served first.
    waiting: Vec<(K, S)>,
    bytes: usize,
    clock: u64,
    closed: bool,
}

struct Shared<K, S, V> {
    inner: Mutex<Inner<K, S, V>>,
    woken: Condvar,
    /// Bytes of decoded pixels kept.
    n_bytes: AtomicUsize,
    reading: Reading<K, S, V>,
    on_ready: Box<dyn Fn() + Send + Sync>,
}

/// Decodes files away from the frame and keeps the most recently used ones: `K` names what is asked
/// for, `S` tells where it is.
pub(crate) struct DecodingCache<K, S, V> {
    shared: Arc<Shared<K, S, V>>,
}

impl<K, S, V> DecodingCache<K, S, V>
where
    K: Ord + Clone + Send + 'static,
    S: AsRef<Path> + Send + 'static,
    V: Send + Sync + 'static,
{
    /// `on_ready` is called from a decoding thread after each file.
    pub(crate) fn new(
        name: &str,
        limits: Limits,
        reading: Reading<K, S, V>,
        on_ready: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                entries: BTreeMap::new(),
                waiting: Vec::new(),
                bytes: 0,
                clock: 0,
                closed: false,
            }),
            woken: Condvar::new(),
            n_bytes: AtomicUsize::new(limits.n_bytes),
            reading,
            on_ready,
        });
        for number in 0..limits.n_threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("{name} {number}"))
                .spawn(move || decode_until_closed(&shared))
                .map_err(|error| EngineError::other(format!("cannot start a thread: {error}")))?;
        }
        Ok(Self { shared })
    }

    /// What was asked for if it is here; otherwise asks for it. `source` tells where it is, if it is
    /// anywhere.
    pub(crate) fn get(&self, key: K, source: impl FnOnce() -> Result<S>) -> Decoded<V> {
        let mut inner = lock(&self.shared.inner);
        inner.clock += 1;
        let now = inner.clock;
        if let Some(entry) = inner.entries.get_mut(&key) {
            entry.used = now;
            let state = entry.state.clone();
            if matches!(state, Decoded::Loading)
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
        let state = match source() {
            Ok(source) => {
                inner.waiting.push((key.clone(), source));
                Decoded::Loading
            }
            Err(error) => Decoded::Failed(error.message),
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

    /// Keeps so many bytes from the next file on.
    pub(crate) fn keep_bytes(&self, n: usize) {
        self.shared.n_bytes.store(n, Ordering::Relaxed);
    }

    /// Forgets everything, when another project is opened.
    pub(crate) fn clear(&self) {
        let mut inner = lock(&self.shared.inner);
        inner.entries.clear();
        inner.waiting.clear();
        inner.bytes = 0;
    }
}

impl<K, S, V> Drop for DecodingCache<K, S, V> {
    fn drop(&mut self) {
        lock(&self.shared.inner).closed = true;
        self.shared.woken.notify_all();
    }
}

fn decode_until_closed<K: Ord + Clone, S: AsRef<Path>, V>(shared: &Shared<K, S, V>) {
    loop {
        let (key, source) = {
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
        let (decode, bytes) = shared.reading;
        // A decoder's panic on a hostile file ends that file only.
        let reading = std::panic::AssertUnwindSafe(|| decode(&source, &key));
        let decoded = std::panic::catch_unwind(reading)
            .unwrap_or_else(|_| Err(format!("{}: cannot be decoded", source.as_ref().display())));
        let (state, n_bytes) = match decoded {
            Ok(value) => {
                let n_bytes = bytes(&value);
                (Decoded::Ready(Arc::new(value)), n_bytes)
            }
            Err(sentence) => (Decoded::Failed(sentence), 0),
        };
        let kept = &mut lock(&shared.inner);
        keep(
            kept,
            &key,
            (state, n_bytes),
            shared.n_bytes.load(Ordering::Relaxed),
        );
        (shared.on_ready)();
    }
}

fn keep<K: Ord + Clone, S, V>(
    inner: &mut Inner<K, S, V>,
    key: &K,
    (state, bytes): (Decoded<V>, usize),
    limit: usize,
) {
    // Gone when the cache was cleared meanwhile: then nobody wants it.
    let Some(entry) = inner.entries.get_mut(key) else {
        return;
    };
    entry.state = state;
    entry.bytes = bytes;
    inner.bytes += bytes;
    while inner.bytes > limit {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::*;

    fn cache() -> DecodingCache<u32, PathBuf, Vec<u8>> {
        let limits = Limits {
            n_bytes: 25,
            n_threads: 1,
        };
        let decode = |path: &PathBuf, key: &u32| match *key {
            8 => Err(format!("{} is no picture", path.display())),
            9 => panic!("a hostile file"),
            key => Ok(vec![key as u8; 10]),
        };
        DecodingCache::new("test", limits, (decode, Vec::len), Box::new(|| {})).unwrap()
    }

    /// Asks until it is there.
    fn get(
        cache: &DecodingCache<u32, PathBuf, Vec<u8>>,
        key: u32,
    ) -> std::result::Result<Vec<u8>, String> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            match cache.get(key, || Ok(PathBuf::from("file"))) {
                Decoded::Ready(value) => return Ok(value.to_vec()),
                Decoded::Failed(sentence) => return Err(sentence),
                Decoded::Loading => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err("it did not come".to_owned())
    }

    #[test]
    fn the_least_recently_used_goes_when_there_are_too_many_bytes() {
        let cache = cache();
        for key in [1, 2, 1, 3] {
            assert_eq!(get(&cache, key), Ok(vec![key as u8; 10]));
        }
        let keys: Vec<u32> = lock(&cache.shared.inner).entries.keys().copied().collect();
        assert_eq!(keys, [1, 3]);
    }

    #[test]
    fn what_cannot_be_read_says_so_and_the_rest_goes_on() {
        let cache = cache();
        assert_eq!(get(&cache, 8), Err("file is no picture".to_owned()));
        assert_eq!(get(&cache, 9), Err("file: cannot be decoded".to_owned()));
        assert_eq!(get(&cache, 4), Ok(vec![4; 10]));
    }
}
