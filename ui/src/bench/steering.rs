//! How long steering takes as the window does it: from letting go of a slider to the frame that
//! shows the answer.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use egui::RawInput;
use engine::Engine;
use engine::views::{ExampleKind, SteerView};

use crate::app::App;
use crate::bench::{frame, screen_rect};
use crate::commands::{Command, Screen};
use crate::options::{Options, StartAt, Waker};

/// How often each dictionary is steered, after a first time that loads what is needed.
const N_TIMES: usize = 20;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Milliseconds that steering one dictionary took.
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringTimes {
    /// The dictionary.
    pub dictionary: String,
    /// Whether its model ranks; otherwise it writes.
    pub ranks: bool,
    /// The first time, which loads and prepares.
    pub first_ms: f64,
    /// Half of the later times took at most this long.
    pub median_ms: f64,
    /// The longest of the later times.
    pub worst_ms: f64,
    /// Later times measured.
    pub n_times: usize,
}

/// Steers every dictionary of the project in `dir` that can be steered: slider to frame, through
/// the window's own commands, the engine's worker and its events. What the screen adds is the wait
/// for its next refresh.
///
/// # Errors
/// When the project cannot be opened or an answer does not come.
///
/// # Cost
/// Some seconds per dictionary.
pub fn steering_times(dir: &Path) -> Result<Vec<SteeringTimes>, String> {
    let (sender, woken) = channel();
    let wake = Arc::new(move || {
        // Fails only when the benchmark is over.
        sender.send(()).ok();
    });
    let engine = Arc::new(Engine::forgetful(wake).map_err(|error| error.message)?);
    engine.open_project(dir).map_err(|error| error.message)?;
    let dictionaries = engine.dictionaries().map_err(|error| error.message)?;
    dictionaries
        .iter()
        .filter(|view| engine.can_steer(&view.name))
        .map(|view| {
            let n_samples = engine
                .datasets()
                .map_err(|error| error.message)?
                .iter()
                .find(|dataset| dataset.manifest.name == view.dataset)
                .map_or(1, |dataset| dataset.manifest.n_samples);
            let mut bench = Bench::new(&engine, &woken, &view.name);
            let first_ms = bench.steer(0, 1.0)?;
            let mut times = (0..N_TIMES)
                .map(|i| {
                    // A film or history keeps its place for four movements of the slider.
                    let sample = (i / 4) as u32 * 7 % n_samples.max(1);
                    bench.steer(sample, [-2.0, 0.5, 1.0, 3.0][i % 4])
                })
                .collect::<Result<Vec<f64>, String>>()?;
            times.sort_by(f64::total_cmp);
            Ok(SteeringTimes {
                dictionary: view.name.clone(),
                ranks: view.kind == ExampleKind::History,
                first_ms,
                median_ms: f64::midpoint(times[(N_TIMES - 1) / 2], times[N_TIMES / 2]),
                worst_ms: times[N_TIMES - 1],
                n_times: N_TIMES,
            })
        })
        .collect()
}

/// A window without a screen, on the steering screen of one dictionary.
struct Bench<'a> {
    ctx: egui::Context,
    app: App,
    woken: &'a Receiver<()>,
    began: Instant,
}

impl<'a> Bench<'a> {
    fn new(engine: &Arc<Engine>, woken: &'a Receiver<()>, dictionary: &str) -> Self {
        let ctx = egui::Context::default();
        let options = Options {
            start: StartAt {
                screen: Some(Screen::Steer),
                dictionary: Some(dictionary.to_owned()),
                ..StartAt::default()
            },
            ..Options::default()
        };
        let door: Arc<Engine> = Arc::clone(engine);
        let app = App::new(&ctx, door, &Waker::default(), options);
        let mut bench = Self {
            ctx,
            app,
            woken,
            began: Instant::now(),
        };
        for _ in 0..10 {
            bench.draw();
        }
        bench
    }

    fn draw(&mut self) {
        let input = RawInput {
            screen_rect: Some(screen_rect()),
            time: Some(self.began.elapsed().as_secs_f64()),
            ..RawInput::default()
        };
        frame(&self.ctx, &mut self.app, input);
    }

    /// Sets the slider, asks as letting go of it does, and draws whenever the engine wakes the
    /// window, until the answer has been drawn.
    fn steer(&mut self, sample: u32, strength: f32) -> Result<f64, String> {
        while self.woken.try_recv().is_ok() {}
        let steer = self.app.steering();
        steer.set_sample(sample);
        steer.set_strength(strength);
        let request = steer.request().ok_or("no dictionary can be steered")?;
        let began = Instant::now();
        self.app.send(Command::Steer(request.clone()));
        self.draw();
        while self.app.steering().is_waiting() {
            let rest = PATIENCE.saturating_sub(began.elapsed());
            self.woken
                .recv_timeout(rest)
                .map_err(|_late| "no answer came within a minute".to_owned())?;
            self.draw();
        }
        let took = began.elapsed().as_secs_f64() * 1e3;
        let answer: &SteerView = match self.app.steering().answer() {
            Some(Ok(answer)) => answer,
            Some(Err(problem)) => return Err(problem.clone()),
            None => return Err("the answer is not on the screen".to_owned()),
        };
        if answer.request == request {
            Ok(took)
        } else {
            Err("the answer belongs to another request".to_owned())
        }
    }
}
