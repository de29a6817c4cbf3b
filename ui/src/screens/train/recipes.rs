//! Variants and recipes as the user calls them, and what choosing one changes.

use egui::{ComboBox, Ui};
use engine::views::RunRequest;
use schema::{SaeConfig, SaeRecipe, SaeVariant};

use crate::screens::train::dictionary::row_ui;
use crate::screens::train::setup::Setup;
use crate::widgets::notice;

/// Variants, as the user calls them and in one sentence.
const VARIANTS: [(SaeVariant, &str, &str); 7] = [
    (
        SaeVariant::TopK,
        "TopK",
        "The k strongest features at every place.",
    ),
    (
        SaeVariant::BatchTopK,
        "BatchTopK",
        "k features on average; places differ in how many they need.",
    ),
    (
        SaeVariant::Matryoshka,
        "Matryoshka",
        "Nested prefixes: each first part of the dictionary reconstructs by itself.",
    ),
    (
        SaeVariant::Relu,
        "ReLU",
        "Every feature above 0, with an L1 penalty.",
    ),
    (
        SaeVariant::JumpRelu,
        "JumpReLU",
        "Every feature above its own threshold, with an L0 penalty.",
    ),
    (
        SaeVariant::Gated,
        "Gated",
        "A gate says which features are active, with an L1 penalty.",
    ),
    (
        SaeVariant::GroupMax,
        "GroupMax",
        "The strongest of each of k equal groups of features, which compete within their group.",
    ),
];

/// Recipes, as the user calls them and in one sentence.
const RECIPES: [(SaeRecipe, &str, &str); 4] = [
    (
        SaeRecipe::DictionaryLearning,
        "dictionary_learning",
        "Six variants; decoder rows of unit length, dead features brought back by AuxK.",
    ),
    (
        SaeRecipe::Saelens,
        "saelens",
        "The same variants as SAELens trains them: decoder rows of free length, b_dec from 0.",
    ),
    (
        SaeRecipe::Sparsify,
        "sparsify",
        "TopK and GroupMax as EleutherAI trains them: signs of gradients, no AuxK.",
    ),
    (
        SaeRecipe::Recsae,
        "recsae",
        "TopK as RecSAE trains it, for user vectors of a recommender.",
    ),
];

/// What a variant is called.
pub(super) fn variant_name(variant: SaeVariant) -> &'static str {
    named(&VARIANTS, variant).0
}

/// Name and sentence of one of `all`.
fn named<T: Copy + PartialEq>(
    all: &[(T, &'static str, &'static str)],
    one: T,
) -> (&'static str, &'static str) {
    all.iter()
        .find(|(known, _, _)| *known == one)
        .map_or(("", ""), |(_, name, sentence)| (*name, *sentence))
}

impl Setup {
    /// Takes all settings of a recipe but sizes, seed and steps, with its first variant where it
    /// lacks the present one.
    pub(super) fn set_recipe(&mut self, recipe: SaeRecipe) {
        let has = engine::variants_of(recipe);
        let before = &self.config;
        let variant = match has.first() {
            Some(&first) if !has.contains(&before.variant) => first,
            _ => before.variant,
        };
        self.config = SaeConfig {
            k: before.k,
            batch_rows: before.batch_rows,
            steps: before.steps,
            seed: before.seed,
            ..SaeConfig::of_recipe(recipe, variant, before.n_features)
        };
        self.fit_to_steps();
    }

    fn set_variant(&mut self, variant: SaeVariant) {
        let config = &mut self.config;
        let usual = SaeConfig::of_recipe(config.recipe, variant, config.n_features);
        config.variant = variant;
        (config.betas, config.grad_clip) = (usual.betas, usual.grad_clip);
        self.fit_to_steps();
    }

    /// Brings what is given in steps below the number of steps.
    fn fit_to_steps(&mut self) {
        let config = &mut self.config;
        let last = config.steps.saturating_sub(2);
        for at in [
            &mut config.warmup_steps,
            &mut config.threshold_start_step,
            &mut config.sparsity_warmup_steps,
        ] {
            *at = (*at).min(last);
        }
        self.set_prefixes(None);
    }

    /// Takes the mean off the rows before training.
    pub(super) fn take_mean_off(&mut self) {
        self.config.centre_rows = true;
        self.preset = None;
    }

    /// Why these settings cannot be trained, in the engine's words.
    pub(super) fn problem(&self) -> Option<String> {
        let checked = engine::check_settings(&self.config, self.d_model.max(1));
        checked.err().map(|error| error.message)
    }

    /// Why these dictionaries, made from the settings, cannot be trained: the settings themselves,
    /// which are forecast, or one of the dictionaries.
    pub(super) fn refusal(&self, requests: &[RunRequest]) -> Option<String> {
        if let Some(problem) = self.problem() {
            return Some(format!("The settings of step 4: {problem}"));
        }
        if requests.is_empty() && self.sweep.values(self.d_model).is_ok() {
            return Some("Every value of k is above the number of features".to_owned());
        }
        requests.iter().find_map(|request| {
            let checked = engine::check_settings(&request.config, self.d_model.max(1));
            let problem = checked.err()?.message;
            Some(format!("{}: {problem}", request.name))
        })
    }

    pub(super) fn variant_ui(&mut self, ui: &mut Ui) {
        let mut variant = self.config.variant;
        row_ui(ui, "Variant", |ui| {
            ComboBox::from_id_salt("train variant")
                .selected_text(variant_name(variant))
                .width(160.0)
                .show_ui(ui, |ui| {
                    for &known in engine::variants_of(self.config.recipe) {
                        let (name, sentence) = named(&VARIANTS, known);
                        ui.selectable_value(&mut variant, known, name)
                            .on_hover_text(sentence);
                    }
                })
                .response
                .accessible_name("Variant");
            false
        });
        if variant != self.config.variant {
            self.set_variant(variant);
        }
        row_ui(ui, "", |ui| {
            notice::weak_ui(ui, named(&VARIANTS, variant).1);
            false
        });
    }

    pub(super) fn recipe_ui(&mut self, ui: &mut Ui) {
        let mut recipe = self.config.recipe;
        row_ui(ui, "Recipe", |ui| {
            ComboBox::from_id_salt("train recipe")
                .selected_text(named(&RECIPES, recipe).0)
                .width(160.0)
                .show_ui(ui, |ui| {
                    for (known, name, sentence) in RECIPES {
                        ui.selectable_value(&mut recipe, known, name)
                            .on_hover_text(sentence);
                    }
                })
                .response
                .on_hover_text("Sets everything below to what this tool does")
                .accessible_name("Recipe");
            false
        });
        if recipe != self.config.recipe {
            self.set_recipe(recipe);
        }
        row_ui(ui, "", |ui| {
            notice::weak_ui(ui, named(&RECIPES, recipe).1);
            false
        });
    }

    pub(super) fn mean_ui(&mut self, ui: &mut Ui) {
        row_ui(ui, "Mean", |ui| {
            ui.checkbox(
                &mut self.config.centre_rows,
                "Train on rows less their mean",
            )
            .on_hover_text(
                "Keeps features alive where rows lie far from the origin; the finished \
                     dictionary reads rows as they are",
            )
            .changed()
        });
    }
}

#[cfg(test)]
mod tests {
    use schema::HookPoint;

    use super::*;

    #[test]
    fn a_recipe_keeps_sizes_seed_and_steps_and_can_be_trained() {
        for (recipe, name, _) in RECIPES {
            for (variant, _, _) in VARIANTS {
                let mut setup = Setup {
                    d_model: 64,
                    config: SaeConfig {
                        n_features: 512,
                        k: 4,
                        batch_rows: 1024,
                        steps: 50,
                        seed: 9,
                        variant,
                        ..SaeConfig::default()
                    },
                    ..Setup::default()
                };
                setup.set_recipe(recipe);
                let config = &setup.config;
                assert_eq!(setup.problem(), None, "{name} {variant:?}");
                assert_eq!((config.n_features, config.k, config.seed), (512, 4, 9));
                assert_eq!((config.batch_rows, config.steps), (1024, 50));
                let usual = SaeConfig::of_recipe(recipe, config.variant, 512);
                assert_eq!((config.lr, config.recipe), (usual.lr, recipe));
                assert_eq!(config.optimizer, usual.optimizer);
                let has = engine::variants_of(recipe);
                assert_eq!(config.variant == variant, has.contains(&variant), "{name}");
            }
        }
    }

    #[test]
    fn what_the_engine_refuses_is_said_in_its_words() {
        let mut setup = Setup::default();
        setup.set_recipe(SaeRecipe::Sparsify);
        setup.set_variant(SaeVariant::GroupMax);
        (setup.config.n_features, setup.config.k) = (64, 7);
        let problem = setup.problem().unwrap_or_default();
        let expected = "a divisor of the 64 features";
        assert!(problem.contains(expected), "{problem}");
        // Nor are several started from them, though each of their own k fits.
        let request = RunRequest {
            name: "films".to_owned(),
            model: String::new(),
            dataset: String::new(),
            hook: HookPoint::UserVector,
            positions: String::new(),
            limit: None,
            pool: 1,
            config: setup.config.clone(),
        };
        let refusal = setup.refusal(&request.sweep(&[4, 8], &[]));
        assert!(refusal.is_some_and(|why| why.contains(expected)));
        setup.config.k = 8;
        assert_eq!(setup.refusal(&request.sweep(&[4, 8], &[])), None);
        let uneven = setup.refusal(&request.sweep(&[4, 12], &[]));
        assert!(uneven.is_some_and(|why| why.starts_with("films-k12: ")));
        let none = setup.refusal(&request.sweep(&[65], &[]));
        assert!(none.is_some_and(|why| why.contains("above the number of features")));
    }
}
