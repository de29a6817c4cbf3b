//! An invented project behind the window's door: no files, no models; for benchmarks and tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::TrainRecommenderRequest;
use engine::views::{
    Event, ExampleContent, ExampleKind, ExampleView, FilmPixels, FilmState, HalvedFilm, ItemView,
    JobView, Preferences, RecentProject, Revision, RunRequest, SavedChange, SweepRequest,
    TokenView,
};
use schema::{Decision, FeatureId, JobId, PatchGrid, PositionClass, Split};

use super::recommenders;
use crate::backend::Answer;

/// Patches a side of invented films.
const PATCHES: u32 = 14;
/// Side of invented films.
pub(crate) const SIDE: u32 = 224;
/// Samples of each invented dataset.
pub(crate) const N_SAMPLES: u32 = 500;

/// What changes while the invented project is open.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) events: Vec<Event>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) jobs: Vec<JobView>,
    /// Trainings that were asked for.
    pub(crate) begun: Vec<RunRequest>,
    /// Trainings of recommenders that were asked for.
    pub(crate) recommenders: Vec<TrainRecommenderRequest>,
    /// A sweep of which half came.
    pub(super) swept: Option<SweepRequest>,
    /// Changes that were saved.
    pub(crate) changes: Vec<SavedChange>,
    /// Dictionaries whose concepts were made.
    pub(crate) concepts: Vec<String>,
    /// Dictionaries without a gallery.
    pub(crate) unindexed: Vec<String>,
    pub(crate) reviewer: String,
    pub(crate) preferences: Preferences,
    /// What is proposed for every feature, where that was changed.
    pub(super) proposal: Option<String>,
    /// Detection tests that were answered.
    pub(crate) detections: Vec<engine::views::DetectionResult>,
    /// What is kept of the review.
    pub(super) desk: super::review::Desk,
    pub(crate) memory: Option<String>,
    pub(crate) place: Option<String>,
    pub(crate) closed: bool,
    /// The project that was open when the window was left.
    pub(super) last: Option<RecentProject>,
    /// Addresses of other computers that were allowed.
    pub(crate) consents: Vec<engine::views::SendingConsent>,
    asked: Vec<String>,
    /// Whether what is imported and added takes its time.
    slow: bool,
}

/// A project with three invented dictionaries: `films`, `reports` and `histories`.
pub struct Invented {
    pub(crate) n_features: u32,
    /// Side of a film in full.
    pub(crate) film_side: u32,
    pub(crate) revision: AtomicU64,
    /// Films by their side, made once: a film is decoded away from the frame, too.
    films: Mutex<BTreeMap<u32, Arc<FilmPixels>>>,
    state: Mutex<State>,
    pub(super) choosing: Arc<Mutex<super::gallery::Choosing>>,
}

impl Invented {
    /// Keeps what was chosen; a language model over https is refused, as the engine does.
    pub(super) fn set_invented_preferences(&self, wanted: Preferences) -> Answer<()> {
        self.note(format!("prefer {wanted:?}"));
        if wanted.language_model.starts_with("https://") {
            return Err(format!(
                "{}: https is not spoken here",
                wanted.language_model
            ));
        }
        self.state().preferences = wanted;
        Ok(())
    }

    /// Every dictionary has `n_features` features.
    pub fn new(n_features: u32) -> Self {
        Self {
            n_features,
            film_side: SIDE,
            revision: AtomicU64::new(1),
            films: Mutex::default(),
            state: Mutex::default(),
            choosing: Arc::default(),
        }
    }

    /// The same, with large films of `side` pixels a side.
    #[must_use]
    pub fn with_films_of(mut self, side: u32) -> Self {
        self.film_side = side;
        self
    }

    /// A film of this side, as one that was decoded before.
    pub(super) fn film_of(&self, side: u32) -> FilmState {
        let mut films = self.films.lock().unwrap_or_else(PoisonError::into_inner);
        let made = films.entry(side).or_insert_with(|| Arc::new(film(side)));
        FilmState::Ready(Arc::clone(made))
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the window asked for that changes something, oldest first.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// A dictionary has no gallery yet.
    pub fn take_gallery(&self, sae: &str) {
        self.state().unindexed.push(sae.to_owned());
        self.revision.fetch_add(1, Ordering::AcqRel);
        let revision = Revision(self.revision.load(Ordering::Acquire));
        self.send(Event::Changed(revision));
    }

    /// Another label is proposed for every feature, as by a job that ended.
    pub fn propose(&self, text: &str) {
        self.state().proposal = Some(text.to_owned());
        self.revision.fetch_add(1, Ordering::AcqRel);
        let revision = Revision(self.revision.load(Ordering::Acquire));
        self.send(Event::Changed(revision));
    }

    /// What is proposed for every feature.
    pub(super) fn proposed(&self) -> String {
        let changed = self.state().proposal.clone();
        changed.unwrap_or_else(|| "effusion, pleural, left".to_owned())
    }

    /// From now on, imports and what is added run until they are cancelled.
    pub fn take_time(&self) {
        self.state().slow = true;
    }

    /// Whether the job runs on, and then is among those that run.
    pub(super) fn runs_on(&self, job: JobId, title: &str) -> bool {
        let mut state = self.state();
        if state.slow {
            state.jobs.push(JobView {
                title: title.to_owned(),
                ..demo_job(job)
            });
        }
        state.slow
    }

    /// Decisions made, oldest first.
    pub fn decisions(&self) -> Vec<Decision> {
        self.state().decisions.clone()
    }

    /// Puts an event into the queue.
    pub fn send(&self, event: Event) {
        self.state().events.push(event);
    }

    pub(crate) fn note(&self, text: String) {
        self.state().asked.push(text);
    }

    pub(crate) fn last_decision(&self, sae: &str, feature: FeatureId) -> Option<Decision> {
        let state = self.state();
        state
            .decisions
            .iter()
            .rev()
            .find(|decision| decision.sae == sae && decision.feature == feature)
            .cloned()
    }
}

/// How examples of a dictionary or dataset look.
pub(crate) fn kind_of(sae: &str) -> ExampleKind {
    match sae {
        "reports" => ExampleKind::Text,
        "histories" => ExampleKind::History,
        _ => ExampleKind::Film,
    }
}

/// A pseudo-random share of `1..=1000`, the same for the same numbers.
pub(crate) fn mixed(a: u32, b: u32) -> f32 {
    let mut x = a.wrapping_mul(0x9E37_79B9) ^ b.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 15;
    x = x.wrapping_mul(0x2C1B_3C6D);
    x ^= x >> 12;
    (x % 1000) as f32 / 1000.0
}

/// The example of this rank.
pub(crate) fn example(sae: &str, feature: FeatureId, index: u32) -> ExampleView {
    let activation = 9.0 - index as f32 * 0.5;
    let content = match kind_of(sae) {
        ExampleKind::Film => ExampleContent::Film {
            dataset: sae.to_owned(),
            size: [SIDE, SIDE],
            grid: PatchGrid {
                rows: PATCHES,
                columns: PATCHES,
                left: 0.0,
                top: 0.0,
                width: SIDE as f32,
                height: SIDE as f32,
            },
            heat: Arc::new(heat(feature, index, activation)),
        },
        ExampleKind::Text => ExampleContent::Text {
            tokens: Arc::new(tokens(feature, activation)),
        },
        ExampleKind::History => ExampleContent::History {
            items: Arc::new(items(feature.0 + index, activation)),
        },
    };
    ExampleView {
        sample: (feature.0 + index * 7) % N_SAMPLES,
        sample_id: format!("{sae}-{:04}", (feature.0 + index * 7) % N_SAMPLES),
        split: Split::Train,
        position: 0,
        activation,
        content,
    }
}

fn heat(feature: FeatureId, index: u32, activation: f32) -> Vec<f32> {
    let row = mixed(feature.0, index) * PATCHES as f32;
    let column = mixed(feature.0, index + 91) * PATCHES as f32;
    (0..PATCHES * PATCHES)
        .map(|i| {
            let (y, x) = ((i / PATCHES) as f32, (i % PATCHES) as f32);
            let distance = (y - row).powi(2) + (x - column).powi(2);
            let value = activation * (-distance / 6.0).exp();
            if value < 0.4 { 0.0 } else { value }
        })
        .collect()
}

fn tokens(feature: FeatureId, activation: f32) -> Vec<TokenView> {
    let words = [
        "The",
        " heart",
        " is",
        " enlarged",
        ".",
        " There",
        " is",
        " a",
        " small",
        " left",
        " pleural",
        " effusion",
        ".",
        " No",
        " pneumothorax",
        ".",
    ];
    let peak = feature.0 as usize % words.len();
    words
        .iter()
        .enumerate()
        .map(|(i, word)| TokenView {
            text: (*word).to_owned(),
            activation: match i.abs_diff(peak) {
                0 => activation,
                1 => activation * 0.4,
                _ => 0.0,
            },
            class: PositionClass::Report,
        })
        .collect()
}

/// A history.
pub(crate) fn items(seed: u32, activation: f32) -> Vec<ItemView> {
    (0..18)
        .map(|i| ItemView {
            id: 1 + (seed + i) % 90,
            title: format!("Invented item {}", 1 + (seed + i) % 90),
            categories: vec!["Tea".to_owned(), "Invented".to_owned()],
            picture: recommenders::picture_path(1 + (seed + i) % 90),
            popularity: recommenders::popularity(1 + (seed + i) % 90),
            activation: if (seed + i).is_multiple_of(5) {
                activation * mixed(seed, i)
            } else {
                0.0
            },
        })
        .collect()
}

/// A film of `side` x `side` 12-bit pixels with a bright middle.
pub(crate) fn film(side: u32) -> FilmPixels {
    let half = side as f32 / 2.0;
    let deep: Vec<u16> = (0..side * side)
        .map(|i| {
            let (y, x) = ((i / side) as f32 - half, (i % side) as f32 - half);
            let distance = (x * x + y * y).sqrt() / half;
            ((1.0 - distance).clamp(0.0, 1.0) * 3600.0) as u16 + (i % 61) as u16
        })
        .collect();
    let own = schema::Film {
        width: side,
        height: side,
        pixels: deep.clone(),
        windows: Vec::new(),
        badges: Vec::new(),
    };
    let mut windows = vec![schema::Window::between(0.0, 3700.0, "File default")];
    windows.push(own.full_range());
    windows.extend(own.histogram_windows());
    FilmPixels {
        halves: HalvedFilm::all_of(side, side, &deep),
        width: side,
        height: side,
        grey: deep.iter().map(|&value| (value / 16) as u8).collect(),
        deep,
        windows,
        badges: Vec::new(),
        original: [side, side],
        edges: None,
    }
}

/// The job that builds the demo project, under way.
pub(super) fn demo_job(id: JobId) -> JobView {
    JobView {
        id,
        title: "Build the demo project".to_owned(),
        subject: String::new(),
        queued: Vec::new(),
        stage: "Training dictionary".to_owned(),
        done: 400,
        total: 1000,
        unit: "steps",
        rate: 52.0,
        seconds_left: Some(12.0),
        seconds: 8.0,
        paused: false,
        stopping: false,
        epochs: Arc::default(),
        curve: Arc::default(),
        kept: Arc::default(),
    }
}
