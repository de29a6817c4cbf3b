//! A comma- or tab-separated table with a header, in memory, with errors that name file and row.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};

use super::ImportError;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) headers: Vec<String>,
    pub(super) rows: Vec<StringRecord>,
}

/// How a table is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing<'a> {
    /// Names of the columns, where the file has no header.
    pub(super) header: Option<&'a [&'a str]>,
    /// What stands between fields: one byte, or several such as `::`.
    pub(super) separator: &'static str,
    /// Whether quotation marks enclose fields.
    pub(super) quoted: bool,
    /// Whether text that is not UTF-8 is Latin-1; else it is an error.
    pub(super) latin1: bool,
}

/// Stands for a separator of several bytes; occurs in no text.
const UNIT_SEPARATOR: u8 = 0x1f;

impl Writing<'_> {
    fn delimiter(&self) -> u8 {
        match self.separator.as_bytes() {
            &[byte] => byte,
            _ => UNIT_SEPARATOR,
        }
    }

    /// The text in UTF-8 with a separator of one byte.
    fn as_single_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let mut text = Cow::Borrowed(bytes);
        if self.latin1 && std::str::from_utf8(bytes).is_err() {
            let decoded: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            text = Cow::Owned(decoded.into_bytes());
        }
        let wanted = self.separator.as_bytes();
        if wanted.len() == 1 {
            return text;
        }
        let mut single = Vec::with_capacity(text.len());
        let mut rest = text.as_ref();
        while let Some((&first, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(wanted) {
                single.push(UNIT_SEPARATOR);
                rest = after;
            } else {
                single.push(first);
                rest = after;
            }
        }
        Cow::Owned(single)
    }
}

impl Table {
    /// Reads a whole table; the first line is its header unless `header` gives other names.
    pub(super) fn read(path: &Path, header: Option<&[&str]>) -> Result<Self, ImportError> {
        let bytes = std::fs::read(path).map_err(|source| ImportError::read(path, source))?;
        Self::parse(path, &bytes, header)
    }

    /// Reads a whole table that is written in a way its own bytes do not tell.
    pub(super) fn read_written(path: &Path, writing: Writing<'_>) -> Result<Self, ImportError> {
        let bytes = std::fs::read(path).map_err(|source| ImportError::read(path, source))?;
        Self::parse_written(path, &bytes, writing)
    }

    fn parse(path: &Path, bytes: &[u8], header: Option<&[&str]>) -> Result<Self, ImportError> {
        let first_line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let count = |wanted: u8| first_line.split(|&byte| byte == wanted).count() - 1;
        let separator = [(b'\t', "\t"), (b';', ";")]
            .into_iter()
            .find(|&(d, _)| count(d) > 0 && count(d) >= count(b','))
            .map_or(",", |(_, separator)| separator);
        let writing = Writing {
            header,
            separator,
            quoted: true,
            latin1: false,
        };
        Self::parse_written(path, bytes, writing)
    }

    fn parse_written(path: &Path, bytes: &[u8], writing: Writing<'_>) -> Result<Self, ImportError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let bytes = writing.as_single_bytes(bytes);
        let mut reader = ReaderBuilder::new()
            .delimiter(writing.delimiter())
            .quoting(writing.quoted)
            .has_headers(writing.header.is_none())
            .from_reader(bytes.as_ref());
        let damaged = |error: csv::Error| {
            let row = error.position().map_or(1, csv::Position::line);
            ImportError::Table {
                path: path.to_owned(),
                place: format!("line {row}"),
                problem: match error.kind() {
                    csv::ErrorKind::UnequalLengths {
                        expected_len, len, ..
                    } => format!("{len} fields where the first line has {expected_len}"),
                    csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".to_owned(),
                    _ => error.to_string(),
                },
            }
        };
        let headers: Vec<String> = match writing.header {
            Some(names) => names.iter().map(|name| (*name).to_owned()).collect(),
            None => reader
                .headers()
                .map_err(damaged)?
                .iter()
                .map(|name| name.trim().to_owned())
                .collect(),
        };
        let rows = reader
            .records()
            .collect::<Result<Vec<_>, _>>()
            .map_err(damaged)?;
        if let Some(first) = rows.first().filter(|row| row.len() != headers.len()) {
            return Err(ImportError::Table {
                path: path.to_owned(),
                place: format!("line {}", first.position().map_or(1, csv::Position::line)),
                problem: format!(
                    "{} fields where {} ({}) were expected",
                    first.len(),
                    headers.len(),
                    headers.join(", ")
                ),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            headers,
            rows,
        })
    }

    /// Index of the column called `name`, or, failing that, so but for the case of its letters.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.headers
            .iter()
            .position(|header| header == name)
            .or_else(|| {
                self.headers
                    .iter()
                    .position(|header| header.eq_ignore_ascii_case(name))
            })
    }

    /// Index of a needed column.
    pub(super) fn column(&self, name: &str) -> Result<usize, ImportError> {
        self.find(name)
            .ok_or_else(|| self.missing(&format!("`{name}`")))
    }

    /// The error for a column that is not there; `wanted` is shown as it is.
    pub(super) fn missing(&self, wanted: &str) -> ImportError {
        ImportError::MissingColumn {
            path: self.path.clone(),
            wanted: wanted.to_owned(),
            present: if self.headers.iter().all(String::is_empty) {
                "none".to_owned()
            } else {
                self.headers.join(", ")
            },
        }
    }

    /// The line of a row, counted from 1, for messages.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.rows
            .get(row)
            .and_then(StringRecord::position)
            .map_or(row as u64 + 2, csv::Position::line)
    }

    /// The error for a value that cannot be used.
    pub(super) fn bad_value(&self, row: usize, column: usize, expected: &str) -> ImportError {
        let name = self.headers.get(column).map_or("?", String::as_str);
        ImportError::Table {
            path: self.path.clone(),
            place: format!("line {}, column `{name}`", self.line(row)),
            problem: format!("`{}` is not {expected}", self.cell(row, column)),
        }
    }

    /// A cell without surrounding blanks.
    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        self.rows
            .get(row)
            .and_then(|row| row.get(column))
            .unwrap_or_default()
            .trim()
    }

    /// A cell of a column that may not be there; the empty string if it is not.
    pub(super) fn optional(&self, row: usize, column: Option<usize>) -> &str {
        column.map_or("", |column| self.cell(row, column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, ImportError> {
        Table::parse(Path::new("t.csv"), text.as_bytes(), None)
    }

    #[test]
    fn tells_delimiters_apart() {
        assert_eq!(parse("a\tb\n1\t2\n").unwrap().headers, ["a", "b"]);
        assert_eq!(parse("\u{feff}a;b\n1;2\n").unwrap().cell(0, 1), "2");
        assert_eq!(parse("a,b\n\"x, y\",2\n").unwrap().cell(0, 0), "x, y");
    }

    #[test]
    fn several_bytes_separate_and_latin1_is_read() {
        let writing = Writing {
            header: Some(&["id", "title", "genres"]),
            separator: "::",
            quoted: false,
            latin1: true,
        };
        let bytes = b"1::Les Mis\xe9rables: \"1998\"::Drama|War\n2::Plain::Comedy\n";
        let table = Table::parse_written(Path::new("m.dat"), bytes, writing).unwrap();
        assert_eq!(table.cell(0, 1), "Les Mis\u{e9}rables: \"1998\"");
        assert_eq!((table.cell(1, 2), table.line(1)), ("Comedy", 2));
        let utf8 = "1::Les Mis\u{e9}rables::Drama\n".as_bytes();
        let table = Table::parse_written(Path::new("m.dat"), utf8, writing).unwrap();
        assert_eq!(table.cell(0, 1), "Les Mis\u{e9}rables");
        let short = Table::parse_written(Path::new("m.dat"), b"1::2\n", writing).unwrap_err();
        assert_eq!(
            short.to_string(),
            "m.dat: line 1: 2 fields where 3 (id, title, genres) were expected"
        );
    }

    #[test]
    fn names_the_line_and_the_columns() {
        let error = parse("a,b\n1,2\n3\n").unwrap_err().to_string();
        assert_eq!(error, "t.csv: line 3: 1 fields where the first line has 2");
        let error = parse("a,b\n").unwrap().column("patient").unwrap_err();
        assert_eq!(
            error.to_string(),
            "t.csv has no column `patient`; its columns are a, b"
        );
    }
}
