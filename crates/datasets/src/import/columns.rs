//! Which column of a table plays which part: stated by the user or guessed from usual names.

use std::collections::BTreeMap;

use super::ImportError;
use super::table::Table;

/// The part a column plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Name of a report.
    Id,
    /// Path or name of an image file.
    Image,
    /// The patient: splits keep it together.
    Patient,
    /// The study that a film belongs to.
    Study,
    /// Date or number of the study, to tell which came first.
    Order,
    /// Findings, separated by `|`.
    Labels,
    /// Who or what made the labels.
    LabelSource,
    /// Which collection the row belongs to.
    Set,
    /// A whole report in one column.
    Report,
    /// Indication section.
    Indication,
    /// Technique section.
    Technique,
    /// Comparison section.
    Comparison,
    /// Findings section.
    Findings,
    /// Impression section.
    Impression,
    /// View, e.g. PA.
    View,
    /// Age of the patient.
    Age,
    /// Sex of the patient.
    Sex,
    /// Licence of the row.
    Licence,
    /// Who interacted.
    User,
    /// What with.
    Item,
    /// When.
    Time,
    /// How much it was liked.
    Rating,
    /// Title of an item.
    Title,
    /// Categories of an item.
    Categories,
    /// Picture of an item.
    Picture,
}

/// Name in a mapping, part, and column names that are taken for it unasked.
const ROLES: [(&str, Role, &[&str]); 25] = [
    ("id", Role::Id, &["uid", "id", "report_id", "study_id"]),
    (
        "image",
        Role::Image,
        &[
            "image",
            "Image Index",
            "image_path",
            "Path",
            "filename",
            "file",
            "image_id",
            "dicom_id",
        ],
    ),
    (
        "patient",
        Role::Patient,
        &[
            "patient_id",
            "Patient ID",
            "patient",
            "subject_id",
            "PatientID",
        ],
    ),
    (
        "study",
        Role::Study,
        &["study", "study_id", "StudyInstanceUID", "uid"],
    ),
    (
        "order",
        Role::Order,
        &["study_order", "StudyDate", "study_date", "Follow-up #"],
    ),
    (
        "labels",
        Role::Labels,
        &["labels", "Finding Labels", "label", "finding_labels"],
    ),
    ("label-source", Role::LabelSource, &["label_source"]),
    ("set", Role::Set, &["set", "source_set", "cohort"]),
    ("report", Role::Report, &["report", "report_text"]),
    ("indication", Role::Indication, &["indication"]),
    ("technique", Role::Technique, &["technique"]),
    ("comparison", Role::Comparison, &["comparison"]),
    ("findings", Role::Findings, &["findings"]),
    ("impression", Role::Impression, &["impression"]),
    (
        "view",
        Role::View,
        &["view", "View Position", "ViewPosition", "projection"],
    ),
    ("age", Role::Age, &["age", "Patient Age", "PatientAge"]),
    (
        "sex",
        Role::Sex,
        &[
            "sex",
            "Patient Gender",
            "Patient Sex",
            "gender",
            "PatientSex",
        ],
    ),
    ("licence", Role::Licence, &["licence", "license"]),
    (
        "user",
        Role::User,
        &["user_id", "userId", "user", "reviewerID", "customer_id"],
    ),
    (
        "item",
        Role::Item,
        &[
            "item_id",
            "itemId",
            "item",
            "movieId",
            "movie_id",
            "product_id",
            "parent_asin",
            "asin",
            "track_id",
        ],
    ),
    (
        "time",
        Role::Time,
        &["time", "timestamp", "date", "unixReviewTime"],
    ),
    (
        "rating",
        Role::Rating,
        &["rating", "ratings", "overall", "stars", "score"],
    ),
    (
        "title",
        Role::Title,
        &[
            "title",
            "movie_title",
            "item_name",
            "product_name",
            "track_name",
        ],
    ),
    (
        "categories",
        Role::Categories,
        &["categories", "genres", "category", "genre", "class"],
    ),
    (
        "picture",
        Role::Picture,
        &["picture", "picture_path", "image", "image_path", "poster"],
    ),
];

/// Columns the user named, e.g. parsed from `image=file,patient=subject`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnMap {
    stated: BTreeMap<Role, String>,
}

impl ColumnMap {
    /// Parses `part=column` pairs separated by commas; the empty text is the empty mapping.
    ///
    /// # Errors
    /// [`ImportError::Columns`] if a pair has no `=`, an unknown part, or a part stated twice.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let mut stated = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let Some((part, column)) = pair.split_once('=') else {
                return Err(ImportError::Columns(format!(
                    "`{pair}` in the column mapping is not of the form part=column"
                )));
            };
            let (part, column) = (part.trim(), column.trim());
            let Some((_, role, _)) = ROLES.iter().find(|(name, _, _)| *name == part) else {
                let parts: Vec<&str> = ROLES.iter().map(|(name, _, _)| *name).collect();
                return Err(ImportError::Columns(format!(
                    "`{part}` in the column mapping is none of {}",
                    parts.join(", ")
                )));
            };
            if stated.insert(*role, column.to_owned()).is_some() {
                return Err(ImportError::Columns(format!(
                    "`{part}` stands twice in the column mapping"
                )));
            }
        }
        Ok(Self { stated })
    }

    /// Whether the user named a column for this part.
    pub(super) fn states(&self, role: Role) -> bool {
        self.stated.contains_key(&role)
    }

    /// The same mapping with one more column stated.
    #[must_use]
    pub fn with(mut self, role: Role, column: &str) -> Self {
        self.stated.insert(role, column.to_owned());
        self
    }

    /// Finds the columns of `wanted` parts in a table; stated ones must be there.
    pub(super) fn resolve(&self, table: &Table, wanted: &[Role]) -> Result<Resolved, ImportError> {
        let mut found = BTreeMap::new();
        for &role in wanted {
            let index = match self.stated.get(&role) {
                Some(column) => Some(table.column(column)?),
                None => usual_names(role).iter().find_map(|name| table.find(name)),
            };
            if let Some(index) = index {
                found.insert(role, index);
            }
        }
        self.allow(wanted)?;
        Ok(Resolved { found })
    }

    /// The error for a stated part that is not one of `wanted`.
    pub(super) fn allow(&self, wanted: &[Role]) -> Result<(), ImportError> {
        let Some(role) = self.stated.keys().find(|role| !wanted.contains(role)) else {
            return Ok(());
        };
        Err(ImportError::Columns(format!(
            "`{}` in the column mapping has no meaning for this import",
            name_of(*role)
        )))
    }

    /// The mapping of these parts alone.
    pub(super) fn only(&self, wanted: &[Role]) -> Self {
        let stated = self.stated.iter().filter(|(role, _)| wanted.contains(role));
        Self {
            stated: stated.map(|(role, name)| (*role, name.clone())).collect(),
        }
    }

    /// The column stated for a part.
    pub(super) fn stated(&self, role: Role) -> Option<&str> {
        self.stated.get(&role).map(String::as_str)
    }

    /// Whether no column is stated.
    pub fn is_empty(&self) -> bool {
        self.stated.is_empty()
    }
}

/// Where the parts are in one table.
#[derive(Debug)]
pub(super) struct Resolved {
    found: BTreeMap<Role, usize>,
}

impl Resolved {
    pub(super) fn get(&self, role: Role) -> Option<usize> {
        self.found.get(&role).copied()
    }

    pub(super) fn forget(&mut self, role: Role) {
        self.found.remove(&role);
    }

    pub(super) fn require(&self, role: Role, table: &Table) -> Result<usize, ImportError> {
        self.get(role).ok_or_else(|| {
            let name = name_of(role);
            let names: Vec<String> = usual_names(role).iter().map(|n| format!("`{n}`")).collect();
            let known = if usual_names(role) == [name] {
                String::new()
            } else {
                format!(" ({})", names.join(", "))
            };
            table.missing(&format!("for `{name}`{known}; state it as {name}=COLUMN"))
        })
    }

    /// `image from column Image Index, patient from …`.
    pub(super) fn describe(&self, table: &Table) -> String {
        let parts: Vec<String> = self
            .found
            .iter()
            .map(|(role, &index)| format!("{} from `{}`", name_of(*role), table.headers[index]))
            .collect();
        parts.join(", ")
    }
}

pub(super) fn usual_names(role: Role) -> &'static [&'static str] {
    ROLES
        .iter()
        .find(|(_, known, _)| *known == role)
        .map_or(&[], |(_, _, names)| names)
}

fn name_of(role: Role) -> &'static str {
    ROLES
        .iter()
        .find(|(_, known, _)| *known == role)
        .map_or("", |(name, _, _)| name)
}

/// Columns whose name says that they identify a person.
pub(super) fn identifying_columns(table: &Table) -> Vec<&str> {
    table
        .headers
        .iter()
        .map(String::as_str)
        .filter(|header| is_identifying(header))
        .collect()
}

/// Column names, letters and digits only, that identify people.
const WHOLE: [&str; 8] = [
    "name", "mrn", "dob", "ssn", "surname", "address", "phone", "email",
];

/// The same for parts of names.
const PARTS: [&str; 9] = [
    "patientname",
    "patientsname",
    "firstname",
    "lastname",
    "familyname",
    "birth",
    "medicalrecord",
    "socialsecurity",
    "accession",
];

/// Whether a column of this name identifies a person.
pub(super) fn is_identifying(header: &str) -> bool {
    let plain: String = header
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    WHOLE.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part))
}

/// The warning about identifying columns, if there are any.
pub(super) fn identity_warning(table: &Table) -> Option<String> {
    let columns = identifying_columns(table);
    (!columns.is_empty()).then(|| {
        format!(
            "{} has columns that may identify patients ({}); their values are not stored",
            table.path.display(),
            columns.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_parse_or_say_why_not() {
        let map = ColumnMap::parse("image=Image Index, patient=Patient ID").unwrap();
        assert_eq!(map.stated[&Role::Patient], "Patient ID");
        assert_eq!(ColumnMap::parse("").unwrap(), ColumnMap::default());
        for (text, part) in [
            ("image", "not of the form"),
            ("colour=x", "none of id, image"),
            ("image=a,image=b", "twice"),
        ] {
            let error = ColumnMap::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn identifying_names_are_known() {
        for name in [
            "Patient's Name",
            "MRN",
            "Birth Date",
            "accession_number",
            "DOB",
        ] {
            assert!(is_identifying(name), "{name}");
        }
        for name in ["patient_id", "filename", "age", "image", "labels"] {
            assert!(!is_identifying(name), "{name}");
        }
    }
}
