//! Reads grounded reports: sentences with boxes, `<obj>text<box><x1><y2><x3><y4></box></obj>`.
//!
//! The reference parser stops at malformed text; a steered model writes such text, so this one
//! keeps what can be read and says what could not.

use serde::{Deserialize, Serialize};

/// One sentence and where it is seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroundedSentence {
    /// The sentence.
    pub text: String,
    /// Boxes `[x_min, y_min, x_max, y_max]` as shares of the cropped square, in the order of the
    /// text, corners as written; empty where the sentence has none.
    pub boxes: Vec<[f32; 4]>,
}

/// A report as a model wrote it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroundedReport {
    /// Whether the text has grounding tokens at all; without, it is one sentence, the whole text.
    pub is_grounded: bool,
    /// Sentences in the order of the text.
    pub sentences: Vec<GroundedSentence>,
    /// What could not be read, one sentence each.
    pub warnings: Vec<String>,
}

/// Bins that a coordinate is written in.
const N_BINS: f32 = 100.0;

/// A piece of grounded text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    OpenSentence,
    CloseSentence,
    OpenBox,
    CloseBox,
    X(f32),
    Y(f32),
}

/// Reads one token of the grammar at the start of `text`; its length with it.
fn token(text: &str) -> Option<(Piece<'_>, usize)> {
    let end = text.find('>')? + 1;
    let inner = text.get(1..end - 1)?;
    let bin = |digits: &str| {
        let bin: u8 = digits.parse().ok().filter(|bin| *bin < 100)?;
        Some((f32::from(bin) + 0.5) / N_BINS)
    };
    let piece = match inner {
        "obj" => Piece::OpenSentence,
        "/obj" => Piece::CloseSentence,
        "box" => Piece::OpenBox,
        "/box" => Piece::CloseBox,
        _ => match inner.split_at_checked(1)? {
            ("x", digits) => Piece::X(bin(digits)?),
            ("y", digits) => Piece::Y(bin(digits)?),
            _ => return None,
        },
    };
    Some((piece, end))
}

/// Splits text into tokens of the grammar and what stands between them.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(found) = text[at..].find('<') {
        let open = at + found;
        match token(&text[open..]) {
            Some((piece, length)) => {
                if start < open {
                    all.push(Piece::Text(&text[start..open]));
                }
                all.push(piece);
                at = open + length;
                start = at;
            }
            None => at = open + 1,
        }
    }
    if start < text.len() {
        all.push(Piece::Text(&text[start..]));
    }
    all
}

/// State while a report is read.
#[derive(Default)]
struct Reading {
    report: GroundedReport,
    sentence: Option<GroundedSentence>,
    corners: Option<Vec<(bool, f32)>>,
}

impl Reading {
    fn warn(&mut self, warning: String) {
        self.report.warnings.push(warning);
    }

    fn close_box(&mut self) {
        let Some(corners) = self.corners.take() else {
            self.warn("a box is closed that was not opened".to_owned());
            return;
        };
        let is_box = corners
            .iter()
            .map(|(is_x, _)| *is_x)
            .eq([true, false, true, false]);
        let place = self.place();
        if !is_box {
            let n = corners.len();
            self.warn(format!(
                "a box{place} is left out: expected x, y, x, y, found {n} coordinate{}",
                if n == 1 { "" } else { "s" }
            ));
            return;
        }
        let values = [corners[0].1, corners[1].1, corners[2].1, corners[3].1];
        match &mut self.sentence {
            Some(sentence) => sentence.boxes.push(values),
            None => self.warn("a box outside any sentence is left out".to_owned()),
        }
    }

    /// Where the reading is, for a warning.
    fn place(&self) -> String {
        self.sentence
            .as_ref()
            .map_or(String::new(), |s| format!(" of \"{}\"", s.text.trim()))
    }

    fn close_sentence(&mut self, is_closed: bool) {
        if self.corners.is_some() {
            let place = self.place();
            self.corners = None;
            self.warn(format!("a box{place} is left out: it is not closed"));
        }
        let Some(mut sentence) = self.sentence.take() else {
            self.warn("a sentence is closed that was not opened".to_owned());
            return;
        };
        let text = sentence.text.trim().to_owned();
        sentence.text = text;
        if !is_closed {
            let text = &sentence.text;
            let warning = format!("the sentence \"{text}\" is not closed");
            self.warn(warning);
        }
        self.report.sentences.push(sentence);
    }

    fn read(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::OpenSentence => {
                if self.sentence.is_some() {
                    self.close_sentence(false);
                }
                self.sentence = Some(GroundedSentence {
                    text: String::new(),
                    boxes: Vec::new(),
                });
            }
            Piece::CloseSentence => self.close_sentence(true),
            Piece::OpenBox => {
                if self.corners.is_some() {
                    let place = self.place();
                    self.warn(format!("a box{place} is left out: it is not closed"));
                }
                self.corners = Some(Vec::new());
            }
            Piece::CloseBox => self.close_box(),
            Piece::X(value) | Piece::Y(value) => match &mut self.corners {
                Some(corners) => corners.push((matches!(piece, Piece::X(_)), value)),
                None => self.warn("a coordinate outside a box is left out".to_owned()),
            },
            Piece::Text(text) => match &mut self.sentence {
                Some(sentence) => sentence.text.push_str(text),
                None if text.trim().is_empty() => {
                    // The reference writes sentences without anything between them.
                    if !self.report.sentences.is_empty() {
                        self.warn("white space between two sentences".to_owned());
                    }
                }
                None => {
                    let text = text.trim();
                    self.warn(format!("\"{text}\" stands outside any sentence"));
                    self.report.sentences.push(GroundedSentence {
                        text: text.to_owned(),
                        boxes: Vec::new(),
                    });
                }
            },
        }
    }
}

/// Reads a report as a model wrote it, grounded or plain.
pub fn parse_grounded(text: &str) -> GroundedReport {
    let all = pieces(text);
    if all.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        return GroundedReport {
            is_grounded: false,
            sentences: vec![GroundedSentence {
                text: text.trim().to_owned(),
                boxes: Vec::new(),
            }],
            warnings: Vec::new(),
        };
    }
    let mut reading = Reading::default();
    reading.report.is_grounded = true;
    for (i, &piece) in all.iter().enumerate() {
        let is_edge = i == 0 || i + 1 == all.len();
        if is_edge && matches!(piece, Piece::Text(text) if text.trim().is_empty()) {
            continue;
        }
        reading.read(piece);
    }
    if reading.sentence.is_some() {
        reading.close_sentence(false);
    }
    reading.report
}

/// A box of the cropped square as shares of the whole film.
///
/// # Shapes
/// - `square`: shares of the centre crop, whose side is the shorter side of the film
/// - `width`, `height`: of the film in pixels
pub fn box_on_film(square: [f32; 4], width: u32, height: u32) -> [f32; 4] {
    let side = width.min(height);
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    // Whole pixels, as the reference cuts them off.
    let along = |share: f32, offset: u32, length: u32| {
        let pixels = (f64::from(share) * f64::from(side) + f64::from(offset)).trunc();
        (pixels / f64::from(length.max(1))) as f32
    };
    [
        along(square[0], left, width),
        along(square[1], top, height),
        along(square[2], left, width),
        along(square[3], top, height),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(report: &GroundedReport) -> Vec<&str> {
        report.sentences.iter().map(|s| s.text.as_str()).collect()
    }

    #[test]
    fn what_is_malformed_is_said_and_the_rest_kept() {
        let report = parse_grounded("<obj>bad <box><x1><y2><x3></box></obj><obj>good</obj>");
        assert_eq!(texts(&report), ["bad", "good"]);
        assert!(report.sentences[0].boxes.is_empty());
        assert_eq!(
            report.warnings,
            ["a box of \"bad\" is left out: expected x, y, x, y, found 3 coordinates"]
        );
        let open = parse_grounded("<obj>a<obj>b<box><x1><y2><x3><y4></box>");
        assert_eq!(texts(&open), ["a", "b"]);
        assert_eq!(open.sentences[1].boxes, [[0.015, 0.025, 0.035, 0.045]]);
        assert_eq!(open.warnings.len(), 2);
    }

    #[test]
    fn other_angle_brackets_are_text() {
        let report = parse_grounded("PaO2 < 60 and > 40");
        assert!(!report.is_grounded);
        assert_eq!(texts(&report), ["PaO2 < 60 and > 40"]);
        let report = parse_grounded("<obj>size < 3 cm <x999> <y></obj>");
        assert_eq!(texts(&report), ["size < 3 cm <x999> <y>"]);
    }

    #[test]
    fn nothing_a_model_writes_stops_the_reading() {
        let words = [
            "<obj>", "</obj>", "<box>", "</box>", "<x3>", "<y4>", "a", "é<", " ",
        ];
        let mut state = 7_u32;
        for _ in 0..2_000 {
            let mut text = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(words[(state >> 16) as usize % words.len()]);
            }
            let report = parse_grounded(&text);
            assert!(report.sentences.iter().all(|s| s.text.trim() == s.text));
        }
    }
}
