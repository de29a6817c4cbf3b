//! The colour map of activations: perceptually even, zero transparent.

use std::sync::OnceLock;

use egui::Color32;

use crate::tokens;

/// Polynomial fit of matplotlib's *inferno* (degree 6, one row of RGB per power).
const INFERNO: [[f64; 3]; 7] = [
    [0.000_218_940, 0.001_651_005, -0.019_480_898],
    [0.106_513_419, 0.563_956_437, 3.932_712_388],
    [11.602_493_082, -3.972_853_966, -15.942_394_106],
    [-41.703_996_131, 17.436_398_882, 44.354_145_199],
    [77.162_935_699, -33.402_358_942, -81.807_309_257],
    [-71.319_428_245, 32.626_064_264, 73.209_519_858],
    [25.131_126_225, -12.242_668_952, -23.070_325_003],
];

/// Where on inferno the lowest activation starts: below, the map is black on a dark film.
const START: f64 = 0.38;
/// Where the highest ends: above, the map is nearly white.
const END: f64 = 0.93;

fn table() -> &'static [[u8; 3]; 256] {
    static TABLE: OnceLock<[[u8; 3]; 256]> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = [[0; 3]; 256];
        for (i, entry) in table.iter_mut().enumerate() {
            let t = START + (END - START) * (i as f64 / 255.0);
            for (channel, value) in entry.iter_mut().enumerate() {
                let level = INFERNO
                    .iter()
                    .rev()
                    .fold(0.0, |sum, row| sum * t + row[channel]);
                *value = (level.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
        table
    })
}

/// Colour of a share of the feature's maximum, opaque; `share` is clamped to `0..=1`.
pub(crate) fn colour(share: f32) -> Color32 {
    tokens::opaque(table()[(share.clamp(0.0, 1.0) * 255.0).round() as usize])
}

/// Colour laid over a film: zero is transparent, the maximum has alpha `opacity`.
///
/// The alpha rises as the square root of the share, so that weak activations stay visible.
pub(crate) fn overlay(share: f32, opacity: f32) -> Color32 {
    if share.is_nan() || share <= 0.0 {
        return tokens::CLEAR;
    }
    colour(share).gamma_multiply(opacity * share.min(1.0).sqrt())
}

/// What [`overlay`] looks like on a black film, opaque; for legends.
pub(crate) fn on_black(share: f32, opacity: f32) -> Color32 {
    let alpha = opacity * share.clamp(0.0, 1.0).sqrt();
    tokens::mix(tokens::FILM_BACKGROUND, colour(share), alpha)
}

/// Background and text colour of a token or item with this share of the maximum.
pub(crate) fn shade(surface: Color32, text: Color32, share: f32) -> (Color32, Color32) {
    if share.is_nan() || share <= 0.0 {
        return (tokens::CLEAR, text);
    }
    let background = tokens::mix(surface, colour(share), 0.25 + 0.75 * share.min(1.0));
    (background, tokens::text_on(background))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lightness_rises_with_activation() {
        let levels: Vec<f32> = (0..=20)
            .map(|i| tokens::luminance(colour(i as f32 / 20.0)))
            .collect();
        assert!(
            levels.windows(2).all(|pair| pair[0] < pair[1]),
            "{levels:?}"
        );
    }

    #[test]
    fn zero_is_transparent_and_maximum_is_not() {
        assert_eq!(overlay(0.0, 0.6).a(), 0);
        assert_eq!(overlay(f32::NAN, 0.6).a(), 0);
        assert!(overlay(1.0, 0.6).a() > 140);
    }

    #[test]
    fn shaded_text_reads() {
        for surface in [tokens::DARK.panel, tokens::LIGHT.panel] {
            for i in 1..=20 {
                let (background, text) = shade(surface, tokens::DARK.text, i as f32 / 20.0);
                assert!(tokens::contrast(background, text) >= 4.5);
            }
        }
    }
}
