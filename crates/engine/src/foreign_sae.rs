//! Dictionaries of other tools in their folders: which there are, and what their files say.

use std::path::{Path, PathBuf};

use sae::SparseAutoencoder;
use sae::formats::{dictionary_learning, folder, gemma_scope, openai, recsae, saelens};
use schema::HookPoint;

use crate::error::{EngineError, Result};

/// Files of dictionaries that say little without the others of their folder.
const PARTS: [&str; 6] = [
    "ae.pt",
    "ae.safetensors",
    "cfg.json",
    "config.json",
    "sae.safetensors",
    "sae_weights.safetensors",
];

/// How a dictionary is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignFormat {
    DictionaryLearning,
    GemmaScope,
    OpenAi,
    RecSae,
    Saelens,
    Sparsify,
}

impl ForeignFormat {
    /// All, by name.
    const ALL: [Self; 6] = [
        Self::DictionaryLearning,
        Self::GemmaScope,
        Self::OpenAi,
        Self::RecSae,
        Self::Saelens,
        Self::Sparsify,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DictionaryLearning => "dictionary_learning",
            Self::GemmaScope => "gemma_scope",
            Self::OpenAi => "openai",
            Self::RecSae => "recsae",
            Self::Saelens => "saelens",
            Self::Sparsify => "sparsify",
        }
    }
}

/// The formats that an import can be told, as the command line calls them; `auto` stands for
/// whichever fits.
pub fn sae_formats() -> [&'static str; 6] {
    ForeignFormat::ALL.map(ForeignFormat::name)
}

/// Where one dictionary is.
#[derive(Debug, Clone)]
pub(crate) struct ForeignPlace {
    /// Name of the sub-folder, where the user's folder holds several.
    pub(crate) part: Option<String>,
    /// Its folder, or its file.
    pub(crate) path: PathBuf,
    pub(crate) format: ForeignFormat,
}

impl ForeignPlace {
    /// The name it gets in the project.
    pub(crate) fn name(&self, given: &str) -> String {
        match &self.part {
            Some(part) => format!("{given}-{part}"),
            None => given.to_owned(),
        }
    }
}

/// A dictionary read from its files.
pub(crate) struct ForeignSae {
    /// The name it is given.
    pub(crate) name: String,
    pub(crate) sae: SparseAutoencoder,
    /// Where its files say it reads.
    pub(crate) expected: Option<HookPoint>,
    /// Its class in the other tool.
    pub(crate) class: String,
    /// `layer` as its files have it.
    pub(crate) layer: Option<usize>,
    /// The model as its files name it.
    pub(crate) trained_on: Option<String>,
    /// The files it was read from, settings first.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) notes: Vec<String>,
}

impl ForeignSae {
    /// A dictionary that is in the project already.
    pub(crate) fn of_project(name: &str, sae: SparseAutoencoder, hook: HookPoint) -> Self {
        Self {
            name: name.to_owned(),
            class: sae.sparsity().name().to_owned(),
            sae,
            expected: Some(hook),
            layer: None,
            trained_on: None,
            files: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Reads one dictionary. `k` is what a bare state dictionary does not say.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub(crate) fn read(place: &ForeignPlace, given: &str, k: Option<u32>) -> Result<Self> {
        let name = place.name(given);
        match place.format {
            ForeignFormat::DictionaryLearning => {
                let read =
                    dictionary_learning::open(&place.path).map_err(|error| unusable(&error))?;
                Ok(Self {
                    name,
                    expected: read
                        .layer
                        .map(|layer| hook_of(layer, read.submodule.as_deref())),
                    sae: read.sae,
                    class: read.class,
                    layer: read.layer,
                    trained_on: read.model,
                    files: vec![
                        place.path.join(dictionary_learning::CONFIG_FILE),
                        read.weights,
                    ],
                    notes: read.notes,
                })
            }
            ForeignFormat::Saelens => {
                let read = saelens::load(&place.path).map_err(|error| unusable(&error))?;
                Ok(Self {
                    expected: read.hook_name.as_deref().and_then(|hook| hook.parse().ok()),
                    class: read.architecture,
                    trained_on: read.model,
                    files: vec![
                        place.path.join(saelens::CONFIG_FILE),
                        place.path.join(saelens::WEIGHTS_FILE),
                    ],
                    ..Self::plain(&name, read.sae)
                })
            }
            ForeignFormat::Sparsify => {
                let (sae, _) = folder::load(&place.path).map_err(|error| unusable(&error))?;
                Ok(Self {
                    files: vec![
                        place.path.join(folder::CONFIG_FILE),
                        place.path.join(folder::WEIGHTS_FILE),
                    ],
                    ..Self::plain(&name, sae)
                })
            }
            ForeignFormat::OpenAi => {
                let sae = openai::load(&place.path).map_err(|error| unusable(&error))?;
                Ok(Self {
                    files: vec![place.path.clone()],
                    ..Self::plain(&name, sae)
                })
            }
            ForeignFormat::GemmaScope => {
                let read = gemma_scope::load(&place.path).map_err(|error| unusable(&error))?;
                Ok(Self {
                    expected: read.hook_name.as_deref().and_then(|hook| hook.parse().ok()),
                    trained_on: read.model,
                    files: vec![read.weights],
                    ..Self::plain(&name, read.sae)
                })
            }
            ForeignFormat::RecSae => {
                let k = k.ok_or_else(|| {
                    EngineError::request(format!(
                        "{}: a bare RecSAE state dictionary does not say its k; give --k N",
                        place.path.display()
                    ))
                })?;
                let sae = recsae::load(&place.path, k).map_err(|error| unusable(&error))?;
                Ok(Self {
                    files: vec![place.path.clone()],
                    ..Self::plain(&name, sae)
                })
            }
        }
    }

    fn plain(name: &str, sae: SparseAutoencoder) -> Self {
        Self {
            expected: None,
            ..Self::of_project(name, sae, HookPoint::Embed)
        }
    }
}

/// A file of the user's that cannot be read is the request's fault, whatever the reason.
fn unusable(error: &sae::SaeError) -> EngineError {
    EngineError::request(error.to_string())
}

/// The library's reading of `layer` and `submodule_name`: the output of block `layer` from 0,
/// unless the submodule is its attention or its MLP.
fn hook_of(layer: usize, submodule: Option<&str>) -> HookPoint {
    let submodule = submodule.unwrap_or("").to_lowercase();
    if submodule.contains("mlp") {
        HookPoint::MlpOut(layer)
    } else if submodule.contains("attn") || submodule.contains("attention") {
        HookPoint::AttnOut(layer)
    } else if submodule.contains("resid_pre") {
        HookPoint::ResidPre(layer)
    } else {
        HookPoint::ResidPost(layer)
    }
}

/// The dictionaries of a folder: itself, or its sub-folders in order of name.
///
/// # Errors
/// When there is none, or the format is unknown.
pub(crate) fn find_dictionaries(path: &Path, format: &str) -> Result<Vec<ForeignPlace>> {
    let wanted = match format {
        "auto" => None,
        named => {
            let mut all = ForeignFormat::ALL.into_iter();
            let format = all.find(|format| format.name() == named);
            Some(format.ok_or_else(|| {
                EngineError::request(format!(
                    "\"{named}\" is no format this version reads; expected auto, \
                     dictionary_learning, gemma_scope, openai, recsae, saelens or sparsify"
                ))
            })?)
        }
    };
    let fits = |path: &Path| recognise(path).filter(|format| wanted.is_none_or(|w| w == *format));
    let whole = Some(whole_of(path)).filter(|whole| fits(whole).is_some());
    let path = whole.unwrap_or(path);
    if let Some(format) = fits(path) {
        return Ok(vec![ForeignPlace {
            part: None,
            path: path.to_owned(),
            format,
        }]);
    }
    if !path.exists() {
        return Err(EngineError::request(format!(
            "{}: there is no such file or folder",
            path.display()
        )));
    }
    let mut found = Vec::new();
    for folder in entries(path)? {
        let part = folder.file_name().and_then(|name| name.to_str());
        if folder.is_dir()
            && let Some(format) = fits(&folder)
            && let Some(part) = part
        {
            found.push(ForeignPlace {
                part: Some(part.to_owned()),
                path: folder.clone(),
                format,
            });
        }
    }
    if found.is_empty() {
        return Err(EngineError::request(format!(
            "{}: expected a dictionary in it or in its sub-folders: config.json with ae.pt or \
             ae.safetensors (dictionary_learning), cfg.json with sae.safetensors (sparsify) or with \
             sae_weights.safetensors (saelens), params.npz or params.safetensors (gemma_scope), a \
             .pt file (openai) or a .safetensors file (recsae)",
            path.display()
        )));
    }
    Ok(found)
}

/// The folder of a dictionary, of which one file is meant; else the path itself.
pub(crate) fn whole_of(path: &Path) -> &Path {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_part = name.is_some_and(|name| PARTS.contains(&name));
    let folder = path.parent().filter(|_| is_part && path.is_file());
    // Without settings beside it a file is all there is.
    let has_settings = |folder: &Path| {
        let names = [folder::CONFIG_FILE, dictionary_learning::CONFIG_FILE];
        names.iter().any(|name| folder.join(name).is_file())
    };
    let folder = folder.filter(|folder| is_dictionary_folder(folder) && has_settings(folder));
    folder.unwrap_or(path)
}

/// Whether a folder is laid out as another tool's dictionary.
pub(crate) fn is_dictionary_folder(path: &Path) -> bool {
    path.is_dir() && recognise(path).is_some()
}

/// What a folder or file is laid out like.
fn recognise(path: &Path) -> Option<ForeignFormat> {
    if gemma_scope::weight_file(path).is_some() {
        return Some(ForeignFormat::GemmaScope);
    }
    if path.is_file() {
        return match path.extension()?.to_str()? {
            "safetensors" => Some(ForeignFormat::RecSae),
            "pt" => Some(ForeignFormat::OpenAi),
            _ => None,
        };
    }
    if path.join(saelens::WEIGHTS_FILE).is_file() {
        Some(ForeignFormat::Saelens)
    } else if path.join(folder::CONFIG_FILE).is_file() {
        Some(ForeignFormat::Sparsify)
    } else if dictionary_learning::weight_file(path).is_some_and(|file| !is_of_any_model(&file))
        || is_run_config(&path.join(dictionary_learning::CONFIG_FILE))
    {
        Some(ForeignFormat::DictionaryLearning)
    } else {
        None
    }
}

/// Whether weights have the name that those of every model have: then the settings beside tell.
fn is_of_any_model(file: &Path) -> bool {
    file.file_name()
        .is_some_and(|name| name == "model.safetensors")
}

/// Whether a file is the settings of a `dictionary_learning` run.
fn is_run_config(path: &Path) -> bool {
    std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .is_some_and(|value| value["trainer"]["dict_class"].is_string())
}

/// What lies in a folder, by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable =
        |error: std::io::Error| EngineError::request(format!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        found.push(entry.map_err(unreadable)?.path());
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_as_the_library_does() {
        assert_eq!(hook_of(15, None), HookPoint::ResidPost(15));
        let named = hook_of(15, Some("resid_post_layer_15"));
        assert_eq!(named, HookPoint::ResidPost(15));
        assert_eq!(hook_of(3, Some("mlp_out_layer_3")), HookPoint::MlpOut(3));
        assert_eq!(hook_of(3, Some("self_attn")), HookPoint::AttnOut(3));
    }
}
