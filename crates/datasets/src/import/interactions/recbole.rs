//! `RecBole`'s atomic files: tables whose header gives every field a type, `user_id:token`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::columns::{ColumnMap, Role};
use super::super::table::{Table, Writing};
use super::super::{ImportError, counted};
use super::folder_of;
use super::item_tables::{self, Divided};
use super::layout::ends_in;
use super::rows::{Ids, Interactions, Part, Repeats, RowColumns};

/// Ends of the names of a benchmark's files, before `.inter`.
const PARTS: [(&str, Part); 3] = [
    (".train", Part::Train),
    (".valid", Part::Dev),
    (".test", Part::Test),
];

/// Types that `RecBole` knows.
const TYPES: [&str; 4] = ["token", "token_seq", "float", "float_seq"];

/// The files of one dataset.
#[derive(Debug, Default)]
struct Files {
    whole: Option<PathBuf>,
    parts: BTreeMap<Part, PathBuf>,
}

/// Reads `NAME.inter`, or the files of a benchmark where these are there, and `NAME.item`.
///
/// Tokens become ids from 1 in order of first appearance, in the interactions that are left when
/// all is filtered: as `Dataset._remap` of `RecBole` does with `pandas.factorize`. Items that only
/// `NAME.item` names come after these there, if they are loaded at all; here they are left out.
/// Repeats are kept, as with `RecBole`'s own `rm_dup_inter: None`.
pub(super) fn read(path: &Path, columns: &ColumnMap) -> Result<Interactions, ImportError> {
    let (name, files) = find(path)?;
    let mut interactions = Interactions::new(Ids::Text, Repeats::Kept);
    let recognised = &mut interactions.account.recognised;
    recognised.push(format!("layout RecBole, dataset {name}"));
    if files.parts.is_empty() {
        let whole = files.whole.as_deref().unwrap_or(path);
        read_rows(&mut interactions, whole, Part::Train, columns)?;
    } else {
        interactions.parts_stated = true;
        if files.whole.is_some() {
            interactions.account.recognised.push(format!(
                "{name}.inter is not used: the benchmark's files say what is held out; give \
                 {name}.inter itself as the path to read it"
            ));
        }
        for (part, file) in &files.parts {
            read_rows(&mut interactions, file, *part, columns)?;
        }
    }
    let folder = folder_of(path);
    let items = folder.join(format!("{name}.item"));
    if items.is_file() {
        let table = read_typed(&items)?;
        let mut columns = item_tables::columns_of_items(columns, &table, None)?;
        columns.divided = Divided::AtBlanks;
        interactions
            .item_tables
            .read(&table, columns, Ids::Text, &mut interactions.account)?;
    }
    note_users(
        &folder.join(format!("{name}.user")),
        columns,
        &mut interactions,
    )?;
    Ok(interactions)
}

/// The dataset that a path means: a file, or the one dataset of a folder.
fn find(path: &Path) -> Result<(String, Files), ImportError> {
    if path.is_file() {
        let (name, part) = name_of(path).ok_or_else(|| {
            ImportError::nothing(path, "the file of a RecBole dataset ends in .inter")
        })?;
        if part.is_none() {
            let files = Files {
                whole: Some(path.to_owned()),
                ..Files::default()
            };
            return Ok((name, files));
        }
        let mut found = datasets_in(folder_of(path))?;
        let files = found.remove(&name).unwrap_or_default();
        return checked(path, name, files);
    }
    let mut found = datasets_in(path)?;
    let own_name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let name = match found.len() {
        0 => {
            return Err(ImportError::nothing(
                path,
                "it holds no file ending in .inter",
            ));
        }
        1 => found.keys().next().cloned().unwrap_or_default(),
        _ if found.contains_key(own_name) => own_name.to_owned(),
        _ => {
            let names: Vec<&str> = found.keys().map(String::as_str).collect();
            return Err(ImportError::Request(format!(
                "{} holds several datasets, {}; give the .inter file of one",
                path.display(),
                names.join(", ")
            )));
        }
    };
    let files = found.remove(&name).unwrap_or_default();
    checked(path, name, files)
}

/// Refuses a benchmark without training or test.
fn checked(path: &Path, name: String, files: Files) -> Result<(String, Files), ImportError> {
    for (end, part) in PARTS {
        let is_needed = part != Part::Dev && !files.parts.is_empty();
        if is_needed && !files.parts.contains_key(&part) {
            return Err(ImportError::nothing(
                path,
                format!("it has parts of {name}, but no {name}{end}.inter"),
            ));
        }
    }
    Ok((name, files))
}

fn datasets_in(folder: &Path) -> Result<BTreeMap<String, Files>, ImportError> {
    let read = |source| ImportError::read(folder, source);
    let mut found: BTreeMap<String, Files> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if let Some((name, part)) = name_of(&path) {
            let files = found.entry(name).or_default();
            match part {
                Some(part) => {
                    files.parts.insert(part, path);
                }
                None => files.whole = Some(path),
            }
        }
    }
    Ok(found)
}

/// `ml-100k` and no part of `ml-100k.inter`; `ml-100k` and the part of `ml-100k.train.inter`.
fn name_of(path: &Path) -> Option<(String, Option<Part>)> {
    let stem = path
        .file_stem()?
        .to_str()
        .filter(|_| ends_in(path, "inter"))?;
    let part = PARTS
        .iter()
        .find_map(|(end, part)| Some((stem.strip_suffix(end)?, Some(*part))));
    let (name, part) = part.unwrap_or((stem, None));
    Some((name.to_owned(), part))
}

/// A table whose fields have lost their types.
fn read_typed(path: &Path) -> Result<Table, ImportError> {
    let writing = Writing {
        header: None,
        separator: "\t",
        quoted: true,
        latin1: false,
    };
    let mut table = Table::read_written(path, writing)?;
    for header in &mut table.headers {
        match header.rsplit_once(':') {
            Some((field, kind)) if TYPES.contains(&kind) => *header = field.to_owned(),
            _ => {
                return Err(ImportError::Table {
                    path: path.to_owned(),
                    place: format!("line 1, column `{header}`"),
                    problem: format!(
                        "the header is not of the form field:type, the type one of {}",
                        TYPES.join(", ")
                    ),
                });
            }
        }
    }
    Ok(table)
}

fn read_rows(
    interactions: &mut Interactions,
    path: &Path,
    part: Part,
    columns: &ColumnMap,
) -> Result<(), ImportError> {
    const WANTED: [Role; 4] = [Role::User, Role::Item, Role::Time, Role::Rating];
    let table = read_typed(path)?;
    if table.find("item_id_list").is_some() {
        return Err(ImportError::Table {
            path: path.to_owned(),
            place: "line 1, column `item_id_list`".to_owned(),
            problem: "these are sequences made ready for one model; expected a file with one row \
                      per interaction"
                .to_owned(),
        });
    }
    let found = columns.only(&WANTED).resolve(&table, &WANTED)?;
    let columns = RowColumns {
        user: found.require(Role::User, &table)?,
        item: found.require(Role::Item, &table)?,
        time: found.get(Role::Time),
        rating: found.get(Role::Rating),
    };
    let name = path.file_name().unwrap_or(path.as_os_str());
    interactions.account.recognised.push(format!(
        "{}: {}; {}",
        name.display(),
        counted(table.rows.len(), "row", "rows"),
        found.describe(&table)
    ));
    interactions.read_rows(&table, columns, part)
}

/// Users of `NAME.user` who have no interaction are counted; nothing else is read of it.
fn note_users(
    path: &Path,
    columns: &ColumnMap,
    interactions: &mut Interactions,
) -> Result<(), ImportError> {
    if !path.is_file() {
        return Ok(());
    }
    let table = read_typed(path)?;
    let found = columns.only(&[Role::User]).resolve(&table, &[Role::User])?;
    let column = found.require(Role::User, &table)?;
    let n = (0..table.rows.len())
        .filter(|&row| !interactions.users.has(table.cell(row, column)))
        .count();
    let name = path.file_name().unwrap_or(path.as_os_str()).display();
    interactions.account.recognised.push(format!(
        "{name}: {}, {n} of them without interaction and left out; what else it says of users is \
         not read",
        counted(table.rows.len(), "user", "users"),
    ));
    Ok(())
}
