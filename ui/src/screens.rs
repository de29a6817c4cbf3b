//! One file per place in the rail, and what their forms share.

pub(crate) mod data;
pub(crate) mod evaluate;
pub(crate) mod feature_page;
pub(crate) mod gallery;
pub(crate) mod models;
pub(crate) mod own_job;
pub(crate) mod review;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod steer;
pub(crate) mod train;

use egui::Ui;
use engine::views::Event;

use crate::app_context::AppContext;

/// One place in the rail: owns its own state, sees the rest through the context.
pub(crate) trait Panel {
    /// As the rail and the top bar call it.
    fn title(&self) -> String;
    /// Draws it.
    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui);
    /// Hears what happened.
    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event);
}
