//! Bringing films, reports and histories into the project: a preview first, then all or nothing.

use schema::{CatalogueItem, DatasetKind, DatasetManifest, ImageRef, SampleRecord};
use store::{StoreError, blake3_of_bytes};

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::session::Session;
use crate::views::{ImportPreview, ImportRequest};

/// Side of a phantom film, in pixels.
pub(crate) const PHANTOM_SIDE: u32 = 224;
/// Phantom films drawn together.
const PHANTOM_BATCH: u32 = 64;
/// File of a phantom shoppers' dataset that names the taste at work at every position.
pub(crate) const TRUTH: &str = "truth.json";

/// So many samples of a kind, in the user's words.
pub(crate) fn counted(kind: DatasetKind, n: u32) -> String {
    let noun = match (kind, n) {
        (DatasetKind::Radiographs, 1) => "film",
        (DatasetKind::Radiographs, _) => "films",
        (DatasetKind::Reports, 1) => "report",
        (DatasetKind::Reports, _) => "reports",
        (DatasetKind::Interactions, 1) => "history",
        (DatasetKind::Interactions, _) => "histories",
    };
    format!("{n} {noun}")
}

/// What an import would write.
pub(crate) struct Plan {
    pub(crate) manifest: DatasetManifest,
    pub(crate) records: Vec<SampleRecord>,
    pub(crate) catalogue: Vec<CatalogueItem>,
    pub(crate) recognised: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// All that is left out, listed in the manifest or not.
    pub(crate) n_skipped: usize,
    /// Further files of the dataset.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// Reads what an import would bring; writes nothing.
///
/// # Errors
/// When nothing is usable, or a path, table or column is not there.
pub fn preview(request: &ImportRequest, job: &JobContext) -> Result<ImportPreview> {
    let plan = match request {
        // Enough to show; the rest looks alike.
        ImportRequest::PhantomRadiographs { name, count, seed } => {
            phantom_films_manifest(name, *count, *seed)
        }
        other => plan(other, job)?,
    };
    Ok(preview_of(request, &plan))
}

fn preview_of(request: &ImportRequest, plan: &Plan) -> ImportPreview {
    ImportPreview {
        request: request.clone(),
        kind: plan.manifest.kind,
        n_samples: plan.manifest.n_samples,
        recognised: plan.recognised.clone(),
        warnings: plan.warnings.clone(),
        n_skipped: plan.n_skipped as u64,
        skipped: plan.manifest.skipped.clone(),
    }
}

impl Session {
    /// Imports a dataset: whole, or not at all.
    ///
    /// # Errors
    /// As [`preview`], and when the name is taken.
    pub fn import(&self, request: &ImportRequest, job: &JobContext) -> Result<ImportPreview> {
        let plan = plan(request, job)?;
        job.report("Writing the dataset", 0, 0, "files");
        let mut files = plan.files.iter().cloned().map(Ok::<_, StoreError>);
        self.project
            .write_dataset(&plan.manifest, &plan.records, &plan.catalogue, &mut files)?;
        self.forget(&plan.manifest.name);
        Ok(preview_of(request, &plan))
    }
}

fn plan(request: &ImportRequest, job: &JobContext) -> Result<Plan> {
    match request {
        ImportRequest::PhantomRadiographs { name, count, seed } => {
            phantom_films(name, *count, *seed, job)
        }
        ImportRequest::PhantomShoppers { name, count, seed } => {
            phantom_shoppers(name, *count, *seed)
        }
        other => crate::import_files::plan(other, job),
    }
}

fn phantom_films_manifest(name: &str, count: u32, seed: u64) -> Plan {
    Plan {
        manifest: DatasetManifest {
            name: name.to_owned(),
            kind: DatasetKind::Radiographs,
            n_samples: count,
            findings: datasets::phantom::FINDINGS
                .iter()
                .map(|&finding| finding.to_owned())
                .collect(),
            source: format!("phantom generator, seed {seed}"),
            licence: None,
            skipped: Vec::new(),
            planted: true,
            seed: Some(seed),
        },
        records: Vec::new(),
        catalogue: Vec::new(),
        recognised: vec![format!(
            "{count} phantom films of {PHANTOM_SIDE} × {PHANTOM_SIDE} pixels with reports, boxes \
             and masks of {} planted findings",
            datasets::phantom::FINDINGS.len()
        )],
        warnings: Vec::new(),
        n_skipped: 0,
        files: Vec::new(),
    }
}

fn phantom_films(name: &str, count: u32, seed: u64, job: &JobContext) -> Result<Plan> {
    if count == 0 {
        return Err(EngineError::request(
            "the number of phantom films is 0; expected at least 1",
        ));
    }
    let mut plan = phantom_films_manifest(name, count, seed);
    for start in (0..count).step_by(PHANTOM_BATCH as usize) {
        job.check_cancelled()?;
        job.report(
            "Drawing phantom films",
            u64::from(start),
            u64::from(count),
            "films",
        );
        let end = (start + PHANTOM_BATCH).min(count);
        for (index, phantom) in (start..end).zip(datasets::phantom::radiographs(
            seed,
            start..end,
            PHANTOM_SIDE,
        )) {
            let bytes = datasets::film::encode_png(&phantom.film)
                .map_err(|error| EngineError::other(error.to_string()))?;
            let path = format!("images/{index:06}.png");
            plan.records.push(SampleRecord {
                image: Some(ImageRef {
                    path: path.clone(),
                    hash: blake3_of_bytes(&bytes),
                    width: phantom.film.width,
                    height: phantom.film.height,
                }),
                ..phantom.record
            });
            plan.files.push((path, bytes));
        }
    }
    Ok(plan)
}

fn phantom_shoppers(name: &str, count: u32, seed: u64) -> Result<Plan> {
    if count == 0 {
        return Err(EngineError::request(
            "the number of phantom shoppers is 0; expected at least 1",
        ));
    }
    let shoppers = datasets::phantom::shoppers(seed, count);
    let truth = serde_json::to_vec(&shoppers.truth)
        .map_err(|error| EngineError::other(error.to_string()))?;
    Ok(Plan {
        manifest: DatasetManifest {
            name: name.to_owned(),
            kind: DatasetKind::Interactions,
            n_samples: count,
            findings: shoppers
                .tastes
                .iter()
                .map(|taste| taste.name.clone())
                .collect(),
            source: format!("phantom generator, seed {seed}"),
            licence: None,
            skipped: Vec::new(),
            planted: true,
            seed: Some(seed),
        },
        recognised: vec![format!(
            "{count} phantom shoppers over a catalogue of {} items with {} planted tastes",
            shoppers.catalogue.len(),
            shoppers.tastes.len()
        )],
        records: shoppers.records,
        catalogue: shoppers.catalogue,
        warnings: Vec::new(),
        n_skipped: 0,
        files: vec![(TRUTH.to_owned(), truth)],
    })
}
