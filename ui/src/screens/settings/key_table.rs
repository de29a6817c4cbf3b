//! The keys, to be changed one by one.

use egui::{Button, Event, Key, RichText, Ui};

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::keys::{self, Action, Scope, Shortcut};
use crate::screens::settings::title_ui;
use crate::tokens;
use crate::widgets::notice;

/// State of the table.
#[derive(Default)]
pub(super) struct KeyTable {
    /// The action that gets the next key.
    listening: Option<Action>,
}

impl KeyTable {
    pub(super) fn is_listening(&self) -> bool {
        self.listening.is_some()
    }

    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        self.listen(ctx, ui);
        let map = keys::of(ui.ctx());
        ui.horizontal(|ui| {
            title_ui(ui, "Keys");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let changed = !map.changes().is_empty();
                let reset = ui.add_enabled(changed, Button::new("All as from the start"));
                if reset.clicked() {
                    ctx.send(Command::ResetKeys);
                }
            });
        });
        notice::weak_ui(
            ui,
            "Click a key, then press another. A key that something else hears in the same place is \
             refused. Escape leaves it; Delete takes the key away. 1 to 9 (how sure), arrows, Enter \
             and Escape stay as they are.",
        );
        for scope in Scope::ALL {
            notice::section_ui(ui, scope.name());
            for &action in Action::ALL.iter().filter(|action| action.scope() == scope) {
                ui.horizontal(|ui| self.row_ui(ctx, ui, action, map.text(action)));
            }
        }
    }

    fn row_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, action: Action, key: String) {
        let map = keys::of(ui.ctx());
        let listens = self.listening == Some(action);
        let text = match (listens, key.is_empty()) {
            (true, _) => "Press a key…".to_owned(),
            (false, true) => "none".to_owned(),
            (false, false) => key,
        };
        let colour = tokens::of(ui).accent;
        let button = Button::new(RichText::new(&text).color(colour))
            .selected(listens)
            .min_size(egui::vec2(116.0, 0.0));
        if ui
            .add(button)
            .accessible_name(format!("Key of {}: {text}", action.name()))
            .clicked()
        {
            self.listening = if listens { None } else { Some(action) };
        }
        if map.is_changed(action)
            && ui
                .small_button("↺")
                .on_hover_text("As from the start")
                .accessible_name(format!("Key of {} as from the start", action.name()))
                .clicked()
        {
            ctx.send(Command::SetKey(action, keys::default(action)));
        }
        ui.add(egui::Label::new(action.name()).truncate());
    }

    /// Takes the next key for the action that waits for one.
    fn listen(&mut self, ctx: &AppContext<'_>, ui: &Ui) {
        let Some(action) = self.listening else {
            return;
        };
        let pressed = ui.input_mut(|input| {
            let found = input.events.iter().find_map(|event| match event {
                Event::Key {
                    key,
                    modifiers,
                    pressed: true,
                    ..
                } => Some((*key, *modifiers)),
                _ => None,
            });
            if found.is_some() {
                input
                    .events
                    .retain(|event| !matches!(event, Event::Key { .. } | Event::Text(_)));
            }
            found
        });
        match pressed {
            None => {}
            Some((Key::Escape, _)) => self.listening = None,
            Some((Key::Delete | Key::Backspace, _)) => {
                ctx.send(Command::SetKey(action, None));
                self.listening = None;
            }
            Some((key, modifiers)) => {
                if let Some(key) = Shortcut::pressed(key, modifiers) {
                    ctx.send(Command::SetKey(action, Some(key)));
                    self.listening = None;
                }
            }
        }
    }
}
