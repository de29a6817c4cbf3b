//! A window that shows every screen in turn and says when its first frame was there and how much
//! memory it took.

use eframe::egui::{Context, Ui, ViewportCommand};
use serde::{Deserialize, Serialize};
use ui::{App, Screen};

use crate::terminal;

/// Frames for which a screen is shown at least.
const SHOWN_FRAMES: u32 = 30;
/// Frames after which the next screen is shown whatever is still on its way.
const MOST_FRAMES: u32 = 600;

/// One line on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The first frame is on the screen.
    FirstFrame,
    /// Every screen was shown.
    End {
        /// The most memory this process took, in bytes, where the system tells.
        peak_memory: Option<u64>,
    },
}

fn say(said: Said) {
    if let Ok(line) = serde_json::to_string(&said) {
        terminal::print(&format!("{line}\n"));
    }
}

/// The program's own application, led through its screens.
pub(crate) struct MeasuredWindow {
    app: App,
    /// Frames of the screen that is shown.
    n_frames: u32,
    is_first: bool,
    left: std::array::IntoIter<Screen, { Screen::ALL.len() }>,
}

impl MeasuredWindow {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            n_frames: 0,
            is_first: true,
            left: Screen::ALL.into_iter(),
        }
    }

    fn lead(&mut self, ctx: &Context) {
        ctx.request_repaint();
        // The frame before this one was handed to the screen.
        if self.n_frames == 1 && self.is_first {
            self.is_first = false;
            say(Said::FirstFrame);
        }
        self.n_frames += 1;
        let is_done = self.n_frames > SHOWN_FRAMES && !self.app.is_loading();
        if !is_done && self.n_frames < MOST_FRAMES {
            return;
        }
        self.n_frames = 2;
        if let Some(screen) = self.left.next() {
            self.app.show(screen);
        } else {
            say(Said::End {
                peak_memory: engine::peak_memory(),
            });
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
    }
}

impl eframe::App for MeasuredWindow {
    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        self.lead(ctx);
        eframe::App::logic(&mut self.app, ctx, frame);
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        eframe::App::ui(&mut self.app, ui, frame);
    }
}
