//! Short messages where they cover nothing: what was done in the bar at the bottom, what went wrong
//! in lines above it. Errors stay until they are dismissed.

use egui::{Align, Label, Layout, RichText, ScrollArea, Ui};

use crate::commands::{Command, CommandSender};
use crate::tokens;

/// Seconds that a message which is no error stays.
const SECONDS: f64 = 6.0;
/// Height that lines of what went wrong take at most.
const MOST_HEIGHT: f32 = 160.0;

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

    /// Forgets what went wrong before, since something else was opened.
    pub(crate) fn forget_errors(&mut self) {
        self.toasts.retain(|toast| toast.level != Level::Error);
    }

    /// Forgets what was shown long enough.
    pub(crate) fn begin_frame(&mut self, ui: &Ui) {
        let now = ui.input(|input| input.time);
        let newest = self.newest_done();
        for toast in &mut self.toasts {
            // Of what is done only the newest has room.
            let is_shown = toast.level == Level::Warning || Some(toast.id) == newest;
            if is_shown {
                toast.until.get_or_insert(now + SECONDS);
            }
        }
        self.toasts.retain(|toast| {
            let is_over = toast.until.is_some_and(|until| until <= now);
            let is_old = toast.level == Level::Done && Some(toast.id) != newest;
            !is_over && !is_old
        });
        if self.toasts.iter().any(|toast| toast.until.is_some()) {
            ui.ctx()
                .request_repaint_after(std::time::Duration::from_millis(500));
        }
    }

    fn newest_done(&self) -> Option<u64> {
        let done = self
            .toasts
            .iter()
            .filter(|toast| toast.level == Level::Done);
        done.map(|toast| toast.id).max()
    }

    /// What was done last, with the number of its message: for the bar at the bottom.
    pub(crate) fn done(&self) -> Option<(u64, &str)> {
        let mut done = self.toasts.iter().rev();
        let last = done.find(|toast| toast.level == Level::Done)?;
        Some((last.id, &last.text))
    }

    /// Whether something went wrong that is to be read.
    pub(crate) fn has_problems(&self) -> bool {
        self.toasts.iter().any(|toast| toast.level != Level::Done)
    }

    /// Draws what went wrong, a line each, in a place of its own that covers nothing.
    pub(crate) fn problems_ui(&self, commands: &CommandSender, ui: &mut Ui) {
        if !self.has_problems() {
            return;
        }
        ScrollArea::vertical()
            .max_height(MOST_HEIGHT)
            .min_scrolled_height(MOST_HEIGHT)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                let problems = self
                    .toasts
                    .iter()
                    .filter(|toast| toast.level != Level::Done);
                for toast in problems {
                    problem_ui(commands, ui, toast);
                }
            });
    }
}

/// What was done last, in the bar at the bottom, from right to left.
pub(crate) fn done_ui(commands: &CommandSender, ui: &mut Ui, (id, text): (u64, &str)) {
    let dismiss = ui.small_button("Dismiss");
    if dismiss
        .accessible_name(format!("Dismiss: {text}"))
        .clicked()
    {
        commands.send(Command::DismissToast(id));
    }
    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
        ui.label(RichText::new("Done").color(tokens::of(ui).good).strong());
        ui.add(Label::new(text).truncate());
    });
}

fn problem_ui(commands: &CommandSender, ui: &mut Ui, toast: &Toast) {
    let theme = tokens::of(ui);
    let (name, colour) = if toast.level == Level::Error {
        ("Error", theme.error)
    } else {
        ("Warning", theme.warning)
    };
    ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
        let button = ui.button("Dismiss");
        if button
            .accessible_name(format!("Dismiss: {}", toast.text))
            .clicked()
        {
            commands.send(Command::DismissToast(toast.id));
        }
        ui.with_layout(Layout::left_to_right(Align::Min), |ui| {
            ui.label(RichText::new(name).color(colour).strong());
            ui.add(Label::new(&toast.text).wrap().selectable(true));
        });
    });
}
