//! Asks who reviews; for every place that writes decisions.

use egui::{Button, Key, TextEdit, Ui};

/// What the field is for.
pub(crate) const ASKED: &str = "Your name, kept with each decision";

/// A field for the name, and a button that takes it; the name, once it is given.
pub(crate) fn name_ui(ui: &mut Ui, name: &mut String, take: &str) -> Option<String> {
    let field = ui
        .add(
            TextEdit::singleline(name)
                .hint_text("Name or initials")
                .desired_width(240.0),
        )
        .accessible_name(ASKED);
    if name.is_empty() && ui.memory(egui::Memory::focused).is_none() {
        field.request_focus();
    }
    let text = name.trim();
    let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    let clicked = ui
        .add_enabled(!text.is_empty(), Button::new(take))
        .clicked();
    ((entered || clicked) && !text.is_empty()).then(|| text.to_owned())
}
