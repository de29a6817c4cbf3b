//! What the model keeps of its task on reconstructions, told at some steps of a dictionary's
//! training: the share of its loss on held-out reports, or of its ranking of dev items.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use models::{Architecture, ModelInput};
use sae::{ActivationSource, SparseAutoencoder};
use schema::{DatasetKind, HarvestManifest, KeptMetric, KeptReport, Split, StepReport};

use crate::early_stop::DevRanking;
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::model_registry::LoadedModel;
use crate::reconstructed_loss::{Instead, prepare_report, report_loss};
use crate::session::Session;
use crate::train_sae::{PlacedRun, RunOutcome, train_all_in, train_until};

/// The curve, beside the dictionary.
pub(crate) const KEPT: &str = "kept.jsonl";
/// Times that it is measured in a training, evenly apart, the last time at its end.
pub(crate) const N_POINTS: u32 = 5;
/// Reports that the model is run on each time.
const N_REPORTS: usize = 4;

/// Runs the model on reconstructions.
pub(crate) struct KeptGauge {
    task: Task,
}

enum Task {
    Loss {
        model: Arc<LoadedModel>,
        manifest: Box<HarvestManifest>,
        inputs: Vec<ModelInput>,
        /// Losses of all reports with zeros and unchanged, once they were needed.
        bounds: Option<(f64, f64)>,
    },
    Ranking(DevRanking),
}

impl Session {
    /// What tells how much a model keeps on reconstructions of the rows of a harvest; `None` where
    /// nothing does: rows that no model reads, a model that writes no text, no held-out reports.
    pub(crate) fn kept_gauge(&self, manifest: &HarvestManifest) -> Result<Option<KeptGauge>> {
        let dataset = self.dataset(&manifest.dataset)?;
        if dataset.manifest.kind == DatasetKind::Interactions {
            let ranking = self.dev_ranking_if_any(manifest)?;
            let task = ranking.filter(DevRanking::has_hits).map(Task::Ranking);
            return Ok(task.map(|task| KeptGauge { task }));
        }
        if manifest.pool > 1 {
            return Ok(None);
        }
        let model = self.model(&manifest.model)?;
        let needs_film = model.card().architecture != Architecture::Llama;
        let held_out: Vec<u32> = (0_u32..manifest.n_samples)
            .zip(&dataset.records)
            .filter(|(_, record)| {
                record.split != Split::Train
                    && record.report.is_some()
                    && (record.image.is_some() || !needs_film)
            })
            .map(|(sample, _)| sample)
            .collect();
        let every = held_out.len().div_ceil(N_REPORTS).max(1);
        let mut inputs = Vec::new();
        for &sample in held_out.iter().step_by(every) {
            inputs.push(prepare_report(&model, &dataset, sample)?);
        }
        // A model that writes no text says so at the first report.
        let Some(first) = inputs.first() else {
            return Ok(None);
        };
        if report_loss(&model, manifest, first, Instead::Nothing)?.is_none() {
            return Ok(None);
        }
        Ok(Some(KeptGauge {
            task: Task::Loss {
                model,
                manifest: Box::new(manifest.clone()),
                inputs,
                bounds: None,
            },
        }))
    }
}

impl KeptGauge {
    /// What is told.
    fn metric(&self) -> KeptMetric {
        match self.task {
            Task::Loss { .. } => KeptMetric::LossRecovered,
            Task::Ranking(_) => KeptMetric::NdcgKept,
        }
    }

    /// The share kept with a dictionary's reconstructions, 1 for all of it; `None` where the model
    /// loses nothing even on zeros.
    pub(crate) fn share(
        &mut self,
        sae: &SparseAutoencoder,
        job: &JobContext,
    ) -> Result<Option<f64>> {
        match &mut self.task {
            Task::Ranking(ranking) => ranking.share_kept(sae),
            Task::Loss {
                model,
                manifest,
                inputs,
                bounds,
            } => {
                let sum = |instead: Instead<'_>| -> Result<f64> {
                    let mut sum = 0.0;
                    for input in inputs.iter() {
                        job.check_cancelled()?;
                        let loss = report_loss(model, manifest, input, instead)?;
                        sum += loss.map_or(0.0, |(loss, _)| loss);
                    }
                    Ok(sum)
                };
                let (zero, clean) = match *bounds {
                    Some(known) => known,
                    None => *bounds.insert((sum(Instead::Zeros)?, sum(Instead::Nothing)?)),
                };
                let sae = Arc::new(sae.clone());
                let own = sum(Instead::Reconstruction(&sae))?;
                Ok(sae::loss_recovered(zero, own, clean))
            }
        }
    }

    /// How long all points of a training take, from one report or ranking.
    pub(crate) fn seconds(&self, sae: &SparseAutoencoder) -> Result<f64> {
        let clock = Instant::now();
        let n = match &self.task {
            Task::Ranking(ranking) => {
                ranking.share_kept(sae)?;
                N_POINTS
            }
            Task::Loss {
                model,
                manifest,
                inputs,
                ..
            } => {
                let sae = Arc::new(sae.clone());
                if let Some(first) = inputs.first() {
                    report_loss(model, manifest, first, Instead::Reconstruction(&sae))?;
                }
                // Once with zeros and twice unchanged beside.
                inputs.len() as u32 * (N_POINTS + 2) + 1
            }
        };
        Ok(clock.elapsed().as_secs_f64() * f64::from(n))
    }

    /// The same as a point of the curve.
    pub(crate) fn measure(
        &mut self,
        step: u32,
        sae: &SparseAutoencoder,
        job: &JobContext,
    ) -> Result<Option<KeptReport>> {
        let metric = self.metric();
        Ok(self.share(sae, job)?.map(|share| KeptReport {
            step,
            metric,
            share: share as f32,
        }))
    }
}

/// The curve of one run on the disk: each step once, however often the run resumed.
pub(crate) struct KeptCurve {
    path: PathBuf,
    known: Vec<KeptReport>,
}

impl KeptCurve {
    /// The curve in a run's folder; a new one where the run has no checkpoint to go on from.
    pub(crate) fn open(folder: &Path, is_resumed: bool) -> Result<Self> {
        let path = folder.join(KEPT);
        let fault = |error| EngineError::other(format!("{}: {error}", path.display()));
        if !is_resumed {
            fs::remove_file(&path).ok();
        } else if let Ok(text) = fs::read(&path)
            && text.last().is_some_and(|&byte| byte != b'\n')
        {
            let end = text.iter().rposition(|&byte| byte == b'\n');
            fs::write(&path, &text[..end.map_or(0, |end| end + 1)]).map_err(fault)?;
        }
        Ok(Self {
            known: read_curve(folder)?,
            path,
        })
    }

    /// The points so far.
    pub(crate) fn points(&self) -> &[KeptReport] {
        &self.known
    }

    /// Whether there is a point of this step or a later one.
    pub(crate) fn reaches(&self, step: u32) -> bool {
        self.known.last().is_some_and(|point| point.step >= step)
    }

    /// Adds a point.
    pub(crate) fn add(&mut self, point: KeptReport) -> Result<()> {
        let mut line = serde_json::to_vec(&point)
            .map_err(|error| EngineError::other(format!("{}: {error}", self.path.display())))?;
        line.push(b'\n');
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&line))
            .map_err(|error| EngineError::other(format!("{}: {error}", self.path.display())))?;
        self.known.push(point);
        Ok(())
    }
}

/// The curve of a run; empty where none was kept. A line that was cut off is no point yet.
pub(crate) fn read_curve(folder: &Path) -> Result<Vec<KeptReport>> {
    let path = folder.join(KEPT);
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(Vec::new());
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}

/// Trains as [`train_all_in`] does, and says at [`N_POINTS`] steps what the model keeps with each
/// dictionary. The dictionaries have the bytes that they have without.
pub(crate) fn train_gauged(
    runs: &[PlacedRun<'_>],
    source: &mut dyn ActivationSource,
    gauge: Option<KeptGauge>,
    job: &JobContext,
) -> Result<Vec<RunOutcome>> {
    let Some(mut gauge) = gauge else {
        return train_all_in(runs.to_vec(), source, job);
    };
    let mut curves = Vec::with_capacity(runs.len());
    for (folder, ..) in runs {
        let curve = KeptCurve::open(folder, crate::train_sae::has_checkpoint(folder))?;
        curves.push(curve);
    }
    let total = runs.iter().map(|run| run.1.steps).max().unwrap_or(0);
    let mut last: Vec<Option<StepReport>> = vec![None; runs.len()];
    for point in 1..=N_POINTS {
        let until = (u64::from(total) * u64::from(point)).div_ceil(u64::from(N_POINTS)) as u32;
        let outcomes = train_until(runs.to_vec(), source, until, job)?;
        let reached = |steps: u32| until.min(steps);
        if outcomes
            .iter()
            .zip(runs)
            .any(|((trained, _), run)| trained.steps_done < reached(run.1.steps))
        {
            return Err(EngineError::cancelled());
        }
        for (place, (trained, report)) in outcomes.iter().enumerate() {
            last[place] = report.or(last[place]);
            let curve = &mut curves[place];
            if trained.steps_done == reached(runs[place].1.steps)
                && !curve.reaches(trained.steps_done)
                && let Some(point) = gauge.measure(trained.steps_done, &trained.sae, job)?
            {
                curve.add(point)?;
            }
            // Several dictionaries in one pass: the curve shown is that of the first, as are its steps.
            if place == 0 {
                job.kept(curve.points());
            }
        }
        if point == N_POINTS {
            let trained = outcomes.into_iter().map(|(trained, _)| trained);
            return Ok(trained.zip(last).collect());
        }
    }
    Err(EngineError::other("a training has no last step"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_on_and_a_cut_line_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let point = |step| KeptReport {
            step,
            metric: KeptMetric::LossRecovered,
            share: 0.5,
        };
        let mut curve = KeptCurve::open(dir.path(), false).unwrap();
        curve.add(point(10)).unwrap();
        curve.add(point(20)).unwrap();
        let path = dir.path().join(KEPT);
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":30,\"met");
        fs::write(&path, &text).unwrap();
        let mut curve = KeptCurve::open(dir.path(), true).unwrap();
        assert!(curve.reaches(20) && !curve.reaches(21));
        curve.add(point(30)).unwrap();
        let steps: Vec<u32> = read_curve(dir.path())
            .unwrap()
            .iter()
            .map(|p| p.step)
            .collect();
        assert_eq!(steps, [10, 20, 30]);
        assert!(
            KeptCurve::open(dir.path(), false)
                .unwrap()
                .points()
                .is_empty()
        );
    }
}
