//! Models of a project: what kind each is, where its weights are, and how it is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::recommenders::{SasRec, StateDictOptions};
use models::{Architecture, HookedModel, ModelCard};
use serde::{Deserialize, Serialize};
use store::{ArtefactKind, Project, blake3_of_file};

use crate::error::{EngineError, Result};
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
    /// BLAKE3 of the weight file.
    pub(crate) hash: String,
    /// Dataset it was trained on here, if it was.
    pub(crate) trained_on: Option<String>,
    /// Settings and outcome of the training, for the user.
    #[serde(default)]
    pub(crate) training: serde_json::Value,
}

/// A model in memory.
pub(crate) struct LoadedModel {
    /// Its name in the project.
    pub(crate) name: String,
    /// The model behind the seam of `models`.
    pub(crate) hooked: Arc<dyn HookedModel>,
    /// The same model where it is a recommender.
    pub(crate) recommender: Option<Arc<SasRec>>,
}

impl LoadedModel {
    /// What the model is.
    pub(crate) fn card(&self) -> &ModelCard {
        self.hooked.card()
    }

    /// The model as a recommender.
    pub(crate) fn as_recommender(&self) -> Result<&Arc<SasRec>> {
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
    load_architecture(record.architecture, &path, name, Some(&record.hash))
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

/// File whose hash stands for the model.
fn weight_file(architecture: Architecture, path: &Path) -> PathBuf {
    if path.is_file() {
        return path.to_owned();
    }
    match architecture {
        Architecture::TinyVit => {
            tiny_vit_weights(path).unwrap_or_else(|| path.join("model.safetensors"))
        }
        _ => path.join("model.safetensors"),
    }
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
    name: &str,
    expected_hash: Option<&str>,
) -> Result<LoadedModel> {
    let file = weight_file(architecture, path);
    let (hash, _) = blake3_of_file(&file)?;
    if let Some(expected) = expected_hash
        && expected != hash
    {
        return Err(EngineError::request(format!(
            "{} has changed since it was added as models/{name}; add it under another name",
            file.display()
        )));
    }
    let mut recommender = None;
    let hooked: Arc<dyn HookedModel> = match architecture {
        Architecture::Llama => Arc::new(models::text::load_gguf(path, &hash)?),
        Architecture::TinyVit => Arc::new(models::vision::load_tiny_vit(path, &hash)?),
        Architecture::PhantomVlm => Arc::new(models::vision_language::PhantomVlm::load(path)?),
        Architecture::SasRec => {
            let model = Arc::new(SasRec::load(path, StateDictOptions::default())?);
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
    })
}

/// Tells the architecture of a file or folder by its content.
fn recognise(path: &Path) -> Result<Architecture> {
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
            "safetensors" | "pt" => Ok(Architecture::SasRec),
            _ => Err(EngineError::request(format!(
                "{}: expected a GGUF file, a recommender checkpoint (.safetensors, .pt) or a model \
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
    serde_json::from_value(value["architecture"].clone()).map_err(|error| {
        EngineError::request(format!(
            "{}: \"architecture\": expected \"sas-rec\" or \"phantom-vlm\" ({error})",
            config.display()
        ))
    })
}

impl Session {
    /// Adds a model that lies outside the project; its files stay where they are.
    ///
    /// # Errors
    /// When the path is no model this version can load, or the name is taken.
    pub fn add_model(&self, name: &str, path: &Path) -> Result<ModelView> {
        let draft = self.project.begin(ArtefactKind::Model, name)?;
        let architecture = recognise(path)?;
        let path = path
            .canonicalize()
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))?;
        let model = load_architecture(architecture, &path, name, None)?;
        let file = weight_file(architecture, &path);
        let (hash, _) = blake3_of_file(&file)?;
        let record = ModelRecord {
            architecture,
            outside: Some(path),
            hash,
            trained_on: None,
            training: serde_json::Value::Null,
        };
        draft.write(RECORD, &to_json(&record)?)?;
        draft.finish(&[], &[file])?;
        self.forget(name);
        Ok(ModelView::from_card(name, model.card()))
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
        let (hash, _) = blake3_of_file(&weight_file(architecture, draft.folder()))?;
        let record = ModelRecord {
            architecture,
            outside: None,
            hash,
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
