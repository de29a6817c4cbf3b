//! What is done to features, and the steps back and forth through what was set before.

use engine::views::SavedChange;
use schema::{FeatureId, PositionScope, SteeringMode, SteeringSpec, StrengthUnit};

/// Most features at once.
pub(super) const MAX_FEATURES: usize = 8;
/// Steps that can be taken back.
const MAX_STEPS: usize = 200;

/// One slider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Knob {
    pub(super) feature: FeatureId,
    pub(super) strength: f32,
}

/// Features with their strengths, what is done to them, and where.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Setup {
    pub(super) knobs: Vec<Knob>,
    pub(super) mode: SteeringMode,
    pub(super) scope: PositionScope,
}

impl Setup {
    /// As the engine is asked for it.
    pub(super) fn edits(&self) -> Vec<SteeringSpec> {
        let edit = |knob: &Knob| SteeringSpec {
            feature: knob.feature,
            strength: knob.strength,
            mode: self.mode,
            unit: StrengthUnit::Max,
            scope: self.scope,
        };
        self.knobs.iter().map(edit).collect()
    }

    /// Of a change that was kept; the sliders have one mode and one scope.
    pub(super) fn of(edits: &[SteeringSpec]) -> Self {
        let first = edits.first();
        Self {
            knobs: edits
                .iter()
                .take(MAX_FEATURES)
                .map(|edit| Knob {
                    feature: edit.feature,
                    strength: edit.strength,
                })
                .collect(),
            mode: first.map_or(SteeringMode::default(), |edit| edit.mode),
            scope: first.map_or(PositionScope::default(), |edit| edit.scope),
        }
    }
}

/// One step that can be taken back.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// The setup was another one.
    Set(Setup),
    /// A preset was removed.
    Removed(Box<SavedChange>),
}

/// What a step back or forth asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Undone {
    /// These sliders.
    Set(Setup),
    /// A preset that was removed is kept again.
    PutBack(Box<SavedChange>),
    /// A preset that was put back is removed again.
    Remove(Box<SavedChange>),
}

/// Steps back and forth.
#[derive(Default)]
pub(super) struct History {
    settled: Setup,
    past: Vec<Step>,
    future: Vec<Step>,
}

impl History {
    /// Begins with a setup; there is nothing to take back.
    pub(super) fn begin(setup: Setup) -> Self {
        Self {
            settled: setup,
            ..Self::default()
        }
    }

    /// Notes the setup as it is once the pointer has let go of it.
    pub(super) fn settle(&mut self, now: &Setup) {
        if self.settled != *now {
            let before = std::mem::replace(&mut self.settled, now.clone());
            self.push(Step::Set(before));
        }
    }

    /// Notes that a preset was removed.
    pub(super) fn removed(&mut self, change: SavedChange) {
        self.push(Step::Removed(Box::new(change)));
    }

    /// A preset was put back by its own button.
    pub(super) fn put_back(&mut self, name: &str) {
        let is_it = |step: &Step| matches!(step, Step::Removed(change) if change.name == name);
        if let Some(at) = self.past.iter().rposition(is_it) {
            self.past.remove(at);
        }
    }

    fn push(&mut self, step: Step) {
        if self.past.len() >= MAX_STEPS {
            self.past.remove(0);
        }
        self.past.push(step);
        self.future.clear();
    }

    /// Takes the last step back.
    pub(super) fn undo(&mut self) -> Option<Undone> {
        Some(match self.past.pop()? {
            Step::Set(before) => {
                let now = std::mem::replace(&mut self.settled, before.clone());
                self.future.push(Step::Set(now));
                Undone::Set(before)
            }
            Step::Removed(change) => {
                self.future.push(Step::Removed(change.clone()));
                Undone::PutBack(change)
            }
        })
    }

    /// Does again what was taken back last.
    pub(super) fn redo(&mut self) -> Option<Undone> {
        Some(match self.future.pop()? {
            Step::Set(after) => {
                let now = std::mem::replace(&mut self.settled, after.clone());
                self.past.push(Step::Set(now));
                Undone::Set(after)
            }
            Step::Removed(change) => {
                self.past.push(Step::Removed(change.clone()));
                Undone::Remove(change)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(strength: f32) -> Setup {
        Setup {
            knobs: vec![Knob {
                feature: FeatureId(3),
                strength,
            }],
            ..Setup::default()
        }
    }

    #[test]
    fn steps_go_back_and_forth() {
        let mut history = History::begin(at(0.0));
        assert_eq!(history.undo(), None);
        history.settle(&at(1.0));
        history.settle(&at(1.0));
        history.settle(&at(2.0));
        assert_eq!(history.undo(), Some(Undone::Set(at(1.0))));
        assert_eq!(history.undo(), Some(Undone::Set(at(0.0))));
        assert_eq!(history.undo(), None);
        assert_eq!(history.redo(), Some(Undone::Set(at(1.0))));
        // Something new ends what could be done again.
        history.settle(&at(5.0));
        assert_eq!(history.redo(), None);
        assert_eq!(history.undo(), Some(Undone::Set(at(1.0))));
    }

    #[test]
    fn a_preset_is_put_back_once() {
        let change = SavedChange {
            name: "calm".to_owned(),
            sae: "films".to_owned(),
            edits: at(1.0).edits(),
            sample: Some(2),
        };
        assert_eq!(Setup::of(&change.edits), at(1.0));
        let mut history = History::begin(at(0.0));
        history.removed(change.clone());
        let boxed = Box::new(change);
        assert_eq!(history.undo(), Some(Undone::PutBack(boxed.clone())));
        assert_eq!(history.redo(), Some(Undone::Remove(boxed)));
        history.put_back("calm");
        assert_eq!(history.undo(), None);
    }
}
