//! Changes of features under a name, kept in the project as steering files, and written beside the
//! model for use without a project.

use std::path::{Path, PathBuf};

use schema::{FeatureId, PositionScope, SteeringMode, SteeringSpec, StrengthUnit};
use serde::{Deserialize, Serialize};
use store::{ArtefactId, ArtefactKind};

use crate::error::{EngineError, Result};
use crate::session::Session;
use crate::views::SavedChange;

/// Folder of the project that they lie in.
const FOLDER: &str = "steering";

/// `[[edit]]` of a steering file, as it is written here.
#[derive(Serialize, Deserialize)]
struct WrittenEdit {
    hook: String,
    mode: SteeringMode,
    strength: f64,
    #[serde(default)]
    unit: StrengthUnit,
    sae: String,
    feature: u32,
    #[serde(default = "everywhere", skip_serializing_if = "is_everywhere")]
    positions: String,
}

fn everywhere() -> String {
    PositionScope::All.to_string()
}

fn is_everywhere(positions: &str) -> bool {
    positions == everywhere()
}

/// A steering file.
#[derive(Serialize, Deserialize)]
struct WrittenFile {
    /// The sample that the change was made on; `model run` has no use for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<u32>,
    edit: Vec<WrittenEdit>,
}

impl Session {
    /// Keeps a change under its name; one of that name is replaced.
    ///
    /// # Errors
    /// When the name cannot be one, nothing is changed, or the dictionary has no such feature.
    pub fn save_change(&self, change: &SavedChange) -> Result<()> {
        let path = self.change_path(&change.name)?;
        let text = self.steering_text(change, &change.sae)?;
        std::fs::create_dir_all(self.root().join(FOLDER))
            .map_err(|error| EngineError::other(format!("{}: {error}", path.display())))?;
        store::write_atomically(&path, text.as_bytes(), store::Durability::PowerCut)?;
        Ok(())
    }

    /// Changes kept in the project, by name; files that say something else are left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn saved_changes(&self) -> Result<Vec<SavedChange>> {
        let folder = self.root().join(FOLDER);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(EngineError::other(format!("{}: {error}", folder.display())));
            }
        };
        let mut changes: Vec<SavedChange> = entries
            .filter_map(|entry| read_change(&entry.ok()?.path()))
            .collect();
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(changes)
    }

    /// Removes a change.
    ///
    /// # Errors
    /// When there is none of that name or its file cannot be removed.
    pub fn remove_change(&self, name: &str) -> Result<()> {
        let path = self.change_path(name)?;
        std::fs::remove_file(&path)
            .map_err(|error| EngineError::request(format!("{}: {error}", path.display())))
    }

    /// Writes the recommender, the dictionary and the change as a steering file into a new folder,
    /// which then needs no project.
    ///
    /// # Errors
    /// As [`Session::export_steered`].
    pub fn export_change(&self, change: &SavedChange, folder: &Path) -> Result<()> {
        let features: Vec<u32> = change.edits.iter().map(|edit| edit.feature.0).collect();
        // Without an index there are no maxima, so strengths go out in their own unit.
        let absolute = SavedChange {
            edits: self.in_activations(change)?,
            // Of this project, which the folder does without.
            sample: None,
            ..change.clone()
        };
        let text = self.steering_text(&absolute, "dictionary")?;
        self.export_with(&change.sae, &features, &text, folder)
    }

    fn change_path(&self, name: &str) -> Result<PathBuf> {
        // What can name an artefact can name a file.
        ArtefactId::new(ArtefactKind::Sae, name)?;
        Ok(self.root().join(FOLDER).join(format!("{name}.toml")))
    }

    /// The edits with strengths in units of the hook activation.
    fn in_activations(&self, change: &SavedChange) -> Result<Vec<SteeringSpec>> {
        let indexed = self.indexed(&change.sae)?;
        let edits = change.edits.iter().map(|edit| {
            let maximum = indexed.index.summary(edit.feature)?.max_activation;
            let is_in_maxima = edit.unit == StrengthUnit::Max && edit.mode != SteeringMode::Scale;
            Ok(SteeringSpec {
                strength: edit.strength * if is_in_maxima { maximum } else { 1.0 },
                unit: StrengthUnit::Absolute,
                ..*edit
            })
        });
        edits.collect()
    }

    fn steering_text(&self, change: &SavedChange, sae: &str) -> Result<String> {
        if change.edits.is_empty() {
            return Err(EngineError::request(
                "no feature is changed; expected at least one",
            ));
        }
        let indexed = self.indexed(&change.sae)?;
        let edits = change.edits.iter().map(|edit| {
            indexed.index.summary(edit.feature)?;
            Ok(WrittenEdit {
                hook: indexed.harvest.hook.to_string(),
                mode: edit.mode,
                // As a reader writes it: 0.3, not what is left of it in 32 bits.
                strength: edit.strength.to_string().parse().unwrap_or(0.0),
                unit: edit.unit,
                sae: sae.to_owned(),
                feature: edit.feature.0,
                positions: edit.scope.to_string(),
            })
        });
        let file = WrittenFile {
            sample: change.sample,
            edit: edits.collect::<Result<Vec<_>>>()?,
        };
        toml::to_string(&file).map_err(|error| EngineError::other(error.to_string()))
    }
}

/// A change as it lies in the project.
fn read_change(path: &Path) -> Option<SavedChange> {
    let name = path.file_name()?.to_str()?.strip_suffix(".toml")?;
    let file: WrittenFile = toml::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let sae = file.edit.first()?.sae.clone();
    let edits = file.edit.iter().map(|edit| {
        if edit.sae != sae {
            return None;
        }
        Some(SteeringSpec {
            feature: FeatureId(edit.feature),
            strength: edit.strength as f32,
            mode: edit.mode,
            unit: edit.unit,
            scope: edit.positions.parse().ok()?,
        })
    });
    Some(SavedChange {
        name: name.to_owned(),
        edits: edits.collect::<Option<Vec<_>>>()?,
        sae,
        sample: file.sample,
    })
}
