//! The large example of a recommender's feature: the whole history, and what is recommended next.

use egui::{ScrollArea, Ui};
use engine::views::{ExampleView, HistoryRequest, HistoryTicket, HistoryView, ItemView};
use schema::FeatureId;

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::widgets::item_strip::{StripStyle, item_strip_ui};
use crate::widgets::{notice, number};

/// The history that was asked for last.
#[derive(Default)]
pub(crate) struct History {
    /// What was asked for, so that it is asked for once.
    asked: Option<HistoryRequest>,
    waiting: Option<HistoryTicket>,
    answer: Option<Answer<HistoryView>>,
    /// Whether the strongest item is still to be brought into view.
    is_new: bool,
}

impl History {
    /// Remembers which answer is wanted.
    pub(crate) fn waits_for(&mut self, ticket: HistoryTicket, request: HistoryRequest) {
        self.waiting = Some(ticket);
        self.asked = Some(request);
        self.answer = None;
    }

    /// Whether an answer is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Takes an answer, if it is the one wanted.
    pub(super) fn take(&mut self, ticket: HistoryTicket, answer: &Answer<HistoryView>) {
        if self.waiting == Some(ticket) {
            self.waiting = None;
            self.answer = Some(answer.clone());
            self.is_new = true;
        }
    }

    /// Draws the whole history; the part around the strongest item until it is there.
    pub(super) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (sae, feature): (&str, FeatureId),
        (example, part, maximum): (&ExampleView, &[ItemView], f32),
    ) {
        let request = HistoryRequest {
            sae: sae.to_owned(),
            feature,
            sample: example.sample,
        };
        if self.asked.as_ref() != Some(&request) {
            self.asked = Some(request.clone());
            self.waiting = None;
            self.answer = None;
            ctx.send(Command::ReadHistory(request));
        }
        let whole = match &self.answer {
            Some(Ok(view)) => Some(view),
            Some(Err(problem)) => {
                notice::error_ui(ui, problem);
                None
            }
            None => {
                notice::weak_ui(ui, "Reading the whole history…");
                None
            }
        };
        if let Some(view) = whole {
            words_ui(ui, view);
        }
        let is_new = std::mem::take(&mut self.is_new);
        let scroll = ScrollArea::vertical()
            .id_salt(("history", example.sample))
            .auto_shrink(false);
        let mut style = StripStyle {
            maximum,
            ..StripStyle::default()
        };
        let mut items = part;
        if let Some(view) = whole {
            style.levels = &view.levels;
            style.recommended = view.recommended.as_ref();
            style.scroll_to = is_new.then_some(example.position as usize);
            items = &view.items;
        }
        scroll.show(ui, |ui| item_strip_ui(ctx, ui, items, &style));
    }
}

/// What the strip is, and the warning that one item comes again and again.
fn words_ui(ui: &mut Ui, view: &HistoryView) {
    if let Some(same) = &view.same {
        notice::warning_ui(
            ui,
            &format!(
                "{} of the {} strongest histories recommend the same item: {}",
                same.n, same.of, same.item.title
            ),
        );
    }
    let items = number::counted(view.items.len() as u64, ["item", "items"]);
    let active = view.items.iter().filter(|item| item.activation > 0.0);
    let next = if view.recommended.is_some() {
        "; outlined at the end: what the model recommends next"
    } else {
        ""
    };
    let text = format!("{items}, oldest first, active on {}{next}", active.count());
    notice::weak_ui(ui, text).on_hover_text(
        "A level is the tenth of all the feature's activations that a value lies in, 1 to 10",
    );
}
