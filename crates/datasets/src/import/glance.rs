//! What a file or folder looks like at a glance, so that the import that fits can be offered. The
//! import itself reads properly; nothing here decides what becomes of a file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::columns::{Role, usual_names};
use super::interactions::Layout;
use super::radiographs::is_image;

/// Files that are looked at in a folder at most.
const MOST_FILES: usize = 2000;
/// Folders deeper than this are not looked into.
const MAX_DEPTH: usize = 8;
/// For how long a folder is looked into at most: it may lie on a slow disk.
const MOST_TIME: Duration = Duration::from_secs(2);
/// Bytes of a table that are read for its first line.
const HEAD: u64 = 64 << 10;

/// What something looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LooksLike {
    /// A folder with films in it.
    Films {
        /// Films seen.
        n: usize,
        /// Whether there is more that was not looked at.
        is_more: bool,
    },
    /// A single film.
    Film,
    /// A table that names films.
    TableOfFilms,
    /// A table of report texts.
    Reports,
    /// Item histories in a known layout, or a table of interactions.
    Interactions(Layout),
}

/// What a file or folder looks like; `None` where nothing here could be imported from it.
///
/// # Cost
/// Names of at most 2,000 files, the first bytes of those whose name says nothing; at most some two
/// seconds.
pub fn looks_like(path: &Path) -> Option<LooksLike> {
    let is_table = ["csv", "tsv", "txt"].iter().any(|known| {
        let ending = path.extension();
        ending.is_some_and(|ending| ending.eq_ignore_ascii_case(known))
    });
    if path.is_dir() {
        if let Some(layout) = Layout::detect(path) {
            return Some(LooksLike::Interactions(layout));
        }
        let (n, is_more) = films_in(path);
        return (n > 0).then_some(LooksLike::Films { n, is_more });
    }
    match Layout::detect(path) {
        // Of a table of unknown name the columns tell more.
        Some(layout) if layout != Layout::Csv => return Some(LooksLike::Interactions(layout)),
        _ => {}
    }
    if is_table {
        return Some(of_columns(&first_line(path)?));
    }
    is_image(path).then_some(LooksLike::Film)
}

/// Films in a folder, and whether there is more in it than was looked at.
fn films_in(folder: &Path) -> (usize, bool) {
    let began = Instant::now();
    let (mut n_films, mut n_files) = (0, 0);
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((at, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if n_files >= MOST_FILES || began.elapsed() > MOST_TIME {
                return (n_films, true);
            }
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    open.push((path, depth + 1));
                }
            } else {
                n_files += 1;
                n_films += usize::from(is_image(&path));
            }
        }
    }
    (n_films, false)
}

fn first_line(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HEAD).read_to_end(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head);
    let line = text.lines().next()?;
    Some(line.trim_start_matches('\u{feff}').to_owned())
}

/// What the names of a table's columns say it is; reports where they say nothing, since their import
/// tells which columns it wants.
fn of_columns(line: &str) -> LooksLike {
    let names: Vec<&str> = line
        .split([',', ';', '\t'])
        .map(|name| name.trim().trim_matches('"').trim())
        .collect();
    let has = |role: Role| {
        let mut usual = usual_names(role).iter();
        usual.any(|known| names.iter().any(|name| name.eq_ignore_ascii_case(known)))
    };
    if has(Role::User) && has(Role::Item) {
        LooksLike::Interactions(Layout::Csv)
    } else if has(Role::Image) {
        LooksLike::TableOfFilms
    } else {
        LooksLike::Reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_tell_what_a_table_is() {
        let films = of_columns("\"Image Index\",\"Finding Labels\"");
        assert_eq!(films, LooksLike::TableOfFilms);
        assert_eq!(of_columns("uid;findings;impression"), LooksLike::Reports);
        let sales = of_columns("user_id\titem_id\trating\timage");
        assert_eq!(sales, LooksLike::Interactions(Layout::Csv));
    }

    #[test]
    fn folders_and_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, bytes: &[u8]| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(looks_like(root), None);
        let film = write("ward/deep/a.png", b"");
        write("ward/notes.md", b"nothing");
        assert_eq!(looks_like(&film), Some(LooksLike::Film));
        let (n, is_more) = (1, false);
        assert_eq!(looks_like(root), Some(LooksLike::Films { n, is_more }));
        let table = write("ward/list.csv", b"filename,patient_id\na.png,1\n");
        assert_eq!(looks_like(&table), Some(LooksLike::TableOfFilms));
        let ratings = write("shop/ratings.csv", b"userId,movieId,rating,timestamp\n");
        let expected = Some(LooksLike::Interactions(Layout::MovieLens));
        assert_eq!(looks_like(&ratings), expected);
        assert_eq!(looks_like(ratings.parent().unwrap()), expected);
        let other = write("model.gguf", b"GGUF");
        assert_eq!(looks_like(&other), None);
    }
}
