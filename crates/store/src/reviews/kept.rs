//! What only the database holds, as lines of a backup.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Reviews;
use crate::database::Table;
use crate::datasets::{read_json_lines, to_json_lines};
use crate::error::AtPath as _;
use crate::{Result, StoreError};

/// Left by a restored backup until it was taken in.
pub(crate) const DATABASE_LINES: &str = "database.jsonl";

/// One record of the database in a backup.
#[derive(Debug, Serialize, Deserialize)]
struct DatabaseLine {
    table: String,
    /// Hexadecimal.
    key: String,
    value: serde_json::Value,
}

impl Reviews {
    /// The records of the database that no other file holds, for a backup.
    pub(crate) fn database_lines(&self) -> Result<Vec<u8>> {
        let mut lines = Vec::new();
        for table in Table::KEPT {
            for (key, value) in self.database.scan(table, b"")? {
                lines.push(DatabaseLine {
                    table: table.name().to_owned(),
                    key: to_hex(&key),
                    value,
                });
            }
        }
        to_json_lines(&lines)
    }

    /// Takes in what a restored backup left.
    pub(super) fn take_in_backup(&self, root: &Path) -> Result<()> {
        let path = root.join(DATABASE_LINES);
        if !path.is_file() {
            return Ok(());
        }
        for line in read_json_lines::<DatabaseLine>(&path)? {
            let table = Table::KEPT.into_iter().find(|t| t.name() == line.table);
            let (Some(table), Some(key)) = (table, from_hex(&line.key)) else {
                let what = format!("{} is no table, or {} no key", line.table, line.key);
                return Err(StoreError::damaged(&path, what));
            };
            self.database.put(table, &[(key, line.value)])?;
        }
        self.database.flush()?;
        fs::remove_file(&path).at(&path)
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}
