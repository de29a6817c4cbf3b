//! Steering files: changes of activations that are written down, outside any window.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::tensor_files::read_tensor;
use models::{ActivationEdit, HookedModel};
use schema::{HookPoint, PositionScope, SteeringMode, StrengthUnit};
use serde::Deserialize;

use crate::edits::{Change, EditedDictionary, FeatureEdit, VectorEdit};
use crate::error::{EngineError, Result};
use crate::foreign_sae::{ForeignSae, find_dictionaries};
use crate::indexed::check_feature;
use crate::run_model::expand_hooks;
use crate::session::Session;

/// `[[edit]]` of a steering file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEdit {
    hook: String,
    #[serde(default)]
    mode: SteeringMode,
    vector: Option<String>,
    sae: Option<String>,
    feature: Option<u32>,
    strength: Option<f32>,
    unit: Option<StrengthUnit>,
    positions: Option<String>,
}

/// A steering file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SteeringFile {
    /// The sample of a project that the changes were made on, which a run has no use for.
    #[serde(default, rename = "sample")]
    _sample: Option<u32>,
    edit: Vec<StoredEdit>,
}

/// A change and where it applies.
pub(crate) type PlacedEdit = (HookPoint, Arc<dyn ActivationEdit>);

/// Reads a steering file; what it names is looked for from the current folder, then beside it.
pub(crate) fn read_steering(
    path: &Path,
    session: Option<&Session>,
    (model, k): (&dyn HookedModel, Option<u32>),
) -> Result<Vec<PlacedEdit>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        EngineError::request(format!("cannot read {}: {error}", path.display()))
    })?;
    let file: SteeringFile = toml::from_str(&text).map_err(|error| {
        EngineError::request(format!("{}: {}", path.display(), error.message()))
    })?;
    file.edit
        .into_iter()
        .enumerate()
        .map(|(i, edit)| {
            placed_edit(edit, path, session, (model, k)).map_err(|mut error| {
                error.message = format!("{}: edit {}: {}", path.display(), i + 1, error.message);
                error
            })
        })
        .collect()
}

/// A path as written, or beside `file` where that does not exist.
fn beside(path: &str, file: &Path) -> PathBuf {
    let as_written = PathBuf::from(path);
    if as_written.exists() || as_written.is_absolute() {
        return as_written;
    }
    let beside = file.parent().unwrap_or(Path::new("")).join(path);
    if beside.exists() { beside } else { as_written }
}

fn placed_edit(
    edit: StoredEdit,
    file: &Path,
    session: Option<&Session>,
    (model, k): (&dyn HookedModel, Option<u32>),
) -> Result<PlacedEdit> {
    let hooks = expand_hooks(&edit.hook, model)?;
    let &[hook] = hooks.as_slice() else {
        return Err(EngineError::request(format!(
            "\"{}\" stands for {} hook points; expected one",
            edit.hook,
            hooks.len()
        )));
    };
    let width = model
        .card()
        .hooks
        .iter()
        .find(|info| info.hook == hook)
        .map_or(0, |info| info.d_model as usize);
    let scope: PositionScope = match &edit.positions {
        Some(text) => text
            .parse()
            .map_err(|error: schema::UnknownScope| EngineError::request(error.to_string()))?,
        None => PositionScope::All,
    };
    let strength = match (edit.strength, edit.mode) {
        (Some(strength), _) if strength.is_finite() => strength,
        (None, SteeringMode::Ablate) => 0.0,
        (Some(strength), _) => {
            return Err(EngineError::request(format!(
                "the strength is {strength}, expected a finite number"
            )));
        }
        (None, _) => return Err(EngineError::request("the strength is missing")),
    };
    let place = EditPlace {
        hook,
        width,
        file,
        mode: edit.mode,
        unit: edit.unit,
        strength,
        scope,
        k,
    };
    match (edit.vector, edit.sae, edit.feature) {
        (Some(vector), None, None) => Ok((hook, place.vector(&vector)?)),
        (None, Some(sae), Some(feature)) => Ok((hook, place.feature(&sae, feature, session)?)),
        _ => Err(EngineError::request(
            "expected either vector, or sae and feature",
        )),
    }
}

/// What a change does, where, before its direction is known.
struct EditPlace<'a> {
    hook: HookPoint,
    /// Width of a row at the hook.
    width: usize,
    /// The steering file.
    file: &'a Path,
    mode: SteeringMode,
    unit: Option<StrengthUnit>,
    strength: f32,
    scope: PositionScope,
    /// Active features of a dictionary whose file does not say.
    k: Option<u32>,
}

impl EditPlace<'_> {
    fn check_width(&self, found: usize) -> Result<()> {
        if found == self.width {
            return Ok(());
        }
        Err(EngineError::request(format!(
            "{} is {} wide, the direction has {found} numbers",
            self.hook, self.width
        )))
    }

    /// A change along a vector of a file.
    fn vector(&self, place: &str) -> Result<Arc<dyn ActivationEdit>> {
        if self.unit == Some(StrengthUnit::Max) {
            return Err(EngineError::request(
                "the unit \"max\" needs a dictionary; a vector has none",
            ));
        }
        let (tensor, key) = place.rsplit_once(':').unwrap_or((place, ""));
        let place = format!("{}:{key}", beside(tensor, self.file).display());
        let (_, vector) = read_tensor(&place)?;
        self.check_width(vector.len())?;
        Ok(Arc::new(VectorEdit {
            vector,
            mode: self.mode,
            amount: self.strength,
            scope: self.scope,
        }))
    }

    /// A change along a feature of a dictionary.
    fn feature(
        &self,
        sae: &str,
        feature: u32,
        session: Option<&Session>,
    ) -> Result<Arc<dyn ActivationEdit>> {
        let (dictionary, maximum) = find_dictionary(sae, self.file, session, (feature, self.k))?;
        self.check_width(dictionary.sae().d_model())?;
        check_feature(sae, feature, dictionary.sae().n_features() as u32)?;
        if let EditedDictionary::Indexed(indexed) = &dictionary
            && indexed.harvest.hook != self.hook
            && self.unit != Some(StrengthUnit::Absolute)
        {
            return Err(EngineError::request(format!(
                "{sae} was made at {}, not at {}: its maxima do not apply here; expected that hook, \
                 or unit = \"absolute\"",
                indexed.harvest.hook, self.hook
            )));
        }
        let amount = match (self.unit, maximum) {
            _ if self.mode == SteeringMode::Scale => self.strength,
            (Some(StrengthUnit::Absolute), _) | (None, None) => self.strength,
            (_, Some(maximum)) => self.strength * maximum,
            (Some(StrengthUnit::Max), None) => {
                return Err(EngineError::request(format!(
                    "the unit \"max\" needs a dictionary with a feature index; {sae} has none"
                )));
            }
        };
        let change = Change {
            feature,
            mode: self.mode,
            amount,
            scope: self.scope,
        };
        Ok(Arc::new(FeatureEdit {
            dictionary,
            changes: vec![change],
        }))
    }
}

/// A dictionary by path, or by its name in the project with the feature's observed maximum.
fn find_dictionary(
    name: &str,
    file: &Path,
    session: Option<&Session>,
    (feature, k): (u32, Option<u32>),
) -> Result<(EditedDictionary, Option<f32>)> {
    let path = beside(name, file);
    if !path.exists()
        && let Some(session) = session
    {
        let indexed = session.indexed(name)?;
        let maximum = indexed
            .index
            .summary(schema::FeatureId(feature))?
            .max_activation;
        return Ok((EditedDictionary::Indexed(indexed), Some(maximum)));
    }
    let places = find_dictionaries(&path, "auto")?;
    let [place] = places.as_slice() else {
        return Err(EngineError::request(format!(
            "{} holds {} dictionaries; name the folder of one",
            path.display(),
            places.len()
        )));
    };
    let sae = ForeignSae::read(place, name, k)?.sae;
    Ok((EditedDictionary::Loose(Arc::new(sae)), None))
}
