//! Turning features up or down on one sample, before and after.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use models::{ActivationEdit, GenerationOptions, HookSpec, ModelInput};
use schema::{HookPoint, PositionScope, SteeringMode, SteeringSpec, StrengthUnit};

use crate::edits::{Change, EditedDictionary, FeatureEdit};
use crate::error::{EngineError, Result};
use crate::harvest::{load_film_of, user_number};
use crate::indexed::{IndexedDictionary, item_view};
use crate::jobs::JobContext;
use crate::located::LocatedReport;
use crate::session::Session;
use crate::views::{ItemView, SteerOutcome, SteerRequest, SteerView};

/// Features that can be changed together.
const MAX_EDITS: usize = 8;
/// Tokens of a report at most.
const MAX_NEW_TOKENS: usize = 96;
/// Items of a ranked list.
const N_RANKED: usize = 10;

impl Session {
    /// Runs the model on one sample without and with the changes.
    ///
    /// # Errors
    /// When dictionary, sample or a feature do not exist, a strength is not finite, there are more
    /// than eight features, or the model can neither write nor rank.
    pub fn steer(&self, request: &SteerRequest, job: &JobContext) -> Result<SteerView> {
        let began = Instant::now();
        let indexed = self.indexed(&request.sae)?;
        let spec = HookSpec {
            capture: Vec::new(),
            edits: vec![(
                indexed.harvest.hook,
                Arc::new(feature_edit(&indexed, &request.edits)?) as Arc<dyn ActivationEdit>,
            )],
            keep_at: None,
        };
        let model = self.model(&indexed.harvest.model)?;
        let outcome = if model.recommender.is_some() {
            steer_ranking(&indexed, &model, request.sample, &spec)?
        } else {
            steer_text(&indexed, &model, request.sample, &spec, job)?
        };
        Ok(SteerView {
            request: request.clone(),
            outcome,
            milliseconds: began.elapsed().as_secs_f32() * 1e3,
        })
    }
}

pub(crate) fn feature_edit(
    indexed: &Arc<IndexedDictionary>,
    edits: &[SteeringSpec],
) -> Result<FeatureEdit> {
    if edits.len() > MAX_EDITS {
        return Err(EngineError::request(format!(
            "{} features are to be changed; at most {MAX_EDITS} can be changed together",
            edits.len()
        )));
    }
    let mut changes = Vec::new();
    for edit in edits {
        let summary = indexed.index.summary(edit.feature)?;
        if !edit.strength.is_finite() {
            return Err(EngineError::request(format!(
                "the strength of feature {} is {}; expected a number",
                edit.feature, edit.strength
            )));
        }
        let unit = match edit.unit {
            // A factor has no unit.
            _ if edit.mode == SteeringMode::Scale => 1.0,
            StrengthUnit::Max => summary.max_activation,
            StrengthUnit::Absolute => 1.0,
        };
        changes.push(Change {
            feature: edit.feature.0,
            mode: edit.mode,
            amount: edit.strength * unit,
            scope: edit.scope,
        });
    }
    Ok(FeatureEdit {
        dictionary: EditedDictionary::Indexed(Arc::clone(indexed)),
        changes,
    })
}

fn steer_text(
    indexed: &IndexedDictionary,
    model: &crate::model_registry::LoadedModel,
    sample: u32,
    spec: &HookSpec,
    job: &JobContext,
) -> Result<SteerOutcome> {
    let film = load_film_of(&indexed.dataset, sample)?;
    let record = indexed
        .dataset
        .records
        .get(sample as usize)
        .ok_or_else(|| EngineError::request(format!("there is no sample {sample}")))?;
    let input = model.hooked.prepare_prompt(models::ModelSample {
        film: film.as_ref(),
        report: record.report.as_ref(),
        ..models::ModelSample::default()
    })?;
    let unchanged = HookSpec {
        keep_at: Some(indexed.harvest.hook),
        ..HookSpec::default()
    };
    let before = write_report(model, &input, &unchanged, job)?;
    let after = write_report(model, &input, spec, job)?;
    let stated = |text: &str| -> Vec<String> {
        indexed
            .dataset
            .manifest
            .findings
            .iter()
            .filter(|finding| {
                datasets::phantom::report_states(text, finding)
                    == Some(datasets::phantom::ReportState::Present)
            })
            .cloned()
            .collect()
    };
    let (had, has) = if indexed.dataset.manifest.planted {
        (stated(&before), stated(&after))
    } else {
        (Vec::new(), Vec::new())
    };
    let size = film
        .as_ref()
        .map_or([1, 1], |film| [film.width, film.height]);
    let located = [&before, &after].map(|text| LocatedReport::read(text, size));
    Ok(SteerOutcome::Text {
        located,
        gained: has.iter().filter(|f| !had.contains(f)).cloned().collect(),
        lost: had.iter().filter(|f| !has.contains(f)).cloned().collect(),
        before,
        after,
    })
}

pub(crate) fn write_report(
    model: &crate::model_registry::LoadedModel,
    input: &ModelInput,
    spec: &HookSpec,
    job: &JobContext,
) -> Result<String> {
    let options = GenerationOptions {
        max_new_tokens: MAX_NEW_TOKENS,
        ignore_eos: false,
        keep_logits: false,
        sampling: None,
    };
    let mut stopped = false;
    let generation = model.hooked.generate(input, spec, options, &mut |_| {
        stopped = job.is_cancelled();
        if stopped {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if stopped {
        return Err(EngineError::cancelled());
    }
    Ok(generation.text.trim().to_owned())
}

fn steer_ranking(
    indexed: &IndexedDictionary,
    model: &crate::model_registry::LoadedModel,
    sample: u32,
    spec: &HookSpec,
) -> Result<SteerOutcome> {
    let record = indexed
        .dataset
        .records
        .get(sample as usize)
        .ok_or_else(|| EngineError::request(format!("there is no sample {sample}")))?;
    // All but the last held-out item, which is the one to be predicted.
    let n_known = record.items.len() - usize::from(record.n_held_out > 0);
    let history = &record.items[..n_known];
    let target = record.items.get(n_known).copied();
    let input = model.hooked.prepare(models::ModelSample {
        items: Some(history),
        user: Some(user_number(record, sample)),
        ..models::ModelSample::default()
    })?;
    let inputs = std::slice::from_ref(&input);
    let scores = |spec: &HookSpec| -> Result<Vec<f32>> {
        Ok(model
            .hooked
            .rank(inputs, spec)?
            .into_iter()
            .next()
            .unwrap_or_default())
    };
    let (before, after) = (scores(&HookSpec::default())?, scores(spec)?);
    let (order_before, order_after) = (ranked(&before, history), ranked(&after, history));
    let rank_in = |order: &[u32], id: u32| {
        order
            .iter()
            .position(|&item| item == id)
            .map(|rank| rank as u32 + 1)
    };
    let views = |order: &[u32], scores: &[f32]| -> Vec<ItemView> {
        order
            .iter()
            .take(N_RANKED)
            .map(|&id| item_view(&indexed.dataset, id, scores[id as usize - 1]))
            .collect()
    };
    Ok(SteerOutcome::Ranking {
        rank_before: order_after
            .iter()
            .take(N_RANKED)
            .map(|&id| rank_in(&order_before, id).unwrap_or(0))
            .collect(),
        target_rank: target
            .and_then(|id| Some([rank_in(&order_before, id)?, rank_in(&order_after, id)?])),
        before: views(&order_before, &before),
        after: views(&order_after, &after),
    })
}

/// Item ids by falling score, the history left out; ties by lower id.
fn ranked(scores: &[f32], history: &[u32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (1..=scores.len() as u32)
        .filter(|id| !history.contains(id))
        .collect();
    ids.sort_by(|&a, &b| {
        scores[b as usize - 1]
            .total_cmp(&scores[a as usize - 1])
            .then(a.cmp(&b))
    });
    ids
}

/// Reads `87=2.0` as feature and strength.
///
/// # Errors
/// When the text is not of that form.
pub fn parse_edit(text: &str, mode: SteeringMode) -> Result<SteeringSpec> {
    let parts = text
        .split_once('=')
        .and_then(|(id, strength)| Some((id.trim().parse().ok()?, strength.trim().parse().ok()?)));
    let Some((feature, strength)) = parts else {
        return Err(EngineError::request(format!(
            "\"{text}\" is no feature and strength; expected for example 87=2.0"
        )));
    };
    Ok(SteeringSpec {
        feature: schema::FeatureId(feature),
        strength,
        mode,
        unit: StrengthUnit::Max,
        scope: PositionScope::All,
    })
}

/// Where a dictionary's hook lies decides whether a change can reach an output.
pub(crate) fn reaches_output(hook: HookPoint, architecture: models::Architecture) -> bool {
    match architecture {
        models::Architecture::TinyVit | models::Architecture::Dinov2 => false,
        other if other.is_recommender() => hook == HookPoint::UserVector,
        _ => true,
    }
}
