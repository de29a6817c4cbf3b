//! The steps before a training: model, dataset, hook point and positions, name.

use egui::{ComboBox, RichText, Ui};
use engine::views::{DatasetView, ModelView, RunRequest, RunView};
use engine::{Preset, presets};
use schema::{DatasetKind, HookPoint, SaeConfig};

use crate::app_context::AppContext;
use crate::commands::{Command, Screen};
use crate::screens::start::{card, field_label_ui};
use crate::screens::train::dictionary::Sweep;
use crate::tokens;
use crate::widgets::{notice, number};

/// What is to be trained.
pub(crate) struct Setup {
    pub(super) model: Option<String>,
    pub(super) dataset: Option<String>,
    pub(super) hook: Option<HookPoint>,
    pub(super) positions: String,
    pub(super) limit: Option<u32>,
    pub(super) pool: u32,
    /// Preset the settings come from, unless one was changed.
    pub(super) preset: Option<&'static str>,
    pub(super) config: SaeConfig,
    /// Features per dimension.
    pub(super) expansion: u32,
    /// Width of a row at the hook point the settings were made for.
    pub(super) d_model: u32,
    /// Nested prefixes, each twice as wide as the one before; `None` for the variant's own.
    pub(super) prefixes: Option<u32>,
    pub(super) sweep: Sweep,
    /// Name the user gave; `None` for one made from the settings.
    pub(super) name: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        let first = &presets()[1];
        Self {
            model: None,
            dataset: None,
            hook: None,
            positions: String::new(),
            limit: None,
            pool: 1,
            preset: Some(first.id),
            config: first.config(1),
            expansion: first.expansion,
            d_model: 0,
            prefixes: None,
            sweep: Sweep::default(),
            name: None,
        }
    }
}

/// The hook point that a model is first looked at: what a recommender ranks with, the last of the
/// image tower, else the middle of the decoder.
fn first_hook(model: &ModelView) -> Option<HookPoint> {
    let hooks = || model.hooks.iter().map(|(hook, _)| *hook);
    hooks()
        .find(|&hook| hook == HookPoint::UserVector)
        .or_else(|| hooks().find(|&hook| hook == HookPoint::VisionLnFinal))
        .or_else(|| {
            let blocks: Vec<HookPoint> = hooks()
                .filter(|hook| matches!(hook, HookPoint::ResidPost(_)))
                .collect();
            blocks.get(blocks.len() / 2).copied()
        })
        .or_else(|| hooks().next_back())
}

/// A hook point as a reader calls it.
pub(crate) fn hook_in_words(hook: HookPoint) -> String {
    match hook {
        HookPoint::Embed => "entering the decoder".to_owned(),
        HookPoint::ResidPre(i) => format!("before block {i}"),
        HookPoint::AttnOut(i) => format!("what the attention of block {i} adds"),
        HookPoint::MlpOut(i) => format!("what the MLP of block {i} adds"),
        HookPoint::ResidPost(i) => format!("after block {i}"),
        HookPoint::LnFinal => "after the last norm".to_owned(),
        HookPoint::VisionEmbed => "entering the image tower".to_owned(),
        HookPoint::VisionResidPre(i) => format!("image tower, before block {i}"),
        HookPoint::VisionAttnOut(i) => format!("image tower, what attention {i} adds"),
        HookPoint::VisionMlpOut(i) => format!("image tower, what MLP {i} adds"),
        HookPoint::VisionResidPost(i) => format!("image tower, after block {i}"),
        HookPoint::VisionLnFinal => "image tower, after its last norm".to_owned(),
        HookPoint::VisionStageOut(i) => format!("image tower, after stage {i}"),
        HookPoint::VisionNeck => "image tower, its neck".to_owned(),
        HookPoint::ProjectorOut => "what the projector hands on".to_owned(),
        HookPoint::UserVector => "the user vector that ranks".to_owned(),
    }
}

impl Setup {
    /// The settings of a preset, for the width of the rows.
    pub(super) fn use_preset(&mut self, preset: &Preset) {
        let seed = self.config.seed;
        self.preset = Some(preset.id);
        self.expansion = preset.expansion;
        self.prefixes = None;
        self.config = SaeConfig {
            seed,
            ..preset.config(self.d_model.max(1))
        };
    }

    /// Chooses what is not chosen or is not there any more.
    pub(super) fn choose_missing(
        &mut self,
        names: &[String],
        model: Option<&ModelView>,
        datasets: &[DatasetView],
    ) {
        if !self.model.as_ref().is_some_and(|name| names.contains(name)) {
            self.model = names.first().cloned();
            self.hook = None;
        }
        let Some(model) = model else { return };
        let fits = |name: &String| {
            let view = datasets.iter().find(|view| &view.manifest.name == name);
            view.is_some_and(|view| model.reads(view.manifest.kind))
        };
        if !self.dataset.as_ref().is_some_and(fits) {
            let view = datasets.iter().find(|view| model.reads(view.manifest.kind));
            self.dataset = view.map(|view| view.manifest.name.clone());
        }
        let width_at = |hook| {
            let mut hooks = model.hooks.iter();
            hooks.find(|(known, _)| *known == hook).map(|(_, d)| *d)
        };
        if self.hook.and_then(width_at).is_none() {
            self.hook = first_hook(model);
            if self.hook == Some(HookPoint::UserVector) && self.preset.is_some() {
                let preset = presets().into_iter().find(|preset| preset.id == "recsae");
                if let Some(preset) = preset {
                    self.use_preset(&preset);
                }
            }
        }
        if let Some(hook) = self.hook {
            let offered = model.positions_at(hook);
            if !offered.iter().any(|(word, _)| *word == self.positions) {
                self.positions = offered
                    .first()
                    .map_or_else(String::new, |(word, _)| (*word).to_owned());
            }
            self.fit_to(width_at(hook).unwrap_or(0));
        }
    }

    /// Keeps preset or expansion when the width of the rows changes.
    fn fit_to(&mut self, d_model: u32) {
        if self.d_model == d_model {
            return;
        }
        self.d_model = d_model;
        let preset = presets()
            .into_iter()
            .find(|preset| Some(preset.id) == self.preset);
        match preset {
            Some(preset) => self.use_preset(&preset),
            None => self.set_expansion(self.expansion),
        }
    }

    /// The run, if all that decides it is chosen.
    pub(super) fn request(&self, runs: &[RunView]) -> Option<RunRequest> {
        Some(RunRequest {
            name: self.run_name(runs),
            model: self.model.clone()?,
            dataset: self.dataset.clone()?,
            hook: self.hook?,
            positions: self.positions.clone(),
            limit: self.limit,
            pool: self.pool,
            config: self.config.clone(),
        })
    }

    /// The name the user gave, else one from dataset and preset that is free.
    fn run_name(&self, runs: &[RunView]) -> String {
        if let Some(name) = &self.name {
            return name.trim().to_owned();
        }
        let base = format!(
            "{}-{}",
            self.dataset.as_deref().unwrap_or("dictionary"),
            self.preset.unwrap_or("own")
        );
        let is_taken = |name: &str| {
            let begins = format!("{name}-");
            runs.iter()
                .any(|run| run.name == name || self.sweep.is_on() && run.name.starts_with(&begins))
        };
        if !is_taken(&base) {
            return base;
        }
        // One more than there are runs is always free.
        (2..=runs.len() + 2)
            .map(|i| format!("{base}-{i}"))
            .find(|name| !is_taken(name))
            .unwrap_or(base)
    }

    /// Steps 1 to 3.
    pub(super) fn source_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (names, model): (&[String], Option<&Result<ModelView, String>>),
    ) {
        card(ui, |ui| {
            step_ui(ui, 1, "Model");
            ui.horizontal_wrapped(|ui| {
                for name in names {
                    let chosen = self.model.as_ref() == Some(name);
                    let button = ui.selectable_label(chosen, name);
                    if button.accessible_name(format!("Model {name}")).clicked() && !chosen {
                        self.model = Some(name.clone());
                        self.hook = None;
                    }
                }
            });
            match model {
                None => {
                    notice::weak_ui(ui, "Reading the model…");
                }
                Some(Err(problem)) => notice::error_ui(ui, problem),
                Some(Ok(view)) => {
                    let millions = view.n_parameters as f64 / 1e6;
                    notice::weak_ui(
                        ui,
                        format!("{}, {millions:.1} million weights", view.architecture),
                    );
                }
            }
        });
        let Some(Ok(model)) = model else { return };
        card(ui, |ui| self.dataset_ui(ctx, ui, model));
        card(ui, |ui| self.hook_ui(ui, model));
    }

    fn dataset_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, model: &ModelView) {
        step_ui(ui, 2, "Dataset");
        let fitting: Vec<&DatasetView> = ctx
            .datasets
            .iter()
            .filter(|view| model.reads(view.manifest.kind))
            .collect();
        if fitting.is_empty() {
            let needs = if model.reads(DatasetKind::Interactions) {
                "item histories"
            } else if model.reads(DatasetKind::Reports) {
                "reports"
            } else {
                "radiographs"
            };
            notice::weak_ui(
                ui,
                format!("This model reads {needs}, and the project has none yet."),
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
        let chosen = fitting
            .iter()
            .find(|view| Some(&view.manifest.name) == self.dataset.as_ref());
        let Some(view) = chosen else { return };
        let n = view.manifest.n_samples;
        let mut all = self.limit.is_none();
        ui.horizontal(|ui| {
            let text = format!("All {} samples", number::count(u64::from(n)));
            if ui.checkbox(&mut all, text).changed() {
                self.limit = (!all).then_some(n.min(200));
            }
            if let Some(limit) = &mut self.limit {
                ui.add(egui::DragValue::new(limit).range(1..=n.max(1)))
                    .accessible_name("Samples at most");
                ui.label("of them");
            }
        });
    }

    fn hook_ui(&mut self, ui: &mut Ui, model: &ModelView) {
        step_ui(ui, 3, "Hook point and positions");
        let Some(hook) = self.hook else {
            notice::weak_ui(ui, "This model has no hook points.");
            return;
        };
        ComboBox::from_id_salt("train hook")
            .selected_text(hook.to_string())
            .width((ui.available_width() - 16.0).max(120.0))
            .height(360.0)
            .show_ui(ui, |ui| {
                for (known, width) in &model.hooks {
                    let text = format!("{known}  ·  {} wide", number::count(u64::from(*width)));
                    if ui.selectable_label(*known == hook, text).clicked() {
                        self.hook = Some(*known);
                    }
                }
            })
            .response
            .accessible_name("Hook point");
        notice::weak_ui(
            ui,
            format!(
                "{}; rows of {} numbers",
                hook_in_words(hook),
                number::count(u64::from(self.d_model))
            ),
        );
        ui.horizontal_wrapped(|ui| {
            ui.label("Positions");
            for (word, name) in model.positions_at(hook) {
                ui.selectable_value(&mut self.positions, word.to_owned(), name);
            }
        });
        if hook.is_vision() {
            ui.horizontal(|ui| {
                ui.label("Patches averaged a side");
                ui.add(egui::DragValue::new(&mut self.pool).range(1..=16))
                    .accessible_name("Patches averaged a side");
            });
        } else {
            self.pool = 1;
        }
    }

    /// Name of the dictionary.
    pub(super) fn name_ui(&mut self, ui: &mut Ui, runs: &[RunView]) {
        let mut name = self.name.clone().unwrap_or_else(|| self.run_name(runs));
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Name");
            let field = egui::TextEdit::singleline(&mut name)
                .desired_width((ui.available_width() - 8.0).max(80.0));
            if ui.add(field).labelled_by(label.id).changed() {
                self.name = (!name.trim().is_empty()).then(|| name.clone());
            }
        });
        if runs.iter().any(|run| run.name == name.trim()) {
            notice::warning_ui(
                ui,
                "There is a dictionary of this name; choose another name",
            );
        }
    }
}

/// The heading of a step.
pub(super) fn step_ui(ui: &mut Ui, number: u32, title: &str) {
    ui.horizontal(|ui| {
        let theme = tokens::of(ui);
        ui.label(
            RichText::new(number.to_string())
                .font(tokens::title_font())
                .color(theme.accent),
        );
        ui.label(RichText::new(title).font(tokens::title_font()));
    });
}
