//! The door's part for films of a study, and films written to files.

use std::path::Path;

use schema::JobId;

use crate::engine::Engine;
use crate::error::Result;
use crate::views::{FilmPicture, FilmSize, FilmState};

impl Engine {
    /// A film of a sample's study, from the cache or on its way: number 0 is its own, further ones
    /// count from 1. Never blocks.
    pub fn further_film(&self, dataset: &str, sample: u32, film: u32, size: FilmSize) -> FilmState {
        self.films.get(dataset, (sample, film), size, || {
            self.shared.session()?.film_source(dataset, sample, film)
        })
    }

    /// Writes a film as it is looked at into a PNG file, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn save_film(&self, picture: FilmPicture, file: &Path) -> Result<JobId> {
        let file = file.to_owned();
        self.start_in_project("Write the film", move |job, session| {
            job.report("Writing the film", 0, 0, "");
            session.save_film_picture(&picture, &file)?;
            Ok(format!("Wrote {}", file.display()))
        })
    }
}
