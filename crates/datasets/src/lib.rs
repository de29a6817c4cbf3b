//! Reads radiographs, reports and item histories, makes phantoms, and splits them by patient.

pub mod dicom;
pub mod film;
pub mod import;
pub mod phantom;
pub mod resize;
pub mod split;

pub use dicom::FilmFacts;
pub use film::{
    FilmError, LoadedFilm, decode_film, default_window, load_film, load_film_with_facts,
    load_thumbnail,
};
pub use split::split_of;

#[cfg(test)]
mod test_data;
