//! Findings marked on films: a table of rectangles.

use std::path::{Path, PathBuf};

use schema::FindingBox;

use super::super::ImportError;
use super::super::table::Table;
use super::files::stem;

/// Rectangles by the stem of their film's name.
pub(super) struct Boxes {
    pub(super) path: PathBuf,
    pub(super) marks: Vec<(String, FindingBox)>,
}

/// Reads a table with columns image, label, x, y, w, h (film pixels, from the top left corner).
pub(super) fn read(path: &Path) -> Result<Boxes, ImportError> {
    let table = Table::read(path, None)?;
    let image = table.column("image")?;
    let label = table.column("label")?;
    let sides = [
        table.column("x")?,
        table.column("y")?,
        table.column("w")?,
        table.column("h")?,
    ];
    let mut marks = Vec::with_capacity(table.rows.len());
    for row in 0..table.rows.len() {
        let mut rect = [0_f32; 4];
        for (value, column) in rect.iter_mut().zip(sides) {
            *value = table
                .cell(row, column)
                .parse()
                .ok()
                .filter(|value: &f32| value.is_finite())
                .ok_or_else(|| table.bad_value(row, column, "a number of pixels"))?;
        }
        let mark = FindingBox {
            finding: table.cell(row, label).to_owned(),
            rect,
            mask: None,
        };
        marks.push((stem(table.cell(row, image)).to_owned(), mark));
    }
    Ok(Boxes {
        path: path.to_owned(),
        marks,
    })
}
