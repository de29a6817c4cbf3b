//! A comma- or tab-separated table with a header, in memory, with errors that name file and row.

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

impl Table {
    /// Reads a whole table; the first line is its header unless `header` gives other names.
    pub(super) fn read(path: &Path, header: Option<&[&str]>) -> Result<Self, ImportError> {
        let bytes = std::fs::read(path).map_err(|source| ImportError::read(path, source))?;
        Self::parse(path, &bytes, header)
    }

    fn parse(path: &Path, bytes: &[u8], header: Option<&[&str]>) -> Result<Self, ImportError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let first_line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let count = |wanted: u8| first_line.split(|&byte| byte == wanted).count() - 1;
        let delimiter = [b'\t', b';']
            .into_iter()
            .find(|&d| count(d) > 0 && count(d) >= count(b','))
            .unwrap_or(b',');
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(header.is_none())
            .from_reader(bytes);
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
        let headers = match header {
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
