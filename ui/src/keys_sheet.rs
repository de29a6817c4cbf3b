//! The sheet of keys and words, on `?`.

use egui::{Frame, Margin, Modal, RichText, Ui};

use crate::tokens;
use crate::widgets::{notice, table};
use crate::words::WORDS;

const GROUPS: [(&str, &[(&str, &str)]); 5] = [
    (
        "Everywhere",
        &[
            ("Ctrl+K", "Search features and commands"),
            ("Ctrl+1 … Ctrl+9", "The places of the rail, from above"),
            ("Ctrl+D", "Two dictionaries side by side"),
            ("Ctrl+T", "Dark or light"),
            ("Ctrl+O, Ctrl+N", "Open or make a project"),
            ("Tab, arrows, Enter", "Move to a control and use it"),
            ("?", "This sheet"),
        ],
    ),
    (
        "Feature page",
        &[
            ("A", "Accept the proposal"),
            ("E", "Edit the label (Enter saves, Escape leaves)"),
            ("X", "Reject"),
            ("U", "Unsure"),
            ("Ctrl+Z", "Take the last decision back"),
            ("Ctrl+Shift+Z", "Restore it"),
            ("J, K", "Next, previous feature"),
            ("Left, Right", "Previous, next example"),
        ],
    ),
    (
        "Review, beside the keys of the feature page",
        &[
            ("S", "Skip: pass the feature by"),
            ("F", "Flag: somebody should look again"),
            ("1 … 9", "How sure you are"),
            ("B", "Blind: hide the proposal"),
            ("Down, Up", "Next, previous feature"),
            ("Y, N, Enter", "Detection test: active, not active, hand in"),
        ],
    ),
    (
        "Film",
        &[
            ("Drag", "Window width (across) and centre (down)"),
            ("Wheel", "Zoom at the cursor"),
            ("Middle drag", "Move the film"),
            ("Right drag", "Zoom"),
            ("Shift+1 … Shift+5", "Window presets"),
            ("I", "Invert"),
            ("0, Escape, double click", "Fit"),
        ],
    ),
    (
        "Heatmap",
        &[
            ("Hold H", "Hide"),
            ("[ and ]", "Opacity"),
            ("G", "Raw patches or smooth"),
        ],
    ),
];

/// Height of margins and button, and some canvas above and below.
const FRAME: f32 = 144.0;

/// Draws the sheet; `false` when it was closed.
pub(crate) fn ui(ui: &Ui) -> bool {
    let frame = Frame::popup(ui.style()).inner_margin(Margin::same(24));
    let modal = Modal::new(egui::Id::unique("keys"))
        .frame(frame)
        .show(ui.ctx(), |ui| {
            ui.set_width(860.0);
            // A small window scrolls the sheet; its button stays in sight.
            let height = ui.ctx().content_rect().height() - FRAME;
            egui::ScrollArea::vertical()
                .max_height(height.max(120.0))
                .show(ui, contents_ui);
            ui.add_space(tokens::GRID);
            ui.button("Close").clicked()
        });
    !(modal.inner || modal.should_close())
}

/// Keys, then words.
fn contents_ui(ui: &mut Ui) {
    ui.label(RichText::new("Keys").font(tokens::title_font()));
    ui.columns(2, |columns| {
        for (i, (title, keys)) in GROUPS.iter().enumerate() {
            let ui = &mut columns[i % 2];
            ui.label(RichText::new(*title).strong());
            let theme = tokens::of(ui);
            for (key, what) in *keys {
                table::row_ui(
                    ui,
                    &[
                        table::Cell::left(key, 0.36, theme.accent),
                        table::Cell::left(what, 0.64, theme.text),
                    ],
                );
            }
            ui.add_space(tokens::GRID);
        }
    });
    ui.label(RichText::new("Words").font(tokens::title_font()));
    ui.columns(2, |columns| {
        for (i, (word, sentence)) in WORDS.iter().enumerate() {
            let ui = &mut columns[i * 2 / WORDS.len()];
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                let (rect, _) =
                    ui.allocate_exact_size(egui::vec2(84.0, 18.0), egui::Sense::hover());
                let theme = tokens::of(ui);
                ui.painter().text(
                    rect.left_center(),
                    egui::Align2::LEFT_CENTER,
                    word,
                    tokens::body_font(),
                    theme.accent,
                );
                ui.vertical(|ui| notice::plain_ui(ui, sentence));
            });
        }
    });
}
