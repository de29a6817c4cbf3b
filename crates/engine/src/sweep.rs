//! A dose-response sweep: one sample steered at many strengths, and by as much along random
//! directions.

mod charts;
mod table;

use std::sync::Arc;
use std::time::Instant;

use models::ActivationEdit;
use schema::SteeringMode;

use crate::edits::{ElsewhereEdit, length_of};
use crate::error::{EngineError, Result};
use crate::indexed::IndexedDictionary;
use crate::jobs::JobContext;
use crate::session::Session;
use crate::steer::{N_RANKED, SteeredHistory, SteeredPrompt, SteeredSample, feature_edit, rank_in};
use crate::views::{
    FindingsEffect, RankingEffect, SteerRequest, SweepPoint, SweepRange, SweepRequest, SweepRun,
    SweepView,
};

pub(crate) use table::csv;

/// Most random directions of a sweep.
const MOST_CONTROLS: u32 = 20;
/// Items whose rise is measured, those that the features promote most.
const N_PROMOTED: usize = 20;
/// Seed of the one random direction that stands beside a single change.
const CONTROL_SEED: u64 = 0;

impl Session {
    /// Steers one sample at every strength asked for, and by as much, position by position, along
    /// random directions. The features' own runs come first, so that a sweep that is stopped has
    /// their curve before the controls; `tell` hears after every run what there is so far.
    ///
    /// A sweep that is stopped returns what was run, once that is one run at least.
    ///
    /// # Errors
    /// As [`Session::steer`], and when the strengths cannot be swept, features are ablated, which
    /// has no strength, or more than 20 random directions are asked for.
    ///
    /// # Determinism
    /// The same request gives the same runs; random directions come from its seed.
    pub fn sweep(
        &self,
        request: &SweepRequest,
        job: &JobContext,
        tell: &mut dyn FnMut(&SweepView),
    ) -> Result<SweepView> {
        check(request)?;
        let began = Instant::now();
        let indexed = self.indexed(&request.steer.sae)?;
        let model = self.model(&indexed.harvest.model)?;
        let forward = feature_edit(&indexed, &request.edits_at(1.0))?.direction();
        let sample = SteeredSample::prepare(&indexed, &model, request.steer.sample)?;
        let strengths = request.range.strengths();
        let n_planned = strengths.len() as u32 * (1 + request.n_controls);
        let stage = "Steering at every strength";
        job.report(stage, 0, u64::from(n_planned), "runs");
        let scores = |direction: &[f32]| Ok(model.as_recommender()?.scores(direction));
        let runner = Runner::begin(sample, &forward, &scores, job)?;
        let depends = |mode| matches!(mode, SteeringMode::Scale | SteeringMode::Clamp);
        let mut view = SweepView {
            request: request.clone(),
            sae_hash: indexed.dictionary.hash.clone(),
            unsteered: runner.unsteered(),
            promoted: runner.promoted_titles(),
            length: if request.steer.edits.iter().any(|edit| depends(edit.mode)) {
                0.0
            } else {
                f64::from(length_of(&forward))
            },
            points: Vec::new(),
            n_planned,
            seconds: 0.0,
        };
        let random = directions(&indexed, request)?;
        for control in std::iter::once(None).chain(random.into_iter().map(Some)) {
            for (at, &strength) in strengths.iter().enumerate() {
                let edit = edit_at(&indexed, request, strength, (&forward, control.as_deref()))?;
                let run = match edit {
                    Some(edit) => runner.run(edit, job),
                    None => Ok(view.unsteered.clone()),
                };
                match run {
                    Err(error) if error.is_cancelled() && !view.points.is_empty() => {
                        return Ok(view);
                    }
                    run => keep(&mut view, (at, strength), run?),
                }
                view.seconds = began.elapsed().as_secs_f64();
                job.report(
                    stage,
                    u64::from(view.n_runs()),
                    u64::from(n_planned),
                    "runs",
                );
                tell(&view);
            }
        }
        Ok(view)
    }
}

fn check(request: &SweepRequest) -> Result<()> {
    if let Some(fault) = request.range.fault() {
        return Err(EngineError::request(fault));
    }
    let edits = &request.steer.edits;
    if edits.is_empty() {
        return Err(EngineError::request(
            "no feature is to be swept; expected at least one",
        ));
    }
    if edits.iter().any(|edit| edit.mode == SteeringMode::Ablate) {
        return Err(EngineError::request(
            "to ablate has no strength to sweep; expected add, clamp or scale",
        ));
    }
    if request.n_controls > MOST_CONTROLS {
        return Err(EngineError::request(format!(
            "{} random directions were asked for; expected at most {MOST_CONTROLS}",
            request.n_controls
        )));
    }
    Ok(())
}

/// Random directions of length 1.
fn directions(indexed: &IndexedDictionary, request: &SweepRequest) -> Result<Vec<Vec<f32>>> {
    let n = request.n_controls as usize;
    if n == 0 {
        return Ok(Vec::new());
    }
    let mean = vec![0.0; indexed.dictionary.sae.d_model()];
    let random = sae::random_dictionary(n, 1, request.seed, &mean)?;
    let rows = (0..n as u32).map(|row| random.decoder_row(row).to_vec());
    Ok(rows.collect())
}

/// As much change as a request asks for, along a random direction, forward where a sweep has it so;
/// `None` where nothing is changed by construction.
pub(crate) fn control_edit(
    indexed: &Arc<IndexedDictionary>,
    request: &SteerRequest,
) -> Result<Option<Arc<dyn ActivationEdit>>> {
    let beside = SweepRequest {
        steer: request.clone(),
        range: SweepRange::default(),
        n_controls: 1,
        seed: CONTROL_SEED,
    };
    let forward = feature_edit(indexed, &beside.edits_at(1.0))?.direction();
    let Some(random) = directions(indexed, &beside)?.pop() else {
        return Ok(None);
    };
    let adds_nothing =
        |edit: &schema::SteeringSpec| edit.mode == SteeringMode::Add && edit.strength == 0.0;
    if request.edits.iter().all(adds_nothing) {
        return Ok(None);
    }
    Ok(Some(Arc::new(ElsewhereEdit {
        features: feature_edit(indexed, &request.edits)?,
        forward,
        random,
    })))
}

/// The change at one strength, of the features or along a random direction; `None` for a random
/// direction of length 0, which is the unsteered run by construction.
fn edit_at(
    indexed: &Arc<IndexedDictionary>,
    request: &SweepRequest,
    strength: f32,
    (forward, random): (&[f32], Option<&[f32]>),
) -> Result<Option<Arc<dyn ActivationEdit>>> {
    let features = feature_edit(indexed, &request.edits_at(strength))?;
    let Some(random) = random else {
        return Ok(Some(Arc::new(features)));
    };
    let adds_nothing = strength == 0.0
        && features
            .changes
            .iter()
            .all(|change| change.mode == SteeringMode::Add);
    Ok((!adds_nothing).then(|| -> Arc<dyn ActivationEdit> {
        Arc::new(ElsewhereEdit {
            features,
            forward: forward.to_vec(),
            random: random.to_vec(),
        })
    }))
}

fn keep(view: &mut SweepView, (at, strength): (usize, f32), run: SweepRun) {
    match view.points.get_mut(at) {
        Some(point) => point.controls.push(run),
        None => view.points.push(SweepPoint {
            strength,
            features: run,
            controls: Vec::new(),
        }),
    }
}

/// The sample and its unsteered run, which every other is compared with.
enum Runner<'a> {
    Text {
        prompt: SteeredPrompt<'a>,
        report: String,
    },
    Ranking {
        history: SteeredHistory<'a>,
        /// Item ids by falling score.
        order: Vec<u32>,
        promoted: Vec<u32>,
    },
}

impl<'a> Runner<'a> {
    /// Runs the sample unsteered. `effects` says what a direction adds to the scores of items.
    fn begin(
        sample: SteeredSample<'a>,
        forward: &[f32],
        effects: &dyn Fn(&[f32]) -> Result<Vec<f32>>,
        job: &JobContext,
    ) -> Result<Self> {
        Ok(match sample {
            SteeredSample::Prompt(prompt) => Self::Text {
                report: prompt.report(None, job)?,
                prompt,
            },
            SteeredSample::History(history) => {
                let mut promoted = history.ranked(&effects(forward)?);
                promoted.truncate(N_PROMOTED);
                Self::Ranking {
                    order: history.ranked(&history.scores(None)?),
                    promoted,
                    history,
                }
            }
        })
    }

    fn unsteered(&self) -> SweepRun {
        match self {
            Self::Text { report, .. } => self.read(report.clone()),
            Self::Ranking { order, .. } => self.compared(order),
        }
    }

    fn promoted_titles(&self) -> Vec<String> {
        match self {
            Self::Text { .. } => Vec::new(),
            Self::Ranking {
                history, promoted, ..
            } => history.titles(promoted),
        }
    }

    fn run(&self, edit: Arc<dyn ActivationEdit>, job: &JobContext) -> Result<SweepRun> {
        job.check_cancelled()?;
        Ok(match self {
            Self::Text { prompt, .. } => self.read(prompt.report(Some(edit), job)?),
            Self::Ranking { history, .. } => {
                self.compared(&history.ranked(&history.scores(Some(edit))?))
            }
        })
    }

    fn read(&self, text: String) -> SweepRun {
        let (words_changed, findings) = match self {
            Self::Text { prompt, report } => (
                words_changed(report, &text),
                FindingsEffect::between(prompt.findings(report), prompt.findings(&text)),
            ),
            Self::Ranking { .. } => (0.0, None),
        };
        SweepRun::Text {
            text,
            words_changed,
            findings,
        }
    }

    fn compared(&self, after: &[u32]) -> SweepRun {
        let effect = match self {
            Self::Text { .. } => RankingEffect {
                mean_rise: 0.0,
                target_rank: None,
                overlap: 1.0,
            },
            Self::Ranking {
                history,
                order,
                promoted,
            } => RankingEffect {
                mean_rise: mean_rise(promoted, order, after),
                target_rank: history.target_rank(after),
                overlap: overlap(order, after),
            },
        };
        SweepRun::Ranking(effect)
    }
}

/// Share of words changed between two texts: the fewest words put in, left out or replaced, by the
/// words of the longer text.
fn words_changed(before: &str, after: &str) -> f64 {
    let before: Vec<&str> = before.split_whitespace().collect();
    let after: Vec<&str> = after.split_whitespace().collect();
    let longer = before.len().max(after.len());
    if longer == 0 {
        return 0.0;
    }
    // Fewest changes from the words of `before` read so far to each beginning of `after`.
    let mut fewest: Vec<usize> = (0..=after.len()).collect();
    for (i, word) in before.iter().enumerate() {
        let mut diagonal = fewest[0];
        fewest[0] = i + 1;
        for (j, other) in after.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = fewest[j + 1];
            fewest[j + 1] = replaced.min(diagonal + 1).min(fewest[j] + 1);
        }
    }
    fewest[after.len()] as f64 / longer as f64
}

/// Ranks that items moved up, on average.
fn mean_rise(items: &[u32], before: &[u32], after: &[u32]) -> f64 {
    let rises = items.iter().filter_map(|&item| {
        let (old, new) = (rank_in(before, item)?, rank_in(after, item)?);
        Some(f64::from(old) - f64::from(new))
    });
    let rises: Vec<f64> = rises.collect();
    rises.iter().sum::<f64>() / rises.len().max(1) as f64
}

/// Share of the first ten that is still among the first ten.
fn overlap(before: &[u32], after: &[u32]) -> f64 {
    let first = &before[..N_RANKED.min(before.len())];
    let now = &after[..N_RANKED.min(after.len())];
    let kept = first.iter().filter(|item| now.contains(item)).count();
    kept as f64 / first.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_changed_by_hand() {
        // docs/steering.md works this out.
        let before = "No pleural effusion. Heart size is normal.";
        let after = "Small left pleural effusion. Heart size is normal.";
        assert_eq!(words_changed(before, after), 2.0 / 8.0);
        assert_eq!(words_changed("a b", "a b"), 0.0);
        assert_eq!(words_changed("a b c", "x y"), 1.0);
        assert_eq!(words_changed("", "x y"), 1.0);
        assert_eq!(words_changed("", " "), 0.0);
    }

    #[test]
    fn ranks_by_hand() {
        let before = [5, 3, 1, 4, 2];
        let after = [1, 5, 2, 3, 4];
        // Item 1 from 3 to 1, item 4 from 4 to 5.
        assert_eq!(mean_rise(&[1, 4], &before, &after), 0.5);
        assert_eq!(mean_rise(&[], &before, &after), 0.0);
        assert_eq!(overlap(&before, &after), 1.0);
        let many: Vec<u32> = (1..=20).collect();
        let shifted: Vec<u32> = (4..=20).chain(1..=3).collect();
        assert_eq!(overlap(&many, &shifted), 0.7);
    }
}
