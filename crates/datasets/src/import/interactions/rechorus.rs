//! The ReChorus layout: train.csv, dev.csv and test.csv with ids from 1, and item tables.

use std::collections::BTreeMap;
use std::path::Path;

use schema::CatalogueItem;

use super::super::table::Table;
use super::super::{ImportError, counted};
use super::histories::{Histories, UserHistory};

/// One row of a file: when, who, what.
#[derive(Debug, Clone, Copy)]
struct Interaction {
    time: i64,
    user: u32,
    item: u32,
    /// 0 train, 1 dev, 2 test.
    part: usize,
}

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
/// in the order of the files: as ReChorus builds histories.
pub(super) fn read(folder: &Path) -> Result<Histories, ImportError> {
    let mut rows = Vec::new();
    let mut recognised = vec!["layout ReChorus".to_owned()];
    let mut counts = [0; 3];
    for (part, name) in ["train.csv", "dev.csv", "test.csv"].into_iter().enumerate() {
        let table = Table::read(&folder.join(name), None)?;
        counts[part] = table.rows.len();
        if table.find("neg_items").is_some() {
            recognised.push(format!(
                "{name}: the column neg_items is not used, ranking is over all items"
            ));
        }
        read_part(&table, part, &mut rows)?;
    }
    recognised.push(format!(
        "{} rows for training, {} for dev, {} for test",
        counts[0], counts[1], counts[2]
    ));
    rows.sort_by_key(|row| (row.time, row.user));
    let mut by_user: BTreeMap<u32, Vec<Interaction>> = BTreeMap::new();
    for row in &rows {
        by_user.entry(row.user).or_default().push(*row);
    }
    let mut histories = Histories {
        recognised,
        ..Histories::default()
    };
    let (mut n_mixed, mut n_uneven) = (0, 0);
    for (user, mut rows) in by_user {
        if !rows.is_sorted_by_key(|row| row.part) {
            n_mixed += 1;
            rows.sort_by_key(|row| row.part);
        }
        let count = |part: usize| rows.iter().filter(|row| row.part == part).count();
        let (n_dev, n_test) = (count(1), count(2));
        n_uneven += usize::from((n_dev, n_test) != (1, 1));
        histories.users.push(UserHistory {
            user: user.to_string(),
            items: rows.iter().map(|row| row.item).collect(),
            n_dev,
            n_test,
        });
    }
    if n_mixed > 0 {
        histories.warnings.push(format!(
            "{} with held-out rows older than training rows: held-out items were put last",
            counted(n_mixed, "user", "users")
        ));
    }
    if n_uneven > 0 {
        histories.warnings.push(format!(
            "the split is not leave-one-out: {} without exactly one dev and one test item; all \
             their held-out items are kept out of training and each is a target of its own",
            counted(n_uneven, "user", "users")
        ));
    }
    let highest = rows.iter().map(|row| row.item).max().unwrap_or(0);
    read_catalogue(folder, highest, &mut histories)?;
    Ok(histories)
}

fn read_part(table: &Table, part: usize, rows: &mut Vec<Interaction>) -> Result<(), ImportError> {
    let (user, item) = (table.column("user_id")?, table.column("item_id")?);
    let time = table.column("time")?;
    rows.reserve(table.rows.len());
    for row in 0..table.rows.len() {
        rows.push(Interaction {
            time: table
                .cell(row, time)
                .parse()
                .ok()
                .ok_or_else(|| table.bad_value(row, time, "a time in whole seconds"))?,
            user: id(table, row, user)?,
            item: id(table, row, item)?,
            part,
        });
    }
    Ok(())
}

/// Ids beyond this are not of this layout, whose ids have no gaps.
const HIGHEST_ID: u32 = 50_000_000;

fn id(table: &Table, row: usize, column: usize) -> Result<u32, ImportError> {
    table
        .cell(row, column)
        .parse()
        .ok()
        .filter(|id| (1..=HIGHEST_ID).contains(id))
        .ok_or_else(|| table.bad_value(row, column, "an id from 1"))
}

/// Titles and categories from whatever item tables are there; ids without any get empty ones.
fn read_catalogue(
    folder: &Path,
    highest: u32,
    histories: &mut Histories,
) -> Result<(), ImportError> {
    let mut items: BTreeMap<u32, CatalogueItem> = BTreeMap::new();
    for name in ITEM_TABLES {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        let table = Table::read(&path, None)?;
        let item = table.column("item_id")?;
        let title = ["title", "track_name"].iter().find_map(|n| table.find(n));
        let named = ["genres", "categories", "max_tag"]
            .iter()
            .find_map(|n| table.find(n));
        let coded = table.find("i_category");
        for row in 0..table.rows.len() {
            let id = id(&table, row, item)?;
            let entry = items.entry(id).or_default();
            entry.id = id;
            if entry.title.is_empty() {
                table.optional(row, title).clone_into(&mut entry.title);
            }
            if entry.categories.is_empty() {
                entry.categories = named_categories(table.optional(row, named));
            }
            let code = table.optional(row, coded);
            if entry.categories.is_empty() && !code.is_empty() && code != "0" {
                entry.categories.push(format!("category {code}"));
            }
        }
        histories
            .recognised
            .push(format!("{name}: {} items", table.rows.len()));
    }
    let highest = highest.max(items.keys().next_back().copied().unwrap_or(0));
    histories.catalogue = (1..=highest)
        .map(|id| {
            items.remove(&id).unwrap_or(CatalogueItem {
                id,
                ..CatalogueItem::default()
            })
        })
        .collect();
    Ok(())
}

/// Categories of a cell such as `Comedy|Drama`.
pub(super) fn named_categories(cell: &str) -> Vec<String> {
    cell.split('|')
        .map(str::trim)
        .filter(|name| !name.is_empty() && *name != "(no genres listed)")
        .map(str::to_owned)
        .collect()
}
