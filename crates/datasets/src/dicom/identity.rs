//! What could tell who the patient is, and whether text is burned into the pixels.
//!
//! Nothing of these two tables leaves the module above, but for a coarse age and the sex (the
//! profile's option "Retain Patient Characteristics"), a hash of the patient's number, which keeps a
//! patient's films in one split, and a hash of the study with its date, which tie films together at an
//! import. The hashes and the date are not stored.

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

use super::text;

/// Secondary Capture Image Storage and its multi-frame kin begin like this.
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// Names and numbers of the patient among the tags of the Basic Application Level Confidentiality
/// Profile (DICOM PS3.15, table E.1-1).
pub(super) const PATIENT: [Tag; 10] = [
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    Tag(0x0010, 0x1000), // Other Patient IDs, retired
    tags::OTHER_PATIENT_NAMES,
    tags::PATIENT_BIRTH_NAME,
    tags::PATIENT_MOTHER_BIRTH_NAME,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_ADDRESS,
    tags::PATIENT_TELEPHONE_NUMBERS,
    tags::ISSUER_OF_PATIENT_ID,
];

/// The profile's other texts, dates and numbers that a radiograph may carry; of UIDs only the
/// study's is read, for its hash.
pub(super) const OTHERS: [Tag; 58] = [
    tags::PATIENT_BIRTH_TIME,
    tags::PATIENT_SIZE,
    tags::PATIENT_WEIGHT,
    tags::PATIENT_COMMENTS,
    tags::PATIENT_STATE,
    tags::PATIENT_RELIGIOUS_PREFERENCE,
    tags::PATIENT_INSTITUTION_RESIDENCE,
    tags::ADDITIONAL_PATIENT_HISTORY,
    tags::OCCUPATION,
    tags::MILITARY_RANK,
    tags::LAST_MENSTRUAL_DATE,
    tags::ADMITTING_DIAGNOSES_DESCRIPTION,
    tags::ADMISSION_ID,
    tags::ADMITTING_DATE,
    tags::CURRENT_PATIENT_LOCATION,
    tags::VISIT_COMMENTS,
    tags::ACCESSION_NUMBER,
    tags::STUDY_ID,
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::SERIES_DATE,
    tags::SERIES_TIME,
    tags::ACQUISITION_DATE,
    tags::ACQUISITION_TIME,
    tags::ACQUISITION_DATE_TIME,
    tags::CONTENT_DATE,
    tags::CONTENT_TIME,
    tags::INSTANCE_CREATION_DATE,
    tags::INSTANCE_CREATION_TIME,
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::PROTOCOL_NAME,
    tags::IMAGE_COMMENTS,
    tags::FRAME_COMMENTS,
    tags::DERIVATION_DESCRIPTION,
    tags::ACQUISITION_DEVICE_PROCESSING_DESCRIPTION,
    tags::INSTITUTION_NAME,
    tags::INSTITUTION_ADDRESS,
    tags::INSTITUTIONAL_DEPARTMENT_NAME,
    tags::STATION_NAME,
    tags::DEVICE_SERIAL_NUMBER,
    tags::DETECTOR_ID,
    tags::CASSETTE_ID,
    tags::PLATE_ID,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::REFERRING_PHYSICIAN_ADDRESS,
    tags::REFERRING_PHYSICIAN_TELEPHONE_NUMBERS,
    tags::PHYSICIANS_OF_RECORD,
    tags::PERFORMING_PHYSICIAN_NAME,
    tags::NAME_OF_PHYSICIANS_READING_STUDY,
    tags::OPERATORS_NAME,
    tags::REQUESTING_PHYSICIAN,
    tags::REQUESTING_SERVICE,
    tags::REQUESTED_PROCEDURE_ID,
    tags::REQUESTED_PROCEDURE_DESCRIPTION,
    tags::REASON_FOR_THE_REQUESTED_PROCEDURE,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_ID,
];

/// What a file says about text in its pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BurnedIn {
    /// None, or nothing on a file of a kind that seldom has any.
    #[default]
    NotStated,
    /// Nothing, on a capture of a screen or a scan, which often has some.
    CaptureWithoutStatement,
    /// Nothing, in a PNG or JPEG file, which has no place to say it.
    PictureWithoutStatement,
    /// There is text that may identify the patient.
    Yes,
}

impl BurnedIn {
    /// What every view and every page says beside the film. Captures and pictures that do not say
    /// are told of at the import only: whole collections are of that kind.
    pub(super) fn badge(self) -> Option<String> {
        (self == Self::Yes).then(|| "text burned in: may name the patient".to_owned())
    }
}

/// What of a file a user should know before it is shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Privacy {
    /// Text in the pixels.
    pub(crate) burned_in: BurnedIn,
    /// Whether names or numbers of the patient are in the header.
    pub(crate) names_patient: bool,
    /// Whether other entries of the profile are: dates, staff, institutions, devices.
    pub(crate) has_other_entries: bool,
}

impl Privacy {
    pub(super) fn of(object: &InMemDicomObject) -> Self {
        let states = |tag: &Tag| text(object, *tag).is_some();
        let capture = text(object, tags::SOP_CLASS_UID)
            .is_some_and(|class| class.starts_with(SECONDARY_CAPTURE));
        let burned_in = match text(object, tags::BURNED_IN_ANNOTATION).as_deref() {
            Some("YES") => BurnedIn::Yes,
            None if capture => BurnedIn::CaptureWithoutStatement,
            _ => BurnedIn::NotStated,
        };
        Self {
            burned_in,
            names_patient: PATIENT.iter().any(states),
            has_other_entries: OTHERS.iter().any(states),
        }
    }
}
