//! The door's part for recommenders: models and their trainings, histories and pictures of items.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use schema::JobId;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::session::Session;
use crate::train_recommender::TrainRecommenderRequest;
use crate::views::{
    AddRecommenderRequest, Event, HistoryRequest, HistoryTicket, MODELS, ModelEntry, PictureState,
    UnfinishedRecommender,
};

/// What a job that trains a model says it makes; dictionaries go by their bare names.
fn subject(name: &str) -> String {
    format!("{MODELS}{name}")
}

impl Engine {
    /// Models as their records describe them; loads none. Some small files per model: keep the
    /// answer until the revision changes.
    ///
    /// # Errors
    /// When no project is open.
    pub fn model_entries(&self) -> Result<Arc<Vec<ModelEntry>>> {
        Ok(Arc::new(self.shared.session()?.model_entries()?))
    }

    /// Trainings of recommenders that were begun and are not finished. Keep the answer until the
    /// revision changes.
    ///
    /// # Errors
    /// When no project is open.
    pub fn unfinished_recommenders(&self) -> Result<Arc<Vec<UnfinishedRecommender>>> {
        Ok(Arc::new(self.shared.session()?.unfinished_recommenders()?))
    }

    /// Trains a recommender, as a job. It is noted before it begins, so that it can be gone on with
    /// when it was stopped.
    ///
    /// # Errors
    /// When no project is open, the name is taken, the dataset holds no histories, a setting is out
    /// of range, or the job cannot be started.
    pub fn train_recommender(&self, request: TrainRecommenderRequest) -> Result<JobId> {
        let session = self.shared.session()?;
        self.check_model_free(&subject(&request.name))?;
        session.begin_recommender(&request)?;
        self.shared.changed();
        self.start_recommender(session, request)
    }

    /// Goes on with a training of a recommender that was stopped, as a job.
    ///
    /// # Errors
    /// When no project is open, none of that name was begun, a job makes it already, or the job
    /// cannot be started.
    pub fn resume_recommender(&self, name: &str) -> Result<JobId> {
        let session = self.shared.session()?;
        self.check_model_free(&subject(name))?;
        let request = session.begun_recommender(name)?;
        self.start_recommender(session, request)
    }

    fn start_recommender(
        &self,
        session: Arc<Session>,
        request: TrainRecommenderRequest,
    ) -> Result<JobId> {
        let title = format!("Train {}", request.name);
        let queue = vec![subject(&request.name)];
        let shared = Arc::clone(&self.shared);
        crate::jobs::lock(&self.jobs).start_queue(&title, queue, move |job| {
            let made = (|| {
                let _turn = shared.turn_to_train(job)?;
                if job.next_queued().is_none() {
                    return Ok(String::new());
                }
                let trained = session.train_recommender(&request, job)?;
                let dev = trained.curve.ndcg.iter().copied().reduce(f64::max);
                let dev = dev.map_or_else(String::new, |ndcg| format!(", dev NDCG@5 {ndcg:.4}"));
                if !trained.has_dev {
                    return Ok(format!("Trained {}: {}", trained.model, trained.kept()));
                }
                Ok(format!(
                    "Trained {}: the best of {} epochs is {}{dev}",
                    trained.model, trained.n_epochs, trained.best_epoch
                ))
            })();
            shared.changed();
            made
        })
    }

    /// Removes what is kept of a training of a recommender that is not finished, as a job.
    ///
    /// # Errors
    /// When no project is open, there is none of that name, a job makes it, or the job cannot be
    /// started.
    pub fn discard_recommender(&self, name: &str) -> Result<JobId> {
        self.shared.session()?.begun_recommender(name)?;
        self.check_model_free(&subject(name))?;
        let name = name.to_owned();
        self.start_in_project(&format!("Discard {name}"), move |_, session| {
            session.discard_recommender(&name)?;
            Ok(format!("Discarded the training of {name}"))
        })
    }

    /// Takes a recommender's checkpoint into the project, as a job.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn import_recommender(&self, request: AddRecommenderRequest) -> Result<JobId> {
        let title = format!("Import {}", request.name);
        self.start_in_project(&title, move |job, session| {
            job.report("Reading the checkpoint", 0, 0, "");
            let model = session.import_recommender(&request)?;
            Ok(format!("Imported {} ({})", model.name, model.architecture))
        })
    }

    /// Reads a whole history with a feature's activations and what is recommended after it;
    /// `Event::HistoryRead` follows. A newer request replaces one that has not begun.
    ///
    /// # Errors
    /// When no project is open.
    pub fn read_history(&self, request: HistoryRequest) -> Result<HistoryTicket> {
        let session = self.shared.session()?;
        let ticket = self.shared.latest_history.fetch_add(1, Ordering::AcqRel) + 1;
        let shared = Arc::clone(&self.shared);
        self.reading.run(move || {
            if shared.latest_history.load(Ordering::Acquire) != ticket {
                return;
            }
            let answer = session.history(&request).map_err(|error| error.message);
            shared.send(Event::HistoryRead(HistoryTicket(ticket), Box::new(answer)));
        });
        Ok(HistoryTicket(ticket))
    }

    /// The picture of an item, from the cache or on its way. Never blocks.
    pub fn picture(&self, path: &Arc<str>) -> PictureState {
        self.pictures.get(path)
    }

    /// Refuses what a job makes now or later.
    fn check_model_free(&self, subject: &str) -> Result<()> {
        if crate::jobs::lock(&self.jobs).holds(subject) {
            return Err(EngineError::request(format!(
                "{subject} belongs to a running job; stop the job first"
            )));
        }
        Ok(())
    }
}
