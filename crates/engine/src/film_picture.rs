//! Writes a film as it is looked at into a PNG file: pixels, what lies over them, and words below.
//!
//! Only pixels are written: no header of the film's file, no name of sample or file. What the film's
//! own file says of text burned into it stands under the picture, with the safety line.

use std::fmt::Write as _;
use std::path::Path;

use datasets::resize::shrink;
use resvg::tiny_skia::Pixmap;
use schema::PatchGrid;

use crate::drawing;
use crate::error::{EngineError, Result};
use crate::html::escaped;
use crate::named_files::{check_output, write_output};
use crate::session::Session;
use crate::views::{FilmColours, FilmPicture, SAFETY};

/// Longest side of the film in the picture.
const LONGEST: u32 = 2048;

impl Session {
    /// Writes `picture` into `file` as PNG; a film of more than 2,048 pixels a side is shrunk.
    ///
    /// # Errors
    /// When there is no such film, it cannot be read, or the file cannot be written.
    pub fn save_film_picture(&self, picture: &FilmPicture, file: &Path) -> Result<()> {
        check_output(file)?;
        let source = self.film_source(&picture.dataset, picture.sample, picture.film)?;
        let film = datasets::load_film(&source.path)
            .map_err(|error| EngineError::other(error.to_string()))?;
        let mut grey = film.to_u8(&picture.window);
        if picture.inverted {
            for level in &mut grey {
                *level = 255 - *level;
            }
        }
        let (width, height, grey) = shrink(film.width, film.height, grey, LONGEST);
        let scale = width as f32 / film.width as f32;
        let mut words = film.badges;
        if picture.inverted {
            words.push("inverted here".to_owned());
        }
        let words: Vec<String> = std::iter::once(words.join(" · "))
            .filter(|line| !line.is_empty())
            .chain(picture.says.iter().cloned())
            .chain([SAFETY.to_owned()])
            .collect();
        let font = (width as f32 / 46.0).clamp(9.0, 26.0);
        // A letter of this typeface is about half as wide as it is high.
        let letters = ((width as f32 - font) / (font * 0.56)).max(8.0) as usize;
        let lines: Vec<String> = words
            .iter()
            .flat_map(|text| wrapped(text, letters))
            .collect();
        let band = (font * 1.4 * (lines.len() as f32 + 0.6)).ceil() as u32;
        let mut pixmap = Pixmap::new(width, height + band)
            .ok_or_else(|| EngineError::other("the film is too large for a picture"))?;
        let over = picture
            .colours
            .as_ref()
            .map(|colours| (colours, scale))
            .filter(|(colours, _)| fits(&colours.grid, colours.rgba.len()));
        let target = pixmap.data_mut().as_chunks_mut::<4>().0;
        for (i, pixel) in target.iter_mut().enumerate() {
            let (x, y) = (i as u32 % width, i as u32 / width);
            let level = if y < height { grey[i] } else { 0 };
            *pixel = [level, level, level, 255];
            if let Some((colours, scale)) = over
                && y < height
            {
                let at = [(x as f32 + 0.5) / scale, (y as f32 + 0.5) / scale];
                *pixel = blended(level, colour_at(colours, at));
            }
        }
        let size = [width, height, band];
        let over =
            drawing::read(&overlay(picture, scale, size, (font, &lines))).map_err(|error| {
                EngineError::other(format!("the picture cannot be drawn ({error})"))
            })?;
        drawing::draw(&over, 1.0, &mut pixmap.as_mut());
        let png = datasets::film::encode_colour_png(width, height + band, pixmap.data())
            .map_err(|error| EngineError::other(error.to_string()))?;
        write_output(file, &png)
    }
}

fn fits(grid: &PatchGrid, n: usize) -> bool {
    n > 0 && n == grid.rows as usize * grid.columns as usize
}

/// A colour over a grey level.
fn blended(level: u8, colour: [f32; 4]) -> [u8; 4] {
    let through = f32::from(level) * (1.0 - colour[3] / 255.0);
    let channel = |c: usize| (colour[c] + through).round().clamp(0.0, 255.0) as u8;
    [channel(0), channel(1), channel(2), 255]
}

/// The colour at a place of the film, each channel times alpha; nothing beside the grid.
fn colour_at(colours: &FilmColours, [x, y]: [f32; 2]) -> [f32; 4] {
    let grid = &colours.grid;
    let across = (x - grid.left) / grid.width * grid.columns as f32;
    let down = (y - grid.top) / grid.height * grid.rows as f32;
    let inside = (0.0..grid.columns as f32).contains(&across);
    if !inside || !(0.0..grid.rows as f32).contains(&down) {
        return [0.0; 4];
    }
    let patch = |row: usize, column: usize| {
        colours.rgba[row * grid.columns as usize + column].map(f32::from)
    };
    if !colours.smooth {
        return patch(down as usize, across as usize);
    }
    let between = |at: f32, n: u32| -> (usize, usize, f32) {
        let last = n.saturating_sub(1) as usize;
        let at = (at - 0.5).clamp(0.0, last as f32);
        (at as usize, (at as usize + 1).min(last), at.fract())
    };
    let (left, right, dx) = between(across, grid.columns);
    let (above, below, dy) = between(down, grid.rows);
    std::array::from_fn(|c| {
        let mix = |row| patch(row, left)[c] * (1.0 - dx) + patch(row, right)[c] * dx;
        mix(above) * (1.0 - dy) + mix(below) * dy
    })
}

/// Lines, boxes and words as SVG.
fn overlay(
    picture: &FilmPicture,
    scale: f32,
    [width, height, band]: [u32; 3],
    (font, lines): (f32, &[String]),
) -> String {
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02x}{g:02x}{b:02x}");
    let stroke = (width as f32 / 400.0).max(1.0);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{}">"#,
        height + band
    );
    for line in &picture.lines {
        let mut path = String::new();
        for [a, b] in &line.pieces {
            let [ax, ay, bx, by] = [a[0], a[1], b[0], b[1]].map(|at| at * scale);
            write!(path, "M{ax:.2} {ay:.2}L{bx:.2} {by:.2}").ok();
        }
        write!(
            svg,
            r#"<path d="{path}" fill="none" stroke="{}" stroke-width="{stroke}"/>"#,
            hex(line.rgb)
        )
        .ok();
    }
    for framed in &picture.boxes {
        let [x, y, w, h] = framed.rect.map(|side| side * scale);
        let dashes = if framed.dashed {
            format!(r#" stroke-dasharray="{} {}""#, stroke * 4.0, stroke * 3.0)
        } else {
            String::new()
        };
        let colour = hex(framed.rgb);
        write!(
            svg,
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="none" stroke="{colour}" stroke-width="{stroke}"{dashes}/><text x="{x}" y="{}" font-size="{font}" fill="{colour}">{}</text>"#,
            y - font * 0.3,
            escaped(&framed.name)
        )
        .ok();
    }
    for (i, line) in lines.iter().enumerate() {
        let y = height as f32 + font * 1.4 * (i as f32 + 1.0);
        write!(
            svg,
            r##"<text x="{}" y="{y}" font-size="{font}" fill="#e1e1e4">{}</text>"##,
            font * 0.5,
            escaped(line)
        )
        .ok();
    }
    svg + "</svg>"
}

/// A text in lines of at most so many letters, broken between words.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JobContext;
    use crate::views::{FilmBox, FilmLine, ImportRequest};
    use schema::Window;

    /// A DICOM file of 64 × 48 pixels whose header and path name a patient.
    fn dicom(burned: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..64 * 48_u16)
            .flat_map(|i| (i % 64 * 4).to_le_bytes())
            .collect();
        let elements: [(u16, u16, &[u8; 2], &[u8]); 13] = [
            (0x0008, 0x0060, b"CS", b"DX"),
            (0x0008, 0x0080, b"LO", b"Secret Hospital "),
            (0x0010, 0x0010, b"PN", b"Doe^Jane"),
            (0x0010, 0x0020, b"LO", b"MRN-4711"),
            (0x0028, 0x0002, b"US", &[1, 0]),
            (0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
            (0x0028, 0x0010, b"US", &[48, 0]),
            (0x0028, 0x0011, b"US", &[64, 0]),
            (0x0028, 0x0100, b"US", &[16, 0]),
            (0x0028, 0x0101, b"US", &[16, 0]),
            (0x0028, 0x0102, b"US", &[15, 0]),
            (0x0028, 0x0103, b"US", &[0, 0]),
            (0x0028, 0x0301, b"CS", burned),
        ];
        for (group, element, kind, value) in elements {
            bytes.extend(group.to_le_bytes());
            bytes.extend(element.to_le_bytes());
            bytes.extend(kind);
            bytes.extend((value.len() as u16).to_le_bytes());
            bytes.extend(value);
        }
        bytes.extend([0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0]);
        bytes.extend((pixels.len() as u32).to_le_bytes());
        bytes.extend(pixels);
        bytes
    }

    fn picture() -> FilmPicture {
        FilmPicture {
            dataset: "films".to_owned(),
            sample: 0,
            film: 0,
            window: Window::between(0.0, 255.0, "test"),
            inverted: false,
            colours: None,
            lines: Vec::new(),
            boxes: Vec::new(),
            says: Vec::new(),
        }
    }

    struct Saved {
        bytes: Vec<u8>,
        image: image::RgbaImage,
    }

    fn saved(burned: &[u8], picture: &FilmPicture) -> Saved {
        let folder = tempfile::tempdir().unwrap();
        let films = folder.path().join("Doe Jane MRN-4711");
        std::fs::create_dir(&films).unwrap();
        std::fs::write(films.join("Doe_Jane.dcm"), dicom(burned)).unwrap();
        let session = Session::create(&folder.path().join("project")).unwrap();
        let request = ImportRequest::Radiographs {
            name: "films".to_owned(),
            images: films.display().to_string(),
            table: String::new(),
            columns: String::new(),
            labels: String::new(),
            boxes: String::new(),
        };
        session.import(&request, &JobContext::silent()).unwrap();
        let file = folder.path().join("film.png");
        session.save_film_picture(picture, &file).unwrap();
        let bytes = std::fs::read(file).unwrap();
        let image = image::load_from_memory(&bytes).unwrap().to_rgba8();
        Saved { bytes, image }
    }

    /// Names of the chunks of a PNG file.
    fn chunks(bytes: &[u8]) -> Vec<String> {
        let (mut at, mut names) = (8, Vec::new());
        while at + 8 <= bytes.len() {
            let length = u32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
            names.push(String::from_utf8(bytes[at + 4..at + 8].to_vec()).unwrap());
            at += 12 + length;
        }
        names
    }

    #[test]
    fn a_picture_has_pixels_and_nothing_of_the_header() {
        let plain = saved(b"NO", &picture());
        let mut names = chunks(&plain.bytes);
        names.dedup();
        assert_eq!(names, ["IHDR", "IDAT", "IEND"]);
        for secret in ["Doe", "Jane", "MRN", "4711", "Hospital"] {
            let is_there = plain
                .bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!is_there, "{secret}");
        }
        for (x, y) in [(0, 0), (10, 20), (63, 47)] {
            let expected = (x * 4) as u8;
            assert_eq!(
                plain.image.get_pixel(x, y).0,
                [expected, expected, expected, 255]
            );
        }
        let inverted = FilmPicture {
            inverted: true,
            ..picture()
        };
        let inverted = saved(b"NO", &inverted);
        assert_eq!(inverted.image.get_pixel(10, 20).0, [215, 215, 215, 255]);
    }

    #[test]
    fn the_safety_line_and_burned_in_text_are_said() {
        let lit = |saved: &Saved| {
            let below = saved.image.enumerate_pixels().filter(|(_, y, _)| *y >= 48);
            below.filter(|(_, _, pixel)| pixel.0[0] > 100).count()
        };
        let (plain, burned) = (saved(b"NO", &picture()), saved(b"YES ", &picture()));
        assert!(lit(&plain) > 50, "no words under the film: {}", lit(&plain));
        assert!(burned.image.height() > plain.image.height());
        assert!(lit(&burned) > lit(&plain) + 50);
    }

    #[test]
    fn colours_lines_and_boxes_lie_where_they_belong() {
        let over = FilmPicture {
            colours: Some(FilmColours {
                grid: PatchGrid {
                    rows: 1,
                    columns: 2,
                    left: 0.0,
                    top: 0.0,
                    width: 64.0,
                    height: 24.0,
                },
                rgba: vec![[0, 0, 0, 0], [200, 0, 0, 255]],
                smooth: false,
            }),
            lines: vec![FilmLine {
                rgb: [0, 255, 0],
                pieces: vec![[[4.0, 40.5], [60.0, 40.5]]],
            }],
            boxes: vec![FilmBox {
                rect: [4.0, 28.0, 8.0, 8.0],
                name: String::new(),
                rgb: [0, 0, 255],
                dashed: false,
            }],
            ..picture()
        };
        let image = saved(b"NO", &over).image;
        assert_eq!(image.get_pixel(10, 10).0, [40, 40, 40, 255]);
        assert_eq!(image.get_pixel(40, 10).0, [200, 0, 0, 255]);
        assert_eq!(image.get_pixel(40, 30).0, [160, 160, 160, 255]);
        let [r, g, _, _] = image.get_pixel(30, 40).0;
        assert!(g > 250 && r < 5, "{r} {g}");
        assert!(image.get_pixel(8, 28).0[2] > image.get_pixel(8, 28).0[0] + 60);
        assert_eq!(image.get_pixel(8, 32).0, [32, 32, 32, 255]);
    }

    #[test]
    fn smooth_colours_mix_between_patch_centres() {
        let grid = PatchGrid {
            rows: 1,
            columns: 2,
            left: 0.0,
            top: 0.0,
            width: 4.0,
            height: 4.0,
        };
        let colours = FilmColours {
            grid,
            rgba: vec![[0, 0, 0, 0], [100, 50, 0, 100]],
            smooth: true,
        };
        assert_eq!(colour_at(&colours, [2.0, 2.0]), [50.0, 25.0, 0.0, 50.0]);
        assert_eq!(colour_at(&colours, [0.5, 2.0])[3], 0.0);
        assert_eq!(colour_at(&colours, [5.0, 2.0]), [0.0; 4]);
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert!(wrapped("", 8).is_empty());
    }
}
