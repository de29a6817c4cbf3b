//! Imports report texts without films from a table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schema::{DatasetKind, DatasetManifest, Report, SampleRecord, Skipped};

use super::columns::{ColumnMap, Resolved, Role, identity_warning, is_identifying};
use super::labels::Labels;
use super::table::Table;
use super::{ImportError, ImportPlan, counted};
use crate::split::split_of;

/// Where reports are.
#[derive(Debug, Clone, Default)]
pub struct ReportSource {
    /// Table with one report per row.
    pub table: PathBuf,
    /// Columns the user named; others are guessed.
    pub columns: ColumnMap,
    /// Table of findings whose first column names the report, or a folder with lists of phrases by
    /// which they are read in the reports.
    pub labels: Option<PathBuf>,
}

const WANTED: [Role; 9] = [
    Role::Id,
    Role::Patient,
    Role::Report,
    Role::Indication,
    Role::Technique,
    Role::Comparison,
    Role::Findings,
    Role::Impression,
    Role::Licence,
];

/// Works out what importing a table of reports would give.
///
/// A report without findings and impression is left out. Without a patient column every report
/// counts as a patient of its own. Findings are `None` where the table of findings has no row.
///
/// # Errors
/// [`ImportError`] if a file cannot be read, a needed column is absent, an id stands twice, or no
/// report is usable.
///
/// # Determinism
/// Records are in the table's order; splits follow [`split_of`] with `seed`.
pub fn import_reports(
    name: &str,
    source: &ReportSource,
    seed: u64,
) -> Result<ImportPlan, ImportError> {
    let table = Table::read(&source.table, None)?;
    let columns = source.columns.resolve(&table, &WANTED)?;
    let labels = source.labels.as_deref().map(Labels::read).transpose()?;
    let id_column = columns.require(Role::Id, &table)?;
    if columns.get(Role::Report).is_none() && columns.get(Role::Impression).is_none() {
        columns.require(Role::Findings, &table)?;
    }
    let (records, skipped) = read_rows(&table, &columns, labels.as_ref(), seed, id_column);
    let n_labelled = records.iter().filter(|r| r.findings.is_some()).count();
    if records.is_empty() {
        let reason = skipped.first().map_or_else(
            || "the table has no rows".to_owned(),
            |first: &Skipped| format!("{}: {}", first.place, first.reason),
        );
        return Err(ImportError::nothing(&table.path, reason));
    }
    let mut recognised = vec![
        format!(
            "{} in {}",
            counted(records.len(), "report", "reports"),
            table.path.display()
        ),
        columns.describe(&table),
    ];
    let mut warnings: Vec<String> = identity_warning(&table).into_iter().collect();
    if let Some(labels) = &labels {
        let (line, warning) = labels.describe(n_labelled);
        recognised.push(line);
        warnings.extend(warning);
    }
    if columns.get(Role::Patient).is_none() {
        warnings.push("no patient column: each report counts as a patient of its own".to_owned());
    }
    Ok(ImportPlan {
        n_skipped: skipped.len(),
        manifest: DatasetManifest {
            name: name.to_owned(),
            kind: DatasetKind::Reports,
            n_samples: records.len() as u32,
            findings: finding_names(&records),
            source: table.path.display().to_string(),
            licence: licence_of(&table, &columns),
            skipped,
            planted: false,
            seed: None,
        },
        records,
        catalogue: Vec::new(),
        recognised,
        warnings,
    })
}

/// The usable rows as records, and the others with reasons.
fn read_rows(
    table: &Table,
    columns: &Resolved,
    labels: Option<&Labels>,
    seed: u64,
    id_column: usize,
) -> (Vec<SampleRecord>, Vec<Skipped>) {
    let mut groups = Groups::new(table, columns, seed);
    let (mut records, mut skipped) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for row in 0..table.rows.len() {
        let id = table.cell(row, id_column);
        let report = report_of(table, row, columns);
        let reason = if id.is_empty() {
            "the report has no id"
        } else if report.text().is_empty() {
            "findings and impression are both empty"
        } else if seen.insert(id.to_owned()) {
            ""
        } else {
            "another report with the same id stands above"
        };
        if !reason.is_empty() {
            skipped.push(Skipped {
                place: format!("{}, line {}", table.path.display(), table.line(row)),
                reason: reason.to_owned(),
            });
            continue;
        }
        let findings = labels.and_then(|labels| labels.findings(id, Some(&report)));
        let (group, split) = groups.of_row(table, row, id);
        records.push(SampleRecord {
            id: id.to_owned(),
            group,
            split,
            report: Some(report),
            findings,
            ..SampleRecord::default()
        });
    }
    (records, skipped)
}

/// The report of a row; a column of whole reports becomes its findings section.
pub(super) fn report_of(table: &Table, row: usize, columns: &Resolved) -> Report {
    let cell = |role: Role| table.optional(row, columns.get(role)).to_owned();
    let mut report = Report {
        indication: cell(Role::Indication),
        technique: cell(Role::Technique),
        comparison: cell(Role::Comparison),
        findings: cell(Role::Findings),
        impression: cell(Role::Impression),
    };
    let whole = cell(Role::Report);
    if report.findings.is_empty() {
        report.findings = whole;
    }
    report
}

/// All findings that occur, sorted.
pub(super) fn finding_names(records: &[SampleRecord]) -> Vec<String> {
    let names: BTreeSet<&String> = records
        .iter()
        .flat_map(|record| record.findings.iter().flatten())
        .collect();
    names.into_iter().cloned().collect()
}

/// The licences the rows state, if they do.
pub(super) fn licence_of(table: &Table, columns: &Resolved) -> Option<String> {
    let column = columns.get(Role::Licence)?;
    let stated: BTreeSet<&str> = (0..table.rows.len())
        .map(|row| table.cell(row, column))
        .filter(|licence| !licence.is_empty())
        .collect();
    match stated.len() {
        0 => None,
        1..=4 => Some(stated.into_iter().collect::<Vec<_>>().join("; ")),
        n => Some(format!("{n} licences, stated per row of the table")),
    }
}

/// Names the group of each row and its split.
///
/// A patient column whose name says that it identifies people decides the split, but what is
/// stored is a running number.
pub(super) struct Groups {
    column: Option<usize>,
    numbered: Option<BTreeMap<String, usize>>,
    seed: u64,
}

impl Groups {
    pub(super) fn new(table: &Table, columns: &Resolved, seed: u64) -> Self {
        let column = columns.get(Role::Patient);
        let identifying = column.is_some_and(|column| is_identifying(&table.headers[column]));
        Self {
            column,
            numbered: identifying.then(BTreeMap::new),
            seed,
        }
    }

    /// Group and split of a row; `fallback` stands for the patient where the row names none.
    pub(super) fn of_row(
        &mut self,
        table: &Table,
        row: usize,
        fallback: &str,
    ) -> (String, schema::Split) {
        let stated = table.optional(row, self.column);
        let patient = if stated.is_empty() { fallback } else { stated };
        let split = split_of(patient, self.seed);
        let group = match &mut self.numbered {
            Some(numbers) => {
                let next = numbers.len() + 1;
                let number = *numbers.entry(patient.to_owned()).or_insert(next);
                format!("patient {number}")
            }
            None => patient.to_owned(),
        };
        (group, split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::shared_data;

    #[test]
    fn the_indiana_reports_come_with_gold_findings() {
        let Some(folder) = shared_data("radiology/iu-reports") else {
            return;
        };
        let source = ReportSource {
            table: folder.join("iu_reports.csv"),
            labels: Some(folder.join("openi_gold_std14.csv")),
            ..ReportSource::default()
        };
        let plan = import_reports("iu", &source, 0).unwrap();
        // 24 of the 3,522 rows have neither findings nor impression.
        assert_eq!(plan.records.len(), 3_498);
        assert_eq!(plan.manifest.skipped.len(), 24);
        let with = |finding: &str| {
            plan.records
                .iter()
                .filter(|r| r.has_finding(finding))
                .count()
        };
        // 345 and 315 of 3,851 are positive; most of those reports are here.
        assert!((250..=345).contains(&with("Cardiomegaly")));
        assert!((220..=315).contains(&with("Atelectasis")));
        assert_eq!(with("normal"), 0);
        let unlabelled = plan.records.iter().filter(|r| r.findings.is_none()).count();
        let unaffected = plan
            .records
            .iter()
            .filter(|r| r.findings.as_ref().is_some_and(Vec::is_empty))
            .count();
        assert!(
            unlabelled < 400 && unaffected > 1_000,
            "{unlabelled} {unaffected}"
        );
        assert_eq!(
            plan.records[0].report.as_ref().unwrap().impression,
            "Normal chest x-XXXX."
        );
    }

    #[test]
    fn wrong_tables_end_with_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports.csv");
        let attempt = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let source = ReportSource {
                table: path.clone(),
                ..ReportSource::default()
            };
            import_reports("r", &source, 0)
        };
        let error = attempt("uid,text\n1,clear\n").unwrap_err().to_string();
        assert!(
            error.contains("no column for `findings`") && error.contains("uid, text"),
            "{error}"
        );
        let error = attempt("uid,findings,impression\n1,,\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("both empty"), "{error}");
        let plan = attempt("uid,findings,MRN\n1,clear,77\n1,again,77\n").unwrap();
        assert_eq!(plan.manifest.skipped.len(), 1);
        assert!(
            plan.warnings.iter().any(|w| w.contains("MRN")),
            "{:?}",
            plan.warnings
        );
        assert!(!format!("{:?}", plan.records).contains("77"));
    }

    #[test]
    fn an_identifying_patient_column_is_numbered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports.csv");
        std::fs::write(&path, "uid,findings,MRN\n1,a,77\n2,b,88\n3,c,77\n").unwrap();
        let source = ReportSource {
            table: path,
            columns: ColumnMap::parse("patient=MRN").unwrap(),
            labels: None,
        };
        let plan = import_reports("r", &source, 0).unwrap();
        let groups: Vec<&str> = plan.records.iter().map(|r| r.group.as_str()).collect();
        assert_eq!(groups, ["patient 1", "patient 2", "patient 1"]);
    }
}
