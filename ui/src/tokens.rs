//! Every colour and size of the window, in one place; no other file names a colour.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place where colours are made"
)]

use egui::{Color32, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, TextStyle, Vec2};

use crate::fonts;

/// The grid that all distances are multiples of, in points.
pub(crate) const GRID: f32 = 8.0;
/// Half of [`GRID`], for what belongs together.
pub(crate) const HALF: f32 = 4.0;
/// Corner radius of cards and controls.
pub(crate) const RADIUS: CornerRadius = CornerRadius::same(4);
/// Width of the left rail.
pub(crate) const RAIL_WIDTH: f32 = 72.0;
/// Height of the top bar.
pub(crate) const TOP_HEIGHT: f32 = 48.0;
/// Height of one line of the job bar.
pub(crate) const JOB_HEIGHT: f32 = 32.0;

/// Colours of one theme.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    /// Behind everything.
    pub(crate) canvas: Color32,
    /// Rail and bars.
    pub(crate) chrome: Color32,
    /// Cards and panels on the canvas.
    pub(crate) panel: Color32,
    /// Controls on a panel.
    pub(crate) control: Color32,
    /// A control or card under the pointer.
    pub(crate) hovered: Color32,
    /// Thin lines between parts.
    pub(crate) line: Color32,
    /// Outlines of controls.
    pub(crate) outline: Color32,
    /// Text.
    pub(crate) text: Color32,
    /// Secondary text, still 4.5:1 on every surface.
    pub(crate) text_weak: Color32,
    /// The one accent.
    pub(crate) accent: Color32,
    /// The accent as a quiet background.
    pub(crate) accent_quiet: Color32,
    /// Text on the accent.
    pub(crate) on_accent: Color32,
    /// Warnings.
    pub(crate) warning: Color32,
    /// Errors.
    pub(crate) error: Color32,
    /// What is done or gained.
    pub(crate) good: Color32,
    /// Bars of histograms and sparklines.
    pub(crate) bar: Color32,
}

/// The dark theme, for reading rooms.
pub(crate) const DARK: Tokens = Tokens {
    canvas: Color32::from_rgb(14, 14, 16),
    chrome: Color32::from_rgb(20, 20, 22),
    panel: Color32::from_rgb(27, 27, 30),
    control: Color32::from_rgb(42, 42, 46),
    hovered: Color32::from_rgb(54, 54, 59),
    line: Color32::from_rgb(44, 44, 48),
    outline: Color32::from_rgb(72, 72, 78),
    text: Color32::from_rgb(232, 232, 234),
    text_weak: Color32::from_rgb(166, 166, 174),
    accent: Color32::from_rgb(110, 168, 254),
    accent_quiet: Color32::from_rgb(34, 52, 80),
    on_accent: Color32::from_rgb(10, 20, 36),
    warning: Color32::from_rgb(240, 180, 80),
    error: Color32::from_rgb(255, 128, 120),
    good: Color32::from_rgb(116, 208, 140),
    bar: Color32::from_rgb(132, 138, 150),
};

/// The light theme.
pub(crate) const LIGHT: Tokens = Tokens {
    canvas: Color32::from_rgb(240, 240, 242),
    chrome: Color32::from_rgb(248, 248, 249),
    panel: Color32::from_rgb(255, 255, 255),
    control: Color32::from_rgb(232, 232, 235),
    hovered: Color32::from_rgb(218, 218, 223),
    line: Color32::from_rgb(220, 220, 224),
    outline: Color32::from_rgb(168, 168, 176),
    text: Color32::from_rgb(26, 26, 30),
    text_weak: Color32::from_rgb(86, 86, 94),
    accent: Color32::from_rgb(20, 86, 190),
    accent_quiet: Color32::from_rgb(218, 231, 252),
    on_accent: Color32::from_rgb(255, 255, 255),
    warning: Color32::from_rgb(134, 84, 0),
    error: Color32::from_rgb(176, 32, 28),
    good: Color32::from_rgb(16, 112, 48),
    bar: Color32::from_rgb(120, 126, 138),
};

/// Behind a radiograph, in both themes.
pub(crate) const FILM_BACKGROUND: Color32 = Color32::from_rgb(0, 0, 0);
/// Text over a radiograph, in both themes.
pub(crate) const FILM_TEXT: Color32 = Color32::from_rgb(225, 225, 228);
/// Behind text over a radiograph.
pub(crate) const FILM_TEXT_BACKGROUND: Color32 = Color32::from_rgba_premultiplied(0, 0, 0, 170);
/// Frame of a marked finding on a radiograph.
pub(crate) const FINDING_BOX: Color32 = Color32::from_rgb(120, 220, 232);
/// Frame of a finding where the model says that it is.
pub(crate) const MODEL_BOX: Color32 = Color32::from_rgb(255, 184, 219);
/// Under lines on a radiograph, so that they are seen on bone too.
pub(crate) const FILM_LINE_SHADE: Color32 = Color32::from_rgba_premultiplied(0, 0, 0, 150);
/// Lines between patches at high zoom.
pub(crate) const PATCH_LINE: Color32 = Color32::from_rgba_premultiplied(60, 60, 60, 60);
/// Neither tint nor transparency.
pub(crate) const UNTINTED: Color32 = Color32::WHITE;
/// Nothing.
pub(crate) const CLEAR: Color32 = Color32::TRANSPARENT;

/// The colours of the theme that `ui` is drawn in.
pub(crate) fn of(ui: &egui::Ui) -> &'static Tokens {
    if ui.visuals().dark_mode {
        &DARK
    } else {
        &LIGHT
    }
}

/// Red, green and blue of an opaque colour.
pub(crate) fn rgb(colour: Color32) -> [u8; 3] {
    [colour.r(), colour.g(), colour.b()]
}

/// An opaque colour from its channels; for computed colours only (colour maps, mixes).
pub(crate) fn opaque(rgb: [u8; 3]) -> Color32 {
    Color32::from_rgb(rgb[0], rgb[1], rgb[2])
}

/// A grey level of a film.
pub(crate) fn grey(level: u8) -> Color32 {
    Color32::from_gray(level)
}

/// `share` of `over` laid on `under`, both opaque; `share` in `0..=1`.
pub(crate) fn mix(under: Color32, over: Color32, share: f32) -> Color32 {
    let blend = |a: u8, b: u8| {
        (f32::from(a) + (f32::from(b) - f32::from(a)) * share.clamp(0.0, 1.0)).round() as u8
    };
    Color32::from_rgb(
        blend(under.r(), over.r()),
        blend(under.g(), over.g()),
        blend(under.b(), over.b()),
    )
}

/// Relative luminance of WCAG 2.2, 0 (black) to 1 (white).
pub(crate) fn luminance(colour: Color32) -> f32 {
    let channel = |value: u8| {
        let value = f32::from(value) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * channel(colour.r()) + 0.7152 * channel(colour.g()) + 0.0722 * channel(colour.b())
}

/// Contrast ratio of WCAG 2.2, 1 to 21.
pub(crate) fn contrast(a: Color32, b: Color32) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Black or white, whichever reads better on `background`: at least 4.5:1 on any colour.
pub(crate) fn text_on(background: Color32) -> Color32 {
    if contrast(background, Color32::WHITE) >= contrast(background, Color32::BLACK) {
        Color32::WHITE
    } else {
        Color32::BLACK
    }
}

/// Font of small print.
pub(crate) fn small_font() -> FontId {
    FontId::new(11.0, FontFamily::Proportional)
}

/// Font of running text.
pub(crate) fn body_font() -> FontId {
    FontId::new(13.5, FontFamily::Proportional)
}

/// Font of titles within a screen.
pub(crate) fn title_font() -> FontId {
    FontId::new(16.0, fonts::strong())
}

/// Gives `ctx` both themes, spacing and fonts.
pub(crate) fn install(ctx: &egui::Context) {
    fonts::install(ctx);
    for (theme, tokens) in [(egui::Theme::Dark, &DARK), (egui::Theme::Light, &LIGHT)] {
        ctx.style_mut_of(theme, |style| {
            style.visuals = visuals(theme.default_visuals(), tokens);
            style.text_styles = [
                (TextStyle::Small, small_font()),
                (TextStyle::Body, body_font()),
                (TextStyle::Button, body_font()),
                (TextStyle::Heading, FontId::new(22.0, fonts::strong())),
                (
                    TextStyle::Monospace,
                    FontId::new(12.5, FontFamily::Monospace),
                ),
            ]
            .into();
            let spacing = &mut style.spacing;
            spacing.item_spacing = Vec2::splat(GRID);
            spacing.button_padding = Vec2::new(10.0, 4.0);
            spacing.interact_size = Vec2::new(40.0, 26.0);
            spacing.window_margin = Margin::same(16);
            spacing.menu_margin = Margin::same(8);
            spacing.scroll.floating = false;
            spacing.scroll.bar_width = 8.0;
            spacing.scroll.foreground_color = false;
            spacing.combo_width = 96.0;
            style.interaction.selectable_labels = false;
            style.animation_time = 0.0;
            style.url_in_tooltip = true;
        });
    }
}

fn visuals(mut visuals: egui::Visuals, tokens: &Tokens) -> egui::Visuals {
    visuals.panel_fill = tokens.canvas;
    visuals.window_fill = tokens.panel;
    visuals.window_stroke = Stroke::new(1.0, tokens.outline);
    visuals.window_corner_radius = CornerRadius::same(8);
    visuals.menu_corner_radius = CornerRadius::same(6);
    visuals.window_shadow = Shadow {
        offset: [0, 8],
        blur: 24,
        spread: 0,
        color: Color32::from_black_alpha(120),
    };
    visuals.extreme_bg_color = tokens.canvas;
    visuals.text_edit_bg_color = Some(tokens.canvas);
    visuals.faint_bg_color = tokens.panel;
    visuals.code_bg_color = tokens.control;
    visuals.hyperlink_color = tokens.accent;
    visuals.warn_fg_color = tokens.warning;
    visuals.error_fg_color = tokens.error;
    visuals.weak_text_color = Some(tokens.text_weak);
    visuals.selection.bg_fill = tokens.accent_quiet;
    visuals.selection.stroke = Stroke::new(1.0, tokens.accent);
    visuals.slider_trailing_fill = false;
    visuals.disabled_alpha = 0.6;
    let widgets = &mut visuals.widgets;
    for (widget, fill, outline, text) in [
        (
            &mut widgets.noninteractive,
            tokens.panel,
            tokens.line,
            tokens.text,
        ),
        (
            &mut widgets.inactive,
            tokens.control,
            tokens.outline,
            tokens.text,
        ),
        (
            &mut widgets.hovered,
            tokens.hovered,
            tokens.accent,
            tokens.text,
        ),
        (
            &mut widgets.active,
            tokens.accent_quiet,
            tokens.accent,
            tokens.text,
        ),
        (
            &mut widgets.open,
            tokens.control,
            tokens.outline,
            tokens.text,
        ),
    ] {
        // Rails of sliders and handles of scroll bars, which must stand out from any surface.
        widget.bg_fill = mix(fill, outline, 0.5);
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, outline);
        widget.fg_stroke = Stroke::new(1.0, text);
        widget.corner_radius = RADIUS;
        widget.expansion = 0.0;
    }
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_on_every_surface() {
        for tokens in [DARK, LIGHT] {
            for surface in [tokens.canvas, tokens.chrome, tokens.panel, tokens.control] {
                for text in [
                    tokens.text,
                    tokens.text_weak,
                    tokens.warning,
                    tokens.error,
                    tokens.good,
                ] {
                    let ratio = contrast(surface, text);
                    assert!(ratio >= 4.5, "{text:?} on {surface:?}: {ratio}");
                }
            }
            for (surface, text) in [
                (tokens.hovered, tokens.text),
                (tokens.accent_quiet, tokens.text),
                (tokens.accent_quiet, tokens.text_weak),
                (tokens.accent, tokens.on_accent),
                (tokens.panel, tokens.accent),
                (tokens.canvas, tokens.accent),
            ] {
                let ratio = contrast(surface, text);
                assert!(ratio >= 4.5, "{text:?} on {surface:?}: {ratio}");
            }
        }
    }

    #[test]
    fn text_reads_on_any_film() {
        for level in 0..=255 {
            // What stands behind text on a film lets some of the film through.
            let through = f32::from(255 - FILM_TEXT_BACKGROUND.a()) / 255.0;
            let behind = mix(Color32::BLACK, grey(level), through);
            for text in [FILM_TEXT, FINDING_BOX, MODEL_BOX] {
                let ratio = contrast(behind, text);
                assert!(ratio >= 4.5, "{text:?} on a film of {level}: {ratio}");
            }
        }
    }

    #[test]
    fn some_text_reads_on_any_colour() {
        for level in 0..=255 {
            let surface = grey(level);
            assert!(contrast(surface, text_on(surface)) >= 4.5, "{level}");
        }
    }
}
