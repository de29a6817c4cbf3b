//! Features on which readers differ, with what each said, to be settled.

use std::sync::Arc;

use egui::{RichText, ScrollArea, Ui};
use engine::views::{Disagreement, Revision};
use schema::{Decision, FeatureId};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::Command;
use crate::screens::gallery::card::card_title;
use crate::screens::start::card;
use crate::tokens;
use crate::widgets::{chip, notice, number};

/// Features listed; more are said to be there.
const MAX_LISTED: usize = 200;

/// What readers differ on.
type List = Answer<Arc<Vec<Disagreement>>>;

/// The list, for one dictionary and revision.
#[derive(Default)]
pub(super) struct Disagreements {
    kept: Option<(Revision, String, List)>,
}

impl Disagreements {
    /// Draws the list; a feature that is to be settled.
    pub(super) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) -> Option<FeatureId> {
        let is_current = self
            .kept
            .as_ref()
            .is_some_and(|(revision, of, _)| *revision == ctx.revision && of == sae);
        if !is_current {
            let answer = ctx.backend.disagreements(sae);
            self.kept = Some((ctx.revision, sae.to_owned(), answer));
        }
        match self.kept.as_ref().map(|(.., answer)| answer.clone()) {
            Some(Ok(list)) if list.is_empty() => {
                notice::empty_ui(
                    ui,
                    "Readers do not differ",
                    "Features appear here when two readers said different things of them. Let \
                     another reader go through the queue as a second reader, under another name.",
                    |_| {},
                );
                None
            }
            Some(Ok(list)) => list_ui(ctx, ui, sae, &list),
            Some(Err(problem)) => {
                notice::error_ui(ui, &problem);
                None
            }
            None => None,
        }
    }
}

fn list_ui(
    ctx: &AppContext<'_>,
    ui: &mut Ui,
    sae: &str,
    list: &[Disagreement],
) -> Option<FeatureId> {
    let n_open = list.iter().filter(|one| one.open).count();
    notice::weak_ui(
        ui,
        format!(
            "{} that readers differ or differed on, {n_open} still to be settled. Whoever settles \
             one has the last word, until a reader decides otherwise again",
            number::counted(list.len() as u64, ["feature", "features"])
        ),
    );
    let mut settle = None;
    ScrollArea::vertical()
        .id_salt("disagreements")
        .auto_shrink(false)
        .show(ui, |ui| {
            for one in list.iter().take(MAX_LISTED) {
                card(ui, |ui| {
                    if one_ui(ctx, ui, sae, one) {
                        settle = Some(one.feature);
                    }
                });
            }
            if list.len() > MAX_LISTED {
                notice::weak_ui(ui, format!("and {} more", list.len() - MAX_LISTED));
            }
        });
    settle
}

/// Draws one feature; whether it is to be settled.
fn one_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, one: &Disagreement) -> bool {
    let mut settle = false;
    ui.horizontal_wrapped(|ui| {
        let number = format!("Feature {}", one.feature);
        ui.label(RichText::new(number).font(tokens::title_font()));
        let open = if one.open { "to be settled" } else { "settled" };
        ui.label(RichText::new(open).color(tokens::of(ui).text_weak));
        let name = if one.open { "Settle" } else { "Settle again" };
        settle = ui
            .button(name)
            .on_hover_text("Its evidence with what each reader said")
            .accessible_name(format!("{name} feature {}", one.feature))
            .clicked();
        if ui
            .button("Feature page")
            .accessible_name(format!("Feature page of {}", one.feature))
            .clicked()
        {
            ctx.send(Command::OpenFeature(sae.to_owned(), one.feature));
        }
    });
    if let Ok(card) = ctx.card(sae, one.feature)
        && !card.proposal.is_empty()
    {
        notice::weak_ui(ui, format!("Proposed: {}", card.proposal));
    } else if let Ok(card) = ctx.card(sae, one.feature) {
        notice::weak_ui(ui, card_title(&card));
    }
    for reading in &one.readings {
        said_ui(ui, reading, &reading.reviewer);
    }
    if let Some(settled) = &one.adjudication {
        said_ui(ui, settled, &format!("settled by {}", settled.reviewer));
    }
    settle
}

fn said_ui(ui: &mut Ui, decision: &Decision, who: &str) {
    ui.horizontal_wrapped(|ui| {
        chip::chip_ui(ui, decision.state, false);
        let text = if decision.text.is_empty() {
            who.to_owned()
        } else {
            format!("{who}: {}", decision.text)
        };
        ui.add(egui::Label::new(text).wrap());
        let mut facts = number::time(&decision.at);
        if let Some(confidence) = decision.confidence {
            facts = format!("{facts}, how sure {confidence} of 9");
        }
        ui.label(
            RichText::new(facts)
                .font(tokens::small_font())
                .color(tokens::of(ui).text_weak),
        );
    });
}
