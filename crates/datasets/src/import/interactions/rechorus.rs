//! The ReChorus layout: train.csv, dev.csv and test.csv with ids from 1, and item tables.

use std::path::Path;

use super::super::ImportError;
use super::super::table::Table;
use super::item_tables::{Divided, ItemColumns};
use super::rows::{Ids, Interactions, Part, Repeats, RowColumns};

/// The files and their parts.
const FILES: [(&str, Part); 3] = [
    ("train.csv", Part::Train),
    ("dev.csv", Part::Dev),
    ("test.csv", Part::Test),
];

/// Item tables, the most telling first, with the names their columns may have.
const ITEM_TABLES: [&str; 4] = [
    "item_meta_all_info.csv",
    "item_info.csv",
    "item_meta_all.csv",
    "item_meta.csv",
];

/// Reads a folder.
///
/// A user's items stand in the order of (time, user) over train, dev and test, rows of equal time
/// in the order of the files: as ReChorus builds histories. It also keeps every repeat.
pub(super) fn read(folder: &Path) -> Result<Interactions, ImportError> {
    if !folder.is_dir() {
        return Err(ImportError::NotAFolder {
            path: folder.to_owned(),
        });
    }
    let mut interactions = Interactions::new(Ids::FromOne, Repeats::Kept);
    interactions.parts_stated = true;
    let recognised = &mut interactions.account.recognised;
    recognised.push("layout ReChorus".to_owned());
    let mut counts = [0; 3];
    for (name, part) in FILES {
        let table = Table::read(&folder.join(name), None)?;
        counts[part as usize] = table.rows.len();
        if table.find("neg_items").is_some() {
            interactions.account.recognised.push(format!(
                "{name}: the column neg_items is not used, ranking is over all items"
            ));
        }
        let columns = RowColumns {
            user: table.column("user_id")?,
            item: table.column("item_id")?,
            time: Some(table.column("time")?),
            rating: table.find("rating"),
        };
        interactions.read_rows(&table, columns, part)?;
    }
    interactions.account.recognised.push(format!(
        "{} rows for training, {} for dev, {} for test",
        counts[0], counts[1], counts[2]
    ));
    read_items(folder, &mut interactions)?;
    Ok(interactions)
}

/// Titles and categories from whatever item tables are there; ids without any get empty ones.
fn read_items(folder: &Path, interactions: &mut Interactions) -> Result<(), ImportError> {
    for name in ITEM_TABLES {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        let table = Table::read(&path, None)?;
        let first = |names: &[&str]| names.iter().find_map(|name| table.find(name));
        let columns = ItemColumns {
            item: table.column("item_id")?,
            title: first(&["title", "track_name"]),
            categories: first(&["genres", "categories", "max_tag"]),
            coded: table.find("i_category"),
            source_id: first(&["raw_id", "movieId"]),
            picture: first(&["picture", "picture_path", "image", "image_path"]),
            divided: Divided::AtBars,
        };
        interactions
            .item_tables
            .read(&table, columns, Ids::FromOne, &mut interactions.account)?;
    }
    Ok(())
}
