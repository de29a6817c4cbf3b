//! The job that records hook activations of a dataset, shard by shard, resumable.

mod users;

use std::sync::Arc;

use models::Architecture;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use schema::{Film, HarvestManifest, HookPoint, PatchGrid, PositionClass, RowRef, SampleRecord};
use serde::{Deserialize, Serialize};
use store::{Dataset, Durability, HarvestWriter, write_atomically};

use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::model_registry::{LoadedModel, hooks_in_words};
use crate::session::Session;

pub(crate) use users::{prefixes, user_number};

/// What is to be harvested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestRequest {
    /// Name of the harvest.
    pub name: String,
    /// Model to run.
    pub model: String,
    /// Dataset to run it over.
    pub dataset: String,
    /// Where to read.
    pub hook: HookPoint,
    /// `text`, `image`, `report`, `items`, `contexts` or `all`, several with commas.
    pub positions: String,
    /// The first so many samples only.
    pub limit: Option<u32>,
    /// Patches averaged per side; 1 keeps every patch.
    pub pool: u32,
}

/// What a harvest remembers of one sample beside its rows, to draw it later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SampleSidecar {
    /// Index of the sample.
    pub(crate) sample: u32,
    /// How image rows lie on the film, row-major; which patch a position is, `patch_of` says. None
    /// where no patches were harvested, and in text decoders' harvests of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grid: Option<PatchGrid>,
    /// Text of every position, harvested or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) texts: Vec<String>,
    /// Class of every position of `texts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) classes: Vec<PositionClass>,
}

impl SampleSidecar {
    /// Which patch of the film a position is; `None` of text. Rows of an image tower have no text
    /// between them: there position and patch are the same.
    pub(crate) fn patch_of(&self, position: u32) -> Option<u32> {
        if self.classes.is_empty() {
            return Some(position);
        }
        let at = position as usize;
        let is_patch = |class: &&PositionClass| **class == PositionClass::Image;
        self.classes.get(at).filter(is_patch)?;
        Some(self.classes[..at].iter().filter(is_patch).count() as u32)
    }
}

/// File name of a shard's sidecar.
pub(crate) fn sidecar_file(shard: u32) -> String {
    format!("{shard:05}.samples.json")
}

/// Classes of text that differs from sample to sample.
const TEXT: [PositionClass; 5] = [
    PositionClass::Indication,
    PositionClass::Comparison,
    PositionClass::Report,
    PositionClass::Technique,
    PositionClass::PriorReport,
];

/// [`TEXT`] and image patches.
const IMAGE_AND_TEXT: [PositionClass; 6] = [
    PositionClass::Image,
    PositionClass::Indication,
    PositionClass::Comparison,
    PositionClass::Report,
    PositionClass::Technique,
    PositionClass::PriorReport,
];

/// Among the classes of a recommender's harvest: every history is read, at all its positions.
pub(crate) const EVERY_CONTEXT: PositionClass = PositionClass::Cls;

/// Reads which position classes a request names.
///
/// # Errors
/// When a word is not one of `text`, `image`, `report`, `items`, `all`.
fn classes_of(positions: &str) -> Result<Vec<PositionClass>> {
    use PositionClass as P;
    let mut classes = Vec::new();
    for word in positions.split(',').map(str::trim) {
        classes.extend(match word {
            "all" => {
                let mut all = TEXT.to_vec();
                all.extend([P::Image, P::Item]);
                all
            }
            "text" => TEXT.to_vec(),
            "report" => vec![P::Report],
            "image" => vec![P::Image],
            "items" => vec![P::Item],
            // An item has no CLS row, which is free to say that every history is read.
            "contexts" => vec![P::Item, EVERY_CONTEXT],
            other => {
                return Err(EngineError::request(format!(
                    "\"{other}\" names no positions; expected text, image, report, items, contexts or \
                     all"
                )));
            }
        });
    }
    classes.sort_unstable();
    classes.dedup();
    Ok(classes)
}

/// Rows of one sample, ready for a shard.
pub(crate) struct SampleRows {
    pub(crate) rows: Vec<f32>,
    pub(crate) refs: Vec<RowRef>,
    pub(crate) sidecar: SampleSidecar,
}

/// How rows are read from samples; shared by harvests and by scoring on fresh samples.
pub(crate) struct RowReader<'a> {
    pub(crate) model: &'a LoadedModel,
    pub(crate) hook: HookPoint,
    pub(crate) classes: Vec<PositionClass>,
    pub(crate) pool: u32,
}

/// Films run through the model together.
const FILMS_PER_BATCH: usize = 8;

/// Reports run through a text model together, packed into one pass: few rows at a time leave a
/// matrix product waiting for its weights.
const TEXTS_PER_BATCH: usize = 8;

impl RowReader<'_> {
    /// Samples that make one batch.
    pub(crate) fn batch_size(&self) -> usize {
        if self.hook.is_vision() {
            FILMS_PER_BATCH
        } else if self.model.recommender.is_some() {
            64
        } else if self.model.card().architecture == Architecture::Llama {
            TEXTS_PER_BATCH
        } else {
            1
        }
    }

    /// Refuses positions that the hook point has none of, before anything is written.
    fn check_classes(&self, positions: &str) -> Result<()> {
        use PositionClass as P;
        let (has, kind): (&[P], _) = if self.hook.is_vision() {
            (&[P::Image], "image")
        } else if self.model.recommender.is_some() {
            (&[P::Item], "items")
        } else if self.model.card().architecture == Architecture::Llama {
            (&TEXT, "text")
        } else {
            (&IMAGE_AND_TEXT, "image and text")
        };
        if self.classes.iter().any(|class| has.contains(class)) {
            return Ok(());
        }
        Err(EngineError::request(format!(
            "{} of models/{} has positions of the kind {kind}, none of the kind \"{positions}\"",
            self.hook, self.model.name
        )))
    }

    /// Width of a row.
    pub(crate) fn d_model(&self) -> Result<u32> {
        let card = self.model.card();
        card.hooks
            .iter()
            .find(|info| info.hook == self.hook)
            .map(|info| info.d_model)
            .ok_or_else(|| {
                let known = card.hooks.iter();
                EngineError::request(format!(
                    "models/{} has no hook point {}; it has {}",
                    self.model.name,
                    self.hook,
                    hooks_in_words(known.map(|info| (info.hook.to_string(), info.d_model)))
                ))
            })
    }

    /// A sample of a dataset as numbers, ready for the model.
    fn prepare(
        &self,
        dataset: &Dataset,
        sample: u32,
        film: Option<&Film>,
    ) -> Result<models::ModelInput> {
        let record = record_of(dataset, sample)?;
        Ok(self.model.hooked.prepare(models::ModelSample {
            film,
            report: record.report.as_ref(),
            items: (!record.items.is_empty()).then(|| training_items(record)),
            user: Some(user_number(record, sample)),
            ..models::ModelSample::default()
        })?)
    }

    /// The recommender, where its user vectors are read.
    fn recommender_at_user(&self) -> Option<&models::recommenders::Recommender> {
        self.model
            .recommender
            .as_deref()
            .filter(|_| self.hook == HookPoint::UserVector)
    }

    /// Of a recommender: whether an item is read in every history it stands in, or once, at the end
    /// of the items up to it.
    fn reads_every_context(&self) -> bool {
        self.classes.contains(&EVERY_CONTEXT)
    }

    /// How many rows [`RowReader::read`] would give for a sample, without running the model.
    pub(crate) fn count_rows(&self, dataset: &Dataset, sample: u32) -> Result<u64> {
        if let Some(recommender) = self.recommender_at_user() {
            let record = record_of(dataset, sample)?;
            return Ok(users::n_rows(
                recommender,
                record,
                self.reads_every_context(),
            ));
        }
        let film = load_film_of(dataset, sample)?;
        let input = self.prepare(dataset, sample, film.as_ref())?;
        let positions = self.model.hooked.positions(&input, self.hook)?;
        // Rows of width 1 go the same way as rows that the model gave.
        let stand_in = models::Captured {
            hook: self.hook,
            n_rows: positions.len(),
            d_model: 1,
            values: vec![0.0; positions.len()],
        };
        let rows = if self.hook.is_vision() {
            let grid = self.model.hooked.grid(&input, self.hook);
            self.image_rows(sample, &positions, &stand_in, grid)
        } else {
            self.sequence_rows(sample, &positions, &stand_in, None)
        };
        Ok(rows.refs.len() as u64)
    }

    /// Rows of films given in memory; `samples` are their indices.
    pub(crate) fn read_films(&self, samples: &[u32], films: &[Film]) -> Result<Vec<SampleRows>> {
        let inputs = films
            .iter()
            .map(|film| {
                self.model.hooked.prepare(models::ModelSample {
                    film: Some(film),
                    ..models::ModelSample::default()
                })
            })
            .collect::<std::result::Result<Vec<_>, _>>()?;
        self.read_inputs(samples, &inputs)
    }

    /// Rows of samples of a dataset.
    pub(crate) fn read(&self, dataset: &Dataset, samples: &[u32]) -> Result<Vec<SampleRows>> {
        if let Some(recommender) = self.recommender_at_user() {
            return samples
                .iter()
                .map(|&sample| {
                    let record = record_of(dataset, sample)?;
                    users::read(recommender, record, sample, self.reads_every_context())
                })
                .collect();
        }
        let films: Vec<Option<Film>> = samples
            .par_iter()
            .map(|&sample| load_film_of(dataset, sample))
            .collect::<Result<_>>()?;
        let mut inputs = Vec::with_capacity(samples.len());
        for (&sample, film) in samples.iter().zip(&films) {
            inputs.push(self.prepare(dataset, sample, film.as_ref())?);
        }
        self.read_inputs(samples, &inputs)
    }

    fn read_inputs(
        &self,
        samples: &[u32],
        inputs: &[models::ModelInput],
    ) -> Result<Vec<SampleRows>> {
        let captured = self.model.hooked.capture(inputs, &[self.hook])?;
        let mut out = Vec::with_capacity(samples.len());
        for ((&sample, input), captured) in samples.iter().zip(inputs).zip(captured) {
            let positions = self.model.hooked.positions(input, self.hook)?;
            let captured = captured.into_iter().next().ok_or_else(|| {
                EngineError::other(format!("nothing was captured at {}", self.hook))
            })?;
            let grid = self.model.hooked.grid(input, self.hook);
            let rows = if self.hook.is_vision() {
                self.image_rows(sample, &positions, &captured, grid)
            } else {
                self.sequence_rows(sample, &positions, &captured, grid)
            };
            out.push(rows);
        }
        Ok(out)
    }

    /// Keeps the rows of a sequence whose class is asked for; where patches are, also how they lie
    /// on the film.
    fn sequence_rows(
        &self,
        sample: u32,
        positions: &[models::PositionInfo],
        captured: &models::Captured,
        grid: Option<PatchGrid>,
    ) -> SampleRows {
        let mut rows = Vec::new();
        let mut refs = Vec::new();
        for (position, (info, row)) in positions
            .iter()
            .zip(captured.values.chunks_exact(captured.d_model))
            .enumerate()
        {
            if self.classes.contains(&info.class) {
                rows.extend_from_slice(row);
                refs.push(RowRef {
                    sample,
                    position: position as u32,
                    class: info.class,
                });
            }
        }
        SampleRows {
            rows,
            refs,
            sidecar: SampleSidecar {
                sample,
                grid: grid.filter(|_| self.classes.contains(&PositionClass::Image)),
                texts: positions.iter().map(|info| info.text.clone()).collect(),
                classes: positions.iter().map(|info| info.class).collect(),
            },
        }
    }

    /// Keeps the image rows of a tower, averaged over `pool × pool` patches; rows of padding drop out.
    fn image_rows(
        &self,
        sample: u32,
        positions: &[models::PositionInfo],
        captured: &models::Captured,
        grid: Option<PatchGrid>,
    ) -> SampleRows {
        let d = captured.d_model;
        let n_before = positions
            .iter()
            .take_while(|info| info.class == PositionClass::Cls)
            .count();
        let patches = &captured.values[(n_before * d).min(captured.values.len())..];
        let infos = &positions[n_before.min(positions.len())..];
        let n = infos.len() as u32;
        let (height, width) = grid.map_or((1, n), |grid| (grid.rows, grid.columns));
        let pool = self.pool.max(1);
        let (pooled_rows, pooled_columns) = (height.div_ceil(pool), width.div_ceil(pool));
        let mut rows = Vec::new();
        let mut refs = Vec::new();
        for row in 0..pooled_rows {
            for column in 0..pooled_columns {
                let mut mean = vec![0.0_f32; d];
                let (mut kept, mut all) = (0_u32, 0_u32);
                for y in row * pool..((row + 1) * pool).min(height) {
                    for x in column * pool..((column + 1) * pool).min(width) {
                        let patch = (y * width + x) as usize;
                        all += 1;
                        if infos
                            .get(patch)
                            .is_some_and(|info| self.classes.contains(&info.class))
                        {
                            kept += 1;
                            for (sum, value) in
                                mean.iter_mut().zip(&patches[patch * d..(patch + 1) * d])
                            {
                                *sum += value;
                            }
                        }
                    }
                }
                if kept * 2 > all {
                    rows.extend(mean.iter().map(|sum| sum / kept as f32));
                    refs.push(RowRef {
                        sample,
                        position: row * pooled_columns + column,
                        class: PositionClass::Image,
                    });
                }
            }
        }
        let grid = grid.map(|grid| PatchGrid {
            rows: pooled_rows,
            columns: pooled_columns,
            // A last pooled patch that reaches past the grid makes the covered part larger.
            width: grid.width * (pooled_columns * pool) as f32 / width as f32,
            height: grid.height * (pooled_rows * pool) as f32 / height as f32,
            ..grid
        });
        SampleRows {
            rows,
            refs,
            sidecar: SampleSidecar {
                sample,
                grid,
                texts: Vec::new(),
                classes: Vec::new(),
            },
        }
    }
}

pub(crate) fn record_of(dataset: &Dataset, sample: u32) -> Result<&SampleRecord> {
    dataset.records.get(sample as usize).ok_or_else(|| {
        EngineError::request(format!(
            "datasets/{} has no sample {sample}",
            dataset.manifest.name
        ))
    })
}

/// Items that are not held out.
pub(crate) fn training_items(record: &SampleRecord) -> &[u32] {
    &record.items[..record
        .items
        .len()
        .saturating_sub(record.n_held_out as usize)]
}

/// The film of a sample, if it has one; a file that changed since the import is still read.
pub(crate) fn load_film_of(dataset: &Dataset, sample: u32) -> Result<Option<Film>> {
    let record = record_of(dataset, sample)?;
    record
        .image
        .as_ref()
        .map(|image| {
            datasets::film::load_film(&dataset.image_path(image))
                .map_err(|error| EngineError::request(error.to_string()))
        })
        .transpose()
}

/// What a harvest came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HarvestOutcome {
    /// Name of the harvest.
    pub name: String,
    /// Rows recorded.
    pub n_rows: u64,
    /// Shards written, in all.
    pub n_shards: u32,
    /// Shards that were there from an earlier sitting.
    pub n_resumed: u32,
}

/// What a harvest would be: the request checked, model and dataset at hand.
pub(crate) struct HarvestPlan {
    pub(crate) model: Arc<LoadedModel>,
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) manifest: HarvestManifest,
}

impl HarvestPlan {
    /// Reads the rows.
    pub(crate) fn reader(&self) -> RowReader<'_> {
        RowReader {
            model: &self.model,
            hook: self.manifest.hook,
            classes: self.manifest.classes.clone(),
            pool: self.manifest.pool,
        }
    }
}

/// Bytes of rows per shard to aim at.
const SHARD_BYTES: u64 = 48 << 20;

impl Session {
    /// Records hook activations; goes on where an earlier run was stopped.
    ///
    /// # Errors
    /// When model, dataset or hook do not exist or do not fit, a film cannot be read, or the name
    /// is taken by a harvest with other settings.
    pub fn harvest(&self, request: &HarvestRequest, job: &JobContext) -> Result<HarvestOutcome> {
        let plan = self.plan_harvest(request)?;
        let reader = plan.reader();
        let mut writer = HarvestWriter::create_or_resume(&self.project, plan.manifest.clone())?;
        let n_resumed = writer.n_complete();
        let recorded = self.record_shards(&reader, &plan.dataset, (request, &mut writer), job);
        let (n_rows, n_shards) = (writer.n_rows(), writer.n_shards());
        if writer.n_complete() == 0 || recorded.is_ok() && n_rows == 0 {
            // Nothing to go on from: the name is free for another try.
            writer.abandon()?;
            recorded?;
            return Err(EngineError::request(format!(
                "no position of datasets/{} is of the kind \"{}\"; text positions need reports",
                request.dataset, request.positions
            )));
        }
        recorded?;
        writer.finish()?;
        Ok(HarvestOutcome {
            name: request.name.clone(),
            n_rows,
            n_shards,
            n_resumed,
        })
    }

    /// Width of the rows at a hook point of a model; loads the model.
    ///
    /// # Errors
    /// When there is no such model, or it has no such hook point.
    pub fn d_model_at(&self, model: &str, hook: HookPoint) -> Result<u32> {
        let model = self.model(model)?;
        let reader = RowReader {
            model: &model,
            hook,
            classes: Vec::new(),
            pool: 1,
        };
        reader.d_model()
    }

    /// Checks a request and says what its harvest would be; loads the model.
    ///
    /// # Errors
    /// When model, dataset or hook do not exist or do not fit.
    pub(crate) fn plan_harvest(&self, request: &HarvestRequest) -> Result<HarvestPlan> {
        if request.pool == 0 {
            return Err(EngineError::request(
                "--pool is 0; expected 1 (every patch) or more",
            ));
        }
        let model = self.model(&request.model)?;
        let dataset = self.dataset(&request.dataset)?;
        let reader = RowReader {
            model: &model,
            hook: request.hook,
            classes: classes_of(&request.positions)?,
            pool: request.pool,
        };
        let d_model = reader.d_model()?;
        reader.check_classes(&request.positions)?;
        let n_samples = request
            .limit
            .unwrap_or(u32::MAX)
            .min(dataset.manifest.n_samples);
        if n_samples == 0 {
            return Err(EngineError::request(format!(
                "datasets/{} has no samples to harvest",
                request.dataset
            )));
        }
        let manifest = HarvestManifest {
            name: request.name.clone(),
            model: request.model.clone(),
            model_hash: model.card().hash.clone(),
            dataset: request.dataset.clone(),
            dataset_hash: dataset.hash.clone(),
            hook: request.hook,
            classes: reader.classes.clone(),
            d_model,
            pool: reader.pool,
            samples_per_shard: samples_per_shard(&reader, d_model, n_samples),
            n_samples,
        };
        Ok(HarvestPlan {
            model,
            dataset,
            manifest,
        })
    }

    /// Records the shards that are not there yet.
    fn record_shards(
        &self,
        reader: &RowReader<'_>,
        dataset: &Dataset,
        (request, writer): (&HarvestRequest, &mut HarvestWriter<'_>),
        job: &JobContext,
    ) -> Result<()> {
        let n_samples = writer.manifest().n_samples;
        let folder = self
            .project
            .artefact_dir(store::ArtefactKind::Harvest, &request.name)?;
        while let Some(shard) = writer.next_shard() {
            let mut rows = Vec::new();
            let mut refs = Vec::new();
            let mut sidecars = Vec::new();
            let samples: Vec<u32> = writer.samples_of(shard).collect();
            for batch in samples.chunks(reader.batch_size()) {
                job.check_cancelled()?;
                job.report(
                    "Recording activations",
                    u64::from(batch[0]),
                    u64::from(n_samples),
                    "samples",
                );
                for sample in reader.read(dataset, batch)? {
                    rows.extend(sample.rows);
                    refs.extend(sample.refs);
                    sidecars.push(sample.sidecar);
                }
            }
            let bytes = serde_json::to_vec(&sidecars)
                .map_err(|error| EngineError::other(error.to_string()))?;
            write_atomically(
                &folder.join(sidecar_file(shard)),
                &bytes,
                Durability::PowerCut,
            )?;
            writer.write_shard(shard, &rows, &refs)?;
        }
        Ok(())
    }
}

/// As many samples as make a shard of about `SHARD_BYTES`, told from the kind of rows.
fn samples_per_shard(reader: &RowReader<'_>, d_model: u32, n_samples: u32) -> u32 {
    let rows_per_sample: u64 = if reader.hook.is_vision() { 256 } else { 96 };
    let bytes = rows_per_sample * u64::from(d_model) * 4;
    let batch = reader.batch_size() as u64;
    let samples = (SHARD_BYTES / bytes).max(1).next_multiple_of(batch);
    (samples as u32).min(n_samples).max(1)
}
