//! Long-running work: one named thread per job, progress, cancellation.
//!
//! Two channels with different promises leave a job:
//! - progress is *latest value wins*: the window reads it when it draws, a slow window skips values;
//! - events are *never lost*: start, warnings, end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use schema::{JobId, KeptReport, StepReport};

use crate::error::{EngineError, ErrorKind};
use crate::train_recommender::RecommenderCurve;
use crate::views::{Event, JobEnd, JobView};

/// How far a job is. `done <= total`; `total == 0` means the length is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done now, as shown to the user, e.g. `Training dictionary`.
    pub stage: String,
    /// Units finished.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// What one unit is, e.g. `films`.
    pub unit: &'static str,
}

/// The user asked the job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Called whenever there is something new to show, from any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Where a job's progress and warnings go: a window's job bar, or a terminal.
pub trait Observer: Send + Sync {
    /// The latest progress.
    fn progress(&self, progress: Progress);
    /// A problem that does not stop the job.
    fn warning(&self, message: String);
    /// A training step of a dictionary.
    fn step(&self, report: StepReport) {
        let _ = report;
    }
    /// What the model keeps at some steps of a dictionary's training, all points so far.
    fn kept(&self, _points: &[KeptReport]) {}
    /// An epoch of a recommender's training has ended.
    fn epoch(&self, curve: &RecommenderCurve) {
        let _ = curve;
    }
    /// What the job is making now.
    fn subject(&self, name: &str) {
        let _ = name;
    }
}

/// Names of what a job makes one after another, those not begun yet.
type Queue = Arc<Mutex<VecDeque<String>>>;

/// Handed to the body of a job: report progress, warn, ask whether to stop.
#[derive(Clone)]
pub struct JobContext {
    cancel: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    queue: Queue,
    observer: Arc<dyn Observer>,
}

impl JobContext {
    /// A context for work outside the job queue, such as a command in a terminal.
    pub fn new(cancel: Arc<AtomicBool>, observer: Arc<dyn Observer>) -> Self {
        Self {
            cancel,
            paused: Arc::default(),
            queue: Arc::default(),
            observer,
        }
    }

    /// A context that never cancels and drops what it is told, for tests and inner steps.
    pub fn silent() -> Self {
        struct Nobody;
        impl Observer for Nobody {
            fn progress(&self, _: Progress) {}
            fn warning(&self, _: String) {}
        }
        Self::new(Arc::default(), Arc::new(Nobody))
    }

    /// Whether the user has asked the job to stop. Waits here for as long as the job is paused.
    pub fn is_cancelled(&self) -> bool {
        while self.paused.load(Ordering::Relaxed) && !self.is_stopping() {
            std::thread::sleep(PAUSE_LOOK);
        }
        self.is_stopping()
    }

    /// Whether the user has asked the job to stop, for the middle of a step: a paused job waits at
    /// its end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// Call between steps. A step should take well under a second.
    ///
    /// # Errors
    /// Returns [`Cancelled`] once the user has asked the job to stop.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Replaces the progress the user sees.
    pub fn report(&self, stage: &str, done: u64, total: u64, unit: &'static str) {
        self.observer.progress(Progress {
            stage: stage.to_owned(),
            done,
            total,
            unit,
        });
    }

    /// Reports progress and says whether to go on, for callbacks of the engine crates.
    pub fn step(
        &self,
        stage: &str,
        done: u64,
        total: u64,
        unit: &'static str,
    ) -> std::ops::ControlFlow<()> {
        self.report(stage, done, total, unit);
        if self.is_cancelled() {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    }

    /// Says what is being made from now on, e.g. the name of a dictionary.
    pub fn about(&self, name: &str) {
        self.observer.subject(name);
    }

    /// Begins what is next in the queue: says that it is being made, and returns its name.
    pub(crate) fn next_queued(&self) -> Option<String> {
        let mut queue = lock(&self.queue);
        // Said before the name leaves the queue, so that the job holds it at every moment.
        self.about(queue.front()?);
        queue.pop_front()
    }

    /// Adds a step to the training curve.
    pub fn train_step(&self, report: StepReport) {
        self.observer.step(report);
    }

    /// Shows what the model keeps with the dictionary that is trained, all points so far.
    pub fn kept(&self, points: &[KeptReport]) {
        self.observer.kept(points);
    }

    /// Shows the curves of a recommender's training.
    pub fn epoch(&self, curve: &RecommenderCurve) {
        self.observer.epoch(curve);
    }

    /// Tells the user about a problem that does not stop the job.
    pub fn warn(&self, message: impl Into<String>) {
        self.observer.warning(message.into());
    }
}

/// Time between two looks of a paused job at whether it may go on.
const PAUSE_LOOK: Duration = Duration::from_millis(50);
/// Longest training curve kept for drawing; older points are thinned out.
const MAX_CURVE_POINTS: usize = 600;

struct Stage {
    subject: String,
    progress: Progress,
    began: Instant,
    /// Since when the job is paused.
    paused_at: Option<Instant>,
    /// Time that the job was paused before.
    idle: Duration,
    /// Of `idle`, what lies within this stage.
    idle_here: Duration,
    curve: Arc<Vec<StepReport>>,
    kept: Arc<Vec<KeptReport>>,
    epochs: Arc<Vec<RecommenderCurve>>,
    keep_every: u32,
}

struct Shared {
    id: JobId,
    stage: Mutex<Stage>,
    events: Sender<Event>,
    wake: Wake,
}

impl Observer for Shared {
    fn progress(&self, progress: Progress) {
        let mut stage = lock(&self.stage);
        if stage.progress.stage != progress.stage {
            stage.began = Instant::now();
            stage.idle_here = Duration::ZERO;
            stage.curve = Arc::default();
            stage.kept = Arc::default();
            stage.keep_every = 1;
        }
        stage.progress = progress;
        drop(stage);
        (self.wake)();
    }

    fn warning(&self, message: String) {
        self.send(Event::JobWarning(self.id, message));
    }

    fn subject(&self, name: &str) {
        name.clone_into(&mut lock(&self.stage).subject);
    }

    fn kept(&self, points: &[KeptReport]) {
        lock(&self.stage).kept = Arc::new(points.to_vec());
        (self.wake)();
    }

    fn epoch(&self, curve: &RecommenderCurve) {
        let mut stage = lock(&self.stage);
        let curves = Arc::make_mut(&mut stage.epochs);
        // A stage's curve replaces the shorter one of the epoch before.
        curves.retain(|known| known.stage.0 < curve.stage.0);
        curves.push(curve.clone());
        drop(stage);
        (self.wake)();
    }

    fn step(&self, report: StepReport) {
        let mut stage = lock(&self.stage);
        if report.step.is_multiple_of(stage.keep_every) {
            let curve = Arc::make_mut(&mut stage.curve);
            curve.push(report);
            if curve.len() > MAX_CURVE_POINTS {
                let mut index = 0;
                curve.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                stage.keep_every *= 2;
            }
        }
    }
}

impl Shared {
    fn send(&self, event: Event) {
        // Fails only when the receiver is gone, that is at shutdown.
        self.events.send(event).ok();
        (self.wake)();
    }
}

struct Job {
    id: JobId,
    title: String,
    began: Instant,
    cancel: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    queue: Queue,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Owns every running job. Dropping it cancels and joins them all.
pub(crate) struct Jobs {
    next_id: u64,
    running: Vec<Job>,
    events: Sender<Event>,
    wake: Wake,
}

impl Jobs {
    /// `wake` is called from job threads after each report or event.
    pub(crate) fn new(events: Sender<Event>, wake: Wake) -> Self {
        Self {
            next_id: 0,
            running: Vec::new(),
            events,
            wake,
        }
    }

    /// Starts `body` on its own thread. A panic in `body` ends this job only. The body returns the
    /// sentence that tells what it made.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start<F>(&mut self, title: &str, body: F) -> Result<JobId, EngineError>
    where
        F: FnOnce(&JobContext) -> Result<String, EngineError> + Send + 'static,
    {
        self.start_with_id(title, move |_, context| body(context))
    }

    /// As [`Jobs::start`], for a body that makes what is named one after another, by
    /// [`JobContext::next_queued`].
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start_queue<F>(
        &mut self,
        title: &str,
        names: Vec<String>,
        body: F,
    ) -> Result<JobId, EngineError>
    where
        F: FnOnce(&JobContext) -> Result<String, EngineError> + Send + 'static,
    {
        self.spawn(title, names, move |_, context| body(context))
    }

    /// As [`Jobs::start`], for a body that names itself.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start_with_id<F>(&mut self, title: &str, body: F) -> Result<JobId, EngineError>
    where
        F: FnOnce(JobId, &JobContext) -> Result<String, EngineError> + Send + 'static,
    {
        self.spawn(title, Vec::new(), body)
    }

    fn spawn<F>(&mut self, title: &str, names: Vec<String>, body: F) -> Result<JobId, EngineError>
    where
        F: FnOnce(JobId, &JobContext) -> Result<String, EngineError> + Send + 'static,
    {
        let id = JobId(self.next_id);
        self.next_id += 1;
        let now = Instant::now();
        let shared = Arc::new(Shared {
            id,
            stage: Mutex::new(Stage {
                subject: String::new(),
                progress: Progress {
                    stage: "Starting".to_owned(),
                    ..Progress::default()
                },
                began: now,
                paused_at: None,
                idle: Duration::ZERO,
                idle_here: Duration::ZERO,
                curve: Arc::default(),
                kept: Arc::default(),
                epochs: Arc::default(),
                keep_every: 1,
            }),
            events: self.events.clone(),
            wake: Arc::clone(&self.wake),
        });
        let cancel = Arc::new(AtomicBool::new(false));
        let paused = Arc::new(AtomicBool::new(false));
        let queue: Queue = Arc::new(Mutex::new(names.into()));
        let context = JobContext {
            cancel: Arc::clone(&cancel),
            paused: Arc::clone(&paused),
            queue: Arc::clone(&queue),
            observer: Arc::clone(&shared) as Arc<dyn Observer>,
        };
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(title.to_owned())
            .spawn(move || run(&for_thread, &context, move |context| body(id, context)))
            .map_err(|error| EngineError::other(format!("cannot start a thread: {error}")))?;
        self.running.push(Job {
            id,
            title: title.to_owned(),
            began: now,
            cancel,
            paused,
            queue,
            shared,
            thread,
        });
        Ok(id)
    }

    /// Asks a job to stop; it ends at its next [`JobContext::check_cancelled`].
    pub(crate) fn cancel(&self, id: JobId) {
        if let Some(job) = self.running.iter().find(|job| job.id == id) {
            job.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Lets a job wait at its next [`JobContext::check_cancelled`], or go on.
    pub(crate) fn pause(&self, id: JobId, paused: bool) {
        let Some(job) = self.running.iter().find(|job| job.id == id) else {
            return;
        };
        let mut stage = lock(&job.shared.stage);
        if paused {
            stage.paused_at.get_or_insert_with(Instant::now);
        } else if let Some(at) = stage.paused_at.take() {
            stage.idle += at.elapsed();
            // A job may report a new stage before it comes to the place where it waits.
            let in_stage = at.elapsed().min(stage.began.elapsed());
            stage.idle_here += in_stage;
        }
        job.paused.store(paused, Ordering::Relaxed);
    }

    /// Takes something out of the queue it waits in; whether it waited in one.
    pub(crate) fn take_out(&self, name: &str) -> bool {
        self.running.iter().any(|job| {
            let mut queue = lock(&job.queue);
            let before = queue.len();
            queue.retain(|queued| queued != name);
            queue.len() < before
        })
    }

    /// Whether a running job makes this now or later.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.running.iter().any(|job| {
            let waits = lock(&job.queue).iter().any(|queued| queued == name);
            !job.thread.is_finished() && (waits || lock(&job.shared.stage).subject == name)
        })
    }

    /// Every job still running, oldest first.
    pub(crate) fn views(&self) -> Vec<JobView> {
        self.running.iter().map(view).collect()
    }

    /// Forgets a job that has ended.
    pub(crate) fn forget(&mut self, id: JobId) {
        self.running.retain(|job| job.id != id);
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in &self.running {
            job.cancel.store(true, Ordering::Relaxed);
        }
        for job in self.running.drain(..) {
            job.thread.join().ok();
        }
    }
}

fn view(job: &Job) -> JobView {
    let queued = lock(&job.queue).iter().cloned().collect();
    let stage = lock(&job.shared.stage);
    let now_idle = stage.paused_at.map_or(Duration::ZERO, |at| at.elapsed());
    let seconds_in_stage = stage
        .began
        .elapsed()
        .saturating_sub(stage.idle_here + now_idle)
        .as_secs_f32();
    let Progress {
        stage: name,
        done,
        total,
        unit,
    } = stage.progress.clone();
    let rate = if seconds_in_stage > 0.2 {
        done as f32 / seconds_in_stage
    } else {
        0.0
    };
    let seconds_left = (rate > 0.0 && total > done && seconds_in_stage > 1.0)
        .then(|| (total - done) as f32 / rate);
    JobView {
        id: job.id,
        title: job.title.clone(),
        subject: stage.subject.clone(),
        queued,
        stage: name,
        done,
        total,
        unit,
        rate,
        seconds_left,
        seconds: job
            .began
            .elapsed()
            .saturating_sub(stage.idle + now_idle)
            .as_secs_f32(),
        paused: job.paused.load(Ordering::Relaxed),
        stopping: job.cancel.load(Ordering::Relaxed),
        curve: Arc::clone(&stage.curve),
        kept: Arc::clone(&stage.kept),
        epochs: Arc::clone(&stage.epochs),
    }
}

fn run<F>(shared: &Shared, context: &JobContext, body: F)
where
    F: FnOnce(&JobContext) -> Result<String, EngineError>,
{
    shared.send(Event::JobStarted(shared.id));
    let end = match catch_unwind(AssertUnwindSafe(|| body(context))) {
        Ok(Ok(made)) => JobEnd::Finished(made),
        Ok(Err(error)) if error.kind == ErrorKind::Cancelled => JobEnd::Cancelled,
        Ok(Err(error)) => JobEnd::Failed(error.message),
        Err(_) => {
            JobEnd::Failed("an internal error ended this job; nothing else was affected".to_owned())
        }
    };
    shared.send(Event::JobEnded(shared.id, end));
}

/// A poisoned lock only means a job panicked while reporting: the value is still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    fn jobs() -> (Jobs, Receiver<Event>) {
        let (sender, receiver) = unbounded();
        (Jobs::new(sender, Arc::new(|| {})), receiver)
    }

    fn until_end(events: &Receiver<Event>) -> Vec<Event> {
        let mut seen = Vec::new();
        while !matches!(seen.last(), Some(Event::JobEnded(..))) {
            seen.push(events.recv_timeout(Duration::from_secs(5)).unwrap());
        }
        seen
    }

    #[test]
    fn events_come_in_order_and_none_is_lost() {
        let (mut jobs, events) = jobs();
        let id = jobs
            .start("count", |job| {
                for done in 0..100 {
                    job.report("Counting", done, 100, "numbers");
                }
                job.warn("one shard was empty");
                Ok("counted".to_owned())
            })
            .unwrap();
        assert_eq!(
            until_end(&events),
            [
                Event::JobStarted(id),
                Event::JobWarning(id, "one shard was empty".to_owned()),
                Event::JobEnded(id, JobEnd::Finished("counted".to_owned())),
            ]
        );
        jobs.forget(id);
        assert!(jobs.views().is_empty());
    }

    #[test]
    fn cancel_stops_at_the_next_check() {
        let (mut jobs, events) = jobs();
        let id = jobs
            .start("forever", |job| {
                loop {
                    job.check_cancelled()?;
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
            .unwrap();
        jobs.cancel(id);
        assert_eq!(
            until_end(&events).last(),
            Some(&Event::JobEnded(id, JobEnd::Cancelled))
        );
    }

    #[test]
    fn a_paused_job_waits_until_it_may_go_on_or_is_stopped() {
        let (mut jobs, events) = jobs();
        let id = jobs
            .start("count", |job| {
                for done in 0_u64.. {
                    job.check_cancelled()?;
                    job.report("Counting", done, 0, "numbers");
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(String::new())
            })
            .unwrap();
        let done = |jobs: &Jobs| jobs.views()[0].done;
        while done(&jobs) < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        jobs.pause(id, true);
        std::thread::sleep(Duration::from_millis(100));
        let at = done(&jobs);
        let seconds = jobs.views()[0].seconds;
        std::thread::sleep(Duration::from_millis(100));
        assert!(jobs.views()[0].paused);
        assert_eq!(done(&jobs), at);
        assert!((jobs.views()[0].seconds - seconds).abs() < 0.02);
        jobs.pause(id, false);
        while done(&jobs) == at {
            std::thread::sleep(Duration::from_millis(1));
        }
        jobs.pause(id, true);
        jobs.cancel(id);
        assert_eq!(
            until_end(&events).last(),
            Some(&Event::JobEnded(id, JobEnd::Cancelled))
        );
    }

    #[test]
    fn what_waits_in_a_queue_can_be_taken_out_and_what_is_begun_cannot() {
        let (mut jobs, events) = jobs();
        let (go_on, wait) = unbounded::<()>();
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        jobs.start_queue("make", names, move |job| {
            let mut made = String::new();
            while let Some(name) = job.next_queued() {
                made += &name;
                wait.recv().unwrap();
            }
            Ok(made)
        })
        .unwrap();
        while jobs.views()[0].subject != "a" {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The subject is said before the name leaves the queue.
        while jobs.views()[0].queued.len() > 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(jobs.views()[0].queued, ["b", "c"]);
        assert!(jobs.holds("a") && jobs.holds("b"));
        assert!(jobs.take_out("b"));
        assert!(!jobs.take_out("b") && !jobs.take_out("a"));
        assert!(jobs.holds("a") && !jobs.holds("b"));
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert!(matches!(
            until_end(&events).last(),
            Some(Event::JobEnded(_, JobEnd::Finished(made))) if made == "ac"
        ));
    }

    #[test]
    fn a_new_stage_has_a_training_curve_of_its_own() {
        let (mut jobs, events) = jobs();
        let id = jobs
            .start("train", |job| {
                job.report("Training", 1, 2, "steps");
                job.train_step(StepReport::default());
                job.report("Proposing labels", 0, 2, "features");
                Ok(String::new())
            })
            .unwrap();
        until_end(&events);
        assert!(jobs.views()[0].curve.is_empty());
        jobs.forget(id);
    }

    #[test]
    fn a_panic_ends_one_job_only() {
        let (mut jobs, events) = jobs();
        jobs.start("bad", |_| panic!("bug")).unwrap();
        assert!(matches!(
            until_end(&events).last(),
            Some(Event::JobEnded(_, JobEnd::Failed(_)))
        ));
        jobs.start("good", |_| Ok(String::new())).unwrap();
        assert!(matches!(
            until_end(&events).last(),
            Some(Event::JobEnded(_, JobEnd::Finished(_)))
        ));
    }

    #[test]
    fn dropping_the_owner_joins_every_job() {
        let (mut jobs, _events) = jobs();
        jobs.start("forever", |job| {
            loop {
                job.check_cancelled()?;
                std::thread::yield_now();
            }
        })
        .unwrap();
        drop(jobs);
    }
}
