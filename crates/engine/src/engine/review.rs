//! The door's part for review: decisions, undo and redo, away from the frame.

use std::sync::Arc;

use schema::{CaseRole, Decision, FeatureId, JobId, ReviewState};

use crate::decisions::{DecisionRequest, Recorded, check_shown};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::session::Session;
use crate::views::{
    DetectionResult, DetectionTest, Disagreement, Event, QueueRequest, QueuedCase, ReviewAnswer,
    ReviewDraft, ReviewItem, ReviewPlace, ReviewProgress,
};

impl Engine {
    /// Records a reviewer's decision on a feature whose proposal was `shown`; empty where there was
    /// none. Answers at once; `Event::Decided` follows when it is durable, or `Event::DecisionFailed`,
    /// where the proposal is another one meanwhile too.
    ///
    /// # Errors
    /// When there is no such feature, or an edited label is empty.
    pub fn decide(
        &self,
        sae: &str,
        feature: FeatureId,
        (state, text): (ReviewState, &str),
        shown: &str,
    ) -> Result<()> {
        let session = self.shared.session()?;
        session.check_decision(sae, feature, state, text)?;
        let request = DecisionRequest {
            feature,
            state,
            text: text.to_owned(),
            reviewer: self.reviewer(),
            ..DecisionRequest::default()
        };
        let (sae, shown) = (sae.to_owned(), shown.to_owned());
        self.decisions_run(session, move |session| {
            let proposal = session.labels(&sae)?.proposal(feature);
            check_shown(Some(&shown), &proposal)?;
            session.record(&sae, &request)
        });
        Ok(())
    }

    /// Takes the reviewer's last decision on a dictionary back, whichever session it was made in.
    /// `Event::Decided` follows with the record that takes back, then `Event::TakenBack`; or
    /// `Event::DecisionFailed` when there is nothing to take back.
    ///
    /// # Errors
    /// When no project is open.
    pub fn undo_on(&self, sae: &str) -> Result<()> {
        let nothing = "There is no decision to take back";
        self.take_on(sae, Session::undo, Event::TakenBack, nothing)
    }

    /// Restores what the reviewer last took back on a dictionary, if they decided nothing since.
    /// Events as for [`Engine::undo_on`], with `Event::Restored`.
    ///
    /// # Errors
    /// When no project is open.
    pub fn redo_on(&self, sae: &str) -> Result<()> {
        let nothing = "There is nothing to restore";
        self.take_on(sae, Session::redo, Event::Restored, nothing)
    }

    /// Undo or redo on a dictionary, and what is told once it is durable; `nothing` is what is said
    /// where there is nothing to do.
    fn take_on(
        &self,
        sae: &str,
        take: fn(&Session, &str, &str) -> Result<Option<Recorded>>,
        told: fn(String, FeatureId) -> Event,
        nothing: &'static str,
    ) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let (sae, reviewer) = (sae.to_owned(), self.reviewer());
        self.decisions.run(move || {
            let taken = take(&session, &sae, &reviewer);
            match taken.and_then(|done| done.ok_or_else(|| EngineError::request(nothing))) {
                Ok(recorded) => {
                    let feature = recorded.decision.feature;
                    shared.send(Event::Decided(Box::new(recorded.decision)));
                    shared.send(told(sae, feature));
                    shared.changed();
                }
                Err(error) => shared.send(Event::DecisionFailed(error.message)),
            }
        });
        Ok(())
    }

    /// How far the reviewer is in a queue. As [`Engine::feature_ids`], keep the answer until the
    /// revision changes; so for the item.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn review_progress(&self, sae: &str, queue: &QueueRequest) -> Result<ReviewProgress> {
        self.shared.session()?.review_progress(sae, queue)
    }

    /// One case of a queue as it is put before the reviewer.
    ///
    /// # Errors
    /// When the queue has no such case.
    pub fn review_item(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
    ) -> Result<Arc<ReviewItem>> {
        let item = self.shared.session()?.review_item(sae, queue, case)?;
        Ok(Arc::new(item))
    }

    /// The first case to do after `case`, else from the beginning.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn next_case(&self, sae: &str, queue: &QueueRequest, case: u32) -> Result<Option<u32>> {
        self.shared.session()?.next_case(sae, queue, case)
    }

    /// The cases of a queue in their order. Some milliseconds for a long queue: not in every frame.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn queued_cases(&self, sae: &str, queue: &QueueRequest) -> Result<Vec<QueuedCase>> {
        self.shared.session()?.queued_cases(sae, queue)
    }

    /// The case of a queue that a decision was made on, or that it takes back.
    ///
    /// # Errors
    /// When there is no such dictionary or it has no index.
    pub fn case_of_decision(
        &self,
        sae: &str,
        queue: &QueueRequest,
        decision: &Decision,
    ) -> Result<Option<u32>> {
        self.shared
            .session()?
            .case_of_decision(sae, queue, decision)
    }

    /// Where the reviewer was on a dictionary: the queue and the case in it.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn review_place(&self, sae: &str) -> Result<Option<ReviewPlace>> {
        self.shared.session()?.review_place(sae, &self.reviewer())
    }

    /// Records what the reviewer decided on a case. Answers at once; `Event::Decided` follows when
    /// it is durable, or `Event::DecisionFailed`.
    ///
    /// # Errors
    /// When there is no such feature, or an edited label is empty.
    pub fn decide_case(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
        answer: ReviewAnswer,
    ) -> Result<()> {
        let session = self.shared.session()?;
        if answer.state != ReviewState::Accepted {
            session.check_decision(sae, answer.feature, answer.state, &answer.text)?;
        }
        let (sae, queue) = (sae.to_owned(), queue.clone());
        self.decisions_run(session, move |session| {
            session.decide_case(&sae, &queue, case, &answer)
        });
        Ok(())
    }

    /// Keeps where the reviewer is and what they have half done, away from the frame. A failure
    /// comes as `Event::DecisionFailed`.
    ///
    /// # Errors
    /// When no project is open.
    pub fn keep_draft(
        &self,
        sae: &str,
        queue: &QueueRequest,
        case: u32,
        draft: Option<ReviewDraft>,
    ) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let (sae, queue) = (sae.to_owned(), queue.clone());
        self.decisions.run(move || {
            if let Err(error) = session.keep_draft(&sae, &queue, case, draft.as_ref()) {
                shared.send(Event::DecisionFailed(error.message));
            }
        });
        Ok(())
    }

    /// How far the readers of a dictionary agree, as a job; `Event::Agreement` follows.
    ///
    /// # Errors
    /// When no project is open or the job cannot be started.
    pub fn agreement(&self, sae: &str) -> Result<JobId> {
        let session = self.shared.session()?;
        let sae = sae.to_owned();
        self.start("Measure how far readers agree", move |_, shared| {
            let report = session.agreement(&sae);
            let answer = report.as_ref().map_err(|error| error.message.clone());
            shared.send(Event::Agreement(sae, Box::new(answer.cloned())));
            report.map(|_| String::new())
        })
    }

    /// The features on which readers differ or differed, those not settled first.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn disagreements(&self, sae: &str) -> Result<Arc<Vec<Disagreement>>> {
        Ok(Arc::new(self.shared.session()?.disagreements(sae)?))
    }

    /// Settles what readers differ on. Answers at once; `Event::Decided` follows when it is durable.
    ///
    /// # Errors
    /// As [`Engine::decide`].
    pub fn adjudicate(
        &self,
        sae: &str,
        feature: FeatureId,
        state: ReviewState,
        text: &str,
    ) -> Result<()> {
        let session = self.shared.session()?;
        session.check_decision(sae, feature, state, text)?;
        let request = DecisionRequest {
            feature,
            state,
            text: text.to_owned(),
            reviewer: self.reviewer(),
            role: CaseRole::Adjudication,
            ..DecisionRequest::default()
        };
        let sae = sae.to_owned();
        self.decisions_run(session, move |session| session.record(&sae, &request));
        Ok(())
    }

    /// Draws the detection test of a feature's label, away from the frame: the run that tested the
    /// proposal may be long. `Event::DetectionDrawn` follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn draw_detection(&self, sae: &str, feature: FeatureId, seed: u64) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let sae = sae.to_owned();
        self.reading.run(move || {
            let drawn = session.detection_test(&sae, feature, seed);
            let answer = drawn.map_err(|error| error.message);
            shared.send(Event::DetectionDrawn(sae, Box::new(answer)));
        });
        Ok(())
    }

    /// Records the reviewer's answers to a detection test, away from the frame; `Event::Detected`
    /// follows.
    ///
    /// # Errors
    /// When no project is open.
    pub fn record_detection(
        &self,
        sae: &str,
        test: Arc<DetectionTest>,
        said: Vec<bool>,
        milliseconds: u64,
    ) -> Result<()> {
        let session = self.shared.session()?;
        let shared = Arc::clone(&self.shared);
        let (sae, reviewer) = (sae.to_owned(), self.reviewer());
        self.decisions.run(move || {
            let result = session.record_detection(&sae, &test, &reviewer, &said, milliseconds);
            let answer = result.map_err(|error| error.message);
            shared.send(Event::Detected(Box::new(answer)));
            shared.changed();
        });
        Ok(())
    }

    /// How readers did in the detection tests of a dictionary, oldest first.
    ///
    /// # Errors
    /// When there is no such dictionary.
    pub fn detection_results(&self, sae: &str) -> Result<Vec<DetectionResult>> {
        self.shared.session()?.detection_results(sae)
    }

    /// Runs what records a decision after those before it, and says how it went.
    pub(super) fn decisions_run(
        &self,
        session: Arc<Session>,
        record: impl FnOnce(&Session) -> Result<Recorded> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.decisions.run(move || match record(&session) {
            Ok(recorded) => {
                shared.send(Event::Decided(Box::new(recorded.decision)));
                shared.changed();
            }
            Err(error) => shared.send(Event::DecisionFailed(error.message)),
        });
    }
}
