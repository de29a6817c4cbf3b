//! What was asked for in this sitting, and what of it the engine has confirmed. The engine records
//! in the order it is asked, so its events answer the oldest request that waits.

use std::collections::VecDeque;

use schema::{Decision, FeatureId, ReviewState};

/// Decisions that are remembered.
const MAX_ASKED: usize = 400;

/// Where a decision stands that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saving {
    /// On its way to the disk.
    Waiting,
    /// In the synced journal.
    Saved,
    /// Taken back by a later line of the journal.
    TakenBack,
    /// Could not be written.
    Failed,
}

/// A decision of this sitting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) case: u32,
    pub(super) feature: FeatureId,
    pub(super) state: ReviewState,
    pub(super) text: String,
    pub(super) saving: Saving,
}

/// A request that waits for its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Decision(u32),
    Undo,
    Redo,
}

/// The sitting of one reviewer on one dictionary.
#[derive(Default)]
pub(super) struct Sitting {
    asked: Vec<Asked>,
    waiting: VecDeque<Waiting>,
}

impl Sitting {
    /// A decision was asked for.
    pub(super) fn decide(&mut self, case: u32, feature: FeatureId, state: ReviewState, text: &str) {
        if self.asked.len() >= MAX_ASKED {
            self.asked.remove(0);
        }
        self.asked.push(Asked {
            case,
            feature,
            state,
            text: text.to_owned(),
            saving: Saving::Waiting,
        });
        self.waiting.push_back(Waiting::Decision(case));
    }

    /// To take the last decision back was asked for.
    pub(super) fn undo(&mut self) {
        self.waiting.push_back(Waiting::Undo);
    }

    /// To restore what was taken back was asked for.
    pub(super) fn redo(&mut self) {
        self.waiting.push_back(Waiting::Redo);
    }

    /// Decisions of this sitting, oldest first.
    pub(super) fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Whether anything waits for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Requests that wait for the disk.
    pub(super) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a decision on this case waits for the disk.
    pub(super) fn waits_for(&self, case: u32) -> bool {
        self.waiting.contains(&Waiting::Decision(case))
    }

    /// A record is durable; whether it took an earlier one back or restored it.
    pub(super) fn recorded(&mut self, decision: &Decision) -> bool {
        match (self.waiting.front().copied(), decision.takes_back) {
            (Some(Waiting::Decision(case)), None) => {
                self.waiting.pop_front();
                self.set(
                    |one| one.case == case && one.saving == Saving::Waiting,
                    Saving::Saved,
                );
                false
            }
            (Some(Waiting::Undo), Some(_)) => {
                self.waiting.pop_front();
                let feature = decision.feature;
                self.set(
                    |one| one.feature == feature && one.saving == Saving::Saved,
                    Saving::TakenBack,
                );
                true
            }
            (Some(Waiting::Redo), Some(_)) => {
                self.waiting.pop_front();
                let feature = decision.feature;
                self.set(
                    |one| one.feature == feature && one.saving == Saving::TakenBack,
                    Saving::Saved,
                );
                true
            }
            // Of another part of the window.
            _ => false,
        }
    }

    /// The oldest request could not be carried out; the case to decide again.
    pub(super) fn failed(&mut self) -> Option<u32> {
        let Some(Waiting::Decision(case)) = self.waiting.pop_front() else {
            return None;
        };
        self.set(
            |one| one.case == case && one.saving == Saving::Waiting,
            Saving::Failed,
        );
        Some(case)
    }

    /// The latest request was refused before anything waited for it; the case to decide again.
    pub(super) fn refused(&mut self) -> Option<u32> {
        let Some(Waiting::Decision(case)) = self.waiting.pop_back() else {
            return None;
        };
        self.set(
            |one| one.case == case && one.saving == Saving::Waiting,
            Saving::Failed,
        );
        Some(case)
    }

    /// Marks the latest decision that fits.
    fn set(&mut self, fits: impl Fn(&Asked) -> bool, saving: Saving) {
        if let Some(one) = self.asked.iter_mut().rev().find(|one| fits(one)) {
            one.saving = saving;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(feature: u32, takes_back: Option<u64>) -> Decision {
        Decision {
            feature: FeatureId(feature),
            takes_back,
            ..Decision::default()
        }
    }

    fn savings(sitting: &Sitting) -> Vec<Saving> {
        sitting.asked().iter().map(|one| one.saving).collect()
    }

    #[test]
    fn nothing_is_saved_before_its_event() {
        let mut sitting = Sitting::default();
        sitting.decide(0, FeatureId(5), ReviewState::Accepted, "tea");
        sitting.decide(1, FeatureId(6), ReviewState::Rejected, "");
        assert_eq!(savings(&sitting), [Saving::Waiting, Saving::Waiting]);
        assert!(sitting.waits_for(1) && sitting.n_waiting() == 2);
        assert!(!sitting.recorded(&record(5, None)));
        assert_eq!(savings(&sitting), [Saving::Saved, Saving::Waiting]);
        assert_eq!(sitting.failed(), Some(1));
        assert_eq!(savings(&sitting), [Saving::Saved, Saving::Failed]);
        assert!(!sitting.is_waiting());
    }

    #[test]
    fn undo_and_redo_change_the_latest_of_the_feature() {
        let mut sitting = Sitting::default();
        for case in 0..3 {
            sitting.decide(case, FeatureId(9), ReviewState::Unsure, "");
            sitting.recorded(&record(9, None));
        }
        sitting.undo();
        assert!(sitting.recorded(&record(9, Some(2))));
        assert_eq!(
            savings(&sitting),
            [Saving::Saved, Saving::Saved, Saving::TakenBack]
        );
        sitting.redo();
        assert!(sitting.recorded(&record(9, Some(3))));
        assert_eq!(savings(&sitting), [Saving::Saved; 3]);
        sitting.decide(4, FeatureId(3), ReviewState::Edited, "far too long");
        assert_eq!(sitting.refused(), Some(4));
        // Nothing to take back is no case to decide again.
        sitting.undo();
        assert_eq!(sitting.failed(), None);
        assert!(!sitting.is_waiting());
    }
}
