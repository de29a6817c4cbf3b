//! The door to `engine`, as a trait, so that benchmarks and tests can stand behind the same door.

mod decisions;
mod evaluations;
mod exchange;
mod gallery;
mod notification;
mod sending;
mod steering;
mod studies;
mod surroundings;

use std::path::Path;
use std::sync::Arc;

use engine::views::{
    AblationRequest, AddRecommenderRequest, ConceptRunView, DatasetView, DebiasRequest,
    DetectionResult, DetectionTest, DictionaryView, Disagreement, Event, FeatureCard, FeaturePage,
    FeatureQuery, FilmSize, FilmState, HistoryRequest, HistoryTicket, ImportRequest, JobView,
    ModelEntry, ModelView, PathPurpose, PictureState, Preferences, ProjectView, QueueRequest,
    QueuedCase, RecentProject, ReviewAnswer, ReviewDraft, ReviewItem, ReviewPlace, ReviewProgress,
    Revision, RunRequest, RunView, SampleView, SavedChange, TraceTicket, UnfinishedRecommender,
};
use engine::{ConceptRequest, Engine, ExplainRequest, TraceRequest, TrainRecommenderRequest};
use schema::{Decision, FeatureId, JobId, ReviewState};

pub use decisions::Decisions;
pub use evaluations::Evaluations;
pub use exchange::Exchange;
pub use gallery::Galleries;
pub(crate) use notification::CAN_SHOW;
pub use sending::Sending;
pub use steering::Steering;
pub use studies::Studies;
pub use surroundings::Surroundings;

/// An answer, or one sentence for the user.
pub type Answer<T> = Result<T, String>;

/// What the window may ask. Every method answers within a few milliseconds; what takes longer is a
/// job or arrives as an event. The meaning of each is that of the [`Engine`] method it names.
#[expect(
    missing_docs,
    reason = "each method is documented where it is implemented"
)]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is documented where it is implemented"
)]
pub trait Backend:
    Decisions + Evaluations + Exchange + Galleries + Sending + Steering + Studies + Surroundings
{
    fn poll(&self) -> Vec<Event>;
    fn revision(&self) -> Revision;
    fn jobs(&self) -> Vec<JobView>;
    fn cancel(&self, job: JobId);
    fn pause(&self, job: JobId, paused: bool);
    fn recent_projects(&self) -> Vec<RecentProject>;
    fn open_project(&self, dir: &str) -> Answer<()>;
    fn new_project(&self, dir: &str) -> Answer<()>;
    fn close_project(&self);
    fn project(&self) -> Option<ProjectView>;
    fn build_demo(&self, dir: &str) -> Answer<JobId>;
    fn choose_path(&self, purpose: PathPurpose) -> Answer<()>;
    fn datasets(&self) -> Answer<Arc<Vec<DatasetView>>>;
    fn sample(&self, dataset: &str, sample: u32) -> Answer<SampleView>;
    fn film(&self, dataset: &str, sample: u32, size: FilmSize) -> FilmState;
    fn preview_import(&self, request: ImportRequest) -> Answer<JobId>;
    fn import(&self, request: ImportRequest) -> Answer<JobId>;
    fn models(&self) -> Answer<Arc<Vec<ModelView>>>;
    fn model_names(&self) -> Answer<Vec<String>>;
    fn read_model(&self, name: &str) -> Answer<()>;
    fn forecast(&self, request: RunRequest) -> Answer<JobId>;
    fn train(&self, requests: Vec<RunRequest>) -> Answer<JobId>;
    fn resume_runs(&self, names: Vec<String>) -> Answer<JobId>;
    fn discard_run(&self, name: &str) -> Answer<JobId>;
    fn take_out(&self, name: &str) -> Answer<()>;
    fn runs(&self) -> Answer<Arc<Vec<RunView>>>;
    fn read_curve(&self, name: &str) -> Answer<()>;
    fn model_entries(&self) -> Answer<Arc<Vec<ModelEntry>>>;
    fn unfinished_recommenders(&self) -> Answer<Arc<Vec<UnfinishedRecommender>>>;
    fn train_recommender(&self, request: TrainRecommenderRequest) -> Answer<JobId>;
    fn resume_recommender(&self, name: &str) -> Answer<JobId>;
    fn discard_recommender(&self, name: &str) -> Answer<JobId>;
    fn import_recommender(&self, request: AddRecommenderRequest) -> Answer<JobId>;
    fn read_history(&self, request: HistoryRequest) -> Answer<HistoryTicket>;
    fn picture(&self, path: &Arc<str>) -> PictureState;
    fn ablate(&self, request: AblationRequest) -> Answer<JobId>;
    fn debias(&self, request: DebiasRequest) -> Answer<JobId>;
    fn saved_changes(&self) -> Answer<Arc<Vec<SavedChange>>>;
    fn save_change(&self, change: SavedChange) -> Answer<()>;
    fn remove_change(&self, name: &str) -> Answer<()>;
    fn export_change(&self, change: SavedChange, place: &str) -> Answer<JobId>;
    fn concept_runs(&self, sae: &str) -> Answer<Arc<Vec<ConceptRunView>>>;
    fn read_concepts(&self, name: &str) -> Answer<()>;
    fn make_concepts(&self, request: ConceptRequest) -> Answer<JobId>;
    fn dictionaries(&self) -> Answer<Arc<Vec<DictionaryView>>>;
    fn feature_ids(&self, sae: &str, query: &FeatureQuery) -> Answer<Arc<Vec<FeatureId>>>;
    fn feature_card(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeatureCard>>;
    fn feature_page(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeaturePage>>;
    fn propose_keywords(&self, sae: &str) -> Answer<JobId>;
    fn decide(
        &self,
        sae: &str,
        feature: FeatureId,
        said: (ReviewState, &str),
        shown: &str,
    ) -> Answer<()>;
    fn undo_on(&self, sae: &str) -> Answer<()>;
    fn redo_on(&self, sae: &str) -> Answer<()>;
    fn review_progress(&self, sae: &str, queue: &QueueRequest) -> Answer<ReviewProgress>;
    fn review_item(&self, sae: &str, queue: &QueueRequest, case: u32) -> Answer<Arc<ReviewItem>>;
    fn next_case(&self, sae: &str, queue: &QueueRequest, case: u32) -> Answer<Option<u32>>;
    fn queued_cases(&self, sae: &str, queue: &QueueRequest) -> Answer<Vec<QueuedCase>>;
    fn case_of_decision(
        &self,
        sae: &str,
        queue: &QueueRequest,
        decision: &Decision,
    ) -> Answer<Option<u32>>;
    fn review_place(&self, sae: &str) -> Answer<Option<ReviewPlace>>;
    fn decide_case(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
        answer: ReviewAnswer,
    ) -> Answer<()>;
    fn keep_draft(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
        draft: Option<ReviewDraft>,
    ) -> Answer<()>;
    fn agreement(&self, sae: &str) -> Answer<JobId>;
    fn disagreements(&self, sae: &str) -> Answer<Arc<Vec<Disagreement>>>;
    fn draw_detection(&self, sae: &str, feature: FeatureId, seed: u64) -> Answer<()>;
    fn record_detection(
        &self,
        sae: &str,
        test: Arc<DetectionTest>,
        said: Vec<bool>,
        milliseconds: u64,
    ) -> Answer<()>;
    fn detection_results(&self, sae: &str) -> Answer<Vec<DetectionResult>>;
    fn reviewer(&self) -> String;
    fn set_reviewer(&self, name: &str);
    fn preferences(&self) -> Preferences;
    fn set_preferences(&self, wanted: Preferences) -> Answer<()>;
    fn explain(&self, request: ExplainRequest) -> Answer<JobId>;
    fn trace(&self, request: TraceRequest) -> Answer<TraceTicket>;
    fn can_trace(&self, sae: &str) -> bool;
    fn window_memory(&self) -> Option<String>;
    fn keep_window_memory(&self, text: &str);
    fn place(&self, project: &str) -> Option<String>;
    fn keep_place(&self, project: &str, text: &str);
}

impl Backend for Engine {
    fn poll(&self) -> Vec<Event> {
        Self::poll(self)
    }

    fn revision(&self) -> Revision {
        Self::revision(self)
    }

    fn jobs(&self) -> Vec<JobView> {
        Self::jobs(self)
    }

    fn cancel(&self, job: JobId) {
        Self::cancel(self, job);
    }

    fn pause(&self, job: JobId, paused: bool) {
        Self::pause(self, job, paused);
    }

    fn recent_projects(&self) -> Vec<RecentProject> {
        Self::recent_projects(self)
    }

    fn open_project(&self, dir: &str) -> Answer<()> {
        Self::open_project(self, Path::new(dir)).map_err(sentence)
    }

    fn new_project(&self, dir: &str) -> Answer<()> {
        Self::new_project(self, Path::new(dir)).map_err(sentence)
    }

    fn close_project(&self) {
        Self::close_project(self);
    }

    fn project(&self) -> Option<ProjectView> {
        Self::project(self)
    }

    fn build_demo(&self, dir: &str) -> Answer<JobId> {
        Self::build_demo(self, Path::new(dir), 0).map_err(sentence)
    }

    fn choose_path(&self, purpose: PathPurpose) -> Answer<()> {
        Self::choose_path(self, purpose, move || dialog(purpose)).map_err(sentence)
    }

    fn datasets(&self) -> Answer<Arc<Vec<DatasetView>>> {
        Self::datasets(self).map_err(sentence)
    }

    fn sample(&self, dataset: &str, sample: u32) -> Answer<SampleView> {
        Self::sample(self, dataset, sample).map_err(sentence)
    }

    fn film(&self, dataset: &str, sample: u32, size: FilmSize) -> FilmState {
        Self::film(self, dataset, sample, size)
    }

    fn preview_import(&self, request: ImportRequest) -> Answer<JobId> {
        Self::preview_import(self, request).map_err(sentence)
    }

    fn import(&self, request: ImportRequest) -> Answer<JobId> {
        Self::import(self, request).map_err(sentence)
    }

    fn models(&self) -> Answer<Arc<Vec<ModelView>>> {
        Self::models(self).map_err(sentence)
    }

    fn model_names(&self) -> Answer<Vec<String>> {
        Self::model_names(self).map_err(sentence)
    }

    fn read_model(&self, name: &str) -> Answer<()> {
        Self::read_model(self, name).map_err(sentence)
    }

    fn forecast(&self, request: RunRequest) -> Answer<JobId> {
        Self::forecast(self, request).map_err(sentence)
    }

    fn train(&self, requests: Vec<RunRequest>) -> Answer<JobId> {
        Self::train(self, requests).map_err(sentence)
    }

    fn resume_runs(&self, names: Vec<String>) -> Answer<JobId> {
        Self::resume_runs(self, names).map_err(sentence)
    }

    fn discard_run(&self, name: &str) -> Answer<JobId> {
        Self::discard_run(self, name).map_err(sentence)
    }

    fn take_out(&self, name: &str) -> Answer<()> {
        Self::take_out(self, name).map_err(sentence)
    }

    fn runs(&self) -> Answer<Arc<Vec<RunView>>> {
        Self::runs(self).map_err(sentence)
    }

    fn read_curve(&self, name: &str) -> Answer<()> {
        Self::read_curve(self, name).map_err(sentence)
    }

    fn model_entries(&self) -> Answer<Arc<Vec<ModelEntry>>> {
        Self::model_entries(self).map_err(sentence)
    }

    fn unfinished_recommenders(&self) -> Answer<Arc<Vec<UnfinishedRecommender>>> {
        Self::unfinished_recommenders(self).map_err(sentence)
    }

    fn train_recommender(&self, request: TrainRecommenderRequest) -> Answer<JobId> {
        Self::train_recommender(self, request).map_err(sentence)
    }

    fn resume_recommender(&self, name: &str) -> Answer<JobId> {
        Self::resume_recommender(self, name).map_err(sentence)
    }

    fn discard_recommender(&self, name: &str) -> Answer<JobId> {
        Self::discard_recommender(self, name).map_err(sentence)
    }

    fn import_recommender(&self, request: AddRecommenderRequest) -> Answer<JobId> {
        Self::import_recommender(self, request).map_err(sentence)
    }

    fn read_history(&self, request: HistoryRequest) -> Answer<HistoryTicket> {
        Self::read_history(self, request).map_err(sentence)
    }

    fn picture(&self, path: &Arc<str>) -> PictureState {
        Self::picture(self, path)
    }

    fn ablate(&self, request: AblationRequest) -> Answer<JobId> {
        Self::ablate(self, request).map_err(sentence)
    }

    fn debias(&self, request: DebiasRequest) -> Answer<JobId> {
        Self::debias(self, request).map_err(sentence)
    }

    fn saved_changes(&self) -> Answer<Arc<Vec<SavedChange>>> {
        Self::saved_changes(self).map_err(sentence)
    }

    fn save_change(&self, change: SavedChange) -> Answer<()> {
        Self::save_change(self, change).map_err(sentence)
    }

    fn remove_change(&self, name: &str) -> Answer<()> {
        Self::remove_change(self, name).map_err(sentence)
    }

    fn export_change(&self, change: SavedChange, place: &str) -> Answer<JobId> {
        Self::export_change(self, change, Path::new(place)).map_err(sentence)
    }

    fn concept_runs(&self, sae: &str) -> Answer<Arc<Vec<ConceptRunView>>> {
        Self::concept_runs(self, sae).map_err(sentence)
    }

    fn read_concepts(&self, name: &str) -> Answer<()> {
        Self::read_concepts(self, name).map_err(sentence)
    }

    fn make_concepts(&self, request: ConceptRequest) -> Answer<JobId> {
        Self::make_concepts(self, request).map_err(sentence)
    }

    fn dictionaries(&self) -> Answer<Arc<Vec<DictionaryView>>> {
        Self::dictionaries(self).map_err(sentence)
    }

    fn feature_ids(&self, sae: &str, query: &FeatureQuery) -> Answer<Arc<Vec<FeatureId>>> {
        Self::feature_ids(self, sae, query).map_err(sentence)
    }

    fn feature_card(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeatureCard>> {
        Self::feature_card(self, sae, feature).map_err(sentence)
    }

    fn feature_page(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeaturePage>> {
        Self::feature_page(self, sae, feature).map_err(sentence)
    }

    fn propose_keywords(&self, sae: &str) -> Answer<JobId> {
        Self::propose_keywords(self, sae).map_err(sentence)
    }

    fn decide(
        &self,
        sae: &str,
        feature: FeatureId,
        said: (ReviewState, &str),
        shown: &str,
    ) -> Answer<()> {
        Self::decide(self, sae, feature, said, shown).map_err(sentence)
    }

    fn undo_on(&self, sae: &str) -> Answer<()> {
        Self::undo_on(self, sae).map_err(sentence)
    }

    fn redo_on(&self, sae: &str) -> Answer<()> {
        Self::redo_on(self, sae).map_err(sentence)
    }

    fn review_progress(&self, sae: &str, queue: &QueueRequest) -> Answer<ReviewProgress> {
        Self::review_progress(self, sae, queue).map_err(sentence)
    }

    fn review_item(&self, sae: &str, queue: &QueueRequest, case: u32) -> Answer<Arc<ReviewItem>> {
        Self::review_item(self, sae, queue, case).map_err(sentence)
    }

    fn next_case(&self, sae: &str, queue: &QueueRequest, case: u32) -> Answer<Option<u32>> {
        Self::next_case(self, sae, queue, case).map_err(sentence)
    }

    fn queued_cases(&self, sae: &str, queue: &QueueRequest) -> Answer<Vec<QueuedCase>> {
        Self::queued_cases(self, sae, queue).map_err(sentence)
    }

    fn case_of_decision(
        &self,
        sae: &str,
        queue: &QueueRequest,
        decision: &Decision,
    ) -> Answer<Option<u32>> {
        Self::case_of_decision(self, sae, queue, decision).map_err(sentence)
    }

    fn review_place(&self, sae: &str) -> Answer<Option<ReviewPlace>> {
        Self::review_place(self, sae).map_err(sentence)
    }

    fn decide_case(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
        answer: ReviewAnswer,
    ) -> Answer<()> {
        Self::decide_case(self, sae, queue, case, answer).map_err(sentence)
    }

    fn keep_draft(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
        draft: Option<ReviewDraft>,
    ) -> Answer<()> {
        Self::keep_draft(self, sae, queue, case, draft).map_err(sentence)
    }

    fn agreement(&self, sae: &str) -> Answer<JobId> {
        Self::agreement(self, sae).map_err(sentence)
    }

    fn disagreements(&self, sae: &str) -> Answer<Arc<Vec<Disagreement>>> {
        Self::disagreements(self, sae).map_err(sentence)
    }

    fn draw_detection(&self, sae: &str, feature: FeatureId, seed: u64) -> Answer<()> {
        Self::draw_detection(self, sae, feature, seed).map_err(sentence)
    }

    fn record_detection(
        &self,
        sae: &str,
        test: Arc<DetectionTest>,
        said: Vec<bool>,
        milliseconds: u64,
    ) -> Answer<()> {
        Self::record_detection(self, sae, test, said, milliseconds).map_err(sentence)
    }

    fn detection_results(&self, sae: &str) -> Answer<Vec<DetectionResult>> {
        Self::detection_results(self, sae).map_err(sentence)
    }

    fn reviewer(&self) -> String {
        Self::reviewer(self)
    }

    fn set_reviewer(&self, name: &str) {
        Self::set_reviewer(self, name);
    }

    fn preferences(&self) -> Preferences {
        Self::preferences(self)
    }

    fn set_preferences(&self, wanted: Preferences) -> Answer<()> {
        Self::set_preferences(self, wanted).map_err(|error| error.message)
    }

    fn explain(&self, request: ExplainRequest) -> Answer<JobId> {
        Self::explain(self, request).map_err(|error| error.message)
    }

    fn trace(&self, request: TraceRequest) -> Answer<TraceTicket> {
        Self::trace(self, request).map_err(sentence)
    }

    fn can_trace(&self, sae: &str) -> bool {
        Self::can_trace(self, sae)
    }

    fn window_memory(&self) -> Option<String> {
        Self::window_memory(self)
    }

    fn keep_window_memory(&self, text: &str) {
        Self::keep_window_memory(self, text);
    }

    fn place(&self, project: &str) -> Option<String> {
        Self::place(self, Path::new(project))
    }

    fn keep_place(&self, project: &str, text: &str) {
        Self::keep_place(self, Path::new(project), text);
    }
}

fn sentence(error: engine::EngineError) -> String {
    error.message
}

/// Asks for a file to write, whose name gets the ending where the user gives none.
fn save_as(dialog: rfd::FileDialog, name: &str, ending: &str) -> Option<std::path::PathBuf> {
    let chosen = dialog
        .set_title(format!("Save the {name}"))
        .set_file_name(format!("{name}.{ending}"))
        .add_filter(ending.to_uppercase(), &[ending])
        .save_file()?;
    Some(if chosen.extension().is_none() {
        chosen.with_extension(ending)
    } else {
        chosen
    })
}

/// Opens the native dialog; runs on the thread that `engine` gives it.
fn dialog(purpose: PathPurpose) -> Option<std::path::PathBuf> {
    let dialog = rfd::FileDialog::new();
    match purpose {
        PathPurpose::OpenProject => dialog.set_title("Open a project").pick_folder(),
        PathPurpose::ProjectFolder => dialog.set_title("Project folder").pick_folder(),
        PathPurpose::NewProject | PathPurpose::OfferedProject => {
            dialog.set_title("Folder of the new project").pick_folder()
        }
        PathPurpose::Demo => dialog.set_title("Folder of the demo project").pick_folder(),
        PathPurpose::ImagesFolder => dialog.set_title("Folder of images").pick_folder(),
        PathPurpose::InteractionsFolder => dialog.set_title("Folder of interactions").pick_folder(),
        PathPurpose::PhrasesFolder => dialog
            .set_title("Folder with lists of phrases")
            .pick_folder(),
        PathPurpose::TableFile | PathPurpose::SecondTable | PathPurpose::FindingsTable => dialog
            .set_title("Table")
            .add_filter("Tables", &["csv", "tsv", "txt"])
            .pick_file(),
        PathPurpose::Model => dialog
            .set_title("File of a model")
            .add_filter("GGUF", &["gguf"])
            .pick_file(),
        PathPurpose::ModelFolder => dialog.set_title("Folder of a model").pick_folder(),
        PathPurpose::Dictionary => dialog
            .set_title("File of a dictionary")
            .add_filter("Dictionaries", &["safetensors", "pt", "npz"])
            .pick_file(),
        PathPurpose::DictionaryFolder => dialog
            .set_title("Folder of a dictionary, or of several")
            .pick_folder(),
        PathPurpose::ExportedDictionary => dialog
            .set_title("New or empty folder for the dictionary")
            .pick_folder(),
        PathPurpose::SteeredFolder => dialog
            .set_title("Folder to write the changed model into")
            .pick_folder(),
        PathPurpose::LanguageModel => dialog
            .set_title("Language model")
            .add_filter("GGUF", &["gguf"])
            .pick_file(),
        PathPurpose::Recommender => dialog
            .set_title("Checkpoint of a recommender")
            .add_filter("Checkpoints", &["safetensors", "pt", "pth"])
            .pick_file(),
        PathPurpose::ExperimentJson => save_as(dialog, "experiment", "json"),
        PathPurpose::ExperimentPage => save_as(dialog, "experiment", "html"),
        PathPurpose::SweepTable => save_as(dialog, "sweep", "csv"),
        PathPurpose::SweepSvg => save_as(dialog, "sweep", "svg"),
        PathPurpose::SweepPng => save_as(dialog, "sweep", "png"),
        PathPurpose::ReportPage => save_as(dialog, "report", "html"),
        PathPurpose::ReportTable => save_as(dialog, "report", "csv"),
        PathPurpose::ChartSvg => save_as(dialog, "chart", "svg"),
        PathPurpose::ChartPng => save_as(dialog, "chart", "png"),
        // Not the sample's name: a file's name may be a patient's.
        PathPurpose::FilmPng => save_as(dialog, "film", "png"),
        PathPurpose::DecisionsFile => dialog
            .set_title("Decisions, or answers to a packet")
            .add_filter("Decisions and answers", &["jsonl", "json"])
            .pick_file(),
        PathPurpose::HandedOutDecisions => save_as(dialog, "decisions", "jsonl"),
        PathPurpose::PacketPage => save_as(dialog, "packet", "html"),
    }
}
