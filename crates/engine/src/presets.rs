//! Settings of a dictionary under a name, each with a sentence that says when to take it.

use schema::{SaeConfig, SaeRecipe, SaeVariant};

use crate::error::{EngineError, Result};

/// Settings under a name; the number of features follows the width of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// As the command line calls it.
    pub id: &'static str,
    /// As the window calls it.
    pub name: &'static str,
    /// When to take it.
    pub sentence: &'static str,
    /// Features per dimension of a row.
    pub expansion: u32,
    /// Everything but the number of features.
    base: SaeConfig,
}

impl Preset {
    /// The settings for rows of width `d_model`.
    #[must_use]
    pub fn config(&self, d_model: u32) -> SaeConfig {
        let n_features = d_model.max(1).saturating_mul(self.expansion);
        SaeConfig {
            n_features,
            k: self.base.k.min(n_features),
            ..self.base.clone()
        }
    }
}

/// Settings that decay to 0 over the last fifth.
fn with_steps(variant: SaeVariant, k: u32, batch_rows: u32, steps: u32) -> SaeConfig {
    SaeConfig {
        k,
        batch_rows,
        steps,
        warmup_steps: steps / 20,
        decay_start: Some(steps / 5 * 4),
        threshold_start_step: steps / 4,
        ..SaeConfig::of_variant(variant)
    }
}

/// All presets, in the order to show them.
#[must_use]
pub fn presets() -> Vec<Preset> {
    vec![
        Preset {
            id: "quick",
            name: "Quick look",
            sentence: "Small and short: shows whether a hook point has features worth a longer run.",
            expansion: 4,
            base: with_steps(SaeVariant::TopK, 8, 1024, 500),
        },
        Preset {
            id: "standard",
            name: "Standard",
            sentence: "A dictionary to work with: eight features per dimension, sixteen active at a \
                       time.",
            expansion: 8,
            base: with_steps(SaeVariant::TopK, 16, 2048, 4000),
        },
        Preset {
            id: "thorough",
            name: "Thorough",
            sentence: "Wide and long, for rare findings: sixteen features per dimension, the number \
                       active free to differ from place to place.",
            expansion: 16,
            base: with_steps(SaeVariant::BatchTopK, 32, 4096, 12_000),
        },
        Preset {
            id: "matryoshka",
            name: "Matryoshka",
            sentence: "Nested: the first features say the most general things, later ones refine \
                       them, which keeps general features from being split up.",
            expansion: 8,
            base: with_steps(SaeVariant::Matryoshka, 16, 2048, 4000),
        },
        Preset {
            id: "recsae",
            name: "RecSAE",
            sentence: "For user vectors of a recommender: wide, eight features active, dead \
                       features brought back early because there are few rows.",
            expansion: 16,
            base: SaeConfig {
                lr: 3e-3,
                dead_after_rows: 50_000,
                ..with_steps(SaeVariant::TopK, 8, 1024, 30_000)
            },
        },
        Preset {
            id: "recsae-paper",
            name: "RecSAE, as published",
            sentence: "For user vectors of a recommender, by the authors' own setting: small \
                       batches, fifty passes over about 880,000 rows at most, stopped when \
                       reconstructions rank no better.",
            expansion: 16,
            base: SaeConfig {
                lr: 5e-5,
                batch_rows: 33,
                steps: 1_331_900,
                warmup_steps: 0,
                weight_decay: 1e-6,
                early_stop: Some(10),
                k: 8,
                ..SaeConfig::of_recipe(SaeRecipe::Recsae, SaeVariant::TopK, 1024)
            },
        },
    ]
}

/// The preset of this name.
///
/// # Errors
/// When there is none.
pub fn preset(id: &str) -> Result<Preset> {
    let mut all = presets().into_iter();
    all.find(|preset| preset.id == id).ok_or_else(|| {
        let known: Vec<&str> = presets().iter().map(|preset| preset.id).collect();
        EngineError::request(format!(
            "\"{id}\" is no preset; expected one of {}",
            known.join(", ")
        ))
    })
}

/// The same settings over other steps: warm-up, decay and the threshold's start keep their shares.
#[must_use]
pub fn over_steps(config: &SaeConfig, steps: u32) -> SaeConfig {
    let share = |at: u32| {
        let scaled = u64::from(at) * u64::from(steps) / u64::from(config.steps.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX)
    };
    SaeConfig {
        steps,
        warmup_steps: share(config.warmup_steps),
        decay_start: config.decay_start.map(share),
        threshold_start_step: share(config.threshold_start_step),
        sparsity_warmup_steps: share(config.sparsity_warmup_steps),
        ..config.clone()
    }
}

/// Checks settings of a project's dictionary for rows of width `d_model` against their ranges and
/// each other. Takes no time.
///
/// # Errors
/// One sentence that names the first setting that does not fit.
pub fn check_settings(config: &SaeConfig, d_model: u32) -> Result<()> {
    sae::check_config(config, d_model as usize)?;
    if config.transcode {
        let reason = "a harvest has no rows for a transcoder to predict; train one outside a \
                      project by sae train --input FILE:KEY --target FILE:KEY";
        return Err(EngineError::request(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_over_fewer_steps_keeps_its_shares() {
        // The authors' setting has neither warm-up nor decay.
        for preset in presets()
            .into_iter()
            .filter(|preset| preset.id != "recsae-paper")
        {
            let short = over_steps(&preset.config(64), 100);
            assert_eq!((short.warmup_steps, short.decay_start), (5, Some(80)));
            assert_eq!(short.threshold_start_step, 25);
            sae::check_config(&short, 64).unwrap();
        }
    }

    #[test]
    fn every_preset_can_be_trained_at_any_width_from_4() {
        for preset in presets() {
            for d_model in [4, 16, 64, 4096] {
                let config = preset.config(d_model);
                assert_eq!(config.n_features, d_model * preset.expansion);
                sae::check_config(&config, d_model as usize)
                    .unwrap_or_else(|error| panic!("{} at {d_model}: {error}", preset.id));
            }
            assert!(preset.sentence.ends_with('.'));
        }
        assert_eq!(preset("quick").unwrap().config(64).n_features, 256);
        let refused = preset("quik").unwrap_err();
        assert!(refused.message.contains("expected one of quick"));
    }
}
