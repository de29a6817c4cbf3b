//! What a form knows of the job that it started, and the ways out of a form.

use egui::{Key, Ui};
use schema::JobId;

use crate::app_context::AppContext;
use crate::commands::Command;
use crate::screens::train::live::stage_text;
use crate::widgets::notice;

/// The job that a form started, until it is over.
#[derive(Debug, Default)]
pub(crate) struct OwnJob(Option<JobId>);

impl OwnJob {
    /// Remembers the job that was started.
    pub(crate) fn waits_for(&mut self, job: JobId) {
        self.0 = Some(job);
    }

    /// Whether this job is the form's.
    pub(crate) fn is(&self, job: JobId) -> bool {
        self.0 == Some(job)
    }

    /// Whether the form's job is not over yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.is_some()
    }

    /// A job is over; whether it was the form's.
    pub(crate) fn ended(&mut self, job: JobId) -> bool {
        self.0.take_if(|own| *own == job).is_some()
    }

    /// Asks the job to stop, if there is one.
    pub(crate) fn cancel(&self, ctx: &AppContext<'_>) {
        if let Some(job) = self.0 {
            ctx.send(Command::CancelJob(job));
        }
    }

    /// While the job runs, its stage and, where it can be stopped, a button that does; `cancel` says
    /// what is cancelled and what becomes of it. Whether it runs.
    pub(crate) fn ui(
        &self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        cancel: Option<(&str, &str)>,
    ) -> bool {
        let Some(job) = ctx.jobs.iter().find(|job| self.is(job.id)) else {
            return false;
        };
        notice::weak_ui(ui, stage_text(job));
        if let Some((what, hint)) = cancel {
            let button = ui.add_enabled(!job.stopping, egui::Button::new("Cancel"));
            let button = button.accessible_name(format!("Cancel {what}"));
            if button.on_hover_text(hint).clicked() {
                self.cancel(ctx);
            }
        }
        true
    }
}

/// Whether Escape leaves the form; asked before the form is drawn, since a menu that hears the key
/// too is open until then. With something over the form, the key is for that.
pub(crate) fn is_left_by_key(ui: &Ui) -> bool {
    let is_under = egui::Popup::is_any_open(ui.ctx())
        || ui.ctx().memory(|memory| memory.top_modal_layer().is_some());
    !is_under && ui.input(|input| input.key_pressed(Key::Escape))
}

/// The button that leaves the form.
pub(crate) fn leave_ui(ui: &mut Ui) -> bool {
    ui.button("Cancel")
        .on_hover_text("Leaves the form (Escape); what is in it stays until you come back")
        .clicked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_hears_of_its_own_job_alone() {
        let mut own = OwnJob::default();
        assert!(!own.is_waiting());
        own.waits_for(JobId(3));
        assert!(own.is(JobId(3)) && !own.is(JobId(4)));
        assert!(!own.ended(JobId(4)));
        assert!(own.is_waiting());
        assert!(own.ended(JobId(3)));
        assert!(!own.is_waiting() && !own.ended(JobId(3)));
    }
}
