//! The door's part for films that hang beside a sample's own.

use std::path::Path;

use engine::Engine;
use engine::views::{FilmPicture, FilmSize, FilmState};
use schema::JobId;

use super::{Answer, sentence};

/// What the window may ask of studies; see [`super::Backend`].
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Studies {
    fn further_film(&self, dataset: &str, sample: u32, film: u32, size: FilmSize) -> FilmState;
    fn save_film(&self, picture: FilmPicture, file: &str) -> Answer<JobId>;
}

impl Studies for Engine {
    fn further_film(&self, dataset: &str, sample: u32, film: u32, size: FilmSize) -> FilmState {
        Self::further_film(self, dataset, sample, film, size)
    }

    fn save_film(&self, picture: FilmPicture, file: &str) -> Answer<JobId> {
        Self::save_film(self, picture, Path::new(file)).map_err(sentence)
    }
}
