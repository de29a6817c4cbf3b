//! An invented review: a queue whose every decision is on an invented disk at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::views::{
    Event, QueueRequest, QueueScope, QueuedCase, ReviewAnswer, ReviewDraft, ReviewItem,
    ReviewPlace, ReviewProgress,
};
use schema::{Decision, FeatureId, ReviewMode, Shown};

use super::invented::{Invented, State};
use crate::backend::{Answer, Backend as _};

/// Cases of the invented queue.
const N_CASES: u32 = 40;
/// Invented seconds that a decision takes.
const SECONDS: f64 = 14.0;

/// What is kept of the invented review.
#[derive(Default)]
pub(crate) struct Desk {
    place: Option<ReviewPlace>,
    drafts: BTreeMap<u32, ReviewDraft>,
    /// Taken back, the latest last.
    undone: Vec<Decision>,
}

impl Invented {
    fn feature_of(&self, case: u32) -> FeatureId {
        FeatureId(case * 7 % self.n_features)
    }

    fn is_done(&self, sae: &str, case: u32) -> bool {
        self.last_decision(sae, self.feature_of(case)).is_some()
    }

    pub(super) fn progress(&self, sae: &str) -> ReviewProgress {
        let done: Vec<Decision> = (0..N_CASES)
            .filter_map(|case| self.last_decision(sae, self.feature_of(case)))
            .collect();
        let mut by_state = BTreeMap::new();
        for decision in &done {
            *by_state.entry(decision.state).or_insert(0) += 1;
        }
        let n_done = done.len() as u32;
        let next = (0..N_CASES).find(|case| !self.is_done(sae, *case));
        ReviewProgress {
            n_cases: N_CASES,
            scope: QueueScope {
                n_features: N_CASES - 2,
                n_checks: 2,
                n_without_proposal: 31,
                n_silent: 4,
                ..QueueScope::default()
            },
            n_done,
            by_state: by_state.into_iter().collect(),
            n_flagged: done.iter().filter(|decision| decision.flagged).count() as u32,
            n_conflicts: Some(2),
            median_seconds: (n_done > 0).then_some(SECONDS),
            seconds_left: (n_done > 0).then(|| SECONDS * f64::from(N_CASES - n_done)),
            place: self
                .state()
                .desk
                .place
                .as_ref()
                .map(|place| place.case)
                .or(next),
            next,
        }
    }

    pub(super) fn item(&self, sae: &str, queue: &QueueRequest, case: u32) -> Answer<ReviewItem> {
        if case >= N_CASES {
            return Err(format!(
                "the queue has {N_CASES} cases, none with number {case}"
            ));
        }
        let feature = self.feature_of(case);
        let page = self.feature_page(sae, feature)?;
        let is_blind = queue.mode == ReviewMode::Blind;
        let given = |text: &str| {
            if is_blind {
                String::new()
            } else {
                text.to_owned()
            }
        };
        Ok(ReviewItem {
            case,
            n_cases: N_CASES,
            feature,
            kind: page.kind,
            mode: queue.mode,
            proposal: given(&page.card.proposal),
            proposed_by: given("keywords"),
            density: page.card.density,
            max_activation: page.card.max_activation,
            histogram: Arc::clone(&page.card.histogram),
            top: Arc::clone(&page.top),
            bands: Arc::clone(&page.bands),
            warnings: Vec::new(),
            notes: Vec::new(),
            decided: self.last_decision(sae, feature),
            draft: self.state().desk.drafts.get(&case).cloned(),
            readings: Vec::new(),
        })
    }

    pub(super) fn next_to_do(&self, sae: &str, case: u32) -> Option<u32> {
        let all = (case + 1..N_CASES).chain(0..N_CASES);
        let mut open = all.filter(|case| !self.is_done(sae, *case));
        open.next()
    }

    pub(super) fn cases(&self, sae: &str) -> Vec<QueuedCase> {
        (0..N_CASES)
            .map(|case| QueuedCase {
                case,
                feature: self.feature_of(case),
                proposal: "effusion, pleural, left".to_owned(),
                done: self.is_done(sae, case),
            })
            .collect()
    }

    pub(super) fn case_of(&self, sae: &str, feature: FeatureId) -> Option<u32> {
        let cases = self.cases(sae);
        let found = cases.into_iter().find(|case| case.feature == feature);
        found.map(|case| case.case)
    }

    pub(super) fn kept_place(&self) -> Option<ReviewPlace> {
        self.state().desk.place.clone()
    }

    pub(super) fn keep(&self, queue: &QueueRequest, case: u32, draft: Option<ReviewDraft>) {
        let mut state = self.state();
        state.desk.place = Some(ReviewPlace {
            queue: queue.clone(),
            case,
        });
        match draft.filter(|draft| *draft != ReviewDraft::default()) {
            Some(draft) => state.desk.drafts.insert(case, draft),
            None => state.desk.drafts.remove(&case),
        };
    }

    pub(super) fn record(&self, sae: &str, queue: &QueueRequest, answer: ReviewAnswer) {
        let proposal = if queue.mode == ReviewMode::Blind {
            String::new()
        } else {
            self.proposed()
        };
        if answer.shown.is_some_and(|shown| shown != proposal) {
            let text = "the proposal has changed meanwhile: look at it again";
            self.send(Event::DecisionFailed(text.to_owned()));
            return;
        }
        let decision = Decision {
            sae: sae.to_owned(),
            feature: answer.feature,
            state: answer.state,
            text: answer.text,
            reviewer: queue.reviewer.clone(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            wrote_first: answer.wrote_first,
            confidence: answer.confidence,
            flagged: answer.flagged,
            shown: Some(Shown {
                text: proposal,
                mode: queue.mode,
                milliseconds: answer.milliseconds,
                n_examples: answer.n_examples,
                heatmap: answer.heatmap,
                window_changed: answer.window_changed,
                ..Shown::default()
            }),
            ..Decision::default()
        };
        let mut state = self.state();
        state.desk.undone.clear();
        state.decisions.push(decision.clone());
        state.events.push(Event::Decided(Box::new(decision)));
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes the last decision on a dictionary back.
    pub(super) fn take_back(&self, sae: &str) {
        let mut state = self.state();
        let last = state.decisions.iter().rposition(|one| one.sae == sae);
        if let Some(at) = last {
            let last = state.decisions.remove(at);
            state.desk.undone.push(last.clone());
            state.tell_step(last, at, Event::TakenBack);
        } else {
            let nothing = "There is no decision to take back".to_owned();
            state.events.push(Event::DecisionFailed(nothing));
        }
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
    }

    /// Restores what was taken back last.
    pub(super) fn restore(&self) {
        let mut state = self.state();
        if let Some(last) = state.desk.undone.pop() {
            let line = state.decisions.len();
            state.decisions.push(last.clone());
            state.tell_step(last, line, Event::Restored);
        } else {
            let nothing = "There is nothing to restore".to_owned();
            state.events.push(Event::DecisionFailed(nothing));
        }
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
    }
}

impl State {
    /// Tells, as the engine does, that the decision of a line was taken back or restored.
    fn tell_step(&mut self, of: Decision, line: usize, told: fn(String, FeatureId) -> Event) {
        let told = told(of.sae.clone(), of.feature);
        self.events.push(Event::Decided(Box::new(Decision {
            takes_back: Some(line as u64),
            ..of
        })));
        self.events.push(told);
    }
}
