//! Dictionaries and files outside any project: encoding rows of a file, training on them, export.

use std::path::{Path, PathBuf};

use models::tensor_files::{NamedTensors, TensorValues, read_tensor, write_tensors};
use sae::formats::export::{ExportFacts, ExportFormat};
use sae::formats::{folder, saelens, trainer_settings};
use sae::{FvuSum, InMemorySource, SaeParts, SparseAutoencoder, SparseCodes};
use schema::{HookPoint, SaeConfig, SaeRecipe, SaeVariant, StepReport};
use serde::Serialize;
use store::HarvestReader;

use crate::device::{left_from_card, note_card};
use crate::error::{EngineError, Result};
use crate::foreign_sae::{ForeignSae, find_dictionaries};
use crate::jobs::JobContext;
use crate::read_back::ReadBack;
use crate::session::Session;
use crate::train_sae::{note_run, remove_checkpoints, sae_config_from_toml, train_in};

/// What is to be encoded.
#[derive(Debug, Clone)]
pub struct EncodeRequest {
    /// Folder or file of a dictionary, or its name in the project.
    pub sae: String,
    /// `FILE.safetensors`, which has a tensor `x`, or `FILE.safetensors:KEY`.
    pub input: String,
    /// What a transcoder is to predict, in the same shape, to tell how well it does.
    pub target: Option<String>,
    /// Where the codes go.
    pub output: PathBuf,
    /// k of a bare `RecSAE` state dictionary.
    pub k: Option<u32>,
}

/// What encoding gave.
#[derive(Debug, Clone, Serialize)]
pub struct EncodeAnswer {
    /// Rows encoded.
    pub n_rows: usize,
    /// Most active features of any row.
    pub most_active: usize,
    /// Fraction of variance unexplained, of the rows or of what a transcoder is to predict; `None`
    /// for a transcoder where that is not given.
    pub fvu: Option<f64>,
    /// Mean number of active features of a row.
    pub l0: f64,
}

/// Encodes and decodes the rows of a file.
///
/// # Errors
/// When a file cannot be read, or the rows are of another width.
pub fn encode_file(session: Option<&Session>, request: &EncodeRequest) -> Result<EncodeAnswer> {
    check_output(&request.output)?;
    let place = with_key(&request.input, "x");
    keep_what_is_read(&request.output, &place, &request.sae)?;
    if let Some(target) = &request.target {
        keep_what_is_read(&request.output, target, &request.sae)?;
    }
    let (shape, rows) = read_tensor(&place)?;
    let sae = open_dictionary(session, &request.sae, request.k)?;
    let d = sae.d_model();
    if shape.last() != Some(&d) || shape.len() < 2 {
        return Err(EngineError::request(format!(
            "{place} has shape {shape:?}, expected rows of {d} numbers, which {} reads",
            request.sae
        )));
    }
    let codes = sae.encode(&rows).map_err(|error| named(&place, &error))?;
    let reconstruction = sae.reconstruct_from(&rows, &codes)?;
    let is_transcoder = sae.parts().extras.is_transcoder;
    let wanted = match &request.target {
        None => (!is_transcoder).then_some(rows),
        Some(_) if !is_transcoder => {
            return Err(EngineError::request(format!(
                "--target is for transcoders, and {} reconstructs its rows",
                request.sae
            )));
        }
        Some(target) => {
            let place = with_key(target, "y");
            let (found, targets) = read_tensor(&place)?;
            if found != shape {
                return Err(EngineError::request(format!(
                    "{place} has shape {found:?}, expected {shape:?}, that of the rows"
                )));
            }
            Some(targets)
        }
    };
    let fvu = wanted.map(|wanted| -> Result<f64> {
        let mut sum = FvuSum::new(d);
        for (y, y_hat) in wanted.chunks_exact(d).zip(reconstruction.chunks_exact(d)) {
            sum.add(y, y_hat)?;
        }
        Ok(sum.value()?)
    });
    let fvu = fvu.transpose()?;
    let n_rows = codes.n_rows();
    let tensors = code_tensors(&codes, (n_rows, d), reconstruction);
    write_tensors(&request.output, &tensors)?;
    Ok(EncodeAnswer {
        n_rows,
        most_active: most_active(&codes),
        fvu,
        l0: codes.n_active() as f64 / n_rows.max(1) as f64,
    })
}

/// Refuses to write codes over the rows, the dictionary, or a file that holds no tensors.
fn keep_what_is_read(output: &Path, place: &str, sae: &str) -> Result<()> {
    let Ok(output) = output.canonicalize() else {
        return Ok(());
    };
    let rows = place.rsplit_once(':').map_or(place, |(file, _)| file);
    let is_rows = Path::new(rows)
        .canonicalize()
        .is_ok_and(|rows| rows == output);
    let sae = Path::new(sae).canonicalize();
    let is_dictionary = sae.is_ok_and(|sae| output.starts_with(sae));
    let is_other = output.extension().is_none_or(|end| end != "safetensors");
    if is_rows || is_dictionary || is_other {
        return Err(EngineError::request(format!(
            "{} is there already and no file of codes; choose another output",
            output.display()
        )));
    }
    Ok(())
}

fn most_active(codes: &SparseCodes) -> usize {
    let each = (0..codes.n_rows()).map(|row| codes.row(row).0.len());
    each.max().unwrap_or(0)
}

/// `indices`, `values` and `reconstruction`; shorter rows padded with value 0.
fn code_tensors(
    codes: &SparseCodes,
    (n_rows, d): (usize, usize),
    reconstruction: Vec<f32>,
) -> NamedTensors {
    let width = most_active(codes);
    let mut indices = vec![0_i64; n_rows * width];
    let mut values = vec![0_f32; n_rows * width];
    for row in 0..n_rows {
        let (features, of_row) = codes.row(row);
        for (i, (&feature, &value)) in features.iter().zip(of_row).enumerate() {
            indices[row * width + i] = i64::from(feature);
            values[row * width + i] = value;
        }
    }
    NamedTensors::from([
        (
            "indices".to_owned(),
            (vec![n_rows, width], TensorValues::I64(indices)),
        ),
        (
            "values".to_owned(),
            (vec![n_rows, width], TensorValues::F32(values)),
        ),
        (
            "reconstruction".to_owned(),
            (vec![n_rows, d], TensorValues::F32(reconstruction)),
        ),
    ])
}

/// A dictionary by path, else by its name in the project.
pub(crate) fn open_dictionary(
    session: Option<&Session>,
    name: &str,
    k: Option<u32>,
) -> Result<SparseAutoencoder> {
    let path = Path::new(name);
    if !path.exists()
        && let Some(session) = session
    {
        return Ok(SparseAutoencoder::clone(&session.dictionary(name)?.sae));
    }
    let places = find_dictionaries(path, "auto")?;
    let [place] = places.as_slice() else {
        return Err(EngineError::request(format!(
            "{name} holds {} dictionaries; name the folder of one",
            places.len()
        )));
    };
    Ok(ForeignSae::read(place, name, k)?.sae)
}

fn named(place: &str, error: &sae::SaeError) -> EngineError {
    EngineError::request(format!("{place}: {error}"))
}

/// `place`, with `key` where it names none.
fn with_key(place: &str, key: &str) -> String {
    let names_one = place
        .rsplit_once(':')
        .is_some_and(|(file, _)| file.ends_with(".safetensors"));
    if names_one {
        place.to_owned()
    } else {
        format!("{place}:{key}")
    }
}

/// Refuses a place that no file can be written to, before the work whose result it is for.
pub(crate) fn check_output(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if path.is_dir() || !folder.is_dir() {
        return Err(EngineError::request(format!(
            "{}: expected a file in a folder that exists",
            path.display()
        )));
    }
    Ok(())
}

/// The formats that an export can be told.
pub fn sae_export_formats() -> [&'static str; 3] {
    ExportFormat::ALL.map(ExportFormat::name)
}

/// What is to be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// Folder or file of a dictionary, or its name in the project.
    pub sae: String,
    /// `saelens`, `dictionary_learning` or `sparsify`.
    pub format: String,
    /// Folder of the written files; must not exist or be empty.
    pub out: PathBuf,
    /// k of a bare `RecSAE` state dictionary.
    pub k: Option<u32>,
}

/// What an export gave.
#[derive(Debug, Clone, Serialize)]
pub struct ExportAnswer {
    /// The rule's name in the written files.
    pub rule: String,
    /// What reading the files back gave.
    #[serde(flatten)]
    pub read_back: ReadBack,
}

impl ExportAnswer {
    /// Where it was written, and what reading it back gave.
    pub fn sentence(&self, out: &Path) -> String {
        format!(
            "Written to {} as {}; {}",
            out.display(),
            self.rule,
            self.read_back.sentence()
        )
    }
}

/// Writes a dictionary for another tool, reads it back and compares both.
///
/// # Errors
/// When the dictionary cannot be read, the tool has no such dictionary, or `out` is not empty.
pub fn export_sae(session: Option<&Session>, request: &ExportRequest) -> Result<ExportAnswer> {
    let format = ExportFormat::ALL
        .into_iter()
        .find(|format| format.name() == request.format)
        .ok_or_else(|| {
            EngineError::request(format!(
                "\"{}\" is no format this version writes; expected saelens, dictionary_learning or \
                 sparsify",
                request.format
            ))
        })?;
    let is_empty = match std::fs::read_dir(&request.out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_absent) => !request.out.exists(),
    };
    if !is_empty {
        return Err(EngineError::request(format!(
            "{} is there already; choose a new or empty folder",
            request.out.display()
        )));
    }
    let sae = open_dictionary(session, &request.sae, request.k)?;
    let facts = facts_of(session, &request.sae);
    let again = sae::formats::export::export(format, &request.out, &sae, &facts)?;
    Ok(ExportAnswer {
        rule: again.sparsity().name().to_owned(),
        read_back: ReadBack::of(&sae, &again)?,
    })
}

/// What the project knows of where a dictionary reads.
fn facts_of(session: Option<&Session>, name: &str) -> ExportFacts {
    let manifest = session
        .filter(|_| !Path::new(name).exists())
        .and_then(|session| {
            let harvest = session.dictionary(name).ok()?.harvest;
            let reader = HarvestReader::open(&session.project, &harvest).ok()?;
            Some(reader.manifest().clone())
        });
    manifest.map_or_else(ExportFacts::default, |manifest| ExportFacts {
        hook_name: Some(manifest.hook.to_string()),
        layer: match manifest.hook {
            HookPoint::ResidPre(i)
            | HookPoint::AttnOut(i)
            | HookPoint::MlpOut(i)
            | HookPoint::ResidPost(i) => Some(i),
            _ => None,
        },
        model: Some(manifest.model),
    })
}

/// A training on the rows of a file.
#[derive(Debug, Clone)]
pub struct LooseTraining {
    /// `FILE.safetensors:KEY`: `[n_batches, batch, d]`, taken batch by batch, or `[n, d]`, shuffled.
    pub input: String,
    /// What each row is to predict, in the same shape, for a transcoder.
    pub target: Option<String>,
    /// Folder of the weights to start from; random ones without it.
    pub init: Option<PathBuf>,
    /// A file of settings.
    pub config: Option<PathBuf>,
    /// Steps, where they differ from the settings.
    pub steps: Option<u32>,
    /// Seed, where it differs from the settings.
    pub seed: Option<u64>,
    /// Folder of the dictionary and of `metrics.jsonl`.
    pub out: PathBuf,
}

/// What a training outside a project came to.
#[derive(Debug, Clone, Serialize)]
pub struct LooseTrained {
    /// The settings in force.
    pub config: SaeConfig,
    /// The step it went on from.
    pub resumed_at: u32,
    /// The last step's loss and figures; `None` if there was nothing left to do.
    pub last: Option<StepReport>,
}

/// Trains a dictionary on the rows of a file; goes on where it stopped.
///
/// # Errors
/// When a file cannot be read, a setting is out of range, or `out` holds a finished dictionary.
pub fn train_on_file(request: &LooseTraining, job: &JobContext) -> Result<LooseTrained> {
    if request.out.join(folder::CONFIG_FILE).exists() {
        return Err(EngineError::request(format!(
            "{} holds a dictionary already; choose another folder",
            request.out.display()
        )));
    }
    let (shape, rows) = read_tensor(&request.input)?;
    let (d, batch) = match *shape.as_slice() {
        [_, d] => (d, None),
        [_, batch, d] => (d, Some(batch)),
        _ => {
            return Err(EngineError::request(format!(
                "{} has shape {shape:?}, expected [n_batches, batch, d_model] or [n, d_model]",
                request.input
            )));
        }
    };
    let config = settings(request, (rows.len() / d.max(1), batch))?;
    sae::check_config(&config, d)?;
    let targets = read_targets(request, &config, &shape)?;
    let initial = match &request.init {
        None => sae::initial_weights(&config, d)?,
        Some(path) => initial_parts(path, config.k)?,
    };
    let fingerprint = fingerprint(rows.iter().chain(targets.iter().flatten()));
    let wrong_rows = |error| named(&request.input, &error);
    let mut source = if batch.is_some() {
        InMemorySource::in_order(rows, d).map_err(wrong_rows)?
    } else {
        InMemorySource::new(rows, d, config.seed).map_err(wrong_rows)?
    };
    let mut run = serde_json::json!({
        "input": request.input,
        "rows": fingerprint,
        "init": request.init,
        "config": config,
    });
    let mut provenance = serde_json::json!({ "input": request.input, "config": config });
    if let Some(targets) = targets {
        source = source.with_targets(targets).map_err(wrong_rows)?;
        for said in [&mut run, &mut provenance] {
            said["target"] = serde_json::json!(request.target);
        }
    }
    note_card(&mut provenance, &config);
    // Before anything is written.
    sae::check_start(&config, &initial, &source)
        .map_err(|error| EngineError::request(error.to_string()))?;
    if let Some(note) = sae::unreached_rate(&config) {
        job.warn(note);
    }
    if let Some(why) = left_from_card(&config) {
        job.warn(why);
    }
    note_run(&request.out, &run)?;
    let (trained, last) = train_in(&request.out, &config, initial, &mut source, job)?;
    folder::save(&request.out, &trained.sae, &provenance)?;
    remove_checkpoints(&request.out);
    Ok(LooseTrained {
        config,
        resumed_at: trained.resumed_at,
        last,
    })
}

/// What a transcoder is to predict, in the shape of its rows; `None` for other dictionaries.
fn read_targets(
    request: &LooseTraining,
    config: &SaeConfig,
    shape: &[usize],
) -> Result<Option<Vec<f32>>> {
    let Some(place) = &request.target else {
        if config.transcode {
            let reason = "transcode = true needs --target FILE.safetensors:KEY, the rows that those \
                          of --input are to predict";
            return Err(EngineError::request(reason));
        }
        return Ok(None);
    };
    if !config.transcode {
        let reason = "--target is for transcoders; the settings need recipe = \"sparsify\" and \
                      transcode = true";
        return Err(EngineError::request(reason));
    }
    let (found, targets) = read_tensor(place)?;
    if found != shape {
        return Err(EngineError::request(format!(
            "{place} has shape {found:?}, expected {shape:?}, that of {}",
            request.input
        )));
    }
    Ok(Some(targets))
}

/// A number that changes with any of the values, so that a run does not go on with others.
fn fingerprint<'a>(values: impl Iterator<Item = &'a f32>) -> String {
    // FNV-1a.
    let hash = values.fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The weights in a folder as a training goes on from them.
fn initial_parts(path: &Path, k: u32) -> Result<SaeParts> {
    if path.join(saelens::WEIGHTS_FILE).is_file() {
        return saelens::load_for_training(path)
            .map_err(|error| EngineError::request(error.to_string()));
    }
    Ok(open_dictionary(None, &path.display().to_string(), Some(k))?.into_parts())
}

/// The settings in force: those of the file, else of `init`'s own, else the recipe's.
fn settings(request: &LooseTraining, (n_rows, batch): (usize, Option<usize>)) -> Result<SaeConfig> {
    let mut base = match &request.init {
        Some(init) => trainer_settings(init)?,
        None => None,
    };
    if let Some(init) = &request.init
        && base.is_none()
    {
        // The dictionary itself says how many features and how many of them are active.
        let sae = open_dictionary(None, &init.display().to_string(), Some(1))?;
        let extras = &sae.parts().extras;
        let usual = if extras.is_transcoder {
            let n_features = sae.n_features() as u32;
            SaeConfig::of_recipe(SaeRecipe::Sparsify, SaeVariant::TopK, n_features)
        } else {
            SaeConfig::default()
        };
        base = Some(SaeConfig {
            n_features: sae.n_features() as u32,
            k: sae.sparsity().k().unwrap_or(usual.k),
            transcode: extras.is_transcoder,
            skip_connection: extras.is_transcoder && extras.skip.is_some(),
            ..usual
        });
    }
    let mut base = base.unwrap_or_default();
    if let Some(batch) = batch {
        base.batch_rows = batch as u32;
        base.steps = (n_rows / batch.max(1)) as u32;
    }
    let mut config = match &request.config {
        None => base,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                EngineError::request(format!("cannot read {}: {error}", path.display()))
            })?;
            sae_config_from_toml(&text, &base)
                .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?
        }
    };
    config.steps = request.steps.unwrap_or(config.steps);
    config.seed = request.seed.unwrap_or(config.seed);
    if batch.is_some_and(|batch| config.batch_rows != batch as u32) {
        return Err(EngineError::request(format!(
            "batch_rows is {}, but the batches of {} have {} rows",
            config.batch_rows,
            request.input,
            batch.unwrap_or(0)
        )));
    }
    Ok(config)
}
