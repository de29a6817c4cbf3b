//! Short messages at the corner of the window; errors stay until they are dismissed.

use egui::{Align2, Frame, Margin, RichText, Stroke, Ui, Vec2};

use crate::commands::{Command, CommandSender};
use crate::tokens::{self, GRID};

/// Seconds that a message which is no error stays.
const SECONDS: f64 = 6.0;
/// Most messages on the screen; older ones of them wait below.
const MAX_SHOWN: usize = 5;

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Done,
    Warning,
    Error,
}

struct Toast {
    id: u64,
    level: Level,
    text: String,
    /// When it goes by itself; set when first drawn.
    until: Option<f64>,
}

/// Messages that are on the screen or wait for it.
#[derive(Default)]
pub(crate) struct Toasts {
    toasts: Vec<Toast>,
    next: u64,
}

impl Toasts {
    /// Adds a message; the same text is not repeated.
    pub(crate) fn push(&mut self, level: Level, text: impl Into<String>) {
        let text = text.into();
        if self.toasts.iter().any(|toast| toast.text == text) {
            return;
        }
        self.toasts.push(Toast {
            id: self.next,
            level,
            text,
            until: None,
        });
        self.next += 1;
    }

    /// Takes a message away.
    pub(crate) fn dismiss(&mut self, id: u64) {
        self.toasts.retain(|toast| toast.id != id);
    }

    /// Draws the messages above everything.
    pub(crate) fn ui(&mut self, commands: &CommandSender, ui: &Ui) {
        let now = ui.input(|input| input.time);
        for toast in self.toasts.iter_mut().take(MAX_SHOWN) {
            if toast.level != Level::Error {
                toast.until.get_or_insert(now + SECONDS);
            }
        }
        self.toasts
            .retain(|toast| toast.until.is_none_or(|until| until > now));
        if self.toasts.is_empty() {
            return;
        }
        if self.toasts.iter().any(|toast| toast.until.is_some()) {
            ui.ctx()
                .request_repaint_after(std::time::Duration::from_millis(500));
        }
        egui::Area::new(egui::Id::unique("toasts"))
            .anchor(Align2::RIGHT_BOTTOM, Vec2::new(-GRID * 2.0, -GRID * 6.0))
            .order(egui::Order::Foreground)
            .show(ui.ctx(), |ui| {
                ui.set_width(380.0);
                for toast in self.toasts.iter().take(MAX_SHOWN) {
                    toast_ui(commands, ui, toast);
                }
            });
    }
}

fn toast_ui(commands: &CommandSender, ui: &mut Ui, toast: &Toast) {
    let theme = tokens::of(ui);
    let (name, colour) = match toast.level {
        Level::Done => ("Done", theme.good),
        Level::Warning => ("Warning", theme.warning),
        Level::Error => ("Error", theme.error),
    };
    Frame::new()
        .fill(theme.panel)
        .stroke(Stroke::new(1.0, colour))
        .corner_radius(tokens::RADIUS)
        .inner_margin(Margin::same(12))
        .show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(RichText::new(name).color(colour).strong());
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let button = ui.button("Dismiss");
                    if button
                        .accessible_name(format!("Dismiss: {}", toast.text))
                        .clicked()
                    {
                        commands.send(Command::DismissToast(toast.id));
                    }
                });
            });
            ui.add(egui::Label::new(&toast.text).wrap().selectable(true));
        });
    ui.add_space(GRID);
}
