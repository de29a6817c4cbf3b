//! The reviewer's side of the screen: the proposed label, what is decided, how sure, what was saved.

use egui::{Button, Key, RichText, TextEdit, Ui};
use schema::{Decision, ReviewMode, ReviewState};

use super::item::AtWork;
use super::sitting::{Asked, Saving};
use crate::keys::{self, Action};
use crate::screens::start::card;
use crate::tokens::{self, GRID};
use crate::widgets::table::{self, Cell};
use crate::widgets::{chip, notice};

/// What the reviewer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Decide(ReviewState, String),
    Edit,
    Reveal,
    Leave,
    Flag,
    Confidence(u8),
    Undo,
    Redo,
    Next,
    Previous,
    ToggleBlind,
}

/// Decisions of this sitting that are listed.
const N_LISTED: usize = 6;

/// What the keys ask for while no field has them.
pub(super) fn keys(ui: &Ui, at_work: &AtWork) -> Option<Act> {
    // What is typed right after E belongs into the field that is about to open.
    if at_work.focus || ui.ctx().text_edit_focused() || keys::is_behind(ui.ctx()) {
        return None;
    }
    let ctx = ui.ctx();
    let pressed = |key: Key| ui.input(|input| input.modifiers.is_none() && input.key_pressed(key));
    let proposal = at_work.proposal();
    if let Some(text) = proposal
        && keys::fired(ctx, Action::Accept)
    {
        return Some(Act::Decide(ReviewState::Accepted, text.to_owned()));
    }
    let always = [
        (Action::Edit, Act::Edit),
        (
            Action::Unsure,
            Act::Decide(ReviewState::Unsure, String::new()),
        ),
        (
            Action::Skip,
            Act::Decide(ReviewState::Skipped, String::new()),
        ),
        (Action::Flag, Act::Flag),
        (Action::Blind, Act::ToggleBlind),
    ];
    let mut asked = always.into_iter();
    if let Some((_, act)) = asked.find(|(action, _)| keys::fired(ctx, *action)) {
        return Some(act);
    }
    // Arrows move the focus where something has it; J and K are the window's.
    if ui.memory(egui::Memory::focused).is_none() {
        for (key, act) in [(Key::ArrowDown, Act::Next), (Key::ArrowUp, Act::Previous)] {
            if pressed(key) {
                return Some(act);
            }
        }
    }
    if proposal.is_some() && keys::fired(ctx, Action::Reject) {
        return Some(Act::Decide(ReviewState::Rejected, String::new()));
    }
    let digits = [
        Key::Num1,
        Key::Num2,
        Key::Num3,
        Key::Num4,
        Key::Num5,
        Key::Num6,
        Key::Num7,
        Key::Num8,
        Key::Num9,
    ];
    let digit = (1..).zip(digits).find(|(_, key)| pressed(*key));
    digit.map(|(value, _)| Act::Confidence(value))
}

/// Draws label, buttons and what was saved; what was asked for.
pub(super) fn ui(ui: &mut Ui, at_work: &mut AtWork, asked: &[Asked]) -> Option<Act> {
    let mut act = None;
    card(ui, |ui| {
        label_ui(ui, at_work);
        act = readings_ui(ui, &at_work.item.readings);
        ui.add_space(GRID);
        if at_work.draft.is_some() {
            act = draft_ui(ui, at_work).or(act.take());
        }
        act = buttons_ui(ui, at_work).or(act.take());
        act = marks_ui(ui, at_work).or(act.take());
    });
    act = saved_ui(ui, asked).or(act);
    act
}

fn label_ui(ui: &mut Ui, at_work: &AtWork) {
    ui.horizontal(|ui| {
        let number = format!("Feature {}", at_work.item.feature);
        ui.label(RichText::new(number).font(tokens::title_font()));
        if let Some(decided) = &at_work.item.decided {
            chip::chip_ui(ui, decided.state, false);
        }
        if at_work.flagged {
            ui.label(RichText::new("Flagged").color(tokens::of(ui).warning));
        }
    });
    let (words, hint) = match at_work.item.mode {
        ReviewMode::ProposalFirst => (
            "Proposed label",
            "Is this what the examples have in common, in every band and not only at the top?",
        ),
        ReviewMode::WriteFirst if at_work.writes_first() => (
            "Write first",
            "Say in your own words what the examples have in common; Enter then reveals the proposal, \
             so that it cannot lead you",
        ),
        ReviewMode::WriteFirst => ("Proposed label", "Compare it with what you wrote"),
        ReviewMode::Blind => (
            "Blind",
            "The proposal stays hidden: E writes your label, U says that you cannot tell",
        ),
    };
    ui.label(RichText::new(words).strong());
    if let Some(proposal) = at_work.proposal() {
        let text = RichText::new(proposal).font(tokens::title_font());
        ui.add(egui::Label::new(text).wrap());
        if !at_work.item.proposed_by.is_empty() {
            notice::weak_ui(ui, format!("by {}", at_work.item.proposed_by));
        }
    } else if at_work.item.proposal.is_empty() && at_work.item.mode != ReviewMode::Blind {
        notice::weak_ui(ui, "Nothing is proposed for this feature. E writes a label");
    }
    if let Some(own) = at_work.wrote_first.as_ref().filter(|own| !own.is_empty()) {
        notice::weak_ui(ui, format!("You wrote: {own}"));
    }
    notice::weak_ui(ui, hint);
}

/// What each reader said, where it is to be settled.
fn readings_ui(ui: &mut Ui, readings: &[Decision]) -> Option<Act> {
    let mut act = None;
    if !readings.is_empty() {
        ui.add_space(GRID);
        ui.label(RichText::new("Readers differ").strong());
    }
    for reading in readings.iter().filter(|reading| reading.state.has_say()) {
        ui.horizontal_wrapped(|ui| {
            chip::chip_ui(ui, reading.state, false);
            let words = if reading.text.is_empty() {
                reading.reviewer.clone()
            } else {
                format!("{}: {}", reading.reviewer, reading.text)
            };
            ui.add(egui::Label::new(words).wrap());
            let take = ui
                .small_button("Take this")
                .on_hover_text("This is what stands from now on")
                .accessible_name(format!("Take what {} said", reading.reviewer));
            if take.clicked() {
                act = Some(Act::Decide(reading.state, reading.text.clone()));
            }
        });
    }
    act
}

fn draft_ui(ui: &mut Ui, at_work: &mut AtWork) -> Option<Act> {
    let writes_first = at_work.writes_first();
    let proposal = at_work.proposal().map(str::to_owned);
    let draft = at_work.draft.as_mut()?;
    let field = ui
        .add(
            TextEdit::singleline(draft)
                .hint_text("What the examples have in common")
                .desired_width(f32::INFINITY),
        )
        .accessible_name("Label text");
    if std::mem::take(&mut at_work.focus) {
        field.request_focus();
    }
    let text = draft.trim().to_owned();
    let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    let left = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape));
    let (mut save, mut leave) = (entered, left);
    ui.horizontal(|ui| {
        let name = if writes_first {
            "Reveal the proposal"
        } else {
            "Save label"
        };
        save |= ui
            .add_enabled(!text.is_empty(), Button::new(name))
            .on_hover_text("Enter")
            .clicked();
        leave |= ui.button("Leave").on_hover_text("Escape").clicked();
    });
    if leave {
        return Some(Act::Leave);
    }
    if !save || text.is_empty() {
        return None;
    }
    if writes_first {
        return Some(Act::Reveal);
    }
    let state = if proposal.as_deref() == Some(&text) {
        ReviewState::Accepted
    } else {
        ReviewState::Edited
    };
    Some(Act::Decide(state, text))
}

fn buttons_ui(ui: &mut Ui, at_work: &AtWork) -> Option<Act> {
    let mut act = None;
    let proposal = at_work.proposal();
    ui.horizontal_wrapped(|ui| {
        // All five stand in one row of the panel's first width.
        ui.spacing_mut().item_spacing.x = tokens::HALF;
        ui.spacing_mut().button_padding.x = 6.0;
        let mut button =
            |ui: &mut Ui, enabled, (action, name): (Action, &str), hint: &str, what: Act| {
                let text = keys::labelled(ui.ctx(), name, action);
                let response = ui
                    .add_enabled(enabled, Button::new(text))
                    .on_hover_text(hint)
                    .on_disabled_hover_text("There is no proposal on the screen. E writes a label")
                    .accessible_name(name);
                if response.clicked() {
                    act = Some(what);
                }
            };
        let text = proposal.unwrap_or_default().to_owned();
        button(
            ui,
            proposal.is_some(),
            (Action::Accept, "Accept"),
            "The proposed label fits",
            Act::Decide(ReviewState::Accepted, text),
        );
        button(
            ui,
            true,
            (Action::Edit, "Edit"),
            "Write a better label",
            Act::Edit,
        );
        button(
            ui,
            proposal.is_some(),
            (Action::Reject, "Reject"),
            "The proposed label does not fit, and you have no better one",
            Act::Decide(ReviewState::Rejected, String::new()),
        );
        button(
            ui,
            true,
            (Action::Unsure, "Unsure"),
            "You looked and cannot tell",
            Act::Decide(ReviewState::Unsure, String::new()),
        );
        button(
            ui,
            true,
            (Action::Skip, "Skip"),
            "Pass it by; it says nothing of the label",
            Act::Decide(ReviewState::Skipped, String::new()),
        );
    });
    act
}

/// How sure, and whether somebody else should look.
fn marks_ui(ui: &mut Ui, at_work: &AtWork) -> Option<Act> {
    let mut act = None;
    ui.horizontal_wrapped(|ui| {
        let flag = ui.selectable_label(
            at_work.flagged,
            keys::labelled(ui.ctx(), "Flag", Action::Flag),
        );
        if flag
            .on_hover_text("Somebody should look at this feature again")
            .accessible_name("Flag")
            .clicked()
        {
            act = Some(Act::Flag);
        }
        ui.label(RichText::new("How sure").color(tokens::of(ui).text_weak))
            .on_hover_text("1: a guess, 9: certain. A digit key sets it, again takes it away");
        ui.spacing_mut().item_spacing.x = 1.0;
        ui.spacing_mut().button_padding.x = 4.0;
        for value in 1..=9 {
            let chosen = at_work.confidence == Some(value);
            if ui
                .selectable_label(chosen, value.to_string())
                .accessible_name(format!("How sure: {value} of 9"))
                .clicked()
            {
                act = Some(Act::Confidence(value));
            }
        }
    });
    act
}

/// What was decided in this sitting, and whether it is on the disk.
fn saved_ui(ui: &mut Ui, asked: &[Asked]) -> Option<Act> {
    let mut act = None;
    ui.horizontal(|ui| {
        if ui
            .button("Undo")
            .on_hover_text("Ctrl+Z takes your last decision back, of an earlier sitting too")
            .clicked()
        {
            act = Some(Act::Undo);
        }
        if ui
            .button("Redo")
            .on_hover_text("Ctrl+Shift+Z restores what you took back last")
            .clicked()
        {
            act = Some(Act::Redo);
        }
    });
    if asked.is_empty() {
        notice::weak_ui(
            ui,
            "A decision is on the disk before it is shown as saved here",
        );
    }
    for one in asked.iter().rev().take(N_LISTED) {
        let theme = tokens::of(ui);
        let (word, colour) = match one.saving {
            Saving::Waiting => ("saving…", theme.text_weak),
            Saving::Saved => ("saved", theme.good),
            Saving::TakenBack => ("taken back", theme.warning),
            Saving::Failed => ("not saved", theme.error),
        };
        let state = chip::state_name(one.state, false).to_lowercase();
        let what = if one.text.is_empty() {
            format!("Feature {} {state}", one.feature)
        } else {
            format!("Feature {} {state}: {}", one.feature, one.text)
        };
        table::row_ui(
            ui,
            &[
                Cell::left(word, 0.22, colour),
                Cell::left(&what, 0.78, theme.text),
            ],
        );
    }
    act
}
