//! What a dataset holds: radiographs, reports and item histories, as records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::study::FurtherFilm;

/// Which part of a dataset a sample belongs to. Splits never divide a patient or a user,
/// except in a leave-one-out layout, where the layout's own files decide.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Models and dictionaries are trained on it; features are chosen on it.
    #[default]
    Train,
    /// Choices are made on it.
    Dev,
    /// Scores are measured on it.
    Test,
}

/// What kind of samples a dataset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetKind {
    /// Films, with or without report text and findings.
    Radiographs,
    /// Report texts without films.
    Reports,
    /// Item histories of users.
    Interactions,
}

/// Describes one dataset of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// Its name in the project.
    pub name: String,
    /// What its samples are.
    pub kind: DatasetKind,
    /// Number of samples.
    pub n_samples: u32,
    /// Names of the findings or categories that samples may carry, sorted as shown.
    pub findings: Vec<String>,
    /// Where it came from, in words for the user: a folder, or the phantom generator and its seed.
    pub source: String,
    /// Licence or terms as far as the source states them.
    pub licence: Option<String>,
    /// Files that were left out, each with its reason.
    pub skipped: Vec<Skipped>,
    /// Set for phantoms: findings or tastes were planted and their truth is known.
    pub planted: bool,
    /// Seed of the generator, for phantoms.
    pub seed: Option<u64>,
}

/// A file or row that an import left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file, or file and row.
    pub place: String,
    /// Why it cannot be used, one sentence.
    pub reason: String,
}

/// Where the pixels of a film are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Path: absolute for the user's files, relative to the dataset's folder for phantoms.
    pub path: String,
    /// BLAKE3 of the file's bytes, in hexadecimal.
    pub hash: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A radiology report by sections; absent sections are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Why the study was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub indication: String,
    /// How the films were made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub technique: String,
    /// Earlier studies it is compared with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comparison: String,
    /// What is seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub findings: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub impression: String,
}

impl Report {
    /// Findings and impression as one text.
    pub fn text(&self) -> String {
        [self.findings.as_str(), self.impression.as_str()]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Pixels of a film that a planted finding covers, run-length coded, row-major.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    /// Columns of the film.
    pub width: u32,
    /// Rows of the film.
    pub height: u32,
    /// Lengths of alternating runs, the first of pixels outside (may be 0).
    pub runs: Vec<u32>,
}

impl Mask {
    /// Codes a row-major mask of `width * height` flags.
    pub fn from_flags(width: u32, height: u32, flags: &[bool]) -> Self {
        let mut runs = Vec::new();
        let (mut current, mut length) = (false, 0_u32);
        for &flag in flags {
            if flag != current {
                runs.push(length);
                (current, length) = (flag, 0);
            }
            length += 1;
        }
        runs.push(length);
        Self {
            width,
            height,
            runs,
        }
    }

    /// The row-major flags, `width * height`.
    pub fn to_flags(&self) -> Vec<bool> {
        let mut flags = Vec::with_capacity((self.width * self.height) as usize);
        for (i, &run) in self.runs.iter().enumerate() {
            flags.extend(std::iter::repeat_n(i % 2 == 1, run as usize));
        }
        flags
    }
}

/// A finding marked on a film: by a radiologist, or planted in a phantom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingBox {
    /// Name of the finding.
    pub finding: String,
    /// Left, top, width, height in film pixels.
    pub rect: [f32; 4],
    /// The exact pixels, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
}

/// One sample of a dataset. Which fields are filled depends on the dataset's kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Its name in the source: a file stem, a report's uid, a user's number.
    pub id: String,
    /// The patient or user: splits keep it together.
    pub group: String,
    /// Part of the dataset.
    pub split: Split,
    /// The film.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Films that hang beside it: other views of the study, then frontal films of earlier ones, the
    /// latest first. Models see `image` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<FurtherFilm>,
    /// The report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Findings present, by name. `None` where the source says nothing about this sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<String>>,
    /// Findings marked on the film.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<FindingBox>,
    /// Item ids (from 1), oldest first: for a user, the whole history in time order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<u32>,
    /// Leave-one-out layouts: how many of the last items are held out (dev, then test).
    #[serde(default)]
    pub n_held_out: u32,
    /// What else the source states, by a short name: `view`, `age`, `sex`, `set`, `modality`,
    /// `laterality`, `labels` (of another labelling scheme). Never who the patient is. Of a user:
    /// `dev` and `test`, how the held-out items divide where that is not one each, and
    /// `user_number`, the user's row in tables made from the source where that is not the sample's
    /// index + 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl SampleRecord {
    /// Whether the source says that this sample has the finding.
    pub fn has_finding(&self, name: &str) -> bool {
        self.findings
            .iter()
            .flatten()
            .any(|finding| finding == name)
    }
}

/// One item of a catalogue. Ids count from 1; 0 is padding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// Item id, from 1.
    pub id: u32,
    /// Title, or the empty string where the source has none.
    pub title: String,
    /// Categories or genres.
    #[serde(default)]
    pub categories: Vec<String>,
    /// What the source calls it, where that is not `id`: a `RecBole` token, the number of a film, an
    /// id of a table. Rows of a checkpoint made from the same source are matched by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Its picture, where there is one: absolute for the user's files, relative to the dataset's
    /// folder for phantoms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

impl CatalogueItem {
    /// What to show for the item: its title, or `item 17` where the source has none. Never blank.
    pub fn shown_title(&self) -> String {
        if self.title.trim().is_empty() {
            format!("item {}", self.id)
        } else {
            self.title.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_title_is_shown_by_id() {
        let mut item = CatalogueItem {
            id: 17,
            title: " ".to_owned(),
            ..CatalogueItem::default()
        };
        assert_eq!(item.shown_title(), "item 17");
        item.title = "Jumanji (1995)".to_owned();
        assert_eq!(item.shown_title(), "Jumanji (1995)");
        let old: CatalogueItem = serde_json::from_str(r#"{"id":3,"title":"x"}"#).unwrap();
        assert_eq!((old.source_id, old.picture), (None, None));
    }

    #[test]
    fn mask_round_trips() {
        let flags = [true, false, false, true, true, false];
        let mask = Mask::from_flags(3, 2, &flags);
        assert_eq!(mask.runs, [0, 1, 2, 2, 1]);
        assert_eq!(mask.to_flags(), flags);
    }
}
