//! The training settings that another tool's folder states, as ours.

use std::fs;
use std::path::Path;

use schema::{InputScaling, L0Penalty, SaeConfig, SaeRecipe, SaeVariant};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{dictionary_learning, folder, saelens};
use crate::error::SaeError;

/// Settings of the trainer that wrote `folder`; keys it does not state are those of the recipe.
/// `None` where there is no such file or its trainer has no counterpart here.
///
/// # Errors
/// [`SaeError::Io`] or [`SaeError::Format`] when the file cannot be read, or a value is of
/// another kind than the tool writes.
pub fn trainer_settings(folder: &Path) -> Result<Option<SaeConfig>, SaeError> {
    let path = folder.join(dictionary_learning::CONFIG_FILE);
    if path.is_file() {
        let file = read(&path)?;
        return of_dictionary_learning(&Stated {
            path: &path,
            part: "trainer.",
            keys: &file["trainer"],
        });
    }
    let path = folder.join(saelens::CONFIG_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let file = read(&path)?;
    let stated = Stated {
        path: &path,
        part: "",
        keys: &file,
    };
    if folder.join(saelens::WEIGHTS_FILE).is_file() {
        of_saelens(&stated)
    } else if file["provenance"].is_null() && folder.join(folder::WEIGHTS_FILE).is_file() {
        of_sparsify(&stated)
    } else {
        Ok(None)
    }
}

fn read(path: &Path) -> Result<Value, SaeError> {
    let text = fs::read_to_string(path).map_err(SaeError::io(path))?;
    serde_json::from_str(&text)
        .map_err(|error| SaeError::format(path, format!("it is no JSON ({error})")))
}

fn of_dictionary_learning(stated: &Stated<'_>) -> Result<Option<SaeConfig>, SaeError> {
    let class = stated.keys["trainer_class"].as_str();
    let variant = match class {
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
    if class == Some("StandardTrainerAprilUpdate") {
        config.unit_decoder = false;
        config.grad_clip = Some(1.0);
    }
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

/// A dictionary saved for inference states no training; its variant is then told by its
/// architecture alone.
fn of_saelens(stated: &Stated<'_>) -> Result<Option<SaeConfig>, SaeError> {
    let variant = match stated.keys["architecture"].as_str() {
        Some("topk") => SaeVariant::TopK,
        Some("batchtopk") => SaeVariant::BatchTopK,
        Some("matryoshka_batchtopk") => SaeVariant::Matryoshka,
        Some("standard") => SaeVariant::Relu,
        Some("jumprelu") => SaeVariant::JumpRelu,
        Some("gated") => SaeVariant::Gated,
        _ => return Ok(None),
    };
    let mut n_features = SaeConfig::default().n_features;
    stated.take("d_sae", &mut n_features)?;
    let mut config = SaeConfig::of_recipe(SaeRecipe::Saelens, variant, n_features);
    let mut k = f64::from(config.k);
    stated.take("k", &mut k)?;
    config.k = k.round() as u32;
    stated.take("aux_loss_coefficient", &mut config.auxk_alpha)?;
    let rescale = &mut config.rescale_acts_by_decoder_norm;
    *rescale = false;
    stated.take("rescale_acts_by_decoder_norm", rescale)?;
    let mut rate = 1.0 - f64::from(config.threshold_beta);
    stated.take("topk_threshold_lr", &mut rate)?;
    config.threshold_beta = (1.0 - rate) as f32;
    let mut ends: Vec<u32> = Vec::new();
    stated.take("matryoshka_widths", &mut ends)?;
    config.group_sizes = groups_of(&ends, n_features);
    let of_levels = &mut config.use_matryoshka_aux_loss;
    stated.take("use_matryoshka_aux_loss", of_levels)?;
    stated.take("l1_coefficient", &mut config.l1)?;
    stated.take("l1_warm_up_steps", &mut config.sparsity_warmup_steps)?;
    stated.take("l0_coefficient", &mut config.sparsity_penalty)?;
    stated.take("l0_warm_up_steps", &mut config.sparsity_warmup_steps)?;
    stated.take("jumprelu_bandwidth", &mut config.bandwidth)?;
    stated.take("jumprelu_init_threshold", &mut config.init_threshold)?;
    let penalty: &mut L0Penalty = &mut config.l0_penalty;
    stated.take("jumprelu_sparsity_loss_mode", penalty)?;
    stated.take("jumprelu_tanh_scale", &mut config.tanh_scale)?;
    stated.take("jumprelu_ste_to_input", &mut config.ste_to_input)?;
    stated.take_option("pre_act_loss_coefficient", &mut config.pre_act_loss)?;
    stated.take_option("target_l0", &mut config.target_l0)?;
    stated.take("decoder_init_norm", &mut config.decoder_init_norm)?;
    let centred = &mut config.apply_b_dec_to_input;
    stated.take_option("apply_b_dec_to_input", centred)?;
    let scaling: &mut InputScaling = &mut config.normalize_activations;
    stated.take("normalize_activations", scaling)?;
    let mut lp_norm = 1.0;
    stated.take("lp_norm", &mut lp_norm)?;
    if lp_norm != 1.0 {
        let reason = format!("lp_norm is {lp_norm}, expected 1, the only one trained here");
        return Err(SaeError::format(stated.path, reason));
    }
    Ok(Some(config))
}

/// Sizes of groups from the features after each; the last group ends with the last feature.
fn groups_of(ends: &[u32], n_features: u32) -> Vec<u32> {
    let mut sizes = Vec::new();
    let mut done = 0;
    for &end in ends.iter().chain([&n_features]) {
        if end > done {
            sizes.push(end - done);
            done = end;
        }
    }
    if ends.is_empty() { Vec::new() } else { sizes }
}

fn of_sparsify(stated: &Stated<'_>) -> Result<Option<SaeConfig>, SaeError> {
    let variant = match stated.keys["activation"].as_str() {
        Some("topk") | None => SaeVariant::TopK,
        Some("groupmax") => SaeVariant::GroupMax,
        _ => return Ok(None),
    };
    let (mut n_features, mut d_in, mut expansion) = (0_u32, 0_u32, 0_f64);
    stated.take("num_latents", &mut n_features)?;
    stated.take("d_in", &mut d_in)?;
    stated.take("expansion_factor", &mut expansion)?;
    if n_features == 0 {
        n_features = (f64::from(d_in) * expansion) as u32;
    }
    let mut config = SaeConfig::of_recipe(SaeRecipe::Sparsify, variant, n_features);
    stated.take("k", &mut config.k)?;
    stated.take("multi_topk", &mut config.multi_topk)?;
    stated.take("transcode", &mut config.transcode)?;
    stated.take("skip_connection", &mut config.skip_connection)?;
    Ok(Some(config))
}

/// The settings in a file.
struct Stated<'a> {
    path: &'a Path,
    /// What comes before a key's name, where it is told of.
    part: &'static str,
    keys: &'a Value,
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
        if let Some(value) = self.keys.get(key) {
            *into = serde_json::from_value(value.clone()).map_err(|error| {
                SaeError::format(
                    self.path,
                    format!("{}{key} cannot be read ({error})", self.part),
                )
            })?;
        }
        Ok(())
    }
}
