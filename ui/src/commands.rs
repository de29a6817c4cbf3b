//! What the user can ask for. Panels send commands; only `App::logic` executes them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use engine::views::{
    AblationRequest, AddRecommenderRequest, DebiasRequest, DetectionTest, HistoryRequest,
    ImportRequest, PathPurpose, QueueRequest, ReportPart, ReviewAnswer, ReviewDraft, RunRequest,
    SavedChange, SteerRequest,
};
use engine::{ConceptRequest, EvaluateRequest, TraceRequest, TrainRecommenderRequest};
use schema::{FeatureId, HookPoint, JobId, ReviewState};
use serde::{Deserialize, Serialize};

use crate::film_textures::HeatStyle;

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
}

impl Screen {
    /// All, in the order of the rail.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Data,
        Self::Models,
        Self::Train,
        Self::Gallery,
        Self::Feature,
        Self::Review,
        Self::Steer,
        Self::Evaluate,
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
                format!(
                    "\"{text}\" is not a screen; expected start, data, models, train, gallery, feature, \
                     review, steer or evaluate"
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

/// One request of the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Show(Screen),
    ToggleTheme,
    TogglePalette,
    ToggleSideBySide,
    ToggleHeatmap,
    ToggleSmooth,
    SetHeat(HeatStyle),
    ShowKeys,
    Undo,
    Redo,
    Evaluation(EvaluationCommand),
    Review(ReviewCommand),
    ShowReview(ReviewTab),
    ReviewDictionary(String),
    ToggleBlind,
    NextFeature,
    PreviousFeature,
    BuildDemo(String),
    OpenProject(String),
    NewProject(String),
    CloseProject,
    ChoosePath(PathPurpose),
    PreviewImport(ImportRequest),
    Import(ImportRequest),
    CancelJob(JobId),
    PauseJob(JobId, bool),
    UseDictionary(String),
    ShowConcept(String, Option<FeatureId>),
    ShowConcepts,
    ReadConcepts(String),
    MakeConcepts(Box<ConceptRequest>),
    OpenFeature(String, FeatureId),
    FiringOnSample(String, u32),
    ShowSample(String, u32),
    SteerFeature(String, FeatureId, Option<u32>),
    Steer(SteerRequest),
    Trace(TraceRequest),
    Decide(DecisionRequest),
    SetReviewer(String),
    ProposeLabels(String),
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
    DismissToast(u64),
}

/// A command that the palette lists.
pub(crate) struct PaletteEntry {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static str,
    pub(crate) command: Command,
}

/// Every command without a payload.
pub(crate) fn palette_entries() -> Vec<PaletteEntry> {
    let entry = |name, keys, command| PaletteEntry {
        name,
        keys,
        command,
    };
    vec![
        entry("Go to Start", "Ctrl+1", Command::Show(Screen::Start)),
        entry("Go to Data", "Ctrl+2", Command::Show(Screen::Data)),
        entry("Go to Models", "Ctrl+3", Command::Show(Screen::Models)),
        entry("Go to Train", "Ctrl+4", Command::Show(Screen::Train)),
        entry("Go to Gallery", "Ctrl+5", Command::Show(Screen::Gallery)),
        entry("Go to Feature", "Ctrl+6", Command::Show(Screen::Feature)),
        entry("Go to Review", "Ctrl+7", Command::Show(Screen::Review)),
        entry("Go to Steer", "Ctrl+8", Command::Show(Screen::Steer)),
        entry("Go to Evaluate", "Ctrl+9", Command::Show(Screen::Evaluate)),
        entry("Train a dictionary", "", Command::Show(Screen::Train)),
        entry("Train a recommender", "", Command::NewRecommender),
        entry("Import a recommender", "", Command::AddRecommender),
        entry(
            "Show two dictionaries side by side",
            "Ctrl+D",
            Command::ToggleSideBySide,
        ),
        entry("Concepts of a recommender", "", Command::ShowConcepts),
        entry("Next feature", "J", Command::NextFeature),
        entry("Previous feature", "K", Command::PreviousFeature),
        entry("Show or hide heatmaps", "", Command::ToggleHeatmap),
        entry("Heatmap raw or smooth", "G", Command::ToggleSmooth),
        entry("Review labels", "", Command::ShowReview(ReviewTab::Queue)),
        entry(
            "Review: disagreements",
            "",
            Command::ShowReview(ReviewTab::Disagreements),
        ),
        entry(
            "Review: agreement of readers",
            "",
            Command::ShowReview(ReviewTab::Agreement),
        ),
        entry(
            "Review: detection test",
            "",
            Command::ShowReview(ReviewTab::Detection),
        ),
        entry("Review: blind on or off", "B", Command::ToggleBlind),
        entry("Undo the last decision", "Ctrl+Z", Command::Undo),
        entry(
            "Redo: restore what was taken back",
            "Ctrl+Shift+Z",
            Command::Redo,
        ),
        entry(
            "Switch between dark and light",
            "Ctrl+T",
            Command::ToggleTheme,
        ),
        entry(
            "Open a project…",
            "Ctrl+O",
            Command::ChoosePath(PathPurpose::OpenProject),
        ),
        entry(
            "New project…",
            "Ctrl+N",
            Command::ChoosePath(PathPurpose::NewProject),
        ),
        entry("Close the project", "", Command::CloseProject),
        entry("Keys and words", "?", Command::ShowKeys),
    ]
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
