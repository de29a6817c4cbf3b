//! What the invented project says of dictionaries and models that come in and go out.

use std::sync::Arc;

use engine::views::{AddModelRequest, Event, JobEnd};
use engine::{
    ExportRequest, ImportedSae, ImportedTable, LayerCandidate, LayerTest, SaeImport,
    SaeImportRequest,
};
use schema::{HarvestManifest, HookPoint, JobId, SaeEvaluation, Skipped};

use super::invented::Invented;
use crate::backend::{Answer, Exchange};

/// What reading an invented dictionary back gave.
const READ_BACK: engine::ReadBack = engine::ReadBack {
    largest_difference: 1.2e-6,
    largest_value: 7.4,
    n_rows: 256,
};

impl Exchange for Invented {
    fn harvests(&self) -> Answer<Arc<Vec<HarvestManifest>>> {
        let harvest = |name: &str, hook, d_model| HarvestManifest {
            name: name.to_owned(),
            model: "invented-tower".to_owned(),
            model_hash: String::new(),
            dataset: "films".to_owned(),
            dataset_hash: String::new(),
            hook,
            classes: Vec::new(),
            d_model,
            pool: 1,
            samples_per_shard: 64,
            n_samples: 500,
        };
        Ok(Arc::new(vec![
            harvest("films", HookPoint::VisionLnFinal, 96),
            harvest("films-block-2", HookPoint::ResidPost(2), 64),
        ]))
    }

    fn import_sae(&self, request: SaeImportRequest) -> Answer<JobId> {
        let or_none = |name: &Option<String>| name.as_deref().unwrap_or("none").to_owned();
        let (hook, k) = (request.hook, request.k);
        self.note(format!(
            "import dictionary {} from {} as {}, model {}, dataset {}, harvest {}, hook {}, hooks \
             {}, k {}",
            request.name,
            request.path.display(),
            request.format,
            or_none(&request.model),
            or_none(&request.dataset),
            or_none(&request.harvest),
            or_none(&hook.map(|hook| hook.to_string())),
            or_none(&request.hooks),
            or_none(&k.map(|k| k.to_string()))
        ));
        let job = JobId(36);
        if self.runs_on(job, "Import a dictionary") {
            return Ok(job);
        }
        if request.name.starts_with("bad") {
            let why =
                "ae.pt: it names \"os.system\", and a file of tensors names nothing that runs";
            self.send(Event::JobEnded(job, JobEnd::Failed(why.to_owned())));
            return Ok(job);
        }
        let imported = imported(&request);
        let sentence = imported.sentence();
        self.send(Event::DictionariesImported(job, Box::new(imported)));
        self.send(Event::JobEnded(job, JobEnd::Finished(sentence)));
        Ok(job)
    }

    fn export_sae(&self, request: ExportRequest) -> Answer<JobId> {
        self.note(format!(
            "export dictionary {} as {} into {}",
            request.sae,
            request.format,
            request.out.display()
        ));
        let job = JobId(37);
        let answer = engine::ExportAnswer {
            rule: "topk".to_owned(),
            read_back: READ_BACK,
        };
        let said = answer.sentence(&request.out);
        self.send(Event::JobEnded(job, JobEnd::Finished(said)));
        Ok(job)
    }

    fn add_model(&self, request: AddModelRequest) -> Answer<JobId> {
        self.note(format!(
            "add model {} from {}, weights {}",
            request.name, request.path, request.weights
        ));
        let job = JobId(35);
        if self.runs_on(job, "Add a model") {
            return Ok(job);
        }
        if request.name.starts_with("bad") {
            let why = format!("{}: the file ends before its tensors do", request.path);
            self.send(Event::JobEnded(job, JobEnd::Failed(why)));
        }
        Ok(job)
    }
}

/// One dictionary, tested at three blocks, with a file that was left out.
fn imported(request: &SaeImportRequest) -> SaeImport {
    let figures = [(1, 0.412), (2, 0.087), (3, 0.335)];
    let candidates = figures.map(|(block, fvu)| LayerCandidate {
        hook: HookPoint::ResidPost(block),
        fvu,
        l0: 30.0 + f64::from(block as u32),
    });
    let hook = HookPoint::ResidPost(2);
    let test = LayerTest {
        sae: request.name.clone(),
        model: "invented-tower".to_owned(),
        dataset: "films".to_owned(),
        n_rows: 2012,
        k: Some(32),
        candidates: candidates.to_vec(),
        lowest: Some(hook),
        expected: Some(hook),
        agrees: Some(true),
        is_settled: true,
        sentence: format!("The FVU is lowest at {hook}, as the dictionary's files say"),
    };
    SaeImport {
        dictionaries: vec![ImportedSae {
            name: request.name.clone(),
            class: "MatryoshkaBatchTopKSAE".to_owned(),
            d_model: 64,
            n_features: 2048,
            k: Some(32),
            hook,
            harvest: format!("{}-{hook}", request.name),
            evaluation: SaeEvaluation {
                fvu: 0.087,
                l0: 32.0,
                dead_share: 0.02,
                n_features: 2048,
                n_rows: 51_200,
            },
            read_back: READ_BACK,
            n_proposals: 1990,
            tables: vec![ImportedTable {
                file: "interpretations.parquet".to_owned(),
                blake3: String::new(),
                n_rows: 2010,
                n_proposals: 1990,
            }],
            layer_test: Some(test),
            notes: Vec::new(),
        }],
        skipped: vec![Skipped {
            place: "second_opinion.csv".to_owned(),
            reason: "it names feature 4096, but the dictionary beside it has only 0 to 2047"
                .to_owned(),
        }],
    }
}
