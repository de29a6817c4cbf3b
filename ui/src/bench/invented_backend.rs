//! The window's door of the invented project.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::views::{
    AblationRequest, AddRecommenderRequest, BestAssociation, ConceptRunView, DatasetView,
    DebiasRequest, DetectionResult, DetectionTest, DictionaryView, Disagreement, Event,
    ExampleKind, FeatureCard, FeaturePage, FeatureQuery, FilmSize, FilmState, HistoryRequest,
    HistoryTicket, ImportPreview, ImportRequest, JobEnd, JobView, ModelEntry, ModelView,
    PathPurpose, PictureState, Preferences, ProjectView, QueueRequest, QueuedCase, RecentProject,
    ReviewAnswer, ReviewDraft, ReviewItem, ReviewPlace, ReviewProgress, Revision, RunRequest,
    RunView, SampleView, SavedChange, TraceTicket, UnfinishedRecommender,
};
use engine::{ConceptRequest, ExplainRequest, TraceRequest, TraceView, TrainRecommenderRequest};
use schema::{
    DatasetKind, Decision, FeatureId, HookPoint, JobId, PatchGrid, Report, ReviewState, Skipped,
    Split,
};

use super::invented::{Invented, N_SAMPLES, SIDE, example, items, kind_of, mixed};
use super::invented_page::datasets;
use super::{concepts, readers, recommenders, studies};
use crate::backend::{Answer, Backend};

impl Backend for Invented {
    fn poll(&self) -> Vec<Event> {
        let mut events = self.chosen();
        events.append(&mut self.state().events);
        events
    }

    fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    fn jobs(&self) -> Vec<JobView> {
        self.state().jobs.clone()
    }

    fn cancel(&self, job: JobId) {
        self.note(format!("cancel {}", job.0));
        let mut state = self.state();
        state.jobs.retain(|running| running.id != job);
        state.events.push(Event::JobEnded(job, JobEnd::Cancelled));
    }

    fn pause(&self, job: JobId, paused: bool) {
        self.note(format!("pause {} {paused}", job.0));
        let mut state = self.state();
        for running in state.jobs.iter_mut().filter(|running| running.id == job) {
            running.paused = paused;
        }
    }

    fn recent_projects(&self) -> Vec<RecentProject> {
        vec![RecentProject {
            path: "/projects/invented".to_owned(),
            name: "invented".to_owned(),
            exists: true,
        }]
    }

    fn open_project(&self, dir: &str) -> Answer<()> {
        self.note(format!("open {dir}"));
        let mut state = self.state();
        state.closed = false;
        state.events.push(Event::ProjectChanged);
        Ok(())
    }

    fn new_project(&self, dir: &str) -> Answer<()> {
        self.note(format!("new {dir}"));
        self.made(dir)
    }

    fn close_project(&self) {
        let mut state = self.state();
        state.closed = true;
        state.events.push(Event::ProjectChanged);
    }

    fn project(&self) -> Option<ProjectView> {
        (!self.state().closed).then(|| ProjectView {
            path: "/projects/invented".to_owned(),
            name: "invented".to_owned(),
            notices: Vec::new(),
        })
    }

    fn build_demo(&self, dir: &str) -> Answer<JobId> {
        self.note(format!("demo {dir}"));
        let job = JobId(1);
        self.state().jobs.push(super::invented::demo_job(job));
        Ok(job)
    }

    fn choose_path(&self, purpose: PathPurpose) -> Answer<()> {
        self.send(Event::PathChosen(purpose, Some("/chosen".to_owned())));
        Ok(())
    }

    fn datasets(&self) -> Answer<Arc<Vec<DatasetView>>> {
        if self.state().closed {
            return Err("no project is open".to_owned());
        }
        Ok(Arc::new(datasets()))
    }

    fn sample(&self, dataset: &str, sample: u32) -> Answer<SampleView> {
        if sample >= N_SAMPLES {
            return Err(format!("{dataset} has no sample {sample}"));
        }
        let kind = kind_of(dataset);
        Ok(SampleView {
            sample,
            id: format!("{dataset}-{sample:04}"),
            group: sample.to_string(),
            split: Split::Train,
            film_size: (kind == ExampleKind::Film).then_some([SIDE, SIDE]),
            report: (kind != ExampleKind::History).then(|| Report {
                findings: "Small left pleural effusion.".to_owned(),
                ..Report::default()
            }),
            findings: (kind == ExampleKind::Film).then(|| vec!["effusion".to_owned()]),
            facts: if kind == ExampleKind::Film {
                [("view".to_owned(), "PA".to_owned())].into()
            } else {
                BTreeMap::new()
            },
            boxes: studies::boxes(kind),
            further: studies::further(kind, sample),
            items: if kind == ExampleKind::History {
                items(sample, 0.0)
            } else {
                Vec::new()
            },
            n_held_out: 2,
        })
    }

    fn film(&self, _dataset: &str, _sample: u32, size: FilmSize) -> FilmState {
        let side = match size {
            FilmSize::Thumbnail => 160,
            FilmSize::Full => self.film_side,
        };
        self.film_of(side)
    }

    fn preview_import(&self, request: ImportRequest) -> Answer<JobId> {
        if let ImportRequest::Interactions(asked) = &request {
            self.note(format!(
                "preview {} of {} as {}, columns {}, items {}, split {}, rating {}, core {}",
                asked.name,
                asked.path,
                asked.layout,
                asked.columns,
                asked.items,
                asked.split,
                asked.min_rating,
                asked.core
            ));
            self.send(Event::ImportPreview(Box::new(Ok(ImportPreview {
                request,
                kind: DatasetKind::Interactions,
                n_samples: 30,
                recognised: vec!["300 interactions of 30 users with 40 items".to_owned()],
                warnings: vec!["2 rows are left out: an earlier row is the same".to_owned()],
                n_skipped: 2,
                skipped: Vec::new(),
            }))));
            return Ok(JobId(2));
        }
        self.note("preview".to_owned());
        self.send(Event::ImportPreview(Box::new(Ok(ImportPreview {
            request,
            kind: DatasetKind::Radiographs,
            n_samples: 12,
            recognised: vec!["12 PNG files".to_owned()],
            warnings: vec!["the column PatientName identifies patients and is left out".to_owned()],
            n_skipped: 1,
            skipped: vec![Skipped {
                place: "broken.png".to_owned(),
                reason: "the file ends before the image does".to_owned(),
            }],
        }))));
        Ok(JobId(2))
    }

    fn import(&self, _request: ImportRequest) -> Answer<JobId> {
        self.note("import".to_owned());
        self.runs_on(JobId(3), "Import");
        Ok(JobId(3))
    }

    fn models(&self) -> Answer<Arc<Vec<ModelView>>> {
        Ok(Arc::default())
    }

    fn model_names(&self) -> Answer<Vec<String>> {
        Ok(super::training::model_names())
    }

    fn read_model(&self, name: &str) -> Answer<()> {
        self.send(Event::ModelRead(
            name.to_owned(),
            Box::new(Ok(super::training::model(name))),
        ));
        Ok(())
    }

    fn forecast(&self, request: RunRequest) -> Answer<JobId> {
        self.note(format!("forecast k {}", request.config.k));
        let job = JobId(20);
        let answer = Ok(super::training::forecast(request));
        self.send(Event::Forecast(job, Box::new(answer)));
        Ok(job)
    }

    fn train(&self, requests: Vec<RunRequest>) -> Answer<JobId> {
        let names: Vec<&str> = requests.iter().map(|one| one.name.as_str()).collect();
        self.note(format!("train {}", names.join(", ")));
        let job = JobId(21);
        let mut state = self.state();
        state.jobs.extend(super::training::job(job, &requests));
        state.begun.extend(requests);
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(job)
    }

    fn resume_runs(&self, names: Vec<String>) -> Answer<JobId> {
        self.note(format!("resume {}", names.join(", ")));
        Ok(JobId(22))
    }

    fn discard_run(&self, name: &str) -> Answer<JobId> {
        self.note(format!("discard {name}"));
        Ok(JobId(23))
    }

    fn take_out(&self, name: &str) -> Answer<()> {
        self.note(format!("take out {name}"));
        for job in &mut self.state().jobs {
            job.queued.retain(|queued| queued != name);
        }
        Ok(())
    }

    fn runs(&self) -> Answer<Arc<Vec<RunView>>> {
        let state = self.state();
        if state.closed {
            return Err("no project is open".to_owned());
        }
        Ok(Arc::new(super::training::runs(&state.begun)))
    }

    fn read_curve(&self, name: &str) -> Answer<()> {
        let begun = self.state().begun.iter().any(|run| run.name == name);
        let curve = super::training::whole_curve(if begun { 0 } else { 2000 });
        self.send(Event::Curve(name.to_owned(), Ok(Arc::new(curve))));
        Ok(())
    }

    fn model_entries(&self) -> Answer<Arc<Vec<ModelEntry>>> {
        Ok(Arc::new(recommenders::entries()))
    }

    fn unfinished_recommenders(&self) -> Answer<Arc<Vec<UnfinishedRecommender>>> {
        let state = self.state();
        let begun = state.recommenders.iter();
        let unfinished = begun.map(|request| UnfinishedRecommender {
            request: request.clone(),
            has_checkpoint: true,
        });
        Ok(Arc::new(unfinished.collect()))
    }

    fn train_recommender(&self, request: TrainRecommenderRequest) -> Answer<JobId> {
        self.note(format!(
            "train {} on {} as {}, seed {}, {}",
            request.arch,
            request.dataset,
            request.name,
            request.seed,
            request.settings.trim().replace('\n', ", ")
        ));
        let job = JobId(31);
        let mut state = self.state();
        state.jobs.push(recommenders::job(job, &request));
        state.recommenders.push(request);
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(job)
    }

    fn resume_recommender(&self, name: &str) -> Answer<JobId> {
        self.note(format!("resume {name}"));
        Ok(JobId(32))
    }

    fn discard_recommender(&self, name: &str) -> Answer<JobId> {
        self.note(format!("discard {name}"));
        let mut state = self.state();
        state.recommenders.retain(|begun| begun.name != name);
        drop(state);
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(JobId(33))
    }

    fn import_recommender(&self, request: AddRecommenderRequest) -> Answer<JobId> {
        self.note(format!(
            "import {} from {} as {} for {}, heads {}",
            request.name, request.path, request.arch, request.dataset, request.heads
        ));
        Ok(JobId(34))
    }

    fn read_history(&self, request: HistoryRequest) -> Answer<HistoryTicket> {
        let ticket = HistoryTicket(41);
        let answer = Ok(recommenders::history(request));
        self.send(Event::HistoryRead(ticket, Box::new(answer)));
        Ok(ticket)
    }

    fn picture(&self, path: &Arc<str>) -> PictureState {
        recommenders::picture(path)
    }

    fn ablate(&self, request: AblationRequest) -> Answer<JobId> {
        let features = request.edits.iter().map(|edit| {
            let (feature, strength) = (edit.feature, edit.strength);
            format!("{feature} {:?} {strength}", edit.mode)
        });
        self.note(format!(
            "ablate {} counting {:?} of {:?} beside {}",
            features.collect::<Vec<_>>().join(", "),
            request.items,
            request.split,
            request.n_controls
        ));
        let job = JobId(51);
        let answer = Ok(super::ablation::ablation(request));
        self.send(Event::Ablated(job, Box::new(answer)));
        Ok(job)
    }

    fn debias(&self, request: DebiasRequest) -> Answer<JobId> {
        self.note(format!(
            "debias {:?} at {:?} with {}",
            request.bias, request.strengths, request.n_features
        ));
        let job = JobId(52);
        let answer = Ok(super::ablation::sweep(request));
        self.send(Event::Debiased(job, Box::new(answer)));
        Ok(job)
    }

    fn saved_changes(&self) -> Answer<Arc<Vec<SavedChange>>> {
        Ok(Arc::new(self.state().changes.clone()))
    }

    fn save_change(&self, change: SavedChange) -> Answer<()> {
        self.note(format!("save {}", change.name));
        self.state().changes.push(change);
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn remove_change(&self, name: &str) -> Answer<()> {
        self.note(format!("remove {name}"));
        self.state().changes.retain(|change| change.name != name);
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn export_change(&self, change: SavedChange, place: &str) -> Answer<JobId> {
        self.note(format!("export {} into {place}", change.name));
        Ok(JobId(53))
    }

    fn concept_runs(&self, sae: &str) -> Answer<Arc<Vec<ConceptRunView>>> {
        let state = self.state();
        let made = state.concepts.iter().filter(|made| *made == sae);
        Ok(Arc::new(made.map(|sae| concepts::run(sae)).collect()))
    }

    fn read_concepts(&self, name: &str) -> Answer<()> {
        let pages = Arc::new(concepts::pages(name));
        self.send(Event::ConceptsRead(name.to_owned(), Ok(pages)));
        Ok(())
    }

    fn make_concepts(&self, request: ConceptRequest) -> Answer<JobId> {
        self.note(format!("concepts of {} {:?}", request.sae, request.cases));
        self.state().concepts.push(request.sae);
        self.revision.fetch_add(1, Ordering::AcqRel);
        self.send(Event::JobEnded(JobId(61), JobEnd::Finished(String::new())));
        Ok(JobId(61))
    }

    fn dictionaries(&self) -> Answer<Arc<Vec<DictionaryView>>> {
        if self.state().closed {
            return Err("no project is open".to_owned());
        }
        let view = |name: &str| DictionaryView {
            name: name.to_owned(),
            kind: kind_of(name),
            model: "invented".to_owned(),
            hook: HookPoint::ResidPost(2),
            dataset: name.to_owned(),
            harvest: name.to_owned(),
            n_features: self.n_features,
            n_live: self.n_features,
            d_model: 64,
            k: Some(16),
            fvu: 0.125,
            l0: 16.0,
            dead_share: 0.0,
            indexed: !self.state().unindexed.iter().any(|bare| bare == name),
            n_reviewed: 0,
        };
        Ok(Arc::new(vec![
            view("films"),
            view("histories"),
            view("reports"),
        ]))
    }

    fn feature_ids(&self, sae: &str, query: &FeatureQuery) -> Answer<Arc<Vec<FeatureId>>> {
        let ids = super::gallery::ids_of(self.n_features, sae, query);
        Ok(Arc::new(ids))
    }

    fn feature_card(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeatureCard>> {
        let decision = self.last_decision(sae, feature);
        Ok(Arc::new(FeatureCard {
            feature,
            label: decision
                .as_ref()
                .map(|d| d.text.clone())
                .unwrap_or_default(),
            proposal: self.proposed(),
            state: decision.map_or(ReviewState::Unseen, |d| d.state),
            density: 0.001 + mixed(feature.0, 3) * 0.05,
            sample_density: 0.1,
            max_activation: 9.0,
            histogram: Arc::new((0..32).map(|i| 4000 / (1 + i * i)).collect()),
            association: Some(BestAssociation {
                name: "effusion".to_owned(),
                auroc: 0.91,
                q: 1e-8,
            }),
            score: super::gallery::score(feature.0),
            top: Arc::new((0..4).map(|i| example(sae, feature, i)).collect()),
        }))
    }

    fn feature_page(&self, sae: &str, feature: FeatureId) -> Answer<Arc<FeaturePage>> {
        self.page(sae, feature).map(Arc::new)
    }

    fn propose_keywords(&self, sae: &str) -> Answer<JobId> {
        self.note(format!("propose {sae}"));
        Ok(JobId(4))
    }

    fn decide(
        &self,
        sae: &str,
        feature: FeatureId,
        (state, text): (ReviewState, &str),
        shown: &str,
    ) -> Answer<()> {
        let queue = QueueRequest {
            reviewer: self.reviewer(),
            ..QueueRequest::default()
        };
        let answer = ReviewAnswer {
            feature,
            state,
            text: text.to_owned(),
            shown: Some(shown.to_owned()),
            ..ReviewAnswer::default()
        };
        self.record(sae, &queue, answer);
        Ok(())
    }

    fn undo_on(&self, sae: &str) -> Answer<()> {
        self.take_back(sae);
        Ok(())
    }

    fn redo_on(&self, _sae: &str) -> Answer<()> {
        self.restore();
        Ok(())
    }

    fn review_progress(&self, sae: &str, _queue: &QueueRequest) -> Answer<ReviewProgress> {
        Ok(self.progress(sae))
    }

    fn review_item(&self, sae: &str, queue: &QueueRequest, case: u32) -> Answer<Arc<ReviewItem>> {
        self.item(sae, queue, case).map(Arc::new)
    }

    fn next_case(&self, sae: &str, _queue: &QueueRequest, case: u32) -> Answer<Option<u32>> {
        Ok(self.next_to_do(sae, case))
    }

    fn queued_cases(&self, sae: &str, _queue: &QueueRequest) -> Answer<Vec<QueuedCase>> {
        Ok(self.cases(sae))
    }

    fn case_of_decision(
        &self,
        sae: &str,
        _queue: &QueueRequest,
        decision: &Decision,
    ) -> Answer<Option<u32>> {
        Ok(self.case_of(sae, decision.feature))
    }

    fn review_place(&self, _sae: &str) -> Answer<Option<ReviewPlace>> {
        Ok(self.kept_place())
    }

    fn decide_case(
        &self,
        sae: &str,
        queue: &QueueRequest,
        _case: u32,
        answer: ReviewAnswer,
    ) -> Answer<()> {
        self.record(sae, queue, answer);
        Ok(())
    }

    fn keep_draft(
        &self,
        _sae: &str,
        queue: &QueueRequest,
        case: u32,
        draft: Option<ReviewDraft>,
    ) -> Answer<()> {
        self.keep(queue, case, draft);
        Ok(())
    }

    fn agreement(&self, sae: &str) -> Answer<JobId> {
        let report = Box::new(Ok(readers::report(sae)));
        self.send(Event::Agreement(sae.to_owned(), report));
        Ok(JobId(71))
    }

    fn disagreements(&self, sae: &str) -> Answer<Arc<Vec<Disagreement>>> {
        Ok(Arc::new(readers::report(sae).disagreements))
    }

    fn draw_detection(&self, sae: &str, feature: FeatureId, seed: u64) -> Answer<()> {
        self.note(format!("detection test of {sae} {feature}, seed {seed}"));
        let test = Box::new(Ok(readers::test(sae, feature, seed)));
        self.send(Event::DetectionDrawn(sae.to_owned(), test));
        Ok(())
    }

    fn record_detection(
        &self,
        _sae: &str,
        test: Arc<DetectionTest>,
        said: Vec<bool>,
        _milliseconds: u64,
    ) -> Answer<()> {
        let result = readers::result(&test, &said, &self.reviewer());
        self.state().detections.push(result.clone());
        self.revision.fetch_add(1, Ordering::AcqRel);
        self.send(Event::Detected(Box::new(Ok(result))));
        Ok(())
    }

    fn detection_results(&self, _sae: &str) -> Answer<Vec<DetectionResult>> {
        Ok(self.state().detections.clone())
    }

    fn reviewer(&self) -> String {
        self.state().reviewer.clone()
    }

    fn set_reviewer(&self, name: &str) {
        name.clone_into(&mut self.state().reviewer);
    }

    fn preferences(&self) -> Preferences {
        self.state().preferences.clone()
    }

    fn set_preferences(&self, wanted: Preferences) -> Answer<()> {
        self.set_invented_preferences(wanted)
    }

    fn explain(&self, request: ExplainRequest) -> Answer<JobId> {
        Ok(self.invented_explain(&request))
    }

    fn trace(&self, request: TraceRequest) -> Answer<TraceTicket> {
        self.note(format!("trace {} {:?}", request.feature, request.method));
        let ticket = TraceTicket(9);
        let side = 16;
        let values = (0..side * side).map(|i| mixed(i, request.feature.0) - 0.5);
        let view = TraceView {
            method: request.method.name().to_owned(),
            position: request.position.unwrap_or(0),
            token: " effusion".to_owned(),
            activation: 1.0,
            film_size: [SIDE, SIDE],
            grid: PatchGrid {
                rows: side,
                columns: side,
                left: 0.0,
                top: 0.0,
                width: SIDE as f32,
                height: SIDE as f32,
            },
            values: values.collect(),
        };
        self.send(Event::Traced(ticket, Box::new(Ok(view))));
        Ok(ticket)
    }

    fn can_trace(&self, sae: &str) -> bool {
        kind_of(sae) == ExampleKind::Text
    }

    fn window_memory(&self) -> Option<String> {
        self.state().memory.clone()
    }

    fn keep_window_memory(&self, text: &str) {
        self.state().memory = Some(text.to_owned());
    }

    fn place(&self, _project: &str) -> Option<String> {
        self.state().place.clone()
    }

    fn keep_place(&self, _project: &str, text: &str) {
        self.state().place = Some(text.to_owned());
    }
}
