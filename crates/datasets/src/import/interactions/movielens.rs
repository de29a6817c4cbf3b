//! The MovieLens layout: ratings of films, all taken as interactions, thinned to a 5-core.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schema::{CatalogueItem, Skipped};

use super::super::ImportError;
use super::super::table::Table;
use super::histories::{Histories, UserHistory};
use super::rechorus::named_categories;

/// Users with fewer items, and items with fewer users, are left out.
const CORE: usize = 5;

/// One rating; its height is not used.
#[derive(Debug, Clone, Copy)]
struct Rating {
    user: u32,
    film: u32,
    time: i64,
}

/// Reads `ratings.csv` and `movies.csv`, with or without header.
///
/// Every rating is an interaction. Users and films with fewer than 5 are left out until none is
/// (5-core). A user's items stand in order of time, ratings of the same second in order of the
/// file; the last is for test, the one before it for dev. Item ids count from 1 in order of the
/// film's number.
pub(super) fn read(folder: &Path) -> Result<Histories, ImportError> {
    let path = folder.join("ratings.csv");
    let table = read_table(&path, &["userId", "movieId", "rating", "timestamp"])?;
    let mut histories = Histories {
        recognised: vec!["layout MovieLens".to_owned()],
        ..Histories::default()
    };
    let mut ratings = read_ratings(&table, &mut histories.skipped)?;
    let n_all = ratings.len();
    keep_core(&mut ratings);
    histories.recognised.push(format!(
        "{n_all} ratings, all taken as interactions whatever their height; {} left in the 5-core",
        ratings.len()
    ));
    ratings.sort_by_key(|rating| (rating.user, rating.time));

    let films: BTreeSet<u32> = ratings.iter().map(|rating| rating.film).collect();
    let ids: BTreeMap<u32, u32> = films.into_iter().zip(1..).collect();
    for ratings in ratings.chunk_by(|a, b| a.user == b.user) {
        histories.users.push(UserHistory {
            user: ratings[0].user.to_string(),
            items: ratings.iter().map(|rating| ids[&rating.film]).collect(),
            n_dev: 1,
            n_test: 1,
        });
    }
    read_films(folder, &ids, &mut histories)?;
    Ok(histories)
}

/// A table of GroupLens: its first line is a header if its first field is not a number.
fn read_table(path: &Path, header: &[&str]) -> Result<Table, ImportError> {
    let table = Table::read(path, None)?;
    let first = table.headers.first().map_or("", String::as_str);
    if first.parse::<u32>().is_err() {
        return Ok(table);
    }
    if table.headers.len() != header.len() {
        return Err(ImportError::Table {
            path: path.to_owned(),
            place: "line 1".to_owned(),
            problem: format!(
                "{} fields where {} ({}) were expected",
                table.headers.len(),
                header.len(),
                header.join(", ")
            ),
        });
    }
    Table::read(path, Some(header))
}

fn read_ratings(table: &Table, skipped: &mut Vec<Skipped>) -> Result<Vec<Rating>, ImportError> {
    let (user, film) = (table.column("userId")?, table.column("movieId")?);
    let time = table.column("timestamp")?;
    let number = |row: usize, column: usize, expected: &str| {
        let cell = table.cell(row, column);
        cell.parse::<i64>()
            .ok()
            .ok_or_else(|| table.bad_value(row, column, expected))
    };
    let id = |row: usize, column: usize| {
        let value = number(row, column, "a whole number")?;
        u32::try_from(value)
            .ok()
            .ok_or_else(|| table.bad_value(row, column, "a whole number from 0"))
    };
    let mut seen = BTreeSet::new();
    let mut ratings = Vec::with_capacity(table.rows.len());
    for row in 0..table.rows.len() {
        let rating = Rating {
            user: id(row, user)?,
            film: id(row, film)?,
            time: number(row, time, "a time in whole seconds")?,
        };
        if seen.insert((rating.user, rating.film)) {
            ratings.push(rating);
        } else {
            skipped.push(Skipped {
                place: format!("{}, line {}", table.path.display(), table.line(row)),
                reason: "the user rated the same film before".to_owned(),
            });
        }
    }
    Ok(ratings)
}

/// Drops users and films with fewer than [`CORE`] ratings until all have as many.
fn keep_core(ratings: &mut Vec<Rating>) {
    loop {
        let before = ratings.len();
        let mut users: BTreeMap<u32, usize> = BTreeMap::new();
        let mut films: BTreeMap<u32, usize> = BTreeMap::new();
        for rating in ratings.iter() {
            *users.entry(rating.user).or_default() += 1;
            *films.entry(rating.film).or_default() += 1;
        }
        ratings.retain(|rating| users[&rating.user] >= CORE && films[&rating.film] >= CORE);
        if ratings.len() == before {
            return;
        }
    }
}

fn read_films(
    folder: &Path,
    ids: &BTreeMap<u32, u32>,
    histories: &mut Histories,
) -> Result<(), ImportError> {
    let mut catalogue: Vec<CatalogueItem> = ids
        .values()
        .map(|&id| CatalogueItem {
            id,
            ..CatalogueItem::default()
        })
        .collect();
    let path = folder.join("movies.csv");
    if path.is_file() {
        let table = read_table(&path, &["movieId", "title", "genres"])?;
        let (film, title) = (table.column("movieId")?, table.column("title")?);
        let genres = table.find("genres");
        for row in 0..table.rows.len() {
            let raw: u32 = table
                .cell(row, film)
                .parse()
                .ok()
                .ok_or_else(|| table.bad_value(row, film, "a whole number"))?;
            let Some(&id) = ids.get(&raw) else {
                continue;
            };
            let item = &mut catalogue[id as usize - 1];
            table.cell(row, title).clone_into(&mut item.title);
            item.categories = named_categories(table.optional(row, genres));
        }
    } else {
        histories
            .warnings
            .push("movies.csv is absent: films have neither title nor genre".to_owned());
    }
    histories.catalogue = catalogue;
    Ok(())
}
