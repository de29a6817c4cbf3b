//! The job that trains the phantom model from scratch on phantoms of its own.

use datasets::phantom::{FINDINGS, in_finding_order, radiograph};
use models::training::phantom_vlm::{
    PlantedFinding, VlmExample, VlmStage, VlmTrainingConfig, train,
};
use models::{Architecture, ModelError};
use serde_json::json;
use store::ArtefactKind;

use crate::error::{EngineError, Result};
use crate::import::PHANTOM_SIDE;
use crate::jobs::JobContext;
use crate::session::Session;

/// Seed of the films it learns from; those of projects and scores have others.
const FILM_SEED: u64 = 20_261_123;

/// The film number `index` as an example to learn from.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the trainer's examples may come from files, which can fail"
)]
fn example(index: u32) -> std::result::Result<VlmExample, ModelError> {
    let phantom = radiograph(FILM_SEED, index, PHANTOM_SIDE);
    let record = phantom.record;
    let findings = record
        .findings
        .unwrap_or_default()
        .iter()
        .filter_map(|name| {
            let planted = record.boxes.iter().find(|planted| planted.finding == *name);
            Some(PlantedFinding {
                finding: FINDINGS.iter().position(|finding| finding == name)?,
                mask: planted.and_then(|planted| planted.mask.clone()),
            })
        })
        .collect();
    Ok(VlmExample {
        film: phantom.film,
        findings,
        report: in_finding_order(&record.report.unwrap_or_default().text()),
    })
}

impl Session {
    /// Trains a phantom model; goes on where it stopped.
    ///
    /// # Errors
    /// When a setting is out of range or the name is taken.
    pub fn train_phantom_vlm(
        &self,
        name: &str,
        settings: Option<&str>,
        steps: Option<u32>,
        seed: u64,
        job: &JobContext,
    ) -> Result<serde_json::Value> {
        if self.project.is_finished(ArtefactKind::Model, name) {
            return Err(EngineError::request(format!(
                "models/{name} is already there; choose another name"
            )));
        }
        let mut config: VlmTrainingConfig = toml::from_str(settings.unwrap_or_default())
            .map_err(|error| EngineError::request(format!("settings: {error}")))?;
        if let Some(steps) = steps {
            config.vision_steps = steps;
            config.text_steps = steps;
        }
        config.seed = seed;
        let folder = self.root().join("checkpoints").join(name);
        std::fs::create_dir_all(&folder)
            .map_err(|error| EngineError::other(format!("{}: {error}", folder.display())))?;
        let findings: Vec<String> = FINDINGS.iter().map(|&name| name.to_owned()).collect();
        let trained = train(&config, &findings, &example, &folder, &mut |progress| {
            let (stage, unit) = match progress.stage {
                VlmStage::Films => ("Drawing films", "films"),
                VlmStage::Vision => ("Training the image tower", "steps"),
                VlmStage::Tokens => ("Reading films", "films"),
                VlmStage::Text => ("Training projector and decoder", "steps"),
            };
            job.step(stage, progress.done.into(), progress.total.into(), unit)
        })?;
        let scores: Vec<serde_json::Value> = trained
            .dense_scores
            .iter()
            .map(|score| {
                json!({
                    "finding": score.finding,
                    "patch_auroc": score.patch_auroc,
                    "film_auroc": score.film_auroc,
                    "film_f1": score.film_f1,
                })
            })
            .collect();
        let record = json!({ "settings": config, "dense_scores": scores });
        self.keep_model(name, Architecture::PhantomVlm, None, record.clone(), |to| {
            for file in ["config.json", "model.safetensors"] {
                std::fs::copy(folder.join(file), to.join(file))
                    .map_err(|error| EngineError::other(format!("{file}: {error}")))?;
            }
            Ok(())
        })?;
        std::fs::remove_dir_all(&folder).ok();
        std::fs::remove_dir(self.root().join("checkpoints")).ok();
        Ok(record)
    }
}
