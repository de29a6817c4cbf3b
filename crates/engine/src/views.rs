//! What a front end shows, as plain data in the user's words.

mod ablation;
mod arrivals;
mod concepts;
mod explanations;
mod film_picture;
mod gallery;
mod imports;
mod items;
mod models;
mod preferences;
mod report;
mod review;
mod search;
mod sending;
mod steering;
mod studies;
mod training;

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{
    Association, DatasetManifest, Decision, Explanation, FeatureId, FilmEdges, FindingBox,
    HookPoint, JobId, KeptReport, PatchGrid, PositionClass, Report, Split, StepReport, Window,
};
use serde::{Deserialize, Serialize};

pub use crate::item_pictures::{ItemPicture, PictureState};
pub use crate::metric_views::{MetricView, metric_view, metric_views};
use crate::train_recommender::RecommenderCurve;
pub use ablation::{
    AblationRequest, AblationView, Bias, BiasedFeature, ConceptItems, ControlEffect, DebiasRequest,
    DebiasView, ExampleLists, Exposure, GroupEffect, ListFigures, TradeOffPoint,
};
pub use arrivals::{Arrival, ArrivalKind};
pub use concepts::{
    ConceptCaseView, ConceptItemView, ConceptPages, ConceptRunView, ConceptSettingsView,
    ConceptTestView, ConceptTotalsView, ConceptView, ConceptsView, DistinctItemsView, MeanView,
    TitleCoherenceView, YardstickView,
};
pub use explanations::{
    ControlView, DetectionView, ExplanationsView, NamedFindingView, PassageView, PlantedNamesView,
    ScoreEvidenceView, ScoreSettingsView, ScoreTotalsView, ScoredFeatureView, TestedPassageView,
};
pub use film_picture::{FilmBox, FilmColours, FilmLine, FilmPicture};
pub use gallery::{
    BestAssociation, ChoiceTicket, ChosenFeatures, FeatureCard, FeaturePlot, FeaturePoints,
    FeatureQuery, FeatureSort, FiringView, GalleryFacets, NestedView, PlotArea,
};
pub use imports::{ImportPreview, ImportRequest, InteractionsRequest};
pub use items::{
    HistoryRequest, HistoryTicket, HistoryView, ItemEffects, ItemView, PopularityView,
    SameRecommendation,
};
pub use models::{
    AddModelRequest, AddRecommenderRequest, ModelEntry, RecommenderRecord, UnfinishedRecommender,
};
pub use preferences::{FILM_MEGABYTES, Preferences, PreferredDevice};
pub use report::{
    Axis, Chart, ChartShape, ChartValue, DictionaryReport, EvaluationPlan, ExplanationScore,
    ExplanationScores, FindingAssociation, Mark, ReportPart, Series, figure, tick_words,
};
pub use review::{
    AgreementFigures, AgreementReport, DetectionResult, DetectionTest, Disagreement, Estimate,
    JudgeResult, ModelAgreement, PairAgreement, QueueKind, QueueOrder, QueueRequest, QueueScope,
    QueuedCase, RepeatAgreement, ReviewAnswer, ReviewDraft, ReviewItem, ReviewPlace,
    ReviewProgress, TextFigures, TrapFigures,
};
pub use search::{Found, FoundFeature, FoundItem, FoundSample, Hits, SearchTicket};
pub use sending::{PlannedRequests, SendingConsent, SendingView};
pub use steering::{
    FindingsEffect, RankingEffect, SavedChange, SteerOutcome, SteerRequest, SteerTicket, SteerView,
    SteeringExport, SteeringPart, SweepPoint, SweepRange, SweepRequest, SweepRun, SweepView,
};
pub use studies::FurtherFilmView;
pub use training::{
    DeadForecast, DiskForecast, Forecast, MemoryForecast, RowForecast, RunFigures, RunRequest,
    RunState, RunView, TimeForecast, TrainingCurve,
};

/// Stands on films and on everything that is given away.
pub const SAFETY: &str = "Research use, not for diagnosis";

/// Grows whenever anything a query can see has changed; caches are keyed by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A project seen from the start screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentProject {
    /// Folder.
    pub path: String,
    /// Name of the folder.
    pub name: String,
    /// Whether the folder is still there.
    pub exists: bool,
}

/// The open project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectView {
    /// Folder.
    pub path: String,
    /// Name of the folder.
    pub name: String,
    /// Something the user should know, e.g. that the journal's last line was torn.
    pub notices: Vec<String>,
}

/// A running job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Which.
    pub id: JobId,
    /// What the user started, e.g. `Build the demo project`.
    pub title: String,
    /// What is being made now, e.g. the name of a dictionary; empty where that is not said.
    pub subject: String,
    /// What is made after it, in order, as long as it is not begun or taken out.
    pub queued: Vec<String>,
    /// What is being done now, e.g. `Training dictionary`.
    pub stage: String,
    /// Units finished in this stage.
    pub done: u64,
    /// Units in this stage; 0 when unknown.
    pub total: u64,
    /// What one unit is, e.g. `films`.
    pub unit: &'static str,
    /// Units per second in this stage.
    pub rate: f32,
    /// Seconds left in this stage, once they can be told.
    pub seconds_left: Option<f32>,
    /// Seconds since the job began.
    pub seconds: f32,
    /// Whether it waits until it may go on.
    pub paused: bool,
    /// Whether a stop was asked for and is not yet done.
    pub stopping: bool,
    /// Training curve of this stage, decimated, where a dictionary is trained.
    pub curve: Arc<Vec<StepReport>>,
    /// What the model keeps at some steps of that training, where that is measured.
    pub kept: Arc<Vec<KeptReport>>,
    /// Curves by epoch, where a recommender is trained: one per stage that has a finished epoch.
    pub epochs: Arc<Vec<RecommenderCurve>>,
}

impl JobView {
    /// The dictionary that is being made.
    pub fn dictionary(&self) -> Option<&str> {
        let name = self.subject.as_str();
        (!name.is_empty() && !name.starts_with(MODELS)).then_some(name)
    }

    /// The model that is being trained, or will be when it is the job's turn.
    pub fn model(&self) -> Option<&str> {
        let mut subjects = std::iter::once(&self.subject).chain(&self.queued);
        subjects.find_map(|subject| subject.strip_prefix(MODELS))
    }
}

/// What the subject of a job that trains a model begins with.
pub(crate) const MODELS: &str = "models/";

/// What happened since the last poll.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A job's thread is running.
    JobStarted(JobId),
    /// Something went wrong and the job goes on.
    JobWarning(JobId, String),
    /// The job is over; sent exactly once.
    JobEnded(JobId, JobEnd),
    /// A project was opened or closed.
    ProjectChanged,
    /// Something that queries see has changed.
    Changed(Revision),
    /// A film or picture asked for is in the cache now, or cannot be read.
    FilmReady,
    /// An import preview asked for is done.
    ImportPreview(Box<Result<ImportPreview, String>>),
    /// A decision is durable: in the synced journal and in the database.
    Decided(Box<Decision>),
    /// The last decision on this feature of a dictionary was taken back; follows its `Decided`.
    TakenBack(String, FeatureId),
    /// What was taken back on this feature of a dictionary stands again; follows its `Decided`.
    Restored(String, FeatureId),
    /// A decision could not be written; nothing was changed.
    DecisionFailed(String),
    /// The answer to a question how far readers agree: the dictionary, and the figures.
    Agreement(String, Box<Result<AgreementReport, String>>),
    /// A detection test of a dictionary was drawn, or why it was not.
    DetectionDrawn(String, Box<Result<DetectionTest, String>>),
    /// A detection test that was answered is durable, or why it is not.
    Detected(Box<Result<DetectionResult, String>>),
    /// The answer to a steering request.
    Steered(SteerTicket, Box<Result<SteerView, String>>),
    /// The answer to a forecast that was asked for as this job.
    Forecast(JobId, Box<Result<Forecast, String>>),
    /// How far a dose-response sweep that was asked for as this job has come; the last one holds
    /// every run, unless the job was stopped.
    Swept(JobId, Box<Result<SweepView, String>>),
    /// The answer to a change of features over all users that was asked for as this job.
    Ablated(JobId, Box<Result<AblationView, String>>),
    /// The answer to a sweep against a bias that was asked for as this job.
    Debiased(JobId, Box<Result<DebiasView, String>>),
    /// What an import of dictionaries that was asked for as this job brought.
    DictionariesImported(JobId, Box<crate::SaeImport>),
    /// A model asked for was read: its name, and what it is.
    ModelRead(String, Box<Result<ModelView, String>>),
    /// A report of a dictionary asked for, or one that was just measured: its name, and the report.
    Evaluated(String, Result<Arc<DictionaryReport>, String>),
    /// A training curve asked for: its run, and the curve.
    Curve(String, Result<Arc<TrainingCurve>, String>),
    /// The answer to a request for a whole history.
    HistoryRead(HistoryTicket, Box<Result<HistoryView, String>>),
    /// A run of concepts asked for was read: its name, and what it holds.
    ConceptsRead(String, Result<Arc<ConceptPages>, String>),
    /// The features that a gallery asked for, in order.
    FeaturesChosen(ChoiceTicket, Result<Arc<Vec<FeatureId>>, String>),
    /// What a measured score rests on, asked for: the run, the feature, and the evidence.
    ScoreRead(String, FeatureId, Box<Result<ScoreEvidenceView, String>>),
    /// A request that asks another computer waits for leave: what it would send, and the request.
    AsksToSend(Box<SendingView>, Box<crate::ExplainRequest>),
    /// The answer to a tracing request.
    Traced(TraceTicket, Box<Result<crate::TraceView, String>>),
    /// What the files and folders asked about are.
    Recognised(Vec<String>, Box<Arrival>),
    /// The answer to a search; a fuller one follows where it says so.
    Found(SearchTicket, Box<Found>),
    /// A file dialog was closed: what the user chose it for, and the path.
    PathChosen(PathPurpose, Option<String>),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Ran to its end; the sentence says what it made.
    Finished(String),
    /// Stopped because the user asked; what was checkpointed is kept.
    Cancelled,
    /// Stopped by an error; the text is for the user.
    Failed(String),
}

/// Why a path was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPurpose {
    /// Open a project.
    OpenProject,
    /// The folder of a project, to be opened or made.
    ProjectFolder,
    /// Make a project.
    NewProject,
    /// Build the demo project.
    Demo,
    /// Make a project for what was dropped on the window.
    OfferedProject,
    /// A folder of images.
    ImagesFolder,
    /// A table.
    TableFile,
    /// A second table that belongs to the first: boxes, item titles.
    SecondTable,
    /// A table of findings.
    FindingsTable,
    /// A folder with lists of phrases by which findings are read in reports.
    PhrasesFolder,
    /// A folder of interactions.
    InteractionsFolder,
    /// A file of a model.
    Model,
    /// The folder of a model.
    ModelFolder,
    /// A file of a dictionary that is to be imported.
    Dictionary,
    /// The folder of a dictionary, or of several, that are to be imported.
    DictionaryFolder,
    /// The folder that a dictionary is exported into.
    ExportedDictionary,
    /// A recommender's checkpoint.
    Recommender,
    /// A language model that explains and judges.
    LanguageModel,
    /// The folder that a changed model is written into.
    SteeredFolder,
    /// A file that a steering experiment is written into as JSON.
    ExperimentJson,
    /// A page that a steering experiment is written into.
    ExperimentPage,
    /// A table that a dose-response sweep is written into.
    SweepTable,
    /// A file that a chart of a dose-response sweep is written into as SVG.
    SweepSvg,
    /// A file that a chart of a dose-response sweep is written into as PNG.
    SweepPng,
    /// A page that a report is written into.
    ReportPage,
    /// A table that a report is written into.
    ReportTable,
    /// A file that a chart is written into as SVG.
    ChartSvg,
    /// A file that a chart is written into as PNG.
    ChartPng,
    /// A file that a film is written into as PNG.
    FilmPng,
    /// Decisions of a reader elsewhere, or the answers to a packet.
    DecisionsFile,
    /// A file that decisions are written into.
    HandedOutDecisions,
    /// A page that a packet is written into.
    PacketPage,
}

/// A dataset in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetView {
    /// Everything its manifest says.
    pub manifest: DatasetManifest,
    /// Samples in train, dev and test.
    pub n_by_split: [u32; 3],
    /// Patients or users.
    pub n_groups: u32,
    /// Items in the catalogue, for interactions.
    pub n_items: u32,
    /// Categories of items, those of most items first; at most 200.
    pub categories: Vec<String>,
}

/// A model in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelView {
    /// Its name in the project.
    pub name: String,
    /// Architecture, in words.
    pub architecture: String,
    /// Number of weights.
    pub n_parameters: u64,
    /// Hook points with the width of their rows.
    pub hooks: Vec<(HookPoint, u32)>,
    /// Facts as `(name, value)`.
    pub facts: Vec<(String, String)>,
}

/// Which half of the workbench a dictionary belongs to: it decides how examples look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExampleKind {
    /// Films with heatmaps.
    Film,
    /// Report tokens, shaded.
    Text,
    /// Item histories with per-position activation.
    History,
}

impl ExampleKind {
    /// The safety line of what is written of such samples; empty for item histories.
    pub(crate) fn safety(self) -> &'static str {
        match self {
            Self::Film | Self::Text => SAFETY,
            Self::History => "",
        }
    }
}

/// A dictionary in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DictionaryView {
    /// Its name in the project.
    pub name: String,
    /// How its examples look.
    pub kind: ExampleKind,
    /// Model it reads.
    pub model: String,
    /// Where it reads.
    pub hook: HookPoint,
    /// Dataset it was trained and indexed on.
    pub dataset: String,
    /// Harvest it was trained on.
    pub harvest: String,
    /// Number of features.
    pub n_features: u32,
    /// Features with at least one activation on the indexed rows.
    pub n_live: u32,
    /// Width of a row.
    pub d_model: u32,
    /// Active features per row asked for, where the sparsity rule has such a number.
    pub k: Option<u32>,
    /// Fraction of variance unexplained.
    pub fvu: f64,
    /// Mean active features per row.
    pub l0: f64,
    /// Share of features never active.
    pub dead_share: f64,
    /// Whether a feature index exists: without one there is no gallery.
    pub indexed: bool,
    /// Reviewed features.
    pub n_reviewed: u32,
}

/// One sample as an example of one feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExampleView {
    /// Index of the sample in its dataset.
    pub sample: u32,
    /// Its name in the source.
    pub sample_id: String,
    /// Part of the dataset.
    pub split: Split,
    /// Position of the highest activation; on a film its patch, row-major.
    pub position: u32,
    /// The highest activation in the sample.
    pub activation: f32,
    /// What to draw.
    pub content: ExampleContent,
}

/// What to draw for an example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ExampleContent {
    /// A film and where the feature is active on it. The film's pixels come from `Engine::film`.
    Film {
        /// Dataset of the film.
        dataset: String,
        /// Original size of the film.
        size: [u32; 2],
        /// How the patches lie on it.
        grid: PatchGrid,
        /// One activation per patch, row-major; 0 where the feature is silent.
        heat: Arc<Vec<f32>>,
    },
    /// A stretch of text with one activation per token.
    Text {
        /// Tokens in order.
        tokens: Arc<Vec<TokenView>>,
    },
    /// A history of items with one activation per item.
    History {
        /// Items, oldest first.
        items: Arc<Vec<ItemView>>,
    },
}

/// One token of an example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenView {
    /// Its text, spaces included.
    pub text: String,
    /// Activation of the feature, 0 where silent.
    pub activation: f32,
    /// What the position is.
    pub class: PositionClass,
}

/// Everything about one feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeaturePage {
    /// What its card shows.
    pub card: FeatureCard,
    /// How its examples look.
    pub kind: ExampleKind,
    /// Rows on which it is active.
    pub n_active_rows: u64,
    /// Mean of the activations above 0.
    pub mean_activation: f32,
    /// Top examples, best first.
    pub top: Arc<Vec<ExampleView>>,
    /// Examples from equal quantile bands of the activation, highest band first.
    pub bands: Arc<Vec<Vec<ExampleView>>>,
    /// Nearest decoder directions: number, label or proposal, cosine.
    pub neighbours: Vec<(FeatureId, String, f32)>,
    /// Nearest features of the other nested groups, where the dictionary has groups.
    pub nested: Option<NestedView>,
    /// Features most often active with it: number, label or proposal, Jaccard index.
    pub cofiring: Vec<(FeatureId, String, f32)>,
    /// Association with findings, tastes, genres or categories, strongest first.
    pub associations: Vec<Association>,
    /// What the feature writes: promoted then suppressed tokens or items with their scores.
    pub writes: Option<WritesView>,
    /// Proposed explanations, newest first.
    pub explanations: Vec<Explanation>,
    /// Decisions, newest first.
    pub decisions: Vec<Decision>,
    /// A warning about its evidence, e.g. that one item fills the top.
    pub warnings: Vec<String>,
    /// What one should know to read the evidence, e.g. how coarse a heatmap is.
    pub notes: Vec<String>,
}

/// Logit lens of a feature.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct WritesView {
    /// Promoted, strongest first.
    pub promoted: Vec<(String, f32)>,
    /// Suppressed, strongest first.
    pub suppressed: Vec<(String, f32)>,
    /// The same as items, where the feature belongs to a recommender.
    pub items: Option<ItemEffects>,
}

/// One sample for the data screen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleView {
    /// Index in the dataset.
    pub sample: u32,
    /// Its name in the source.
    pub id: String,
    /// Patient or user.
    pub group: String,
    /// Part of the dataset.
    pub split: Split,
    /// Size of the film, if it has one.
    pub film_size: Option<[u32; 2]>,
    /// The report, if it has one.
    pub report: Option<Report>,
    /// Findings present, where the source says.
    pub findings: Option<Vec<String>>,
    /// What else the source says, by name: view, age, sex, labels of another scheme.
    pub facts: BTreeMap<String, String>,
    /// Findings marked on the film.
    pub boxes: Vec<FindingBox>,
    /// Films that hang beside it: other views, then earlier studies, the latest first.
    pub further: Vec<FurtherFilmView>,
    /// History, oldest first, held-out items included.
    pub items: Vec<ItemView>,
    /// How many of the last items are held out.
    pub n_held_out: u32,
}

/// Pixels of a film ready to show.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmPixels {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 16-bit grey for a full film, row-major; empty for a thumbnail.
    pub deep: Vec<u16>,
    /// The same at half the size, a quarter and so on, down to a few hundred pixels.
    pub halves: Vec<HalvedFilm>,
    /// 8-bit grey through the default window, row-major.
    pub grey: Vec<u8>,
    /// Windows to offer, the default first. Units of `deep`.
    pub windows: Vec<Window>,
    /// What must be said, e.g. `inverted (MONOCHROME1)`.
    pub badges: Vec<String>,
    /// Original size.
    pub original: [u32; 2],
    /// Where the edges point to in the patient, if the file says so.
    pub edges: Option<FilmEdges>,
}

/// A film at a half, a quarter, … of its size.
#[derive(Debug, Clone, PartialEq)]
pub struct HalvedFilm {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 16-bit grey, row-major.
    pub deep: Vec<u16>,
}

impl HalvedFilm {
    /// Copies of half the size, a quarter and so on: a film that is shown smaller than it is costs
    /// no more to put through another window than the screen has pixels.
    ///
    /// # Shapes
    /// - `deep`: row-major, `width * height`; anything else has no copies
    pub fn all_of(width: u32, height: u32, deep: &[u16]) -> Vec<Self> {
        let mut halves: Vec<Self> = Vec::new();
        loop {
            let (width, height, from) = halves.last().map_or((width, height, deep), |half| {
                (half.width, half.height, &half.deep[..])
            });
            if width.max(height) <= SMALLEST_HALF {
                return halves;
            }
            let (width, height, deep) = datasets::resize::halve(width, height, from);
            if deep.is_empty() {
                return halves;
            }
            halves.push(Self {
                width,
                height,
                deep,
            });
        }
    }
}

/// Side from which no smaller copy of a film is made.
const SMALLEST_HALF: u32 = 512;

/// Where a film asked for stands.
#[derive(Debug, Clone, PartialEq)]
pub enum FilmState {
    /// On its way; an `Event::FilmReady` follows.
    Loading,
    /// Here it is.
    Ready(Arc<FilmPixels>),
    /// Cannot be read; the sentence is for the user.
    Failed(String),
}

/// How large a film is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilmSize {
    /// At most 160 pixels a side, 8-bit.
    Thumbnail,
    /// As stored.
    Full,
}

/// Identifies a tracing request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceTicket(pub u64);
