//! What the user can ask for. Panels send commands; only `App::logic` executes them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use engine::views::{
    AblationRequest, AddModelRequest, AddRecommenderRequest, Arrival, DebiasRequest, DetectionTest,
    FilmPicture, HistoryRequest, ImportRequest, PathPurpose, Preferences, QueueRequest, ReportPart,
    ReviewAnswer, ReviewDraft, RunRequest, SavedChange, SendingView, SteerRequest, SteeringExport,
    SweepRequest,
};
use engine::{
    ConceptRequest, DecisionExchange, EvaluateRequest, ExplainRequest, ExportRequest,
    SaeImportRequest, TraceRequest, TrainRecommenderRequest,
};
use schema::{FeatureId, HookPoint, JobId, ReviewState};
use serde::{Deserialize, Serialize};

use crate::film_textures::HeatStyle;
use crate::keys::{Action, Shortcut};

/// A place in the left rail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Screen {
    /// Recent projects, open, new, demo.
    #[default]
    Start,
    /// Datasets and their samples.
    Data,
    /// Models, and the training of recommenders.
    Models,
    /// From model and dataset to a dictionary.
    Train,
    /// Cards of all features.
    Gallery,
    /// One feature.
    Feature,
    /// A queue of features whose labels are judged.
    Review,
    /// Turn features up and down.
    Steer,
    /// How good a dictionary is.
    Evaluate,
    /// What is chosen for this computer.
    Settings,
}

/// Which places the rail has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rail {
    /// Those of somebody who looks at features and judges labels.
    Reader,
    /// All.
    #[default]
    Researcher,
}

impl Rail {
    /// Whether the rail has this place.
    pub(crate) fn has(self, screen: Screen) -> bool {
        self == Self::Researcher
            || !matches!(screen, Screen::Models | Screen::Train | Screen::Evaluate)
    }
}

impl Screen {
    /// All, in the order of the rail.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Data,
        Self::Models,
        Self::Train,
        Self::Gallery,
        Self::Feature,
        Self::Review,
        Self::Steer,
        Self::Evaluate,
        Self::Settings,
    ];

    /// As the rail calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Data => "Data",
            Self::Models => "Models",
            Self::Train => "Train",
            Self::Gallery => "Gallery",
            Self::Feature => "Feature",
            Self::Review => "Review",
            Self::Steer => "Steer",
            Self::Evaluate => "Evaluate",
            Self::Settings => "Settings",
        }
    }
}

impl std::str::FromStr for Screen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|screen| screen.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                let names = Self::ALL.map(|screen| screen.name().to_lowercase());
                format!(
                    "\"{text}\" is not a screen; expected one of {}",
                    names.join(", ")
                )
            })
    }
}

/// A decision the reviewer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecisionRequest {
    pub(crate) sae: String,
    pub(crate) feature: FeatureId,
    pub(crate) state: ReviewState,
    pub(crate) text: String,
    /// The proposal that was on the screen; empty where there was none.
    pub(crate) shown: String,
}

/// A part of the review.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ReviewTab {
    #[default]
    Queue,
    Disagreements,
    Agreement,
    Detection,
}

/// What a reviewer asks the engine for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ReviewCommand {
    /// Records a decision on a case.
    Decide {
        sae: String,
        queue: QueueRequest,
        case: u32,
        answer: ReviewAnswer,
    },
    /// Keeps where the reviewer is and what is half done there.
    Keep {
        sae: String,
        queue: QueueRequest,
        case: u32,
        draft: Option<ReviewDraft>,
    },
    /// Measures how far the readers of a dictionary agree.
    Agreement(String),
    /// Hands the answers to a detection test in.
    HandIn {
        sae: String,
        test: Arc<DetectionTest>,
        said: Vec<bool>,
        milliseconds: u64,
    },
    /// Takes the last decision on a dictionary back.
    Undo(String),
    /// Restores what was taken back last.
    Redo(String),
}

impl ReviewCommand {
    /// Whether the journal gets a record of it, which an event follows.
    pub(crate) fn awaits_record(&self) -> bool {
        matches!(self, Self::Decide { .. } | Self::Undo(_) | Self::Redo(_))
    }
}

/// What is asked of the evaluation of a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EvaluationCommand {
    /// Reads what is known of a dictionary.
    Read(String),
    /// Measures one.
    Measure(Box<EvaluateRequest>),
    /// Writes a part of the report of a dictionary to a file.
    Save(String, ReportPart, String),
}

/// What comes in from other tools and goes out to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExchangeCommand {
    /// Shows the steps to a dictionary that is trained here, in place of the import.
    ShowTraining,
    /// Shows the form that imports dictionaries.
    ShowImport,
    Import(Box<SaeImportRequest>),
    /// Shows the form that exports a dictionary; that at hand where none is named.
    ShowExport(Option<String>),
    Export(Box<ExportRequest>),
    /// Shows the form that adds a model.
    ShowAddModel,
    AddModel(Box<AddModelRequest>),
    /// Takes decisions of readers elsewhere in, or hands something out to them.
    Decisions {
        sae: String,
        what: DecisionExchange,
        file: String,
    },
}

/// One request of the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Show(Screen),
    ToggleTheme,
    TogglePalette,
    ToggleSideBySide,
    /// Gives the main panel of the place all the room, or takes it back.
    ToggleAlone,
    ToggleHeatmap,
    ToggleSmooth,
    ToggleContours,
    /// Writes a film into a file that the user names.
    SaveFilm(Box<FilmPicture>),
    SetHeat(HeatStyle),
    ShowKeys,
    Undo,
    Redo,
    Evaluation(EvaluationCommand),
    Exchange(ExchangeCommand),
    Review(ReviewCommand),
    ShowReview(ReviewTab),
    ReviewDictionary(String),
    ToggleBlind,
    NextFeature,
    PreviousFeature,
    BuildDemo(String),
    OpenProject(String),
    NewProject(String),
    /// Makes a project for what was dropped, then imports that.
    NewProjectFor(String, Box<Arrival>),
    CloseProject,
    ChoosePath(PathPurpose),
    PreviewImport(ImportRequest),
    Import(ImportRequest),
    CancelJob(JobId),
    PauseJob(JobId, bool),
    /// Shows the gallery of a dictionary.
    UseDictionary(String),
    /// Shows another dictionary where one is.
    SwitchDictionary(String),
    /// Shows the features of a dictionary that are strongest on an item, by its title.
    ShowItem(String, String),
    ShowConcept(String, Option<FeatureId>),
    ShowConcepts,
    ReadConcepts(String),
    MakeConcepts(Box<ConceptRequest>),
    OpenFeature(String, FeatureId),
    FiringOnSample(String, u32),
    ShowSample(String, u32),
    SteerFeature(String, FeatureId, Option<u32>),
    /// Steers a sample of a dataset, with the sliders as they are where their dictionary reads it.
    SteerSample(String, u32),
    Steer(SteerRequest),
    Trace(TraceRequest),
    Decide(DecisionRequest),
    SetReviewer(String),
    ProposeLabels(String),
    BuildGallery(String),
    MapDirections(String),
    /// Evidence of a measured score: run and feature.
    ReadScore(String, FeatureId),
    ReadModel(String),
    Forecast(Box<RunRequest>),
    Train(Vec<RunRequest>),
    ResumeRuns(Vec<String>),
    DiscardRun(String),
    TakeOut(String),
    ReadCurve(String),
    TrainOn(String, HookPoint),
    NewRecommender,
    AddRecommender,
    TrainRecommender(Box<TrainRecommenderRequest>),
    ResumeRecommender(String),
    DiscardRecommender(String),
    ImportRecommender(Box<AddRecommenderRequest>),
    ReadHistory(HistoryRequest),
    Ablate(Box<AblationRequest>),
    Debias(Box<DebiasRequest>),
    UseStrength(String, Vec<FeatureId>, f32),
    UseChange(SavedChange),
    SaveChange(SavedChange),
    RemoveChange(String),
    ExportChange(SavedChange, String),
    Sweep(Box<SweepRequest>),
    /// Writes what was measured by steering to a file.
    ExportSteering(Box<SteeringExport>, String),
    DismissToast(u64),
    Explain(Box<ExplainRequest>),
    Sending(SendingCommand),
    SetPreferences(Box<Preferences>),
    SetScale(f32),
    SetRail(Rail),
    SetKey(Action, Option<Shortcut>),
    ResetKeys,
    Tour(Option<usize>),
}

/// What may go to other computers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SendingCommand {
    /// Allows the address of what was shown.
    Allow(Box<SendingView>),
    /// Takes the leave for an address back.
    Revoke(String),
}

/// A command that the palette lists.
pub(crate) struct PaletteEntry {
    pub(crate) name: &'static str,
    /// The key that does the same.
    pub(crate) action: Option<Action>,
    pub(crate) command: Command,
}

/// What an action's key does, where it does the same everywhere.
pub(crate) fn command_of(action: Action) -> Option<Command> {
    Some(match action {
        Action::Search => Command::TogglePalette,
        Action::GoStart => Command::Show(Screen::Start),
        Action::GoData => Command::Show(Screen::Data),
        Action::GoModels => Command::Show(Screen::Models),
        Action::GoTrain => Command::Show(Screen::Train),
        Action::GoGallery => Command::Show(Screen::Gallery),
        Action::GoFeature => Command::Show(Screen::Feature),
        Action::GoReview => Command::Show(Screen::Review),
        Action::GoSteer => Command::Show(Screen::Steer),
        Action::GoEvaluate => Command::Show(Screen::Evaluate),
        Action::GoSettings => Command::Show(Screen::Settings),
        Action::SideBySide => Command::ToggleSideBySide,
        Action::Theme => Command::ToggleTheme,
        Action::Alone => Command::ToggleAlone,
        Action::Open => Command::ChoosePath(PathPurpose::OpenProject),
        Action::New => Command::ChoosePath(PathPurpose::NewProject),
        Action::Undo => Command::Undo,
        Action::Redo => Command::Redo,
        Action::ShowHeatmap => Command::ToggleHeatmap,
        Action::Smooth => Command::ToggleSmooth,
        Action::Contours => Command::ToggleContours,
        Action::Sheet => Command::ShowKeys,
        Action::NextFeature => Command::NextFeature,
        Action::PreviousFeature => Command::PreviousFeature,
        Action::Blind => Command::ToggleBlind,
        _ => return None,
    })
}

/// The key of a place.
pub(crate) fn action_of(screen: Screen) -> Action {
    match screen {
        Screen::Start => Action::GoStart,
        Screen::Data => Action::GoData,
        Screen::Models => Action::GoModels,
        Screen::Train => Action::GoTrain,
        Screen::Gallery => Action::GoGallery,
        Screen::Feature => Action::GoFeature,
        Screen::Review => Action::GoReview,
        Screen::Steer => Action::GoSteer,
        Screen::Evaluate => Action::GoEvaluate,
        Screen::Settings => Action::GoSettings,
    }
}

/// Every command without a payload: those that have a key under its name, and the others.
pub(crate) fn palette_entries() -> Vec<PaletteEntry> {
    let keyed = Action::ALL.iter().filter_map(|&action| {
        Some(PaletteEntry {
            name: action.name(),
            action: Some(action),
            command: command_of(action).filter(|command| *command != Command::TogglePalette)?,
        })
    });
    let entry = |name, command| PaletteEntry {
        name,
        action: None,
        command,
    };
    let others = vec![
        entry(
            "Train a dictionary",
            Command::Exchange(ExchangeCommand::ShowTraining),
        ),
        entry(
            "Import a dictionary",
            Command::Exchange(ExchangeCommand::ShowImport),
        ),
        entry(
            "Export a dictionary",
            Command::Exchange(ExchangeCommand::ShowExport(None)),
        ),
        entry(
            "Add a model",
            Command::Exchange(ExchangeCommand::ShowAddModel),
        ),
        entry("Train a recommender", Command::NewRecommender),
        entry("Import a recommender", Command::AddRecommender),
        entry("Concepts of a recommender", Command::ShowConcepts),
        entry("Review labels", Command::ShowReview(ReviewTab::Queue)),
        entry(
            "Review: disagreements",
            Command::ShowReview(ReviewTab::Disagreements),
        ),
        entry(
            "Review: agreement of readers",
            Command::ShowReview(ReviewTab::Agreement),
        ),
        entry(
            "Review: detection test",
            Command::ShowReview(ReviewTab::Detection),
        ),
        entry("Close the project", Command::CloseProject),
        entry("Take the tour", Command::Tour(Some(0))),
        entry("Layout for readers", Command::SetRail(Rail::Reader)),
        entry("Layout for researchers", Command::SetRail(Rail::Researcher)),
        entry("Larger text and films", Command::SetScale(1.25)),
        entry("Usual size", Command::SetScale(1.0)),
    ];
    keyed.chain(others).collect()
}

/// Cloned into every panel.
#[derive(Clone)]
pub(crate) struct CommandSender(Sender<Command>);

impl CommandSender {
    /// Queues `command` for the next `App::logic`.
    pub(crate) fn send(&self, command: Command) {
        // Fails only when the app is gone.
        self.0.send(command).ok();
    }
}

/// A queue of commands within one thread.
pub(crate) fn command_channel() -> (CommandSender, Receiver<Command>) {
    let (sender, receiver) = channel();
    (CommandSender(sender), receiver)
}
