//! What steering by a planted finding's feature does to the reports of a phantom model.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::{ActivationEdit, HookSpec, ModelInput};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use schema::{
    FeatureId, PositionScope, SampleRecord, Split, SteeringMode, SteeringSpec, StrengthUnit,
};
use serde::Serialize;

use crate::edits::ElsewhereEdit;
use crate::error::Result;
use crate::harvest::load_film_of;
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::model_registry::LoadedModel;
use crate::recovery::ConceptRecovery;
use crate::session::Session;
use crate::steer::{feature_edit, states, write_report};

/// Reports before and after adding one observed maximum of a finding's feature to films that do not
/// have the finding, and after ablating it on films whose report states the finding.
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
    /// Films with the finding whose report states it, of patients that the dictionary was not
    /// trained on.
    pub stated_films: usize,
    /// Share of them whose report no longer states the finding once the feature is ablated.
    pub lost: f64,
    /// The same when as much is taken off along a random direction, place by place.
    pub random_lost: f64,
}

/// The first `n` films with or without the finding, of patients that the dictionary was not trained
/// on.
fn films(records: &[SampleRecord], finding: &str, with: bool, n: usize) -> Vec<u32> {
    (0_u32..)
        .zip(records)
        .filter(|(_, record)| record.split != Split::Train && record.has_finding(finding) == with)
        .map(|(sample, _)| sample)
        .take(n)
        .collect()
}

fn prompt(indexed: &IndexedDictionary, model: &LoadedModel, sample: u32) -> Result<ModelInput> {
    let film = load_film_of(&indexed.dataset, sample)?;
    Ok(model.hooked.prepare_prompt(models::ModelSample {
        film: film.as_ref(),
        ..models::ModelSample::default()
    })?)
}

/// One observed maximum of a feature added, or the feature ablated, at every position.
fn everywhere(feature: FeatureId, mode: SteeringMode) -> SteeringSpec {
    SteeringSpec {
        feature,
        strength: 1.0,
        mode,
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

/// Runs the model on prompts and reads which findings its reports state.
struct ReportReader<'a> {
    indexed: &'a Arc<IndexedDictionary>,
    model: &'a LoadedModel,
    names: Vec<&'a String>,
    job: &'a JobContext,
    /// Prompts and what their unchanged reports state, by sample.
    known: BTreeMap<u32, (ModelInput, Vec<bool>)>,
}

impl ReportReader<'_> {
    fn stated(&self, input: &ModelInput, spec: &HookSpec) -> Result<Vec<bool>> {
        let text = write_report(self.model, input, spec, self.job)?;
        Ok(self.names.iter().map(|name| states(&text, name)).collect())
    }

    /// Reads the unchanged reports of samples that were not read before.
    fn learn(&mut self, samples: &[u32]) -> Result<()> {
        for &sample in samples {
            if !self.known.contains_key(&sample) {
                let input = prompt(self.indexed, self.model, sample)?;
                let before = self.stated(&input, &HookSpec::default())?;
                self.known.insert(sample, (input, before));
            }
        }
        Ok(())
    }

    /// What the unchanged reports of samples state.
    fn before(&self, samples: &[u32]) -> Vec<&Vec<bool>> {
        let known = samples.iter().filter_map(|sample| self.known.get(sample));
        known.map(|(_, before)| before).collect()
    }

    /// What the reports of samples state under an edit.
    fn after(&self, samples: &[u32], edit: &Arc<dyn ActivationEdit>) -> Result<Vec<Vec<bool>>> {
        let spec = HookSpec {
            capture: Vec::new(),
            edits: vec![(self.indexed.harvest.hook, Arc::clone(edit))],
            keep_at: None,
        };
        samples
            .par_iter()
            .filter_map(|sample| self.known.get(sample))
            .map(|(input, _)| self.stated(input, &spec))
            .collect()
    }

    /// The effect of adding and ablating the feature of finding number `at`.
    fn effect(
        &mut self,
        (at, name): (usize, &str),
        feature: FeatureId,
        random: &[f32],
        n_films: usize,
    ) -> Result<SteeringEffect> {
        let indexed = Arc::clone(self.indexed);
        let records = &indexed.dataset.records;
        let without = films(records, name, false, n_films);
        let with = films(records, name, true, n_films);
        self.learn(&without)?;
        self.learn(&with)?;
        let stated: Vec<u32> = with
            .into_iter()
            .filter(|sample| self.known.get(sample).is_some_and(|(_, before)| before[at]))
            .collect();
        let edit = |mode| -> Result<Arc<dyn ActivationEdit>> {
            Ok(Arc::new(feature_edit(
                &indexed,
                &[everywhere(feature, mode)],
            )?))
        };
        let before = self.before(&without);
        let added = self.after(&without, &edit(SteeringMode::Add)?)?;
        let (gained, others_changed) = changes(at, &before, &added);
        let elsewhere = |mode| -> Result<Arc<dyn ActivationEdit>> {
            Ok(Arc::new(ElsewhereEdit {
                features: feature_edit(&indexed, &[everywhere(feature, mode)])?,
                forward: indexed.dictionary.sae.decoder_row(feature.0).to_vec(),
                random: random.to_vec(),
            }))
        };
        let added = self.after(&without, &elsewhere(SteeringMode::Add)?)?;
        let (random_gained, random_others_changed) = changes(at, &before, &added);
        let share_lost = |after: &[Vec<bool>]| {
            let lost = after.iter().filter(|stated| !stated[at]).count();
            lost as f64 / after.len().max(1) as f64
        };
        let taken = elsewhere(SteeringMode::Ablate)?;
        Ok(SteeringEffect {
            feature: feature.0,
            films: without.len(),
            gained,
            random_gained,
            others_changed,
            random_others_changed,
            lost: share_lost(&self.after(&stated, &edit(SteeringMode::Ablate)?)?),
            random_lost: share_lost(&self.after(&stated, &taken)?),
            stated_films: stated.len(),
        })
    }
}

impl Session {
    /// What adding and ablating the best feature of each finding does to reports, beside a random
    /// direction; at most `n_films` films of each kind for a finding.
    ///
    /// # Errors
    /// When the dictionary was not made from phantom films of a model that writes reports.
    pub fn steering_effects(
        &self,
        dictionary: &str,
        found: &BTreeMap<String, ConceptRecovery>,
        (n_films, seed): (usize, u64),
        job: &JobContext,
    ) -> Result<BTreeMap<String, SteeringEffect>> {
        let indexed = self.indexed(dictionary)?;
        let model = self.model(&indexed.harvest.model)?;
        let mut reader = ReportReader {
            indexed: &indexed,
            model: &model,
            names: found.keys().collect(),
            job,
            known: BTreeMap::new(),
        };
        let sae = &indexed.dictionary.sae;
        let random =
            sae::random_dictionary(found.len(), 1, seed ^ 0x57ee, &vec![0.0; sae.d_model()])?;
        let mut effects = BTreeMap::new();
        for (at, (name, recovery)) in found.iter().enumerate() {
            job.check_cancelled()?;
            job.report(
                "Steering by the features found",
                at as u64,
                found.len() as u64,
                "findings",
            );
            let feature = FeatureId(recovery.best_feature);
            let random = random.decoder_row(at as u32);
            let effect = reader.effect((at, name), feature, random, n_films)?;
            effects.insert(name.clone(), effect);
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
