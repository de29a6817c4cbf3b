//! The door of the window: cheap queries, commands that become jobs, and events.

mod ablation;
mod concepts;
mod decision_exchange;
mod exchange;
mod gallery;
mod preferences;
mod recommenders;
mod report;
mod review;
mod steering;
mod studies;
mod surroundings;
mod training;

pub use gallery::CHOSEN_AT_ONCE;
pub use preferences::choose_hardware;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, unbounded};
use schema::{FeatureId, JobId};

use crate::error::{EngineError, Result};
use crate::films::FilmCache;
use crate::item_pictures::PictureCache;
use crate::jobs::{JobContext, Jobs, Wake, lock};
use crate::session::Session;
use crate::settings::Settings;
use crate::trace_to_image::TraceRequest;
use crate::views::{
    DatasetView, DictionaryView, Event, FeatureCard, FeaturePage, FilmSize, FilmState,
    ImportRequest, JobView, ModelView, PathPurpose, ProjectView, RecentProject, Revision,
    SampleView, TraceTicket,
};
use crate::worker::Worker;

/// Cards kept; a card is some kilobytes.
const MAX_CARDS: usize = 4096;

type CardKey = (String, FeatureId);

/// What job threads share with the door.
struct Shared {
    session: RwLock<Option<Arc<Session>>>,
    revision: AtomicU64,
    events: Sender<Event>,
    wake: Wake,
    settings: Mutex<Settings>,
    latest_steer: AtomicU64,
    latest_trace: AtomicU64,
    latest_history: AtomicU64,
    latest_search: AtomicU64,
    choices: gallery::Choices,
    /// Held by the job that trains: one at a time, or all would be slow.
    training: Mutex<()>,
}

impl Shared {
    fn send(&self, event: Event) {
        // Fails only when the window is gone.
        self.events.send(event).ok();
        (self.wake)();
    }

    fn changed(&self) {
        let revision = self.revision.fetch_add(1, Ordering::AcqRel) + 1;
        self.send(Event::Changed(Revision(revision)));
    }

    fn session(&self) -> Result<Arc<Session>> {
        self.session
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(|| EngineError::request("no project is open"))
    }

    fn replace_session(&self, session: Option<Session>) {
        {
            let mut settings = lock(&self.settings);
            match &session {
                Some(session) => settings.opened(session.root()),
                None => settings.closed(),
            }
            settings.save();
        }
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = session.map(Arc::new);
        self.send(Event::ProjectChanged);
        self.changed();
    }
}

/// The program without its window. Cheap to query from a frame; long work runs in jobs.
pub struct Engine {
    // Declared first: jobs end before what they use goes away.
    jobs: Mutex<Jobs>,
    decisions: Worker,
    steering: Worker,
    reading: Worker,
    searching: Worker,
    choosing: Worker,
    films: FilmCache,
    pictures: PictureCache,
    events: Receiver<Event>,
    shared: Arc<Shared>,
    cards: Mutex<(Revision, BTreeMap<CardKey, Arc<FeatureCard>>)>,
}

impl Drop for Engine {
    /// The project is closed by name: threads that decode films hold what is shared a moment longer,
    /// and its lock with it.
    fn drop(&mut self) {
        let mut session = self
            .shared
            .session
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *session = None;
    }
}

impl Engine {
    /// `wake` is called from any thread whenever [`Engine::poll`] has something new.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(wake: Wake) -> Result<Self> {
        Self::with_settings(wake, Settings::load())
    }

    /// An engine that neither reads nor changes what is remembered of the user: for tests and
    /// benchmarks.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn forgetful(wake: Wake) -> Result<Self> {
        Self::with_settings(wake, Settings::default())
    }

    fn with_settings(wake: Wake, settings: Settings) -> Result<Self> {
        let (sender, events) = unbounded();
        let shared = Arc::new(Shared {
            session: RwLock::default(),
            revision: AtomicU64::new(0),
            events: sender.clone(),
            wake: Arc::clone(&wake),
            settings: Mutex::new(settings),
            latest_steer: AtomicU64::new(0),
            latest_trace: AtomicU64::new(0),
            latest_history: AtomicU64::new(0),
            latest_search: AtomicU64::new(0),
            choices: gallery::Choices::default(),
            training: Mutex::default(),
        });
        let ready = || -> Box<dyn Fn() + Send + Sync> {
            let shared = Arc::clone(&shared);
            Box::new(move || shared.send(Event::FilmReady))
        };
        let films = FilmCache::new(ready())?;
        films.keep_megabytes(lock(&shared.settings).preferences.film_megabytes);
        Ok(Self {
            jobs: Mutex::new(Jobs::new(sender, wake)),
            decisions: Worker::new("decisions")?,
            steering: Worker::new("steering")?,
            reading: Worker::new("reading")?,
            searching: Worker::new("search")?,
            choosing: Worker::new("gallery")?,
            films,
            pictures: PictureCache::new(ready())?,
            events,
            shared,
            cards: Mutex::default(),
        })
    }

    /// Events since the last call, in order. Never blocks: call it once per frame.
    pub fn poll(&self) -> Vec<Event> {
        let events: Vec<Event> = self.events.try_iter().collect();
        for event in &events {
            match event {
                Event::JobEnded(id, _) => lock(&self.jobs).forget(*id),
                Event::ProjectChanged => {
                    self.films.clear();
                    self.pictures.clear();
                }
                _ => {}
            }
        }
        events
    }

    /// Grows whenever a query may answer differently.
    pub fn revision(&self) -> Revision {
        Revision(self.shared.revision.load(Ordering::Acquire))
    }

    /// Running jobs, oldest first.
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.jobs).views()
    }

    /// Asks a job to stop.
    pub fn cancel(&self, job: JobId) {
        lock(&self.jobs).cancel(job);
    }

    /// Lets a job wait at its next step, or go on.
    pub fn pause(&self, job: JobId, paused: bool) {
        lock(&self.jobs).pause(job, paused);
    }

    fn start<F>(&self, title: &str, body: F) -> Result<JobId>
    where
        F: FnOnce(&JobContext, &Arc<Shared>) -> Result<String> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        lock(&self.jobs).start(title, move |job| {
            let made = body(job, &shared);
            shared.changed();
            made
        })
    }

    fn start_in_project<F>(&self, title: &str, body: F) -> Result<JobId>
    where
        F: FnOnce(&JobContext, &Session) -> Result<String> + Send + 'static,
    {
        let session = self.shared.session()?;
        self.start(title, move |job, _| body(job, &session))
    }

    // --- projects ---

    /// Projects opened before, newest first.
    pub fn recent_projects(&self) -> Vec<RecentProject> {
        lock(&self.shared.settings).recent()
    }

    /// Opens a project by its folder or its `.fluoroscope` file; `Event::ProjectChanged` follows.
    ///
    /// # Errors
    /// When the folder is no project, or a newer version made it, or another process has it open.
    pub fn open_project(&self, dir: &Path) -> Result<()> {
        let dir = &store::Project::folder_of(dir)?;
        if let Ok(open) = self.shared.session()
            && dir.canonicalize().ok() == open.root().canonicalize().ok()
        {
            return Ok(());
        }
        self.shared.replace_session(Some(Session::open(dir)?));
        Ok(())
    }

    /// Makes an empty project and opens it.
    ///
    /// # Errors
    /// When the folder cannot be made or is not empty.
    pub fn new_project(&self, dir: &Path) -> Result<()> {
        self.shared.replace_session(Some(Session::create(dir)?));
        Ok(())
    }

    /// Closes the project; its jobs are stopped.
    pub fn close_project(&self) {
        for job in self.jobs() {
            self.cancel(job.id);
        }
        self.shared.replace_session(None);
    }

    /// The open project.
    pub fn project(&self) -> Option<ProjectView> {
        let session = self.shared.session().ok()?;
        let root = session.root();
        Some(ProjectView {
            path: root.display().to_string(),
            name: root
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            notices: session.notices(),
        })
    }

    /// Builds the demo project in a new folder and opens it when done.
    ///
    /// # Errors
    /// When the job cannot be started.
    pub fn build_demo(&self, dir: &Path, seed: u64) -> Result<JobId> {
        let dir = dir.to_owned();
        self.start("Build the demo project", move |job, shared| {
            let (session, report) = crate::demo::build(&dir, seed, job)?;
            shared.replace_session(Some(session));
            Ok(report.sentence())
        })
    }

    /// Shows a native file dialog on another thread; `Event::PathChosen` follows. `choose` opens
    /// the dialog and returns the path.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn choose_path(
        &self,
        purpose: PathPurpose,
        choose: impl FnOnce() -> Option<PathBuf> + Send + 'static,
    ) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("file dialog".to_owned())
            .spawn(move || {
                let path = choose().map(|path| path.display().to_string());
                shared.send(Event::PathChosen(purpose, path));
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
        Ok(Arc::new(self.shared.session()?.dataset_views()?))
    }

    /// One sample of a dataset.
    ///
    /// # Errors
    /// When there is no such dataset or sample.
    pub fn sample(&self, dataset: &str, sample: u32) -> Result<SampleView> {
        self.shared.session()?.sample_view(dataset, sample)
    }

    /// A film, from the cache or on its way. Never blocks.
    pub fn film(&self, dataset: &str, sample: u32, size: FilmSize) -> FilmState {
        self.further_film(dataset, sample, 0, size)
    }

    /// Reads what an import would bring, as a job; `Event::ImportPreview` follows. Writes nothing.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn preview_import(&self, request: ImportRequest) -> Result<JobId> {
        self.shared.session()?;
        self.start("Look at what can be imported", move |job, shared| {
            let preview = crate::import::preview(&request, job);
            let answer = preview.as_ref().map_err(|error| error.message.clone());
            shared.send(Event::ImportPreview(Box::new(answer.cloned())));
            preview.map(|_| String::new())
        })
    }

    /// Imports, as a job; all or nothing.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn import(&self, request: ImportRequest) -> Result<JobId> {
        self.start_in_project("Import", move |job, session| {
            let preview = session.import(&request, job)?;
            Ok(format!(
                "Imported {}",
                crate::import::counted(preview.kind, preview.n_samples)
            ))
        })
    }

    /// Models of the project.
    ///
    /// # Errors
    /// When no project is open.
    pub fn models(&self) -> Result<Arc<Vec<ModelView>>> {
        Ok(Arc::new(self.shared.session()?.model_views()?))
    }

    // --- dictionaries and features ---

    /// Dictionaries of the project.
    ///
    /// # Errors
    /// When no project is open.
    pub fn dictionaries(&self) -> Result<Arc<Vec<DictionaryView>>> {
        Ok(Arc::new(self.shared.session()?.dictionary_views()?))
    }

    /// A card of the gallery. Cached; the first call for a feature costs well under a millisecond.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature_card(&self, sae: &str, feature: FeatureId) -> Result<Arc<FeatureCard>> {
        let revision = self.revision();
        let key = (sae.to_owned(), feature);
        let mut cards = lock(&self.cards);
        if cards.0 != revision || cards.1.len() > MAX_CARDS {
            *cards = (revision, BTreeMap::new());
        }
        if let Some(card) = cards.1.get(&key) {
            return Ok(Arc::clone(card));
        }
        let card = Arc::new(self.shared.session()?.feature_card(sae, feature)?);
        cards.1.insert(key, Arc::clone(&card));
        Ok(card)
    }

    /// Everything about one feature. Some milliseconds: keep it until the revision changes.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature_page(&self, sae: &str, feature: FeatureId) -> Result<Arc<FeaturePage>> {
        Ok(Arc::new(self.shared.session()?.feature_page(sae, feature)?))
    }

    /// Proposes labels from over-represented terms for every live feature, as a job.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn propose_keywords(&self, sae: &str) -> Result<JobId> {
        let sae = sae.to_owned();
        self.start_in_project("Propose labels", move |job, session| {
            let proposed = session.propose_keywords(&sae, job)?;
            Ok(format!("Proposed labels for {proposed} features of {sae}"))
        })
    }

    /// Name on decisions.
    pub fn reviewer(&self) -> String {
        lock(&self.shared.settings).reviewer.clone()
    }

    /// Sets the name on decisions.
    pub fn set_reviewer(&self, name: &str) {
        name.trim()
            .clone_into(&mut lock(&self.shared.settings).reviewer);
        self.save_settings();
    }

    /// Writes the settings away from the frame.
    fn save_settings(&self) {
        let shared = Arc::clone(&self.shared);
        self.decisions.run(move || {
            let settings = lock(&shared.settings).clone();
            settings.save();
        });
    }

    /// What the window last asked to be remembered of itself.
    pub fn window_memory(&self) -> Option<String> {
        let text = lock(&self.shared.settings).window.clone();
        (!text.is_empty()).then_some(text)
    }

    /// Remembers a text of the window's own for its next start.
    pub fn keep_window_memory(&self, text: &str) {
        let mut settings = lock(&self.shared.settings);
        if settings.window != text {
            text.clone_into(&mut settings.window);
            drop(settings);
            self.save_settings();
        }
    }

    /// Where the window was in the project in `dir`, in a text of its own.
    pub fn place(&self, dir: &Path) -> Option<String> {
        lock(&self.shared.settings).place(dir)
    }

    /// Remembers where the window is in the project in `dir`.
    pub fn keep_place(&self, dir: &Path, text: &str) {
        let is_new = lock(&self.shared.settings).keep_place(dir, text);
        if is_new {
            self.save_settings();
        }
    }

    // --- tracing ---

    /// Traces a text feature to the film; `Event::Traced` follows. A newer request replaces one
    /// that has not begun.
    ///
    /// # Errors
    /// When no project is open.
    pub fn trace(&self, request: TraceRequest) -> Result<TraceTicket> {
        let session = self.shared.session()?;
        let ticket = self.shared.latest_trace.fetch_add(1, Ordering::AcqRel) + 1;
        let shared = Arc::clone(&self.shared);
        self.steering.run(move || {
            if shared.latest_trace.load(Ordering::Acquire) != ticket {
                return;
            }
            let answer = session
                .trace_to_image(&request)
                .map_err(|error| error.message);
            shared.send(Event::Traced(TraceTicket(ticket), Box::new(answer)));
        });
        Ok(TraceTicket(ticket))
    }

    /// Whether features of this dictionary fire on text after a film.
    pub fn can_trace(&self, sae: &str) -> bool {
        self.shared
            .session()
            .is_ok_and(|session| session.traceable(sae))
    }
}
