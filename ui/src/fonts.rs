//! The typeface of the window: IBM Plex Sans, whose figures all have the same width.

use std::sync::Arc;

use egui::epaint::text::{FontTweak, VariationCoords};
use egui::{FontData, FontDefinitions, FontFamily};

/// IBM Plex Sans, variable in weight, unmodified; SIL Open Font License 1.1.
const SANS: &[u8] = include_bytes!("../../assets/fonts/IBMPlexSans.ttf");

/// Family of titles and other words that lead the eye.
pub(crate) fn strong() -> FontFamily {
    FontFamily::Name("strong".into())
}

fn weight(value: f32) -> FontData {
    FontData::from_static(SANS).tweak(FontTweak {
        coords: VariationCoords::new([(b"wght", value)]),
        ..FontTweak::default()
    })
}

/// Gives `ctx` the typeface; egui's own fonts stay behind it for signs it lacks.
pub(crate) fn install(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    for (name, value) in [("plex", 420.0), ("plex strong", 600.0)] {
        fonts
            .font_data
            .insert(name.to_owned(), Arc::new(weight(value)));
    }
    let fallback = fonts
        .families
        .get(&FontFamily::Proportional)
        .cloned()
        .unwrap_or_default();
    for (family, name) in [
        (FontFamily::Proportional, "plex"),
        (strong(), "plex strong"),
    ] {
        let mut names = vec![name.to_owned()];
        names.extend(fallback.iter().cloned());
        fonts.families.insert(family, names);
    }
    ctx.set_fonts(fonts);
}

#[cfg(test)]
mod tests {
    use crate::tokens;

    #[test]
    fn figures_are_tabular() {
        let ctx = egui::Context::default();
        tokens::install(&ctx);
        let mut widths = Vec::new();
        let output = ctx.run_ui(egui::RawInput::default(), |ui| {
            widths = ["0000", "1111", "2345", "9786"]
                .map(|text| {
                    let white = tokens::DARK.text;
                    ui.painter()
                        .layout_no_wrap(text.to_owned(), tokens::body_font(), white)
                        .size()
                        .x
                })
                .to_vec();
        });
        output.drop_without_applying_deltas();
        assert!(widths[0] > 20.0);
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    }
}
