//! The form that begins the training of a recommender.

use egui::{DragValue, RichText, Ui};
use engine::views::DatasetView;
use engine::{
    RecommenderPreset, RecommenderSetting, SettingValue, TrainRecommenderRequest,
    check_recommender, recommender_presets,
};
use schema::DatasetKind;

use super::Known;
use crate::app_context::AppContext;
use crate::commands::{Command, Screen};
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::live::accent_ui;
use crate::tokens;
use crate::widgets::{notice, number};

/// Settings of training stand left, those of the shape right; the shape begins with this key.
const SHAPE_BEGINS: &str = "d_model";
/// Size of a field for a number.
const FIELD: [f32; 2] = [88.0, 26.0];
/// Architecture that is offered first.
const FIRST: &str = "sasrec";

/// What is to be trained.
pub(super) struct TrainForm {
    presets: Result<Vec<RecommenderPreset>, String>,
    /// Which preset.
    arch: usize,
    /// Its settings, as changed.
    values: Vec<SettingValue>,
    dataset: Option<String>,
    /// Name the user gave; `None` for one made from dataset and architecture.
    name: Option<String>,
    seed: u64,
}

impl Default for TrainForm {
    fn default() -> Self {
        let presets = recommender_presets().map_err(|error| error.message);
        let all = presets.as_ref().map_or(&[][..], Vec::as_slice);
        let arch = all.iter().position(|preset| preset.arch == FIRST);
        let arch = arch.unwrap_or(0);
        Self {
            values: all.get(arch).map_or_else(Vec::new, preset_values),
            presets,
            arch,
            dataset: None,
            name: None,
            seed: 0,
        }
    }
}

fn preset_values(preset: &RecommenderPreset) -> Vec<SettingValue> {
    preset
        .settings
        .iter()
        .map(|setting| setting.value)
        .collect()
}

/// A number with three digits that count, as one writes it.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

impl TrainForm {
    /// What was asked for is begun: the next one has another name.
    pub(super) fn begun(&mut self) {
        self.name = None;
    }

    /// Draws the form; the name of the model whose training was begun.
    pub(super) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        known: &Known<'_>,
    ) -> Option<String> {
        let presets = match &self.presets {
            Ok(presets) => presets.clone(),
            Err(problem) => {
                notice::error_ui(ui, problem);
                return None;
            }
        };
        card(ui, |ui| self.architecture_ui(ui, &presets));
        let preset = presets.get(self.arch)?;
        card(ui, |ui| self.dataset_ui(ctx, ui));
        card(ui, |ui| self.settings_ui(ui, preset));
        let mut begun = None;
        card(ui, |ui| begun = self.start_ui(ctx, ui, preset, known));
        begun
    }

    fn architecture_ui(&mut self, ui: &mut Ui, presets: &[RecommenderPreset]) {
        ui.label(RichText::new("Train a recommender").font(tokens::title_font()));
        ui.horizontal_wrapped(|ui| {
            for (i, preset) in presets.iter().enumerate() {
                let chosen = i == self.arch;
                if ui.selectable_label(chosen, preset.name).clicked() && !chosen {
                    self.arch = i;
                    self.values = preset_values(preset);
                }
            }
        });
        if let Some(preset) = presets.get(self.arch) {
            notice::weak_ui(ui, preset.sentence);
        }
    }

    fn dataset_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        ui.label(RichText::new("Dataset").font(tokens::title_font()));
        let fits = |view: &&DatasetView| view.manifest.kind == DatasetKind::Interactions;
        let fitting: Vec<&DatasetView> = ctx.datasets.iter().filter(fits).collect();
        let named = |view: &&&DatasetView| Some(&view.manifest.name) == self.dataset.as_ref();
        if fitting.iter().find(named).is_none() {
            self.dataset = fitting.first().map(|view| view.manifest.name.clone());
        }
        if fitting.is_empty() {
            notice::weak_ui(
                ui,
                "A recommender learns from item histories, and the project has none yet.",
            );
            if ui.button("Go to Data").clicked() {
                ctx.send(Command::Show(Screen::Data));
            }
            return;
        }
        ui.horizontal_wrapped(|ui| {
            for view in &fitting {
                let name = &view.manifest.name;
                let chosen = self.dataset.as_ref() == Some(name);
                let button = ui.selectable_label(chosen, name);
                if button.accessible_name(format!("Train on {name}")).clicked() {
                    self.dataset = Some(name.clone());
                }
            }
        });
        let mut chosen = fitting.iter();
        if let Some(view) = chosen.find(|view| Some(&view.manifest.name) == self.dataset.as_ref()) {
            let users = number::counted(u64::from(view.n_groups), ["user", "users"]);
            let items = number::counted(u64::from(view.n_items), ["item", "items"]);
            notice::weak_ui(ui, format!("{users}, {items}"));
        }
    }

    fn settings_ui(&mut self, ui: &mut Ui, preset: &RecommenderPreset) {
        ui.horizontal(|ui| {
            ui.label(RichText::new("Settings").font(tokens::title_font()));
            let is_changed = self.values != preset_values(preset);
            let back = ui
                .add_enabled(is_changed, egui::Button::new("Back to the preset"))
                .on_disabled_hover_text("These are the preset's");
            if back.clicked() {
                self.values = preset_values(preset);
            }
        });
        let settings = preset.settings.iter();
        let split = settings
            .clone()
            .position(|setting| setting.key == SHAPE_BEGINS)
            .unwrap_or(preset.settings.len());
        let mut rows: Vec<_> = settings.zip(&mut self.values).collect();
        let shape = rows.split_off(split);
        ui.columns(2, |columns| {
            let sides = [("Training", rows), ("Shape", shape)];
            for (ui, (title, rows)) in columns.iter_mut().zip(sides) {
                ui.label(RichText::new(title).strong());
                for (setting, value) in rows {
                    setting_ui(ui, setting, value);
                }
            }
        });
    }

    fn start_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        preset: &RecommenderPreset,
        known: &Known<'_>,
    ) -> Option<String> {
        let mut name = self.model_name(preset, known);
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Name");
            let field = egui::TextEdit::singleline(&mut name).desired_width(280.0);
            if ui.add(field).labelled_by(label.id).changed() {
                self.name = (!name.trim().is_empty()).then(|| name.clone());
            }
        });
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Seed");
            ui.add_sized(FIELD, DragValue::new(&mut self.seed))
                .labelled_by(label.id);
        });
        let dataset = self.dataset.clone()?;
        let request = TrainRecommenderRequest {
            name: name.trim().to_owned(),
            arch: preset.arch.to_owned(),
            dataset,
            settings: preset.changes(&self.values),
            seed: self.seed,
            ..TrainRecommenderRequest::default()
        };
        let problem = if known.is_taken(&request.name) {
            Some("There is a model of this name; choose another name".to_owned())
        } else {
            check_recommender(&request).err().map(|error| error.message)
        };
        if let Some(problem) = &problem {
            notice::warning_ui(ui, problem);
        }
        let mut begun = None;
        ui.horizontal(|ui| {
            ui.add_enabled_ui(problem.is_none(), |ui| {
                if accent_ui(ui, "Start training") {
                    begun = Some(request.name.clone());
                    ctx.send(Command::TrainRecommender(Box::new(request)));
                }
            });
            notice::weak_ui(
                ui,
                "Keeps the epoch with the best dev NDCG@5; can be paused, stopped and resumed.",
            );
        });
        begun
    }

    /// The name the user gave, else one that is free.
    fn model_name(&self, preset: &RecommenderPreset, known: &Known<'_>) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let base = format!(
            "{}-{}",
            self.dataset.as_deref().unwrap_or("histories"),
            preset.arch
        );
        if !known.is_taken(&base) {
            return base;
        }
        // One more than there are names is always free.
        let n_names = known.entries.len() + known.unfinished.len();
        (2..=n_names + 2)
            .map(|i| format!("{base}-{i}"))
            .find(|name| !known.is_taken(name))
            .unwrap_or(base)
    }
}

/// A setting beside its name.
fn setting_ui(ui: &mut Ui, setting: &RecommenderSetting, value: &mut SettingValue) {
    ui.horizontal(|ui| {
        let label = field_label_ui(ui, setting.name);
        let [low, high] = setting.range;
        let field = match value {
            SettingValue::Whole(whole) => {
                let drag = DragValue::new(whole).range(low as u32..=high as u32);
                ui.add_sized(FIELD, drag)
            }
            SettingValue::Real(real) => {
                let speed = (*real * 0.05).max(low.max(1e-9));
                let drag = DragValue::new(real)
                    .range(low..=high)
                    .speed(speed)
                    .custom_formatter(|value, _| rounded(value).to_string());
                let field = ui.add_sized(FIELD, drag);
                if field.changed() {
                    *real = rounded(*real);
                }
                field
            }
        };
        field.labelled_by(label.id).on_hover_text(setting.hint);
        if *value != setting.value {
            let preset = match setting.value {
                SettingValue::Whole(whole) => whole.to_string(),
                SettingValue::Real(real) => real.to_string(),
            };
            notice::weak_ui(ui, format!("preset {preset}"));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn three_digits_count() {
        assert_eq!(rounded(0.000_123_456), 0.000_123);
        assert_eq!(rounded(1e-8).to_string(), "0.00000001");
        assert_eq!(rounded(0.0), 0.0);
    }
}
