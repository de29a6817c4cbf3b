//! Where findings of samples come from: tables with one row per sample, either a list of names or a
//! column of 0/1 per finding, or the reports themselves, read by lists of phrases.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schema::Report;

use super::ImportError;
use super::phrases::{PhraseLists, Said};
use super::table::Table;

/// Words in place of a finding that mean there is none.
const NONE_FOUND: [&str; 3] = ["No Finding", "normal", "No Findings"];

/// What tells the findings of samples.
#[derive(Debug)]
pub(super) enum Labels {
    Table(LabelTable),
    /// Lists of phrases, and how many mentions left a finding open so far.
    Phrases(PhraseLists, Cell<usize>),
}

impl Labels {
    /// Reads a table of findings, or a folder with lists of phrases.
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        if path.is_dir() {
            return Ok(Self::Phrases(PhraseLists::read(path)?, Cell::new(0)));
        }
        LabelTable::read(path).map(Self::Table)
    }

    /// The findings of a sample, sorted; `None` where nothing is known of it: it has no row in the
    /// table, or no report. What a report leaves open counts as absent.
    pub(super) fn findings(&self, sample: &str, report: Option<&Report>) -> Option<Vec<String>> {
        let (lists, n_open) = match self {
            Self::Table(table) => return table.findings(sample),
            Self::Phrases(lists, n_open) => (lists, n_open),
        };
        let report = report.filter(|report| !report.text().is_empty())?;
        let said = lists.said(report);
        let open = said.values().filter(|said| **said == Said::Open).count();
        n_open.set(n_open.get() + open);
        let affirmed = said.iter().filter(|(_, said)| **said == Said::Affirmed);
        Some(affirmed.map(|(name, _)| (*name).to_owned()).collect())
    }

    /// A line for the import preview and, if needed, a warning.
    pub(super) fn describe(&self, n_matched: usize) -> (String, Option<String>) {
        match self {
            Self::Table(table) => table.describe(n_matched),
            Self::Phrases(lists, n_open) => {
                let n_open = n_open.get();
                let warning = (n_open > 0).then(|| {
                    format!(
                        "{n_open} findings that reports leave open, by the phrases of {}, count as \
                         absent",
                        lists.path().display()
                    )
                });
                (lists.describe(n_matched), warning)
            }
        }
    }
}

/// Findings by key.
#[derive(Debug)]
pub(super) struct LabelTable {
    path: PathBuf,
    by_key: BTreeMap<String, Option<Vec<String>>>,
    n_uncertain: usize,
    /// Columns of findings, empty for lists of names.
    n_columns: usize,
}

impl LabelTable {
    /// Reads a table whose first column names the sample.
    ///
    /// Either every other column is a finding (1 present, 0 absent, −1 uncertain, empty not
    /// mentioned), or one is called `labels`, `Finding Labels` or `label` and lists names
    /// separated by `|`.
    fn read(path: &Path) -> Result<Self, ImportError> {
        let table = Table::read(path, None)?;
        let listed = ["labels", "Finding Labels", "label"]
            .iter()
            .find_map(|name| table.find(name));
        match listed {
            Some(column) => Ok(Self::from_lists(&table, column)),
            None => Self::from_columns(&table),
        }
    }

    fn from_lists(table: &Table, column: usize) -> Self {
        let mut by_key = BTreeMap::new();
        for row in 0..table.rows.len() {
            by_key.insert(
                key(table.cell(row, 0)).to_owned(),
                listed_findings(table.cell(row, column)),
            );
        }
        Self {
            path: table.path.clone(),
            by_key,
            n_uncertain: 0,
            n_columns: 0,
        }
    }

    fn from_columns(table: &Table) -> Result<Self, ImportError> {
        if table.headers.len() < 2 {
            return Err(table.missing("of findings beside its first one"));
        }
        let mut by_key = BTreeMap::new();
        let mut n_uncertain = 0;
        for row in 0..table.rows.len() {
            let mut present = Vec::new();
            let mut mentioned = false;
            for (column, name) in table.headers.iter().enumerate().skip(1) {
                let cell = table.cell(row, column);
                let value = match cell {
                    "" => continue,
                    _ => cell.parse::<f32>().ok(),
                };
                mentioned = true;
                match value {
                    Some(1.0) if !is_none_found(name) => present.push(name.clone()),
                    Some(0.0 | 1.0) => {}
                    Some(-1.0) => n_uncertain += 1,
                    _ => return Err(table.bad_value(row, column, "0, 1, -1 or empty")),
                }
            }
            by_key.insert(
                key(table.cell(row, 0)).to_owned(),
                mentioned.then_some(present),
            );
        }
        Ok(Self {
            path: table.path.clone(),
            by_key,
            n_uncertain,
            n_columns: table.headers.len() - 1,
        })
    }

    /// What the table says about a sample: `None` if it has no row or an empty one.
    fn findings(&self, sample: &str) -> Option<Vec<String>> {
        self.by_key.get(key(sample))?.clone()
    }

    /// A line for the import preview and, if needed, a warning.
    fn describe(&self, n_matched: usize) -> (String, Option<String>) {
        let kind = if self.n_columns == 0 {
            "lists of findings".to_owned()
        } else {
            format!("{} columns of findings", self.n_columns)
        };
        let line = format!(
            "{}: {kind} for {} keys, {n_matched} of them samples here",
            self.path.display(),
            self.by_key.len()
        );
        let warning = (self.n_uncertain > 0).then(|| {
            format!(
                "{} entries of {} are uncertain (-1) and count as absent",
                self.n_uncertain,
                self.path.display()
            )
        });
        (line, warning)
    }
}

/// The file stem: label tables name `a.png` where the sample is `nih/a.jpg`.
fn key(sample: &str) -> &str {
    let name = sample.rsplit(['/', '\\']).next().unwrap_or(sample);
    match name.rsplit_once('.') {
        Some((stem, "png" | "jpg" | "jpeg" | "dcm")) => stem,
        _ => name,
    }
}

fn is_none_found(name: &str) -> bool {
    NONE_FOUND
        .iter()
        .any(|none| none.eq_ignore_ascii_case(name))
}

/// Findings of a cell such as `Effusion|Nodule`; `None` if it is empty, none for `No Finding`.
pub(super) fn listed_findings(cell: &str) -> Option<Vec<String>> {
    if cell.is_empty() {
        return None;
    }
    let mut findings: Vec<String> = cell
        .split('|')
        .map(str::trim)
        .filter(|name| !name.is_empty() && !is_none_found(name))
        .map(str::to_owned)
        .collect();
    findings.sort();
    findings.dedup();
    Some(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_finding_is_not_the_same_as_no_word() {
        assert_eq!(listed_findings("No Finding"), Some(Vec::new()));
        assert_eq!(listed_findings(""), None);
        assert_eq!(
            listed_findings("Nodule|Effusion").unwrap(),
            ["Effusion", "Nodule"]
        );
    }

    #[test]
    fn columns_of_findings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(
            &path,
            "file,Mass,Edema,normal\na.png,1,0,0\nb,0,0,1\nc,,,\nd,-1,1.0,\n",
        )
        .unwrap();
        let table = LabelTable::read(&path).unwrap();
        assert_eq!(table.findings("x/a.jpg").unwrap(), ["Mass"]);
        assert_eq!(table.findings("b").unwrap(), Vec::<String>::new());
        assert_eq!(table.findings("c"), None);
        assert_eq!(table.findings("d").unwrap(), ["Edema"]);
        assert_eq!(table.findings("e"), None);
        assert!(table.describe(3).1.unwrap().contains("1 entries"));
        std::fs::write(&path, "file,Mass\na,perhaps\n").unwrap();
        let error = LabelTable::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("line 2, column `Mass`: `perhaps`"),
            "{error}"
        );
    }
}
