//! The films of a study beside the one that a sample is about.

use serde::{Deserialize, Serialize};

use crate::{FindingBox, ImageRef};

/// What a film is to the study it hangs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilmRole {
    /// From the front or the back: PA or AP.
    Frontal,
    /// From the side.
    Lateral,
    /// A frontal film of an earlier study of the same patient.
    Prior,
}

impl FilmRole {
    /// `Frontal`, `Lateral` or `Prior`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontal => "Frontal",
            Self::Lateral => "Lateral",
            Self::Prior => "Prior",
        }
    }

    /// The role of a film of this study by the view that its source states: a code of DICOM's View
    /// Position or a word. `None` for any other view.
    pub fn of_view(view: &str) -> Option<Self> {
        let plain: String = view
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_uppercase();
        match plain.as_str() {
            "PA" | "AP" | "FRONTAL" | "APSUPINE" | "APERECT" | "APPORTABLE" | "POSTEROANTERIOR"
            | "ANTEROPOSTERIOR" => Some(Self::Frontal),
            "LL" | "RL" | "LAT" | "LATERAL" | "LLATERAL" | "RLATERAL" | "LEFTLATERAL"
            | "RIGHTLATERAL" => Some(Self::Lateral),
            _ => None,
        }
    }
}

/// A film that hangs beside a sample's own. Models never see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherFilm {
    /// What it is to the sample's study.
    pub role: FilmRole,
    /// Its name in the source.
    pub id: String,
    /// Its pixels.
    pub image: ImageRef,
    /// The view as the source states it, e.g. `LL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Of a prior: how many studies before, 1 for the one before. Never a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub studies_before: Option<u32>,
    /// Findings marked on it, in its own pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<FindingBox>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleRecord;

    #[test]
    fn views_are_told_apart() {
        for view in ["PA", "ap", "AP Supine", "Frontal"] {
            assert_eq!(FilmRole::of_view(view), Some(FilmRole::Frontal), "{view}");
        }
        for view in ["LL", "Lateral", "left lateral", "LAT"] {
            assert_eq!(FilmRole::of_view(view), Some(FilmRole::Lateral), "{view}");
        }
        for view in ["", "RAO", "oblique", "P A L"] {
            assert_eq!(FilmRole::of_view(view), None, "{view}");
        }
    }

    #[test]
    fn records_without_further_films_are_written_and_read_as_before() {
        let old = r#"{"id":"a","group":"1","split":"train","n_held_out":0}"#;
        let record: SampleRecord = serde_json::from_str(old).unwrap();
        assert!(record.further.is_empty());
        assert_eq!(serde_json::to_string(&record).unwrap(), old);
    }

    #[test]
    fn further_films_round_trip() {
        let record = SampleRecord {
            further: vec![FurtherFilm {
                role: FilmRole::Prior,
                id: "older".to_owned(),
                image: ImageRef {
                    path: "/older.png".to_owned(),
                    hash: String::new(),
                    width: 3,
                    height: 2,
                },
                view: Some("PA".to_owned()),
                studies_before: Some(1),
                boxes: Vec::new(),
            }],
            ..SampleRecord::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        assert!(
            text.contains(r#""role":"prior""#) && !text.contains("boxes"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<SampleRecord>(&text).unwrap(), record);
    }
}
