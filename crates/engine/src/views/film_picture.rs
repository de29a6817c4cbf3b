//! A film as it is looked at, to be written to a file.

use schema::{PatchGrid, Window};

/// What a picture of a film shows. Names no sample and no file: what it says is in `says`.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmPicture {
    /// Dataset.
    pub dataset: String,
    /// Index of the sample.
    pub sample: u32,
    /// Which film of the sample: 0 for its own, further ones from 1.
    pub film: u32,
    /// How values become grey.
    pub window: Window,
    /// Whether black and white are exchanged.
    pub inverted: bool,
    /// Colours over the film.
    pub colours: Option<FilmColours>,
    /// Lines over the film.
    pub lines: Vec<FilmLine>,
    /// Boxes over the film.
    pub boxes: Vec<FilmBox>,
    /// Sentences under the film: scale, legend. The film's own badges and the safety line are added.
    pub says: Vec<String>,
}

/// A colour for each patch.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmColours {
    /// Where the patches lie.
    pub grid: PatchGrid,
    /// Red, green, blue, each times alpha, and alpha; row-major.
    pub rgba: Vec<[u8; 4]>,
    /// Bilinear between patch centres; raw patches otherwise.
    pub smooth: bool,
}

/// Straight pieces of one colour.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmLine {
    /// Red, green, blue.
    pub rgb: [u8; 3],
    /// Their ends, in film pixels.
    pub pieces: Vec<[[f32; 2]; 2]>,
}

/// A frame with a word.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmBox {
    /// Left, top, width, height in film pixels.
    pub rect: [f32; 4],
    /// What is framed.
    pub name: String,
    /// Red, green, blue.
    pub rgb: [u8; 3],
    /// Drawn with dashes.
    pub dashed: bool,
}
