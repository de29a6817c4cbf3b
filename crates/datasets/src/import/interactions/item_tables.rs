//! What tables say of items: titles, categories, pictures, by the source's ids.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::super::columns::{ColumnMap, Role, usual_names};
use super::super::table::Table;
use super::super::{ImportError, absolute, counted};
use super::account::Account;
use super::folder_of;
use super::rows::{Ids, Interactions};

/// What is known of one item.
#[derive(Debug, Default)]
pub(super) struct ItemFacts {
    pub(super) title: String,
    pub(super) categories: Vec<String>,
    /// What a further column says that another source calls it.
    pub(super) source_id: Option<String>,
    /// Where its picture should be.
    pub(super) picture: Option<PathBuf>,
}

/// How a cell divides into categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Divided {
    /// `Comedy|Drama`; without a bar, at semicolons.
    AtBars,
    /// `Comedy Drama`, `RecBole`'s sequences of tokens; where there are commas, at these.
    AtBlanks,
}

/// Where a table has what it says of items.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemColumns {
    pub(super) item: usize,
    pub(super) title: Option<usize>,
    pub(super) categories: Option<usize>,
    /// A column of numbers that stand for categories, 0 for none.
    pub(super) coded: Option<usize>,
    pub(super) source_id: Option<usize>,
    pub(super) picture: Option<usize>,
    pub(super) divided: Divided,
}

impl ItemColumns {
    /// Only ids so far.
    pub(super) fn of(item: usize) -> Self {
        Self {
            item,
            title: None,
            categories: None,
            coded: None,
            source_id: None,
            picture: None,
            divided: Divided::AtBars,
        }
    }
}

/// What all tables say of items. What an earlier table says is not overruled by a later one.
#[derive(Debug, Default)]
pub(super) struct ItemTables {
    pub(super) by_id: HashMap<String, ItemFacts>,
    /// Highest id in a table whose ids are numbers, and where it stands.
    pub(super) highest: Option<(u32, String)>,
}

impl ItemTables {
    /// Takes in a table with one row per item, and says so.
    pub(super) fn read(
        &mut self,
        table: &Table,
        columns: ItemColumns,
        ids: Ids,
        account: &mut Account,
    ) -> Result<(), ImportError> {
        let mut seen = HashSet::new();
        let (mut twice, mut nameless) = (0, Vec::new());
        for row in 0..table.rows.len() {
            let Some(id) = ids.read(table, row, columns.item)? else {
                nameless.push(format!(
                    "{}, line {}",
                    table.path.display(),
                    table.line(row)
                ));
                continue;
            };
            if ids != Ids::Text {
                let number = id.parse().unwrap_or(0);
                if self
                    .highest
                    .as_ref()
                    .is_none_or(|(highest, _)| number > *highest)
                {
                    let place = format!("{}, line {}", table.path.display(), table.line(row));
                    self.highest = Some((number, place));
                }
            }
            self.read_facts(table, row, columns, id.clone());
            twice += usize::from(!seen.insert(id));
        }
        account.leave_out(&nameless, "the row names no item");
        let name = table.path.file_name().unwrap_or(table.path.as_os_str());
        let name = name.display();
        let n = counted(seen.len(), "item", "items");
        account.recognised.push(format!("{name}: {n}"));
        if twice > 0 {
            account.warnings.push(format!(
                "{name}: {} an item that stood before; what the first says counts",
                counted(twice, "row is of", "rows are of")
            ));
        }
        Ok(())
    }

    /// Takes in what one row says of the item `id`.
    pub(super) fn read_facts(
        &mut self,
        table: &Table,
        row: usize,
        columns: ItemColumns,
        id: String,
    ) {
        let facts = self.by_id.entry(id).or_default();
        if facts.title.is_empty() {
            table
                .optional(row, columns.title)
                .clone_into(&mut facts.title);
        }
        if facts.categories.is_empty() {
            let cell = table.optional(row, columns.categories);
            facts.categories = categories_of(cell, columns.divided);
        }
        let code = table.optional(row, columns.coded);
        if facts.categories.is_empty() && !code.is_empty() && code != "0" {
            facts.categories.push(format!("category {code}"));
        }
        let source_id = table.optional(row, columns.source_id);
        if facts.source_id.is_none() && !source_id.is_empty() {
            facts.source_id = Some(source_id.to_owned());
        }
        let picture = table.optional(row, columns.picture);
        if facts.picture.is_none() && !picture.is_empty() {
            // An absolute path replaces the folder; an address is told apart later.
            facts.picture = Some(folder_of(&table.path).join(picture));
        }
    }
}

/// Reads a table of items that the user names beside a layout's own.
pub(super) fn read_further(
    interactions: &mut Interactions,
    path: &Path,
    columns: &ColumnMap,
) -> Result<(), ImportError> {
    let table = Table::read(&absolute(path)?, None)?;
    let columns = columns_of_items(columns, &table, None)?;
    interactions
        .item_tables
        .read(&table, columns, interactions.ids, &mut interactions.account)
}

/// Finds the columns of a table of items. A stated column may be in the table `elsewhere` instead.
pub(super) fn columns_of_items(
    columns: &ColumnMap,
    table: &Table,
    elsewhere: Option<&Table>,
) -> Result<ItemColumns, ImportError> {
    let usual = || {
        usual_names(Role::Item)
            .iter()
            .find_map(|name| table.find(name))
    };
    let item = columns
        .stated(Role::Item)
        .and_then(|name| table.find(name))
        .or_else(usual);
    let item = match item {
        Some(item) => item,
        None => columns
            .only(&[Role::Item])
            .resolve(table, &[Role::Item])?
            .require(Role::Item, table)?,
    };
    let mut found = ItemColumns::of(item);
    found.title = column_of(Role::Title, columns, table, elsewhere)?;
    if found.title.is_none() && columns.stated(Role::Title).is_none() {
        found.title = table.find("name");
    }
    found.categories = column_of(Role::Categories, columns, table, elsewhere)?;
    found.picture = column_of(Role::Picture, columns, table, elsewhere)?;
    Ok(found)
}

/// The column that plays a part, stated or recognised by name.
pub(super) fn column_of(
    role: Role,
    columns: &ColumnMap,
    table: &Table,
    elsewhere: Option<&Table>,
) -> Result<Option<usize>, ImportError> {
    let Some(stated) = columns.stated(role) else {
        return Ok(usual_names(role).iter().find_map(|name| table.find(name)));
    };
    let found = table.find(stated);
    if found.is_none() && elsewhere.is_none_or(|other| other.find(stated).is_none()) {
        return Err(table.missing(&format!("`{stated}`")));
    }
    Ok(found)
}

/// Categories of a cell, each once, in the order of the cell.
pub(super) fn categories_of(cell: &str, divided: Divided) -> Vec<String> {
    let separator = match divided {
        _ if cell.contains('|') => '|',
        Divided::AtBars => ';',
        Divided::AtBlanks if cell.contains(',') => ',',
        Divided::AtBlanks => ' ',
    };
    let mut names: Vec<String> = Vec::new();
    for name in cell.split(separator) {
        let mut name = name.trim();
        if divided == Divided::AtBlanks {
            name = name.trim_matches(['[', ']', '\'', '"']);
        }
        if !name.is_empty() && name != "(no genres listed)" && !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_divide_as_their_source_writes_them() {
        for (cell, divided, expected) in [
            ("Comedy|Drama", Divided::AtBars, &["Comedy", "Drama"][..]),
            (
                "Sci-Fi; Film noir",
                Divided::AtBars,
                &["Sci-Fi", "Film noir"],
            ),
            ("Film noir", Divided::AtBars, &["Film noir"]),
            ("(no genres listed)", Divided::AtBars, &[]),
            (
                "Animation Children's Animation",
                Divided::AtBlanks,
                &["Animation", "Children's"],
            ),
            (
                "['Hair Care', 'Beauty']",
                Divided::AtBlanks,
                &["Hair Care", "Beauty"],
            ),
            ("", Divided::AtBlanks, &[]),
        ] {
            assert_eq!(categories_of(cell, divided), expected, "{cell}");
        }
    }
}
