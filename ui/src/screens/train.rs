//! Train: from model and dataset to a dictionary with its gallery, and the runs there are.

mod dictionary;
mod forecast;
pub(crate) mod import;
mod imported;
pub(crate) mod live;
mod recipes;
mod runs;
pub(crate) mod setup;

use std::collections::BTreeMap;

use egui::{RichText, ScrollArea, Ui, Vec2};
use engine::SaeImport;
use engine::views::{
    Event, JobEnd, JobView, ModelView, PathPurpose, Revision, RunRequest, RunView,
};
use schema::HookPoint;

use crate::app_context::AppContext;
use crate::backend::Answer;
use crate::commands::{Command, ExchangeCommand, Screen};
use crate::screens::Panel;
use crate::screens::start::card;
use crate::screens::train::forecast::Forecasting;
use crate::screens::train::import::ImportForm;
use crate::screens::train::live::Curves;
use crate::screens::train::setup::{Setup, step_ui};
use crate::tokens::{self, GRID};
use crate::widgets::notice;
use crate::widgets::split::{Edge, Extent, split_ui};

/// How a new dictionary comes about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Trained,
    Imported,
}

/// State of the training screen.
#[derive(Default)]
pub(crate) struct TrainScreen {
    setup: Setup,
    source: Source,
    pub(crate) import: ImportForm,
    /// What the last import brought.
    imported: Option<Box<SaeImport>>,
    /// Names of the models, as of a revision.
    names: Option<(Revision, Vec<String>)>,
    /// Models that were read; `None` while one is on its way.
    models: BTreeMap<String, Option<Answer<ModelView>>>,
    pub(crate) forecast: Forecasting,
    curves: Curves,
    /// The run looked at.
    chosen: Option<String>,
    /// The run that was made when one last looked.
    making: Option<String>,
}

impl TrainScreen {
    /// Chooses a model and a hook point; the rest follows them.
    pub(crate) fn train_on(&mut self, model: String, hook: HookPoint) {
        self.setup.model = Some(model);
        self.setup.hook = Some(hook);
        self.source = Source::Trained;
    }

    /// Shows the steps to a dictionary that is trained here.
    pub(crate) fn show_training(&mut self) {
        self.source = Source::Trained;
    }

    /// Shows the form that imports dictionaries.
    pub(crate) fn show_import(&mut self) {
        self.source = Source::Imported;
    }

    /// Shows the form that imports dictionaries, on a file or folder.
    pub(crate) fn import_path(&mut self, path: &str, name: &str) {
        self.import = ImportForm::default();
        self.import.take_path(path, name);
        self.source = Source::Imported;
    }

    fn names(&mut self, ctx: &AppContext<'_>) -> Vec<String> {
        let known = self
            .names
            .as_ref()
            .filter(|(revision, _)| *revision == ctx.revision);
        if let Some((_, names)) = known {
            return names.clone();
        }
        let names = ctx.backend.model_names().unwrap_or_default();
        self.models.retain(|name, _| names.contains(name));
        self.names = Some((ctx.revision, names.clone()));
        names
    }

    /// A model, asked for if it was not yet.
    fn model(&mut self, ctx: &AppContext<'_>, name: Option<String>) -> Option<Answer<ModelView>> {
        let name = name?;
        if let Some(known) = self.models.get(&name) {
            return known.clone();
        }
        self.models.insert(name.clone(), None);
        ctx.send(Command::ReadModel(name));
        None
    }

    fn steps_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, names: &[String]) {
        let model = self.model(ctx, self.setup.model.clone());
        let view = model.as_ref().and_then(|model| model.as_ref().ok());
        self.setup.choose_missing(names, view, ctx.datasets);
        self.setup.source_ui(ctx, ui, (names, model.as_ref()));
        if view.is_none() {
            return;
        }
        card(ui, |ui| self.setup.dictionary_ui(ui));
    }

    /// Which of the two a new dictionary is to be, and the steps to it.
    fn left_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, names: &[String]) {
        ui.horizontal(|ui| {
            let width = (ui.available_width() - GRID) / 2.0;
            for (text, source) in [
                ("Train a dictionary", Source::Trained),
                ("Import a dictionary", Source::Imported),
            ] {
                let button = egui::Button::selectable(self.source == source, text);
                let button = button.frame_when_inactive(true);
                if ui.add_sized(Vec2::new(width, 28.0), button).clicked() {
                    self.source = source;
                }
            }
        });
        match self.source {
            Source::Trained => self.steps_ui(ctx, ui, names),
            Source::Imported => {
                let asked = self.import.asks_for().map(str::to_owned);
                let model = self.model(ctx, asked);
                if self.import.ui(ctx, ui, (names, model.as_ref())) {
                    self.source = Source::Trained;
                }
            }
        }
    }

    /// Forecast and start.
    fn run_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, request: &RunRequest) {
        card(ui, |ui| {
            step_ui(ui, 5, "Forecast");
            if let Some(problem) = self.setup.problem() {
                notice::error_ui(ui, &problem);
            } else if self.forecast.ui(ctx, ui, request) {
                self.setup.take_mean_off();
            }
            ui.add_space(GRID);
            step_ui(ui, 6, "Run");
            self.setup.name_ui(ui, ctx.runs);
            self.start_ui(ctx, ui, request);
        });
    }

    fn start_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui, request: &RunRequest) {
        let requests = match self.setup.sweep.values(self.setup.d_model) {
            Ok([ks, widths]) => request.sweep(&ks, &widths),
            Err(_) => Vec::new(),
        };
        let is_taken = requests
            .iter()
            .any(|request| ctx.runs.iter().any(|run| run.name == request.name));
        let refused = self.setup.refusal(&requests);
        let text = match requests.len() {
            0 | 1 => "Start training".to_owned(),
            n => format!("Train {n} dictionaries"),
        };
        let can_start = !requests.is_empty()
            && !is_taken
            && refused.is_none()
            && !request.name.is_empty()
            && !self.forecast.refuses(request);
        if let Some(problem) = refused.filter(|_| self.setup.sweep.is_on()) {
            notice::error_ui(ui, &problem);
        }
        ui.horizontal(|ui| {
            ui.add_enabled_ui(can_start, |ui| {
                if live::accent_ui(ui, &text) {
                    self.chosen = requests.first().map(|request| request.name.clone());
                    ctx.send(Command::Train(requests.clone()));
                }
            });
            notice::weak_ui(
                ui,
                "Records activations where no harvest has them, trains, and builds the gallery.",
            );
        });
    }

    /// The run to show.
    fn shown<'a>(&self, ctx: &AppContext<'a>) -> Option<&'a RunView> {
        let name = self.chosen.as_ref()?;
        ctx.runs.iter().find(|run| run.name == *name)
    }

    /// Keeps what is seen of running jobs, and looks at what they make.
    fn follow(&mut self, jobs: &[JobView]) {
        self.curves.watch(jobs);
        let making = jobs.iter().find_map(JobView::dictionary);
        let making = making.map(str::to_owned);
        if making != self.making {
            // From one dictionary to the next, unless another one was chosen meanwhile.
            if making.is_some() && (self.chosen.is_none() || self.chosen == self.making) {
                self.chosen.clone_from(&making);
            }
            self.making = making;
        }
    }
}

impl Panel for TrainScreen {
    fn title(&self) -> String {
        "Train".to_owned()
    }

    fn ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        if !ctx.project_open {
            notice::empty_ui(
                ui,
                "No project is open",
                "Here a dictionary is trained on what goes on inside a model. Open a project or \
                 build the demo project first.",
                |ui| {
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                },
            );
            return;
        }
        let names = self.names(ctx);
        if names.is_empty() && ctx.runs.is_empty() && self.source == Source::Trained {
            notice::empty_ui(
                ui,
                "No model yet",
                "A dictionary is trained on the activations of a model. Add one here, or build the \
                 demo project on Start, which brings two.",
                |ui| {
                    if ui.button("Add a model").clicked() {
                        ctx.send(Command::Exchange(ExchangeCommand::ShowAddModel));
                    }
                    if ui.button("Import a dictionary").clicked() {
                        ctx.send(Command::Exchange(ExchangeCommand::ShowImport));
                    }
                    if ui.button("Go to Start").clicked() {
                        ctx.send(Command::Show(Screen::Start));
                    }
                },
            );
            return;
        }
        self.follow(ctx.jobs);
        split_ui(
            ctx,
            ui,
            (Edge::Left, "train setup"),
            Extent {
                default: 432.0,
                range: 360.0..=560.0,
            },
            |ui| {
                ScrollArea::vertical()
                    .id_salt("train steps")
                    .auto_shrink(false)
                    .show(ui, |ui| self.left_ui(ctx, ui, &names));
            },
        );
        egui::CentralPanel::no_frame().show(ui, |ui| {
            ScrollArea::vertical()
                .id_salt("train runs")
                .auto_shrink(false)
                .show(ui, |ui| self.right_ui(ctx, ui));
        });
    }

    fn on_event(&mut self, _ctx: &AppContext<'_>, event: &Event) {
        match event {
            Event::ProjectChanged => *self = Self::default(),
            Event::ModelRead(name, answer) => {
                self.models.insert(name.clone(), Some((**answer).clone()));
            }
            Event::Forecast(id, answer) => self.forecast.take(*id, answer),
            Event::Curve(name, curve) => self.curves.take(name, curve),
            Event::PathChosen(
                PathPurpose::Dictionary | PathPurpose::DictionaryFolder,
                Some(path),
            ) => {
                self.import.take_chosen(path);
            }
            Event::DictionariesImported(id, imported) if self.import.job.is(*id) => {
                let first = imported.dictionaries.first();
                self.chosen = first.map(|one| one.name.clone());
                self.imported = Some(imported.clone());
                self.import.imported();
            }
            Event::JobEnded(id, end) => {
                self.forecast.ended(*id);
                self.import.job.ended(*id);
                if !matches!(end, JobEnd::Finished(text) if text.is_empty()) {
                    self.curves.refresh();
                }
            }
            _ => {}
        }
    }
}

impl TrainScreen {
    fn right_ui(&mut self, ctx: &AppContext<'_>, ui: &mut Ui) {
        if self.source == Source::Imported {
            imported::ui(ctx, ui, self.imported.as_deref());
            card(ui, |ui| runs::ui(ctx, ui, &mut self.chosen));
            return;
        }
        let making = ctx.jobs.iter().find(|job| job.dictionary().is_some());
        if let Some(run) = self.shown(ctx) {
            let job = making.filter(|job| job.subject == run.name);
            let curves = &mut self.curves;
            card(ui, |ui| live::ui(ctx, ui, (run, job), curves));
        }
        match self.setup.request(ctx.runs) {
            Some(request) => self.run_ui(ctx, ui, &request),
            None => card(ui, |ui| {
                ui.label(RichText::new("Forecast").font(tokens::title_font()));
                notice::weak_ui(
                    ui,
                    "Choose model, dataset and hook point on the left; what a run takes then \
                     appears here.",
                );
            }),
        }
        card(ui, |ui| runs::ui(ctx, ui, &mut self.chosen));
    }
}
