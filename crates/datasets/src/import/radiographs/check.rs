//! Reads every film once: its hash, its size, and whether it can be decoded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rayon::prelude::*;

use super::super::ImportError;
use super::files::Candidate;
use crate::dicom::{Privacy, StudyStated};
use crate::film::{self, Format};

/// Films between two calls of the progress function: well under a second of work.
const CHUNK: usize = 16;

/// DICOM modalities whose images are not projection radiographs.
const NOT_PROJECTIONS: [&str; 12] = [
    "CT", "MR", "NM", "PT", "US", "OP", "OPT", "SM", "ES", "GM", "IVUS", "ECG",
];

/// What reading a film told.
pub(super) struct CheckedFilm {
    pub(super) hash: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// `PNG`, `JPEG` or `DICOM`.
    pub(super) kind: &'static str,
    pub(super) facts: BTreeMap<String, String>,
    pub(super) patient: Option<String>,
    pub(super) study: Option<StudyStated>,
    pub(super) badges: Vec<String>,
    pub(super) privacy: Privacy,
}

/// Checks all films on all cores; the answers are in the order of `candidates`.
pub(super) fn films(
    candidates: &[Candidate],
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<Result<CheckedFilm, String>>, ImportError> {
    let mut checked = Vec::with_capacity(candidates.len());
    for chunk in candidates.chunks(CHUNK) {
        if progress(checked.len(), candidates.len()).is_break() {
            return Err(ImportError::Cancelled);
        }
        let mut part: Vec<_> = chunk.par_iter().map(check).collect();
        checked.append(&mut part);
    }
    if progress(checked.len(), candidates.len()).is_break() {
        return Err(ImportError::Cancelled);
    }
    Ok(checked)
}

fn check(candidate: &Candidate) -> Result<CheckedFilm, String> {
    let path = &candidate.path;
    let bytes = film::read_bytes(path).map_err(|error| error.reason())?;
    let loaded = film::decode_film(&bytes, path).map_err(|error| error.reason())?;
    if let Some(modality) = loaded.facts.modality.as_deref()
        && NOT_PROJECTIONS.contains(&modality)
    {
        return Err(format!("is of modality {modality}, not a radiograph"));
    }
    let kind = match film::sniff(&bytes) {
        Some(Format::Picture(image::ImageFormat::Png)) => "PNG",
        Some(Format::Picture(_)) => "JPEG",
        _ => "DICOM",
    };
    let mut facts = loaded.facts.to_map();
    if let Some(age) = facts.get_mut("age") {
        *age = plain_age(age);
    }
    Ok(CheckedFilm {
        hash: blake3::hash(&bytes).to_hex().to_string(),
        width: loaded.film.width,
        height: loaded.film.height,
        kind,
        facts,
        patient: loaded.patient,
        study: loaded.study,
        badges: loaded.film.badges,
        privacy: loaded.privacy,
    })
}

/// An age in years as people write it: `054Y` and `54.0` become `54`, 90 and more `90+`.
pub(super) fn plain_age(age: &str) -> String {
    let years = age.trim_end_matches('+').trim_end_matches('Y').trim();
    match years.parse::<f32>() {
        Ok(years) if years >= 90.0 => "90+".to_owned(),
        Ok(years) if years >= 0.0 => format!("{}", years.floor()),
        _ => age.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain_age;

    #[test]
    fn ages_are_written_one_way() {
        assert_eq!(plain_age("054Y"), "54");
        assert_eq!(plain_age("57.0"), "57");
        assert_eq!(plain_age("090Y+"), "90+");
        assert_eq!(plain_age("414"), "90+");
        assert_eq!(plain_age("006M"), "006M");
        assert_eq!(plain_age(""), "");
    }
}
