//! The fourth step: presets, size and sparsity of the dictionary, and its settings in full.

use egui::{CollapsingHeader, DragValue, Slider, Ui};
use engine::presets;
use schema::{SaeConfig, SaeVariant};

use crate::screens::start::field_label_ui;
use crate::screens::train::setup::{Setup, step_ui};
use crate::widgets::{notice, number};

/// Several values of k or of the expansion at once.
#[derive(Default)]
pub(crate) struct Sweep {
    pub(super) ks: String,
    pub(super) expansions: String,
}

impl Sweep {
    /// Whether several dictionaries are asked for.
    pub(super) fn is_on(&self) -> bool {
        !self.ks.trim().is_empty() || !self.expansions.trim().is_empty()
    }

    /// Values of k and numbers of features; a sentence where a text is no list of numbers.
    pub(super) fn values(&self, d_model: u32) -> Result<[Vec<u32>; 2], String> {
        let widths = numbers(&self.expansions)?
            .into_iter()
            .map(|expansion| expansion.saturating_mul(d_model))
            .collect();
        Ok([numbers(&self.ks)?, widths])
    }
}

/// Numbers between commas or spaces.
fn numbers(text: &str) -> Result<Vec<u32>, String> {
    text.split([',', ' ', ';'])
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!(
                "\"{word}\" is no number above 0; expected a list such as 4, 8, 16"
            )),
        })
        .collect()
}

/// Sizes of groups whose prefixes are each twice as wide as the one before.
fn doubling_groups(n_features: u32, n_prefixes: u32) -> Vec<u32> {
    let mut ends: Vec<u32> = (0..n_prefixes)
        .map(|i| (n_features >> (n_prefixes - 1 - i)).max(1))
        .collect();
    ends.dedup();
    let mut before = 0;
    ends.into_iter()
        .map(|end| {
            let size = end - before;
            before = end;
            size
        })
        .collect()
}

/// Widths of the nested prefixes of these settings.
fn prefix_widths(config: &SaeConfig) -> Vec<u32> {
    let sizes = if config.group_sizes.is_empty() {
        let n = config.n_features;
        let first = [n / 32, n / 16, n / 8, n / 4];
        let rest = n - first.iter().sum::<u32>();
        first.into_iter().chain([rest]).collect()
    } else {
        config.group_sizes.clone()
    };
    sizes
        .iter()
        .scan(0, |end, size| {
            *end += size;
            Some(*end)
        })
        .collect()
}

impl Setup {
    pub(super) fn set_expansion(&mut self, expansion: u32) {
        let usual = |config: &SaeConfig| {
            SaeConfig::of_recipe(config.recipe, config.variant, config.n_features).lr
        };
        // Some recipes' rate follows the number of features, unless the user changed it.
        let is_usual = self.config.lr == usual(&self.config);
        self.expansion = expansion.max(1);
        self.config.n_features = self.expansion.saturating_mul(self.d_model.max(1));
        self.config.k = self.config.k.clamp(1, self.config.n_features);
        if is_usual {
            self.config.lr = usual(&self.config);
        }
        self.set_prefixes(self.prefixes);
    }

    pub(super) fn set_prefixes(&mut self, prefixes: Option<u32>) {
        self.prefixes = prefixes;
        self.config.group_sizes = match prefixes {
            Some(n) if self.config.variant == SaeVariant::Matryoshka => {
                doubling_groups(self.config.n_features, n)
            }
            _ => Vec::new(),
        };
        self.config.group_weights = None;
    }

    /// Changes the number of steps and, in proportion, what is given in steps.
    fn set_steps(&mut self, steps: u32) {
        let before = f64::from(self.config.steps.max(1));
        let scaled = |at: u32| {
            let at = f64::from(at) * f64::from(steps) / before;
            (at.round() as u32).min(steps.saturating_sub(2))
        };
        let config = &mut self.config;
        config.warmup_steps = scaled(config.warmup_steps);
        config.decay_start = config.decay_start.map(scaled);
        config.threshold_start_step = scaled(config.threshold_start_step);
        config.sparsity_warmup_steps = scaled(config.sparsity_warmup_steps);
        config.steps = steps;
    }

    /// The whole step.
    pub(super) fn dictionary_ui(&mut self, ui: &mut Ui) {
        step_ui(ui, 4, "Dictionary");
        let all = presets();
        ui.horizontal_wrapped(|ui| {
            for preset in &all {
                let chosen = self.preset == Some(preset.id);
                let button = ui.selectable_label(chosen, preset.name);
                let button = button.on_hover_text(preset.sentence);
                if button
                    .accessible_name(format!("Preset {}", preset.name))
                    .clicked()
                {
                    self.use_preset(preset);
                }
            }
        });
        let sentence = all
            .iter()
            .find(|preset| Some(preset.id) == self.preset)
            .map_or("Your own settings.", |preset| preset.sentence);
        notice::weak_ui(ui, sentence);
        let before = self.config.clone();
        self.size_ui(ui);
        CollapsingHeader::new("Advanced settings")
            .id_salt("train advanced")
            .show(ui, |ui| self.advanced_ui(ui));
        let seed_apart = SaeConfig {
            seed: before.seed,
            ..self.config.clone()
        };
        if seed_apart != before {
            self.preset = None;
        }
        CollapsingHeader::new("Several at once")
            .id_salt("train sweep")
            .show(ui, |ui| self.sweep_ui(ui));
    }

    fn size_ui(&mut self, ui: &mut Ui) {
        let mut expansion = self.expansion;
        row_ui(ui, "Expansion", |ui| {
            let slider = Slider::new(&mut expansion, 1..=64)
                .logarithmic(true)
                .suffix("x");
            ui.add(slider)
                .accessible_name("Features per dimension")
                .changed()
        });
        if expansion != self.expansion {
            self.set_expansion(expansion);
        }
        row_ui(ui, "", |ui| {
            let n = u64::from(self.config.n_features);
            notice::weak_ui(ui, number::counted(n, ["feature", "features"]));
            false
        });
        let counts_active = !matches!(self.config.variant, SaeVariant::Relu | SaeVariant::Gated);
        if counts_active {
            let most = self.config.n_features.min(256);
            row_ui(ui, "k", |ui| {
                ui.add(Slider::new(&mut self.config.k, 1..=most).logarithmic(true))
                    .on_hover_text("Features active at one place")
                    .accessible_name("Active features k")
                    .changed()
            });
        }
        self.variant_ui(ui);
        if self.config.variant == SaeVariant::Matryoshka {
            self.prefixes_ui(ui);
        }
        let mut steps = self.config.steps;
        row_ui(ui, "Steps", |ui| {
            let drag = DragValue::new(&mut steps).range(10..=1_000_000).speed(10);
            let changed = ui.add(drag).accessible_name("Training steps").changed();
            notice::weak_ui(
                ui,
                format!(
                    "of {} rows",
                    number::count(u64::from(self.config.batch_rows))
                ),
            );
            changed
        });
        if steps != self.config.steps {
            self.set_steps(steps);
        }
        row_ui(ui, "Seed", |ui| {
            ui.add(DragValue::new(&mut self.config.seed))
                .accessible_name("Seed of the training")
                .changed()
        });
    }

    fn prefixes_ui(&mut self, ui: &mut Ui) {
        let widths = prefix_widths(&self.config);
        let mut n = widths.len() as u32;
        row_ui(ui, "Prefixes", |ui| {
            ui.add(Slider::new(&mut n, 2..=8))
                .on_hover_text("Each prefix is twice as wide as the one before")
                .accessible_name("Nested prefixes")
                .changed()
        });
        if n != widths.len() as u32 {
            self.set_prefixes(Some(n));
        }
        let widths: Vec<String> = prefix_widths(&self.config)
            .iter()
            .map(|&width| number::count(u64::from(width)))
            .collect();
        row_ui(ui, "", |ui| {
            notice::weak_ui(ui, format!("The first {} features", widths.join(", ")));
            false
        });
    }

    fn advanced_ui(&mut self, ui: &mut Ui) {
        self.recipe_ui(ui);
        self.mean_ui(ui);
        let config = &mut self.config;
        let last = config.steps.saturating_sub(2);
        let rate = DragValue::new(&mut config.lr)
            .range(1e-6..=1.0)
            .speed(1e-5)
            .max_decimals(6);
        drag_row_ui(ui, "Learning rate", rate);
        let rows = DragValue::new(&mut config.batch_rows).range(16..=65_536);
        drag_row_ui(ui, "Rows per step", rows);
        let warmup = DragValue::new(&mut config.warmup_steps).range(0..=last);
        drag_row_ui(ui, "Warm-up steps", warmup);
        let mut decays = config.decay_start.is_some();
        row_ui(ui, "Decay from step", |ui| {
            if ui
                .checkbox(&mut decays, "")
                .accessible_name("Learning rate decays")
                .changed()
            {
                config.decay_start = decays.then_some(last / 5 * 4);
            }
            if let Some(start) = &mut config.decay_start {
                ui.add(DragValue::new(start).range(0..=last))
                    .accessible_name("Decay from step");
            }
            false
        });
        let dead = DragValue::new(&mut config.dead_after_rows).range(1_000..=100_000_000_u64);
        drag_row_ui(ui, "Dead after rows", dead.speed(1000));
        match config.variant {
            variant if variant.is_top_k() => {
                let auxk = DragValue::new(&mut config.auxk_alpha).range(0.0..=1.0);
                drag_row_ui(ui, "AuxK weight", auxk.speed(0.001).max_decimals(4));
                if matches!(variant, SaeVariant::BatchTopK | SaeVariant::Matryoshka) {
                    let start = DragValue::new(&mut config.threshold_start_step).range(0..=last);
                    drag_row_ui(ui, "Threshold from step", start);
                }
            }
            SaeVariant::Relu | SaeVariant::Gated => {
                let l1 = DragValue::new(&mut config.l1).range(0.0..=100.0);
                drag_row_ui(ui, "L1 weight", l1.speed(0.001).max_decimals(4));
            }
            SaeVariant::JumpRelu => {
                let penalty = DragValue::new(&mut config.sparsity_penalty).range(0.0..=100.0);
                drag_row_ui(ui, "L0 weight", penalty.speed(0.01).max_decimals(4));
                let width = DragValue::new(&mut config.bandwidth).range(1e-6..=10.0);
                drag_row_ui(ui, "Threshold window", width.speed(1e-4).max_decimals(6));
            }
            _ => {}
        }
    }

    fn sweep_ui(&mut self, ui: &mut Ui) {
        notice::weak_ui(
            ui,
            "One dictionary for each pair of these, one after another from one harvest; compare \
             them in the plot of runs.",
        );
        for (name, label, text) in [
            ("k", "Values of k", &mut self.sweep.ks),
            (
                "Expansion",
                "Values of the expansion",
                &mut self.sweep.expansions,
            ),
        ] {
            row_ui(ui, name, |ui| {
                let field = egui::TextEdit::singleline(text)
                    .hint_text("such as 4, 8, 16")
                    .desired_width(180.0);
                ui.add(field).accessible_name(label).changed()
            });
        }
        if let Err(problem) = self.sweep.values(self.d_model) {
            notice::warning_ui(ui, &problem);
        }
    }
}

/// A control with its name in a column of its own; what the control says of itself.
pub(super) fn row_ui(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui) -> bool) -> bool {
    ui.horizontal(|ui| {
        field_label_ui(ui, name);
        ui.spacing_mut().slider_width = (ui.available_width() - 84.0).clamp(80.0, 240.0);
        control(ui)
    })
    .inner
}

fn drag_row_ui(ui: &mut Ui, name: &str, drag: DragValue<'_>) {
    row_ui(ui, name, |ui| {
        ui.add(drag).accessible_name(name.to_owned()).changed()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_double_and_end_with_the_whole() {
        assert_eq!(doubling_groups(512, 4), [64, 64, 128, 256]);
        assert_eq!(doubling_groups(100, 3), [25, 25, 50]);
        assert_eq!(doubling_groups(2, 8).iter().sum::<u32>(), 2);
        let config = SaeConfig {
            n_features: 512,
            group_sizes: doubling_groups(512, 4),
            ..SaeConfig::default()
        };
        assert_eq!(prefix_widths(&config), [64, 128, 256, 512]);
    }

    #[test]
    fn what_is_given_in_steps_follows_the_steps() {
        let mut setup = Setup {
            config: SaeConfig {
                steps: 1000,
                warmup_steps: 50,
                decay_start: Some(800),
                threshold_start_step: 250,
                ..SaeConfig::default()
            },
            ..Setup::default()
        };
        setup.set_steps(100);
        let config = &setup.config;
        let scaled = (config.warmup_steps, config.decay_start);
        assert_eq!(scaled, (5, Some(80)));
        assert_eq!(config.threshold_start_step, 25);
    }

    #[test]
    fn a_sweep_is_read_from_text() {
        assert_eq!(numbers("4, 8 16"), Ok(vec![4, 8, 16]));
        assert!(numbers("4, many").is_err_and(|text| text.contains("\"many\"")));
        assert!(numbers("0").is_err());
    }
}
