//! Where large models compute and dictionaries are trained, for the whole process.

use std::sync::OnceLock;

use models::ChosenDevice;
pub use models::DeviceChoice;
use sae::TrainingDevice;
use schema::SaeConfig;
use serde::Serialize;

use crate::error::{EngineError, Result};

static CHOSEN: OnceLock<ChosenDevice> = OnceLock::new();

/// The device and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// CPU, CUDA or Metal.
    pub name: String,
    /// Number type of a large model's matrices there where no other is asked for; empty where it
    /// is that of the files.
    pub weights: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// Chooses the device. Call once, before the first model is loaded.
///
/// # Errors
/// When a card was asked for that cannot be used, or a device was chosen before.
pub(crate) fn set_device(choice: DeviceChoice) -> Result<()> {
    if CHOSEN.set(ChosenDevice::find(choice)?).is_err() {
        return Err(EngineError::other("the device was chosen before"));
    }
    Ok(())
}

/// The device that large models compute on.
pub fn device() -> DeviceView {
    let chosen = chosen();
    DeviceView {
        name: chosen.name().to_owned(),
        weights: chosen.weights().to_owned(),
        reason: chosen.reason.clone(),
    }
}

/// The card that trains a dictionary; `None` where the CPU does.
pub(crate) fn training_card(config: &SaeConfig) -> Option<TrainingDevice> {
    let device = &chosen().device;
    let is_card = !device.is_cpu() && sae::kept_on_cpu(config).is_none();
    is_card.then(|| device.clone())
}

/// Says in a dictionary's provenance which card trained it, where one did.
pub(crate) fn note_card(provenance: &mut serde_json::Value, config: &SaeConfig) {
    if training_card(config).is_some() {
        provenance["device"] = device().name.into();
    }
}

/// Why a dictionary is trained on the CPU although there is a card; `None` where it is not so.
pub(crate) fn left_from_card(config: &SaeConfig) -> Option<String> {
    let has_card = !chosen().device.is_cpu();
    sae::kept_on_cpu(config).filter(|_| has_card)
}

/// The device; the CPU where none was chosen.
pub(crate) fn chosen() -> &'static ChosenDevice {
    CHOSEN.get_or_init(ChosenDevice::default)
}
