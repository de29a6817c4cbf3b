//! Grounded reports with their boxes taken back to the film.

use models::vision_language::grounded::{box_on_film, parse_grounded};
use serde::Serialize;

/// A sentence with boxes as shares of the whole film.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LocatedSentence {
    /// The sentence.
    pub text: String,
    /// `[x_min, y_min, x_max, y_max]`, 0 to 1, of the film; corners in rising order.
    pub boxes: Vec<[f32; 4]>,
}

/// Sentences of a grounded report and what could not be read of it; none for a plain report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LocatedReport {
    /// Sentences in the order of the text.
    pub sentences: Vec<LocatedSentence>,
    /// One sentence each.
    pub warnings: Vec<String>,
}

impl LocatedReport {
    /// Reads a report that a model wrote of a film of `width × height` pixels.
    pub fn read(text: &str, [width, height]: [u32; 2]) -> Self {
        let report = parse_grounded(text);
        if !report.is_grounded {
            return Self::default();
        }
        let on_film = |square| {
            let [a, b, c, d] = box_on_film(square, width, height);
            [a.min(c), b.min(d), a.max(c), b.max(d)]
        };
        Self {
            sentences: report
                .sentences
                .into_iter()
                .map(|sentence| LocatedSentence {
                    text: sentence.text,
                    boxes: sentence.boxes.into_iter().map(on_film).collect(),
                })
                .collect(),
            warnings: report.warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_lie_in_the_crop_of_the_film() {
        let text = "<obj>a<box><x0><y0><x99><y99></box></obj><obj>b</obj>";
        let report = LocatedReport::read(text, [100, 300]);
        let [left, top, right, bottom] = report.sentences[0].boxes[0];
        assert!(left < 0.01 && right > 0.98);
        assert!((top - 1.0 / 3.0).abs() < 0.01 && (bottom - 2.0 / 3.0).abs() < 0.01);
        assert!(report.sentences[1].boxes.is_empty());
        assert_eq!(
            LocatedReport::read("Clear lungs.", [9, 9]),
            LocatedReport::default()
        );
    }
}
