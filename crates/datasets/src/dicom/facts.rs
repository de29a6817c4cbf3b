//! The few facts of a DICOM file that the program keeps: never who the patient is.

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
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
}

impl FilmFacts {
    pub(crate) fn from_object(object: &InMemDicomObject) -> Self {
        Self {
            age: text(object, tags::PATIENT_AGE).map(|age| without_great_age(&age)),
            sex: text(object, tags::PATIENT_SEX),
            view: text(object, tags::VIEW_POSITION),
            modality: text(object, tags::MODALITY),
            laterality: text(object, tags::IMAGE_LATERALITY)
                .or_else(|| text(object, tags::LATERALITY)),
        }
    }

    /// The stated facts by name, as [`schema::SampleRecord::facts`] keeps them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        [
            ("age", &self.age),
            ("sex", &self.sex),
            ("view", &self.view),
            ("modality", &self.modality),
            ("laterality", &self.laterality),
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

/// Very old patients are few enough to be known by their age.
fn without_great_age(age: &str) -> String {
    let years = age.strip_suffix('Y').and_then(|y| y.parse::<u32>().ok());
    match years {
        Some(years) if years >= 90 => "090Y+".to_owned(),
        _ => age.to_owned(),
    }
}
