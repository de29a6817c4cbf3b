//! What a reviewer does with one case of the queue until it is decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::views::{ReviewAnswer, ReviewDraft, ReviewItem};
use schema::{ReviewMode, ReviewState};

use crate::film_textures::HeatStyle;
use crate::screens::feature_page::large::LargeExample;

/// What was on the screen.
#[derive(Default)]
struct Looked {
    /// Examples that were large.
    examples: BTreeSet<(usize, usize)>,
    heatmap: bool,
    window_changed: bool,
}

/// One case before the reviewer: what was looked at, written and marked.
pub(super) struct AtWork {
    /// What the queue shows.
    pub(super) item: Arc<ReviewItem>,
    /// Seconds of the window's clock when it came on the screen.
    began: f64,
    looked: Looked,
    /// How sure the reviewer is, 1 to 9.
    pub(super) confidence: Option<u8>,
    pub(super) flagged: bool,
    /// The text that is being written, while the field is open.
    pub(super) draft: Option<String>,
    /// Whether the field wants the keys.
    pub(super) focus: bool,
    /// What was written before the proposal was revealed, once it is.
    pub(super) wrote_first: Option<String>,
    /// What the engine keeps of it.
    kept: ReviewDraft,
}

impl AtWork {
    /// The case as it comes on the screen at `now`, with what was left half done.
    pub(super) fn new(item: Arc<ReviewItem>, now: f64) -> Self {
        let kept = item.draft.clone().unwrap_or_default();
        let mut at_work = Self {
            began: now,
            looked: Looked::default(),
            confidence: kept.confidence,
            flagged: kept.flagged,
            draft: (!kept.text.is_empty()).then(|| kept.text.clone()),
            focus: false,
            wrote_first: kept.revealed.then(|| kept.wrote_first.clone()),
            item,
            kept,
        };
        if at_work.writes_first() {
            at_work.draft.get_or_insert_default();
            at_work.focus = true;
        }
        at_work
    }

    /// Whether nothing is written that another proposal would make idle.
    pub(super) fn has_no_draft(&self) -> bool {
        self.draft.as_ref().is_none_or(String::is_empty)
    }

    /// Takes the case as it is at `now`. With another proposal it is judged anew; the flag is the
    /// feature's and stays.
    pub(super) fn renew(&mut self, item: Arc<ReviewItem>, now: f64) {
        if item.proposal != self.item.proposal {
            self.began = now;
            self.looked = Looked::default();
            self.confidence = None;
        }
        self.item = item;
    }

    /// Takes note of what is on the screen in this frame.
    pub(super) fn look(&mut self, example: (usize, usize), heat: HeatStyle, film: &LargeExample) {
        self.looked.examples.insert(example);
        self.looked.heatmap |= heat.visible();
        self.looked.window_changed |= film.is_window_changed();
    }

    /// Whether the proposal is hidden until something is written.
    pub(super) fn writes_first(&self) -> bool {
        self.item.mode == ReviewMode::WriteFirst
            && self.wrote_first.is_none()
            && !self.item.proposal.is_empty()
    }

    /// Whether the reviewer is to say first what is on the examples: then neither the proposal nor
    /// what the source says of a film is shown.
    pub(super) fn hides_the_answer(&self) -> bool {
        self.item.mode == ReviewMode::Blind || self.writes_first()
    }

    /// The proposed text, where the reviewer may see it.
    pub(super) fn proposal(&self) -> Option<&str> {
        (!self.hides_the_answer() && !self.item.proposal.is_empty())
            .then_some(self.item.proposal.as_str())
    }

    /// Opens the field with what there is to change.
    pub(super) fn edit(&mut self) {
        if self.draft.is_none() {
            let text = match (&self.wrote_first, self.proposal()) {
                (Some(own), _) if !own.is_empty() => own.clone(),
                (_, Some(proposal)) => proposal.to_owned(),
                _ => String::new(),
            };
            self.draft = Some(text);
        }
        self.focus = true;
    }

    /// Leaves the field; where something has to be written first it stays.
    pub(super) fn leave(&mut self) {
        if !self.writes_first() {
            self.draft = None;
        }
        self.focus = false;
    }

    /// Reveals the proposal, keeping what was written.
    pub(super) fn reveal(&mut self) {
        let text = self.draft.take().unwrap_or_default();
        self.wrote_first = Some(text.trim().to_owned());
        self.focus = false;
    }

    /// Marks how sure one is; the same again takes the mark away.
    pub(super) fn mark(&mut self, confidence: u8) {
        self.confidence = (self.confidence != Some(confidence)).then_some(confidence);
    }

    fn half_done(&self) -> ReviewDraft {
        ReviewDraft {
            text: self.draft.clone().unwrap_or_default(),
            wrote_first: self.wrote_first.clone().unwrap_or_default(),
            revealed: self.wrote_first.is_some(),
            confidence: self.confidence,
            flagged: self.flagged,
        }
    }

    /// Whether something is half done that is not kept.
    pub(super) fn is_unkept(&self) -> bool {
        self.half_done() != self.kept
    }

    /// What is half done, where that is not what is kept already.
    pub(super) fn unkept(&mut self) -> Option<ReviewDraft> {
        let now = self.half_done();
        if now == self.kept {
            return None;
        }
        self.kept = now.clone();
        Some(now)
    }

    /// The answer that is given at `now`.
    pub(super) fn answer(&self, state: ReviewState, text: &str, now: f64) -> ReviewAnswer {
        ReviewAnswer {
            feature: self.item.feature,
            state,
            shown: Some(self.item.proposal.clone()),
            text: text.to_owned(),
            wrote_first: self.wrote_first.clone().unwrap_or_default(),
            confidence: self.confidence,
            flagged: self.flagged,
            milliseconds: ((now - self.began).max(0.0) * 1000.0) as u64,
            n_examples: self.looked.examples.len() as u32,
            heatmap: self.looked.heatmap,
            window_changed: self.looked.window_changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::views::ExampleKind;
    use schema::FeatureId;

    use super::*;

    fn item(proposal: &str) -> Arc<ReviewItem> {
        Arc::new(ReviewItem {
            case: 0,
            n_cases: 1,
            feature: FeatureId(3),
            kind: ExampleKind::Text,
            mode: ReviewMode::ProposalFirst,
            proposal: proposal.to_owned(),
            proposed_by: "keywords".to_owned(),
            density: 0.1,
            max_activation: 1.0,
            histogram: Arc::default(),
            top: Arc::default(),
            bands: Arc::default(),
            warnings: Vec::new(),
            notes: Vec::new(),
            decided: None,
            draft: None,
            readings: Vec::new(),
        })
    }

    #[test]
    fn an_answer_carries_the_proposal_that_was_on_the_screen() {
        let mut at_work = AtWork::new(item("nodule"), 0.0);
        at_work.mark(7);
        at_work.flagged = true;
        // The same proposal: nothing begins anew.
        at_work.renew(item("nodule"), 4.0);
        let answer = at_work.answer(ReviewState::Rejected, "", 5.0);
        assert_eq!(answer.shown.as_deref(), Some("nodule"));
        assert_eq!((answer.milliseconds, answer.confidence), (5000, Some(7)));
        at_work.renew(item("mass"), 6.0);
        let answer = at_work.answer(ReviewState::Rejected, "", 8.0);
        assert_eq!(answer.shown.as_deref(), Some("mass"));
        assert_eq!((answer.milliseconds, answer.confidence), (2000, None));
        assert!(answer.flagged && at_work.has_no_draft());
        at_work.edit();
        assert!(!at_work.has_no_draft());
    }
}
