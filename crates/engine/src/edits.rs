//! Changes of activations at a hook point, along features of a dictionary or along a vector.

use std::sync::Arc;

use models::{ActivationEdit, EditedPosition};
use sae::SparseAutoencoder;
use schema::{PositionClass, PositionScope, SteeringMode};

use crate::indexed::IndexedDictionary;

/// Where the dictionary of a change comes from.
#[derive(Clone)]
pub(crate) enum EditedDictionary {
    /// One of the project's.
    Indexed(Arc<IndexedDictionary>),
    /// One read from a folder.
    Loose(Arc<SparseAutoencoder>),
}

impl EditedDictionary {
    pub(crate) fn sae(&self) -> &SparseAutoencoder {
        match self {
            Self::Indexed(indexed) => &indexed.dictionary.sae,
            Self::Loose(sae) => sae,
        }
    }
}

/// One feature's change, in units of the hook activation.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) feature: u32,
    pub(crate) mode: SteeringMode,
    pub(crate) amount: f32,
    pub(crate) scope: PositionScope,
}

/// Changes along features of one dictionary.
pub(crate) struct FeatureEdit {
    pub(crate) dictionary: EditedDictionary,
    pub(crate) changes: Vec<Change>,
}

impl FeatureEdit {
    /// What is added along which feature, row by row: index of the row, amount, feature.
    fn amounts(&self, rows: &[f32], positions: &[EditedPosition]) -> Vec<(usize, f32, u32)> {
        let sae = self.dictionary.sae();
        let reads_codes = self
            .changes
            .iter()
            .any(|change| change.mode != SteeringMode::Add);
        // Codes of the unchanged rows: the error term x − x̂ stays as it is.
        let codes = reads_codes.then(|| sae.encode(rows).ok()).flatten();
        let mut amounts = Vec::new();
        for (at, position) in positions.iter().enumerate() {
            for change in self
                .changes
                .iter()
                .filter(|change| is_in_scope(change.scope, position))
            {
                let now = codes
                    .as_ref()
                    .map_or(0.0, |codes| codes.activation(at, change.feature));
                let by = match change.mode {
                    SteeringMode::Add => change.amount,
                    SteeringMode::Clamp => change.amount - now,
                    SteeringMode::Ablate => -now,
                    SteeringMode::Scale => (change.amount - 1.0) * now,
                };
                amounts.push((at, by, change.feature));
            }
        }
        amounts
    }

    /// What the changes come to in one unit of their amounts: the sum of the directions, each times
    /// its amount.
    pub(crate) fn direction(&self) -> Vec<f32> {
        let sae = self.dictionary.sae();
        let mut sum = vec![0.0; sae.d_model()];
        for change in &self.changes {
            add_along(&mut sum, change.amount, sae.decoder_row(change.feature));
        }
        sum
    }
}

impl ActivationEdit for FeatureEdit {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        let sae = self.dictionary.sae();
        for (at, by, feature) in self.amounts(rows, positions) {
            let row = &mut rows[at * d_model..(at + 1) * d_model];
            add_along(row, by, sae.decoder_row(feature));
        }
    }
}

/// As much change as features would make, place by place, along a random direction: what any change
/// of that size does.
pub(crate) struct ElsewhereEdit {
    pub(crate) features: FeatureEdit,
    /// What counts as forward, so that a change against it goes backward along `random` too.
    pub(crate) forward: Vec<f32>,
    /// A direction of length 1.
    pub(crate) random: Vec<f32>,
}

impl ActivationEdit for ElsewhereEdit {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        let sae = self.features.dictionary.sae();
        let mut changes = vec![0.0; rows.len()];
        for (at, by, feature) in self.features.amounts(rows, positions) {
            let change = &mut changes[at * d_model..(at + 1) * d_model];
            add_along(change, by, sae.decoder_row(feature));
        }
        let pairs = rows
            .chunks_exact_mut(d_model)
            .zip(changes.chunks_exact(d_model));
        for (row, change) in pairs {
            let length = length_of(change);
            let along: f32 = change.iter().zip(&self.forward).map(|(a, b)| a * b).sum();
            add_along(row, length.copysign(along), &self.random);
        }
    }
}

/// Euclidean length.
pub(crate) fn length_of(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// A change along a vector. To clamp and to ablate, the row's coefficient along the vector is read
/// by orthogonal projection.
pub(crate) struct VectorEdit {
    pub(crate) vector: Vec<f32>,
    pub(crate) mode: SteeringMode,
    pub(crate) amount: f32,
    pub(crate) scope: PositionScope,
}

impl ActivationEdit for VectorEdit {
    fn apply(&self, rows: &mut [f32], d_model: usize, positions: &[EditedPosition]) {
        let square: f32 = self.vector.iter().map(|v| v * v).sum();
        for (row, position) in rows.chunks_exact_mut(d_model).zip(positions) {
            if !is_in_scope(self.scope, position) {
                continue;
            }
            let now = || -> f32 {
                let along: f32 = row.iter().zip(&self.vector).map(|(x, v)| x * v).sum();
                along / square.max(f32::MIN_POSITIVE)
            };
            let by = match self.mode {
                SteeringMode::Add => self.amount,
                SteeringMode::Clamp => self.amount - now(),
                SteeringMode::Ablate => -now(),
                SteeringMode::Scale => (self.amount - 1.0) * now(),
            };
            add_along(row, by, &self.vector);
        }
    }
}

fn add_along(row: &mut [f32], by: f32, direction: &[f32]) {
    if by != 0.0 {
        for (value, along) in row.iter_mut().zip(direction) {
            *value += by * along;
        }
    }
}

fn is_in_scope(scope: PositionScope, at: &EditedPosition) -> bool {
    match scope {
        PositionScope::All => true,
        PositionScope::Prompt => at.position < at.prompt_len,
        PositionScope::Generated => at.position >= at.prompt_len,
        PositionScope::FromLastPrompt => at.position + 1 >= at.prompt_len,
        PositionScope::Image => at.class == PositionClass::Image,
        PositionScope::Text => !matches!(at.class, PositionClass::Image | PositionClass::Cls),
        PositionScope::Range { from, to } => {
            at.position >= from && to.is_none_or(|to| at.position < to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(edit: &dyn ActivationEdit) -> Vec<f32> {
        let positions: Vec<EditedPosition> = (0..3)
            .map(|position| EditedPosition {
                position,
                prompt_len: 2,
                class: PositionClass::Report,
            })
            .collect();
        let mut rows = vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0];
        edit.apply(&mut rows, 2, &positions);
        rows
    }

    fn along(mode: SteeringMode, amount: f32, scope: &str) -> Vec<f32> {
        edited(&VectorEdit {
            vector: vec![0.0, 2.0],
            mode,
            amount,
            scope: scope.parse().unwrap(),
        })
    }

    #[test]
    fn a_vector_is_added_set_and_taken_out_where_it_should_be() {
        let add = SteeringMode::Add;
        assert_eq!(along(add, 0.5, "all"), [1.0, 3.0, 1.0, 3.0, 1.0, 3.0]);
        assert_eq!(along(add, 0.5, "generated"), [1.0, 2.0, 1.0, 2.0, 1.0, 3.0]);
        assert_eq!(
            along(add, 0.5, "from_last_prompt"),
            [1.0, 2.0, 1.0, 3.0, 1.0, 3.0]
        );
        assert_eq!(along(add, 0.5, "0..1"), [1.0, 3.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(
            along(SteeringMode::Clamp, 3.0, "2.."),
            [1.0, 2.0, 1.0, 2.0, 1.0, 6.0]
        );
        assert_eq!(
            along(SteeringMode::Ablate, 9.0, "2.."),
            [1.0, 2.0, 1.0, 2.0, 1.0, 0.0]
        );
    }

    /// A random direction is changed by as much as the features are, forward and backward.
    #[test]
    fn elsewhere_is_as_far() {
        let sae = sae::random_dictionary(4, 1, 5, &[0.0; 8]).unwrap();
        let random = sae::random_dictionary(1, 1, 6, &[0.0; 8]).unwrap();
        let along = random.decoder_row(0).to_vec();
        for (mode, amount) in [
            (SteeringMode::Add, 2.5),
            (SteeringMode::Add, -2.5),
            (SteeringMode::Clamp, 3.0),
            (SteeringMode::Scale, 0.0),
        ] {
            let features = || FeatureEdit {
                dictionary: EditedDictionary::Loose(Arc::new(sae.clone())),
                changes: [1, 2]
                    .map(|feature| Change {
                        feature,
                        mode,
                        amount,
                        scope: PositionScope::Range { from: 1, to: None },
                    })
                    .to_vec(),
            };
            let forward: Vec<f32> = sae
                .decoder_row(1)
                .iter()
                .zip(sae.decoder_row(2))
                .map(|(a, b)| a + b)
                .collect();
            let elsewhere = ElsewhereEdit {
                features: features(),
                forward: forward.clone(),
                random: along.clone(),
            };
            let rows: Vec<f32> = sae.decoder_row(1).iter().map(|x| 4.0 * x).collect();
            let rows = [rows.clone(), rows].concat();
            let changed = |edit: &dyn ActivationEdit| -> Vec<f32> {
                let positions: Vec<EditedPosition> = (0..2)
                    .map(|position| EditedPosition {
                        position,
                        prompt_len: 1,
                        class: PositionClass::Report,
                    })
                    .collect();
                let mut after = rows.clone();
                edit.apply(&mut after, 8, &positions);
                after.iter().zip(&rows).map(|(a, b)| a - b).collect()
            };
            let (own, other) = (changed(&features()), changed(&elsewhere));
            assert!(own[..8].iter().chain(&other[..8]).all(|x| *x == 0.0));
            let (own, other) = (&own[8..], &other[8..]);
            assert!(length_of(own) > 0.1, "{mode:?}");
            assert!((length_of(own) - length_of(other)).abs() < 1e-5, "{mode:?}");
            let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            let size = dot(other, &along);
            assert!((size.abs() - length_of(other)).abs() < 1e-5, "{mode:?}");
            assert_eq!(size > 0.0, dot(own, &forward) > 0.0, "{mode:?}");
        }
    }
}
