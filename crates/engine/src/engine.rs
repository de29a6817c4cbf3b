//! The door of the window: cheap queries, commands that become jobs, and events.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};
use schema::{FeatureId, JobId, ReviewState};

use crate::error::{EngineError, Result};
use crate::jobs::{Jobs, Wake, lock};
use crate::views::{
    DatasetView, DictionaryView, Event, FeatureCard, FeaturePage, FeatureQuery, FilmSize,
    FilmState, ImportRequest, JobView, ModelView, PathPurpose, ProjectView, RecentProject,
    Revision, SampleView, SteerRequest, SteerTicket,
};

/// The program without its window. Cheap to query from a frame; long work runs in jobs.
pub struct Engine {
    jobs: Mutex<Jobs>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    wake: Wake,
    revision: AtomicU64,
}

fn not_yet<T>() -> Result<T> {
    Err(EngineError::other("no project is open"))
}

impl Engine {
    /// `wake` is called from any thread whenever [`Engine::poll`] has something new.
    pub fn new(wake: Wake) -> Self {
        let (sender, events) = unbounded();
        Self {
            jobs: Mutex::new(Jobs::new(sender.clone(), Arc::clone(&wake))),
            events,
            sender,
            wake,
            revision: AtomicU64::new(0),
        }
    }

    /// Events since the last call, in order. Never blocks: call it once per frame.
    pub fn poll(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    /// Grows whenever a query may answer differently.
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Running jobs, oldest first.
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.jobs).views()
    }

    /// Asks a job to stop.
    pub fn cancel(&self, job: JobId) {
        lock(&self.jobs).cancel(job);
    }

    // --- projects ---

    /// Projects opened before, newest first.
    pub fn recent_projects(&self) -> Vec<RecentProject> {
        Vec::new()
    }

    /// Opens a project; `Event::ProjectChanged` follows.
    ///
    /// # Errors
    /// When the folder is no project, or a newer version made it, or another process has it open.
    pub fn open_project(&self, _dir: &Path) -> Result<()> {
        not_yet()
    }

    /// Makes an empty project and opens it.
    ///
    /// # Errors
    /// When the folder cannot be made or is not empty.
    pub fn new_project(&self, _dir: &Path) -> Result<()> {
        not_yet()
    }

    /// Closes the project; its jobs are stopped.
    pub fn close_project(&self) {}

    /// The open project.
    pub fn project(&self) -> Option<ProjectView> {
        None
    }

    /// Builds the demo project in a new folder and opens it when done.
    ///
    /// # Errors
    /// When the job cannot be started.
    pub fn build_demo(&self, _dir: &Path, _seed: u64) -> Result<JobId> {
        not_yet()
    }

    /// Shows a native file dialog on another thread; `Event::PathChosen` follows. `choose` opens
    /// the dialog and returns the path.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn choose_path(
        &self,
        purpose: PathPurpose,
        choose: impl FnOnce() -> Option<std::path::PathBuf> + Send + 'static,
    ) -> Result<()> {
        let (sender, wake) = (self.sender.clone(), Arc::clone(&self.wake));
        std::thread::Builder::new()
            .name("file dialog".to_owned())
            .spawn(move || {
                let path = choose().map(|path| path.display().to_string());
                sender.send(Event::PathChosen(purpose, path)).ok();
                wake();
            })
            .map(drop)
            .map_err(|error| EngineError::other(format!("cannot start a thread: {error}")))
    }

    // --- data ---

    /// Datasets of the project, by name.
    ///
    /// # Errors
    /// When no project is open.
    pub fn datasets(&self) -> Result<Arc<Vec<DatasetView>>> {
        not_yet()
    }

    /// One sample of a dataset.
    ///
    /// # Errors
    /// When there is no such dataset or sample.
    pub fn sample(&self, _dataset: &str, _sample: u32) -> Result<SampleView> {
        not_yet()
    }

    /// A film, from the cache or on its way. Never blocks.
    pub fn film(&self, _dataset: &str, _sample: u32, _size: FilmSize) -> FilmState {
        FilmState::Loading
    }

    /// Reads what an import would bring, as a job; `Event::ImportPreview` follows. Writes nothing.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn preview_import(&self, _request: ImportRequest) -> Result<JobId> {
        not_yet()
    }

    /// Imports, as a job; all or nothing.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn import(&self, _request: ImportRequest) -> Result<JobId> {
        not_yet()
    }

    /// Models of the project.
    ///
    /// # Errors
    /// When no project is open.
    pub fn models(&self) -> Result<Arc<Vec<ModelView>>> {
        not_yet()
    }

    // --- dictionaries and features ---

    /// Dictionaries of the project.
    ///
    /// # Errors
    /// When no project is open.
    pub fn dictionaries(&self) -> Result<Arc<Vec<DictionaryView>>> {
        not_yet()
    }

    /// The features a gallery shows, in order. May cost some milliseconds for a wide dictionary:
    /// keep the answer until the query or the revision changes.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn feature_ids(&self, _sae: &str, _query: &FeatureQuery) -> Result<Arc<Vec<FeatureId>>> {
        not_yet()
    }

    /// A card of the gallery. Cached; the first call for a feature costs well under a millisecond.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature_card(&self, _sae: &str, _feature: FeatureId) -> Result<Arc<FeatureCard>> {
        not_yet()
    }

    /// Everything about one feature. Some milliseconds: keep it until the revision changes.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature_page(&self, _sae: &str, _feature: FeatureId) -> Result<Arc<FeaturePage>> {
        not_yet()
    }

    /// Proposes labels from over-represented terms for every live feature, as a job.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn propose_keywords(&self, _sae: &str) -> Result<JobId> {
        not_yet()
    }

    /// Records a reviewer's decision. Answers at once; `Event::Decided` follows when it is durable.
    ///
    /// # Errors
    /// When there is no such feature, or an edited label is empty.
    pub fn decide(
        &self,
        _sae: &str,
        _feature: FeatureId,
        _state: ReviewState,
        _text: &str,
    ) -> Result<()> {
        not_yet()
    }

    /// Takes the last decision of this session back by a new decision that restores the state
    /// before it. `false` when there is nothing to take back.
    ///
    /// # Errors
    /// When no project is open.
    pub fn undo_decision(&self) -> Result<bool> {
        not_yet()
    }

    /// Name on decisions.
    pub fn reviewer(&self) -> String {
        String::new()
    }

    /// Sets the name on decisions.
    pub fn set_reviewer(&self, _name: &str) {}

    // --- steering ---

    /// Turns features up or down on one sample; `Event::Steered` follows. A newer request replaces
    /// one that has not begun.
    ///
    /// # Errors
    /// When there is no such dictionary or its model can neither write nor rank.
    pub fn steer(&self, _request: SteerRequest) -> Result<SteerTicket> {
        not_yet()
    }

    /// Whether features of this dictionary can be turned up and down.
    pub fn can_steer(&self, _sae: &str) -> bool {
        false
    }
}
