//! What comes before a review: who, which dictionary, which queue; and what an empty queue says.

use egui::{ComboBox, RichText, Ui};
use engine::views::{QueueKind, QueueOrder, QueueRequest, ReviewProgress};
use schema::ReviewMode;

use crate::app_context::AppContext;
use crate::commands::{Command, ReviewTab, Screen};
use crate::tokens;
use crate::widgets::{notice, number, reviewer_name};

/// Parts of the screen, their names and what they are for.
pub(super) const TABS: [(ReviewTab, &str, &str); 4] = [
    (
        ReviewTab::Queue,
        "Queue",
        "One feature after another, with its evidence and the proposed label",
    ),
    (
        ReviewTab::Disagreements,
        "Disagreements",
        "Features on which readers differ, to be settled",
    ),
    (
        ReviewTab::Agreement,
        "Agreement",
        "How far readers agree with each other, with the program and with themselves",
    ),
    (
        ReviewTab::Detection,
        "Detection test",
        "Does a label tell you where the feature is active? On the cases of the proposal's judge, \
         where it was tested",
    ),
];

const KINDS: [(QueueKind, &str, &str); 4] = [
    (
        QueueKind::Label,
        "Label features",
        "Features with a proposal, for their labels",
    ),
    (
        QueueKind::SecondReader,
        "Second reader",
        "Features that another reader has decided on; what they decided stays hidden",
    ),
    (
        QueueKind::Adjudicate,
        "Settle disagreements",
        "Features on which readers differ, with what each said; your word stands",
    ),
    (
        QueueKind::Flagged,
        "Flagged features",
        "Features that a reader flagged for a second look, until somebody decides on them again",
    ),
];

const ORDERS: [(QueueOrder, &str, &str); 5] = [
    (
        QueueOrder::Clearest,
        "Clearest first",
        "Features that are active on 1 to 50 % of the samples first, the best scored proposals at the \
         top: there is enough to see, and it differs from sample to sample. Then those active nearly \
         everywhere, and last the nearly silent",
    ),
    (
        QueueOrder::LowestScore,
        "Lowest score first",
        "Proposals that scored worst first, those without a score last: finds bad labels soonest, and \
         begins with features of which little is to be seen",
    ),
    (
        QueueOrder::Disagreement,
        "Most disagreement first",
        "Features with the most different answers of readers and proposal first",
    ),
    (
        QueueOrder::Density,
        "Densest first",
        "Features that are active on the most places first",
    ),
    (
        QueueOrder::Random,
        "Random",
        "By the seed: what is found so far then holds for the whole dictionary",
    ),
];

const MODES: [(ReviewMode, &str, &str); 3] = [
    (
        ReviewMode::ProposalFirst,
        "Proposal shown",
        "The proposed label is there at once",
    ),
    (
        ReviewMode::WriteFirst,
        "Write first",
        "You write what you see, then the proposal is revealed: it cannot lead you",
    ),
    (
        ReviewMode::Blind,
        "Blind",
        "The proposal is never shown; B switches this on and off",
    ),
];

fn choice_ui<T: Copy + PartialEq>(
    ui: &mut Ui,
    (name, width): (&str, f32),
    choices: &[(T, &str, &str)],
    value: &mut T,
) {
    let chosen = choices.iter().find(|(choice, ..)| choice == value);
    let (_, text, hint) = chosen.copied().unwrap_or((*value, "", ""));
    ComboBox::from_id_salt(name)
        .selected_text(text)
        .width(width)
        .show_ui(ui, |ui| {
            for (choice, text, hint) in choices {
                ui.selectable_value(value, *choice, *text)
                    .on_hover_text(*hint);
            }
        })
        .response
        .on_hover_text(hint)
        .accessible_name(name);
}

/// What the queue is for, its order, when proposals are shown.
pub(super) fn queue_ui(ui: &mut Ui, queue: &mut QueueRequest) {
    choice_ui(ui, ("Queue kind", 132.0), &KINDS, &mut queue.kind);
    if queue.kind == QueueKind::SecondReader {
        // An order by disagreement would tell what others decided.
        if queue.order == QueueOrder::Disagreement {
            queue.order = QueueOrder::Random;
        }
        let orders: Vec<_> = ORDERS
            .iter()
            .filter(|(order, ..)| *order != QueueOrder::Disagreement)
            .copied()
            .collect();
        choice_ui(ui, ("Queue order", 156.0), &orders, &mut queue.order);
    } else {
        choice_ui(ui, ("Queue order", 156.0), &ORDERS, &mut queue.order);
    }
    choice_ui(
        ui,
        ("When the proposal is shown", 116.0),
        &MODES,
        &mut queue.mode,
    );
    if queue.kind == QueueKind::Label {
        ui.checkbox(&mut queue.everything, "All live")
            .on_hover_text("Also features without a proposal, where others have one");
    }
}

/// What the cases are that the progress counts, and which features are not among them.
pub(super) fn scope_ui(ui: &mut Ui, progress: &ReviewProgress) {
    let scope = &progress.scope;
    if scope.n_features == 0 {
        return;
    }
    let cases = number::counted(u64::from(progress.n_cases), ["case", "cases"]);
    let mut hint = format!(
        "The queue has {cases}: each feature once, and as checks some features a second time and some \
         with another feature's label, so that it can be said how far you agree with yourself and \
         what is accepted unread."
    );
    if scope.n_without_proposal > 0 {
        hint.push_str(" Features without a proposal join with \"All live\".");
    }
    if scope.n_silent > 0 {
        hint.push_str(" Features that are active on no sample show nothing to judge.");
    }
    notice::weak_cut_ui(ui, scope.sentence()).on_hover_text(hint);
}

/// The dictionary under review; another one, if it was chosen.
pub(super) fn dictionary_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) -> Option<String> {
    let mut chosen = None;
    ComboBox::from_id_salt("reviewed dictionary")
        .selected_text(RichText::new(sae).font(tokens::title_font()))
        .width(150.0)
        .show_ui(ui, |ui| {
            for view in ctx.dictionaries.iter().filter(|view| view.indexed) {
                if ui.selectable_label(view.name == sae, &view.name).clicked() {
                    chosen = Some(view.name.clone());
                }
            }
        })
        .response
        .accessible_name("Dictionary under review");
    chosen
}

/// Asks who reviews; the name, once it is given.
pub(super) fn name_ui(ui: &mut Ui, name: &mut String) -> Option<String> {
    let mut given = None;
    notice::empty_ui(
        ui,
        "Who reviews?",
        "Your name stands on every decision, and with it your queue, your place in it and your \
         figures. It is asked once and stays on this computer.",
        |ui| given = reviewer_name::name_ui(ui, name, "Begin the review"),
    );
    given
}

/// A queue without cases: why, and what to do; whether to label features instead.
pub(super) fn empty_ui(ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, kind: QueueKind) -> bool {
    let mut labels = false;
    let (title, text) = match kind {
        QueueKind::Label => (
            "No feature to label",
            "Every feature of this dictionary is dead on the indexed samples. Choose another \
             dictionary, or look at it in the gallery.",
        ),
        QueueKind::SecondReader => (
            "Nothing for a second reader yet",
            "Features appear here once another reader has decided on them, under another name. What \
             they decided stays hidden until you have decided too.",
        ),
        QueueKind::Adjudicate => (
            "Readers do not differ",
            "Features appear here when two readers said different things of them. Whoever settles \
             one has the last word on its label.",
        ),
        QueueKind::Flagged => (
            "No feature is flagged",
            "A feature that is flagged in a review (F), because somebody should look again, appears \
             here until somebody decides on it again.",
        ),
    };
    notice::empty_ui(ui, title, text, |ui| {
        if kind == QueueKind::Label && ui.button("Show it in the gallery").clicked() {
            ctx.send(Command::UseDictionary(sae.to_owned()));
        }
        labels = kind != QueueKind::Label && ui.button("Label features").clicked();
        if ui.button("Go to Gallery").clicked() {
            ctx.send(Command::Show(Screen::Gallery));
        }
    });
    labels
}
