//! Small copies of films, kept between starts so that a gallery decodes no film twice.
//!
//! A copy is named after the BLAKE3 of the film's file, how it was made and its longest side; it also
//! states size and time of the file it was made from. All of it may be deleted at any time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::AtPath as _;
use crate::hashes::blake3_of_bytes;
use crate::{Durability, Result, write_atomically};

/// Where copies are, in the project.
pub(crate) const CACHE: &str = ".cache";
/// Bytes of copies that are kept in a project.
const LIMIT: u64 = 256 << 20;
/// How the film becomes grey and small; another number makes all copies anew.
const RENDERING: u32 = 1;

/// A small grey copy of a film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Columns and rows of the film.
    pub original: [u32; 2],
    /// What must be said of the film.
    pub badges: Vec<String>,
    /// Grey through the default window, row-major, `width * height`.
    pub grey: Vec<u8>,
}

/// First line of a copy's file; the grey follows.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    width: u32,
    height: u32,
    original: [u32; 2],
    badges: Vec<String>,
    source: Source,
    /// BLAKE3 of the grey.
    blake3: String,
}

/// The file a copy was made from, as the disk tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Source {
    fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok()?;
        let since = facts
            .modified()
            .ok()?
            .duration_since(SystemTime::UNIX_EPOCH);
        Some(Self {
            bytes: facts.len(),
            modified: u64::try_from(since.ok()?.as_nanos()).ok()?,
        })
    }
}

/// The copies of a project's films. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Thumbnails {
    folder: PathBuf,
    limit: u64,
    /// Bytes on the disk, once they were counted.
    total: Arc<Mutex<Option<u64>>>,
}

impl Thumbnails {
    pub(crate) fn new(project: &Path) -> Self {
        Self {
            folder: project.join(CACHE).join("thumbnails"),
            limit: LIMIT,
            total: Arc::default(),
        }
    }

    fn place(&self, hash: &str, side: u32) -> Option<PathBuf> {
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then(|| self.folder.join(format!("{hash}-{RENDERING}-{side}.grey")))
    }

    /// The copy of the film `source`, whose BLAKE3 is `hash`, of `side` pixels at most. `None` where
    /// there is none, it is damaged, or the film has changed since.
    pub fn get(&self, source: &Path, hash: &str, side: u32) -> Option<Thumbnail> {
        let content = fs::read(self.place(hash, side)?).ok()?;
        let end = content.iter().position(|&byte| byte == b'\n')?;
        let header: Header = serde_json::from_slice(&content[..end]).ok()?;
        let grey = &content[end + 1..];
        let whole = grey.len() as u64 == u64::from(header.width) * u64::from(header.height)
            && header.blake3 == blake3_of_bytes(grey);
        let current = Source::of(source).as_ref() == Some(&header.source);
        (whole && current).then(|| Thumbnail {
            width: header.width,
            height: header.height,
            original: header.original,
            badges: header.badges,
            grey: grey.to_vec(),
        })
    }

    /// Keeps a copy; the oldest go when there are too many bytes.
    ///
    /// # Errors
    /// [`crate::StoreError::Io`] if the disk refuses. Nothing is lost then: the film is decoded
    /// again.
    pub fn put(&self, source: &Path, hash: &str, side: u32, copy: &Thumbnail) -> Result<()> {
        let (Some(place), Some(source)) = (self.place(hash, side), Source::of(source)) else {
            return Ok(());
        };
        let header = Header {
            width: copy.width,
            height: copy.height,
            original: copy.original,
            badges: copy.badges.clone(),
            source,
            blake3: blake3_of_bytes(&copy.grey),
        };
        let Ok(mut content) = serde_json::to_vec(&header) else {
            return Ok(());
        };
        content.push(b'\n');
        content.extend_from_slice(&copy.grey);
        fs::create_dir_all(&self.folder).at(&self.folder)?;
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        write_atomically(&place, &content, Durability::Process)?;
        let sum = match *total {
            Some(sum) => sum + content.len() as u64,
            None => self.files().iter().map(|file| file.bytes).sum(),
        };
        *total = Some(if sum > self.limit { self.prune() } else { sum });
        Ok(())
    }

    fn files(&self) -> Vec<KeptFile> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let facts = entry.metadata().ok()?;
                Some(KeptFile {
                    modified: facts.modified().ok()?,
                    path: entry.path(),
                    bytes: facts.len(),
                })
            })
            .collect()
    }

    /// Removes the oldest until three quarters of the limit are left; returns the bytes kept.
    fn prune(&self) -> u64 {
        let mut files = self.files();
        files.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        let mut sum: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if sum <= self.limit / 4 * 3 {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                sum -= file.bytes;
            }
        }
        sum
    }
}

struct KeptFile {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(value: u8) -> Thumbnail {
        Thumbnail {
            width: 20,
            height: 10,
            original: [2000, 1000],
            badges: vec!["inverted (MONOCHROME1)".to_owned()],
            grey: vec![value; 200],
        }
    }

    fn hash(n: u8) -> String {
        blake3_of_bytes(&[n])
    }

    #[test]
    fn a_copy_comes_back_until_the_film_changes() {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("film.dcm");
        fs::write(&film, b"before").unwrap();
        let kept = Thumbnails::new(folder.path());
        assert_eq!(kept.get(&film, &hash(1), 160), None);
        kept.put(&film, &hash(1), 160, &copy(7)).unwrap();
        // As another start of the program sees it.
        let again = Thumbnails::new(folder.path());
        assert_eq!(again.get(&film, &hash(1), 160), Some(copy(7)));
        assert_eq!(again.get(&film, &hash(1), 512), None);
        assert_eq!(again.get(&film, "../../etc", 160), None);
        fs::write(&film, b"changed").unwrap();
        assert_eq!(again.get(&film, &hash(1), 160), None);
    }

    #[test]
    fn a_damaged_copy_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("film.dcm");
        fs::write(&film, b"film").unwrap();
        let kept = Thumbnails::new(folder.path());
        kept.put(&film, &hash(1), 160, &copy(7)).unwrap();
        let place = kept.place(&hash(1), 160).unwrap();
        let whole = fs::read(&place).unwrap();
        for length in 0..whole.len() {
            fs::write(&place, &whole[..length]).unwrap();
            assert_eq!(kept.get(&film, &hash(1), 160), None, "{length} bytes");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&place, &flipped).unwrap();
        assert_eq!(kept.get(&film, &hash(1), 160), None);
    }

    #[test]
    fn the_oldest_copies_go_when_there_are_too_many_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("film.dcm");
        fs::write(&film, b"film").unwrap();
        let mut kept = Thumbnails::new(folder.path());
        kept.limit = 4000;
        for n in 0..30 {
            kept.put(&film, &hash(n), 160, &copy(n)).unwrap();
            let bytes: u64 = kept.files().iter().map(|file| file.bytes).sum();
            assert!(bytes <= kept.limit, "{bytes} bytes");
        }
        assert_eq!(kept.get(&film, &hash(29), 160), Some(copy(29)));
        assert_eq!(kept.get(&film, &hash(0), 160), None);
    }
}
