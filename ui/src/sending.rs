//! The question whether something may go to another computer, with what would go.

use egui::{Frame, Margin, Modal, RichText, ScrollArea, TextEdit, Ui};
use engine::ExplainRequest;
use engine::views::SendingView;

use crate::commands::{Command, CommandSender, SendingCommand};
use crate::tokens::{self, GRID};
use crate::widgets::notice;

/// Width of the dialog.
const WIDTH: f32 = 760.0;
/// Height of everything but the request.
const FRAME: f32 = 380.0;

/// A request that waits for leave.
pub(crate) struct Waiting {
    pub(crate) shown: Box<SendingView>,
    pub(crate) request: Box<ExplainRequest>,
}

/// Draws the question; `false` when it was answered.
pub(crate) fn ui(commands: &CommandSender, ui: &Ui, waiting: &Waiting) -> bool {
    let frame = Frame::popup(ui.style()).inner_margin(Margin::same(24));
    let modal = Modal::new(egui::Id::unique("sending"))
        .frame(frame)
        .show(ui.ctx(), |ui| {
            ui.set_width(WIDTH.min(ui.ctx().content_rect().width() - 96.0));
            contents_ui(ui, &waiting.shown);
            ui.add_space(GRID);
            ui.horizontal(|ui| {
                let address = &waiting.shown.address;
                let send = ui
                    .button(format!("Send to {address}"))
                    .on_hover_text("In this project from now on; taken back under Settings")
                    .clicked();
                if send {
                    let (shown, request) = (waiting.shown.clone(), waiting.request.clone());
                    commands.send(Command::Sending(SendingCommand::Allow(shown)));
                    commands.send(Command::Explain(request));
                }
                let cancel = ui
                    .button("Cancel")
                    .on_hover_text("Nothing is sent")
                    .clicked();
                send || cancel
            })
            .inner
        });
    !(modal.inner || modal.should_close())
}

fn contents_ui(ui: &mut Ui, shown: &SendingView) {
    let title = format!("Send to {}?", shown.address);
    ui.label(RichText::new(title).font(tokens::title_font()));
    notice::plain_ui(
        ui,
        "This is another computer. Nothing was sent there yet. Texts would go unencrypted (http): \
         whoever is on the way can read them.",
    );
    ui.label(RichText::new("Requests, at most").strong());
    for planned in &shown.planned {
        notice::plain_ui(ui, &format!("{}: {}", planned.most, planned.kind));
    }
    ui.label(RichText::new("Taken out of all texts").strong());
    notice::plain_ui(ui, &shown.deidentified);
    let label = ui.label(RichText::new("The first request, as it would be sent").strong());
    let height = ui.ctx().content_rect().height() - FRAME;
    ScrollArea::vertical()
        .max_height(height.max(96.0))
        .show(ui, |ui| {
            // It can be read and copied, not changed.
            let mut body = shown.body.as_str();
            ui.add(
                TextEdit::multiline(&mut body)
                    .font(egui::TextStyle::Monospace)
                    .desired_width(f32::INFINITY),
            )
            .labelled_by(label.id);
        });
}
