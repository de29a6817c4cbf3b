//! The few facts of a DICOM file that the program keeps: never who the patient is.

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};
use schema::FilmEdges;
use serde::{Deserialize, Serialize};

use super::text;

/// What a DICOM file states about the film and, coarsely, about the patient.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilmFacts {
    /// Age as written, e.g. `054Y`; ages of 90 years and more become `090Y+`.
    pub age: Option<String>,
    /// `M`, `F` or `O`.
    pub sex: Option<String>,
    /// `PA`, `AP`, `LL`, …
    pub view: Option<String>,
    /// `CR`, `DX`, …
    pub modality: Option<String>,
    /// `L`, `R`, `B` or `U`.
    pub laterality: Option<String>,
    /// Where the right and the lower edge of the film point to, e.g. `L\\F`.
    pub orientation: Option<String>,
}

impl FilmFacts {
    pub(crate) fn from_object(object: &InMemDicomObject) -> Self {
        let one_of = |tag: Tag, codes: [&str; 4]| {
            text(object, tag).filter(|code| codes.contains(&code.as_str()))
        };
        let sides = ["L", "R", "B", "U"];
        Self {
            age: text(object, tags::PATIENT_AGE)
                .filter(|age| is_age(age))
                .map(|age| without_great_age(&age)),
            sex: one_of(tags::PATIENT_SEX, ["M", "F", "O", "U"]),
            view: text(object, tags::VIEW_POSITION).filter(|view| is_code(view)),
            modality: text(object, tags::MODALITY).filter(|modality| is_code(modality)),
            laterality: one_of(tags::IMAGE_LATERALITY, sides)
                .or_else(|| one_of(tags::LATERALITY, sides)),
            orientation: text(object, tags::PATIENT_ORIENTATION)
                .filter(|orientation| FilmEdges::parse(orientation).is_some()),
        }
    }

    /// Where the edges of the film point to, for letters beside it.
    pub fn edges(&self) -> Option<FilmEdges> {
        FilmEdges::parse(self.orientation.as_deref()?)
    }

    /// The stated facts by name, as [`schema::SampleRecord::facts`] keeps them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        [
            ("age", &self.age),
            ("sex", &self.sex),
            ("view", &self.view),
            ("modality", &self.modality),
            ("laterality", &self.laterality),
            ("orientation", &self.orientation),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect()
    }
}

/// Stands for the patient in splits without telling who it is: BLAKE3 of the identifier.
pub(crate) fn patient_key(object: &InMemDicomObject) -> Option<String> {
    let identifier = text(object, tags::PATIENT_ID)?;
    Some(blake3::hash(identifier.as_bytes()).to_hex().to_string())
}

/// The study that a file belongs to, without naming it. Held while films are tied together at an
/// import, and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StudyStated {
    /// BLAKE3 of the study's UID.
    pub(crate) key: String,
    /// Date and time, to tell which of a patient's studies was first.
    pub(crate) when: Option<String>,
}

/// The study that the file states.
pub(crate) fn study(object: &InMemDicomObject) -> Option<StudyStated> {
    let uid = text(object, tags::STUDY_INSTANCE_UID)?;
    let digits = |tag: Tag| {
        text(object, tag).map(|text| {
            let whole = text.split('.').next().unwrap_or_default();
            whole
                .chars()
                .filter(char::is_ascii_digit)
                .collect::<String>()
        })
    };
    let day = digits(tags::STUDY_DATE).filter(|day| day.len() == 8);
    let when = day.map(|day| {
        let time = digits(tags::STUDY_TIME).unwrap_or_default();
        format!("{day}{time:0<6}")
    });
    Some(StudyStated {
        key: blake3::hash(uid.as_bytes()).to_hex().to_string(),
        when,
    })
}

/// Whether a text is a code (DICOM's CS): free text, where a name could stand, is not.
fn is_code(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.len() <= 16 && text.chars().all(letter)
}

/// Whether a text is an age: up to three digits with or without `D`, `W`, `M` or `Y`.
fn is_age(text: &str) -> bool {
    let digits = text.trim_end_matches(['D', 'W', 'M', 'Y']);
    text.len() <= digits.len() + 1
        && (1..=3).contains(&digits.len())
        && digits.chars().all(|c| c.is_ascii_digit())
}

/// Very old patients are few enough to be known by their age.
fn without_great_age(age: &str) -> String {
    let years = age.trim_end_matches('Y').parse::<u32>().ok();
    match years {
        Some(years) if years >= 90 => "090Y+".to_owned(),
        _ => age.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_and_ages_are_kept() {
        assert!(is_code("PA") && is_code("LL") && is_code("RL_1"));
        assert!(!is_code("Dr. Smith") && !is_code("SMITH^JOHN") && !is_code("A\\B"));
        assert!(is_age("054Y") && is_age("81") && is_age("006M"));
        assert!(!is_age("Y") && !is_age("19400305") && !is_age("05YY") && !is_age("fifty"));
        assert_eq!(without_great_age("091"), "090Y+");
        assert_eq!(without_great_age("091M"), "091M");
    }
}
