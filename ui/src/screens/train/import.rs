//! The form that takes dictionaries of other tools into the project: the files, and the rows of a
//! model that they are looked at on.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Checkbox, ComboBox, DragValue, RichText, Ui};
use engine::SaeImportRequest;
use engine::views::{DatasetView, ModelView, PathPurpose, Revision};
use schema::{HarvestManifest, HookPoint};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, ExchangeCommand, Screen};
use crate::screens::own_job::{self, OwnJob};
use crate::screens::start::{card, field_label_ui, folder_or_file_ui, name_of};
use crate::screens::train::live::accent_ui;
use crate::screens::train::setup::hook_in_words;
use crate::tokens::{self, GRID};
use crate::widgets::{notice, number};

/// Formats, as a request calls them, as the screen does, and what tells them.
const FORMATS: [(&str, &str, &str); 7] = [
    ("auto", "Recognise it", "Told by the names of the files"),
    (
        "dictionary_learning",
        "dictionary_learning",
        "A folder with config.json and ae.pt or ae.safetensors",
    ),
    (
        "saelens",
        "SAELens",
        "A folder with cfg.json and sae_weights.safetensors",
    ),
    (
        "sparsify",
        "sparsify",
        "A folder with cfg.json and sae.safetensors",
    ),
    (
        "gemma_scope",
        "Gemma Scope",
        "params.npz or params.safetensors, as Google publishes them",
    ),
    ("openai", "OpenAI", "A .pt file, as OpenAI publishes them"),
    (
        "recsae",
        "RecSAE",
        "A .safetensors file with a bare state dictionary",
    ),
];

/// k of `RecSAE`'s own setting.
const USUAL_K: u32 = 8;
/// Most active features per row that can be asked for.
const MOST_K: u32 = 4096;

/// Which rows a dictionary is looked at on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Those that the import records.
    Recorded,
    /// Those of a harvest.
    Harvested,
}

/// State of the form.
pub(crate) struct ImportForm {
    path: String,
    name: String,
    format: &'static str,
    k: u32,
    rows: Rows,
    model: Option<String>,
    dataset: Option<String>,
    limit: Option<u32>,
    /// Where it reads; `None` leaves it to the self-test.
    hook: Option<HookPoint>,
    chooses_hook: bool,
    every_block: bool,
    harvest: Option<String>,
    harvests: Option<(Revision, Answer<Arc<Vec<HarvestManifest>>>)>,
    pub(crate) job: OwnJob,
}

impl Default for ImportForm {
    fn default() -> Self {
        Self {
            path: String::new(),
            name: String::new(),
            format: FORMATS[0].0,
            k: USUAL_K,
            rows: Rows::Recorded,
            model: None,
            dataset: None,
            limit: None,
            hook: None,
            chooses_hook: false,
            every_block: false,
            harvest: None,
            harvests: None,
            job: OwnJob::default(),
        }
    }
}

impl ImportForm {
    /// Fills the path, and the name where there is none.
    pub(super) fn take_path(&mut self, path: &str, name: &str) {
        path.clone_into(&mut self.path);
        if self.name.is_empty() {
            name.clone_into(&mut self.name);
        }
    }

    /// As [`ImportForm::take_path`], with a name from the path.
    pub(super) fn take_chosen(&mut self, path: &str) {
        self.take_path(path, name_of(path, &[".safetensors", ".pt"]));
    }

    /// What was asked for is there: the next one has other files and another name.
    pub(super) fn imported(&mut self) {
        self.path.clear();
        self.name.clear();
    }

    /// The model whose hook points are to be known.
    pub(super) fn asks_for(&self) -> Option<&str> {
        let is_wanted = self.rows == Rows::Recorded && self.chooses_hook;
        self.model.as_deref().filter(|_| is_wanted)
    }

    /// Whether the files are a bare state dictionary, which does not say its k.
    fn is_bare(&self) -> bool {
        let is_file = self.path.trim().ends_with(".safetensors");
        self.format == "recsae" || self.format == "auto" && is_file
    }

    fn harvests(&mut self, ctx: &AppContext<'_>) -> Answer<Arc<Vec<HarvestManifest>>> {
        let known = self.harvests.as_ref();
        if let Some((revision, known)) = known
            && *revision == ctx.revision
        {
            return known.clone();
        }
        let harvests = ctx.backend.harvests();
        self.harvests = Some((ctx.revision, harvests.clone()));
        harvests
    }

    /// What is asked for; `None` where something is missing.
    fn request(&self) -> Option<SaeImportRequest> {
        let (name, path) = (self.name.trim(), self.path.trim());
        if name.is_empty() || path.is_empty() {
            return None;
        }
        let request = SaeImportRequest {
            name: name.to_owned(),
            path: PathBuf::from(path),
            format: self.format.to_owned(),
            k: self.is_bare().then_some(self.k),
            ..SaeImportRequest::default()
        };
        Some(match self.rows {
            Rows::Recorded => SaeImportRequest {
                model: Some(self.model.clone()?),
                dataset: Some(self.dataset.clone()?),
                hook: self.hook.filter(|_| self.chooses_hook),
                hooks: (self.every_block && !self.chooses_hook).then(|| "all".to_owned()),
                limit: self.limit,
                ..request
            },
            Rows::Harvested => SaeImportRequest {
                harvest: Some(self.harvest.clone()?),
                ..request
            },
        })
    }

    /// Draws the form; `model` is what is known of the one that is asked for. Whether it was left.
    pub(super) fn ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (names, model): (&[String], Option<&Answer<ModelView>>),
    ) -> bool {
        let mut left = own_job::is_left_by_key(ui);
        card(ui, |ui| self.files_ui(ctx, ui));
        card(ui, |ui| self.rows_ui(ctx, ui, (names, model)));
        card(ui, |ui| left |= self.start_ui(ctx, ui));
        left
    }

    fn files_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        ui.label(RichText::new("From another tool").font(tokens::title_font()));
        notice::weak_ui(
            ui,
            "Its folder as another tool wrote it, a folder of several, or its one file. It is copied \
             into the project, and explanations that lie beside it become proposals to review.",
        );
        let purposes = [PathPurpose::DictionaryFolder, PathPurpose::Dictionary];
        folder_or_file_ui(ctx, ui, "Dictionary", &mut self.path, purposes);
        ui.horizontal(|ui| {
            let label = field_label_ui(ui, "Name");
            let width = (ui.available_width() - GRID).max(80.0);
            ui.add(egui::TextEdit::singleline(&mut self.name).desired_width(width))
                .labelled_by(label.id)
                .on_hover_text("Of several in one folder, what the name of each begins with");
        });
        ui.horizontal(|ui| {
            field_label_ui(ui, "Format");
            let known = FORMATS.iter().find(|(format, ..)| *format == self.format);
            ComboBox::from_id_salt("format of the dictionary")
                .selected_text(known.map_or(self.format, |(_, name, _)| name))
                .width(200.0)
                .show_ui(ui, |ui| {
                    for (format, name, sentence) in FORMATS {
                        ui.selectable_value(&mut self.format, format, name)
                            .on_hover_text(sentence);
                    }
                })
                .response
                .accessible_name("Format of the dictionary");
        });
        if self.is_bare() {
            ui.horizontal(|ui| {
                let label = field_label_ui(ui, "k");
                ui.add(DragValue::new(&mut self.k).range(1..=MOST_K))
                    .labelled_by(label.id)
                    .on_hover_text(
                        "Active features per row, which a bare RecSAE file does not say; its own \
                         setting is 8",
                    );
            });
        }
    }

    fn rows_ui(
        &mut self,
        ctx: &AppContext<'_>,
        ui: &mut Ui,
        (names, model): (&[String], Option<&Answer<ModelView>>),
    ) {
        ui.label(RichText::new("Rows it is looked at on").font(tokens::title_font()));
        notice::weak_ui(
            ui,
            "A dictionary is seen through activations of the model it was made for: its figures and \
             its gallery come from them.",
        );
        ui.horizontal_wrapped(|ui| {
            ui.selectable_value(&mut self.rows, Rows::Recorded, "Record them now")
                .on_hover_text("Runs the model over a dataset and keeps a harvest of it");
            ui.selectable_value(&mut self.rows, Rows::Harvested, "A harvest of the project")
                .on_hover_text("Activations that were recorded before; nothing is run");
        });
        ui.add_space(GRID);
        match self.rows {
            Rows::Recorded => {
                self.model_ui(ctx, ui, names);
                let view = model.and_then(|model| model.as_ref().ok());
                self.dataset_ui(ctx, ui, view);
                if self.model.is_some() && self.dataset.is_some() {
                    self.hook_ui(ui, model);
                }
            }
            Rows::Harvested => self.harvest_ui(ctx, ui),
        }
    }

    fn model_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, names: &[String]) {
        if !self.model.as_ref().is_some_and(|name| names.contains(name)) {
            self.model = names.first().cloned();
            self.hook = None;
        }
        if names.is_empty() {
            notice::weak_ui(
                ui,
                "The project has no model yet. Add the one it was made for.",
            );
            if ui.button("Add a model…").clicked() {
                ctx.send(Command::Exchange(ExchangeCommand::ShowAddModel));
            }
            return;
        }
        ui.horizontal_wrapped(|ui| {
            field_label_ui(ui, "Model");
            for name in names {
                let chosen = self.model.as_ref() == Some(name);
                let button = ui.selectable_label(chosen, name);
                let button = button.accessible_name(format!("Rows of the model {name}"));
                if button.clicked() && !chosen {
                    self.model = Some(name.clone());
                    self.hook = None;
                }
            }
        });
    }

    fn dataset_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, model: Option<&ModelView>) {
        let fits = |view: &&DatasetView| model.is_none_or(|m| m.reads(view.manifest.kind));
        let fitting: Vec<&DatasetView> = ctx.datasets.iter().filter(fits).collect();
        let name_of = |view: &&DatasetView| view.manifest.name.clone();
        let is_there = |name: &String| fitting.iter().any(|view| view.manifest.name == *name);
        if !self.dataset.as_ref().is_some_and(is_there) {
            self.dataset = fitting.first().map(name_of);
        }
        if fitting.is_empty() {
            notice::weak_ui(
                ui,
                "The project has no dataset that it could be run over yet.",
            );
            if ui.button("Go to Data").clicked() {
                ctx.send(Command::Show(Screen::Data));
            }
            return;
        }
        ui.horizontal_wrapped(|ui| {
            field_label_ui(ui, "Dataset");
            for view in &fitting {
                let name = &view.manifest.name;
                let button = ui.selectable_label(self.dataset.as_ref() == Some(name), name);
                let button = button.accessible_name(format!("Rows of the dataset {name}"));
                if button.clicked() {
                    self.dataset = Some(name.clone());
                }
            }
        });
        let mut of_it = fitting.iter();
        let chosen = of_it.find(|view| Some(&view.manifest.name) == self.dataset.as_ref());
        let n = chosen.map_or(1, |view| view.manifest.n_samples.max(1));
        let mut all = self.limit.is_none();
        ui.horizontal(|ui| {
            field_label_ui(ui, "Samples");
            let text = format!("All {}", number::count(u64::from(n)));
            let all_box = ui.checkbox(&mut all, text);
            if all_box.accessible_name("All samples of it").changed() {
                self.limit = (!all).then_some(n.min(200));
            }
            if let Some(limit) = &mut self.limit {
                ui.add(DragValue::new(limit).range(1..=n))
                    .accessible_name("Samples recorded at most");
                ui.label("at most");
            }
        });
    }

    fn hook_ui(&mut self, ui: &mut Ui, model: Option<&Answer<ModelView>>) {
        ui.horizontal_wrapped(|ui| {
            field_label_ui(ui, "Hook point");
            ui.selectable_value(&mut self.chooses_hook, false, "Told by a test")
                .on_hover_text(
                    "The layer self-test measures FVU and L0 at the block that its files name and at \
                     those beside; the lowest FVU decides where L0 is near k, else the files do",
                );
            ui.selectable_value(&mut self.chooses_hook, true, "Chosen here")
                .on_hover_text("The self-test is run and told, but does not decide");
        });
        if !self.chooses_hook {
            ui.horizontal(|ui| {
                field_label_ui(ui, "");
                ui.add(Checkbox::new(&mut self.every_block, "Test every block"))
                    .on_hover_text("Not only where its files say and the blocks beside");
            });
            return;
        }
        match model {
            None => {
                notice::weak_ui(ui, "Reading the model…");
            }
            Some(Err(problem)) => notice::error_ui(ui, problem),
            Some(Ok(view)) => self.hooks_ui(ui, view),
        }
    }

    fn hooks_ui(&mut self, ui: &mut Ui, view: &ModelView) {
        let hook = self.hook.or_else(|| Some(view.hooks.first()?.0));
        self.hook = hook;
        let Some(hook) = hook else {
            notice::weak_ui(ui, "This model has no hook points.");
            return;
        };
        ComboBox::from_id_salt("hook of the dictionary")
            .selected_text(hook.to_string())
            .width((ui.available_width() - 16.0).max(120.0))
            .height(360.0)
            .show_ui(ui, |ui| {
                for (known, width) in &view.hooks {
                    let text = format!("{known}  ·  {} wide", number::count(u64::from(*width)));
                    if ui.selectable_label(*known == hook, text).clicked() {
                        self.hook = Some(*known);
                    }
                }
            })
            .response
            .accessible_name("Hook point of the dictionary");
        notice::weak_ui(ui, number::capitalised(&hook_in_words(hook)));
    }

    fn harvest_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        let harvests = match self.harvests(ctx) {
            Ok(harvests) => harvests,
            Err(problem) => {
                notice::error_ui(ui, &problem);
                return;
            }
        };
        let chosen = harvests
            .iter()
            .find(|harvest| Some(&harvest.name) == self.harvest.as_ref())
            .or(harvests.first());
        let Some(chosen) = chosen else {
            notice::weak_ui(ui, "The project has no harvest yet; record the rows now.");
            self.harvest = None;
            return;
        };
        self.harvest = Some(chosen.name.clone());
        ui.horizontal(|ui| {
            field_label_ui(ui, "Harvest");
            ComboBox::from_id_salt("harvest of the dictionary")
                .selected_text(&chosen.name)
                .width((ui.available_width() - 16.0).max(120.0))
                .truncate()
                .show_ui(ui, |ui| {
                    for harvest in harvests.iter() {
                        let is_chosen = harvest.name == chosen.name;
                        if ui.selectable_label(is_chosen, &harvest.name).clicked() {
                            self.harvest = Some(harvest.name.clone());
                        }
                    }
                })
                .response
                .accessible_name("Harvest of the dictionary");
        });
        notice::weak_ui(
            ui,
            format!(
                "{} over {}, {}; rows of {} numbers",
                chosen.model,
                chosen.dataset,
                hook_in_words(chosen.hook),
                number::count(u64::from(chosen.d_model))
            ),
        );
    }

    fn start_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) -> bool {
        let hint = "Nothing is imported; rows that were recorded stay";
        if self.job.ui(ctx, ui, Some(("the import", hint))) {
            return false;
        }
        let name = self.name.trim();
        let is_taken = ctx.runs.iter().any(|run| run.name == name);
        if is_taken {
            notice::warning_ui(
                ui,
                "There is a dictionary of this name; choose another name",
            );
        }
        let request = self
            .request()
            .filter(|_| !is_taken && !self.job.is_waiting());
        let mut left = false;
        ui.horizontal(|ui| {
            ui.add_enabled_ui(request.is_some(), |ui| {
                if accent_ui(ui, "Import")
                    && let Some(request) = request
                {
                    let request = Box::new(request);
                    ctx.send(Command::Exchange(ExchangeCommand::Import(request)));
                }
            });
            left = own_job::leave_ui(ui);
        });
        if self.path.trim().is_empty() {
            notice::weak_ui(
                ui,
                "Choose a folder or a file first, or drop one on this window.",
            );
        } else {
            notice::weak_ui(
                ui,
                "Everything is read and checked first: a file that cannot be used changes nothing, \
                 and nothing in it is run.",
            );
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_engine_is_offered() {
        let mut offered: Vec<&str> = FORMATS[1..].iter().map(|(format, ..)| *format).collect();
        offered.sort_unstable();
        assert_eq!(offered, engine::sae_formats());
    }

    #[test]
    fn a_name_comes_from_the_path_and_k_only_with_a_bare_file() {
        let mut form = ImportForm::default();
        form.take_chosen("/data/maira2/ef0.5/");
        assert_eq!(form.name, "ef0.5");
        assert_eq!(form.request(), None);
        (form.model, form.dataset) = (Some("m".to_owned()), Some("d".to_owned()));
        assert_eq!(form.request().map(|request| request.k), Some(None));
        form.take_chosen("/data/rec.safetensors");
        let request = form.request().unwrap_or_default();
        assert_eq!((request.name.as_str(), request.k), ("ef0.5", Some(8)));
        form.format = "saelens";
        assert_eq!(form.request().map(|request| request.k), Some(None));
    }
}
