//! Imports radiographs from a folder, with patients, findings, boxes and reports from tables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use schema::{DatasetKind, DatasetManifest, ImageRef, Report, SampleRecord, Skipped};

use super::columns::{ColumnMap, Resolved, Role, identity_warning};
use super::labels::{Labels, listed_findings};
use super::reports::{Groups, finding_names, licence_of, report_of};
use super::table::Table;
use super::{ImportError, ImportPlan, absolute, counted};
use crate::split::split_of;

mod boxes;
mod check;
mod files;
mod privacy;
mod studies;

use check::CheckedFilm;
use files::Candidate;
pub(super) use files::is_image;
use privacy::PrivacyCounts;
use studies::Tie;

/// Where radiographs and what is known about them are.
#[derive(Debug, Clone, Default)]
pub struct RadiographSource {
    /// Folder of films, searched with all folders in it.
    pub images: PathBuf,
    /// Table with one film per row. Without it every image file is a film.
    pub table: Option<PathBuf>,
    /// Columns of `table` that the user named; others are guessed.
    pub columns: ColumnMap,
    /// Table of findings whose first column names the film.
    pub labels: Option<PathBuf>,
    /// Table of marked findings with columns image, label, x, y, w, h in film pixels.
    pub boxes: Option<PathBuf>,
}

const WANTED: [Role; 17] = [
    Role::Image,
    Role::Patient,
    Role::Study,
    Role::Order,
    Role::Labels,
    Role::LabelSource,
    Role::Set,
    Role::Report,
    Role::Indication,
    Role::Technique,
    Role::Comparison,
    Role::Findings,
    Role::Impression,
    Role::View,
    Role::Age,
    Role::Sex,
    Role::Licence,
];

/// Works out what importing a folder of radiographs would give.
///
/// Every film is read whole and decoded; those that cannot be are left out, each with its reason,
/// as are copies of the same bytes and films of modalities that are no projection radiographs.
/// Findings are `None` where the source says nothing about a film: with an empty cell, or in rows
/// labelled by another scheme than most rows are (their labels are kept as the fact `labels`).
/// Films of one study hang together: laterals beside frontal films, with earlier frontal films of the
/// same patient (`studies.rs`).
///
/// `progress` is called with films done and films in all, and stops the import by breaking.
///
/// # Errors
/// [`ImportError`] if the folder or a table cannot be read, a needed column is absent, no film is
/// usable, or `progress` breaks.
///
/// # Determinism
/// Records are in the table's order, or in the order of paths; splits follow [`split_of`].
pub fn import_radiographs(
    name: &str,
    source: &RadiographSource,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<ImportPlan, ImportError> {
    let folder = absolute(&source.images)?;
    if !folder.is_dir() {
        return Err(ImportError::NotAFolder {
            path: source.images.clone(),
        });
    }
    let rows = source
        .table
        .as_deref()
        .map(|path| Rows::read(path, &source.columns))
        .transpose()?;
    let labels = source.labels.as_deref().map(Labels::read).transpose()?;
    let boxes = source.boxes.as_deref().map(boxes::read).transpose()?;

    let found = files::find(&folder)?;
    let mut draft = Draft::default();
    let candidates = match &rows {
        Some(rows) => files::named_in_table(&folder, &found, rows, &mut draft),
        None => files::all_images(&folder, &found, &mut draft),
    };
    if candidates.is_empty() {
        return Err(ImportError::nothing(
            &folder,
            draft.why_nothing("it holds no PNG, JPEG or DICOM file"),
        ));
    }
    let checked = check::films(&candidates, progress)?;
    draft.add_films(&candidates, checked, rows.as_ref(), seed);
    if draft.records.is_empty() {
        return Err(ImportError::nothing(
            &folder,
            draft.why_nothing("no film can be read"),
        ));
    }
    if let Some(labels) = &labels {
        draft.add_labels(labels);
    }
    if let Some(boxes) = boxes {
        draft.add_boxes(boxes);
    }
    Ok(draft.into_plan(name, &folder, rows.as_ref()))
}

/// The table of films with its columns found.
struct Rows {
    table: Table,
    columns: Resolved,
    image: usize,
    /// The labelling scheme whose labels are findings, where the table names schemes.
    scheme: Option<String>,
}

impl Rows {
    fn read(path: &Path, map: &ColumnMap) -> Result<Self, ImportError> {
        let table = Table::read(path, None)?;
        let mut columns = map.resolve(&table, &WANTED)?;
        let image = columns.require(Role::Image, &table)?;
        // A column `findings` beside no impression may hold labels or text: it must be named.
        if columns.get(Role::Impression).is_none() && !map.states(Role::Findings) {
            columns.forget(Role::Findings);
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        if let Some(column) = columns.get(Role::LabelSource) {
            for row in 0..table.rows.len() {
                *counts.entry(table.cell(row, column)).or_default() += 1;
            }
        }
        let scheme = counts
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(scheme, _)| (*scheme).to_owned());
        Ok(Self {
            table,
            columns,
            image,
            scheme,
        })
    }

    fn cell(&self, row: usize, role: Role) -> &str {
        self.table.optional(row, self.columns.get(role))
    }

    /// Whether the labels of a row are of the scheme that most rows follow.
    fn of_main_scheme(&self, row: usize) -> bool {
        self.scheme
            .as_deref()
            .is_none_or(|scheme| scheme == self.cell(row, Role::LabelSource))
    }

    fn report(&self, row: usize) -> Option<Report> {
        let report = report_of(&self.table, row, &self.columns);
        (report != Report::default()).then_some(report)
    }

    /// What ties the film of a row to others: what the table states goes before what its file does.
    fn tie(&self, row: usize, group: &str, tie: &mut Tie) {
        let stated = |role| {
            let cell = self.cell(row, role);
            (!cell.is_empty()).then(|| cell.to_owned())
        };
        tie.patient = stated(Role::Patient).map(|_| group.to_owned());
        let order = stated(Role::Order);
        if let Some(study) = stated(Role::Study) {
            (tie.study, tie.when) = (Some(study), order);
        } else if order.is_some() && tie.study.is_none() {
            // Numbers of a patient's studies name them as well.
            (tie.study, tie.when) = (order.clone(), order);
        } else if order.is_some() {
            tie.when = order;
        }
    }

    /// What the table states about a film, by fact.
    fn facts(&self, row: usize) -> impl Iterator<Item = (&'static str, String)> {
        let age = check::plain_age(self.cell(row, Role::Age));
        [
            ("view", self.cell(row, Role::View).to_owned()),
            ("age", age),
            ("sex", self.cell(row, Role::Sex).to_owned()),
            ("set", self.cell(row, Role::Set).to_owned()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    }
}

/// Makes records of films with what tables and files say.
struct Describer<'a> {
    rows: Option<&'a Rows>,
    groups: Option<Groups>,
    /// Running numbers of the patients that files name.
    numbers: BTreeMap<String, usize>,
    seed: u64,
    n_other_scheme: usize,
}

impl<'a> Describer<'a> {
    fn new(rows: Option<&'a Rows>, seed: u64) -> Self {
        Self {
            rows,
            groups: rows.map(|rows| Groups::new(&rows.table, &rows.columns, seed)),
            numbers: BTreeMap::new(),
            seed,
            n_other_scheme: 0,
        }
    }

    /// The film as a sample, and what ties it to others.
    fn film(&mut self, candidate: &Candidate, film: CheckedFilm) -> (SampleRecord, Tie) {
        let mut tie = Tie {
            patient: film.patient.clone(),
            ..Tie::default()
        };
        if let Some(study) = film.study {
            (tie.study, tie.when) = (Some(study.key), study.when);
        }
        let mut record = SampleRecord {
            id: candidate.id.clone(),
            image: Some(ImageRef {
                path: candidate.path.display().to_string(),
                hash: film.hash,
                width: film.width,
                height: film.height,
            }),
            facts: film.facts,
            ..SampleRecord::default()
        };
        if let (Some(rows), Some(groups), Some(row)) = (self.rows, &mut self.groups, candidate.row)
        {
            (record.group, record.split) = groups.of_row(&rows.table, row, &candidate.id);
            rows.tie(row, &record.group, &mut tie);
            let facts = rows
                .facts(row)
                .map(|(fact, value)| (fact.to_owned(), value));
            record.facts.extend(facts);
            record.report = rows.report(row);
            let labels = rows.cell(row, Role::Labels);
            if rows.of_main_scheme(row) {
                record.findings = listed_findings(labels);
            } else if !labels.is_empty() {
                self.n_other_scheme += 1;
                record.facts.insert("labels".to_owned(), labels.to_owned());
            }
        } else if let Some(patient) = film.patient {
            record.split = split_of(&patient, self.seed);
            let next = self.numbers.len() + 1;
            record.group = format!("patient {}", self.numbers.entry(patient).or_insert(next));
        } else {
            record.split = split_of(&candidate.id, self.seed);
            record.group.clone_from(&candidate.id);
        }
        (record, tie)
    }
}

/// Files named where none can be used.
const NAMED: usize = 10;

/// The import as far as it has come.
#[derive(Default)]
struct Draft {
    records: Vec<SampleRecord>,
    skipped: Vec<Skipped>,
    recognised: Vec<String>,
    warnings: Vec<String>,
}

impl Draft {
    fn skip(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped {
            place: place.into(),
            reason: reason.into(),
        });
    }

    fn why_nothing(&self, otherwise: &str) -> String {
        match self.skipped.as_slice() {
            [] => otherwise.to_owned(),
            [only] => format!("{}: {}", only.place, only.reason),
            all => {
                let each: Vec<String> = all
                    .iter()
                    .take(NAMED)
                    .map(|one| format!("{}: {}", one.place, one.reason))
                    .collect();
                let each = each.join("; ");
                match all.len().saturating_sub(NAMED) {
                    0 => each,
                    more => format!("{each}; and {more} more"),
                }
            }
        }
    }

    fn add_films(
        &mut self,
        candidates: &[Candidate],
        checked: Vec<Result<CheckedFilm, String>>,
        rows: Option<&Rows>,
        seed: u64,
    ) {
        let mut described = Describer::new(rows, seed);
        let mut ties = Vec::new();
        let mut first_of: BTreeMap<String, String> = BTreeMap::new();
        let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut badges: BTreeMap<String, usize> = BTreeMap::new();
        let mut privacy = PrivacyCounts::default();
        for (candidate, film) in candidates.iter().zip(checked) {
            let film = match film {
                Ok(film) => film,
                Err(reason) => {
                    self.skip(&candidate.shown, reason);
                    continue;
                }
            };
            if let Some(first) = first_of.get(&film.hash) {
                let reason = format!("has the same bytes as {first}");
                self.skip(&candidate.shown, reason);
                continue;
            }
            first_of.insert(film.hash.clone(), candidate.shown.clone());
            *kinds.entry(film.kind).or_default() += 1;
            privacy.add(film.privacy);
            for badge in &film.badges {
                *badges.entry(badge.clone()).or_default() += 1;
            }
            let (record, tie) = described.film(candidate, film);
            ties.push(tie);
            self.records.push(record);
        }
        let hung = studies::hang(std::mem::take(&mut self.records), &ties);
        self.records = hung.records;
        self.describe_films(&kinds, &badges);
        self.recognised.extend(hung.recognised);
        self.warnings.extend(privacy.warnings());
        self.warn_about_patients(rows);
        let n_other_scheme = described.n_other_scheme;
        if n_other_scheme > 0 {
            self.warnings.push(format!(
                "{} labelled by another scheme than most: these labels are kept as a fact, and \
                 nothing is taken to be absent there",
                counted(n_other_scheme, "film is", "films are")
            ));
        }
    }

    fn describe_films(
        &mut self,
        kinds: &BTreeMap<&'static str, usize>,
        badges: &BTreeMap<String, usize>,
    ) {
        for (kind, &n) in kinds {
            self.recognised.push(counted(
                n,
                &format!("{kind} film"),
                &format!("{kind} films"),
            ));
        }
        for (badge, &n) in badges {
            self.recognised
                .push(format!("{}: {badge}", counted(n, "film", "films")));
        }
    }

    fn warn_about_patients(&mut self, rows: Option<&Rows>) {
        let own = "each film counts as a patient of its own, so the same patient may be in two \
                   splits";
        let named = self
            .records
            .iter()
            .any(|record| record.group != record.id && record.group.starts_with("patient "));
        match rows {
            None if !named => self.warnings.push(format!("no table: {own}")),
            Some(rows) if rows.columns.get(Role::Patient).is_none() => {
                self.warnings.push(format!("no patient column: {own}"));
            }
            _ => {}
        }
    }

    fn add_labels(&mut self, labels: &Labels) {
        let mut matched = 0;
        for record in &mut self.records {
            if let Some(findings) = labels.findings(&record.id, record.report.as_ref()) {
                record.findings = Some(findings);
                matched += 1;
            }
        }
        let (line, warning) = labels.describe(matched);
        self.recognised.push(line);
        self.warnings.extend(warning);
    }

    fn add_boxes(&mut self, boxes: boxes::Boxes) {
        let vocabulary: BTreeSet<String> = finding_names(&self.records).into_iter().collect();
        // A film may hang in several places: as a sample, beside one, before others.
        let mut by_id: BTreeMap<String, Vec<(usize, Option<usize>)>> = BTreeMap::new();
        for (i, record) in self.records.iter().enumerate() {
            by_id.entry(record.id.clone()).or_default().push((i, None));
            for (n, film) in record.further.iter().enumerate() {
                by_id.entry(film.id.clone()).or_default().push((i, Some(n)));
            }
        }
        let (mut n_placed, mut n_elsewhere) = (0, 0);
        for (id, mut mark) in boxes.marks {
            let Some(places) = by_id.get(&id) else {
                n_elsewhere += 1;
                continue;
            };
            // The NIH box list says `Infiltrate` for what its label table calls `Infiltration`.
            if mark.finding == "Infiltrate" && vocabulary.contains("Infiltration") {
                "Infiltration".clone_into(&mut mark.finding);
            }
            for &(at, further) in places {
                let record = &mut self.records[at];
                let boxes = match further {
                    None => &mut record.boxes,
                    Some(n) => &mut record.further[n].boxes,
                };
                boxes.push(mark.clone());
            }
            n_placed += 1;
        }
        self.recognised.push(format!(
            "{} on films from {}",
            counted(n_placed, "box", "boxes"),
            boxes.path.display()
        ));
        if n_elsewhere > 0 {
            self.warnings.push(format!(
                "{} of {} on films that are not here",
                counted(n_elsewhere, "box", "boxes"),
                boxes.path.display()
            ));
        }
    }

    fn into_plan(mut self, name: &str, folder: &Path, rows: Option<&Rows>) -> ImportPlan {
        let mut licence = None;
        if let Some(rows) = rows {
            self.recognised.push(rows.columns.describe(&rows.table));
            self.warnings.extend(identity_warning(&rows.table));
            licence = licence_of(&rows.table, &rows.columns);
        }
        let groups: BTreeSet<&str> = self.records.iter().map(|r| r.group.as_str()).collect();
        let n_labelled = self.records.iter().filter(|r| r.findings.is_some()).count();
        self.recognised.push(format!(
            "{} of {}, {n_labelled} of them with findings stated",
            counted(self.records.len(), "film", "films"),
            counted(groups.len(), "patient", "patients"),
        ));
        ImportPlan {
            n_skipped: self.skipped.len(),
            manifest: DatasetManifest {
                name: name.to_owned(),
                kind: DatasetKind::Radiographs,
                n_samples: self.records.len() as u32,
                findings: finding_names(&self.records),
                source: folder.display().to_string(),
                licence,
                skipped: self.skipped,
                planted: false,
                seed: None,
            },
            records: self.records,
            catalogue: Vec::new(),
            recognised: self.recognised,
            warnings: self.warnings,
        }
    }
}

#[cfg(test)]
mod tests;
