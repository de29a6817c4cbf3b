//! Trains the phantom vision-language model on phantom films and prints how it goes.
//!
//! `train_phantom_vlm FOLDER [SETTINGS.json]`; what the settings do not name is the default.
#![expect(clippy::print_stdout, reason = "an example reports to the terminal")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use datasets::phantom::{FINDINGS, in_finding_order, radiograph};
use models::ModelError;
use models::training::phantom_vlm::{
    PlantedFinding, VlmExample, VlmProgress, VlmStage, VlmTrainingConfig, train,
};

/// Seed of the phantom films that the model learns from.
const FILM_SEED: u64 = 20_261_123;

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of a source of examples"
)]
fn example(index: u32) -> Result<VlmExample, ModelError> {
    let phantom = radiograph(FILM_SEED, index, 224);
    let record = phantom.record;
    let findings = record
        .findings
        .unwrap_or_default()
        .iter()
        .filter_map(|name| {
            let mask = record.boxes.iter().find(|planted| planted.finding == *name);
            Some(PlantedFinding {
                finding: FINDINGS.iter().position(|finding| finding == name)?,
                mask: mask.and_then(|planted| planted.mask.clone()),
            })
        })
        .collect();
    Ok(VlmExample {
        film: phantom.film,
        findings,
        report: in_finding_order(&record.report.unwrap_or_default().text()),
    })
}

fn main() -> Result<(), ModelError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().map_or("phantom-vlm", String::as_str);
    let settings = match arguments.get(1) {
        Some(path) => std::fs::read(path).map_err(|source| ModelError::Read {
            path: PathBuf::from(path),
            source,
        })?,
        None => b"{}".to_vec(),
    };
    let config: VlmTrainingConfig = serde_json::from_slice(&settings)
        .map_err(|error| ModelError::Request(format!("settings: {error}")))?;
    let findings: Vec<String> = FINDINGS.iter().map(|&name| name.to_owned()).collect();
    let start = Instant::now();
    let mut sum = (0.0_f32, 0_u32);
    let mut observer = |progress: VlmProgress| {
        sum = (sum.0 + progress.loss, sum.1 + 1);
        let every = match progress.stage {
            VlmStage::Films | VlmStage::Tokens => 1_024,
            VlmStage::Vision | VlmStage::Text => 25,
        };
        if progress.done.is_multiple_of(every) || progress.done == progress.total {
            println!(
                "{:7.1} s  {:?} {}/{}  loss {:.4}",
                start.elapsed().as_secs_f32(),
                progress.stage,
                progress.done,
                progress.total,
                sum.0 / sum.1 as f32
            );
            sum = (0.0, 0);
        }
        ControlFlow::Continue(())
    };
    let trained = train(
        &config,
        &findings,
        &example,
        Path::new(folder),
        &mut observer,
    )?;
    for score in trained.dense_scores {
        println!(
            "{:18} patch AUROC {:.4}  film AUROC {:.4}  film F1 {:.3}",
            score.finding, score.patch_auroc, score.film_auroc, score.film_f1
        );
    }
    Ok(())
}
