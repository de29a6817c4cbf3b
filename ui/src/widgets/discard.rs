//! The button that takes away what was begun: asked once more in place, since nothing brings it back.

use egui::{Id, Key, Ui};

use super::notice;

/// What is asked of, and the last frame in which that was on the screen.
#[derive(Clone)]
struct Asked {
    name: String,
    frame: u64,
}

fn id() -> Id {
    Id::unique("really discard")
}

fn asked(ui: &Ui, name: &str) -> Option<Asked> {
    let asked: Option<Asked> = ui.data(|data| data.get_temp(id()));
    asked.filter(|asked| asked.name == name)
}

/// Draws "Discard", then "Keep" and "Discard" once more; true when the second one is clicked. `hint`
/// says what goes. Escape and looking at something else keep it, as "Keep" does.
pub(crate) fn button_ui(ui: &mut Ui, name: &str, hint: &str) -> bool {
    let frame = ui.ctx().cumulative_frame_nr();
    let mut is_asked = asked(ui, name).is_some_and(|asked| asked.frame + 1 >= frame)
        && !ui.input(|input| input.key_pressed(Key::Escape));
    let mut discards = false;
    if is_asked {
        // First, so that a double click on "Discard" ends on it.
        let keeps = ui.button("Keep").on_hover_text("Escape").clicked();
        discards = ui.button("Discard").on_hover_text(hint).clicked();
        is_asked = !keeps && !discards;
    } else {
        is_asked = ui.button("Discard").on_hover_text(hint).clicked();
    }
    ui.data_mut(|data| {
        if is_asked {
            let name = name.to_owned();
            data.insert_temp(id(), Asked { name, frame });
        } else {
            data.remove::<Asked>(id());
        }
    });
    discards
}

/// The question, below the row with the buttons.
pub(crate) fn question_ui(ui: &mut Ui, name: &str) {
    let frame = ui.ctx().cumulative_frame_nr();
    if asked(ui, name).is_some_and(|asked| asked.frame == frame) {
        notice::warning_ui(ui, "Really discard? Its checkpoints are lost.");
    }
}
