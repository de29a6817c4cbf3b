//! The ranges of training settings.

use schema::{InputScaling, L0Penalty, SaeConfig, SaeOptimiser, SaeRecipe, SaeVariant};

use crate::error::SaeError;
use crate::variants::variant;

/// Weights of an encoder at most: with gradients and moments ten times as many numbers are kept.
const MOST_WEIGHTS: u64 = 1 << 32;

fn unusable(field: &'static str, reason: String) -> Result<(), SaeError> {
    Err(SaeError::Config { field, reason })
}

/// Checks every setting against its range.
///
/// # Errors
/// [`SaeError::Config`] naming the first setting that is out of range.
pub fn check_config(config: &SaeConfig, d_model: usize) -> Result<(), SaeError> {
    let (n, k) = (config.n_features, config.k);
    if n == 0 || d_model == 0 {
        return unusable(
            "n_features",
            format!("[{n}, {d_model}] leaves nothing to train"),
        );
    }
    if u64::from(n) * d_model as u64 > MOST_WEIGHTS {
        let reason =
            format!("{n} features of width {d_model} are more weights than any workstation trains");
        return unusable("n_features", reason);
    }
    if k == 0 || k > n {
        return unusable("k", format!("it is {k}, expected 1 to {n} (n_features)"));
    }
    if !(config.lr.is_finite() && config.lr > 0.0) {
        return unusable(
            "lr",
            format!("it is {}, expected a number above 0", config.lr),
        );
    }
    if !config.betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
        return unusable(
            "betas",
            format!("they are {:?}, expected 0 ≤ β < 1", config.betas),
        );
    }
    if config.batch_rows == 0 || config.steps == 0 {
        return unusable("batch_rows and steps", "both must be above 0".to_owned());
    }
    if u64::from(k) * u64::from(config.batch_rows) > u64::from(u32::MAX) {
        return unusable(
            "batch_rows",
            "k · batch_rows must stay below 2³²".to_owned(),
        );
    }
    if config
        .decay_start
        .is_some_and(|start| start >= config.steps)
    {
        return unusable(
            "decay_start",
            format!("it must be below steps ({})", config.steps),
        );
    }
    if !(config.auxk_alpha.is_finite() && config.auxk_alpha >= 0.0) {
        return unusable(
            "auxk_alpha",
            format!("it is {}, expected ≥ 0", config.auxk_alpha),
        );
    }
    if config
        .grad_clip
        .is_some_and(|limit| !(limit.is_finite() && limit > 0.0))
    {
        return unusable(
            "grad_clip",
            "it must be a number above 0, or absent".to_owned(),
        );
    }
    check_of_variant(config)?;
    check_of_recipe(config)?;
    variant(config).map(drop)
}

/// Says so where the warm-up is as long as the run, which can be trained but hardly be meant.
#[must_use]
pub fn unreached_rate(config: &SaeConfig) -> Option<String> {
    let is_heeded = config.optimizer != SaeOptimiser::Signum;
    let (warmup, steps) = (config.warmup_steps, config.steps);
    (is_heeded && warmup >= steps).then(|| {
        format!(
            "warmup_steps is {warmup} and steps is {steps}: the learning rate ends before it \
             reaches lr; a warm-up of a twentieth of the steps is usual"
        )
    })
}

/// The variants that a recipe has, its usual one first.
#[must_use]
pub fn variants_of(recipe: SaeRecipe) -> &'static [SaeVariant] {
    use SaeVariant::{BatchTopK, Gated, GroupMax, JumpRelu, Matryoshka, Relu, TopK};
    match recipe {
        SaeRecipe::Sparsify => &[TopK, GroupMax],
        SaeRecipe::Recsae => &[TopK],
        _ => &[TopK, BatchTopK, Matryoshka, Relu, JumpRelu, Gated],
    }
}

/// Checks that the recipe has the variant, and the settings that only some recipes have.
fn check_of_recipe(config: &SaeConfig) -> Result<(), SaeError> {
    use SaeVariant::{JumpRelu, Relu};
    let (recipe, variant) = (config.recipe, config.variant);
    let name = match recipe {
        SaeRecipe::Saelens => "saelens",
        SaeRecipe::Sparsify => "sparsify",
        SaeRecipe::Recsae => "recsae",
        _ => "dictionary_learning",
    };
    let variants = variants_of(recipe);
    if !variants.contains(&variant) {
        let reason = format!("the recipe {name} has no {variant:?}; it has {variants:?}");
        return unusable("variant", reason);
    }
    let is_penalised = matches!(variant, Relu | JumpRelu);
    let is_scaled = config.normalize_activations == InputScaling::LayerNorm;
    if is_scaled && !(recipe == SaeRecipe::Saelens && is_penalised) {
        let reason = "layer_norm is for relu and jump_relu of the recipe saelens".to_owned();
        return unusable("normalize_activations", reason);
    }
    for (field, value, may_be_zero) in [
        ("tanh_scale", config.tanh_scale, false),
        ("decoder_init_norm", config.decoder_init_norm, false),
        ("init_threshold", config.init_threshold, true),
        ("weight_decay", config.weight_decay, true),
        ("pre_act_loss", config.pre_act_loss.unwrap_or(0.0), true),
    ] {
        if !(value.is_finite() && (value > 0.0 || may_be_zero && value == 0.0)) {
            let least = if may_be_zero { "≥" } else { "above" };
            return unusable(field, format!("it is {value}, expected a number {least} 0"));
        }
    }
    if config.centre_rows && config.normalize_activations == InputScaling::LayerNorm {
        let reason = "layer_norm takes off each row's own mean already".to_owned();
        return unusable("centre_rows", reason);
    }
    check_nothing_is_ignored(config)?;
    check_transcoder(config)?;
    if config.k_anneal_steps > 0 && config.k_anneal_steps + 1 >= config.steps {
        let reason = format!("it must be at least 2 below steps ({})", config.steps);
        return unusable("k_anneal_steps", reason);
    }
    if config.use_matryoshka_aux_loss && config.group_weights.is_some() {
        let reason = "use_matryoshka_aux_loss needs prefixes of equal weight".to_owned();
        return unusable("group_weights", reason);
    }
    if config.resample_steps == Some(0) {
        return unusable("resample_steps", "it is 0, expected at least 1".to_owned());
    }
    if config.early_stop == Some(0) {
        return unusable("early_stop", "it is 0, expected at least 1".to_owned());
    }
    if config.epoch_steps == Some(0) {
        return unusable("epoch_steps", "it is 0, expected at least 1".to_owned());
    }
    let enough = config.n_features / 4 >= config.k;
    if config.multi_topk && recipe == SaeRecipe::Sparsify && !enough {
        let reason = format!(
            "it needs 4 k ({}) features, there are {}",
            u64::from(config.k) * 4,
            config.n_features
        );
        return unusable("multi_topk", reason);
    }
    Ok(())
}

/// Refuses what is not defined for a transcoder, whose rows and targets are two things.
fn check_transcoder(config: &SaeConfig) -> Result<(), SaeError> {
    if !config.transcode && config.skip_connection {
        let reason = "it is set, but only a transcoder (transcode = true) heeds it";
        return unusable("skip_connection", reason.to_owned());
    }
    if !config.transcode {
        return Ok(());
    }
    if config.apply_b_dec_to_input == Some(true) {
        let reason = "a transcoder's b_dec belongs to what it predicts, not to its input";
        return unusable("apply_b_dec_to_input", reason.to_owned());
    }
    if config.centre_rows {
        let reason = "a transcoder's encoder starts centred by its own bias";
        return unusable("centre_rows", reason.to_owned());
    }
    if config.normalize_activations != InputScaling::None {
        let reason = "rows and targets of a transcoder are not brought to one scale";
        return unusable("normalize_activations", reason.to_owned());
    }
    if config.multi_topk && config.skip_connection {
        let reason = "sparsify leaves the skip path out of that reconstruction; \
                      set skip_connection = false or multi_topk = false";
        return unusable("multi_topk", reason.to_owned());
    }
    Ok(())
}

/// Refuses settings that were changed and would do nothing here.
fn check_nothing_is_ignored(config: &SaeConfig) -> Result<(), SaeError> {
    let (recipe, variant) = (config.recipe, config.variant);
    let is = |wanted: SaeRecipe, of: &[SaeVariant]| recipe == wanted && of.contains(&variant);
    let saelens_jump = is(SaeRecipe::Saelens, &[SaeVariant::JumpRelu]);
    let sparsify = recipe == SaeRecipe::Sparsify;
    let is_signum = config.optimizer == SaeOptimiser::Signum;
    for (field, is_set, works, whose) in [
        ("optimizer", is_signum, sparsify, "the recipe sparsify"),
        (
            "multi_topk",
            config.multi_topk,
            is(SaeRecipe::Sparsify, &[SaeVariant::TopK]),
            "top_k of the recipe sparsify",
        ),
        (
            "transcode",
            config.transcode,
            sparsify,
            "the recipe sparsify",
        ),
        (
            "use_matryoshka_aux_loss",
            config.use_matryoshka_aux_loss,
            is(SaeRecipe::Saelens, &[SaeVariant::Matryoshka]),
            "matryoshka of the recipe saelens",
        ),
        (
            "l0_penalty",
            config.l0_penalty != L0Penalty::Step,
            saelens_jump,
            "jump_relu of the recipe saelens",
        ),
        (
            "pre_act_loss",
            config.pre_act_loss.is_some(),
            saelens_jump,
            "jump_relu of the recipe saelens",
        ),
        (
            "ste_to_input",
            config.ste_to_input,
            saelens_jump,
            "jump_relu of the recipe saelens",
        ),
        (
            "resample_steps",
            config.resample_steps.is_some(),
            is(SaeRecipe::DictionaryLearning, &[SaeVariant::Relu]),
            "relu of the recipe dictionary_learning",
        ),
        (
            "epoch_steps",
            config.epoch_steps.is_some(),
            recipe == SaeRecipe::Recsae,
            "the recipe recsae",
        ),
        (
            "k_anneal_steps",
            config.k_anneal_steps > 0,
            variant.is_top_k() && variant != SaeVariant::GroupMax,
            "top_k, batch_top_k and matryoshka",
        ),
        (
            "k_start",
            config.k_start.is_some(),
            config.k_anneal_steps > 0,
            "a run with k_anneal_steps",
        ),
        (
            "weight_decay",
            config.weight_decay > 0.0,
            !is_signum,
            "Adam, not signum",
        ),
    ] {
        if is_set && !works {
            let reason = format!("it is set, but only {whose} heeds it");
            return unusable(field, reason);
        }
    }
    Ok(())
}

/// Checks the settings that only some variants have.
fn check_of_variant(config: &SaeConfig) -> Result<(), SaeError> {
    let steps = config.steps;
    let variant = config.variant;
    if matches!(variant, SaeVariant::BatchTopK | SaeVariant::Matryoshka) {
        if !(0.0..1.0).contains(&config.threshold_beta) {
            return unusable(
                "threshold_beta",
                "expected 0 ≤ threshold_beta < 1".to_owned(),
            );
        }
        if config.recipe == SaeRecipe::DictionaryLearning
            && config.threshold_start_step + 1 >= steps
        {
            let reason =
                format!("it must be at least 2 below steps ({steps}), or there is no threshold");
            return unusable("threshold_start_step", reason);
        }
    }
    for (field, value) in [
        ("l1", config.l1),
        ("sparsity_penalty", config.sparsity_penalty),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return unusable(field, format!("it is {value}, expected ≥ 0"));
        }
    }
    if config
        .target_l0
        .is_some_and(|target| !(target.is_finite() && target > 0.0))
    {
        return unusable(
            "target_l0",
            "it must be a number above 0, or absent".to_owned(),
        );
    }
    if !(config.bandwidth.is_finite() && config.bandwidth > 0.0) {
        return unusable(
            "bandwidth",
            format!("it is {}, expected a number above 0", config.bandwidth),
        );
    }
    let has_penalty = matches!(
        variant,
        SaeVariant::Relu | SaeVariant::JumpRelu | SaeVariant::Gated
    );
    if has_penalty && config.sparsity_warmup_steps >= steps {
        let reason = format!("it must be below steps ({steps})");
        return unusable("sparsity_warmup_steps", reason);
    }
    let is_library = config.recipe == SaeRecipe::DictionaryLearning;
    if !config.unit_decoder && is_library && variant != SaeVariant::Relu {
        let reason = format!("it is false, which only relu can be trained with, not {variant:?}");
        return unusable("unit_decoder", reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_trains_the_variants_that_it_lists_and_no_other() {
        use SaeVariant::{BatchTopK, Gated, GroupMax, JumpRelu, Matryoshka, Relu, TopK};
        for recipe in [
            SaeRecipe::DictionaryLearning,
            SaeRecipe::Saelens,
            SaeRecipe::Sparsify,
            SaeRecipe::Recsae,
        ] {
            for variant in [TopK, BatchTopK, Matryoshka, Relu, JumpRelu, Gated, GroupMax] {
                let checked = check_config(&SaeConfig::of_recipe(recipe, variant, 128), 8);
                let is_listed = variants_of(recipe).contains(&variant);
                assert_eq!(checked.is_ok(), is_listed, "{recipe:?} {variant:?}");
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = SaeConfig::default();
        assert!(check_config(&good, 8).is_ok());
        for (field, config) in [
            (
                "k",
                SaeConfig {
                    k: 0,
                    ..good.clone()
                },
            ),
            (
                "k",
                SaeConfig {
                    k: 5000,
                    ..good.clone()
                },
            ),
            (
                "lr",
                SaeConfig {
                    lr: f32::NAN,
                    ..good.clone()
                },
            ),
            (
                "betas",
                SaeConfig {
                    betas: [0.9, 1.0],
                    ..good.clone()
                },
            ),
            (
                "batch_rows and steps",
                SaeConfig {
                    steps: 0,
                    ..good.clone()
                },
            ),
            (
                "decay_start",
                SaeConfig {
                    decay_start: Some(9999),
                    ..good.clone()
                },
            ),
            (
                "auxk_alpha",
                SaeConfig {
                    auxk_alpha: -1.0,
                    ..good.clone()
                },
            ),
            (
                "grad_clip",
                SaeConfig {
                    grad_clip: Some(0.0),
                    ..good.clone()
                },
            ),
            (
                "threshold_start_step",
                SaeConfig {
                    variant: SaeVariant::BatchTopK,
                    threshold_start_step: 5000,
                    ..good
                },
            ),
        ] {
            match check_config(&config, 8) {
                Err(SaeError::Config { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_warm_up_as_long_as_the_run_is_told() {
        let short = SaeConfig {
            steps: 100,
            ..SaeConfig::default()
        };
        let told = unreached_rate(&short).unwrap();
        assert!(told.contains("warmup_steps is 100 and steps is 100"));
        let enough = SaeConfig {
            warmup_steps: 99,
            ..short
        };
        assert_eq!(unreached_rate(&enough), None);
        let by_signs = SaeConfig {
            steps: 100,
            ..SaeConfig::of_recipe(SaeRecipe::Sparsify, SaeVariant::TopK, 128)
        };
        assert_eq!(unreached_rate(&by_signs), None);
    }

    #[test]
    fn settings_that_nothing_heeds_are_named() {
        let good = SaeConfig::default();
        for (field, config) in [
            (
                "optimizer",
                SaeConfig {
                    optimizer: SaeOptimiser::Signum,
                    ..good.clone()
                },
            ),
            (
                "multi_topk",
                SaeConfig {
                    multi_topk: true,
                    ..good.clone()
                },
            ),
            (
                "k_anneal_steps",
                SaeConfig {
                    k_anneal_steps: 5,
                    ..SaeConfig::of_variant(SaeVariant::Relu)
                },
            ),
            (
                "resample_steps",
                SaeConfig {
                    resample_steps: Some(5),
                    ..good
                },
            ),
        ] {
            match check_config(&config, 8) {
                Err(SaeError::Config { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
