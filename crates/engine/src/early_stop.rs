//! Training of a dictionary that ends when its reconstructions rank no better, as `RecSAE` does.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use models::recommenders::{EvaluationSet, RankingMetrics, Recommender};
use sae::{ActivationSource, SparseAutoencoder};
use schema::{HookPoint, SaeConfig, Split};
use serde::{Deserialize, Serialize};
use store::HarvestReader;

use crate::error::{EngineError, Result};
use crate::evaluate_ranking::check_catalogue;
use crate::jobs::JobContext;
use crate::model_registry::to_json;
use crate::session::Session;
use crate::train_sae::{CHECKPOINTS, PlacedRun, RunOutcome, train_until};

/// Curve of the passes, beside the dictionary.
const PASSES: &str = "passes.json";
/// Best dictionary so far, among the checkpoints.
const BEST: &str = "best";

/// The dev part of a recommender's dataset, with the user vectors it is ranked with.
pub(crate) struct DevRanking {
    set: EvaluationSet,
    recommender: Arc<Recommender>,
    vectors: Vec<f32>,
}

impl DevRanking {
    /// HR and NDCG with reconstructed user vectors.
    fn through(&self, sae: &SparseAutoencoder) -> Result<RankingMetrics> {
        let back = sae.reconstruct(&self.vectors)?;
        let ranks = self.set.ranks(&self.recommender, &back)?;
        Ok(RankingMetrics::from_ranks(&ranks, &[5, 10]))
    }
}

impl Session {
    /// What says when to stop: the dev part of the dataset that a harvest of user vectors is of.
    pub(crate) fn dev_ranking(&self, reader: &HarvestReader) -> Result<DevRanking> {
        let manifest = reader.manifest();
        let model = self.model(&manifest.model)?;
        let Some(recommender) = model
            .recommender
            .clone()
            .filter(|_| manifest.hook == HookPoint::UserVector)
        else {
            return Err(EngineError::request(format!(
                "early_stop needs {} of a recommender, whose dev part says when to stop; {} was \
                 read at {} of models/{}",
                HookPoint::UserVector,
                manifest.name,
                manifest.hook,
                manifest.model
            )));
        };
        let data = self.interactions(&manifest.dataset)?;
        check_catalogue((&manifest.model, &recommender), (&manifest.dataset, &data))?;
        let set = EvaluationSet::new(&data, Split::Dev);
        if set.is_empty() {
            return Err(EngineError::request(format!(
                "early_stop needs dev items, and datasets/{} has none",
                manifest.dataset
            )));
        }
        let vectors = set.user_vectors(&recommender)?;
        Ok(DevRanking {
            set,
            recommender,
            vectors,
        })
    }
}

/// How the dictionary ranked after one pass over the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pass {
    /// Steps done.
    step: u32,
    /// Dev HR@5 with reconstructed user vectors.
    hr: f64,
    /// Dev NDCG@5 with reconstructed user vectors.
    ndcg: f64,
}

/// Passes after the best one.
fn since_best(passes: &[Pass]) -> usize {
    let best = passes.iter().enumerate().fold(0, |best, (at, pass)| {
        if pass.ndcg > passes[best].ndcg {
            at
        } else {
            best
        }
    });
    passes.len().saturating_sub(best + 1)
}

/// Trains one run pass by pass until its dev NDCG@5 has not risen for `early_stop` of them, and gives
/// the dictionary of the best pass. Goes on where it stopped.
///
/// # Determinism
/// The same bytes, interrupted or not.
pub(crate) fn train(
    runs: Vec<PlacedRun<'_>>,
    source: &mut dyn ActivationSource,
    dev: &DevRanking,
    job: &JobContext,
) -> Result<RunOutcome> {
    let Some((folder, config, initial)) = runs.into_iter().next() else {
        return Err(EngineError::other("no dictionary is to be trained"));
    };
    let patience = config.early_stop.unwrap_or(u32::MAX) as usize;
    let per_pass = steps_per_pass(config, source.n_rows());
    let best = folder.join(CHECKPOINTS).join(BEST);
    let mut passes = read_passes(folder)?;
    let mut last = None;
    loop {
        let until = (passes.len() as u32 + 1).saturating_mul(per_pass);
        let until = until.min(config.steps);
        let run = (folder, config, initial.clone());
        let (trained, report) = train_until(vec![run], source, until, job)?
            .pop()
            .ok_or_else(|| EngineError::other("no dictionary was trained"))?;
        // Without a report there was nothing left to do up to there.
        let is_there = report.is_none_or(|report| report.step + 1 >= until);
        last = report.or(last);
        if !is_there {
            return Err(EngineError::cancelled());
        }
        if passes.last().is_none_or(|pass| pass.step < until) {
            job.report("Ranking with reconstructions", 0, 0, "users");
            let ranked = dev.through(&trained.sae)?;
            passes.push(Pass {
                step: until,
                hr: ranked.hr_at(5).unwrap_or(0.0),
                ndcg: ranked.ndcg_at(5).unwrap_or(0.0),
            });
            if since_best(&passes) == 0 {
                let note = serde_json::json!({ "step": until });
                fs::remove_dir_all(&best).ok();
                sae::formats::folder::save(&best, &trained.sae, &note)?;
            }
            let text = to_json(&passes)?;
            store::write_atomically(&folder.join(PASSES), &text, store::Durability::PowerCut)?;
        }
        job.check_cancelled()?;
        if trained.completed || since_best(&passes) >= patience {
            let mut trained = trained;
            trained.sae = sae::formats::folder::load(&best)?.0;
            trained.completed = true;
            return Ok((trained, last));
        }
    }
}

/// Steps of a pass over the rows, or what the settings call an epoch.
fn steps_per_pass(config: &SaeConfig, n_rows: u64) -> u32 {
    let pass = n_rows.div_ceil(u64::from(config.batch_rows.max(1)));
    let pass = config.epoch_steps.map_or(pass, u64::from);
    u32::try_from(pass).unwrap_or(u32::MAX).max(1)
}

/// The passes of a run that was begun before; none where it was begun anew.
fn read_passes(folder: &Path) -> Result<Vec<Pass>> {
    let path = folder.join(PASSES);
    if !folder.join(CHECKPOINTS).join(BEST).exists() {
        fs::remove_file(&path).ok();
    }
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display()))),
        Err(_absent) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_from_the_best_pass() {
        let passes = |values: &[f64]| -> Vec<Pass> {
            let each = values.iter().map(|&ndcg| Pass {
                step: 1,
                hr: 0.0,
                ndcg,
            });
            each.collect()
        };
        assert_eq!(since_best(&[]), 0);
        assert_eq!(since_best(&passes(&[0.1])), 0);
        assert_eq!(since_best(&passes(&[0.1, 0.3, 0.2, 0.3])), 2);
        assert_eq!(since_best(&passes(&[0.1, 0.2, 0.3])), 0);
    }
}
