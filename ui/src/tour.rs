//! Five steps through the window, for the first time someone is in it.

use egui::{Align2, RichText, Ui, Vec2};

use crate::commands::{Command, CommandSender, Screen};
use crate::keys::{self, Action, KeyMap};
use crate::tokens::{self, GRID, RAIL_WIDTH};
use crate::widgets::notice;

/// A step: the place it is about, its title, and what to see and do there.
struct Step {
    screen: Screen,
    title: &'static str,
    text: fn(&KeyMap) -> String,
}

/// The steps, in order.
const STEPS: [Step; 5] = [
    Step {
        screen: Screen::Gallery,
        title: "The gallery",
        text: |_| {
            "Each card is a feature: one direction inside the model. Its four samples excite it \
             most; on films the heatmap says where. Click a card to see more."
                .to_owned()
        },
    },
    Step {
        screen: Screen::Feature,
        title: "One feature",
        text: |keys| {
            format!(
                "Evidence from strong to weak, the findings it goes with, and what it writes. On a \
                 film, drag for the window, the wheel zooms, {} hides the heatmap while held.",
                keys.text(Action::HideHeatmap)
            )
        },
    },
    Step {
        screen: Screen::Review,
        title: "Judge labels",
        text: |keys| {
            format!(
                "A proposed label beside its evidence: {} accepts, {} edits, {} rejects, {} takes \
                 the last decision back. Each is on the disk when it says so.",
                keys.text(Action::Accept),
                keys.text(Action::Edit),
                keys.text(Action::Reject),
                keys.text(Action::Undo)
            )
        },
    },
    Step {
        screen: Screen::Steer,
        title: "Turn features up and down",
        text: |_| {
            "Choose a sample and features, move a slider, and see the report or the ranked list \
             before and after. 1× is the strongest activation seen; beyond 4× is caution."
                .to_owned()
        },
    },
    Step {
        screen: Screen::Data,
        title: "Your own data",
        text: |keys| {
            format!(
                "Drop a folder of films or a table on the window to import it; a preview says what \
                 will be read before anything is written. {} finds features and commands, {} lists \
                 all keys.",
                keys.text(Action::Search),
                keys.text(Action::Sheet)
            )
        },
    },
];

/// The place of a step; `None` when the tour is over.
pub(crate) fn screen_of(step: usize) -> Option<Screen> {
    STEPS.get(step).map(|step| step.screen)
}

/// Draws a step in the corner, so that the place it is about stays in sight.
pub(crate) fn ui(commands: &CommandSender, ui: &Ui, at: usize) {
    let Some(step) = STEPS.get(at) else {
        return;
    };
    let keys = keys::of(ui.ctx());
    egui::Window::new("Tour")
        .title_bar(false)
        .resizable(false)
        // Messages come on the right.
        .anchor(
            Align2::LEFT_BOTTOM,
            Vec2::new(RAIL_WIDTH + GRID * 2.0, -GRID * 6.0),
        )
        .show(ui.ctx(), |ui| {
            ui.set_width(360.0);
            notice::weak_ui(ui, format!("Tour, step {} of {}", at + 1, STEPS.len()));
            ui.label(RichText::new(step.title).font(tokens::title_font()));
            notice::plain_ui(ui, &(step.text)(&keys));
            ui.add_space(GRID);
            ui.horizontal(|ui| {
                let is_last = at + 1 == STEPS.len();
                let next = if is_last { "Done" } else { "Next" };
                let button = egui::Button::new(RichText::new(next).color(tokens::of(ui).on_accent))
                    .fill(tokens::of(ui).accent);
                let next = ui.add(button).accessible_name("Next step of the tour");
                if next.clicked() {
                    let next = (!is_last).then_some(at + 1);
                    commands.send(Command::Tour(next));
                }
                let back = ui.add_enabled(at > 0, egui::Button::new("Back"));
                if back.accessible_name("Step before of the tour").clicked() {
                    commands.send(Command::Tour(at.checked_sub(1)));
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.button("End the tour").clicked() {
                        commands.send(Command::Tour(None));
                    }
                });
            });
        });
}
