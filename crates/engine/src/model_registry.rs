//! Models of a project: what kind each is, where its weights are, and how it is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::recommenders::{InteractionData, Recommender, StateDictOptions};
use models::vision_language::{Llava, LoadOptions, PhantomVlm};
use models::weights::Coding;
use models::{Architecture, HookedModel, ModelCard};
use serde::{Deserialize, Serialize};
use store::{ArtefactKind, Project, blake3_of_file};

use crate::error::{EngineError, Result};
use crate::evaluate_ranking::check_catalogue;
use crate::jobs::JobContext;
use crate::run_recommender::{RecommenderFile, load_recommender};
use crate::session::Session;
use crate::views::ModelView;

const RECORD: &str = "model.json";

/// `model.json` of a project's model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    /// Its family.
    pub(crate) architecture: Architecture,
    /// Weights outside the project, absolute; `None` when they lie beside this file.
    pub(crate) outside: Option<PathBuf>,
    /// BLAKE3 of the weight file; of several, of their names and hashes.
    pub(crate) hash: String,
    /// Lengths and times of the weight files when their hash was taken: as long as these hold, it
    /// is not taken again, which would read the whole of them at every start.
    #[serde(default)]
    pub(crate) stamps: Vec<FileStamp>,
    /// Coding of the matrices on the CPU, where it is not that of the files.
    #[serde(default)]
    pub(crate) coding: Option<String>,
    /// Dataset it was trained on here, if it was.
    pub(crate) trained_on: Option<String>,
    /// Settings and outcome of the training, for the user.
    #[serde(default)]
    pub(crate) training: serde_json::Value,
}

/// What tells cheaply that a file is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStamp {
    n_bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

/// A model in memory.
pub(crate) struct LoadedModel {
    /// Its name in the project.
    pub(crate) name: String,
    /// The model behind the seam of `models`.
    pub(crate) hooked: Arc<dyn HookedModel>,
    /// The same model where it is a recommender.
    pub(crate) recommender: Option<Arc<Recommender>>,
    /// Where it computes, for the user.
    pub(crate) device: &'static str,
}

impl LoadedModel {
    /// What the model is.
    pub(crate) fn card(&self) -> &ModelCard {
        self.hooked.card()
    }

    /// The model as a recommender.
    pub(crate) fn as_recommender(&self) -> Result<&Arc<Recommender>> {
        self.recommender.as_ref().ok_or_else(|| {
            EngineError::request(format!(
                "models/{} is no recommender, so it ranks no items",
                self.name
            ))
        })
    }
}

/// Loads a model of the project; weights that changed since they were added are an error.
pub(crate) fn load(project: &Project, name: &str) -> Result<LoadedModel> {
    let record = read_record(project, name)?;
    let folder = project.artefact_dir(ArtefactKind::Model, name)?;
    let path = record.outside.clone().unwrap_or(folder);
    let files = weight_files(record.architecture, &path)?;
    if record.stamps.is_empty() || stamps_of(&files)? != record.stamps {
        let hash = hash_of(&files)?;
        if record.hash != hash {
            return Err(EngineError::request(format!(
                "{} has changed since it was added as models/{name}; add it under another name",
                path.display()
            )));
        }
    }
    let coding = record.coding.as_deref().map(coding_named).transpose()?;
    load_architecture(record.architecture, &path, (name, &record.hash), coding)
}

impl LoadedModel {
    /// A recommender that is not in a project.
    pub(crate) fn of_recommender(name: &str, recommender: Recommender) -> Self {
        let recommender = Arc::new(recommender);
        Self {
            name: name.to_owned(),
            hooked: Arc::clone(&recommender) as Arc<dyn HookedModel>,
            recommender: Some(recommender),
            device: "CPU",
        }
    }
}

/// Loads a model from a path, outside any project.
pub(crate) fn load_path(path: &Path, coding: Option<Coding>) -> Result<LoadedModel> {
    let architecture = recognise(path)?;
    let name = path.file_name().map_or("model".to_owned(), |name| {
        name.to_string_lossy().into_owned()
    });
    load_architecture(architecture, path, (&name, ""), coding)
}

/// The coding that `--weights` names.
pub(crate) fn coding_named(name: &str) -> Result<Coding> {
    match name {
        "f32" => Ok(Coding::F32),
        "f16" => Ok(Coding::F16),
        "bf16" => Ok(Coding::Bf16),
        "q8" => Ok(Coding::Q8_0),
        "q4" => Ok(Coding::Q4_1),
        other => Err(EngineError::request(format!(
            "\"{other}\" is no coding of weights; expected f32, f16, bf16, q8 or q4"
        ))),
    }
}

/// The record of a finished model.
pub(crate) fn read_record(project: &Project, name: &str) -> Result<ModelRecord> {
    project.hashes(ArtefactKind::Model, name)?;
    let path = project
        .artefact_dir(ArtefactKind::Model, name)?
        .join(RECORD);
    let bytes = std::fs::read(&path)
        .map_err(|error| EngineError::other(format!("{}: {error}", path.display())))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
}

/// What decides, beside the weights, what a vision-language model does.
const SETTINGS: [&str; 8] = [
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.json",
    "chat_template.jinja",
    "processing_maira2.py",
];

/// Files whose hash stands for the model.
pub(crate) fn weight_files(architecture: Architecture, path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let single = path.join("model.safetensors");
    match architecture {
        Architecture::TinyVit => Ok(vec![tiny_vit_weights(path).unwrap_or(single)]),
        Architecture::Maira2 | Architecture::Llava => {
            let mut files = models::weights::WeightFiles::open(path)?.paths();
            // They decide the activations as much as the weights do.
            let beside = SETTINGS.iter().map(|name| path.join(name));
            files.extend(beside.filter(|file| file.is_file()));
            Ok(files)
        }
        _ => Ok(vec![single]),
    }
}

/// BLAKE3 of one file; of several, of their names and hashes.
fn hash_of(files: &[PathBuf]) -> Result<String> {
    hash_watched(files, &JobContext::silent())
}

/// As [`hash_of`]; says which file it is at, and stops between two.
fn hash_watched(files: &[PathBuf], job: &JobContext) -> Result<String> {
    let n_files = files.len() as u64;
    if let [only] = files {
        job.report("Hashing the files", 0, n_files, "files");
        return Ok(blake3_of_file(only)?.0);
    }
    let mut lines = String::new();
    for (done, file) in (0..).zip(files) {
        job.check_cancelled()?;
        job.report("Hashing the files", done, n_files, "files");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        lines.push_str(&name);
        lines.push(' ');
        lines.push_str(&blake3_of_file(file)?.0);
        lines.push('\n');
    }
    Ok(store::blake3_of_bytes(lines.as_bytes()))
}

fn stamps_of(files: &[PathBuf]) -> Result<Vec<FileStamp>> {
    files
        .iter()
        .map(|file| {
            let facts = std::fs::metadata(file).map_err(|error| {
                EngineError::request(format!("cannot read {}: {error}", file.display()))
            })?;
            let modified = facts
                .modified()
                .ok()
                .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            Ok(FileStamp {
                n_bytes: facts.len(),
                modified: modified.map_or(0, |time| time.as_nanos() as u64),
            })
        })
        .collect()
}

/// The weight file of the `LiteMedSAM` encoder's folder, told by its configuration.
fn tiny_vit_weights(folder: &Path) -> Option<PathBuf> {
    let config = std::fs::read(folder.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&config).ok()?;
    config.get("mbconv_expand_ratio")?;
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ext| ext == "safetensors"))
}

fn load_architecture(
    architecture: Architecture,
    path: &Path,
    (name, hash): (&str, &str),
    coding: Option<Coding>,
) -> Result<LoadedModel> {
    let mut recommender = None;
    // Only the large models can leave the CPU.
    let mut device = "CPU";
    let hooked: Arc<dyn HookedModel> = match architecture {
        Architecture::Llama => Arc::new(models::text::load_gguf(path, hash)?),
        Architecture::TinyVit => Arc::new(models::vision::load_tiny_vit(path, hash)?),
        Architecture::PhantomVlm => Arc::new(PhantomVlm::load(path)?),
        Architecture::Maira2 | Architecture::Llava => {
            let (place, name) = crate::device::chosen().for_coding(coding)?;
            let options = LoadOptions {
                coding,
                device: Some(place),
                cache: crate::settings::cache_folder().map(|cache| cache.join("weights")),
            };
            device = name;
            Arc::new(Llava::load(path, hash, &options)?)
        }
        Architecture::BprMf
        | Architecture::LightGcn
        | Architecture::SasRec
        | Architecture::TiMiRec
        | Architecture::Gru4Rec => {
            let model = Arc::new(Recommender::load(path, &StateDictOptions::default())?);
            recommender = Some(Arc::clone(&model));
            model
        }
        other => {
            return Err(EngineError::request(format!(
                "models/{name} is of the architecture {other:?}, which this version cannot load"
            )));
        }
    };
    Ok(LoadedModel {
        name: name.to_owned(),
        hooked,
        recommender,
        device,
    })
}

/// Tells the architecture of a file or folder by its content.
pub(crate) fn recognise(path: &Path) -> Result<Architecture> {
    if path.is_file() {
        let mut magic = [0_u8; 4];
        let read = std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read(&mut file, &mut magic))
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
        if read == 4 && &magic == b"GGUF" {
            return Ok(Architecture::Llama);
        }
        let extension = path.extension().and_then(|ext| ext.to_str()).unwrap_or("");
        return match extension {
            "gguf" => Err(EngineError::request(format!(
                "{}: expected a GGUF file, but it does not begin with the letters GGUF",
                path.display()
            ))),
            "safetensors" | "pt" | "pth" => Ok(Architecture::SasRec),
            _ => Err(EngineError::request(format!(
                "{}: expected a GGUF file, a recommender checkpoint (.safetensors, .pt, .pth) or a model \
                 folder",
                path.display()
            ))),
        };
    }
    if !path.is_dir() {
        return Err(EngineError::request(format!(
            "{}: there is no such file or folder",
            path.display()
        )));
    }
    if tiny_vit_weights(path).is_some() {
        return Ok(Architecture::TinyVit);
    }
    let config = path.join("config.json");
    let text = std::fs::read(&config).map_err(|error| {
        EngineError::request(format!(
            "{}: expected a model folder with config.json ({error})",
            path.display()
        ))
    })?;
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| EngineError::request(format!("{}: {error}", config.display())))?;
    match value["model_type"].as_str() {
        Some("maira2") => return Ok(Architecture::Maira2),
        Some("llava") => return Ok(Architecture::Llava),
        Some(other) => {
            return Err(EngineError::request(format!(
                "{}: \"model_type\": expected \"maira2\" or \"llava\", found \"{other}\"",
                config.display()
            )));
        }
        None => {}
    }
    serde_json::from_value(value["architecture"].clone()).map_err(|error| {
        EngineError::request(format!(
            "{}: expected a \"model_type\" of \"maira2\" or \"llava\", or an \"architecture\" of \
             \"phantom-vlm\" or a recommender ({error})",
            config.display()
        ))
    })
}

impl Session {
    /// Adds a model that lies outside the project; its files stay where they are. `coding` is how
    /// its matrices are kept in memory: f32, f16, bf16, q8 or q4; as stored where it is `None`.
    ///
    /// # Errors
    /// When the path is no model this version can load, or the name is taken.
    pub fn add_model(&self, name: &str, path: &Path, coding: Option<&str>) -> Result<ModelView> {
        self.add_model_watched(name, path, coding, &JobContext::silent())
    }

    /// As [`Session::add_model`]; says how far it has come.
    ///
    /// # Errors
    /// As [`Session::add_model`], and when it was stopped.
    pub fn add_model_watched(
        &self,
        name: &str,
        path: &Path,
        coding: Option<&str>,
        job: &JobContext,
    ) -> Result<ModelView> {
        if recognise(path)?.is_recommender() {
            if let Some(coding) = coding {
                return Err(EngineError::request(format!(
                    "--weights {coding} is for large models; a recommender is kept as it is"
                )));
            }
            return self.add_recommender(name, path, &RecommenderFile::default(), None);
        }
        let draft = self.project.begin(ArtefactKind::Model, name)?;
        let architecture = recognise(path)?;
        let path = path
            .canonicalize()
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
        let files = weight_files(architecture, &path)?;
        let hash = hash_watched(&files, job)?;
        job.check_cancelled()?;
        job.report("Loading the model", 0, 0, "");
        let as_coded = coding.map(coding_named).transpose()?;
        let model = load_architecture(architecture, &path, (name, &hash), as_coded)?;
        let record = ModelRecord {
            architecture,
            outside: Some(path),
            hash,
            stamps: stamps_of(&files)?,
            coding: coding.map(str::to_owned),
            trained_on: None,
            training: serde_json::Value::Null,
        };
        draft.write(RECORD, &to_json(&record)?)?;
        draft.finish(&[], &files)?;
        self.forget(name);
        Ok(ModelView::from_card(name, model.card()))
    }

    /// Adds a recommender; what lies in a bare state dict is copied into the project with what
    /// `file` says of it, since the file alone does not say enough to be read again. `dataset`
    /// gives `LightGCN` the train interactions that it propagates over.
    ///
    /// # Errors
    /// When the path is no recommender, it does not fit the dataset, or the name is taken.
    pub fn add_recommender(
        &self,
        name: &str,
        path: &Path,
        file: &RecommenderFile,
        dataset: Option<&str>,
    ) -> Result<ModelView> {
        let data = dataset
            .map(|dataset| self.interactions(dataset))
            .transpose()?;
        let pairs = data.as_ref().map(InteractionData::train_pairs);
        let recommender = load_recommender(path, file, pairs)?;
        if let (Some(dataset), Some(data)) = (dataset, &data) {
            check_catalogue((name, &recommender), (dataset, data))?;
        }
        let architecture = recommender.config().architecture();
        let record = serde_json::json!({
            "imported": path.file_name().map(|name| name.to_string_lossy()),
        });
        self.keep_model(name, architecture, dataset, record, |folder| {
            recommender.save(folder).map_err(EngineError::from)
        })?;
        Ok(ModelView::from_card(name, self.model(name)?.card()))
    }

    /// Writes a model that was trained here or ships with the program into the project.
    pub(crate) fn keep_model(
        &self,
        name: &str,
        architecture: Architecture,
        trained_on: Option<&str>,
        training: serde_json::Value,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let draft = self.project.begin(ArtefactKind::Model, name)?;
        write(draft.folder())?;
        let hash = hash_of(&weight_files(architecture, draft.folder())?)?;
        let record = ModelRecord {
            architecture,
            outside: None,
            hash,
            stamps: Vec::new(),
            coding: None,
            trained_on: trained_on.map(str::to_owned),
            training,
        };
        draft.write(RECORD, &to_json(&record)?)?;
        let parents = trained_on
            .map(|dataset| store::ArtefactId::new(ArtefactKind::Dataset, dataset))
            .transpose()?;
        draft.finish(parents.as_slice(), &[])?;
        self.forget(name);
        Ok(())
    }
}

/// Pretty JSON with a final line feed.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| EngineError::other(format!("cannot be written as JSON: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What follows the block's number in a hook's name, and the first and last number.
type Numbers = Option<(String, usize, usize)>;

/// Hook points for a message, those of like blocks together: `blocks.{0-29}.hook_resid_post`.
pub(crate) fn hooks_in_words(hooks: impl Iterator<Item = (String, u32)>) -> String {
    // What comes before the number, the numbers, and the width.
    let mut runs: Vec<(String, Numbers, u32)> = Vec::new();
    for (name, width) in hooks {
        let numbered = name.split('.').find_map(|part| {
            let number: usize = part.parse().ok()?;
            let (before, after) = name.split_once(&format!(".{part}."))?;
            Some((before.to_owned(), after.to_owned(), number))
        });
        let Some((before, after, number)) = numbered else {
            runs.push((name, None, width));
            continue;
        };
        let known = runs.iter_mut().find_map(|(start, rest, of_width)| {
            let (end, _, last) = rest.as_mut()?;
            (*start == before && *end == after && *of_width == width && *last + 1 == number)
                .then_some(last)
        });
        match known {
            Some(last) => *last = number,
            None => runs.push((before, Some((after, number, number)), width)),
        }
    }
    let words: Vec<String> = runs
        .into_iter()
        .map(|(start, rest, width)| match rest {
            None => format!("{start} [{width}]"),
            Some((end, first, last)) if first == last => {
                format!("{start}.{first}.{end} [{width}]")
            }
            Some((end, first, last)) => format!("{start}.{{{first}-{last}}}.{end} [{width}]"),
        })
        .collect();
    words.join(", ")
}

impl ModelView {
    /// Its hook points and their widths in one line.
    pub fn hooks_in_words(&self) -> String {
        let hooks = self.hooks.iter();
        hooks_in_words(hooks.map(|(hook, width)| (hook.to_string(), *width)))
    }

    /// What a front end shows of a loaded model.
    pub(crate) fn from_card(name: &str, card: &ModelCard) -> Self {
        Self {
            name: name.to_owned(),
            architecture: format!("{:?}", card.architecture),
            n_parameters: card.n_parameters,
            hooks: card
                .hooks
                .iter()
                .map(|info| (info.hook, info.d_model))
                .collect(),
            facts: card.facts.clone(),
        }
    }
}
