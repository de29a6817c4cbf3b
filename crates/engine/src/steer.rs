//! Turning features up or down on one sample, before and after.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use models::{ActivationEdit, GenerationOptions, HookSpec, ModelInput, ModelSample};
use schema::{HookPoint, PositionScope, SampleRecord, SteeringMode, SteeringSpec, StrengthUnit};

use crate::edits::{Change, EditedDictionary, FeatureEdit};
use crate::error::{EngineError, Result};
use crate::harvest::{load_film_of, user_number};
use crate::indexed::{IndexedDictionary, item_view};
use crate::jobs::JobContext;
use crate::located::LocatedReport;
use crate::model_registry::LoadedModel;
use crate::session::Session;
use crate::views::{FindingsEffect, ItemView, SteerOutcome, SteerRequest, SteerView};

/// Features that can be changed together.
const MAX_EDITS: usize = 8;
/// Tokens of a report at most.
const MAX_NEW_TOKENS: usize = 96;
/// Items of a ranked list.
pub(crate) const N_RANKED: usize = 10;

impl Session {
    /// Runs the model on one sample without and with the changes and, where the request says so, with
    /// as much change along a random direction, the same one each time.
    ///
    /// # Errors
    /// When dictionary, sample or a feature do not exist, a strength is not finite, there are more
    /// than eight features, or the model can neither write nor rank.
    pub fn steer(&self, request: &SteerRequest, job: &JobContext) -> Result<SteerView> {
        let began = Instant::now();
        let indexed = self.indexed(&request.sae)?;
        let edit = Arc::new(feature_edit(&indexed, &request.edits)?);
        let model = self.model(&indexed.harvest.model)?;
        let elsewhere = if request.control {
            Some(crate::sweep::control_edit(&indexed, request)?)
        } else {
            None
        };
        let (outcome, control) = match SteeredSample::prepare(&indexed, &model, request.sample)? {
            SteeredSample::Prompt(prompt) => {
                let before = prompt.report(None, job)?;
                let after = prompt.report(Some(edit), job)?;
                let control = elsewhere
                    .map(|edit| {
                        let after = prompt.report(edit, job)?;
                        Ok::<_, EngineError>(prompt.outcome(before.clone(), after))
                    })
                    .transpose()?;
                (prompt.outcome(before, after), control)
            }
            SteeredSample::History(history) => {
                let (before, after) = (history.scores(None)?, history.scores(Some(edit))?);
                let control = elsewhere
                    .map(|edit| {
                        let after = history.scores(edit)?;
                        Ok::<_, EngineError>(history.outcome(&before, &after))
                    })
                    .transpose()?;
                (history.outcome(&before, &after), control)
            }
        };
        Ok(SteerView {
            request: request.clone(),
            outcome,
            control,
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
    let hook = indexed.harvest.hook;
    for edit in edits {
        if !edit.scope.means_something_at(hook) {
            let offered = PositionScope::offered_at(hook).iter();
            let offered: Vec<String> = offered.map(ToString::to_string).collect();
            return Err(EngineError::request(format!(
                "\"{}\" reaches no position of {hook}, where the dictionary reads; expected {}",
                edit.scope,
                offered.join(" or ")
            )));
        }
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

/// Whether a report states a finding.
pub(crate) fn states(text: &str, finding: &str) -> bool {
    datasets::phantom::report_states(text, finding) == Some(datasets::phantom::ReportState::Present)
}

/// A sample as the model reads it, ready to be run again and again.
pub(crate) enum SteeredSample<'a> {
    Prompt(SteeredPrompt<'a>),
    History(SteeredHistory<'a>),
}

impl<'a> SteeredSample<'a> {
    /// Reads the sample.
    ///
    /// # Errors
    /// When there is none of that number or its film cannot be read.
    pub(crate) fn prepare(
        indexed: &'a IndexedDictionary,
        model: &'a LoadedModel,
        sample: u32,
    ) -> Result<Self> {
        let record = indexed
            .dataset
            .records
            .get(sample as usize)
            .ok_or_else(|| EngineError::request(format!("there is no sample {sample}")))?;
        if model.recommender.is_some() {
            return SteeredHistory::prepare(indexed, model, (sample, record)).map(Self::History);
        }
        let film = load_film_of(&indexed.dataset, sample)?;
        let input = model.hooked.prepare_prompt(ModelSample {
            film: film.as_ref(),
            report: record.report.as_ref(),
            ..ModelSample::default()
        })?;
        let size = film.as_ref();
        let film_size = size.map_or([1, 1], |film| [film.width, film.height]);
        Ok(Self::Prompt(SteeredPrompt {
            indexed,
            model,
            input,
            film_size,
        }))
    }
}

/// A prompt that a report is written for.
pub(crate) struct SteeredPrompt<'a> {
    indexed: &'a IndexedDictionary,
    model: &'a LoadedModel,
    input: ModelInput,
    film_size: [u32; 2],
}

impl SteeredPrompt<'_> {
    /// The report with a change, or without.
    pub(crate) fn report(
        &self,
        edit: Option<Arc<dyn ActivationEdit>>,
        job: &JobContext,
    ) -> Result<String> {
        let hook = self.indexed.harvest.hook;
        let spec = HookSpec {
            capture: Vec::new(),
            // What comes before the hook is kept for the runs that change it.
            keep_at: edit.is_none().then_some(hook),
            edits: edit.map(|edit| (hook, edit)).into_iter().collect(),
        };
        write_report(self.model, &self.input, &spec, job)
    }

    /// Findings that a report states; `None` where no reader knows the reports' words.
    pub(crate) fn findings(&self, text: &str) -> Option<Vec<String>> {
        let manifest = &self.indexed.dataset.manifest;
        manifest.planted.then(|| {
            let stated = manifest.findings.iter();
            stated
                .filter(|finding| states(text, finding))
                .cloned()
                .collect()
        })
    }

    fn outcome(&self, before: String, after: String) -> SteerOutcome {
        let findings = FindingsEffect::between(self.findings(&before), self.findings(&after));
        let reads_findings = findings.is_some();
        let FindingsEffect { gained, lost, .. } = findings.unwrap_or_default();
        SteerOutcome::Text {
            located: [&before, &after].map(|text| LocatedReport::read(text, self.film_size)),
            reads_findings,
            gained,
            lost,
            before,
            after,
        }
    }
}

impl FindingsEffect {
    /// What a report states beside what it stated before; `None` where that is not read.
    pub(crate) fn between(had: Option<Vec<String>>, has: Option<Vec<String>>) -> Option<Self> {
        let (had, has) = (had?, has?);
        let lacking = |these: &[String], those: &[String]| -> Vec<String> {
            these
                .iter()
                .filter(|f| !those.contains(f))
                .cloned()
                .collect()
        };
        Some(Self {
            gained: lacking(&has, &had),
            lost: lacking(&had, &has),
            stated: has,
        })
    }
}

pub(crate) fn write_report(
    model: &LoadedModel,
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

/// A history that items are ranked for.
pub(crate) struct SteeredHistory<'a> {
    indexed: &'a IndexedDictionary,
    model: &'a LoadedModel,
    input: ModelInput,
    /// Items that are known, oldest first.
    items: &'a [u32],
    /// The item that is to be predicted.
    target: Option<u32>,
}

impl<'a> SteeredHistory<'a> {
    fn prepare(
        indexed: &'a IndexedDictionary,
        model: &'a LoadedModel,
        (sample, record): (u32, &'a SampleRecord),
    ) -> Result<Self> {
        // All but the last held-out item, which is the one to be predicted.
        let n_known = record.items.len() - usize::from(record.n_held_out > 0);
        let items = &record.items[..n_known];
        let input = model.hooked.prepare(ModelSample {
            items: Some(items),
            user: Some(user_number(record, sample)),
            ..ModelSample::default()
        })?;
        Ok(Self {
            indexed,
            model,
            input,
            items,
            target: record.items.get(n_known).copied(),
        })
    }

    /// Scores of all items with a change, or without; index 0 is item 1.
    pub(crate) fn scores(&self, edit: Option<Arc<dyn ActivationEdit>>) -> Result<Vec<f32>> {
        let hook = self.indexed.harvest.hook;
        let spec = HookSpec {
            capture: Vec::new(),
            edits: edit.map(|edit| (hook, edit)).into_iter().collect(),
            keep_at: None,
        };
        let inputs = std::slice::from_ref(&self.input);
        let scores = self.model.hooked.rank(inputs, &spec)?.into_iter().next();
        Ok(scores.unwrap_or_default())
    }

    /// Item ids by falling score, those of the history left out.
    pub(crate) fn ranked(&self, scores: &[f32]) -> Vec<u32> {
        ranked(scores, self.items)
    }

    /// Rank of the held-out item, from 1.
    pub(crate) fn target_rank(&self, order: &[u32]) -> Option<u32> {
        rank_in(order, self.target?)
    }

    /// Titles of items.
    pub(crate) fn titles(&self, items: &[u32]) -> Vec<String> {
        let each = items.iter();
        each.map(|&id| item_view(&self.indexed.dataset, id, 0.0).title)
            .collect()
    }

    fn outcome(&self, before: &[f32], after: &[f32]) -> SteerOutcome {
        let (order_before, order_after) = (self.ranked(before), self.ranked(after));
        let views = |order: &[u32], scores: &[f32]| -> Vec<ItemView> {
            order
                .iter()
                .take(N_RANKED)
                .map(|&id| item_view(&self.indexed.dataset, id, scores[id as usize - 1]))
                .collect()
        };
        let target = self.target_rank(&order_before);
        SteerOutcome::Ranking {
            rank_before: order_after
                .iter()
                .take(N_RANKED)
                .map(|&id| rank_in(&order_before, id).unwrap_or(0))
                .collect(),
            target_rank: target.and_then(|rank| Some([rank, self.target_rank(&order_after)?])),
            before: views(&order_before, before),
            after: views(&order_after, after),
        }
    }
}

/// Rank of an item, from 1.
pub(crate) fn rank_in(order: &[u32], id: u32) -> Option<u32> {
    let place = order.iter().position(|&item| item == id);
    place.map(|place| place as u32 + 1)
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
