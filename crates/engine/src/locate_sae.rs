//! The layer self-test: at which hook point of a model does a dictionary belong?
//!
//! A published dictionary says "layer 15", which may mean the output of block 15 or of block 14.
//! The dictionary itself knows: its FVU on vectors of the right place is lower than on others.

use std::mem::discriminant;
use std::path::Path;

use sae::{Evaluator, SparseAutoencoder};
use schema::{HookPoint, PositionClass};
use serde::Serialize;
use store::ArtefactKind;

use crate::error::{EngineError, Result};
use crate::foreign_sae::{ForeignSae, find_dictionaries};
use crate::harvest::{load_film_of, training_items, user_number};
use crate::jobs::JobContext;
use crate::model_registry::LoadedModel;
use crate::session::Session;

/// Rows read at each candidate, about.
const N_ROWS: usize = 2000;

/// How many times k, or one over that, the L0 of a dictionary at its own place may be.
const MAX_L0_RATIO: f64 = 2.0;

/// What is to be tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocateRequest {
    /// A dictionary of the project, or a folder of one or several.
    pub sae: String,
    /// Model to run.
    pub model: String,
    /// Dataset to run it over.
    pub dataset: String,
    /// Hook points with commas; `all` for every block; `None` for the expected one and its
    /// neighbours.
    pub hooks: Option<String>,
}

/// How a dictionary does at one hook point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerCandidate {
    /// The hook point.
    pub hook: HookPoint,
    /// FVU on the rows read there.
    pub fvu: f64,
    /// Active features per row there.
    pub l0: f64,
}

/// Outcome of the layer self-test of one dictionary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerTest {
    /// The dictionary.
    pub sae: String,
    /// Model the rows came from.
    pub model: String,
    /// Dataset the rows came from.
    pub dataset: String,
    /// Rows read at each candidate.
    pub n_rows: usize,
    /// Active features per row that the dictionary was made for, where its rule has such a number.
    pub k: Option<u32>,
    /// Every candidate, in the order of the model.
    pub candidates: Vec<LayerCandidate>,
    /// The candidate with the lowest FVU, if it is below 1.
    pub lowest: Option<HookPoint>,
    /// What the dictionary's own files say, if they do.
    pub expected: Option<HookPoint>,
    /// Whether the two agree; `None` where one is missing.
    pub agrees: Option<bool>,
    /// Whether the test settles the place: the lowest FVU is below 1 and the L0 there near k.
    pub is_settled: bool,
    /// The outcome in one sentence.
    pub sentence: String,
}

impl LayerTest {
    /// The hook point that the test puts the dictionary at, where it settles one.
    pub fn settled(&self) -> Option<HookPoint> {
        self.lowest.filter(|_| self.is_settled)
    }
}

impl Session {
    /// Tests at which hook point of a model the dictionary belongs; several dictionaries of one
    /// folder are tested on the same rows.
    ///
    /// Rows are about 2,000 text positions of the dataset (image positions in an image tower,
    /// items of a recommender), spread over its samples; boilerplate is left out.
    ///
    /// # Errors
    /// When dictionary, model or dataset do not exist or are damaged, no hook point has the
    /// dictionary's width, or no position can be read.
    pub fn locate_sae(&self, request: &LocateRequest, job: &JobContext) -> Result<Vec<LayerTest>> {
        let foreign = self.dictionaries_of(&request.sae)?;
        let saes: Vec<TestedSae<'_>> = foreign
            .iter()
            .map(|foreign| TestedSae {
                name: foreign.name.clone(),
                sae: &foreign.sae,
                expected: foreign.expected,
            })
            .collect();
        self.test_layers(
            &saes,
            &request.model,
            &request.dataset,
            request.hooks.as_deref(),
            job,
        )
    }

    fn dictionaries_of(&self, name: &str) -> Result<Vec<ForeignSae>> {
        if self.project.is_finished(ArtefactKind::Sae, name) {
            let dictionary = self.dictionary(name)?;
            let manifest = store::HarvestReader::open(&self.project, &dictionary.harvest)?
                .manifest()
                .clone();
            return Ok(vec![ForeignSae::of_project(
                name,
                dictionary.sae,
                manifest.hook,
            )]);
        }
        let path = Path::new(name);
        if !path.exists() {
            return Err(EngineError::request(format!(
                "{name} is neither a dictionary of the project nor a folder of one"
            )));
        }
        find_dictionaries(path, "auto")?
            .iter()
            .map(|place| ForeignSae::read(place, name, None))
            .collect()
    }

    /// Tests dictionaries on the same rows.
    pub(crate) fn test_layers(
        &self,
        saes: &[TestedSae<'_>],
        model: &str,
        dataset: &str,
        hooks: Option<&str>,
        job: &JobContext,
    ) -> Result<Vec<LayerTest>> {
        let loaded = self.model(model)?;
        let mut wanted: Vec<Vec<HookPoint>> = Vec::with_capacity(saes.len());
        for tested in saes {
            wanted.push(candidates(&loaded, tested, hooks)?);
        }
        let mut all: Vec<HookPoint> = Vec::new();
        for info in &loaded.card().hooks {
            if wanted.iter().flatten().any(|&hook| hook == info.hook) {
                all.push(info.hook);
            }
        }
        let rows = self.rows_at(&loaded, dataset, &all, job)?;
        let mut tests = Vec::with_capacity(saes.len());
        for (tested, wanted) in saes.iter().zip(&wanted) {
            let mut found = Vec::new();
            let mut n_rows = 0;
            for (&hook, rows) in all.iter().zip(&rows) {
                if !wanted.contains(&hook) {
                    continue;
                }
                job.check_cancelled()?;
                let mut evaluator = Evaluator::new(tested.sae);
                evaluator.add(rows)?;
                let evaluation = evaluator.evaluation()?;
                n_rows = evaluation.n_rows as usize;
                found.push(LayerCandidate {
                    hook,
                    fvu: evaluation.fvu,
                    l0: evaluation.l0,
                });
            }
            tests.push(outcome(tested, model, dataset, n_rows, found));
        }
        Ok(tests)
    }

    /// Rows `[n, d_model]` at each of `hooks`, n being the same about [`N_ROWS`] positions.
    fn rows_at(
        &self,
        model: &LoadedModel,
        dataset: &str,
        hooks: &[HookPoint],
        job: &JobContext,
    ) -> Result<Vec<Vec<f32>>> {
        let name = dataset;
        let dataset = self.dataset(dataset)?;
        let n_samples = dataset.records.len();
        let mut rows: Vec<Vec<f32>> = vec![Vec::new(); hooks.len()];
        let mut n_rows = 0;
        for at in spread(n_samples) {
            if n_rows >= N_ROWS {
                break;
            }
            job.check_cancelled()?;
            job.report(
                "Testing layers",
                n_rows.min(N_ROWS) as u64,
                N_ROWS as u64,
                "rows",
            );
            let record = &dataset.records[at];
            let film = load_film_of(&dataset, at as u32)?;
            let input = model.hooked.prepare(models::ModelSample {
                film: film.as_ref(),
                report: record.report.as_ref(),
                items: (!record.items.is_empty()).then(|| training_items(record)),
                user: Some(user_number(record, at as u32)),
                ..models::ModelSample::default()
            })?;
            let captured = model
                .hooked
                .capture(std::slice::from_ref(&input), hooks)?
                .pop()
                .unwrap_or_default();
            for ((captured, &hook), rows) in captured.iter().zip(hooks).zip(&mut rows) {
                let positions = model.hooked.positions(&input, hook)?;
                let values = captured.values.chunks_exact(captured.d_model.max(1));
                for (info, row) in positions.iter().zip(values) {
                    if is_wanted(model, hook, info.class) {
                        rows.extend_from_slice(row);
                    }
                }
                n_rows = rows.len() / captured.d_model.max(1);
            }
        }
        if n_rows == 0 {
            return Err(EngineError::request(format!(
                "no position of datasets/{name} that is neither template nor image can be read \
                 through models/{}; choose a dataset with reports",
                model.name
            )));
        }
        Ok(rows)
    }
}

/// A dictionary under test.
pub(crate) struct TestedSae<'a> {
    pub(crate) name: String,
    pub(crate) sae: &'a SparseAutoencoder,
    pub(crate) expected: Option<HookPoint>,
}

/// Every index below `n` once, neighbours far apart, so that the first few already are a fair
/// sample of the whole.
fn spread(n: usize) -> impl Iterator<Item = usize> {
    let mut step = (n as f64 * 0.618) as usize | 1;
    while step > 1 && gcd(step, n) != 1 {
        step += 2;
    }
    (0..n).map(move |i| (i * step.max(1)) % n)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn is_wanted(model: &LoadedModel, hook: HookPoint, class: PositionClass) -> bool {
    use PositionClass as P;
    if hook.is_vision() {
        class == P::Image
    } else if model.recommender.is_some() {
        class == P::Item
    } else {
        matches!(
            class,
            P::Indication | P::Comparison | P::Report | P::Generated
        )
    }
}

/// Number of the block in a hook point's name.
fn block_of(hook: HookPoint) -> Option<usize> {
    hook.to_string()
        .split('.')
        .find_map(|part| part.parse().ok())
}

/// Hook points to test: those named, else the expected one and its neighbours, else every block.
fn candidates(
    model: &LoadedModel,
    tested: &TestedSae<'_>,
    hooks: Option<&str>,
) -> Result<Vec<HookPoint>> {
    let d_model = tested.sae.d_model();
    let like = tested.expected.unwrap_or(HookPoint::ResidPost(0));
    let fits = |hook: HookPoint| {
        let known = model.card().hooks.iter().find(|info| info.hook == hook);
        known.is_some_and(|info| info.d_model as usize == d_model)
    };
    let mut found: Vec<HookPoint> = match hooks.map(str::trim) {
        Some(names) if names != "all" => {
            let named: Vec<HookPoint> = names
                .split(',')
                .map(|name| Ok(name.trim().parse::<HookPoint>()?))
                .collect::<Result<_>>()?;
            if let Some(&hook) = named.iter().find(|&&hook| !fits(hook)) {
                return Err(misfit(model, &tested.name, d_model, hook));
            }
            named
        }
        all => model
            .card()
            .hooks
            .iter()
            .map(|info| info.hook)
            .filter(|&hook| discriminant(&hook) == discriminant(&like) && fits(hook))
            .filter(|&hook| {
                all.is_some()
                    || tested.expected.is_none()
                    || match (block_of(hook), block_of(like)) {
                        (Some(block), Some(expected)) => block.abs_diff(expected) <= 1,
                        _ => true,
                    }
            })
            .collect(),
    };
    found.dedup();
    if found.is_empty() {
        return Err(misfit(model, &tested.name, d_model, like));
    }
    Ok(found)
}

/// Why a dictionary cannot be read at `hook`.
pub(crate) fn misfit(
    model: &LoadedModel,
    sae: &str,
    d_model: usize,
    hook: HookPoint,
) -> EngineError {
    let known = &model.card().hooks;
    let what = match known.iter().find(|info| info.hook == hook) {
        Some(info) => format!("has width {}", info.d_model),
        None => "does not exist".to_owned(),
    };
    EngineError::request(format!(
        "{sae} reads vectors of width {d_model}, but {hook} of models/{} {what}; it has {}",
        model.name,
        crate::model_registry::hooks_in_words(
            known
                .iter()
                .map(|info| (info.hook.to_string(), info.d_model))
        )
    ))
}

fn outcome(
    tested: &TestedSae<'_>,
    model: &str,
    dataset: &str,
    n_rows: usize,
    candidates: Vec<LayerCandidate>,
) -> LayerTest {
    let lowest = candidates
        .iter()
        .min_by(|a, b| a.fvu.total_cmp(&b.fvu))
        .filter(|best| best.fvu < 1.0);
    let agrees = lowest.and_then(|best| Some(tested.expected? == best.hook));
    let k = tested.sae.sparsity().k();
    let is_near = |l0: f64| {
        k.is_none_or(|k| {
            let ratio = l0 / f64::from(k);
            (1.0 / MAX_L0_RATIO..=MAX_L0_RATIO).contains(&ratio)
        })
    };
    let is_settled = lowest.is_some_and(|best| is_near(best.l0));
    let mut sentence = match (lowest, tested.expected, agrees) {
        (None, _, _) => "The FVU is 1 or more everywhere, no better than the mean: the test tells \
                         nothing"
            .to_owned(),
        (Some(best), Some(_), Some(true)) => format!(
            "The FVU is lowest at {}, as the dictionary's files say",
            best.hook
        ),
        (Some(best), Some(expected), _) => format!(
            "The FVU is lowest at {}, while the dictionary's files say {expected}",
            best.hook
        ),
        (Some(best), None, _) => format!(
            "The FVU is lowest at {}; the dictionary's files name no layer",
            best.hook
        ),
    };
    if let (Some(best), Some(k), false) = (lowest, k, is_settled) {
        sentence = format!(
            "{sentence}; its L0 there, {:.1}, is far from k = {k}, so the test settles nothing",
            best.l0
        );
    }
    LayerTest {
        sae: tested.name.clone(),
        model: model.to_owned(),
        dataset: dataset.to_owned(),
        n_rows,
        k,
        is_settled,
        lowest: lowest.map(|best| best.hook),
        expected: tested.expected,
        agrees,
        sentence,
        candidates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_meets_every_sample_once() {
        for n in [0, 1, 2, 3, 5, 10, 30, 97, 1000] {
            let mut met: Vec<usize> = spread(n).collect();
            met.sort_unstable();
            assert_eq!(met, (0..n).collect::<Vec<_>>(), "{n}");
        }
    }

    #[test]
    fn block_numbers_are_told_from_names() {
        assert_eq!(block_of(HookPoint::ResidPost(15)), Some(15));
        assert_eq!(block_of(HookPoint::VisionStageOut(2)), Some(2));
        assert_eq!(block_of(HookPoint::LnFinal), None);
    }
}
