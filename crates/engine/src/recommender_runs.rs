//! Trainings of recommenders as a window runs them: presets to start from, what was begun and
//! stopped, and the records of models. The training itself is in `train_recommender.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::Architecture;
use models::recommenders::{EpochReport, InteractionData, RecommenderConfig, RecommenderTraining};
use schema::DatasetKind;
use store::{ArtefactId, ArtefactKind};

use crate::error::{EngineError, Result};
use crate::inspect_model::inspect_model;
use crate::model_registry::{ModelRecord, read_record, to_json, weight_files};
use crate::run_recommender::RecommenderFile;
use crate::session::Session;
use crate::train_recommender::{
    RecommenderCurve, TrainRecommenderRequest, recommender_named, recommender_settings,
};
use crate::views::{
    AddRecommenderRequest, ModelEntry, ModelView, RecommenderRecord, UnfinishedRecommender,
};

/// What was asked for, beside the checkpoints of a training that is not finished.
const REQUEST: &str = "request.json";

/// A number that a setting has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SettingValue {
    /// A whole number.
    Whole(u32),
    /// Any number.
    Real(f64),
}

impl SettingValue {
    /// As TOML has it.
    fn in_toml(self) -> String {
        match self {
            Self::Whole(value) => value.to_string(),
            Self::Real(value) => format!("{value:?}"),
        }
    }
}

/// A setting of a recommender's training or shape.
#[derive(Debug, Clone, PartialEq)]
pub struct RecommenderSetting {
    /// As settings files call it.
    pub key: &'static str,
    /// As the window calls it.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub hint: &'static str,
    /// Its value in the preset.
    pub value: SettingValue,
    /// Lowest and highest value.
    pub range: [f64; 2],
}

/// What a recommender is trained with unless the user says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct RecommenderPreset {
    /// As requests and the command line call the architecture.
    pub arch: &'static str,
    /// As its authors write it.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Shape and training, in the order to show them.
    pub settings: Vec<RecommenderSetting>,
}

impl RecommenderPreset {
    /// The settings that differ from the preset, as TOML for a request.
    #[must_use]
    pub fn changes(&self, values: &[SettingValue]) -> String {
        let pairs = self.settings.iter().zip(values);
        let lines: Vec<String> = pairs
            .filter(|(setting, value)| setting.value != **value)
            .map(|(setting, value)| format!("{} = {}", setting.key, value.in_toml()))
            .collect();
        lines.join("\n")
    }

    /// The values of a request: those of its settings, else the preset's.
    #[must_use]
    pub fn values(&self, request: &TrainRecommenderRequest) -> Vec<SettingValue> {
        let given: toml::Table = toml::from_str(&request.settings).unwrap_or_default();
        let value = |setting: &RecommenderSetting| {
            let stated = match setting.key {
                "lr" if request.lr.is_some() => request.lr,
                "max_epochs" if request.epochs.is_some() => request.epochs.map(f64::from),
                key => given.get(key).and_then(|value| {
                    let whole = value.as_integer().map(|whole| whole as f64);
                    value.as_float().or(whole)
                }),
            };
            match (stated, setting.value) {
                (None, preset) => preset,
                (Some(number), SettingValue::Whole(_)) => SettingValue::Whole(number as u32),
                (Some(number), SettingValue::Real(_)) => SettingValue::Real(number),
            }
        };
        self.settings.iter().map(value).collect()
    }
}

/// Key, name, hint, lowest and highest value.
type Described = (&'static str, &'static str, &'static str, [f64; 2]);

/// Settings of the training, in the order to show them.
const TRAINING: [Described; 6] = [
    ("lr", "Learning rate", "Step size of Adam", [1e-6, 1.0]),
    (
        "l2",
        "L2 weight",
        "How strongly large weights are pulled to 0; biases are spared",
        [0.0, 1.0],
    ),
    (
        "batch_size",
        "Batch",
        "Interactions per step",
        [1.0, 65_536.0],
    ),
    (
        "max_epochs",
        "Epochs at most",
        "Passes over the train interactions; of each stage where there are two",
        [1.0, 10_000.0],
    ),
    (
        "patience",
        "Patience",
        "Epochs without a better dev NDCG@5 after which training ends",
        [1.0, 1_000.0],
    ),
    (
        "temperature",
        "Temperature",
        "Of the distillation from the first stage into the second",
        [0.01, 100.0],
    ),
];

/// Settings of the shape, in the order to show them.
const SHAPE: [Described; 7] = [
    (
        "d_model",
        "Width",
        "Numbers of an item's and a user's vector",
        [1.0, 4096.0],
    ),
    (
        "n_layers",
        "Layers",
        "Blocks, steps of propagation, or projection layers",
        [1.0, 64.0],
    ),
    (
        "n_heads",
        "Heads",
        "Attention heads; must divide the width",
        [1.0, 64.0],
    ),
    (
        "hidden_width",
        "State",
        "Numbers of the recurrent state",
        [1.0, 4096.0],
    ),
    (
        "n_interests",
        "Interests",
        "Interests that a user has",
        [1.0, 64.0],
    ),
    (
        "attention_width",
        "Attention width",
        "Width of the attention that gathers interests",
        [1.0, 4096.0],
    ),
    (
        "history_max",
        "History",
        "Last items of a history that are read",
        [1.0, 1000.0],
    ),
];

/// Name and sentence of each architecture.
const ARCHITECTURES: [(&str, Architecture, &str); 5] = [
    (
        "bprmf",
        Architecture::BprMf,
        "A vector per user and per item: the simplest, and fast. Knows the users it was trained on \
         only.",
    ),
    (
        "lightgcn",
        Architecture::LightGcn,
        "Vectors that are averaged over the graph of who chose what. Knows the users it was trained \
         on only.",
    ),
    (
        "sasrec",
        Architecture::SasRec,
        "Attention over the last items of a history; also for users it has never seen.",
    ),
    (
        "timirec",
        Architecture::TiMiRec,
        "Several interests per user, weighted by what comes next; trained in two stages.",
    ),
    (
        "gru4rec",
        Architecture::Gru4Rec,
        "A recurrent network over the last items of a history.",
    ),
];

/// All architectures with their presets, in the order to show them.
///
/// # Errors
/// When a preset cannot be written as TOML.
pub fn recommender_presets() -> Result<Vec<RecommenderPreset>> {
    let table = |result: std::result::Result<toml::Table, toml::ser::Error>| {
        result.map_err(|error| EngineError::other(error.to_string()))
    };
    ARCHITECTURES
        .iter()
        .map(|&(arch, architecture, sentence)| {
            let config = RecommenderConfig::of(architecture, 1, 1)
                .ok_or_else(|| EngineError::other("a recommender without a preset"))?;
            let training = RecommenderTraining::of(architecture);
            let training = table(toml::Table::try_from(training))?;
            let shape = table(toml::Table::try_from(&config))?;
            let has_stages = architecture == Architecture::TiMiRec;
            let of_training = TRAINING
                .iter()
                .filter(|(key, ..)| *key != "temperature" || has_stages)
                .filter_map(|described| setting(&training, described));
            let of_shape = SHAPE
                .iter()
                .filter_map(|described| setting(&shape, described));
            Ok(RecommenderPreset {
                arch,
                name: config.name(),
                sentence,
                settings: of_training.chain(of_shape).collect(),
            })
        })
        .collect()
}

fn setting(table: &toml::Table, described: &Described) -> Option<RecommenderSetting> {
    let &(key, name, hint, range) = described;
    let value = match table.get(key)? {
        toml::Value::Integer(whole) => SettingValue::Whole(*whole as u32),
        // As a reader writes it: 0.0001, not what is left of it in 32 bits.
        toml::Value::Float(real) => {
            SettingValue::Real((*real as f32).to_string().parse().unwrap_or(*real))
        }
        _ => return None,
    };
    Some(RecommenderSetting {
        key,
        name,
        hint,
        value,
        range,
    })
}

/// Says what is wrong with the settings of a training, if anything; the data are not read.
///
/// # Errors
/// When architecture, a key or a value are unknown, or the shape is impossible.
pub fn check_recommender(request: &TrainRecommenderRequest) -> Result<()> {
    let data = InteractionData {
        n_items: 1,
        histories: vec![models::recommenders::UserHistory::default()],
    };
    let (config, _) = recommender_settings(request, &data)?;
    Ok(config.check()?)
}

impl Session {
    /// Notes a training before it begins, so that it can be gone on with when it was stopped.
    ///
    /// # Errors
    /// When the name cannot be one or is taken, the dataset holds no histories, a setting is out of
    /// range, or a training of that name was begun with other settings.
    pub fn begin_recommender(&self, request: &TrainRecommenderRequest) -> Result<()> {
        let name = &request.name;
        ArtefactId::new(ArtefactKind::Model, name)?;
        let taken = self.project.artefact_dir(ArtefactKind::Model, name)?;
        if taken.exists() {
            return Err(EngineError::request(format!(
                "models/{name} is already there; choose another name"
            )));
        }
        if self.dataset(&request.dataset)?.manifest.kind != DatasetKind::Interactions {
            return Err(EngineError::request(format!(
                "datasets/{} holds no item histories, which a recommender needs",
                request.dataset
            )));
        }
        check_recommender(request)?;
        let folder = self.recommender_folder(name);
        match read_request(&folder) {
            Some(begun) if begun != *request => {
                return Err(EngineError::request(format!(
                    "a training of models/{name} was begun with other settings; resume or discard \
                     it, or choose another name"
                )));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let at =
            |error: std::io::Error| EngineError::other(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(at)?;
        let draft = folder.join("request.json.tmp");
        std::fs::write(&draft, to_json(request)?).map_err(at)?;
        std::fs::rename(&draft, folder.join(REQUEST)).map_err(at)
    }

    /// Trainings of recommenders that were begun and are not finished, by name.
    ///
    /// # Errors
    /// When the folder of checkpoints cannot be read.
    pub fn unfinished_recommenders(&self) -> Result<Vec<UnfinishedRecommender>> {
        let folder = self.root().join("checkpoints");
        let folders = match std::fs::read_dir(&folder) {
            Ok(folders) => folders,
            // It is there only as long as something is trained.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(EngineError::other(format!("{}: {error}", folder.display())));
            }
        };
        let mut unfinished: Vec<UnfinishedRecommender> = folders
            .filter_map(|entry| {
                let folder = entry.ok()?.path();
                let request = read_request(&folder)?;
                let kept = ["checkpoint.safetensors", "first-stage.safetensors"];
                Some(UnfinishedRecommender {
                    has_checkpoint: kept.iter().any(|file| folder.join(file).is_file()),
                    request,
                })
            })
            .collect();
        unfinished.sort_by(|a, b| a.request.name.cmp(&b.request.name));
        Ok(unfinished)
    }

    /// What a training that is not finished was asked for with.
    pub(crate) fn begun_recommender(&self, name: &str) -> Result<TrainRecommenderRequest> {
        ArtefactId::new(ArtefactKind::Model, name)?;
        read_request(&self.recommender_folder(name)).ok_or_else(|| {
            EngineError::request(format!("no training of models/{name} was begun here"))
        })
    }

    /// Removes what is kept of a training that is not finished.
    ///
    /// # Errors
    /// When there is none of that name, or a file cannot be removed.
    pub fn discard_recommender(&self, name: &str) -> Result<()> {
        self.begun_recommender(name)?;
        let folder = self.recommender_folder(name);
        std::fs::remove_dir_all(&folder)
            .map_err(|error| EngineError::other(format!("{}: {error}", folder.display())))?;
        // Stays where another training has its checkpoints.
        std::fs::remove_dir(self.root().join("checkpoints")).ok();
        Ok(())
    }

    fn recommender_folder(&self, name: &str) -> PathBuf {
        self.root().join("checkpoints").join(name)
    }

    /// Models as their records describe them; one whose record is damaged is left out.
    ///
    /// # Errors
    /// When the project cannot be read.
    pub fn model_entries(&self) -> Result<Vec<ModelEntry>> {
        let names = self.finished(ArtefactKind::Model)?;
        let entries = names.iter().filter_map(|name| {
            let record = read_record(&self.project, name).ok()?;
            let folder = self.project.artefact_dir(ArtefactKind::Model, name).ok()?;
            Some(entry(name, &folder, &record))
        });
        Ok(entries.collect())
    }

    /// Takes a recommender's checkpoint into the project, as a form describes it.
    ///
    /// # Errors
    /// When a number is none, or as [`Session::add_recommender`].
    pub fn import_recommender(&self, request: &AddRecommenderRequest) -> Result<ModelView> {
        let number = |name: &str, text: &str| -> Result<Option<u32>> {
            match text.trim() {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(|_unread| {
                    EngineError::request(format!("{name}: \"{text}\" is no number above 0"))
                }),
            }
        };
        let stated = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let arch = stated(&request.arch);
        if let Some(arch) = &arch {
            recommender_named(arch)?;
        }
        let file = RecommenderFile {
            arch,
            heads: number("heads", &request.heads)?,
            layers: number("layers", &request.layers)?,
            history_max: number("history", &request.history_max)?,
            interactions: None,
        };
        let dataset = stated(&request.dataset);
        let path = Path::new(request.path.trim());
        self.add_recommender(&request.name, path, &file, dataset.as_deref())
    }
}

fn read_request(folder: &Path) -> Option<TrainRecommenderRequest> {
    let bytes = std::fs::read(folder.join(REQUEST)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn entry(name: &str, folder: &Path, record: &ModelRecord) -> ModelEntry {
    let path = record.outside.as_deref().unwrap_or(folder);
    let files = weight_files(record.architecture, path).unwrap_or_default();
    let sizes = files.iter().filter_map(|file| std::fs::metadata(file).ok());
    let imported = record
        .training
        .get("imported")
        .and_then(|file| file.as_str());
    ModelEntry {
        name: name.to_owned(),
        architecture: format!("{:?}", record.architecture),
        ranks: record.architecture.is_recommender(),
        outside: record
            .outside
            .as_ref()
            .map(|path| path.display().to_string()),
        n_bytes: sizes.map(|facts| facts.len()).sum(),
        memory: inspect_model(path, record.coding.as_deref()).ok(),
        trained_on: record.trained_on.clone(),
        imported: imported.map(str::to_owned),
        training: training_record(&record.training),
    }
}

/// The curves that a training left in a record.
fn training_record(training: &serde_json::Value) -> Option<RecommenderRecord> {
    let epochs = |key: &str| -> Vec<EpochReport> {
        let stated = training.get(key).cloned();
        let read = stated.and_then(|value| serde_json::from_value(value).ok());
        read.unwrap_or_default()
    };
    let stages: Vec<Vec<EpochReport>> = [epochs("first_stage"), epochs("epochs")]
        .into_iter()
        .filter(|epochs| !epochs.is_empty())
        .collect();
    let n_stages = stages.len() as u32;
    let curves = (1..).zip(&stages).map(|(number, epochs)| {
        let at_five = |metric: fn(&models::recommenders::RankingMetrics, u32) -> Option<f64>| {
            let dev = epochs.iter().filter_map(|epoch| epoch.dev.as_ref());
            dev.filter_map(|dev| metric(dev, 5)).collect()
        };
        RecommenderCurve {
            stage: (number, n_stages),
            loss: epochs.iter().map(|epoch| epoch.loss).collect(),
            ndcg: at_five(models::recommenders::RankingMetrics::ndcg_at),
            hr: at_five(models::recommenders::RankingMetrics::hr_at),
        }
    });
    let stages: Vec<RecommenderCurve> = curves.collect();
    if stages.is_empty() {
        return None;
    }
    let settings = training.get("settings").and_then(|value| value.as_object());
    let named = settings.into_iter().flatten().map(|(key, value)| {
        let known = TRAINING.iter().find(|(known, ..)| known == key);
        let name = known.map_or_else(|| key.clone(), |(_, name, ..)| (*name).to_owned());
        let number = value.as_f64().filter(|_| value.is_f64());
        let value = number.map_or_else(|| value.to_string(), |real| (real as f32).to_string());
        (name, value)
    });
    Some(RecommenderRecord {
        best_epoch: training["best_epoch"].as_u64().unwrap_or(0) as u32,
        settings: named.collect(),
        stages: Arc::new(stages),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_left_by_its_changes_only() {
        let presets = recommender_presets().unwrap();
        let names: Vec<&str> = presets.iter().map(|preset| preset.name).collect();
        assert_eq!(names, ["BPRMF", "LightGCN", "SASRec", "TiMiRec", "GRU4Rec"]);
        let preset = &presets[2];
        let mut request = TrainRecommenderRequest {
            arch: preset.arch.to_owned(),
            ..TrainRecommenderRequest::default()
        };
        let mut values = preset.values(&request);
        assert_eq!(preset.changes(&values), "");
        let at = |key: &str| {
            preset
                .settings
                .iter()
                .position(|one| one.key == key)
                .unwrap()
        };
        assert_eq!(values[at("lr")], SettingValue::Real(1e-4));
        values[at("lr")] = SettingValue::Real(0.001);
        values[at("n_heads")] = SettingValue::Whole(2);
        request.settings = preset.changes(&values);
        assert_eq!(request.settings, "lr = 0.001\nn_heads = 2");
        assert_eq!(preset.values(&request), values);
        check_recommender(&request).unwrap();
        request.settings = "n_heads = 3".to_owned();
        let error = check_recommender(&request).unwrap_err().message;
        assert!(error.contains("does not divide d_model"), "{error}");
    }

    #[test]
    fn every_setting_shown_is_one() {
        for preset in recommender_presets().unwrap() {
            let settings = preset.settings.iter();
            let lines: Vec<String> = settings
                .map(|one| format!("{} = {}", one.key, one.value.in_toml()))
                .collect();
            let request = TrainRecommenderRequest {
                arch: preset.arch.to_owned(),
                settings: lines.join("\n"),
                ..TrainRecommenderRequest::default()
            };
            check_recommender(&request).unwrap();
            for one in &preset.settings {
                let value = match one.value {
                    SettingValue::Whole(value) => f64::from(value),
                    SettingValue::Real(value) => value,
                };
                assert!(
                    (one.range[0]..=one.range[1]).contains(&value),
                    "{}",
                    one.key
                );
            }
        }
    }
}
