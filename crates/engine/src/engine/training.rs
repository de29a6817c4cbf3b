//! The door's part for training: models to read, forecasts, runs and their curves.

use std::sync::{Arc, MutexGuard, TryLockError};
use std::time::Duration;

use schema::JobId;
use store::ArtefactKind;

use crate::engine::{Engine, Shared};
use crate::error::{EngineError, Result};
use crate::jobs::JobContext;
use crate::train_sae::DictionaryEvaluation;
use crate::views::{Event, ModelView, RunRequest, RunView};

/// Time between two looks of a waiting job at whether it is its turn.
const TURN_LOOK: Duration = Duration::from_millis(100);

impl Shared {
    /// Waits until no other job trains.
    pub(super) fn turn_to_train(&self, job: &JobContext) -> Result<MutexGuard<'_, ()>> {
        loop {
            match self.training.try_lock() {
                Ok(turn) => return Ok(turn),
                // A training that panicked has ended like any other.
                Err(TryLockError::Poisoned(turn)) => return Ok(turn.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    job.report("Waiting for the training before it", 0, 0, "");
                    job.check_cancelled()?;
                    std::thread::sleep(TURN_LOOK);
                }
            }
        }
    }

    /// Makes what waits in the job's queue, one after another, when it is the job's turn.
    fn train_queued(
        &self,
        job: &JobContext,
        train: impl Fn(&str) -> Result<DictionaryEvaluation>,
    ) -> Result<String> {
        let _turn = self.turn_to_train(job)?;
        let mut made = Vec::new();
        while let Some(name) = job.next_queued() {
            made.push(sentence(&name, &train(&name)?));
            self.changed();
        }
        Ok(made.join(". "))
    }
}

impl Engine {
    /// Names of the project's models; loads none of them.
    ///
    /// # Errors
    /// When no project is open.
    pub fn model_names(&self) -> Result<Vec<String>> {
        self.shared.session()?.finished(ArtefactKind::Model)
    }

    /// Loads a model away from the frame; `Event::ModelRead` follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn read_model(&self, name: &str) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let name = name.to_owned();
        self.reading.run(move || {
            let answer = session
                .model(&name)
                .map(|model| ModelView::from_card(&name, model.card()))
                .map_err(|error| error.message);
            shared.send(Event::ModelRead(name, Box::new(answer)));
        });
        Ok(())
    }

    /// Says what a run would take, as a job; `Event::Forecast` follows.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn forecast(&self, request: RunRequest) -> Result<JobId> {
        self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        // Nothing that a query sees changes, so no revision is made of it.
        crate::jobs::lock(&self.jobs).start_with_id("Forecast", move |id, job| {
            let session = shared.session()?;
            let forecast = session.forecast(&request, job);
            let answer = match &forecast {
                Err(error) if error.is_cancelled() => return Err(error.clone()),
                answer => answer.as_ref().map_err(|error| error.message.clone()),
            };
            shared.send(Event::Forecast(id, Box::new(answer.cloned())));
            Ok(String::new())
        })
    }

    /// Makes dictionaries one after another, from samples to gallery, as one job. Each is noted
    /// before the first begins, so that what was stopped can be resumed.
    ///
    /// # Errors
    /// When no project is open, a name is taken, or the job cannot be started.
    pub fn train(&self, requests: Vec<RunRequest>) -> Result<JobId> {
        let session = self.shared.session()?;
        for request in &requests {
            session.check_run_name(&request.name)?;
        }
        let names = requests.iter().map(|request| request.name.clone());
        self.start_runs(names.collect(), move |job, shared| {
            session.begin_runs(&requests)?;
            shared.changed();
            shared.train_queued(job, |name| {
                let mut requests = requests.iter();
                match requests.find(|request| request.name == name) {
                    Some(request) => session.train_run(request, job),
                    None => session.resume_run(name, job),
                }
            })
        })
    }

    /// Goes on with runs that were stopped, one after another, as one job.
    ///
    /// # Errors
    /// When no project is open, a job makes one of them already, or the job cannot be started.
    pub fn resume_runs(&self, names: Vec<String>) -> Result<JobId> {
        let session = self.shared.session()?;
        for name in &names {
            self.check_free(name)?;
        }
        self.start_runs(names, move |job, shared| {
            shared.train_queued(job, |name| session.resume_run(name, job))
        })
    }

    /// Starts a job that makes these dictionaries, unless they are taken out before their turn.
    fn start_runs<F>(&self, names: Vec<String>, body: F) -> Result<JobId>
    where
        F: FnOnce(&JobContext, &Shared) -> Result<String> + Send + 'static,
    {
        let title = match names.as_slice() {
            [only] => format!("Train {only}"),
            several => format!("Train {} dictionaries", several.len()),
        };
        let shared = Arc::clone(&self.shared);
        crate::jobs::lock(&self.jobs).start_queue(&title, names, move |job| {
            let made = body(job, &shared);
            shared.changed();
            made
        })
    }

    /// Refuses a run that a job makes now or later.
    fn check_free(&self, name: &str) -> Result<()> {
        if crate::jobs::lock(&self.jobs).holds(name) {
            return Err(EngineError::request(format!(
                "saes/{name} belongs to a running job; stop the job, or take {name} out of it, first"
            )));
        }
        Ok(())
    }

    /// Takes a run out of the job that would make it later. What is noted of it stays: it can be
    /// resumed or discarded.
    ///
    /// # Errors
    /// When it waits in no job.
    pub fn take_out(&self, name: &str) -> Result<()> {
        if crate::jobs::lock(&self.jobs).take_out(name) {
            return Ok(());
        }
        Err(EngineError::request(format!(
            "saes/{name} does not wait in a job any more"
        )))
    }

    /// Removes a run that was not trained to its end, as a job.
    ///
    /// # Errors
    /// When no project is open, the run is finished, a job makes it, or the job cannot be started.
    pub fn discard_run(&self, name: &str) -> Result<JobId> {
        self.shared.session()?.check_unfinished(name)?;
        self.check_free(name)?;
        let name = name.to_owned();
        self.start_in_project(&format!("Discard {name}"), move |_, session| {
            session.discard_run(&name)?;
            Ok(format!("Discarded {name}"))
        })
    }

    /// Runs of the project, finished or not. Some small files per run: keep the answer until the
    /// revision changes.
    ///
    /// # Errors
    /// When no project is open or a file is damaged.
    pub fn runs(&self) -> Result<Arc<Vec<RunView>>> {
        Ok(Arc::new(self.shared.session()?.run_views()?))
    }

    /// Reads the training curve of a run away from the frame; `Event::Curve` follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn read_curve(&self, name: &str) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let name = name.to_owned();
        self.reading.run(move || {
            let curve = session.training_curve(&name);
            let answer = curve.map(Arc::new).map_err(|error| error.message);
            shared.send(Event::Curve(name, answer));
        });
        Ok(())
    }
}

fn sentence(name: &str, evaluation: &DictionaryEvaluation) -> String {
    let all = &evaluation.all;
    format!(
        "{name}: FVU {:.3}, L0 {:.1}, {:.0} % dead; its gallery is ready",
        all.fvu,
        all.l0,
        all.dead_share * 100.0
    )
}
