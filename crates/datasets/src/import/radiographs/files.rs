//! Which files of a folder are the films of an import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::super::{ImportError, counted};
use super::{Draft, Rows};
use crate::film::sniff;

/// Folders deeper than this are not searched: a loop of links, not a collection.
const MAX_DEPTH: usize = 32;

/// A file that is to become a sample.
pub(super) struct Candidate {
    /// Name of the sample.
    pub(super) id: String,
    /// Absolute.
    pub(super) path: PathBuf,
    /// How the file is called in messages: its path within the folder.
    pub(super) shown: String,
    /// Row of the table that names it.
    pub(super) row: Option<usize>,
}

/// All files under `folder`, sorted by path.
pub(super) fn find(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut files = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((at, depth)) = open.pop() {
        let entries = std::fs::read_dir(&at).map_err(|error| ImportError::read(&at, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| ImportError::read(&at, error))?;
            let path = entry.path();
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    open.push((path, depth + 1));
                }
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Every file that is an image by content, or claims to be one by its name.
pub(super) fn all_images(folder: &Path, found: &[PathBuf], draft: &mut Draft) -> Vec<Candidate> {
    let mut images: Vec<&PathBuf> = Vec::new();
    let mut n_other = 0;
    for path in found {
        if is_image(path) {
            images.push(path);
        } else {
            n_other += 1;
        }
    }
    if n_other > 0 {
        draft.recognised.push(format!(
            "{} that {} no image",
            counted(n_other, "file", "files"),
            if n_other == 1 { "is" } else { "are" }
        ));
    }
    let names = images.iter().map(|path| shown(folder, path)).collect();
    let ids = unique_ids(&names);
    images
        .into_iter()
        .zip(names)
        .zip(ids)
        .map(|((path, shown), id)| Candidate {
            id,
            path: path.clone(),
            shown,
            row: None,
        })
        .collect()
}

/// The files that the rows of a table name: by path within the folder, or by name anywhere in it.
pub(super) fn named_in_table(
    folder: &Path,
    found: &[PathBuf],
    rows: &Rows,
    draft: &mut Draft,
) -> Vec<Candidate> {
    let by_path: BTreeMap<String, &PathBuf> = found
        .iter()
        .map(|path| (shown(folder, path), path))
        .collect();
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in by_path.keys() {
        by_name.entry(file_name(path)).or_default().push(path);
    }
    let mut chosen: Vec<(String, usize)> = Vec::new();
    let mut taken = BTreeSet::new();
    for row in 0..rows.table.rows.len() {
        let wanted = rows.table.cell(row, rows.image).replace('\\', "/");
        let place = format!(
            "{}, line {}",
            rows.table.path.display(),
            rows.table.line(row)
        );
        let path = if by_path.contains_key(&wanted) {
            Ok(wanted.as_str())
        } else {
            match by_name.get(file_name(&wanted)).map(Vec::as_slice) {
                Some([only]) => Ok(*only),
                Some(several) => Err(format!(
                    "{} files are called {}",
                    several.len(),
                    file_name(&wanted)
                )),
                None if wanted.is_empty() => Err("the row names no image".to_owned()),
                None => Err(format!("{wanted} is not in the folder")),
            }
        };
        match path {
            Ok(path) if taken.insert(path.to_owned()) => chosen.push((path.to_owned(), row)),
            Ok(path) => draft.skip(place, format!("{path} is named in an earlier row")),
            Err(reason) => draft.skip(place, reason),
        }
    }
    let n_unnamed = by_path
        .iter()
        .filter(|(shown, path)| !taken.contains(*shown) && has_image_name(path))
        .count();
    if n_unnamed > 0 {
        draft.recognised.push(format!(
            "{} that the table does not name, left out",
            counted(n_unnamed, "image", "images")
        ));
    }
    let names = chosen.iter().map(|(path, _)| path.clone()).collect();
    let ids = unique_ids(&names);
    chosen
        .into_iter()
        .zip(ids)
        .map(|((shown, row), id)| Candidate {
            id,
            path: folder.join(&shown),
            shown,
            row: Some(row),
        })
        .collect()
}

/// File stems; where two files share one, their paths without the ending.
fn unique_ids(names: &Vec<String>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(stem(name)).or_default() += 1;
    }
    names
        .iter()
        .map(|name| {
            let short = stem(name);
            if counts.get(short) == Some(&1) {
                short.to_owned()
            } else {
                name.clone()
            }
        })
        .collect()
}

/// The path within the folder, with `/` on every system.
fn shown(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder)
        .unwrap_or(path)
        .display()
        .to_string()
        .replace('\\', "/")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The file's name without its ending.
pub(super) fn stem(path: &str) -> &str {
    let name = file_name(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Whether a file is an image by content, or claims to be one by its name.
pub(in crate::import) fn is_image(path: &Path) -> bool {
    has_image_name(path) || has_image_content(path)
}

fn has_image_name(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        ["png", "jpg", "jpeg", "dcm", "dicom"]
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

fn has_image_content(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(132).read_to_end(&mut head));
    read.is_ok() && sniff(&head).is_some()
}
