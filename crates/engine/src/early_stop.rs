//! Training of a dictionary that ends when its reconstructions rank no better, as `RecSAE` does.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use models::recommenders::{EvaluationSet, RankingMetrics, Recommender};
use sae::{ActivationSource, SparseAutoencoder};
use schema::{HarvestManifest, HookPoint, KeptMetric, KeptReport, SaeConfig, Split};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::evaluate_ranking::check_catalogue;
use crate::jobs::JobContext;
use crate::kept_gauge::KeptCurve;
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
    /// HR and NDCG with the user vectors themselves.
    plain: RankingMetrics,
}

/// Cut-offs of what is told by pass.
const CUT_OFFS: [u32; 2] = [5, 10];

impl DevRanking {
    /// HR and NDCG with reconstructed user vectors.
    fn through(&self, sae: &SparseAutoencoder) -> Result<RankingMetrics> {
        let back = sae.reconstruct(&self.vectors)?;
        let ranks = self.set.ranks(&self.recommender, &back)?;
        Ok(RankingMetrics::from_ranks(&ranks, &CUT_OFFS))
    }

    /// Whether the recommender itself has any dev item among its first ten.
    pub(crate) fn has_hits(&self) -> bool {
        self.plain.ndcg_at(10).is_some_and(|ndcg| ndcg > 0.0)
    }

    /// The share of NDCG@10 that is kept with reconstructed user vectors.
    pub(crate) fn share_kept(&self, sae: &SparseAutoencoder) -> Result<Option<f64>> {
        Ok(self.share_of(&self.through(sae)?))
    }

    fn share_of(&self, ranked: &RankingMetrics) -> Option<f64> {
        sae::share_kept(ranked.ndcg_at(10)?, self.plain.ndcg_at(10)?)
    }
}

impl Session {
    /// What says when to stop: the dev part of the dataset that a harvest of user vectors is of.
    pub(crate) fn dev_ranking(&self, manifest: &HarvestManifest) -> Result<DevRanking> {
        if manifest.hook != HookPoint::UserVector
            || self.model(&manifest.model)?.recommender.is_none()
        {
            return Err(EngineError::request(format!(
                "early_stop needs {} of a recommender, whose dev part says when to stop; {} was \
                 read at {} of models/{}",
                HookPoint::UserVector,
                manifest.name,
                manifest.hook,
                manifest.model
            )));
        }
        self.dev_ranking_if_any(manifest)?.ok_or_else(|| {
            EngineError::request(format!(
                "early_stop needs dev items, and datasets/{} has none",
                manifest.dataset
            ))
        })
    }

    /// The same; `None` for rows that are no user vectors, and a dataset without dev items.
    pub(crate) fn dev_ranking_if_any(
        &self,
        manifest: &HarvestManifest,
    ) -> Result<Option<DevRanking>> {
        if manifest.hook != HookPoint::UserVector {
            return Ok(None);
        }
        let Some(recommender) = self.model(&manifest.model)?.recommender.clone() else {
            return Ok(None);
        };
        let data = self.interactions(&manifest.dataset)?;
        check_catalogue((&manifest.model, &recommender), (&manifest.dataset, &data))?;
        let set = EvaluationSet::new(&data, Split::Dev);
        if set.is_empty() {
            return Ok(None);
        }
        let vectors = set.user_vectors(&recommender)?;
        let plain = set.ranks(&recommender, &vectors)?;
        Ok(Some(DevRanking {
            plain: RankingMetrics::from_ranks(&plain, &CUT_OFFS),
            set,
            recommender,
            vectors,
        }))
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
    let mut kept = KeptCurve::open(folder, !passes.is_empty())?;
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
            let ranked = dev.through(&trained.sae)?;
            if let Some(share) = dev.share_of(&ranked)
                && !kept.reaches(until)
            {
                kept.add(KeptReport {
                    step: until,
                    metric: KeptMetric::NdcgKept,
                    share: share as f32,
                })?;
            }
            job.kept(kept.points());
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
