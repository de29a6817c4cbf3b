//! The MovieLens layouts of `GroupLens`: ratings of films, by default all taken as interactions and
//! thinned to a 5-core.

use std::path::Path;

use super::super::ImportError;
use super::super::table::{Table, Writing};
use super::folder_of;
use super::item_tables::{ItemColumns, ItemTables};
use super::rows::{Ids, Interactions, Part, Repeats, RowColumns};

/// How one edition is written.
struct Edition {
    name: &'static str,
    ratings: &'static str,
    films: &'static str,
    /// What stands between fields; for `None` the table tells.
    separators: Option<[&'static str; 2]>,
}

/// The editions, told apart by the name of the file of ratings.
const EDITIONS: [Edition; 3] = [
    Edition {
        name: "latest",
        ratings: "ratings.csv",
        films: "movies.csv",
        separators: None,
    },
    Edition {
        name: "1M",
        ratings: "ratings.dat",
        films: "movies.dat",
        separators: Some(["::", "::"]),
    },
    Edition {
        name: "100k",
        ratings: "u.data",
        films: "u.item",
        separators: Some(["\t", "|"]),
    },
];

/// Columns of ratings.
const RATINGS: [&str; 4] = ["userId", "movieId", "rating", "timestamp"];

/// Genres of `u.item`, in the order of its flags, which are its last columns.
const FLAGS: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// Reads the ratings of an edition and its films.
///
/// A user has one rating per film: a further one is left out. A user's items stand in order of
/// time, ratings of the same second in order of the file. Item ids count from 1 in order of the
/// film's number.
pub(super) fn read(path: &Path) -> Result<Interactions, ImportError> {
    let folder = folder_of(path);
    let is_there = |edition: &&Edition| {
        let ratings = folder.join(edition.ratings);
        ratings.is_file() && (path.is_dir() || ratings == path)
    };
    let Some(edition) = EDITIONS.iter().find(is_there) else {
        return Err(ImportError::nothing(
            path,
            "the MovieLens layout has ratings.csv, ratings.dat or u.data, and none of these is there",
        ));
    };
    let mut interactions = Interactions::new(Ids::Numbers, Repeats::Dropped);
    interactions
        .account
        .recognised
        .push(format!("layout MovieLens, edition {}", edition.name));
    let [of_ratings, of_films] = edition.separators.map_or([None; 2], |both| both.map(Some));
    let table = read_table(&folder.join(edition.ratings), &RATINGS, of_ratings)?;
    let columns = RowColumns {
        user: table.column("userId")?,
        item: table.column("movieId")?,
        time: Some(table.column("timestamp")?),
        rating: table.find("rating"),
    };
    interactions.read_rows(&table, columns, Part::Train)?;
    let films = folder.join(edition.films);
    if !films.is_file() {
        let sentence = format!(
            "{} is absent: films have neither title nor genre",
            edition.films
        );
        interactions.account.warnings.push(sentence);
    } else if edition.films == "u.item" {
        read_flagged_films(&films, &mut interactions)?;
    } else {
        let table = read_table(&films, &["movieId", "title", "genres"], of_films)?;
        let columns = ItemColumns {
            title: Some(table.column("title")?),
            categories: table.find("genres"),
            ..ItemColumns::of(table.column("movieId")?)
        };
        interactions
            .item_tables
            .read(&table, columns, Ids::Numbers, &mut interactions.account)?;
    }
    Ok(interactions)
}

/// A table of `GroupLens`. Without a separator of its own its first line is a header if its first
/// field is not a number; else there is no header, and text may be Latin-1.
fn read_table(
    path: &Path,
    header: &[&str],
    separator: Option<&'static str>,
) -> Result<Table, ImportError> {
    if let Some(separator) = separator {
        let writing = Writing {
            header: Some(header),
            separator,
            quoted: false,
            latin1: true,
        };
        return Table::read_written(path, writing);
    }
    let table = Table::read(path, None)?;
    let first = table.headers.first().map_or("", String::as_str);
    if first.parse::<u32>().is_err() {
        return Ok(table);
    }
    Table::read(path, Some(header))
}

/// Reads `u.item`: number, title, two dates, an address, and a flag per genre.
fn read_flagged_films(path: &Path, interactions: &mut Interactions) -> Result<(), ImportError> {
    let mut header = vec!["movieId", "title", "released", "video released", "address"];
    let first_flag = header.len();
    header.extend(FLAGS);
    let table = read_table(path, &header, Some("|"))?;
    let columns = ItemColumns {
        title: Some(1),
        ..ItemColumns::of(0)
    };
    interactions
        .item_tables
        .read(&table, columns, Ids::Numbers, &mut interactions.account)?;
    for row in 0..table.rows.len() {
        let mut genres = Vec::new();
        for (column, genre) in (first_flag..).zip(FLAGS) {
            match table.cell(row, column) {
                "0" => {}
                "1" => genres.push(genre.to_owned()),
                _ => return Err(table.bad_value(row, column, "a flag: 0 or 1")),
            }
        }
        let id = Ids::Numbers.read(&table, row, 0)?;
        set_genres(&mut interactions.item_tables, id, genres);
    }
    Ok(())
}

fn set_genres(tables: &mut ItemTables, id: Option<String>, genres: Vec<String>) {
    let facts = id.and_then(|id| tables.by_id.get_mut(&id));
    if let Some(facts) = facts.filter(|facts| facts.categories.is_empty()) {
        facts.categories = genres;
    }
}
