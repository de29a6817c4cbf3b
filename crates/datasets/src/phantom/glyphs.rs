//! A small bitmap font and how letters are burned into a film.

/// Columns of a glyph.
const GLYPH_WIDTH: usize = 5;
/// Rows of a glyph.
const GLYPH_HEIGHT: usize = 7;

/// The seven rows of a letter, five bits each, the leftmost highest.
fn rows(letter: char) -> [u8; GLYPH_HEIGHT] {
    match letter {
        'A' => [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
        'B' => [0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e],
        'E' => [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f],
        'L' => [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f],
        'O' => [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
        'P' => [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10],
        'R' => [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11],
        'T' => [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04],
        _ => [0; GLYPH_HEIGHT],
    }
}

/// Width and height of a text in pixels, `scale` pixels to a dot.
pub(super) fn text_size(text: &str, scale: usize) -> (usize, usize) {
    let letters = text.chars().count();
    (
        (letters * (GLYPH_WIDTH + 1)).saturating_sub(1) * scale,
        GLYPH_HEIGHT * scale,
    )
}

/// Calls `dot(column, row)` for every lit pixel of `text`, its corner at `(left, top)`.
pub(super) fn draw_text(
    text: &str,
    (left, top): (usize, usize),
    scale: usize,
    mut dot: impl FnMut(usize, usize),
) {
    for (place, letter) in text.chars().enumerate() {
        for (row, bits) in rows(letter).into_iter().enumerate() {
            for column in 0..GLYPH_WIDTH {
                if bits >> (GLYPH_WIDTH - 1 - column) & 1 == 0 {
                    continue;
                }
                let corner = (
                    left + (place * (GLYPH_WIDTH + 1) + column) * scale,
                    top + row * scale,
                );
                for i in 0..scale * scale {
                    dot(corner.0 + i % scale, corner.1 + i / scale);
                }
            }
        }
    }
}
