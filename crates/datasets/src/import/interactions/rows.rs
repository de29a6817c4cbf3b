//! Interactions as the files of a layout hold them, before any is left out.

use std::collections::HashMap;
use std::path::PathBuf;

use super::super::ImportError;
use super::super::table::Table;
use super::account::Account;
use super::item_tables::ItemTables;
use super::times;

/// The part of a dataset that files state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Dev,
    Test,
}

/// One interaction: who, what, when, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Index into [`Interactions::users`].
    pub(super) user: u32,
    /// Index into [`Interactions::items`].
    pub(super) item: u32,
    /// 0 where the source has no times.
    pub(super) time: f64,
    pub(super) rating: Option<f64>,
    pub(super) part: Part,
    /// Index into [`Interactions::files`].
    file: u32,
    line: u64,
}

/// How ids of users and items are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// Whole numbers from 1 without large gaps: an item's number is its id.
    FromOne,
    /// Whole numbers with gaps: ids follow the order of the numbers.
    Numbers,
    /// Any text: ids follow the order of first appearance, as `RecBole` numbers tokens.
    Text,
}

/// Whether a user's second interaction with the same item counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Kept,
    Dropped,
}

/// Ids beyond this are not of the ReChorus layout, whose ids have no gaps.
const HIGHEST_ID: u32 = 50_000_000;

impl Ids {
    /// The id in a cell, numbers in their shortest form. `None` where text is blank.
    pub(super) fn read(
        self,
        table: &Table,
        row: usize,
        column: usize,
    ) -> Result<Option<String>, ImportError> {
        let cell = table.cell(row, column);
        let (range, expected) = match self {
            Self::Text => return Ok((!cell.is_empty()).then(|| cell.to_owned())),
            Self::FromOne => (1..=HIGHEST_ID, "an id from 1 to 50000000"),
            Self::Numbers => (0..=u32::MAX, "a whole number from 0 to 4294967295"),
        };
        let number: Option<u32> = cell.parse().ok().filter(|id| range.contains(id));
        let number = number.ok_or_else(|| table.bad_value(row, column, expected))?;
        Ok(Some(number.to_string()))
    }
}

/// Names by the order in which they were first met.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) all: Vec<String>,
    by_name: HashMap<String, u32>,
}

impl Names {
    fn index_of(&mut self, name: String) -> u32 {
        if let Some(&index) = self.by_name.get(&name) {
            return index;
        }
        let index = self.all.len() as u32;
        self.all.push(name.clone());
        self.by_name.insert(name, index);
        index
    }

    /// Forgets the names: each is called by its number, from 1.
    pub(super) fn number_all(&mut self) {
        self.by_name.clear();
        for (name, number) in self.all.iter_mut().zip(1_u32..) {
            *name = number.to_string();
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The name as a number; ids that are numbers were checked when they were read.
    pub(super) fn number(&self, index: u32) -> u32 {
        self.all[index as usize].parse().unwrap_or(u32::MAX)
    }
}

/// Where a table has what an interaction is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowColumns {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) time: Option<usize>,
    pub(super) rating: Option<usize>,
}

/// What the files of a layout hold.
#[derive(Debug)]
pub(super) struct Interactions {
    /// In the order of the files.
    pub(super) rows: Vec<Row>,
    pub(super) users: Names,
    pub(super) items: Names,
    pub(super) item_tables: ItemTables,
    pub(super) ids: Ids,
    pub(super) repeats: Repeats,
    /// Whether rows have times, ratings, and parts that count.
    pub(super) timed: bool,
    pub(super) rated: bool,
    pub(super) parts_stated: bool,
    pub(super) files: Vec<PathBuf>,
    pub(super) account: Account,
}

impl Interactions {
    pub(super) fn new(ids: Ids, repeats: Repeats) -> Self {
        Self {
            rows: Vec::new(),
            users: Names::default(),
            items: Names::default(),
            item_tables: ItemTables::default(),
            ids,
            repeats,
            timed: true,
            rated: true,
            parts_stated: false,
            files: Vec::new(),
            account: Account::default(),
        }
    }

    /// Takes in the rows of a table. Blank ids are left out and listed; times and ratings that are
    /// no numbers are errors.
    pub(super) fn read_rows(
        &mut self,
        table: &Table,
        columns: RowColumns,
        part: Part,
    ) -> Result<(), ImportError> {
        let file = self.files.len() as u32;
        self.files.push(table.path.clone());
        self.timed &= columns.time.is_some();
        self.rated &= columns.rating.is_some();
        self.rows.reserve(table.rows.len());
        let mut nameless = Vec::new();
        for row in 0..table.rows.len() {
            let user = self.ids.read(table, row, columns.user)?;
            let item = self.ids.read(table, row, columns.item)?;
            let (Some(user), Some(item)) = (user, item) else {
                nameless.push(format!(
                    "{}, line {}",
                    table.path.display(),
                    table.line(row)
                ));
                continue;
            };
            let time = columns.time.map_or(Ok(0.0), |column| {
                times::parse(table.cell(row, column))
                    .ok_or_else(|| table.bad_value(row, column, times::EXPECTED))
            })?;
            self.rows.push(Row {
                user: self.users.index_of(user),
                item: self.items.index_of(item),
                time,
                rating: rating(table, row, columns.rating)?,
                part,
                file,
                line: table.line(row),
            });
        }
        self.account
            .leave_out(&nameless, "the row names no user or no item");
        Ok(())
    }

    /// File and line of a row.
    pub(super) fn place(&self, row: &Row) -> String {
        let file = &self.files[row.file as usize];
        format!("{}, line {}", file.display(), row.line)
    }
}

/// The rating in a cell; `None` where it is blank or there is no such column.
fn rating(table: &Table, row: usize, column: Option<usize>) -> Result<Option<f64>, ImportError> {
    let Some(column) = column else {
        return Ok(None);
    };
    let cell = table.cell(row, column);
    if cell.is_empty() {
        return Ok(None);
    }
    let number: Option<f64> = cell.parse().ok().filter(|number: &f64| number.is_finite());
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(table.bad_value(row, column, "a rating: a number")),
    }
}
