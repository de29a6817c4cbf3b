//! What steering by a planted finding's feature does to the reports of a phantom model.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use datasets::phantom::{ReportState, report_states};
use models::{ActivationEdit, EditedPosition, HookSpec, ModelInput};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use schema::{
    FeatureId, PositionScope, SampleRecord, Split, SteeringMode, SteeringSpec, StrengthUnit,
};
use serde::Serialize;

use crate::error::Result;
use crate::harvest::load_film_of;
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::model_registry::LoadedModel;
use crate::recovery::ConceptRecovery;
use crate::session::Session;
use crate::steer::{feature_edit, write_report};

/// Films without the finding that each feature is added to.
const N_FILMS: usize = 8;

/// Reports before and after adding one observed maximum of a finding's feature to films that do not
/// have the finding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SteeringEffect {
    /// The feature that was added.
    pub feature: u32,
    /// Films without the finding, of patients that the dictionary was not trained on.
    pub films: usize,
    /// Share of them whose report states the finding afterwards and not before.
    pub gained: f64,
    /// The same for a random direction of the same length.
    pub random_gained: f64,
    /// Other findings gained or lost, per film.
    pub others_changed: f64,
    /// The same for the random direction.
    pub random_others_changed: f64,
}

/// Adds one vector to every position.
struct AddEverywhere(Vec<f32>);

impl ActivationEdit for AddEverywhere {
    fn apply(&self, rows: &mut [f32], d_model: usize, _: &[EditedPosition]) {
        for row in rows.chunks_exact_mut(d_model) {
            row.iter_mut()
                .zip(&self.0)
                .for_each(|(x, along)| *x += along);
        }
    }
}

/// The first films without the finding, of patients that the dictionary was not trained on.
fn films_without(records: &[SampleRecord], finding: &str) -> Vec<u32> {
    (0_u32..)
        .zip(records)
        .filter(|(_, record)| record.split != Split::Train && !record.has_finding(finding))
        .map(|(sample, _)| sample)
        .take(N_FILMS)
        .collect()
}

fn prompt(indexed: &IndexedDictionary, model: &LoadedModel, sample: u32) -> Result<ModelInput> {
    let film = load_film_of(&indexed.dataset, sample)?;
    Ok(model.hooked.prepare_prompt(models::ModelSample {
        film: film.as_ref(),
        ..models::ModelSample::default()
    })?)
}

/// One observed maximum of a feature, added at every position.
fn one_maximum(feature: FeatureId) -> SteeringSpec {
    SteeringSpec {
        feature,
        strength: 1.0,
        mode: SteeringMode::Add,
        unit: StrengthUnit::Max,
        scope: PositionScope::All,
    }
}

/// Share of films that gained the finding, and other findings changed per film.
fn changes(finding: usize, before: &[&Vec<bool>], after: &[Vec<bool>]) -> (f64, f64) {
    let n = before.len().max(1) as f64;
    let (mut gained, mut others) = (0.0, 0.0);
    for (before, after) in before.iter().zip(after) {
        for (at, (was, is)) in before.iter().zip(after).enumerate() {
            if at != finding {
                others += f64::from(u8::from(was != is));
            } else if !was && *is {
                gained += 1.0;
            }
        }
    }
    (gained / n, others / n)
}

impl Session {
    /// What adding the best feature of each finding does to reports, beside a random direction.
    ///
    /// # Errors
    /// When the dictionary was not made from phantom films of a model that writes reports.
    pub fn steering_effects(
        &self,
        dictionary: &str,
        found: &BTreeMap<String, ConceptRecovery>,
        seed: u64,
        job: &JobContext,
    ) -> Result<BTreeMap<String, SteeringEffect>> {
        let indexed = self.indexed(dictionary)?;
        let model = self.model(&indexed.harvest.model)?;
        let hook = indexed.harvest.hook;
        let names: Vec<&String> = found.keys().collect();
        let stated = |input: &ModelInput, spec: &HookSpec| -> Result<Vec<bool>> {
            let text = write_report(&model, input, spec, job)?;
            let is_stated =
                |name: &&String| report_states(&text, name) == Some(ReportState::Present);
            Ok(names.iter().map(is_stated).collect())
        };
        let mut inputs: BTreeMap<u32, (ModelInput, Vec<bool>)> = BTreeMap::new();
        let mut effects = BTreeMap::new();
        let sae = &indexed.dictionary.sae;
        let random =
            sae::random_dictionary(names.len(), 1, seed ^ 0x57ee, &vec![0.0; sae.d_model()])?;
        for (at, (name, recovery)) in found.iter().enumerate() {
            job.check_cancelled()?;
            job.report(
                "Steering by the features found",
                at as u64,
                found.len() as u64,
                "findings",
            );
            let chosen = films_without(&indexed.dataset.records, name);
            for &sample in &chosen {
                if let Entry::Vacant(free) = inputs.entry(sample) {
                    let input = prompt(&indexed, &model, sample)?;
                    let before = stated(&input, &HookSpec::default())?;
                    free.insert((input, before));
                }
            }
            let of_films: Vec<&(ModelInput, Vec<bool>)> = chosen
                .iter()
                .filter_map(|sample| inputs.get(sample))
                .collect();
            let before: Vec<&Vec<bool>> = of_films.iter().map(|(_, before)| before).collect();
            let after = |edit: Arc<dyn ActivationEdit>| -> Result<Vec<Vec<bool>>> {
                let spec = HookSpec {
                    capture: Vec::new(),
                    edits: vec![(hook, edit)],
                    keep_at: None,
                };
                of_films
                    .par_iter()
                    .map(|(input, _)| stated(input, &spec))
                    .collect()
            };
            let feature = FeatureId(recovery.best_feature);
            let (gained, others_changed) = changes(
                at,
                &before,
                &after(Arc::new(feature_edit(&indexed, &[one_maximum(feature)])?))?,
            );
            let strongest = indexed.index.summary(feature)?.max_activation;
            let direction = random
                .decoder_row(at as u32)
                .iter()
                .map(|x| x * strongest)
                .collect();
            let (random_gained, random_others_changed) =
                changes(at, &before, &after(Arc::new(AddEverywhere(direction)))?);
            effects.insert(
                name.clone(),
                SteeringEffect {
                    feature: feature.0,
                    films: chosen.len(),
                    gained,
                    random_gained,
                    others_changed,
                    random_others_changed,
                },
            );
        }
        Ok(effects)
    }
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn changes_by_hand() {
        let before = [vec![false, true, false], vec![false, false, false]];
        let after = [vec![true, false, false], vec![false, false, true]];
        let before: Vec<&Vec<bool>> = before.iter().collect();
        // The first film gains finding 0 and loses finding 1; the second gains finding 2 alone.
        assert_eq!(changes(0, &before, &after), (0.5, 1.0));
    }
}
