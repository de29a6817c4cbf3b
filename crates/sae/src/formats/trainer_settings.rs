//! The training settings that a `dictionary_learning` folder states, as ours.

use std::fs;
use std::path::Path;

use schema::{SaeConfig, SaeVariant};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::dictionary_learning::CONFIG_FILE;
use crate::error::SaeError;

/// Settings of the trainer that wrote `folder`'s `config.json`; keys it does not state are those
/// of the recipe. `None` where there is no such file or its trainer has no counterpart here.
///
/// # Errors
/// [`SaeError::Io`] or [`SaeError::Format`] when the file cannot be read, or a value is of
/// another kind than the library writes.
pub fn trainer_settings(folder: &Path) -> Result<Option<SaeConfig>, SaeError> {
    let path = folder.join(CONFIG_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(SaeError::io(&path))?;
    let file: Value = serde_json::from_str(&text)
        .map_err(|error| SaeError::format(&path, format!("it is no JSON ({error})")))?;
    let trainer = &file["trainer"];
    let variant = match trainer["trainer_class"].as_str() {
        Some("TopKTrainer") => SaeVariant::TopK,
        Some("BatchTopKTrainer") => SaeVariant::BatchTopK,
        Some("MatryoshkaBatchTopKTrainer") => SaeVariant::Matryoshka,
        Some("StandardTrainer" | "StandardTrainerAprilUpdate") => SaeVariant::Relu,
        Some("JumpReluTrainer") => SaeVariant::JumpRelu,
        Some("GatedSAETrainer") => SaeVariant::Gated,
        _ => return Ok(None),
    };
    let mut config = SaeConfig {
        warmup_steps: 1000,
        sparsity_warmup_steps: 2000,
        dead_after_rows: 10_000_000,
        ..SaeConfig::of_variant(variant)
    };
    if trainer["trainer_class"] == "StandardTrainerAprilUpdate" {
        config.unit_decoder = false;
        config.grad_clip = Some(1.0);
    }
    let stated = Stated {
        path: &path,
        trainer,
    };
    stated.take("dict_size", &mut config.n_features)?;
    stated.take("k", &mut config.k)?;
    stated.take("lr", &mut config.lr)?;
    stated.take("steps", &mut config.steps)?;
    stated.take("warmup_steps", &mut config.warmup_steps)?;
    stated.take("auxk_alpha", &mut config.auxk_alpha)?;
    stated.take("threshold_beta", &mut config.threshold_beta)?;
    stated.take("threshold_start_step", &mut config.threshold_start_step)?;
    stated.take("group_sizes", &mut config.group_sizes)?;
    stated.take("l1_penalty", &mut config.l1)?;
    stated.take("sparsity_penalty", &mut config.sparsity_penalty)?;
    stated.take("bandwidth", &mut config.bandwidth)?;
    stated.take("sparsity_warmup_steps", &mut config.sparsity_warmup_steps)?;
    stated.take_option("decay_start", &mut config.decay_start)?;
    stated.take_option("top_k_aux", &mut config.top_k_aux)?;
    stated.take_option("group_weights", &mut config.group_weights)?;
    stated.take_option("target_l0", &mut config.target_l0)?;
    // A run without a seed states null.
    let mut seed = None;
    stated.take_option("seed", &mut seed)?;
    config.seed = seed.unwrap_or(config.seed);
    Ok(Some(config))
}

/// The `trainer` of a settings file.
struct Stated<'a> {
    path: &'a Path,
    trainer: &'a Value,
}

impl Stated<'_> {
    /// Takes a key's value over `into`, if the key is there and not null.
    fn take<T: DeserializeOwned>(&self, key: &str, into: &mut T) -> Result<(), SaeError> {
        let mut value = None;
        self.take_option(key, &mut value)?;
        if let Some(value) = value {
            *into = value;
        }
        Ok(())
    }

    /// The same for a key whose null means none.
    fn take_option<T: DeserializeOwned>(
        &self,
        key: &str,
        into: &mut Option<T>,
    ) -> Result<(), SaeError> {
        if let Some(value) = self.trainer.get(key) {
            *into = serde_json::from_value(value.clone()).map_err(|error| {
                SaeError::format(self.path, format!("trainer.{key} cannot be read ({error})"))
            })?;
        }
        Ok(())
    }
}
