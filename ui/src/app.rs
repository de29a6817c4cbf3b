//! The application: `logic` changes state, `ui` only draws it.

mod dictionary;
mod draw;
mod drops;
mod exchange;
mod logic;
mod place;
mod undo;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use engine::views::{
    DatasetView, DictionaryView, FilmPicture, JobView, ProjectView, Revision, RunView,
};

use crate::app_context::{AppContext, CardCache, Look};
use crate::backend::Backend;
use crate::commands::{Command, CommandSender, Screen, command_channel};
use crate::film_textures::{FilmTextures, HeatStyle};
use crate::keys::{self, KeyMap};
use crate::options::{Options, Place, Remembered, ScreenshotSink, StartAt, Waker};
use crate::palette::Palette;
use crate::screens::data::DataScreen;
use crate::screens::evaluate::EvaluateScreen;
use crate::screens::feature_page::FeatureScreen;
use crate::screens::gallery::GalleryScreen;
use crate::screens::gallery::pane::Pane;
use crate::screens::models::ModelsScreen;
use crate::screens::review::ReviewScreen;
use crate::screens::settings::SettingsScreen;
use crate::screens::start::StartScreen;
use crate::screens::steer::SteerScreen;
use crate::screens::train::TrainScreen;
use crate::sending;
use crate::toasts::Toasts;
use crate::tokens;

/// One panel per place in the rail.
struct Screens {
    start: StartScreen,
    data: DataScreen,
    models: ModelsScreen,
    train: TrainScreen,
    gallery: GalleryScreen,
    feature: FeatureScreen,
    review: ReviewScreen,
    steer: SteerScreen,
    evaluate: EvaluateScreen,
    settings: SettingsScreen,
}

/// What the engine last said, kept for one revision.
#[derive(Default)]
struct Seen {
    revision: Revision,
    project: Option<ProjectView>,
    dictionaries: Arc<Vec<DictionaryView>>,
    datasets: Arc<Vec<DatasetView>>,
    runs: Arc<Vec<RunView>>,
    jobs: Vec<JobView>,
    reviewer: String,
    /// Whether a language model of another computer may be asked in this project.
    sends: bool,
}

/// A screenshot that is still to be taken.
struct PendingScreenshot {
    sink: Option<ScreenshotSink>,
    n_frames: u32,
    began: Option<f64>,
    done: Arc<std::sync::atomic::AtomicBool>,
}

/// The whole program as `eframe` sees it.
pub struct App {
    backend: Arc<dyn Backend>,
    commands: CommandSender,
    pending: Receiver<Command>,
    films: FilmTextures,
    cards: CardCache,
    layout: Layout,
    screen: Screen,
    look: Look,
    heat: HeatStyle,
    window_size: [f32; 2],
    maximized: bool,
    keys: KeyMap,
    toured: bool,
    /// Step of the tour that is shown.
    tour: Option<usize>,
    screens: Screens,
    seen: Seen,
    toasts: Toasts,
    palette: Palette,
    drops: drops::Drops,
    keys_shown: bool,
    /// The film that is to be written once its file is named.
    picture: Option<Box<FilmPicture>>,
    /// A request that waits for leave to ask another computer.
    sending: Option<sending::Waiting>,
    start_at: Option<StartAt>,
    screenshot: Option<PendingScreenshot>,
    /// Where one was when that was last kept, and when.
    kept: (Place, f64),
}

impl App {
    /// `waker` is the one whose closure the engine behind `backend` calls.
    pub fn new(
        ctx: &egui::Context,
        backend: Arc<dyn Backend>,
        waker: &Waker,
        options: Options,
    ) -> Self {
        waker.connect(ctx);
        tokens::install(ctx);
        let (commands, pending) = command_channel();
        let remembered = remembered(&*backend);
        let mut app = Self {
            commands,
            pending,
            films: FilmTextures::default(),
            cards: CardCache::default(),
            layout: Layout {
                sizes: RefCell::new(remembered.panels),
                alone: RefCell::new(remembered.alone),
            },
            screen: Screen::Start,
            look: Look {
                light: options.start.light.unwrap_or(remembered.light),
                scale: remembered.scale.clamp(logic::SCALES[0], logic::SCALES[1]),
                rail: remembered.rail,
            },
            heat: remembered.heat,
            window_size: remembered.size,
            maximized: remembered.maximized,
            keys: KeyMap::with_changes(&remembered.keys),
            toured: remembered.toured || options.screenshot.is_some(),
            tour: None,
            screens: Screens {
                start: StartScreen::new(options.demo_folder),
                data: DataScreen::default(),
                models: ModelsScreen::default(),
                train: TrainScreen::default(),
                gallery: GalleryScreen::default(),
                feature: FeatureScreen::default(),
                review: ReviewScreen::default(),
                steer: SteerScreen::default(),
                evaluate: EvaluateScreen::default(),
                settings: SettingsScreen::default(),
            },
            seen: Seen::default(),
            toasts: Toasts::default(),
            palette: Palette::default(),
            drops: drops::Drops::default(),
            keys_shown: false,
            picture: None,
            sending: None,
            start_at: Some(options.start),
            screenshot: options.screenshot.map(|sink| PendingScreenshot {
                sink: Some(sink),
                n_frames: 0,
                began: None,
                done: Arc::default(),
            }),
            kept: (Place::default(), 0.0),
            backend,
        };
        keys::install(ctx, &app.keys);
        if app.look.scale != 1.0 {
            ctx.set_zoom_factor(app.look.scale);
        }
        app.refresh();
        if let Some(problem) = options.problem {
            app.toasts.push(crate::toasts::Level::Error, problem);
        }
        if options.reopen {
            app.reopen();
        }
        app.apply_theme(ctx);
        app
    }

    /// Which place is shown.
    pub fn screen(&self) -> Screen {
        self.screen
    }

    /// Shows a place from the next frame on.
    pub fn show(&self, screen: Screen) {
        self.commands.send(Command::Show(screen));
    }

    /// Whether something on the screen is still on its way.
    pub fn is_loading(&self) -> bool {
        let screens = &self.screens;
        let waits = screens.steer.is_waiting()
            || screens.feature.large.history.is_waiting()
            || screens.review.large.history.is_waiting()
            || screens.evaluate.is_waiting()
            || screens.gallery.panes.iter().any(Pane::is_filtering);
        self.films.n_loading() > 0 || waits || !self.seen.jobs.is_empty()
    }

    /// Shows films without their heatmaps.
    pub fn hide_heatmaps(&mut self) {
        self.heat.shown = false;
    }

    /// The steering screen, for benchmarks.
    pub(crate) fn steering(&mut self) -> &mut SteerScreen {
        &mut self.screens.steer
    }

    /// Where the feature page drew its large film last, for benchmarks.
    pub(crate) fn large_film(&self) -> Option<egui::Rect> {
        self.screens.feature.large.film_drawn()
    }

    /// Whether that film is shown otherwise than it came, for benchmarks.
    pub(crate) fn large_film_is_changed(&self) -> bool {
        self.screens.feature.large.is_window_changed()
    }

    /// Opens the scatter beside the cards, for benchmarks.
    pub(crate) fn show_scatter(&mut self) {
        self.screens.gallery.panes[0].plot = Some(engine::views::FeaturePlot::Activity);
    }

    /// Filter and order of the cards, for benchmarks.
    pub(crate) fn gallery_query(&mut self) -> &mut engine::views::FeatureQuery {
        &mut self.screens.gallery.panes[0].query
    }

    /// Whether cards of an earlier filter are shown still, for benchmarks.
    pub(crate) fn gallery_is_filtering(&self) -> bool {
        self.screens.gallery.panes[0].is_filtering()
    }

    /// Queues a command as a panel does, for benchmarks.
    pub(crate) fn send(&self, command: Command) {
        self.commands.send(command);
    }

    fn apply_theme(&self, ctx: &egui::Context) {
        let theme = if self.look.light {
            egui::Theme::Light
        } else {
            egui::Theme::Dark
        };
        if ctx.theme() != theme {
            ctx.set_theme(theme);
        }
    }

    /// Asks the engine again for everything that lists are drawn from.
    fn refresh(&mut self) {
        self.seen = Seen {
            revision: self.backend.revision(),
            project: self.backend.project(),
            dictionaries: self.backend.dictionaries().unwrap_or_default(),
            datasets: self.backend.datasets().unwrap_or_default(),
            runs: self.backend.runs().unwrap_or_default(),
            jobs: std::mem::take(&mut self.seen.jobs),
            reviewer: self.backend.reviewer(),
            sends: may_send(&*self.backend),
        };
        self.screens.start.recent = self.backend.recent_projects();
        self.screens.gallery.choose_missing(&self.seen.dictionaries);
    }

    /// Keeps what the window remembers of itself.
    fn keep_memory(&self) {
        if self.screenshot.is_none() {
            self.backend.keep_window_memory(&self.memory().to_text());
        }
    }

    fn memory(&self) -> Remembered {
        Remembered {
            light: self.look.light,
            heat: HeatStyle {
                held: false,
                ..self.heat
            },
            size: self.window_size,
            panels: self.layout.sizes.borrow().clone(),
            alone: self.layout.alone.borrow().clone(),
            maximized: self.maximized,
            scale: self.look.scale,
            rail: self.look.rail,
            keys: self.keys.changes(),
            toured: self.toured,
        }
    }
}

/// Whether a language model of another computer was allowed in the open project.
fn may_send(backend: &dyn Backend) -> bool {
    let consents = backend.sending_consents();
    consents.is_ok_and(|consents| !consents.is_empty())
}

/// What the window remembers of the last time.
pub(crate) fn remembered(backend: &dyn Backend) -> Remembered {
    backend
        .window_memory()
        .map_or_else(Remembered::default, |text| Remembered::from_text(&text))
}

/// How places are divided; remembered between starts.
#[derive(Default)]
pub(crate) struct Layout {
    /// Sizes of panels, by name.
    sizes: RefCell<BTreeMap<String, f32>>,
    /// Places whose main panel has all the room.
    alone: RefCell<Vec<Screen>>,
}

impl Layout {
    /// Whether the main panel of a place has all the room.
    pub(crate) fn is_alone(&self, screen: Screen) -> bool {
        self.alone.borrow().contains(&screen)
    }

    /// Gives the main panel of a place all the room, or takes it back.
    pub(crate) fn toggle_alone(&self, screen: Screen) {
        let mut alone = self.alone.borrow_mut();
        let n_before = alone.len();
        alone.retain(|other| *other != screen);
        if alone.len() == n_before {
            alone.push(screen);
        }
    }

    /// The remembered size of a panel, or `default`.
    pub(crate) fn size(&self, name: &str, default: f32) -> f32 {
        self.sizes.borrow().get(name).copied().unwrap_or(default)
    }

    /// Remembers a panel's size.
    pub(crate) fn keep(&self, name: &str, size: f32) {
        let mut sizes = self.sizes.borrow_mut();
        if sizes.get(name) != Some(&size) {
            sizes.insert(name.to_owned(), size);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.logic(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.draw(ui);
    }

    fn raw_input_hook(&mut self, _ctx: &egui::Context, input: &mut egui::RawInput) {
        // A picture must not depend on where the pointer happens to be.
        if self.screenshot.is_some() {
            input
                .events
                .retain(|event| !matches!(event, egui::Event::PointerMoved(_)));
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        if self.screenshot.is_none() {
            self.keep_memory();
            self.keep_place();
        }
    }
}

/// Borrows of the application for its panels; a macro, because a method would borrow all of it.
macro_rules! context {
    ($app:expr) => {
        AppContext {
            backend: &*$app.backend,
            commands: &$app.commands,
            films: &$app.films,
            cards: &$app.cards,
            layout: &$app.layout,
            dictionaries: &$app.seen.dictionaries,
            datasets: &$app.seen.datasets,
            runs: &$app.seen.runs,
            jobs: &$app.seen.jobs,
            heat: $app.heat,
            revision: $app.seen.revision,
            reviewer: &$app.seen.reviewer,
            project_open: $app.seen.project.is_some(),
            look: $app.look,
            screen: $app.screen,
        }
    };
}
use context;
