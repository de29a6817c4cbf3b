//! Studies of the invented project: every third film has a lateral and two earlier films beside it.

use engine::views::{ExampleKind, FilmPicture, FilmSize, FilmState, FurtherFilmView};
use schema::{FilmRole, FindingBox, JobId};

use super::invented::{Invented, SIDE};
use crate::backend::{Answer, Backend as _, Studies};

impl Studies for Invented {
    fn further_film(&self, dataset: &str, sample: u32, number: u32, size: FilmSize) -> FilmState {
        if number == 0 {
            return self.film(dataset, sample, size);
        }
        if number as usize > further(ExampleKind::Film, sample).len() {
            return FilmState::Failed(format!("sample {sample} has no film number {number}"));
        }
        let side = match size {
            FilmSize::Thumbnail => 160,
            FilmSize::Full => SIDE,
        };
        self.film_of(side)
    }

    fn save_film(&self, picture: FilmPicture, file: &str) -> Answer<JobId> {
        self.note(format!(
            "save film {} of {} to {file}{}, {} boxes, {}",
            picture.film,
            picture.sample,
            if picture.inverted { ", inverted" } else { "" },
            picture.boxes.len(),
            picture.says.join("; ")
        ));
        Ok(JobId(1))
    }
}

/// The films beside that of a sample.
pub(super) fn further(kind: ExampleKind, sample: u32) -> Vec<FurtherFilmView> {
    if kind != ExampleKind::Film || !sample.is_multiple_of(3) {
        return Vec::new();
    }
    let beside = |role, name: &str, studies_before| FurtherFilmView {
        role,
        id: format!("films-{sample:04}-{name}"),
        size: [SIDE, SIDE],
        view: None,
        studies_before,
        boxes: Vec::new(),
    };
    vec![
        beside(FilmRole::Lateral, "lateral", None),
        beside(FilmRole::Prior, "before", Some(1)),
        beside(FilmRole::Prior, "long-before", Some(3)),
    ]
}

/// A box beside the bright middle of every film.
pub(super) fn boxes(kind: ExampleKind) -> Vec<FindingBox> {
    let marked = FindingBox {
        finding: "effusion".to_owned(),
        rect: [80.0, 90.0, 60.0, 50.0],
        mask: None,
    };
    (kind == ExampleKind::Film)
        .then_some(marked)
        .into_iter()
        .collect()
}
