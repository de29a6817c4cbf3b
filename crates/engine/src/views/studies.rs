//! The films of a study beside the one that a sample is about.

use schema::{FilmRole, FindingBox, FurtherFilm};
use serde::Serialize;

/// A film that hangs beside a sample's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FurtherFilmView {
    /// What it is to the study.
    pub role: FilmRole,
    /// Its name in the source.
    pub id: String,
    /// Columns and rows.
    pub size: [u32; 2],
    /// The view as the source states it.
    pub view: Option<String>,
    /// Of a prior: how many studies before.
    pub studies_before: Option<u32>,
    /// Findings marked on it.
    pub boxes: Vec<FindingBox>,
}

impl From<&FurtherFilm> for FurtherFilmView {
    fn from(film: &FurtherFilm) -> Self {
        Self {
            role: film.role,
            id: film.id.clone(),
            size: [film.image.width, film.image.height],
            view: film.view.clone(),
            studies_before: film.studies_before,
            boxes: film.boxes.clone(),
        }
    }
}

impl FurtherFilmView {
    /// `Lateral`, `Prior`, or `Prior, 2 studies before`.
    pub fn title(&self) -> String {
        let name = self.role.name();
        match self.studies_before {
            Some(1) => format!("{name}, the study before"),
            Some(n) => format!("{name}, {n} studies before"),
            None => name.to_owned(),
        }
    }
}
