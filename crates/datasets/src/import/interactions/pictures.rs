//! Pictures of items: named by a column, or files in a folder beside the data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::counted;
use super::account::Account;
use super::layout::ends_in;

/// Folders that are looked into.
const FOLDERS: [&str; 2] = ["images", "pictures"];

/// Pictures by the item's id in the source, and what became of those that tables name.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    by_id: BTreeMap<String, PathBuf>,
    n_files: usize,
    n_found: usize,
    n_absent: usize,
    n_remote: usize,
    n_other: usize,
}

impl Pictures {
    /// Looks for files named by an item's id, such as `images/17.jpg`, in the folder of the data.
    pub(super) fn find(folder: &Path) -> Self {
        let mut pictures = Self::default();
        for name in FOLDERS {
            let Ok(entries) = std::fs::read_dir(folder.join(name)) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                let path = entry.path();
                let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else {
                    continue;
                };
                if is_picture(&path) && path.is_file() {
                    pictures.n_files += 1;
                    let id = id.to_owned();
                    // Of several the first by path, so that the order of a folder does not matter.
                    pictures
                        .by_id
                        .entry(id)
                        .and_modify(|known| *known = known.clone().min(path.clone()))
                        .or_insert(path);
                }
            }
        }
        pictures
    }

    /// The picture of the item `id`: the one that a table names if it is there, else the one in
    /// the folder.
    pub(super) fn of(&mut self, id: &str, named: Option<&Path>) -> Option<String> {
        let mut found = None;
        if let Some(path) = named {
            if path.to_string_lossy().contains("://") {
                self.n_remote += 1;
            } else if !path.is_file() {
                self.n_absent += 1;
            } else if is_picture(path) {
                found = Some(path.to_owned());
            } else {
                self.n_other += 1;
            }
        }
        let found = found.or_else(|| self.by_id.get(id).cloned())?;
        self.n_found += 1;
        Some(found.display().to_string())
    }

    /// Says how many were found, and what could not be used.
    pub(super) fn note(&self, account: &mut Account) {
        if self.n_found > 0 || self.n_files > 0 {
            let n = counted(self.n_found, "item", "items");
            account.recognised.push(format!("{n} with a picture"));
        }
        for (n, what) in [
            (self.n_absent, "that a table names: the file is not there"),
            (
                self.n_remote,
                "that a table names by an address: nothing is fetched",
            ),
            (self.n_other, "that a table names: neither PNG nor JPEG"),
        ] {
            if n > 0 {
                let pictures = counted(n, "picture", "pictures");
                account.warnings.push(format!("{pictures} left out {what}"));
            }
        }
    }
}

fn is_picture(path: &Path) -> bool {
    ["png", "jpg", "jpeg"]
        .into_iter()
        .any(|end| ends_in(path, end))
}
