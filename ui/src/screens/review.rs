//! Review: a queue of features; the evidence large on the left, the judgement on the right.

mod agreement;
mod detection;
mod disagreements;
mod elsewhere;
mod evidence;
mod item;
mod judgement;
mod setup;
mod sitting;

use egui::{ProgressBar, RichText, Ui};
use engine::views::{
    DictionaryView, Event, QueueKind, QueueRequest, ReviewItem, ReviewProgress, Revision,
};
use schema::{FeatureId, ReviewMode, ReviewState};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, ReviewCommand, ReviewTab, Screen};
use crate::screens::Panel;
use crate::screens::feature_page::examples::{self, Examples};
use crate::screens::feature_page::large::LargeExample;
use crate::screens::review::agreement::Agreement;
use crate::screens::review::detection::Detection;
use crate::screens::review::disagreements::Disagreements;
use crate::screens::review::elsewhere::Elsewhere;
use crate::screens::review::item::AtWork;
use crate::screens::review::judgement::Act;
use crate::screens::review::sitting::Sitting;
use crate::tokens::{self, GRID};
use crate::widgets::split::{Edge, LESS, beside, split_ui};
use crate::widgets::{chip, notice, number};

/// Least seconds between two times that what is half done is kept.
const KEEP_EVERY: f64 = 1.0;
/// Decisions from which pace and time left are told.
const N_TOLD: u32 = 5;

/// State of the review.
#[derive(Default)]
pub(crate) struct ReviewScreen {
    /// Dictionary under review.
    pub(crate) dictionary: Option<String>,
    tab: ReviewTab,
    queue: QueueRequest,
    /// The mode that blind mode was switched on from.
    sighted: ReviewMode,
    progress: Option<(Revision, Answer<ReviewProgress>)>,
    /// The case on the screen, by number in the queue.
    case: Option<u32>,
    at_work: Option<AtWork>,
    /// What is wrong with the case asked for.
    problem: Option<String>,
    chosen: (usize, usize),
    /// The large example.
    pub(crate) large: LargeExample,
    sitting: Sitting,
    agreement: Agreement,
    pub(crate) elsewhere: Elsewhere,
    disagreements: Disagreements,
    detection: Detection,
    name: Option<String>,
    /// Whether the reviewer is to be asked again who reviews.
    asks_name: bool,
    /// Whether the queue that was left was looked for.
    is_restored: bool,
    /// When what is half done was last kept, by the window's clock.
    kept_at: f64,
}

impl ReviewScreen {
    /// Shows a part of the screen.
    pub(crate) fn show(&mut self, tab: ReviewTab) {
        self.tab = tab;
    }

    /// Reviews another dictionary.
    pub(crate) fn open(&mut self, sae: String) {
        if self.dictionary.as_ref() != Some(&sae) {
            *self = Self {
                dictionary: Some(sae),
                sighted: self.sighted,
                ..Self::default()
            };
        }
    }

    /// Takes the reviewer's last decision on the dictionary back, of whichever sitting.
    pub(crate) fn undo(&mut self, ctx: &AppContext<'_>) {
        if let Some(sae) = &self.dictionary {
            self.sitting.undo();
            ctx.send(Command::Review(ReviewCommand::Undo(sae.clone())));
        }
    }

    /// Restores what the reviewer took back last, if nothing was decided since.
    pub(crate) fn redo(&mut self, ctx: &AppContext<'_>) {
        if let Some(sae) = &self.dictionary {
            self.sitting.redo();
            ctx.send(Command::Review(ReviewCommand::Redo(sae.clone())));
        }
    }

    /// What was asked for last was refused; one is back at its case.
    pub(crate) fn refused(&mut self) {
        if let Some(case) = self.sitting.refused() {
            self.case = Some(case);
            self.at_work = None;
            self.problem = None;
        }
    }

    /// Switches blind mode on, or off to the mode before it.
    pub(crate) fn toggle_blind(&mut self, ctx: &AppContext<'_>) {
        let mode = if self.queue.mode == ReviewMode::Blind {
            self.sighted
        } else {
            self.sighted = self.queue.mode;
            ReviewMode::Blind
        };
        let queue = QueueRequest {
            mode,
            ..self.queue.clone()
        };
        self.ask(ctx, queue);
    }

    /// The next or previous case.
    pub(crate) fn step(&mut self, ctx: &AppContext<'_>, step: i64) {
        let n_cases = match &self.progress {
            Some((_, Ok(progress))) => i64::from(progress.n_cases),
            _ => 0,
        };
        let now = self.case.map_or(-1, i64::from);
        let next = now + step;
        if self.tab == ReviewTab::Queue && (0..n_cases).contains(&next) {
            self.go_to(ctx, Some(next as u32));
        }
    }

    /// Changes the queue; stays at the feature, where the new queue has it.
    fn ask(&mut self, ctx: &AppContext<'_>, queue: QueueRequest) {
        if self.queue == queue {
            return;
        }
        self.keep_draft(ctx);
        let feature = self.at_work.take().map(|at_work| at_work.item.feature);
        self.queue = queue;
        self.progress = None;
        self.case = feature.and_then(|feature| self.case_of(ctx, feature));
        self.problem = None;
    }

    /// Goes to a feature on which readers differ, to settle it.
    fn settle(&mut self, ctx: &AppContext<'_>, feature: FeatureId) {
        self.tab = ReviewTab::Queue;
        let queue = QueueRequest {
            kind: QueueKind::Adjudicate,
            mode: ReviewMode::ProposalFirst,
            ..self.queue.clone()
        };
        self.ask(ctx, queue);
        let case = self.case_of(ctx, feature);
        self.go_to(ctx, case);
    }

    /// The first case of the queue that shows a feature; of several the first still to do.
    fn case_of(&self, ctx: &AppContext<'_>, feature: FeatureId) -> Option<u32> {
        let sae = self.dictionary.as_deref()?;
        let cases = ctx.backend.queued_cases(sae, &self.queue).ok()?;
        let mut of_feature = cases.iter().filter(|case| case.feature == feature);
        let first = of_feature.next()?;
        let open = std::iter::once(first)
            .chain(of_feature)
            .find(|case| !case.done);
        Some(open.unwrap_or(first).case)
    }

    fn go_to(&mut self, ctx: &AppContext<'_>, case: Option<u32>) {
        self.keep_draft(ctx);
        self.case = case;
        self.at_work = None;
        self.problem = None;
        self.chosen = (0, 0);
    }

    /// Tells the engine what is half done and where one is.
    fn keep_draft(&mut self, ctx: &AppContext<'_>) {
        let (Some(sae), Some(at_work)) = (&self.dictionary, &mut self.at_work) else {
            return;
        };
        if let Some(draft) = at_work.unkept() {
            ctx.send(Command::Review(ReviewCommand::Keep {
                sae: sae.clone(),
                queue: self.queue.clone(),
                case: at_work.item.case,
                draft: Some(draft),
            }));
        }
    }

    fn refresh(&mut self, ctx: &AppContext<'_>, ui: &Ui, sae: &str) {
        ctx.reviewer.clone_into(&mut self.queue.reviewer);
        let is_new = self.progress.is_none();
        let is_current = self
            .progress
            .as_ref()
            .is_some_and(|(revision, _)| *revision == ctx.revision);
        if !is_current {
            self.restore(ctx, sae);
            let answer = ctx.backend.review_progress(sae, &self.queue);
            if self.case.is_none()
                && let Ok(progress) = &answer
                && (is_new || !self.sitting.is_waiting())
            {
                self.case = if is_new {
                    progress.place
                } else {
                    progress.next
                };
            }
            self.progress = Some((ctx.revision, answer));
        }
        let now = ui.input(|input| input.time);
        if !is_current {
            self.renew(ctx, sae, now);
        }
        if self.at_work.is_none()
            && self.problem.is_none()
            && let Some(case) = self.case
        {
            match ctx.backend.review_item(sae, &self.queue, case) {
                Ok(item) => {
                    let at_work = AtWork::new(item, now);
                    ctx.send(Command::Review(ReviewCommand::Keep {
                        sae: sae.to_owned(),
                        queue: self.queue.clone(),
                        case,
                        draft: at_work.item.draft.clone(),
                    }));
                    self.at_work = Some(at_work);
                }
                Err(problem) => self.problem = Some(problem),
            }
        }
    }

    /// Loads the case on the screen again, since something has changed: its proposal may be another
    /// one. What is being written stays, and the engine refuses it where that is so.
    fn renew(&mut self, ctx: &AppContext<'_>, sae: &str, now: f64) {
        let Some(at_work) = self.at_work.as_mut().filter(|one| one.has_no_draft()) else {
            return;
        };
        let feature = at_work.item.feature;
        match ctx.backend.review_item(sae, &self.queue, at_work.item.case) {
            Ok(item) if item.feature == feature => at_work.renew(item, now),
            Ok(_) => {
                // With other proposals the cases have other numbers.
                self.at_work = None;
                self.case = self.case_of(ctx, feature);
                if self.case.is_none() {
                    self.progress = None;
                }
            }
            Err(_) => {}
        }
    }

    /// Goes on with the queue that was left, once.
    fn restore(&mut self, ctx: &AppContext<'_>, sae: &str) {
        if std::mem::replace(&mut self.is_restored, true) {
            return;
        }
        if let Ok(Some(place)) = ctx.backend.review_place(sae) {
            self.queue = place.queue;
        }
    }

    /// The next case to do that is not on its way to the disk.
    fn next_to_do(&self, ctx: &AppContext<'_>, sae: &str, from: u32) -> Option<u32> {
        let mut at = from;
        for _ in 0..=self.sitting.n_waiting() {
            let next = ctx.backend.next_case(sae, &self.queue, at).ok()??;
            if !self.sitting.waits_for(next) {
                return Some(next);
            }
            at = next;
        }
        None
    }

    fn act(&mut self, ctx: &AppContext<'_>, ui: &Ui, sae: &str, act: Act) {
        let now = ui.input(|input| input.time);
        match act {
            Act::Undo => {
                self.undo(ctx);
                return;
            }
            Act::Redo => {
                self.redo(ctx);
                return;
            }
            Act::ToggleBlind => {
                self.toggle_blind(ctx);
                return;
            }
            Act::Next => {
                self.step(ctx, 1);
                return;
            }
            Act::Previous => {
                self.step(ctx, -1);
                return;
            }
            _ => {}
        }
        if matches!(act, Act::Decide(ReviewState::Edited, _)) {
            // What was written is there again if it is refused.
            self.keep_draft(ctx);
        }
        let Some(at_work) = &mut self.at_work else {
            return;
        };
        match act {
            Act::Edit => at_work.edit(),
            Act::Reveal => at_work.reveal(),
            Act::Leave => at_work.leave(),
            Act::Flag => at_work.flagged = !at_work.flagged,
            Act::Confidence(value) => at_work.mark(value),
            Act::Decide(state, text) => {
                let answer = at_work.answer(state, &text, now);
                let case = at_work.item.case;
                self.sitting
                    .decide(case, at_work.item.feature, state, &text);
                ctx.send(Command::Review(ReviewCommand::Decide {
                    sae: sae.to_owned(),
                    queue: self.queue.clone(),
                    case,
                    answer,
                }));
                self.at_work = None;
                self.problem = None;
                self.chosen = (0, 0);
                self.case = self.next_to_do(ctx, sae, case);
            }
            _ => {}
        }
    }

    fn queue_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        match self.progress.as_ref().map(|(_, progress)| progress.clone()) {
            Some(Ok(progress)) if progress.n_cases == 0 => {
                let labels = setup::empty_ui(ctx, ui, sae, self.queue.kind);
                let queue = QueueRequest {
                    kind: if labels {
                        QueueKind::Label
                    } else {
                        self.queue.kind
                    },
                    ..self.queue.clone()
                };
                self.ask(ctx, queue);
            }
            Some(Ok(progress)) => {
                if self.at_work.is_some() {
                    self.case_ui(ctx, ui, sae);
                } else if let Some(problem) = &self.problem {
                    notice::error_ui(ui, problem);
                } else if self.sitting.is_waiting() {
                    notice::weak_ui(ui, "Saving…");
                } else {
                    self.done_ui(ctx, ui, sae, &progress);
                }
            }
            Some(Err(problem)) => notice::error_ui(ui, &problem),
            None => {}
        }
    }

    fn case_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let Some(mut at_work) = self.at_work.take() else {
            return;
        };
        // Nothing is decided while the proposal is out of sight.
        let mut act = if ctx.is_alone() {
            None
        } else {
            judgement::keys(ui, &at_work)
        };
        evidence::keys(ui, &at_work.item, &mut self.chosen);
        at_work.look(self.chosen, ctx.heat, &self.large);
        let (side, extent) = beside(ui, "review side", (408.0, LESS));
        split_ui(ctx, ui, (Edge::Right, &side), extent, |ui| {
            egui::ScrollArea::vertical()
                .id_salt("judgement")
                .auto_shrink(false)
                .show(ui, |ui| {
                    let asked = judgement::ui(ui, &mut at_work, self.sitting.asked());
                    act = asked.or(act.take());
                    let example = examples::chosen(examples_of(&at_work.item), self.chosen);
                    if let Some(example) = example.filter(|_| !at_work.hides_the_answer()) {
                        self.large.words_ui(ctx, ui, example);
                    }
                    evidence::figures_ui(ui, &at_work.item);
                });
        });
        egui::CentralPanel::no_frame().show(ui, |ui| {
            let shown = (sae, &*at_work.item);
            evidence::ui(ctx, ui, shown, &mut self.large, &mut self.chosen);
        });
        let is_unkept = at_work.is_unkept();
        self.at_work = Some(at_work);
        if is_unkept {
            self.keep_now_and_then(ctx, ui);
        }
        if let Some(act) = act {
            self.act(ctx, ui, sae, act);
        }
    }

    /// Keeps what is half done, unless that was just done.
    fn keep_now_and_then(&mut self, ctx: &AppContext<'_>, ui: &Ui) {
        let since = ui.input(|input| input.time) - self.kept_at;
        if (0.0..KEEP_EVERY).contains(&since) {
            let rest = std::time::Duration::from_secs_f64(KEEP_EVERY - since);
            ui.ctx().request_repaint_after(rest);
        } else {
            self.kept_at += since;
            self.keep_draft(ctx);
        }
    }

    fn done_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str, progress: &ReviewProgress) {
        let mut act = None;
        let states: Vec<String> = progress
            .by_state
            .iter()
            .map(|(state, n)| {
                let name = chip::state_name(*state, false).to_lowercase();
                format!("{} {name}", number::count(u64::from(*n)))
            })
            .collect();
        let text = format!(
            "{}. Ctrl+Z takes the last decision back, J and K go through the queue. What readers \
             agree on, and how you did on repeats and traps, stands under Agreement.",
            number::capitalised(&states.join(", "))
        );
        let cases = number::counted(u64::from(progress.n_cases), ["case", "cases"]);
        notice::empty_ui(ui, &format!("All {cases} are done"), &text, |ui| {
            ui.horizontal(|ui| {
                let room = (ui.available_width() - 260.0).max(0.0) / 2.0;
                ui.add_space(room);
                if ui.button("Look at agreement").clicked() {
                    ctx.send(Command::ShowReview(ReviewTab::Agreement));
                }
                if ui.button("Last case").clicked() {
                    act = Some(Act::Previous);
                }
                if ui.button("Undo").on_hover_text("Ctrl+Z").clicked() {
                    act = Some(Act::Undo);
                }
            });
        });
        match act {
            Some(Act::Previous) => self.go_to(ctx, Some(progress.n_cases - 1)),
            Some(act) => self.act(ctx, ui, sae, act),
            None => {}
        }
    }

    fn head_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, sae: &str) {
        let mut queue = self.queue.clone();
        ui.horizontal_wrapped(|ui| {
            if let Some(chosen) = setup::dictionary_ui(ctx, ui, sae) {
                ctx.send(Command::ReviewDictionary(chosen));
            }
            for (tab, name, hint) in setup::TABS {
                if ui
                    .selectable_label(self.tab == tab, name)
                    .on_hover_text(hint)
                    .clicked()
                {
                    self.tab = tab;
                }
            }
            ui.separator();
            let text = format!("Reviewer: {}", ctx.reviewer);
            if ui
                .button(text)
                .on_hover_text("Your name stands on every decision. Another person, another name")
                .clicked()
            {
                self.asks_name = true;
                self.name = Some(ctx.reviewer.to_owned());
            }
        });
        if self.tab == ReviewTab::Queue {
            ui.horizontal(|ui| {
                setup::queue_ui(ui, &mut queue);
                if let Some((_, Ok(progress))) = &self.progress {
                    progress_ui(ui, progress);
                }
            });
            if let Some((_, Ok(progress))) = &self.progress {
                setup::scope_ui(ui, progress);
            }
        }
        ui.add_space(GRID / 2.0);
        if queue.mode == ReviewMode::Blind && self.queue.mode != ReviewMode::Blind {
            self.sighted = self.queue.mode;
        }
        self.ask(ctx, queue);
    }

    fn name_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let given = setup::name_ui(ui, self.name.get_or_insert_default());
        if let Some(name) = given {
            ctx.send(Command::SetReviewer(name));
            // Another reader has a queue, drafts and decisions of their own.
            self.keep_draft(ctx);
            let sae = self.dictionary.take();
            *self = Self {
                dictionary: sae,
                ..Self::default()
            };
        }
    }

    fn choose_dictionary(&mut self, dictionaries: &[DictionaryView]) {
        let known = |name: &str| {
            dictionaries
                .iter()
                .any(|view| view.indexed && view.name == name)
        };
        if self.dictionary.as_deref().is_some_and(known) {
            return;
        }
        let indexed = dictionaries.iter().filter(|view| view.indexed);
        // The one that somebody has begun to review.
        let found = indexed.max_by_key(|view| view.n_reviewed);
        self.dictionary = found.map(|view| view.name.clone());
    }
}

impl Panel for ReviewScreen {
    fn title(&self) -> String {
        match &self.dictionary {
            Some(sae) => format!("Review of {sae}"),
            None => "Review".to_owned(),
        }
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        self.choose_dictionary(ctx.dictionaries);
        let Some(sae) = self.dictionary.clone() else {
            notice::empty_ui(
                ui,
                "Nothing to review yet",
                "Here the features of a dictionary come one after another with their evidence and a \
                 proposed label, and you say whether it fits. Train a dictionary, or build the demo \
                 project, and its features appear.",
                |ui| {
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                },
            );
            return;
        };
        if ctx.reviewer.is_empty() || self.asks_name {
            self.name_ui(ctx, ui);
            return;
        }
        self.refresh(ctx, ui, &sae);
        self.head_ui(ctx, ui, &sae);
        match self.tab {
            ReviewTab::Queue => self.queue_ui(ctx, ui, &sae),
            ReviewTab::Disagreements => {
                if let Some(feature) = self.disagreements.ui(ctx, ui, &sae) {
                    self.settle(ctx, feature);
                }
            }
            ReviewTab::Agreement => self.agreement.ui(ctx, ui, (&sae, &mut self.elsewhere)),
            ReviewTab::Detection => {
                if let Some(at_work) = &self.at_work {
                    self.detection.propose(at_work.item.feature);
                }
                self.detection.ui(ctx, ui, &sae);
            }
        }
    }

    fn on_event(&mut self, ctx: &AppContext<'_>, event: &Event) {
        if self.elsewhere.on_event(ctx, event) {
            self.agreement.measure_again();
        }
        self.agreement.on_event(event);
        match event {
            Event::ProjectChanged => *self = Self::default(),
            Event::Decided(decision) => {
                let sae = self.dictionary.clone();
                if sae.as_deref() != Some(&decision.sae) || decision.reviewer != ctx.reviewer {
                    return;
                }
                if self.sitting.recorded(decision) {
                    // Where a decision was taken back or restored one goes.
                    let found = ctx
                        .backend
                        .case_of_decision(&decision.sae, &self.queue, decision);
                    let case = found.ok().flatten();
                    if case.is_some() {
                        self.go_to(ctx, case);
                    }
                } else if self.at_work.as_ref().is_some_and(|at_work| {
                    at_work.item.feature == decision.feature && !self.sitting.is_waiting()
                }) {
                    // Decided elsewhere, or again.
                    self.at_work = None;
                }
            }
            Event::DecisionFailed(_) => {
                if let Some(case) = self.sitting.failed() {
                    self.go_to(ctx, Some(case));
                }
            }
            other => {
                self.large.on_event(other);
                self.detection.on_event(other);
            }
        }
    }
}

/// How far one is, and how long it will take.
fn progress_ui(ui: &mut Ui, progress: &ReviewProgress) {
    let share = progress.n_done as f32 / progress.n_cases.max(1) as f32;
    let done = format!(
        "{} of {} done",
        number::count(u64::from(progress.n_done)),
        number::count(u64::from(progress.n_cases))
    );
    let mut parts = vec![done];
    // Of fewer decisions nothing can be told.
    let can_tell = progress.n_done >= N_TOLD;
    if let Some(seconds) = progress.median_seconds.filter(|_| can_tell) {
        parts.push(format!("{seconds:.0} s each"));
    }
    if let Some(seconds) = progress.seconds_left.filter(|_| can_tell) {
        parts.push(format!("{} left", number::duration(seconds as f32)));
    }
    if progress.n_flagged > 0 {
        parts.push(format!("{} flagged", progress.n_flagged));
    }
    if let Some(n) = progress.n_conflicts.filter(|n| *n > 0) {
        parts.push(format!("{n} in dispute"));
    }
    ui.scope(|ui| {
        // The track stands out from the canvas.
        ui.visuals_mut().extreme_bg_color = tokens::of(ui).control;
        ui.add(
            ProgressBar::new(share)
                .desired_width((ui.available_width() * 0.2).min(240.0))
                .desired_height(10.0)
                .fill(tokens::of(ui).accent),
        )
        .accessible_name("Progress of the review");
    });
    let text = RichText::new(parts.join("  ·  ")).color(tokens::of(ui).text_weak);
    ui.add(egui::Label::new(text).truncate()).on_hover_text(
        "Median time of your decisions, and that times what is left. About one case in twenty comes \
         twice and about one in twenty has another feature's label, so that it can be said how far \
         you agree with yourself and what is accepted unread",
    );
}

/// The examples of a case.
fn examples_of(item: &ReviewItem) -> Examples<'_> {
    Examples {
        kind: item.kind,
        top: &item.top,
        bands: &item.bands,
        maximum: item.max_activation,
    }
}
