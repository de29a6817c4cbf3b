//! Imports item histories of users, and hands a recommender's trainer what it needs of them.

use std::path::Path;

use schema::{DatasetKind, DatasetManifest, SampleRecord};

use super::{ImportError, ImportPlan, absolute, counted};

mod histories;
mod movielens;
mod rechorus;

pub use histories::{InteractionTables, UserHistory};

use histories::Histories;

/// How files of interactions are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `train.csv`, `dev.csv`, `test.csv` with `user_id`, `item_id`, `time`.
    ReChorus,
    /// `ratings.csv` and `movies.csv` of GroupLens, with or without header.
    MovieLens,
}

impl Layout {
    /// The layout of a folder, judged by the files in it.
    pub fn detect(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).is_file();
        if has("train.csv") && has("dev.csv") && has("test.csv") {
            Some(Self::ReChorus)
        } else if has("ratings.csv") {
            Some(Self::MovieLens)
        } else {
            None
        }
    }
}

/// Works out what importing a folder of interactions would give: one record per user.
///
/// `items` of a record are the user's whole history, oldest first; the last `n_held_out` of them
/// are not for training. In a leave-one-out layout that is two: dev, then test. In other layouts
/// the facts `dev` and `test` say how many of the held-out ones belong to which.
///
/// `layout` is guessed from the files where it is `None`.
///
/// # Errors
/// [`ImportError`] if the folder or a file cannot be read, a column is absent, a value is not a
/// number, or nothing is left.
pub fn import_interactions(
    name: &str,
    path: &Path,
    layout: Option<Layout>,
) -> Result<ImportPlan, ImportError> {
    let folder = absolute(path)?;
    if !folder.is_dir() {
        return Err(ImportError::NotAFolder {
            path: path.to_owned(),
        });
    }
    let Some(layout) = layout.or_else(|| Layout::detect(&folder)) else {
        return Err(ImportError::nothing(
            &folder,
            "it holds neither train.csv, dev.csv and test.csv (ReChorus) nor ratings.csv (MovieLens)",
        ));
    };
    let histories = match layout {
        Layout::ReChorus => rechorus::read(&folder)?,
        Layout::MovieLens => movielens::read(&folder)?,
    };
    plan(name, &folder, histories)
}

fn plan(name: &str, folder: &Path, histories: Histories) -> Result<ImportPlan, ImportError> {
    let records: Vec<SampleRecord> = histories.users.iter().map(histories::record_of).collect();
    if records.is_empty() {
        return Err(ImportError::nothing(folder, "no interactions are left"));
    }
    let mut findings: Vec<String> = histories
        .catalogue
        .iter()
        .flat_map(|item| item.categories.iter().cloned())
        .collect();
    findings.sort();
    findings.dedup();
    let n: usize = records.iter().map(|record| record.items.len()).sum();
    let mut recognised = vec![format!(
        "{n} interactions of {} with {}",
        counted(records.len(), "user", "users"),
        counted(histories.catalogue.len(), "item", "items"),
    )];
    recognised.extend(histories.recognised);
    let n_titled = histories
        .catalogue
        .iter()
        .filter(|item| !item.title.is_empty())
        .count();
    recognised.push(format!(
        "{n_titled} items with a title, {} categories",
        findings.len()
    ));
    let mut warnings = histories.warnings;
    if n_titled == 0 {
        warnings.push("no titles: items can be shown by number only".to_owned());
    }
    Ok(ImportPlan {
        manifest: DatasetManifest {
            name: name.to_owned(),
            kind: DatasetKind::Interactions,
            n_samples: records.len() as u32,
            findings,
            source: folder.display().to_string(),
            licence: None,
            skipped: histories.skipped,
            planted: false,
            seed: None,
        },
        records,
        catalogue: histories.catalogue,
        recognised,
        warnings,
    })
}

#[cfg(test)]
mod tests;
