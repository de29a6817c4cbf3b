//! Models: what the project has, what each was trained on and how that went, the training and import
//! of recommenders, and the adding of other models.

mod add;
mod curves;
mod detail;
mod form;
mod import;
mod list;
mod training;

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{ScrollArea, Ui};
use engine::RecommenderCurve;
use engine::views::{
    Event, JobView, ModelEntry, ModelView, PathPurpose, Revision, UnfinishedRecommender,
};

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, ExchangeCommand, Screen};
use crate::screens::Panel;
use crate::screens::models::add::AddForm;
use crate::screens::models::form::TrainForm;
use crate::screens::models::import::ImportForm;
use crate::widgets::notice;
use crate::widgets::split::{Edge, Extent, split_ui};

/// Models of at most so many bytes are read as soon as they are looked at.
const READ_AT_ONCE: u64 = 64 << 20;

/// What is shown large.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Chosen {
    /// Whatever comes first.
    #[default]
    First,
    Model(String),
    /// A training that runs or was stopped.
    Training(String),
    /// The form that begins a training.
    Form,
    Import,
    /// The form that adds a model that is no recommender.
    Add,
}

/// What the engine last said of models, kept for one revision.
struct Lists {
    revision: Revision,
    entries: Answer<Arc<Vec<ModelEntry>>>,
    unfinished: Arc<Vec<UnfinishedRecommender>>,
}

/// State of the models screen.
#[derive(Default)]
pub(crate) struct ModelsScreen {
    lists: Option<Lists>,
    /// Models that were read; `None` while one is on its way.
    models: BTreeMap<String, Option<Answer<ModelView>>>,
    chosen: Chosen,
    form: TrainForm,
    /// The training that the form asked for, until it is begun.
    asked: Option<String>,
    pub(crate) import: ImportForm,
    pub(crate) add: AddForm,
    /// The last curves seen of trainings, by model: what stays of one that was stopped.
    live: BTreeMap<String, Arc<Vec<RecommenderCurve>>>,
}

/// What is known of all models while a frame is drawn.
struct Known<'a> {
    entries: &'a [ModelEntry],
    unfinished: &'a [UnfinishedRecommender],
    jobs: &'a [JobView],
}

impl<'a> Known<'a> {
    fn entry(&self, name: &str) -> Option<&'a ModelEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn begun(&self, name: &str) -> Option<&'a UnfinishedRecommender> {
        let mut unfinished = self.unfinished.iter();
        unfinished.find(|begun| begun.request.name == name)
    }

    fn job(&self, name: &str) -> Option<&'a JobView> {
        self.jobs.iter().find(|job| job.model() == Some(name))
    }

    /// Whether a new model cannot have this name.
    fn is_taken(&self, name: &str) -> bool {
        self.entry(name).is_some() || self.begun(name).is_some()
    }
}

impl ModelsScreen {
    /// Shows the form that begins a training.
    pub(crate) fn show_form(&mut self) {
        self.chosen = Chosen::Form;
    }

    /// Shows the form that takes a checkpoint in.
    pub(crate) fn show_import(&mut self) {
        self.chosen = Chosen::Import;
    }

    /// Shows the form that takes a checkpoint in, on a file.
    pub(crate) fn import_path(&mut self, path: &str) {
        self.import = ImportForm::default();
        self.import.take_path(path);
        self.chosen = Chosen::Import;
    }

    /// Shows the form that adds a model.
    pub(crate) fn show_add(&mut self) {
        self.chosen = Chosen::Add;
    }

    /// Shows the form that adds a model, on a file or folder.
    pub(crate) fn add_path(&mut self, path: &str, name: &str) {
        self.add = AddForm::default();
        self.add.take_path(path, name);
        self.chosen = Chosen::Add;
    }

    fn refresh(&mut self, ctx: &AppContext<'_>) {
        let is_old = |lists: &Lists| lists.revision != ctx.revision;
        if self.lists.as_ref().is_none_or(is_old) {
            self.lists = Some(Lists {
                revision: ctx.revision,
                entries: ctx.backend.model_entries(),
                unfinished: ctx.backend.unfinished_recommenders().unwrap_or_default(),
            });
        }
        for job in ctx.jobs {
            if let Some(name) = job.model()
                && !job.epochs.is_empty()
            {
                self.live.insert(name.to_owned(), Arc::clone(&job.epochs));
            }
        }
    }

    /// What is chosen, where that is still there: a training that is finished is a model.
    fn settle(&mut self, known: &Known<'_>) {
        let has_training = |name: &str| known.begun(name).is_some() || known.job(name).is_some();
        if let Some(name) = self.import.asked_for()
            && known.entry(name).is_some()
        {
            self.chosen = Chosen::Model(name.to_owned());
            self.import = ImportForm::default();
        }
        if let Some(name) = self.add.asked_for()
            && known.entry(name).is_some()
        {
            self.chosen = Chosen::Model(name.to_owned());
            self.add = AddForm::default();
        }
        // A refused one leaves the form as it is.
        if let Some(name) = self.asked.take_if(|name| has_training(name)) {
            self.form.begun();
            self.chosen = Chosen::Training(name);
        }
        match &self.chosen {
            Chosen::Training(name) if !has_training(name) => {
                self.chosen = match known.entry(name) {
                    Some(entry) => Chosen::Model(entry.name.clone()),
                    None => Chosen::First,
                };
            }
            Chosen::Model(name) if known.entry(name).is_none() => self.chosen = Chosen::First,
            _ => {}
        }
        if self.chosen == Chosen::First {
            let begun = known.unfinished.first();
            let first = known.entries.first();
            if let Some(begun) = begun.filter(|begun| has_training(&begun.request.name)) {
                self.chosen = Chosen::Training(begun.request.name.clone());
            } else if let Some(entry) = first {
                self.chosen = Chosen::Model(entry.name.clone());
            }
        }
    }

    fn large_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, known: &Known<'_>) {
        match self.chosen.clone() {
            Chosen::Form => {
                if let Some(name) = self.form.ui(ctx, ui, known) {
                    self.live.remove(&name);
                    self.asked = Some(name);
                }
            }
            Chosen::Import => {
                if self.import.ui(ctx, ui, known) {
                    self.chosen = Chosen::First;
                }
            }
            Chosen::Add => {
                if self.add.ui(ctx, ui, known) {
                    self.chosen = Chosen::First;
                }
            }
            Chosen::Training(name) => {
                let curves = self.live.get(&name).map(Arc::as_ref);
                let curves = curves.map_or(&[][..], Vec::as_slice);
                let running = (known.begun(&name), known.job(&name));
                training::ui(ctx, ui, (&name, running), curves);
            }
            Chosen::Model(name) => {
                if let Some(entry) = known.entry(&name) {
                    self.ask_for(ctx, entry);
                    let view = self.models.get(&name);
                    if detail::ui(ctx, ui, entry, view) {
                        self.models.insert(name.clone(), None);
                        ctx.send(Command::ReadModel(name));
                    }
                }
            }
            Chosen::First => notice::empty_ui(
                ui,
                "No model yet",
                "Models of the project appear here with their shapes and hook points. Train a \
                 recommender on item histories, or import one; add a language model or a \
                 vision-language model from its file or folder.",
                |ui| {
                    if ui.button("Add a model").clicked() {
                        ctx.send(Command::Exchange(ExchangeCommand::ShowAddModel));
                    }
                    if ui.button("Train a recommender").clicked() {
                        ctx.send(Command::NewRecommender);
                    }
                },
            ),
        }
    }

    /// Reads a small model when it is looked at; a large one waits for a click.
    fn ask_for(&mut self, ctx: &AppContext<'_>, entry: &ModelEntry) {
        if entry.n_bytes <= READ_AT_ONCE && !self.models.contains_key(&entry.name) {
            self.models.insert(entry.name.clone(), None);
            ctx.send(Command::ReadModel(entry.name.clone()));
        }
    }
}

impl Panel for ModelsScreen {
    fn title(&self) -> String {
        "Models".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        if !ctx.project_open {
            notice::empty_ui(
                ui,
                "No project is open",
                "Models of a project appear here, and recommenders are trained here. Open a project \
                 or build the demo project first.",
                |ui| {
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                },
            );
            return;
        }
        self.refresh(ctx);
        let Some(lists) = &self.lists else { return };
        let entries = match &lists.entries {
            Ok(entries) => Arc::clone(entries),
            Err(problem) => {
                notice::error_ui(ui, problem);
                return;
            }
        };
        let unfinished = Arc::clone(&lists.unfinished);
        let known = Known {
            entries: &entries,
            unfinished: &unfinished,
            jobs: ctx.jobs,
        };
        self.settle(&known);
        split_ui(
            ctx,
            ui,
            (Edge::Left, "models"),
            Extent {
                default: 264.0,
                range: 200.0..=400.0,
            },
            |ui| list::ui(ui, &known, &mut self.chosen),
        );
        egui::CentralPanel::no_frame().show(ui, |ui| {
            ScrollArea::vertical()
                .id_salt("model")
                .auto_shrink(false)
                .show(ui, |ui| self.large_ui(ctx, ui, &known));
        });
    }

    fn on_event(&mut self, _ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => *self = Self::default(),
            Event::ModelRead(name, answer) => {
                self.models.insert(name.clone(), Some((**answer).clone()));
            }
            Event::PathChosen(PathPurpose::Recommender, Some(path)) => self.import.take_path(path),
            Event::PathChosen(PathPurpose::Model | PathPurpose::ModelFolder, Some(path)) => {
                self.add.take_chosen(path);
            }
            // An import that failed can be asked for again.
            Event::JobEnded(id, end) => {
                self.import.ended(*id, end);
                self.add.ended(*id, end);
            }
            _ => {}
        }
    }
}
