//! SVG made into pixels with the typeface that comes with the program.

use resvg::tiny_skia::{PixmapMut, Transform};
use resvg::usvg::{Error, Options, Tree};

/// IBM Plex Sans, unmodified; SIL Open Font License 1.1.
const SANS: &[u8] = include_bytes!("../../../assets/fonts/IBMPlexSans.ttf");

/// Reads an SVG.
///
/// # Errors
/// When it is none.
pub(crate) fn read(svg: &str) -> Result<Tree, Error> {
    let mut options = Options {
        font_family: "IBM Plex Sans".to_owned(),
        ..Options::default()
    };
    options.fontdb_mut().load_font_data(SANS.to_vec());
    Tree::from_str(svg, &options)
}

/// Draws it over what is there, so many times as large.
pub(crate) fn draw(tree: &Tree, scale: f32, onto: &mut PixmapMut<'_>) {
    resvg::render(tree, Transform::from_scale(scale, scale), onto);
}
