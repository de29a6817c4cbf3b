//! Readers who work on another computer: packets for them, their decisions in, one's own out.

use egui::{DragValue, Ui};
use engine::DecisionExchange;
use engine::views::{Event, PathPurpose};

use crate::app_context::AppContext;
use crate::commands::{Command, ExchangeCommand};
use crate::screens::own_job::OwnJob;
use crate::screens::start::card;
use crate::widgets::notice;

/// Features of a packet, at least and at most.
const FEATURES: std::ops::RangeInclusive<usize> = 1..=400;

/// State of the card.
pub(crate) struct Elsewhere {
    n_features: usize,
    write_first: bool,
    pub(crate) job: OwnJob,
    /// What the file that is being chosen is for.
    asked: Option<(String, DecisionExchange)>,
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self {
            n_features: 40,
            write_first: false,
            job: OwnJob::default(),
            asked: None,
        }
    }
}

impl Elsewhere {
    /// Hears which file was chosen and the end of its job; whether decisions may have come in.
    pub(super) fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) -> bool {
        match event {
            Event::JobEnded(id, _) => self.job.ended(*id),
            Event::PathChosen(
                PathPurpose::DecisionsFile
                | PathPurpose::HandedOutDecisions
                | PathPurpose::PacketPage,
                path,
            ) => {
                if let Some((sae, what)) = self.asked.take()
                    && let Some(file) = path
                {
                    let file = file.clone();
                    let asked = ExchangeCommand::Decisions { sae, what, file };
                    ctx.send(Command::Exchange(asked));
                }
                false
            }
            _ => false,
        }
    }

    fn ask(&mut self, ctx: &AppContext<'_>, sae: &str, what: DecisionExchange) {
        let purpose = match what {
            DecisionExchange::HandOut => PathPurpose::HandedOutDecisions,
            DecisionExchange::TakeIn => PathPurpose::DecisionsFile,
            DecisionExchange::Packet { .. } => PathPurpose::PacketPage,
        };
        self.asked = Some((sae.to_owned(), what));
        ctx.send(Command::ChoosePath(purpose));
    }

    /// Draws the card.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        card(ui, |ui| {
            notice::section_ui(ui, "Readers on other computers");
            notice::weak_ui(
                ui,
                "A packet is one page that opens in any browser, without this program; its answers \
                 come back as a file. Decisions carry the names of their readers and no patient's.",
            );
            if self.job.ui(ctx, ui, None) {
                return;
            }
            ui.horizontal_wrapped(|ui| {
                let label = ui.label("Packet of");
                let number = DragValue::new(&mut self.n_features).range(FEATURES);
                ui.add(number.suffix(" features")).labelled_by(label.id);
                ui.checkbox(&mut self.write_first, "Write first")
                    .on_hover_text("The reader sees a proposed label only after writing one");
                let hint = "Features that nobody decided on, with films, heatmaps and a form";
                if ui.button("Write a packet…").on_hover_text(hint).clicked() {
                    let (limit, write_first) = (self.n_features, self.write_first);
                    self.ask(ctx, sae, DecisionExchange::Packet { limit, write_first });
                }
            });
            ui.horizontal_wrapped(|ui| {
                let hint = "Answers to a packet, or decisions that were handed out elsewhere. What \
                            is here already is not doubled, and nothing is overwritten";
                let button = ui.button("Take decisions in…").on_hover_text(hint);
                if button.clicked() {
                    self.ask(ctx, sae, DecisionExchange::TakeIn);
                }
                let hint = "All decisions on this dictionary: .jsonl to be taken in elsewhere, .csv \
                            for a spreadsheet";
                let button = ui.button("Hand decisions out…").on_hover_text(hint);
                if button.clicked() {
                    self.ask(ctx, sae, DecisionExchange::HandOut);
                }
            });
        });
    }
}
