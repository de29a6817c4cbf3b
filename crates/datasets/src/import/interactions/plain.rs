//! A table of interactions, its columns stated or recognised by name, and a table of items.

use std::path::Path;

use super::super::columns::{ColumnMap, Role, is_identifying};
use super::super::table::Table;
use super::super::{ImportError, absolute};
use super::item_tables::{ItemColumns, column_of, columns_of_items};
use super::rows::{Ids, Interactions, Part, Repeats, RowColumns};

/// Reads one row per interaction.
///
/// Ids are any text and are numbered from 1 in order of first appearance. Repeats are kept: a
/// track may be heard twice.
pub(super) fn read(
    path: &Path,
    columns: &ColumnMap,
    items: Option<&Path>,
) -> Result<Interactions, ImportError> {
    const WANTED: [Role; 4] = [Role::User, Role::Item, Role::Time, Role::Rating];
    if !path.is_file() {
        return Err(ImportError::nothing(
            path,
            "the csv layout is a file with one row per interaction",
        ));
    }
    let table = Table::read(path, None)?;
    let item_table = items
        .map(|items| Table::read(&absolute(items)?, None))
        .transpose()?;
    let found = columns.only(&WANTED).resolve(&table, &WANTED)?;
    let row_columns = RowColumns {
        user: found.require(Role::User, &table)?,
        item: found.require(Role::Item, &table)?,
        time: found.get(Role::Time),
        rating: found.get(Role::Rating),
    };
    let mut interactions = Interactions::new(Ids::Text, Repeats::Kept);
    let recognised = &mut interactions.account.recognised;
    recognised.push("layout CSV".to_owned());
    recognised.push(found.describe(&table));
    interactions.read_rows(&table, row_columns, Part::Train)?;
    let user_column = &table.headers[row_columns.user];
    if is_identifying(user_column) {
        interactions.users.number_all();
        interactions.account.warnings.push(format!(
            "the column `{user_column}` may identify people: users are numbered in the order of \
             appearance, and its values are not stored"
        ));
    }

    if let Some(item_table) = &item_table {
        let found = columns_of_items(columns, item_table, Some(&table))?;
        interactions
            .item_tables
            .read(item_table, found, Ids::Text, &mut interactions.account)?;
    }
    let elsewhere = item_table.as_ref();
    let inline = ItemColumns {
        title: column_of(Role::Title, columns, &table, elsewhere)?,
        categories: column_of(Role::Categories, columns, &table, elsewhere)?,
        picture: column_of(Role::Picture, columns, &table, elsewhere)?,
        ..ItemColumns::of(row_columns.item)
    };
    if inline
        .title
        .or(inline.categories)
        .or(inline.picture)
        .is_some()
    {
        for row in 0..table.rows.len() {
            if let Some(id) = Ids::Text.read(&table, row, inline.item)? {
                interactions.item_tables.read_facts(&table, row, inline, id);
            }
        }
    }
    Ok(interactions)
}
