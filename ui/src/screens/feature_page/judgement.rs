//! The reviewer's part of the feature page: label, decision, name.

use egui::{Key, RichText, Ui};
use engine::views::FeaturePage;
use schema::ReviewState;

use crate::app_context::AppContext;
use crate::commands::{Command, DecisionRequest};
use crate::keys::{self, Action};
use crate::screens::start::card;
use crate::tokens;
use crate::widgets::{chip, notice, reviewer_name};

/// Where a decision that was asked for stands.
#[derive(Default, PartialEq, Eq)]
enum Saving {
    #[default]
    Idle,
    Waiting,
    Saved,
    TakenBack,
}

/// State of the judgement of one feature.
#[derive(Default)]
pub(crate) struct Judgement {
    draft: Option<String>,
    focus_draft: bool,
    reviewer_draft: Option<String>,
    /// A decision that waits for the name of who makes it.
    unsigned: Option<(ReviewState, String)>,
    saving: Saving,
}

impl Judgement {
    /// A decision on this feature is durable, or stands again.
    pub(crate) fn saved(&mut self) {
        self.saving = Saving::Saved;
    }

    /// The last decision on this feature was taken back.
    pub(crate) fn taken_back(&mut self) {
        self.saving = Saving::TakenBack;
    }

    /// A decision could not be written.
    pub(crate) fn failed(&mut self) {
        self.saving = Saving::Idle;
    }

    /// Label, buttons and reviewer.
    pub(crate) fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
        card(ui, |ui| {
            label_ui(ui, page);
            if self.unsigned.is_some() {
                self.sign_ui(ctx, ui, sae, page);
                return;
            }
            if self.draft.is_some() {
                self.draft_ui(ctx, ui, sae, page);
            } else {
                self.buttons_ui(ctx, ui, sae, page);
                self.keys(ctx, ui, sae, page);
            }
            ui.horizontal(|ui| {
                if ui.small_button("Undo").on_hover_text("Ctrl+Z").clicked() {
                    ctx.send(Command::Undo);
                }
                let text = match self.saving {
                    Saving::Idle => "takes the last decision back",
                    Saving::Waiting => "Saving…",
                    Saving::Saved => "Saved. Ctrl+Z takes it back",
                    Saving::TakenBack => "Taken back. Ctrl+Shift+Z restores it",
                };
                notice::weak_cut_ui(ui, text);
            });
            self.reviewer_ui(ctx, ui);
        });
        for warning in &page.warnings {
            notice::warning_ui(ui, warning);
        }
        for note in &page.notes {
            notice::weak_ui(ui, note.as_str());
        }
    }

    fn buttons_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
        let proposed = !page.card.proposal.is_empty();
        let ctx_keys = ui.ctx().clone();
        let labelled = |word, action| keys::labelled(&ctx_keys, word, action);
        ui.horizontal_wrapped(|ui| {
            let accept = ui
                .add_enabled(
                    proposed,
                    egui::Button::new(labelled("Accept", Action::Accept)),
                )
                .on_disabled_hover_text("There is no proposal to accept. E writes a label")
                .accessible_name("Accept");
            if accept.clicked() {
                self.decide(ctx, sae, page, ReviewState::Accepted, &page.card.proposal);
            }
            if ui
                .button(labelled("Edit", Action::Edit))
                .accessible_name("Edit")
                .clicked()
            {
                self.edit(page);
            }
            let reject = ui.add_enabled(
                proposed,
                egui::Button::new(labelled("Reject", Action::Reject)),
            );
            if reject.accessible_name("Reject").clicked() {
                self.decide(ctx, sae, page, ReviewState::Rejected, "");
            }
            if ui
                .button(labelled("Unsure", Action::Unsure))
                .accessible_name("Unsure")
                .clicked()
            {
                self.decide(ctx, sae, page, ReviewState::Unsure, "");
            }
        });
    }

    fn keys(&mut self, ctx: &AppContext<'_>, ui: &Ui, sae: &str, page: &FeaturePage) {
        if ui.ctx().egui_wants_keyboard_input() || keys::is_behind(ui.ctx()) {
            return;
        }
        let pressed = |action| keys::fired(ui.ctx(), action);
        let proposed = !page.card.proposal.is_empty();
        if proposed && pressed(Action::Accept) {
            self.decide(ctx, sae, page, ReviewState::Accepted, &page.card.proposal);
        } else if pressed(Action::Edit) {
            self.edit(page);
        } else if proposed && pressed(Action::Reject) {
            self.decide(ctx, sae, page, ReviewState::Rejected, "");
        } else if pressed(Action::Unsure) {
            self.decide(ctx, sae, page, ReviewState::Unsure, "");
        }
    }

    fn edit(&mut self, page: &FeaturePage) {
        let card = &page.card;
        let text = if card.label.is_empty() {
            &card.proposal
        } else {
            &card.label
        };
        self.draft = Some(text.clone());
        self.focus_draft = true;
    }

    fn draft_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
        let Some(draft) = &mut self.draft else { return };
        let field = ui
            .add(egui::TextEdit::singleline(draft).desired_width(f32::INFINITY))
            .accessible_name("Label text");
        if std::mem::take(&mut self.focus_draft) {
            field.request_focus();
        }
        let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let left = ui.input(|input| input.key_pressed(Key::Escape));
        let text = draft.trim().to_owned();
        let (mut save, mut cancel) = (entered, left);
        ui.horizontal(|ui| {
            save |= ui
                .add_enabled(!text.is_empty(), egui::Button::new("Save label"))
                .on_hover_text("Enter")
                .clicked();
            cancel |= ui.button("Leave").on_hover_text("Escape").clicked();
        });
        if cancel {
            self.draft = None;
        } else if save && !text.is_empty() {
            self.draft = None;
            let state = if text == page.card.proposal {
                ReviewState::Accepted
            } else {
                ReviewState::Edited
            };
            self.decide(ctx, sae, page, state, &text);
        }
    }

    /// Asks who decides, before the first decision is made.
    fn sign_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, page: &FeaturePage) {
        ui.label(RichText::new(reviewer_name::ASKED).strong());
        let name = self.reviewer_draft.get_or_insert_default();
        let given = reviewer_name::name_ui(ui, name, "Save the decision");
        let leaves = ui
            .button("Decide nothing")
            .on_hover_text("Escape")
            .clicked();
        if let Some(name) = given {
            self.reviewer_draft = None;
            ctx.send(Command::SetReviewer(name));
            if let Some((state, text)) = self.unsigned.take() {
                self.send(ctx, sae, page, state, text);
            }
        } else if leaves || ui.input(|input| input.key_pressed(Key::Escape)) {
            (self.unsigned, self.reviewer_draft) = (None, None);
        }
    }

    fn decide(
        &mut self,
        ctx: &AppContext<'_>,
        sae: &str,
        page: &FeaturePage,
        state: ReviewState,
        text: &str,
    ) {
        if ctx.reviewer.is_empty() {
            self.unsigned = Some((state, text.to_owned()));
        } else {
            self.send(ctx, sae, page, state, text.to_owned());
        }
    }

    fn send(
        &mut self,
        ctx: &AppContext<'_>,
        sae: &str,
        page: &FeaturePage,
        state: ReviewState,
        text: String,
    ) {
        self.saving = Saving::Waiting;
        ctx.send(Command::Decide(DecisionRequest {
            sae: sae.to_owned(),
            feature: page.card.feature,
            state,
            text,
            shown: page.card.proposal.clone(),
        }));
    }

    fn reviewer_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let label = ui.label("Reviewer");
            let mut name = self
                .reviewer_draft
                .clone()
                .unwrap_or_else(|| ctx.reviewer.to_owned());
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut name)
                        .hint_text("Your name stands on every decision")
                        .desired_width(f32::INFINITY),
                )
                .labelled_by(label.id);
            if field.changed() {
                self.reviewer_draft = Some(name.clone());
            }
            if field.lost_focus() && self.reviewer_draft.take().is_some() {
                ctx.send(Command::SetReviewer(name.trim().to_owned()));
            }
        });
    }
}

fn label_ui(ui: &mut Ui, page: &FeaturePage) {
    let card = &page.card;
    ui.horizontal(|ui| {
        ui.label(RichText::new("Label").strong());
        chip::chip_ui(ui, card.state, !card.proposal.is_empty());
    });
    if card.label.is_empty() {
        notice::weak_ui(ui, "Nobody has given this feature a label");
    } else {
        let text = RichText::new(&card.label).font(tokens::title_font());
        ui.add(egui::Label::new(text).wrap());
    }
    if !card.proposal.is_empty() && card.proposal != card.label {
        notice::weak_ui(ui, "Proposed by the program");
        ui.add(egui::Label::new(&card.proposal).wrap());
    }
}
