//! The sheet of keys and words, on `?`.

use std::fmt::Write as _;

use egui::{Frame, Margin, Modal, RichText, Ui};

use crate::commands::{Command, CommandSender, Screen};
use crate::keys::{self, Action, KeyMap, Scope};
use crate::tokens;
use crate::widgets::{notice, table};
use crate::words::WORDS;

/// What hands do that is no key of the table.
const FIXED: [(&str, &str); 9] = [
    ("Tab, arrows, Enter", "Move to a control and use it"),
    ("Drag on a film", "Window width (across) and centre (down)"),
    ("Wheel", "Zoom at the cursor"),
    ("Middle drag", "Move the film"),
    ("Right drag", "Zoom"),
    ("Escape, double click", "Fit the film"),
    ("1 … 9", "Review: how sure you are"),
    ("Down, Up", "Review: next, previous feature"),
    ("Enter", "Detection test: hand in"),
];

/// All keys as lines of text, by place, to be printed.
fn as_text(map: &KeyMap) -> String {
    let mut text = String::from("Keys of Fluoroscope\n");
    for scope in Scope::ALL {
        writeln!(text, "\n{}", scope.name()).ok();
        for action in Action::ALL.iter().filter(|action| action.scope() == scope) {
            let key = map.text(*action);
            writeln!(text, "  {key:<14}{}", action.name()).ok();
        }
    }
    text.push_str("\nAlways\n");
    for (key, what) in FIXED {
        writeln!(text, "  {key:<22}{what}").ok();
    }
    text
}

/// Height of margins and button, and some canvas above and below.
const FRAME: f32 = 144.0;

/// Draws the sheet; `false` when it was closed.
pub(crate) fn ui(commands: &CommandSender, ui: &Ui) -> bool {
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
            ui.horizontal(|ui| {
                let close = ui.button("Close").clicked();
                if ui
                    .button("Copy all keys")
                    .on_hover_text("As text, to be printed")
                    .clicked()
                {
                    ui.ctx().copy_text(as_text(&keys::of(ui.ctx())));
                }
                let change = ui.button("Change keys").clicked();
                if change {
                    commands.send(Command::Show(Screen::Settings));
                }
                close || change
            })
            .inner
        });
    !(modal.inner || modal.should_close())
}

/// Keys, then words.
fn contents_ui(ui: &mut Ui) {
    ui.label(RichText::new("Keys").font(tokens::title_font()));
    let map = keys::of(ui.ctx());
    ui.columns(2, |columns| {
        for scope in Scope::ALL {
            let column = usize::from(scope != Scope::Everywhere);
            let ui = &mut columns[column];
            ui.label(RichText::new(scope.name()).strong());
            for &action in Action::ALL.iter().filter(|action| action.scope() == scope) {
                row_ui(ui, &map.text(action), action.name());
            }
            ui.add_space(tokens::GRID);
        }
        let ui = &mut columns[0];
        ui.label(RichText::new("Always").strong());
        for (key, what) in FIXED {
            row_ui(ui, key, what);
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

/// A key and what it does.
fn row_ui(ui: &mut Ui, key: &str, what: &str) {
    let theme = tokens::of(ui);
    table::row_ui(
        ui,
        &[
            table::Cell::left(key, 0.36, theme.accent),
            table::Cell::left(what, 0.64, theme.text),
        ],
    );
}
