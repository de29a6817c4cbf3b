//! Undo and redo: what they do in each place, and what is told of it.

use schema::FeatureId;

use crate::app::{App, AppContext, context};
use crate::commands::Screen;
use crate::toasts::Level;

impl App {
    /// Takes back what was done last in the place that is shown, or restores it: the reviewer's
    /// decision on the dictionary shown, or a step of steering. Other places have nothing to take
    /// back, and a decision that is out of sight stays.
    pub(super) fn step_back(&mut self, forth: bool) {
        match self.screen {
            Screen::Review if forth => self.screens.review.redo(&context!(self)),
            Screen::Review => self.screens.review.undo(&context!(self)),
            Screen::Steer => {
                if !self.screens.steer.step(&context!(self), forth) {
                    let what = if forth { "restore" } else { "take back" };
                    self.toasts
                        .push(Level::Done, format!("There is no change to {what} here"));
                }
            }
            Screen::Feature => self.step_back_on_feature(forth),
            _ => {
                let what = if forth { "Redo" } else { "Undo" };
                let text = format!("{what} works on Feature, Review and Steer");
                self.toasts.push(Level::Done, text);
            }
        }
    }

    fn step_back_on_feature(&mut self, forth: bool) {
        let backend = &self.backend;
        let answer = match &self.screens.feature.subject {
            Some((sae, _)) if forth => backend.redo_on(sae),
            Some((sae, _)) => backend.undo_on(sae),
            None if forth => Err("There is nothing to restore".to_owned()),
            None => Err("There is no decision to take back".to_owned()),
        };
        if let Err(problem) = answer {
            self.toasts.push(Level::Error, problem);
        }
    }

    /// Tells which decision was taken back or restored: it need not be on the screen.
    pub(super) fn tell_step(&mut self, what: &str, sae: &str, feature: FeatureId) {
        let text = format!("{what}: feature {feature} of {sae}");
        self.toasts.push(Level::Done, text);
    }
}
