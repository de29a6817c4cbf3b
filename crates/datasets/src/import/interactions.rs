//! Imports item histories of users, and hands a recommender's trainer what it needs of them.

use std::path::{Path, PathBuf};

use schema::{DatasetKind, DatasetManifest, SampleRecord};

use super::columns::{ColumnMap, Role};
use super::{ImportError, ImportPlan, absolute, counted};

mod account;
mod catalogue;
mod histories;
mod item_tables;
mod layout;
mod movielens;
mod pictures;
mod plain;
mod prepare;
mod recbole;
mod rechorus;
mod rows;
mod splits;
mod times;

pub use histories::{InteractionTables, UserHistory};
pub use layout::{Layout, SplitRule};

use histories::Histories;

/// Where interactions are read from, and what is taken of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InteractionSource {
    /// A folder, or one file of it.
    pub path: PathBuf,
    /// How the files are arranged; judged by the files where it is `None`.
    pub layout: Option<Layout>,
    /// Which columns hold what, for tables and `RecBole` files; for the table of items with any
    /// layout.
    pub columns: ColumnMap,
    /// A further table of items: titles, categories, pictures by the source's item ids.
    pub items: Option<PathBuf>,
    /// Which interactions are held out; what the files state where it is `None`, else
    /// leave-one-out.
    pub split: Option<SplitRule>,
    /// The least rating that counts as an interaction; all count where it is `None`.
    pub min_rating: Option<f64>,
    /// Users with fewer interactions, and items with fewer, are left out until none is; 1 leaves
    /// out none. `None` is 5 for MovieLens, as `RecSAE` takes it, and 1 for all others.
    pub core: Option<u32>,
}

impl InteractionSource {
    /// Everything at `path`, by the conventions of its layout.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// The columns of interactions and items, or the error for a part that has no meaning here.
    fn check_columns(&self, layout: Layout) -> Result<(), ImportError> {
        const OF_ITEMS: [Role; 4] = [Role::Item, Role::Title, Role::Categories, Role::Picture];
        const OF_ROWS: [Role; 3] = [Role::User, Role::Time, Role::Rating];
        match layout {
            Layout::RecBole | Layout::Csv => {
                self.columns.allow(&[&OF_ITEMS[..], &OF_ROWS[..]].concat())
            }
            _ if self.columns.is_empty() => Ok(()),
            _ if self.items.is_some() => self.columns.allow(&OF_ITEMS),
            _ => Err(ImportError::Request(format!(
                "the {} layout names its own columns; a column mapping is for the csv and recbole \
                 layouts, or for a table of items",
                layout.name()
            ))),
        }
    }
}

/// Works out what importing interactions would give: one record per user.
///
/// `items` of a record are the user's whole history, oldest first; the last `n_held_out` of them
/// are not for training. In leave-one-out that is two: dev, then test. Otherwise the facts `dev`
/// and `test` say how many of the held-out ones belong to which. The fact `user_number` is the
/// user's row in tables made from the source, where that is not the record's index + 1.
///
/// Nothing is left out unsaid: every rule that takes rows away says how many in `recognised` or
/// `warnings`, and rows that are damaged or stand twice are listed in the manifest's `skipped`.
///
/// # Errors
/// [`ImportError`] if a file cannot be read, a column is absent, a value is not a number or an id
/// out of range, something is asked for that the source has not, or nothing is left.
pub fn import_interactions(
    name: &str,
    source: &InteractionSource,
) -> Result<ImportPlan, ImportError> {
    let path = absolute(&source.path)?;
    let layout = match source.layout {
        Some(layout) => layout,
        None if path.is_file() && !source.columns.is_empty() => Layout::Csv,
        None => {
            Layout::detect(&path).ok_or_else(|| ImportError::nothing(&path, layout::UNKNOWN))?
        }
    };
    source.check_columns(layout)?;
    let mut interactions = match layout {
        Layout::ReChorus => rechorus::read(&path)?,
        Layout::MovieLens => movielens::read(&path)?,
        Layout::RecBole => recbole::read(&path, &source.columns)?,
        Layout::Csv => plain::read(&path, &source.columns, source.items.as_deref())?,
    };
    if let (Some(items), false) = (&source.items, layout == Layout::Csv) {
        item_tables::read_further(&mut interactions, items, &source.columns)?;
    }
    let core = source.core.unwrap_or(layout.usual_core());
    let histories = prepare::prepare(&path, interactions, source, core)?;
    plan(name, &path, histories)
}

/// The folder of a source that may be a file.
fn folder_of(path: &Path) -> &Path {
    if path.is_file() {
        path.parent().unwrap_or(path)
    } else {
        path
    }
}

fn plan(name: &str, path: &Path, histories: Histories) -> Result<ImportPlan, ImportError> {
    let records: Vec<SampleRecord> = histories
        .users
        .iter()
        .enumerate()
        .map(|(index, user)| histories::record_of(index, user))
        .collect();
    if records.is_empty() {
        return Err(ImportError::nothing(path, "no interactions are left"));
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
    let account = histories.account;
    recognised.extend(account.recognised);
    Ok(ImportPlan {
        n_skipped: account.n_skipped,
        manifest: DatasetManifest {
            name: name.to_owned(),
            kind: DatasetKind::Interactions,
            n_samples: records.len() as u32,
            findings,
            source: path.display().to_string(),
            licence: None,
            skipped: account.skipped,
            planted: false,
            seed: None,
        },
        records,
        catalogue: histories.catalogue,
        recognised,
        warnings: account.warnings,
    })
}

#[cfg(test)]
mod tests;
